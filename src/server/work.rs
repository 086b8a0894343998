//! What a transaction did and what counts only when it commits.
//!
//! Definitions are tried on a copy of the relations at their statement, so that their errors come
//! at once, and made at COMMIT, before the records are published.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;

use super::confirm::Confirmation;

/// How often a wait for confirmations looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// The work of one transaction.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Whether several statements count together: records wait here for the commit.
    pub(super) together: bool,
    records: Vec<ChangeRecord>,
    /// Records there were at each savepoint.
    savepoints: Vec<usize>,
}

impl Work {
    /// Adds records.
    pub(super) fn publish(&mut self, records: Vec<ChangeRecord>) {
        self.records.extend(records);
    }

    /// A savepoint.
    pub(super) fn savepoint(&mut self) {
        self.savepoints.push(self.records.len());
    }

    /// Forgets what was done since the `n`th savepoint, which stays.
    pub(super) fn rollback_to(&mut self, n: usize) {
        self.savepoints.truncate(n);
        if let Some(&num_records) = self.savepoints.last() {
            self.records.truncate(num_records);
        }
    }

    /// Forgets the `n`th savepoint and all later ones.
    pub(super) fn release(&mut self, n: usize) {
        self.savepoints.truncate(n.saturating_sub(1));
    }

    /// Whether there is nothing to commit.
    pub(super) const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Makes the work durable; returns where it ends. Blocking.
    pub(super) fn commit(self, engine: &Engine) -> Result<Option<Lsn>, PgError> {
        if self.records.is_empty() {
            return Ok(None);
        }
        let mut batch = engine.batch(Moment::now());
        batch.push_transaction(&self.records)?;
        Ok(Some(engine.publish(batch)?.last_lsn))
    }
}

/// Publishes each record as a transaction of its own; returns where the last one ends. Blocking.
pub(super) fn publish_each(engine: &Engine, records: &[ChangeRecord]) -> Result<Lsn, PgError> {
    if records.is_empty() {
        return Ok(engine.head());
    }
    let mut batch = engine.batch(Moment::now());
    for record in records {
        batch.push(record)?;
    }
    Ok(engine.publish(batch)?.last_lsn)
}

/// Waits for a confirmation until that or `cancelled`. Blocking.
pub(super) fn wait(confirmation: Confirmation, cancelled: &AtomicBool) -> Result<(), PgError> {
    let is_cancelled = async {
        while !cancelled.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::runtime::Handle::current().block_on(async {
        tokio::select! {
            outcome = confirmation.wait() => outcome,
            () = is_cancelled => Err(PgError::cancelled()),
        }
    })
}
