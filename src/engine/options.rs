//! Settings of all databases of one data directory.

use std::time::Duration;

use super::{DiskFloor, DiskFloorAction};
use crate::lsn::Lsn;
use crate::replicas::CommitSettings;
use crate::slots::SlotLimits;
use crate::spool::{Boundary, NewSpool, RecoveryMode, SpoolOptions, ZEROS_AHEAD};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Settings of all databases of one data directory.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Spool segment size, bytes.
    pub segment_bytes: u64,
    /// Bytes of newest frames kept in memory.
    pub ring_bytes: usize,
    /// Most newest frames kept in memory.
    pub ring_frames: usize,
    /// Recovery rule.
    pub recovery: RecoveryMode,
    /// Slot limits.
    pub limits: SlotLimits,
    /// `max_slot_wal_keep_size`: most spool bytes kept for slots; `None` no limit.
    pub max_slot_wal_keep_size: Option<u64>,
    /// `wal_keep_size`: spool bytes kept whether slots need them or not.
    pub wal_keep_size: u64,
    /// `temp_file_limit`: most bytes of a transaction block outside of memory; `None` no limit.
    pub temp_file_limit: Option<u64>,
    /// `disk_floor`: what stays free of the file system.
    pub disk_floor: DiskFloor,
    /// `disk_floor_action`: what is done below that.
    pub disk_floor_action: DiskFloorAction,
    /// `max_databases`: most databases in the data directory.
    pub max_databases: usize,
    /// Commit policy, quorum and flow control.
    pub commit: CommitSettings,
}

impl Default for EngineOptions {
    /// PostgreSQL's defaults, but for a finite lag limit and a gibibyte that is kept for
    /// subscribers that are made a little later than their data.
    fn default() -> Self {
        Self {
            segment_bytes: 64 * MIB,
            ring_bytes: 16 << 20,
            ring_frames: 65_536,
            recovery: RecoveryMode::FailClosed,
            limits: SlotLimits {
                max_lag_lsn: 64 * GIB,
                idle_timeout: Duration::ZERO,
                max_slots: 10_000,
            },
            max_slot_wal_keep_size: None,
            wal_keep_size: GIB,
            temp_file_limit: Some(10 * GIB),
            disk_floor: DiskFloor::default(),
            disk_floor_action: DiskFloorAction::default(),
            max_databases: 100,
            commit: CommitSettings::default(),
        }
    }
}

impl EngineOptions {
    /// Bytes on the file system that transaction blocks leave to the spool: it cannot go on
    /// without room for its next segments.
    pub(super) fn reserve(&self) -> u64 {
        self.segment_bytes.saturating_mul(2).max(256 * MIB)
    }

    /// How a database's spool is opened.
    pub(super) fn spool(&self, persisted_position: Lsn, new: NewSpool) -> SpoolOptions {
        SpoolOptions {
            segment_bytes: self.segment_bytes,
            zeros_ahead: ZEROS_AHEAD,
            ring_frames: self.ring_frames,
            ring_bytes: self.ring_bytes,
            recovery: self.recovery,
            boundary,
            persisted_position,
            new,
        }
    }
}

/// The one question that the spool asks about payloads.
pub fn boundary(payload: &[u8]) -> Boundary {
    let (first, last) = crate::change::boundary(payload);
    Boundary { first, last }
}
