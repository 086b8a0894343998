//! The slots in memory: what each is now, and what of it is on disk.
//!
//! Plain data behind one lock, held only for moments. It does no I/O and takes no other lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::lsn::Lsn;

use super::file::StoredSlot;
use super::retention::SlotHold;
use super::stats::SlotStats;
use super::{Invalidation, InvalidationCause, NewSlot, SlotName, SlotSnapshot, SlotUser};

/// A `last_seen` stamp alone is written only when the disk's is older by more than this.
const STAMP_MAY_LAG_MS: u64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) slots: BTreeMap<SlotName, Slot>,
    /// The latest moment any caller gave; stamps a release that comes without one.
    pub(super) latest: Moment,
    next_hold: u64,
}

/// Where a slot stands between "asked for" and "gone".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Holds its data already; not visible before it is on disk.
    Creating,
    /// In use as usual.
    Live,
    /// Still holds its data; nobody may take it any more.
    Dropping,
}

/// The positions on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OnDisk {
    restart_lsn: Lsn,
    confirmed_lsn: Lsn,
    last_seen_unix_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    pid: u32,
    id: u64,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) phase: Phase,
    /// As of now; for a permanent slot this is what the next write stores.
    stored: StoredSlot,
    on_disk: Option<OnDisk>,
    /// The session a temporary slot belongs to.
    session: Option<u32>,
    hold: Option<Hold>,
    last_used: Duration,
    inactive_since_unix_ms: u64,
    /// What was sent from it since the process started.
    pub(super) stats: SlotStats,
    /// Told when the slot becomes free or goes.
    pub(super) freed: Arc<Notify>,
}

impl Table {
    /// Remembers the latest moment seen.
    pub(super) fn at(&mut self, now: Moment) {
        if now.steady >= self.latest.steady {
            self.latest = now;
        }
    }

    /// A slot that callers may see.
    pub(super) fn visible(&self, name: &SlotName) -> Option<&Slot> {
        self.slots.get(name).filter(|slot| slot.is_visible())
    }

    pub(super) fn visible_mut(&mut self, name: &SlotName) -> Option<&mut Slot> {
        self.slots.get_mut(name).filter(|slot| slot.is_visible())
    }

    pub(super) fn next_hold(&mut self) -> u64 {
        self.next_hold = self.next_hold.wrapping_add(1);
        self.next_hold
    }

    /// Takes a slot out and tells who waits for it.
    pub(super) fn remove(&mut self, name: &SlotName) {
        if let Some(slot) = self.slots.remove(name) {
            slot.freed.notify_waiters();
        }
    }

    /// What each permanent slot looks like on disk after a write that may store positions up to
    /// `limit`. What was stored before stays stored.
    pub(super) fn image(&self, limit: Lsn) -> Vec<StoredSlot> {
        self.slots
            .values()
            .filter(|slot| slot.session.is_none())
            .map(|slot| slot.image(limit))
            .collect()
    }

    /// Notes that `image` is on disk. What moved on meanwhile stays to be written.
    pub(super) fn mark_written(&mut self, image: &[StoredSlot]) {
        for written in image {
            if let Some(slot) = self.slots.get_mut(&written.name) {
                slot.on_disk = Some(OnDisk {
                    restart_lsn: written.restart_lsn,
                    confirmed_lsn: written.confirmed_lsn,
                    last_seen_unix_ms: written.last_seen_unix_ms,
                });
                slot.stored.invalidation = written.invalidation;
            }
        }
    }

    pub(super) fn holds(&self, now: Moment) -> Vec<SlotHold> {
        self.slots
            .iter()
            .map(|(name, slot)| SlotHold {
                name: name.clone(),
                restart_lsn: slot.stored.restart_lsn,
                persisted_restart_lsn: slot.persisted_restart_lsn(),
                valid: slot.is_valid(),
                in_use: slot.active_pid().is_some() || slot.phase != Phase::Live,
                unused_for: now.steady.saturating_sub(slot.last_used),
            })
            .collect()
    }
}

impl Slot {
    /// A slot found on disk. Its idle time starts over: nobody could use it while we were down.
    pub(super) fn from_disk(stored: StoredSlot, opened: Moment) -> Self {
        let on_disk = OnDisk {
            restart_lsn: stored.restart_lsn,
            confirmed_lsn: stored.confirmed_lsn,
            last_seen_unix_ms: stored.last_seen_unix_ms,
        };
        Self {
            on_disk: Some(on_disk),
            ..Self::from_stored(stored, None, Phase::Live, opened)
        }
    }

    /// A slot that is being made; a temporary one is live at once.
    pub(super) fn from_new(new: &NewSlot, now: Moment) -> Self {
        let stored = StoredSlot {
            name: new.name.clone(),
            plugin: new.plugin.as_str().into(),
            two_phase: new.two_phase,
            owner: new.owner,
            restart_lsn: new.start,
            confirmed_lsn: new.start,
            created_at_unix_ms: now.unix_ms,
            last_seen_unix_ms: now.unix_ms,
            invalidation: None,
        };
        let phase = match new.temporary {
            Some(_) => Phase::Live,
            None => Phase::Creating,
        };
        Self::from_stored(stored, new.temporary, phase, now)
    }

    pub(super) fn from_stored(
        stored: StoredSlot,
        session: Option<u32>,
        phase: Phase,
        now: Moment,
    ) -> Self {
        Self {
            phase,
            stored,
            on_disk: None,
            session,
            hold: None,
            last_used: now.steady,
            inactive_since_unix_ms: now.unix_ms,
            stats: SlotStats::default(),
            freed: Arc::new(Notify::new()),
        }
    }

    pub(super) fn snapshot(&self) -> SlotSnapshot {
        let active_pid = self.active_pid();
        SlotSnapshot {
            name: self.stored.name.clone(),
            plugin: self.stored.plugin.as_ref().to_owned(),
            restart_lsn: self.stored.restart_lsn,
            confirmed_lsn: self.stored.confirmed_lsn,
            persisted_restart_lsn: self.persisted_restart_lsn(),
            last_seen_unix_ms: self.stored.last_seen_unix_ms,
            inactive_since_unix_ms: match active_pid {
                Some(_) => None,
                None => Some(self.inactive_since_unix_ms),
            },
            invalidation: self.stored.invalidation,
            temporary: self.session.is_some(),
            two_phase: self.stored.two_phase,
            owner: self.stored.owner,
            active_pid,
        }
    }

    pub(super) fn is_visible(&self) -> bool {
        self.phase != Phase::Creating
    }

    pub(super) fn is_valid(&self) -> bool {
        self.stored.invalidation.is_none()
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.session.is_some()
    }

    /// The session a temporary slot belongs to.
    pub(super) fn session(&self) -> Option<u32> {
        self.session
    }

    /// Whether that role may use it.
    pub(super) fn is_for(&self, user: SlotUser) -> bool {
        user.may_use(self.stored.owner)
    }

    /// Gives it to another role.
    pub(super) fn set_owner(&mut self, owner: Option<u32>) {
        self.stored.owner = owner;
    }

    /// Who streams from it; a temporary slot is its session's all the time.
    pub(super) fn active_pid(&self) -> Option<u32> {
        self.hold.map(|hold| hold.pid).or(self.session)
    }

    /// Who keeps `pid` from taking it.
    pub(super) fn held_against(&self, pid: u32) -> Option<u32> {
        match self.hold {
            Some(hold) => Some(hold.pid),
            None => self.session.filter(|session| *session != pid),
        }
    }

    pub(super) fn take(&mut self, pid: u32, id: u64, now: Moment) {
        self.hold = Some(Hold { pid, id });
        self.used(now);
    }

    /// Ends the hold `id`, unless it ended before.
    pub(super) fn release(&mut self, id: u64, now: Moment) {
        if self.hold.is_some_and(|hold| hold.id == id) {
            self.hold = None;
            self.inactive_since_unix_ms = now.unix_ms;
            self.last_used = self.last_used.max(now.steady);
            if self.active_pid().is_none() {
                self.freed.notify_waiters();
            }
        }
    }

    pub(super) fn used(&mut self, now: Moment) {
        self.last_used = self.last_used.max(now.steady);
        if self.is_valid() {
            self.stored.last_seen_unix_ms = now.unix_ms;
        }
    }

    /// RedDB's advance: forward only, and never once invalid.
    pub(super) fn advance(&mut self, applied: Lsn, durable: Lsn, now: Moment) {
        if self.is_valid() {
            let slot = &mut self.stored;
            slot.confirmed_lsn = slot.confirmed_lsn.max(applied).max(durable);
            slot.restart_lsn = slot.restart_lsn.max(durable);
            self.stats.acknowledgements = self.stats.acknowledgements.saturating_add(1);
            self.used(now);
        }
    }

    /// Marks it invalid in memory; of a permanent slot only after that is on disk.
    pub(super) fn invalidate(&mut self, invalidation: Invalidation) {
        self.stored.invalidation.get_or_insert(invalidation);
    }

    pub(super) fn persisted_restart_lsn(&self) -> Lsn {
        self.on_disk
            .map_or(self.stored.restart_lsn, |disk| disk.restart_lsn)
    }

    /// The restart position that still has to be written, if any.
    pub(super) fn dirty_restart_lsn(&self) -> Option<Lsn> {
        self.on_disk
            .filter(|disk| self.stored.restart_lsn > disk.restart_lsn)
            .map(|_| self.stored.restart_lsn)
    }

    /// Whether a write of positions up to `limit` is worth its sync.
    pub(super) fn is_dirty(&self, limit: Lsn) -> bool {
        let image = self.image(limit);
        self.on_disk.is_some_and(|disk| {
            image.restart_lsn > disk.restart_lsn
                || image.confirmed_lsn > disk.confirmed_lsn
                || image.last_seen_unix_ms.abs_diff(disk.last_seen_unix_ms) > STAMP_MAY_LAG_MS
        })
    }

    fn image(&self, limit: Lsn) -> StoredSlot {
        let mut image = self.stored.clone();
        if let Some(disk) = self.on_disk {
            image.restart_lsn = disk.restart_lsn.max(image.restart_lsn.min(limit));
            image.confirmed_lsn = disk.confirmed_lsn.max(image.confirmed_lsn.min(limit));
        }
        image
    }
}

/// `image` with the named slot given to `owner`.
pub(super) fn with_owner(
    mut image: Vec<StoredSlot>,
    name: &SlotName,
    owner: Option<u32>,
) -> Vec<StoredSlot> {
    for slot in &mut image {
        if slot.name == *name {
            slot.owner = owner;
        }
    }
    image
}

/// `image` with the named slots invalidated.
pub(super) fn with_invalidated(
    mut image: Vec<StoredSlot>,
    causes: &[(SlotName, InvalidationCause)],
    at_unix_ms: u64,
) -> Vec<StoredSlot> {
    for slot in &mut image {
        let found = causes.iter().find(|(name, _)| *name == slot.name);
        if let Some((_, cause)) = found {
            slot.invalidation.get_or_insert(Invalidation {
                cause: *cause,
                at_unix_ms,
            });
        }
    }
    image
}
