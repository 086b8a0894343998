//! The periodic work of a database: persist acknowledgements, enforce limits, prune.
//!
//! The order is the promise: slot positions are on disk before anything relies on them, an
//! invalidation is on disk before what the slot needed is removed.

use super::{Engine, MaintainError};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::slots::{InvalidationCause, SlotName};
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
    /// The periodic work; see [`Engine::MAINTAIN_EVERY`]. Blocking.
    pub fn maintain(&self, now: Moment) -> Result<RetentionOutcome, MaintainError> {
        self.persist_slots()?;
        self.replicas.observe(self.head());
        self.enforce_retention(now)
    }

    /// Invalidates slots past their limits and removes the segments that no slot needs and that
    /// `wal_keep_size` does not keep. The active segment stays. Blocking.
    pub fn enforce_retention(&self, now: Moment) -> Result<RetentionOutcome, MaintainError> {
        let segments = self.spool.segments();
        let invalidated = self.enforce_limits(&segments, now)?;
        let keep_from = keep_position(&segments, self.options.wal_keep_size);
        let prune_to = self.prune_position(keep_from);
        let pruned = self.prune(&segments, prune_to, ActiveSegment::Keep)?;
        Ok(RetentionOutcome {
            invalidated,
            pruned,
            prune_to,
        })
    }

    /// Prunes everything at or below `archived` that no valid slot needs, the active segment
    /// included (RedDB's `prune_retained`). Blocking.
    pub fn prune_retained(
        &self,
        archived: Lsn,
        now: Moment,
    ) -> Result<RetentionOutcome, MaintainError> {
        self.persist_slots()?;
        let segments = self.spool.segments();
        let invalidated = self.enforce_limits(&segments, now)?;
        let prune_to = self.prune_position(archived);
        let pruned = self.prune(&segments, prune_to, ActiveSegment::Include)?;
        Ok(RetentionOutcome {
            invalidated,
            pruned,
            prune_to,
        })
    }

    /// Writes acknowledgements that are in memory only. The manifest vouches for the positions
    /// first. Blocking.
    pub fn persist_slots(&self) -> Result<(), MaintainError> {
        if let Some(highest) = self.slots.highest_dirty() {
            self.spool.persist_durable_point(highest)?;
        }
        self.slots.persist()?;
        Ok(())
    }

    /// Persists slots and closes the spool cleanly. Blocking.
    pub fn close(&self) -> Result<(), MaintainError> {
        let slots = self.persist_slots();
        self.spool.close()?;
        slots
    }

    fn enforce_limits(
        &self,
        segments: &[SegmentInfo],
        now: Moment,
    ) -> Result<Vec<(SlotName, InvalidationCause)>, MaintainError> {
        let mut invalidated = self
            .slots
            .enforce_limits(self.head(), &self.options.limits, now)?;
        if let Some(max_bytes) = self.options.max_slot_wal_keep_size {
            let keep_from = keep_position(segments, max_bytes);
            for slot in self.slots.snapshot() {
                let behind = slot.persisted_restart_lsn < keep_from && slot.invalidation.is_none();
                let cause = InvalidationCause::WalRemoved;
                if behind && self.slots.invalidate(&slot.name, cause, now)? {
                    invalidated.push((slot.name, cause));
                }
            }
        }
        Ok(invalidated)
    }

    /// RedDB's formula: the lower of what may go and what the slowest valid slot has confirmed
    /// durably.
    fn prune_position(&self, archived: Lsn) -> Lsn {
        self.slots
            .retention_floor()
            .map_or(archived, |floor| floor.min(archived))
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
            let removed_through = self.spool.state().removed_through;
            return Ok(PruneOutcome {
                removed_through,
                ..PruneOutcome::default()
            });
        }
        Ok(self.spool.prune(upto, active)?)
    }
}

/// The position at or below which segments lie outside of the newest `keep_bytes`.
fn keep_position(segments: &[SegmentInfo], keep_bytes: u64) -> Lsn {
    let mut kept = 0_u64;
    for segment in segments.iter().rev() {
        if kept >= keep_bytes && segment.sealed {
            return segment.last_lsn;
        }
        kept = kept.saturating_add(segment.bytes);
    }
    Lsn::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(last: u64, bytes: u64, sealed: bool) -> SegmentInfo {
        SegmentInfo {
            name: format!("{last:016x}.rdlw"),
            first_lsn: Lsn::new(last - 9),
            last_lsn: Lsn::new(last),
            bytes,
            frames: 10,
            sealed,
        }
    }

    #[test]
    fn keep_size_keeps_the_newest_segments_that_reach_it() {
        let segments = [
            segment(10, 100, true),
            segment(20, 100, true),
            segment(30, 50, false),
        ];
        for (keep, position) in [(0, 20), (50, 20), (51, 10), (150, 10), (151, 0), (1000, 0)] {
            assert_eq!(
                keep_position(&segments, keep),
                Lsn::new(position),
                "keep {keep}"
            );
        }
    }
}
