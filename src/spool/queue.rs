//! The one queue in front of the writer.
//!
//! Bounded by bytes: when more than [`MAX_QUEUED_BYTES`] wait, an append blocks until the writer
//! has taken some. Order in the queue is the order of LSNs.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::AppendError;
use super::lock;
use super::prune::{ActiveSegment, PruneOutcome};
use super::ticket::Completion;
use super::unit::Work;
use crate::lsn::Lsn;

/// Most bytes of appends that wait before further ones block. A batch larger than this waits
/// until it is alone.
const MAX_QUEUED_BYTES: usize = 32 << 20;

/// Something for the writer to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Append a batch.
    Append {
        work: Work,
        bytes: usize,
        completion: Completion,
    },
    /// Remove whole segments.
    Prune {
        upto: Lsn,
        active: ActiveSegment,
        reply: SyncSender<Result<PruneOutcome, AppendError>>,
    },
    /// Let the manifest vouch for the head.
    PersistDurablePoint {
        at_least: Lsn,
        reply: SyncSender<Result<(), AppendError>>,
    },
    /// Adopt a term.
    SetTerm {
        term: u64,
        reply: SyncSender<Result<(), AppendError>>,
    },
    /// Move the head without a frame.
    AdvanceHead {
        to: Lsn,
        reply: SyncSender<Result<(), AppendError>>,
    },
    /// Take an upstream's identity.
    Follow {
        system_id: u64,
        timeline: u64,
        reply: SyncSender<Result<(), AppendError>>,
    },
    /// Finish and stop.
    Close {
        reply: SyncSender<Result<(), AppendError>>,
    },
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { bytes, .. } => *bytes,
            Self::Prune { .. }
            | Self::PersistDurablePoint { .. }
            | Self::SetTerm { .. }
            | Self::AdvanceHead { .. }
            | Self::Follow { .. }
            | Self::Close { .. } => 0,
        }
    }
}

/// How the writer waits for work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Come back empty-handed then.
    pub(super) deadline: Option<Instant>,
    /// How many jobs may be there soon ...
    pub(super) expected: usize,
    /// ... and how long to wait for them.
    pub(super) company: Duration,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    space: Condvar,
}

#[derive(Debug)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// The writer sleeps until so many jobs wait; `usize::MAX` while it is awake.
    wake_at: usize,
    blocked: usize,
    /// How often the writer has taken jobs: what is queued in one round is answered in one.
    round: usize,
    open: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                bytes: 0,
                wake_at: usize::MAX,
                blocked: 0,
                round: 0,
                open: true,
            }),
            arrived: Condvar::new(),
            space: Condvar::new(),
        }
    }

    /// Queues a job, blocking while the queue is full. Gives it back when the queue is closed.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut state = lock(&self.state);
        let bytes = job.bytes();
        while bytes > 0 && state.is_full_for(bytes) && state.open {
            state.blocked += 1;
            state = wait(&self.space, state);
            state.blocked -= 1;
        }
        if !state.open {
            return Err(job);
        }
        if let Job::Append { completion, .. } = &job {
            completion.enter(state.round);
        }
        state.bytes = state.bytes.saturating_add(bytes);
        state.jobs.push_back(job);
        let wake = state.jobs.len() >= state.wake_at || (bytes == 0 && state.wake_at != usize::MAX);
        if wake {
            state.wake_at = usize::MAX;
        }
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Takes jobs in order, at least one unless the deadline passes; no more than about
    /// `max_bytes` of them.
    pub(super) fn take(&self, patience: Patience, max_bytes: usize) -> Vec<Job> {
        let mut state = lock(&self.state);
        if state.jobs.len() < patience.expected && state.bytes < max_bytes {
            let deadline = Instant::now().checked_add(patience.company);
            state = self.wait_for(state, patience.expected, deadline);
        }
        state = self.wait_for(state, 1, patience.deadline);
        let taken = state.take(max_bytes);
        let wake_blocked = state.blocked > 0;
        drop(state);
        if wake_blocked {
            self.space.notify_all();
        }
        taken
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.state).jobs.len()
    }

    /// Bytes of the appends that wait.
    pub(super) fn num_bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Refuses further jobs; returns those that wait.
    pub(super) fn close(&self) -> Vec<Job> {
        let mut state = lock(&self.state);
        state.open = false;
        state.bytes = 0;
        let left = state.jobs.drain(..).collect();
        drop(state);
        self.space.notify_all();
        left
    }

    fn wait_for<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        count: usize,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let mut told = false;
        while state.jobs.len() < count && !told {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            state.wake_at = count;
            state = match left {
                Some(Duration::ZERO) => {
                    state.wake_at = usize::MAX;
                    break;
                }
                Some(left) => wait_timeout(&self.arrived, state, left),
                None => wait(&self.arrived, state),
            };
            // Whoever woke us up early (a control job) has reset it.
            told = state.wake_at == usize::MAX;
            state.wake_at = usize::MAX;
        }
        state
    }
}

impl State {
    fn is_full_for(&self, bytes: usize) -> bool {
        !self.jobs.is_empty() && self.bytes.saturating_add(bytes) > MAX_QUEUED_BYTES
    }

    fn take(&mut self, max_bytes: usize) -> Vec<Job> {
        let mut count = 0;
        let mut bytes: usize = 0;
        for job in &self.jobs {
            if count > 0 && bytes.saturating_add(job.bytes()) > max_bytes {
                break;
            }
            count += 1;
            bytes = bytes.saturating_add(job.bytes());
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.round = self.round.wrapping_add(1);
        self.jobs.drain(..count).collect()
    }
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    let waited = condvar.wait_timeout(guard, timeout);
    waited.unwrap_or_else(PoisonError::into_inner).0
}
