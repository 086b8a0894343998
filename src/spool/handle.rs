//! The spool as its users hold it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

use super::appender::Writer;
use super::block::{BlockReader, FrameAt};
use super::error::{AppendError, OpenError, ReadError, WriterFailure};
use super::head::{Head, HeadWait};
use super::options::{RecoveryReport, SpoolOptions};
use super::prune::{ActiveSegment, PruneOutcome};
use super::queue::{Job, Queue};
use super::reader::Cursor;
use super::recovery::{Place, Recovered, recover};
use super::ring::Ring;
use super::segment::Segment;
use super::shared::Shared;
use super::shelf::{Pinned, Shelf};
use super::ticket::{AppendTicket, ticket};
use super::unit::{StreamedUnit, Unit, Work};
use super::{MAX_PAYLOAD, lock};
use crate::disk::Disk;
use crate::lsn::Lsn;
use crate::metrics::{SyncCounters, SyncSnapshot};

/// What a transaction in pieces counts at least while it waits: it reads so much ahead.
const READ_AHEAD_BYTES: u64 = 2 << 20;

/// One segment, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// File name.
    pub name: String,
    /// End LSN of its first and last transaction (zero when empty).
    pub first_lsn: Lsn,
    /// See `first_lsn`.
    pub last_lsn: Lsn,
    /// File bytes.
    pub bytes: u64,
    /// Frames in it.
    pub frames: u64,
    /// No more is written to it.
    pub sealed: bool,
}

/// The spool at one moment.
#[derive(Debug, Clone)]
pub struct SpoolState {
    /// End LSN of the last durable transaction.
    pub head: Lsn,
    /// Everything at or below this was pruned; reading may start here.
    pub removed_through: Lsn,
    /// End LSN of the oldest readable transaction, `None` when there is none.
    pub oldest_lsn: Option<Lsn>,
    /// Leadership term new frames get.
    pub term: u64,
    /// System identifier.
    pub system_id: u64,
    /// Last imported LSN, zero when nothing was imported.
    pub imported_through: Lsn,
    /// Position up to which the manifest vouches for the data.
    pub durable_point: Lsn,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Syncs done by the writer since open.
    pub num_syncs: u64,
    /// Transactions appended since open.
    pub num_appended: u64,
    /// Records made durable since open.
    pub num_records: u64,
    /// Bytes of their frames.
    pub num_record_bytes: u64,
    /// Set once the writer has stopped for good.
    pub failure: Option<Arc<WriterFailure>>,
}

/// One database's spool. Clones share it; the last one to go closes it cleanly.
#[derive(Debug, Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Spool {
    /// Opens or creates the spool in the folder `dir` (`manifest.json` and `spool/`).
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: SpoolOptions,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let (place, recovered) = recover(disk, dir, &options)?;
        let report = recovered.report.clone();
        let (shared, active) = share(place, &recovered, &options);
        let shared = Arc::new(shared);
        let writer = Writer::new(Arc::clone(&shared), active, recovered, &options);
        let thread = thread::Builder::new()
            .name("pgspool-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::io("start the writer thread"))?;
        let inner = Inner {
            shared,
            writer: Mutex::new(Some(thread)),
        };
        let spool = Self {
            inner: Arc::new(inner),
        };
        Ok((spool, report))
    }

    /// Queues transactions; they get their LSNs in queue order and become durable together.
    /// All or nothing is promised per transaction, not per batch. Blocks while more than 32 MiB
    /// wait to be written.
    pub fn append(&self, units: Vec<Unit>) -> Result<AppendTicket, AppendError> {
        for draft in units.iter().flat_map(|unit| unit.frames.as_slice()) {
            let len = draft.counted_payload();
            if len > MAX_PAYLOAD {
                return Err(AppendError::PayloadTooLarge {
                    len,
                    max: MAX_PAYLOAD,
                });
            }
        }
        let bytes = units.iter().map(Unit::counted_bytes);
        let bytes = bytes.fold(1, usize::saturating_add);
        self.queue(Work::Units(units), bytes)
    }

    /// Queues one transaction of any size. Its frames are fetched while it is written, on the
    /// writer's thread, which does nothing else until then; none may exceed
    /// [`MAX_PAYLOAD`], which the caller has checked. Blocks like [`Spool::append`].
    pub fn append_streamed(&self, unit: StreamedUnit) -> Result<AppendTicket, AppendError> {
        let bytes = unit.drafts.counted_bytes().min(READ_AHEAD_BYTES);
        let bytes = bytes.max(unit.drafts.memory_bytes()).max(1);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.queue(Work::Streamed(unit), bytes)
    }

    fn queue(&self, work: Work, bytes: usize) -> Result<AppendTicket, AppendError> {
        let (ticket, completion) = ticket(&self.shared().gate);
        let job = Job::Append {
            work,
            bytes,
            completion,
        };
        match self.shared().queue.push(job) {
            Ok(()) => Ok(ticket),
            Err(_) => Err(self.shared().refusal()),
        }
    }

    /// Bytes that wait to be written, about.
    pub fn num_queued_bytes(&self) -> usize {
        self.shared().queue.num_bytes()
    }

    /// End LSN of the last durable transaction; zero when there never was one.
    pub fn head(&self) -> Lsn {
        self.shared().head.load()
    }

    /// Leadership term new frames get.
    pub fn term(&self) -> u64 {
        self.shared().term.load(Ordering::Acquire)
    }

    /// System identifier.
    pub fn system_id(&self) -> u64 {
        self.shared().system_id.load(Ordering::Acquire)
    }

    /// Position up to which the manifest vouches for the data.
    pub fn durable_point(&self) -> Lsn {
        self.shared().durable_point()
    }

    /// Everything at or below this was pruned; reading may start here.
    pub fn removed_through(&self) -> Lsn {
        self.shared().shelf.removed_through()
    }

    /// A snapshot of positions and counters; walks the list of segments.
    pub fn state(&self) -> SpoolState {
        let shared = self.shared();
        let bytes = shared.shelf.all().iter().map(|s| s.extent().bytes).sum();
        SpoolState {
            head: shared.head.load(),
            removed_through: shared.shelf.removed_through(),
            oldest_lsn: shared.shelf.oldest_lsn(),
            term: self.term(),
            system_id: self.system_id(),
            imported_through: shared.imported_through,
            durable_point: shared.durable_point(),
            bytes,
            num_syncs: shared.num_syncs.load(Ordering::Relaxed),
            num_appended: shared.num_appended.load(Ordering::Relaxed),
            num_records: shared.syncs.num_records(),
            num_record_bytes: shared.syncs.num_bytes(),
            failure: shared.failure.get().map(Arc::clone),
        }
    }

    /// The writer's syncs since open.
    pub fn syncs(&self) -> SyncSnapshot {
        self.shared().syncs.snapshot()
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.shared().shelf.all();
        segments.iter().map(|segment| describe(segment)).collect()
    }

    /// A reader after `since`. May read an index from disk.
    pub fn cursor(&self, since: Lsn) -> Result<Cursor, ReadError> {
        Cursor::new(Arc::clone(self.shared()), since)
    }

    /// A reader after `since` that holds nothing open before it reads from disk, and touches no
    /// disk before that either.
    pub fn cursor_at_rest(&self, since: Lsn) -> Cursor {
        Cursor::at_rest(Arc::clone(self.shared()), since)
    }

    /// Waits for the head to pass `since`.
    pub fn wait_after(&self, since: Lsn) -> HeadWait {
        HeadWait::new(Arc::clone(&self.shared().head), since)
    }

    /// Removes whole segments at or below `upto`. Blocking.
    pub fn prune(&self, upto: Lsn, active: ActiveSegment) -> Result<PruneOutcome, AppendError> {
        self.ask(|reply| Job::Prune {
            upto,
            active,
            reply,
        })
    }

    /// Makes the manifest vouch for everything up to the present head, which must be at least
    /// `at_least`. Called before a slot position is persisted. Blocking; no-op when it already does.
    pub fn persist_durable_point(&self, at_least: Lsn) -> Result<(), AppendError> {
        if at_least <= self.shared().durable_point() {
            return Ok(());
        }
        self.ask(|reply| Job::PersistDurablePoint { at_least, reply })
    }

    /// Adopts a higher term, durably, before it returns. A lower or equal one changes nothing.
    /// Blocking.
    pub fn set_term(&self, term: u64) -> Result<(), AppendError> {
        if term <= self.shared().term.load(Ordering::Acquire) {
            return Ok(());
        }
        self.ask(|reply| Job::SetTerm { term, reply })
    }

    /// Moves the head to `to` without a transaction: nothing ends between the two. Durable before
    /// it returns; nothing to do at or below the head. An error of the manifest leaves all as it
    /// was, and the writer goes on. Blocking.
    pub fn advance_head(&self, to: Lsn) -> Result<(), AppendError> {
        if to <= self.head() {
            return Ok(());
        }
        self.ask(|reply| Job::AdvanceHead { to, reply })
    }

    /// Takes an upstream's system identifier and timeline, durably before it returns. Blocking.
    pub fn follow(&self, system_id: u64, timeline: u64) -> Result<(), AppendError> {
        if (system_id, timeline) == (self.system_id(), self.term()) {
            return Ok(());
        }
        self.ask(|reply| Job::Follow {
            system_id,
            timeline,
            reply,
        })
    }

    /// The position to read from so that the first transaction read is the first with a commit
    /// time at or after `unix_ms`; the head when there is none. Blocking.
    pub fn position_at_time(&self, unix_ms: u64) -> Result<Lsn, ReadError> {
        let shared = self.shared();
        for segment in shared.shelf.all() {
            let extent = segment.extent();
            if extent.frames == 0 || extent.max_timestamp_ms < unix_ms {
                continue;
            }
            // The segment may have gone in the meantime: then the next one that is there counts.
            let since = segment.base.max(shared.shelf.removed_through());
            let pinned = shared.shelf.pin_after(&*shared.place.disk, since)?;
            if let Some(position) = position_in(shared, &pinned, since, unix_ms)? {
                return Ok(position);
            }
        }
        Ok(shared.head.load())
    }

    /// Writes the durable point and stops the writer. Blocking; further appends are refused.
    pub fn close(&self) -> Result<(), AppendError> {
        self.inner.close()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    fn ask<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, AppendError>>) -> Job,
    ) -> Result<T, AppendError> {
        self.inner.ask(job)
    }
}

impl Inner {
    fn ask<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, AppendError>>) -> Job,
    ) -> Result<T, AppendError> {
        let (reply, answer) = sync_channel(1);
        if self.shared.queue.push(job(reply)).is_err() {
            return Err(self.shared.refusal());
        }
        answer.recv().unwrap_or_else(|_| Err(self.shared.refusal()))
    }

    fn close(&self) -> Result<(), AppendError> {
        let mut writer = lock(&self.writer);
        let Some(thread) = writer.take() else {
            return match self.shared.failure.get() {
                Some(_) => Err(self.shared.refusal()),
                None => Ok(()),
            };
        };
        let closed = self.ask(|reply| Job::Close { reply });
        // The thread ends after its answer; a panic in it has closed the queue already.
        drop(thread.join());
        closed
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        drop(self.close());
    }
}

fn share(place: Place, recovered: &Recovered, options: &SpoolOptions) -> (Shared, Arc<Segment>) {
    let manifest = &recovered.manifest;
    let mut segments: VecDeque<Arc<Segment>> = VecDeque::new();
    for entry in &manifest.sealed {
        let (name, extent) = (entry.name.clone(), entry.extent());
        let sealed = Segment::sealed(&place.folder, name, entry.base(), extent, entry.crc32);
        segments.push_back(Arc::new(sealed));
    }
    let active = Arc::new(Segment::active(
        &place.folder,
        manifest.active.first_position,
        recovered.scan.extent,
        recovered.scan.index.clone(),
        &recovered.file,
    ));
    segments.push_back(Arc::clone(&active));
    let head = manifest.head;
    let (frames, bytes) = (options.ring_frames, options.ring_bytes);
    let shared = Shared {
        place,
        boundary: options.boundary,
        queue: Queue::new(),
        gate: Arc::default(),
        head: Arc::new(Head::new(head)),
        ring: Mutex::new(Ring::new(recovered.readable, head, frames, bytes)),
        shelf: Shelf::new(manifest.removed_through, segments),
        rebuilding_index: Mutex::new(()),
        failure: OnceLock::new(),
        system_id: AtomicU64::new(manifest.system_id),
        imported_through: manifest.imported_through,
        term: AtomicU64::new(manifest.term),
        durable_point: AtomicU64::new(head.get()),
        num_syncs: AtomicU64::new(0),
        num_appended: AtomicU64::new(0),
        syncs: SyncCounters::default(),
    };
    (shared, active)
}

fn describe(segment: &Segment) -> SegmentInfo {
    let extent = segment.extent();
    SegmentInfo {
        name: segment.name.clone(),
        first_lsn: extent.first_lsn,
        last_lsn: extent.last_lsn,
        bytes: extent.bytes,
        frames: extent.frames,
        sealed: extent.sealed,
    }
}

/// The end of the transaction before the first one in the segment that was committed at or after
/// `unix_ms`.
fn position_in(
    shared: &Shared,
    pinned: &Pinned,
    since: Lsn,
    unix_ms: u64,
) -> Result<Option<Lsn>, ReadError> {
    let name = &pinned.segment.name;
    let bytes = pinned.segment.extent().bytes;
    let mut blocks = BlockReader::new(shared.boundary);
    let (mut before, mut offset) = (since, 0);
    loop {
        let found = blocks.frame_at(&*pinned.file, offset, bytes);
        match found.map_err(ReadError::io(name))? {
            FrameAt::Frame { frame, .. }
                if frame.boundary.first && frame.timestamp_ms >= unix_ms =>
            {
                return Ok(Some(before));
            }
            FrameAt::Frame { frame, end } => {
                before = frame.lsn;
                offset = end;
            }
            FrameAt::End => return Ok(None),
            FrameAt::Fault(reason) => return Err(ReadError::corrupt(name, offset, reason)),
        }
    }
}
