//! Connections for statements: made when needed, kept for the next.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Context;
use super::connection::{self, Opened};
use crate::pgerror::PgError;

/// How often a statement that waits for a connection looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

thread_local! {
    /// Statements that this thread is running, one inside of the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Connections for at most so many statements at a time.
pub(super) struct Pool {
    state: Mutex<State>,
    freed: Condvar,
    max: usize,
}

#[derive(Default)]
struct State {
    idle: Vec<Opened>,
    num_used: usize,
}

/// A connection in use; it goes back when this is dropped.
pub(super) struct Taken<'a> {
    pool: &'a Pool,
    connection: Option<Opened>,
    counted: bool,
}

impl Pool {
    pub(super) fn new(max: usize) -> Self {
        Self {
            state: Mutex::new(State::default()),
            freed: Condvar::new(),
            max,
        }
    }

    /// A connection, as soon as there is one. A statement inside of another on the same thread
    /// gets one at once: the outer one would wait for it for ever.
    pub(super) fn take(&self, context: &Context) -> Result<Taken<'_>, PgError> {
        let counted = DEPTH.with(Cell::get) == 0;
        let mut state = self.lock();
        while counted && state.num_used >= self.max {
            let waited = self.freed.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            context.check_cancelled()?;
        }
        let idle = state.idle.pop();
        state.num_used += usize::from(counted);
        drop(state);
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        let mut taken = Taken {
            pool: self,
            connection: idle,
            counted,
        };
        if taken.connection.is_none() {
            let opened = connection::open().map_err(|error| {
                tracing::error!(%error, "cannot open SQLite");
                PgError::error("53200", "out of memory")
            });
            taken.connection = Some(opened?);
        }
        Ok(taken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Taken<'_> {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        let connection = self.connection.as_ref();
        connection.expect("there from taking to dropping")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
        let mut state = self.pool.lock();
        state.num_used -= usize::from(self.counted);
        if let Some(connection) = self.connection.take()
            && state.idle.len() < self.pool.max
        {
            state.idle.push(connection);
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}
