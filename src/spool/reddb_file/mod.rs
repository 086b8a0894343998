//! RedDB's own spool file: one plain run of frames of all layouts ([`super::frame`]).
//!
//! Reads it without ever writing to it, cuts it back to its valid prefix on an operator's word,
//! and writes a new one for an export. A torn end is reported; damage with valid frames behind
//! it is told apart and, unless [`RecoveryMode::LongestValidPrefix`] is asked for, refused.
//!
//! It does not know change records: a v1 or v2 frame's term is left to the caller.

mod reader;
mod repair;
mod seek;
mod writer;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::RecoveryMode;
use super::frame::FrameVersion;
use crate::lsn::Lsn;

pub use reader::RedDbReader;
pub use repair::{RedDbCut, RedDbRepair, repair_file};
pub use seek::{SEEK_INTERVAL, SeekIndex};
pub use writer::RedDbWriter;

/// One frame of a RedDB file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedDbFrame {
    /// Its layout.
    pub version: FrameVersion,
    /// Leadership term; v1 and v2 frames have none. See [`RedDbFrame::term_or`].
    pub term: Option<u64>,
    /// Ownership epoch (v3/41 only).
    pub epoch: Option<u64>,
    /// Log position.
    pub lsn: Lsn,
    /// Unix milliseconds (v1: 0).
    pub timestamp_ms: u64,
    /// The payload.
    pub payload: Bytes,
    /// Where the frame starts in the file.
    pub offset: u64,
    /// Its bytes in the file.
    pub len: u64,
}

impl RedDbFrame {
    /// The frame's term, else what `in_payload` finds in the payload, else 1.
    pub fn term_or(&self, in_payload: impl FnOnce(&[u8]) -> Option<u64>) -> u64 {
        self.term
            .or_else(|| in_payload(&self.payload))
            .unwrap_or(DEFAULT_TERM)
    }
}

/// The term of records that name none.
const DEFAULT_TERM: u64 = 1;

/// How a RedDB file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedDbEnd {
    /// With its last frame.
    Clean,
    /// With bytes that are no frame, as an interrupted append leaves them.
    Torn {
        /// Where they start.
        offset: u64,
        /// How many there are.
        bytes: u64,
        /// What is wrong with them, in RedDB's words.
        reason: String,
    },
    /// With bytes that are no frame although valid frames follow: damage, not a torn append.
    Corrupt {
        /// Where the damage starts.
        offset: u64,
        /// How many bytes follow from there.
        bytes: u64,
        /// What is wrong there, in RedDB's words.
        reason: String,
    },
}

impl RedDbEnd {
    /// Whether `mode` accepts the frames before this end; damage is refused by
    /// [`RecoveryMode::FailClosed`].
    pub fn accept(&self, mode: RecoveryMode) -> Result<(), RedDbError> {
        match (self, mode) {
            (Self::Corrupt { offset, reason, .. }, RecoveryMode::FailClosed) => {
                let (offset, reason) = (*offset, reason.clone());
                Err(RedDbError::Corrupt { offset, reason })
            }
            (Self::Corrupt { .. }, RecoveryMode::LongestValidPrefix)
            | (Self::Clean | Self::Torn { .. }, _) => Ok(()),
        }
    }
}

/// Why a RedDB file is refused.
#[derive(Debug, thiserror::Error)]
pub enum RedDbError {
    /// Damage that is not a torn end.
    #[error("the file is corrupt at offset {offset}: {reason}")]
    Corrupt {
        /// Where the damage starts.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The error.
        #[source]
        source: io::Error,
    },
}

/// The files that belong to RedDB's data path `DIR/x.rdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedDbNames {
    /// `DIR/x.rdb.logical.wal`.
    pub spool: PathBuf,
    /// `DIR/x.rdb.logical.slots.json`.
    pub slots: PathBuf,
    /// What a prune leaves when it is interrupted.
    pub spool_temp: PathBuf,
    /// What saving the slots leaves when it is interrupted.
    pub slots_temp: PathBuf,
}

impl RedDbNames {
    /// The names for the data path `data`.
    pub fn of(data: &Path) -> Self {
        let name = |suffix: &str| {
            let mut name = data
                .file_name()
                .map_or_else(|| OsString::from("reddb.rdb"), OsString::from);
            name.push(suffix);
            match data.file_name() {
                Some(_) => data.with_file_name(name),
                None => data.join(name),
            }
        };
        Self {
            spool: name(".logical.wal"),
            slots: name(".logical.slots.json"),
            spool_temp: name(".logical.logical.wal.tmp"),
            slots_temp: name(".logical.slots.logical.slots.tmp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rg12_file_names() {
        let names = RedDbNames::of(Path::new("dir/x.rdb"));
        assert_eq!(names.spool, Path::new("dir/x.rdb.logical.wal"));
        assert_eq!(names.slots, Path::new("dir/x.rdb.logical.slots.json"));
        let temp = Path::new("dir/x.rdb.logical.logical.wal.tmp");
        assert_eq!(names.spool_temp, temp);
        let temp = Path::new("dir/x.rdb.logical.slots.logical.slots.tmp");
        assert_eq!(names.slots_temp, temp);
        for (data, spool) in [
            ("x.rdb", "x.rdb.logical.wal"),
            ("dir/x", "dir/x.logical.wal"),
            ("", "reddb.rdb.logical.wal"),
            ("/", "/reddb.rdb.logical.wal"),
        ] {
            assert_eq!(RedDbNames::of(Path::new(data)).spool, Path::new(spool));
        }
    }
}
