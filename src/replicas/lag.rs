//! How long ago a replica's position was sent: the lags of `pg_stat_replication`.
//!
//! A sample is a position and when it was sent. When the replica reports a position, the time
//! since the newest sample at or below it is the lag; between two samples it is interpolated. A
//! replica that has reported everything and has nothing new to report has no lag to show. Time is
//! an argument.

use std::collections::VecDeque;
use std::time::Duration;

use crate::lsn::Lsn;

/// Most samples kept for one replica; after that the newest is replaced.
const MOST_SAMPLES: usize = 1024;
/// Positions sent sooner than this after the last sample are not sampled, so that the ring spans
/// minutes of a busy stream.
const SPACING: Duration = Duration::from_millis(100);

/// The lags, as last measured; `None` where there is nothing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lags {
    /// From sent to written by the replica.
    pub write: Option<Duration>,
    /// From sent to durable there.
    pub flush: Option<Duration>,
    /// From sent to applied there.
    pub apply: Option<Duration>,
}

/// Samples of one stream, read by three heads.
#[derive(Debug, Default)]
pub(super) struct LagTracker {
    samples: VecDeque<Sample>,
    /// Samples that were dropped from the front: the number of `samples[0]`.
    dropped: u64,
    write: Head,
    flush: Head,
    apply: Head,
    /// The last report said that everything sent is applied.
    applied_all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    lsn: Lsn,
    at: Duration,
}

/// How far one kind of report has come.
#[derive(Debug, Default)]
struct Head {
    /// Number of the next sample to be reached.
    next: u64,
    /// The last one reached, while there are later ones.
    last: Option<Sample>,
}

impl LagTracker {
    /// Notes that everything up to `lsn` was sent by `now`.
    pub(super) fn sent(&mut self, lsn: Lsn, now: Duration) {
        if let Some(newest) = self.samples.back_mut() {
            let crowded = now.saturating_sub(newest.at) < SPACING;
            if newest.lsn >= lsn || (crowded && !self.all_reached()) {
                return;
            }
        }
        let sample = Sample { lsn, at: now };
        if self.samples.len() >= MOST_SAMPLES
            && let Some(newest) = self.samples.back_mut()
        {
            *newest = sample;
        } else {
            self.samples.push_back(sample);
        }
    }

    /// Takes a report and returns the lags that it shows; those that it says nothing about stay
    /// as they were in `before`.
    pub(super) fn reported(
        &mut self,
        (write, flush, apply): (Lsn, Lsn, Lsn),
        sent: Lsn,
        now: Duration,
        before: Lags,
    ) -> Lags {
        let applied_all = apply >= sent;
        let forget = applied_all && self.applied_all;
        self.applied_all = applied_all;
        let (samples, dropped) = (&self.samples, self.dropped);
        let measure = |head: &mut Head, lsn, before: Option<Duration>| {
            let measured = head.reach(samples, dropped, lsn, now);
            if forget {
                measured
            } else {
                measured.or(before)
            }
        };
        let lags = Lags {
            write: measure(&mut self.write, write, before.write),
            flush: measure(&mut self.flush, flush, before.flush),
            apply: measure(&mut self.apply, apply, before.apply),
        };
        self.drop_reached();
        lags
    }

    fn end(&self) -> u64 {
        self.dropped
            .saturating_add(u64::try_from(self.samples.len()).unwrap_or(u64::MAX))
    }

    fn all_reached(&self) -> bool {
        self.slowest() >= self.end()
    }

    fn slowest(&self) -> u64 {
        self.write.next.min(self.flush.next).min(self.apply.next)
    }

    /// Drops samples that no head needs; the newest stays, to tell what was sampled already.
    fn drop_reached(&mut self) {
        let slowest = self.slowest();
        while self.dropped < slowest && self.samples.len() > 1 {
            self.samples.pop_front();
            self.dropped += 1;
        }
    }
}

impl Head {
    /// Moves on to `lsn` and measures; `None` when that shows nothing.
    fn reach(
        &mut self,
        samples: &VecDeque<Sample>,
        dropped: u64,
        lsn: Lsn,
        now: Duration,
    ) -> Option<Duration> {
        let sample = |number: u64| {
            let at = usize::try_from(number.checked_sub(dropped)?).ok()?;
            samples.get(at).copied()
        };
        let mut crossed = None;
        while let Some(next) = sample(self.next).filter(|next| next.lsn <= lsn) {
            crossed = Some(next);
            self.last = Some(next);
            self.next += 1;
        }
        let future = sample(self.next);
        if future.is_none() {
            // Everything was reached: an old sample says nothing about the next burst.
            self.last = None;
        }
        let sent_at = match (crossed, self.last, future) {
            (Some(crossed), _, _) => crossed.at,
            (None, _, None) => return None,
            (None, Some(last), Some(future)) => between(last, future, lsn)?,
            // Nothing of a new burst is reached yet: the lag if it were, now.
            (None, None, Some(future)) => future.at,
        };
        now.checked_sub(sent_at)
    }
}

/// When `lsn`, which lies between two samples, was sent.
fn between(last: Sample, next: Sample, lsn: Lsn) -> Option<Duration> {
    let whole = next.lsn.distance_from(last.lsn);
    let part = lsn.get().checked_sub(last.lsn.get())?;
    let span = next.at.checked_sub(last.at)?;
    let nanos = span.as_nanos().checked_mul(u128::from(part))? / u128::from(whole.max(1));
    Some(last.at + Duration::from_nanos(u64::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn all(lsn: u64) -> (Lsn, Lsn, Lsn) {
        (Lsn::new(lsn), Lsn::new(lsn), Lsn::new(lsn))
    }

    #[test]
    fn a_lag_is_the_time_from_sent_to_reported() {
        let mut tracker = LagTracker::default();
        tracker.sent(Lsn::new(100), ms(1000));
        let report = (Lsn::new(100), Lsn::new(50), Lsn::ZERO);
        let lags = tracker.reported(report, Lsn::new(100), ms(1250), Lags::default());
        // Written 250 ms after it was sent; flushed and applied are at least that late.
        assert_eq!(lags.write, Some(ms(250)));
        assert_eq!((lags.flush, lags.apply), (Some(ms(250)), Some(ms(250))));
        let lags = tracker.reported(all(100), Lsn::new(100), ms(1400), lags);
        assert_eq!(lags.write, Some(ms(250)), "no news about writing");
        assert_eq!((lags.flush, lags.apply), (Some(ms(400)), Some(ms(400))));
    }

    #[test]
    fn between_two_samples_the_time_is_interpolated() {
        let mut tracker = LagTracker::default();
        tracker.sent(Lsn::new(100), ms(1000));
        tracker.sent(Lsn::new(300), ms(2000));
        let sent = Lsn::new(300);
        let lags = tracker.reported(all(100), sent, ms(2000), Lags::default());
        assert_eq!(lags.apply, Some(ms(1000)));
        let lags = tracker.reported(all(200), sent, ms(2100), lags);
        assert_eq!(lags.apply, Some(ms(600)), "position 200 was sent at 1500");
    }

    #[test]
    fn an_idle_replica_that_has_everything_shows_no_lag() {
        let mut tracker = LagTracker::default();
        tracker.sent(Lsn::new(100), ms(1000));
        let sent = Lsn::new(100);
        let lags = tracker.reported(all(100), sent, ms(1010), Lags::default());
        assert_eq!(lags.apply, Some(ms(10)));
        let lags = tracker.reported(all(100), sent, ms(5000), lags);
        assert_eq!(lags, Lags::default());
    }

    #[test]
    fn the_samples_are_bounded_and_a_stalled_replica_keeps_its_oldest() {
        let mut tracker = LagTracker::default();
        for n in 1..=5000_u64 {
            tracker.sent(Lsn::new(n * 64), ms(n * 1000));
        }
        assert_eq!(tracker.samples.len(), MOST_SAMPLES);
        let lags = tracker.reported(all(64), Lsn::MAX, ms(5_000_000), Lags::default());
        assert_eq!(lags.apply, Some(ms(4_999_000)));
        // What is reached is dropped.
        let upto = Lsn::new(5000 * 64);
        tracker.reported((upto, upto, upto), upto, ms(5_000_500), lags);
        assert_eq!(tracker.samples.len(), 1);
    }
}
