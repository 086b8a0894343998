//! Append, sync, read back and prune opaque frames by LSN.
//!
//! One database's spool is a folder of segment files, each a plain run of RedDB v3 frames
//! (`docs/format.md`), with a manifest beside them. One writer thread decides LSN, file order and
//! index together; readers see a transaction only after its last sync. A failed write or sync
//! stops the writer for good. The payload is opaque here but for one question, asked through
//! [`BoundaryFn`]: where in its transaction does this frame stand?
//!
//! It does not know slots, change records or subscribers.
//!
//! ```text
//! append -> queue -> appender (lsn_rule, group) -> disk -> ring, shelf, head -> reader
//! open   -> recovery (manifest, files, scan, torn; salvage on request)
//! ```

mod advance;
mod age;
mod appender;
mod block;
pub mod check;
mod error;
mod files;
pub mod frame;
mod group;
mod handle;
mod head;
mod index;
mod lsn_rule;
mod manifest;
mod options;
mod order;
mod pace;
mod prune;
mod queue;
mod reader;
mod recovery;
pub mod reddb_file;
pub mod repair;
mod ring;
mod salvage;
pub(crate) mod scan;
mod sealing;
pub(crate) mod segment;
mod shared;
mod shelf;
mod streaming;
mod ticket;
pub(crate) mod torn;
mod unit;
mod wake;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use error::{AppendError, OpenError, ReadError, WriterFailure};
pub use handle::{SegmentInfo, Spool, SpoolState};
pub use head::HeadWait;
pub use lsn_rule::{least_step, local_end, own_lsn, own_lsn_before};
#[cfg(any(test, fuzzing))]
pub(crate) use manifest::fuzz_manifest;
pub use manifest::{
    ActiveEntry, DurablePoint, IdleStretch, MANIFEST_FILE, Manifest, SEGMENT_FOLDER, SegmentEntry,
    read_manifest, segment_folder,
};
pub use options::{NewSpool, RecoveryMode, RecoveryReport, SpoolOptions, TornTail};
pub use prune::{ActiveSegment, PruneOutcome};
pub use reader::{Cursor, MemoryRead};
pub use ticket::{AppendTicket, Appended, Probe, Progress};
pub use unit::{
    Boundary, BoundaryFn, Draft, DraftSource, Drafts, End, Frame, Stamp, StreamedUnit, Unit,
};

pub(crate) use sealing::give_back_space;

use crate::lsn::Lsn;

/// The largest payload, inclusive, on both the writing and the reading side: 256 MiB.
pub const MAX_PAYLOAD: usize = 256 << 20;
/// Where the LSNs of a new database begin.
pub const FIRST_LSN: Lsn = Lsn::new(0x100_0000);
/// The least distance between two transaction ends that can be served over the wire.
pub const MIN_LSN_STEP: u64 = 64;

/// A good value for [`SpoolOptions::zeros_ahead`].
pub const ZEROS_AHEAD: usize = 1 << 20;

/// Locks what no panic can leave half-changed: all our critical sections are plain assignments.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A length as it is counted in files.
fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
