//! What the spool's tests have in common: small frames, a real disk, plain verbs.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use pgspool::disk::{Disk, DiskFile, OpenMode, RealDisk};
use pgspool::lsn::Lsn;
use pgspool::spool::{
    Appended, Boundary, Cursor, Draft, Drafts, End, Frame, MemoryRead, NewSpool, OpenError,
    ReadError, RecoveryMode, RecoveryReport, Spool, SpoolOptions, Unit, read_manifest,
};

/// `F` opens a transaction, `M` goes on, `L` ends it; anything else is a whole one.
pub fn boundary(payload: &[u8]) -> Boundary {
    let (first, last) = match payload.first() {
        Some(b'F') => (true, false),
        Some(b'M') => (false, false),
        Some(b'L') => (false, true),
        _ => (true, true),
    };
    Boundary { first, last }
}

pub fn options() -> SpoolOptions {
    SpoolOptions {
        segment_bytes: 64 << 20,
        zeros_ahead: 0,
        ring_frames: 1000,
        ring_bytes: 1 << 20,
        recovery: RecoveryMode::FailClosed,
        boundary,
        persisted_position: Lsn::ZERO,
        new: NewSpool {
            system_id: 7,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        },
    }
}

pub fn segments_of(segment_bytes: u64) -> SpoolOptions {
    SpoolOptions {
        segment_bytes,
        ..options()
    }
}

/// Nothing is kept in memory: every read goes to disk.
pub fn without_ring(options: SpoolOptions) -> SpoolOptions {
    SpoolOptions {
        ring_frames: 0,
        ..options
    }
}

pub fn longest_prefix(options: SpoolOptions) -> SpoolOptions {
    SpoolOptions {
        recovery: RecoveryMode::LongestValidPrefix,
        ..options
    }
}

pub fn try_open(dir: &Path, options: SpoolOptions) -> Result<(Spool, RecoveryReport), OpenError> {
    Spool::open(Arc::new(RealDisk), dir, options)
}

pub fn open(dir: &Path, options: SpoolOptions) -> Spool {
    try_open(dir, options).unwrap().0
}

pub fn draft(payload: &[u8]) -> Draft {
    Draft {
        bytes: Bytes::copy_from_slice(payload),
        hole: None,
    }
}

pub fn unit(lsn: Option<u64>, payload: &[u8]) -> Unit {
    Unit {
        term: 1,
        timestamp_ms: 1000,
        end: lsn.map_or(End::Local, |lsn| End::Chosen(Lsn::new(lsn))),
        frames: Drafts::One(draft(payload)),
    }
}

pub fn many(lsn: Option<u64>, payloads: &[&[u8]]) -> Unit {
    Unit {
        frames: Drafts::Many(payloads.iter().map(|p| draft(p)).collect()),
        ..unit(lsn, b"")
    }
}

/// Appends at the position `n * 64`, RedDB's dense `n` as an import carries it over.
pub fn append_at(spool: &Spool, n: u64, payload: &[u8]) -> Appended {
    append(spool, unit(Some(n * 64), payload))
}

pub fn append(spool: &Spool, unit: Unit) -> Appended {
    spool.append(vec![unit]).unwrap().wait().unwrap()
}

/// Reads on to the head, from memory where it can be.
pub fn read_on(cursor: &mut Cursor) -> Result<Vec<Frame>, ReadError> {
    let mut all = Vec::new();
    loop {
        match cursor.read_memory(4096)? {
            MemoryRead::Frames(frames) => all.extend(frames),
            MemoryRead::AtHead => return Ok(all),
            MemoryRead::NeedsDisk => {
                let frames = cursor.read_disk(4096)?;
                assert!(!frames.is_empty(), "below the head there is a frame");
                all.extend(frames);
            }
        }
    }
}

pub fn read_all(spool: &Spool, since: u64) -> Result<Vec<Frame>, ReadError> {
    read_on(&mut spool.cursor(Lsn::new(since))?)
}

/// Dense positions (`lsn / 64`) of all that follows dense position `since`.
pub fn dense_after(spool: &Spool, since: u64) -> Vec<u64> {
    let frames = read_all(spool, since * 64).unwrap();
    frames.iter().map(|f| f.lsn.get() / 64).collect()
}

pub fn head(spool: &Spool) -> u64 {
    spool.head().get() / 64
}

/// Segment files, oldest first.
pub fn segment_files(dir: &Path) -> Vec<PathBuf> {
    files(dir, ".rdlw")
}

pub fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("spool")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(suffix))
        .collect();
    found.sort();
    found
}

/// What a crash leaves: the files as they are, and a manifest as it was written when the active
/// segment was begun.
pub fn crash(from: &Path, to: &Path) {
    copy_dir(from, to);
    let mut manifest = read_manifest(&RealDisk, to).unwrap();
    let base = manifest.active.first_position;
    manifest.head = base;
    manifest.durable.offset = 0;
    manifest.durable.lsn = base;
    manifest.store(&RealDisk, to).unwrap();
}

pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

pub fn cut_to(path: &Path, len: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(len).unwrap();
}

/// The real disk without its syncs: for tests that open very many spools and crash none.
#[derive(Debug)]
pub struct UnsyncedDisk;

#[derive(Debug)]
struct UnsyncedFile(Arc<dyn DiskFile>);

impl Disk for UnsyncedDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(RealDisk.open(path, mode)?)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}
