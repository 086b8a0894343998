//! How long the writer waits for a group to come together.
//!
//! Publishers that wait for their answer come back right after a sync. Writing at once what the
//! first of them brings would split them into two cohorts that take turns, each waiting for the
//! other's sync. So after a group of several the writer waits a moment, in proportion to what a
//! sync costs, for as many to be back. A lone publisher is never kept waiting.

use std::time::Duration;

/// Learns from syncs and answers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    answered: usize,
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

    /// So many appends were answered after it.
    pub(super) fn note_answered(&mut self, count: usize) {
        if count > 0 {
            self.answered = count;
        }
    }

    /// How many are expected back.
    pub(super) fn expected(&self) -> usize {
        self.answered
    }

    /// How long to wait for them.
    pub(super) fn company(&self) -> Duration {
        if self.answered > 1 {
            self.sync / 2
        } else {
            Duration::ZERO
        }
    }
}
