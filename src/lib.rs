//! pgspool: a durable spool of change records with replication slots and a resume planner,
//! behind PostgreSQL's logical replication protocol.
//!
//! # Publish, subscribe, acknowledge
//!
//! ```
//! use std::sync::Arc;
//!
//! use pgspool::change::{self, ChangeRecord};
//! use pgspool::clock::Moment;
//! use pgspool::disk::RealDisk;
//! use pgspool::engine::{
//!     DEFAULT_DATABASE, Databases, EngineOptions, SlotRequest, SlotStart, Subscriber,
//! };
//! use pgspool::lsn::Lsn;
//! use pgspool::slots::SlotName;
//! use pgspool::wire::Progress;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let data = folder.path();
//! // Nobody else can open the directory while this value and its engines live. All of this
//! // blocks: async code calls it on a blocking thread.
//! let disk = Arc::new(RealDisk);
//! let databases = Databases::open(disk, data, EngineOptions::default(), Moment::now())?;
//! let engine = databases.get(DEFAULT_DATABASE).ok_or("always there")?;
//!
//! // A slot remembers what a subscriber still needs. It starts at the head.
//! let name = SlotName::parse("warehouse")?;
//! let request = SlotRequest {
//!     name: name.clone(),
//!     plugin: "json".to_owned(),
//!     start: SlotStart::Head,
//!     temporary: None,
//!     two_phase: false,
//!     owner: None,
//! };
//! engine.create_slot(request, Moment::now())?;
//!
//! // Each record pushed is a transaction; `push_transaction` makes one of several. When
//! // `publish` returns, all of them are on disk.
//! let mut batch = engine.batch(Moment::now());
//! batch.push(&ChangeRecord::insert("orders", 1).with_entity(br#"{"total":12.5}"#))?;
//! batch.push(&ChangeRecord::delete("orders", 1))?;
//! let published = engine.publish(batch)?;
//! assert_eq!(published.num_transactions, 2);
//!
//! // A stream holds its slot until it is dropped. From 0/0 means: where the slot stands.
//! let who = Subscriber { user: 1.into(), application_name: "example".to_owned(), region: None };
//! let mut stream = engine.subscribe(&name, Lsn::ZERO, &who, Moment::now())?;
//! let mut received = Vec::new();
//! for frame in stream.cursor.read_disk(1 << 20)? {
//!     received.push(change::decode(&frame.payload)?);
//! }
//! assert_eq!(received.len(), 2);
//! assert_eq!(received[1].lsn, published.last_lsn.get());
//!
//! // What was handed on may be confirmed; what is confirmed does not come again, once
//! // `Engine::maintain` (call it every second) or `close` has written it down.
//! let upto = stream.cursor.position();
//! stream.note_sent(upto, Moment::now());
//! let progress = Progress { write: upto, flush: upto, apply: upto };
//! stream.acknowledge(progress, Moment::now())?;
//! drop(stream);
//! assert!(databases.close().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # One record out, one acknowledgement back
//!
//! ```text
//! OUT   server/copy_in -> sources/ndjson (decode a line) -> engine.submit -> spool/appender
//!       (queue) -> spool/frame (encode, CRC) -> disk (write, one sync for the group)
//!       -> flushed head -> server/stream wakes -> fanout (a piece that is there, or one that is
//!       made: spool cursor -> plugins (render) -> wire/frames (XLogData)) -> socket
//! ROWS  plugins/feed -> rows (a record as a change of its table)
//!       -> publications (pgoutput: what is shown of it) -> bytes
//! COPY  server/copy_rows -> sources/copy_rows (text, csv, binary) -> catalog::dml (a record each)
//!       -> the transaction's buffer -> published at its end
//! BACK  socket -> wire/standby (status update) -> StreamSession -> Subscription::acknowledge
//!       -> slots (advance, dirty) and replicas (progress) -> commit waiter wakes
//!       -> CommandComplete to the producer
//! SQL   socket -> server/session -> catalog (parse, bind, SQLite over views of the engine)
//!       -> server/rows (text or binary) -> socket
//! LATER engine.maintain: persist slots -> slots::retention -> persist invalidations -> spool.prune
//! ```
//!
//! The modules stand on floors; a module imports only modules on floors below it
//! (`docs/architecture.md`, kept by `tests/layering.rs`).

pub mod admin;
pub mod capture;
pub mod captures;
mod catalog;
pub mod change;
pub mod cli;
pub mod clock;
pub mod datum;
pub mod disk;
pub mod engine;
mod fanout;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod hba;
pub mod lsn;
pub mod metrics;
mod patterns;
mod pgerror;
pub mod pgoutput;
pub mod plugins;
pub mod publications;
pub mod relations;
pub mod replicas;
pub mod resume;
pub mod roles;
pub mod rows;
pub mod server;
pub mod slots;
pub mod sources;
pub mod spool;
mod units;
pub mod wire;
