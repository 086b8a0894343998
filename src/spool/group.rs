//! Frames encoded into one buffer, to be written and synced together.
//!
//! The buffer becomes shared bytes after its sync; the frames shown to readers are slices of it.

use bytes::Bytes;

use super::frame::{FrameVersion, HEADER_LEN, TRAILER_LEN, encode, encode_with_number};
use super::index::Entry;
use super::shared::Newest;
use super::ticket::{Appended, Completion};
use super::unit::{BoundaryFn, Draft, Frame};
use crate::lsn::Lsn;

/// What all frames of one transaction have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamped {
    pub(super) term: u64,
    pub(super) timestamp_ms: u64,
    pub(super) end: Lsn,
}

/// A frame in the buffer.
#[derive(Debug)]
struct Placed {
    of: Stamped,
    /// Where its payload lies in the buffer.
    payload: std::ops::Range<usize>,
}

/// Frames and answers that wait for the next sync.
#[derive(Debug)]
pub(super) struct Group {
    /// Encoded frames that are not written yet.
    pub(super) buf: Vec<u8>,
    /// Index entries of the whole transactions in it.
    pub(super) entries: Vec<Entry>,
    /// Whole transactions in it.
    pub(super) num_transactions: u64,
    /// Who is to be answered when all of it is durable.
    pub(super) done: Vec<(Completion, Appended)>,
    placed: Vec<Placed>,
    /// How many of `placed` belong to whole transactions.
    num_whole: usize,
    /// Synced frames of the transaction that is not whole yet.
    open: Vec<Frame>,
    open_bytes: usize,
    /// The open transaction is larger than this: not kept for the ring.
    max_open_bytes: usize,
}

impl Group {
    pub(super) fn new(max_open_bytes: usize) -> Self {
        Self {
            buf: Vec::new(),
            entries: Vec::new(),
            num_transactions: 0,
            done: Vec::new(),
            placed: Vec::new(),
            num_whole: 0,
            open: Vec::new(),
            open_bytes: 0,
            max_open_bytes,
        }
    }

    /// Encodes a frame, `number` in its hole.
    pub(super) fn place(&mut self, draft: &Draft, of: Stamped, number: u64) {
        let start = self.buf.len();
        let Stamped {
            term,
            timestamp_ms,
            end,
        } = of;
        let payload = &draft.bytes;
        match draft.hole {
            None => encode(&mut self.buf, term, end, timestamp_ms, payload),
            Some((at, _)) => {
                let (before, after) = payload.split_at(at.min(payload.len()));
                encode_with_number(
                    &mut self.buf,
                    term,
                    end,
                    timestamp_ms,
                    before,
                    number,
                    after,
                );
            }
        }
        let payload = start.saturating_add(HEADER_LEN)..self.buf.len().saturating_sub(TRAILER_LEN);
        self.placed.push(Placed { of, payload });
    }

    /// How many frames wait for the next sync.
    pub(super) const fn num_placed(&self) -> usize {
        self.placed.len()
    }

    /// All frames placed so far belong to whole transactions.
    pub(super) fn close_transaction(&mut self) {
        self.num_whole = self.placed.len();
        self.num_transactions += 1;
    }

    /// Turns the buffer, now written and synced as `bytes`, into frames; returns those of whole
    /// transactions, if a transaction became whole.
    pub(super) fn settle(&mut self, bytes: &Bytes, boundary: BoundaryFn) -> Option<Newest> {
        let num_whole = std::mem::take(&mut self.num_whole);
        let mut frames = self.placed.drain(..).map(|placed| {
            let payload = bytes.slice(placed.payload);
            Frame {
                version: FrameVersion::V3,
                term: placed.of.term,
                lsn: placed.of.end,
                timestamp_ms: placed.of.timestamp_ms,
                boundary: boundary(&payload),
                payload,
            }
        });
        let mut newest = None;
        if num_whole > 0 {
            let mut whole = std::mem::take(&mut self.open);
            let too_large = self.open_bytes > self.max_open_bytes;
            whole.extend(frames.by_ref().take(num_whole));
            newest = Some(if too_large {
                Newest::TooLarge
            } else {
                Newest::Frames(whole)
            });
            self.open_bytes = 0;
        }
        for frame in frames {
            self.open_bytes = self.open_bytes.saturating_add(frame.payload.len());
            self.open.push(frame);
        }
        if self.open_bytes > self.max_open_bytes {
            self.open.clear();
        }
        newest
    }
}
