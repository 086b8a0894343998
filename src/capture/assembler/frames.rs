//! Messages into the frames of a transaction.
//!
//! Where a frame ends depends on nothing but the messages, so that they can be counted before they
//! are written.

use std::collections::VecDeque;
use std::mem;

use crate::change::{
    CHUNK_BYTES, ChunkFlags, MESSAGE_HEAD, MESSAGE_PART, begin_chunk, begin_message, set_flags,
};
use crate::lsn::Lsn;
use crate::spool::frame::OVERHEAD;

/// How long frames get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// About a frame's.
    pub(super) chunk: usize,
    /// At most of one message in a frame.
    pub(super) part: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            chunk: CHUNK_BYTES,
            part: MESSAGE_PART,
        }
    }
}

/// What begins a chunk: its version and flags.
const CHUNK_HEAD: usize = 2;

/// What a frame has room for before it grows: a transaction of one small change.
const FIRST_ROOM: usize = 384;

/// How many frames, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) num_frames: u64,
    /// Bytes of their payloads.
    pub(super) bytes: u64,
}

impl Counts {
    /// Bytes as the spool counts them.
    pub(super) fn counted_bytes(self) -> u64 {
        let overhead = self.num_frames.saturating_mul(size(OVERHEAD));
        self.bytes.saturating_add(overhead)
    }
}

/// Puts messages into frames, or only counts those.
#[derive(Debug)]
pub(super) struct FrameWriter {
    sizes: Sizes,
    /// Whether bytes are kept.
    keep: bool,
    /// The frame that is being filled.
    current: Vec<u8>,
    /// Its length; 0 before it begins.
    used: usize,
    /// How much of the message that is being written may go into this frame.
    room: usize,
    /// How much of it is missing.
    missing: usize,
    counts: Counts,
    closed: VecDeque<Vec<u8>>,
}

impl FrameWriter {
    pub(super) const fn new(sizes: Sizes) -> Self {
        Self::with(sizes, true)
    }

    /// One that only counts.
    pub(super) const fn counter(sizes: Sizes) -> Self {
        Self::with(sizes, false)
    }

    const fn with(sizes: Sizes, keep: bool) -> Self {
        Self {
            sizes,
            keep,
            current: Vec::new(),
            used: 0,
            room: 0,
            missing: 0,
            counts: Counts {
                num_frames: 0,
                bytes: 0,
            },
            closed: VecDeque::new(),
        }
    }

    /// A whole message.
    pub(super) fn message(&mut self, lsn: Lsn, message: &[u8]) {
        self.begin_message(lsn, message.len());
        self.bytes(message);
    }

    /// Begins a message of `len` bytes, which follow.
    pub(super) fn begin_message(&mut self, lsn: Lsn, len: usize) {
        let with_it = self.used.saturating_add(MESSAGE_HEAD).saturating_add(len);
        if self.used > 0 && with_it > self.sizes.chunk {
            self.close(false);
        }
        if self.used == 0 {
            self.open(CHUNK_HEAD + MESSAGE_HEAD + len.min(self.sizes.part));
        }
        self.used += MESSAGE_HEAD;
        self.missing = len;
        self.room = self.sizes.part;
        if self.keep {
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            begin_message(lsn, len, &mut self.current);
        }
    }

    /// The next bytes of the message.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.room == 0 {
                self.close(true);
                self.open(CHUNK_HEAD + self.missing.min(self.sizes.part));
                self.room = self.sizes.part;
            }
            let (now, behind) = rest.split_at(rest.len().min(self.room));
            if self.keep {
                self.current.extend_from_slice(now);
            }
            self.used += now.len();
            self.room -= now.len();
            self.missing = self.missing.saturating_sub(now.len());
            rest = behind;
        }
    }

    fn open(&mut self, expected: usize) {
        if self.keep {
            self.current.reserve(expected.max(FIRST_ROOM));
            begin_chunk(&mut self.current);
        }
        self.used = CHUNK_HEAD;
    }

    fn close(&mut self, continued: bool) {
        self.counts.num_frames += 1;
        self.counts.bytes = self.counts.bytes.saturating_add(size(self.used));
        self.used = 0;
        if self.keep {
            let mut frame = mem::take(&mut self.current);
            let flags = ChunkFlags {
                continued,
                ..ChunkFlags::default()
            };
            set_flags(&mut frame, flags);
            self.closed.push_back(frame);
        }
    }

    /// Behind the last message: closes the last frame and tells what there is.
    pub(super) fn finish(&mut self) -> Counts {
        if self.used > 0 {
            self.close(false);
        }
        self.counts
    }

    /// The next frame that is full.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.closed.pop_front()
    }

    /// Bytes of the frame that is being filled.
    pub(super) const fn used(&self) -> usize {
        self.used
    }
}

/// Says in a frame which it is of its transaction.
pub(super) fn place(frame: &mut [u8], number: u64, counts: Counts, large: bool) {
    let flags = frame.get(1).copied().and_then(ChunkFlags::of);
    let flags = ChunkFlags {
        first: number == 0,
        last: number + 1 == counts.num_frames,
        large,
        ..flags.unwrap_or_default()
    };
    set_flags(frame, flags);
}

pub(super) fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
