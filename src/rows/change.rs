//! What happened to rows, as plugins and publications see it.

use crate::lsn::Lsn;
use crate::relations::Relation;

use super::Row;

/// One change of a transaction, or a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// The change's own position.
    pub lsn: Lsn,
    /// What happened.
    pub action: Action<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<'a> {
    /// A new row.
    Insert {
        /// Its table.
        table: &'a Relation,
        /// The row.
        new: &'a Row,
    },
    /// A changed row.
    Update {
        /// Its table.
        table: &'a Relation,
        /// What is said of the row before: as PostgreSQL does, its key only where that changed,
        /// all of it with REPLICA IDENTITY FULL, else nothing.
        old: Option<OldRow<'a>>,
        /// The row.
        new: &'a Row,
    },
    /// A removed row.
    Delete {
        /// Its table.
        table: &'a Relation,
        /// What is said of it; nothing with REPLICA IDENTITY NOTHING.
        old: Option<OldRow<'a>>,
    },
    /// All rows of tables are removed.
    Truncate {
        /// The tables.
        tables: &'a [&'a Relation],
        /// CASCADE
        cascade: bool,
        /// RESTART IDENTITY
        restart_identity: bool,
    },
    /// A logical message.
    Message {
        /// It belongs to its transaction; otherwise it is a unit of its own.
        transactional: bool,
        /// Whose message it is.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
}

/// What is known of a row as it was before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OldRow<'a> {
    /// The columns of its replica identity; the others are NULL.
    Key(&'a Row),
    /// All columns.
    Full(&'a Row),
}

impl<'a> OldRow<'a> {
    /// The values, as far as they are known.
    pub const fn row(self) -> &'a Row {
        match self {
            Self::Key(row) | Self::Full(row) => row,
        }
    }
}
