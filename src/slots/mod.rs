//! Remember durably what each subscriber still needs.
//!
//! Names, positions, invalidation causes, limits and the retention plan. The store is one JSON
//! file (RedDB's keys plus ours, with a checksum), replaced atomically. Memory and disk are kept
//! apart: acknowledgements change memory only; [`SlotStore::retention_floor`] looks at what was
//! persisted. It knows no spool and no clock.

mod cause;
mod file;
pub mod give_up;
mod guard;
mod name;
pub mod reddb;
pub mod retention;
mod stats;
mod store;
mod table;
pub mod wal_status;
mod writer;

use std::time::Duration;

use crate::lsn::Lsn;

pub use cause::{Invalidation, InvalidationCause};
#[cfg(any(test, fuzzing))]
pub(crate) use file::fuzz_file;
pub use guard::SlotGuard;
pub use name::{SlotName, SlotNameError};
pub use stats::SlotStats;
pub use store::SlotStore;

/// Name of a database's slot store.
pub const SLOTS_FILE: &str = "slots.json";

/// One slot, as a plain copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSnapshot {
    /// Name.
    pub name: SlotName,
    /// Output plugin it was created for.
    pub plugin: String,
    /// Everything at or below is confirmed; in memory (may be ahead of the disk).
    pub restart_lsn: Lsn,
    /// Highest applied position, at least `restart_lsn`.
    pub confirmed_lsn: Lsn,
    /// `restart_lsn` as last written to disk (temporary slots: as in memory).
    pub persisted_restart_lsn: Lsn,
    /// Last use, unix milliseconds.
    pub last_seen_unix_ms: u64,
    /// When its stream ended last, unix milliseconds; `None` while active.
    pub inactive_since_unix_ms: Option<u64>,
    /// Set when invalid.
    pub invalidation: Option<Invalidation>,
    /// Lives in memory only.
    pub temporary: bool,
    /// Created with TWO_PHASE.
    pub two_phase: bool,
    /// OID of the role it belongs to; one without an owner is for every role that may use slots.
    pub owner: Option<u32>,
    /// Process id of the stream or session that holds it.
    pub active_pid: Option<u32>,
}

/// A slot to create.
#[derive(Debug, Clone)]
pub struct NewSlot {
    /// Name.
    pub name: SlotName,
    /// Output plugin.
    pub plugin: String,
    /// Start position (restart = confirmed).
    pub start: Lsn,
    /// `Some(pid)`: temporary, held by that session from the start.
    pub temporary: Option<u32>,
    /// TWO_PHASE.
    pub two_phase: bool,
    /// OID of the role it belongs to.
    pub owner: Option<u32>,
}

/// Who wants to use a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotUser {
    /// Process id of the session.
    pub pid: u32,
    /// OID of the role; `None` may use every slot (superusers, an embedding engine).
    pub role: Option<u32>,
}

impl SlotUser {
    /// Whether a slot of that owner is for this user.
    pub fn may_use(self, owner: Option<u32>) -> bool {
        match (owner, self.role) {
            (None, _) | (_, None) => true,
            (Some(owner), Some(role)) => owner == role,
        }
    }
}

/// A session that may use every slot.
impl From<u32> for SlotUser {
    fn from(pid: u32) -> Self {
        Self { pid, role: None }
    }
}

/// A slot that lived elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSlot {
    /// Name.
    pub name: SlotName,
    /// Output plugin to serve it with.
    pub plugin: String,
    /// Everything at or below is confirmed.
    pub restart_lsn: Lsn,
    /// Highest applied position.
    pub confirmed_lsn: Lsn,
    /// Last use, unix milliseconds.
    pub last_seen_unix_ms: u64,
    /// Set when it was invalid there.
    pub invalidation: Option<Invalidation>,
}

/// What enforcing the limits did, and what may be removed now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionOutcome {
    /// Slots that were invalidated, on disk.
    pub invalidated: Vec<(SlotName, InvalidationCause)>,
    /// Everything at or below may be removed; `None` for nothing.
    pub prune_to: Option<Lsn>,
}

/// Limits that invalidate slots. Zero means no limit; the default has one, so that a forgotten
/// slot cannot keep everything for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotLimits {
    /// `slot_retention_max_lag_lsn`: head minus restart, in LSN units.
    pub max_lag_lsn: u64,
    /// `slot_idle_timeout`.
    pub idle_timeout: Duration,
    /// Most slots (permanent and temporary); `max_replication_slots`.
    pub max_slots: usize,
}

impl Default for SlotLimits {
    fn default() -> Self {
        Self {
            max_lag_lsn: 64 << 30,
            idle_timeout: Duration::ZERO,
            max_slots: 0,
        }
    }
}

/// The slot file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SlotStoreError {
    /// Damaged; nothing was changed.
    #[error("slot store {path} is damaged: {reason}")]
    Corrupt {
        /// File.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The error.
        #[source]
        source: std::io::Error,
    },
}

/// A write of the slot store failed, now or earlier; it is not tried again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("slot store cannot be written: {0}")]
pub struct PersistError(pub String);

/// Why a slot was not created.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateError {
    /// Name taken.
    #[error("replication slot \"{0}\" already exists")]
    Exists(SlotName),
    /// Limit reached.
    #[error("all replication slots are in use")]
    TooMany,
    /// Could not be made durable; it does not exist.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

/// Why a slot was not dropped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DropError {
    /// No such slot.
    #[error("replication slot \"{0}\" does not exist")]
    Unknown(SlotName),
    /// In use.
    #[error("replication slot \"{name}\" is active for PID {pid}")]
    Active {
        /// Name.
        name: SlotName,
        /// By whom.
        pid: u32,
    },
    /// It belongs to another role.
    #[error("permission denied for replication slot \"{0}\"")]
    NotOwner(SlotName),
    /// Could not be made durable; it still exists.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

/// Why a slot cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcquireError {
    /// No such slot.
    #[error("replication slot \"{0}\" does not exist")]
    Unknown(SlotName),
    /// In use.
    #[error("replication slot \"{name}\" is active for PID {pid}")]
    Active {
        /// Name.
        name: SlotName,
        /// By whom.
        pid: u32,
    },
    /// It belongs to another role.
    #[error("permission denied for replication slot \"{0}\"")]
    NotOwner(SlotName),
}

/// Why a slot's owner was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OwnerError {
    /// No such slot.
    #[error(transparent)]
    Unknown(#[from] UnknownSlot),
    /// Could not be made durable; it has its old owner.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

/// No such slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("replication slot \"{0}\" does not exist")]
pub struct UnknownSlot(pub SlotName);
