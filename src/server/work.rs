//! What a transaction did and what counts only when it commits.
//!
//! Definitions are tried on a copy of the relations at their statement, so that their errors come
//! at once, and made at COMMIT, before the records are published. Changes of roles are tried and
//! made in the same way, but in transactions of their own: roles belong to all databases, and what
//! is one database's and they could not become durable at one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::engine::{Engine, TransactionBuffer};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::{Command, Outcome, RelationSet};
use crate::roles::{RoleCommand, RoleSet, Roles};

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
    /// Changes of roles that wait for the commit.
    roles: Vec<RoleCommand>,
    /// Definitions and changes of roles there were at each savepoint.
    savepoints: Vec<(usize, usize)>,
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
        self.check_without_roles()?;
        if let Some(buffer) = &mut self.buffer {
            for record in records {
                buffer.push(record, Moment::now())?;
            }
        }
        Ok(())
    }

    /// The relations as the transaction sees them.
    pub(super) fn relations_seen(&self, engine: &Engine) -> Arc<RelationSet> {
        let relations = engine.relations();
        if self.definitions.is_empty() {
            return relations.current();
        }
        // What somebody else changed in between is told at COMMIT.
        let seen = relations.after_all(&self.definitions);
        seen.map_or_else(|_| relations.current(), Arc::new)
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
        self.check_without_roles()?;
        let len = format!("{command:?}").len();
        self.definition_bytes = self.definition_bytes.saturating_add(len);
        self.definitions.push(command.clone());
        let tried = engine.relations().try_all(&self.definitions);
        if tried.is_err() {
            self.definitions.pop();
        }
        let outcome = tried?;
        self.expect_definitions()?;
        Ok(outcome)
    }

    /// The records that come now are rows of the tables as these definitions make them.
    fn expect_definitions(&mut self) -> Result<(), PgError> {
        if let Some(buffer) = &mut self.buffer {
            buffer.expect(&self.definitions)?;
        }
        Ok(())
    }

    /// Adds changes of roles once it is known that they can be made.
    pub(super) fn change_roles(
        &mut self,
        roles: &Roles,
        commands: &[RoleCommand],
    ) -> Result<(), PgError> {
        let before = self.roles.len();
        self.roles.extend_from_slice(commands);
        let tried = match roles.current().after_all(&self.roles) {
            Ok(_) if self.is_beside_roles() => Err(roles_with_others()),
            tried => tried.map(|_| ()).map_err(PgError::from),
        };
        if tried.is_err() {
            self.roles.truncate(before);
        }
        tried
    }

    /// The roles as the transaction sees them.
    pub(super) fn roles_seen(&self, roles: &Roles) -> Arc<RoleSet> {
        let current = roles.current();
        match current.after_all(&self.roles) {
            Ok(seen) if !self.roles.is_empty() => Arc::new(seen),
            // What somebody else changed in between is told at COMMIT.
            Ok(_) | Err(_) => current,
        }
    }

    /// Whether something that is no change of roles waits.
    pub(super) fn is_beside_roles(&self) -> bool {
        let has_records = |buffer: &TransactionBuffer| !buffer.is_empty();
        !self.definitions.is_empty() || self.buffer.as_ref().is_some_and(has_records)
    }

    pub(super) fn check_without_roles(&self) -> Result<(), PgError> {
        if self.roles.is_empty() {
            return Ok(());
        }
        Err(roles_with_others())
    }

    /// Bytes that its definitions hold, about.
    pub(super) fn num_bytes(&self) -> usize {
        self.definition_bytes
    }

    /// A savepoint.
    pub(super) fn savepoint(&mut self) {
        let reached = (self.definitions.len(), self.roles.len());
        self.savepoints.push(reached);
        if let Some(buffer) = &mut self.buffer {
            buffer.savepoint();
        }
    }

    /// Forgets what was done since the `n`th savepoint, which stays. Blocking.
    pub(super) fn rollback_to(&mut self, n: usize) -> Result<(), PgError> {
        self.savepoints.truncate(n);
        if let Some(&(num_definitions, num_roles)) = self.savepoints.last() {
            let forgets = self.definitions.len() > num_definitions;
            self.definitions.truncate(num_definitions);
            self.roles.truncate(num_roles);
            if forgets {
                self.expect_definitions()?;
            }
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
        self.roles.is_empty() && !self.is_beside_roles()
    }

    /// Makes the work durable, definitions first; returns where its records end. Blocking.
    pub(super) fn commit(self, engine: &Engine, roles: &Roles) -> Result<Option<Lsn>, PgError> {
        if !self.roles.is_empty() {
            if self.is_beside_roles() {
                return Err(roles_with_others());
            }
            roles.apply_all(&self.roles)?;
            return Ok(None);
        }
        let buffer = self.buffer.unwrap_or_else(|| engine.begin());
        let committed = engine.commit_defining(&self.definitions, buffer, Moment::now())?;
        let Some(ticket) = committed else {
            return Ok(None);
        };
        Ok(Some(ticket.wait()?.last_lsn))
    }
}

fn roles_with_others() -> PgError {
    let message = "a transaction that changes roles cannot publish or define anything else";
    PgError::unsupported(message).with_hint("Commit in between.")
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
