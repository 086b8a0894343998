//! The views that SQL reads, each a list of columns and a function that makes its rows.
//!
//! [`find`] and [`all`] are the registry, [`rows_of`] the rows of one view in the statement's
//! snapshot. PostgreSQL's relations have its names, columns, types and OIDs; `pgspool` is ours.
//! A view makes rows; it filters, joins and prints nothing.

mod attributes;
mod captures;
mod cell;
mod classes;
mod domains;
mod fixed;
mod information;
mod keys;
mod listings;
mod own;
mod procs;
mod publications;
mod registry;
mod roles;
mod rows;
mod rules;
mod schemas;
mod sessions;
mod settings;
mod shape;
mod slots;
mod spools;
mod statistics;
mod streams;
#[cfg(test)]
mod tests;
mod types;

use std::sync::{Arc, PoisonError};

use crate::datum::PgType;

use super::Context;
use super::functions::Row;

pub(super) use registry::{all, find};
pub(super) use roles::{check_readable, is_member, may_read, predefined_roles, roles_by_oid};
pub(super) use schemas::{PUBLIC, fixed_schema, oid_of_schema};
pub(super) use types::name_of_made_type;

/// A view or system table.
pub(super) struct View {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    /// PostgreSQL's own OID, or one of ours from 9000 up.
    pub(super) oid: u32,
    /// OID of its row type.
    pub(super) row_type_oid: u32,
    /// OID of its row type's array; 0 for none.
    pub(super) array_type_oid: u32,
    /// `r` or `v`, as `pg_class.relkind`.
    pub(super) kind: char,
    /// Names and types, in order. Where PostgreSQL declares a domain, this is its base type (as a
    /// RowDescription tells it).
    pub(super) columns: Vec<(&'static str, PgType)>,
    /// What `pg_attribute` says beyond that, in the same order.
    pub(super) attributes: Vec<Attribute>,
    /// For `\d+`.
    pub(super) description: Option<&'static str>,
    pub(super) source: Source,
}

/// What `pg_attribute` says of a view's column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    /// Its type, or the domain over it.
    pub(super) declared: PgType,
    pub(super) typmod: i32,
    pub(super) not_null: bool,
    pub(super) collation: u32,
    /// For `\d+`.
    pub(super) description: Option<&'static str>,
}

/// Where a view's rows come from.
pub(super) enum Source {
    /// Made at once, at first use in a statement.
    Rows(fn(&Arc<Context>) -> Rows),
    /// Read from the spool as the query asks for them (`pgspool.changes`).
    Changes,
}

impl View {
    /// Its table's name in SQLite, `schema.name`; to be written in quotes.
    pub(super) fn sql_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// One more column of a type that is no domain.
    fn push(&mut self, name: &'static str, column_type: PgType, description: Option<&'static str>) {
        self.columns.push((name, column_type));
        self.attributes.push(Attribute {
            declared: column_type,
            typmod: -1,
            not_null: false,
            collation: cell::collation_of(column_type),
            description,
        });
    }
}

/// Rows of a view: those that are the same in every statement, made once a process, and those
/// of this statement behind them.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    shared: &'static [Row],
    own: Vec<Row>,
}

impl Rows {
    /// The row at `index`, from 0.
    pub(super) fn get(&self, index: usize) -> Option<&Row> {
        match self.shared.get(index) {
            Some(row) => Some(row),
            None => self.own.get(index.checked_sub(self.shared.len())?),
        }
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.shared.iter().chain(&self.own)
    }

    /// `shared` with `own` behind it.
    const fn joined(shared: &'static [Row], own: Vec<Row>) -> Self {
        Self { shared, own }
    }
}

impl From<Vec<Row>> for Rows {
    fn from(own: Vec<Row>) -> Self {
        Self { shared: &[], own }
    }
}

/// The rows of `view` in the statement's snapshot, made at first use; none for
/// [`Source::Changes`].
pub(super) fn rows_of(context: &Arc<Context>, view: &View) -> Arc<Rows> {
    let made = &context.snapshot.rows;
    let known = made.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(rows) = known.get(&view.oid) {
        return Arc::clone(rows);
    }
    // One view may be made of another: the lock is not held while rows are made.
    drop(known);
    let rows = match view.source {
        Source::Rows(make) => Arc::new(make(context)),
        Source::Changes => Arc::new(Rows::default()),
    };
    let mut known = made.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(known.entry(view.oid).or_insert(rows))
}
