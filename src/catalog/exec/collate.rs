//! Orders of stored forms that are not the order of their bytes.

use std::cmp::Ordering;

use rusqlite::Connection;

use crate::datum::{array_compare, interval_compare, numeric_compare};

/// Registers the collations that rewritten statements name.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("pg_numeric", numeric_compare)?;
    connection.create_collation("pg_interval", interval_compare)?;
    connection.create_collation("pg_array", |a, b| array_compare(a, b, str::cmp))?;
    connection.create_collation("pg_array_numeric", |a, b| {
        array_compare(a, b, numeric_compare)
    })?;
    connection.create_collation("pg_array_lsn", |a, b| array_compare(a, b, lsn_compare))
}

/// Compares two positions in text form: their halves have no leading zeros.
fn lsn_compare(a: &str, b: &str) -> Ordering {
    let key = |text: &str| {
        let (high, low) = text.split_once('/').unwrap_or((text, ""));
        (high.len(), high.to_owned(), low.len(), low.to_owned())
    };
    key(a).cmp(&key(b))
}
