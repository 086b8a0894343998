//! Bind PostgreSQL's dialect: scopes, types, names; rewrite to SQLite's.
//!
//! `expr` binds expressions (operators, casts, functions, parameters), `query` everything that has
//! a FROM. Both write SQLite text as they go: an expression becomes a [`Typed`], a query a
//! [`BoundQuery`]. Types are decided here and nowhere else; in SQLite every value is in its stored
//! form (see `datum`).

mod counts;
mod derived;
mod distinct;
mod expr;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod from;
mod from_function;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod grouping;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod joins;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod order;
mod query;
mod rows;
mod scope;
mod select;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows many databases
mod select_list;
mod setops;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sqlparser::tokenizer::Span;

use crate::datum::PgType;
use crate::pgerror::PgError;

use super::Context;
use super::functions::Function;
use super::parse::Lines;
/// What rewritten text calls beside PostgreSQL's functions.
pub(super) use counts::FUNCTIONS as COUNT_FUNCTIONS;
pub(super) use expr::Coercion;
pub(super) use expr::runtime::FUNCTIONS as INTERNAL_FUNCTIONS;
pub(super) use expr::types;
pub(super) use from::idents_of;
pub(super) use query::{Draft, column_value};
pub(super) use scope::folded;
pub(super) use scope::{Clause, Cte, Grouping, Lifted, Scope, ScopeColumn, ScopeTable};

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
    /// No parameters but those exist.
    pub(super) params_are_known: Cell<bool>,
    /// Numbers for names of our own in SQLite's text.
    pub(super) next_name: Cell<u32>,
    /// How many calls of volatile functions were bound so far (`expr` counts them): what holds one
    /// is evaluated once and never copied.
    pub(super) num_volatile: Cell<usize>,
    /// Whether a function that acts was bound.
    pub(super) acts: Cell<bool>,
    /// Where lines of the statement's text begin, for positions in errors.
    pub(super) lines: Lines,
    /// How deep the expression that is being bound stands in others.
    pub(super) depth: Cell<u32>,
    /// Bytes of text that expressions were written as.
    pub(super) written: Cell<usize>,
}

/// A bound query: SQLite text and its columns, in SQLite named `c1`, `c2`, ...
#[derive(Debug, Clone)]
pub(super) struct BoundQuery {
    pub(super) sql: String,
    pub(super) columns: Vec<super::Column>,
    /// For columns that are records with known fields: the column, from 0, and its fields, in
    /// SQLite named `c1_1`, `c1_2`, ...
    pub(super) fields: Vec<(usize, Vec<super::Column>)>,
}

/// A call of a function, resolved by the types of its arguments (`expr`).
#[derive(Clone)]
pub(super) struct FromCall {
    pub(super) function: &'static Function,
    /// Its arguments in SQLite's text: coerced, in order, defaults filled in.
    pub(super) args: Vec<String>,
    /// What ANYELEMENT stands for.
    pub(super) element: Option<PgType>,
    /// What it returns, pseudo-types resolved.
    pub(super) returns: PgType,
}

impl<'a> Binder<'a> {
    /// A binder for a statement with parameters of these types, as far as they are declared.
    pub(super) fn new(
        context: &'a Arc<Context>,
        lines: Lines,
        params: Vec<Option<PgType>>,
    ) -> Self {
        Self {
            context,
            params: RefCell::new(params),
            params_are_known: Cell::new(false),
            next_name: Cell::new(1),
            num_volatile: Cell::new(0),
            acts: Cell::new(false),
            lines,
            depth: Cell::new(0),
            written: Cell::new(0),
        }
    }

    /// `error` at the beginning of `span`, unless it has a position already.
    pub(super) fn at(&self, span: Span, error: PgError) -> PgError {
        match self.lines.position(span.start) {
            Some(position) => error.at(position),
            None => error,
        }
    }

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
