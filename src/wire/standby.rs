//! What a client says inside CopyBoth: the body of a CopyData message into a [`StandbyMessage`].
//!
//! ```text
//! r  +-----+-----------+-----------+-----------+--------------+-------+
//!    | 'r' | write u64 | flush u64 | apply u64 | client clock | reply |   34 bytes
//!    +-----+-----------+-----------+-----------+--------------+-------+
//! h  'h' and anything: hot-standby feedback, which means nothing to logical replication
//! ```
//!
//! The client's clock is not read: real clients send nonsense there.

use crate::lsn::Lsn;

/// What a client says inside CopyBoth (the body of a CopyData message).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyMessage {
    /// `r`
    StatusUpdate {
        /// Written up to here.
        write: Lsn,
        /// Durable up to here.
        flush: Lsn,
        /// Applied up to here.
        apply: Lsn,
        /// A keepalive is asked for at once.
        reply: bool,
    },
    /// `h`: hot-standby feedback, ignored.
    HotStandbyFeedback,
}

/// Not a standby message. The words are those that PostgreSQL logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StandbyMessageError {
    /// Nothing in it.
    #[error("empty message")]
    Empty,
    /// A kind of message that does not exist.
    #[error("unexpected message type \"{}\"", .0.escape_ascii())]
    UnknownType(u8),
    /// A status update that is shorter or longer than one.
    #[error("invalid length {0} of a standby status update")]
    BadLength(usize),
}

impl StandbyMessage {
    /// Parses a CopyData body.
    pub fn parse(body: &[u8]) -> Result<Self, StandbyMessageError> {
        match body.split_first() {
            None => Err(StandbyMessageError::Empty),
            Some((b'r', fields)) => {
                status_update(fields).ok_or(StandbyMessageError::BadLength(body.len()))
            }
            Some((b'h', _)) => Ok(Self::HotStandbyFeedback),
            Some((other, _)) => Err(StandbyMessageError::UnknownType(*other)),
        }
    }
}

fn status_update(fields: &[u8]) -> Option<StandbyMessage> {
    let (write, rest) = fields.split_first_chunk::<8>()?;
    let (flush, rest) = rest.split_first_chunk::<8>()?;
    let (apply, rest) = rest.split_first_chunk::<8>()?;
    let (_clock, rest) = rest.split_first_chunk::<8>()?;
    let [reply] = rest else {
        return None;
    };
    Some(StandbyMessage::StatusUpdate {
        write: Lsn::new(u64::from_be_bytes(*write)),
        flush: Lsn::new(u64::from_be_bytes(*flush)),
        apply: Lsn::new(u64::from_be_bytes(*apply)),
        reply: *reply != 0,
    })
}
