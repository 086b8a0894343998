//! What a transaction did and what counts only when it commits.
//!
//! Definitions are tried on a copy of the relations at their statement, so that their errors come
//! at once, and made at COMMIT, before the records are published.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::CommitOutcome;

use super::copy_in::missing_regions;

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

    /// Makes the work count and waits until it does. Blocking.
    pub(super) fn commit(self, engine: &Engine, cancelled: &AtomicBool) -> Result<(), PgError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let mut batch = engine.batch(Moment::now());
        batch.push_transaction(&self.records)?;
        let published = engine.publish(batch)?;
        confirm(engine, published.last_lsn, cancelled)
    }
}

/// Publishes each record as a transaction of its own and waits until they count; returns the
/// last one's position. Blocking.
pub(super) fn publish_each(
    engine: &Engine,
    records: &[ChangeRecord],
    cancelled: &AtomicBool,
) -> Result<Lsn, PgError> {
    if records.is_empty() {
        return Ok(engine.head());
    }
    let mut batch = engine.batch(Moment::now());
    for record in records {
        batch.push(record)?;
    }
    let published = engine.publish(batch)?;
    confirm(engine, published.last_lsn, cancelled)?;
    Ok(published.last_lsn)
}

/// Waits until others have confirmed `lsn`, as the commit policy asks. Blocking.
fn confirm(engine: &Engine, lsn: Lsn, cancelled: &AtomicBool) -> Result<(), PgError> {
    let Some(at_most) = engine.replicas().settings().wait_at_most() else {
        return Ok(());
    };
    let mut wait = engine.wait_released(lsn);
    let outcome = tokio::runtime::Handle::current().block_on(async {
        let begin = tokio::time::Instant::now();
        loop {
            tokio::select! {
                outcome = &mut wait => return Ok(outcome),
                () = tokio::time::sleep(LOOK.min(at_most)) => {}
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(PgError::cancelled());
            }
            if begin.elapsed() >= at_most {
                return Ok(wait.time_out());
            }
        }
    })?;
    match outcome {
        CommitOutcome::NotRequired | CommitOutcome::Reached(_) => Ok(()),
        CommitOutcome::TimedOut { observed, required } => {
            let replicas = engine.replicas();
            let timeout = replicas.quorum_timeout(lsn, observed, required, at_most);
            let missing = missing_regions(&replicas.settings(), &timeout.acked_regions);
            Err(PgError::unconfirmed(&timeout, &missing))
        }
        CommitOutcome::Unmet(unmet) => Err(PgError::from(unmet)),
    }
}

/// A flag that says stop, shared with the thread that is to stop.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}
