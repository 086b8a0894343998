//! The known keys of a change record as they stand in its JSON, whatever their types.
//!
//! serde_json reads the text once and this keeps what the two readings of a record need: RedDB's
//! lenient one and the strict one for producers. Strings are borrowed where they hold no escape.
//! Nothing is judged here beyond being JSON.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::{DecodeError, Operation, metadata};

/// The value of one key, or that it is not there.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Member<'a> {
    #[default]
    Absent,
    Null,
    Integer(u64),
    /// Any other number, all its digits kept.
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Bool(bool),
    /// An object; of the row before its text, of anything else none.
    Object(&'a str),
}

impl<'a> Member<'a> {
    /// This value, or `legacy` when the key is absent.
    pub(crate) fn or(self, legacy: Self) -> Self {
        if self == Self::Absent { legacy } else { self }
    }

    /// A string, `None` for anything else.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent
            | Self::Null
            | Self::Integer(_)
            | Self::Number(_)
            | Self::List(_)
            | Self::Bool(_)
            | Self::Object(_) => None,
        }
    }

    /// The operation; any other value is not a record.
    pub(crate) fn operation(self) -> Result<Operation, DecodeError> {
        let name = self.text();
        name.as_deref()
            .and_then(Operation::parse)
            .ok_or_else(|| DecodeError("invalid replication operation".to_owned()))
    }

    /// An array of strings; `None` when `key` is absent or null.
    pub(crate) fn texts(self, key: &str) -> Result<Option<Vec<Cow<'a, str>>>, DecodeError> {
        let entries = match self {
            Self::Absent | Self::Null => return Ok(None),
            Self::List(entries) => entries,
            Self::Integer(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Bool(_)
            | Self::Object(_) => {
                return Err(DecodeError(format!("{key} is not an array")));
            }
        };
        let texts: Option<_> = entries.into_iter().map(Self::text).collect();
        texts
            .map(Some)
            .ok_or_else(|| DecodeError(format!("{key} entry not a string")))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Member::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Member::Integer(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Member::Number(number.into()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Member::List(list))
    }

    /// Also numbers that are no 64-bit integers: serde_json passes them on as a map with one
    /// member, their digits.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Member::Object("");
        match map.next_key::<Cow<'_, str>>()? {
            None => return Ok(found),
            Some(key) if key == "$serde_json::private::Number" => {
                let digits = map.next_value::<Self::Value>()?.text();
                let number = digits.and_then(|digits| digits.parse().ok());
                found = number.map_or(found, Member::Number);
            }
            Some(_) => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// The values of a record's known keys; of equal keys the last one counts. Of the unknown ones the
/// first one's name is kept, for the reading that refuses them.
#[derive(Debug, Default)]
pub(crate) struct RawRecord<'a> {
    pub(crate) changed_columns: Member<'a>,
    pub(crate) collection: Member<'a>,
    pub(crate) entity_bytes_hex: Member<'a>,
    pub(crate) kind: Member<'a>,
    pub(crate) entity_kind: Member<'a>,
    pub(crate) lsn: Member<'a>,
    pub(crate) metadata: Option<Value>,
    pub(crate) old: Member<'a>,
    pub(crate) operation: Member<'a>,
    pub(crate) prefix: Member<'a>,
    pub(crate) producer: Member<'a>,
    pub(crate) refresh_records_hex: Member<'a>,
    pub(crate) rid: Member<'a>,
    pub(crate) entity_id: Member<'a>,
    pub(crate) seq: Member<'a>,
    pub(crate) term: Member<'a>,
    pub(crate) timestamp: Member<'a>,
    pub(crate) transactional: Member<'a>,
    pub(crate) unchanged: Member<'a>,
    pub(crate) unknown: Option<String>,
}

/// The row before: an object's text is kept as it stands, since a `json` column keeps its own.
fn old(value: &RawValue) -> Result<Member<'_>, serde_json::Error> {
    let text = value.get();
    if text.starts_with('{') {
        return Ok(Member::Object(text));
    }
    serde_json::from_str(text)
}

impl<'a> RawRecord<'a> {
    /// Reads JSON; what is not an object has no keys.
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(json).map_err(|error| DecodeError(error.to_string()))?;
        if text.trim_ascii_start().starts_with('{') {
            return Ok(serde_json::from_str(text)?);
        }
        serde_json::from_str::<IgnoredAny>(text)?;
        Ok(Self::default())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    ChangedColumns,
    Collection,
    EntityBytesHex,
    Kind,
    EntityKind,
    Lsn,
    Metadata,
    Old,
    Operation,
    Prefix,
    Producer,
    RefreshRecordsHex,
    Rid,
    EntityId,
    Seq,
    Term,
    Timestamp,
    Transactional,
    Unchanged,
    /// Later RedDB's; known, and not used.
    OwnershipEpoch,
    RangeId,
    Unknown(String),
}

/// Not derived, because a derived one refuses equal keys.
impl<'de: 'a, 'a> Deserialize<'de> for RawRecord<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = RawRecord<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut record = RawRecord::default();
        while let Some(key) = map.next_key()? {
            let member = match key {
                Key::ChangedColumns => &mut record.changed_columns,
                Key::Collection => &mut record.collection,
                Key::EntityBytesHex => &mut record.entity_bytes_hex,
                Key::Kind => &mut record.kind,
                Key::EntityKind => &mut record.entity_kind,
                Key::Lsn => &mut record.lsn,
                Key::Operation => &mut record.operation,
                Key::Prefix => &mut record.prefix,
                Key::Producer => &mut record.producer,
                Key::RefreshRecordsHex => &mut record.refresh_records_hex,
                Key::Rid => &mut record.rid,
                Key::EntityId => &mut record.entity_id,
                Key::Seq => &mut record.seq,
                Key::Term => &mut record.term,
                Key::Timestamp => &mut record.timestamp,
                Key::Transactional => &mut record.transactional,
                Key::Unchanged => &mut record.unchanged,
                Key::Old => {
                    record.old = old(map.next_value()?).map_err(de::Error::custom)?;
                    continue;
                }
                Key::Metadata => {
                    let metadata = metadata::read(map.next_value()?);
                    record.metadata = Some(metadata.map_err(de::Error::custom)?);
                    continue;
                }
                Key::OwnershipEpoch | Key::RangeId => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Key::Unknown(name) => {
                    record.unknown.get_or_insert(name);
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = map.next_value()?;
        }
        Ok(record)
    }
}
