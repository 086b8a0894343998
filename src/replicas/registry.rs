//! Who is connected and how far each is.
//!
//! Facts only, in the order in which replicas registered, found by id without a search. What
//! counts for a commit is decided in `quorum`. The topology epoch rises whenever somebody comes,
//! goes, or begins or ends a re-bootstrap.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::clock::Moment;
use crate::lsn::Lsn;

/// One replica, as a plain copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSnapshot {
    /// Id.
    pub id: String,
    /// Declared region.
    pub region: Option<String>,
    /// Highest position sent to it.
    pub sent_lsn: Lsn,
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
    by_seq: BTreeMap<u64, ReplicaSnapshot>,
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
        if let Some(known) = self.find_mut(id) {
            known.seen(now);
            if let Some(region) = region {
                known.region = Some(region.to_owned());
            }
            return known.durable_lsn.max(restart);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.seq_by_id.insert(id.to_owned(), seq);
        self.by_seq.insert(
            seq,
            ReplicaSnapshot {
                id: id.to_owned(),
                region: region.map(str::to_owned),
                sent_lsn: restart,
                applied_lsn: restart,
                durable_lsn: restart,
                acknowledged: false,
                rebootstrapping: false,
                connected_at_unix_ms: now.unix_ms,
                last_seen: now,
            },
        );
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
        let Some(replica) = self.find_mut(id) else {
            return false;
        };
        let changed = replica.rebootstrapping != rebootstrapping;
        replica.rebootstrapping = rebootstrapping;
        if changed {
            self.bump();
        }
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
        let replica = self
            .find_mut(id)
            .ok_or_else(|| UnknownReplica(id.to_owned()))?;
        replica.applied_lsn = replica.applied_lsn.max(applied);
        replica.durable_lsn = replica.durable_lsn.max(durable);
        replica.acknowledged = true;
        replica.seen(now);
        Ok(replica)
    }

    /// Notes what was sent; an unknown replica is left alone.
    pub fn note_sent(&mut self, id: &str, sent: Lsn, now: Moment) {
        if let Some(replica) = self.find_mut(id) {
            replica.sent_lsn = replica.sent_lsn.max(sent);
            replica.seen(now);
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
        self.by_seq.get(self.seq_by_id.get(id)?)
    }

    /// All, in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = &ReplicaSnapshot> {
        self.by_seq.values()
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut ReplicaSnapshot> {
        self.by_seq.get_mut(self.seq_by_id.get(id)?)
    }

    fn bump(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }
}
