//! Records that are no rows of their tables, and what cannot be rendered.

use super::{About, PgError};
use crate::lsn::Lsn;
use crate::plugins::RenderError;
use crate::rows::{RowError, RowFault};

impl From<RowError> for PgError {
    fn from(error: RowError) -> Self {
        let RowError {
            lsn,
            schema,
            table,
            column,
            fault,
        } = error;
        let mut context = column.as_ref().map_or_else(
            || format!("table {schema}.{table}"),
            |column| format!("table {schema}.{table}, column {column}"),
        );
        if lsn > Lsn::ZERO {
            context = format!("record at {lsn}, {context}");
        }
        let message = fault.to_string();
        let told = match fault {
            RowFault::NotAnObject { .. }
            | RowFault::NoColumn { .. }
            | RowFault::TooManyNames { .. }
            | RowFault::NoKey { .. } => Self::error("22P02", message),
            RowFault::Null { .. } => Self::error("23502", message),
            RowFault::Value(error) => error.into(),
            RowFault::JsonNull { .. } => Self::unsupported(message)
                .with_hint("A document cannot tell it from NULL; use the SQL value NULL."),
        };
        Self {
            about: Some(Box::new(About {
                schema,
                table,
                column,
            })),
            ..told.with_context(context)
        }
    }
}

impl From<RenderError> for PgError {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Row(error) => Self::from(error).with_hint(
                "The stored record does not fit its table as that was defined then. A slot of \
                 the output plugin json reads it as it is; pg_replication_slot_advance takes a \
                 slot past it.",
            ),
            RenderError::Publication(error) => error.into(),
            RenderError::Message(_) => Self::error("54000", error.to_string()),
            RenderError::TransactionTooLong(_) => Self::error("54000", error.to_string())
                .with_hint("Use the option write-in-chunks, or format-version 2."),
        }
    }
}
