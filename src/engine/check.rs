//! Whether records that are about to be stored are rows of their tables.
//!
//! A record is checked when it is pushed, under the definitions that are there then, and again
//! when it is queued if those of its table changed in between: from that second look until it is
//! queued nobody can define. Collections that nobody declared take any record and cost a
//! comparison of their name with the one before.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::PublishError;
use super::define::{Collections, name};
use super::producers::Producers;
use crate::change::Fields;
use crate::lsn::Lsn;
use crate::relations::{Command, DefineError, RelationSet, RelationStore};
use crate::rows::{RecordReader, RowError};

/// Keeps the definitions as they are while records that were checked under them are queued.
#[derive(Debug, Default)]
pub(super) struct Definitions(RwLock<()>);

impl Definitions {
    /// Nobody defines while this is held.
    pub(super) fn keep(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody queues records while this is held.
    pub(super) fn change(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that is encoded but for its LSN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a> {
    /// The JSON without the digits of `lsn`.
    pub(super) json: &'a [u8],
    /// Where they go.
    pub(super) lsn_at: usize,
}

/// Checks the records of a batch or block.
pub(super) struct RowCheck {
    relations: RelationStore,
    producers: Arc<Producers>,
    /// Definitions of the block that are not made yet.
    pending: Vec<Command>,
    /// What the records are checked under.
    set: Arc<RelationSet>,
    /// Records were checked under an earlier set, too.
    mixed: bool,
    /// The collection of the last record, a string of JSON, and whether it is a declared table.
    last: Vec<u8>,
    last_declared: bool,
    /// The same of the collections before.
    declared: HashMap<Box<[u8]>, bool>,
    reader: RecordReader,
    whole: Vec<u8>,
}

impl fmt::Debug for RowCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCheck").finish_non_exhaustive()
    }
}

impl RowCheck {
    pub(super) fn new(relations: RelationStore, producers: Arc<Producers>) -> Self {
        Self {
            set: relations.current(),
            relations,
            producers,
            pending: Vec::new(),
            mixed: false,
            last: Vec::new(),
            last_declared: false,
            declared: HashMap::new(),
            reader: RecordReader::default(),
            whole: Vec::new(),
        }
    }

    /// Looks at records from now on as they will be behind these definitions.
    pub(super) fn expect(&mut self, definitions: &[Command]) -> Result<(), DefineError> {
        self.pending = definitions.to_vec();
        let seen = self.seen()?;
        self.use_set(seen);
        Ok(())
    }

    /// Checks a record; `collection` is the name of its collection as a string of JSON.
    pub(super) fn record(
        &mut self,
        collection: &[u8],
        record: Encoded<'_>,
    ) -> Result<(), PublishError> {
        if !self.is_declared(collection) {
            return Ok(());
        }
        let Err(error) = self.row(record) else {
            return Ok(());
        };
        // Somebody may have made it a row of its table meanwhile.
        let seen = self.seen()?;
        if seen == self.set {
            return Err(PublishError::row(error));
        }
        self.use_set(seen);
        self.row(record).map_err(PublishError::row)
    }

    /// Whether records of `collections` that were checked are rows of their tables under `set`,
    /// too, without a second look.
    pub(super) fn holds_under(&self, set: &Arc<RelationSet>, collections: &Collections) -> bool {
        let same = |name: &str| match set.relation_of_collection(name) {
            Some(table) if table.declared => {
                !self.mixed && self.set.relation_of_collection(name) == Some(table)
            }
            Some(_) | None => true,
        };
        (Arc::ptr_eq(set, &self.set) && !self.mixed)
            || collections.names().iter().all(|name| same(name))
    }

    /// Takes the set under which all records are looked at again.
    pub(super) fn start_again(&mut self, set: Arc<RelationSet>) {
        self.use_set(set);
        self.mixed = false;
    }

    /// Looks at a record again, or at one whose collection is known to be declared.
    pub(super) fn row(&mut self, record: Encoded<'_>) -> Result<(), RowError> {
        let (before, behind) = record
            .json
            .split_at_checked(record.lsn_at)
            .unwrap_or((record.json, b""));
        self.whole.clear();
        self.whole.extend_from_slice(before);
        self.whole.push(b'0');
        self.whole.extend_from_slice(behind);
        // What is no record is no row either, and nobody takes it for one.
        let Ok(fields) = Fields::decode(&self.whole) else {
            return Ok(());
        };
        let read = self.reader.check(&fields, &self.set);
        match &fields.numbered {
            // It is left out, so it need not be a row any more.
            Some(numbered)
                if read.is_err()
                    && self.producers.submitted(&numbered.producer) >= Some(numbered.seq) =>
            {
                Ok(())
            }
            Some(_) | None => read,
        }
    }

    /// The definitions that a record pushed now would be stored under.
    fn seen(&self) -> Result<Arc<RelationSet>, DefineError> {
        if self.pending.is_empty() {
            return Ok(self.relations.current());
        }
        self.relations.after_all(&self.pending).map(Arc::new)
    }

    fn use_set(&mut self, set: Arc<RelationSet>) {
        self.set = set;
        self.mixed = true;
        self.declared.clear();
        self.last.clear();
    }

    fn is_declared(&mut self, collection: &[u8]) -> bool {
        if self.last == collection {
            return self.last_declared;
        }
        let known = self.declared.get(collection).copied();
        let declared = known.unwrap_or_else(|| {
            let name = name(collection);
            let table = name.and_then(|name| self.set.relation_of_collection(&name));
            let declared = table.is_some_and(|table| table.declared);
            self.declared.insert(collection.into(), declared);
            declared
        });
        self.last.clear();
        self.last.extend_from_slice(collection);
        self.last_declared = declared;
        declared
    }
}

impl PublishError {
    pub(super) fn row(error: RowError) -> Self {
        debug_assert_eq!(error.lsn, Lsn::ZERO);
        Self::Row(Box::new(error))
    }
}
