//! What must be invalidated and what may be removed: pure functions over plain values.
//!
//! Everything that holds old data back is in [`RetentionInput`]: valid slots (at the position
//! that is on *disk*, never the one in memory), what is not archived yet, and what is to be kept
//! in any case. Limits release what a slot holds, but only by invalidating it first. Executing a
//! plan is the caller's work: invalidate, persist that, plan again, only then remove.

use std::time::Duration;

use crate::lsn::Lsn;

use super::{InvalidationCause, SlotLimits, SlotName};

/// What one slot holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotHold {
    /// Name.
    pub name: SlotName,
    /// Confirmed by the subscriber; decides how far behind the slot is.
    pub restart_lsn: Lsn,
    /// The same as last written to disk; decides what may be removed.
    pub persisted_restart_lsn: Lsn,
    /// Not invalidated.
    pub valid: bool,
    /// A stream or session holds it: it cannot be idle.
    pub in_use: bool,
    /// For how long it was not used, by the steady clock.
    pub unused_for: Duration,
}

/// Positions that retention depends on besides slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPositions {
    /// The head.
    pub head: Lsn,
    /// Nothing above this may be removed, whatever slots say: RedDB's archived position. The
    /// head where there is no archive.
    pub archived: Lsn,
    /// `wal_keep_size` as a position: nothing above it is removed. [`Lsn::MAX`] for no such
    /// wish.
    pub keep_above: Lsn,
    /// `max_slot_wal_keep_size` as a position: slots may not hold anything at or below it.
    /// [`Lsn::ZERO`] for no limit.
    pub slots_may_not_hold: Lsn,
}

impl RetentionPositions {
    /// RedDB's case: all is archived through `archived`, and no sizes are set.
    pub const fn archived(head: Lsn, archived: Lsn) -> Self {
        Self {
            head,
            archived,
            keep_above: Lsn::MAX,
            slots_may_not_hold: Lsn::ZERO,
        }
    }

    /// Nothing but slots holds data.
    pub const fn at_head(head: Lsn) -> Self {
        Self::archived(head, head)
    }

    fn ceiling(&self) -> Lsn {
        self.archived.min(self.keep_above)
    }
}

/// Input of [`plan`].
#[derive(Debug, Clone)]
pub struct RetentionInput<'a> {
    /// Positions of the spool.
    pub positions: RetentionPositions,
    /// All slots, in name order.
    pub slots: &'a [SlotHold],
    /// Limits.
    pub limits: SlotLimits,
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionPlan {
    /// Slots to invalidate, durably, before anything is removed.
    pub invalidate: Vec<(SlotName, InvalidationCause)>,
    /// Once that is on disk, everything at or below may be removed; `None` for nothing.
    pub prune_to: Option<Lsn>,
}

/// The slots past a limit and, once they are invalidated, what may be removed.
///
/// RedDB's rules: a limit is passed when exceeded, not when reached; the horizon is tested
/// before idleness; `prune_to` is the lowest valid slot's position or what is archived, whichever
/// is lower.
pub fn plan(input: &RetentionInput<'_>) -> RetentionPlan {
    let mut invalidate = Vec::new();
    let mut floor: Option<Lsn> = None;
    for slot in input.slots.iter().filter(|slot| slot.valid) {
        if let Some(cause) = cause(slot, &input.positions, &input.limits) {
            invalidate.push((slot.name.clone(), cause));
        } else {
            let held = slot.persisted_restart_lsn;
            floor = Some(floor.map_or(held, |lowest| lowest.min(held)));
        }
    }
    RetentionPlan {
        invalidate,
        prune_to: prune_to(floor, &input.positions),
    }
}

/// RedDB's prune formula over the retention floor of the valid slots.
pub fn prune_to(floor: Option<Lsn>, positions: &RetentionPositions) -> Option<Lsn> {
    let ceiling = positions.ceiling();
    let upto = floor.map_or(ceiling, |floor| floor.min(ceiling));
    (upto > Lsn::ZERO).then_some(upto)
}

fn cause(
    slot: &SlotHold,
    positions: &RetentionPositions,
    limits: &SlotLimits,
) -> Option<InvalidationCause> {
    let lag = positions.head.distance_from(slot.restart_lsn);
    if limits.max_lag_lsn > 0 && lag > limits.max_lag_lsn {
        Some(InvalidationCause::Horizon)
    } else if !slot.in_use
        && limits.idle_timeout > Duration::ZERO
        && slot.unused_for > limits.idle_timeout
    {
        Some(InvalidationCause::IdleTimeout)
    } else if slot.restart_lsn < positions.slots_may_not_hold.min(positions.ceiling()) {
        // What is not archived, or kept in any case, is not the slots' fault.
        Some(InvalidationCause::WalRemoved)
    } else {
        None
    }
}

/// A run of the spool that can only be removed whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainedSpan {
    /// End LSN of its last transaction.
    pub last_lsn: Lsn,
    /// Its bytes.
    pub bytes: u64,
}

/// The position through which spans may be removed while at least `keep` bytes stay.
/// `spans` are oldest first; the newest always stays.
pub fn keeping_at_least(spans: &[RetainedSpan], keep: u64) -> Lsn {
    let mut rest = total(spans);
    let mut through = Lsn::ZERO;
    for span in older(spans) {
        rest = rest.saturating_sub(span.bytes);
        if rest < keep {
            break;
        }
        through = span.last_lsn;
    }
    through
}

/// The position through which spans must be removed so that at most `keep` bytes stay.
/// `spans` are oldest first; the newest always stays, even when it alone is larger.
pub fn keeping_at_most(spans: &[RetainedSpan], keep: u64) -> Lsn {
    let mut rest = total(spans);
    let mut through = Lsn::ZERO;
    for span in older(spans) {
        if rest <= keep {
            break;
        }
        rest = rest.saturating_sub(span.bytes);
        through = span.last_lsn;
    }
    through
}

fn total(spans: &[RetainedSpan]) -> u64 {
    spans
        .iter()
        .fold(0, |sum, span| sum.saturating_add(span.bytes))
}

fn older(spans: &[RetainedSpan]) -> &[RetainedSpan] {
    spans.split_last().map_or(&[], |(_, older)| older)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(name: &str, restart: u64, persisted: u64) -> SlotHold {
        SlotHold {
            name: SlotName::parse(name).unwrap(),
            restart_lsn: Lsn::new(restart),
            persisted_restart_lsn: Lsn::new(persisted),
            valid: true,
            in_use: false,
            unused_for: Duration::ZERO,
        }
    }

    fn planned(
        positions: RetentionPositions,
        limits: SlotLimits,
        slots: &[SlotHold],
    ) -> RetentionPlan {
        plan(&RetentionInput {
            positions,
            slots,
            limits,
        })
    }

    #[test]
    fn removes_only_what_every_slot_confirmed_on_disk() {
        let at = RetentionPositions::at_head(Lsn::new(9));
        let plan = planned(
            at,
            SlotLimits::default(),
            &[hold("a", 8, 3), hold("b", 5, 5)],
        );
        assert_eq!(plan.prune_to, Some(Lsn::new(3)));
        assert!(plan.invalidate.is_empty());
    }

    #[test]
    fn without_slots_what_is_archived_may_go() {
        let at = RetentionPositions::archived(Lsn::new(9), Lsn::new(6));
        assert_eq!(
            planned(at, SlotLimits::default(), &[]).prune_to,
            Some(Lsn::new(6))
        );
        let nothing = RetentionPositions::archived(Lsn::new(9), Lsn::ZERO);
        assert_eq!(planned(nothing, SlotLimits::default(), &[]).prune_to, None);
    }

    #[test]
    fn limits_are_passed_when_exceeded_and_the_horizon_comes_first() {
        let limits = SlotLimits {
            max_lag_lsn: 3,
            idle_timeout: Duration::from_millis(10),
            max_slots: 0,
        };
        let mut idle = hold("idle", 9, 9);
        idle.unused_for = Duration::from_millis(11);
        let mut just_idle = hold("just", 6, 6);
        just_idle.unused_for = Duration::from_millis(10);
        let mut both = hold("zboth", 5, 5);
        both.unused_for = Duration::from_millis(11);
        let mut busy = hold("zused", 9, 9);
        busy.unused_for = Duration::from_secs(99);
        busy.in_use = true;
        let at = RetentionPositions::at_head(Lsn::new(9));
        let plan = planned(at, limits, &[idle.clone(), just_idle, both.clone(), busy]);
        assert_eq!(
            plan.invalidate,
            vec![
                (idle.name, InvalidationCause::IdleTimeout),
                (both.name, InvalidationCause::Horizon)
            ]
        );
        assert_eq!(plan.prune_to, Some(Lsn::new(6)));
    }

    #[test]
    fn size_limit_invalidates_who_holds_too_much() {
        let at = RetentionPositions {
            slots_may_not_hold: Lsn::new(4),
            ..RetentionPositions::at_head(Lsn::new(9))
        };
        let plan = planned(
            at,
            SlotLimits::default(),
            &[hold("a", 3, 3), hold("b", 4, 4)],
        );
        assert_eq!(plan.invalidate.len(), 1);
        assert_eq!(plan.invalidate[0].1, InvalidationCause::WalRemoved);
        assert_eq!(plan.prune_to, Some(Lsn::new(4)));
    }

    #[test]
    fn what_is_kept_in_any_case_stays_and_costs_no_slot() {
        let at = RetentionPositions {
            keep_above: Lsn::new(2),
            slots_may_not_hold: Lsn::new(4),
            ..RetentionPositions::at_head(Lsn::new(9))
        };
        let plan = planned(at, SlotLimits::default(), &[hold("a", 3, 3)]);
        assert!(plan.invalidate.is_empty());
        assert_eq!(plan.prune_to, Some(Lsn::new(2)));
    }

    #[test]
    fn sizes_become_positions() {
        let spans = [(10, 100), (20, 100), (30, 50)].map(|(last, bytes)| RetainedSpan {
            last_lsn: Lsn::new(last),
            bytes,
        });
        for (keep, least, most) in [
            (0, 20, 20),
            (50, 20, 20),
            (51, 10, 20),
            (149, 10, 20),
            (150, 10, 10),
            (151, 0, 10),
            (250, 0, 0),
            (u64::MAX, 0, 0),
        ] {
            assert_eq!(keeping_at_least(&spans, keep), Lsn::new(least), "{keep}");
            assert_eq!(keeping_at_most(&spans, keep), Lsn::new(most), "{keep}");
        }
        assert_eq!(keeping_at_most(&[], 0), Lsn::ZERO);
    }
}
