//! Prepared statements, of the protocol and of PREPARE: one set of names for both.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::memory::{OVERHEAD, PER_TEXT_BYTE};
use super::statements::Part;
use crate::catalog::dml::PreparedChange;
use crate::catalog::{Column, Prepared};
use crate::datum::PgType;
use crate::pgerror::PgError;

/// Most named statements of a session.
const MAX_NAMED: usize = 1000;
/// Most bytes of their names and texts.
const MAX_NAMED_BYTES: usize = 16 << 20;

/// A statement that was parsed, and bound as far as it is a query.
#[derive(Debug, Default)]
pub(super) struct PreparedStatement {
    /// The statement; `None` for an empty text.
    pub(super) part: Option<Part>,
    /// The query, when it is one.
    pub(super) query: Option<Arc<Prepared>>,
    /// The change of tables, when it is one.
    pub(super) change: Option<Arc<PreparedChange>>,
    /// Columns of its answer; `None` when it has no rows.
    pub(super) columns: Option<Vec<Column>>,
}

impl PreparedStatement {
    /// Types of its parameters.
    pub(super) fn params(&self) -> &[PgType] {
        match (&self.query, &self.change) {
            (Some(query), _) => &query.params,
            (None, Some(change)) => &change.params,
            (None, None) => &[],
        }
    }

    /// Bytes of its text.
    fn num_bytes(&self) -> usize {
        self.part.as_ref().map_or(0, |part| part.text.len())
    }

    /// Whether it may run in a transaction that failed.
    pub(super) fn may_end_a_failed_transaction(&self) -> bool {
        let part = self.part.as_ref();
        part.is_none_or(|part| part.statement.may_end_a_failed_transaction())
    }
}

/// A session's prepared statements by name; the unnamed one's is empty.
#[derive(Debug, Default)]
pub(super) struct PreparedStatements(BTreeMap<String, Arc<PreparedStatement>>);

impl PreparedStatements {
    /// An error when the name is taken. The unnamed one is replaced.
    pub(super) fn check_new(&self, name: &str) -> Result<(), PgError> {
        if !name.is_empty() && self.0.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::error("42P05", message));
        }
        Ok(())
    }

    /// Bytes that they hold, about.
    pub(super) fn num_bytes(&self) -> usize {
        let each = self.0.iter().map(|(name, statement)| {
            let text = statement.num_bytes().saturating_mul(PER_TEXT_BYTE);
            text.saturating_add(name.len()).saturating_add(OVERHEAD)
        });
        each.fold(0, usize::saturating_add)
    }

    /// Adds a statement, over an older one of the name; an error when there are too many.
    pub(super) fn insert(
        &mut self,
        name: String,
        statement: PreparedStatement,
    ) -> Result<(), PgError> {
        // The unnamed one is one only, and no longer than a message.
        if !name.is_empty() {
            let named = self.0.iter().filter(|(known, _)| !known.is_empty());
            let num_bytes = |known: &str, statement: &PreparedStatement| {
                known.len().saturating_add(statement.num_bytes())
            };
            let (count, bytes) = named.fold((0_usize, 0_usize), |(count, bytes), (known, one)| {
                (
                    count.saturating_add(1),
                    bytes.saturating_add(num_bytes(known, one)),
                )
            });
            let bytes = bytes.saturating_add(num_bytes(&name, &statement));
            if count >= MAX_NAMED || bytes > MAX_NAMED_BYTES {
                let message = format!(
                    "more than {MAX_NAMED} prepared statements, or {} MiB of their text, in one \
                     session",
                    MAX_NAMED_BYTES >> 20
                );
                let hint = "Close or DEALLOCATE some first.";
                return Err(PgError::error("54000", message).with_hint(hint));
            }
        }
        self.0.insert(name, Arc::new(statement));
        Ok(())
    }

    /// The statement of that name.
    pub(super) fn find(&self, name: &str) -> Result<Arc<PreparedStatement>, PgError> {
        self.0.get(name).map(Arc::clone).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            PgError::error("26000", message)
        })
    }

    /// Removes the statement of that name, if there is one.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Removes all but the unnamed one.
    pub(super) fn clear(&mut self) {
        self.0.retain(|name, _| name.is_empty());
    }
}
