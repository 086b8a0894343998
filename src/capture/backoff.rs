//! How long to wait before the next attempt.

use std::time::Duration;

/// The first wait, after an attempt at once.
const FIRST: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double, with jitter, so that many captures do not come back at the same moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Attempts that failed since one succeeded.
    num_failed: u32,
}

impl Backoff {
    /// An attempt succeeded.
    pub(super) const fn reset(&mut self) {
        self.num_failed = 0;
    }

    /// How many attempts failed.
    pub(super) const fn num_failed(&self) -> u32 {
        self.num_failed
    }

    /// How long to wait now: not at all after the first failure. `jitter` is any number.
    pub(super) fn next(&mut self, jitter: u32) -> Duration {
        let doublings = self.num_failed.saturating_sub(1).min(16);
        let is_first = self.num_failed == 0;
        self.num_failed = self.num_failed.saturating_add(1);
        if is_first {
            return Duration::ZERO;
        }
        let wait = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        // Between half of it and all of it.
        wait / 2 + (wait / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX))
    }
}

/// Any number.
pub(super) fn jitter() -> u32 {
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12)
            .map(|_| backoff.next(u32::MAX).as_millis())
            .collect();
        let wanted = [
            0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000,
        ];
        assert_eq!(waits, wanted);
        assert_eq!(backoff.next(0), LONGEST / 2);
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::ZERO);
    }
}
