//! Writing a record as RedDB's canonical JSON: compact, keys in alphabetical order.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::fields::{Fields, Hex};
use super::{ChangeRecord, EncodedRecord, Numbered};

/// A record appended to a buffer, complete but for the digits of its LSN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRecord {
    /// Where it starts in the buffer.
    pub start: usize,
    /// Where it ends in the buffer.
    pub end: usize,
    /// Where the digits of `lsn` go, counted from its start.
    pub lsn_at: usize,
    /// Where its collection is, counted from its start: a string of JSON.
    pub collection: Range<usize>,
    /// Its timestamp, unix milliseconds.
    pub timestamp_ms: u64,
    /// Its producer and number, if it has them.
    pub numbered: Option<Numbered>,
    /// It is a message that belongs to no transaction.
    pub stands_alone: bool,
}

/// Why a record cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Metadata that no decoder would read back.
    #[error("metadata is nested too deeply")]
    MetadataTooDeep,
    /// A message without a prefix, or something else with one.
    #[error("a message has a prefix, and nothing else has")]
    MessageHead,
}

/// Encodes a record with the LSN it carries.
pub fn encode(record: &ChangeRecord) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    write_record(&Fields::of(record)?, Some(record.lsn), &mut out);
    Ok(out)
}

/// Encodes a record whose LSN is not known yet. It gets the term `term`, and `now_ms` where its
/// timestamp is 0.
pub fn encode_open(
    record: &ChangeRecord,
    term: u64,
    now_ms: u64,
) -> Result<EncodedRecord, EncodeError> {
    let mut out = Vec::new();
    let open = encode_open_into(record, term, now_ms, &mut out)?;
    Ok(EncodedRecord {
        bytes: Bytes::from(out),
        lsn_at: open.lsn_at,
    })
}

/// Like [`encode_open`], appending to a buffer that many records share. Nothing is appended on
/// an error.
pub fn encode_open_into(
    record: &ChangeRecord,
    term: u64,
    now_ms: u64,
    out: &mut Vec<u8>,
) -> Result<OpenRecord, EncodeError> {
    let mut fields = Fields::of(record)?;
    fields.term = term;
    if fields.timestamp == 0 {
        fields.timestamp = now_ms;
    }
    Ok(write_open(&fields, out))
}

/// Appends `fields` with a hole for the LSN.
pub(crate) fn write_open(fields: &Fields<'_>, out: &mut Vec<u8>) -> OpenRecord {
    let start = out.len();
    let Places { lsn_at, collection } = write_record(fields, None, out);
    OpenRecord {
        start,
        end: out.len(),
        lsn_at: lsn_at - start,
        collection: collection.start - start..collection.end - start,
        timestamp_ms: fields.timestamp,
        numbered: fields.numbered.clone(),
        stands_alone: fields.stands_alone(),
    }
}

/// Where parts of a record are in the buffer.
pub(crate) struct Places {
    /// Where the digits of the LSN are or belong.
    lsn_at: usize,
    /// The collection, a string of JSON.
    collection: Range<usize>,
}

/// Appends `fields`; returns where its parts are in `out`.
pub(crate) fn write_record(fields: &Fields<'_>, lsn: Option<u64>, out: &mut Vec<u8>) -> Places {
    out.push(b'{');
    if let Some(names) = &fields.changed_columns {
        put(out, b"\"changed_columns\":");
        write_list(names, out, write_json);
        out.push(b',');
    }
    put(out, b"\"collection\":");
    let collection_at = out.len();
    write_json(&fields.collection, out);
    let collection = collection_at..out.len();
    if let Some(bytes) = &fields.entity_bytes {
        put(out, b",\"entity_bytes_hex\":");
        write_hex(bytes, out);
    }
    put(out, b",\"kind\":\"");
    put(out, public_kind(&fields.entity_kind).as_bytes());
    put(out, b"\",\"lsn\":");
    let lsn_at = out.len();
    if let Some(lsn) = lsn {
        write_json(&lsn, out);
    }
    write_behind_lsn(fields, out);
    Places { lsn_at, collection }
}

/// The keys behind `lsn`, and the end of the record.
fn write_behind_lsn(fields: &Fields<'_>, out: &mut Vec<u8>) {
    if let Some(metadata) = &fields.metadata {
        put_key(out, b"metadata");
        write_json(metadata, out);
    }
    if let Some(old) = &fields.old {
        put_key(out, b"old");
        write_hex(old, out);
    }
    put_key(out, b"operation");
    put(out, b"\"");
    put(out, fields.operation.name().as_bytes());
    out.push(b'"');
    if let Some((prefix, _)) = &fields.message {
        put_key(out, b"prefix");
        write_json(prefix, out);
    }
    if let Some(numbered) = &fields.numbered {
        put_key(out, b"producer");
        write_json(numbered.producer.as_str(), out);
    }
    if let Some(rows) = &fields.refresh_records {
        put_key(out, b"refresh_records_hex");
        write_list(rows, out, write_hex);
    }
    put_key(out, b"rid");
    write_json(&fields.entity_id, out);
    if let Some(numbered) = &fields.numbered {
        put_key(out, b"seq");
        write_json(&numbered.seq, out);
    }
    put_key(out, b"term");
    write_json(&fields.term, out);
    put_key(out, b"timestamp");
    write_json(&fields.timestamp, out);
    if let Some((_, transactional)) = &fields.message {
        put_key(out, b"transactional");
        write_json(transactional, out);
    }
    if let Some(names) = &fields.unchanged {
        put_key(out, b"unchanged");
        write_list(names, out, write_json);
    }
    out.push(b'}');
}

fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    put(out, b",\"");
    put(out, key);
    put(out, b"\":");
}

/// The kind that subscribers see for an entity kind.
pub fn public_kind(kind: &str) -> &'static str {
    match kind {
        "table" | "entity" | "row" => "row",
        "graph_node" | "node" => "node",
        "graph_edge" | "edge" => "edge",
        other if other.contains("kv") => "kv",
        other if other.contains("document") => "document",
        other if other.contains("vector") => "vector",
        _ => "item",
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn write_hex(bytes: &Hex<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    bytes.write(out);
    out.push(b'"');
}

fn write_list<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Appends `value` as compact JSON, the keys of trees in order: RedDB's spelling.
pub(crate) fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing numbers, strings and trees with string keys to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_mapped_to_the_public_ones() {
        for (kind, public) in [
            ("table", "row"),
            ("entity", "row"),
            ("row", "row"),
            ("graph_node", "node"),
            ("node", "node"),
            ("graph_edge", "edge"),
            ("edge", "edge"),
            ("kv", "kv"),
            ("document", "document"),
            ("vector", "vector"),
            ("my_kv_document", "kv"),
            ("document_vector", "document"),
            ("vectors", "vector"),
            ("refresh", "item"),
            ("item", "item"),
            ("", "item"),
            ("KV", "item"),
        ] {
            assert_eq!(public_kind(kind), public, "{kind}");
        }
    }

    #[test]
    fn strings_are_escaped_as_reddb_does() {
        let mut out = Vec::new();
        write_json("a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{1f}/é\u{7f}", &mut out);
        let wanted = r#""a\"b\\c\n\r\t\b\f\u0001\u001f/é"#.to_owned() + "\u{7f}\"";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
