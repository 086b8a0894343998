//! Which numbers of which producers are stored, so that what is sent again is not stored again.
//!
//! A record's number is part of the record, so it becomes durable with it and not without it. In
//! memory stands the highest number that each producer handed to the spool's writer, and the
//! highest of which the writer has said that it is durable. On disk stands a checkpoint: what
//! counted up to a position. A start reads it and the records behind that position.

mod file;
mod offline;
mod table;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{PersistProducersError, ProducerStoreError};
use crate::change::{self, ProducerName};
use crate::disk::{self, Disk, ReplaceError};
use crate::lsn::Lsn;
use crate::spool::{FIRST_LSN, MemoryRead, Probe, Spool};
use file::Checkpoint;
use table::Table;

pub use offline::{check_producers, producers_counted, repair_producers};
pub use table::ProducerSnapshot;
pub(super) use table::{Numbering, Screen};

/// Name of a database's checkpoint of its producers.
pub const PRODUCERS_FILE: &str = "producers.json";

/// How far the checkpoint may stay behind the head: what a start has to read.
const MAX_BEHIND: u64 = 64 << 20;

/// How much is read at once at a start.
const READ_BYTES: usize = 1 << 20;

/// The producers of one database.
#[derive(Debug)]
pub(super) struct Producers {
    /// Held from the look at the numbers until they are in the writer's queue: two connections of
    /// one producer cannot both store a number, and the table's order is the spool's.
    order: Mutex<()>,
    table: Mutex<Table>,
    store: Mutex<Store>,
}

/// The checkpoint on disk.
#[derive(Debug)]
struct Store {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The position through which it counts; `None` when there is none.
    through: Option<Lsn>,
    failed: Option<PersistProducersError>,
}

/// A checkpoint that was read, before there is a spool to compare it with.
#[derive(Debug)]
pub(super) struct ReadCheckpoint {
    store: Store,
    checkpoint: Option<Checkpoint>,
}

impl ReadCheckpoint {
    /// Reads the checkpoint of the database in `dir`, if there is one.
    pub(super) fn read(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, ProducerStoreError> {
        let path = dir.join(PRODUCERS_FILE);
        let io = |source| ProducerStoreError::Io {
            action: format!("read {}", path.display()),
            source,
        };
        let mut checkpoint = None;
        if disk.exists(&path).map_err(io)? {
            let bytes = disk.read(&path).map_err(io)?;
            let decoded = file::decode(&bytes).map_err(|reason| corrupt(&path, reason))?;
            checkpoint = Some(decoded);
        }
        let store = Store {
            disk,
            path,
            through: checkpoint.as_ref().map(|checkpoint| checkpoint.through),
            failed: None,
        };
        Ok(Self { store, checkpoint })
    }

    /// The position through which it counts, zero when there is none: the spool reaches as far.
    pub(super) fn through(&self) -> Lsn {
        self.store.through.unwrap_or_default()
    }

    /// Where reading begins: behind the checkpoint, or without one at the first record that may
    /// have a number. An error when something behind that was removed and counted nowhere.
    fn reads_from(
        &self,
        removed_through: Lsn,
        imported_through: Lsn,
    ) -> Result<Lsn, ProducerStoreError> {
        // Nothing at or below this has a number.
        let numbers_above = FIRST_LSN.max(imported_through);
        match self.store.through {
            Some(through) if through < removed_through => {
                let reason = format!(
                    "it counts through {through}, but records up to {removed_through} are removed"
                );
                Err(corrupt(&self.store.path, reason))
            }
            Some(through) => Ok(through),
            None if removed_through > numbers_above => {
                let reason = format!(
                    "it is missing, and records up to {removed_through} are removed, so that it \
                     cannot be made again"
                );
                Err(corrupt(&self.store.path, reason))
            }
            None => Ok(removed_through.max(numbers_above)),
        }
    }

    /// What is known of the producers: the checkpoint and the records behind it. Blocking.
    pub(super) fn open(self, spool: &Spool) -> Result<Producers, ProducerStoreError> {
        let state = spool.state();
        let from = self.reads_from(state.removed_through, state.imported_through)?;
        let Self { store, checkpoint } = self;
        let mut table = Table::new(checkpoint.unwrap_or_default());
        read_behind(spool, from.min(state.head), &mut table)?;
        Ok(Producers {
            order: Mutex::default(),
            table: Mutex::new(table),
            store: Mutex::new(store),
        })
    }
}

impl Producers {
    /// The last number that a producer handed to the writer.
    pub(super) fn submitted(&self, producer: &ProducerName) -> Option<u64> {
        lock(&self.table).submitted(producer)
    }

    /// All producers, by name.
    pub(super) fn snapshot(&self) -> Vec<ProducerSnapshot> {
        let mut table = lock(&self.table);
        table.drain();
        table.snapshot()
    }

    /// Keeps others from handing numbers to the writer.
    pub(super) fn order(&self) -> OrderGuard<'_> {
        OrderGuard {
            producers: self,
            _order: lock(&self.order),
        }
    }

    /// Writes a checkpoint where what happened asks for one, at the latest when it does not count
    /// through `needed`. The manifest vouches for its position first. Blocking.
    pub(super) fn persist(&self, spool: &Spool, needed: Lsn) -> Result<Lsn, PersistProducersError> {
        let mut store = lock(&self.store);
        store.check()?;
        let head = spool.head();
        let checkpoint = {
            let _order = lock(&self.order);
            let mut table = lock(&self.table);
            table.drain();
            let through = store.through.unwrap_or_default();
            let behind = head.get().saturating_sub(through.get());
            let due = behind >= MAX_BEHIND || needed > through || table.is_changed();
            if !due {
                return Ok(through);
            }
            table.checkpoint(head)
        };
        let through = checkpoint.through;
        if let Err(error) = spool.persist_durable_point(through) {
            lock(&self.table).not_stored();
            return Err(PersistProducersError(error.to_string()));
        }
        let written = store.write(&checkpoint);
        if written.is_err() {
            lock(&self.table).not_stored();
        }
        written.map(|()| through)
    }
}

/// See [`Producers::order`].
pub(super) struct OrderGuard<'a> {
    producers: &'a Producers,
    _order: MutexGuard<'a, ()>,
}

impl OrderGuard<'_> {
    /// Begins to sort out repeated numbers.
    pub(super) fn screen(&self) -> Screen {
        Screen::default()
    }

    /// Whether a number came before, in the table or in `screen`; notes it there.
    pub(super) fn is_repeated(&self, screen: &mut Screen, numbered: &change::Numbered) -> bool {
        let submitted = || self.producers.submitted(&numbered.producer);
        screen.is_repeated(numbered, submitted)
    }

    /// Notes what was handed to the writer.
    pub(super) fn note(self, numberings: Vec<Numbering>, probe: Probe) {
        let mut table = lock(&self.producers.table);
        table.drain();
        table.note(numberings, probe);
    }
}

impl Store {
    fn check(&self) -> Result<(), PersistProducersError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Replaces the file. When nobody knows what a failure left on disk, it is never tried again.
    fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), PersistProducersError> {
        let bytes = file::encode(checkpoint).map_err(PersistProducersError)?;
        match disk::replace_file(&*self.disk, &self.path, &bytes) {
            Ok(()) => {
                self.through = Some(checkpoint.through);
                Ok(())
            }
            Err(ReplaceError::OldStands(reason)) => Err(PersistProducersError(reason.to_string())),
            Err(ReplaceError::Unknown(reason)) => {
                let error = PersistProducersError(reason.to_string());
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// Takes the numbers of the records after `from`.
fn read_behind(spool: &Spool, from: Lsn, table: &mut Table) -> Result<(), ProducerStoreError> {
    let mut cursor = spool.cursor(from)?;
    loop {
        let frames = match cursor.read_memory(READ_BYTES)? {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::AtHead => return Ok(()),
            MemoryRead::NeedsDisk => cursor.read_disk(READ_BYTES)?,
        };
        if frames.is_empty() {
            return Ok(());
        }
        for frame in frames {
            if let Some(numbered) = change::numbered(&frame.payload) {
                table.restore(numbered, frame.lsn);
            }
        }
    }
}

fn corrupt(path: &Path, reason: String) -> ProducerStoreError {
    ProducerStoreError::Corrupt {
        path: path.display().to_string(),
        reason,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
