//! A change record borrowed from its JSON text: what decoding and re-encoding share.
//!
//! [`RawRecord`] is the object's known keys as they stand; [`Fields`] is RedDB's reading of them.
//! A stricter reading (what a producer may send) starts from the same [`RawRecord`].

use std::borrow::Cow;

use super::canonical::{Style, write_number};
use super::json::{Json, Scanner, Value};
use super::json_string::Text;
use super::{ChangeRecord, DecodeError, EncodeError, Operation};

/// The values of a record's known keys. Unknown keys are checked and dropped; of equal keys the
/// last one counts.
#[derive(Debug, Default)]
pub(crate) struct RawRecord<'a> {
    pub(crate) changed_columns: Value<'a>,
    pub(crate) collection: Value<'a>,
    pub(crate) entity_bytes_hex: Value<'a>,
    pub(crate) kind: Value<'a>,
    pub(crate) entity_kind: Value<'a>,
    pub(crate) lsn: Value<'a>,
    pub(crate) metadata: Option<Json<'a>>,
    pub(crate) operation: Value<'a>,
    pub(crate) refresh_records_hex: Value<'a>,
    pub(crate) rid: Value<'a>,
    pub(crate) entity_id: Value<'a>,
    pub(crate) term: Value<'a>,
    pub(crate) timestamp: Value<'a>,
}

impl<'a> RawRecord<'a> {
    /// Reads the JSON object `bytes`.
    pub(crate) fn scan(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|error| DecodeError(error.to_string()))?;
        let mut record = Self::default();
        let is_object = text
            .trim_start_matches([' ', '\n', '\r', '\t'])
            .starts_with('{');
        if is_object {
            record.members(text)?;
        } else {
            Json::check(text)?;
        }
        Ok(record)
    }

    fn members(&mut self, text: &'a str) -> Result<(), DecodeError> {
        let mut scanner = Scanner::new(text);
        let mut first = true;
        scanner.token()?;
        while let Some(key) = scanner.next_key(&mut first)? {
            let key = key.decode();
            if key == "metadata" {
                self.metadata = Some(scanner.json()?);
                continue;
            }
            let value = scanner.value()?;
            if let Some(member) = self.member(&key) {
                *member = value;
            }
        }
        scanner.end()?;
        Ok(())
    }

    fn member(&mut self, key: &str) -> Option<&mut Value<'a>> {
        Some(match key {
            "changed_columns" => &mut self.changed_columns,
            "collection" => &mut self.collection,
            "entity_bytes_hex" => &mut self.entity_bytes_hex,
            "kind" => &mut self.kind,
            "entity_kind" => &mut self.entity_kind,
            "lsn" => &mut self.lsn,
            "operation" => &mut self.operation,
            "refresh_records_hex" => &mut self.refresh_records_hex,
            "rid" => &mut self.rid,
            "entity_id" => &mut self.entity_id,
            "term" => &mut self.term,
            "timestamp" => &mut self.timestamp,
            _ => return None,
        })
    }

    /// The value of `rid`, or of the legacy `entity_id` when that key is absent.
    pub(crate) const fn id(&self) -> Value<'a> {
        match self.rid {
            Value::Absent => self.entity_id,
            Value::Null | Value::Number(_) | Value::String(..) | Value::Other(_) => self.rid,
        }
    }

    /// The value of `kind`, or of the legacy `entity_kind` when that key is absent.
    pub(crate) const fn kind(&self) -> Value<'a> {
        match self.kind {
            Value::Absent => self.entity_kind,
            Value::Null | Value::Number(_) | Value::String(..) | Value::Other(_) => self.kind,
        }
    }

    /// The operation; any other value is not a record.
    pub(crate) fn operation(&self) -> Result<Operation, DecodeError> {
        let name = string(self.operation);
        name.as_deref()
            .and_then(Operation::parse)
            .ok_or_else(|| DecodeError("invalid replication operation".to_owned()))
    }

    /// The metadata; a present `null` differs from none.
    pub(crate) fn metadata(&self) -> Option<Cow<'a, str>> {
        self.metadata.map(|json| Cow::Borrowed(json.text()))
    }

    /// The rows of a refresh.
    pub(crate) fn refresh_records(&self) -> Result<Option<Vec<Hex<'a>>>, DecodeError> {
        let key = "refresh_records_hex";
        let Some(entries) = strings(self.refresh_records_hex, key)? else {
            return Ok(None);
        };
        let entries = entries.into_iter().map(|text| Hex::parse(text, key));
        entries.collect::<Result<_, _>>().map(Some)
    }

    /// The names of the changed columns.
    pub(crate) fn changed_columns(&self) -> Result<Option<Vec<Cow<'a, str>>>, DecodeError> {
        let Some(names) = strings(self.changed_columns, "changed_columns")? else {
            return Ok(None);
        };
        Ok(Some(names.into_iter().map(Text::decode).collect()))
    }
}

/// Bytes, as they are or as hexadecimal digits (checked: an even number, of either case).
#[derive(Debug, Clone)]
pub(crate) enum Hex<'a> {
    Digits(Cow<'a, str>),
    Bytes(&'a [u8]),
}

impl<'a> Hex<'a> {
    /// Checks the digits given for `key`.
    pub(crate) fn parse(text: Text<'a>, key: &str) -> Result<Self, DecodeError> {
        let digits = text.decode();
        if !digits.len().is_multiple_of(2) || !is_hex(digits.as_bytes()) {
            return Err(DecodeError(format!("invalid hexadecimal digits in {key}")));
        }
        Ok(Self::Digits(digits))
    }

    /// The bytes.
    pub(crate) fn to_bytes(&self) -> Cow<'a, [u8]> {
        match self {
            // Checked in `parse`, so this never falls back.
            Self::Digits(digits) => hex::decode(digits.as_ref()).unwrap_or_default().into(),
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
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

/// Whether all bytes are hexadecimal digits. No early exit and bytes only, so that it compiles
/// to vector instructions: most of a record's bytes pass through here.
fn is_hex(digits: &[u8]) -> bool {
    let odd = digits.iter().fold(0, |odd, &digit| {
        let letter = (digit | 0x20).wrapping_sub(b'a') < 6;
        let number = digit.wrapping_sub(b'0') < 10;
        odd | u8::from(!(letter | number))
    });
    odd == 0
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
    /// Checked JSON text.
    pub(crate) metadata: Option<Cow<'a, str>>,
    pub(crate) refresh_records: Option<Vec<Hex<'a>>>,
    pub(crate) changed_columns: Option<Vec<Cow<'a, str>>>,
}

impl<'a> Fields<'a> {
    /// Reads a payload as RedDB does: lenient where nothing is lost by it.
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let raw = RawRecord::scan(payload)?;
        Ok(Self {
            operation: raw.operation()?,
            term: integer(raw.term, "term")?.unwrap_or(1),
            lsn: integer(raw.lsn, "lsn")?.unwrap_or(0),
            timestamp: integer(raw.timestamp, "timestamp")?.unwrap_or(0),
            collection: string(raw.collection).unwrap_or_default(),
            entity_id: integer(raw.id(), "rid")?.unwrap_or(0),
            entity_kind: string(raw.kind()).unwrap_or(Cow::Borrowed("entity")),
            entity_bytes: match raw.entity_bytes_hex {
                Value::String(text) => Some(Hex::parse(text, "entity_bytes_hex")?),
                Value::Absent | Value::Null | Value::Number(_) | Value::Other(_) => None,
            },
            metadata: raw.metadata(),
            refresh_records: raw.refresh_records()?,
            changed_columns: raw.changed_columns()?,
        })
    }

    /// The metadata as checked JSON.
    pub(crate) fn metadata(&self) -> Option<Json<'_>> {
        self.metadata.as_deref().map(Json::trusted)
    }

    /// The parts of `record`.
    pub(crate) fn of(record: &'a ChangeRecord) -> Result<Self, EncodeError> {
        let metadata = record.metadata.as_ref().map(serde_json::Value::to_string);
        if metadata.as_deref().is_some_and(|m| Json::check(m).is_err()) {
            return Err(EncodeError::MetadataTooDeep);
        }
        let rows = record.refresh_records.as_ref();
        let names = record.changed_columns.as_ref();
        Ok(Self {
            term: record.term,
            lsn: record.lsn,
            timestamp: record.timestamp,
            operation: record.operation,
            collection: Cow::Borrowed(&record.collection),
            entity_id: record.entity_id,
            entity_kind: Cow::Borrowed(&record.entity_kind),
            entity_bytes: record.entity_bytes.as_deref().map(Hex::Bytes),
            metadata: metadata.map(Cow::Owned),
            refresh_records: rows.map(|rows| rows.iter().map(|row| Hex::Bytes(row)).collect()),
            changed_columns: names.map(|names| names.iter().map(Cow::from).collect()),
        })
    }

    /// The record, no longer borrowed.
    pub(crate) fn into_record(self) -> ChangeRecord {
        let owned = |bytes: Hex<'a>| bytes.to_bytes().into_owned();
        ChangeRecord {
            metadata: self.metadata().map(Json::to_value),
            term: self.term,
            lsn: self.lsn,
            timestamp: self.timestamp,
            operation: self.operation,
            collection: self.collection.into_owned(),
            entity_id: self.entity_id,
            entity_kind: self.entity_kind.into_owned(),
            entity_bytes: self.entity_bytes.map(owned),
            refresh_records: self
                .refresh_records
                .map(|rows| rows.into_iter().map(owned).collect()),
            changed_columns: self
                .changed_columns
                .map(|names| names.into_iter().map(Cow::into_owned).collect()),
        }
    }
}

/// A string, `None` for anything else.
fn string(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.decode()),
        Value::Absent | Value::Null | Value::Number(_) | Value::Other(_) => None,
    }
}

/// A number that is not negative, its fraction cut off; `None` for anything else. A number past
/// 64 bits is an error: RedDB would change it silently.
fn integer(value: Value<'_>, key: &str) -> Result<Option<u64>, DecodeError> {
    let Value::Number(literal) = value else {
        return Ok(None);
    };
    if let Ok(number) = literal.parse() {
        return Ok(Some(number));
    }
    if literal.starts_with('-') {
        return Ok(None);
    }
    let mut decimal = Vec::new();
    write_number(literal, Style::RedDb, &mut decimal);
    let whole = decimal.split(|&b| b == b'.').next().unwrap_or_default();
    let number = std::str::from_utf8(whole).ok().and_then(|w| w.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| DecodeError(format!("{key} is out of range")))
}

/// An array of strings; `None` when `key` is absent or null.
fn strings<'a>(value: Value<'a>, key: &str) -> Result<Option<Vec<Text<'a>>>, DecodeError> {
    let not_an_array = || DecodeError(format!("{key} is not an array"));
    let array = match value {
        Value::Absent | Value::Null => return Ok(None),
        Value::Other(json) if json.text().starts_with('[') => json,
        Value::Other(_) | Value::Number(_) | Value::String(..) => return Err(not_an_array()),
    };
    let mut scanner = Scanner::new(array.text());
    let mut first = true;
    let mut entries = Vec::new();
    scanner.token()?;
    while scanner.next_element(&mut first)? {
        match scanner.value()? {
            Value::String(text) => entries.push(text),
            Value::Absent | Value::Null | Value::Number(_) | Value::Other(_) => {
                return Err(DecodeError(format!("{key} entry not a string")));
            }
        }
    }
    Ok(Some(entries))
}
