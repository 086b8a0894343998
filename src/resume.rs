//! Decide where a subscriber may start. Pure.
//!
//! The plan depends on three things only: the subscriber's own slot, the position it asks for,
//! and how far data was removed. It never moves a subscriber silently: either the stream begins
//! exactly after what the subscriber has, or it must build its data anew. Carrying a plan out
//! (persisting an invalidation, opening a reader) is the caller's work.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lsn::Lsn;
use crate::slots::{InvalidationCause, SlotSnapshot};

/// What a subscriber asks for, and what there is.
#[derive(Debug, Clone, Copy)]
pub struct ResumeRequest<'a> {
    /// Its slot; `None` for a subscriber that has none.
    pub slot: Option<&'a SlotSnapshot>,
    /// Exclusive: it has everything at or below. `0/0` for nothing, or for "as my slot says".
    pub since: Lsn,
    /// Everything at or below is gone. (With dense LSNs: the oldest one, less one.)
    pub removed_through: Lsn,
}

/// Where the subscriber may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumePlan {
    /// Everything after `resume_lsn` is there: go on.
    PartialResync {
        /// Exclusive start.
        resume_lsn: Lsn,
    },
    /// Data it needs is gone, or its slot is invalid: it must be built anew.
    FullRebootstrap {
        /// Why.
        cause: InvalidationCause,
        /// What it has according to its slot and its request.
        floor: Lsn,
        /// Everything at or below is gone.
        removed_through: Lsn,
        /// The slot was valid until now: the caller invalidates it, durably, with `cause`.
        invalidate_slot: bool,
    },
}

/// Plans a start.
///
/// A known slot wins over a lower `since` (clients send `0/0` every time), and a start above the
/// slot is taken as asked. A subscriber without a slot starts where it asks, or not at all.
pub fn plan_resume(request: ResumeRequest<'_>) -> ResumePlan {
    let restart = request.slot.map_or(Lsn::ZERO, |slot| slot.restart_lsn);
    let floor = restart.max(request.since);
    let already = request.slot.and_then(|slot| slot.invalidation);
    let full = |cause, invalidate_slot| ResumePlan::FullRebootstrap {
        cause,
        floor,
        removed_through: request.removed_through,
        invalidate_slot,
    };
    if let Some(invalidation) = already {
        full(invalidation.cause, false)
    } else if request.removed_through > floor {
        full(InvalidationCause::WalRemoved, request.slot.is_some())
    } else {
        ResumePlan::PartialResync { resume_lsn: floor }
    }
}

/// The start lies further above the head than a client's rounding explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("requested starting point {start} is ahead of the head {head}")]
pub struct AheadOfHead {
    /// Asked.
    pub start: Lsn,
    /// Head.
    pub head: Lsn,
}

/// A start held against the head of a database that makes its own LSNs: above the head by less
/// than any transaction is long (some clients ask for one more than they have) is the head.
pub fn start_at_most_head(start: Lsn, head: Lsn) -> Result<Lsn, AheadOfHead> {
    const ROUNDING: u64 = 8;
    if start.distance_from(head) < ROUNDING {
        Ok(start.min(head))
    } else {
        Err(AheadOfHead { start, head })
    }
}

/// How many connections went on where they were, and how many had to begin anew. A plan counts
/// once, when its connection is planned, not with every read.
#[derive(Debug, Default)]
pub struct ResumeCounters {
    partial: AtomicU64,
    full: AtomicU64,
}

impl ResumeCounters {
    /// Counts one connection's plan.
    pub fn count(&self, plan: &ResumePlan) {
        let counter = match plan {
            ResumePlan::PartialResync { .. } => &self.partial,
            ResumePlan::FullRebootstrap { .. } => &self.full,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that went on.
    pub fn partial(&self) -> u64 {
        self.partial.load(Ordering::Relaxed)
    }

    /// Connections that had to begin anew.
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }
}
