//! What is wrong with a message.

use super::Protocol;

/// The bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} message, byte {offset}: {fault}", display_tag(*tag))]
pub struct DecodeError {
    /// The first byte of the message, if there was one.
    pub tag: Option<u8>,
    /// Where, counted from its first byte.
    pub offset: usize,
    /// What.
    pub fault: DecodeFault,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// There is no byte at all.
    #[error("it is empty")]
    Empty,
    /// No message begins so.
    #[error("there is no such message")]
    UnknownMessage,
    /// The message is not of the protocol that was agreed.
    #[error("protocol {} has no such message", .0.number())]
    NotInProtocol(Protocol),
    /// It cannot come between Stream Start and Stream Stop.
    #[error("it cannot be a part of a streamed transaction")]
    InStream,
    /// It can come only between Stream Start and Stream Stop.
    #[error("no streamed transaction is open")]
    NotInStream,
    /// It ends before it should.
    #[error("{0} is cut off")]
    Short(&'static str),
    /// A count or length below zero.
    #[error("{0} is negative")]
    Negative(&'static str),
    /// A value that has no meaning.
    #[error("{0} has no known value")]
    Value(&'static str),
    /// It is not text in UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// It should have ended.
    #[error("there is more than the message")]
    Trailing,
}

fn display_tag(tag: Option<u8>) -> String {
    tag.map_or_else(
        || "no".to_owned(),
        |tag| format!("\"{}\"", tag.escape_ascii()),
    )
}

/// The value has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A name with a NUL would end there.
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
    /// Lengths and counts end at the largest number of their width.
    #[error("{0} is too large for a logical replication message")]
    TooLarge(&'static str),
}
