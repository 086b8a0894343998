//! The `test_decoding` plugin: PostgreSQL 15's text.
//!
//! Begin carries the LSN of the first change, each change its own, Commit the transaction's end.
//! What is known of a row before is printed as PostgreSQL prints an old key: the columns that
//! have a value.

use std::io::Write;

use crate::change::{Hex, only_change_lsn, write_json};
use crate::datum::PgType;
use crate::lsn::Lsn;
use crate::relations::Relation;
use crate::rows::{Action, Cell, Change, OldRow, Row};

use super::feed::{Render, Transaction};
use super::options::{PluginOption, boolean, unknown};
use super::sql_text::{type_name, write_identifier, write_literal, write_timestamp};
use super::{Messages, PluginError, RenderFault};

/// One stream's settings and its place in a transaction.
#[derive(Debug)]
pub(super) struct TestDecoding {
    include_xids: bool,
    include_timestamp: bool,
    /// Transactions that come from elsewhere are not shown.
    only_local: bool,
    /// BEGIN comes with the first change of a row, and without one there is no COMMIT either.
    skip_empty: bool,
    /// End LSN of the transaction whose BEGIN was written.
    begun: Option<Lsn>,
}

impl TestDecoding {
    /// Takes PostgreSQL 15's options. Those that change nothing here (nothing is rewritten, streamed
    /// or binary) are checked all the same. A transaction of
    /// messages only is one that `skip-empty-xacts` skips.
    pub(super) fn start(options: &[PluginOption]) -> Result<Self, PluginError> {
        let mut plugin = Self {
            include_xids: true,
            include_timestamp: false,
            only_local: false,
            skip_empty: false,
            begun: None,
        };
        for option in options {
            match option.0.as_str() {
                "include-xids" => plugin.include_xids = boolean(option)?,
                "include-timestamp" => plugin.include_timestamp = boolean(option)?,
                "skip-empty-xacts" => plugin.skip_empty = boolean(option)?,
                "only-local" => plugin.only_local = boolean(option)?,
                "force-binary" | "include-rewrites" | "stream-changes" => {
                    boolean(option)?;
                }
                _ => return Err(unknown(option)),
            }
        }
        Ok(plugin)
    }

    const fn hides(&self, transaction: &Transaction<'_>) -> bool {
        self.only_local && transaction.origin.is_some()
    }

    fn begin(&mut self, transaction: &Transaction<'_>, lsn: Lsn, out: &mut Messages) {
        if self.begun == Some(transaction.end) {
            return;
        }
        self.begun = Some(transaction.end);
        out.push_with(lsn, |text| {
            text.extend_from_slice(b"BEGIN");
            self.write_xid(transaction, text);
        });
    }

    fn write_xid(&self, transaction: &Transaction<'_>, text: &mut Vec<u8>) {
        if self.include_xids {
            text.push(b' ');
            write_json(&transaction.xid, text);
        }
    }
}

impl Render for TestDecoding {
    fn change(
        &mut self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        if self.hides(transaction) {
            return Ok(());
        }
        if !self.skip_empty || !matches!(change.action, Action::Message { .. }) {
            self.begin(transaction, change.lsn, out);
        }
        out.push_with(change.lsn, |text| write_action(&change.action, text));
        Ok(())
    }

    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages) {
        if self.hides(transaction) {
            return;
        }
        if !self.skip_empty {
            // PostgreSQL begins a transaction without a change too.
            self.begin(transaction, only_change_lsn(transaction.end), out);
        }
        if self.begun.take().is_none() {
            return;
        }
        out.push_with(transaction.end, |text| {
            text.extend_from_slice(b"COMMIT");
            self.write_xid(transaction, text);
            if self.include_timestamp {
                text.extend_from_slice(b" (at ");
                write_timestamp(transaction.commit_us, text);
                text.push(b')');
            }
        });
    }

    fn message(
        &mut self,
        _unit: &Transaction<'_>,
        message: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        out.push_with(message.lsn, |text| write_action(&message.action, text));
        Ok(())
    }
}

fn write_action(action: &Action<'_>, text: &mut Vec<u8>) {
    match action {
        Action::Insert { table, new } => {
            write_table(table, "INSERT", text);
            write_row(table, new, Nulls::Shown, text);
        }
        Action::Update { table, old, new } => {
            write_table(table, "UPDATE", text);
            if let Some(old) = old {
                text.extend_from_slice(b" old-key:");
                write_row(table, old.row(), Nulls::Hidden, text);
                text.extend_from_slice(b" new-tuple:");
            }
            write_row(table, new, Nulls::Shown, text);
        }
        Action::Delete { table, old } => {
            write_table(table, "DELETE", text);
            match old {
                Some(OldRow::Key(row) | OldRow::Full(row)) => {
                    write_row(table, row, Nulls::Hidden, text);
                }
                None => text.extend_from_slice(b" (no-tuple-data)"),
            }
        }
        Action::Truncate {
            tables,
            cascade,
            restart_identity,
        } => write_truncate(tables, *cascade, *restart_identity, text),
        Action::Message {
            transactional,
            prefix,
            content,
        } => write_message(*transactional, prefix, content, text),
    }
}

fn write_table(table: &Relation, action: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(b"table ");
    write_name(table, text);
    text.extend_from_slice(b": ");
    text.extend_from_slice(action.as_bytes());
    text.push(b':');
}

fn write_name(table: &Relation, text: &mut Vec<u8>) {
    write_identifier(&table.schema, text);
    text.push(b'.');
    write_identifier(&table.name, text);
}

fn write_truncate(tables: &[&Relation], cascade: bool, restart: bool, text: &mut Vec<u8>) {
    text.extend_from_slice(b"table ");
    for (place, table) in tables.iter().enumerate() {
        if place > 0 {
            text.extend_from_slice(b", ");
        }
        write_name(table, text);
    }
    text.extend_from_slice(b": TRUNCATE:");
    for (word, shown) in [
        (" restart_seqs", restart),
        (" cascade", cascade),
        (" (no-flags)", !restart && !cascade),
    ] {
        if shown {
            text.extend_from_slice(word.as_bytes());
        }
    }
}

/// Appends a logical message. Content that is not text is printed as `bytea` is.
fn write_message(transactional: bool, prefix: &str, content: &[u8], text: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(
        text,
        "message: transactional: {} prefix: {prefix}, sz: {} content:",
        u8::from(transactional),
        content.len()
    );
    if std::str::from_utf8(content).is_ok() && !content.contains(&0) {
        text.extend_from_slice(content);
    } else {
        text.extend_from_slice(b"\\x");
        Hex::Bytes(content.into()).write(text);
    }
}

/// What PostgreSQL prints for a value that an update left as it was and that is not sent again.
const UNCHANGED: &[u8] = b"unchanged-toast-datum";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Shown,
    Hidden,
}

fn write_row(table: &Relation, row: &Row, nulls: Nulls, text: &mut Vec<u8>) {
    for (place, column) in table.live_columns().enumerate() {
        let cell = row.cell(place);
        if cell == Cell::Null && nulls == Nulls::Hidden {
            continue;
        }
        text.push(b' ');
        write_identifier(&column.name, text);
        text.push(b'[');
        text.extend_from_slice(type_name(table, column).as_bytes());
        text.extend_from_slice(b"]:");
        match cell {
            Cell::Null => text.extend_from_slice(b"null"),
            Cell::Unchanged => text.extend_from_slice(UNCHANGED),
            Cell::Text(value) => write_value(column.column_type, value, text),
        }
    }
    for name in row.unchanged_members() {
        text.push(b' ');
        write_identifier(name, text);
        text.extend_from_slice(b"[jsonb]:");
        text.extend_from_slice(UNCHANGED);
    }
}

fn write_value(ty: PgType, value: &str, text: &mut Vec<u8>) {
    match ty {
        PgType::BOOL => text.extend_from_slice(if value == "t" { b"true" } else { b"false" }),
        PgType::BIT | PgType::VARBIT => {
            text.extend_from_slice(b"B'");
            text.extend_from_slice(value.as_bytes());
            text.push(b'\'');
        }
        number if number.is_number() => text.extend_from_slice(value.as_bytes()),
        _ => write_literal(value.as_bytes(), text),
    }
}
