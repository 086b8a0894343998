//! Numbers that the low floors count while they work: counters and histograms without a lock.
//!
//! Counting is one or two relaxed additions, done once a batch and not once a record. Whoever
//! shows the numbers reads a snapshot; nothing here knows in which form they are shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often values of which size were seen. `N` bounds rise; a value counts below the first bound
/// that it does not exceed, or above them all.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    below: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistogramSnapshot {
    /// Each bound, and how many values did not exceed it (with those below the bounds before).
    pub cumulative: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
}

impl<const N: usize> Histogram<N> {
    /// Nothing seen yet.
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            below: std::array::from_fn(|_| AtomicU64::new(0)),
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts `value`.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        let bucket = self.below.get(at).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The numbers now. The count is that of its buckets, so it fits them also while values are
    /// counted.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let buckets = self.bounds.iter().zip(&self.below);
        let cumulative = buckets.map(|(bound, below)| {
            count += below.load(Ordering::Relaxed);
            (*bound, count)
        });
        let cumulative = cumulative.collect();
        HistogramSnapshot {
            cumulative,
            count: count + self.above.load(Ordering::Relaxed),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// Bounds for times of a disk: 50 µs to 10 s, in microseconds.
const SYNC_MICROS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// Bounds for records that share a sync.
const RECORDS: [u64; 13] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
];

/// What a spool's writer counts, once for each sync.
#[derive(Debug)]
pub struct SyncCounters {
    micros: Histogram<16>,
    records: Histogram<13>,
    bytes: Counter,
}

impl Default for SyncCounters {
    fn default() -> Self {
        Self {
            micros: Histogram::new(&SYNC_MICROS),
            records: Histogram::new(&RECORDS),
            bytes: Counter::default(),
        }
    }
}

/// The syncs of a spool's writer since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncSnapshot {
    /// How long each took, in microseconds.
    pub micros: HistogramSnapshot,
    /// How many records each made durable; the sum is all records.
    pub records: HistogramSnapshot,
    /// Bytes of their frames.
    pub bytes: u64,
}

impl SyncCounters {
    /// Counts a sync that took `took` and made `records` of `bytes` durable.
    pub fn note(&self, took: Duration, records: u64, bytes: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.observe(micros);
        self.records.observe(records);
        self.bytes.add(bytes);
    }

    /// Records made durable.
    pub fn num_records(&self) -> u64 {
        self.records.sum.load(Ordering::Relaxed)
    }

    /// Bytes of their frames.
    pub fn num_bytes(&self) -> u64 {
        self.bytes.value()
    }

    /// The numbers now.
    pub fn snapshot(&self) -> SyncSnapshot {
        SyncSnapshot {
            micros: self.micros.snapshot(),
            records: self.records.snapshot(),
            bytes: self.bytes.value(),
        }
    }
}

/// Why somebody who asked to come in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// No rule lets this peer in this way, or a rule rejects it.
    Rule,
    /// Who it says it is was not proved: a wrong password, an unknown user, another certificate.
    Authentication,
    /// A right to come in is missing: LOGIN, REPLICATION, the database.
    Right,
    /// The database does not exist.
    Database,
    /// Too many connections: in all, of the role, or from the address.
    Limit,
    /// The startup or the login took too long.
    Timeout,
    /// What arrived was no startup packet of a client, or was cut off.
    Protocol,
    /// The server starts or stops.
    Stopping,
    /// Anything else.
    Other,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Rule,
        Self::Authentication,
        Self::Right,
        Self::Database,
        Self::Limit,
        Self::Timeout,
        Self::Protocol,
        Self::Stopping,
        Self::Other,
    ];

    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Authentication => "authentication",
            Self::Right => "right",
            Self::Database => "database",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Stopping => "stopping",
            Self::Other => "other",
        }
    }

    /// The reason that the SQLSTATE of a refusal tells.
    pub fn of_sqlstate(code: &str) -> Self {
        match code {
            "28000" => Self::Rule,
            "28P01" => Self::Authentication,
            "42501" => Self::Right,
            "3D000" => Self::Database,
            "53300" => Self::Limit,
            "57014" => Self::Timeout,
            "57P01" | "57P03" => Self::Stopping,
            code if code.starts_with("08") => Self::Protocol,
            _ => Self::Other,
        }
    }
}

/// What happened at the door, since the server started.
#[derive(Debug, Default)]
pub struct DoorCounters {
    /// Sockets accepted.
    pub accepted: Counter,
    /// Sockets closed without a word, for there were too many.
    pub dropped: Counter,
    /// TLS handshakes that failed.
    pub tls_failed: Counter,
    /// Sessions that began.
    pub sessions: Counter,
    refused: [Counter; Refusal::ALL.len()],
}

impl DoorCounters {
    /// Counts somebody who was refused.
    pub fn refuse(&self, reason: Refusal) {
        let mut reasons = Refusal::ALL.iter().zip(&self.refused);
        if let Some((_, counter)) = reasons.find(|(known, _)| **known == reason) {
            counter.increment();
        }
    }

    /// How many were refused, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let reasons = Refusal::ALL.into_iter().zip(&self.refused);
        reasons.map(|(reason, counter)| (reason, counter.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_at_every_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 1000] {
            histogram.observe(value);
        }
        let seen = histogram.snapshot();
        assert_eq!(seen.cumulative, [(1, 2), (10, 4), (100, 5)]);
        assert_eq!((seen.count, seen.sum), (6, 1024));
    }

    #[test]
    fn a_snapshot_never_counts_more_at_a_bound_than_in_all() {
        let histogram = Histogram::new(&[5]);
        std::thread::scope(|scope| {
            let counting = scope.spawn(|| (0..200_000).for_each(|n| histogram.observe(n % 10)));
            while !counting.is_finished() {
                let seen = histogram.snapshot();
                assert!(seen.cumulative[0].1 <= seen.count);
            }
        });
        let seen = histogram.snapshot();
        assert_eq!((seen.cumulative[0].1, seen.count), (120_000, 200_000));
    }

    #[test]
    fn refusals_are_counted_by_reason() {
        let door = DoorCounters::default();
        for code in ["28000", "28P01", "28P01", "08P01", "XX000"] {
            door.refuse(Refusal::of_sqlstate(code));
        }
        let counted: Vec<_> = door.refused().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            counted,
            [
                (Refusal::Rule, 1),
                (Refusal::Authentication, 2),
                (Refusal::Protocol, 1),
                (Refusal::Other, 1)
            ]
        );
    }
}
