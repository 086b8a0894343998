//! The writer thread: the only place where LSN, file order and index are decided.
//!
//! It takes all that waits, encodes it into one buffer, writes and syncs that once, then shows it
//! to readers and answers. No write starts before the previous sync returned, and at most
//! [`MAX_UNSYNCED`] bytes (or one frame, if larger) are ever unsynced. After a failed write or sync
//! it stops for good: nothing is retried, nothing of it becomes visible. A manifest that could not
//! be replaced stops it too, unless the old one is known to stand and can go on doing so: for a
//! durable point, and before files are removed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error::{AppendError, WriterFailure};
use super::group::{Group, Stamped};
use super::index::{Entry, Thinning};
use super::lsn_rule;
use super::manifest::{DurablePoint, Manifest};
use super::options::SpoolOptions;
use super::pace::Pace;
use super::queue::{Job, Patience};
use super::recovery::{MAX_UNSYNCED, Recovered};
use super::segment::{Extent, IndexPlace, Segment};
use super::shared::Shared;
use super::ticket::{Appended, Completion, complete_all};
use super::unit::{Draft, End, Stamp, Unit, Work};
use super::{lock, size};
use crate::disk::{DiskFile, ReplaceError};
use crate::lsn::Lsn;

/// How late the manifest may vouch for what was appended.
const DURABLE_POINT_EVERY: Duration = Duration::from_secs(1);

/// Larger writes do not profit.
const SMALL_WRITE: usize = 128 << 10;

/// The writer failed; why is in [`Shared::failure`].
pub(super) struct Stopped;

/// The writer's own state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) manifest: Manifest,
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn DiskFile>,
    segment_bytes: u64,
    zeros_ahead: usize,
    /// How long the file is: up to here it is zeros behind what was written.
    pub(super) file_len: u64,
    /// Bytes written and synced.
    pub(super) written: u64,
    /// CRC-32 of them.
    pub(super) crc: crc32fast::Hasher,
    /// The active segment up to the last whole transaction placed.
    pub(super) whole: Extent,
    pub(super) thinning: Thinning,
    /// End LSN of the last transaction placed.
    pub(super) head: Lsn,
    pub(super) group: Group,
    pace: Pace,
    /// Since when the manifest vouches for less than was appended.
    behind_since: Option<Instant>,
    /// Taken from the queue, not begun.
    jobs: VecDeque<Job>,
    closing: Option<SyncSender<Result<(), AppendError>>>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        segment: Arc<Segment>,
        recovered: Recovered,
        options: &SpoolOptions,
    ) -> Self {
        let Recovered {
            manifest,
            file,
            scan,
            ..
        } = recovered;
        Self {
            shared,
            segment,
            file,
            segment_bytes: options.segment_bytes,
            zeros_ahead: zeros_ahead(options),
            file_len: scan.extent.bytes,
            written: scan.extent.bytes,
            crc: scan.crc,
            whole: scan.extent,
            thinning: scan.thinning,
            head: manifest.head,
            manifest,
            group: Group::new(options.ring_bytes),
            pace: Pace::default(),
            behind_since: None,
            jobs: VecDeque::new(),
            closing: None,
        }
    }

    /// Works until it is closed or fails.
    pub(super) fn run(mut self) {
        while self.closing.is_none() && self.round().is_ok() {}
    }

    /// Takes what waits and makes it durable.
    fn round(&mut self) -> Result<(), Stopped> {
        let deadline = self
            .behind_since
            .and_then(|since| since.checked_add(DURABLE_POINT_EVERY));
        let patience = Patience {
            deadline,
            expected: self.pace.expected(),
            company: self.pace.company(),
        };
        self.jobs = self.shared.queue.take(patience, MAX_UNSYNCED).into();
        self.pace.note_taken(Instant::now(), self.jobs.len());
        while let Some(job) = self.jobs.pop_front() {
            self.begin(job)?;
        }
        self.flush()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline)
            && self.persist_durable_point()?.is_err()
        {
            // What is vouched for is only older than it could be: the next time will do.
            self.behind_since = Some(Instant::now());
        }
        Ok(())
    }

    fn begin(&mut self, job: Job) -> Result<(), Stopped> {
        match job {
            Job::Append {
                work: Work::Units(units),
                completion,
                ..
            } => return self.append(units, completion),
            Job::Append {
                work: Work::Streamed(unit),
                completion,
                ..
            } => return self.append_streamed(unit, completion),
            Job::Prune {
                upto,
                active,
                reply,
            } => {
                self.flush()?;
                // An asker that has gone needs no answer; here and below.
                drop(reply.send(self.prune(upto, active)?));
            }
            Job::PersistDurablePoint { at_least, reply } => {
                self.flush()?;
                let persisted = self.persist_durable_point()?;
                drop(reply.send(persisted.and_then(|()| self.reached(at_least))));
            }
            Job::SetTerm { term, reply } => {
                self.flush()?;
                self.set_term(term)?;
                drop(reply.send(Ok(())));
            }
            Job::AdvanceHead { to, reply } => {
                self.flush()?;
                drop(reply.send(self.advance_head(to)?));
            }
            Job::Follow {
                system_id,
                timeline,
                reply,
            } => {
                self.flush()?;
                drop(reply.send(self.follow(system_id, timeline)?));
            }
            Job::Close { reply } => {
                self.flush()?;
                self.cut_zeros()?;
                if self.behind_since.is_some() {
                    self.store_manifest()?;
                }
                self.closing = Some(reply);
            }
        }
        Ok(())
    }

    // Appending

    fn append(&mut self, mut units: Vec<Unit>, completion: Completion) -> Result<(), Stopped> {
        units.retain(|unit| !unit.frames.as_slice().is_empty());
        let ends = match self.ends_of(&units) {
            Ok(ends) => ends,
            Err(refused) => {
                completion.complete(Err(refused));
                return Ok(());
            }
        };
        for (unit, end) in units.iter().zip(&ends) {
            if let Err(stopped) = self.place(unit, *end) {
                completion.complete(Err(self.shared.refusal()));
                return Err(stopped);
            }
        }
        let appended = Appended {
            first_lsn: ends.first().copied().unwrap_or(self.head),
            last_lsn: self.head,
            num_transactions: size(ends.len()),
        };
        self.group.done.push((completion, appended));
        Ok(())
    }

    /// The end LSNs of a batch, or why it is refused as a whole.
    fn ends_of(&self, units: &[Unit]) -> Result<Vec<Lsn>, AppendError> {
        let mut head = self.head;
        let mut ends = Vec::with_capacity(units.len());
        for unit in units {
            head = lsn_rule::end_of(unit, head, self.shared.imported_through)?;
            ends.push(head);
        }
        Ok(ends)
    }

    /// Encodes one transaction; a large one is written in pieces on the way.
    fn place(&mut self, unit: &Unit, end: Lsn) -> Result<(), Stopped> {
        let drafts = unit.frames.as_slice();
        let begins_at = self.written.saturating_add(size(self.group.buf.len()));
        let base = lsn_rule::local_base(self.head, self.shared.imported_through);
        let of = Stamped {
            term: unit.term,
            timestamp_ms: unit.timestamp_ms,
            end,
        };
        let mut counted_before: u64 = 0;
        for (draft, index) in drafts.iter().zip(0..) {
            let own = match unit.end {
                End::Local => lsn_rule::own_lsn(base, counted_before),
                End::Chosen(_) | End::Upstream(_) => {
                    lsn_rule::own_lsn_before(end, index, size(drafts.len()))
                }
            };
            self.place_draft(draft, of, number_for(draft, end, own))?;
            counted_before = counted_before.saturating_add(size(draft.counted_frame()));
        }
        self.head = end;
        self.close_transaction(of, size(drafts.len()), begins_at)
    }

    /// Encodes one frame; what no longer fits beside what is unsynced waits for a sync.
    pub(super) fn place_draft(
        &mut self,
        draft: &Draft,
        of: Stamped,
        number: u64,
    ) -> Result<(), Stopped> {
        let fits = self.group.buf.len().saturating_add(draft.counted_frame()) <= MAX_UNSYNCED;
        if !fits && !self.group.buf.is_empty() {
            self.flush()?;
        }
        self.group.place(draft, of, number);
        Ok(())
    }

    pub(super) fn close_transaction(
        &mut self,
        of: Stamped,
        frames: u64,
        begins_at: u64,
    ) -> Result<(), Stopped> {
        let ends_at = self.written.saturating_add(size(self.group.buf.len()));
        let bytes = ends_at.saturating_sub(begins_at);
        self.whole.add(of.end, of.timestamp_ms, frames, bytes);
        if self.thinning.take(frames, bytes) {
            self.group.entries.push(Entry {
                lsn: of.end,
                offset: begins_at,
            });
        }
        self.group.close_transaction();
        if self.whole.bytes >= self.segment_bytes {
            self.flush()?;
            self.seal()?;
        }
        Ok(())
    }

    /// Writes and syncs what was encoded, then shows it to readers and answers.
    fn flush(&mut self) -> Result<(), Stopped> {
        if !self.group.buf.is_empty() {
            let buf = std::mem::take(&mut self.group.buf);
            let started = Instant::now();
            let written = self.write(&buf);
            written.map_err(self.fail("write to", &self.segment.name))?;
            let syncing = Instant::now();
            let synced = self.file.sync();
            synced.map_err(self.fail("sync of", &self.segment.name))?;
            self.pace.note_sync(started.elapsed());
            self.shared.num_syncs.fetch_add(1, Ordering::Relaxed);
            let (records, bytes) = (size(self.group.num_placed()), size(buf.len()));
            self.shared.syncs.note(syncing.elapsed(), records, bytes);
            self.written = self.written.saturating_add(size(buf.len()));
            self.crc.update(&buf);
            self.group.buf = Vec::with_capacity(buf.len());
            self.publish(&Bytes::from(buf));
        }
        if !self.group.done.is_empty() {
            let waiting = self.shared.queue.len();
            let answered = self.group.done.len();
            self.pace.note_answered(Instant::now(), answered, waiting);
        }
        complete_all(self.group.done.drain(..));
        Ok(())
    }

    /// Writes `buf` behind what was written. Overwriting zeros is much cheaper to sync than growing
    /// the file, for which the file system has to change its own books as well.
    fn write(&mut self, buf: &[u8]) -> io::Result<()> {
        let end = self.written.saturating_add(size(buf.len()));
        self.file.write_all_at(buf, self.written)?;
        if end > self.file_len {
            self.file_len = end;
            if self.zeros_ahead > 0 && buf.len() <= SMALL_WRITE {
                self.file.write_all_at(&vec![0; self.zeros_ahead], end)?;
                self.file_len = end.saturating_add(size(self.zeros_ahead));
            }
        }
        Ok(())
    }

    /// Cuts the zeros off the active segment, all of which is synced.
    pub(super) fn cut_zeros(&mut self) -> Result<(), Stopped> {
        if self.file_len > self.written {
            let cut = self.file.set_len(self.written);
            let cut = cut.and_then(|()| self.file.sync());
            cut.map_err(self.fail("cutting of", &self.segment.name))?;
            self.file_len = self.written;
        }
        Ok(())
    }

    fn publish(&mut self, bytes: &Bytes) {
        let Some(newest) = self.group.settle(bytes, self.shared.boundary) else {
            return;
        };
        if let IndexPlace::Live(index) = &mut *lock(&self.segment.index) {
            index.append(&mut self.group.entries);
        }
        let num_transactions = std::mem::take(&mut self.group.num_transactions);
        let counter = &self.shared.num_appended;
        counter.fetch_add(num_transactions, Ordering::Relaxed);
        self.shared.publish(&self.segment, self.whole, newest);
        self.behind_since.get_or_insert_with(Instant::now);
    }

    // Manifest

    /// Lets the manifest vouch for all that was published, unless it does.
    fn persist_durable_point(&mut self) -> Result<Result<(), AppendError>, Stopped> {
        if self.behind_since.is_some() {
            return self.try_store_manifest();
        }
        Ok(Ok(()))
    }

    fn reached(&self, at_least: Lsn) -> Result<(), AppendError> {
        if at_least <= self.head {
            Ok(())
        } else {
            Err(AppendError::AheadOfHead {
                position: at_least,
                head: self.head,
            })
        }
    }

    fn set_term(&mut self, term: u64) -> Result<(), Stopped> {
        if term > self.manifest.term {
            self.manifest.term = term;
            self.store_manifest()?;
            self.shared.term.store(term, Ordering::Release);
        }
        Ok(())
    }

    /// Replaces the manifest, for a caller that cannot go on without.
    pub(super) fn store_manifest(&mut self) -> Result<(), Stopped> {
        let stored = self.replace_manifest().map_err(io::Error::from);
        stored.map_err(self.fail("replacement of", "the manifest"))
    }

    /// Replaces the manifest, for a caller that can go on with the old one: the inner error says
    /// that it stands.
    pub(super) fn try_store_manifest(&mut self) -> Result<Result<(), AppendError>, Stopped> {
        match self.replace_manifest() {
            Ok(()) => Ok(Ok(())),
            Err(ReplaceError::OldStands(error)) => Ok(Err(AppendError::Manifest {
                kind: error.kind(),
                error: error.to_string(),
            })),
            Err(ReplaceError::Unknown(error)) => {
                Err(self.fail("replacement of", "the manifest")(error))
            }
        }
    }

    /// Called only when all that was placed is synced, so that the durable point is the end of
    /// what there is.
    fn replace_manifest(&mut self) -> Result<(), ReplaceError> {
        let lsn = self.last_end();
        self.manifest.idle = self.manifest.idle.filter(|idle| lsn <= idle.after);
        self.manifest.head = self.head;
        self.manifest.durable = DurablePoint {
            segment: self.manifest.active.name.clone(),
            offset: self.whole.bytes,
            lsn,
        };
        let place = &self.shared.place;
        self.manifest.store(&*place.disk, &place.dir)?;
        self.behind_since = None;
        let durable_point = &self.shared.durable_point;
        durable_point.store(self.head.get(), Ordering::Release);
        Ok(())
    }

    /// Stops the writer: for `map_err`. The reason stands before anybody is answered.
    pub(super) fn fail(
        &self,
        action: &str,
        what: &str,
    ) -> impl FnOnce(io::Error) -> Stopped + use<> {
        let shared = Arc::clone(&self.shared);
        let action = format!("{action} {what}");
        move |error| {
            let failure = WriterFailure::of(action)(error);
            shared.failure.get_or_init(|| Arc::new(failure));
            Stopped
        }
    }
}

impl Drop for Writer {
    /// Answers everybody who still waits.
    fn drop(&mut self) {
        if thread::panicking() {
            let failure = WriterFailure {
                action: "the writer thread".to_owned(),
                error: "it panicked".to_owned(),
                kind: io::ErrorKind::Other,
            };
            self.shared.failure.get_or_init(|| Arc::new(failure));
        }
        let left = self.shared.queue.close();
        for (completion, _) in self.group.done.drain(..) {
            completion.complete(Err(self.shared.refusal()));
        }
        for job in self.jobs.drain(..).chain(left) {
            if let Job::Append { completion, .. } = job {
                completion.complete(Err(self.shared.refusal()));
            }
        }
        if let Some(reply) = self.closing.take() {
            drop(reply.send(Ok(())));
        }
    }
}

/// Never much of a segment.
fn zeros_ahead(options: &SpoolOptions) -> usize {
    let part = usize::try_from(options.segment_bytes / 16).unwrap_or(usize::MAX);
    options.zeros_ahead.min(part)
}

pub(super) fn number_for(draft: &Draft, end: Lsn, own: Lsn) -> u64 {
    match draft.hole {
        Some((_, Stamp::OwnLsn)) => own.get(),
        Some((_, Stamp::EndLsn)) | None => end.get(),
    }
}
