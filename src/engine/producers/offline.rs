//! The checkpoint of a database that is not open, for the tools.

use std::path::Path;
use std::sync::Arc;

use super::{Checkpoint, ReadCheckpoint};
use crate::disk::Disk;
use crate::engine::ProducerStoreError;
use crate::lsn::Lsn;

/// The position through which the checkpoint of the database in `dir` counts, zero without one: a
/// repaired head must not lie below.
pub fn producers_counted(disk: Arc<dyn Disk>, dir: &Path) -> Result<Lsn, ProducerStoreError> {
    Ok(ReadCheckpoint::read(disk, dir)?.through())
}

/// Whether the database in `dir` would open with its checkpoint of producers.
pub fn check_producers(
    disk: Arc<dyn Disk>,
    dir: &Path,
    removed_through: Lsn,
    imported_through: Lsn,
) -> Result<(), ProducerStoreError> {
    let read = ReadCheckpoint::read(disk, dir)?;
    read.reads_from(removed_through, imported_through)?;
    Ok(())
}

/// Makes the checkpoint of a repaired database one that it opens with: it says no more of what was
/// removed than it did before. True when it had to; then numbers of removed records may be unknown.
/// A damaged file must have been moved away.
pub fn repair_producers(
    disk: Arc<dyn Disk>,
    dir: &Path,
    removed_through: Lsn,
    imported_through: Lsn,
) -> Result<bool, ProducerStoreError> {
    let ReadCheckpoint {
        mut store,
        checkpoint,
    } = match ReadCheckpoint::read(disk, dir)? {
        sound if sound.reads_from(removed_through, imported_through).is_ok() => return Ok(false),
        behind => behind,
    };
    let repaired = Checkpoint {
        through: removed_through,
        producers: checkpoint.unwrap_or_default().producers,
    };
    store
        .write(&repaired)
        .map_err(|error| ProducerStoreError::Io {
            action: format!("write {}", store.path.display()),
            source: std::io::Error::other(error),
        })?;
    Ok(true)
}
