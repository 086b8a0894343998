//! How much of the file system stays free for slots, manifests and other programs: below that
//! floor nothing is published, while reading and slots go on.
//!
//! A publish asks before its records are queued. A look at the file system counts for
//! [`LOOK_EVERY`] bytes and [`LOOK_AGAIN`], and what is queued or promised counts as written, so
//! the floor is reached from above and never by a failed write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::PublishError;
use super::scratch::size;
use crate::clock::Moment;
use crate::disk::{Disk, RESERVE_BYTES, give_up_reserve, keep_reserve};

/// Bytes that are published at most between two looks at the file system.
const LOOK_EVERY: u64 = 1 << 20;

/// How long a look at the file system counts: others may fill it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the writer may hold of a file beside what is queued: unsynced bytes, zeros ahead of them,
/// an index, a manifest.
const SLACK: u64 = 8 << 20;

/// How long the file system may take to give back what was removed.
const SETTLING: Duration = Duration::from_secs(5);

/// The floor where nobody says another.
const AUTO_BYTES: u64 = 1 << 30;
const AUTO_PERCENT: u8 = 5;

/// `disk_floor`: what stays free of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskFloor {
    /// 1 GB or 5 % of the file system, whichever is less.
    #[default]
    Auto,
    /// So many bytes; 0 is off.
    Bytes(u64),
    /// So many hundredths of the file system; 0 is off.
    Percent(u8),
}

impl DiskFloor {
    /// No floor.
    pub const OFF: Self = Self::Bytes(0);

    /// The floor on a file system of `total` bytes; 0 is off.
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Auto => AUTO_BYTES.min(percent(total, AUTO_PERCENT)),
            Self::Bytes(bytes) => bytes,
            Self::Percent(hundredths) => percent(total, hundredths),
        }
    }
}

fn percent(total: u64, hundredths: u8) -> u64 {
    (total / 100).saturating_mul(u64::from(hundredths))
}

/// `disk_floor_action`: what is done below the floor, beside refusing publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskFloorAction {
    /// Nothing.
    #[default]
    Refuse,
    /// Slots that nobody uses are invalidated, the one furthest behind first, until there is
    /// space again.
    Invalidate,
}

/// The file system as it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes that stay free; 0: no floor.
    pub floor: u64,
}

impl DiskSpace {
    /// Whether publishes are refused.
    pub const fn is_full(&self) -> bool {
        self.missing() > 0
    }

    /// Bytes that have to become free before anything is published again.
    pub const fn missing(&self) -> u64 {
        if self.floor == 0 {
            return 0;
        }
        let wanted = self.floor.saturating_add(SLACK + LOOK_EVERY);
        wanted.saturating_sub(self.free)
    }

    /// Bytes that may be published when `taken` bytes are on their way already; `None` when
    /// `more` are too many.
    fn room(&self, taken: u64, more: u64) -> Option<u64> {
        if self.floor == 0 {
            return Some(u64::MAX);
        }
        let kept = self.floor.saturating_add(SLACK).saturating_add(taken);
        let left = self.free.checked_sub(kept)?;
        // So a disk that is not full takes whatever is small.
        (left >= more.max(LOOK_EVERY)).then(|| left.saturating_sub(more))
    }
}

/// Watches one database's file system.
#[derive(Debug)]
pub(super) struct Floor {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    state: Mutex<State>,
    promised: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State {
    setting: DiskFloor,
    space: DiskSpace,
    /// Bytes that may be published before the next look, and until when.
    room: (u64, Option<Instant>),
    /// Until then (steady time) more may become free than is yet.
    settling_until: Duration,
}

impl State {
    /// Whether `more` bytes are within what the last look allowed; takes them.
    fn take(&mut self, more: u64, now: Instant) -> bool {
        let (room, until) = self.room;
        let left = room.checked_sub(more.max(1));
        let left = left.filter(|_| until.is_some_and(|until| now < until));
        self.room.0 = left.unwrap_or(room);
        left.is_some()
    }
}

impl Floor {
    /// Begins to watch the file system that `dir` is on.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: PathBuf, setting: DiskFloor) -> Self {
        let space = DiskSpace {
            free: u64::MAX,
            floor: 0,
        };
        let floor = Self {
            disk,
            dir,
            state: Mutex::new(State {
                setting,
                space,
                room: (0, None),
                settling_until: Duration::ZERO,
            }),
            promised: Arc::default(),
        };
        floor.look();
        floor
    }

    /// Changes the floor.
    pub(super) fn set(&self, setting: DiskFloor) {
        self.state().setting = setting;
        self.look();
    }

    /// The file system as it was last looked at.
    pub(super) fn space(&self) -> DiskSpace {
        self.state().space
    }

    /// Looks at the file system, and has the next publish look again. Blocking.
    pub(super) fn look(&self) -> DiskSpace {
        let free = self.disk.free_bytes(&self.dir);
        let total = self.disk.total_bytes(&self.dir);
        let mut state = self.state();
        state.room = (0, None);
        // A file system that does not tell has no floor; what was seen before stands.
        if let (Ok(free), Ok(total)) = (free, total) {
            let floor = state.setting.bytes(total);
            state.space = DiskSpace { free, floor };
        }
        state.space
    }

    /// Looks at the file system, and keeps or gives up the reserve for small files. Blocking.
    pub(super) fn tick(&self) -> DiskSpace {
        let space = self.look();
        if space.floor > 0 && space.free < u64::MAX {
            if space.is_full() {
                return space;
            }
            // Without a reserve a full disk is met by the floor alone.
            drop(keep_reserve(&*self.disk, &self.dir));
        } else {
            drop(give_up_reserve(&*self.disk, &self.dir));
        }
        space
    }

    /// Whether `more` bytes may be published while `queued` wait to be written. May look at the
    /// file system.
    pub(super) fn admit(&self, more: u64, queued: impl Fn() -> u64) -> Result<(), PublishError> {
        if self.state().take(more, Instant::now()) {
            return Ok(());
        }
        let space = self.look();
        let promised = self.promised.load(Ordering::Relaxed);
        let Some(room) = space.room(queued().saturating_add(promised), more) else {
            let DiskSpace { free, floor } = space;
            return Err(PublishError::DiskFull { free, floor });
        };
        let until = Instant::now().checked_add(LOOK_AGAIN);
        self.state().room = (room.min(LOOK_EVERY), until);
        Ok(())
    }

    /// Files were removed now.
    pub(super) fn note_freed(&self, now: Moment) {
        self.state().settling_until = now.steady.saturating_add(SETTLING);
    }

    /// Whether more may become free by itself.
    pub(super) fn is_settling(&self, now: Moment) -> bool {
        now.steady < self.state().settling_until
    }

    /// Counts bytes as taken that are written later.
    pub(super) fn promise(&self, bytes: u64) -> Promise {
        self.promised.fetch_add(bytes, Ordering::Relaxed);
        Promise {
            promised: Arc::clone(&self.promised),
            left: bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up the reserve of a database that is about to be opened on a full disk: recovery has to
/// write a little. Blocking.
pub(super) fn make_room(disk: &dyn Disk, dir: &Path) {
    // A disk that tells nothing here will tell what opens the files.
    if disk
        .free_bytes(dir)
        .is_ok_and(|free| free < size(RESERVE_BYTES))
    {
        drop(give_up_reserve(disk, dir));
    }
}

/// Bytes that are written later; those that are left are given back when it is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    promised: Arc<AtomicU64>,
    left: u64,
}

impl Promise {
    /// So many of them are on their way to the file.
    pub(super) fn keep(&mut self, bytes: u64) {
        let kept = bytes.min(self.left);
        self.left -= kept;
        self.promised.fetch_sub(kept, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.promised.fetch_sub(self.left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FakeDisk;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn the_default_floor_is_a_gigabyte_and_less_on_small_disks() {
        for (setting, total, floor) in [
            (DiskFloor::Auto, 100 * GIB, GIB),
            (DiskFloor::Auto, 100 * MIB, 5 * MIB),
            (DiskFloor::Auto, u64::MAX, GIB),
            (DiskFloor::Bytes(7), 100 * GIB, 7),
            (DiskFloor::Percent(10), 100 * GIB, 10 * GIB),
            (DiskFloor::Percent(0), 100 * GIB, 0),
            (DiskFloor::OFF, 100 * GIB, 0),
        ] {
            assert_eq!(setting.bytes(total), floor, "{setting:?} {total}");
        }
    }

    #[test]
    fn what_is_queued_counts_as_written() {
        let slack = SLACK;
        for (free, floor, taken, more, room) in [
            (100 * MIB, 10 * MIB, 0, 0, Some(90 * MIB - slack)),
            (100 * MIB, 10 * MIB, 80 * MIB, 2 * MIB, Some(0)),
            (100 * MIB, 10 * MIB, 80 * MIB, 2 * MIB + 1, None),
            (100 * MIB, 10 * MIB, 81 * MIB, 0, Some(MIB)),
            (100 * MIB, 10 * MIB, 81 * MIB + 1, 0, None),
            (100 * MIB, 10 * MIB, 200 * MIB, 0, None),
            (0, 0, 200 * MIB, 5, Some(u64::MAX)),
        ] {
            let space = DiskSpace { free, floor };
            assert_eq!(space.room(taken, more), room, "{space:?} {taken} {more}");
        }
        let space = DiskSpace {
            free: 10 * MIB,
            floor: 4 * MIB,
        };
        assert_eq!(space.missing(), 3 * MIB);
        assert!(space.is_full());
    }

    #[test]
    fn a_full_disk_is_seen_after_a_megabyte_and_space_at_once() {
        let disk = FakeDisk::default();
        disk.set_free_bytes(Some(100 * MIB));
        let fresh = Floor::open(
            Arc::new(disk.clone()),
            Path::new("/data").to_owned(),
            DiskFloor::Bytes(50 * MIB),
        );
        let admit = |more: u64| fresh.admit(more, || 0);
        admit(1).unwrap();
        disk.set_free_bytes(Some(20 * MIB));
        // Who comes with no more than a megabyte within 10 ms may be let through.
        let refused = admit(MIB + 1).unwrap_err();
        assert!(matches!(refused, PublishError::DiskFull { .. }));
        assert!(admit(0).is_err(), "a refusal leaves no room");
        assert!(fresh.space().is_full());
        disk.set_free_bytes(Some(100 * MIB));
        admit(1).unwrap();
        let promise = fresh.promise(41 * MIB);
        assert!(admit(2 * MIB).is_err());
        drop(promise);
        admit(2 * MIB).unwrap();
    }
}
