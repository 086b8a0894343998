//! May a capture go on, and from where (pure).
//!
//! Going on must neither skip nor repeat what the upstream committed. So it has to be the same
//! cluster, its history has to contain all that was received here, and the slot must not stand
//! above that. Everything else is a stop that people decide about ([`StopReason`]).

use crate::lsn::Lsn;

/// What is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// Everything upstream up to here was received.
    pub received_upto: Lsn,
    /// Nothing was ever received: any upstream may be followed from where its slot stands.
    pub is_new: bool,
    /// System identifier of the upstream that was followed.
    pub system_id: u64,
    /// Its timeline.
    pub timeline: u64,
}

/// The slot on the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotThere {
    /// `confirmed_flush_lsn`
    pub confirmed_flush_lsn: Lsn,
    /// `wal_status = 'lost'`, or invalidated for another cause.
    pub lost: Option<String>,
    /// Another database, plugin or kind of slot has the name.
    pub not_ours: Option<String>,
}

/// Where a timeline ended and the next one began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineSwitch {
    /// The timeline that ended.
    pub timeline: u64,
    /// Where.
    pub at: Lsn,
}

/// What the upstream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// System identifier.
    pub system_id: u64,
    /// Timeline.
    pub timeline: u64,
    /// How it came to be: TIMELINE_HISTORY, oldest first. Empty on timeline 1.
    pub history: Vec<TimelineSwitch>,
    /// It replays another server's WAL.
    pub is_standby: bool,
    /// End of its WAL; of a standby, what it has replayed.
    pub end: Lsn,
    /// The slot, if there is one.
    pub slot: Option<SlotThere>,
}

/// Why a capture cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It is another cluster.
    SystemChanged {
        /// The one that was followed.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// The upstream's history left ours before what was received here: the two disagree.
    Diverged {
        /// The timeline that was followed.
        timeline: u64,
        /// The one that is there.
        found: u64,
        /// Where it left the one that was followed; `None` when it never was on it.
        switched_at: Option<Lsn>,
        /// What was received here.
        received_upto: Lsn,
    },
    /// The upstream ends before what was received here: it was restored from an older copy, or lost
    /// what it had told.
    UpstreamBehind {
        /// Its end.
        end: Lsn,
        /// What was received here.
        received_upto: Lsn,
    },
    /// There is no slot.
    SlotMissing {
        /// What was received here.
        received_upto: Lsn,
        /// The upstream's end: what lies between cannot be had from a new slot.
        end: Lsn,
    },
    /// The slot is invalid.
    SlotLost {
        /// Why, in the upstream's words.
        cause: String,
        /// What was received here.
        received_upto: Lsn,
        /// The upstream's end.
        end: Lsn,
    },
    /// The slot stands above what was received here: somebody else moved it.
    SlotAhead {
        /// What was received here.
        received_upto: Lsn,
        /// Where the slot stands.
        confirmed_flush_lsn: Lsn,
    },
    /// The name belongs to a slot of another kind.
    SlotNotOurs(String),
    /// A captured publication is not there, or was not when the next change was written.
    PublicationMissing {
        /// Its name.
        name: String,
        /// Up to here it was there.
        since: Lsn,
        /// The upstream's end.
        end: Lsn,
    },
    /// What came in breaks the protocol, or cannot be stored as what it is.
    Broken(String),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartPlan {
    /// START_REPLICATION.
    Go {
        /// What is received again from there on is known.
        from: Lsn,
    },
    /// Make the slot, take its consistent point as the beginning, then start.
    CreateSlot,
    /// A standby has not replayed yet what was received here, which it will do: try again later.
    Wait,
    /// Stop.
    Stop(Box<StopReason>),
}

/// Whether and from where to go on.
pub fn plan_start(here: &Here, there: &There, may_create: bool) -> StartPlan {
    match stop_reason(here, there, may_create) {
        Some(reason) => StartPlan::Stop(Box::new(reason)),
        None if is_catching_up(here, there) => StartPlan::Wait,
        None => match &there.slot {
            // A new capture begins where its slot stands.
            Some(slot) => StartPlan::Go {
                from: here.received_upto.max(slot.confirmed_flush_lsn),
            },
            None => StartPlan::CreateSlot,
        },
    }
}

/// A standby begins to answer before it has replayed all that it had replayed when it stopped.
fn is_catching_up(here: &Here, there: &There) -> bool {
    !here.is_new && there.is_standby && there.end < here.received_upto
}

fn stop_reason(here: &Here, there: &There, may_create: bool) -> Option<StopReason> {
    if !here.is_new {
        if here.system_id != there.system_id {
            return Some(StopReason::SystemChanged {
                expected: here.system_id,
                found: there.system_id,
            });
        }
        if let Some(reason) = diverged(here, there) {
            return Some(reason);
        }
        if there.end < here.received_upto && !there.is_standby {
            return Some(StopReason::UpstreamBehind {
                end: there.end,
                received_upto: here.received_upto,
            });
        }
    }
    slot_reason(here, there, may_create)
}

/// Another timeline contains what was received here only where it left ours at or above that.
fn diverged(here: &Here, there: &There) -> Option<StopReason> {
    if here.timeline == there.timeline {
        return None;
    }
    let ours = |switch: &&TimelineSwitch| switch.timeline == here.timeline;
    let newer = there.timeline > here.timeline;
    let switch = there.history.iter().find(ours).filter(|_| newer);
    match switch {
        Some(switch) if switch.at >= here.received_upto => None,
        other => Some(StopReason::Diverged {
            timeline: here.timeline,
            found: there.timeline,
            switched_at: other.map(|switch| switch.at),
            received_upto: here.received_upto,
        }),
    }
}

fn slot_reason(here: &Here, there: &There, may_create: bool) -> Option<StopReason> {
    let received_upto = here.received_upto;
    let Some(slot) = &there.slot else {
        let is_made = here.is_new && may_create;
        return (!is_made).then_some(StopReason::SlotMissing {
            received_upto,
            end: there.end,
        });
    };
    if let Some(other) = &slot.not_ours {
        return Some(StopReason::SlotNotOurs(other.clone()));
    }
    if let Some(cause) = &slot.lost {
        return Some(StopReason::SlotLost {
            cause: cause.clone(),
            received_upto,
            end: there.end,
        });
    }
    let is_ahead = !here.is_new && slot.confirmed_flush_lsn > received_upto;
    is_ahead.then_some(StopReason::SlotAhead {
        received_upto,
        confirmed_flush_lsn: slot.confirmed_flush_lsn,
    })
}

#[cfg(test)]
mod tests;
