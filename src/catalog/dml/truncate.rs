//! TRUNCATE.

use std::sync::Arc;

use sqlparser::ast::{self, CascadeOption, TruncateIdentityOption};

use super::target::{Verb, table};
use super::{Action, Binder, PreparedChange};
use crate::pgerror::PgError;
use crate::relations::Relation;

/// Binds a TRUNCATE.
pub(super) fn bind(
    binder: &Binder<'_>,
    truncate: &ast::Truncate,
) -> Result<PreparedChange, PgError> {
    if truncate.partitions.is_some() || truncate.if_exists || truncate.on_cluster.is_some() {
        return Err(PgError::syntax("TRUNCATE"));
    }
    let refused = |what: &str| {
        let message = format!("TRUNCATE ... {what} is not supported");
        let hint =
            "Tables have no sequences and no references here, and a record does not carry it.";
        Err(PgError::unsupported(message).with_hint(hint))
    };
    match truncate.identity {
        Some(TruncateIdentityOption::Restart) => return refused("RESTART IDENTITY"),
        Some(TruncateIdentityOption::Continue) | None => {}
    }
    match truncate.cascade {
        Some(CascadeOption::Cascade) => return refused("CASCADE"),
        Some(CascadeOption::Restrict) | None => {}
    }
    let mut tables: Vec<Arc<Relation>> = Vec::new();
    for target in &truncate.table_names {
        let table = table(binder, &target.name, Verb::Truncate)?;
        if !tables.iter().any(|known| known.oid == table.oid) {
            tables.push(table);
        }
    }
    if tables.len() > 1 {
        let hint = "Truncate the tables one by one, those that refer to others first.";
        let error = PgError::unsupported("TRUNCATE of several tables at once is not supported");
        return Err(error.with_hint(hint));
    }
    Ok(PreparedChange {
        params: Vec::new(),
        returning: None,
        tables,
        action: Action::Truncate,
    })
}
