//! What a transaction did and what counts only when it commits.
//!
//! Definitions are tried on a copy of the relations at their statement, so that their errors come
//! at once, and made at COMMIT, before the records are published.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::engine::{Engine, TransactionBuffer};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::{Command, Outcome};

use super::confirm::Confirmation;
use super::session::Signal;

/// How often a wait for confirmations looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// The work of one transaction.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Records that wait for the commit; `None` while each statement's count at once.
    buffer: Option<TransactionBuffer>,
    /// Definitions that wait for the commit.
    definitions: Vec<Command>,
    /// What they hold, about; those that were rolled back count until the transaction ends.
    definition_bytes: usize,
    /// Definitions there were at each savepoint.
    savepoints: Vec<usize>,
}

impl Work {
    /// From here on all that is done counts together.
    pub(super) fn begin(&mut self, engine: &Engine) {
        self.buffer.get_or_insert_with(|| engine.begin());
    }

    /// Whether what is done counts together.
    pub(super) const fn is_together(&self) -> bool {
        self.buffer.is_some()
    }

    /// Adds records. Blocking.
    pub(super) fn publish(&mut self, records: &[ChangeRecord]) -> Result<(), PgError> {
        if let Some(buffer) = &mut self.buffer {
            for record in records {
                buffer.push(record, Moment::now())?;
            }
        }
        Ok(())
    }

    /// Lends the buffer out, for a COPY.
    pub(super) const fn take_buffer(&mut self) -> Option<TransactionBuffer> {
        self.buffer.take()
    }

    /// Takes the buffer back.
    pub(super) fn return_buffer(&mut self, buffer: Option<TransactionBuffer>) {
        self.buffer = buffer;
    }

    /// Adds a definition once it is known that it can be made; returns what it comes to.
    pub(super) fn define(
        &mut self,
        engine: &Engine,
        command: &Command,
    ) -> Result<Outcome, PgError> {
        let len = format!("{command:?}").len();
        self.definition_bytes = self.definition_bytes.saturating_add(len);
        self.definitions.push(command.clone());
        let tried = engine.relations().try_all(&self.definitions);
        if tried.is_err() {
            self.definitions.pop();
        }
        Ok(tried?)
    }

    /// Bytes that its definitions hold, about.
    pub(super) fn num_bytes(&self) -> usize {
        self.definition_bytes
    }

    /// A savepoint.
    pub(super) fn savepoint(&mut self) {
        self.savepoints.push(self.definitions.len());
        if let Some(buffer) = &mut self.buffer {
            buffer.savepoint();
        }
    }

    /// Forgets what was done since the `n`th savepoint, which stays. Blocking.
    pub(super) fn rollback_to(&mut self, n: usize) -> Result<(), PgError> {
        self.savepoints.truncate(n);
        if let Some(&num_definitions) = self.savepoints.last() {
            self.definitions.truncate(num_definitions);
        }
        if let Some(buffer) = &mut self.buffer {
            buffer.rollback_to(n)?;
        }
        Ok(())
    }

    /// Forgets the `n`th savepoint and all later ones, but nothing that was done.
    pub(super) fn release(&mut self, n: usize) {
        self.savepoints.truncate(n.saturating_sub(1));
        if let Some(buffer) = &mut self.buffer {
            buffer.release(n);
        }
    }

    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        let no_record = |buffer: &TransactionBuffer| buffer.is_empty();
        self.definitions.is_empty() && self.buffer.as_ref().is_none_or(no_record)
    }

    /// Makes the work durable, definitions first; returns where its records end. Blocking.
    pub(super) fn commit(self, engine: &Engine) -> Result<Option<Lsn>, PgError> {
        let buffer = self.buffer.unwrap_or_else(|| engine.begin());
        let committed = engine.commit_defining(&self.definitions, buffer, Moment::now())?;
        let Some(ticket) = committed else {
            return Ok(None);
        };
        Ok(Some(ticket.wait()?.last_lsn))
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

/// Waits for a confirmation until that or `cancelled`. Blocking. `runtime` is one that has timers:
/// a query's thread belongs to one that has none.
pub(super) fn wait(
    runtime: &Handle,
    confirmation: Confirmation,
    cancelled: &AtomicBool,
) -> Result<(), PgError> {
    let is_cancelled = async {
        while !cancelled.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
        Signal::Cancelled
    };
    runtime.block_on(confirmation.wait(is_cancelled))
}
