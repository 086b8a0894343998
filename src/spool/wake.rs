//! Whom to wake: a parked thread or an async task.

use std::task::Waker;
use std::thread::Thread;

/// Somebody who waits.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A parked thread.
    Thread(Thread),
    /// A pending task.
    Task(Waker),
}

impl Waiter {
    /// Wakes it. A thread may find its park token set without need; it checks again.
    pub(super) fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(waker) => waker.wake(),
        }
    }
}
