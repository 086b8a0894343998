//! Records that are no rows of their tables, and what cannot be rendered.

use super::{About, PgError};
use crate::lsn::Lsn;
use crate::pgoutput::EncodeError;
use crate::plugins::{RenderError, RenderFault};
use crate::rows::{RowError, RowFault};

impl From<RowError> for PgError {
    fn from(error: RowError) -> Self {
        let RowError {
            lsn,
            schema,
            table,
            column,
            fault: _,
        } = &error;
        let mut context = column.as_ref().map_or_else(
            || format!("table {schema}.{table}"),
            |column| format!("table {schema}.{table}, column {column}"),
        );
        if *lsn > Lsn::ZERO {
            context = format!("record at {lsn}, {context}");
        }
        Self::of_row(error).with_context(context)
    }
}

impl PgError {
    /// The same with no CONTEXT, for a row that a statement makes.
    pub(crate) fn of_row(error: RowError) -> Self {
        let message = error.fault.to_string();
        let told = match error.fault {
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
                schema: error.schema,
                table: error.table,
                column: error.column,
            })),
            ..told
        }
    }

    /// What a slot with an output plugin cannot show: where that is, and how to get past it.
    pub(crate) fn not_rendered(error: RenderError, slot: &str, plugin: &str) -> Self {
        let RenderError {
            lsn,
            end,
            callback,
            fault,
        } = error;
        let message = fault.to_string();
        let told = match *fault {
            RenderFault::Row(error) => Self::from(error).with_hint(
                "The stored record does not fit its table as that was defined then. A slot of \
                 the output plugin json reads it as it is.",
            ),
            RenderFault::Publication(error) => error.into(),
            RenderFault::Record(_) => Self::error("XX000", message),
            RenderFault::Captured(_) => Self::error("XX001", message),
            RenderFault::Message(EncodeError::Nul(_)) => Self::error("22021", message),
            RenderFault::Message(EncodeError::TooLarge(_)) => Self::error("54000", message),
            RenderFault::TransactionTooLong(_) => Self::error("54000", message)
                .with_hint("Use the option write-in-chunks, or format-version 2."),
        };
        let way_out = format!(
            "The transaction ends at {end}; pg_replication_slot_advance to there takes the slot \
             past it."
        );
        let detail = match &told.detail {
            Some(detail) => format!("{detail} {way_out}"),
            None => way_out,
        };
        told.with_detail(detail).with_context(format!(
            "slot \"{slot}\", output plugin \"{plugin}\", in the {callback} callback, \
             associated LSN {lsn}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_says_why_where_and_how_to_get_past_it() {
        let why = [
            (EncodeError::Nul("a name"), "22021"),
            (EncodeError::TooLarge("a value"), "54000"),
        ];
        for (fault, code) in why {
            let error = RenderError {
                lsn: Lsn::new(0x10),
                end: Lsn::new(0x20),
                callback: "truncate",
                fault: Box::new(fault.into()),
            };
            let told = PgError::not_rendered(error, "s", "pgoutput");
            assert_eq!(told.code(), code);
            assert_eq!(
                told.detail.as_deref(),
                Some(
                    "The transaction ends at 0/20; pg_replication_slot_advance to there takes \
                     the slot past it."
                )
            );
            assert_eq!(
                told.context.as_deref(),
                Some(
                    "slot \"s\", output plugin \"pgoutput\", in the truncate callback, \
                     associated LSN 0/10"
                )
            );
        }
    }
}
