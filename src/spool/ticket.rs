//! The answer to an append that is on its way to the disk.
//!
//! A group of appends is completed together. The waiting threads of a group wake one another:
//! the writer wakes only the first few, so that it is back at the disk sooner.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use super::error::AppendError;
use super::lock;
use super::wake::Waiter;
use crate::lsn::Lsn;

/// What an append made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// End LSN of the first transaction.
    pub first_lsn: Lsn,
    /// End LSN of the last transaction.
    pub last_lsn: Lsn,
    /// How many transactions.
    pub num_transactions: u64,
}

type Answer = Result<Appended, AppendError>;

#[derive(Debug)]
enum State {
    Waiting(Option<Waiter>),
    /// Answered; the woken thread wakes the others.
    Done(Answer, Vec<Waiter>),
    Taken,
}

/// The answer to an append that is still on its way to the disk.
#[derive(Debug)]
pub struct AppendTicket {
    state: Arc<Mutex<State>>,
}

/// The writer's end of a ticket. Dropping it unanswered answers [`AppendError::Closed`].
#[derive(Debug)]
pub(super) struct Completion {
    state: Arc<Mutex<State>>,
}

/// A ticket and its writer's end.
pub(super) fn ticket() -> (AppendTicket, Completion) {
    let state = Arc::new(Mutex::new(State::Waiting(None)));
    let completion = Completion {
        state: Arc::clone(&state),
    };
    (AppendTicket { state }, completion)
}

impl AppendTicket {
    /// Blocks until the batch is durable or refused. Not for async tasks.
    pub fn wait(self) -> Result<Appended, AppendError> {
        loop {
            if let Some(answer) = self.take(|| Waiter::Thread(thread::current())) {
                return answer;
            }
            thread::park();
        }
    }

    /// The answer when there is one, else registers to be woken.
    fn take(&self, waiter: impl FnOnce() -> Waiter) -> Option<Answer> {
        let mut state = lock(&self.state);
        if let State::Waiting(registered) = &mut *state {
            *registered = Some(waiter());
            return None;
        }
        let taken = std::mem::replace(&mut *state, State::Taken);
        drop(state);
        match taken {
            State::Done(answer, others) => {
                others.into_iter().for_each(Waiter::wake);
                Some(answer)
            }
            State::Waiting(_) | State::Taken => Some(Err(AppendError::Closed)),
        }
    }
}

impl Future for AppendTicket {
    type Output = Result<Appended, AppendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.take(|| Waiter::Task(cx.waker().clone())) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl Drop for AppendTicket {
    fn drop(&mut self) {
        // Somebody may rely on this ticket to wake others.
        if let State::Done(_, others) = std::mem::replace(&mut *lock(&self.state), State::Taken) {
            others.into_iter().for_each(Waiter::wake);
        }
    }
}

impl Completion {
    /// Answers one ticket.
    pub(super) fn complete(self, answer: Answer) {
        if let Some(waiter) = self.answer(answer, Vec::new()) {
            waiter.wake();
        }
    }

    /// Puts the answer in place; returns who is to be woken.
    fn answer(&self, answer: Answer, others: Vec<Waiter>) -> Option<Waiter> {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Waiting(waiter) => {
                let waiter = waiter.take();
                *state = State::Done(answer, others);
                waiter
            }
            State::Done(..) | State::Taken => None,
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(waiter) = self.answer(Err(AppendError::Closed), Vec::new()) {
            waiter.wake();
        }
    }
}

/// Answers a group of tickets.
pub(super) fn complete_all(group: impl IntoIterator<Item = (Completion, Appended)>) {
    for (completion, appended) in group {
        completion.complete(Ok(appended));
    }
}
