//! Whether records that are about to be stored are rows of their tables, and say which row they
//! change where a publication must tell.
//!
//! A record is checked when it is pushed, under the definitions that are there then, and again
//! when it is queued if those of its table changed in between: from that second look until it is
//! queued nobody can define. A block, which may be large, is first looked at while others publish
//! and define; the look that keeps them out is only for what they defined meanwhile. Collections that nobody declared take any record and cost a
//! comparison of their name with the one before.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::PublishError;
use super::define::{Collections, name};
use super::producers::Producers;
use crate::change::{Fields, Operation};
use crate::lsn::Lsn;
use crate::publications::{IdentityError, RowOperation, check_publishable};
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

/// Why a record is not taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unfit {
    /// It is no row of its table.
    Row(RowError),
    /// Its table is published and has nothing that says which row it changes.
    Identity(IdentityError),
}

impl From<RowError> for Unfit {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
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
            return Err(error.into());
        }
        self.use_set(seen);
        Ok(self.row(record)?)
    }

    /// Whether records of `collections` that were checked are rows of their tables under `set`,
    /// too, without a second look.
    pub(super) fn holds_under(&self, set: &Arc<RelationSet>, collections: &Collections) -> bool {
        let same = |name: &str| match set.relation_of_collection(name) {
            Some(table) if table.declared => {
                !self.mixed
                    && self.set.relation_of_collection(name) == Some(table)
                    && self.set.publications == set.publications
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
    pub(super) fn row(&mut self, record: Encoded<'_>) -> Result<(), Unfit> {
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
        let read = self.reader.check(&fields, &self.set).map_err(Unfit::from);
        let read = read.and_then(|()| self.changes_known_row(&fields));
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

    /// Refuses a change of a row that subscribers could not find.
    fn changes_known_row(&self, fields: &Fields<'_>) -> Result<(), Unfit> {
        let operation = match fields.operation {
            Operation::Update => RowOperation::Update,
            Operation::Delete => RowOperation::Delete,
            Operation::Insert | Operation::Refresh | Operation::Truncate | Operation::Message => {
                return Ok(());
            }
        };
        match self.set.relation_of_collection(&fields.collection) {
            Some(table) if table.declared => {
                check_publishable(&self.set, table, operation).map_err(Unfit::Identity)
            }
            Some(_) | None => Ok(()),
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

impl From<Unfit> for PublishError {
    fn from(error: Unfit) -> Self {
        match error {
            Unfit::Row(error) => {
                debug_assert_eq!(error.lsn, Lsn::ZERO);
                Self::Row(Box::new(error))
            }
            Unfit::Identity(error) => Self::Identity(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::change::{ChangeRecord, PayloadRef};
    use crate::clock::Moment;
    use crate::datum::PgType;
    use crate::disk::RealDisk;
    use crate::engine::{Engine, EngineOptions};
    use crate::relations::{CreateTable, NewColumn, TableAction, TableName};

    fn column(name: &str, not_null: bool) -> NewColumn {
        NewColumn {
            name: name.to_owned(),
            column_type: PgType::INT4,
            typmod: -1,
            not_null,
        }
    }

    fn table() -> TableName {
        TableName {
            schema: None,
            name: "t".to_owned(),
            position: 1,
        }
    }

    fn alter(action: TableAction) -> Command {
        Command::AlterTable {
            table: table(),
            if_exists: false,
            actions: vec![action],
        }
    }

    fn add(not_null: bool) -> Command {
        alter(TableAction::AddColumn {
            column: column("b", not_null),
            keys: vec![],
            if_not_exists: false,
        })
    }

    fn drop_column() -> Command {
        alter(TableAction::DropColumn {
            name: "b".to_owned(),
            if_exists: false,
            cascade: false,
        })
    }

    /// An engine with the table `t (a int)`.
    fn engine() -> (tempfile::TempDir, Engine) {
        let dir = tempfile::tempdir().unwrap();
        let (options, now) = (EngineOptions::default(), Moment::now());
        let engine = Engine::open(Arc::new(RealDisk), dir.path(), "main", options, now).unwrap();
        let create = Command::CreateTable(CreateTable {
            table: table(),
            if_not_exists: false,
            columns: vec![column("a", false)],
            keys: vec![],
        });
        engine.define(&create).unwrap();
        (dir, engine)
    }

    fn record(document: &str) -> ChangeRecord {
        ChangeRecord::insert("t", 1).with_entity(document)
    }

    #[test]
    fn a_record_that_a_definition_made_unfit_before_it_was_queued_is_refused() {
        let (_dir, engine) = engine();
        let mut batch = engine.batch(Moment::now());
        batch.push(&record(r#"{"a":1}"#)).unwrap();
        batch.push(&ChangeRecord::insert("free", 1)).unwrap();
        engine.define(&add(true)).unwrap();
        let refused = engine.submit(batch).err().unwrap();
        let words = "null value in column \"b\" of relation \"t\" violates not-null constraint";
        assert_eq!(refused.to_string(), words);
        assert_eq!(engine.head(), Lsn::ZERO);
        // And one that it made fit is taken by a batch that is older.
        let mut batch = engine.batch(Moment::now());
        engine.define(&drop_column()).unwrap();
        engine.define(&add(false)).unwrap();
        batch.push(&record(r#"{"b":1}"#)).unwrap();
        engine.publish(batch).unwrap();
    }

    #[test]
    fn whoever_defines_while_others_publish_every_record_is_a_row_of_its_table() {
        let (_dir, engine) = engine();
        let done = AtomicBool::new(false);
        let publish = |document: &str, in_block: bool| {
            let (mut taken, mut refused) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let now = Moment::now();
                let record = record(document);
                let queued = if in_block {
                    let mut block = engine.begin();
                    let pushed = block.push(&record, now);
                    pushed.and_then(|()| engine.commit(block, now)).map(drop)
                } else {
                    let mut batch = engine.batch(now);
                    let pushed = batch.push(&record);
                    pushed.and_then(|()| engine.submit(batch)).map(drop)
                };
                match queued {
                    Ok(()) => taken += 1,
                    Err(PublishError::Row(_)) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            (taken, refused)
        };
        std::thread::scope(|scope| {
            let publishers = [
                scope.spawn(|| publish(r#"{"a":1}"#, false)),
                scope.spawn(|| publish(r#"{"a":1,"b":2}"#, true)),
            ];
            for _ in 0..30 {
                engine.define(&add(true)).unwrap();
                engine.define(&drop_column()).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            for publisher in publishers {
                let (taken, _) = publisher.join().unwrap();
                assert!(taken > 0);
            }
        });
        engine
            .submit(engine_batch(&engine))
            .unwrap()
            .wait()
            .unwrap();
        let mut cursor = engine.spool.cursor(Lsn::ZERO).unwrap();
        let mut reader = RecordReader::default();
        let mut num_records = 0;
        loop {
            let frames = cursor.read_disk(1 << 20).unwrap();
            if frames.is_empty() {
                break;
            }
            for frame in frames {
                let PayloadRef::Whole(json) = PayloadRef::of(&frame.payload) else {
                    panic!("not a whole transaction");
                };
                let fields = Fields::decode(json).unwrap();
                let set = engine.relations().at(frame.lsn);
                reader.check(&fields, &set).unwrap();
                num_records += 1;
            }
        }
        assert!(num_records > 2);
    }

    fn engine_batch(engine: &Engine) -> crate::engine::Batch {
        let mut batch = engine.batch(Moment::now());
        batch.push(&record(r#"{"a":1}"#)).unwrap();
        batch
    }
}
