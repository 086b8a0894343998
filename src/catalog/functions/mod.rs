//! The functions that SQL may call, with their types.

use std::sync::Arc;

use crate::datum::{Datum, PgType};
use crate::pgerror::PgError;

use super::Context;

/// The statement that calls.
pub(super) struct Call<'a> {
    /// Its surroundings.
    pub(super) context: &'a Arc<Context>,
}

/// A function of SQL.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) schema: &'static str,
    /// PostgreSQL's own OID, or one of ours from 9000 up.
    pub(super) oid: u32,
    pub(super) args: &'static [PgType],
    /// Names of the arguments, for `name => value`; empty when they have none.
    pub(super) arg_names: &'static [&'static str],
    /// Defaults of the last arguments, as SQL literals.
    pub(super) defaults: &'static [&'static str],
    /// The last argument is an array that collects the rest.
    pub(super) variadic: bool,
    /// May be a pseudo-type (ANYELEMENT, ANYARRAY), resolved from the arguments.
    pub(super) returns: PgType,
    /// NULL in, NULL out, without a call.
    pub(super) strict: bool,
    /// Does something beside answering: called once for each row, never moved or folded.
    pub(super) volatile: bool,
    pub(super) body: Body,
}

/// A row of stored forms.
pub(super) type Row = Vec<Datum>;

/// What a function does.
pub(super) enum Body {
    /// Our code.
    Scalar(fn(&Call<'_>, &[Datum]) -> Result<Datum, PgError>),
    /// SQLite text with `{0}`, `{1}`, ... for the arguments.
    Template(&'static str),
    /// An aggregate: our code over all (argument lists of) rows of a group, in order.
    Aggregate(fn(&Call<'_>, &mut dyn Iterator<Item = &[Datum]>) -> Result<Datum, PgError>),
    /// An aggregate or window function that SQLite has under this name.
    Native(&'static str),
    /// A function in FROM: its columns and rows.
    Table {
        columns: &'static [(&'static str, PgType)],
        rows: fn(&Call<'_>, &[Datum]) -> Result<Vec<Row>, PgError>,
    },
    /// The same, its rows made while they are asked for and never all in memory.
    Stream {
        columns: &'static [(&'static str, PgType)],
        rows: fn(&Call<'_>, &[Datum]) -> Result<Rows, PgError>,
    },
}

/// Rows that are made while they are asked for.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row, PgError>> + Send>;
