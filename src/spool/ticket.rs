//! The answer to an append that is on its way to the disk.
//!
//! Appends are answered in groups, and their threads are woken in groups too: all that were
//! queued in the same round sleep at the same [`Gate`] and are woken by one call. Waking each on
//! its own would cost the writer more than the sync.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::error::AppendError;
use super::lock;
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

/// How many rounds have a door of their own. Two are under way at a time; where more share a
/// door, some threads are woken too early and go back to sleep.
const DOORS: usize = 4;

/// Where the threads of a round sleep until it is answered.
#[derive(Debug, Default)]
pub(super) struct Gate {
    doors: [Door; DOORS],
}

/// Counts how often it was opened; threads sleep while the count is the one they saw.
#[derive(Debug, Default)]
struct Door {
    opened: AtomicU32,
}

impl Gate {
    fn door(&self, round: usize) -> &Door {
        let [first, ..] = &self.doors;
        self.doors.get(round % DOORS).unwrap_or(first)
    }
}

impl Door {
    fn open(&self) {
        self.opened.fetch_add(1, Ordering::Release);
        atomic_wait::wake_all(&self.opened);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Reply>,
    round: AtomicUsize,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Reply {
    state: State,
    /// The outcome, also when the answer was taken.
    progress: Progress,
}

#[derive(Debug)]
enum State {
    /// Not answered; the task to wake, if a task waits.
    Waiting(Option<Waker>),
    Answered(Answer),
    Taken,
}

/// The answer to an append that is still on its way to the disk.
#[derive(Debug)]
pub struct AppendTicket {
    shared: Arc<Shared>,
}

/// Looks whether an append is durable, without taking the answer from whoever waits for it.
#[derive(Debug, Clone)]
pub struct Probe {
    shared: Arc<Shared>,
}

/// What has become of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    UnderWay,
    /// All of it is durable, up to this end.
    Durable(Lsn),
    /// It was refused, or the writer has stopped.
    Failed,
}

/// The writer's end of a ticket. Dropping it unanswered answers [`AppendError::Closed`].
#[derive(Debug)]
pub(super) struct Completion {
    shared: Arc<Shared>,
}

/// A ticket and its writer's end.
pub(super) fn ticket(gate: &Arc<Gate>) -> (AppendTicket, Completion) {
    let shared = Arc::new(Shared {
        state: Mutex::new(Reply {
            state: State::Waiting(None),
            progress: Progress::UnderWay,
        }),
        round: AtomicUsize::new(0),
        gate: Arc::clone(gate),
    });
    let completion = Completion {
        shared: Arc::clone(&shared),
    };
    (AppendTicket { shared }, completion)
}

impl Probe {
    /// What has become of the append.
    pub fn look(&self) -> Progress {
        lock(&self.shared.state).progress
    }
}

impl AppendTicket {
    /// A look at the outcome that leaves the answer here.
    pub fn probe(&self) -> Probe {
        Probe {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Blocks until the batch is durable or refused. Not for async tasks.
    pub fn wait(self) -> Result<Appended, AppendError> {
        if let Some(answer) = self.take(None) {
            return answer;
        }
        let door = self.shared.door();
        loop {
            // The count is read before the answer is looked for: an answer that comes in between
            // changes it, and nobody falls asleep.
            let seen = door.opened.load(Ordering::Acquire);
            if let Some(answer) = self.take(None) {
                return answer;
            }
            atomic_wait::wait(&door.opened, seen);
        }
    }

    /// The answer when there is one, else registers the task that wants it.
    fn take(&self, task: Option<&Waker>) -> Option<Answer> {
        let mut reply = lock(&self.shared.state);
        let state = &mut reply.state;
        if let State::Waiting(registered) = state {
            if let Some(task) = task {
                *registered = Some(task.clone());
            }
            return None;
        }
        match std::mem::replace(state, State::Taken) {
            State::Answered(answer) => Some(answer),
            State::Waiting(_) | State::Taken => Some(Err(AppendError::Closed)),
        }
    }
}

impl Future for AppendTicket {
    type Output = Result<Appended, AppendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.take(Some(cx.waker())) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl Completion {
    /// Notes the round it was queued in, before the writer can see it.
    pub(super) fn enter(&self, round: usize) {
        self.shared.round.store(round, Ordering::Relaxed);
    }

    /// Answers one ticket.
    pub(super) fn complete(self, answer: Answer) {
        self.answer_and_wake(answer);
    }

    fn answer_and_wake(&self, answer: Answer) {
        match self.shared.answer(answer) {
            Wake::Thread => self.shared.door().open(),
            Wake::Task(waker) => waker.wake(),
            Wake::Nobody => {}
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.answer_and_wake(Err(AppendError::Closed));
    }
}

/// Answers a group of tickets.
pub(super) fn complete_all(group: impl IntoIterator<Item = (Completion, Appended)>) {
    let mut last: Option<Completion> = None;
    for (completion, appended) in group {
        match completion.shared.answer(Ok(appended)) {
            Wake::Thread => {
                // A group is of one round, but for what was too much for it.
                let is_next = |last: &Completion| last.shared.round() != completion.shared.round();
                if last.as_ref().is_some_and(is_next) {
                    last.iter().for_each(|last| last.shared.door().open());
                }
                last = Some(completion);
            }
            Wake::Task(waker) => waker.wake(),
            Wake::Nobody => {}
        }
    }
    last.iter().for_each(|last| last.shared.door().open());
}

/// Who is to be told of an answer.
enum Wake {
    /// A thread that sleeps at the door, if any.
    Thread,
    Task(Waker),
    /// It was answered before.
    Nobody,
}

impl Shared {
    fn answer(&self, answer: Answer) -> Wake {
        let mut reply = lock(&self.state);
        match &mut reply.state {
            State::Waiting(task) => {
                let task = task.take();
                reply.progress = match &answer {
                    Ok(appended) => Progress::Durable(appended.last_lsn),
                    Err(_) => Progress::Failed,
                };
                reply.state = State::Answered(answer);
                task.map_or(Wake::Thread, Wake::Task)
            }
            State::Answered(_) | State::Taken => Wake::Nobody,
        }
    }

    fn round(&self) -> usize {
        self.round.load(Ordering::Relaxed)
    }

    fn door(&self) -> &Door {
        self.gate.door(self.round())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn appended(n: u64) -> Appended {
        Appended {
            first_lsn: Lsn::new(n),
            last_lsn: Lsn::new(n),
            num_transactions: 1,
        }
    }

    #[test]
    fn every_thread_gets_its_own_answer_whatever_its_round() {
        let gate = Arc::new(Gate::default());
        let mut waiting = Vec::new();
        let mut group = Vec::new();
        for n in 0..40_u64 {
            let (ticket, completion) = ticket(&gate);
            completion.enter(usize::try_from(n / 3).unwrap());
            waiting.push(thread::spawn(move || ticket.wait()));
            group.push((completion, appended(n)));
        }
        thread::yield_now();
        complete_all(group);
        for (n, thread) in (0..).zip(waiting) {
            assert_eq!(thread.join().unwrap().unwrap(), appended(n));
        }
    }

    #[test]
    fn an_unanswered_ticket_is_closed_and_a_lost_one_is_no_trouble() {
        let gate = Arc::new(Gate::default());
        let (unanswered, completion) = ticket(&gate);
        let waiting = thread::spawn(move || unanswered.wait());
        drop(completion);
        assert!(matches!(waiting.join().unwrap(), Err(AppendError::Closed)));
        let (lost, completion) = ticket(&gate);
        drop(lost);
        completion.complete(Ok(appended(1)));
    }

    #[test]
    fn a_task_is_woken_and_finds_its_answer() {
        let gate = Arc::new(Gate::default());
        let (mut ticket, completion) = ticket(&gate);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut ticket).poll(&mut cx).is_pending());
        complete_all([(completion, appended(5))]);
        let answered = Pin::new(&mut ticket).poll(&mut cx);
        assert!(matches!(answered, Poll::Ready(Ok(answer)) if answer == appended(5)));
    }
}
