//! One database: a spool with its slots and replicas.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::captured::Capture;
use super::check::Definitions;
use super::define;
use super::floor::{self, DiskSpace, Floor};
use super::producers::{Producers, ReadCheckpoint};
use super::scratch::Scratch;
use super::{AcknowledgeError, AdvanceError, CreateSlotError, EngineOptions, OpenError};
use crate::clock::Moment;
use crate::disk::{DirLock, Disk};
use crate::lsn::Lsn;
use crate::metrics::{RenderCounters, SyncSnapshot};
use crate::relations::RelationStore;
use crate::replicas::{Bookmark, CommitSettingsError, CommitWait, ConfirmLevel, Replicas};
use crate::resume::{AheadOfHead, ResumeCounters};
use crate::slots::{
    DropError, InvalidationCause, NewSlot, OwnerError, PersistError, SLOTS_FILE, SlotName,
    SlotSnapshot, SlotStats, SlotStore, SlotStoreError, SlotUser, UnknownSlot,
};
use crate::spool::{
    AppendError, Cursor, HeadWait, MANIFEST_FILE, NewSpool, ReadError, RecoveryReport, SegmentInfo,
    Spool, SpoolState,
};
use crate::wire::Progress;

/// Where a new slot starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlotStart {
    /// At the head (PostgreSQL's way).
    #[default]
    Head,
    /// At the oldest retained position.
    Earliest,
    /// After this position, which must be retained.
    At(Lsn),
    /// At the first transaction committed at or after this unix time in milliseconds.
    Time(u64),
}

/// A slot to create.
#[derive(Debug, Clone)]
pub struct SlotRequest {
    /// Name.
    pub name: SlotName,
    /// Output plugin (checked by the caller).
    pub plugin: String,
    /// Start.
    pub start: SlotStart,
    /// Owner session of a temporary slot.
    pub temporary: Option<u32>,
    /// TWO_PHASE.
    pub two_phase: bool,
    /// OID of the role that it is to belong to; `None`: every role that may use slots.
    pub owner: Option<u32>,
}

/// One database at one moment, for views and tools.
#[derive(Debug, Clone)]
pub struct EngineSnapshot {
    /// Database.
    pub database: String,
    /// Spool positions.
    pub spool: SpoolState,
    /// Segments, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Slots by name.
    pub slots: Vec<SlotSnapshot>,
}

/// One database: a spool with its slots and replicas.
#[derive(Debug)]
pub struct Engine {
    name: String,
    options: RwLock<EngineOptions>,
    pub(super) spool: Spool,
    pub(super) slots: SlotStore,
    pub(super) replicas: Arc<Replicas>,
    pub(super) resumes: ResumeCounters,
    rendered: RenderCounters,
    /// Held while a slot is made and while retention looks, decides and prunes: a slot never
    /// appears below what is about to go.
    pub(super) retaining: Mutex<()>,
    /// Its files belong to it no more: nothing is written to them. Held by the periodic work.
    pub(super) dropped: Mutex<bool>,
    pub(super) producers: Arc<Producers>,
    pub(super) relations: RelationStore,
    pub(super) definitions: Definitions,
    pub(super) scratch: Scratch,
    pub(super) floor: Floor,
    /// What it follows; `None` for a database that takes records of its own.
    pub(super) capture: Option<Arc<Capture>>,
    /// Keeps others out of the data directory while this database can be written to.
    _lock: Option<Arc<DirLock>>,
    recovery: RecoveryReport,
}

impl Engine {
    /// How long a caller may leave between two calls of [`Engine::maintain`].
    pub const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

    /// Opens or creates the database in `dir`; a new one begins at `0/0`, so that an embedding
    /// engine can choose any position. Blocking.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        name: &str,
        options: EngineOptions,
        now: Moment,
    ) -> Result<Self, OpenError> {
        let new = NewSpool {
            system_id: 0,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        };
        Self::open_new(disk, dir, name, options, new, now)
    }

    /// Opens the database in `dir`, or creates it with what `new` says. Blocking.
    pub fn open_new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        name: &str,
        options: EngineOptions,
        new: NewSpool,
        now: Moment,
    ) -> Result<Self, OpenError> {
        disk.create_dir_all(dir).map_err(|source| OpenError::Io {
            action: format!("create {}", dir.display()),
            source,
        })?;
        let capture = Capture::open(&disk, dir).map_err(|source| OpenError::Capture {
            database: name.to_owned(),
            source,
        })?;
        floor::make_room(&*disk, dir);
        let of_slots = |source| OpenError::Slots {
            database: name.to_owned(),
            source,
        };
        let slots_file = dir.join(SLOTS_FILE);
        refuse_lost_slots(&*disk, dir, &slots_file).map_err(of_slots)?;
        let slots = SlotStore::open(Arc::clone(&disk), &slots_file, now).map_err(of_slots)?;
        let of_producers = |source| OpenError::Producers {
            database: name.to_owned(),
            source,
        };
        let producers = ReadCheckpoint::read(Arc::clone(&disk), dir).map_err(of_producers)?;
        let persisted = slots.highest_persisted().max(producers.through());
        let scratch = Scratch::open(Arc::clone(&disk), dir.to_owned(), &options);
        let scratch = scratch.map_err(|source| OpenError::Io {
            action: format!("remove temporary files in {}", dir.display()),
            source,
        })?;
        let (spool, recovery) = Spool::open(Arc::clone(&disk), dir, options.spool(persisted, new))
            .map_err(|source| OpenError::Spool {
                database: name.to_owned(),
                source,
            })?;
        let producers = Arc::new(producers.open(&spool).map_err(of_producers)?);
        let relations = define::open(&disk, dir, name, &spool, capture.is_some())?;
        invalidate_over_lost_data(&slots, &recovery, now).map_err(of_slots)?;
        let replicas = Arc::new(Replicas::new(slots.generation()));
        replicas.configure(options.commit.clone())?;
        let resumes = ResumeCounters::default();
        let floor = Floor::open(disk, dir.to_owned(), options.disk_floor);
        Ok(Self {
            name: name.to_owned(),
            options: RwLock::new(options),
            spool,
            slots,
            replicas,
            resumes,
            rendered: RenderCounters::default(),
            retaining: Mutex::new(()),
            dropped: Mutex::default(),
            producers,
            relations,
            definitions: Definitions::default(),
            scratch,
            floor,
            capture: capture.map(Arc::new),
            _lock: None,
            recovery,
        })
    }

    /// The same under a lock that lives as long as it does.
    pub(super) fn under(self, lock: Option<Arc<DirLock>>) -> Self {
        Self {
            _lock: lock,
            ..self
        }
    }

    /// Whether it was dropped. Its files are gone then.
    pub fn is_dropped(&self) -> bool {
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What opening found and did.
    pub const fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// System identifier (IDENTIFY_SYSTEM).
    pub fn system_id(&self) -> u64 {
        self.spool.system_id()
    }

    /// Leadership term, shown as the timeline.
    pub fn term(&self) -> u64 {
        self.spool.term()
    }

    /// End LSN of the last durable transaction.
    pub fn head(&self) -> Lsn {
        self.spool.head()
    }

    /// Who is connected and how far each is; commit policy and flow control.
    pub fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// How streams resumed since the process started.
    pub const fn resumes(&self) -> &ResumeCounters {
        &self.resumes
    }

    /// The settings in force.
    pub fn options(&self) -> EngineOptions {
        let options = self.options.read();
        options.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file system that the spool is on, as it was last looked at.
    pub fn disk_space(&self) -> DiskSpace {
        self.floor.space()
    }

    /// Changes what can be changed while the database is open: the limits of slots, temporary
    /// files and the disk, what is kept, and how commits are released. The rest of `options` is
    /// not looked at.
    pub fn reconfigure(&self, options: &EngineOptions) -> Result<(), CommitSettingsError> {
        self.replicas.configure(options.commit.clone())?;
        let mut now = self.options.write().unwrap_or_else(PoisonError::into_inner);
        now.limits = options.limits;
        now.max_slot_wal_keep_size = options.max_slot_wal_keep_size;
        now.wal_keep_size = options.wal_keep_size;
        now.temp_file_limit = options.temp_file_limit;
        self.scratch.set_limit(options.temp_file_limit);
        now.disk_floor = options.disk_floor;
        now.disk_floor_action = options.disk_floor_action;
        self.floor.set(options.disk_floor);
        now.commit = options.commit.clone();
        Ok(())
    }

    /// Begins to wait until the transaction that ends at `lsn` is confirmed by others as the
    /// commit policy asks; the caller limits the wait by
    /// [`CommitSettings::wait_at_most`](crate::replicas::CommitSettings::wait_at_most).
    pub fn wait_released(&self, lsn: Lsn) -> CommitWait {
        self.replicas.wait_released(lsn)
    }

    /// The same at the level that `synchronous_commit` asks for.
    pub fn wait_released_at(&self, lsn: Lsn, level: ConfirmLevel) -> CommitWait {
        self.replicas.wait_released_at(lsn, level)
    }

    /// A token for "has what was committed at `lsn` arrived?" on any replica.
    pub fn bookmark(&self, lsn: Lsn) -> Bookmark {
        Bookmark {
            term: self.term(),
            commit_lsn: lsn,
        }
    }

    /// Takes over leadership under a higher term, durably before it returns. Blocking.
    pub fn adopt_term(&self, term: u64) -> Result<(), AppendError> {
        self.spool.set_term(term)
    }

    /// Reads after `since` without a slot: nothing is held back for this reader, and what is gone
    /// is an error, never a jump.
    pub fn read_from(&self, since: Lsn) -> Result<Cursor, ReadError> {
        self.spool.cursor(since)
    }

    /// The same without touching the disk: what is gone is an error of the first read.
    pub fn reader_after(&self, since: Lsn) -> Cursor {
        self.spool.cursor_at_rest(since)
    }

    /// What was rendered for streams.
    pub const fn rendered(&self) -> &RenderCounters {
        &self.rendered
    }

    /// The position from which to read so that the first transaction is the first committed at or
    /// after this unix time in milliseconds; the head when there is none. Blocking.
    pub fn position_at_time(&self, unix_ms: u64) -> Result<Lsn, ReadError> {
        self.spool.position_at_time(unix_ms)
    }

    /// Waits for the head to pass `since`.
    pub fn wait_after(&self, since: Lsn) -> HeadWait {
        self.spool.wait_after(since)
    }

    /// Creates a slot, durable before it returns. Blocking.
    pub fn create_slot(
        &self,
        request: SlotRequest,
        now: Moment,
    ) -> Result<SlotSnapshot, CreateSlotError> {
        let _retaining = self.hold_retention();
        if self.capture.is_some() && self.head() == Lsn::ZERO {
            return Err(CreateSlotError::NothingReceived(self.name.clone()));
        }
        let start = self.start_position(request.start)?;
        let slot = NewSlot {
            name: request.name,
            plugin: request.plugin,
            start,
            temporary: request.temporary,
            two_phase: request.two_phase,
            owner: request.owner,
        };
        // The manifest vouches for the position before a slot relies on it.
        self.spool.persist_durable_point(start)?;
        Ok(self.slots.create(slot, &self.options().limits, now)?)
    }

    /// Keeps retention and the making of slots apart.
    pub(super) fn hold_retention(&self) -> MutexGuard<'_, ()> {
        self.retaining
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn start_position(&self, start: SlotStart) -> Result<Lsn, CreateSlotError> {
        let state = self.spool.state();
        match start {
            SlotStart::Head => Ok(state.head),
            SlotStart::Earliest => Ok(state.removed_through),
            SlotStart::Time(unix_ms) => Ok(self.spool.position_at_time(unix_ms)?),
            SlotStart::At(start) if start > state.head => Err(AheadOfHead {
                start,
                head: state.head,
            }
            .into()),
            SlotStart::At(since) if since < state.removed_through => Err(ReadError::Removed {
                since,
                removed_through: state.removed_through,
            }
            .into()),
            SlotStart::At(start) => Ok(start),
        }
    }

    /// Drops a slot, durable before it returns. Refused while in use, unless by `by_pid`.
    /// Blocking.
    pub fn drop_slot(&self, name: &SlotName, by_pid: Option<u32>) -> Result<(), DropError> {
        self.slots.drop_slot(name, by_pid)
    }

    /// The same for a role: refused where the slot is another's. Blocking.
    pub fn drop_slot_as(&self, name: &SlotName, user: SlotUser) -> Result<(), DropError> {
        self.slots.drop_slot_as(name, user)
    }

    /// Gives a slot to another role, or to nobody, durable before it returns. Blocking.
    pub fn set_slot_owner(&self, name: &SlotName, owner: Option<u32>) -> Result<(), OwnerError> {
        self.slots.set_owner(name, owner)
    }

    /// Drops the temporary slots of a session that ended.
    pub fn session_ended(&self, pid: u32) {
        self.slots.drop_temporary(pid);
    }

    /// Completes when the slot is free or gone (for DROP ... WAIT).
    pub fn slot_released(&self, name: &SlotName) -> impl Future<Output = ()> + Send + use<> {
        self.slots.released(name)
    }

    /// One slot.
    pub fn slot(&self, name: &SlotName) -> Option<SlotSnapshot> {
        self.slots.slot(name)
    }

    /// Takes a subscriber's progress outside of a stream: clamped to what its stream was told to
    /// have sent, or to the head where it has none. Slot, registry, commit waiters. Memory only;
    /// on disk within [`Engine::MAINTAIN_EVERY`].
    pub fn acknowledge(
        &self,
        name: &SlotName,
        progress: Progress,
        now: Moment,
    ) -> Result<SlotSnapshot, AcknowledgeError> {
        let id = name.as_str();
        let streaming = self.replicas.clamp_to_sent(id, Lsn::MAX, Lsn::MAX);
        let limit = streaming.map_or_else(|_| self.head(), |(sent, _)| sent);
        let flush = progress.flush.min(limit);
        let apply = progress.apply.min(limit);
        let applied = apply.max(progress.write.min(limit));
        let slot = self.slots.advance(name, applied, flush, now)?;
        // Without a stream there is no replica that could count.
        if self.replicas.acknowledge(id, apply, flush, now).is_err() {
            tracing::trace!(slot = id, "acknowledged outside of a stream");
        }
        Ok(slot)
    }

    /// `pg_replication_slot_advance`: moves a free slot to `to` (at most the head), durably
    /// before it returns. Blocking.
    pub fn advance_slot(
        &self,
        name: &SlotName,
        to: Lsn,
        user: impl Into<SlotUser>,
        now: Moment,
    ) -> Result<Lsn, AdvanceError> {
        let _guard = self.slots.acquire(name, user, now)?;
        let to = to.min(self.head());
        if let Some(slot) = self.slots.slot(name) {
            if let Some(invalidation) = slot.invalidation {
                let name = name.clone();
                return Err(AdvanceError::Invalidated {
                    name,
                    cause: invalidation.cause,
                });
            }
            let minimum = slot.restart_lsn;
            if to < minimum {
                return Err(AdvanceError::Backwards { to, minimum });
            }
        }
        let advanced = self.slots.advance(name, to, to, now);
        self.persist_slots()?;
        Ok(advanced.map_or(to, |slot| slot.restart_lsn))
    }

    /// What was sent from each slot since the start, by name.
    pub fn slot_stats(&self) -> Vec<(SlotName, SlotStats)> {
        self.slots.stats()
    }

    /// When the first transaction after `since` was committed, unix milliseconds; `None` when
    /// nothing is after it. Blocking.
    pub fn committed_after(&self, since: Lsn) -> Result<Option<u64>, ReadError> {
        self.spool.committed_after(since)
    }

    /// Why slots are not written any more, once that failed.
    pub fn slots_failure(&self) -> Option<PersistError> {
        self.slots.failure()
    }

    /// The writer's syncs since the start.
    pub fn syncs(&self) -> SyncSnapshot {
        self.spool.syncs()
    }

    /// How many slots were invalidated since the start, by cause.
    pub fn invalidations(&self) -> [(InvalidationCause, u64); InvalidationCause::ALL.len()] {
        self.slots.invalidations()
    }

    /// `pg_stat_reset_replication_slot`: of one slot, or of all.
    pub fn reset_slot_stats(
        &self,
        only: Option<&SlotName>,
        now: Moment,
    ) -> Result<(), UnknownSlot> {
        self.slots.reset_stats(only, now)
    }

    /// Views' input. Cheap.
    pub fn snapshot(&self) -> EngineSnapshot {
        EngineSnapshot {
            database: self.name.clone(),
            spool: self.spool.state(),
            segments: self.spool.segments(),
            slots: self.slots.snapshot(),
        }
    }
}

/// Slots come before the spool when a database is made, so a spool without slots has lost them:
/// opening it would let retention remove what they need.
fn refuse_lost_slots(disk: &dyn Disk, dir: &Path, slots_file: &Path) -> Result<(), SlotStoreError> {
    let look = |path: &Path| {
        disk.exists(path).map_err(|source| SlotStoreError::Io {
            action: format!("look for {}", path.display()),
            source,
        })
    };
    if look(&dir.join(MANIFEST_FILE))? && !look(slots_file)? {
        return Err(SlotStoreError::Corrupt {
            path: slots_file.display().to_string(),
            reason: "missing beside a spool".to_owned(),
        });
    }
    Ok(())
}

/// Recovery or repair set damaged data aside: a slot that stands before the loss would stream over
/// it, so it is invalidated before anybody can use it. Nothing is lost in a sound spool.
fn invalidate_over_lost_data(
    slots: &SlotStore,
    recovery: &RecoveryReport,
    now: Moment,
) -> Result<(), SlotStoreError> {
    if recovery.readable >= recovery.head {
        return Ok(());
    }
    for slot in slots.snapshot() {
        if slot.restart_lsn < recovery.head {
            let invalidated = slots.invalidate(&slot.name, InvalidationCause::WalRemoved, now);
            invalidated.map_err(|error| SlotStoreError::Io {
                action: format!("invalidate slot \"{}\"", slot.name),
                source: std::io::Error::other(error),
            })?;
        }
    }
    Ok(())
}
