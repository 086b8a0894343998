//! Why a row filter was refused.

use crate::datum::DatumError;

/// Why a row filter was refused, and where in the statement's text, in characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FilterError {
    #[error("column \"{name}\" does not exist")]
    NoColumn { name: String, position: u32 },
    #[error("missing FROM-clause entry for table \"{table}\"")]
    NoTable { table: String, position: u32 },
    #[error("invalid publication WHERE expression")]
    SystemColumn { position: u32 },
    #[error("invalid publication WHERE expression")]
    NotSimple { position: u32 },
    #[error("invalid publication WHERE expression")]
    Mutable { position: u32 },
    #[error("argument of {of} must be type boolean, not type {type_name}")]
    NotBoolean {
        of: String,
        type_name: String,
        position: u32,
    },
    #[error("operator does not exist: {signature}")]
    NoOperator { signature: String, position: u32 },
    #[error("cannot cast type {from} to {to}")]
    NoCast {
        from: String,
        to: String,
        position: u32,
    },
    #[error("{what} in a row filter is not supported")]
    Unsupported { what: String, position: u32 },
    #[error("{source}")]
    Literal { source: DatumError, position: u32 },
}

impl FilterError {
    /// Where in the statement's text, in characters from 1.
    pub const fn position(&self) -> u32 {
        match self {
            Self::NoColumn { position, .. }
            | Self::NoTable { position, .. }
            | Self::SystemColumn { position }
            | Self::NotSimple { position }
            | Self::Mutable { position }
            | Self::NotBoolean { position, .. }
            | Self::NoOperator { position, .. }
            | Self::NoCast { position, .. }
            | Self::Unsupported { position, .. }
            | Self::Literal { position, .. } => *position,
        }
    }

    /// DETAIL
    pub const fn detail(&self) -> Option<&'static str> {
        match self {
            Self::SystemColumn { .. } => Some("System columns are not allowed."),
            Self::NotSimple { .. } => Some(
                "Only columns, constants, built-in operators, built-in data types, built-in \
                 collations, and immutable built-in functions are allowed.",
            ),
            Self::Mutable { .. } => {
                Some("User-defined or built-in mutable functions are not allowed.")
            }
            Self::NoColumn { .. }
            | Self::NoTable { .. }
            | Self::NotBoolean { .. }
            | Self::NoOperator { .. }
            | Self::NoCast { .. }
            | Self::Unsupported { .. }
            | Self::Literal { .. } => None,
        }
    }
}
