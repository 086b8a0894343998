//! What is known of the upstream's tables.
//!
//! Two things are kept apart. What is *stored*: the definition that a reader of the spool has for
//! a table at this place. And what was *sent*: the last description that the upstream sent in this
//! session and that it takes for granted from now on. They differ where a description was sent and
//! not stored, so before the first change that needs it what was sent is stored:
//!
//! - The description came with the change of a subtransaction that was rolled back. The upstream
//!   does not say it again, since its subscribers keep descriptions whatever becomes of the change.
//! - It came in a unit that had been received before (its end is not above `since`). That unit was
//!   stored with whatever descriptions it needed then, and the definitions at `since`, from which
//!   we start, are those behind all of these units. So what it says does not touch what is stored;
//!   it only says what the upstream will not repeat.
//! - A streamed transaction stored an older description, which it began with, after a newer one
//!   was sent elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use super::Described;
use crate::datum::{self, PgType};
use crate::lsn::Lsn;
use crate::pgoutput::{Context, DecodeError, Message, Protocol};
use crate::relations::RelationSet;

/// A table as it was described.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// Its Relation message.
    pub(super) relation: Vec<u8>,
    /// The Type messages of its columns: OID and message.
    pub(super) types: Vec<(u32, Vec<u8>)>,
}

/// Type messages by OID.
pub(super) type Types = HashMap<u32, Vec<u8>>;

/// A description, and the how manyth of the session it was.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) serial: u64,
    pub(super) table: Arc<Table>,
}

/// Descriptions that a transaction stored, in order.
pub(super) type Said = Vec<Arc<Table>>;

#[derive(Debug, Default)]
pub(super) struct Known {
    stored: HashMap<u32, Arc<Table>>,
    sent: HashMap<u32, Sent>,
    types: Types,
    /// Descriptions sent so far.
    num_sent: u64,
    /// Units that end here or below had been received before.
    since: Lsn,
}

impl Known {
    /// What `relations` says, which is what counts behind `since`.
    pub(super) fn new(relations: &RelationSet, since: Lsn) -> Self {
        let mut known = Self {
            since,
            ..Self::default()
        };
        for relation in &relations.relations {
            let Some(upstream) = &relation.upstream else {
                continue;
            };
            let types = upstream.types.iter();
            let types: Vec<_> = types
                .filter(|described| !is_ours(described.oid))
                .map(|described| (described.oid, described.description.clone()))
                .collect();
            known.types.extend(types.iter().cloned());
            let table = Table {
                oid: relation.oid,
                relation: upstream.description.clone(),
                types,
            };
            known.stored.insert(relation.oid, Arc::new(table));
        }
        known
    }

    /// The number of the next description.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.num_sent += 1;
        self.num_sent
    }

    /// The table that a Relation message describes, with the Type messages before it.
    pub(super) fn read(&self, message: &[u8], types: &Types) -> Result<Arc<Table>, DecodeError> {
        let mut table = Table {
            oid: 0,
            relation: message.to_vec(),
            types: Vec::new(),
        };
        let whole = Context::new(Protocol::V1);
        if let Message::Relation(relation) = Message::decode(message, whole)? {
            table.oid = relation.oid;
            for oid in relation.columns.iter().map(|column| column.type_oid) {
                if table.types.iter().any(|(known, _)| *known == oid) || is_ours(oid) {
                    continue;
                }
                if let Some(message) = types.get(&oid).or_else(|| self.types.get(&oid)) {
                    table.types.push((oid, message.clone()));
                }
            }
        }
        Ok(Arc::new(table))
    }

    /// The upstream takes a description for granted from now on, but where a later one was sent.
    pub(super) fn note_sent(&mut self, sent: Sent) {
        let is_older = |known: &Sent| known.serial > sent.serial;
        if !self.sent.get(&sent.table.oid).is_some_and(is_older) {
            self.sent.insert(sent.table.oid, sent);
        }
    }

    /// The description that the upstream takes for granted.
    pub(super) fn sent(&self, oid: u32) -> Option<&Arc<Table>> {
        self.sent.get(&oid).map(|sent| &sent.table)
    }

    /// Whether `table` is what a reader has at this place of the transaction that `said`.
    pub(super) fn is_stored(&self, table: &Table, said: &Said) -> bool {
        let mine = said.iter().rev().find(|known| known.oid == table.oid);
        let stored = mine.or_else(|| self.stored.get(&table.oid));
        stored.is_some_and(|stored| **stored == *table)
    }

    /// What a transaction that ends at `end` described counts from now on.
    pub(super) fn store(&mut self, said: Said, end: Lsn) -> Vec<Described> {
        if end <= self.since {
            return Vec::new();
        }
        let mut described: Vec<Described> = Vec::new();
        for table in said {
            let new = Described {
                oid: table.oid,
                relation: table.relation.clone(),
                types: table.types.clone(),
            };
            match described.iter_mut().find(|known| known.oid == table.oid) {
                Some(known) => *known = new,
                None => described.push(new),
            }
            self.types.extend(table.types.iter().cloned());
            self.stored.insert(table.oid, table);
        }
        described
    }
}

/// Whether a type is one that needs no description.
pub(super) fn is_ours(oid: u32) -> bool {
    datum::info(PgType(oid)).is_some()
}
