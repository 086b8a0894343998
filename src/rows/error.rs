//! Why a record is no row of its table.

use crate::datum::DatumError;
use crate::lsn::Lsn;
use crate::relations::{Relation, RelationColumn};

/// A record is no row of its table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct RowError {
    /// Where the record is stored; zero for one that is not.
    pub lsn: Lsn,
    /// The table's schema.
    pub schema: Box<str>,
    /// The table.
    pub table: Box<str>,
    /// The column, where it is one's fault.
    pub column: Option<Box<str>>,
    /// What is wrong.
    pub fault: RowFault,
}

impl RowError {
    /// A row of `table` that is not stored yet has no value in `column`, which must have one.
    pub(crate) fn null(table: &Relation, column: &RelationColumn) -> Self {
        let fault = RowFault::null(table, column);
        Self::new(Lsn::ZERO, table, (Some(column.name.clone()), fault))
    }

    /// The record at `lsn` is no row of `table`.
    pub(super) fn new(lsn: Lsn, table: &Relation, (column, fault): Misfit) -> Self {
        Self {
            lsn,
            schema: table.schema.as_str().into(),
            table: table.name.as_str().into(),
            column: column.map(Into::into),
            fault,
        }
    }
}

/// A column, where it is one's fault, and what is wrong.
pub(super) type Misfit = (Option<String>, RowFault);

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowFault {
    /// The entity, or the row before, is not the JSON text of an object (22P02).
    #[error("{what} of a record of table \"{table}\" is not a JSON object")]
    NotAnObject {
        /// `the entity`, ...
        what: &'static str,
        /// The table.
        table: String,
    },
    /// A member of the document is no column (22P02).
    #[error("column \"{column}\" of relation \"{table}\" does not exist")]
    NoColumn {
        /// Its name.
        column: String,
        /// The table.
        table: String,
    },
    /// More columns are called unchanged than there are (22P02).
    #[error("the record calls more columns unchanged than relation \"{table}\" has")]
    TooManyNames {
        /// The table.
        table: String,
    },
    /// A value is none of the column's type (22P02, 22003, ...).
    #[error("{0}")]
    Value(DatumError),
    /// NULL where there must be a value (23502).
    #[error(
        "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
    )]
    Null {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// A change of a row that does not say which (22P02).
    #[error("the record does not name the key of a row of relation \"{table}\"")]
    NoKey {
        /// The table.
        table: String,
    },
    /// A null of JSON in a column of JSON, which a document cannot tell from NULL (0A000).
    #[error("the JSON value null in column \"{column}\" of type {type_name} is not supported")]
    JsonNull {
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
}

impl RowFault {
    /// There must be a value in `column`.
    pub(super) fn null(table: &Relation, column: &RelationColumn) -> Self {
        Self::Null {
            column: column.name.clone(),
            table: table.name.clone(),
        }
    }
}
