//! How many bytes of files hold what a slot has not confirmed.

use crate::lsn::Lsn;
use crate::slots::SlotSnapshot;
use crate::spool::SegmentInfo;

/// How many bytes of files hold what ends above a position.
#[derive(Debug, Clone)]
pub struct Retained {
    /// Last position of each segment, and the bytes from it on.
    from: Vec<(Lsn, u64)>,
}

impl Retained {
    /// Of a spool's segments, oldest first.
    pub fn new(segments: &[SegmentInfo]) -> Self {
        let mut bytes = 0;
        let mut from: Vec<(Lsn, u64)> = Vec::with_capacity(segments.len());
        for segment in segments.iter().rev() {
            bytes += segment.bytes;
            from.push((segment.last_lsn, bytes));
        }
        from.reverse();
        Self { from }
    }

    /// What is kept for a slot; nothing is for one that was invalidated.
    pub fn for_slot(&self, slot: &SlotSnapshot) -> u64 {
        match slot.invalidation {
            Some(_) => 0,
            None => self.above(slot.restart_lsn),
        }
    }

    fn above(&self, position: Lsn) -> u64 {
        let first = self
            .from
            .partition_point(|(last_lsn, _)| *last_lsn <= position);
        self.from.get(first).map_or(0, |(_, bytes)| *bytes)
    }
}
