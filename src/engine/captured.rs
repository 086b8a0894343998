//! A captured database: what its capture stores, and that nobody else does.

use bytes::Bytes;

use crate::captures::{CaptureSettings, StatusCell};
use crate::lsn::Lsn;
use crate::spool::DraftSource;

/// The capture of a database.
#[derive(Debug)]
pub struct Capture {
    /// What it follows.
    pub settings: CaptureSettings,
    /// How it fares.
    pub status: StatusCell,
}

/// The frames of a captured transaction, chunks of [`change`](crate::change).
#[derive(Debug)]
pub enum CapturedFrames {
    /// Those of a transaction that fits into memory.
    Few(Vec<Bytes>),
    /// Those of a large one, fetched while they are written.
    Streamed(Box<dyn DraftSource>),
}

/// A transaction as the upstream committed it.
#[derive(Debug)]
pub struct CapturedTransaction {
    /// Its end there; above the head.
    pub end: Lsn,
    /// When it was committed, unix milliseconds.
    pub commit_ms: u64,
    /// Its frames.
    pub frames: CapturedFrames,
}
