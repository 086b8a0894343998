//! Cuts a RedDB file back to its valid prefix, keeping what it cuts.

use std::io;
use std::path::{Path, PathBuf};

use super::{RedDbEnd, RedDbError, RedDbReader};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lsn::Lsn;
use crate::spool::RecoveryMode;

/// Copied at a time.
const BLOCK: usize = 1 << 20;

/// What a repair found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedDbRepair {
    /// Frames that stand.
    pub num_frames: u64,
    /// LSN of the last of them, zero when there is none.
    pub head: Lsn,
    /// What was cut off; `None` when the file was clean (and was not written to).
    pub cut: Option<RedDbCut>,
}

/// Bytes that a repair cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedDbCut {
    /// Where.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
    /// What was wrong there.
    pub reason: String,
    /// The new file that holds them.
    pub kept_in: PathBuf,
}

/// Cuts the file at its first byte that is no frame: only a torn end in
/// [`RecoveryMode::FailClosed`], any damage in [`RecoveryMode::LongestValidPrefix`] (RedDB's
/// rule). What is cut is durable in a side file before the cut.
pub fn repair_file(
    disk: &dyn Disk,
    path: &Path,
    mode: RecoveryMode,
) -> Result<RedDbRepair, RedDbError> {
    let io = |action| move |source| RedDbError::Io { action, source };
    let mut reader = RedDbReader::open_or_empty(disk, path).map_err(io("open the file"))?;
    let (mut num_frames, mut head) = (0, Lsn::ZERO);
    while let Some(frame) = reader.next_frame().map_err(io("read the file"))? {
        num_frames += 1;
        head = frame.lsn;
    }
    let end = reader.end().unwrap_or(&RedDbEnd::Clean);
    end.accept(mode)?;
    let cut = match end {
        RedDbEnd::Clean => None,
        RedDbEnd::Torn {
            offset,
            bytes,
            reason,
        }
        | RedDbEnd::Corrupt {
            offset,
            bytes,
            reason,
        } => {
            let kept_in = cut_at(disk, path, *offset).map_err(io("cut the file"))?;
            Some(RedDbCut {
                offset: *offset,
                bytes: *bytes,
                reason: reason.clone(),
                kept_in,
            })
        }
    };
    Ok(RedDbRepair {
        num_frames,
        head,
        cut,
    })
}

/// Moves everything from `offset` on into a new file; returns its path.
pub(in crate::spool) fn cut_at(disk: &dyn Disk, path: &Path, offset: u64) -> io::Result<PathBuf> {
    let file = disk.open(path, OpenMode::Write)?;
    let side = free_name(disk, path)?;
    let kept = disk.open(&side, OpenMode::CreateNew)?;
    copy(&*file, offset, &*kept)?;
    kept.sync()?;
    disk.sync_dir(path.parent().unwrap_or_else(|| Path::new(".")))?;
    file.set_len(offset)?;
    file.sync()?;
    Ok(side)
}

/// A name beside `path` that nothing has: `.torn`, else `.torn.1` and so on.
fn free_name(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let mut number = 0_u32;
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".torn");
        if number > 0 {
            name.push(format!(".{number}"));
        }
        let side = path.with_file_name(name);
        if !disk.exists(&side)? {
            return Ok(side);
        }
        number += 1;
    }
}

fn copy(from: &dyn DiskFile, mut offset: u64, to: &dyn DiskFile) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut written = 0;
    loop {
        let len = from.read_full_at(&mut block, offset)?;
        if len == 0 {
            return Ok(());
        }
        to.write_all_at(block.get(..len).unwrap_or_default(), written)?;
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        offset = offset.saturating_add(len);
        written += len;
    }
}
