//! When the fake disk fails, and what it counts.
//!
//! Pure book-keeping: it decides whether the next operation fails, it does not perform any.

use std::io;

/// The kinds of operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeOp {
    /// Writing bytes into a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Cutting or extending a file.
    SetLen,
    /// Creating a file or a directory.
    Create,
    /// Renaming a file.
    Rename,
    /// Removing a file's name.
    Remove,
    /// Syncing a directory.
    SyncDir,
    /// Opening or reading a file, listing a directory.
    Read,
}

/// How a demanded failure looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeError {
    /// `ENOSPC`.
    NoSpace,
    /// `EIO`.
    Io,
}

impl FakeError {
    fn error(self) -> io::Error {
        match self {
            Self::NoSpace => io::Error::from_raw_os_error(28),
            Self::Io => io::Error::from_raw_os_error(5),
        }
    }
}

/// What was asked of the disk since it was made (a crash starts anew).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FakeCounters {
    /// Writes into files, failed ones too.
    pub writes: u64,
    /// Bytes that these writes brought.
    pub bytes_written: u64,
    /// Syncs of files, failed ones too.
    pub syncs: u64,
    /// Everything that changes or syncs something: the steps that
    /// [`super::FakeDisk::crash_after`] counts.
    pub steps: u64,
    /// Reads of files.
    pub reads: u64,
    /// Bytes that these reads gave.
    pub bytes_read: u64,
    /// Bytes that were ever written to one file and not yet synced.
    pub max_unsynced_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Demand {
    op: FakeOp,
    /// Operations of this kind that still succeed.
    after: u64,
    error: FakeError,
    /// Every later one fails too.
    lasting: bool,
}

/// The failures asked for, and the counters.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) counters: FakeCounters,
    demands: Vec<Demand>,
    /// Steps until every operation fails.
    steps_left: Option<u64>,
    read_only: bool,
    crashed: bool,
}

impl Faults {
    pub(super) fn demand(&mut self, op: FakeOp, nth: u64, error: FakeError, lasting: bool) {
        self.demands.push(Demand {
            op,
            after: nth.saturating_sub(1),
            error,
            lasting,
        });
    }

    pub(super) fn clear(&mut self) {
        self.demands.clear();
        self.steps_left = None;
    }

    pub(super) fn crash_after(&mut self, steps: u64) {
        self.steps_left = Some(steps);
    }

    pub(super) fn set_read_only(&mut self, read_only: bool) {
        self.read_only = read_only;
    }

    pub(super) fn mark_crashed(&mut self) {
        self.crashed = true;
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.crashed
    }

    pub(super) fn count_read(&mut self, len: usize) {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.counters.bytes_read = self.counters.bytes_read.saturating_add(len);
    }

    /// Counts the operation and says how it fails, if it does.
    pub(super) fn admit(&mut self, op: FakeOp) -> io::Result<()> {
        if self.crashed {
            return Err(crashed());
        }
        if op == FakeOp::Read {
            self.counters.reads += 1;
        } else {
            self.admit_step(op)?;
        }
        let mut failure = None;
        self.demands.retain_mut(|demand| {
            if demand.op != op {
                return true;
            }
            if demand.after > 0 {
                demand.after -= 1;
                return true;
            }
            failure = Some(demand.error);
            demand.lasting
        });
        failure.map_or(Ok(()), |failure| Err(failure.error()))
    }

    fn admit_step(&mut self, op: FakeOp) -> io::Result<()> {
        if self.read_only {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        if let Some(left) = &mut self.steps_left {
            if *left == 0 {
                self.crashed = true;
                return Err(crashed());
            }
            *left -= 1;
        }
        self.counters.steps += 1;
        match op {
            FakeOp::Write => self.counters.writes += 1,
            FakeOp::Sync => self.counters.syncs += 1,
            FakeOp::SetLen
            | FakeOp::Create
            | FakeOp::Rename
            | FakeOp::Remove
            | FakeOp::SyncDir
            | FakeOp::Read => {}
        }
        Ok(())
    }
}

fn crashed() -> io::Error {
    io::Error::other("the fake disk has crashed")
}

/// Random numbers that a seed repeats (splitmix64).
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end` (0 when `end` is 0).
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// True `percent` times out of a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
