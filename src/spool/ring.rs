//! The newest transactions in memory, for readers at the tail.
//!
//! Invariant: the ring holds every transaction that ends in `(floor, head]`, whole. It is
//! bounded by frames and by bytes and gives up whole transactions, oldest first. Payloads are
//! slices of the writer's buffers: nothing is copied, all readers share one allocation.

use std::collections::VecDeque;

use super::frame::OVERHEAD;
use super::unit::Frame;
use crate::lsn::Lsn;

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
    floor: Lsn,
    head: Lsn,
    max_frames: usize,
    max_bytes: usize,
}

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum RingRead {
    /// Next frames.
    Frames(Vec<Frame>),
    /// Nothing ends above the position yet; this is the head.
    AtHead(Lsn),
    /// The position lies below the floor.
    Below,
}

impl Ring {
    /// An empty ring: what ends at or below `floor` is on disk only.
    pub(super) fn new(floor: Lsn, head: Lsn, max_frames: usize, max_bytes: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            floor,
            head,
            max_frames,
            max_bytes,
        }
    }

    /// Takes whole transactions; the last of them ends at `head`.
    pub(super) fn push(&mut self, frames: impl IntoIterator<Item = Frame>, head: Lsn) {
        for frame in frames {
            self.bytes = self.bytes.saturating_add(weight(&frame));
            self.frames.push_back(frame);
        }
        self.head = head;
        while self.frames.len() > self.max_frames || self.bytes > self.max_bytes {
            self.evict_oldest();
        }
    }

    /// Notes transactions up to `head` that are too large to keep: everything is on disk only.
    pub(super) fn skip_to(&mut self, head: Lsn) {
        self.frames.clear();
        self.bytes = 0;
        self.floor = head;
        self.head = head;
    }

    /// Notes that nothing ends between the head and `head`.
    pub(super) const fn advance(&mut self, head: Lsn) {
        self.head = head;
    }

    /// Up to about `max_bytes` of frames (at least one) after `position`, leaving out the first
    /// `within` frames of the transaction that follows it.
    pub(super) fn read(&self, position: Lsn, within: usize, max_bytes: usize) -> RingRead {
        if position < self.floor {
            return RingRead::Below;
        }
        let next = self.frames.partition_point(|frame| frame.lsn <= position);
        let mut taken = Vec::new();
        let mut bytes = 0;
        for frame in self.frames.range(next..).skip(within) {
            taken.push(frame.clone());
            bytes += weight(frame);
            if bytes >= max_bytes {
                break;
            }
        }
        if taken.is_empty() {
            RingRead::AtHead(self.head)
        } else {
            RingRead::Frames(taken)
        }
    }

    fn evict_oldest(&mut self) {
        let Some(oldest) = self.frames.front().map(|frame| frame.lsn) else {
            return;
        };
        while let Some(frame) = self.frames.pop_front_if(|frame| frame.lsn == oldest) {
            self.bytes = self.bytes.saturating_sub(weight(&frame));
        }
        self.floor = oldest;
    }
}

fn weight(frame: &Frame) -> usize {
    frame.payload.len().saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::frame::FrameVersion;
    use super::super::unit::Boundary;
    use super::*;

    fn frame(lsn: u64, first: bool, last: bool) -> Frame {
        Frame {
            version: FrameVersion::V3,
            term: 1,
            lsn: Lsn::new(lsn),
            timestamp_ms: 0,
            boundary: Boundary { first, last },
            payload: Bytes::from_static(&[0; 63]),
        }
    }

    fn push(ring: &mut Ring, lsn: u64) {
        ring.push([frame(lsn, true, true)], Lsn::new(lsn));
    }

    fn lsns(read: RingRead) -> Vec<u64> {
        match read {
            RingRead::Frames(frames) => frames.iter().map(|f| f.lsn.get()).collect(),
            RingRead::AtHead(_) | RingRead::Below => panic!("no frames: {read:?}"),
        }
    }

    #[test]
    fn is_bounded_by_frames_and_by_bytes() {
        for (frames, bytes) in [(10, usize::MAX), (usize::MAX, 1000)] {
            let mut ring = Ring::new(Lsn::ZERO, Lsn::ZERO, frames, bytes);
            for lsn in 1..=1000 {
                push(&mut ring, lsn);
                assert!(ring.frames.len() <= 10);
            }
            assert_eq!(lsns(ring.read(Lsn::new(990), 0, usize::MAX)).len(), 10);
            assert!(matches!(ring.read(Lsn::new(989), 0, 1), RingRead::Below));
        }
    }

    #[test]
    fn reads_are_exclusive_and_bounded_but_never_empty() {
        let mut ring = Ring::new(Lsn::new(5), Lsn::new(5), 100, 1 << 20);
        assert!(matches!(ring.read(Lsn::new(5), 0, 1), RingRead::AtHead(head) if head.get() == 5));
        for lsn in 6..=9 {
            push(&mut ring, lsn);
        }
        assert_eq!(lsns(ring.read(Lsn::new(5), 0, 1)), [6]);
        assert_eq!(lsns(ring.read(Lsn::new(7), 0, 1 << 20)), [8, 9]);
        assert!(matches!(ring.read(Lsn::new(9), 0, 1), RingRead::AtHead(_)));
        assert!(matches!(ring.read(Lsn::new(4), 0, 1), RingRead::Below));
    }

    #[test]
    fn gives_up_whole_transactions_only() {
        let mut ring = Ring::new(Lsn::ZERO, Lsn::ZERO, 4, usize::MAX);
        let three = [
            frame(8, true, false),
            frame(8, false, false),
            frame(8, false, true),
        ];
        ring.push(three, Lsn::new(8));
        push(&mut ring, 16);
        assert_eq!(lsns(ring.read(Lsn::ZERO, 2, usize::MAX)), [8, 16]);
        push(&mut ring, 24);
        assert!(matches!(ring.read(Lsn::ZERO, 2, 1), RingRead::Below));
        assert_eq!(lsns(ring.read(Lsn::new(8), 0, usize::MAX)), [16, 24]);
        ring.skip_to(Lsn::new(99));
        assert!(matches!(ring.read(Lsn::new(24), 0, 1), RingRead::Below));
        assert!(matches!(ring.read(Lsn::new(99), 0, 1), RingRead::AtHead(_)));
    }
}
