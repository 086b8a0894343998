//! `pgspool export`: a database as a RedDB spool and its slots.
//!
//! Frames are read as a subscriber gets them. Positions that came from an import are divided
//! again, so that an import and an export give the same bytes; later ones stay as they are, as do
//! all payloads. Files that exist are not written over; an export that fails leaves none.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::disk::{self, Disk, RealDisk};
use crate::lsn::Lsn;
use crate::slots::SlotSnapshot;
use crate::slots::reddb::{self, RedSlot};
use crate::spool::reddb_file::{RedDbNames, RedDbWriter};
use crate::spool::{AppendError, Frame, MIN_LSN_STEP, ReadError, Spool};

use super::ExportArgs;
use super::data_dir::{DataDir, DataDirError};
use super::offline::{Offline, OfflineError};

/// Bytes read from the spool at a time.
const READ_BYTES: usize = 4 << 20;

/// Why an export was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Open(#[from] OfflineError),
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the transaction at {0} has several records, which RedDB's file cannot hold")]
    SeveralRecords(Lsn),
    #[error(transparent)]
    Close(#[from] AppendError),
}

/// Runs the command.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, ExportError> {
    let data = DataDir::open(&args.data.dir)?;
    let folder = data.database(&args.database)?;
    let names = RedDbNames::of(&args.reddb);
    for path in [&names.spool, &names.slots] {
        if path.exists() {
            return Err(ExportError::Exists(path.clone()));
        }
    }
    let database = Offline::open(&folder)?;
    let scale = Scale {
        imported_through: database.spool.state().imported_through,
    };
    let spool_failed = |source| ExportError::Write {
        path: names.spool.clone(),
        source,
    };
    let mut writer = RedDbWriter::create(&RealDisk, &names.spool).map_err(spool_failed)?;
    let num_frames = write_spool(&mut writer, &names.spool, &database.spool, scale)?;
    database.spool.close()?;
    // An export is complete when its spool has its name, so that comes last.
    write_slots(&names.slots, &database.slots, scale)?;
    if let Err(source) = writer.finish() {
        // Best effort: slots alone are no export, and would keep the next one from being made.
        let _ = RealDisk.remove(&names.slots);
        return Err(spool_failed(source));
    }
    println!(
        "exported {num_frames} records and {} slots to {}",
        database.slots.len(),
        names.spool.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// The way back from our positions to RedDB's.
#[derive(Debug, Clone, Copy)]
struct Scale {
    imported_through: Lsn,
}

impl Scale {
    fn position(self, lsn: Lsn) -> u64 {
        if lsn <= self.imported_through {
            lsn.get() / MIN_LSN_STEP
        } else {
            lsn.get()
        }
    }
}

fn write_spool(
    writer: &mut RedDbWriter<'_>,
    path: &Path,
    spool: &Spool,
    scale: Scale,
) -> Result<u64, ExportError> {
    let failed = |source| ExportError::Write {
        path: path.to_owned(),
        source,
    };
    let mut cursor = spool.cursor(spool.state().removed_through)?;
    let mut num_frames = 0;
    loop {
        let frames = cursor.read_disk(READ_BYTES)?;
        if frames.is_empty() {
            break;
        }
        for frame in &frames {
            check_whole(frame)?;
            let lsn = Lsn::new(scale.position(frame.lsn));
            writer
                .push(frame.term, lsn, frame.timestamp_ms, &frame.payload)
                .map_err(failed)?;
            num_frames += 1;
        }
    }
    Ok(num_frames)
}

/// RedDB's frames are a transaction each.
fn check_whole(frame: &Frame) -> Result<(), ExportError> {
    if frame.boundary.first && frame.boundary.last {
        Ok(())
    } else {
        Err(ExportError::SeveralRecords(frame.lsn))
    }
}

fn write_slots(path: &Path, slots: &[SlotSnapshot], scale: Scale) -> Result<(), ExportError> {
    let red: Vec<RedSlot> = slots.iter().map(|slot| red_slot(slot, scale)).collect();
    let written = reddb::encode(&red)
        .map_err(io::Error::other)
        .and_then(|bytes| Ok(disk::replace_file(&RealDisk, path, &bytes)?));
    written.map_err(|source| ExportError::Write {
        path: path.to_owned(),
        source,
    })
}

fn red_slot(slot: &SlotSnapshot, scale: Scale) -> RedSlot {
    RedSlot {
        id: slot.name.to_string(),
        restart_lsn: scale.position(slot.restart_lsn),
        confirmed_lsn: scale.position(slot.confirmed_lsn),
        last_seen_at_unix_ms: slot.last_seen_unix_ms,
        invalidation_reason: slot.invalidation.map(|invalidation| invalidation.cause),
        invalidated_at_unix_ms: slot
            .invalidation
            .map(|invalidation| invalidation.at_unix_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_imported_positions_are_divided() {
        let scale = Scale {
            imported_through: Lsn::new(600 * 64),
        };
        assert_eq!(scale.position(Lsn::new(400 * 64)), 400);
        assert_eq!(scale.position(Lsn::new(600 * 64)), 600);
        assert_eq!(scale.position(Lsn::new(0x100_0048)), 0x100_0048);
        // Everything up to there is confirmed, so rounding down repeats rather than skips.
        assert_eq!(scale.position(Lsn::new(400 * 64 + 63)), 400);
        let native = Scale {
            imported_through: Lsn::ZERO,
        };
        assert_eq!(native.position(Lsn::new(640)), 640);
    }
}
