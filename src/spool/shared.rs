//! What the handle, the readers and the writer of one spool share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::error::{AppendError, WriterFailure};
use super::head::Head;
use super::lock;
use super::queue::Queue;
use super::recovery::Place;
use super::ring::Ring;
use super::segment::{Extent, Segment};
use super::shelf::Shelf;
use super::ticket::Gate;
use super::unit::{BoundaryFn, Frame};
use crate::lsn::Lsn;
use crate::metrics::SyncCounters;

/// Shared by handle, readers and writer.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) boundary: BoundaryFn,
    pub(super) queue: Queue,
    pub(super) gate: Arc<Gate>,
    pub(super) head: Arc<Head>,
    pub(super) ring: Mutex<Ring>,
    pub(super) shelf: Shelf,
    pub(super) rebuilding_index: Mutex<()>,
    pub(super) failure: OnceLock<Arc<WriterFailure>>,
    pub(super) system_id: AtomicU64,
    pub(super) imported_through: Lsn,
    pub(super) term: AtomicU64,
    pub(super) durable_point: AtomicU64,
    pub(super) num_syncs: AtomicU64,
    pub(super) num_appended: AtomicU64,
    pub(super) syncs: SyncCounters,
}

/// Transactions that were synced, for the ring.
#[derive(Debug)]
pub(super) enum Newest {
    /// All their frames.
    Frames(Vec<Frame>),
    /// Among them was one too large for the ring.
    TooLarge,
}

impl Shared {
    /// Shows synced transactions up to the end of `extent` to everybody, in one step: whoever
    /// sees the new head finds the data in ring or file, and nobody sees data above the head.
    pub(super) fn publish(&self, segment: &Segment, extent: Extent, newest: Newest) {
        let head = extent.last_lsn;
        {
            let mut published = lock(&segment.extent);
            let mut ring = lock(&self.ring);
            *published = extent;
            match newest {
                Newest::Frames(frames) => ring.push(frames, head),
                Newest::TooLarge => ring.skip_to(head),
            }
            self.head.store(head);
        }
        self.head.wake_passed();
    }

    /// Shows a head that was moved without a frame.
    pub(super) fn advance(&self, head: Lsn) {
        {
            let mut ring = lock(&self.ring);
            ring.advance(head);
            self.head.store(head);
        }
        self.head.wake_passed();
    }

    /// Why nothing can be appended any more.
    pub(super) fn refusal(&self) -> AppendError {
        match self.failure.get() {
            Some(failure) => AppendError::Stopped(Arc::clone(failure)),
            None => AppendError::Closed,
        }
    }

    /// Position up to which the manifest vouches for the data.
    pub(super) fn durable_point(&self) -> Lsn {
        Lsn::new(self.durable_point.load(Ordering::Acquire))
    }
}
