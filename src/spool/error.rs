//! What can go wrong, one enum per operation.

use std::io;
use std::sync::Arc;

use crate::lsn::Lsn;

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Damage that is not a torn tail. Nothing was changed.
    #[error("spool is corrupt: segment {segment}, offset {offset}: {reason}")]
    Corrupt {
        /// Segment (or manifest) file name.
        segment: String,
        /// Byte offset of the first fault.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The error.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn corrupt(segment: &str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            segment: segment.to_owned(),
            offset,
            reason: reason.into(),
        }
    }

    /// Names what was tried, for use in `map_err`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// Why the writer has stopped for good.
#[derive(Debug, thiserror::Error)]
#[error("the writer has stopped: {action} failed: {error}")]
pub struct WriterFailure {
    /// What failed.
    pub action: String,
    /// The operating system's words.
    pub error: String,
    /// Its kind.
    pub kind: io::ErrorKind,
}

impl WriterFailure {
    /// Names what was tried, for use in `map_err`.
    pub(super) fn of(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |error| Self {
            action,
            kind: error.kind(),
            error: error.to_string(),
        }
    }
}

/// Why an append was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// A payload over [`MAX_PAYLOAD`](super::MAX_PAYLOAD). Nothing of the batch was appended.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A chosen LSN does not lie far enough above the one before. Nothing of the batch was
    /// appended.
    #[error("position {lsn} is not at least {step} above {head}")]
    LsnNotRising {
        /// The chosen position.
        lsn: Lsn,
        /// The end of the transaction before it.
        head: Lsn,
        /// The least step for this transaction.
        step: u64,
    },
    /// The manifest cannot vouch for a position above the head.
    #[error("position {position} is ahead of the head {head}")]
    AheadOfHead {
        /// The asked position.
        position: Lsn,
        /// The head.
        head: Lsn,
    },
    /// The manifest could not be replaced; the old one stands, and the writer goes on.
    #[error("cannot write the manifest: {error}")]
    Manifest {
        /// The operating system's words.
        error: String,
        /// Its kind.
        kind: io::ErrorKind,
    },
    /// The writer failed earlier or in this append; see [`WriterFailure`].
    #[error(transparent)]
    Stopped(Arc<WriterFailure>),
    /// The spool is closing.
    #[error("the spool is closed")]
    Closed,
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Data after the asked position was pruned.
    #[error(
        "data after {since} was removed; the oldest position to read from is {removed_through}"
    )]
    Removed {
        /// The asked position.
        since: Lsn,
        /// Everything at or below this is gone.
        removed_through: Lsn,
    },
    /// A frame that was durable does not read back.
    #[error("segment {segment} is corrupt at offset {offset}: {reason}")]
    Corrupt {
        /// Segment file name.
        segment: String,
        /// Byte offset.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot read segment {segment}: {error}")]
    Io {
        /// Segment file name.
        segment: String,
        /// The operating system's words.
        error: String,
    },
}

impl ReadError {
    pub(super) fn corrupt(segment: &str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            segment: segment.to_owned(),
            offset,
            reason: reason.into(),
        }
    }

    /// Names the segment, for use in `map_err`.
    pub(super) fn io(segment: &str) -> impl FnOnce(io::Error) -> Self {
        let segment = segment.to_owned();
        move |error| Self::Io {
            segment,
            error: error.to_string(),
        }
    }
}
