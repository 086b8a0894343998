//! What is shown of a change.

use crate::relations::Relation;
use crate::rows::{OldRow, Row};

/// What is shown of a change. `columns` are the places of the published columns among those of the
/// table that are not dropped, in rising order; all rows are whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown<'a> {
    /// A new row, or one that has come to pass the filter.
    Insert {
        /// Its table.
        table: &'a Relation,
        /// The published columns.
        columns: &'a [usize],
        /// The row.
        new: &'a Row,
    },
    /// A changed row.
    Update {
        /// Its table.
        table: &'a Relation,
        /// The published columns.
        columns: &'a [usize],
        /// What is said of the row before.
        old: Option<OldRow<'a>>,
        /// The row.
        new: &'a Row,
    },
    /// A removed row, or one that passes the filter no more.
    Delete {
        /// Its table.
        table: &'a Relation,
        /// The published columns.
        columns: &'a [usize],
        /// What is said of it.
        old: OldRow<'a>,
    },
    /// All rows of tables are removed.
    Truncate {
        /// Those of the tables that are published, one at least.
        tables: Vec<&'a Relation>,
        /// CASCADE
        cascade: bool,
        /// RESTART IDENTITY
        restart_identity: bool,
    },
    /// A logical message, which no publication keeps back.
    Message {
        /// It belongs to its transaction; otherwise it is a unit of its own.
        transactional: bool,
        /// Whose message it is.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
}

/// What is shown of changes of a table's rows without a look at the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangesShown<'a> {
    /// Of new rows.
    pub insert: RowsShown,
    /// Of changed rows.
    pub update: RowsShown,
    /// Of removed rows that are told apart.
    pub delete: RowsShown,
    /// See [`Shown`].
    pub columns: &'a [usize],
}

/// Which rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsShown {
    /// None.
    None,
    /// Those that pass a filter.
    Some,
    /// All.
    All,
}
