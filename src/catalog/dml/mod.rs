//! INSERT, UPDATE, DELETE and TRUNCATE of declared tables, which keep no rows: each is bound to
//! queries that make values, and run into change records.
//!
//! `insert`, `update` and `truncate` bind, `key` reads which rows a WHERE names, `target` finds
//! tables and columns, `records` makes records of values, `copied` of the fields of a COPY. It
//! publishes nothing.

mod copied;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod insert;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod key;
mod records;
mod run;
mod target;
mod truncate;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod update;

use std::sync::Arc;

use sqlparser::ast::Statement;

use super::bind::{Binder, BoundQuery, Coercion};
use super::parse::{self, Lines};
use super::prepare::known_types;
use super::{Column, Context, Prepared};
use crate::datum::PgType;
use crate::pgerror::PgError;
use crate::relations::Relation;

pub(crate) use copied::{BadRow, CopiedRows, shown};
pub(crate) use run::ChangeSink;
pub(crate) use target::{copied_columns, copied_table};

/// A statement that changes tables, bound.
#[derive(Debug, Clone)]
pub(crate) struct PreparedChange {
    /// Types of `$1`, `$2`, ...
    pub(crate) params: Vec<PgType>,
    /// Columns of RETURNING.
    pub(crate) returning: Option<Prepared>,
    /// The tables, as they were when it was bound: one, or several of TRUNCATE.
    tables: Vec<Arc<Relation>>,
    action: Action,
}

/// What it does.
#[derive(Debug, Clone)]
enum Action {
    /// INSERT: `rows` makes the values of these columns (places among those that are not dropped),
    /// and behind them those of RETURNING.
    Insert { columns: Vec<usize>, rows: Prepared },
    /// UPDATE: `values` makes one row, the new values of these columns.
    Update {
        columns: Vec<usize>,
        values: Prepared,
        key: Vec<KeyColumn>,
    },
    /// DELETE
    Delete { key: Vec<KeyColumn> },
    /// TRUNCATE
    Truncate,
}

/// The values that a WHERE gives a column of the key.
#[derive(Debug, Clone)]
struct KeyColumn {
    /// Its place among the columns that are not dropped.
    place: usize,
    /// Makes them: one a row, or an array of them.
    values: Prepared,
    is_array: bool,
}

impl PreparedChange {
    /// Whether it can be run as it was bound: its tables are still the same.
    pub(crate) fn is_current(&self, context: &Context) -> bool {
        let set = context.host.relations_seen();
        self.tables.iter().all(|table| {
            let found = set.relation(&table.schema, &table.name);
            found.is_some_and(|found| found == table.as_ref())
        })
    }

    /// Columns of its answer.
    pub(crate) fn columns(&self) -> Option<&[Column]> {
        let returning = self.returning.as_ref();
        returning.map(|returning| returning.columns.as_slice())
    }

    /// What is said when it is done.
    pub(crate) fn tag(&self, num_rows: u64) -> String {
        match self.action {
            Action::Insert { .. } => format!("INSERT 0 {num_rows}"),
            Action::Update { .. } => format!("UPDATE {num_rows}"),
            Action::Delete { .. } => format!("DELETE {num_rows}"),
            Action::Truncate => "TRUNCATE TABLE".to_owned(),
        }
    }

    /// Its first word or two, for errors.
    pub(crate) const fn name(&self) -> &'static str {
        match self.action {
            Action::Insert { .. } => "INSERT",
            Action::Update { .. } => "UPDATE",
            Action::Delete { .. } => "DELETE",
            Action::Truncate => "TRUNCATE TABLE",
        }
    }
}

/// Parses and binds one statement that changes tables, with the types of parameters that the
/// client declared; without that it has none.
pub(crate) fn prepare_change(
    context: &Arc<Context>,
    text: &str,
    declared: Option<&[Option<PgType>]>,
) -> Result<PreparedChange, PgError> {
    parse::on_stack(text, || bound(context, text, declared))
}

fn bound(
    context: &Arc<Context>,
    text: &str,
    declared: Option<&[Option<PgType>]>,
) -> Result<PreparedChange, PgError> {
    let statement = parse::statement(text)?.ok_or_else(|| PgError::syntax(""))?;
    let types = declared.unwrap_or_default().to_vec();
    let binder = Binder::new(context, Lines::of(text), types);
    binder.params_are_known.set(declared.is_none());
    let Some(mut change) = bind_statement(&binder, &statement)? else {
        return Err(PgError::unsupported("this statement changes no table"));
    };
    change.params = known_types(&binder)?;
    Ok(change)
}

#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many statements
fn bind_statement(
    binder: &Binder<'_>,
    statement: &Statement,
) -> Result<Option<PreparedChange>, PgError> {
    Ok(Some(match statement {
        Statement::Insert(insert) => insert::bind(binder, insert)?,
        Statement::Update(update) => update::bind_update(binder, update)?,
        Statement::Delete(delete) => update::bind_delete(binder, delete)?,
        Statement::Truncate(truncate) => truncate::bind(binder, truncate)?,
        _ => return Ok(None),
    }))
}

/// A bound query as one that is ready to run.
fn prepared(binder: &Binder<'_>, query: BoundQuery) -> Prepared {
    Prepared {
        params: Vec::new(),
        columns: query.columns,
        fields: query.fields,
        acts: binder.acts.get(),
        sql: query.sql,
    }
}

/// A column of a query of ours.
fn column(name: &str, column_type: PgType) -> Column {
    Column {
        name: name.to_owned(),
        column_type,
        typmod: -1,
        table_oid: 0,
        attnum: 0,
    }
}
