//! UPDATE and DELETE of rows that are named by their key.

use std::fmt::Write as _;
use std::sync::Arc;

use sqlparser::ast::{
    self, AssignmentTarget, Expr, FromTable, Ident, Spanned, TableFactor, TableWithJoins,
};

use super::super::bind::{Clause, Scope};
use super::insert::value_of;
use super::key::{KeyReader, reads_columns};
use super::target::{Verb, column_at, scope_of, table, target_column};
use super::{Action, Binder, BoundQuery, PreparedChange, column, prepared};
use crate::pgerror::PgError;
use crate::publications::RowOperation;
use crate::relations::Relation;

/// Binds an UPDATE.
pub(super) fn bind_update(
    binder: &Binder<'_>,
    update: &ast::Update,
) -> Result<PreparedChange, PgError> {
    let (table, alias) = target(binder, &update.table, Verb::Update)?;
    if update.from.is_some() {
        return Err(other_tables("UPDATE ... FROM"));
    }
    if update.returning.is_some() {
        return Err(no_returning("UPDATE"));
    }
    if update.limit.is_some() || !update.order_by.is_empty() || update.output.is_some() {
        return Err(PgError::syntax("UPDATE"));
    }
    let assignments = assignments(binder, &table, update)?;
    let values = values(binder, &table, alias, &assignments)?;
    let reader = KeyReader {
        binder,
        table: &table,
        alias,
        verb: RowOperation::Update,
    };
    let key = reader.key(update.selection.as_ref())?;
    let columns = assignments.iter().map(|(place, _)| *place).collect();
    Ok(PreparedChange {
        params: Vec::new(),
        returning: None,
        tables: vec![table],
        action: Action::Update {
            columns,
            values,
            key,
        },
    })
}

/// Binds a DELETE.
pub(super) fn bind_delete(
    binder: &Binder<'_>,
    delete: &ast::Delete,
) -> Result<PreparedChange, PgError> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let [from] = from.as_slice() else {
        return Err(PgError::syntax(","));
    };
    let (table, alias) = target(binder, from, Verb::Delete)?;
    if delete.using.is_some() {
        return Err(other_tables("DELETE ... USING"));
    }
    if delete.returning.is_some() {
        return Err(no_returning("DELETE"));
    }
    if delete.limit.is_some() || !delete.order_by.is_empty() || !delete.tables.is_empty() {
        return Err(PgError::syntax("DELETE"));
    }
    let reader = KeyReader {
        binder,
        table: &table,
        alias,
        verb: RowOperation::Delete,
    };
    let key = reader.key(delete.selection.as_ref())?;
    Ok(PreparedChange {
        params: Vec::new(),
        returning: None,
        tables: vec![table],
        action: Action::Delete { key },
    })
}

fn other_tables(what: &str) -> PgError {
    let hint = "pgspool keeps no rows to join with.";
    PgError::unsupported(format!("{what} is not supported")).with_hint(hint)
}

fn no_returning(verb: &str) -> PgError {
    let hint = "pgspool keeps no rows, so it does not know their other columns.";
    PgError::unsupported(format!("RETURNING of {verb} is not supported")).with_hint(hint)
}

/// The one table of a statement, and what it is called there.
fn target<'s>(
    binder: &Binder<'_>,
    from: &'s TableWithJoins,
    verb: Verb,
) -> Result<(Arc<Relation>, Option<&'s Ident>), PgError> {
    match &from.relation {
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } if from.joins.is_empty() => {
            let table = table(binder, name, verb)?;
            Ok((table, alias.as_ref().map(|alias| &alias.name)))
        }
        other => Err(binder.at(other.span(), PgError::syntax(&other.to_string()))),
    }
}

/// Columns, by their places, and the expressions that SET gives them.
fn assignments<'e>(
    binder: &Binder<'_>,
    table: &Relation,
    update: &'e ast::Update,
) -> Result<Vec<(usize, &'e Expr)>, PgError> {
    let mut found: Vec<(usize, &Expr)> = Vec::new();
    for assignment in &update.assignments {
        let pairs: Vec<(&ast::ObjectName, &Expr)> = match &assignment.target {
            AssignmentTarget::ColumnName(name) => vec![(name, &assignment.value)],
            AssignmentTarget::Tuple(names) => {
                let values = row_of(binder, &assignment.value)?;
                if values.len() != names.len() {
                    let message = "number of columns does not match number of values";
                    let error = PgError::error("42601", message);
                    return Err(binder.at(assignment.value.span(), error));
                }
                names.iter().zip(values).collect()
            }
        };
        for (name, value) in pairs {
            let place = target_column(binder, table, name)?;
            if found.iter().any(|(known, _)| *known == place) {
                let column = &column_at(table, place)?.name;
                let message = format!("multiple assignments to same column \"{column}\"");
                return Err(PgError::error("42601", message));
            }
            found.push((place, value));
        }
    }
    Ok(found)
}

/// The values of `(a, b)`.
fn row_of<'e>(binder: &Binder<'_>, row: &'e Expr) -> Result<Vec<&'e Expr>, PgError> {
    match row {
        Expr::Tuple(values) => Ok(values.iter().collect()),
        other => {
            let message = "source for a multiple-column UPDATE item must be a sub-SELECT or \
                           ROW() expression";
            Err(binder.at(other.span(), PgError::unsupported(message)))
        }
    }
}

/// The query of one row with all new values.
fn values(
    binder: &Binder<'_>,
    table: &Relation,
    alias: Option<&Ident>,
    assignments: &[(usize, &Expr)],
) -> Result<crate::catalog::Prepared, PgError> {
    let outer = Scope::default();
    let scope = scope_of(table, alias, |_, _| "NULL".to_owned(), &outer);
    scope.clause.set(Clause::Update);
    let mut query = BoundQuery {
        sql: "SELECT".to_owned(),
        columns: Vec::new(),
        fields: Vec::new(),
    };
    for (index, (place, value)) in assignments.iter().enumerate() {
        let target = column_at(table, *place)?;
        let before = scope.num_columns.get();
        let bound = value_of(binder, &scope, value, target)?;
        if scope.num_columns.get() > before {
            return Err(binder.at(value.span(), reads_columns("UPDATE")));
        }
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(query.sql, "{comma} {}", bound.text());
        query.columns.push(column(&target.name, target.column_type));
    }
    Ok(prepared(binder, query))
}
