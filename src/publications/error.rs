//! Why it cannot be said what a stream shows.

use super::EvaluationError;

/// Why it cannot be said what a stream shows of a change. It ends the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// There was no such publication when the change was stored (42704).
    #[error("publication \"{0}\" does not exist")]
    Unknown(String),
    /// The publications do not agree on the columns of a table (0A000).
    #[error(
        "cannot use different column lists for table \"{schema}.{table}\" in different publications"
    )]
    ColumnLists {
        /// The table's schema.
        schema: String,
        /// The table.
        table: String,
    },
    /// A row filter has no value for a row.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A row filter that is stored is none (XX000).
    #[error("row filter {0} of a publication cannot be read")]
    Filter(String),
}
