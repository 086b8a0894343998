//! Join spool, slots and replicas into a few verbs per database.
//!
//! [`Databases`] owns the data directory; an [`Engine`] is one database. Everything that may
//! touch the disk says "blocking"; async callers use a blocking thread for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::disk::Disk;
use crate::lsn::Lsn;
use crate::slots::{SlotLimits, SlotName, SlotSnapshot};
use crate::spool::{AppendError, Cursor, HeadWait, ReadError, RecoveryMode, SpoolState};
use crate::wire::Progress;

/// The database a connection gets when it names none that exists elsewhere; made on first start.
pub const DEFAULT_DATABASE: &str = "pgspool";

/// Settings of all databases of one data directory.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Spool segment size, bytes.
    pub segment_bytes: u64,
    /// Bytes of newest frames kept in memory.
    pub ring_bytes: usize,
    /// Most newest frames kept in memory.
    pub ring_frames: usize,
    /// Recovery rule.
    pub recovery: RecoveryMode,
    /// Slot limits.
    pub limits: SlotLimits,
    /// `max_slot_wal_keep_size`: most spool bytes kept for slots; `None` no limit.
    pub max_slot_wal_keep_size: Option<u64>,
    /// `wal_keep_size`: spool bytes kept whether slots need them or not.
    pub wal_keep_size: u64,
}

/// Why a data directory or database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// See the source.
    #[error("database \"{database}\": spool")]
    Spool {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: crate::spool::OpenError,
    },
    /// See the source.
    #[error("database \"{database}\": slots")]
    Slots {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: crate::slots::SlotStoreError,
    },
    /// The file system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// Not a database name.
    #[error("invalid database name \"{0}\"")]
    InvalidName(String),
}

/// All databases of one data directory.
#[derive(Debug)]
pub struct Databases {
    _private: (),
}

impl Databases {
    /// Opens every database under `data/databases`, and makes [`DEFAULT_DATABASE`] if there is
    /// none. Blocking.
    pub fn open(
        _disk: Arc<dyn Disk>,
        _data: &Path,
        _options: EngineOptions,
        _now: Moment,
    ) -> Result<Self, OpenError> {
        todo!()
    }

    /// One database.
    pub fn get(&self, _name: &str) -> Option<Arc<Engine>> {
        todo!()
    }

    /// All, by name.
    pub fn all(&self) -> Vec<Arc<Engine>> {
        todo!()
    }

    /// Persists slots and closes every spool cleanly. Blocking.
    pub fn close(&self, _now: Moment) {
        todo!()
    }

    /// Where they live.
    pub fn path(&self) -> PathBuf {
        todo!()
    }
}

/// Transactions on their way in, already encoded.
#[derive(Debug)]
pub struct Batch {
    _private: (),
}

impl Batch {
    /// Adds a record as a transaction of its own. Its `lsn` and `term` are assigned by the
    /// engine; a `timestamp` of 0 becomes the time of publishing.
    pub fn push(&mut self, _record: &ChangeRecord) -> Result<(), PublishError> {
        todo!()
    }

    /// Adds several records as one transaction.
    pub fn push_transaction(&mut self, _records: &[ChangeRecord]) -> Result<(), PublishError> {
        todo!()
    }

    /// Transactions in it.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// Encoded bytes in it.
    pub fn num_bytes(&self) -> usize {
        todo!()
    }
}

/// Why a publish was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The spool refused it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Held back by flow control; nothing was stored.
    #[error("publishing is throttled: a replica in the quorum lags {lag} behind")]
    Throttled {
        /// How far.
        lag: u64,
    },
    /// An empty transaction.
    #[error("a transaction needs at least one record")]
    Empty,
}

/// What a publish made durable here.
pub type Published = crate::spool::Appended;

/// A publish on its way to the disk.
pub type PublishTicket = crate::spool::AppendTicket;

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
}

/// Why a slot was not created.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateSlotError {
    /// The slot store refused.
    #[error(transparent)]
    Slot(#[from] crate::slots::CreateError),
    /// The start position cannot be used.
    #[error(transparent)]
    Start(#[from] ReadError),
    /// The start position lies above the head.
    #[error("requested starting point {start} is ahead of the head {head}")]
    AheadOfHead {
        /// Asked.
        start: Lsn,
        /// Head.
        head: Lsn,
    },
    /// The durable point could not be written.
    #[error(transparent)]
    Spool(#[from] AppendError),
}

/// Who subscribes.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Process id of the session.
    pub pid: u32,
    /// application_name, or the slot's name when empty.
    pub application_name: String,
    /// Declared region, if any.
    pub region: Option<String>,
}

/// Why a stream cannot start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubscribeError {
    /// Unknown or in use.
    #[error(transparent)]
    Acquire(#[from] crate::slots::AcquireError),
    /// The slot is (or was just) invalidated: it needs a full re-bootstrap.
    #[error("cannot read from logical replication slot \"{name}\"")]
    Invalidated {
        /// Slot.
        name: SlotName,
        /// Cause.
        cause: crate::slots::InvalidationCause,
        /// Everything at or below this is gone.
        removed_through: Lsn,
        /// Where the slot stood.
        restart_lsn: Lsn,
    },
    /// The start lies above the head of a local database.
    #[error("requested starting point {start} is ahead of the head {head}")]
    AheadOfHead {
        /// Asked.
        start: Lsn,
        /// Head.
        head: Lsn,
    },
    /// The spool cannot be read there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The invalidation could not be persisted.
    #[error(transparent)]
    Persist(#[from] crate::slots::PersistError),
}

/// A running stream's hold on the engine: slot, cursor, registry entry. Dropping it frees the
/// slot at once.
#[derive(Debug)]
pub struct Subscription {
    /// Reads the frames after `start`.
    pub cursor: Cursor,
    start: Lsn,
}

impl Subscription {
    /// Where the stream starts: frames above it follow.
    pub fn start(&self) -> Lsn {
        self.start
    }

    /// The slot's output plugin.
    pub fn plugin(&self) -> &str {
        todo!()
    }

    /// Takes a client's (clamped) progress: slot, registry, commit waiters. Memory only.
    pub fn acknowledge(&self, _progress: Progress, _now: Moment) {
        todo!()
    }

    /// Notes what was sent, for the registry.
    pub fn note_sent(&self, _sent: Lsn, _now: Moment) {
        todo!()
    }

    /// Waits for the head to pass `since`.
    pub fn wait_after(&self, _since: Lsn) -> HeadWait {
        todo!()
    }

    /// The head.
    pub fn head(&self) -> Lsn {
        todo!()
    }

    /// Set when the slot was invalidated under the stream.
    pub fn invalidated(&self) -> Option<crate::slots::InvalidationCause> {
        todo!()
    }
}

/// One database at one moment, for views and tools.
#[derive(Debug, Clone)]
pub struct EngineSnapshot {
    /// Database.
    pub database: String,
    /// Spool positions.
    pub spool: SpoolState,
    /// Slots by name.
    pub slots: Vec<SlotSnapshot>,
}

/// One database: a spool with its slots and replicas.
#[derive(Debug)]
pub struct Engine {
    _private: (),
}

impl Engine {
    /// Opens or creates the database in `dir`. Blocking.
    pub fn open(
        _disk: Arc<dyn Disk>,
        _dir: &Path,
        _name: &str,
        _options: EngineOptions,
        _now: Moment,
    ) -> Result<Self, OpenError> {
        todo!()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// System identifier (IDENTIFY_SYSTEM).
    pub fn system_id(&self) -> u64 {
        todo!()
    }

    /// Leadership term, shown as the timeline.
    pub fn term(&self) -> u64 {
        todo!()
    }

    /// End LSN of the last durable transaction.
    pub fn head(&self) -> Lsn {
        todo!()
    }

    /// An empty batch for this database.
    pub fn batch(&self, _now: Moment) -> Batch {
        todo!()
    }

    /// Queues a batch; await or wait on the ticket for durability.
    pub fn submit(&self, _batch: Batch) -> Result<PublishTicket, PublishError> {
        todo!()
    }

    /// Publishes and waits until all is durable here. Blocking.
    pub fn publish(&self, _batch: Batch) -> Result<Published, PublishError> {
        todo!()
    }

    /// Creates a slot, durable before it returns. Blocking.
    pub fn create_slot(
        &self,
        _request: SlotRequest,
        _now: Moment,
    ) -> Result<SlotSnapshot, CreateSlotError> {
        todo!()
    }

    /// Drops a slot, durable before it returns. Blocking.
    pub fn drop_slot(
        &self,
        _name: &SlotName,
        _by_pid: Option<u32>,
    ) -> Result<(), crate::slots::DropError> {
        todo!()
    }

    /// Drops the temporary slots of a session that ended.
    pub fn session_ended(&self, _pid: u32) {
        todo!()
    }

    /// Completes when the slot is free or gone (for DROP ... WAIT).
    pub fn slot_released(&self, _name: &SlotName) -> impl Future<Output = ()> + Send + use<> {
        async { todo!() }
    }

    /// One slot.
    pub fn slot(&self, _name: &SlotName) -> Option<SlotSnapshot> {
        todo!()
    }

    /// Starts a stream on a slot. Blocking.
    pub fn subscribe(
        &self,
        _name: &SlotName,
        _from: Lsn,
        _who: Subscriber,
        _now: Moment,
    ) -> Result<Subscription, SubscribeError> {
        todo!()
    }

    /// The periodic work: persist acknowledgements, enforce limits, prune. Blocking.
    pub fn maintain(&self, _now: Moment) -> Result<(), AppendError> {
        todo!()
    }

    /// How long a caller may leave between two calls of [`Engine::maintain`].
    pub const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

    /// Views' input. Cheap.
    pub fn snapshot(&self) -> EngineSnapshot {
        todo!()
    }
}
