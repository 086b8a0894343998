//! Format 2: one JSON text a change.

use crate::change::write_json;
use crate::lsn::Lsn;
use crate::relations::{Relation, RelationColumn};
use crate::rows::Cell;

use super::super::feed::Transaction;
use super::super::sql_text::{type_oid, whole_type_name, write_timestamp};
use super::options::{Action, Options};
use super::shown::{
    Shown, cells, key_columns, origin_id, put, write_content, write_type, write_value,
};

/// Appends the begin (`B`) or commit (`C`) of a transaction.
pub(super) fn write_boundary(
    options: &Options,
    transaction: &Transaction<'_>,
    action: &str,
    text: &mut Vec<u8>,
) {
    write_head(options, Some(transaction), action, text);
    if options.include_lsn {
        let (lsn, next) = (transaction.final_lsn, transaction.end);
        put(text, format_args!(r#","lsn":"{lsn}","nextlsn":"{next}""#));
    }
    text.push(b'}');
}

/// Appends a change, or a message that may belong to no transaction.
pub(super) fn write_change(
    options: &Options,
    transaction: Option<&Transaction<'_>>,
    lsn: Lsn,
    shown: &Shown<'_>,
    text: &mut Vec<u8>,
) {
    match shown {
        Shown::Row {
            action,
            table,
            new,
            identity,
        } => {
            write_head(options, transaction, action.letter(), text);
            write_lsn(options, lsn, text);
            write_table(options, table, text);
            if let Some(row) = new {
                write_array(
                    "columns",
                    cells(table, row),
                    text,
                    |(column, cell), text| {
                        write_column(options, (table, column), Some(cell), text);
                        write_details(options, column, text);
                    },
                );
            }
            if let Some(identity) = identity {
                let cells = identity.cells(table);
                write_array("identity", cells, text, |(column, cell), text| {
                    write_column(options, (table, column), Some(cell), text);
                });
            }
            if options.include_pk {
                write_array("pk", key_columns(table), text, |column, text| {
                    write_column(options, (table, column), None, text);
                });
            }
        }
        Shown::Message {
            transactional,
            prefix,
            content,
        } => {
            write_head(options, transaction, "M", text);
            write_lsn(options, lsn, text);
            put(text, format_args!(r#","transactional":{transactional}"#));
            text.extend_from_slice(br#","prefix":"#);
            write_json(prefix, text);
            text.extend_from_slice(br#","content":"#);
            write_content(content, text);
        }
    }
    text.push(b'}');
}

/// Appends that all rows of `table` are removed.
pub(super) fn write_truncate(
    options: &Options,
    transaction: &Transaction<'_>,
    lsn: Lsn,
    table: &Relation,
    text: &mut Vec<u8>,
) {
    write_head(options, Some(transaction), Action::Truncate.letter(), text);
    write_lsn(options, lsn, text);
    write_table(options, table, text);
    text.push(b'}');
}

/// Appends what every object begins with.
fn write_head(
    options: &Options,
    transaction: Option<&Transaction<'_>>,
    action: &str,
    text: &mut Vec<u8>,
) {
    put(text, format_args!(r#"{{"action":"{action}""#));
    if options.include_xids {
        match transaction {
            Some(transaction) => put(text, format_args!(r#","xid":{}"#, transaction.xid)),
            None => text.extend_from_slice(br#","xid":null"#),
        }
    }
    if options.include_timestamp {
        match transaction {
            Some(transaction) => {
                text.extend_from_slice(br#","timestamp":""#);
                write_timestamp(transaction.commit_us, text);
                text.push(b'"');
            }
            None => text.extend_from_slice(br#","timestamp":null"#),
        }
    }
    if options.include_origin {
        text.extend_from_slice(br#","origin":"#);
        text.extend_from_slice(transaction.map_or(b"null", origin_id));
    }
}

fn write_lsn(options: &Options, lsn: Lsn, text: &mut Vec<u8>) {
    if options.include_lsn {
        put(text, format_args!(r#","lsn":"{lsn}""#));
    }
}

fn write_table(options: &Options, table: &Relation, text: &mut Vec<u8>) {
    if options.include_schemas {
        text.extend_from_slice(br#","schema":"#);
        write_json(&table.schema, text);
    }
    text.extend_from_slice(br#","table":"#);
    write_json(&table.name, text);
}

/// Appends a member that is an array of objects; `write` opens each and writes its members.
fn write_array<T>(
    name: &str,
    items: impl Iterator<Item = T>,
    text: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    put(text, format_args!(r#","{name}":["#));
    for (place, item) in items.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        text.push(b'{');
        write(item, text);
        text.push(b'}');
    }
    text.push(b']');
}

/// Appends name, type and, where it has one, value of a column. Format 2 shows type modifiers
/// whatever `include-typmod` says.
fn write_column(
    options: &Options,
    (table, column): (&Relation, &RelationColumn),
    cell: Option<Cell<'_>>,
    text: &mut Vec<u8>,
) {
    text.extend_from_slice(br#""name":"#);
    write_json(&column.name, text);
    if options.include_types {
        text.extend_from_slice(br#","type":"#);
        write_type(&whole_type_name(table, column), text);
    }
    if options.include_type_oids {
        put(text, format_args!(r#","typeoid":{}"#, type_oid(column)));
    }
    if let Some(cell) = cell {
        text.extend_from_slice(br#","value":"#);
        write_value(column.column_type, cell, text);
    }
}

/// Appends what only the columns of a new row have.
fn write_details(options: &Options, column: &RelationColumn, text: &mut Vec<u8>) {
    if options.include_not_null {
        put(text, format_args!(r#","optional":{}"#, !column.not_null));
    }
    if options.include_column_positions {
        put(text, format_args!(r#","position":{}"#, column.attnum));
    }
    if options.include_default {
        // No column has a default here.
        text.extend_from_slice(br#","default":null"#);
    }
}
