//! Append, sync, read back and prune opaque frames by LSN.
//!
//! One database's spool is a folder of segment files, each a plain run of RedDB v3 frames
//! (`docs/format.md`), with a manifest beside them. One writer thread decides LSN, file order and
//! index together; readers see a transaction only after its last sync. A failed write or sync
//! stops the writer for good. The payload is opaque here but for one question, asked through
//! [`BoundaryFn`]: where in its transaction does this frame stand?
//!
//! It does not know slots, change records or subscribers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::Disk;
use crate::lsn::Lsn;

pub mod frame;
pub mod reddb_file;

/// The largest payload, inclusive, on both the writing and the reading side: 256 MiB.
pub const MAX_PAYLOAD: usize = 256 << 20;
/// Where the LSNs of a new database begin.
pub const FIRST_LSN: Lsn = Lsn::new(0x100_0000);
/// The least distance between two transaction ends that can be served over the wire.
pub const MIN_LSN_STEP: u64 = 64;

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
    pub version: frame::FrameVersion,
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

/// The frames of one transaction.
#[derive(Debug, Clone)]
pub enum Drafts {
    /// One frame: the common case, without an allocation of its own.
    One(Draft),
    /// Several frames, in order, not empty.
    Many(Vec<Draft>),
}

/// One transaction to append.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Term of its frames.
    pub term: u64,
    /// Commit time of its frames, unix milliseconds.
    pub timestamp_ms: u64,
    /// End LSN chosen by the caller (import, embedding engine), rising and at least
    /// [`MIN_LSN_STEP`] apart; `None` lets the writer choose.
    pub lsn: Option<Lsn>,
    /// The frames.
    pub frames: Drafts,
}

/// Which rule recovery follows at a bad frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// Drop only a torn tail; refuse every other damage.
    #[default]
    FailClosed,
    /// RedDB's rule: keep the longest valid prefix, set the rest aside.
    LongestValidPrefix,
}

/// What a newly created spool starts with.
#[derive(Debug, Clone, Copy)]
pub struct NewSpool {
    /// System identifier; 0 lets `open` make one.
    pub system_id: u64,
    /// Last LSN that came from an import (already multiplied), else zero.
    pub imported_through: Lsn,
}

/// How a spool is opened.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// A segment is sealed when it is at least this long.
    pub segment_bytes: u64,
    /// Most frames kept in memory for readers at the tail.
    pub ring_frames: usize,
    /// Most payload bytes kept in memory for readers at the tail.
    pub ring_bytes: usize,
    /// Recovery rule.
    pub recovery: RecoveryMode,
    /// The payload's place in its transaction.
    pub boundary: BoundaryFn,
    /// Highest persisted slot position: a recovered head below it is corruption.
    pub persisted_position: Lsn,
    /// Used when the folder holds no spool yet.
    pub new: NewSpool,
}

/// What `open` found and did.
#[derive(Debug, Clone, Default)]
pub struct RecoveryReport {
    /// The spool was created by this open.
    pub created: bool,
    /// Frames scanned in the active segment.
    pub frames_scanned: u64,
    /// Head after recovery.
    pub head: Lsn,
    /// A tail that was cut off and where its bytes were kept.
    pub torn: Option<TornTail>,
    /// Files removed as leftovers of an interrupted seal or prune.
    pub removed_files: Vec<String>,
    /// Index files rebuilt.
    pub rebuilt_indexes: Vec<String>,
}

/// A torn tail that recovery cut off.
#[derive(Debug, Clone)]
pub struct TornTail {
    /// Segment file name.
    pub segment: String,
    /// Where the cut was made.
    pub offset: u64,
    /// How many bytes were set aside.
    pub bytes: u64,
    /// The side file that keeps them.
    pub kept_in: PathBuf,
    /// What was wrong at the cut.
    pub reason: String,
}

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
        source: std::io::Error,
    },
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
    pub kind: std::io::ErrorKind,
}

/// Why an append was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// A payload over [`MAX_PAYLOAD`]. Nothing of the batch was appended.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A chosen LSN does not lie far enough above the one before.
    #[error("position {lsn} is not at least {step} above {head}")]
    LsnNotRising {
        /// The chosen position.
        lsn: Lsn,
        /// The end of the transaction before it.
        head: Lsn,
        /// The least step for this transaction.
        step: u64,
    },
    /// The writer failed earlier or in this append; see [`WriterFailure`].
    #[error(transparent)]
    Stopped(Arc<WriterFailure>),
    /// The spool is closing.
    #[error("the spool is closed")]
    Closed,
}

/// What an append made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// End LSN of the first transaction.
    pub first_lsn: Lsn,
    /// End LSN of the last transaction.
    pub last_lsn: Lsn,
    /// How many transactions.
    pub num_transactions: u64,
}

/// The answer to an append that is still on its way to the disk.
#[derive(Debug)]
pub struct AppendTicket {
    _private: (),
}

impl AppendTicket {
    /// Blocks until the batch is durable or refused. Not for async tasks.
    pub fn wait(self) -> Result<Appended, AppendError> {
        todo!()
    }
}

impl Future for AppendTicket {
    type Output = Result<Appended, AppendError>;
    fn poll(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        todo!()
    }
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

/// What a cursor found without touching the disk.
#[derive(Debug)]
pub enum MemoryRead {
    /// Next frames, in order.
    Frames(Vec<Frame>),
    /// Nothing after the cursor's position yet.
    AtHead,
    /// The next frames are on disk only: use [`Cursor::read_disk`].
    NeedsDisk,
}

/// A reader's place in the spool. Reading is exclusive: a cursor made with `since` first yields
/// the first frame of the first transaction that ends above `since`. It pins the segment it is
/// in: pruning does not take it away.
#[derive(Debug)]
pub struct Cursor {
    _private: (),
}

impl Cursor {
    /// Next frames from the ring in memory; never touches the disk.
    pub fn read_memory(&mut self, _max_bytes: usize) -> Result<MemoryRead, ReadError> {
        todo!()
    }

    /// Next frames from disk (about `max_bytes` of them, at least one unless at the head).
    /// Blocking: not for async tasks.
    pub fn read_disk(&mut self, _max_bytes: usize) -> Result<Vec<Frame>, ReadError> {
        todo!()
    }

    /// End LSN of the last transaction whose last frame was yielded (or the start).
    pub fn position(&self) -> Lsn {
        todo!()
    }
}

/// Waits until the head is above a position. Dropping it unregisters.
#[derive(Debug)]
pub struct HeadWait {
    _private: (),
}

impl HeadWait {
    /// Blocks at most `timeout`; true when the head is above the position.
    pub fn wait_timeout(self, _timeout: std::time::Duration) -> bool {
        todo!()
    }
}

impl Future for HeadWait {
    /// The head, now above the awaited position.
    type Output = Lsn;
    fn poll(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        todo!()
    }
}

/// What pruning may do with the active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveSegment {
    /// Leave it, whatever it holds.
    Keep,
    /// Seal and remove it too when all of it lies at or below the position.
    Include,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOutcome {
    /// Segment files removed.
    pub num_segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Everything at or below this is gone.
    pub removed_through: Lsn,
}

/// One segment, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// File name.
    pub name: String,
    /// End LSN of its first and last transaction (zero when empty).
    pub first_lsn: Lsn,
    /// See `first_lsn`.
    pub last_lsn: Lsn,
    /// File bytes.
    pub bytes: u64,
    /// Frames in it.
    pub frames: u64,
    /// No more is written to it.
    pub sealed: bool,
}

/// The spool at one moment.
#[derive(Debug, Clone)]
pub struct SpoolState {
    /// End LSN of the last durable transaction.
    pub head: Lsn,
    /// Everything at or below this was pruned; reading may start here.
    pub removed_through: Lsn,
    /// End LSN of the oldest readable transaction, `None` when there is none.
    pub oldest_lsn: Option<Lsn>,
    /// Leadership term new frames get.
    pub term: u64,
    /// System identifier.
    pub system_id: u64,
    /// Last imported LSN, zero when nothing was imported.
    pub imported_through: Lsn,
    /// Position up to which the manifest vouches for the data.
    pub durable_point: Lsn,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Syncs done by the writer since open.
    pub num_syncs: u64,
    /// Transactions appended since open.
    pub num_appended: u64,
    /// Set once the writer has stopped for good.
    pub failure: Option<Arc<WriterFailure>>,
}

/// One database's spool. Clones share it; the last one to go closes it cleanly.
#[derive(Debug, Clone)]
pub struct Spool {
    _private: (),
}

impl Spool {
    /// Opens or creates the spool in the folder `dir` (`manifest.json` and `spool/`).
    pub fn open(
        _disk: Arc<dyn Disk>,
        _dir: &Path,
        _options: SpoolOptions,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        todo!()
    }

    /// Queues transactions; they get their LSNs in queue order and become durable together.
    /// All or nothing is promised per transaction, not per batch.
    pub fn append(&self, _units: Vec<Unit>) -> Result<AppendTicket, AppendError> {
        todo!()
    }

    /// End LSN of the last durable transaction.
    pub fn head(&self) -> Lsn {
        todo!()
    }

    /// A snapshot of positions and counters; cheap.
    pub fn state(&self) -> SpoolState {
        todo!()
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!()
    }

    /// A reader after `since`. May read an index from disk.
    pub fn cursor(&self, _since: Lsn) -> Result<Cursor, ReadError> {
        todo!()
    }

    /// Waits for the head to pass `since`.
    pub fn wait_after(&self, _since: Lsn) -> HeadWait {
        todo!()
    }

    /// Removes whole segments at or below `upto`. Blocking.
    pub fn prune(&self, _upto: Lsn, _active: ActiveSegment) -> Result<PruneOutcome, AppendError> {
        todo!()
    }

    /// Makes the manifest vouch for everything up to the present head, which must be at least
    /// `at_least`. Called before a slot position is persisted. Blocking; no-op when it already does.
    pub fn persist_durable_point(&self, _at_least: Lsn) -> Result<(), AppendError> {
        todo!()
    }

    /// Adopts a higher term, durably, before it returns. Blocking.
    pub fn set_term(&self, _term: u64) -> Result<(), AppendError> {
        todo!()
    }

    /// The position to read from so that the first transaction read is the first with a commit
    /// time at or after `unix_ms`. Blocking.
    pub fn position_at_time(&self, _unix_ms: u64) -> Result<Lsn, ReadError> {
        todo!()
    }

    /// Writes the durable point and stops the writer. Blocking; further appends are refused.
    pub fn close(&self) -> Result<(), AppendError> {
        todo!()
    }
}
