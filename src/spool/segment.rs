//! One segment: its file's name, how much of it is published, and its open handle.
//!
//! Readers and the writer share a [`Segment`]. What is in it is a plain run of v3 frames; what
//! may be read of it is its [`Extent`], which grows only after a sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::index::Entry;
use super::lock;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lsn::Lsn;

/// Extension of segment files.
const SEGMENT_SUFFIX: &str = ".rdlw";
/// Extension of index files.
const INDEX_SUFFIX: &str = ".idx";

/// File name of the segment whose transactions all end above `base`.
pub(crate) fn file_name(base: Lsn) -> String {
    format!("{:016x}{SEGMENT_SUFFIX}", base.get())
}

/// The base that a segment file name carries; `None` when it is not a segment's name.
pub(crate) fn base_of(name: &str) -> Option<Lsn> {
    number_of(name.strip_suffix(SEGMENT_SUFFIX)?)
}

/// File name of the index beside the segment `name`.
pub(crate) fn index_name(name: &str) -> String {
    let stem = name.strip_suffix(SEGMENT_SUFFIX).unwrap_or(name);
    format!("{stem}{INDEX_SUFFIX}")
}

/// The segment an index file name belongs to; `None` when it is not an index's name.
pub(crate) fn segment_of_index(name: &str) -> Option<String> {
    let base = number_of(name.strip_suffix(INDEX_SUFFIX)?)?;
    Some(file_name(base))
}

fn number_of(digits: &str) -> Option<Lsn> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.len() != 16 || !digits.bytes().all(lower) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(Lsn::new)
}

/// What may be read of a segment: whole, synced transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// End LSN of the first transaction (zero when empty).
    pub(crate) first_lsn: Lsn,
    /// End LSN of the last transaction (zero when empty).
    pub(crate) last_lsn: Lsn,
    /// Bytes.
    pub(crate) bytes: u64,
    /// Frames.
    pub(crate) frames: u64,
    /// Commit time of the first transaction.
    pub(crate) first_timestamp_ms: u64,
    /// Latest commit time in it.
    pub(crate) max_timestamp_ms: u64,
    /// No more will be added.
    pub(crate) sealed: bool,
}

impl Extent {
    /// Adds one whole transaction.
    pub(crate) fn add(&mut self, lsn: Lsn, timestamp_ms: u64, frames: u64, bytes: u64) {
        if self.frames == 0 {
            self.first_lsn = lsn;
            self.first_timestamp_ms = timestamp_ms;
        }
        self.last_lsn = lsn;
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        self.frames = self.frames.saturating_add(frames);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Where the index of a segment is.
#[derive(Debug)]
pub(super) enum IndexPlace {
    /// In memory, growing (the active segment).
    Live(Vec<Entry>),
    /// In the file beside the segment.
    OnDisk,
}

/// One segment, shared by the writer and the readers in it.
#[derive(Debug)]
pub(super) struct Segment {
    /// File name.
    pub(super) name: String,
    /// Every transaction in it ends above this.
    pub(super) base: Lsn,
    /// What may be read of it.
    pub(super) extent: Mutex<Extent>,
    /// Its sparse index.
    pub(super) index: Mutex<IndexPlace>,
    /// CRC-32 of the whole file, known once sealed.
    pub(super) sealed_crc: Mutex<Option<u32>>,
    path: PathBuf,
    handle: Mutex<Weak<dyn DiskFile>>,
}

impl Segment {
    pub(super) fn sealed(folder: &Path, name: String, base: Lsn, extent: Extent, crc: u32) -> Self {
        Self {
            path: folder.join(&name),
            name,
            base,
            extent: Mutex::new(extent),
            index: Mutex::new(IndexPlace::OnDisk),
            sealed_crc: Mutex::new(Some(crc)),
            handle: Mutex::new(Weak::<NoFile>::new()),
        }
    }

    pub(super) fn active(
        folder: &Path,
        base: Lsn,
        extent: Extent,
        index: Vec<Entry>,
        file: &Arc<dyn DiskFile>,
    ) -> Self {
        let name = file_name(base);
        Self {
            path: folder.join(&name),
            name,
            base,
            extent: Mutex::new(extent),
            index: Mutex::new(IndexPlace::Live(index)),
            sealed_crc: Mutex::new(None),
            handle: Mutex::new(Arc::downgrade(file)),
        }
    }

    /// What may be read of it now.
    pub(super) fn extent(&self) -> Extent {
        *lock(&self.extent)
    }

    /// Its open file, shared with whoever else has it open. While the handle lives, pruning does
    /// not take the data away.
    pub(super) fn open(&self, disk: &dyn Disk) -> io::Result<Arc<dyn DiskFile>> {
        let mut handle = lock(&self.handle);
        if let Some(file) = handle.upgrade() {
            return Ok(file);
        }
        let file = disk.open(&self.path, OpenMode::Read)?;
        *handle = Arc::downgrade(&file);
        Ok(file)
    }
}

/// Stands for "no file" in an empty [`Weak`]; never exists.
#[derive(Debug)]
enum NoFile {}

impl DiskFile for NoFile {
    fn read_at(&self, _buf: &mut [u8], _offset: u64) -> io::Result<usize> {
        match *self {}
    }
    fn write_all_at(&self, _buf: &[u8], _offset: u64) -> io::Result<()> {
        match *self {}
    }
    fn sync(&self) -> io::Result<()> {
        match *self {}
    }
    fn set_len(&self, _len: u64) -> io::Result<()> {
        match *self {}
    }
    fn len(&self) -> io::Result<u64> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_base_and_nothing_else_is_a_segment() {
        let name = file_name(Lsn::new(0x100_0040));
        assert_eq!(name, "0000000001000040.rdlw");
        assert_eq!(base_of(&name), Some(Lsn::new(0x100_0040)));
        assert_eq!(index_name(&name), "0000000001000040.idx");
        assert_eq!(segment_of_index("0000000001000040.idx"), Some(name));
        for other in [
            "",
            ".rdlw",
            "1.rdlw",
            "000000000100004G.rdlw",
            "000000000100004A.rdlw",
            "+000000001000040.rdlw",
            "0000000001000040.rdlw.torn",
            "0000000001000040.idx",
        ] {
            assert_eq!(base_of(other), None, "{other:?}");
        }
    }
}
