//! The sparse index of a segment: where about every 64th frame begins.
//!
//! Entries are first frames of transactions only. The index only saves time: it is checked by
//! its own checksum, tied to the segment it was made for, and rebuilt when missing or damaged.
//!
//! ```text
//! file    +--------+---------+---------------+-------------+-------+----------------+-------+
//!         | "PGSX" | version | segment bytes | segment crc | count | count x entry  | crc32 |
//!         |   4    | u32 = 1 |      u64      |     u32     |  u32  | lsn u64 off u64|  u32  |
//!         +--------+---------+---------------+-------------+-------+----------------+-------+
//! ```
//! All integers little-endian; the checksum covers everything before it.

use std::io;
use std::path::Path;

use super::block::{BlockReader, FrameAt};
use super::unit::{Boundary, BoundaryFn};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lsn::Lsn;

const MAGIC: &[u8; 4] = b"PGSX";
const VERSION: u32 = 1;
const HEADER: usize = 24;
const ENTRY: usize = 16;
/// An entry is made after this many frames ...
const EVERY_FRAMES: u64 = 64;
/// ... or this many bytes, whichever comes first.
const EVERY_BYTES: u64 = 256 << 10;

/// A transaction that begins at `offset` and ends at `lsn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// End LSN.
    pub(crate) lsn: Lsn,
    /// Where its first frame begins.
    pub(crate) offset: u64,
}

/// Decides which transactions get an entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Thinning {
    started: bool,
    frames: u64,
    bytes: u64,
}

impl Thinning {
    /// Takes the next transaction; true when it gets an entry.
    pub(crate) fn take(&mut self, frames: u64, bytes: u64) -> bool {
        let due = !self.started || self.frames >= EVERY_FRAMES || self.bytes >= EVERY_BYTES;
        if due {
            *self = Self {
                started: true,
                frames: 0,
                bytes: 0,
            };
        }
        self.frames = self.frames.saturating_add(frames);
        self.bytes = self.bytes.saturating_add(bytes);
        due
    }
}

/// Where to begin reading for the first transaction that ends above `since`.
pub(super) fn floor(entries: &[Entry], since: Lsn) -> u64 {
    let above = entries.partition_point(|entry| entry.lsn <= since);
    above
        .checked_sub(1)
        .and_then(|last| entries.get(last))
        .map_or(0, |entry| entry.offset)
}

/// The segment an index was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MadeFor {
    pub(super) bytes: u64,
    pub(super) crc: u32,
}

/// Writes an index file, over an older one too. It can be rebuilt, and is synced so that nobody
/// has to after a crash.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    made_for: MadeFor,
    entries: &[Entry],
) -> io::Result<()> {
    if disk.exists(path)? {
        disk.remove(path)?;
    }
    let file = disk.open(path, OpenMode::CreateNew)?;
    file.write_all_at(&encode(made_for, entries), 0)?;
    file.sync()
}

/// Reads an index file; `None` when it is missing, damaged or made for another segment.
pub(super) fn read(disk: &dyn Disk, path: &Path, made_for: MadeFor) -> Option<Vec<Entry>> {
    let bytes = disk.read(path).ok()?;
    let (found, entries) = decode(&bytes)?;
    let inside = entries.iter().all(|entry| entry.offset < made_for.bytes);
    (found == made_for && inside).then_some(entries)
}

/// Builds the index of a sealed segment by reading it as far as it is sound; a fault further on
/// is for the reader to report.
pub(super) fn rebuild(
    file: &dyn DiskFile,
    bytes: u64,
    boundary: BoundaryFn,
) -> io::Result<Vec<Entry>> {
    let mut blocks = BlockReader::new(boundary);
    let mut thinning = Thinning::default();
    let mut entries = Vec::new();
    let (mut offset, mut started_at, mut frames) = (0, 0, 0);
    while let FrameAt::Frame { frame, end } = blocks.frame_at(file, offset, bytes)? {
        let Boundary { first, last } = frame.boundary;
        if first {
            (started_at, frames) = (offset, 0);
        }
        frames += 1;
        if last && thinning.take(frames, end.saturating_sub(started_at)) {
            entries.push(Entry {
                lsn: frame.lsn,
                offset: started_at,
            });
        }
        offset = end;
    }
    Ok(entries)
}

fn encode(made_for: MadeFor, entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + entries.len() * ENTRY + 4);
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&made_for.bytes.to_le_bytes());
    out.extend_from_slice(&made_for.crc.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.lsn.get().to_le_bytes());
        out.extend_from_slice(&entry.offset.to_le_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<(MadeFor, Vec<Entry>)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (magic, rest) = body.split_first_chunk::<4>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (segment_bytes, rest) = rest.split_first_chunk::<8>()?;
    let (segment_crc, rest) = rest.split_first_chunk::<4>()?;
    let (count, entries) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let sound = magic == MAGIC
        && u32::from_le_bytes(*version) == VERSION
        && entries.len() == count.checked_mul(ENTRY)?;
    if !sound {
        return None;
    }
    let made_for = MadeFor {
        bytes: u64::from_le_bytes(*segment_bytes),
        crc: u32::from_le_bytes(*segment_crc),
    };
    let entries: Option<Vec<Entry>> = entries.chunks_exact(ENTRY).map(decode_entry).collect();
    let entries = entries?;
    let rising = entries.is_sorted_by(|a, b| a.lsn < b.lsn && a.offset < b.offset);
    rising.then_some((made_for, entries))
}

fn decode_entry(bytes: &[u8]) -> Option<Entry> {
    let (lsn, rest) = bytes.split_first_chunk::<8>()?;
    let offset = rest.first_chunk::<8>()?;
    Some(Entry {
        lsn: Lsn::new(u64::from_le_bytes(*lsn)),
        offset: u64::from_le_bytes(*offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_FOR: MadeFor = MadeFor {
        bytes: 7800,
        crc: 0xDEAD_BEEF,
    };

    fn entries() -> Vec<Entry> {
        let entry = |lsn, offset| Entry {
            lsn: Lsn::new(lsn),
            offset,
        };
        vec![
            entry(1, 0),
            entry(65, 2496),
            entry(129, 4992),
            entry(193, 7488),
        ]
    }

    #[test]
    fn floor_is_the_last_entry_at_or_below_the_position() {
        for (since, offset) in [
            (0, 0),
            (1, 0),
            (64, 0),
            (65, 2496),
            (130, 4992),
            (500, 7488),
        ] {
            assert_eq!(floor(&entries(), Lsn::new(since)), offset, "{since}");
        }
        assert_eq!(floor(&[], Lsn::new(9)), 0);
    }

    #[test]
    fn every_64th_frame_or_256_kib_gets_an_entry() {
        let mut thinning = Thinning::default();
        let taken: Vec<u64> = (1..=200).filter(|_| thinning.take(1, 39)).collect();
        assert_eq!(taken, [1, 65, 129, 193]);
        let mut thinning = Thinning::default();
        let taken: Vec<u64> = (1..=9).filter(|_| thinning.take(1, 128 << 10)).collect();
        assert_eq!(taken, [1, 3, 5, 7, 9]);
    }

    #[test]
    fn a_flip_of_any_byte_of_the_file_is_noticed() {
        let good = encode(MADE_FOR, &entries());
        assert_eq!(decode(&good), Some((MADE_FOR, entries())));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad), None, "byte {at}");
            assert_eq!(decode(&good[..at]), None, "cut to {at}");
        }
    }
}
