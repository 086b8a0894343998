//! What of a change wal2json shows, whatever the format: its columns, its identity, its key; and
//! how it writes a value.

use std::io::Write;

use crate::change::{Hex, write_json};
use crate::datum::PgType;
use crate::relations::{Relation, RelationColumn, ReplicaIdentity};
use crate::rows::{self, Cell, OldRow, Row};

use super::super::feed::Transaction;
use super::options;

/// A change of a row, or a message.
pub(super) enum Shown<'a> {
    /// A change of a row.
    Row {
        /// What happened.
        action: options::Action,
        /// Its table.
        table: &'a Relation,
        /// The row, unless it was removed.
        new: Option<&'a Row>,
        /// What says which row it was, unless it is a new one.
        identity: Option<Identity<'a>>,
    },
    /// A logical message.
    Message {
        /// It belongs to its transaction.
        transactional: bool,
        /// Whose message it is.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
}

/// Some columns of a row.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    row: &'a Row,
    columns: Columns<'a>,
}

#[derive(Clone, Copy)]
enum Columns<'a> {
    All,
    /// Those with these numbers.
    Of(&'a [i16]),
}

impl<'a> Shown<'a> {
    /// `None` for a truncate, and for what the original leaves out: a change of a row that
    /// nothing identifies.
    pub(super) fn of(action: &rows::Action<'a>) -> Option<Self> {
        match *action {
            rows::Action::Insert { table, new } => Some(Self::Row {
                action: options::Action::Insert,
                table,
                new: Some(new),
                identity: None,
            }),
            rows::Action::Update { table, old, new } => Some(Self::Row {
                action: options::Action::Update,
                table,
                new: Some(new),
                identity: Some(Identity::of(table, old, Some(new))?),
            }),
            rows::Action::Delete { table, old } => Some(Self::Row {
                action: options::Action::Delete,
                table,
                new: None,
                identity: Some(Identity::of(table, old, None)?),
            }),
            rows::Action::Message {
                transactional,
                prefix,
                content,
            } => Some(Self::Message {
                transactional,
                prefix,
                content,
            }),
            rows::Action::Truncate { .. } => None,
        }
    }

    /// The table, and what happened to a row of it.
    pub(super) const fn of_table(&self) -> Option<(options::Action, &'a Relation)> {
        match self {
            Self::Row { action, table, .. } => Some((*action, *table)),
            Self::Message { .. } => None,
        }
    }
}

impl<'a> Identity<'a> {
    /// What of the row before is known, or else of the new row, whose key is the same then.
    fn of(table: &'a Relation, old: Option<OldRow<'a>>, new: Option<&'a Row>) -> Option<Self> {
        let key = match table.replica_identity {
            ReplicaIdentity::Default | ReplicaIdentity::Index(_) => {
                table.replica_identity_index()?
            }
            ReplicaIdentity::Full => {
                if let Some(old) = old {
                    let row = old.row();
                    let columns = Columns::All;
                    return Some(Self { row, columns });
                }
                // The producer did not say what the row was: its key is all that is known.
                let key = table.primary_key();
                let key = key.map_or(&[][..], |key| key.columns.as_slice());
                return new.map(|row| Self {
                    row,
                    columns: Columns::Of(key),
                });
            }
            ReplicaIdentity::Nothing => return None,
        };
        let columns = match old {
            Some(OldRow::Full(_)) => Columns::All,
            Some(OldRow::Key(_)) | None => Columns::Of(&key.columns),
        };
        let row = old.map(OldRow::row).or(new)?;
        Some(Self { row, columns })
    }

    /// Its columns with their values, in the table's order.
    pub(super) fn cells(
        self,
        table: &'a Relation,
    ) -> impl Iterator<Item = (&'a RelationColumn, Cell<'a>)> {
        cells(table, self.row).filter(move |(column, _)| match self.columns {
            Columns::All => true,
            Columns::Of(numbers) => numbers.contains(&column.attnum),
        })
    }
}

/// The columns of a row with their values, but for those that an update left as they were.
pub(super) fn cells<'a>(
    table: &'a Relation,
    row: &'a Row,
) -> impl Iterator<Item = (&'a RelationColumn, Cell<'a>)> {
    let columns = table.live_columns().enumerate();
    columns
        .map(|(place, column)| (column, row.cell(place)))
        .filter(|(_, cell)| *cell != Cell::Unchanged)
}

/// The columns of the primary key, in the table's order.
pub(super) fn key_columns(table: &Relation) -> impl Iterator<Item = &RelationColumn> {
    let key = table.primary_key();
    let numbers = key.map_or(&[][..], |key| key.columns.as_slice());
    table
        .live_columns()
        .filter(move |column| numbers.contains(&column.attnum))
}

/// Appends a value: numbers and booleans bare, `bytea` without its `\x`, all else as a string.
pub(super) fn write_value(ty: PgType, cell: Cell<'_>, text: &mut Vec<u8>) {
    let Cell::Text(value) = cell else {
        text.extend_from_slice(b"null");
        return;
    };
    match ty {
        PgType::BOOL => text.extend_from_slice(if value == "t" { b"true" } else { b"false" }),
        PgType::BYTEA => write_json(value.strip_prefix("\\x").unwrap_or(value), text),
        number if number.is_number() => {
            // JSON has no word for what is not a number. Values of an upstream were not checked here.
            let is_json = is_json_number(value);
            text.extend_from_slice(if is_json { value.as_bytes() } else { b"null" });
        }
        _ => write_json(value, text),
    }
}

/// Whether it is a number of JSON as PostgreSQL prints numbers: `-1`, `0.50`, `1e+20`.
fn is_json_number(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let (mantissa, exponent) = match unsigned.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    digits(whole)
        && !has_leading_zero
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Appends the name of a type, of which PostgreSQL's own quotes are taken as the string's.
pub(super) fn write_type(name: &str, text: &mut Vec<u8>) {
    if name.starts_with('"') && name.ends_with('"') {
        text.extend_from_slice(name.as_bytes());
    } else {
        write_json(name, text);
    }
}

/// Appends what a message says. What is not text is written as `bytea` is.
pub(super) fn write_content(content: &[u8], text: &mut Vec<u8>) {
    match std::str::from_utf8(content) {
        Ok(content) if !content.contains('\0') => write_json(content, text),
        Ok(_) | Err(_) => {
            text.extend_from_slice(b"\"\\\\x");
            Hex::Bytes(content.into()).write(text);
            text.push(b'"');
        }
    }
}

/// The number of the origin of a transaction: 0 for none. That of another one only the upstream
/// knows; here it has but a name.
pub(super) const fn origin_id(transaction: &Transaction<'_>) -> &'static [u8] {
    match transaction.origin {
        None => b"0",
        Some(_) => b"null",
    }
}

/// Appends what is formatted.
pub(super) fn put(text: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_of_json_is_told() {
        for value in [
            "0",
            "-1",
            "9.50",
            "1e+20",
            "1e-07",
            "-2.5e+10",
            "123456789012345678901",
        ] {
            assert!(is_json_number(value), "{value}");
        }
        for value in [
            "", "-", "NaN", "Infinity", "1-2", "01", "1.", ".5", "1e", "1x", "--1",
        ] {
            assert!(!is_json_number(value), "{value}");
        }
    }
}
