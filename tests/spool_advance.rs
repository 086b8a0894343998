//! A head that moves without a transaction, and ends as an upstream has them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

mod dice;
mod spool_support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dice::Dice;
use pgspool::disk::FakeDisk;
use pgspool::lsn::Lsn;
use pgspool::spool::{
    ActiveSegment, AppendError, Draft, DraftSource, End, MemoryRead, OpenError, RecoveryReport,
    Spool, SpoolOptions, StreamedUnit, Unit, check, read_manifest, repair,
};
use spool_support::*;

fn captured(end: u64, payload: &[u8]) -> Unit {
    Unit {
        end: End::Upstream(Lsn::new(end)),
        ..unit(None, payload)
    }
}

fn ends(spool: &Spool, since: u64) -> Vec<u64> {
    let frames = read_all(spool, since).unwrap();
    frames.iter().map(|frame| frame.lsn.get()).collect()
}

fn advance(spool: &Spool, to: u64) {
    spool.advance_head(Lsn::new(to)).unwrap();
}

#[derive(Debug)]
struct Parts(Vec<&'static [u8]>);

impl DraftSource for Parts {
    fn memory_bytes(&self) -> u64 {
        0
    }

    fn num_frames(&self) -> u64 {
        3
    }

    fn counted_bytes(&self) -> u64 {
        3 * (37 + 2)
    }

    fn next_draft(&mut self) -> std::io::Result<Option<Draft>> {
        Ok(self.0.pop().map(draft))
    }
}

#[test]
fn an_upstreams_ends_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    append(&spool, captured(1, b"a"));
    append(&spool, captured(2, b"b"));
    let batch = vec![captured(10, b"c"), captured(11, b"d")];
    spool.append(batch).unwrap().wait().unwrap();
    let streamed = StreamedUnit {
        term: 3,
        timestamp_ms: 5,
        end: End::Upstream(Lsn::new(12)),
        drafts: Box::new(Parts(vec![b"L3", b"M2", b"F1"])),
    };
    let appended = spool.append_streamed(streamed).unwrap().wait().unwrap();
    assert_eq!(appended.last_lsn, Lsn::new(12));
    assert_eq!(ends(&spool, 0), [1, 2, 10, 11, 12, 12, 12]);
    let refused = spool.append(vec![captured(12, b"e")]).unwrap().wait();
    assert!(matches!(refused, Err(AppendError::LsnNotRising { .. })));
    assert_eq!(spool.head(), Lsn::new(12));
}

#[test]
fn a_head_moves_without_a_transaction_and_wakes_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    append(&spool, captured(100, b"a"));
    let mut cursor = spool.cursor(Lsn::ZERO).unwrap();
    read_on(&mut cursor).unwrap();
    let wait = spool.wait_after(Lsn::new(100));
    advance(&spool, 200);
    assert!(wait.wait_timeout(Duration::ZERO));
    assert!(matches!(cursor.read_memory(1).unwrap(), MemoryRead::AtHead));
    assert_eq!(cursor.position(), Lsn::new(200));
    assert!(cursor.read_disk(1).unwrap().is_empty());
    // Lower ones change nothing.
    advance(&spool, 150);
    assert_eq!(spool.head(), Lsn::new(200));
    assert_eq!(spool.durable_point(), Lsn::new(200));
    let refused = spool.append(vec![captured(200, b"e")]).unwrap().wait();
    assert!(matches!(refused, Err(AppendError::LsnNotRising { .. })));
    append(&spool, captured(201, b"b"));
    assert_eq!(ends(&spool, 0), [100, 201]);
    assert_eq!(ends(&spool, 150), [201]);
    assert_eq!(ends(&spool, 500), [0_u64; 0]);
}

#[test]
fn an_advanced_head_is_there_after_a_restart_and_nothing_is_lost() {
    for frames in [vec![], vec![10, 20], vec![10, 20, 30, 40]] {
        for segment_bytes in [1, 60, 64 << 20] {
            let dir = tempfile::tempdir().unwrap();
            let spool = open(dir.path(), segments_of(segment_bytes));
            for end in &frames {
                append(&spool, captured(*end, b"x"));
            }
            advance(&spool, 1000);
            drop(spool);
            let slots = SpoolOptions {
                persisted_position: Lsn::new(1000),
                ..without_ring(segments_of(segment_bytes))
            };
            let (spool, report) = try_open(dir.path(), slots.clone()).unwrap();
            assert_eq!(
                (report.head, report.readable),
                (Lsn::new(1000), Lsn::new(1000))
            );
            assert_eq!(ends(&spool, 0), frames);
            for since in [0, 10, 500, 1000] {
                let mut cursor = spool.cursor(Lsn::new(since)).unwrap();
                read_on(&mut cursor).unwrap();
                assert_eq!(cursor.position(), Lsn::new(1000), "{frames:?} {since}");
            }
            append(&spool, captured(1001, b"y"));
            let all: Vec<u64> = frames.iter().copied().chain([1001]).collect();
            assert_eq!(ends(&spool, 0), all);
            spool.prune(Lsn::new(2000), ActiveSegment::Include).unwrap();
            advance(&spool, 3000);
            drop(spool);
            let (spool, report) = try_open(dir.path(), slots).unwrap();
            assert_eq!(
                (report.head, report.readable),
                (Lsn::new(3000), Lsn::new(3000))
            );
            let mut cursor = spool.cursor(Lsn::new(1001)).unwrap();
            assert!(read_on(&mut cursor).unwrap().is_empty());
            assert_eq!(cursor.position(), Lsn::new(3000));
            drop(spool);
            let faults = check::check(&pgspool::disk::RealDisk, dir.path(), boundary, &[]);
            assert_eq!(faults, []);
        }
    }
}

#[test]
fn real_loss_below_an_advanced_head_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    append(&spool, captured(100, b"a"));
    append(&spool, captured(200, b"b"));
    advance(&spool, 300);
    drop(spool);
    let file = segment_files(dir.path()).remove(0);
    let len = std::fs::metadata(&file).unwrap().len();
    cut_to(&file, len - 1);
    assert!(matches!(
        try_open(dir.path(), options()),
        Err(OpenError::Corrupt { .. })
    ));
    let slot = check::SlotPosition {
        name: "s".to_owned(),
        restart_lsn: Lsn::new(150),
        valid: true,
    };
    let faults = check::check(&pgspool::disk::RealDisk, dir.path(), boundary, &[slot]);
    assert!(
        faults.iter().any(|fault| fault.what.contains("was lost")),
        "{faults:?}"
    );
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    let options = longest_prefix(options());
    let (spool, report): (Spool, RecoveryReport) = try_open(dir.path(), options).unwrap();
    assert_eq!(
        (report.head, report.readable),
        (Lsn::new(300), Lsn::new(100))
    );
    drop(spool);
    let options = repair::RepairOptions {
        boundary,
        persisted_position: Lsn::ZERO,
        new: spool_support::options().new,
    };
    let report = repair::repair(&pgspool::disk::RealDisk, copy.path(), &options).unwrap();
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.lost[0].through, Lsn::new(300));
    assert_eq!(report.head, Lsn::new(300));
}

#[test]
fn a_repair_of_what_is_sound_leaves_an_advanced_head() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    append(&spool, captured(100, b"a"));
    advance(&spool, 300);
    drop(spool);
    let options = repair::RepairOptions {
        boundary,
        persisted_position: Lsn::new(300),
        new: options().new,
    };
    let report = repair::repair(&pgspool::disk::RealDisk, dir.path(), &options).unwrap();
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    assert_eq!(report.head, Lsn::new(300));
    let manifest = read_manifest(&pgspool::disk::RealDisk, dir.path()).unwrap();
    assert_eq!(manifest.reach(Lsn::new(100)), Lsn::new(300));
}

#[test]
fn an_upstreams_identity_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    spool.follow(u64::MAX, 5).unwrap();
    assert_eq!((spool.system_id(), spool.term()), (u64::MAX, 5));
    spool.follow(9, 2).unwrap();
    drop(spool);
    let spool = open(dir.path(), options());
    assert_eq!((spool.system_id(), spool.term()), (9, 2));
}

/// What was promised before a crash.
#[derive(Default)]
struct Promised {
    head: u64,
    ends: Vec<u64>,
}

/// Does random things until the disk crashes or the steps are used up.
fn work(spool: &Spool, dice: &mut Dice, promised: &mut Promised) {
    for _ in 0..dice.below(30) {
        let next = spool.head().get() + 1 + dice.below(200);
        let done = match dice.below(10) {
            0..5 => {
                let appended = spool.append(vec![captured(next, b"some bytes")]);
                let stored = appended.and_then(|ticket| ticket.wait());
                stored.map(|_| promised.ends.push(next))
            }
            5..8 => spool.advance_head(Lsn::new(next)),
            8 => spool.follow(dice.below(3), dice.below(3)),
            _ => {
                let upto = Lsn::new(dice.below(next));
                spool.prune(upto, ActiveSegment::Include).map(|_| ())
            }
        };
        if done.is_err() {
            return;
        }
        promised.head = promised.head.max(spool.head().get());
    }
}

#[test]
fn the_head_never_goes_back_over_any_crash() {
    let mut dice = Dice::seeded();
    for _ in 0..400 {
        let mut disk = FakeDisk::default();
        let mut promised = Promised::default();
        let options = segments_of(1 + dice.below(300));
        for _ in 0..4 {
            if dice.chance(80) {
                disk.crash_after(dice.below(60));
            }
            let opened = Spool::open(Arc::new(disk.clone()), Path::new("/db"), options.clone());
            if let Ok((spool, report)) = opened {
                assert!(report.head.get() >= promised.head);
                assert_eq!(report.readable, report.head, "nothing was lost");
                let removed = spool.removed_through().get();
                let found = ends(&spool, removed);
                let kept = promised.ends.iter().filter(|end| **end > removed);
                assert!(kept.clone().all(|end| found.contains(end)), "{found:?}");
                promised.head = report.head.get();
                work(&spool, &mut dice, &mut promised);
            } else {
                assert!(disk.has_crashed(), "{:?}", opened.err());
            }
            disk = disk.crash(dice.roll());
        }
    }
}

#[test]
fn a_manifest_that_cannot_be_written_leaves_the_head_where_it_was() {
    use pgspool::disk::{FakeError, FakeOp};
    let disk = FakeDisk::default();
    let opened = Spool::open(Arc::new(disk.clone()), Path::new("/db"), options());
    let (spool, _) = opened.unwrap();
    append(&spool, captured(100, b"a"));
    disk.fail(FakeOp::Create, 1, FakeError::NoSpace);
    let refused = spool.advance_head(Lsn::new(200));
    assert!(
        matches!(refused, Err(AppendError::Manifest { .. })),
        "{refused:?}"
    );
    assert_eq!(spool.head(), Lsn::new(100));
    append(&spool, captured(150, b"b"));
    advance(&spool, 200);
    assert_eq!(spool.head(), Lsn::new(200));
}
