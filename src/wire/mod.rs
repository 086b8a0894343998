//! The replication dialect as values and state machines: no socket, no clock.
//!
//! Replication commands, standby messages, XLogData and keepalives, and [`StreamSession`], which
//! turns them into what a walsender must do next. It knows no slot, no spool and no SQLSTATE.

mod command;
pub mod frames;
mod lexer;
mod out_queue;
mod parser;
mod session;
mod slot_options;
mod standby;

pub use command::{
    CommandError, CommandErrorKind, CommandOption, ReplicationCommand, SnapshotAction,
};
pub use out_queue::OutQueue;
pub use session::{Progress, StreamEnd, StreamSession, StreamState};
pub use standby::{StandbyMessage, StandbyMessageError};
