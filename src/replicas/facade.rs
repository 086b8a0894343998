//! One database's replicas behind one door: registry, waiter and flow control kept in step.
//!
//! The registry's lock is held while the waiter is told, so a replica that leaves can never be
//! counted again by an acknowledgement that was under way.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::lsn::Lsn;

use super::flow::{FlowControl, Throttled};
use super::policy::{CommitPolicy, CommitSettings, CommitSettingsError};
use super::quorum::{self, ConfirmLevel, QuorumUnmet, Requirement};
use super::registry::{
    Registry, ReplicaSnapshot, ReplicaState, ReplicationProgress, UnknownReplica,
};
use super::waiter::{
    Acknowledger, CommitOutcome, CommitWait, CommitWaitMetrics, CommitWaiter, Confirmed, Regions,
};

/// Committed here, not confirmed there: the transaction stays, and nobody vouches for it yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "transaction {target_lsn} is committed here but was not confirmed within {elapsed_ms} ms: \
     {observed} of {required} confirmations"
)]
pub struct QuorumTimeout {
    /// The transaction's end.
    pub target_lsn: Lsn,
    /// How long was waited.
    pub elapsed_ms: u64,
    /// Confirmations there were.
    pub observed: usize,
    /// Confirmations needed.
    pub required: usize,
    /// The regions that confirmed and those that did not, under a quorum over regions.
    pub regions: Regions,
}

impl QuorumTimeout {
    /// Of a wait for `target_lsn` that ended with `observed` of `required` after `elapsed`.
    pub fn new(
        target_lsn: Lsn,
        (observed, required): (usize, usize),
        elapsed: Duration,
        regions: Regions,
    ) -> Self {
        Self {
            target_lsn,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            observed,
            required,
            regions,
        }
    }
}

/// The replicas of one database. Shared by reference; cheap to call.
#[derive(Debug)]
pub struct Replicas {
    inner: Mutex<Inner>,
    waiter: CommitWaiter,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    settings: CommitSettings,
    flow: FlowControl,
    /// The head last seen, for looking again without a publish.
    head: Lsn,
}

impl Replicas {
    /// No replicas yet, commits released locally. `generation` rises with every start.
    pub fn new(generation: u64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                registry: Registry::new(generation),
                settings: CommitSettings::default(),
                flow: FlowControl::default(),
                head: Lsn::ZERO,
            }),
            waiter: CommitWaiter::new(),
        }
    }

    /// Sets policy, quorum and flow control. Waits under way keep what they began with.
    pub fn configure(&self, settings: CommitSettings) -> Result<(), CommitSettingsError> {
        settings.check()?;
        let mut inner = self.lock();
        inner.flow.set_soft_target(settings.soft_target_lsn);
        inner.settings = settings;
        Ok(())
    }

    /// The settings in force.
    pub fn settings(&self) -> CommitSettings {
        self.lock().settings.clone()
    }

    /// Registers a replica whose slot stands at `restart`; returns where it resumes.
    pub fn register(&self, id: &str, region: Option<&str>, restart: Lsn, now: Moment) -> Lsn {
        self.lock().registry.register(id, region, restart, now)
    }

    /// Registers a replica unless it is known; true when it was not.
    pub fn ensure_registered(
        &self,
        id: &str,
        region: Option<&str>,
        restart: Lsn,
        now: Moment,
    ) -> bool {
        self.lock()
            .registry
            .ensure_registered(id, region, restart, now)
    }

    /// Forgets a replica whose connection ended: it holds back and confirms nothing any more.
    pub fn unregister(&self, id: &str) -> bool {
        let mut inner = self.lock();
        let known = inner.registry.unregister(id);
        self.waiter.drop_member(id);
        inner.observe_if_throttled();
        known
    }

    /// Forgets all that were silent for longer than `timeout`; returns their ids.
    pub fn expire(&self, now: Moment, timeout: Duration) -> Vec<String> {
        let mut inner = self.lock();
        let silent = inner.registry.expire(now, timeout);
        silent.iter().for_each(|id| self.waiter.drop_member(id));
        inner.observe_if_throttled();
        silent
    }

    /// Takes an acknowledgement, already clamped to what was sent, and wakes the commits it
    /// confirms. Nothing moves back.
    pub fn acknowledge(
        &self,
        id: &str,
        applied: Lsn,
        durable: Lsn,
        now: Moment,
    ) -> Result<(), UnknownReplica> {
        let confirmed = Confirmed {
            write: applied.max(durable),
            flush: durable,
            apply: applied,
        };
        self.acknowledge_each(id, confirmed, now)
    }

    /// The same with what was received told apart.
    pub fn acknowledge_each(
        &self,
        id: &str,
        confirmed: Confirmed,
        now: Moment,
    ) -> Result<(), UnknownReplica> {
        let Confirmed {
            write,
            flush,
            apply,
        } = confirmed;
        let mut inner = self.lock();
        inner.registry.note_written(id, write);
        let replica = inner.registry.ack(id, apply, flush, now)?;
        let who = Acknowledger {
            id,
            application_name: &replica.application_name,
            region: replica.region.as_deref(),
        };
        // Its own word only: the registry's positions may still be its slot's.
        self.waiter.record(who, confirmed);
        inner.observe_if_throttled();
        Ok(())
    }

    /// What of an acknowledgement (applied, durable) may count: at most what was sent to the
    /// replica. For callers that did not clamp it themselves.
    pub fn clamp_to_sent(
        &self,
        id: &str,
        applied: Lsn,
        durable: Lsn,
    ) -> Result<(Lsn, Lsn), UnknownReplica> {
        let inner = self.lock();
        let replica = inner.registry.find(id);
        let sent = replica
            .ok_or_else(|| UnknownReplica(id.to_owned()))?
            .sent_lsn;
        Ok((applied.min(sent), durable.min(sent)))
    }

    /// Notes what was sent.
    pub fn note_sent(&self, id: &str, sent: Lsn, now: Moment) {
        self.lock().registry.note_sent(id, sent, now);
    }

    /// Notes whose stream a replica's is.
    pub fn note_session(&self, id: &str, pid: u32, application_name: &str) {
        let mut inner = self.lock();
        inner.registry.note_session(id, pid, application_name);
    }

    /// Notes what a replica's stream is doing.
    pub fn note_state(&self, id: &str, state: ReplicaState) {
        self.lock().registry.note_state(id, state);
    }

    /// Notes what a replica wrote without having it durable; for its lag.
    pub fn note_written(&self, id: &str, written: Lsn) {
        self.lock().registry.note_written(id, written);
    }

    /// Takes a replica's counts of what went wrong there; false when it is not known.
    pub fn report(&self, id: &str, apply_errors: u64, divergences: u64, now: Moment) -> bool {
        let mut inner = self.lock();
        inner.registry.report(id, apply_errors, divergences, now)
    }

    /// Notes that a replica begins or ends building its data anew; false when it is not known.
    pub fn set_rebootstrapping(&self, id: &str, rebootstrapping: bool) -> bool {
        self.lock()
            .registry
            .set_rebootstrapping(id, rebootstrapping)
    }

    /// All replicas, in the order of their registration.
    pub fn snapshot(&self) -> Vec<ReplicaSnapshot> {
        self.lock().registry.iter().cloned().collect()
    }

    /// Rises with every change of the topology, over restarts too.
    pub fn epoch(&self) -> u64 {
        self.lock().registry.epoch()
    }

    /// How far all are together; `None` without replicas.
    pub fn progress(&self) -> Option<ReplicationProgress> {
        self.lock().registry.progress()
    }

    /// Whether a publish on top of `head` may go on.
    pub fn admit(&self, head: Lsn) -> Result<(), Throttled> {
        let mut inner = self.lock();
        if inner.flow.soft_target() == 0 {
            return Ok(());
        }
        inner.observe(head);
        inner.flow.try_admit()
    }

    /// Looks at lags again; for the timer. Returns the state of flow control.
    pub fn observe(&self, head: Lsn) -> FlowControl {
        let mut inner = self.lock();
        inner.observe(head);
        inner.flow
    }

    /// Whether the settings can be met by those who are connected.
    pub fn check_members(&self) -> Result<(), QuorumUnmet> {
        self.lock().check_members()
    }

    /// The highest position confirmed as the settings require; `0/0` when they require nothing.
    pub fn released_lsn(&self) -> Lsn {
        let requirement = Requirement::of(&self.lock().settings);
        self.waiter.released_lsn(&requirement)
    }

    /// Whether `target` is confirmed as the settings require.
    pub fn is_released(&self, target: Lsn) -> bool {
        let requirement = Requirement::of(&self.lock().settings);
        requirement.is_none() || self.waiter.released_lsn(&requirement) >= target
    }

    /// Begins to wait until the transaction that ends at `target` (the writer's own, not the
    /// head) is confirmed as the settings require. A future; on a timeout of the caller's,
    /// [`CommitWait::time_out`] says how far it came.
    pub fn wait_released(&self, target: Lsn) -> CommitWait {
        self.wait_released_at(target, ConfirmLevel::Flush)
    }

    /// The same at a level of the session's choice.
    pub fn wait_released_at(&self, target: Lsn, level: ConfirmLevel) -> CommitWait {
        let requirement = {
            let inner = self.lock();
            if let Err(unmet) = inner.check_members() {
                self.waiter.note_unmet();
                return CommitWait::over(CommitOutcome::Unmet(unmet));
            }
            Requirement::of(&inner.settings)
        };
        self.waiter.wait_at(target, requirement, level)
    }

    /// The same, blocking for at most `timeout`. Not for async tasks.
    pub fn wait_released_blocking(&self, target: Lsn, timeout: Duration) -> CommitOutcome {
        self.wait_released(target).block(Some(timeout))
    }

    /// How many commits wait, and the lowest position that one of them waits for.
    pub fn waiting(&self) -> (usize, Option<Lsn>) {
        self.waiter.waiting()
    }

    /// Flow control as it was last observed.
    pub fn flow(&self) -> FlowControl {
        self.lock().flow
    }

    /// Counts a commit that waits for nobody.
    pub fn note_not_required(&self) {
        self.waiter.note_not_required();
    }

    /// Counters of commit waits.
    pub fn wait_metrics(&self) -> CommitWaitMetrics {
        self.waiter.metrics()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check_members(&self) -> Result<(), QuorumUnmet> {
        match self.settings.policy {
            CommitPolicy::Quorum => {
                let registered = self.registry.iter();
                quorum::check_members(
                    &self.settings.quorum,
                    registered.map(|replica| replica.region.as_deref()),
                )
            }
            CommitPolicy::Local | CommitPolicy::RemoteWal | CommitPolicy::AckN(_) => Ok(()),
        }
    }

    fn observe(&mut self, head: Lsn) {
        self.head = self.head.max(head);
        let mode = self.settings.flow_mode();
        let replicas = self.registry.iter();
        let watched = replicas.filter(|r| quorum::in_quorum(&mode, r.region.as_deref()));
        self.flow.observe(self.head, watched.map(|r| r.applied_lsn));
    }

    /// An acknowledgement or a departure can only end a throttle, never begin one.
    fn observe_if_throttled(&mut self) {
        if self.flow.is_throttled() {
            self.observe(self.head);
        }
    }
}
