//! Follow an upstream PostgreSQL: its messages into the spool, its definitions into the catalog.
//!
//! ```text
//! upstream (connection: pg_walstream) -> receiver (one task a captured database)
//!    -> assembler (messages -> whole transactions; pure but for files of what is large)
//!    -> engine.store_captured -> spool; flushed -> acknowledged upstream
//!    -> mirror (the upstream's tables and publications -> relations)
//! ```

mod assembler;
mod spill;

pub use assembler::{
    AssembleError, Assembled, AssembledKind, Assembler, AssemblerOptions, Described, Taken,
};
