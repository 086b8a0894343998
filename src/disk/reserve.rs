//! A file of zeros beside the small files of a folder: its space lets them be replaced when
//! somebody else has filled the disk.

use std::io;
use std::path::Path;

use super::{Disk, OpenMode};

/// The reserve's name.
const RESERVE_FILE: &str = "reserve.zeros";

/// Its length: more than the largest of the small files.
pub(crate) const RESERVE_BYTES: usize = 4 << 20;

/// Makes the reserve of `dir` unless it is there. It is never synced: only its space counts.
/// Blocking.
pub(crate) fn keep_reserve(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let path = dir.join(RESERVE_FILE);
    if disk.exists(&path)? {
        return Ok(());
    }
    let file = disk.open(&path, OpenMode::CreateNew)?;
    let written = file.write_all_at(&vec![0; RESERVE_BYTES], 0);
    if written.is_err() {
        // A part of it would be taken for the whole.
        disk.remove(&path)?;
    }
    written
}

/// Removes the reserve of `dir`; false when there was none. Blocking.
pub(crate) fn give_up_reserve(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    let path = dir.join(RESERVE_FILE);
    if !disk.exists(&path)? {
        return Ok(false);
    }
    disk.remove(&path)?;
    Ok(true)
}
