//! How fast things went between two looks at the page.

use std::time::Duration;

use super::super::snapshot::Snapshot;
use super::super::units::span;

/// What was counted at the look before.
#[derive(Debug, Default)]
pub(in crate::admin) struct Rates {
    before: Counted,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    at: Duration,
    records: u64,
    bytes: u64,
    syncs: u64,
    micros: u64,
}

/// What happened a second.
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Mean of a sync; `None`: there was none.
    pub(super) sync_micros: Option<u64>,
    /// Over which time.
    pub(super) over: String,
}

/// A look sooner than this after the last one is measured from the same look as that one.
const LEAST: Duration = Duration::from_secs(1);

impl Rates {
    /// The rates since the look before; at the first look since the start of the process.
    pub(super) fn since_last(&mut self, snapshot: &Snapshot) -> Rate {
        let mut now = Counted {
            at: snapshot.now.steady,
            ..Counted::default()
        };
        for database in &snapshot.databases {
            now.records += database.spool.num_records;
            now.bytes += database.spool.num_record_bytes;
            now.syncs += database.syncs.micros.count;
            now.micros += database.syncs.micros.sum;
        }
        let before = self.before;
        let passed = now.at.saturating_sub(before.at);
        if passed >= LEAST {
            self.before = now;
        }
        let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        let a_second = |now: u64, before: u64| {
            let more = now.saturating_sub(before);
            u64::try_from(u128::from(more) * 1000 / u128::from(ms)).unwrap_or(u64::MAX)
        };
        let syncs = now.syncs.saturating_sub(before.syncs);
        Rate {
            records: a_second(now.records, before.records),
            bytes: a_second(now.bytes, before.bytes),
            sync_micros: now.micros.saturating_sub(before.micros).checked_div(syncs),
            over: format!("last {}", span(ms)),
        }
    }
}
