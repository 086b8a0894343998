//! Orders of stored forms that are not the order of their bytes.

use rusqlite::Connection;

use crate::datum::{
    ElementOrder, array_compare, char_compare, inet_compare, interval_compare, numeric_compare,
};

/// Registers the collations that rewritten statements name.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("pg_numeric", numeric_compare)?;
    connection.create_collation("pg_interval", interval_compare)?;
    connection.create_collation("pg_inet", inet_compare)?;
    connection.create_collation("pg_char", char_compare)?;
    for order in ElementOrder::ALL {
        let compare = move |one: &str, other: &str| array_compare(order, one, other);
        connection.create_collation(order.collation(), compare)?;
    }
    Ok(())
}
