//! Reads a segment from its beginning to its first fault.
//!
//! Used at open (the active segment only), by the longest-valid-prefix mode, and by the offline
//! tools. It says what it found; what follows from a fault is decided elsewhere.

use std::io;

use super::block::{BlockReader, FrameAt};
use super::frame::{Decoded, HEADER_LEN, decode_v3};
use super::index::{Entry, Thinning};
use super::order::FrameOrder;
use super::segment::Extent;
use super::unit::{BoundaryFn, Frame};
use crate::disk::DiskFile;
use crate::lsn::Lsn;

/// What is in a segment file, up to its first fault.
#[derive(Debug)]
pub(crate) struct SegmentScan {
    /// The whole transactions found; ends where the last of them does.
    pub(crate) extent: Extent,
    /// CRC-32 of the bytes in `extent`, going on.
    pub(crate) crc: crc32fast::Hasher,
    /// Sparse index of them.
    pub(crate) index: Vec<Entry>,
    /// Goes on with the index.
    pub(crate) thinning: Thinning,
    /// Sound frames met, those of an unfinished transaction too.
    pub(crate) num_frames: u64,
    /// The first fault; an unfinished transaction at the end of the file is one.
    pub(crate) fault: Option<Fault>,
    /// Whether a transaction ends exactly at the asked place.
    pub(crate) ends_at: bool,
    /// File length (without the zeros at its end where those are allowed).
    pub(crate) len: u64,
}

/// The first thing wrong in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) offset: u64,
    /// What.
    pub(crate) reason: String,
}

/// Scans `len` bytes of a segment whose transactions end above `base`. `asked` is a place (offset
/// and LSN) where a transaction should end.
pub(crate) fn scan(
    file: &dyn DiskFile,
    len: u64,
    base: Lsn,
    boundary: BoundaryFn,
    asked: (u64, Lsn),
) -> io::Result<SegmentScan> {
    let mut scan = SegmentScan {
        extent: Extent::default(),
        crc: crc32fast::Hasher::new(),
        index: Vec::new(),
        thinning: Thinning::default(),
        num_frames: 0,
        fault: None,
        ends_at: asked.0 == 0,
        len,
    };
    let mut blocks = BlockReader::new(boundary);
    let mut order = FrameOrder::after(base);
    let mut open = OpenTransaction::default();
    let mut offset = 0;
    loop {
        match blocks.frame_at(file, offset, len)? {
            FrameAt::Frame { frame, end } => {
                if let Err(reason) = order.take(&frame) {
                    scan.fault = Some(Fault { offset, reason });
                    return Ok(scan);
                }
                scan.num_frames += 1;
                open.take(&frame, blocks.raw(offset, end), end - offset, &scan.crc);
                if order.is_between() {
                    scan.close(std::mem::take(&mut open), frame.lsn);
                    scan.ends_at |= (end, frame.lsn) == asked;
                }
                offset = end;
            }
            FrameAt::End => {
                let reason = || format!("transaction {} has no end", order.last_lsn());
                scan.fault = (!order.is_between()).then(|| Fault {
                    offset,
                    reason: reason(),
                });
                return Ok(scan);
            }
            FrameAt::Fault(reason) => {
                scan.fault = Some(Fault { offset, reason });
                return Ok(scan);
            }
        }
    }
}

impl SegmentScan {
    /// Takes nothing but zeros behind the last whole transaction for a clean end. Only the active
    /// segment may have them: its writer puts them down ahead of what is appended.
    pub(crate) fn allow_zeros_at_end(mut self, file: &dyn DiskFile) -> io::Result<Self> {
        let end = self.extent.bytes;
        let begins_there = self.fault.as_ref().is_some_and(|fault| fault.offset == end);
        if begins_there && is_zero(file, end, self.len)? {
            self.fault = None;
            self.len = end;
        }
        Ok(self)
    }

    fn close(&mut self, transaction: OpenTransaction, lsn: Lsn) {
        let OpenTransaction {
            frames,
            bytes,
            timestamp_ms,
            crc,
        } = transaction;
        if self.thinning.take(frames, bytes) {
            let offset = self.extent.bytes;
            self.index.push(Entry { lsn, offset });
        }
        self.extent.add(lsn, timestamp_ms, frames, bytes);
        if let Some(crc) = crc {
            self.crc = crc;
        }
    }
}

/// A transaction of which the last frame was not met yet.
#[derive(Default)]
struct OpenTransaction {
    frames: u64,
    bytes: u64,
    timestamp_ms: u64,
    crc: Option<crc32fast::Hasher>,
}

impl OpenTransaction {
    fn take(&mut self, frame: &Frame, raw: &[u8], bytes: u64, before: &crc32fast::Hasher) {
        self.frames += 1;
        self.bytes += bytes;
        self.timestamp_ms = frame.timestamp_ms;
        self.crc.get_or_insert_with(|| before.clone()).update(raw);
    }
}

/// How much is read at once when looking for later frames.
const SEARCH_BLOCK: u64 = 1 << 20;

/// Looks for a sound v3 frame with an LSN above `above` that starts at or after `from`.
pub(crate) fn find_frame_after(
    file: &dyn DiskFile,
    from: u64,
    len: u64,
    above: Lsn,
) -> io::Result<Option<u64>> {
    let overlap = u64::try_from(HEADER_LEN).unwrap_or(u64::MAX);
    let mut at = from;
    while at < len {
        let want = SEARCH_BLOCK.min(len - at);
        let block = read_exactly(file, at, want)?;
        for found in memchr::memmem::find_iter(&block, b"RDLW\x03") {
            let offset = at + u64::try_from(found).unwrap_or(u64::MAX);
            if is_frame_above(file, offset, len, above)? {
                return Ok(Some(offset));
            }
        }
        if want < SEARCH_BLOCK {
            break;
        }
        at += want - overlap;
    }
    Ok(None)
}

fn is_frame_above(file: &dyn DiskFile, offset: u64, len: u64, above: Lsn) -> io::Result<bool> {
    let left = len - offset;
    let mut want = u64::try_from(HEADER_LEN).unwrap_or(u64::MAX).min(left);
    loop {
        let bytes = read_exactly(file, offset, want)?;
        match decode_v3(&bytes) {
            Decoded::Frame(frame) => return Ok(frame.lsn > above),
            Decoded::Incomplete { needed } => {
                let needed = u64::try_from(needed).unwrap_or(u64::MAX);
                if needed > left || needed <= want {
                    return Ok(false);
                }
                want = needed;
            }
            Decoded::Bad(_) => return Ok(false),
        }
    }
}

/// Whether the bytes `from..to` are all zero.
pub(crate) fn is_zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<bool> {
    let mut at = from;
    while at < to {
        let block = read_exactly(file, at, SEARCH_BLOCK.min(to - at))?;
        if block.is_empty() || block.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += u64::try_from(block.len()).unwrap_or(u64::MAX);
    }
    Ok(true)
}

/// Reads `want` bytes, fewer only where the file ends.
pub(super) fn read_exactly(file: &dyn DiskFile, offset: u64, want: u64) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; usize::try_from(want).unwrap_or(usize::MAX)];
    let got = file.read_full_at(&mut buf, offset)?;
    buf.truncate(got);
    Ok(buf)
}
