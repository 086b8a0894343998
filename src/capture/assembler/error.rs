//! Why a message cannot be taken.

use std::io;

use crate::engine::PublishError;
use crate::pgoutput::DecodeError;

/// Why a message cannot be taken. The connection that it came from is of no use any more; what was
/// under way comes again on the next one.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// It is no message.
    #[error("cannot read what the upstream sends: {0}")]
    Decode(#[from] DecodeError),
    /// It cannot come here.
    #[error("the upstream sent a \"{letter}\" message {place}")]
    OutOfPlace {
        /// Its first byte.
        letter: char,
        /// Where it came.
        place: &'static str,
    },
    /// A piece or the end of a streamed transaction that did not begin.
    #[error("the upstream goes on with transaction {0}, which it did not begin")]
    UnknownTransaction(u32),
    /// A streamed transaction begins again.
    #[error("the upstream begins transaction {0} a second time")]
    BegunTwice(u32),
    /// A change of a table that was not described.
    #[error("the upstream sent a change of table {0}, which it did not describe")]
    NotDescribed(u32),
    /// A message that is longer than PostgreSQL makes them.
    #[error("the upstream sent a \"{letter}\" message of {len} bytes")]
    TooLong {
        /// Its first byte.
        letter: char,
        /// Its length.
        len: usize,
    },
    /// A streamed transaction has logical messages, and a subtransaction of it was rolled back:
    /// PostgreSQL streams all logical messages under the id of the transaction, so nobody can tell
    /// whether they are of the subtransaction. Without streaming it comes as it was committed.
    #[error(
        "transaction {0} has logical messages that may be of a subtransaction that was rolled back"
    )]
    NeedsWhole(u32),
    /// What does not fit into memory could not be kept.
    #[error(transparent)]
    Buffer(#[from] PublishError),
    /// What was kept does not read back.
    #[error("could not read temporary file of a transaction: {0}")]
    ReadBack(#[from] io::Error),
}

impl AssembleError {
    /// Whether the same would pass if the upstream did not stream transactions that are under way.
    pub const fn passes_without_streaming(&self) -> bool {
        matches!(self, Self::NeedsWhole(_))
    }

    /// Whether there is no room on the disk.
    pub const fn is_disk_full(&self) -> bool {
        matches!(
            self,
            Self::Buffer(PublishError::Buffer {
                kind: io::ErrorKind::StorageFull,
                ..
            })
        )
    }
}
