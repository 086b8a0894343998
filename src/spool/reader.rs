//! A reader's place in the spool.
//!
//! Near the head frames come from the ring; elsewhere from disk, in blocks. A cursor yields every
//! transaction after its start, in order, or says why it cannot: it never skips one. While it
//! reads from disk it holds its segment open.

use std::sync::Arc;

use super::block::{BlockReader, FrameAt};
use super::error::ReadError;
use super::index::{self, MadeFor};
use super::lock;
use super::order::FrameOrder;
use super::ring::RingRead;
use super::sealing::give_back_space;
use super::segment::{self, Extent, IndexPlace};
use super::shared::Shared;
use super::shelf::Pinned;
use super::unit::Frame;
use crate::lsn::Lsn;

/// What a cursor found without touching the disk.
#[derive(Debug)]
pub enum MemoryRead {
    /// Next frames, in order.
    Frames(Vec<Frame>),
    /// Nothing after the cursor's position yet.
    AtHead,
    /// The next frames are on disk only: use [`Cursor::read_disk`].
    NeedsDisk,
}

/// A reader's place in the spool. Reading is exclusive: a cursor made with `since` first yields
/// the first frame of the first transaction that ends above `since`. It pins the segment it is
/// in: pruning does not take it away.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    position: Lsn,
    /// Frames of the transaction after `position` that were yielded already.
    within: usize,
    pinned: Option<Pinned>,
    /// Where reading goes on in the pinned segment; `None` until it was looked up.
    spot: Option<Spot>,
}

#[derive(Debug)]
struct Spot {
    offset: u64,
    blocks: BlockReader,
    order: FrameOrder,
    /// Frames of the next transaction that are not to be yielded again.
    skip: usize,
}

/// How a stretch of reading ended.
enum Stretch {
    /// As many bytes as were asked for.
    Enough,
    /// Nothing more is published.
    Head,
    /// At the end of its segment; the next one is pinned.
    More,
}

/// What stands at a spot.
enum Found {
    Frame(Frame),
    /// Nothing more is published.
    Head,
    /// The segment is read to its sealed end.
    SegmentEnd,
}

impl Cursor {
    /// A cursor after `since`, its segment pinned.
    pub(super) fn new(shared: Arc<Shared>, since: Lsn) -> Result<Self, ReadError> {
        let pinned = shared.shelf.pin_after(&*shared.place.disk, since)?;
        Ok(Self {
            shared,
            position: since,
            within: 0,
            pinned: Some(pinned),
            spot: None,
        })
    }

    /// A cursor after `since` that holds nothing open: whether what it wants is still there is
    /// found out when it reads.
    pub(super) const fn at_rest(shared: Arc<Shared>, since: Lsn) -> Self {
        Self {
            shared,
            position: since,
            within: 0,
            pinned: None,
            spot: None,
        }
    }

    /// Lets go of what it holds open and of what it has read ahead; it reads on where it was. What
    /// it has not yielded may be pruned then.
    pub fn rest(&mut self) {
        self.unpin();
        self.spot = None;
    }

    /// Next frames from the ring in memory; never touches the disk.
    pub fn read_memory(&mut self, max_bytes: usize) -> Result<MemoryRead, ReadError> {
        let read = lock(&self.shared.ring).read(self.position, self.within, max_bytes);
        match read {
            RingRead::Frames(frames) => {
                for frame in &frames {
                    self.step_over(frame);
                }
                self.unpin();
                self.spot = None;
                Ok(MemoryRead::Frames(frames))
            }
            RingRead::AtHead(head) => {
                self.position = self.position.max(head);
                Ok(MemoryRead::AtHead)
            }
            RingRead::Below => Ok(MemoryRead::NeedsDisk),
        }
    }

    /// Next frames from disk (about `max_bytes` of them, at least one unless at the head).
    /// Blocking: not for async tasks.
    pub fn read_disk(&mut self, max_bytes: usize) -> Result<Vec<Frame>, ReadError> {
        let mut frames = Vec::new();
        let mut budget = max_bytes.max(1);
        loop {
            match self.read_stretch(&mut frames, &mut budget) {
                Ok(Stretch::More) => {}
                Ok(Stretch::Enough | Stretch::Head) => return Ok(frames),
                // What was read is good; the error comes again with the next call.
                Err(_) if !frames.is_empty() => return Ok(frames),
                Err(error) => return Err(error),
            }
        }
    }

    /// End LSN of the last transaction whose last frame was yielded (or the start).
    pub fn position(&self) -> Lsn {
        self.position
    }

    fn step_over(&mut self, frame: &Frame) {
        if frame.boundary.last {
            self.position = frame.lsn;
            self.within = 0;
        } else {
            self.within += 1;
        }
    }

    /// Reads on in the pinned segment, as far as it was published when the call began.
    fn read_stretch(
        &mut self,
        frames: &mut Vec<Frame>,
        budget: &mut usize,
    ) -> Result<Stretch, ReadError> {
        let pinned = self.pin()?;
        let extent = pinned.segment.extent();
        let mut spot = match self.spot.take() {
            Some(spot) => spot,
            None => find_spot(&self.shared, &pinned, self.position, self.within)?,
        };
        let end = loop {
            match next_at(&mut spot, &pinned, &extent)? {
                Found::Frame(frame) if frame.lsn <= self.position => {}
                Found::Frame(_) if spot.skip > 0 => spot.skip -= 1,
                Found::Frame(frame) => {
                    self.step_over(&frame);
                    *budget = budget.saturating_sub(frame.payload.len().max(1));
                    frames.push(frame);
                    if *budget == 0 {
                        break Stretch::Enough;
                    }
                }
                Found::Head => break Stretch::Head,
                Found::SegmentEnd => {
                    let end = extent.last_lsn.max(self.position);
                    let moved = self.pin_next(&pinned, end)?;
                    return Ok(if moved { Stretch::More } else { Stretch::Head });
                }
            }
        };
        self.spot = Some(spot);
        Ok(end)
    }

    /// Lets go of the segment. Where pruning took its name away, this may be what gives its space
    /// back: not on the caller's thread, which may be one that must not wait.
    fn unpin(&mut self) {
        if let Some(Pinned { segment, file }) = self.pinned.take()
            && !self.shared.shelf.holds(&segment)
        {
            give_back_space(vec![file]);
        }
    }

    /// The segment to read from, pinned in the same step in which it is found to be there.
    fn pin(&mut self) -> Result<Pinned, ReadError> {
        match &self.pinned {
            Some(pinned) => Ok(pinned.clone()),
            None => {
                let disk = &*self.shared.place.disk;
                let pinned = self.shared.shelf.pin_after(disk, self.position)?;
                self.spot = None;
                Ok(self.pinned.insert(pinned).clone())
            }
        }
    }

    /// Moves on to the segment behind `current`, which ends at `end`. False when there is none.
    fn pin_next(&mut self, current: &Pinned, end: Lsn) -> Result<bool, ReadError> {
        let next = self.shared.shelf.pin_after(&*self.shared.place.disk, end)?;
        if Arc::ptr_eq(&next.segment, &current.segment) {
            return Ok(false);
        }
        let from_start = end < next.segment.extent().first_lsn || end <= next.segment.base;
        self.spot = from_start.then(|| Spot::at(&self.shared, &next, 0, 0));
        self.pinned = Some(next);
        Ok(true)
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.unpin();
    }
}

impl Spot {
    fn at(shared: &Shared, pinned: &Pinned, offset: u64, skip: usize) -> Self {
        Self {
            offset,
            blocks: BlockReader::new(shared.boundary),
            order: FrameOrder::after(pinned.segment.base),
            skip,
        }
    }
}

/// Looks the position up in the segment's index.
fn find_spot(
    shared: &Shared,
    pinned: &Pinned,
    position: Lsn,
    within: usize,
) -> Result<Spot, ReadError> {
    let offset = floor_offset(shared, pinned, position)?;
    Ok(Spot::at(shared, pinned, offset, within))
}

/// Where to begin reading in a segment for what follows `position`.
pub(super) fn floor_offset(
    shared: &Shared,
    pinned: &Pinned,
    position: Lsn,
) -> Result<u64, ReadError> {
    let segment = &pinned.segment;
    if position <= segment.base {
        return Ok(0);
    }
    if let IndexPlace::Live(entries) = &*lock(&segment.index) {
        return Ok(index::floor(entries, position));
    }
    let bytes = segment.extent().bytes;
    let crc = lock(&segment.sealed_crc).unwrap_or_default();
    let made_for = MadeFor { bytes, crc };
    let disk = &*shared.place.disk;
    let path = shared.place.folder.join(segment::index_name(&segment.name));
    if let Some(entries) = index::read(disk, &path, made_for) {
        return Ok(index::floor(&entries, position));
    }
    // One reader rebuilds it; the lock keeps the others from doing the same at once.
    let _rebuilding = lock(&shared.rebuilding_index);
    if let Some(entries) = index::read(disk, &path, made_for) {
        return Ok(index::floor(&entries, position));
    }
    let entries = index::rebuild(&*pinned.file, bytes, shared.boundary)
        .map_err(ReadError::io(&segment.name))?;
    if shared.shelf.holds(segment) {
        // Only a cache: without it the next reader rebuilds again.
        drop(index::write(disk, &path, made_for, &entries));
    }
    Ok(index::floor(&entries, position))
}

fn next_at(spot: &mut Spot, pinned: &Pinned, extent: &Extent) -> Result<Found, ReadError> {
    let segment = &pinned.segment;
    let offset = spot.offset;
    let read = spot.blocks.frame_at(&*pinned.file, offset, extent.bytes);
    let corrupt = |reason: String| ReadError::corrupt(&segment.name, offset, reason);
    match read.map_err(ReadError::io(&segment.name))? {
        FrameAt::Frame { frame, end } => {
            spot.order.take(&frame).map_err(corrupt)?;
            if frame.lsn > extent.last_lsn {
                let last = extent.last_lsn;
                return Err(corrupt(format!("position {} is above {last}", frame.lsn)));
            }
            spot.offset = end;
            Ok(Found::Frame(frame))
        }
        FrameAt::End if !extent.sealed => Ok(Found::Head),
        FrameAt::End => {
            let whole = spot.order.is_between() && spot.order.last_lsn() == extent.last_lsn;
            if offset > 0 && !whole {
                return Err(corrupt(format!("segment ends before {}", extent.last_lsn)));
            }
            Ok(Found::SegmentEnd)
        }
        FrameAt::Fault(reason) => Err(corrupt(reason)),
    }
}
