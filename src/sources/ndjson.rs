//! What a producer sends in `COPY pgspool.changes FROM STDIN (FORMAT ndjson)`: one change record
//! a line, read strictly and written as RedDB's canonical JSON with a hole for its LSN.
//!
//! A producer's `lsn` and `term` are ignored, since the server assigns them. Unlike a stored
//! payload, a line with a missing or mistyped part, or with a key that no record has, is an error: a
//! producer's mistake is told, never turned into a default or dropped. Blank lines are skipped.

use std::borrow::Cow;

use crate::change::{
    ChangeRecord, DecodeError, Fields, Hex, Member, Numbered, OpenRecord, Operation, ProducerName,
    RawRecord, write_open,
};

use super::lines::{Line, LineSplitter, LineTooLong};

/// Why a text is not a record that may be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a change record (22P02).
    #[error(transparent)]
    Invalid(#[from] DecodeError),
    /// It has no number although its producer is named (22023).
    #[error("record has no seq, but pgspool.producer is \"{0}\"")]
    NoSeq(ProducerName),
    /// It has a number although nobody said whose (22023).
    #[error("record has a seq, but pgspool.producer is not set")]
    NoProducer,
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not a change record (22P02).
    #[error("invalid input syntax for change record")]
    Invalid {
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        reason: DecodeError,
        /// How the line begins, for the error's context.
        excerpt: String,
    },
    /// With or without a number where it should be the other way round (22023).
    #[error("{reason}")]
    Numbering {
        /// The line's number, from 1.
        line: u64,
        /// Which way round.
        reason: RecordError,
        /// How the line begins, for the error's context.
        excerpt: String,
    },
    /// Longer than the limit (54000).
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
}

impl LineError {
    /// The line's number, from 1.
    pub const fn line(&self) -> u64 {
        match self {
            Self::Invalid { line, .. } | Self::Numbering { line, .. } => *line,
            Self::TooLong(error) => error.line,
        }
    }

    /// Where it happened, in the words of PostgreSQL's CONTEXT for COPY.
    pub fn context(&self) -> String {
        match self {
            Self::Invalid { line, excerpt, .. } | Self::Numbering { line, excerpt, .. } => {
                format!("COPY changes, line {line}: \"{excerpt}\"")
            }
            Self::TooLong(error) => format!("COPY changes, line {}", error.line),
        }
    }
}

/// Decodes a stream of lines into records at the end of a buffer.
#[derive(Debug)]
pub struct RecordDecoder {
    lines: LineSplitter,
    term: u64,
    producer: Option<ProducerName>,
}

impl RecordDecoder {
    /// Starts a stream whose records get the term `term`.
    pub const fn new(term: u64, max_line_bytes: usize) -> Self {
        Self {
            lines: LineSplitter::new(max_line_bytes),
            term,
            producer: None,
        }
    }

    /// The same for lines that a named producer numbers; without one no line may have a number.
    #[must_use]
    pub fn of_producer(mut self, producer: Option<ProducerName>) -> Self {
        self.producer = producer;
        self
    }

    /// Takes the next record off the front of `piece` and appends it to `out`; `None` when
    /// `piece` is used up. After an error the stream is over.
    pub fn next(
        &mut self,
        piece: &mut &[u8],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<OpenRecord>, LineError> {
        while !piece.is_empty() {
            if let Some(line) = self.lines.next(piece)?
                && !is_blank(line.text)
            {
                let producer = self.producer.as_ref();
                return encode(line, producer, self.term, now_ms, out).map(Some);
            }
        }
        Ok(None)
    }

    /// The record in a last line without an end.
    pub fn finish(
        &mut self,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<OpenRecord>, LineError> {
        match self.lines.finish().filter(|line| !is_blank(line.text)) {
            Some(line) => encode(line, self.producer.as_ref(), self.term, now_ms, out).map(Some),
            None => Ok(None),
        }
    }

    /// Number of the last line read.
    pub const fn line(&self) -> u64 {
        self.lines.number()
    }
}

/// Appends the record that `line` describes to `out`, in canonical JSON with a hole for its LSN.
/// It gets the term `term`, and `now_ms` where it has no timestamp; it has a number if, and only
/// if, there is a `producer`. Nothing is appended on an error.
pub fn encode_line(
    line: &[u8],
    producer: Option<&ProducerName>,
    term: u64,
    now_ms: u64,
    out: &mut Vec<u8>,
) -> Result<OpenRecord, RecordError> {
    let fields = read(RawRecord::read(line)?, producer, term, now_ms)?;
    Ok(write_open(&fields, out))
}

/// The record that a JSON text describes, read as strictly as a line of COPY. Its time is 0 where
/// it has none: the engine gives it one.
pub fn record_from_json(
    text: &str,
    producer: Option<&ProducerName>,
) -> Result<ChangeRecord, RecordError> {
    let fields = read(RawRecord::read(text.as_bytes())?, producer, 1, 0)?;
    Ok(fields.into_record())
}

fn encode(
    line: Line<'_>,
    producer: Option<&ProducerName>,
    term: u64,
    now_ms: u64,
    out: &mut Vec<u8>,
) -> Result<OpenRecord, LineError> {
    encode_line(line.text, producer, term, now_ms, out).map_err(|reason| {
        let (line, excerpt) = (line.number, excerpt(line.text));
        match reason {
            RecordError::Invalid(reason) => LineError::Invalid {
                line,
                reason,
                excerpt,
            },
            RecordError::NoSeq(_) | RecordError::NoProducer => LineError::Numbering {
                line,
                reason,
                excerpt,
            },
        }
    })
}

fn read<'a>(
    raw: RawRecord<'a>,
    producer: Option<&ProducerName>,
    term: u64,
    now_ms: u64,
) -> Result<Fields<'a>, RecordError> {
    // A record's producer is the session's; one in the record would be ignored or believed.
    let producer_key = (raw.producer != Member::Absent).then_some("producer");
    if let Some(name) = raw.unknown.as_deref().or(producer_key) {
        let name = excerpt(name.as_bytes());
        return Err(DecodeError(format!("unknown key \"{name}\"")).into());
    }
    let operation = operation(raw.operation)?;
    let timestamp = integer(&raw.timestamp, "timestamp")?.unwrap_or(0);
    let rid = integer(&raw.rid.or(raw.entity_id), "rid")?;
    let entity = text(raw.entity_bytes_hex, "entity_bytes_hex")?;
    let kind = text(raw.kind.or(raw.entity_kind), "kind")?;
    Ok(Fields {
        term,
        lsn: 0,
        timestamp: if timestamp == 0 { now_ms } else { timestamp },
        operation,
        collection: collection(raw.collection, operation)?,
        entity_id: match (operation, rid) {
            (_, Some(rid)) => rid,
            (Operation::Refresh | Operation::Truncate | Operation::Message, None) => 0,
            (Operation::Insert | Operation::Update | Operation::Delete, None) => {
                return Err(DecodeError("rid is missing".to_owned()).into());
            }
        },
        entity_kind: kind.unwrap_or(Cow::Borrowed(match operation {
            Operation::Message => "message",
            Operation::Insert
            | Operation::Update
            | Operation::Delete
            | Operation::Refresh
            | Operation::Truncate => "entity",
        })),
        entity_bytes: entity
            .map(|digits| Hex::parse(digits, "entity_bytes_hex"))
            .transpose()?,
        metadata: raw.metadata.map(Cow::Owned),
        refresh_records: Hex::parse_list(raw.refresh_records_hex)?,
        changed_columns: raw.changed_columns.texts("changed_columns")?,
        old: old(raw.old)?,
        unchanged: raw.unchanged.texts("unchanged")?,
        numbered: numbered(&raw.seq, producer)?,
        message: message(operation, raw.prefix, &raw.transactional)?,
    })
}

/// The row before, or its key: a JSON object, whose text is kept, or hexadecimal digits.
fn old(value: Member<'_>) -> Result<Option<Hex<'_>>, DecodeError> {
    match value {
        Member::Absent | Member::Null => Ok(None),
        Member::Text(digits) => Hex::parse(digits, "old").map(Some),
        Member::Object(row) => Ok(Some(Hex::Bytes(row.as_bytes().into()))),
        Member::Integer(_) | Member::Number(_) | Member::List(_) | Member::Bool(_) => Err(
            DecodeError("old is neither an object nor hexadecimal digits".to_owned()),
        ),
    }
}

fn numbered(
    seq: &Member<'_>,
    producer: Option<&ProducerName>,
) -> Result<Option<Numbered>, RecordError> {
    match (integer(seq, "seq")?, producer) {
        (None, None) => Ok(None),
        (Some(seq), Some(producer)) => Ok(Some(Numbered {
            producer: producer.clone(),
            seq,
        })),
        (None, Some(producer)) => Err(RecordError::NoSeq(producer.clone())),
        (Some(_), None) => Err(RecordError::NoProducer),
    }
}

/// What a message has beside its content. It belongs to its transaction unless it says otherwise.
fn message<'a>(
    operation: Operation,
    prefix: Member<'a>,
    transactional: &Member<'_>,
) -> Result<Option<(Cow<'a, str>, bool)>, DecodeError> {
    let prefix = text(prefix, "prefix")?;
    let transactional = match transactional {
        Member::Absent | Member::Null => None,
        Member::Bool(value) => Some(*value),
        Member::Integer(_)
        | Member::Number(_)
        | Member::Text(_)
        | Member::List(_)
        | Member::Object(_) => {
            return Err(DecodeError("transactional is not a boolean".to_owned()));
        }
    };
    let refused = |words: &str| Err(DecodeError(words.to_owned()));
    match (operation == Operation::Message, prefix) {
        (true, None) => refused("prefix is missing"),
        (true, Some(prefix)) if prefix.contains('\0') => {
            refused("prefix contains a null character")
        }
        (true, Some(prefix)) => Ok(Some((prefix, transactional.unwrap_or(true)))),
        (false, None) if transactional.is_none() => Ok(None),
        (false, _) => refused("prefix and transactional are for messages only"),
    }
}

fn operation(name: Member<'_>) -> Result<Operation, DecodeError> {
    match text(name, "operation")? {
        None => Err(DecodeError("operation is missing".to_owned())),
        Some(name) => Operation::parse(&name).ok_or_else(|| {
            let name = excerpt(name.as_bytes());
            DecodeError(format!(
                "operation \"{name}\" is none of insert, update, delete, truncate, refresh, message"
            ))
        }),
    }
}

fn collection(name: Member<'_>, operation: Operation) -> Result<Cow<'_, str>, DecodeError> {
    let name = text(name, "collection")?;
    if operation == Operation::Message {
        return match name {
            Some(name) if !name.is_empty() => {
                Err(DecodeError("a message belongs to no collection".to_owned()))
            }
            Some(_) | None => Ok(Cow::Borrowed("")),
        };
    }
    match name {
        None => Err(DecodeError("collection is missing".to_owned())),
        Some(name) if name.is_empty() => Err(DecodeError("collection is empty".to_owned())),
        Some(name) if name.contains('\0') => Err(DecodeError(
            "collection contains a null character".to_owned(),
        )),
        Some(name) => Ok(name),
    }
}

/// A string; absent and null are the same.
fn text<'a>(value: Member<'a>, key: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
    match value {
        Member::Absent | Member::Null => Ok(None),
        Member::Text(text) => Ok(Some(text)),
        Member::Integer(_)
        | Member::Number(_)
        | Member::List(_)
        | Member::Bool(_)
        | Member::Object(_) => Err(DecodeError(format!("{key} is not a string"))),
    }
}

/// An integer of 64 bits without a sign; absent and null are the same.
fn integer(value: &Member<'_>, key: &str) -> Result<Option<u64>, DecodeError> {
    match value {
        Member::Absent | Member::Null => Ok(None),
        Member::Integer(number) => Ok(Some(*number)),
        Member::Number(_)
        | Member::Text(_)
        | Member::List(_)
        | Member::Bool(_)
        | Member::Object(_) => Err(DecodeError(format!(
            "{key} is not an integer from 0 to {}",
            u64::MAX
        ))),
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// At most this many bytes of a bad line, or of one of its strings, are repeated in its error.
const EXCERPT: usize = 100;

fn excerpt(line: &[u8]) -> String {
    let cut = line.get(..EXCERPT);
    let text = String::from_utf8_lossy(cut.unwrap_or(line));
    let mut excerpt: String = text.chars().map(printable).collect();
    if cut.is_some() {
        excerpt.push_str("...");
    }
    excerpt
}

/// A control character in an error message would break logs and clients.
fn printable(character: char) -> char {
    if character.is_control() {
        '\u{fffd}'
    } else {
        character
    }
}
