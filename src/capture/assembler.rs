//! Messages of an upstream in, whole transactions out.

use crate::engine::CapturedFrames;
use crate::lsn::Lsn;

/// A table that the upstream described otherwise than it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its OID.
    pub oid: u32,
    /// Its Relation message, without a transaction id.
    pub relation: Vec<u8>,
    /// The Type messages that came for its columns: OID and message, without a transaction id.
    pub types: Vec<(u32, Vec<u8>)>,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssembledKind {
    /// A transaction.
    Transaction,
    /// A logical message of none.
    Message,
}

/// A whole transaction, or a message that belongs to none, ready to be stored.
#[derive(Debug)]
pub struct Assembled {
    /// What it is.
    pub kind: AssembledKind,
    /// Its end. A message ends 8 behind its own position, so that what was stored before it ends
    /// below it.
    pub end: Lsn,
    /// When it was committed, unix milliseconds.
    pub commit_ms: u64,
    /// Its frames.
    pub frames: CapturedFrames,
    /// Tables that it described otherwise than they were known before: their definitions count from
    /// this unit on, and its frames describe them where that happens.
    pub described: Vec<Described>,
}
