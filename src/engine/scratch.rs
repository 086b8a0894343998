//! Temporary files of transactions that are too much for memory.
//!
//! A file's name is removed as soon as it is open: it goes with whoever holds it, however that
//! ends. It may grow as far as `temp_file_limit` and the room on the disk say, and each piece of it
//! reads back as it was written, or not at all.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{EngineOptions, PublishError};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::spool::give_back_space;

/// Where the transactions of a database put what is too much for memory.
#[derive(Debug, Clone)]
pub struct Scratch {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    next: Arc<AtomicU64>,
    /// Most bytes of one file.
    limit: Arc<AtomicU64>,
    /// Bytes that stay free: what the spool needs to go on, or the disk's floor.
    reserve: Arc<AtomicU64>,
}

const SCRATCH_START: &str = "transaction.";
const SCRATCH_END: &str = ".tmp";

impl Scratch {
    /// In the database's folder, after what a crash left there was removed: one for each open
    /// database, cloned. Blocking.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, options: &EngineOptions) -> io::Result<Self> {
        for name in disk.list(&dir)? {
            if name.starts_with(SCRATCH_START) && name.ends_with(SCRATCH_END) {
                disk.remove(&dir.join(name))?;
            }
        }
        Ok(Self {
            disk,
            dir,
            next: Arc::default(),
            limit: Arc::new(AtomicU64::new(options.temp_file_limit.unwrap_or(u64::MAX))),
            reserve: Arc::new(AtomicU64::new(options.reserve())),
        })
    }

    /// Changes the limit, of open transactions too.
    pub(super) fn set_limit(&self, limit: Option<u64>) {
        let limit = limit.unwrap_or(u64::MAX);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Has more bytes stay free than the spool needs, from now on.
    pub(super) fn keep_free(&self, bytes: u64) {
        self.reserve.store(bytes, Ordering::Relaxed);
    }

    /// Whether a file that ends at `end` may get `more` bytes.
    fn admit(&self, end: u64, more: u64) -> Result<(), PublishError> {
        let limit = self.limit.load(Ordering::Relaxed);
        if end.saturating_add(more) > limit {
            return Err(PublishError::TempFileLimit {
                limit_kb: limit >> 10,
            });
        }
        let free = self.disk.free_bytes(&self.dir).map_err(failed("extend"))?;
        let reserve = self.reserve.load(Ordering::Relaxed);
        if free < more.saturating_add(reserve) {
            let words = format!("{free} bytes are free, of which {reserve} are kept for the spool");
            let full = io::Error::new(io::ErrorKind::StorageFull, words);
            return Err(failed("extend")(full));
        }
        Ok(())
    }

    /// A file that nobody else can open.
    fn file(&self) -> io::Result<Spill> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{SCRATCH_START}{n}{SCRATCH_END}"));
        let file = self.disk.open(&path, OpenMode::CreateNew)?;
        self.disk.remove(&path)?;
        Ok(Spill {
            file: Some(file),
            chunks: Vec::new(),
        })
    }
}

/// The part of a transaction that is in a file.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    file: Option<Arc<dyn DiskFile>>,
    pub(crate) chunks: Vec<Chunk>,
}

/// What was written at once, and is read back so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    pub(super) start: u64,
    end: u64,
    crc: u32,
}

impl Spill {
    /// Bytes of it.
    pub(crate) fn end(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.end)
    }

    /// Writes a chunk. Blocking.
    pub(crate) fn append(&mut self, scratch: &Scratch, bytes: &[u8]) -> Result<(), PublishError> {
        scratch.admit(self.end(), size(bytes.len()))?;
        if self.file.is_none() {
            *self = scratch.file().map_err(failed("create"))?;
        }
        let start = self.end();
        if let Some(file) = &self.file {
            file.write_all_at(bytes, start)
                .map_err(failed("write to"))?;
        }
        self.chunks.push(Chunk {
            start,
            end: start.saturating_add(size(bytes.len())),
            crc: crc32fast::hash(bytes),
        });
        Ok(())
    }

    /// The bytes of a chunk as they were written. Blocking.
    pub(crate) fn read(&self, chunk: Chunk) -> io::Result<Vec<u8>> {
        let len = usize::try_from(chunk.end.saturating_sub(chunk.start));
        let mut bytes = vec![0; len.unwrap_or(usize::MAX)];
        let read = match &self.file {
            Some(file) => file.read_full_at(&mut bytes, chunk.start)?,
            None => 0,
        };
        if read < bytes.len() || crc32fast::hash(&bytes) != chunk.crc {
            let words = "it does not read back as it was written";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(bytes)
    }

    /// The chunk that holds the position `at` and does not end there, and how many come before.
    pub(super) fn chunk_at(&self, at: u64) -> (usize, Option<Chunk>) {
        let before = self.chunks.partition_point(|chunk| chunk.end <= at);
        let holds = |chunk: &&Chunk| chunk.start < at;
        (before, self.chunks.get(before).filter(holds).copied())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            give_back_space(vec![file]);
        }
    }
}

/// Names what was tried, for `map_err`.
pub(super) fn failed(action: &'static str) -> impl FnOnce(io::Error) -> PublishError {
    move |error| PublishError::Buffer {
        action,
        kind: error.kind(),
        error: error.to_string(),
    }
}

pub(super) fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
