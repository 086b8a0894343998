//! Frames out of a segment file, read in blocks.
//!
//! Reads 256 KiB at a time (more only for a larger frame), checks every frame's CRC and hands
//! out payloads as slices of the block. It knows one file and an offset, nothing of segments
//! before or after it, and does not judge what a fault means.

use std::io;

use bytes::Bytes;

use super::frame::{Decoded, HEADER_LEN, decode_v3};
use super::unit::{BoundaryFn, Frame};
use crate::disk::DiskFile;

/// How much is read at once.
const BLOCK: u64 = 256 << 10;

/// Reads frames of one file through a block.
#[derive(Debug)]
pub(crate) struct BlockReader {
    boundary: BoundaryFn,
    block: Bytes,
    start: u64,
    /// The block before, whose memory is used again once its frames are gone.
    before: Bytes,
}

/// What stands at an offset.
#[derive(Debug)]
pub(crate) enum FrameAt {
    /// A sound frame.
    Frame {
        /// The frame.
        frame: Frame,
        /// Where the next one begins.
        end: u64,
    },
    /// The offset is the limit: nothing more.
    End,
    /// Something else; why it is no frame.
    Fault(String),
}

impl BlockReader {
    /// A reader with no block yet.
    pub(crate) fn new(boundary: BoundaryFn) -> Self {
        Self {
            boundary,
            block: Bytes::new(),
            start: 0,
            before: Bytes::new(),
        }
    }

    /// The frame at `offset` of `file`, of which the bytes below `limit` may be read.
    pub(crate) fn frame_at(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        limit: u64,
    ) -> io::Result<FrameAt> {
        let left = limit.saturating_sub(offset);
        if left == 0 {
            return Ok(FrameAt::End);
        }
        let mut needed = 1;
        loop {
            if let Some(found) = self.decode_at(offset, left, &mut needed) {
                return Ok(found);
            }
            let want = BLOCK.max(needed).min(left);
            self.fill(file, offset, want)?;
            let got = to_u64(self.block.len());
            if got < want {
                let end = offset.saturating_add(got);
                return Ok(FrameAt::Fault(format!("file ends early, at {end}")));
            }
        }
    }

    /// The bytes `from..to` of the file, as far as the block in hand has them all.
    pub(crate) fn raw(&self, from: u64, to: u64) -> &[u8] {
        let at = |offset: u64| usize::try_from(offset.saturating_sub(self.start)).ok();
        match (at(from), at(to)) {
            (Some(from), Some(to)) => self.block.get(from..to).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Decodes from the block in hand. `None` when more bytes are to be read; then `needed` says
    /// how many the frame takes at least.
    fn decode_at(&self, offset: u64, left: u64, needed: &mut u64) -> Option<FrameAt> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        // A block may reach past the limit of an earlier moment, never past this one's.
        let have = self.block.len().checked_sub(at)?.min(to_usize(left));
        let bytes = self.block.get(at..at.checked_add(have)?)?;
        match decode_v3(bytes) {
            Decoded::Frame(raw) => {
                let from = at.checked_add(HEADER_LEN)?;
                let payload = self.block.slice(from..from.checked_add(raw.payload.len())?);
                let frame = Frame {
                    version: raw.version,
                    term: raw.term.unwrap_or(1),
                    lsn: raw.lsn,
                    timestamp_ms: raw.timestamp_ms,
                    boundary: (self.boundary)(raw.payload),
                    payload,
                };
                let end = offset.saturating_add(to_u64(raw.len));
                Some(FrameAt::Frame { frame, end })
            }
            Decoded::Incomplete { needed: bytes } => {
                *needed = to_u64(bytes).max(to_u64(have).saturating_add(1));
                (*needed > left).then(|| {
                    FrameAt::Fault(format!("torn frame: {left} of at least {needed} bytes"))
                })
            }
            Decoded::Bad(fault) => Some(FrameAt::Fault(fault.to_string())),
        }
    }

    fn fill(&mut self, file: &dyn DiskFile, offset: u64, want: u64) -> io::Result<()> {
        let mut buf = std::mem::take(&mut self.before)
            .try_into_mut()
            .unwrap_or_default();
        buf.resize(to_usize(want), 0);
        let got = file.read_full_at(&mut buf, offset)?;
        buf.truncate(got);
        self.before = std::mem::replace(&mut self.block, buf.freeze());
        self.start = offset;
        Ok(())
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
