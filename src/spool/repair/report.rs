//! What a repair has to know, and what it says afterwards.

use std::path::PathBuf;

use crate::lsn::Lsn;
use crate::spool::options::NewSpool;
use crate::spool::unit::BoundaryFn;

/// What a repair has to know.
#[derive(Debug, Clone)]
pub struct RepairOptions {
    /// The payload's place in its transaction.
    pub boundary: BoundaryFn,
    /// Highest persisted slot position: new transactions end above it.
    pub persisted_position: Lsn,
    /// What a new manifest says where the old one is lost.
    pub new: NewSpool,
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Anything was changed.
    pub changed: bool,
    /// The manifest was missing or damaged and was made from the segments.
    pub rebuilt_manifest: bool,
    /// Files moved out of the way.
    pub quarantined: Vec<Quarantined>,
    /// What was cut off the active segment.
    pub cut: Option<CutOff>,
    /// Positions whose data is gone.
    pub lost: Vec<LostRange>,
    /// Indexes written anew.
    pub rebuilt_indexes: Vec<String>,
    /// Everything at or below this is gone.
    pub removed_through: Lsn,
    /// Head; new transactions end above it.
    pub head: Lsn,
}

/// A file that was moved out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its name before.
    pub file: String,
    /// Where it is now.
    pub kept_in: PathBuf,
    /// Why.
    pub reason: String,
}

/// Bytes that were cut off the active segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOff {
    /// The segment.
    pub segment: String,
    /// Where.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
    /// The side file that holds them.
    pub kept_in: PathBuf,
    /// What was wrong there.
    pub reason: String,
}

/// Transactions that ended above `after`, up to `through`, are gone. A slot below `through`
/// would miss some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRange {
    /// Exclusive.
    pub after: Lsn,
    /// Inclusive.
    pub through: Lsn,
}
