//! Format 1: one JSON text a transaction, as a line or, with `pretty-print`, as many.

use crate::change::write_json;
use crate::relations::{Relation, RelationColumn, ReplicaIdentity};
use crate::rows::{Cell, Row};

use super::super::feed::Transaction;
use super::super::sql_text::{catalog_type_name, type_oid, whole_type_name, write_timestamp};
use super::options::Options;
use super::shown::{
    Identity, Shown, cells, key_columns, origin_id, put, write_content, write_type, write_value,
};

/// Appends the beginning of a transaction, up to its first change.
pub(super) fn write_begin(options: &Options, transaction: &Transaction<'_>, text: &mut Vec<u8>) {
    let mut object = Object::open(options, 1, text);
    if options.include_xids {
        put(object.member("xid"), format_args!("{}", transaction.xid));
    }
    if options.include_lsn {
        put(
            object.member("nextlsn"),
            format_args!("\"{}\"", transaction.end),
        );
    }
    if options.include_timestamp {
        let text = object.member("timestamp");
        text.push(b'"');
        write_timestamp(transaction.commit_us, text);
        text.push(b'"');
    }
    if options.include_origin {
        object
            .member("origin")
            .extend_from_slice(origin_id(transaction));
    }
    object.member("change").push(b'[');
}

/// Appends the end of a transaction.
pub(super) fn write_end(options: &Options, text: &mut Vec<u8>) {
    indent(options, 1, text);
    text.push(b']');
    end_line(options, text);
    text.push(b'}');
}

/// Ends a line where there are any.
pub(super) fn end_line(options: &Options, text: &mut Vec<u8>) {
    if options.pretty_print {
        text.push(b'\n');
    }
}

/// Appends what stands before a change.
pub(super) fn open_change(options: &Options, follows: bool, text: &mut Vec<u8>) {
    indent(options, 2, text);
    if follows {
        text.push(b',');
    }
}

/// Appends a message that belongs to no transaction.
pub(super) fn write_alone(options: &Options, shown: &Shown<'_>, text: &mut Vec<u8>) {
    Object::open(options, 1, text).member("change").push(b'[');
    end_line(options, text);
    open_change(options, false, text);
    write_change(options, shown, text);
    end_line(options, text);
    write_end(options, text);
}

/// Appends a change.
pub(super) fn write_change(options: &Options, shown: &Shown<'_>, text: &mut Vec<u8>) {
    let mut object = Object::open(options, 3, text);
    match shown {
        Shown::Row {
            action,
            table,
            new,
            identity,
        } => {
            write_json(action.name(), object.member("kind"));
            if options.include_schemas {
                write_json(&table.schema, object.member("schema"));
            }
            write_json(&table.name, object.member("table"));
            if let Some(row) = new {
                write_row(options, table, row, &mut object);
            }
            // The original shows the key only where it is the replica identity by default.
            let by_default = table.replica_identity == ReplicaIdentity::Default;
            if options.include_pk && by_default && table.primary_key().is_some() {
                write_key(options, table, object.member("pk"));
            }
            if let Some(identity) = identity {
                write_identity(options, table, *identity, object.member("oldkeys"));
            }
        }
        Shown::Message {
            transactional,
            prefix,
            content,
        } => {
            write_json("message", object.member("kind"));
            write_json(transactional, object.member("transactional"));
            write_json(prefix, object.member("prefix"));
            write_content(content, object.member("content"));
        }
    }
    object.close();
}

fn write_row(options: &Options, table: &Relation, row: &Row, object: &mut Object<'_>) {
    let columns = || cells(table, row).map(|(column, _)| column);
    let type_of = type_writer(table);
    object.array("columnnames", columns(), write_name);
    if options.include_types {
        object.array("columntypes", columns(), type_of);
    }
    if options.include_type_oids {
        object.array("columntypeoids", columns(), |_, column, text| {
            write_json(&type_oid(column), text);
        });
    }
    if options.include_column_positions {
        object.array("columnpositions", columns(), |_, column, text| {
            write_json(&column.attnum, text);
        });
    }
    if options.include_not_null {
        // The original fills it only beside types.
        let shown = if options.include_types { usize::MAX } else { 0 };
        object.array(
            "columnoptionals",
            columns().take(shown),
            |_, column, text| {
                write_json(&!column.not_null, text);
            },
        );
    }
    if options.include_default {
        // No column has a default here.
        object.array("columndefaults", columns(), |_, _, text| {
            text.extend_from_slice(b"null");
        });
    }
    object.array(
        "columnvalues",
        cells(table, row),
        |_, (column, cell), text| {
            write_value(column.column_type, cell, text);
        },
    );
}

fn write_key(options: &Options, table: &Relation, text: &mut Vec<u8>) {
    let mut object = Object::open(options, 4, text);
    object.array("pknames", key_columns(table), write_name);
    let shown = if options.include_types { usize::MAX } else { 0 };
    let type_of = type_writer(table);
    object.array("pktypes", key_columns(table).take(shown), type_of);
    object.close();
}

fn write_identity(options: &Options, table: &Relation, identity: Identity<'_>, text: &mut Vec<u8>) {
    // A column without a value identifies nothing.
    let known = || {
        let cells = identity.cells(table);
        cells.filter(|(_, cell)| *cell != Cell::Null)
    };
    let columns = || known().map(|(column, _)| column);
    let type_of = type_writer(table);
    let mut object = Object::open(options, 4, text);
    object.array("keynames", columns(), write_name);
    if options.include_types {
        object.array("keytypes", columns(), type_of);
    }
    if options.include_type_oids {
        object.array("keytypeoids", columns(), |_, column, text| {
            write_json(&type_oid(column), text);
        });
    }
    object.array("keyvalues", known(), |_, (column, cell), text| {
        write_value(column.column_type, cell, text);
    });
    object.close();
}

fn write_name(_options: &Options, column: &RelationColumn, text: &mut Vec<u8>) {
    write_json(&column.name, text);
}

/// Appends types of columns of `table` as `format_type` prints them, or without modifiers the names
/// that `pg_type` has.
fn type_writer(table: &Relation) -> impl Fn(&Options, &RelationColumn, &mut Vec<u8>) + Copy {
    move |options, column, text| {
        let name = if options.include_typmod {
            whole_type_name(table, column)
        } else {
            catalog_type_name(table, column)
        };
        write_type(&name, text);
    }
}

/// An object that is being written.
struct Object<'a> {
    options: &'a Options,
    depth: usize,
    has_member: bool,
    text: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Opens an object whose members are that deep.
    fn open(options: &'a Options, depth: usize, text: &'a mut Vec<u8>) -> Self {
        text.push(b'{');
        Self {
            options,
            depth,
            has_member: false,
            text,
        }
    }

    /// Appends a member's name, and gives what its value is to be written to.
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.has_member, true) {
            self.text.push(b',');
        }
        end_line(self.options, self.text);
        indent(self.options, self.depth, self.text);
        let colon = if self.options.pretty_print { ": " } else { ":" };
        put(self.text, format_args!("\"{name}\"{colon}"));
        self.text
    }

    /// Appends a member that is an array.
    fn array<T>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = T>,
        write: impl Fn(&Options, T, &mut Vec<u8>),
    ) {
        let options = self.options;
        let comma: &[u8] = if options.pretty_print { b", " } else { b"," };
        let text = self.member(name);
        text.push(b'[');
        for (place, item) in items.enumerate() {
            if place > 0 {
                text.extend_from_slice(comma);
            }
            write(options, item, text);
        }
        text.push(b']');
    }

    fn close(self) {
        end_line(self.options, self.text);
        indent(self.options, self.depth.saturating_sub(1), self.text);
        self.text.push(b'}');
    }
}

fn indent(options: &Options, depth: usize, text: &mut Vec<u8>) {
    if options.pretty_print {
        text.extend(std::iter::repeat_n(b'\t', depth));
    }
}
