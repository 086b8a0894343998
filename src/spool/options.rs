//! How a spool is opened, and what opening found.

use std::path::PathBuf;

use super::unit::BoundaryFn;
use crate::lsn::Lsn;

/// Which rule recovery follows at a bad frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// Drop only a torn tail; refuse every other damage.
    #[default]
    FailClosed,
    /// RedDB's rule: keep the longest valid prefix, set the rest aside. Reads every segment.
    LongestValidPrefix,
}

/// What a newly created spool starts with.
#[derive(Debug, Clone, Copy)]
pub struct NewSpool {
    /// System identifier; 0 lets `open` make one.
    pub system_id: u64,
    /// Last LSN that came from an import (already multiplied), else zero.
    pub imported_through: Lsn,
    /// Where it begins: everything at or below is not there, and reading may start here.
    pub start: Lsn,
}

/// How a spool is opened.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// A segment is sealed when it is at least this long.
    pub segment_bytes: u64,
    /// So many zeros are written ahead of small appends: overwriting them is cheaper to sync than
    /// growing the file. They are cut off when the segment is sealed or the spool closed; after a
    /// crash they are a clean end. 0 for none.
    pub zeros_ahead: usize,
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
    /// Frames scanned.
    pub frames_scanned: u64,
    /// Head after recovery.
    pub head: Lsn,
    /// End LSN of the newest transaction there is, or where the head was moved to behind it without
    /// one. Below the head only where damage was set aside: what lies between is lost, and who
    /// needed it must be told.
    pub readable: Lsn,
    /// A tail that was cut off and where its bytes were kept.
    pub torn: Option<TornTail>,
    /// Whole segments set aside behind the cut ([`RecoveryMode::LongestValidPrefix`] only).
    pub set_aside: Vec<TornTail>,
    /// Files removed as leftovers of an interrupted seal or prune.
    pub removed_files: Vec<String>,
    /// Index files that were missing; each is rebuilt when a reader first needs it.
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
