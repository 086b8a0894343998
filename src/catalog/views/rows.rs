//! Which function makes the rows of which of PostgreSQL's relations.

use std::sync::Arc;

use crate::catalog::Context;
use crate::datum::PgType;

use super::{Rows, server, slots};

/// What makes the rows of a relation of PostgreSQL's; a relation for things that do not exist
/// here has none.
pub(super) fn maker(schema: &str, name: &str) -> fn(&Arc<Context>) -> Rows {
    match (schema, name) {
        ("pg_catalog", "pg_namespace") => server::namespaces,
        ("pg_catalog", "pg_replication_slots") => slots::replication_slots,
        _other => |_context| Rows::default(),
    }
}

/// Columns that versions after 15 added to a relation; they come behind those of 15.
pub(super) fn later_columns(schema: &str, name: &str) -> &'static [(&'static str, PgType)] {
    match (schema, name) {
        ("pg_catalog", "pg_replication_slots") => &[
            ("inactive_since", PgType::TIMESTAMPTZ),
            ("conflicting", PgType::BOOL),
            ("invalidation_reason", PgType::TEXT),
            ("failover", PgType::BOOL),
            ("synced", PgType::BOOL),
        ],
        _other => &[],
    }
}
