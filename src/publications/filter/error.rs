//! Why a row filter has no value for a row.

use crate::datum::DatumError;
use crate::patterns::PatternError;

/// Why a row filter has no value for a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A number is divided by zero, or its remainder is asked for (22012).
    #[error("division by zero")]
    DivisionByZero,
    /// A number does not fit (22003); the message says which.
    #[error("{0}")]
    OutOfRange(String),
    /// A date does not fit (22008).
    #[error("{0}")]
    DateOutOfRange(&'static str),
    /// What is no number becomes none (0A000).
    #[error("{0}")]
    NotANumber(String),
    /// A pattern is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A value is none of its type.
    #[error(transparent)]
    Datum(#[from] DatumError),
}
