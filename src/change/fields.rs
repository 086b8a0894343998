//! RedDB's reading of a change record, borrowed from its JSON: what decoding and re-encoding
//! share. A stricter reading (what a producer may send) fills the same [`Fields`].

use std::borrow::Cow;

use serde_json::Value;

use super::canonical;
use super::raw::{Member, RawRecord};
use super::{
    ChangeRecord, DecodeError, EncodeError, MessageHead, Numbered, Operation, ProducerName,
};

/// Bytes, as they are or as hexadecimal digits (checked: an even number, of either case).
#[derive(Debug, Clone)]
pub(crate) enum Hex<'a> {
    Digits(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Hex<'a> {
    /// Checks the digits given for `key`.
    pub(crate) fn parse(digits: Cow<'a, str>, key: &str) -> Result<Self, DecodeError> {
        // No early exit, so that it compiles to vector instructions: most of a record's bytes
        // pass through here.
        let are_hex = digits
            .bytes()
            .fold(true, |so_far, digit| so_far & digit.is_ascii_hexdigit());
        if !digits.len().is_multiple_of(2) || !are_hex {
            return Err(DecodeError(format!("invalid hexadecimal digits in {key}")));
        }
        Ok(Self::Digits(digits))
    }

    /// The rows of a refresh.
    pub(crate) fn parse_list(list: Member<'a>) -> Result<Option<Vec<Self>>, DecodeError> {
        let key = "refresh_records_hex";
        let Some(entries) = list.texts(key)? else {
            return Ok(None);
        };
        let entries = entries.into_iter().map(|digits| Self::parse(digits, key));
        entries.collect::<Result<_, _>>().map(Some)
    }

    /// The bytes.
    pub(crate) fn to_bytes(&self) -> Cow<'a, [u8]> {
        match self {
            // Checked in `parse`, so this never falls back.
            Self::Digits(digits) => hex::decode(digits.as_ref()).unwrap_or_default().into(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }

    /// The bytes, in `buffer` instead of what was there.
    pub(crate) fn read_into(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        match self {
            Self::Bytes(bytes) => buffer.extend_from_slice(bytes),
            // Checked in `parse`, so that nothing but arithmetic is left, which compiles to vector
            // instructions: a letter has bit 6, and its low bits count from 1.
            Self::Digits(digits) => {
                let (pairs, _) = digits.as_bytes().as_chunks();
                buffer.extend(pairs.iter().map(|pair| {
                    let pair = u16::from_le_bytes(*pair);
                    let values = (pair & 0x0F0F) + ((pair >> 6) & 0x0101) * 9;
                    let [byte, _] = ((values << 4) | (values >> 8)).to_le_bytes();
                    byte
                }));
            }
        }
    }

    /// Appends the digits in lower case.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Digits(digits) => {
                out.extend_from_slice(digits.as_bytes());
                out.get_mut(start..)
                    .unwrap_or_default()
                    .make_ascii_lowercase();
            }
            Self::Bytes(bytes) => {
                out.resize(start + 2 * bytes.len(), 0);
                let room = out.get_mut(start..).unwrap_or_default();
                // The room is exactly twice the bytes, so this cannot fail.
                let _ = hex::encode_to_slice(bytes, room);
            }
        }
    }
}

/// A change record whose parts are borrowed.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    pub(crate) term: u64,
    pub(crate) lsn: u64,
    pub(crate) timestamp: u64,
    pub(crate) operation: Operation,
    pub(crate) collection: Cow<'a, str>,
    pub(crate) entity_id: u64,
    pub(crate) entity_kind: Cow<'a, str>,
    pub(crate) entity_bytes: Option<Hex<'a>>,
    /// A present `null` differs from none.
    pub(crate) metadata: Option<Cow<'a, Value>>,
    pub(crate) refresh_records: Option<Vec<Hex<'a>>>,
    pub(crate) changed_columns: Option<Vec<Cow<'a, str>>>,
    pub(crate) old: Option<Hex<'a>>,
    pub(crate) unchanged: Option<Vec<Cow<'a, str>>>,
    pub(crate) numbered: Option<Numbered>,
    /// Prefix, and whether it is transactional.
    pub(crate) message: Option<(Cow<'a, str>, bool)>,
}

impl<'a> Fields<'a> {
    /// Reads a payload as RedDB does: lenient where nothing is lost by it.
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        match canonical::read(payload) {
            Some(fields) => Ok(fields),
            None => Self::decode_any(payload),
        }
    }

    /// The same, whatever the record's form.
    pub(super) fn decode_any(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let raw = RawRecord::read(payload)?;
        let entity = raw.entity_bytes_hex.text();
        let kind = raw.kind.or(raw.entity_kind).text();
        let operation = raw.operation.operation()?;
        Ok(Self {
            operation,
            term: integer(&raw.term, "term")?.unwrap_or(1),
            lsn: integer(&raw.lsn, "lsn")?.unwrap_or(0),
            timestamp: integer(&raw.timestamp, "timestamp")?.unwrap_or(0),
            collection: raw.collection.text().unwrap_or_default(),
            entity_id: integer(&raw.rid.or(raw.entity_id), "rid")?.unwrap_or(0),
            entity_kind: kind.unwrap_or(Cow::Borrowed("entity")),
            entity_bytes: entity
                .map(|digits| Hex::parse(digits, "entity_bytes_hex"))
                .transpose()?,
            metadata: raw.metadata.map(Cow::Owned),
            refresh_records: Hex::parse_list(raw.refresh_records_hex)?,
            changed_columns: raw.changed_columns.texts("changed_columns")?,
            // Keys that RedDB does not know: with odd values they are as good as not there, so
            // that whatever it stored reads as it always did.
            old: raw
                .old
                .text()
                .and_then(|digits| Hex::parse(digits, "old").ok()),
            unchanged: raw.unchanged.texts("unchanged").unwrap_or_default(),
            numbered: numbered(raw.producer, &raw.seq),
            message: (operation == Operation::Message).then(|| {
                let transactional = raw.transactional != Member::Bool(false);
                (raw.prefix.text().unwrap_or_default(), transactional)
            }),
        })
    }

    /// The parts of `record`.
    pub(crate) fn of(record: &'a ChangeRecord) -> Result<Self, EncodeError> {
        let metadata = record.metadata.as_ref();
        if metadata.is_some_and(|metadata| !nests_within(metadata, MAX_METADATA_DEPTH)) {
            return Err(EncodeError::MetadataTooDeep);
        }
        let rows = record.refresh_records.as_ref();
        let names = record.changed_columns.as_ref();
        let unchanged = record.unchanged.as_ref();
        let message = record.message.as_ref();
        if message.is_some() != (record.operation == Operation::Message) {
            return Err(EncodeError::MessageHead);
        }
        let bytes = |bytes: &'a Vec<u8>| Hex::Bytes(Cow::Borrowed(bytes));
        Ok(Self {
            term: record.term,
            lsn: record.lsn,
            timestamp: record.timestamp,
            operation: record.operation,
            collection: Cow::Borrowed(&record.collection),
            entity_id: record.entity_id,
            entity_kind: Cow::Borrowed(&record.entity_kind),
            entity_bytes: record.entity_bytes.as_ref().map(bytes),
            metadata: metadata.map(Cow::Borrowed),
            refresh_records: rows.map(|rows| rows.iter().map(bytes).collect()),
            changed_columns: names.map(|names| names.iter().map(Cow::from).collect()),
            old: record.old.as_ref().map(bytes),
            unchanged: unchanged.map(|names| names.iter().map(Cow::from).collect()),
            numbered: record.numbered.clone(),
            message: message.map(|head| (Cow::from(&head.prefix), head.transactional)),
        })
    }

    /// It is a message that belongs to no transaction.
    pub(crate) fn stands_alone(&self) -> bool {
        matches!(self.message, Some((_, false)))
    }

    /// The record, no longer borrowed.
    pub(crate) fn into_record(self) -> ChangeRecord {
        let owned = |bytes: Hex<'a>| bytes.to_bytes().into_owned();
        let texts =
            |names: Vec<Cow<'a, str>>| names.into_iter().map(Cow::into_owned).collect::<Vec<_>>();
        ChangeRecord {
            term: self.term,
            lsn: self.lsn,
            timestamp: self.timestamp,
            operation: self.operation,
            collection: self.collection.into_owned(),
            entity_id: self.entity_id,
            entity_kind: self.entity_kind.into_owned(),
            entity_bytes: self.entity_bytes.map(owned),
            metadata: self.metadata.map(Cow::into_owned),
            refresh_records: self
                .refresh_records
                .map(|rows| rows.into_iter().map(owned).collect()),
            changed_columns: self.changed_columns.map(texts),
            old: self.old.map(owned),
            unchanged: self.unchanged.map(texts),
            numbered: self.numbered,
            message: self.message.map(|(prefix, transactional)| MessageHead {
                prefix: prefix.into_owned(),
                transactional,
            }),
        }
    }
}

/// A record's producer and number; both, or it is not numbered.
fn numbered(producer: Member<'_>, seq: &Member<'_>) -> Option<Numbered> {
    let producer = ProducerName::parse(&producer.text()?).ok()?;
    match seq {
        Member::Integer(seq) => Some(Numbered {
            producer,
            seq: *seq,
        }),
        Member::Absent
        | Member::Null
        | Member::Number(_)
        | Member::Text(_)
        | Member::List(_)
        | Member::Bool(_)
        | Member::Object(_) => None,
    }
}

/// serde_json reads 127 levels of arrays and objects, and the record is the first.
pub(super) const MAX_METADATA_DEPTH: usize = 126;

pub(super) fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => {
            levels > 0 && items.iter().all(|item| nests_within(item, levels - 1))
        }
        Value::Object(members) => {
            levels > 0 && members.values().all(|item| nests_within(item, levels - 1))
        }
    }
}

/// A number that is not negative, its fraction cut off; `None` for anything else. A number that
/// cannot be had exactly is an error: RedDB would change it silently.
fn integer(value: &Member<'_>, key: &str) -> Result<Option<u64>, DecodeError> {
    /// From here on a double no longer holds every integer.
    const INEXACT: f64 = 9_007_199_254_740_992.0;
    let number = match value {
        Member::Integer(number) => return Ok(Some(*number)),
        Member::Number(number) => number.as_f64().unwrap_or(f64::INFINITY),
        Member::Absent
        | Member::Null
        | Member::Text(_)
        | Member::List(_)
        | Member::Bool(_)
        | Member::Object(_) => return Ok(None),
    };
    if number < 0.0 {
        return Ok(None);
    }
    let whole = format!("{:.0}", number.trunc()).parse().ok();
    whole
        .filter(|_| number < INEXACT)
        .map(Some)
        .ok_or_else(|| DecodeError(format!("{key} is out of range")))
}
