//! PostgreSQL's logical replication messages, both directions, protocol versions 1 to 4.
//!
//! [`Message`] is a message as a value that borrows from its bytes. [`Message::decode`] is total:
//! what is malformed is an error that says what and where, and nothing is allocated that the
//! bytes do not justify. [`Message::encode`] writes what decodes to the same value. Where a
//! message is one of many and must be cheap, [`mod@write`] has its pieces.
//!
//! It knows no record, no table and no stream.

mod decode;
mod encode;
mod error;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod message;
mod reader;
pub mod write;

pub use decode::{Context, Decoder};
pub use error::{DecodeError, DecodeFault, EncodeError};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;
pub use message::{
    AbortInfo, Commit, CommitPrepared, Identity, Message, OldTuple, Prepare, RelationColumn,
    RelationDescription, RollbackPrepared, Tuple, Value,
};

/// A version of the protocol (`proto_version`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// PostgreSQL 10: whole transactions.
    V1,
    /// 14: transactions may be streamed while they run.
    V2,
    /// 15: and prepared.
    V3,
    /// 16: and applied by several workers: an abort says where and when.
    V4,
}

impl Protocol {
    /// The newest.
    pub const NEWEST: Self = Self::V4;

    /// The version with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}
