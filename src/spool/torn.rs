//! Setting aside what recovery cuts off. Nothing is ever thrown away, nor overwritten.

use std::io;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::options::TornTail;
use super::scan::{Fault, read_exactly};
use crate::disk::{Disk, DiskFile, OpenMode};

/// How much is copied at once.
const COPY_BLOCK: u64 = 1 << 20;

/// Moves the bytes of segment `name` from `cut` on into a side file, durably, then cuts the
/// segment there, durably. `None` when there is nothing behind the cut.
pub(crate) fn cut(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    file: &dyn DiskFile,
    cut: u64,
    fault: &Fault,
) -> Result<Option<TornTail>, OpenError> {
    let action = |what: &str| OpenError::io(format!("{what} {}", folder.join(name).display()));
    let len = file.len().map_err(action("measure"))?;
    if len <= cut {
        return Ok(None);
    }
    let kept_in =
        copy_aside(disk, folder, name, file, cut, len).map_err(action("set aside the end of"))?;
    file.set_len(cut).map_err(action("cut"))?;
    file.sync().map_err(action("sync"))?;
    Ok(Some(TornTail {
        segment: name.to_owned(),
        offset: cut,
        bytes: len - cut,
        kept_in,
        reason: format!("{} at offset {}", fault.reason, fault.offset),
    }))
}

/// Renames the whole segment `name` to a side file. The caller syncs the folder.
pub(crate) fn set_aside(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let side = free_name(disk, folder, name)?;
    disk.rename(&folder.join(name), &side)?;
    Ok(side)
}

fn copy_aside(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    file: &dyn DiskFile,
    from: u64,
    len: u64,
) -> io::Result<PathBuf> {
    let path = free_name(disk, folder, name)?;
    let side = disk.open(&path, OpenMode::CreateNew)?;
    let mut at = from;
    while at < len {
        let bytes = read_exactly(file, at, COPY_BLOCK.min(len - at))?;
        if bytes.is_empty() {
            break;
        }
        side.write_all_at(&bytes, at - from)?;
        at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }
    side.sync()?;
    disk.sync_dir(folder)?;
    Ok(path)
}

/// `<name>.torn`, or the first `<name>.torn.<n>` that is free.
fn free_name(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let first = folder.join(format!("{name}.torn"));
    if !disk.exists(&first)? {
        return Ok(first);
    }
    let mut number = 1_u64;
    loop {
        let path = folder.join(format!("{name}.torn.{number}"));
        if !disk.exists(&path)? {
            return Ok(path);
        }
        number += 1;
    }
}
