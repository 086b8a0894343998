//! Records of a collection that nobody declared: rows of `rid`, `kind`, `entity`, `document` and
//! `metadata`.

use crate::change::{Fields, Hex, public_kind, write_json};

use super::value::document;
use super::{Row, jsonb};

/// The bytes, in `buffer`.
pub(super) fn decode(hex: Option<&Hex<'_>>, buffer: &mut Vec<u8>) {
    match hex {
        None => buffer.clear(),
        Some(hex) => hex.read_into(buffer),
    }
}

/// Appends the row of an insert or update.
pub(super) fn write_row(fields: &Fields<'_>, buffer: &mut Vec<u8>, row: &mut Row) {
    let is_unchanged = |name: &str| {
        let mut names = fields.unchanged.iter().flatten();
        names.any(|unchanged| unchanged == name)
    };
    let push_missing = |unchanged: bool, row: &mut Row| {
        if unchanged {
            row.push_unchanged();
        } else {
            row.push_null();
        }
    };
    row.push_text(itoa::Buffer::new().format(fields.entity_id));
    row.push_text(public_kind(&fields.entity_kind));
    let entity = fields.entity_bytes.as_ref();
    match entity {
        Some(bytes) => push_bytea(bytes, row),
        None => push_missing(is_unchanged("entity"), row),
    }
    if !push_document(entity, buffer, row) {
        let unchanged = is_unchanged("document") || (entity.is_none() && is_unchanged("entity"));
        push_missing(unchanged, row);
    }
    if fields.metadata.is_none() {
        push_missing(is_unchanged("metadata"), row);
    } else {
        push_metadata(fields, buffer, row);
    }
    for name in fields.unchanged.iter().flatten() {
        if !COLUMNS.contains(&name.as_ref()) {
            row.push_unchanged_member(name);
        }
    }
}

/// The columns of every collection; any other name is a member of its document.
const COLUMNS: [&str; 5] = ["rid", "kind", "entity", "document", "metadata"];

/// Appends a row of a refresh: it has no `rid`. The metadata belongs to the refresh: with each row
/// it could grow a record by as much as it has rows.
pub(super) fn write_refreshed(
    fields: &Fields<'_>,
    entity: &Hex<'_>,
    first: bool,
    buffer: &mut Vec<u8>,
    row: &mut Row,
) {
    row.push_null();
    row.push_text(public_kind(&fields.entity_kind));
    push_bytea(entity, row);
    if !push_document(Some(entity), buffer, row) {
        row.push_null();
    }
    if first {
        push_metadata(fields, buffer, row);
    } else {
        row.push_null();
    }
}

/// Appends what is known of the row before: its `rid`, and its entity where `old` gives that.
pub(super) fn write_old(
    fields: &Fields<'_>,
    old: Option<&Hex<'_>>,
    buffer: &mut Vec<u8>,
    row: &mut Row,
) {
    row.push_text(itoa::Buffer::new().format(fields.entity_id));
    row.push_null();
    match old {
        Some(old) => push_bytea(old, row),
        None => row.push_null(),
    }
    if !push_document(old, buffer, row) {
        row.push_null();
    }
    row.push_null();
}

fn push_bytea(bytes: &Hex<'_>, row: &mut Row) {
    row.push_with(|out| {
        out.push_str("\\x");
        let start = out.len();
        match bytes {
            Hex::Digits(digits) => {
                out.push_str(digits);
                if let Some(digits) = out.get_mut(start..) {
                    digits.make_ascii_lowercase();
                }
            }
            Hex::Bytes(bytes) => out.push_str(&hex::encode(bytes)),
        }
    });
}

/// Appends the entity as a document, if it is an object or array that a `jsonb` can hold.
fn push_document(entity: Option<&Hex<'_>>, buffer: &mut Vec<u8>, row: &mut Row) -> bool {
    if entity.is_none() {
        return false;
    }
    decode(entity, buffer);
    let Some(text) = document(buffer) else {
        return false;
    };
    row.try_push_with(|out| jsonb::write(text, out)).is_ok()
}

/// Appends the metadata; NULL where a `jsonb` cannot hold it.
fn push_metadata(fields: &Fields<'_>, buffer: &mut Vec<u8>, row: &mut Row) {
    buffer.clear();
    if let Some(metadata) = &fields.metadata {
        write_json(metadata, buffer);
    }
    let text = std::str::from_utf8(buffer).unwrap_or_default();
    if text.is_empty() || row.try_push_with(|out| jsonb::write(text, out)).is_err() {
        row.push_null();
    }
}
