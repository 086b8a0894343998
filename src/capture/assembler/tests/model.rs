//! A PostgreSQL that runs random transactions and says what is to be stored of them.
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeSet, HashMap};

use super::dice::Dice;
use super::session::{Wal, described, relations};
use super::{Stored, messages};
use crate::lsn::Lsn;
use crate::pgoutput::{Commit, Message, Tuple, Value};
use crate::relations::RelationSet;

/// LSN of a header, and a message.
pub(super) type Sent = (Lsn, Vec<u8>);

const NUM_TABLES: u32 = 4;
const FIRST_TABLE: u32 = 16_400;

/// Tables and their versions.
pub(super) type Versions = HashMap<u32, u32>;

#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A row of this many bytes.
    Insert(u32, usize),
    Update(u32, usize),
    Delete(u32),
    Truncate(Vec<u32>),
    Message(usize),
}

/// A change, or a definition, which sends nothing by itself.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) lsn: Lsn,
    pub(super) subxid: u32,
    pub(super) change: Change,
    /// The versions of the tables when it was done.
    pub(super) versions: Versions,
}

#[derive(Debug, Clone)]
enum Event {
    Item(usize, Item),
    /// A subtransaction of a transaction was rolled back.
    Abort(usize, u32),
    /// All of it was.
    AbortAll(usize),
    Commit(usize, Commit),
    /// A message of no transaction.
    Lone(Lsn, usize),
}

/// What happened.
#[derive(Debug)]
pub(super) struct World {
    events: Vec<Event>,
    known: Versions,
    pub(super) origins: BTreeSet<usize>,
}

/// A transaction under way.
#[derive(Debug)]
struct Running {
    id: usize,
    subxid: u32,
    /// Subtransactions that are open, with the versions from before them.
    savepoints: Vec<(u32, Versions)>,
    has_message: bool,
    has_abort: bool,
}

pub(super) fn xid(id: usize) -> u32 {
    u32::try_from(id).unwrap() * 100 + 700
}

impl World {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let mut events = Vec::new();
        let mut versions: Versions = (0..NUM_TABLES).map(|at| (FIRST_TABLE + at, 1)).collect();
        let mut known = versions.clone();
        known.retain(|_, _| dice.chance(60));
        let mut origins = BTreeSet::new();
        let (mut running, mut next, mut lsn): (Vec<Running>, _, _) = (Vec::new(), 0, 1000);
        let most = 1 + dice.index(40);
        for _ in 0..most {
            lsn += 8 * (8 + dice.below(40));
            if running.is_empty() || running.len() < 4 && dice.chance(20) {
                if dice.chance(20) {
                    origins.insert(next);
                }
                running.push(Running {
                    id: next,
                    subxid: xid(next),
                    savepoints: Vec::new(),
                    has_message: false,
                    has_abort: false,
                });
                next += 1;
            }
            let at = dice.index(running.len());
            if dice.chance(5) {
                events.push(Event::Lone(Lsn::new(lsn), dice.index(300)));
            } else if dice.chance(15) {
                let ended = running.swap_remove(at);
                events.push(end(ended, Lsn::new(lsn), dice, &mut versions));
            } else {
                let sole = running.len() == 1;
                step(
                    &mut running[at],
                    sole,
                    Lsn::new(lsn),
                    dice,
                    &mut versions,
                    &mut events,
                );
            }
        }
        for ended in running {
            lsn += 100;
            events.push(end(ended, Lsn::new(lsn), dice, &mut versions));
        }
        Self {
            events,
            known,
            origins,
        }
    }

    fn committed(&self) -> Vec<(usize, Commit)> {
        let of = |event: &Event| match event {
            Event::Commit(id, commit) => Some((*id, *commit)),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    /// What of a transaction counts.
    pub(super) fn kept(&self, id: usize) -> Vec<&Item> {
        let aborted = self.events.iter().filter_map(|event| match event {
            Event::Abort(of, subxid) if *of == id => Some(*subxid),
            _ => None,
        });
        let aborted: BTreeSet<u32> = aborted.collect();
        let of = |event: &&Event| matches!(event, Event::Item(of, item) if *of == id && !aborted.contains(&item.subxid));
        let items = self.events.iter().filter(of);
        items
            .filter_map(|event| match event {
                Event::Item(_, item) => Some(item),
                _ => None,
            })
            .collect()
    }

    /// What is known before: some tables in their first version.
    pub(super) fn known(&self) -> RelationSet {
        relations(
            &self
                .known
                .iter()
                .map(|(oid, version)| described(*oid, *version))
                .collect(),
        )
    }

    /// What is known behind these.
    pub(super) fn known_after(&self, stored: &[Stored]) -> RelationSet {
        let mut all: Vec<_> = self
            .known
            .iter()
            .map(|(oid, version)| described(*oid, *version))
            .collect();
        for new in stored.iter().flat_map(|unit| &unit.described) {
            all.retain(|old| old.oid != new.oid);
            all.push(new.clone());
        }
        relations(&all)
    }

    /// How many ends of transactions and lone messages there are up to `head`.
    pub(super) fn num_ending_upto(&self, head: Lsn) -> usize {
        self.events
            .iter()
            .take_while(|event| match event {
                Event::Commit(_, commit) => commit.end_lsn <= head,
                Event::Lone(lsn, _) => *lsn <= head,
                _ => true,
            })
            .filter(|event| matches!(event, Event::Commit(..) | Event::Lone(..)))
            .count()
    }

    /// All from the `from`th end on, transactions whole.
    pub(super) fn whole(&self, from: usize) -> Vec<Sent> {
        let mut wal = Wal::default();
        let ends = |event: &&Event| matches!(event, Event::Commit(..) | Event::Lone(..));
        for event in self.events.iter().filter(ends).skip(from) {
            match event {
                Event::Commit(id, commit) => wal.whole(*id, self, *commit),
                Event::Lone(lsn, len) => wal.lone(*lsn, *len),
                _ => {}
            }
        }
        wal.sent
    }

    /// The same with random ones streamed.
    pub(super) fn streamed(&self, from: usize, dice: &mut Dice) -> Vec<Sent> {
        let mut wal = Wal::default();
        let mut ends = 0;
        let mut waiting: HashMap<usize, Vec<(Item, bool)>> = HashMap::new();
        let skipped: BTreeSet<usize> = self
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Commit(id, _) => Some(Some(*id)),
                Event::Lone(..) => Some(None),
                _ => None,
            })
            .take(from)
            .flatten()
            .collect();
        for event in &self.events {
            match event {
                Event::Item(id, item) if !skipped.contains(id) => {
                    waiting.entry(*id).or_default().push((item.clone(), true));
                    if dice.chance(25) {
                        wal.stream(*id, self, &waiting.remove(id).unwrap_or_default());
                    }
                }
                Event::Item(..) => {}
                Event::Abort(id, subxid) => {
                    let left = waiting.entry(*id).or_default();
                    left.retain(|(item, _)| item.subxid != *subxid);
                    if wal.streams.contains(id) && !skipped.contains(id) {
                        wal.abort(*id, *subxid);
                    }
                }
                Event::AbortAll(id) => {
                    waiting.remove(id);
                    if wal.streams.remove(id) {
                        wal.abort(*id, xid(*id));
                    }
                }
                Event::Commit(id, commit) => {
                    ends += 1;
                    if ends <= from {
                        continue;
                    }
                    let left = waiting.remove(id).unwrap_or_default();
                    if wal.streams.contains(id) {
                        if !left.is_empty() {
                            wal.stream(*id, self, &left);
                        }
                        wal.stream_commit(*id, *commit);
                    } else {
                        wal.whole(*id, self, *commit);
                    }
                }
                Event::Lone(lsn, len) => {
                    ends += 1;
                    if ends > from {
                        wal.lone(*lsn, *len);
                    }
                }
            }
        }
        wal.sent
    }

    /// What is stored is what was committed, in order; and with the definitions before it and in
    /// it, each change is read as its table was.
    pub(super) fn check(&self, stored: &[Stored]) {
        let mut known: HashMap<u32, Vec<u8>> = self
            .known
            .iter()
            .map(|(oid, version)| (*oid, described(*oid, *version).relation))
            .collect();
        let mut units = stored.iter();
        for event in &self.events {
            match event {
                Event::Commit(id, commit) => {
                    let kept = self.kept(*id);
                    if kept.is_empty() {
                        continue;
                    }
                    let unit = units.next().unwrap();
                    assert_eq!(unit.end, commit.end_lsn);
                    self.check_unit(*id, &kept, unit, &mut known);
                }
                Event::Lone(lsn, _) => {
                    let unit = units.next().unwrap();
                    assert_eq!(unit.end, *lsn);
                    assert_eq!(messages(unit, 2000).len(), 1);
                }
                _ => {}
            }
        }
        assert!(units.next().is_none());
    }

    fn check_unit(
        &self,
        id: usize,
        kept: &[&Item],
        unit: &Stored,
        known: &mut HashMap<u32, Vec<u8>>,
    ) {
        let all = messages(unit, 2000);
        let mut items = kept.iter();
        let (mut said, mut types) = (Vec::new(), 0);
        for (at, (lsn, message)) in all.iter().enumerate() {
            match message[0] {
                b'B' => {
                    assert_eq!(at, 0);
                    let first = if self.origins.contains(&id) {
                        Lsn::ZERO
                    } else {
                        kept[0].lsn
                    };
                    assert_eq!(*lsn, first);
                }
                b'O' => assert_eq!((at, *lsn), (1, kept[0].lsn)),
                b'C' => assert_eq!((at + 1, *lsn), (all.len(), unit.end)),
                b'Y' => types += 1,
                b'R' => {
                    assert_eq!((*lsn, types), (Lsn::ZERO, 1));
                    types = 0;
                    let oid = u32::from_be_bytes(message[1..5].try_into().unwrap());
                    said.push((oid, message.clone()));
                    known.insert(oid, message.clone());
                }
                _ => {
                    let item = items.next().unwrap();
                    assert_eq!(*lsn, item.lsn);
                    assert_eq!(*message, item.encode(None));
                    for oid in item.tables() {
                        let now = described(oid, item.versions[&oid]).relation;
                        assert_eq!(known.get(&oid), Some(&now), "{item:?}");
                    }
                }
            }
        }
        assert!(items.next().is_none());
        // The last of each table counts afterwards.
        said.reverse();
        for new in &unit.described {
            let last = said.iter().find(|(oid, _)| *oid == new.oid);
            assert_eq!(last.map(|(_, message)| message), Some(&new.relation));
        }
        let tables: BTreeSet<u32> = said.iter().map(|(oid, _)| *oid).collect();
        assert_eq!(unit.described.len(), tables.len());
    }

    /// Only transactions of which nothing is left are passed without a unit.
    pub(super) fn check_passed(&self, passed: &[Lsn]) {
        let committed = self.committed();
        for end in passed {
            let of = committed.iter().find(|(_, commit)| commit.end_lsn == *end);
            assert!(self.kept(of.unwrap().0).is_empty());
        }
    }
}

fn end(running: Running, lsn: Lsn, dice: &mut Dice, versions: &mut Versions) -> Event {
    if dice.chance(20) {
        if let Some((_, before)) = running.savepoints.first() {
            versions.clone_from(before);
        }
        return Event::AbortAll(running.id);
    }
    Event::Commit(
        running.id,
        Commit {
            commit_lsn: lsn,
            end_lsn: lsn.saturating_add(48),
            commit_time: 800_000_000_000_000,
        },
    )
}

/// Something that a transaction does.
fn step(
    running: &mut Running,
    is_alone: bool,
    lsn: Lsn,
    dice: &mut Dice,
    versions: &mut Versions,
    events: &mut Vec<Event>,
) {
    let (id, sub) = (
        running.id,
        running.savepoints.last().map(|(subxid, _)| *subxid),
    );
    match dice.below(10) {
        0 => {
            running.subxid += 1;
            running.savepoints.push((running.subxid, versions.clone()));
        }
        1 if !running.has_message => {
            if let Some((subxid, before)) = running.savepoints.pop() {
                events.push(Event::Abort(id, subxid));
                running.has_abort = true;
                // Definitions exclude each other.
                if is_alone {
                    *versions = before;
                }
            }
        }
        // A definition, when nobody else has the table: only in a savepoint or for good.
        2 if is_alone && sub.is_some() => {
            let table = FIRST_TABLE + u32::try_from(dice.index(4)).unwrap();
            *versions.entry(table).or_default() += 1;
        }
        _ => {
            let table = FIRST_TABLE + u32::try_from(dice.index(4)).unwrap();
            let change = match dice.below(12) {
                0 => Change::Delete(table),
                1 => Change::Truncate(vec![table, FIRST_TABLE]),
                2 if !running.has_abort => Change::Message(dice.index(900)),
                3 | 4 => Change::Update(table, dice.index(100)),
                5 => Change::Insert(table, dice.index(3000)),
                _ => Change::Insert(table, dice.index(50)),
            };
            running.has_message |= matches!(change, Change::Message(_));
            events.push(Event::Item(
                id,
                Item {
                    lsn,
                    subxid: sub.unwrap_or(xid(id)),
                    change,
                    versions: versions.clone(),
                },
            ));
        }
    }
}

impl Item {
    pub(super) fn tables(&self) -> Vec<u32> {
        match &self.change {
            Change::Insert(table, _) | Change::Update(table, _) | Change::Delete(table) => {
                vec![*table]
            }
            Change::Truncate(tables) => tables.clone(),
            Change::Message(_) => Vec::new(),
        }
    }

    pub(super) fn encode(&self, xid: Option<u32>) -> Vec<u8> {
        let row = |len: usize| Tuple(vec![Value::Text(&TEXT[..len]), Value::Null]);
        let message = match &self.change {
            Change::Insert(relation, len) => Message::Insert {
                xid,
                relation: *relation,
                new: row(*len),
            },
            Change::Update(relation, len) => Message::Update {
                xid,
                relation: *relation,
                old: None,
                new: row(*len),
            },
            Change::Delete(relation) => Message::Delete {
                xid,
                relation: *relation,
                old: crate::pgoutput::OldTuple::Key(row(1)),
            },
            Change::Truncate(tables) => Message::Truncate {
                xid,
                cascade: true,
                restart_identity: false,
                relations: tables.clone(),
            },
            Change::Message(len) => Message::Logical {
                xid,
                transactional: true,
                lsn: self.lsn,
                prefix: "p",
                content: &TEXT[..*len],
            },
        };
        encoded(&message)
    }
}

pub(super) static TEXT: [u8; 3000] = [b'x'; 3000];

pub(super) fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    out
}

pub(super) fn begin() -> Vec<u8> {
    encoded(&Message::Begin {
        final_lsn: Lsn::new(5000),
        commit_time: 0,
        xid: 5,
    })
}
