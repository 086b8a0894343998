//! The only door to the file system.
//!
//! Everything that pgspool keeps goes through [`Disk`] and [`DiskFile`]: [`RealDisk`] in
//! production, [`FakeDisk`] where a test needs torn writes, lost syncs, ENOSPC or EIO.
//!
//! The contract is POSIX's, said plainly: written bytes survive a crash only after
//! [`DiskFile::sync`] returned; a created, renamed or removed name survives only after
//! [`Disk::sync_dir`] of its directory returned. A failed sync must never be retried: what it
//! was to make durable is in an unknown state. An open file stays readable after its name is
//! removed.
//!
//! That is about data whose fate is unknown. [`replace_file`] writes a new file under a name that
//! nobody relies on: when that fails, the new file is thrown away whole, and the old one stands as
//! it did before. Whoever comes later writes another new file; nothing is retried. Only from the
//! rename on is the outcome unknown, and then the caller never tries again. [`ReplaceError`] says
//! which of the two it was.

mod fake;
mod real;
mod reserve;
mod vouched;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use fake::{FakeCounters, FakeDisk, FakeError, FakeOp};
pub use real::{DirLock, RealDisk};

pub(crate) use reserve::{RESERVE_BYTES, give_up_reserve, keep_reserve};
pub(crate) use vouched::{vouch, vouched};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reading only.
    Read,
    /// Existing file, reading and writing.
    Write,
    /// New file, reading and writing; fails with `AlreadyExists` when the name is taken.
    CreateNew,
}

/// A file system, real or fake. All paths are as the caller gives them.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Creates `dir` and its missing parents, each synced into its parent.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// The names in `dir` (files and directories), sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Whether something has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Opens or creates a file. A created name is durable only after `sync_dir`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames over whatever has the name `to`. Durable only after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name. Durable only after `sync_dir`; open handles go on reading.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
    /// Makes created, renamed and removed names of `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Keeps `dir` to the caller while the lock lives; `WouldBlock` when somebody else has it. A
    /// disk of one user locks nothing.
    fn lock_dir(&self, _dir: &Path) -> io::Result<Option<DirLock>> {
        Ok(None)
    }
    /// Bytes that files in `dir` may still take; without bound where a disk does not know.
    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
    /// Bytes of the file system that `dir` is on, taken or not.
    fn total_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// An open file. Positions are explicit; there is no cursor.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Reads at most `buf.len()` bytes at `offset`; 0 means end of file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`, or fails having written some prefix of it.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written so far durable, with the length (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends (with zeros) the file. Durable after `sync`.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buf` from `offset` as far as the file reaches; returns the bytes read.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
            match self.read_at(rest, at) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

/// How a file could not be replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The new file was never given the name: the old one stands, durable as it was. Another new
    /// one may be written later.
    #[error(transparent)]
    OldStands(io::Error),
    /// The rename, or making it durable, failed: nobody knows which of the two a crash leaves.
    /// Never to be tried again.
    #[error(transparent)]
    Unknown(io::Error),
}

impl From<ReplaceError> for io::Error {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::OldStands(error) | ReplaceError::Unknown(error) => error,
        }
    }
}

/// Replaces the file `path` with `bytes`, all or nothing: temporary file beside it, sync, rename,
/// directory sync. Where there is no space for the temporary file, the folder's reserve is given
/// up for it. The error says whether the old file is known to stand; then the temporary one is
/// removed, or by the next try at the latest.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temp = dir.join(name);
    let written = match write_new(disk, &temp, bytes) {
        Err(e) if e.kind() == io::ErrorKind::StorageFull => match give_up_reserve(disk, dir) {
            Ok(true) => write_new(disk, &temp, bytes),
            Ok(false) | Err(_) => Err(e),
        },
        written => written,
    };
    if let Err(error) = written {
        // What was written of it is thrown away whole; nothing of it was relied on. Where even
        // that fails, the next try removes it.
        drop(disk.remove(&temp));
        return Err(ReplaceError::OldStands(error));
    }
    let renamed = disk.rename(&temp, path).and_then(|()| disk.sync_dir(dir));
    renamed.map_err(ReplaceError::Unknown)
}

/// Writes a file anew, under a name that nobody relies on.
fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if disk.exists(path)? {
        disk.remove(path)?;
    }
    let file = disk.open(path, OpenMode::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    file.sync()
}
