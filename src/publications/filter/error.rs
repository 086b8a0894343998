//! Why a row filter has no value for a row.

use crate::datum::DatumError;

/// Why a row filter has no value for a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// 22012
    #[error("division by zero")]
    DivisionByZero,
    /// A result does not fit (22003, 22008); the message says what.
    #[error("{0}")]
    OutOfRange(String),
    /// A date does not fit (22008).
    #[error("{0}")]
    DateOutOfRange(String),
    /// A pattern of LIKE that ends with a backslash (22025).
    #[error("LIKE pattern must not end with escape character")]
    LikeEscape,
    /// A regular expression that is none, or is more than can be evaluated here (2201B).
    #[error("invalid regular expression: {0}")]
    Regex(String),
    /// A value is none of its type.
    #[error(transparent)]
    Datum(#[from] DatumError),
}
