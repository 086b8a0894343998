//! Join spool, slots and replicas into a few verbs per database.
//!
//! [`Databases`] owns the data directory; an [`Engine`] is one database; a [`Subscription`] is one
//! running stream's hold on it. Everything that may touch the disk says "blocking"; async callers
//! use a blocking thread for it. It knows no wire protocol, no plugin and no clock.

mod batch;
mod captured;
mod check;
mod database;
mod databases;
mod define;
mod error;
mod floor;
mod making;
mod options;
mod producers;
mod publish;
mod replay;
mod retained;
mod retention;
mod scratch;
mod streams;
mod transaction;

pub use batch::Batch;
pub use captured::{Capture, CapturedFrames, CapturedTransaction, PersistCaptureError};
pub use database::{Engine, EngineSnapshot, SlotRequest, SlotStart};
pub use databases::{DEFAULT_DATABASE, Databases};
pub use error::{
    AcknowledgeError, AdvanceError, CreateDatabaseError, CreateSlotError, DropDatabaseError,
    MaintainError, OpenError, PersistProducersError, ProducerStoreError, PublishError,
    SubscribeError,
};
pub use floor::{DiskFloor, DiskFloorAction, DiskSpace};
pub use options::{EngineOptions, boundary};
pub use producers::{
    PRODUCERS_FILE, ProducerSnapshot, check_producers, producers_counted, repair_producers,
};
pub use retained::Retained;
pub use retention::RetentionOutcome;
pub use scratch::Scratch;
pub(crate) use scratch::Spill;
pub use streams::{SlotReader, Subscriber, Subscription};
pub use transaction::{MAX_IN_MEMORY, TransactionBuffer};

/// What a publish made durable here.
pub type Published = crate::spool::Appended;

/// A publish on its way to the disk.
pub type PublishTicket = crate::spool::AppendTicket;
