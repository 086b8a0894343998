//! The commit waiter: which positions enough members confirmed, and who waits for them.
//!
//! It knows acknowledgements only: a member exists from its first one to its drop. A new
//! acknowledgement looks at waiters only when it passes the lowest position waited for, and wakes
//! only those whose position is confirmed. Waiting costs no thread.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::lsn::Lsn;

use super::quorum::{self, ConfirmLevel, Member, QuorumUnmet, Requirement};
use super::waits::{WaitCell, WaitKey, WaitQueue};

/// How a wait for confirmation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Nobody has to confirm.
    NotRequired,
    /// Confirmed, by this many members (or regions).
    Reached(usize),
    /// Committed here, not confirmed there in time.
    TimedOut {
        /// Confirmations there were.
        observed: usize,
        /// Confirmations needed.
        required: usize,
    },
    /// Committed here; the quorum cannot be met by those who are connected, so nothing was
    /// waited for.
    Unmet(QuorumUnmet),
}

/// Counters of a [`CommitWaiter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitWaitMetrics {
    /// Waits that ended confirmed.
    pub reached: u64,
    /// Waits that ended unconfirmed.
    pub timed_out: u64,
    /// Waits that were none.
    pub not_required: u64,
    /// Commits whose quorum could not be met by those who were connected.
    pub unmet: u64,
    /// How long the last wait took, at least 1.
    pub last_wait_micros: u64,
}

/// Acknowledged positions, and commits waiting for them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct CommitWaiter {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    members: HashMap<String, Acked>,
    groups: Vec<Group>,
    metrics: CommitWaitMetrics,
}

#[derive(Debug)]
struct Acked {
    application_name: String,
    region: Option<String>,
    confirmed: Confirmed,
}

/// What a member acknowledged, by level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confirmed {
    /// Received.
    pub write: Lsn,
    /// Durable.
    pub flush: Lsn,
    /// Applied.
    pub apply: Lsn,
}

impl Confirmed {
    const fn at(self, level: ConfirmLevel) -> Lsn {
        match level {
            ConfirmLevel::Write => self.write,
            ConfirmLevel::Flush => self.flush,
            ConfirmLevel::Apply => self.apply,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            write: self.write.max(other.write),
            flush: self.flush.max(other.flush),
            apply: self.apply.max(other.apply),
        }
    }
}

/// Who acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledger<'a> {
    /// Its slot.
    pub id: &'a str,
    /// The application_name of its connection.
    pub application_name: &'a str,
    /// Its region, if it declared one.
    pub region: Option<&'a str>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    requirement: Requirement,
    level: ConfirmLevel,
}

/// All who wait for the same; there are as many groups as there are requirements and levels in
/// use, usually one.
#[derive(Debug)]
struct Group {
    wanted: Wanted,
    waits: WaitQueue<Fired>,
}

#[derive(Debug, Clone, Copy)]
struct Fired {
    confirmations: usize,
}

impl CommitWaiter {
    /// Nobody has acknowledged anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what `id` (in `region`) made durable, and so received and applied. Lower than before
    /// changes nothing.
    pub fn record_ack(&self, id: &str, region: Option<&str>, durable: Lsn) {
        let who = Acknowledger {
            id,
            application_name: id,
            region,
        };
        let confirmed = Confirmed {
            write: durable,
            flush: durable,
            apply: durable,
        };
        self.record(who, confirmed);
    }

    /// Takes what `who` acknowledged. Lower than before changes nothing.
    pub fn record(&self, who: Acknowledger<'_>, confirmed: Confirmed) {
        let woken = {
            let mut state = self.lock();
            let (before, moved) = state.raise(who, confirmed);
            state.release(|lowest, level| {
                moved || (before.at(level) < lowest && lowest <= confirmed.at(level))
            })
        };
        fire(woken);
    }

    /// Forgets a member. Waits may lose a confirmation and go on; those that went by priority may
    /// find the next one of the list far enough.
    pub fn drop_member(&self, id: &str) {
        let woken = {
            let mut state = self.lock();
            let known = state.members.remove(id).is_some();
            state.release(|_, _| known)
        };
        fire(woken);
    }

    /// How many wait, and the lowest position that one of them waits for.
    pub fn waiting(&self) -> (usize, Option<Lsn>) {
        let state = self.lock();
        let num_waiting = state.groups.iter().map(|group| group.waits.len()).sum();
        let lowest = state.groups.iter().filter_map(|group| group.waits.lowest());
        (num_waiting, lowest.min())
    }

    /// Members and their positions, by id.
    pub fn snapshot(&self) -> Vec<(String, Lsn)> {
        let state = self.lock();
        let all = state.members.iter();
        let mut all: Vec<_> = all.map(|(id, m)| (id.clone(), m.confirmed.flush)).collect();
        all.sort();
        all
    }

    /// The highest position that is confirmed as required.
    pub fn released_lsn(&self, requirement: &Requirement) -> Lsn {
        quorum::released_lsn(requirement, self.lock().members(ConfirmLevel::Flush))
    }

    /// The `n`-th highest position; `0/0` for none.
    pub fn watermark(&self, n: u32) -> Lsn {
        self.released_lsn(&Requirement::Count(n))
    }

    /// The confirmations `target` has.
    pub fn confirmations(&self, requirement: &Requirement, target: Lsn) -> usize {
        let state = self.lock();
        quorum::confirmations(requirement, target, state.members(ConfirmLevel::Flush))
    }

    /// Counts a commit that waits for nobody.
    pub fn note_not_required(&self) {
        self.lock().metrics.not_required += 1;
    }

    /// Counts a commit whose quorum nobody there can meet.
    pub(super) fn note_unmet(&self) {
        self.lock().metrics.unmet += 1;
    }

    /// Begins to wait until `target` is durable as required.
    pub fn wait(&self, target: Lsn, requirement: Requirement) -> CommitWait {
        self.wait_at(target, requirement, ConfirmLevel::Flush)
    }

    /// Begins to wait until `target` is confirmed as required at `level`.
    pub fn wait_at(
        &self,
        target: Lsn,
        requirement: Requirement,
        level: ConfirmLevel,
    ) -> CommitWait {
        let mut state = self.lock();
        if requirement.is_none() {
            state.metrics.not_required += 1;
            return CommitWait::over(CommitOutcome::NotRequired);
        }
        let wanted = Wanted { requirement, level };
        if state.released(&wanted) >= target {
            let reached = state.confirmations(&wanted, target);
            state.count_reached(Duration::ZERO);
            return CommitWait::over(CommitOutcome::Reached(reached));
        }
        let cell = Arc::new(WaitCell::default());
        let key = state.enter(&wanted, target, Arc::clone(&cell));
        let pending = PendingWait {
            shared: Arc::clone(&self.shared),
            cell,
            key,
            wanted,
            since: Instant::now(),
        };
        CommitWait(Wait::Pending(pending), Regions::default())
    }

    /// Blocks until `target` is durable at `required` members, at most `timeout`.
    /// Not for async tasks.
    pub fn await_acks(&self, target: Lsn, required: u32, timeout: Duration) -> CommitOutcome {
        self.wait(target, Requirement::Count(required))
            .block(Some(timeout))
    }

    /// Waits under way.
    pub fn num_waiting(&self) -> usize {
        self.lock()
            .groups
            .iter()
            .map(|group| group.waits.len())
            .sum()
    }

    /// Counters.
    pub fn metrics(&self) -> CommitWaitMetrics {
        self.lock().metrics
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn members(&self, level: ConfirmLevel) -> impl Iterator<Item = Member<'_>> {
        self.members.iter().map(move |(id, member)| Member {
            id,
            application_name: &member.application_name,
            region: member.region.as_deref(),
            confirmed_lsn: member.confirmed.at(level),
        })
    }

    fn released(&self, wanted: &Wanted) -> Lsn {
        quorum::released_lsn(&wanted.requirement, self.members(wanted.level))
    }

    fn confirmations(&self, wanted: &Wanted, target: Lsn) -> usize {
        quorum::confirmations(&wanted.requirement, target, self.members(wanted.level))
    }

    /// Which of the wanted regions confirmed `target`, and which did not.
    fn regions(&self, wanted: &Wanted, target: Lsn) -> Regions {
        match &wanted.requirement {
            Requirement::Count(_) | Requirement::Standbys { .. } => Regions::default(),
            Requirement::Regions(regions) => {
                let acked = quorum::acked_regions(regions, target, self.members(wanted.level));
                let missing = regions.difference(&acked).cloned().collect();
                Regions {
                    acked: acked.into_iter().collect(),
                    missing,
                }
            }
        }
    }

    /// Raises a member; returns its positions before, and whether it changed its name or region.
    fn raise(&mut self, who: Acknowledger<'_>, confirmed: Confirmed) -> (Confirmed, bool) {
        if let Some(member) = self.members.get_mut(who.id) {
            let before = member.confirmed;
            member.confirmed = before.max(confirmed);
            let moved = member.region.as_deref() != who.region
                || member.application_name != who.application_name;
            if moved {
                member.region = who.region.map(str::to_owned);
                who.application_name
                    .clone_into(&mut member.application_name);
            }
            return (before, moved);
        }
        let member = Acked {
            application_name: who.application_name.to_owned(),
            region: who.region.map(str::to_owned),
            confirmed,
        };
        self.members.insert(who.id.to_owned(), member);
        (Confirmed::default(), false)
    }

    /// Takes out all whose position is confirmed now, in groups where that can have changed:
    /// where `passed` says so of the lowest position waited for. To be fired without the lock.
    fn release(&mut self, passed: impl Fn(Lsn, ConfirmLevel) -> bool) -> Vec<Woken> {
        let mut groups = std::mem::take(&mut self.groups);
        let mut woken = Vec::new();
        for group in &mut groups {
            let level = group.wanted.level;
            if !group
                .waits
                .lowest()
                .is_some_and(|lowest| passed(lowest, level))
            {
                continue;
            }
            let released = self.released(&group.wanted);
            let confirmations = self.confirmations(&group.wanted, released);
            let cells = group.waits.take_through(released).into_iter();
            woken.extend(cells.map(|cell| (cell, Fired { confirmations })));
        }
        groups.retain(|group| !group.waits.is_empty());
        self.groups = groups;
        woken
    }

    fn enter(&mut self, wanted: &Wanted, target: Lsn, cell: Arc<WaitCell<Fired>>) -> WaitKey {
        let found = self.groups.iter_mut().find(|g| g.wanted == *wanted);
        if let Some(group) = found {
            return group.waits.insert(target, cell);
        }
        let mut waits = WaitQueue::default();
        let key = waits.insert(target, cell);
        self.groups.push(Group {
            wanted: wanted.clone(),
            waits,
        });
        key
    }

    /// Takes a waiter out, if it is still in.
    fn leave(&mut self, wanted: &Wanted, key: WaitKey) {
        self.groups.retain_mut(|group| {
            if group.wanted == *wanted {
                group.waits.remove(key);
            }
            !group.waits.is_empty()
        });
    }

    fn count_reached(&mut self, waited: Duration) {
        self.metrics.reached += 1;
        self.metrics.last_wait_micros = micros(waited);
    }
}

/// A waiter to wake, and what with.
type Woken = (Arc<WaitCell<Fired>>, Fired);

fn fire(woken: Vec<Woken>) {
    for (cell, fired) in woken {
        cell.fire(fired);
    }
}

fn micros(waited: Duration) -> u64 {
    u64::try_from(waited.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// A commit waiting for its confirmation: a future, or something to block on. Dropping it ends
/// the wait without a trace; [`CommitWait::time_out`] ends it with an outcome.
#[derive(Debug)]
#[must_use = "a wait that is dropped has no outcome"]
pub struct CommitWait(Wait, Regions);

/// The regions that a wait was for, when it timed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regions {
    /// Those that confirmed, by name.
    pub acked: Vec<String>,
    /// The others.
    pub missing: Vec<String>,
}

#[derive(Debug)]
enum Wait {
    Over(CommitOutcome),
    Pending(PendingWait),
}

#[derive(Debug)]
struct PendingWait {
    shared: Arc<Mutex<State>>,
    cell: Arc<WaitCell<Fired>>,
    key: WaitKey,
    wanted: Wanted,
    /// For the metric only; nothing is decided by it.
    since: Instant,
}

impl CommitWait {
    /// A wait that is over before it begins.
    pub(super) fn over(outcome: CommitOutcome) -> Self {
        Self(Wait::Over(outcome), Regions::default())
    }

    /// Blocks until the end, at most `timeout` (`None`: for ever). Not for async tasks.
    pub fn block(mut self, timeout: Option<Duration>) -> CommitOutcome {
        if let Wait::Pending(pending) = &self.0 {
            pending.cell.block(timeout);
        }
        self.time_out()
    }

    /// Ends the wait now. When the confirmation came first, it stands.
    pub fn time_out(&mut self) -> CommitOutcome {
        let outcome = match &self.0 {
            Wait::Over(outcome) => outcome.clone(),
            Wait::Pending(pending) => {
                let (outcome, regions) = pending.end();
                self.1 = regions;
                outcome
            }
        };
        self.0 = Wait::Over(outcome.clone());
        outcome
    }

    /// The regions it was for, once it timed out: by what was required when it began, at its
    /// level. None otherwise.
    pub const fn regions(&self) -> &Regions {
        &self.1
    }
}

impl PendingWait {
    fn end(&self) -> (CommitOutcome, Regions) {
        let mut state = lock(&self.shared);
        let waited = self.since.elapsed();
        state.leave(&self.wanted, self.key);
        if let Some(fired) = self.cell.fired() {
            state.count_reached(waited);
            let outcome = CommitOutcome::Reached(fired.confirmations);
            return (outcome, Regions::default());
        }
        let (target, _) = self.key;
        let observed = state.confirmations(&self.wanted, target);
        if state.released(&self.wanted) >= target {
            // Confirmed, and about to be woken.
            state.count_reached(waited);
            return (CommitOutcome::Reached(observed), Regions::default());
        }
        state.metrics.timed_out += 1;
        state.metrics.last_wait_micros = micros(waited);
        let outcome = CommitOutcome::TimedOut {
            observed,
            required: self.wanted.requirement.required(),
        };
        (outcome, state.regions(&self.wanted, target))
    }
}

impl Drop for PendingWait {
    fn drop(&mut self) {
        lock(&self.shared).leave(&self.wanted, self.key);
    }
}

impl Future for CommitWait {
    type Output = CommitOutcome;

    /// Cancel-safe: a dropped wait leaves nothing behind.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CommitOutcome> {
        let ready = match &self.0 {
            Wait::Over(_) => true,
            Wait::Pending(pending) => pending.cell.poll(context).is_ready(),
        };
        if ready {
            Poll::Ready(self.time_out())
        } else {
            Poll::Pending
        }
    }
}
