//! The spool against a model of it, on a disk that crashes, tears and fails.
//!
//! Promises P1, P5, P6 and P7, rows W-05, W-06 and W-11: every acknowledged transaction above
//! the prune point is readable after any crash, nothing wrong is ever read, order and LSNs are
//! the same after every restart, the head never goes back, and after a failed write or sync
//! nothing more is accepted.
//!
//! `PGSPOOL_SEED=n` replays one seed, `PGSPOOL_SEEDS=n` sets how many are run. The spool writes
//! on a thread of its own; the model waits for every answer, so a seed repeats the same
//! operations, but how the writer groups what waits for it may differ from run to run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

mod dice;

use dice::Dice;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pgspool::disk::{Disk, FakeDisk, FakeError, FakeOp};
use pgspool::lsn::Lsn;
use pgspool::spool::check::{SlotPosition, check};
use pgspool::spool::{
    ActiveSegment, AppendError, Boundary, Cursor, Draft, Drafts, Frame, MIN_LSN_STEP, MemoryRead,
    NewSpool, OpenError, ReadError, RecoveryMode, RecoveryReport, Spool, SpoolOptions, Stamp, Unit,
};

const DIR: &str = "data/db";
const SEGMENT_BYTES: u64 = 1500;
const FIRST: u8 = 1;
const LAST: u8 = 2;
/// Where the digits go in a payload with a hole.
const HOLE: usize = 13;

/// Payloads begin with their flags: which end of the transaction they are.
fn boundary(payload: &[u8]) -> Boundary {
    let flags = payload.first().copied().unwrap_or(FIRST | LAST);
    Boundary {
        first: flags & FIRST != 0,
        last: flags & LAST != 0,
    }
}

/// Says what happened when the test fails.
struct Story {
    name: String,
    lines: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.lines.join("\n  ");
            eprintln!("{}: replay with PGSPOOL_SEED\n  {lines}", self.name);
        }
    }
}

/// One transaction as it was handed in, and its bytes once they were seen.
#[derive(Debug, Clone)]
struct Txn {
    id: u64,
    /// Zero until it is known.
    lsn: Lsn,
    term: u64,
    timestamp_ms: u64,
    drafts: Vec<Draft>,
    seen: Option<Vec<Bytes>>,
}

impl Txn {
    fn unit(&self, chosen: Option<Lsn>) -> Unit {
        let mut drafts = self.drafts.clone();
        let frames = if drafts.len() == 1 && self.id.is_multiple_of(2) {
            Drafts::One(drafts.remove(0))
        } else {
            Drafts::Many(drafts)
        };
        Unit {
            term: self.term,
            timestamp_ms: self.timestamp_ms,
            end: chosen.map_or(pgspool::spool::End::Local, pgspool::spool::End::Chosen),
            frames,
        }
    }

    /// Checks the frames that were read for this transaction and remembers what they hold.
    #[track_caller]
    fn check(&mut self, frames: &[Frame], previous: Lsn) {
        let lsn = frames[0].lsn;
        assert!(lsn > previous, "ends rise: {lsn} after {previous}");
        if self.lsn == Lsn::ZERO {
            self.lsn = lsn;
        }
        assert_eq!(
            frames.len(),
            self.drafts.len(),
            "frames of transaction {}",
            self.id
        );
        let mut own = Lsn::ZERO;
        for (frame, draft) in frames.iter().zip(&self.drafts) {
            assert_eq!(frame.lsn, self.lsn, "transaction {}", self.id);
            assert_eq!(
                (frame.term, frame.timestamp_ms),
                (self.term, self.timestamp_ms)
            );
            let Some((at, stamp)) = draft.hole else {
                assert_eq!(frame.payload, draft.bytes);
                continue;
            };
            let digits = frame.payload.len() - draft.bytes.len();
            assert_eq!(frame.payload[..at], draft.bytes[..at]);
            assert_eq!(frame.payload[at + digits..], draft.bytes[at..]);
            let digits = std::str::from_utf8(&frame.payload[at..at + digits]).unwrap();
            let stamped = Lsn::new(digits.parse().unwrap());
            match stamp {
                Stamp::EndLsn => assert_eq!(stamped, lsn),
                Stamp::OwnLsn => {
                    assert!(stamped > own && stamped >= previous.saturating_add(8));
                    assert!(stamped < lsn.saturating_sub(8));
                    own = stamped;
                }
            }
        }
        let payloads: Vec<Bytes> = frames.iter().map(|frame| frame.payload.clone()).collect();
        let seen = self.seen.get_or_insert_with(|| payloads.clone());
        assert_eq!(*seen, payloads, "the same bytes at every reading");
    }
}

struct World {
    disk: FakeDisk,
    spool: Option<Spool>,
    dice: Dice,
    zeros_ahead: usize,
    story: Story,
    /// Acknowledged, or seen by a reader; in order.
    acked: Vec<Txn>,
    /// Handed in after those and not answered: some first ones of them may be there.
    maybe: Vec<Txn>,
    /// Where the prune point lies: exactly, or between these after an unanswered prune.
    removed: (Lsn, Lsn),
    /// Manifests that could not be written, the old one known to stand.
    num_refused: u64,
    /// A slot position that was persisted.
    persisted: Lsn,
    /// Terms adopted: the last that was answered, the last that was asked for.
    term: (u64, u64),
    next_id: u64,
    clock: u64,
}

impl World {
    fn new(name: String, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let zeros_ahead = dice.pick(&[0, 0, 30, 90]);
        Self {
            disk: FakeDisk::default(),
            spool: None,
            dice,
            zeros_ahead,
            story: Story {
                name,
                lines: Vec::new(),
            },
            acked: Vec::new(),
            maybe: Vec::new(),
            removed: (Lsn::ZERO, Lsn::ZERO),
            num_refused: 0,
            persisted: Lsn::ZERO,
            term: (1, 1),
            next_id: 0,
            clock: 1000,
        }
    }

    fn say(&mut self, line: impl Into<String>) {
        self.story.lines.push(line.into());
    }

    fn spool(&self) -> &Spool {
        self.spool.as_ref().unwrap()
    }

    fn head(&self) -> Lsn {
        self.acked.last().map_or(Lsn::ZERO, |txn| txn.lsn)
    }

    // ---- opening -------------------------------------------------------------------------

    fn try_open(&mut self) -> Result<RecoveryReport, OpenError> {
        let options = SpoolOptions {
            segment_bytes: SEGMENT_BYTES,
            zeros_ahead: self.zeros_ahead,
            ring_frames: 6,
            ring_bytes: 1000,
            recovery: RecoveryMode::FailClosed,
            boundary,
            persisted_position: self.persisted,
            new: NewSpool {
                system_id: 7,
                imported_through: Lsn::ZERO,
                start: Lsn::ZERO,
            },
        };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (spool, report) = Spool::open(disk, Path::new(DIR), options)?;
        self.spool = Some(spool);
        Ok(report)
    }

    fn open(&mut self) -> RecoveryReport {
        let report = self.try_open().unwrap();
        self.say(format!(
            "open: head {}, torn {:?}",
            report.head, report.torn
        ));
        if let Some(torn) = &report.torn {
            let kept = self.disk.read(&torn.kept_in).unwrap();
            assert_eq!(kept.len() as u64, torn.bytes, "what was cut is kept");
        }
        self.verify();
        assert_eq!(self.spool().head(), report.head);
        self.maybe.clear();
        report
    }

    fn reopen_cleanly(&mut self) {
        self.say("close and reopen");
        self.spool().close().unwrap();
        self.spool = None;
        let slots = [SlotPosition {
            name: "slot".to_owned(),
            restart_lsn: self.persisted.max(self.removed.0),
            valid: true,
        }];
        let faults = check(&self.disk, Path::new(DIR), boundary, &slots);
        assert_eq!(faults, [], "a closed spool is sound");
        let report = self.open();
        assert!(
            report.torn.is_none() && report.removed_files.is_empty(),
            "{report:?}"
        );
    }

    /// The machine loses power and comes up again.
    fn crash(&mut self) {
        let seed = self.dice.roll();
        self.say(format!("crash {seed}"));
        let survivor = self.disk.crash(seed);
        self.spool = None;
        self.disk = survivor;
        // Now and then it crashes again while it recovers.
        if self.dice.chance(30) {
            let steps = self.dice.below(8);
            self.disk.crash_after(steps);
            let opened = self.try_open().is_ok();
            self.spool = None;
            self.say(format!(
                "crash after {steps} steps of recovery: opened {opened}"
            ));
            let seed = self.dice.roll();
            self.disk = self.disk.crash(seed);
        }
        self.open();
    }

    /// The process ends without a word; the machine goes on.
    fn restart(&mut self) {
        self.say("restart");
        self.disk.clear_faults();
        self.spool = None;
        self.open();
    }

    // ---- reading -------------------------------------------------------------------------

    /// What a reader from the prune point on sees is what the model holds, and perhaps some of
    /// what was not answered; whatever was seen has to stay.
    #[track_caller]
    fn verify(&mut self) {
        let state = self.spool().state();
        let removed = state.removed_through;
        let (at_least, at_most) = self.removed;
        assert!(
            removed >= at_least && removed <= at_most,
            "{at_least} {removed} {at_most}"
        );
        if state.failure.is_none() {
            // A stopped spool may not know how far a failed prune got on disk.
            self.removed = (removed, removed);
        }
        assert!(state.term >= self.term.0 && state.term <= self.term.1);
        self.term.0 = state.term;
        let mut cursor = self.spool().cursor(removed).unwrap();
        let found = read_on(&mut cursor, 700).unwrap();
        let mut previous = removed;
        let is_kept = |txn: &&mut Txn| txn.lsn == Lsn::ZERO || txn.lsn > removed;
        let mut acked = self.acked.iter_mut().filter(is_kept);
        let mut num_more = 0;
        for frames in &found {
            let txn = match acked.next() {
                Some(txn) => txn,
                None => {
                    num_more += 1;
                    let more = self.maybe.get_mut(num_more - 1);
                    more.expect("nothing is read that was not handed in")
                }
            };
            txn.check(frames, previous);
            previous = txn.lsn;
        }
        assert!(
            acked.next().is_none(),
            "acknowledged and lost: {:?}",
            acked.next()
        );
        self.acked.extend(self.maybe.drain(..num_more));
        assert_eq!(cursor.position(), previous.max(removed));
        assert_eq!(
            state.head,
            self.head().max(removed),
            "the head never goes back"
        );
        let oldest = found.first().map(|frames| frames[0].lsn);
        assert_eq!(state.oldest_lsn, oldest);
        assert_eq!(
            self.spool().segments().iter().filter(|s| !s.sealed).count(),
            1
        );
    }

    fn read_somewhere(&mut self) {
        let removed = self.removed.0;
        let count = self.acked.len() as u64;
        let since = match self.dice.below(count + 1) {
            at if at == count => Lsn::new(self.dice.below(self.head().get() + 2)),
            at => self.acked[at as usize].lsn,
        };
        let max_bytes = self.dice.pick(&[1, 100, 1000, 1 << 20]);
        let read = self
            .spool()
            .cursor(since)
            .and_then(|mut cursor| read_on(&mut cursor, max_bytes));
        if since < removed {
            let gone = matches!(read, Err(ReadError::Removed { removed_through, .. }) if removed_through == removed);
            assert!(
                gone,
                "reading from {since}, removed through {removed}: {read:?}"
            );
            return;
        }
        let found: Vec<Lsn> = read.unwrap().iter().map(|frames| frames[0].lsn).collect();
        let above = self
            .acked
            .iter()
            .map(|txn| txn.lsn)
            .filter(|lsn| *lsn > since);
        assert_eq!(found, above.collect::<Vec<_>>(), "reading from {since}");
    }

    fn find_time(&mut self) {
        let ms = 1000 + self.dice.below(self.clock - 990);
        let since = self.spool().position_at_time(ms).unwrap();
        let removed = self.removed.0;
        let mut kept = self.acked.iter().filter(|txn| txn.lsn > removed);
        let wanted = kept.find(|txn| txn.timestamp_ms >= ms).map(|txn| txn.lsn);
        let first = self
            .acked
            .iter()
            .map(|txn| txn.lsn)
            .find(|lsn| *lsn > since);
        assert_eq!(first, wanted, "time {ms} gave {since}");
    }

    /// A reader that is in the middle while everything is pruned gets its segment's frames or is
    /// told that they are gone.
    fn prune_under_a_reader(&mut self) {
        let kept: Vec<Lsn> = self.acked.iter().map(|txn| txn.lsn).collect();
        let kept: Vec<Lsn> = kept
            .into_iter()
            .filter(|lsn| *lsn > self.removed.0)
            .collect();
        let mut cursor = self.spool().cursor(self.removed.0).unwrap();
        let mut found = match cursor.read_memory(1).unwrap() {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::AtHead => Vec::new(),
            MemoryRead::NeedsDisk => cursor.read_disk(1).unwrap(),
        };
        let head = self.head();
        self.prune(head, ActiveSegment::Include);
        match read_frames(&mut cursor, 1) {
            Ok(frames) => {
                found.extend(frames);
                found.retain(|frame| frame.boundary.last);
                let lsns: Vec<Lsn> = found.iter().map(|frame| frame.lsn).collect();
                assert_eq!(lsns, kept, "a pinned reader reads to the end or is refused");
            }
            Err(ReadError::Removed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    // ---- writing -------------------------------------------------------------------------

    fn new_txn(&mut self) -> Txn {
        self.next_id += 1;
        self.clock += self.dice.below(5);
        let count = match self.dice.below(10) {
            0 => 2 + self.dice.below(5),
            1 => 2,
            _ => 1,
        };
        let stamps = self.dice.below(3);
        let drafts = (0..count).map(|n| {
            let len = match self.dice.below(20) {
                0 => self.dice.below(4000),
                1..4 => 0,
                _ => self.dice.below(200),
            };
            let mut bytes = vec![0];
            bytes[0] |= if n == 0 { FIRST } else { 0 };
            bytes[0] |= if n + 1 == count { LAST } else { 0 };
            bytes.extend_from_slice(&self.next_id.to_le_bytes());
            bytes.extend_from_slice(&(n as u32).to_le_bytes());
            bytes.extend((0..len).map(|at| (at ^ self.next_id) as u8));
            let hole = match stamps {
                0 => None,
                _ if count == 1 => Some((HOLE, Stamp::EndLsn)),
                _ => Some((HOLE, Stamp::OwnLsn)),
            };
            Draft {
                bytes: bytes.into(),
                hole,
            }
        });
        Txn {
            id: self.next_id,
            lsn: Lsn::ZERO,
            term: self.term.0,
            timestamp_ms: self.clock,
            drafts: drafts.collect(),
            seen: None,
        }
    }

    /// Appends batches and waits for all of them; false when one was refused.
    fn append(&mut self, num_batches: u64, choose: bool) -> bool {
        let mut tickets = Vec::new();
        let mut end = self.head();
        for _ in 0..num_batches {
            let count = 1 + self.dice.below(4);
            let batch: Vec<Txn> = (0..count).map(|_| self.new_txn()).collect();
            let units = batch.iter().map(|txn| {
                let chosen = choose.then(|| {
                    let room = 8 * txn.drafts.len() as u64 + MIN_LSN_STEP;
                    end = end.saturating_add(room + self.dice.below(300));
                    end
                });
                txn.unit(chosen)
            });
            let units: Vec<Unit> = units.collect();
            let ids: Vec<u64> = batch.iter().map(|txn| txn.id).collect();
            tickets.push((batch, self.spool().append(units)));
            self.say(format!(
                "append {ids:?}{}",
                if choose { " chosen" } else { "" }
            ));
        }
        let mut all = true;
        for (mut batch, ticket) in tickets {
            match ticket.and_then(|ticket| ticket.wait()) {
                Ok(appended) => {
                    assert!(all, "acknowledged after a refusal");
                    assert_eq!(appended.num_transactions, batch.len() as u64);
                    assert!(appended.first_lsn > self.head());
                    batch[0].lsn = appended.first_lsn;
                    batch.last_mut().unwrap().lsn = appended.last_lsn;
                    self.acked.extend(batch);
                }
                Err(AppendError::Stopped(_)) => {
                    self.maybe.extend(batch);
                    all = false;
                }
                Err(error) => panic!("{error}"),
            }
        }
        if !all {
            self.say("refused");
            return false;
        }
        // Fills in the LSNs inside the batches.
        self.fill_in();
        true
    }

    /// Learns the LSNs of acknowledged transactions that were not told.
    fn fill_in(&mut self) {
        let Some(unknown) = self.acked.iter().position(|txn| txn.lsn == Lsn::ZERO) else {
            return;
        };
        let since = match unknown.checked_sub(1) {
            Some(before) => self.acked[before].lsn,
            None => self.removed.0,
        };
        let mut cursor = self.spool().cursor(since).unwrap();
        let found = read_on(&mut cursor, 1 << 20).unwrap();
        assert_eq!(found.len(), self.acked.len() - unknown);
        let mut previous = since;
        for (txn, frames) in self.acked[unknown..].iter_mut().zip(&found) {
            txn.check(frames, previous);
            previous = txn.lsn;
        }
    }

    fn refuse_a_chosen_lsn(&mut self) {
        let head = self.head();
        let txn = self.new_txn();
        let bad = Lsn::new(self.dice.below(head.get() + 60));
        let unit = txn.unit(Some(bad));
        let refused = self
            .spool()
            .append(vec![unit])
            .and_then(|ticket| ticket.wait());
        if head == Lsn::ZERO && bad > Lsn::ZERO {
            return self.adopt(txn, refused);
        }
        assert!(
            matches!(refused, Err(AppendError::LsnNotRising { .. })),
            "{refused:?}"
        );
    }

    /// The first LSN of all may be chosen freely.
    fn adopt(&mut self, mut txn: Txn, answer: Result<pgspool::spool::Appended, AppendError>) {
        match answer {
            Ok(appended) => {
                txn.lsn = appended.last_lsn;
                self.acked.push(txn);
            }
            Err(AppendError::LsnNotRising { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// False when the spool failed.
    fn prune(&mut self, upto: Lsn, active: ActiveSegment) -> bool {
        self.say(format!("prune through {upto}, {active:?}"));
        match self.spool().prune(upto, active) {
            Ok(outcome) => {
                let before = self.removed.0;
                let now = self.spool().state().removed_through;
                assert!(now >= before && now <= upto.max(before));
                assert!(outcome.num_segments == 0 || outcome.removed_through == now);
                if active == ActiveSegment::Include && upto >= self.head() {
                    assert_eq!(now, self.head().max(before), "everything goes");
                }
                self.removed = (now, now);
                true
            }
            Err(AppendError::Manifest { .. }) => {
                // The old manifest stands: nothing was removed, and everything goes on.
                assert!(self.spool().state().failure.is_none());
                assert_eq!(self.spool().state().removed_through, self.removed.0);
                self.say("prune refused");
                self.num_refused += 1;
                true
            }
            Err(AppendError::Stopped(_)) => {
                let at_most = upto.min(self.head()).max(self.removed.1);
                self.removed.1 = at_most;
                self.say("prune failed");
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn prune_somewhere(&mut self) -> bool {
        let active = self
            .dice
            .pick(&[ActiveSegment::Keep, ActiveSegment::Include]);
        let count = self.acked.len() as u64;
        let at = self.dice.below(count + 1);
        let upto = self
            .acked
            .get(at as usize)
            .map_or(Lsn::new(at), |txn| txn.lsn);
        self.prune(upto, active)
    }

    fn persist(&mut self) -> bool {
        let head = self.head();
        let done = self.spool().persist_durable_point(head);
        self.say(format!("persist {head}: {done:?}"));
        if done.is_ok() {
            assert!(self.spool().state().durable_point >= head);
            self.persisted = head;
        }
        if let Err(AppendError::Manifest { .. }) = done {
            // The old manifest stands, and everything goes on.
            assert!(self.spool().state().failure.is_none());
            self.num_refused += 1;
            return true;
        }
        done.is_ok()
    }

    fn raise_term(&mut self) -> bool {
        self.term.1 = self.term.0 + 1 + self.dice.below(3);
        let done = self.spool().set_term(self.term.1);
        self.say(format!("term {}: {done:?}", self.term.1));
        if done.is_ok() {
            self.term.0 = self.term.1;
        }
        done.is_ok()
    }

    /// One random operation; false when the spool failed.
    fn step(&mut self) -> bool {
        match self.dice.below(100) {
            0..45 => {
                let (batches, choose) = (1 + self.dice.below(3), self.dice.chance(20));
                self.append(batches, choose && batches == 1)
            }
            45..60 => self.prune_somewhere(),
            60..70 => self.persist(),
            70..74 => self.raise_term(),
            _ => true,
        }
    }

    // ---- failing -------------------------------------------------------------------------

    fn demand_a_failure(&mut self) {
        let ops = [
            FakeOp::Write,
            FakeOp::Write,
            FakeOp::Sync,
            FakeOp::Sync,
            FakeOp::SetLen,
            FakeOp::Create,
            FakeOp::Rename,
            FakeOp::Remove,
            FakeOp::SyncDir,
        ];
        let (op, nth) = (self.dice.pick(&ops), 1 + self.dice.below(6));
        let error = self.dice.pick(&[FakeError::NoSpace, FakeError::Io]);
        self.say(format!("fail {op:?} {nth} with {error:?}"));
        self.disk.fail(op, nth, error);
    }

    /// After a failure the spool refuses everything, tells why, and shows only what is durable.
    fn check_stopped(&mut self) {
        self.disk.clear_faults();
        assert!(
            self.spool().state().failure.is_some(),
            "the failure is told"
        );
        let txn = self.new_txn();
        let refused = self.spool().append(vec![txn.unit(None)]);
        let refused = refused.and_then(|ticket| ticket.wait());
        assert!(
            matches!(refused, Err(AppendError::Stopped(_))),
            "{refused:?}"
        );
        assert!(
            self.spool()
                .prune(Lsn::MAX, ActiveSegment::Include)
                .is_err()
        );
        self.verify();
        let head = self.spool().head();
        assert!(!self.spool().wait_after(head).wait_timeout(Duration::ZERO));
    }
}

/// Frames from the cursor to the head.
fn read_frames(cursor: &mut Cursor, max_bytes: usize) -> Result<Vec<Frame>, ReadError> {
    let mut found = Vec::new();
    loop {
        let frames = match cursor.read_memory(max_bytes)? {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::NeedsDisk => cursor.read_disk(max_bytes)?,
            MemoryRead::AtHead => return Ok(found),
        };
        assert!(!frames.is_empty(), "a reader below the head gets something");
        found.extend(frames);
    }
}

/// Whole transactions from the cursor to the head.
fn read_on(cursor: &mut Cursor, max_bytes: usize) -> Result<Vec<Vec<Frame>>, ReadError> {
    let mut found: Vec<Vec<Frame>> = Vec::new();
    let mut is_open = false;
    for frame in read_frames(cursor, max_bytes)? {
        let Boundary { first, last } = frame.boundary;
        assert_eq!(first, !is_open, "transactions are whole");
        is_open = !last;
        if first {
            found.push(Vec::new());
        }
        found.last_mut().unwrap().push(frame);
    }
    assert!(!is_open, "transactions are whole");
    Ok(found)
}

fn run_seed(seed: u64) {
    let mut world = World::new(format!("seed {seed}"), seed);
    world.open();
    for _ in 0..30 {
        match world.dice.below(100) {
            0..62 => assert!(world.step(), "nothing fails on a healthy disk"),
            62..72 => world.read_somewhere(),
            72..75 => world.find_time(),
            75..78 => world.prune_under_a_reader(),
            78..80 => world.refuse_a_chosen_lsn(),
            80..85 => world.reopen_cleanly(),
            85..89 => world.crash(),
            89..91 => world.restart(),
            _ => {
                world.demand_a_failure();
                let failed = (0..6).any(|_| !world.step());
                if failed {
                    world.check_stopped();
                }
                if failed && world.dice.chance(50) {
                    world.restart();
                } else {
                    world.crash();
                }
            }
        }
    }
    world.verify();
    world.reopen_cleanly();
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn p1_p5_p6_p7_random_histories_with_crashes_and_faults() {
    if let Some(seed) = number_from("PGSPOOL_SEED") {
        return run_seed(seed);
    }
    let seeds = number_from("PGSPOOL_SEEDS").unwrap_or(500);
    let threads = 4;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread..seeds).step_by(threads as usize).for_each(run_seed));
        }
    });
}

/// One transaction of `count` frames of `len` bytes.
fn large(id: u64, count: usize, len: usize) -> Txn {
    let drafts = (0..count).map(|n| {
        let mut bytes = vec![id as u8; len.max(1)];
        bytes[0] = if n == 0 { FIRST } else { 0 } | if n + 1 == count { LAST } else { 0 };
        Draft {
            bytes: bytes.into(),
            hole: None,
        }
    });
    Txn {
        id,
        lsn: Lsn::ZERO,
        term: 1,
        timestamp_ms: 1000,
        drafts: drafts.collect(),
        seen: None,
    }
}

const MIB: usize = 1 << 20;

#[test]
fn at_most_4_mib_or_one_frame_is_ever_unsynced() {
    for (count, len, most) in [(11, MIB, 4 * MIB), (1, 6 * MIB, 6 * MIB + 37), (3, 5, 1000)] {
        let mut world = World::new(format!("{count} frames of {len}"), 1);
        world.open();
        let batch = [large(1, count, len), large(2, count, len)];
        let units = batch.iter().map(|txn| txn.unit(None)).collect();
        world.spool().append(units).unwrap().wait().unwrap();
        let unsynced = world.disk.counters().max_unsynced_bytes;
        assert!(unsynced <= most as u64, "{unsynced} of {most}");
    }
}

#[test]
fn p1_p5_transactions_of_many_pieces_are_there_whole_or_not_at_all() {
    for step in 0.. {
        let mut world = World::new(format!("large, crash after step {step}"), step);
        world.open();
        assert!(world.append(1, false));
        world.disk.crash_after(step);
        let batch = [large(100, 3, 100), large(101, 9, MIB), large(102, 3, 100)];
        let units = batch.iter().map(|txn| txn.unit(None)).collect();
        let done = world.spool().append(units).and_then(|ticket| ticket.wait());
        world.maybe.extend(batch);
        if done.is_ok() {
            assert!(step >= 6, "at least three pieces, each written and synced");
            return;
        }
        world.crash();
        assert!(world.append(2, false));
        world.crash();
    }
}

/// A fixed history that seals, prunes, empties and closes.
fn scenario(world: &mut World) -> bool {
    let opened = world.try_open();
    if opened.is_err() {
        return false;
    }
    for round in 0..3 {
        if !world.append(3, false) || !world.persist() {
            return false;
        }
        let upto = world.acked[world.acked.len() / 2].lsn;
        if !world.prune(upto, ActiveSegment::Keep) || !world.append(2, round == 1) {
            return false;
        }
    }
    let head = world.head();
    if !world.prune(head, ActiveSegment::Include) || !world.append(1, false) {
        return false;
    }
    let closed = world.spool().close().is_ok();
    world.spool = None;
    closed
}

#[test]
fn w11_a_crash_after_every_single_operation_loses_nothing() {
    for step in 0.. {
        let mut done = false;
        for seed in 0..4 {
            let mut world = World::new(format!("crash after step {step}, seed {seed}"), 1);
            world.disk.crash_after(step);
            done = scenario(&mut world);
            world.dice = Dice(seed);
            world.crash();
            assert!(world.append(2, false));
            world.verify();
            world.reopen_cleanly();
        }
        if done {
            assert!(step > 100, "the scenario has steps");
            return;
        }
    }
}

#[test]
fn w05_after_every_single_failing_operation_nothing_acknowledged_is_lost() {
    let ops = [
        FakeOp::Write,
        FakeOp::Sync,
        FakeOp::SetLen,
        FakeOp::Create,
        FakeOp::Rename,
        FakeOp::Remove,
        FakeOp::SyncDir,
    ];
    for op in ops {
        for nth in 1.. {
            let name = format!("{op:?} {nth} fails");
            let mut world = World::new(name, 1);
            let error = if nth % 2 == 0 {
                FakeError::Io
            } else {
                FakeError::NoSpace
            };
            world.disk.fail(op, nth, error);
            let done = scenario(&mut world);
            let refused = world.num_refused;
            if world.spool.is_some() {
                world.check_stopped();
            }
            world.dice = Dice(nth);
            if nth % 3 == 0 {
                world.restart();
            }
            world.crash();
            assert!(world.append(2, false));
            world.crash();
            if done && refused == 0 {
                break;
            }
        }
    }
}
