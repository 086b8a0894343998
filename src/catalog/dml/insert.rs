//! INSERT: VALUES and SELECT as the rows of a table.

use std::fmt::Write as _;

use std::sync::Arc;

use sqlparser::ast::{self, Expr, SetExpr, Spanned, TableObject};

use super::super::bind::{Clause, Draft, Scope, Typed, column_value, types};
use super::target::{Verb, column_at, scope_of, table, target_column};
use super::{Action, Binder, BoundQuery, Coercion, PreparedChange, column, prepared};
use crate::catalog::Prepared;
use crate::pgerror::PgError;
use crate::relations::{Relation, RelationColumn};

/// Binds an INSERT.
pub(super) fn bind(binder: &Binder<'_>, insert: &ast::Insert) -> Result<PreparedChange, PgError> {
    refuse(insert)?;
    let TableObject::TableName(name) = &insert.table else {
        return Err(PgError::syntax("("));
    };
    let table = table(binder, name, Verb::Insert)?;
    let columns = columns(binder, &table, insert)?;
    let (rows, columns) = match insert.source.as_deref() {
        None => (no_values(), Vec::new()),
        Some(query) => rows(binder, &table, columns, query, &insert.columns)?,
    };
    let (rows, returning) = match &insert.returning {
        None => (prepared(binder, rows), None),
        Some(items) => {
            let alias = insert.table_alias.as_ref().map(|alias| &alias.alias);
            let (rows, returning) = returned(binder, &table, alias, (rows, &columns), items)?;
            (rows, Some(returning))
        }
    };
    Ok(PreparedChange {
        params: Vec::new(),
        returning,
        tables: vec![table],
        action: Action::Insert { columns, rows },
    })
}

fn refuse(insert: &ast::Insert) -> Result<(), PgError> {
    if insert.on.is_some() {
        let hint = "pgspool keeps no rows that a new one could meet.";
        return Err(PgError::unsupported("ON CONFLICT is not supported").with_hint(hint));
    }
    let foreign = insert.overwrite
        || insert.has_table_keyword
        || insert.output.is_some()
        || insert.partitioned.is_some()
        || !insert.assignments.is_empty();
    if foreign {
        return Err(PgError::syntax("INSERT"));
    }
    Ok(())
}

/// One row of no columns.
fn no_values() -> BoundQuery {
    BoundQuery {
        sql: "SELECT NULL".to_owned(),
        columns: Vec::new(),
        fields: Vec::new(),
    }
}

/// The places of the columns that get values: those that are named, or all.
fn columns(
    binder: &Binder<'_>,
    table: &Relation,
    insert: &ast::Insert,
) -> Result<Vec<usize>, PgError> {
    if insert.columns.is_empty() {
        return Ok((0..table.live_columns().count()).collect());
    }
    let mut places = Vec::with_capacity(insert.columns.len());
    for name in &insert.columns {
        let place = target_column(binder, table, name)?;
        if places.contains(&place) {
            let column = &column_at(table, place)?.name;
            let message = format!("column \"{column}\" specified more than once");
            return Err(binder.at(name.span(), PgError::error("42701", message)));
        }
        places.push(place);
    }
    Ok(places)
}

/// The query that makes the rows, and the columns that it makes.
fn rows(
    binder: &Binder<'_>,
    table: &Arc<Relation>,
    mut columns: Vec<usize>,
    query: &ast::Query,
    named: &[ast::ObjectName],
) -> Result<(BoundQuery, Vec<usize>), PgError> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty();
    let arity = Arity { binder, named };
    if let SetExpr::Values(values) = query.body.as_ref()
        && plain
    {
        let first = values.rows.first();
        let first: Vec<_> = first.map_or_else(Vec::new, |row| spans(&row.content));
        arity.check(&mut columns, &first)?;
        let rows = values_rows(binder, table, &columns, values)?;
        return Ok((rows, columns));
    }
    let mut draft = binder.draft(&Scope::default(), query)?;
    let found: Vec<_> = draft.targets.iter().map(|target| target.span).collect();
    arity.check(&mut columns, &found)?;
    // What has no type yet takes the column's before anything orders or groups it as text.
    for (target, place) in draft.targets.iter_mut().zip(&columns) {
        if target.value.is_unknown() {
            let column = column_at(table, *place)?;
            let coerced = binder.coerce(
                target.value.clone(),
                column.column_type,
                Coercion::Assignment,
            );
            target.value = coerced.map_err(|error| binder.at(target.span, error))?;
        }
    }
    let spans: Vec<_> = draft.targets.iter().map(|target| target.span).collect();
    let made = draft.render(binder)?;
    let mut draft = Draft::over(&made);
    for ((target, place), span) in draft.targets.iter_mut().zip(&columns).zip(spans) {
        let column = column_at(table, *place)?;
        let value = assigned(binder, target.value.clone(), column);
        target.value = value.map_err(|error| binder.at(span, error))?;
        target.fields.clear();
    }
    Ok((draft.render(binder)?, columns))
}

fn spans(row: &[Expr]) -> Vec<sqlparser::tokenizer::Span> {
    row.iter().map(Spanned::span).collect()
}

/// Holds the number of values against that of columns.
struct Arity<'a, 'b> {
    binder: &'a Binder<'b>,
    named: &'a [ast::ObjectName],
}

impl Arity<'_, '_> {
    /// Leaves columns behind the last value out where none were named.
    fn check(
        &self,
        columns: &mut Vec<usize>,
        values: &[sqlparser::tokenizer::Span],
    ) -> Result<(), PgError> {
        if let Some(extra) = values.get(columns.len()) {
            let message = "INSERT has more expressions than target columns";
            return Err(self.binder.at(*extra, PgError::error("42601", message)));
        }
        if self.named.is_empty() {
            columns.truncate(values.len());
        } else if let Some(missing) = self.named.get(values.len()) {
            let message = "INSERT has more target columns than expressions";
            let error = PgError::error("42601", message);
            return Err(self.binder.at(missing.span(), error));
        }
        Ok(())
    }
}

/// The rows of VALUES: each value is one of its column's type.
fn values_rows(
    binder: &Binder<'_>,
    table: &Relation,
    columns: &[usize],
    values: &ast::Values,
) -> Result<BoundQuery, PgError> {
    let outer = Scope::default();
    let scope = Scope::inside(&outer);
    scope.clause.set(Clause::Values);
    let targets: Vec<&RelationColumn> = columns
        .iter()
        .map(|place| column_at(table, *place))
        .collect::<Result<_, _>>()?;
    let mut sql = "SELECT".to_owned();
    for number in 1..=targets.len() {
        let comma = if number == 1 { "" } else { "," };
        let _ = write!(sql, "{comma} column{number} AS c{number}");
    }
    sql.push_str(" FROM (VALUES ");
    for (index, row) in values.rows.iter().enumerate() {
        if row.content.len() != targets.len() {
            let error = PgError::error("42601", "VALUES lists must all be the same length");
            return Err(match row.content.first() {
                Some(first) => binder.at(first.span(), error),
                None => error,
            });
        }
        sql.push_str(if index == 0 { "(" } else { ", (" });
        for (index, (value, column)) in row.content.iter().zip(&targets).enumerate() {
            let bound = value_of(binder, &scope, value, column)?;
            if index > 0 {
                sql.push_str(", ");
            }
            sql.push_str(bound.text());
        }
        sql.push(')');
    }
    sql.push(')');
    let columns = targets
        .iter()
        .map(|target| column(&target.name, target.column_type));
    Ok(BoundQuery {
        sql,
        columns: columns.collect(),
        fields: Vec::new(),
    })
}

/// An expression as the value of a column; DEFAULT is NULL, since no column has one.
pub(super) fn value_of(
    binder: &Binder<'_>,
    scope: &Scope<'_>,
    value: &Expr,
    column: &RelationColumn,
) -> Result<Typed, PgError> {
    if is_default(value) {
        return Ok(Typed::of("NULL", column.column_type));
    }
    let bound = binder.expr(scope, value)?;
    assigned(binder, bound, column).map_err(|error| match value {
        Expr::Array(array) => match array.elem.first() {
            Some(first) => binder.at_prefix("array", first, error),
            None => binder.at(value.span(), error),
        },
        _ => binder.at(value.span(), error),
    })
}

fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A value as an assignment makes it one of the column.
fn assigned(binder: &Binder<'_>, value: Typed, column: &RelationColumn) -> Result<Typed, PgError> {
    let from = value.ty;
    let made = binder.assign(value, column.column_type, column.typmod);
    made.map_err(|error| {
        if error.code() != "42846" {
            return error;
        }
        let message = format!(
            "column \"{}\" is of type {} but expression is of type {}",
            column.name,
            types::display(column.column_type),
            types::display(from)
        );
        let hint = "You will need to rewrite or cast the expression.";
        PgError::error("42804", message).with_hint(hint)
    })
}

/// The rows with what RETURNING makes of them behind their values, and that alone.
fn returned(
    binder: &Binder<'_>,
    table: &Relation,
    alias: Option<&ast::Ident>,
    (rows, columns): (BoundQuery, &[usize]),
    items: &[ast::SelectItem],
) -> Result<(Prepared, Prepared), PgError> {
    let outer = Scope::default();
    let name = binder.fresh("t");
    let value =
        |place: usize, _: &RelationColumn| match columns.iter().position(|column| *column == place)
        {
            Some(index) => format!("{name}.c{}", index.saturating_add(1)),
            None => "NULL".to_owned(),
        };
    let scope = scope_of(table, alias, value, &outer);
    scope.clause.set(Clause::Returning);
    let targets = binder.select_list(&scope, items)?;
    let mut draft = Draft::over(&rows);
    let num_values = draft.targets.len();
    for (index, (target, of)) in draft.targets.iter_mut().zip(&rows.columns).enumerate() {
        target.value = column_value(&format!("{name}."), index, of);
    }
    draft.targets.extend(targets);
    // A value that was made anew each time it is read would not be the one that is published.
    draft.head = format!("WITH {name} AS MATERIALIZED ({}) SELECT", rows.sql);
    draft.tail = format!(" FROM {name}");
    let bound = prepared(binder, draft.render(binder)?);
    let shift = |(column, fields): &(usize, Vec<crate::catalog::Column>)| {
        column
            .checked_sub(num_values)
            .map(|at| (at, fields.clone()))
    };
    let returning = Prepared {
        params: Vec::new(),
        columns: bound.columns.iter().skip(num_values).cloned().collect(),
        fields: bound.fields.iter().filter_map(shift).collect(),
        acts: false,
        sql: String::new(),
    };
    Ok((bound, returning))
}
