//! May a capture go on, and from where (pure).

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
    /// End of its WAL.
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
    /// What came in breaks the protocol, or cannot be stored as what it is.
    Broken(String),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartPlan {
    /// START_REPLICATION from `from`, as the timeline `timeline` of the system `system_id`.
    Go {
        /// What is received again from there on is known.
        from: Lsn,
    },
    /// Make the slot, take its consistent point as the beginning, then start.
    CreateSlot,
    /// Stop.
    Stop(Box<StopReason>),
}

/// For people: what is missing, and what they can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// A name for the cause: `system_identifier_changed`, `timeline_diverged`, ...
    pub cause: &'static str,
    /// In a sentence.
    pub message: String,
    /// Changes after this position may be missing here ...
    pub missing_from: Option<Lsn>,
    /// ... up to and with this one.
    pub missing_to: Option<Lsn>,
    /// What the operator can do.
    pub hint: String,
}

/// Whether and from where to go on.
pub fn plan_start(here: &Here, there: &There, may_create: bool) -> StartPlan {
    let stop = |reason| StartPlan::Stop(Box::new(reason));
    if !here.is_new && here.system_id != there.system_id {
        return stop(StopReason::SystemChanged {
            expected: here.system_id,
            found: there.system_id,
        });
    }
    let Some(slot) = &there.slot else {
        if here.is_new && may_create {
            return StartPlan::CreateSlot;
        }
        return stop(StopReason::SlotMissing {
            received_upto: here.received_upto,
            end: there.end,
        });
    };
    StartPlan::Go {
        from: here.received_upto.max(slot.confirmed_flush_lsn),
    }
}
