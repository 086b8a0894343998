//! Follow an upstream PostgreSQL: its messages into the spool, its definitions into the catalog.
//!
//! ```text
//! upstream (connection: pg_walstream) -> receiver (one task a captured database)
//!    -> assembler (messages -> whole transactions; pure but for files of what is large)
//!    -> engine.store_captured -> spool; flushed -> acknowledged upstream
//!    -> mirror (the upstream's tables and publications -> relations)
//! ```

mod assembler;
mod backoff;
mod check;
mod connect;
mod conninfo;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod mirror;
mod observer;
mod options;
mod receiver;
mod spill;
mod stream;
mod supervisor;
mod upstream;
mod worker;

pub use assembler::{
    AssembleError, Assembled, AssembledKind, Assembler, AssemblerOptions, Described, Taken,
};
pub use check::{CheckRequest, Finding, Verdict, check};
pub use conninfo::{Conninfo, ConninfoError, Target, TargetAttrs};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;
pub use options::CaptureOptions;
pub use receiver::NoContact;
pub use supervisor::{FirstContact, Supervisor};
pub use upstream::UpstreamError;
