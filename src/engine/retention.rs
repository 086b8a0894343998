//! The periodic work of a database: persist acknowledgements, enforce limits, prune.
//!
//! The order is the promise: slot positions are on disk before anything relies on them, an
//! invalidation is on disk before what the slot needed is removed.

use std::sync::PoisonError;

use super::{DiskFloorAction, Engine, EngineOptions, MaintainError};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::slots::give_up::{self, Holder};
use crate::slots::retention::{
    RetainedSpan, RetentionPositions, keeping_at_least, keeping_at_most,
};
use crate::slots::wal_status::{self, Availability, KeepLimits};
use crate::slots::{InvalidationCause, SlotName, SlotSnapshot};
use crate::spool::{ActiveSegment, PruneOutcome, SegmentInfo};

/// What enforcing retention did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionOutcome {
    /// Slots that were invalidated, and why.
    pub invalidated: Vec<(SlotName, InvalidationCause)>,
    /// What was removed.
    pub pruned: PruneOutcome,
    /// The position up to which nothing is needed any more.
    pub prune_to: Lsn,
}

impl Engine {
    /// The periodic work; see [`Engine::MAINTAIN_EVERY`]. No step that fails keeps the others from
    /// being done; the first error is returned. Blocking.
    pub fn maintain(&self, now: Moment) -> Result<RetentionOutcome, MaintainError> {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if *dropped {
            return Ok(RetentionOutcome::default());
        }
        // First, since what follows may need the reserve.
        let space = self.floor.tick();
        self.scratch
            .keep_free(self.options().reserve().max(space.floor));
        let slots = self.persist_slots();
        let producers = self.producers.persist(&self.spool, Lsn::ZERO);
        self.replicas.observe(self.head());
        let retained = self.enforce_retention(now);
        slots?;
        producers?;
        retained
    }

    /// Invalidates slots past their limits and removes the segments that no slot needs and that
    /// `wal_keep_size` does not keep. The active segment stays. Blocking.
    pub fn enforce_retention(&self, now: Moment) -> Result<RetentionOutcome, MaintainError> {
        self.retain(self.head(), ActiveSegment::Keep, now)
    }

    /// Prunes everything at or below `archived` that no valid slot needs, the active segment
    /// included (RedDB's `prune_retained`). Blocking.
    pub fn prune_retained(
        &self,
        archived: Lsn,
        now: Moment,
    ) -> Result<RetentionOutcome, MaintainError> {
        self.persist_slots()?;
        self.retain(archived, ActiveSegment::Include, now)
    }

    /// Writes acknowledgements that are in memory only. The manifest vouches for the positions
    /// first, and only positions that it vouches for are written. Blocking.
    pub fn persist_slots(&self) -> Result<(), MaintainError> {
        if let Some(highest) = self.slots.highest_dirty() {
            self.spool.persist_durable_point(highest)?;
        }
        self.slots.persist_through(self.spool.durable_point())?;
        Ok(())
    }

    /// Persists slots and closes the spool cleanly. Blocking.
    pub fn close(&self) -> Result<(), MaintainError> {
        let slots = self.persist_slots();
        let producers = self.producers.persist(&self.spool, self.head());
        self.spool.close()?;
        slots?;
        producers?;
        Ok(())
    }

    /// Whether what each of `slots` needs is there and stays (`wal_status`, `safe_wal_size`).
    pub fn availability(&self, slots: &[SlotSnapshot]) -> Vec<Availability> {
        let spans = spans(&self.spool.segments());
        let head = self.head();
        let limits = KeepLimits {
            max_lag_lsn: self.options().limits.max_lag_lsn,
            max_slot_wal_keep_size: self.options().max_slot_wal_keep_size,
            wal_keep_size: self.options().wal_keep_size,
        };
        let of = |slot: &SlotSnapshot| {
            let lost = slot.invalidation.is_some();
            wal_status::availability(lost, slot.restart_lsn, head, &spans, &limits)
        };
        slots.iter().map(of).collect()
    }

    fn retain(
        &self,
        archived: Lsn,
        active: ActiveSegment,
        now: Moment,
    ) -> Result<RetentionOutcome, MaintainError> {
        let _retaining = self.hold_retention();
        let options = self.options();
        let segments = self.spool.segments();
        let mut positions = self.retention_positions(&options, &segments, archived, active);
        let mut invalidated = Vec::new();
        if options.disk_floor_action == DiskFloorAction::Invalidate && self.floor.space().is_full()
        {
            // What nobody needs goes before any slot.
            positions.keep_above = Lsn::MAX;
            invalidated = self.give_up_slots(&spans(&segments), archived, now)?;
        }
        let retained = self.slots.retain(&positions, &options.limits, now)?;
        let prune_to = retained.prune_to.unwrap_or_default();
        let pruned = self.prune(&segments, prune_to, active)?;
        if pruned.bytes > 0 {
            self.floor.note_freed(now);
        }
        invalidated.extend(retained.invalidated);
        Ok(RetentionOutcome {
            invalidated,
            pruned,
            prune_to,
        })
    }

    /// Invalidates the slots that hold what has to go for the disk's floor.
    fn give_up_slots(
        &self,
        spans: &[RetainedSpan],
        archived: Lsn,
        now: Moment,
    ) -> Result<Vec<(SlotName, InvalidationCause)>, MaintainError> {
        let mut invalidated = Vec::new();
        if self.floor.is_settling(now) {
            return Ok(invalidated);
        }
        let valid = self.slots.snapshot().into_iter();
        let valid = valid.filter(|slot| slot.invalidation.is_none());
        let holders = valid.map(|slot| Holder {
            name: slot.name,
            persisted_restart_lsn: slot.persisted_restart_lsn,
            in_use: slot.active_pid.is_some(),
        });
        let missing = self.floor.space().missing();
        for name in give_up::plan(holders.collect(), spans, archived, missing) {
            let cause = InvalidationCause::WalRemoved;
            if self.slots.invalidate(&name, cause, now)? {
                invalidated.push((name, cause));
            }
        }
        Ok(invalidated)
    }

    /// The sizes that are set, as positions. `wal_keep_size` is a wish of the periodic work; who
    /// prunes through a position of his own has decided.
    fn retention_positions(
        &self,
        options: &EngineOptions,
        segments: &[SegmentInfo],
        archived: Lsn,
        active: ActiveSegment,
    ) -> RetentionPositions {
        let spans = spans(segments);
        let mut positions = RetentionPositions::archived(self.head(), archived);
        if active == ActiveSegment::Keep {
            positions.keep_above = keeping_at_least(&spans, options.wal_keep_size);
        }
        if let Some(max_bytes) = options.max_slot_wal_keep_size {
            positions.slots_may_not_hold = keeping_at_most(&spans, max_bytes);
        }
        positions
    }

    fn prune(
        &self,
        segments: &[SegmentInfo],
        upto: Lsn,
        active: ActiveSegment,
    ) -> Result<PruneOutcome, MaintainError> {
        let removable = |segment: &SegmentInfo| {
            (segment.sealed || active == ActiveSegment::Include) && segment.last_lsn <= upto
        };
        // Most of the time nothing can go: leave the writer alone then.
        if !segments.first().is_some_and(removable) {
            let removed_through = self.spool.removed_through();
            return Ok(PruneOutcome {
                removed_through,
                ..PruneOutcome::default()
            });
        }
        // What is removed cannot be read at the next start, so the checkpoint has to count it.
        let counted = self.producers.persist(&self.spool, upto.min(self.head()))?;
        let pruned = self.spool.prune(upto.min(counted), active)?;
        self.relations.forget_below(pruned.removed_through);
        Ok(pruned)
    }
}

fn spans(segments: &[SegmentInfo]) -> Vec<RetainedSpan> {
    let spans = segments.iter().map(|segment| RetainedSpan {
        last_lsn: segment.last_lsn,
        bytes: segment.bytes,
    });
    spans.collect()
}
