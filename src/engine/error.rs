//! What the engine's verbs can answer instead of success: one enum per verb, with the variants a
//! caller can tell apart.

use crate::captures::CaptureFileError;
use crate::change::{EncodeError, ProducerName};
use crate::lsn::Lsn;
use crate::publications::IdentityError;
use crate::relations::{DefineError, RelationStoreError};
use crate::replicas::CommitSettingsError;
use crate::resume::AheadOfHead;
use crate::rows::RowError;
use crate::slots::{
    AcquireError, CreateError, InvalidationCause, PersistError, SlotName, SlotStoreError,
    UnknownSlot,
};
use crate::spool::{self, AppendError, MAX_PAYLOAD, ReadError};

/// Why a data directory or database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The roles cannot be read.
    #[error(transparent)]
    Roles(#[from] crate::roles::RoleOpenError),
    /// See the source.
    #[error("database \"{database}\": spool")]
    Spool {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: spool::OpenError,
    },
    /// See the source.
    #[error("database \"{database}\": slots")]
    Slots {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: SlotStoreError,
    },
    /// See the source.
    #[error("database \"{database}\": relations")]
    Relations {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: RelationStoreError,
    },
    /// The collections of the records could not be made tables.
    #[error("database \"{database}\": relations")]
    Define {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: DefineError,
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
    /// Commit settings that would not do what they say.
    #[error(transparent)]
    Commit(#[from] CommitSettingsError),
    /// See the source.
    #[error("database \"{database}\": producers")]
    Producers {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: ProducerStoreError,
    },
    /// See the source.
    #[error("database \"{database}\": capture")]
    Capture {
        /// Database.
        database: String,
        /// The cause.
        #[source]
        source: CaptureFileError,
    },
    /// More than `max_databases`.
    #[error("there are {num_databases} databases, more than max_databases ({most})")]
    TooManyDatabases {
        /// How many there are.
        num_databases: usize,
        /// How many there may be.
        most: usize,
    },
    /// Another [`Databases`](super::Databases), of this process or another, has the directory.
    #[error("data directory {} is in use by another pgspool", .0.display())]
    Locked(std::path::PathBuf),
    /// Not a database name.
    #[error("invalid database name \"{0}\"")]
    InvalidName(String),
    /// Something lies among the databases that cannot be one.
    #[error(
        "\"{}\" is no database, for no database has such a name; move it elsewhere", .0.display()
    )]
    Stray(std::path::PathBuf),
}

/// Why a database was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateDatabaseError {
    /// Its name cannot be one, it cannot be opened, or there are too many.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is one of that name.
    #[error("database \"{0}\" already exists")]
    Exists(String),
}

/// Why a database was not dropped.
#[derive(Debug, thiserror::Error)]
pub enum DropDatabaseError {
    /// There is none of that name.
    #[error("database \"{0}\" does not exist")]
    Unknown(String),
    /// The one that is always there.
    #[error("cannot drop the default database \"{0}\"")]
    Default(String),
    /// Somebody uses it.
    #[error("database \"{database}\" is being accessed by other users")]
    InUse {
        /// Database.
        database: String,
        /// Sessions that use it; 0 where only a slot is in use.
        num_sessions: usize,
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
}

/// Why what is known of the producers cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProducerStoreError {
    /// The file is damaged, or missing where it cannot be made again.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
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
    /// The records behind the file's position cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is known of the producers could not be written. It is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write what is known of the producers: {0}")]
pub struct PersistProducersError(pub(super) String);

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
    /// Less than the floor is free on the file system; nothing was stored.
    #[error("could not extend the spool: less than disk_floor is free on its file system")]
    DiskFull {
        /// Bytes that were free.
        free: u64,
        /// Bytes that stay free.
        floor: u64,
    },
    /// A collection could not be made a table; nothing was stored.
    #[error(transparent)]
    Define(#[from] DefineError),
    /// A record is no row of the table that it is for; it is not stored, nor is anything of its
    /// transaction.
    #[error(transparent)]
    Row(Box<RowError>),
    /// Its table is published and has no replica identity that says which row it changes.
    #[error(transparent)]
    Identity(Box<IdentityError>),
    /// The record cannot be stored in a way that reads back.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The database is captured from an upstream: only its capture stores anything in it.
    #[error("database \"{0}\" is captured from an upstream and takes no records of its own")]
    Captured(String),
    /// Frames that are not those of one whole transaction.
    #[error("the frames of a captured transaction do not follow one another")]
    BrokenFrames,
    /// The database takes records of its own.
    #[error("database \"{0}\" is not captured from an upstream")]
    NotCaptured(String),
    /// An empty transaction.
    #[error("a transaction needs at least one record")]
    Empty,
    /// A message that belongs to no transaction, among the records of one.
    #[error("a non-transactional message cannot be part of a transaction")]
    StandsAlone,
    /// A record that its producer numbers, at a position that the caller chose: who has a log of
    /// its own needs no numbers.
    #[error("a record with a producer's number cannot be published at a chosen position")]
    NumberedAtPosition,
    /// While a block was open, its producer published a higher number over another connection:
    /// the block's record would be taken for a repeated one. Nothing of the block is stored.
    #[error(
        "producer \"{producer}\" published seq {published} meanwhile; seq {lost} of this block \
         would be lost"
    )]
    Overtaken {
        /// The producer.
        producer: ProducerName,
        /// Its last number.
        published: u64,
        /// The block's lowest.
        lost: u64,
    },
    /// The open transaction needs more room outside of memory than it may have. Its statement
    /// failed, nothing else did.
    #[error("temporary file size exceeds temp_file_limit ({limit_kb}kB)")]
    TempFileLimit {
        /// The limit.
        limit_kb: u64,
    },
    /// The open transaction could not be kept until its commit; nothing of it is stored. Its
    /// statement failed, nothing else did.
    #[error("could not {action} temporary file of a transaction: {error}")]
    Buffer {
        /// What was tried.
        action: &'static str,
        /// The operating system's words.
        error: String,
        /// Their kind.
        kind: std::io::ErrorKind,
    },
}

impl PublishError {
    /// Whether there is no room on the disk: the same may be stored when there is.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Append(AppendError::Manifest { kind, .. }) | Self::Buffer { kind, .. } => {
                *kind == std::io::ErrorKind::StorageFull
            }
            Self::Append(
                AppendError::PayloadTooLarge { .. }
                | AppendError::LsnNotRising { .. }
                | AppendError::AheadOfHead { .. }
                | AppendError::Stopped(_)
                | AppendError::Closed,
            )
            | Self::Throttled { .. }
            | Self::Define(_)
            | Self::Row(_)
            | Self::Identity(_)
            | Self::Encode(_)
            | Self::Captured(_)
            | Self::NotCaptured(_)
            | Self::BrokenFrames
            | Self::Empty
            | Self::StandsAlone
            | Self::NumberedAtPosition
            | Self::Overtaken { .. }
            | Self::TempFileLimit { .. } => false,
        }
    }

    pub(super) const fn too_large(len: usize) -> Self {
        Self::Append(AppendError::PayloadTooLarge {
            len,
            max: MAX_PAYLOAD,
        })
    }
}

/// Why a slot was not created.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateSlotError {
    /// The slot store refused.
    #[error(transparent)]
    Slot(#[from] CreateError),
    /// The start position cannot be used.
    #[error(transparent)]
    Start(#[from] ReadError),
    /// The start position lies above the head.
    #[error(transparent)]
    AheadOfHead(#[from] AheadOfHead),
    /// The durable point could not be written.
    #[error(transparent)]
    Spool(#[from] AppendError),
    /// A captured database does not know yet where its upstream is.
    #[error("database \"{0}\" has not received anything from its upstream yet")]
    NothingReceived(String),
}

/// Why a stream cannot start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubscribeError {
    /// Unknown or in use.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The slot is (or was just) invalidated: it needs a full re-bootstrap.
    #[error("cannot read from logical replication slot \"{name}\"")]
    Invalidated {
        /// Slot.
        name: SlotName,
        /// Cause.
        cause: InvalidationCause,
        /// Everything at or below this is gone.
        removed_through: Lsn,
        /// Where the slot stood.
        restart_lsn: Lsn,
    },
    /// The start lies above the head of a local database.
    #[error(transparent)]
    AheadOfHead(#[from] AheadOfHead),
    /// The spool cannot be read there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The invalidation could not be persisted.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

/// Why a slot was not advanced.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdvanceError {
    /// Unknown or in use.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// Below the slot's position.
    #[error("cannot advance replication slot to {to}, minimum is {minimum}")]
    Backwards {
        /// Asked.
        to: Lsn,
        /// The slot's position.
        minimum: Lsn,
    },
    /// The slot is invalid.
    #[error("cannot advance invalidated replication slot \"{name}\"")]
    Invalidated {
        /// Slot.
        name: SlotName,
        /// Cause.
        cause: InvalidationCause,
    },
    /// The new position could not be made durable.
    #[error(transparent)]
    Maintain(#[from] MaintainError),
}

/// Why an acknowledgement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeError {
    /// No such slot.
    #[error(transparent)]
    Unknown(#[from] UnknownSlot),
}

/// Why the periodic work could not be done. Retention stands still until a restart.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MaintainError {
    /// The slot store cannot be written.
    #[error(transparent)]
    Slots(#[from] PersistError),
    /// What is known of the producers cannot be written.
    #[error(transparent)]
    Producers(#[from] PersistProducersError),
    /// The spool's writer has stopped.
    #[error(transparent)]
    Spool(#[from] AppendError),
}
