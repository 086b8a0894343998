//! Remember durably what each subscriber still needs.
//!
//! Names, positions, invalidation causes, limits and the retention plan. The store is one JSON
//! file (RedDB's keys plus ours, with a checksum), replaced atomically. Memory and disk are kept
//! apart: acknowledgements change memory only; [`SlotStore::retention_floor`] looks at what was
//! persisted. It knows no spool and no clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::disk::Disk;
use crate::lsn::Lsn;

/// A slot's name: `[a-z0-9_]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(String);

/// Not a slot name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotNameError {
    /// Empty.
    #[error("replication slot name \"{0}\" is too short")]
    TooShort(String),
    /// Longer than 63 bytes.
    #[error("replication slot name \"{0}\" is too long")]
    TooLong(String),
    /// A character that is not allowed.
    #[error("replication slot name \"{0}\" contains invalid character")]
    InvalidCharacter(String),
}

impl SlotName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, SlotNameError> {
        if name.is_empty() {
            return Err(SlotNameError::TooShort(name.to_owned()));
        }
        if name.len() > 63 {
            return Err(SlotNameError::TooLong(name.to_owned()));
        }
        if !name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        {
            return Err(SlotNameError::InvalidCharacter(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SlotName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a slot was invalidated (RedDB's causes and strings).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvalidationCause {
    /// `wal-removed`: data the slot needs is gone.
    WalRemoved,
    /// `horizon`: further behind the head than the limit.
    Horizon,
    /// `idle-timeout`: unused for longer than the limit.
    IdleTimeout,
}

/// When and why a slot became invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidation {
    /// The cause.
    pub cause: InvalidationCause,
    /// Unix milliseconds.
    pub at_unix_ms: u64,
}

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
}

/// Limits that invalidate slots. Zero or `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotLimits {
    /// `slot_retention_max_lag_lsn`: head minus restart, in LSN units.
    pub max_lag_lsn: u64,
    /// `slot_idle_timeout`.
    pub idle_timeout: Duration,
    /// Most slots (permanent and temporary); `max_replication_slots`.
    pub max_slots: usize,
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
}

/// No such slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("replication slot \"{0}\" does not exist")]
pub struct UnknownSlot(pub SlotName);

/// The exclusive use of a slot; frees it when dropped (and drops a temporary slot's hold).
#[derive(Debug)]
pub struct SlotGuard {
    _private: (),
}

/// The slots of one database. Clones share them.
#[derive(Debug, Clone)]
pub struct SlotStore {
    _private: (),
}

impl SlotStore {
    /// Opens the store at `path` (missing: no slots). Every open raises the generation durably.
    pub fn open(_disk: Arc<dyn Disk>, _path: &Path, _now: Moment) -> Result<Self, SlotStoreError> {
        todo!()
    }

    /// Counts the opens of this store; rises with each, so epochs built on it never go back.
    pub fn generation(&self) -> u64 {
        todo!()
    }

    /// Creates a slot, durably before it returns (temporary ones in memory).
    pub fn create(
        &self,
        _new: NewSlot,
        _limits: &SlotLimits,
        _now: Moment,
    ) -> Result<SlotSnapshot, CreateError> {
        todo!()
    }

    /// Drops a slot, durably before it returns. Refused while in use (unless by `by_pid`).
    pub fn drop_slot(&self, _name: &SlotName, _by_pid: Option<u32>) -> Result<(), DropError> {
        todo!()
    }

    /// Drops all temporary slots of a session that ended.
    pub fn drop_temporary(&self, _pid: u32) {
        todo!()
    }

    /// Takes a slot for a stream. Invalid slots can be taken: the planner tells what to do.
    pub fn acquire(
        &self,
        _name: &SlotName,
        _pid: u32,
        _now: Moment,
    ) -> Result<SlotGuard, AcquireError> {
        todo!()
    }

    /// One slot.
    pub fn slot(&self, _name: &SlotName) -> Option<SlotSnapshot> {
        todo!()
    }

    /// All slots by name.
    pub fn snapshot(&self) -> Vec<SlotSnapshot> {
        todo!()
    }

    /// Moves a slot forward (never back) in memory. An invalid slot is left alone.
    /// `confirmed` becomes the highest of old, `applied` and `durable`; `restart` the highest of
    /// old and `durable`. Returns the slot afterwards.
    pub fn advance(
        &self,
        _name: &SlotName,
        _applied: Lsn,
        _durable: Lsn,
        _now: Moment,
    ) -> Result<SlotSnapshot, UnknownSlot> {
        todo!()
    }

    /// Notes that a slot is in use, in memory. Invalid or unknown slots are left alone.
    pub fn touch(&self, _name: &SlotName, _now: Moment) {
        todo!()
    }

    /// The highest restart position in memory that is not on disk yet, if any.
    pub fn highest_dirty(&self) -> Option<Lsn> {
        todo!()
    }

    /// Writes the store when something changed; true when it wrote.
    pub fn persist(&self) -> Result<bool, PersistError> {
        todo!()
    }

    /// Invalidates what is past the limits (RedDB's order: horizon, then idle), durably before it
    /// returns. A slot held by a stream is never idle.
    pub fn enforce_limits(
        &self,
        _head: Lsn,
        _limits: &SlotLimits,
        _now: Moment,
    ) -> Result<Vec<(SlotName, InvalidationCause)>, PersistError> {
        todo!()
    }

    /// Invalidates one slot, durably before it returns. False when unknown or already invalid.
    pub fn invalidate(
        &self,
        _name: &SlotName,
        _cause: InvalidationCause,
        _now: Moment,
    ) -> Result<bool, PersistError> {
        todo!()
    }

    /// The lowest persisted restart position of all valid slots; `None` without valid slots.
    pub fn retention_floor(&self) -> Option<Lsn> {
        todo!()
    }

    /// The highest persisted restart position of all slots.
    pub fn highest_persisted(&self) -> Lsn {
        todo!()
    }
}
