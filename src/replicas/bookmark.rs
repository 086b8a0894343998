//! Causal bookmarks: "my read must see what I wrote", as an opaque token.
//!
//! ```text
//! rbm1. 0000000000000012 0000000000000345      (without the blanks: 37 characters)
//!       term, 16 hex     commit LSN, 16 hex
//! ```

use std::fmt;
use std::str::FromStr;

use crate::lsn::Lsn;

const PREFIX: &str = "rbm1.";
const HALF: usize = 16;

/// A write's place in history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    /// Term it was written in.
    pub term: u64,
    /// Its end LSN.
    pub commit_lsn: Lsn,
}

/// Not a bookmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseBookmarkError {
    /// Another beginning.
    #[error("invalid causal bookmark prefix")]
    InvalidPrefix,
    /// Not 32 bytes after the prefix.
    #[error("invalid causal bookmark length")]
    InvalidLength,
    /// Not hexadecimal.
    #[error("invalid causal bookmark hex")]
    InvalidHex,
}

/// Why a bookmark's write is not there to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookmarkError {
    /// History went on in another term: the write may be gone.
    #[error("bookmark is of term {}, applied is term {}", .target.term, .applied.term)]
    TermMismatch {
        /// Asked.
        target: Bookmark,
        /// Applied.
        applied: Bookmark,
    },
    /// Not applied in time.
    #[error("bookmark {} is not applied yet, applied is {}", .target.commit_lsn, .applied.commit_lsn)]
    Timeout {
        /// Asked.
        target: Bookmark,
        /// Applied.
        applied: Bookmark,
    },
}

impl Bookmark {
    /// Whether a reader at `applied` (contiguously, never what was merely received) sees the
    /// write: `Ok(false)` for not yet.
    pub fn is_reached(&self, applied: Self) -> Result<bool, BookmarkError> {
        if applied.commit_lsn < self.commit_lsn {
            Ok(false)
        } else if applied.term == self.term {
            Ok(true)
        } else {
            Err(BookmarkError::TermMismatch {
                target: *self,
                applied,
            })
        }
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{:016x}{:016x}",
            self.term,
            self.commit_lsn.get()
        )
    }
}

impl FromStr for Bookmark {
    type Err = ParseBookmarkError;

    /// Checks prefix, then length, then digits; never panics, whatever the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix(PREFIX)
            .ok_or(ParseBookmarkError::InvalidPrefix)?;
        if digits.len() != 2 * HALF {
            return Err(ParseBookmarkError::InvalidLength);
        }
        let half = |half: Option<&str>| {
            half.and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .ok_or(ParseBookmarkError::InvalidHex)
        };
        Ok(Self {
            term: half(digits.get(..HALF))?,
            commit_lsn: Lsn::new(half(digits.get(HALF..))?),
        })
    }
}
