//! A database without a server: its spool and its slots, for the tools.

use std::path::Path;
use std::sync::Arc;

use crate::disk::RealDisk;
use crate::engine::{self, EngineOptions};
use crate::lsn::Lsn;
use crate::slots::{SLOTS_FILE, SlotSnapshot, SlotStore, SlotStoreError};
use crate::spool::{
    FIRST_LSN, MANIFEST_FILE, NewSpool, OpenError, RecoveryReport, Spool, SpoolOptions,
    segment_folder,
};

/// Why a database cannot be opened by a tool.
#[derive(Debug, thiserror::Error)]
pub(super) enum OfflineError {
    #[error(transparent)]
    Spool(#[from] OpenError),
    #[error(transparent)]
    Slots(#[from] SlotStoreError),
}

/// An existing database: its spool open (and recovered, when it was not closed cleanly), and a
/// copy of its slots, which are left as they are.
pub(super) struct Offline {
    pub(super) spool: Spool,
    pub(super) slots: Vec<SlotSnapshot>,
}

impl Offline {
    /// Opens the database in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, OfflineError> {
        let slots = read_slots(folder)?;
        let persisted = slots.iter().map(|slot| slot.persisted_restart_lsn).max();
        let new = NewSpool {
            system_id: 0,
            imported_through: Lsn::ZERO,
            start: FIRST_LSN,
        };
        let options = spool_options(persisted.unwrap_or_default(), new);
        let (spool, recovery) = Spool::open(Arc::new(RealDisk), folder, options)?;
        print_recovery(&recovery);
        Ok(Self { spool, slots })
    }
}

/// The slots of the database in `folder`, as they are on disk. A database has its slot store before
/// it has a spool, so a spool without one has lost its slots.
pub(super) fn read_slots(folder: &Path) -> Result<Vec<SlotSnapshot>, SlotStoreError> {
    let path = folder.join(SLOTS_FILE);
    if !path.exists() {
        let beside = has_spool(folder).then_some(" beside a spool");
        return Err(SlotStoreError::Corrupt {
            path: path.display().to_string(),
            reason: format!("missing{}", beside.unwrap_or_default()),
        });
    }
    SlotStore::inspect(&RealDisk, &path)
}

/// Whether a spool, or what is left of one, lies in `folder`.
pub(super) fn has_spool(folder: &Path) -> bool {
    folder.join(MANIFEST_FILE).exists() || segment_folder(folder).exists()
}

fn print_recovery(report: &RecoveryReport) {
    for torn in report.torn.iter().chain(&report.set_aside) {
        eprintln!(
            "pgspool: recovery cut {} bytes off {} at offset {} and kept them in {}: {}",
            torn.bytes,
            torn.segment,
            torn.offset,
            torn.kept_in.display(),
            torn.reason
        );
    }
}

/// How a tool opens a spool: with the server's defaults.
pub(super) fn spool_options(persisted_position: Lsn, new: NewSpool) -> SpoolOptions {
    let defaults = EngineOptions::default();
    SpoolOptions {
        segment_bytes: defaults.segment_bytes,
        zeros_ahead: 0,
        ring_frames: defaults.ring_frames,
        ring_bytes: defaults.ring_bytes,
        recovery: defaults.recovery,
        boundary: engine::boundary,
        persisted_position,
        new,
    }
}
