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

/// What was rendered for streams. What several streams share counts once.
#[derive(Debug, Default)]
pub struct RenderCounters {
    /// Transactions, each as often as it was rendered.
    pub transactions: Counter,
    /// Bytes of their messages.
    pub bytes: Counter,
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
}
