//! Waiting for a position, asleep on a thread or as a future, without a thread per waiter.
//!
//! A [`WaitQueue`] is ordered by position, so whoever moves a position forward finds exactly
//! those who waited for it. A [`WaitCell`] is one waiter's own place: it is fired at most once.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::lsn::Lsn;

/// A waiter's place in a queue.
pub(super) type WaitKey = (Lsn, u64);

#[derive(Debug)]
pub(super) struct WaitQueue<T> {
    next: u64,
    cells: BTreeMap<WaitKey, Arc<WaitCell<T>>>,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> Self {
        Self {
            next: 0,
            cells: BTreeMap::new(),
        }
    }
}

impl<T> WaitQueue<T> {
    pub(super) fn insert(&mut self, target: Lsn, cell: Arc<WaitCell<T>>) -> WaitKey {
        let key = (target, self.next);
        self.next = self.next.wrapping_add(1);
        self.cells.insert(key, cell);
        key
    }

    /// Takes a waiter out; false when it was taken before.
    pub(super) fn remove(&mut self, key: WaitKey) -> bool {
        self.cells.remove(&key).is_some()
    }

    /// Takes out all who wait for `upto` or less, lowest first.
    pub(super) fn take_through(&mut self, upto: Lsn) -> Vec<Arc<WaitCell<T>>> {
        let beyond = match upto.checked_add(1) {
            Some(next) => self.cells.split_off(&(next, 0)),
            None => BTreeMap::new(),
        };
        let reached = std::mem::replace(&mut self.cells, beyond);
        reached.into_values().collect()
    }

    /// The lowest position waited for.
    pub(super) fn lowest(&self) -> Option<Lsn> {
        self.cells.keys().next().map(|(target, _)| *target)
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct WaitCell<T> {
    state: Mutex<CellState<T>>,
    fired: Condvar,
}

#[derive(Debug)]
struct CellState<T> {
    fired: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for WaitCell<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(CellState {
                fired: None,
                waker: None,
            }),
            fired: Condvar::new(),
        }
    }
}

impl<T: Copy> WaitCell<T> {
    /// Wakes the waiter with `value`.
    pub(super) fn fire(&self, value: T) {
        let waker = {
            let mut state = self.lock();
            state.fired = Some(value);
            state.waker.take()
        };
        self.fired.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn fired(&self) -> Option<T> {
        self.lock().fired
    }

    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut state = self.lock();
        match state.fired {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Sleeps until fired, or for `timeout` (`None`: for ever).
    pub(super) fn block(&self, timeout: Option<Duration>) -> Option<T> {
        let state = self.lock();
        let pending = |state: &mut CellState<T>| state.fired.is_none();
        let state = match timeout {
            Some(timeout) => {
                let woken = self.fired.wait_timeout_while(state, timeout, pending);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let woken = self.fired.wait_while(state, pending);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        };
        state.fired
    }

    fn lock(&self) -> MutexGuard<'_, CellState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
