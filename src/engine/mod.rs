//! Join spool, slots and replicas into a few verbs per database.
//!
//! [`Databases`] owns the data directory; an [`Engine`] is one database; a [`Subscription`] is one
//! running stream's hold on it. Everything that may touch the disk says "blocking"; async callers
//! use a blocking thread for it. It knows no wire protocol, no plugin and no clock.

mod batch;
mod database;
mod databases;
mod error;
mod options;
mod retention;
mod streams;

pub use batch::Batch;
pub use database::{Engine, EngineSnapshot, SlotRequest, SlotStart};
pub use databases::{DEFAULT_DATABASE, Databases};
pub use error::{
    AcknowledgeError, AdvanceError, CreateSlotError, MaintainError, OpenError, PublishError,
    SubscribeError,
};
pub use options::{EngineOptions, boundary};
pub use retention::RetentionOutcome;
pub use streams::{SlotReader, Subscriber, Subscription};

/// What a publish made durable here.
pub type Published = crate::spool::Appended;

/// A publish on its way to the disk.
pub type PublishTicket = crate::spool::AppendTicket;
