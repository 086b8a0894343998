//! Portals: statements with their parameters, ready to run or running, of the protocol and of
//! DECLARE. They end with their transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::extended::Format;
use super::memory::OVERHEAD;
use super::prepared::PreparedStatement;
use super::running::RunningQuery;
use crate::datum::Datum;
use crate::pgerror::PgError;

/// Most portals of all sessions whose rows are not all taken.
pub(super) const MAX_RUNNING_OF_ALL: usize = 256;
/// Most portals of a session whose rows are not all taken: each may hold a thread.
const MAX_RUNNING: usize = 4;

/// Most portals of a session.
const MAX_PORTALS: usize = 1000;

const HINT: &str = "Fetch their rows or close them first.";

/// A portal.
#[derive(Debug)]
pub(super) struct Portal {
    /// The statement.
    pub(super) statement: Arc<PreparedStatement>,
    /// Its parameters.
    pub(super) params: Vec<Datum>,
    /// Bytes of the parameters as they came.
    pub(super) num_bytes: usize,
    /// How its columns are written.
    pub(super) formats: Vec<Format>,
    /// How far it is.
    pub(super) progress: Progress,
    /// Savepoints of the block when it was made.
    pub(super) num_savepoints: usize,
}

impl Portal {
    /// Ends it: what runs is told to stop and waited for, so that it holds nothing any more.
    pub(super) async fn close(self) {
        if let Progress::Running(running, _permit) = self.progress {
            running.stop().await;
        }
    }
}

/// How far a portal is.
#[derive(Debug)]
pub(super) enum Progress {
    /// It was not executed yet.
    New,
    /// It has more rows, or may have, and holds one of the server's permits for that.
    Running(Box<RunningQuery>, OwnedSemaphorePermit),
    /// It ran to its end.
    Finished,
}

/// A session's portals by name; the unnamed one's is empty.
#[derive(Debug, Default)]
pub(super) struct Portals(BTreeMap<String, Portal>);

impl Portals {
    /// An error when the name is taken. The unnamed one is replaced.
    pub(super) fn check_new(&self, name: &str) -> Result<(), PgError> {
        if !name.is_empty() && self.0.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(PgError::error("42P03", message));
        }
        if self.0.len() >= MAX_PORTALS {
            let message = format!("more than {MAX_PORTALS} portals in one session");
            return Err(PgError::error("54000", message).with_hint("Close some first."));
        }
        Ok(())
    }

    /// Bytes that they hold, about.
    pub(super) fn num_bytes(&self) -> usize {
        let each = self.0.iter().map(|(name, portal)| {
            let values = portal.num_bytes.saturating_mul(2);
            values.saturating_add(name.len()).saturating_add(OVERHEAD)
        });
        each.fold(0, usize::saturating_add)
    }

    /// Adds a portal, over an older one of the name.
    pub(super) fn insert(&mut self, name: String, portal: Portal) {
        self.0.insert(name, portal);
    }

    /// The portal of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Portal> {
        self.0.get(name)
    }

    /// Takes out the portal of that name.
    pub(super) fn take(&mut self, name: &str) -> Option<Portal> {
        self.0.remove(name)
    }

    /// Ends all.
    pub(super) async fn close_all(&mut self) {
        for portal in std::mem::take(&mut self.0).into_values() {
            portal.close().await;
        }
    }

    /// Ends the one of that name, if there is one.
    pub(super) async fn close(&mut self, name: &str) {
        if let Some(portal) = self.take(name) {
            portal.close().await;
        }
    }

    /// Ends those that were made after the `n`th savepoint, counted from 1.
    pub(super) async fn close_since(&mut self, n: usize) {
        let newer = self
            .0
            .extract_if(.., |_, portal| portal.num_savepoints >= n);
        for (_, portal) in newer.collect::<Vec<_>>() {
            portal.close().await;
        }
    }

    /// The `n`th savepoint is gone with all later ones: what was made since belongs to what was
    /// before.
    pub(super) fn release(&mut self, n: usize) {
        for portal in self.0.values_mut() {
            portal.num_savepoints = portal.num_savepoints.min(n.saturating_sub(1));
        }
    }

    /// An error when no further portal may be left unfinished.
    pub(super) fn check_room(&self) -> Result<(), PgError> {
        let is_running = |portal: &&Portal| matches!(portal.progress, Progress::Running(..));
        if self.0.values().filter(is_running).count() < MAX_RUNNING {
            return Ok(());
        }
        let message = format!("more than {MAX_RUNNING} portals with rows left in one session");
        Err(PgError::error("54000", message).with_hint(HINT))
    }
}

/// One of the permits of all sessions together.
pub(super) fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, PgError> {
    Arc::clone(permits).try_acquire_owned().map_err(|_| {
        let message = format!("more than {MAX_RUNNING_OF_ALL} portals with rows left");
        PgError::error("53000", message).with_hint(HINT)
    })
}

/// The error for a portal that is not there.
pub(super) fn no_portal(name: &str) -> PgError {
    PgError::error("34000", format!("portal \"{name}\" does not exist"))
}

/// The error for a cursor that is not there.
pub(super) fn no_cursor(name: &str) -> PgError {
    PgError::error("34000", format!("cursor \"{name}\" does not exist"))
}
