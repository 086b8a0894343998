//! Why a record is no row of its table.

use crate::datum::DatumError;

/// A record is no row of its table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct RowError {
    /// The table, with its schema.
    pub table: String,
    /// The column, where it is one's fault.
    pub column: Option<String>,
    /// What is wrong.
    pub fault: RowFault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowFault {
    /// The entity is not the JSON text of an object (22P02).
    #[error("the entity is not a JSON object")]
    NotAnObject,
    /// A member of the document is no column (22P02).
    #[error("the document has a member that is no column")]
    NoColumn,
    /// A value is none of the column's type (22P02, 22003, ...).
    #[error("{0}")]
    Value(DatumError),
    /// NULL where there must be a value (23502).
    #[error("null value in a column that must have one")]
    Null,
    /// A change of a row that does not say which (22P02).
    #[error("the record does not name the row's key")]
    NoKey,
}
