//! How far a follower has applied without a gap, and waiting for it.
//!
//! The *received* frontier may run ahead of a gap; only the contiguous applied position releases
//! a causal read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lsn::Lsn;

use super::bookmark::{Bookmark, BookmarkError};
use super::waits::{WaitCell, WaitQueue};

/// What follows was not received: applying it would leave a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("transaction {next} follows {after}, but only {applied} is applied")]
pub struct Gap {
    /// Applied without a gap.
    pub applied: Lsn,
    /// What the refused transaction follows.
    pub after: Lsn,
    /// Its end.
    pub next: Lsn,
}

/// Applied and received positions of a follower. Clones share them.
#[derive(Debug, Clone)]
pub struct AppliedTracker {
    shared: Arc<Mutex<Tracked>>,
}

#[derive(Debug)]
struct Tracked {
    applied: Bookmark,
    received: Lsn,
    waits: WaitQueue<()>,
}

impl AppliedTracker {
    /// A follower that has everything through `applied`.
    pub fn starting_at(applied: Bookmark) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Tracked {
                applied,
                received: applied.commit_lsn,
                waits: WaitQueue::default(),
            })),
        }
    }

    /// Notes that the transaction `next`, which directly follows `after`, was received, and
    /// applied if it closes up. Repeats are harmless; after a gap nothing is applied.
    pub fn apply(&self, after: Lsn, next: Bookmark) -> Result<(), Gap> {
        let mut tracked = self.lock();
        tracked.received = tracked.received.max(next.commit_lsn);
        let applied = tracked.applied.commit_lsn;
        if after > applied {
            return Err(Gap {
                applied,
                after,
                next: next.commit_lsn,
            });
        }
        if next.commit_lsn > applied {
            tracked.applied = next;
            for cell in tracked.waits.take_through(next.commit_lsn) {
                cell.fire(());
            }
        }
        Ok(())
    }

    /// The end of what is applied without a gap.
    pub fn applied(&self) -> Bookmark {
        self.lock().applied
    }

    /// The highest end received.
    pub fn received(&self) -> Lsn {
        self.lock().received
    }

    /// Blocks at most `timeout` until the bookmark's write is applied. Not for async tasks.
    pub fn wait_blocking(&self, target: Bookmark, timeout: Duration) -> Result<(), BookmarkError> {
        let cell = Arc::new(WaitCell::default());
        let key = {
            let mut tracked = self.lock();
            if target.is_reached(tracked.applied)? {
                return Ok(());
            }
            tracked.waits.insert(target.commit_lsn, Arc::clone(&cell))
        };
        cell.block(Some(timeout));
        let mut tracked = self.lock();
        tracked.waits.remove(key);
        let applied = tracked.applied;
        if target.is_reached(applied)? {
            Ok(())
        } else {
            Err(BookmarkError::Timeout { target, applied })
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tracked> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
