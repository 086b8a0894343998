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
    parse::on_stack(text, || parse::statement(text).map(|_| ()))
}

/// Parses and binds one query, with the types of parameters that the client declared.
pub(crate) fn prepare(
    context: &Arc<Context>,
    text: &str,
    declared: &[Option<PgType>],
) -> Result<Prepared, PgError> {
    parse::on_stack(text, || bound(context, text, declared, false))
}

/// The same for a query that has no parameters.
pub(crate) fn prepare_without_parameters(
    context: &Arc<Context>,
    text: &str,
) -> Result<Prepared, PgError> {
    parse::on_stack(text, || bound(context, text, &[], true))
}

fn bound(
    context: &Arc<Context>,
    text: &str,
    declared: &[Option<PgType>],
    params_are_known: bool,
) -> Result<Prepared, PgError> {
    let query = match parse::statement(text)? {
        Some(Statement::Query(query)) => query,
        Some(_) => return Err(PgError::unsupported("this statement is not a query")),
        None => return Err(PgError::syntax("")),
    };
    let binder = Binder::new(context, Lines::of(text), declared.to_vec());
    binder.params_are_known.set(params_are_known);
    let bound = binder.query(&Scope::default(), &query)?;
    Ok(Prepared {
        params: known_types(&binder)?,
        columns: bound.columns,
        fields: bound.fields,
        acts: binder.acts.get(),
        sql: bound.sql,
    })
}

/// The types of all parameters that were bound.
pub(super) fn known_types(binder: &Binder<'_>) -> Result<Vec<PgType>, PgError> {
    let params = (1..).zip(binder.params.take());
    let params = params.map(|(number, ty)| ty.ok_or_else(|| undetermined(number)));
    params.collect()
}

fn undetermined(number: usize) -> PgError {
    let message = format!("could not determine data type of parameter ${number}");
    PgError::error("42P18", message)
}

#[cfg(test)]
mod tests;
