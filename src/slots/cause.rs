//! Why a slot became invalid, in RedDB's words.

use std::fmt;

/// Why a slot was invalidated (RedDB's causes and strings).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvalidationCause {
    /// `wal-removed`: data the slot needs is gone.
    WalRemoved,
    /// `horizon`: further behind the head than the limit.
    Horizon,
    /// `idle-timeout`: unused for longer than the limit.
    IdleTimeout,
}

impl InvalidationCause {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::WalRemoved, Self::Horizon, Self::IdleTimeout];

    /// The cause as files and views spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WalRemoved => "wal-removed",
            Self::Horizon => "horizon",
            Self::IdleTimeout => "idle-timeout",
        }
    }

    /// The cause spelled `text`, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

impl fmt::Display for InvalidationCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When and why a slot became invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidation {
    /// The cause.
    pub cause: InvalidationCause,
    /// Unix milliseconds.
    pub at_unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_keep_reddbs_spelling() {
        for (cause, text) in [
            (InvalidationCause::WalRemoved, "wal-removed"),
            (InvalidationCause::Horizon, "horizon"),
            (InvalidationCause::IdleTimeout, "idle-timeout"),
        ] {
            assert_eq!(cause.as_str(), text);
            assert_eq!(InvalidationCause::parse(text), Some(cause));
        }
        assert_eq!(InvalidationCause::parse("Horizon"), None);
    }
}
