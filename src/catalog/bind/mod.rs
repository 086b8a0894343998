//! Bind PostgreSQL's dialect: scopes, types, names; rewrite to SQLite's.
//!
//! `expr` binds expressions (operators, casts, functions, parameters), `query` everything that has
//! a FROM. Both write SQLite text as they go: an expression becomes a [`Typed`], a query a
//! [`BoundQuery`]. Types are decided here and nowhere else; in SQLite every value is in its stored
//! form (see `datum`).

use std::cell::RefCell;
use std::sync::Arc;

use crate::datum::PgType;
use crate::pgerror::PgError;

use super::Context;

/// A bound expression.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) node: Node,
    /// `UNKNOWN` for an untyped literal, parameter or NULL.
    pub(super) ty: PgType,
    pub(super) typmod: i32,
    /// Table OID and column number, when it is a plain column.
    pub(super) origin: (u32, i16),
}

/// What stands for an expression in SQLite's text.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// SQLite text whose value has the stored form of the expression's type.
    Sql(String),
    /// A string literal whose type is not known yet.
    Literal(String),
    /// NULL whose type is not known yet.
    Null,
    /// Parameter `$n` whose type is not known yet; the first coercion fixes it.
    Param(usize),
}

/// One statement being bound.
pub(super) struct Binder<'a> {
    pub(super) context: &'a Arc<Context>,
    /// Types of the parameters as far as they are known; grows as they are met.
    pub(super) params: RefCell<Vec<Option<PgType>>>,
    /// Numbers for names of our own in SQLite's text.
    pub(super) next_name: std::cell::Cell<u32>,
}

/// The columns that names may mean, innermost query last.
#[derive(Debug, Default)]
pub(super) struct Scope<'s> {
    pub(super) outer: Option<&'s Scope<'s>>,
    pub(super) tables: Vec<ScopeTable>,
    /// Common table expressions by name.
    pub(super) ctes: Vec<Cte>,
    /// What an expression of the select list that stands for rows was replaced with, by its text.
    pub(super) replaced: Vec<(String, Typed)>,
}

/// A table in FROM.
#[derive(Debug, Clone)]
pub(super) struct ScopeTable {
    /// Alias or name.
    pub(super) name: String,
    /// Schema, when it was named without an alias.
    pub(super) schema: Option<String>,
    pub(super) columns: Vec<ScopeColumn>,
}

/// A column of a table in FROM.
#[derive(Debug, Clone)]
pub(super) struct ScopeColumn {
    pub(super) name: String,
    pub(super) value: Typed,
    /// Merged by USING or NATURAL: found by its bare name only through the other side.
    pub(super) hidden: bool,
}

/// A common table expression.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    pub(super) name: String,
    /// Its name in SQLite's text.
    pub(super) sql_name: String,
    pub(super) columns: Vec<super::Column>,
}

/// A bound query: SQLite text and its columns, in SQLite named `c1`, `c2`, ...
#[derive(Debug, Clone)]
pub(super) struct BoundQuery {
    pub(super) sql: String,
    pub(super) columns: Vec<super::Column>,
}

impl Binder<'_> {
    /// A name that nothing else has.
    pub(super) fn fresh(&self, prefix: &str) -> String {
        let number = self.next_name.get();
        self.next_name.set(number.saturating_add(1));
        format!("{prefix}{number}")
    }
}

/// What a PgError for something outside of what we know looks like.
pub(super) fn unsupported(what: &str) -> PgError {
    PgError::unsupported(format!("{what} is not supported"))
}
