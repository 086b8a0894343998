//! Time as an argument: one instant read from both clocks.
//!
//! Decisions never read a clock; they are given a [`Moment`]. Wall-clock time is for stamps that
//! people and other systems read; everything that measures a span uses the steady clock, so that
//! a jump of the wall clock changes nothing.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One instant, as the wall clock and as the steady clock of this process show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Unix time in milliseconds; for stamps only.
    pub unix_ms: u64,
    /// Time since the process started, never running backwards; for spans.
    pub steady: Duration,
}

impl Moment {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self {
            unix_ms: unix_ms(),
            steady: STARTED.elapsed(),
        }
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.steady.saturating_sub(earlier.steady)
    }

    /// A test clock's instant: both clocks show `ms` milliseconds.
    pub const fn at_ms(ms: u64) -> Self {
        Self {
            unix_ms: ms,
            steady: Duration::from_millis(ms),
        }
    }
}

fn unix_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
