//! From a query's text to what SQLite runs.

use std::sync::Arc;

use sqlparser::ast::Statement;

use crate::datum::PgType;
use crate::pgerror::PgError;

use super::bind::{Binder, Scope};
use super::parse::{self, Lines};
use super::{Context, Prepared};

/// Whether `text`, one query, can be parsed: what is wrong with its meaning shows later.
pub(crate) fn check_syntax(text: &str) -> Result<(), PgError> {
    parse::statement(text).map(|_| ())
}

/// Parses and binds one query, with the types of parameters that the client declared.
pub(crate) fn prepare(
    context: &Arc<Context>,
    text: &str,
    declared: &[Option<PgType>],
) -> Result<Prepared, PgError> {
    let query = match parse::statement(text)? {
        Some(Statement::Query(query)) => query,
        Some(Statement::Insert(_)) => return Err(read_only("INSERT")),
        Some(Statement::Update(_)) => return Err(read_only("UPDATE")),
        Some(Statement::Delete(_)) => return Err(read_only("DELETE")),
        Some(Statement::Merge(_)) => return Err(read_only("MERGE")),
        Some(_) => return Err(PgError::unsupported("this statement is not a query")),
        None => return Err(PgError::syntax("")),
    };
    let binder = Binder::new(context, Lines::of(text), declared.to_vec());
    let bound = binder.query(&Scope::default(), &query)?;
    let params = binder.params.take().into_iter();
    Ok(Prepared {
        // What nothing gave a type is text.
        params: params.map(|ty| ty.unwrap_or(PgType::TEXT)).collect(),
        columns: bound.columns,
        fields: bound.fields,
        acts: binder.acts.get(),
        sql: bound.sql,
    })
}

fn read_only(what: &str) -> PgError {
    let hint = "Publish changes with COPY or pg_logical_emit_message; read them from \
                pgspool.changes or through a replication slot.";
    PgError::unsupported(format!("{what} is not supported: tables keep no rows")).with_hint(hint)
}

#[cfg(test)]
mod tests;
