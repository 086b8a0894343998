//! Change records and their bytes: RedDB's JSON with exact numbers, and the payload envelope
//! that says where a frame stands in its transaction.
//!
//! Encoding writes RedDB's canonical JSON with every number exact. Decoding borrows: strings stay
//! slices of the text until somebody asks for a [`ChangeRecord`]. Metadata is the one part that
//! becomes a tree, whose numbers keep the producer's digits.
//!
//! It does not know files, LSN assignment or subscribers.

mod canonical;
mod chunk;
mod deliver;
mod encode;
mod envelope;
mod fields;
mod metadata;
mod producer;
mod raw;
mod record;

pub use chunk::{
    CHUNK_BYTES, ChunkError, ChunkFlags, ChunkReader, MAX_MESSAGE, MESSAGE_HEAD, MESSAGE_PART,
    begin_chunk, begin_message, set_flags,
};
pub use deliver::{deliver, numbered, own_lsn, payload_term};
pub use encode::{EncodeError, OpenRecord, encode, encode_open, encode_open_into, public_kind};
pub use envelope::{boundary, frame_part_prefix, parse_payload};
pub use producer::{Numbered, ProducerName, ProducerNameError};

pub(crate) use encode::{write_json, write_open};
pub(crate) use envelope::PayloadRef;
pub(crate) use fields::{Fields, Hex};
pub(crate) use raw::{Member, RawRecord};

use bytes::Bytes;

use crate::lsn::Lsn;

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new row.
    Insert,
    /// A changed row.
    Update,
    /// A removed row.
    Delete,
    /// All rows of the collection are replaced.
    Refresh,
    /// All rows of the collection are removed (RedDB knows no such record).
    Truncate,
    /// Not a change of a row but a message among them (RedDB knows no such record).
    Message,
}

impl Operation {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Refresh => "refresh",
            Self::Truncate => "truncate",
            Self::Message => "message",
        }
    }

    /// Finds it by that name, which is case-sensitive.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "insert" => Some(Self::Insert),
            "update" => Some(Self::Update),
            "delete" => Some(Self::Delete),
            "refresh" => Some(Self::Refresh),
            "truncate" => Some(Self::Truncate),
            "message" => Some(Self::Message),
            _ => None,
        }
    }
}

/// One change of one row (or of a whole collection).
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeRecord {
    /// Leadership term.
    pub term: u64,
    /// The record's own position.
    pub lsn: u64,
    /// Unix milliseconds.
    pub timestamp: u64,
    /// What it does.
    pub operation: Operation,
    /// Where the row lives.
    pub collection: String,
    /// The row's key (`rid`).
    pub entity_id: u64,
    /// Kind of row (`kind`), as given; encoding maps it to the public kinds.
    pub entity_kind: String,
    /// The row (`entity_bytes_hex`).
    pub entity_bytes: Option<Vec<u8>>,
    /// Free data beside the row; `Some(Null)` differs from `None`.
    pub metadata: Option<serde_json::Value>,
    /// The rows of a refresh (`refresh_records_hex`).
    pub refresh_records: Option<Vec<Vec<u8>>>,
    /// Names of the changed columns of an update (ours: `changed_columns`).
    pub changed_columns: Option<Vec<String>>,
    /// The row before an update or delete, or its key (ours: `old`).
    pub old: Option<Vec<u8>>,
    /// Names of columns that an update left as they were and whose values the row does not carry
    /// (ours: `unchanged`).
    pub unchanged: Option<Vec<String>>,
    /// Its producer and number (ours: `producer` and `seq`).
    pub numbered: Option<Numbered>,
    /// What a message has beside its content, which is in `entity_bytes`; a message always has
    /// it, nothing else does (ours: `prefix` and `transactional`).
    pub message: Option<MessageHead>,
}

impl ChangeRecord {
    /// It is a message that belongs to no transaction: a unit of its own.
    pub fn stands_alone(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|head| !head.transactional)
    }
}

/// What a logical message has beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageHead {
    /// Whose message it is.
    pub prefix: String,
    /// It belongs to its transaction; otherwise it is a unit of its own.
    pub transactional: bool,
}

/// A payload that is not a change record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// Reads a payload as RedDB does: a missing or odd `term` is 1, other missing numbers are 0,
/// unknown keys are ignored. Numbers past 64 bits are errors, never changed; in metadata every
/// number keeps its digits.
pub fn decode(payload: &[u8]) -> Result<ChangeRecord, DecodeError> {
    Fields::decode(payload).map(Fields::into_record)
}

/// A record encoded but for the digits of its LSN.
#[derive(Debug, Clone)]
pub struct EncodedRecord {
    /// The payload without the digits of `lsn`.
    pub bytes: Bytes,
    /// Where the digits of `lsn` go.
    pub lsn_at: usize,
}

/// Where a frame's payload stands in its transaction, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A bare JSON change record: a whole transaction.
    Whole(Bytes),
    /// One JSON change record of a transaction of several (payload version 2).
    Part {
        /// First of its transaction.
        first: bool,
        /// Last of its transaction.
        last: bool,
        /// The JSON.
        json: Bytes,
    },
    /// Anything else: delivered as it is, a whole transaction.
    Opaque(Bytes),
}

/// LSN of the only change in the transaction that ends at `end`: `end - 56`. It lies at least 8
/// above the previous transaction's end and below the final LSN, since ends are 64 apart.
pub fn only_change_lsn(end: Lsn) -> Lsn {
    end.saturating_sub(56)
}

/// The LSN that Begin and Commit call `final_lsn` / `commit_lsn`: `end - 8`.
pub fn final_lsn(end: Lsn) -> Lsn {
    end.saturating_sub(8)
}

/// Transaction id of a local transaction: the low 32 bits of `end / 8`, plus 3 if below 3.
pub fn xid(end: Lsn) -> u32 {
    let low = u32::try_from((end.get() / 8) & 0xFFFF_FFFF).unwrap_or(u32::MAX);
    if low < 3 { low + 3 } else { low }
}
