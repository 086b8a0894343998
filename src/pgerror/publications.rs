//! What publications and the patterns of their filters refuse.

use crate::patterns::PatternError;
use crate::publications::{EvaluationError, IdentityError, IdentityFault, PublicationError};

use super::PgError;

impl From<PublicationError> for PgError {
    fn from(error: PublicationError) -> Self {
        let message = error.to_string();
        match error {
            PublicationError::Unknown(_) => Self::error("42704", message).with_hint(
                "Publications count by position: it must exist before the change is published.",
            ),
            PublicationError::ColumnLists { .. } => Self::unsupported(message),
            PublicationError::Evaluation(error) => error.into(),
            PublicationError::Filter(_) => Self::error("XX000", message),
        }
    }
}

impl From<EvaluationError> for PgError {
    fn from(error: EvaluationError) -> Self {
        let message = error.to_string();
        match error {
            EvaluationError::DivisionByZero => Self::error("22012", message),
            EvaluationError::OutOfRange(_) => Self::error("22003", message),
            EvaluationError::DateOutOfRange(_) => Self::error("22008", message),
            EvaluationError::NotANumber(_) => Self::unsupported(message),
            EvaluationError::Pattern(error) => error.into(),
            EvaluationError::Datum(error) => error.into(),
        }
    }
}

impl From<PatternError> for PgError {
    fn from(error: PatternError) -> Self {
        let message = error.to_string();
        match error {
            PatternError::LikeEscape => Self::error("22025", message),
            PatternError::LikeTooLong => Self::error("54000", message),
            PatternError::Regex(_) => Self::error("2201B", message),
            PatternError::Option(_) => Self::error("22023", message),
            PatternError::Unsupported(_) => Self::unsupported(message),
        }
    }
}

impl From<IdentityError> for PgError {
    fn from(error: IdentityError) -> Self {
        let code = match error.fault {
            IdentityFault::Missing => "55000",
            IdentityFault::Filter | IdentityFault::ColumnList => "42P10",
        };
        let mut told = Self::error(code, error.to_string());
        if let Some(detail) = error.detail() {
            told = told.with_detail(detail);
        }
        match error.hint() {
            Some(hint) => told.with_hint(hint),
            None => told,
        }
    }
}
