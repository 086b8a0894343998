//! The `test_decoding` plugin: PostgreSQL 15's text.
//!
//! A change record is a row of the table `public.<collection>` with the columns `rid bigint`
//! (its key), `kind text`, `entity bytea`, `document jsonb` (the entity, when its bytes are the
//! JSON text of an object or an array) and `metadata jsonb`. A refresh is a TRUNCATE and one
//! INSERT for each of its rows, without a `rid`. Begin carries the LSN of the first change, each
//! change its own, Commit the transaction's end. What a record says of the row before is printed
//! as PostgreSQL prints an old key: the columns that have a value. A column that the record calls
//! unchanged is printed as one; a name that is none of the table's columns is a member of the
//! document. A payload that is not a change record is printed as a logical message with the
//! prefix `pgspool`.

use serde_json::Value;

use crate::change::{
    Fields, Hex, Operation, PayloadRef, boundary, only_change_lsn, public_kind, write_json, xid,
};
use crate::lsn::Lsn;

use super::jsonb::write_jsonb;
use super::options::{PluginOption, boolean, unknown};
use super::sql_text::{write_identifier, write_literal, write_timestamp};
use super::{FrameView, Messages, PluginError};

/// One stream's settings and its place in a transaction.
#[derive(Debug)]
pub(super) struct TestDecoding {
    include_xids: bool,
    include_timestamp: bool,
    /// BEGIN comes with the first change of a row, and without one there is no COMMIT either.
    skip_empty: bool,
    /// End LSN of the transaction whose BEGIN was written.
    begun: Option<Lsn>,
}

impl TestDecoding {
    /// Takes PostgreSQL 15's options. Those that change nothing here (every change is local and
    /// nothing is rewritten, streamed or binary) are checked all the same. A transaction of
    /// messages only is one that `skip-empty-xacts` skips.
    pub(super) fn start(options: &[PluginOption]) -> Result<Self, PluginError> {
        let mut plugin = Self {
            include_xids: true,
            include_timestamp: false,
            skip_empty: false,
            begun: None,
        };
        for option in options {
            match option.0.as_str() {
                "include-xids" => plugin.include_xids = boolean(option)?,
                "include-timestamp" => plugin.include_timestamp = boolean(option)?,
                "skip-empty-xacts" => plugin.skip_empty = boolean(option)?,
                "force-binary" | "only-local" | "include-rewrites" | "stream-changes" => {
                    boolean(option)?;
                }
                _ => return Err(unknown(option)),
            }
        }
        Ok(plugin)
    }

    /// Renders one frame; true when it was the last of its transaction.
    pub(super) fn frame(&mut self, frame: FrameView<'_>, out: &mut Messages) -> bool {
        match PayloadRef::of(frame.payload) {
            PayloadRef::Whole(json) => match Fields::decode(json) {
                Ok(fields) if fields.stands_alone() => {
                    logical_message(frame.end_lsn, &fields, false, out)
                }
                Ok(fields) => {
                    let lsn = only_change_lsn(frame.end_lsn);
                    self.record(frame, lsn, &fields, out);
                    self.commit(frame, out);
                    true
                }
                Err(_) => message(frame.end_lsn, OURS, json, false, out),
            },
            PayloadRef::Part { last, json, .. } => {
                self.part(frame, json, out);
                if last {
                    self.commit(frame, out);
                }
                last
            }
            PayloadRef::Opaque(payload) => {
                message(frame.end_lsn, OURS, payload, false, out);
                boundary(payload).1
            }
        }
    }

    fn part(&mut self, frame: FrameView<'_>, json: &[u8], out: &mut Messages) {
        match Fields::decode(json) {
            Ok(fields) => self.record(frame, Lsn::new(fields.lsn), &fields, out),
            Err(_) => {
                let lsn = only_change_lsn(frame.end_lsn);
                self.begin(frame, lsn, out);
                message(lsn, OURS, json, true, out);
            }
        }
    }

    fn begin(&mut self, frame: FrameView<'_>, lsn: Lsn, out: &mut Messages) {
        if self.begun == Some(frame.end_lsn) {
            return;
        }
        self.begun = Some(frame.end_lsn);
        out.push_with(lsn, |text| {
            text.extend_from_slice(b"BEGIN");
            self.write_xid(frame, text);
        });
    }

    fn commit(&mut self, frame: FrameView<'_>, out: &mut Messages) {
        if self.begun.take().is_none() {
            return;
        }
        out.push_with(frame.end_lsn, |text| {
            text.extend_from_slice(b"COMMIT");
            self.write_xid(frame, text);
            if self.include_timestamp {
                text.extend_from_slice(b" (at ");
                write_timestamp(frame.timestamp_ms, text);
                text.push(b')');
            }
        });
    }

    fn write_xid(&self, frame: FrameView<'_>, text: &mut Vec<u8>) {
        if self.include_xids {
            text.push(b' ');
            write_json(&xid(frame.end_lsn), text);
        }
    }

    fn record(&mut self, frame: FrameView<'_>, lsn: Lsn, fields: &Fields<'_>, out: &mut Messages) {
        if fields.operation != Operation::Message || !self.skip_empty {
            self.begin(frame, lsn, out);
        }
        let rid = Some(fields.entity_id);
        let entity = fields.entity_bytes.as_ref();
        let metadata = fields.metadata.as_deref();
        let collection = &fields.collection;
        match fields.operation {
            Operation::Insert => out.push_with(lsn, |text| {
                write_table(collection, "INSERT", text);
                write_row(rid, fields, entity, metadata, text);
            }),
            Operation::Update => out.push_with(lsn, |text| {
                write_table(collection, "UPDATE", text);
                if fields.old.is_some() {
                    text.extend_from_slice(b" old-key:");
                    write_old(fields, text);
                    text.extend_from_slice(b" new-tuple:");
                }
                write_row(rid, fields, entity, metadata, text);
            }),
            Operation::Delete => out.push_with(lsn, |text| {
                write_table(collection, "DELETE", text);
                write_old(fields, text);
            }),
            Operation::Truncate => write_truncate(collection, lsn, out),
            Operation::Message => {
                logical_message(lsn, fields, true, out);
            }
            Operation::Refresh => {
                write_truncate(collection, lsn, out);
                // The metadata belongs to the refresh: with each row it could grow a record by as
                // much as it has rows.
                let mut metadata = metadata;
                for row in fields.refresh_records.iter().flatten() {
                    out.push_with(lsn, |text| {
                        write_table(collection, "INSERT", text);
                        write_row(None, fields, Some(row), metadata.take(), text);
                    });
                }
            }
        }
    }
}

/// The prefix of what is stored and is not a change record.
const OURS: &str = "pgspool";

/// Appends a message record; always true.
fn logical_message(lsn: Lsn, fields: &Fields<'_>, inside: bool, out: &mut Messages) -> bool {
    let prefix = fields.message.as_ref().map_or(OURS, |(prefix, _)| prefix);
    let content = fields.entity_bytes.as_ref().map(Hex::to_bytes);
    message(lsn, prefix, &content.unwrap_or_default(), inside, out)
}

/// Appends a logical message; always true. Content that is not text is printed as `bytea` is.
fn message(
    lsn: Lsn,
    prefix: &str,
    content: &[u8],
    transactional: bool,
    out: &mut Messages,
) -> bool {
    out.push_with(lsn, |text| {
        text.extend_from_slice(b"message: transactional: ");
        text.push(if transactional { b'1' } else { b'0' });
        text.extend_from_slice(b" prefix: ");
        text.extend_from_slice(prefix.as_bytes());
        text.extend_from_slice(b", sz: ");
        write_json(&content.len(), text);
        text.extend_from_slice(b" content:");
        if std::str::from_utf8(content).is_ok() && !content.contains(&0) {
            text.extend_from_slice(content);
        } else {
            text.extend_from_slice(b"\\x");
            Hex::Bytes(content.into()).write(text);
        }
    });
    true
}

fn write_truncate(collection: &str, lsn: Lsn, out: &mut Messages) {
    out.push_with(lsn, |text| {
        write_table(collection, "TRUNCATE", text);
        text.extend_from_slice(b" (no-flags)");
    });
}

fn write_table(collection: &str, action: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(b"table public.");
    write_identifier(collection, text);
    text.extend_from_slice(b": ");
    text.extend_from_slice(action.as_bytes());
    text.push(b':');
}

fn write_rid(rid: Option<u64>, text: &mut Vec<u8>) {
    text.extend_from_slice(b" rid[bigint]:");
    match rid {
        Some(rid) => write_json(&rid, text),
        None => text.extend_from_slice(b"null"),
    }
}

/// The columns of the row before that have a value; at least the key.
fn write_old(fields: &Fields<'_>, text: &mut Vec<u8>) {
    write_rid(Some(fields.entity_id), text);
    if let Some(old) = &fields.old {
        text.extend_from_slice(b" entity[bytea]:");
        write_bytea(old, text);
        if let Some(document) = document(&old.to_bytes()) {
            text.extend_from_slice(b" document[jsonb]:");
            write_json_column(Some(&document), text);
        }
    }
}

fn write_row(
    rid: Option<u64>,
    fields: &Fields<'_>,
    entity: Option<&Hex<'_>>,
    metadata: Option<&Value>,
    text: &mut Vec<u8>,
) {
    let unchanged = |name: &str| {
        let names = fields.unchanged.iter().flatten();
        rid.is_some() && names.into_iter().any(|unchanged| unchanged == name)
    };
    write_rid(rid, text);
    text.extend_from_slice(b" kind[text]:");
    write_literal(public_kind(&fields.entity_kind).as_bytes(), text);
    text.extend_from_slice(b" entity[bytea]:");
    match entity {
        Some(bytes) => write_bytea(bytes, text),
        None if unchanged("entity") => text.extend_from_slice(UNCHANGED),
        None => text.extend_from_slice(b"null"),
    }
    text.extend_from_slice(b" document[jsonb]:");
    match entity.and_then(|entity| document(&entity.to_bytes())) {
        None if unchanged("document") || (entity.is_none() && unchanged("entity")) => {
            text.extend_from_slice(UNCHANGED);
        }
        document => write_json_column(document.as_ref(), text),
    }
    text.extend_from_slice(b" metadata[jsonb]:");
    match metadata {
        None if unchanged("metadata") => text.extend_from_slice(UNCHANGED),
        metadata => write_json_column(metadata, text),
    }
    for name in fields.unchanged.iter().flatten().filter(|_| rid.is_some()) {
        if !COLUMNS.contains(&name.as_ref()) {
            text.push(b' ');
            write_identifier(name, text);
            text.extend_from_slice(b"[jsonb]:");
            text.extend_from_slice(UNCHANGED);
        }
    }
}

/// The columns of every table.
const COLUMNS: [&str; 5] = ["rid", "kind", "entity", "document", "metadata"];

/// What PostgreSQL prints for a value that an update left as it was and that is not sent again.
const UNCHANGED: &[u8] = b"unchanged-toast-datum";

fn write_bytea(bytes: &Hex<'_>, text: &mut Vec<u8>) {
    text.extend_from_slice(b"'\\x");
    bytes.write(text);
    text.push(b'\'');
}

/// The object or array whose JSON text the bytes are, if they are.
fn document(entity: &[u8]) -> Option<Value> {
    let value: Option<Value> = serde_json::from_slice(entity).ok();
    value.filter(|value| value.is_object() || value.is_array())
}

fn write_json_column(value: Option<&Value>, text: &mut Vec<u8>) {
    match value {
        Some(value) => {
            let mut printed = Vec::new();
            write_jsonb(value, &mut printed);
            write_literal(&printed, text);
        }
        None => text.extend_from_slice(b"null"),
    }
}
