//! The second pass of an import: the database is built in `databases/.import-NAME`, closed
//! cleanly, and renamed into place.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::clock::Moment;
use crate::disk::{Disk, RealDisk};
use crate::engine::EngineOptions;
use crate::lsn::Lsn;
use crate::slots::{CreateError, ImportSlot, SLOTS_FILE, SlotStore, SlotStoreError};
use crate::spool::reddb_file::{RedDbFrame, RedDbReader};
use crate::spool::{AppendError, Draft, Drafts, End, FIRST_LSN, NewSpool, OpenError, Spool, Unit};

use super::super::data_dir::DataDir;
use super::super::offline::{Offline, OfflineError, has_spool, spool_options};
use super::source::{Source, term};
use super::{ImportError, scaled};

/// Payload bytes handed to the spool at a time.
const BATCH_BYTES: usize = 4 << 20;

/// Why the database could not be built.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum BuildError {
    #[error(transparent)]
    Offline(#[from] OfflineError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    SlotStore(#[from] SlotStoreError),
    #[error(transparent)]
    Slots(#[from] CreateError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file changed while it was read")]
    SourceChanged,
}

/// Refuses when the database exists and holds records or slots.
pub(super) fn check_vacant(data: &DataDir, name: &str) -> Result<(), ImportError> {
    let Ok(folder) = data.database(name) else {
        return Ok(());
    };
    let vacant = || -> Result<bool, BuildError> {
        if !has_spool(&folder) && !folder.join(SLOTS_FILE).exists() {
            return Ok(true);
        }
        let there = Offline::open(&folder)?;
        let state = there.spool.state();
        let untouched = state.head <= FIRST_LSN && state.imported_through == Lsn::ZERO;
        let vacant = untouched && state.oldest_lsn.is_none() && there.slots.is_empty();
        there.spool.close()?;
        Ok(vacant)
    };
    match vacant() {
        Ok(true) => Ok(()),
        Ok(false) => Err(ImportError::NotEmpty(name.to_owned())),
        Err(source) => Err(ImportError::Build {
            action: "look at the database that is there",
            source,
        }),
    }
}

/// Builds the database and puts it in its place.
pub(super) fn database(
    data: &DataDir,
    name: &str,
    source: &Source,
    plugin: &str,
    now: Moment,
) -> Result<(), ImportError> {
    let failed = |action| move |source| ImportError::Build { action, source };
    let folder = data.databases().join(format!(".import-{name}"));
    remove_folder(&folder).map_err(failed("remove what an interrupted import left"))?;
    fill_spool(&folder, source).map_err(failed("write the spool"))?;
    fill_slots(&folder, source, plugin, now).map_err(failed("write the slots"))?;
    put_in_place(data, name, &folder).map_err(failed("rename it into place"))
}

fn fill_spool(folder: &Path, source: &Source) -> Result<(), BuildError> {
    RealDisk.create_dir_all(folder)?;
    let new = NewSpool {
        system_id: 0,
        imported_through: scaled(source.frames.last_position).unwrap_or_default(),
        start: start(source),
    };
    let (spool, _) = Spool::open(Arc::new(RealDisk), folder, spool_options(Lsn::ZERO, new))?;
    let mut reader = RedDbReader::open(&RealDisk, &source.spool)?;
    let mut batch = Batch::default();
    let mut remaining = source.frames.num_frames;
    while remaining > 0 {
        let frame = reader.next_frame()?.ok_or(BuildError::SourceChanged)?;
        remaining -= 1;
        batch.push(frame)?;
        if batch.bytes >= BATCH_BYTES {
            batch.append_to(&spool)?;
        }
    }
    batch.append_to(&spool)?;
    if spool.state().term < source.frames.highest_term {
        spool.set_term(source.frames.highest_term)?;
    }
    if !source.slots.is_empty() {
        spool.persist_durable_point(spool.head())?;
    }
    Ok(spool.close()?)
}

/// What lies before the first record is not there.
fn start(source: &Source) -> Lsn {
    let before = source.frames.first_position.saturating_sub(1);
    scaled(before).unwrap_or_default()
}

/// Records on their way into the spool.
#[derive(Default)]
struct Batch {
    units: Vec<Unit>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, frame: RedDbFrame) -> Result<(), BuildError> {
        let lsn = scaled(frame.lsn.get()).ok_or(BuildError::SourceChanged)?;
        self.bytes += frame.payload.len();
        self.units.push(Unit {
            term: term(&frame),
            timestamp_ms: frame.timestamp_ms,
            end: End::Chosen(lsn),
            frames: Drafts::One(Draft {
                bytes: frame.payload,
                hole: None,
            }),
        });
        Ok(())
    }

    /// Makes what was collected durable.
    fn append_to(&mut self, spool: &Spool) -> Result<(), BuildError> {
        if !self.units.is_empty() {
            spool.append(std::mem::take(&mut self.units))?.wait()?;
            self.bytes = 0;
        }
        Ok(())
    }
}

fn fill_slots(folder: &Path, source: &Source, plugin: &str, now: Moment) -> Result<(), BuildError> {
    let store = SlotStore::open(Arc::new(RealDisk), &folder.join(SLOTS_FILE), now)?;
    let slots = source.slots.iter().map(|slot| ImportSlot {
        name: slot.name.clone(),
        plugin: plugin.to_owned(),
        restart_lsn: slot.restart_lsn,
        confirmed_lsn: slot.confirmed_lsn,
        last_seen_unix_ms: slot.last_seen_unix_ms,
        invalidation: slot.invalidation,
    });
    store.import(slots.collect(), &EngineOptions::default().limits, now)?;
    Ok(())
}

/// The one step that makes the import visible. A vacant database of that name makes way first: it
/// held nothing, so a crash between the two renames loses nothing.
fn put_in_place(data: &DataDir, name: &str, built: &Path) -> Result<(), BuildError> {
    let databases = data.databases();
    let place = databases.join(name);
    let aside = databases.join(format!(".vacant-{name}"));
    remove_folder(&aside)?;
    if place.is_dir() {
        RealDisk.rename(&place, &aside)?;
    }
    RealDisk.rename(built, &place)?;
    RealDisk.sync_dir(&databases)?;
    remove_folder(&aside)
}

/// Removes a folder of unfinished work, if there is one. Not through [`Disk`]: nothing that a
/// database owns is ever removed like this.
fn remove_folder(folder: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
