//! Reads a RedDB file frame by frame, in bounded memory, and judges how it ends.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use super::{RedDbEnd, RedDbFrame};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::spool::frame::{self, Decoded, FrameFault, FrameVersion, RawFrame};

/// The least that is read at a time.
const BLOCK: usize = 256 << 10;
/// Bytes that the search for a frame behind damage looks at before it gives up. A file that was
/// made to be slow is then called corrupt, which is the careful answer.
const SEARCH_BUDGET: u64 = 1 << 40;

/// Reads the frames of a RedDB file in file order. Opens it for reading only. Holds one block or
/// one frame, whichever is larger.
///
/// An iterator: after the last frame (or after an error) it yields `None`, and
/// [`RedDbReader::end`] says how the file ends.
#[derive(Debug)]
pub struct RedDbReader {
    window: Option<Window>,
    /// A frame with a checksum was read: RedDB had left v1 behind by then.
    seen_checksum: bool,
    end: Option<RedDbEnd>,
    failed: bool,
}

impl RedDbReader {
    /// A reader at the beginning of the file.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        Self::open_at(disk, path, 0)
    }

    /// A reader at `offset`, where a frame starts (from a [`super::SeekIndex`]).
    pub fn open_at(disk: &dyn Disk, path: &Path, offset: u64) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::Read)?;
        let window = Window::new(file, offset)?;
        Ok(Self {
            window: Some(window),
            seen_checksum: false,
            end: None,
            failed: false,
        })
    }

    /// Like [`RedDbReader::open`], but a missing file reads as an empty one, as RedDB has it.
    pub fn open_or_empty(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        if disk.exists(path)? {
            return Self::open(disk, path);
        }
        Ok(Self {
            window: None,
            seen_checksum: false,
            end: Some(RedDbEnd::Clean),
            failed: false,
        })
    }

    /// Where the next frame starts; after the last one, where the valid prefix ends.
    pub fn offset(&self) -> u64 {
        self.window.as_ref().map_or(0, |window| window.offset)
    }

    /// How the file ends; `None` until every frame was read.
    pub const fn end(&self) -> Option<&RedDbEnd> {
        self.end.as_ref()
    }

    /// The next frame, `None` at the end. An error of the file system is not an end.
    pub fn next_frame(&mut self) -> io::Result<Option<RedDbFrame>> {
        let (None, Some(window)) = (&self.end, &mut self.window) else {
            return Ok(None);
        };
        if window.remaining() == 0 {
            self.end = Some(RedDbEnd::Clean);
            return Ok(None);
        }
        let offset = window.offset;
        let reason = match window.decode()? {
            Ok(frame) if self.seen_checksum && window.is_stray_v1(&frame)? => {
                format!("v1 frame without a successor at offset {offset}")
            }
            Ok(frame) => {
                self.seen_checksum |= frame.version != FrameVersion::V1;
                window.skip(frame.len);
                return Ok(Some(frame));
            }
            Err(Some(fault)) => fault.at(offset),
            Err(None) => window.fault_at_end()?.at(offset),
        };
        let bytes = window.remaining();
        self.end = Some(if frame_follows(window)? {
            RedDbEnd::Corrupt {
                offset,
                bytes,
                reason,
            }
        } else {
            RedDbEnd::Torn {
                offset,
                bytes,
                reason,
            }
        });
        Ok(None)
    }
}

impl Iterator for RedDbReader {
    type Item = io::Result<RedDbFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_frame().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// The part of the file in memory.
#[derive(Debug)]
struct Window {
    file: Arc<dyn DiskFile>,
    file_len: u64,
    /// Place in the file.
    offset: u64,
    /// Bytes of the file from `buf_offset` on, which is never above `offset`.
    buf: Vec<u8>,
    buf_offset: u64,
}

impl Window {
    fn new(file: Arc<dyn DiskFile>, offset: u64) -> io::Result<Self> {
        let file_len = file.len()?;
        Ok(Self {
            file,
            file_len,
            offset: offset.min(file_len),
            buf: Vec::new(),
            buf_offset: offset,
        })
    }

    const fn remaining(&self) -> u64 {
        self.file_len.saturating_sub(self.offset)
    }

    fn skip(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes).min(self.file_len);
    }

    /// What is in memory from `offset` on.
    fn bytes(&self) -> &[u8] {
        let at = usize::try_from(self.offset.saturating_sub(self.buf_offset)).unwrap_or(usize::MAX);
        self.buf.get(at..).unwrap_or_default()
    }

    /// Brings at least `len` bytes from `offset` into memory, or all that the file has.
    fn fill(&mut self, len: usize) -> io::Result<&[u8]> {
        let remaining = usize::try_from(self.remaining()).unwrap_or(usize::MAX);
        if self.bytes().len() < len.min(remaining) {
            let want = len.max(BLOCK).min(remaining);
            let mut buf = vec![0; want];
            let done = self.file.read_full_at(&mut buf, self.offset)?;
            if done < want {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            self.buf = buf;
            self.buf_offset = self.offset;
        }
        Ok(self.bytes())
    }

    /// The frame at `offset`, or what is wrong with the bytes there; a frame that the file ends
    /// in has no fault of its own.
    fn decode(&mut self) -> io::Result<Result<RedDbFrame, Option<FrameFault>>> {
        let (offset, remaining) = (self.offset, self.remaining());
        let mut needed = 1;
        loop {
            let buf = self.fill(needed)?;
            match frame::decode(buf) {
                Decoded::Frame(frame) => return Ok(Ok(owned(&frame, offset))),
                Decoded::Bad(fault) => return Ok(Err(Some(fault))),
                Decoded::Incomplete { needed: more } => {
                    if u64::try_from(more).is_ok_and(|more| more <= remaining) {
                        needed = more;
                    } else {
                        return Ok(Err(None));
                    }
                }
            }
        }
    }

    /// The fault of the frame that the file ends in.
    fn fault_at_end(&mut self) -> io::Result<FrameFault> {
        let rest = usize::try_from(self.remaining()).unwrap_or(usize::MAX);
        let rest = self.fill(rest.min(LONGEST_FRAME))?;
        Ok(frame::fault_at_end(rest))
    }

    /// Whether a v1 frame, which has no checksum, leads nowhere: neither to the end of the file
    /// nor to another frame. Behind frames with checksums it is a damaged one of those.
    fn is_stray_v1(&mut self, frame: &RedDbFrame) -> io::Result<bool> {
        if frame.version != FrameVersion::V1 || frame.len == self.remaining() {
            return Ok(false);
        }
        let len = usize::try_from(frame.len).unwrap_or(usize::MAX);
        let needed = len.saturating_add(frame::MAGIC.len());
        let after = self.fill(needed)?.get(len..).unwrap_or_default();
        Ok(!after.starts_with(&frame::MAGIC))
    }
}

/// No torn frame is longer.
const LONGEST_FRAME: usize = crate::spool::MAX_PAYLOAD + 64;

fn owned(frame: &RawFrame<'_>, offset: u64) -> RedDbFrame {
    RedDbFrame {
        version: frame.version,
        term: frame.term,
        epoch: frame.epoch,
        lsn: frame.lsn,
        timestamp_ms: frame.timestamp_ms,
        payload: Bytes::copy_from_slice(frame.payload),
        offset,
        len: u64::try_from(frame.len).unwrap_or(u64::MAX),
    }
}

/// Whether a valid frame starts anywhere behind the window's place.
fn frame_follows(window: &Window) -> io::Result<bool> {
    let mut search = Window::new(Arc::clone(&window.file), window.offset)?;
    let mut budget = SEARCH_BUDGET;
    search.skip(1);
    while search.remaining() > 0 {
        let block = search.fill(frame::MAGIC.len())?;
        let Some(found) = memmem::find(block, &frame::MAGIC) else {
            // The magic may straddle the border of the block.
            let passed = block.len().saturating_sub(frame::MAGIC.len() - 1).max(1);
            search.skip(u64::try_from(passed).unwrap_or(u64::MAX));
            continue;
        };
        search.skip(u64::try_from(found).unwrap_or(u64::MAX));
        if let Ok(frame) = search.decode()?
            && !search.is_stray_v1(&frame)?
        {
            return Ok(true);
        }
        let decoded = u64::try_from(search.bytes().len()).unwrap_or(u64::MAX);
        budget = budget.saturating_sub(decoded);
        if budget == 0 {
            return Ok(true);
        }
        search.skip(1);
    }
    Ok(false)
}
