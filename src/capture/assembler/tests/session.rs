//! What pgoutput sends in a session: descriptions where it believes them to be new.
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeSet, HashMap};

use super::super::Described;
use super::model::{Change, Item, Sent, TEXT, World, encoded, xid};
use crate::lsn::Lsn;
use crate::pgoutput::{
    Commit, Context, Identity, Message, Protocol, RelationColumn, RelationDescription,
};
use crate::relations::{Relation, RelationSet, ReplicaIdentity, UpstreamTable, UpstreamType};

const FIRST_TYPE: u32 = 20_000;

/// What the upstream believes to have said of a table.
#[derive(Debug, Default)]
struct Told {
    version: u32,
    sent: bool,
    streams: BTreeSet<usize>,
}

/// A session of pgoutput.
#[derive(Debug, Default)]
pub(super) struct Wal {
    pub(super) sent: Vec<Sent>,
    told: HashMap<u32, Told>,
    /// Transactions of which pieces were sent.
    pub(super) streams: BTreeSet<usize>,
}

impl Wal {
    fn send(&mut self, lsn: Lsn, message: &Message<'_>) {
        self.sent.push((lsn, encoded(message)));
    }

    fn item(&mut self, id: usize, item: &Item, streaming: bool) {
        let subxid = streaming.then_some(match item.change {
            // As PostgreSQL does.
            Change::Message(_) => xid(id),
            _ => item.subxid,
        });
        for oid in item.tables() {
            let version = item.versions[&oid];
            let told = self.told.entry(oid).or_default();
            if told.version != version {
                *told = Told {
                    version,
                    ..Told::default()
                };
            }
            let is_told = if streaming {
                !told.streams.insert(id)
            } else {
                told.sent
            };
            told.sent |= !streaming;
            if !is_told {
                for message in description(oid, version, subxid) {
                    self.sent.push((Lsn::ZERO, message));
                }
            }
        }
        self.sent.push((item.lsn, item.encode(subxid)));
    }

    fn origin(&mut self, lsn: Lsn) {
        let name = "elsewhere";
        let commit_lsn = Lsn::ZERO;
        self.send(lsn, &Message::Origin { commit_lsn, name });
    }

    pub(super) fn whole(&mut self, id: usize, world: &World, commit: Commit) {
        let kept = world.kept(id);
        let Some(first) = kept.first() else {
            return;
        };
        let has_origin = world.origins.contains(&id);
        let begin = Message::Begin {
            final_lsn: commit.commit_lsn,
            commit_time: commit.commit_time,
            xid: xid(id),
        };
        self.send(if has_origin { Lsn::ZERO } else { first.lsn }, &begin);
        if has_origin {
            self.origin(first.lsn);
        }
        for item in kept {
            self.item(id, item, false);
        }
        self.send(commit.end_lsn, &Message::Commit(commit));
    }

    pub(super) fn stream(&mut self, id: usize, world: &World, items: &[(Item, bool)]) {
        let Some((first, _)) = items.first() else {
            return;
        };
        let is_first = self.streams.insert(id);
        let has_origin = is_first && world.origins.contains(&id);
        let start = Message::StreamStart {
            xid: xid(id),
            first: is_first,
        };
        self.send(if has_origin { Lsn::ZERO } else { first.lsn }, &start);
        if has_origin {
            self.origin(first.lsn);
        }
        for (item, _) in items {
            self.item(id, item, true);
        }
        self.send(Lsn::ZERO, &Message::StreamStop);
    }

    pub(super) fn abort(&mut self, id: usize, subxid: u32) {
        let whole = subxid == xid(id);
        for told in self.told.values_mut() {
            if whole {
                told.streams.remove(&id);
            }
        }
        let message = Message::StreamAbort {
            xid: xid(id),
            subxid,
            info: None,
        };
        self.send(Lsn::new(1), &message);
    }

    pub(super) fn stream_commit(&mut self, id: usize, commit: Commit) {
        self.streams.remove(&id);
        for told in self.told.values_mut() {
            told.sent |= told.streams.remove(&id);
        }
        let xid = xid(id);
        self.send(commit.end_lsn, &Message::StreamCommit { xid, commit });
    }

    pub(super) fn lone(&mut self, lsn: Lsn, len: usize) {
        let message = Message::Logical {
            xid: None,
            transactional: false,
            lsn,
            prefix: "lone",
            content: &TEXT[..len],
        };
        self.send(lsn, &message);
        let context = Context::new(Protocol::V1);
        assert!(Message::decode(&self.sent[self.sent.len() - 1].1, context).is_ok());
    }
}

/// The messages that describe a version of a table: of its type, and its own.
fn description(oid: u32, version: u32, xid: Option<u32>) -> [Vec<u8>; 2] {
    let type_oid = FIRST_TYPE + oid;
    let name = format!("mood{}", version / 2);
    let described_type = encoded(&Message::Type {
        xid,
        oid: type_oid,
        schema: "public",
        name: &name,
    });
    let column = |name| RelationColumn {
        key: false,
        name,
        type_oid,
        typmod: -1,
    };
    let names: Vec<_> = (0..version / 3 + 1).map(|at| format!("c{at}")).collect();
    let relation = encoded(&Message::Relation(RelationDescription {
        xid,
        oid,
        schema: "public",
        name: &format!("t{oid}v{version}"),
        identity: Identity::Default,
        columns: names.iter().map(|name| column(name.as_str())).collect(),
    }));
    [described_type, relation]
}

pub(super) fn described(oid: u32, version: u32) -> Described {
    let [described_type, relation] = description(oid, version, None);
    Described {
        oid,
        relation,
        types: vec![(FIRST_TYPE + oid, described_type)],
    }
}

pub(super) fn relations(described: &Vec<Described>) -> RelationSet {
    let mut set = RelationSet::default();
    for table in described {
        let types = table.types.iter().map(|(oid, message)| UpstreamType {
            oid: *oid,
            description: message.clone(),
            format_name: "mood".to_owned(),
        });
        set.relations.push(Relation {
            oid: table.oid,
            row_type_oid: 1,
            array_type_oid: 2,
            schema: "public".to_owned(),
            name: format!("t{}", table.oid),
            columns: Vec::new(),
            keys: Vec::new(),
            replica_identity: ReplicaIdentity::Default,
            declared: true,
            upstream: Some(Box::new(UpstreamTable {
                description: table.relation.clone(),
                types: types.collect(),
            })),
            since: Lsn::ZERO,
        });
    }
    set
}
