//! What describes a table to a subscriber, kept until it is another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;

use crate::datum::PgType;
use crate::pgoutput::{self, Identity, Message, RelationDescription};
use crate::plugins::RenderFault;
use crate::relations::{Relation, RelationColumn, RelationSet, ReplicaIdentity, UpstreamTable};
use crate::rows::{CapturedError, relation_message};

/// The schema whose name PostgreSQL leaves away.
const PG_CATALOG: &str = "pg_catalog";

/// Descriptions of the tables that a stream shows.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    binary: bool,
    /// What is known of tables was looked at under these definitions.
    set: Option<Arc<RelationSet>>,
    known: BTreeMap<u32, Described>,
}

/// A table as it is sent.
#[derive(Debug)]
pub(super) struct Described {
    /// Its OID.
    pub(super) oid: u32,
    /// Those columns that are sent: their places among the table's, and how their values go out.
    pub(super) columns: Vec<Sent>,
    messages: Arc<[Bytes]>,
    /// It is so under the definitions that count.
    is_checked: bool,
}

/// A column that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Its place among the columns of the table that are not dropped.
    pub(super) place: usize,
    /// Its type, where values of it go out in binary form if they have one.
    pub(super) binary: Option<PgType>,
}

impl Descriptions {
    pub(super) fn new(binary: bool) -> Self {
        Self {
            binary,
            ..Self::default()
        }
    }

    /// What describes `table`, of which `columns` are published. These depend on nothing but the
    /// definitions `set`.
    pub(super) fn of(
        &mut self,
        set: &Arc<RelationSet>,
        table: &Relation,
        columns: &[usize],
    ) -> Result<&Described, RenderFault> {
        let same = self
            .set
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, set));
        if !same {
            self.set = Some(Arc::clone(set));
            self.known.retain(|oid, described| {
                described.is_checked = false;
                set.relation_by_oid(*oid).is_some()
            });
        }
        match self.known.entry(table.oid) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                if !known.is_checked {
                    *known = Described::new(table, columns, self.binary, Some(&known.messages))?;
                }
                Ok(known)
            }
            Entry::Vacant(place) => {
                Ok(place.insert(Described::new(table, columns, self.binary, None)?))
            }
        }
    }

    /// The same, if it was asked for under these definitions.
    pub(super) fn known(&self, set: &Arc<RelationSet>, oid: u32) -> Option<&Described> {
        self.set.as_ref().filter(|known| Arc::ptr_eq(known, set))?;
        self.known.get(&oid).filter(|known| known.is_checked)
    }
}

impl Described {
    /// `table` and its published columns; the messages that were `sent` stay when they say the
    /// same.
    fn new(
        table: &Relation,
        columns: &[usize],
        is_binary: bool,
        sent: Option<&Arc<[Bytes]>>,
    ) -> Result<Self, RenderFault> {
        let (columns, messages) = match &table.upstream {
            Some(upstream) => of_upstream(table, upstream, columns)?,
            None => {
                let mut message = Vec::new();
                Message::Relation(description(table, columns)).encode(&mut message)?;
                (columns.to_vec(), vec![Bytes::from(message)])
            }
        };
        let messages = match sent {
            Some(sent) if **sent == *messages => Arc::clone(sent),
            Some(_) | None => messages.into(),
        };
        let live: Vec<&RelationColumn> = table.live_columns().collect();
        let binary = |place: usize| {
            let column = live.get(place).filter(|_| is_binary)?;
            column.upstream_type.is_none().then_some(column.column_type)
        };
        let column = |place: usize| Sent {
            place,
            binary: binary(place),
        };
        Ok(Self {
            oid: table.oid,
            columns: columns.into_iter().map(column).collect(),
            messages,
            is_checked: true,
        })
    }

    /// A Type message for each type that is none of PostgreSQL's own, and a Relation message.
    pub(super) const fn messages(&self) -> &Arc<[Bytes]> {
        &self.messages
    }
}

/// Those of the published columns of `table` that its upstream sends, in its order, and what it says
/// of them.
fn of_upstream(
    table: &Relation,
    upstream: &UpstreamTable,
    published: &[usize],
) -> Result<(Vec<usize>, Vec<Bytes>), RenderFault> {
    let mut message = relation_message(&upstream.description).map_err(CapturedError::from)?;
    let num_sent = message.columns.len();
    let mut places = Vec::with_capacity(num_sent);
    message.columns.retain(|sent| {
        let mut live = table.live_columns();
        let place = live.position(|column| column.name == sent.name);
        let place = place.filter(|place| published.contains(place));
        places.extend(place);
        place.is_some()
    });
    let is_used = |oid: u32| message.columns.iter().any(|sent| sent.type_oid == oid);
    let types = upstream.types.iter().filter(|of| is_used(of.oid));
    let mut messages: Vec<Bytes> = types
        .map(|of| Bytes::copy_from_slice(&of.description))
        .collect();
    if message.columns.len() == num_sent {
        messages.push(Bytes::copy_from_slice(&upstream.description));
    } else {
        let mut reduced = Vec::new();
        Message::Relation(message).encode(&mut reduced)?;
        messages.push(reduced.into());
    }
    Ok((places, messages))
}

/// A table of ours. Types have no messages of their own: all that columns can have are built in.
fn description<'a>(table: &'a Relation, columns: &[usize]) -> RelationDescription<'a> {
    let key = table.identity_columns().unwrap_or_default();
    let is_full = table.replica_identity == ReplicaIdentity::Full;
    let columns = table
        .live_columns()
        .enumerate()
        .filter(|(place, _)| columns.contains(place))
        .map(|(_, column)| pgoutput::RelationColumn {
            key: is_full || key.contains(&column.attnum),
            name: &column.name,
            type_oid: column.column_type.0,
            typmod: column.typmod,
        });
    RelationDescription {
        xid: None,
        oid: table.oid,
        schema: if table.schema == PG_CATALOG {
            ""
        } else {
            &table.schema
        },
        name: &table.name,
        identity: match table.replica_identity {
            ReplicaIdentity::Default => Identity::Default,
            ReplicaIdentity::Full => Identity::Full,
            ReplicaIdentity::Nothing => Identity::Nothing,
            ReplicaIdentity::Index(_) => Identity::Index,
        },
        columns: columns.collect(),
    }
}
