//! The only hand that writes the slot file. After a failure that leaves it unknown what is on disk
//! it does nothing any more; while the old file is known to stand it goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::disk::{self, Disk, ReplaceError};

use super::file::{self, SlotFile, StoredSlot};
use super::{PersistError, SlotStoreError};

/// The only hand that writes the file.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    generation: u64,
    /// Set once nobody knows any more what is on disk.
    failed: Arc<OnceLock<PersistError>>,
}

impl Writer {
    /// Reads the file, and writes it back with a higher generation before anything relies on
    /// that.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
    ) -> Result<(Self, Vec<StoredSlot>), SlotStoreError> {
        let mut file = read(disk.as_ref(), path)?;
        file.generation = file.generation.saturating_add(1);
        let io = |source| SlotStoreError::Io {
            action: format!("write slot store {}", path.display()),
            source,
        };
        let bytes = file::encode(&file).map_err(|e| io(std::io::Error::other(e)))?;
        disk::replace_file(disk.as_ref(), path, &bytes).map_err(|e| io(e.into()))?;
        let writer = Self {
            disk,
            path: path.to_owned(),
            generation: file.generation,
            failed: Arc::default(),
        };
        Ok((writer, file.slots))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Where it is written that a write failed, to look at without the writer.
    pub(super) fn failed(&self) -> Arc<OnceLock<PersistError>> {
        Arc::clone(&self.failed)
    }

    /// Fails when nobody knows what an earlier write left.
    pub(super) fn check(&self) -> Result<(), PersistError> {
        match self.failed.get() {
            Some(failed) => Err(failed.clone()),
            None => Ok(()),
        }
    }

    /// Replaces the file; returns what is on disk now.
    pub(super) fn write(
        &mut self,
        image: Vec<StoredSlot>,
    ) -> Result<Vec<StoredSlot>, PersistError> {
        self.check()?;
        let file = SlotFile {
            generation: self.generation,
            slots: image,
        };
        let bytes = file::encode(&file).map_err(PersistError)?;
        match disk::replace_file(self.disk.as_ref(), &self.path, &bytes) {
            Ok(()) => Ok(file.slots),
            Err(ReplaceError::OldStands(reason)) => Err(PersistError(reason.to_string())),
            Err(ReplaceError::Unknown(reason)) => {
                let error = PersistError(reason.to_string());
                Err(self.failed.get_or_init(|| error).clone())
            }
        }
    }
}

/// What the file says; a missing one says nothing.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<SlotFile, SlotStoreError> {
    let io = |source| SlotStoreError::Io {
        action: format!("read slot store {}", path.display()),
        source,
    };
    if !disk.exists(path).map_err(io)? {
        return Ok(SlotFile::default());
    }
    let bytes = disk.read(path).map_err(io)?;
    file::decode(&bytes).map_err(|reason| SlotStoreError::Corrupt {
        path: path.display().to_string(),
        reason,
    })
}
