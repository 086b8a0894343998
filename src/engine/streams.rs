//! A running stream's hold on the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Engine, MaintainError, SubscribeError};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::replicas::{Confirmed, ReplicaState, Replicas};
use crate::resume::{ResumePlan, ResumeRequest, plan_resume, start_at_most_head};
use crate::slots::{
    InvalidationCause, SlotGuard, SlotName, SlotSnapshot, SlotStore, SlotUser, UnknownSlot,
};
use crate::spool::{Cursor, HeadWait, ReadError, Spool};
use crate::wire::Progress;

/// Who subscribes.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// The session, and the role that it must be allowed to.
    pub user: SlotUser,
    /// application_name, or the slot's name when empty.
    pub application_name: String,
    /// Declared region, if any.
    pub region: Option<String>,
}

/// A running stream's hold on the engine: slot, cursor, registry entry. Dropping it frees the
/// slot at once.
#[derive(Debug)]
pub struct Subscription {
    /// Reads the frames after [`Subscription::start`].
    pub cursor: Cursor,
    start: Lsn,
    /// The most that can be acknowledged.
    sent: AtomicU64,
    slot: SlotSnapshot,
    spool: Spool,
    slots: SlotStore,
    replicas: Arc<Replicas>,
    _guard: SlotGuard,
}

/// A slot held to be read by hand (`pg_logical_slot_get_changes`): nobody else can use it until
/// this is dropped. It is no replica: it confirms nothing for others' commits.
#[derive(Debug)]
pub struct SlotReader {
    slot: SlotSnapshot,
    slots: SlotStore,
    _guard: SlotGuard,
}

impl SlotReader {
    /// The slot as it was when it was taken.
    pub const fn slot(&self) -> &SlotSnapshot {
        &self.slot
    }
}

/// A slot that was taken, and where it is read from.
struct Taken {
    guard: SlotGuard,
    slot: SlotSnapshot,
    start: Lsn,
    cursor: Cursor,
    plan: ResumePlan,
}

impl Engine {
    /// Starts a stream on a slot: after `from` where that lies above the slot's position, else
    /// after the slot's position (a start never rewinds). Blocking.
    pub fn subscribe(
        &self,
        name: &SlotName,
        from: Lsn,
        who: &Subscriber,
        now: Moment,
    ) -> Result<Subscription, SubscribeError> {
        let taken = self.take_slot(name, from, who.user, now)?;
        self.resumes.count(&taken.plan);
        self.slots.count_resync(name, false);
        let restart_lsn = taken.slot.restart_lsn;
        self.replicas
            .register(name.as_str(), who.region.as_deref(), restart_lsn, now);
        self.replicas
            .note_session(name.as_str(), who.user.pid, &who.application_name);
        Ok(Subscription {
            cursor: taken.cursor,
            start: taken.start,
            sent: AtomicU64::new(taken.start.get()),
            slot: taken.slot,
            spool: self.spool.clone(),
            slots: self.slots.clone(),
            replicas: Arc::clone(&self.replicas),
            _guard: taken.guard,
        })
    }

    /// Takes a slot to read what it has not confirmed yet. Blocking.
    pub fn read_slot(
        &self,
        name: &SlotName,
        user: impl Into<SlotUser>,
        now: Moment,
    ) -> Result<(SlotReader, Cursor), SubscribeError> {
        let taken = self.take_slot(name, Lsn::ZERO, user.into(), now)?;
        let reader = SlotReader {
            slot: taken.slot,
            slots: self.slots.clone(),
            _guard: taken.guard,
        };
        Ok((reader, taken.cursor))
    }

    /// Confirms everything up to `upto` (at most the head) for a slot that was read by hand,
    /// durably before it returns. Blocking.
    pub fn confirm_read(
        &self,
        reader: &SlotReader,
        upto: Lsn,
        now: Moment,
    ) -> Result<(), MaintainError> {
        let upto = upto.min(self.head());
        if reader
            .slots
            .advance(&reader.slot.name, upto, upto, now)
            .is_err()
        {
            // It went while it was read: there is nothing left to confirm.
            return Ok(());
        }
        self.persist_slots()
    }

    fn take_slot(
        &self,
        name: &SlotName,
        from: Lsn,
        user: SlotUser,
        now: Moment,
    ) -> Result<Taken, SubscribeError> {
        let guard = self.slots.acquire(name, user, now)?;
        let slot = self.slots.slot(name).ok_or_else(|| unknown(name))?;
        let removed_through = self.spool.removed_through();
        let plan = plan_resume(ResumeRequest {
            slot: Some(&slot),
            since: from,
            removed_through,
        });
        let (start, cursor) = match plan {
            ResumePlan::PartialResync { resume_lsn } => {
                let start = match (start_at_most_head(resume_lsn, self.head()), &self.capture) {
                    (Ok(start), _) => start,
                    // What ends above it is awaited: its client may have read on at the upstream.
                    (Err(ahead), Some(_)) => ahead.start,
                    (Err(ahead), None) => return Err(ahead.into()),
                };
                match self.spool.cursor(start) {
                    Ok(cursor) => (start, cursor),
                    // A prune ran since the plan was made: plan again with what is there now.
                    Err(ReadError::Removed {
                        removed_through, ..
                    }) => {
                        let cause = InvalidationCause::WalRemoved;
                        return Err(self.must_rebootstrap(&slot, cause, removed_through, now)?);
                    }
                    Err(error @ (ReadError::Corrupt { .. } | ReadError::Io { .. })) => {
                        return Err(error.into());
                    }
                }
            }
            ResumePlan::FullRebootstrap {
                cause,
                removed_through,
                ..
            } => {
                return Err(self.must_rebootstrap(&slot, cause, removed_through, now)?);
            }
        };
        Ok(Taken {
            guard,
            slot,
            start,
            cursor,
            plan,
        })
    }

    /// Records why the slot can no longer be served, durably, and says so.
    fn must_rebootstrap(
        &self,
        slot: &SlotSnapshot,
        cause: InvalidationCause,
        removed_through: Lsn,
        now: Moment,
    ) -> Result<SubscribeError, SubscribeError> {
        self.slots.invalidate(&slot.name, cause, now)?;
        self.slots.count_resync(&slot.name, true);
        self.resumes.count(&ResumePlan::FullRebootstrap {
            cause,
            floor: slot.restart_lsn,
            removed_through,
            invalidate_slot: true,
        });
        Ok(SubscribeError::Invalidated {
            name: slot.name.clone(),
            cause,
            removed_through,
            restart_lsn: slot.restart_lsn,
        })
    }
}

fn unknown(name: &SlotName) -> SubscribeError {
    crate::slots::AcquireError::Unknown(name.clone()).into()
}

impl Subscription {
    /// Where the stream starts: frames above it follow.
    pub const fn start(&self) -> Lsn {
        self.start
    }

    /// The slot as it was at the start.
    pub const fn slot(&self) -> &SlotSnapshot {
        &self.slot
    }

    /// Takes a client's progress, clamped to what [`Subscription::note_sent`] was told: slot,
    /// registry, commit waiters. Memory only; on disk within [`Engine::MAINTAIN_EVERY`].
    pub fn acknowledge(&self, progress: Progress, now: Moment) -> Result<(), UnknownSlot> {
        // A stream of a captured database may begin above the head: a slot never stands there.
        let sent = Lsn::new(self.sent.load(Ordering::Acquire)).min(self.spool.head());
        let flush = progress.flush.min(sent);
        let apply = progress.apply.min(sent);
        let applied = apply.max(progress.write.min(sent));
        self.slots.advance(&self.slot.name, applied, flush, now)?;
        let id = self.slot.name.as_str();
        let confirmed = Confirmed {
            write: progress.write.min(sent),
            flush,
            apply,
        };
        let known = self.replicas.acknowledge_each(id, confirmed, now);
        if known.is_err() {
            tracing::debug!(
                slot = id,
                "acknowledgement of a replica that has left the registry"
            );
        }
        Ok(())
    }

    /// Notes that everything up to `sent` was sent: for the registry, and as the most that can be
    /// acknowledged.
    pub fn note_sent(&self, sent: Lsn, now: Moment) {
        self.sent.fetch_max(sent.get(), Ordering::AcqRel);
        self.slots.touch(&self.slot.name, now);
        self.replicas.note_sent(self.slot.name.as_str(), sent, now);
    }

    /// Notes what the stream is doing, for the views.
    pub fn note_state(&self, state: ReplicaState) {
        self.replicas.note_state(self.slot.name.as_str(), state);
    }

    /// Counts what was sent, for the views.
    pub fn count_sent(&self, txns: u64, bytes: u64) {
        self.slots.count_sent(&self.slot.name, txns, bytes);
    }

    /// Waits for the head to pass `since`.
    pub fn wait_after(&self, since: Lsn) -> HeadWait {
        self.spool.wait_after(since)
    }

    /// The head.
    pub fn head(&self) -> Lsn {
        self.spool.head()
    }

    /// The slot as it is now; `None` when it is gone.
    pub fn slot_now(&self) -> Option<SlotSnapshot> {
        self.slots.slot(&self.slot.name)
    }

    /// Set when the slot was invalidated under the stream.
    pub fn invalidated(&self) -> Option<InvalidationCause> {
        self.slots
            .slot(&self.slot.name)?
            .invalidation
            .map(|invalidation| invalidation.cause)
    }

    /// The error that tells the client so.
    pub fn invalidated_error(&self, cause: InvalidationCause) -> SubscribeError {
        SubscribeError::Invalidated {
            name: self.slot.name.clone(),
            cause,
            removed_through: self.spool.removed_through(),
            restart_lsn: self.slot.restart_lsn,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.replicas.unregister(self.slot.name.as_str());
    }
}
