//! Whether what a slot needs is there and stays: `wal_status` and `safe_wal_size`.
//!
//! PostgreSQL's words over our limits. Pure.

use crate::lsn::Lsn;

use super::retention::RetainedSpan;

/// What of the spool is kept, and how long for a slot that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepLimits {
    /// `slot_retention_max_lag_lsn`; 0 for no limit.
    pub max_lag_lsn: u64,
    /// `max_slot_wal_keep_size`, bytes; `None` for no limit.
    pub max_slot_wal_keep_size: Option<u64>,
    /// `wal_keep_size`, bytes kept whether slots need them or not.
    pub wal_keep_size: u64,
}

/// `pg_replication_slots.wal_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalStatus {
    /// What it needs would be there without it (within `wal_keep_size`).
    Reserved,
    /// What it needs is kept because of slots.
    Extended,
    /// It is past a limit: it is lost at the next look, unless it catches up before.
    Unreserved,
    /// It was invalidated.
    Lost,
}

impl WalStatus {
    /// PostgreSQL's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Extended => "extended",
            Self::Unreserved => "unreserved",
            Self::Lost => "lost",
        }
    }
}

/// How safe a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// `wal_status`
    pub status: WalStatus,
    /// `safe_wal_size`: bytes that may be written before the slot is past a limit, negative when
    /// it is; `None` for a lost slot and when there is no limit.
    pub safe_wal_size: Option<i64>,
}

/// How safe a slot at `restart_lsn` is. `spans` are oldest first.
pub fn availability(
    lost: bool,
    restart_lsn: Lsn,
    head: Lsn,
    spans: &[RetainedSpan],
    limits: &KeepLimits,
) -> Availability {
    if lost {
        return Availability {
            status: WalStatus::Lost,
            safe_wal_size: None,
        };
    }
    let lag = head.distance_from(restart_lsn);
    let by_lag = (limits.max_lag_lsn > 0).then(|| difference(limits.max_lag_lsn, lag));
    let needed: Vec<&RetainedSpan> = spans
        .iter()
        .filter(|span| span.last_lsn > restart_lsn)
        .collect();
    let held = needed
        .iter()
        .fold(0_u64, |sum, span| sum.saturating_add(span.bytes));
    let by_size = limits.max_slot_wal_keep_size.map(|size| {
        let left = difference(size.max(limits.wal_keep_size), held);
        // The newest span goes in no case, even when it alone is larger.
        if needed.len() > 1 { left } else { left.max(0) }
    });
    let safe_wal_size = match (by_lag, by_size) {
        (Some(lag), Some(size)) => Some(lag.min(size)),
        (left, None) | (None, left) => left,
    };
    let status = if safe_wal_size.is_some_and(|left| left < 0) {
        WalStatus::Unreserved
    } else if held > limits.wal_keep_size && needed.len() > 1 {
        WalStatus::Extended
    } else {
        WalStatus::Reserved
    };
    Availability {
        status,
        safe_wal_size,
    }
}

fn difference(limit: u64, used: u64) -> i64 {
    let wide = i128::from(limit) - i128::from(used);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three spans of 100 bytes ending at 10, 20 and 30; the head is 30.
    fn at(restart: u64, limits: KeepLimits) -> (WalStatus, Option<i64>) {
        let spans = [10, 20, 30].map(|last| RetainedSpan {
            last_lsn: Lsn::new(last),
            bytes: 100,
        });
        let shown = availability(false, Lsn::new(restart), Lsn::new(30), &spans, &limits);
        (shown.status, shown.safe_wal_size)
    }

    #[test]
    fn a_slot_warns_before_it_is_lost() {
        use WalStatus::{Extended, Reserved, Unreserved};
        let limits = |max_lag_lsn, max_slot_wal_keep_size, wal_keep_size| KeepLimits {
            max_lag_lsn,
            max_slot_wal_keep_size,
            wal_keep_size,
        };
        for (restart, limits, wanted) in [
            // No limit: nothing to warn of, but held because of the slot.
            (30, limits(0, None, 0), (Reserved, None)),
            (0, limits(0, None, 0), (Extended, None)),
            (0, limits(0, None, 300), (Reserved, None)),
            // At the head: all that is allowed is left.
            (30, limits(0, Some(250), 0), (Reserved, Some(250))),
            (20, limits(0, Some(250), 0), (Reserved, Some(150))),
            (10, limits(0, Some(250), 0), (Extended, Some(50))),
            (0, limits(0, Some(250), 0), (Unreserved, Some(-50))),
            // What wal_keep_size keeps is not taken away.
            (0, limits(0, Some(250), 300), (Reserved, Some(0))),
            // The newest span stays even when it is larger than the limit.
            (20, limits(0, Some(50), 0), (Reserved, Some(0))),
            (10, limits(0, Some(50), 0), (Unreserved, Some(-150))),
            // The lag in positions; the nearer limit counts.
            (10, limits(25, None, 0), (Extended, Some(5))),
            (5, limits(25, None, 0), (Extended, Some(0))),
            (4, limits(25, None, 0), (Unreserved, Some(-1))),
            (10, limits(25, Some(200), 0), (Extended, Some(0))),
        ] {
            assert_eq!(at(restart, limits), wanted, "{restart} {limits:?}");
        }
    }

    #[test]
    fn a_lost_slot_has_nothing_left() {
        let limits = KeepLimits {
            max_lag_lsn: 1,
            max_slot_wal_keep_size: Some(1),
            wal_keep_size: 1,
        };
        let shown = availability(true, Lsn::ZERO, Lsn::new(9), &[], &limits);
        assert_eq!((shown.status.as_str(), shown.safe_wal_size), ("lost", None));
    }
}
