//! What goes into the spool and what comes out: transactions of drafts, and frames.

use std::fmt;
use std::io;

use bytes::Bytes;

use super::frame::{FrameVersion, OVERHEAD};
use crate::lsn::Lsn;

/// Where a frame stands in its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    /// The frame is its transaction's first.
    pub first: bool,
    /// The frame is its transaction's last.
    pub last: bool,
}

/// Reads a frame's place in its transaction from its payload. Must not panic.
pub type BoundaryFn = fn(&[u8]) -> Boundary;

/// One frame as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The layout it was read from.
    pub version: FrameVersion,
    /// Leadership term (v1 and v2 frames carry none: 1).
    pub term: u64,
    /// End LSN of the transaction the frame belongs to.
    pub lsn: Lsn,
    /// Unix milliseconds (v1: 0).
    pub timestamp_ms: u64,
    /// Its place in its transaction.
    pub boundary: Boundary,
    /// Shared bytes of the payload.
    pub payload: Bytes,
}

/// What the writer fills into the hole of a [`Draft`], in decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// The transaction's end LSN (a record that is a whole transaction).
    EndLsn,
    /// The LSN of this frame's own change (one of several in a transaction).
    OwnLsn,
}

/// A payload before its LSN is known.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The payload without the digits of its LSN.
    pub bytes: Bytes,
    /// Where the digits go (offset into `bytes`), and which LSN; `None` for a payload that is
    /// stored as it is.
    pub hole: Option<(usize, Stamp)>,
}

/// The most digits a `u64` has; a hole counts as this many, so that sizes, and with them LSNs,
/// do not depend on the LSN itself.
const HOLE_DIGITS: usize = 20;

impl Draft {
    /// The payload's length with its hole counted as 20 digits.
    pub(super) fn counted_payload(&self) -> usize {
        let digits = if self.hole.is_some() { HOLE_DIGITS } else { 0 };
        self.bytes.len().saturating_add(digits)
    }

    /// The whole frame's length, counted the same way.
    pub fn counted_frame(&self) -> usize {
        self.counted_payload().saturating_add(OVERHEAD)
    }
}

/// The frames of one transaction.
#[derive(Debug, Clone)]
pub enum Drafts {
    /// One frame: the common case, without an allocation of its own.
    One(Draft),
    /// Several frames, in order, not empty.
    Many(Vec<Draft>),
}

impl Drafts {
    /// The frames in order.
    pub fn as_slice(&self) -> &[Draft] {
        match self {
            Self::One(draft) => std::slice::from_ref(draft),
            Self::Many(drafts) => drafts,
        }
    }
}

/// Where a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The writer chooses.
    Local,
    /// The caller chose (import, embedding engine): rising, and at least
    /// [`MIN_LSN_STEP`](super::MIN_LSN_STEP) apart.
    Chosen(Lsn),
    /// As an upstream has it: anywhere above the head.
    Upstream(Lsn),
}

/// One transaction to append.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Term of its frames.
    pub term: u64,
    /// Commit time of its frames, unix milliseconds.
    pub timestamp_ms: u64,
    /// Where it ends.
    pub end: End,
    /// The frames.
    pub frames: Drafts,
}

impl Unit {
    /// Bytes of all its frames, holes counted as 20 digits.
    pub(super) fn counted_bytes(&self) -> usize {
        self.frames.as_slice().iter().fold(0, |sum: usize, draft| {
            sum.saturating_add(draft.counted_frame())
        })
    }
}

/// The frames of a transaction that need not fit into memory: fetched one by one while they are
/// written.
pub trait DraftSource: fmt::Debug + Send {
    /// How many frames there are, at least one.
    fn num_frames(&self) -> u64;

    /// Bytes of all of them, each as [`Draft::counted_frame`] counts it.
    fn counted_bytes(&self) -> u64;

    /// Bytes of memory that it holds while it waits.
    fn memory_bytes(&self) -> u64;

    /// The next frame, `None` after the last. An error stops the writer for good: what was
    /// written of the transaction cannot be taken back, and the next start cuts it off.
    fn next_draft(&mut self) -> io::Result<Option<Draft>>;
}

/// One transaction to append, whatever its size.
#[derive(Debug)]
pub struct StreamedUnit {
    /// Term of its frames.
    pub term: u64,
    /// Commit time of its frames, unix milliseconds.
    pub timestamp_ms: u64,
    /// Where it ends.
    pub end: End,
    /// The frames.
    pub drafts: Box<dyn DraftSource>,
}

/// What one append brings.
#[derive(Debug)]
pub(super) enum Work {
    Units(Vec<Unit>),
    Streamed(StreamedUnit),
}
