//! A sparse index over a RedDB file: where to start reading for a position.

use std::io;

use super::RedDbReader;
use crate::lsn::Lsn;

/// Every frame whose ordinal is a multiple of this is in the index.
pub const SEEK_INTERVAL: u64 = 64;

/// The LSN and the offset of every 64th frame, in file order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeekIndex {
    entries: Vec<(Lsn, u64)>,
    num_frames: u64,
    end_offset: u64,
}

impl SeekIndex {
    /// Reads the rest of `reader` and indexes it; [`RedDbReader::end`] then says how it ends.
    pub fn build(reader: &mut RedDbReader) -> io::Result<Self> {
        let mut index = Self {
            end_offset: reader.offset(),
            ..Self::default()
        };
        while let Some(frame) = reader.next_frame()? {
            index.note(frame.lsn, frame.offset);
            index.end_offset = reader.offset();
        }
        Ok(index)
    }

    /// Takes the next frame in file order.
    fn note(&mut self, lsn: Lsn, offset: u64) {
        let is_due = self.num_frames.is_multiple_of(SEEK_INTERVAL);
        if is_due && self.entries.last().is_none_or(|(last, _)| *last != lsn) {
            self.entries.push((lsn, offset));
        }
        self.num_frames += 1;
    }

    /// Where to start reading so that no frame above `since` is missed: an entry at `since`, else
    /// the last entry below it, else the beginning.
    pub fn floor(&self, since: Lsn) -> u64 {
        // Not a binary search: RedDB does not promise that its LSNs rise.
        let exact = self.entries.iter().find(|(lsn, _)| *lsn == since);
        let below = || self.entries.iter().rev().find(|(lsn, _)| *lsn < since);
        exact.or_else(below).map_or(0, |(_, offset)| *offset)
    }

    /// The entries, in file order.
    pub fn entries(&self) -> &[(Lsn, u64)] {
        &self.entries
    }

    /// Frames in the file.
    pub const fn num_frames(&self) -> u64 {
        self.num_frames
    }

    /// Where the last frame ends.
    pub const fn end_offset(&self) -> u64 {
        self.end_offset
    }
}
