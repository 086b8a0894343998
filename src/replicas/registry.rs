//! Who is connected and how far each is.
//!
//! Facts only, in the order in which replicas registered, found by id without a search. What
//! counts for a commit is decided in `quorum`. The topology epoch rises whenever somebody comes,
//! goes, or begins or ends a re-bootstrap.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::clock::Moment;
use crate::lsn::Lsn;

use super::lag::{LagTracker, Lags};

/// What a stream is doing (`pg_stat_replication.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplicaState {
    /// It was accepted and has sent nothing yet.
    #[default]
    Startup,
    /// It sends what was there before.
    Catchup,
    /// It has reached the head and follows it.
    Streaming,
    /// It ends.
    Stopping,
}

impl ReplicaState {
    /// PostgreSQL's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Catchup => "catchup",
            Self::Streaming => "streaming",
            Self::Stopping => "stopping",
        }
    }
}

/// One replica, as a plain copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSnapshot {
    /// Id.
    pub id: String,
    /// Declared region.
    pub region: Option<String>,
    /// Process id of the session that streams to it; 0 for none.
    pub pid: u32,
    /// Its application_name.
    pub application_name: String,
    /// What its stream is doing.
    pub state: ReplicaState,
    /// Highest position sent to it.
    pub sent_lsn: Lsn,
    /// Highest position it wrote (at most what was sent).
    pub written_lsn: Lsn,
    /// Highest position it applied.
    pub applied_lsn: Lsn,
    /// Highest position durable at it.
    pub durable_lsn: Lsn,
    /// It acknowledged something since it registered; before, its positions are its slot's.
    pub acknowledged: bool,
    /// It is building its data anew.
    pub rebootstrapping: bool,
    /// When it registered, unix milliseconds.
    pub connected_at_unix_ms: u64,
    /// When it was heard of last.
    pub last_seen: Moment,
    /// When it acknowledged last, unix milliseconds.
    pub reply_unix_ms: Option<u64>,
    /// How far its reports are behind what was sent.
    pub lags: Lags,
    /// Records that it could not apply, as it reported.
    pub apply_errors: u64,
    /// Rows that it found to differ, as it reported.
    pub divergences: u64,
}

impl ReplicaSnapshot {
    fn seen(&mut self, now: Moment) {
        if now.steady >= self.last_seen.steady {
            self.last_seen = now;
        }
    }
}

/// Not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("replica \"{0}\" is not registered")]
pub struct UnknownReplica(pub String);

/// How far all replicas are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationProgress {
    /// Highest position sent to any, less the lowest applied by any.
    pub lag: u64,
    /// Lowest durable position.
    pub safe_replay_lsn: Lsn,
}

/// The replicas of one database.
#[derive(Debug, Default)]
pub struct Registry {
    epoch: u64,
    next_seq: u64,
    seq_by_id: HashMap<String, u64>,
    by_seq: BTreeMap<u64, Replica>,
}

#[derive(Debug)]
struct Replica {
    shown: ReplicaSnapshot,
    tracker: LagTracker,
}

impl Registry {
    /// No replicas. Epochs of a later `generation` are higher than all of an earlier one.
    pub fn new(generation: u64) -> Self {
        Self {
            epoch: generation.wrapping_shl(32),
            ..Self::default()
        }
    }

    /// Registers a replica whose slot stands at `restart`; returns where it resumes. A known one
    /// keeps its positions, and its region unless another is given.
    pub fn register(&mut self, id: &str, region: Option<&str>, restart: Lsn, now: Moment) -> Lsn {
        if let Some(Replica { shown: known, .. }) = self.find_mut(id) {
            known.seen(now);
            if let Some(region) = region {
                known.region = Some(region.to_owned());
            }
            return known.durable_lsn.max(restart);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.seq_by_id.insert(id.to_owned(), seq);
        let shown = ReplicaSnapshot {
            id: id.to_owned(),
            region: region.map(str::to_owned),
            pid: 0,
            application_name: String::new(),
            state: ReplicaState::Startup,
            sent_lsn: restart,
            written_lsn: restart,
            applied_lsn: restart,
            durable_lsn: restart,
            acknowledged: false,
            rebootstrapping: false,
            connected_at_unix_ms: now.unix_ms,
            last_seen: now,
            reply_unix_ms: None,
            lags: Lags::default(),
            apply_errors: 0,
            divergences: 0,
        };
        let tracker = LagTracker::default();
        self.by_seq.insert(seq, Replica { shown, tracker });
        self.bump();
        restart
    }

    /// Registers a replica unless it is known; true when it was not.
    pub fn ensure_registered(
        &mut self,
        id: &str,
        region: Option<&str>,
        restart: Lsn,
        now: Moment,
    ) -> bool {
        let unknown = self.find(id).is_none();
        if unknown {
            self.register(id, region, restart, now);
        }
        unknown
    }

    /// Forgets a replica; false when it was not known.
    pub fn unregister(&mut self, id: &str) -> bool {
        let seq = self.seq_by_id.remove(id);
        let known = seq.and_then(|seq| self.by_seq.remove(&seq)).is_some();
        if known {
            self.bump();
        }
        known
    }

    /// Forgets all that were not heard of for longer than `timeout`; returns their ids.
    pub fn expire(&mut self, now: Moment, timeout: Duration) -> Vec<String> {
        let silent = self.iter().filter(|r| now.since(r.last_seen) > timeout);
        let silent: Vec<_> = silent.map(|replica| replica.id.clone()).collect();
        for id in &silent {
            self.unregister(id);
        }
        silent
    }

    /// Notes that a replica begins or ends building its data anew; false when it is not known.
    pub fn set_rebootstrapping(&mut self, id: &str, rebootstrapping: bool) -> bool {
        let Some(Replica { shown: replica, .. }) = self.find_mut(id) else {
            return false;
        };
        let changed = replica.rebootstrapping != rebootstrapping;
        replica.rebootstrapping = rebootstrapping;
        if changed {
            self.bump();
        }
        true
    }

    /// Notes whose stream it is; an unknown replica is left alone.
    pub fn note_session(&mut self, id: &str, pid: u32, application_name: &str) {
        if let Some(Replica { shown, .. }) = self.find_mut(id) {
            shown.pid = pid;
            application_name.clone_into(&mut shown.application_name);
        }
    }

    /// Notes what its stream is doing; an unknown replica is left alone.
    pub fn note_state(&mut self, id: &str, state: ReplicaState) {
        if let Some(Replica { shown, .. }) = self.find_mut(id) {
            shown.state = state;
        }
    }

    /// Notes what it wrote without having it durable, clamped to what was sent; measured with the
    /// acknowledgement that follows. An unknown replica is left alone.
    pub fn note_written(&mut self, id: &str, written: Lsn) {
        if let Some(Replica { shown, .. }) = self.find_mut(id) {
            shown.written_lsn = shown.written_lsn.max(written.min(shown.sent_lsn));
        }
    }

    /// Takes a replica's counts of what went wrong there, which never fall; false when it is not
    /// known.
    pub fn report(&mut self, id: &str, apply_errors: u64, divergences: u64, now: Moment) -> bool {
        let Some(Replica { shown, .. }) = self.find_mut(id) else {
            return false;
        };
        shown.apply_errors = shown.apply_errors.max(apply_errors);
        shown.divergences = shown.divergences.max(divergences);
        shown.seen(now);
        true
    }

    /// Takes an acknowledgement, already clamped to what was sent. Nothing moves back.
    pub fn ack(
        &mut self,
        id: &str,
        applied: Lsn,
        durable: Lsn,
        now: Moment,
    ) -> Result<&ReplicaSnapshot, UnknownReplica> {
        let Replica {
            shown: replica,
            tracker,
        } = self
            .find_mut(id)
            .ok_or_else(|| UnknownReplica(id.to_owned()))?;
        replica.applied_lsn = replica.applied_lsn.max(applied);
        replica.durable_lsn = replica.durable_lsn.max(durable);
        replica.written_lsn = replica.written_lsn.max(durable);
        replica.acknowledged = true;
        replica.reply_unix_ms = Some(now.unix_ms);
        replica.seen(now);
        let reported = (
            replica.written_lsn,
            replica.durable_lsn,
            replica.applied_lsn,
        );
        replica.lags = tracker.reported(reported, replica.sent_lsn, now.steady, replica.lags);
        Ok(replica)
    }

    /// Notes what was sent; an unknown replica is left alone.
    pub fn note_sent(&mut self, id: &str, sent: Lsn, now: Moment) {
        if let Some(Replica { shown, tracker }) = self.find_mut(id) {
            if sent > shown.sent_lsn {
                shown.sent_lsn = sent;
                tracker.sent(sent, now.steady);
            }
            shown.seen(now);
        }
    }

    /// How far all are together; `None` without replicas.
    pub fn progress(&self) -> Option<ReplicationProgress> {
        let sent = self.iter().map(|r| r.sent_lsn).max()?;
        let applied = self.iter().map(|r| r.applied_lsn).min()?;
        let safe_replay_lsn = self.iter().map(|r| r.durable_lsn).min()?;
        Some(ReplicationProgress {
            lag: sent.distance_from(applied),
            safe_replay_lsn,
        })
    }

    /// Rises with every change of the topology.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// One replica.
    pub fn find(&self, id: &str) -> Option<&ReplicaSnapshot> {
        let replica = self.by_seq.get(self.seq_by_id.get(id)?)?;
        Some(&replica.shown)
    }

    /// All, in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = &ReplicaSnapshot> {
        self.by_seq.values().map(|replica| &replica.shown)
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut Replica> {
        self.by_seq.get_mut(self.seq_by_id.get(id)?)
    }

    fn bump(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }
}
