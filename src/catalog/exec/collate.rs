//! Orders of stored forms that are not the order of their bytes.

use rusqlite::Connection;

use crate::datum::{interval_compare, numeric_compare};

/// Registers the collations that rewritten statements name.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("pg_numeric", numeric_compare)?;
    connection.create_collation("pg_interval", interval_compare)
}
