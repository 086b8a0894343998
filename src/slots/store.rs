//! Two locks and the order between them: memory, and the one writer of the file.
//!
//! The writer's lock is taken first and held across disk I/O; the memory lock is never held
//! across it, so acknowledgements do not wait for the disk. A change that must be durable is
//! written before it becomes visible. When a write fails and the old file is known to stand, the
//! change is undone in memory and the next one is written; when the file's state is unknown,
//! nothing is written any more until the store is opened again.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::clock::Moment;
use crate::disk::Disk;
use crate::lsn::Lsn;

use super::file::StoredSlot;
use super::guard::{self, SlotGuard};
use super::retention::{self, RetentionInput, RetentionPositions};
use super::stats::Invalidations;
use super::table::{Phase, Slot, Table, with_invalidated, with_owner};
use super::writer::{self, Writer};
use super::{
    AcquireError, CreateError, DropError, ImportSlot, Invalidation, InvalidationCause, NewSlot,
    OwnerError, PersistError, RetentionOutcome, SlotLimits, SlotName, SlotSnapshot, SlotStoreError,
    SlotUser, UnknownSlot,
};

/// The slots of one database. Clones share them.
#[derive(Debug, Clone)]
pub struct SlotStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    writer: Mutex<Writer>,
    table: Mutex<Table>,
    generation: u64,
    pub(super) invalidations: Invalidations,
    failed: Arc<OnceLock<PersistError>>,
}

impl Shared {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotStore {
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Opens the store at `path` (missing: no slots). Every open raises the generation durably.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, now: Moment) -> Result<Self, SlotStoreError> {
        let (writer, slots) = Writer::open(disk, path)?;
        let mut table = Table::default();
        table.at(now);
        for stored in slots {
            let slot = Slot::from_disk(stored, now);
            table.slots.insert(slot.snapshot().name, slot);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                generation: writer.generation(),
                failed: writer.failed(),
                writer: Mutex::new(writer),
                table: Mutex::new(table),
                invalidations: Invalidations::default(),
            }),
        })
    }

    /// Reads the store at `path` without changing anything; for tools.
    pub fn inspect(disk: &dyn Disk, path: &Path) -> Result<Vec<SlotSnapshot>, SlotStoreError> {
        let slots = writer::read(disk, path)?.slots.into_iter();
        Ok(slots
            .map(|stored| {
                let since = stored.last_seen_unix_ms;
                let snapshot = Slot::from_disk(stored, Moment::default()).snapshot();
                SlotSnapshot {
                    inactive_since_unix_ms: Some(since),
                    ..snapshot
                }
            })
            .collect())
    }

    /// Counts the opens of this store; rises with each, so epochs built on it never go back.
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// Why nothing is written any more, once a write has failed.
    pub fn failure(&self) -> Option<PersistError> {
        self.shared.failed.get().cloned()
    }

    /// Creates a slot, durably before it returns (temporary ones in memory). It holds its data
    /// from the start of the call.
    pub fn create(
        &self,
        new: NewSlot,
        limits: &SlotLimits,
        now: Moment,
    ) -> Result<SlotSnapshot, CreateError> {
        let slot = Slot::from_new(&new, now);
        if new.temporary.is_some() {
            let snapshot = slot.snapshot();
            self.insert(vec![slot], limits, now)?;
            return Ok(snapshot);
        }
        let mut created = self.create_all(vec![slot], limits, now)?;
        created
            .pop()
            .ok_or_else(|| CreateError::Persist(PersistError("no slot was made".to_owned())))
    }

    /// Creates slots that lived elsewhere, all or none, durably before it returns.
    pub fn import(
        &self,
        slots: Vec<ImportSlot>,
        limits: &SlotLimits,
        now: Moment,
    ) -> Result<Vec<SlotSnapshot>, CreateError> {
        let slots = slots
            .into_iter()
            .map(|slot| {
                let stored = StoredSlot {
                    name: slot.name,
                    plugin: slot.plugin.into(),
                    two_phase: false,
                    owner: None,
                    restart_lsn: slot.restart_lsn,
                    confirmed_lsn: slot.confirmed_lsn.max(slot.restart_lsn),
                    created_at_unix_ms: now.unix_ms,
                    last_seen_unix_ms: slot.last_seen_unix_ms,
                    invalidation: slot.invalidation,
                };
                Slot::from_stored(stored, None, Phase::Creating, now)
            })
            .collect();
        self.create_all(slots, limits, now)
    }

    fn create_all(
        &self,
        slots: Vec<Slot>,
        limits: &SlotLimits,
        now: Moment,
    ) -> Result<Vec<SlotSnapshot>, CreateError> {
        let mut writer = self.writer()?;
        let names = self.insert(slots, limits, now)?;
        let image = self.shared.table().image(Lsn::ZERO);
        let written = writer.write(image);
        let mut table = self.shared.table();
        match written {
            Ok(image) => {
                table.mark_written(&image);
                let created = names.iter().filter_map(|name| {
                    let slot = table.slots.get_mut(name)?;
                    slot.phase = Phase::Live;
                    Some(slot.snapshot())
                });
                Ok(created.collect())
            }
            Err(error) => {
                names.iter().for_each(|name| table.remove(name));
                Err(error.into())
            }
        }
    }

    /// Takes slots into memory, all or none.
    fn insert(
        &self,
        slots: Vec<Slot>,
        limits: &SlotLimits,
        now: Moment,
    ) -> Result<Vec<SlotName>, CreateError> {
        let mut table = self.shared.table();
        table.at(now);
        let names: Vec<_> = slots.iter().map(|slot| slot.snapshot().name).collect();
        if let Some(taken) = names.iter().find(|name| table.slots.contains_key(name)) {
            return Err(CreateError::Exists(taken.clone()));
        }
        if limits.max_slots > 0 && table.slots.len() + slots.len() > limits.max_slots {
            return Err(CreateError::TooMany);
        }
        table.slots.extend(names.iter().cloned().zip(slots));
        Ok(names)
    }

    /// Drops a slot, durably before it returns. Refused while in use (unless by `by_pid`).
    pub fn drop_slot(&self, name: &SlotName, by_pid: Option<u32>) -> Result<(), DropError> {
        self.drop(name, Dropper { by_pid, role: None })
    }

    /// The same for a role: refused where the slot is another's.
    pub fn drop_slot_as(&self, name: &SlotName, user: SlotUser) -> Result<(), DropError> {
        let by_pid = Some(user.pid);
        let role = user.role;
        self.drop(name, Dropper { by_pid, role })
    }

    fn drop(&self, name: &SlotName, by: Dropper) -> Result<(), DropError> {
        if self.drop_in_memory(name, by)? {
            return Ok(());
        }
        let mut writer = self.writer()?;
        let image = {
            let mut table = self.shared.table();
            let slot = droppable(&mut table, name, by)?;
            slot.phase = Phase::Dropping;
            let mut image = table.image(Lsn::ZERO);
            image.retain(|slot| slot.name != *name);
            image
        };
        let written = writer.write(image);
        let mut table = self.shared.table();
        match written {
            Ok(image) => {
                table.mark_written(&image);
                table.remove(name);
                Ok(())
            }
            Err(error) => {
                if let Some(slot) = table.slots.get_mut(name) {
                    slot.phase = Phase::Live;
                }
                Err(error.into())
            }
        }
    }

    /// Drops a temporary slot; false for a permanent one.
    fn drop_in_memory(&self, name: &SlotName, by: Dropper) -> Result<bool, DropError> {
        let mut table = self.shared.table();
        let temporary = droppable(&mut table, name, by)?.is_temporary();
        if temporary {
            table.remove(name);
        }
        Ok(temporary)
    }

    /// Drops all temporary slots of a session that ended.
    pub fn drop_temporary(&self, pid: u32) {
        let mut table = self.shared.table();
        let gone: Vec<_> = table
            .slots
            .iter()
            .filter(|(_, slot)| slot.session() == Some(pid))
            .map(|(name, _)| name.clone())
            .collect();
        gone.iter().for_each(|name| table.remove(name));
    }

    /// Takes a slot for a stream. Invalid slots can be taken: the planner tells what to do.
    pub fn acquire(
        &self,
        name: &SlotName,
        user: impl Into<SlotUser>,
        now: Moment,
    ) -> Result<SlotGuard, AcquireError> {
        let user = user.into();
        let mut table = self.shared.table();
        table.at(now);
        let hold = table.next_hold();
        let slot = table
            .slots
            .get_mut(name)
            .filter(|slot| slot.phase == Phase::Live)
            .ok_or_else(|| AcquireError::Unknown(name.clone()))?;
        if !slot.is_for(user) {
            return Err(AcquireError::NotOwner(name.clone()));
        }
        if let Some(pid) = slot.held_against(user.pid) {
            let name = name.clone();
            return Err(AcquireError::Active { name, pid });
        }
        slot.take(user.pid, hold, now);
        Ok(SlotGuard::new(Arc::clone(&self.shared), name.clone(), hold))
    }

    /// Completes when nobody uses the slot, or when it is gone (for DROP ... WAIT).
    pub fn released(&self, name: &SlotName) -> impl Future<Output = ()> + Send + use<> {
        guard::released(Arc::clone(&self.shared), name.clone())
    }

    /// One slot.
    pub fn slot(&self, name: &SlotName) -> Option<SlotSnapshot> {
        self.shared.table().visible(name).map(Slot::snapshot)
    }

    /// All slots by name.
    pub fn snapshot(&self) -> Vec<SlotSnapshot> {
        let table = self.shared.table();
        let visible = table.slots.values().filter(|slot| slot.is_visible());
        visible.map(Slot::snapshot).collect()
    }

    /// Moves a slot forward (never back) in memory. An invalid slot is left alone.
    /// `confirmed` becomes the highest of old, `applied` and `durable`; `restart` the highest of
    /// old and `durable`. Returns the slot afterwards.
    pub fn advance(
        &self,
        name: &SlotName,
        applied: Lsn,
        durable: Lsn,
        now: Moment,
    ) -> Result<SlotSnapshot, UnknownSlot> {
        let mut table = self.shared.table();
        table.at(now);
        let slot = table
            .visible_mut(name)
            .ok_or_else(|| UnknownSlot(name.clone()))?;
        slot.advance(applied, durable, now);
        Ok(slot.snapshot())
    }

    /// Notes that a slot is in use, in memory. Invalid or unknown slots are left alone.
    pub fn touch(&self, name: &SlotName, now: Moment) {
        let mut table = self.shared.table();
        table.at(now);
        if let Some(slot) = table.visible_mut(name) {
            slot.used(now);
        }
    }

    /// The highest restart position in memory that is not on disk yet, if any.
    pub fn highest_dirty(&self) -> Option<Lsn> {
        let table = self.shared.table();
        table
            .slots
            .values()
            .filter_map(Slot::dirty_restart_lsn)
            .max()
    }

    /// Writes the store when something changed; true when it wrote.
    pub fn persist(&self) -> Result<bool, PersistError> {
        self.persist_through(Lsn::MAX)
    }

    /// Writes the store when something changed, positions only as far as `limit`: what is
    /// acknowledged above it while we look stays for the next time. So a caller that made the
    /// spool vouch for `limit` first never leaves a slot ahead of what the spool vouches for.
    pub fn persist_through(&self, limit: Lsn) -> Result<bool, PersistError> {
        let mut writer = self.writer()?;
        let image = {
            let table = self.shared.table();
            if !table.slots.values().any(|slot| slot.is_dirty(limit)) {
                return Ok(false);
            }
            table.image(limit)
        };
        let image = writer.write(image)?;
        self.shared.table().mark_written(&image);
        Ok(true)
    }

    /// Invalidates what is past the limits (RedDB's order: horizon, then idle), durably before it
    /// returns. A slot held by a stream is never idle.
    pub fn enforce_limits(
        &self,
        head: Lsn,
        limits: &SlotLimits,
        now: Moment,
    ) -> Result<Vec<(SlotName, InvalidationCause)>, PersistError> {
        let retained = self.retain(&RetentionPositions::at_head(head), limits, now)?;
        Ok(retained.invalidated)
    }

    /// Enforces all limits, durably, and only then says what may be removed: both from positions
    /// that are on disk.
    pub fn retain(
        &self,
        positions: &RetentionPositions,
        limits: &SlotLimits,
        now: Moment,
    ) -> Result<RetentionOutcome, PersistError> {
        let mut writer = self.writer()?;
        let slots = {
            let mut table = self.shared.table();
            table.at(now);
            table.holds(now)
        };
        let plan = retention::plan(&RetentionInput {
            positions: *positions,
            slots: &slots,
            limits: *limits,
        });
        self.invalidate_all(&mut writer, &plan.invalidate, now)?;
        Ok(RetentionOutcome {
            invalidated: plan.invalidate,
            prune_to: retention::prune_to(self.retention_floor(), positions),
        })
    }

    /// Invalidates one slot, durably before it returns. False when unknown or already invalid.
    pub fn invalidate(
        &self,
        name: &SlotName,
        cause: InvalidationCause,
        now: Moment,
    ) -> Result<bool, PersistError> {
        let mut writer = self.writer()?;
        let valid = self
            .shared
            .table()
            .visible(name)
            .is_some_and(Slot::is_valid);
        if valid {
            self.invalidate_all(&mut writer, &[(name.clone(), cause)], now)?;
        }
        Ok(valid)
    }

    fn invalidate_all(
        &self,
        writer: &mut Writer,
        causes: &[(SlotName, InvalidationCause)],
        now: Moment,
    ) -> Result<(), PersistError> {
        if causes.is_empty() {
            return Ok(());
        }
        let before = self.shared.table().image(Lsn::ZERO);
        let image = with_invalidated(before.clone(), causes, now.unix_ms);
        if image != before {
            let image = writer.write(image)?;
            self.shared.table().mark_written(&image);
        }
        let mut table = self.shared.table();
        for (name, cause) in causes {
            if let Some(slot) = table.slots.get_mut(name) {
                self.shared.invalidations.of(*cause).increment();
                slot.invalidate(Invalidation {
                    cause: *cause,
                    at_unix_ms: now.unix_ms,
                });
            }
        }
        Ok(())
    }

    /// Gives a slot to another role, or to nobody, durably before it returns (temporary ones in
    /// memory).
    pub fn set_owner(&self, name: &SlotName, owner: Option<u32>) -> Result<(), OwnerError> {
        let mut writer = self.writer()?;
        let image = {
            let table = self.shared.table();
            let slot = table
                .visible(name)
                .ok_or_else(|| UnknownSlot(name.clone()))?;
            (!slot.is_temporary()).then(|| with_owner(table.image(Lsn::ZERO), name, owner))
        };
        let written = image.map(|image| writer.write(image)).transpose()?;
        let mut table = self.shared.table();
        if let Some(image) = written {
            table.mark_written(&image);
        }
        let slot = table.visible_mut(name);
        slot.ok_or_else(|| UnknownSlot(name.clone()))?
            .set_owner(owner);
        Ok(())
    }

    /// The lowest persisted restart position of all valid slots; `None` without valid slots.
    pub fn retention_floor(&self) -> Option<Lsn> {
        let table = self.shared.table();
        table
            .slots
            .values()
            .filter(|slot| slot.is_valid())
            .map(Slot::persisted_restart_lsn)
            .min()
    }

    /// The highest persisted restart position of all slots.
    pub fn highest_persisted(&self) -> Lsn {
        let table = self.shared.table();
        let permanent = table.slots.values().filter(|slot| !slot.is_temporary());
        permanent
            .map(Slot::persisted_restart_lsn)
            .max()
            .unwrap_or_default()
    }

    /// The writer, unless a write failed before.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, PersistError> {
        let writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writer.check()?;
        Ok(writer)
    }
}

/// Who drops a slot.
#[derive(Debug, Clone, Copy)]
struct Dropper {
    /// The session that may hold it meanwhile.
    by_pid: Option<u32>,
    /// As [`SlotUser::role`].
    role: Option<u32>,
}

fn droppable<'a>(
    table: &'a mut Table,
    name: &SlotName,
    by: Dropper,
) -> Result<&'a mut Slot, DropError> {
    let slot = table
        .visible_mut(name)
        .ok_or_else(|| DropError::Unknown(name.clone()))?;
    let user = SlotUser {
        pid: by.by_pid.unwrap_or_default(),
        role: by.role,
    };
    if !slot.is_for(user) {
        return Err(DropError::NotOwner(name.clone()));
    }
    match slot.active_pid() {
        Some(pid) if by.by_pid != Some(pid) => Err(DropError::Active {
            name: name.clone(),
            pid,
        }),
        Some(_) | None => Ok(slot),
    }
}
