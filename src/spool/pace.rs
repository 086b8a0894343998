//! How long the writer waits for a group to come together.
//!
//! Publishers that wait for their answer come back right after a sync. Writing at once what the
//! first of them brings would split them into two cohorts that take turns, each waiting for the
//! other's sync. So after an answer the writer waits a moment, in proportion to what a sync costs,
//! for all of them to be back. A lone publisher is never kept waiting.

use std::time::Duration;

/// Learns from syncs and answers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    expected: usize,
    sync: Duration,
}

impl Pace {
    /// A write and its sync took so long.
    pub(super) fn note_sync(&mut self, took: Duration) {
        // A slow outlier must not make the next groups wait.
        self.sync = if self.sync.is_zero() {
            took
        } else {
            (self.sync * 7 + took.min(self.sync * 2)) / 8
        };
    }

    /// So many appends are answered now, while so many others wait already: all publishers there
    /// are. A lone one is not expected back, it is not to be waited for.
    pub(super) fn note_answered(&mut self, answered: usize, waiting: usize) {
        let all = answered.saturating_add(waiting);
        self.expected = if answered > 0 && all > 1 { all } else { 0 };
    }

    /// How many jobs may be there soon, asked once.
    pub(super) fn take_expected(&mut self) -> usize {
        std::mem::take(&mut self.expected)
    }

    /// How long to wait for them to come back.
    pub(super) fn company(&self) -> Duration {
        self.sync / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_what_a_sync_costs_and_not_its_outliers() {
        let mut pace = Pace::default();
        assert_eq!(pace.company(), Duration::ZERO);
        (0..50).for_each(|_| pace.note_sync(Duration::from_millis(1)));
        pace.note_sync(Duration::from_secs(10));
        assert!(pace.company() < Duration::from_millis(1));
    }

    #[test]
    fn all_publishers_are_expected_but_a_lone_one_is_not() {
        for (answered, waiting, expected) in [(1, 0, 0), (1, 1, 2), (40, 24, 64), (0, 9, 0)] {
            let mut pace = Pace::default();
            pace.note_answered(answered, waiting);
            assert_eq!((pace.take_expected(), pace.take_expected()), (expected, 0));
        }
    }
}
