//! The segments in order, as readers see them.
//!
//! One lock covers the list, the pruned-through position and the opening of a file, so that a
//! reader either has its segment pinned or is told that it is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::error::ReadError;
use super::lock;
use super::segment::Segment;
use crate::disk::{Disk, DiskFile};
use crate::lsn::Lsn;

/// All segments of a spool.
#[derive(Debug)]
pub(super) struct Shelf {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    removed_through: Lsn,
    /// Oldest first; the last one is active. Never empty.
    segments: VecDeque<Arc<Segment>>,
}

/// A segment held open: pruning does not take its data away.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Shelf {
    pub(super) fn new(removed_through: Lsn, segments: VecDeque<Arc<Segment>>) -> Self {
        Self {
            state: Mutex::new(State {
                removed_through,
                segments,
            }),
        }
    }

    /// Everything at or below this is gone.
    pub(super) fn removed_through(&self) -> Lsn {
        lock(&self.state).removed_through
    }

    /// All segments, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Segment>> {
        lock(&self.state).segments.iter().map(Arc::clone).collect()
    }

    /// End LSN of the oldest readable transaction.
    pub(super) fn oldest_lsn(&self) -> Option<Lsn> {
        let oldest = lock(&self.state).segments.front().map(|s| s.extent());
        oldest.and_then(|extent| (extent.frames > 0).then_some(extent.first_lsn))
    }

    /// Whether the segment is still listed.
    pub(super) fn holds(&self, segment: &Arc<Segment>) -> bool {
        let state = lock(&self.state);
        state.segments.iter().any(|held| Arc::ptr_eq(held, segment))
    }

    /// Pins the segment that holds the first transaction ending above `since`.
    pub(super) fn pin_after(&self, disk: &dyn Disk, since: Lsn) -> Result<Pinned, ReadError> {
        let state = lock(&self.state);
        if since < state.removed_through {
            return Err(ReadError::Removed {
                since,
                removed_through: state.removed_through,
            });
        }
        // Bases rise; the first transaction above `since` is in the last segment whose base is at
        // or below it, or, when that one ends at or below `since`, in the next.
        let after = state.segments.partition_point(|s| s.base <= since);
        let at = match after.checked_sub(1).and_then(|i| state.segments.get(i)) {
            Some(candidate) => {
                let extent = candidate.extent();
                if extent.sealed && extent.last_lsn <= since {
                    after
                } else {
                    after - 1
                }
            }
            None => 0,
        };
        let segment = state.segments.get(at).or_else(|| state.segments.back());
        let segment = Arc::clone(segment.ok_or_else(no_segments)?);
        let file = segment.open(disk).map_err(ReadError::io(&segment.name))?;
        Ok(Pinned { segment, file })
    }

    /// Puts a new active segment behind the one that was sealed.
    pub(super) fn push_active(&self, segment: Arc<Segment>) {
        lock(&self.state).segments.push_back(segment);
    }

    /// Takes the oldest `count` segments off; everything through `removed_through` is gone then.
    pub(super) fn remove_oldest(&self, count: usize, removed_through: Lsn) {
        let mut state = lock(&self.state);
        let count = count.min(state.segments.len().saturating_sub(1));
        state.segments.drain(..count);
        state.removed_through = state.removed_through.max(removed_through);
    }
}

fn no_segments() -> ReadError {
    ReadError::Io {
        segment: String::new(),
        error: "the spool has no segments".to_owned(),
    }
}
