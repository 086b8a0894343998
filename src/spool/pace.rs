//! How long the writer waits for a group to come together.
//!
//! Publishers that wait for their answer come back right after a sync, one by one. Writing at once
//! what the first of them brings would split them into two cohorts that take turns, each waiting
//! for the other's sync. Waiting for all of them leaves the disk idle meanwhile. What pays is to
//! wait as long as more would come back during a sync than are there already; never longer than
//! a sync, and never for a lone publisher.

use std::time::{Duration, Instant};

/// Learns from syncs, answers and what follows them.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What a write and its sync take.
    sync: Duration,
    /// What it takes one more publisher to come back.
    comeback: Duration,
    answered: Option<Answered>,
}

/// The last answer.
#[derive(Debug, Clone, Copy)]
struct Answered {
    at: Instant,
    /// Jobs that waited already.
    waiting: usize,
    /// They and those answered: all publishers there are.
    all: usize,
}

impl Pace {
    /// A write and its sync took so long.
    pub(super) fn note_sync(&mut self, took: Duration) {
        self.sync = smooth(self.sync, took);
    }

    /// So many appends are answered now, while so many others wait already.
    pub(super) fn note_answered(&mut self, at: Instant, answered: usize, waiting: usize) {
        self.answered = Some(Answered {
            at,
            waiting,
            all: answered.saturating_add(waiting),
        });
    }

    /// How many jobs to wait for; fewer than two is none.
    pub(super) fn expected(&self) -> usize {
        let all = self.answered.map_or(0, |answered| answered.all);
        let comeback = self.comeback.as_nanos();
        let during_sync = self.sync.as_nanos().checked_div(comeback);
        let during_sync = during_sync.and_then(|count| usize::try_from(count).ok());
        all.min(during_sync.unwrap_or(usize::MAX))
    }

    /// How long to wait for them at most.
    pub(super) fn company(&self) -> Duration {
        self.sync
    }

    /// So many jobs were taken at last.
    pub(super) fn note_taken(&mut self, at: Instant, count: usize) {
        let Some(answered) = self.answered.take() else {
            return;
        };
        let came_back = count.saturating_sub(answered.waiting);
        if let Some(came_back) = u32::try_from(came_back).ok().filter(|count| *count > 0) {
            let took = at.saturating_duration_since(answered.at);
            self.comeback = smooth(self.comeback, took / came_back);
        }
    }
}

/// The running mean; an outlier counts little.
fn smooth(mean: Duration, next: Duration) -> Duration {
    if mean.is_zero() {
        next
    } else {
        (mean * 7 + next.min(mean * 2)) / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const US: Duration = Duration::from_micros(1);

    /// After syncs of 1 ms and publishers that come back every `comeback`.
    fn learned(comeback: Duration) -> Pace {
        let mut pace = Pace::default();
        let now = Instant::now();
        for _ in 0..50 {
            pace.note_sync(MS);
            pace.note_answered(now, 10, 4);
            pace.note_taken(now + comeback * 10, 14);
        }
        pace
    }

    #[test]
    fn the_wait_follows_what_a_sync_costs_and_not_its_outliers() {
        let mut pace = Pace::default();
        assert_eq!(pace.company(), Duration::ZERO);
        (0..50).for_each(|_| pace.note_sync(MS));
        pace.note_sync(MS * 10_000);
        assert!(pace.company() < 2 * MS);
    }

    #[test]
    fn all_publishers_are_waited_for_when_they_are_quick_and_a_lone_one_never() {
        let mut pace = learned(5 * US);
        for (answered, waiting, expected) in [(40, 24, 64), (1, 1, 2), (1, 0, 1)] {
            pace.note_answered(Instant::now(), answered, waiting);
            assert_eq!(pace.expected(), expected);
        }
        assert_eq!(Pace::default().expected(), 0);
    }

    #[test]
    fn slow_ones_are_waited_for_only_while_a_sync_would_bring_more() {
        let mut pace = learned(25 * US);
        pace.note_answered(Instant::now(), 64, 0);
        assert_eq!(pace.expected(), 40);
        let mut pace = learned(5 * MS);
        pace.note_answered(Instant::now(), 64, 0);
        assert_eq!(pace.expected(), 0);
    }
}
