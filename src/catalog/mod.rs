//! Answer SQL over views of an engine snapshot.
//!
//! PostgreSQL's dialect is parsed (`parse`), bound and rewritten to SQLite's (`bind`), and executed
//! by an embedded SQLite (`exec`) over the rows of our own views (`views`) with our own functions
//! (`functions`). What it cannot do is an honest error (0A000, 42601 with a position), never a
//! guess. It knows no socket: what it needs from the session it asks of a [`Host`].

mod bind;
mod context;
mod databases;
pub(crate) mod ddl;
pub(crate) mod dml;
mod exec;
mod functions;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod parse;
mod prepare;
pub(crate) mod rights;
mod role_change;
#[cfg(test)]
mod test_host;
#[cfg(any(test, fuzzing))]
#[expect(clippy::unwrap_used, reason = "for tests")]
mod testing;
mod views;

pub(crate) use context::{
    ClientCertificate, Context, Host, SessionInfo, SessionTls, SettingRow, Snapshot,
};
pub(crate) use exec::{Executor, Sink};
pub(crate) use prepare::{check_syntax, prepare, prepare_without_parameters};
pub(crate) use rights::Caller;
pub(crate) use role_change::role_change;

#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;

use std::sync::Arc;

use crate::datum::PgType;

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Heading.
    pub(crate) name: String,
    /// Type.
    pub(crate) column_type: PgType,
    /// Type modifier, -1 for none.
    pub(crate) typmod: i32,
    /// OID of the table it comes from, 0 for none.
    pub(crate) table_oid: u32,
    /// Column number there, 0 for none.
    pub(crate) attnum: i16,
}

/// A query that was parsed and bound: ready to run, any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// Types of `$1`, `$2`, ...
    pub(crate) params: Vec<PgType>,
    /// Columns of the answer.
    pub(crate) columns: Vec<Column>,
    /// For columns that are records with known fields: the column, from 0, and its fields.
    pub(crate) fields: Vec<(usize, Vec<Column>)>,
    /// It calls a function that acts: running it is more than looking.
    pub(crate) acts: bool,
    /// The rewritten text, with parameters `?1`, `?2`, ...
    pub(super) sql: String,
}

/// The names that values print as, as a statement sees them.
pub(crate) fn names(context: &Arc<Context>) -> impl crate::datum::Names + use<'_> {
    functions::CatalogNames::new(context)
}
