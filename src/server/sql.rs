//! The few doors through which the server uses the catalog.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::catalog::{Context, Prepared};
use crate::datum::{Datum, Names, PgType};
use crate::pgerror::PgError;

/// Whether `text`, one query, can be parsed.
pub(super) fn check_syntax(_text: &str) -> Result<(), PgError> {
    Ok(())
}

/// Parses and binds one query. Blocking.
pub(super) fn prepare(
    context: &Arc<Context>,
    text: &str,
    declared: &[Option<PgType>],
) -> Result<Prepared, PgError> {
    let _ = (context, text, declared);
    Err(PgError::unsupported("SELECT is not supported yet"))
}

/// Runs a prepared query. Blocking.
pub(super) fn run(
    context: &Arc<Context>,
    prepared: &Prepared,
    params: &[Datum],
    sink: &mut dyn FnMut(Vec<Datum>) -> ControlFlow<()>,
) -> Result<u64, PgError> {
    let _ = (context, prepared, params, sink);
    Err(PgError::unsupported("SELECT is not supported yet"))
}

/// The names that values of `context` print as.
pub(super) fn names(context: &Arc<Context>) -> impl Names + use<'_> {
    crate::catalog::names(context)
}
