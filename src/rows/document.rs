//! The change record of an SQL statement: values of columns as a document that reads back to the
//! same values.

use crate::change::ChangeRecord;
use crate::datum::{PgType, info, parse_stored_array, write_json_string};
use crate::lsn::Lsn;
use crate::relations::{Relation, RelationColumn, RelationSet};

use super::declared::is_rid;
use super::value::is_array;
use super::{Action, Cell, Change, OldRow, Row, RowError, RowFault, json};

/// The record of an INSERT into the declared table `table`, which is `collection`: one value for each column that is not
/// dropped, in the form that `datum::text_out` gives in UTC.
pub fn insert_record(
    collection: &str,
    table: &Relation,
    new: &Row,
) -> Result<ChangeRecord, RowError> {
    let record = ChangeRecord::insert(collection, rid(table, new));
    Ok(record.with_entity(document(table, new)?))
}

/// The record of an UPDATE: the new values, `Unchanged` where they stayed and are not known, and
/// what is known of the row before (`Unchanged` where nothing is), which is needed when the key
/// changes and with REPLICA IDENTITY FULL.
pub fn update_record(
    collection: &str,
    table: &Relation,
    old: Option<&Row>,
    new: &Row,
) -> Result<ChangeRecord, RowError> {
    let mut record =
        ChangeRecord::update(collection, rid(table, new)).with_entity(document(table, new)?);
    let cells = table.live_columns().zip(new.cells());
    let unchanged: Vec<_> = cells
        .filter(|(_, cell)| *cell == Cell::Unchanged)
        .map(|(column, _)| column.name.clone())
        .collect();
    if !unchanged.is_empty() {
        record = record.with_unchanged(unchanged);
    }
    Ok(match old {
        Some(old) => record.with_old(document(table, old)?),
        None => record,
    })
}

/// The record of a DELETE: what is known of the row (`Unchanged` where nothing is), at least its
/// key.
pub fn delete_record(
    collection: &str,
    table: &Relation,
    old: &Row,
) -> Result<ChangeRecord, RowError> {
    let record = ChangeRecord::delete(collection, rid(table, old));
    Ok(record.with_old(document(table, old)?))
}

/// The record of a change that an upstream captured, which is a row whatever JSON it holds: one, but
/// for a truncate of several tables. A message has no table.
pub(crate) fn captured_records(set: &RelationSet, change: &Change<'_>) -> Vec<ChangeRecord> {
    let name = |table: &Relation| {
        let known = set.collection_of(table);
        known.unwrap_or_else(|| format!("{}.{}", table.schema, table.name))
    };
    match &change.action {
        Action::Insert { table, new } => {
            let record = ChangeRecord::insert(name(table), rid(table, new));
            vec![record.with_entity(captured_document(table, new, false))]
        }
        Action::Update { table, old, new } => {
            let mut record = ChangeRecord::update(name(table), rid(table, new))
                .with_entity(captured_document(table, new, false));
            let cells = table.live_columns().zip(new.cells());
            let unchanged: Vec<_> = cells
                .filter(|(_, cell)| *cell == Cell::Unchanged)
                .map(|(column, _)| column.name.clone())
                .collect();
            if !unchanged.is_empty() {
                record = record.with_unchanged(unchanged);
            }
            if let Some(old) = old {
                record = record.with_old(old_document(table, *old));
            }
            vec![record]
        }
        Action::Delete { table, old } => {
            let rid = old.map_or(0, |old| rid(table, old.row()));
            let record = ChangeRecord::delete(name(table), rid);
            vec![match old {
                Some(old) => record.with_old(old_document(table, *old)),
                None => record,
            }]
        }
        Action::Truncate { tables, .. } => {
            let records = tables
                .iter()
                .map(|table| ChangeRecord::truncate(name(table)));
            records.collect()
        }
        Action::Message {
            transactional,
            prefix,
            content,
        } => vec![ChangeRecord::message(*transactional, *prefix, *content)],
    }
}

/// What is said of a row before: of a key nothing but its columns.
fn old_document(table: &Relation, old: OldRow<'_>) -> String {
    match old {
        OldRow::Key(row) => captured_document(table, row, true),
        OldRow::Full(row) => captured_document(table, row, false),
    }
}

/// The JSON text of an object with the values of `row`; those that are NULL only unless `is_key`.
/// `null` of JSON cannot be told from NULL in it.
fn captured_document(table: &Relation, row: &Row, is_key: bool) -> String {
    let mut out = String::from("{");
    for (column, cell) in table.live_columns().zip(row.cells()) {
        if cell == Cell::Unchanged || (is_key && cell == Cell::Null) {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        write_json_string(&column.name, &mut out);
        out.push(':');
        match cell {
            Cell::Text(text) => {
                let start = out.len();
                if write_value(column, text, &mut out).is_err() {
                    out.truncate(start);
                    if text.trim_ascii() == "null" {
                        out.push_str("null");
                    } else {
                        write_json_string(text, &mut out);
                    }
                }
            }
            Cell::Null | Cell::Unchanged => out.push_str("null"),
        }
    }
    out.push('}');
    out
}

/// The key of a row where that is one integer that is not negative, else 0.
fn rid(table: &Relation, row: &Row) -> u64 {
    let key = table.primary_key().or_else(|| table.keys.first());
    let Some(key) = key.filter(|key| is_rid(table, &key.columns)) else {
        return 0;
    };
    let mut cells = table.live_columns().zip(row.cells());
    let cell = cells.find(|(column, _)| key.columns.contains(&column.attnum));
    match cell {
        Some((_, Cell::Text(text))) => text.parse().unwrap_or(0),
        Some((_, Cell::Null | Cell::Unchanged)) | None => 0,
    }
}

/// The JSON text of an object with the values of `row` by the names of their columns.
fn document(table: &Relation, row: &Row) -> Result<String, RowError> {
    let mut out = String::from("{");
    for (column, cell) in table.live_columns().zip(row.cells()) {
        if cell == Cell::Unchanged {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        write_json_string(&column.name, &mut out);
        out.push(':');
        match cell {
            Cell::Text(text) => write_value(column, text, &mut out).map_err(|fault| {
                RowError::new(Lsn::ZERO, table, (Some(column.name.clone()), fault))
            })?,
            Cell::Null | Cell::Unchanged => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}

fn write_value(column: &RelationColumn, text: &str, out: &mut String) -> Result<(), RowFault> {
    let ty = column.column_type;
    if matches!(ty, PgType::JSON | PgType::JSONB) {
        json::check(text).map_err(RowFault::Value)?;
        if text.trim_ascii() == "null" {
            return Err(RowFault::JsonNull {
                column: column.name.clone(),
                type_name: crate::datum::format_type(ty, -1),
            });
        }
        out.push_str(text);
        return Ok(());
    }
    if is_array(ty) && write_array(ty, text, out).is_some() {
        return Ok(());
    }
    write_scalar(ty, text, out);
    Ok(())
}

fn write_scalar(ty: PgType, text: &str, out: &mut String) {
    match ty {
        PgType::BOOL if text == "t" => out.push_str("true"),
        PgType::BOOL if text == "f" => out.push_str("false"),
        _ if ty.is_number() && is_number(text) => out.push_str(text),
        _ => write_json_string(text, out),
    }
}

/// Whether it is a number of JSON as it stands.
fn is_number(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|byte| byte == b'-' || byte.is_ascii_digit()) && json::check(text).is_ok()
}

/// Appends an array of one dimension that counts from 1 as one of JSON; others stay text.
fn write_array(ty: PgType, text: &str, out: &mut String) -> Option<()> {
    let found = info(ty)?;
    if matches!(found.elem, PgType::JSON | PgType::JSONB) {
        return None;
    }
    let array = parse_stored_array(text, found.delim).ok()?;
    if !matches!(array.dimensions.as_slice(), [] | [(_, 1)]) {
        return None;
    }
    out.push('[');
    for (index, element) in array.elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match element {
            Some(element) => write_scalar(found.elem, element, out),
            None => out.push_str("null"),
        }
    }
    out.push(']');
    Some(())
}
