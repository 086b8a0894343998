//! The views that SQL reads, each a list of columns and a function that makes its rows.

use std::sync::Arc;

use crate::datum::PgType;

use super::Context;
use super::functions::Row;

/// A view or system table.
pub(super) struct View {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    /// PostgreSQL's own OID, or one of ours from 9000 up.
    pub(super) oid: u32,
    /// `r` or `v`, as `pg_class.relkind`.
    pub(super) kind: char,
    pub(super) columns: &'static [(&'static str, PgType)],
    pub(super) source: Source,
}

/// Where a view's rows come from.
pub(super) enum Source {
    /// Made at once, at first use in a statement.
    Rows(fn(&Arc<Context>) -> Vec<Row>),
    /// Read from the spool as the query asks for them (`pgspool.changes`).
    Changes,
}
