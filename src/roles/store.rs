//! The store: one writer, readers that never wait for the disk.
//!
//! A command works on a copy; the copy is written, and counts when it is durable. After a failed
//! write what counts is what counted before the command. Where the old file is known to stand, the
//! next command is written; where the file's state is unknown, nothing is written any more until
//! the store is opened again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::{RoleCommand, RoleError, RoleSet, file};
use crate::disk::{self, Disk, ReplaceError};

/// Name of the file in the data directory.
pub const ROLES_FILE: &str = "roles.json";

/// Why the roles cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the roles in {path}: {reason}")]
pub struct RoleOpenError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// The roles of one data directory.
#[derive(Debug)]
pub struct Roles {
    writer: Mutex<Writer>,
    visible: RwLock<Arc<RoleSet>>,
    /// To look at without the writer, which may wait for the disk.
    failed: Arc<OnceLock<String>>,
}

/// The only hand that writes the file.
#[derive(Debug)]
struct Writer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    is_new: bool,
    /// Set once nobody knows any more what is on disk.
    failed: Arc<OnceLock<String>>,
}

impl Roles {
    /// Opens the roles in `data`, the data directory; where none were stored there are none.
    /// Blocking.
    pub fn open(disk: Arc<dyn Disk>, data: &Path) -> Result<Self, RoleOpenError> {
        let path = data.join(ROLES_FILE);
        let found = Self::inspect(disk.as_ref(), data)?;
        let is_new = found.is_none();
        let failed = Arc::<OnceLock<String>>::default();
        Ok(Self {
            writer: Mutex::new(Writer {
                disk,
                path,
                is_new,
                failed: Arc::clone(&failed),
            }),
            visible: RwLock::new(Arc::new(found.unwrap_or_default())),
            failed,
        })
    }

    /// Reads the roles in `data`, if any were stored; changes nothing. Blocking.
    pub fn inspect(disk: &dyn Disk, data: &Path) -> Result<Option<RoleSet>, RoleOpenError> {
        let path = data.join(ROLES_FILE);
        let unreadable = |reason| RoleOpenError {
            path: path.display().to_string(),
            reason,
        };
        match disk.read(&path) {
            Ok(bytes) => file::decode(&bytes).map(Some).map_err(unreadable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// Whether no roles were ever stored here: a first start.
    pub fn is_new(&self) -> bool {
        let writer = self.writer.lock();
        writer.unwrap_or_else(PoisonError::into_inner).is_new
    }

    /// Why nothing is written any more, once nobody knows what a failed write left.
    pub fn failure(&self) -> Option<String> {
        self.failed.get().cloned()
    }

    /// Has new roles get OIDs above `oid`, which was the one of a role that is lost. In memory:
    /// the first role that is made writes it down.
    pub fn begin_above(&self, oid: u32) {
        // Whoever changes roles meanwhile must not lose this.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let beyond = Arc::new(self.current().beyond(oid));
        let visible = self.visible.write();
        *visible.unwrap_or_else(PoisonError::into_inner) = beyond;
    }

    /// The roles now. Cheap.
    pub fn current(&self) -> Arc<RoleSet> {
        let visible = self.visible.read();
        Arc::clone(&visible.unwrap_or_else(PoisonError::into_inner))
    }

    /// Does what a command asks; durable before it returns. Blocking.
    pub fn apply(&self, command: &RoleCommand) -> Result<Arc<RoleSet>, RoleError> {
        self.apply_all(std::slice::from_ref(command))
    }

    /// Does what several commands ask, all or nothing; durable before it returns. Blocking.
    pub fn apply_all(&self, commands: &[RoleCommand]) -> Result<Arc<RoleSet>, RoleError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.check()?;
        let current = self.current();
        let next = Arc::new(current.after_all(commands)?);
        if next != current || writer.is_new {
            writer.write(&next)?;
            let visible = self.visible.write();
            *visible.unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        }
        Ok(next)
    }
}

impl Writer {
    fn check(&self) -> Result<(), RoleError> {
        match self.failed.get() {
            Some(reason) => Err(RoleError::Persist(reason.clone())),
            None => Ok(()),
        }
    }

    fn write(&mut self, set: &RoleSet) -> Result<(), RoleError> {
        let bytes = file::encode(set).map_err(RoleError::Persist)?;
        match disk::replace_file(self.disk.as_ref(), &self.path, &bytes) {
            Ok(()) => {
                self.is_new = false;
                Ok(())
            }
            Err(ReplaceError::OldStands(reason)) => Err(RoleError::Persist(reason.to_string())),
            Err(ReplaceError::Unknown(reason)) => {
                let reason = reason.to_string();
                let reason = self.failed.get_or_init(|| reason).clone();
                Err(RoleError::Persist(reason))
            }
        }
    }
}
