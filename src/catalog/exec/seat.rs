//! The statement that a connection is running: its surroundings, and what went wrong in it.
//!
//! Functions and tables belong to a connection and reach the statement through its [`Seat`]. An
//! error of ours passes through SQLite as a bare mark; the error itself waits here.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::Context;
use super::view_scan::RowIndex;
use crate::pgerror::PgError;

/// A connection's place for the statement that it runs.
#[derive(Default)]
pub(super) struct Seat {
    run: Mutex<Option<Run>>,
}

/// One statement under way.
struct Run {
    context: Arc<Context>,
    /// The first error of ours.
    error: Option<PgError>,
    indexes: Indexes,
}

/// Row indexes by the view's OID and its columns.
pub(super) type Indexes = HashMap<(u32, Vec<usize>), Arc<RowIndex>>;

/// Takes the statement out of its seat again.
pub(super) struct Seated<'a> {
    seat: &'a Seat,
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        *self.seat.lock() = None;
    }
}

impl Seat {
    /// Seats a statement.
    pub(super) fn sit(&self, context: &Arc<Context>) -> Seated<'_> {
        *self.lock() = Some(Run {
            context: Arc::clone(context),
            error: None,
            indexes: Indexes::new(),
        });
        Seated { seat: self }
    }

    /// Calls our code for SQLite: no panic gets out of it, and its error waits here.
    pub(super) fn call<T>(
        &self,
        code: impl FnOnce(&Arc<Context>) -> Result<T, PgError>,
    ) -> rusqlite::Result<T> {
        let context = self.lock().as_ref().map(|run| Arc::clone(&run.context));
        let Some(context) = context else {
            return Err(mark());
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| code(&context))).unwrap_or_else(|_| {
            let message = "internal error: a function of SQL panicked";
            Err(PgError::error("XX000", message))
        });
        outcome.map_err(|error| {
            if let Some(run) = self.lock().as_mut() {
                run.error.get_or_insert(error);
            }
            mark()
        })
    }

    /// The error of ours that ended the statement, if one did.
    pub(super) fn take_error(&self) -> Option<PgError> {
        self.lock().as_mut()?.error.take()
    }

    /// Whether the statement is to stop.
    pub(super) fn is_cancelled(&self) -> bool {
        self.lock()
            .as_ref()
            .is_some_and(|run| run.context.cancelled.load(Ordering::Relaxed))
    }

    /// The index that `make` makes, made once a statement.
    pub(super) fn index(
        &self,
        view_oid: u32,
        columns: &[usize],
        make: impl FnOnce() -> RowIndex,
    ) -> Arc<RowIndex> {
        let key = (view_oid, columns.to_vec());
        let known = |run: &Run| run.indexes.get(&key).map(Arc::clone);
        if let Some(index) = self.lock().as_ref().and_then(known) {
            return index;
        }
        let index = Arc::new(make());
        if let Some(run) = self.lock().as_mut() {
            run.indexes.insert(key, Arc::clone(&index));
        }
        index
    }

    fn lock(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What SQLite is told of an error of ours.
fn mark() -> rusqlite::Error {
    rusqlite::Error::ModuleError("see the seat".to_owned())
}
