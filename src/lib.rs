//! pgspool: a durable spool of change records with replication slots and a resume planner,
//! behind PostgreSQL's logical replication protocol.
//!
//! # One record out, one acknowledgement back
//!
//! ```text
//! OUT   server/session -> sources/producer (decode) -> engine.publish -> spool/appender (queue)
//!       -> spool/frame (encode, CRC) -> disk (write, one sync for the group) -> flushed head
//!       -> server/stream wakes -> spool cursor (shared bytes) -> change (decode)
//!       -> plugins (render) -> wire/frames (XLogData) -> socket
//! BACK  socket -> wire/frames (StatusUpdate) -> StreamSession -> engine.acknowledge
//!       -> slots (advance, dirty) and replicas (progress) -> quorum.released_lsn
//!       -> waiter wakes -> CommandComplete to the producer
//! LATER retention timer: persist slots -> retention::plan -> persist invalidations -> spool.prune
//! ```
//!
//! The modules stand on floors; a module imports only modules on floors below it
//! (`docs/architecture.md`, kept by `tests/layering.rs`).

pub mod change;
pub mod cli;
pub mod clock;
pub mod disk;
pub mod engine;
pub mod lsn;
pub mod plugins;
pub mod replicas;
pub mod resume;
pub mod server;
pub mod slots;
pub mod sources;
pub mod spool;
pub mod wire;
