//! The spool against RedDB's own tests (R rows) and its measured weaknesses (W rows) of
//! `docs/conformance.md`. RedDB's dense positions are carried over as an import does: times 64.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

mod spool_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pgspool::disk::FakeDisk;
use pgspool::lsn::Lsn;
use pgspool::spool::{
    ActiveSegment, AppendError, Boundary, Drafts, FIRST_LSN, MemoryRead, OpenError, ReadError,
    Spool, SpoolOptions, Stamp, Unit,
};
use spool_support::*;

#[test]
fn r01_spool_roundtrip_and_prune() {
    let dir = tempfile::tempdir().unwrap();
    // Segments of one record: pruning removes whole segments.
    let spool = open(dir.path(), segments_of(1));
    for (n, timestamp_ms) in [(7, 11), (8, 12)] {
        append(
            &spool,
            Unit {
                term: 2,
                timestamp_ms,
                ..unit(Some(n * 64), b"{}")
            },
        );
    }
    assert_eq!(dense_after(&spool, 0), [7, 8]);
    let frames = read_all(&spool, 0).unwrap();
    assert_eq!((frames[0].term, frames[0].timestamp_ms), (2, 11));
    let outcome = spool.prune(Lsn::new(7 * 64), ActiveSegment::Keep).unwrap();
    assert_eq!(
        (outcome.num_segments, outcome.removed_through),
        (1, Lsn::new(7 * 64))
    );
    assert_eq!(dense_after(&spool, 7), [8]);
    assert!(matches!(
        read_all(&spool, 0),
        Err(ReadError::Removed { .. })
    ));
    assert_eq!(read_all(&spool, 7 * 64).unwrap()[0].term, 2);
}

#[test]
fn r06_pruning_keeps_what_lies_above_the_position() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), segments_of(1));
    for n in 1..=6 {
        append_at(&spool, n, b"x");
    }
    let prune = |n: u64| spool.prune(Lsn::new(n * 64), ActiveSegment::Keep).unwrap();
    assert_eq!(prune(2).removed_through, Lsn::new(2 * 64));
    assert_eq!(dense_after(&spool, 2), [3, 4, 5, 6]);
    assert_eq!(prune(5).removed_through, Lsn::new(5 * 64));
    assert_eq!(dense_after(&spool, 5), [6]);
    assert_eq!(prune(5).num_segments, 0);
    assert_eq!(spool.state().oldest_lsn, Some(Lsn::new(6 * 64)));
}

#[test]
fn r11_readers_share_one_allocation() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    append_at(&spool, 1, &[0xde, 0xad, 0xbe, 0xef]);
    let read = || match spool.cursor(Lsn::ZERO).unwrap().read_memory(1) {
        Ok(MemoryRead::Frames(mut frames)) => frames.remove(0),
        other => panic!("{other:?}"),
    };
    let (one, two) = (read(), read());
    assert_eq!(one.payload.as_ptr(), two.payload.as_ptr());
    assert_eq!(&one.payload[..], [0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn r12_reading_from_the_middle_gives_the_rest_live_and_after_reopen() {
    let dir = tempfile::tempdir().unwrap();
    for segment_bytes in [64 << 20, 39 * 50] {
        let dir = dir.path().join(segment_bytes.to_string());
        let options = |bytes| SpoolOptions {
            boundary: |_| Boundary {
                first: true,
                last: true,
            },
            ..segments_of(bytes)
        };
        let spool = open(&dir, without_ring(options(segment_bytes)));
        for n in 1..=200 {
            append_at(&spool, n, &[(n % 251) as u8, 0xAB]);
        }
        assert_eq!(dense_after(&spool, 0), (1..=200).collect::<Vec<_>>());
        assert_eq!(dense_after(&spool, 130), (131..=200).collect::<Vec<_>>());
        drop(spool);
        let spool = open(&dir, options(segment_bytes));
        for since in 0..=200 {
            assert_eq!(
                dense_after(&spool, since),
                (since + 1..=200).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn r26_truncated_tail_after_append_returns_valid_prefix_only() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = dir.path().join("crashed");
    let live = dir.path().join("live");
    let spool = open(&live, options());
    for (n, payload) in [
        (1, "first record"),
        (2, "second record"),
        (3, "third record"),
    ] {
        append_at(&spool, n, payload.as_bytes());
    }
    crash(&live, &crashed);
    let file = &segment_files(&crashed)[0];
    cut_to(file, fs::metadata(file).unwrap().len() - 7);
    let (spool, report) = try_open(&crashed, options()).unwrap();
    assert_eq!(dense_after(&spool, 0), [1, 2]);
    assert_eq!(head(&spool), 2);
    let torn = report.torn.unwrap();
    assert_eq!(torn.bytes, 37 + 12 - 7);
    assert_eq!(fs::metadata(&torn.kept_in).unwrap().len(), torn.bytes);
    append_at(&spool, 4, b"after recovery");
    assert_eq!(dense_after(&spool, 0), [1, 2, 4]);
    drop(spool);
    assert_eq!(dense_after(&open(&crashed, options()), 0), [1, 2, 4]);
}

#[test]
fn r27_checksum_flip_in_middle_record_truncates_in_longest_prefix_mode_only() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let spool = open(&live, options());
    for (n, payload) in [(10, "alpha"), (11, "bravo"), (12, "charlie")] {
        append_at(&spool, n, payload.as_bytes());
    }
    let crashed = dir.path().join("crashed");
    crash(&live, &crashed);
    drop(spool);
    for folder in [&crashed, &live] {
        flip(&segment_files(folder)[0], 64);
    }
    match try_open(&live, options()) {
        Err(OpenError::Corrupt { offset, .. }) => assert_eq!(offset, 42),
        other => panic!("{other:?}"),
    }
    let (spool, report) = try_open(&crashed, longest_prefix(options())).unwrap();
    assert_eq!(dense_after(&spool, 0), [10]);
    assert_eq!(head(&spool), 10);
    assert_eq!(report.torn.unwrap().offset, 42);
    // Where the manifest knows of 12, the head does not go back: no position is used twice.
    let (spool, report) = try_open(&live, longest_prefix(options())).unwrap();
    assert_eq!(dense_after(&spool, 0), [10]);
    assert_eq!((head(&spool), report.head), (12, Lsn::new(12 * 64)));
    append_at(&spool, 13, b"delta");
    assert_eq!(dense_after(&spool, 0), [10, 13]);
    drop(spool);
    assert_eq!(dense_after(&open(&live, options()), 0), [10, 13]);
}

#[test]
fn r28_empty_file_recovers_to_empty_state() {
    let dir = tempfile::tempdir().unwrap();
    for created in [true, false] {
        let (spool, report) = try_open(dir.path(), options()).unwrap();
        assert_eq!(report.created, created);
        assert_eq!(spool.head(), Lsn::ZERO);
        assert!(read_all(&spool, 0).unwrap().is_empty());
        assert_eq!(spool.state().oldest_lsn, None);
    }
}

#[test]
fn r29_first_record_torn_leaves_clean_empty_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let spool = open(&live, options());
    append_at(&spool, 1, b"only");
    crash(&live, &crashed);
    cut_to(&segment_files(&crashed)[0], 37 + 4 - 2);
    let spool = open(&crashed, options());
    assert!(dense_after(&spool, 0).is_empty());
    assert_eq!(head(&spool), 0);
    append_at(&spool, 1, b"replacement");
    assert_eq!(dense_after(&spool, 0), [1]);
}

#[test]
fn r30_append_is_synced_when_call_returns() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    let len = || fs::metadata(&segment_files(dir.path())[0]).unwrap().len();
    let (before, syncs) = (len(), spool.state().num_syncs);
    append_at(&spool, 1, b"x");
    assert_eq!(len() - before, 38);
    assert_eq!(spool.state().num_syncs - syncs, 1);
}

#[test]
fn w02_prune_against_append_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), segments_of(1000));
    let writing = AtomicBool::new(true);
    let appended: Vec<u64> = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let one = || append(&spool, unit(None, b"payload")).last_lsn.get();
            let mut acknowledged = Vec::new();
            // Until something was removed, on however busy a machine.
            while acknowledged.len() < 600
                || acknowledged.len() < 100_000 && spool.state().removed_through == Lsn::ZERO
            {
                acknowledged.push(one());
            }
            writing.store(false, Ordering::SeqCst);
            acknowledged
        });
        while writing.load(Ordering::SeqCst) {
            let upto = spool.head().saturating_sub(64 * 100);
            spool.prune(upto, ActiveSegment::Keep).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        writer.join().unwrap()
    });
    let removed_through = spool.state().removed_through.get();
    let expected: Vec<u64> = appended
        .into_iter()
        .filter(|lsn| *lsn > removed_through)
        .collect();
    let lsns = |spool: &Spool| -> Vec<u64> {
        let frames = read_all(spool, removed_through).unwrap();
        frames.iter().map(|f| f.lsn.get()).collect()
    };
    assert!(removed_through > 0);
    assert_eq!(lsns(&spool), expected);
    drop(spool);
    assert_eq!(lsns(&open(dir.path(), options())), expected);
}

#[test]
fn w03_asking_for_the_oldest_position_never_writes() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (1..=200).for_each(|n| {
                append_at(&spool, n, &[b'x'; 5000]);
            });
        });
        while !writer.is_finished() {
            let state = spool.state();
            assert!(state.oldest_lsn.is_none_or(|oldest| oldest == Lsn::new(64)));
        }
    });
    assert_eq!(dense_after(&spool, 0), (1..=200).collect::<Vec<_>>());
}

#[test]
fn w04_a_tail_cut_or_grown_by_any_few_bytes_is_repaired_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let spool = open(&live, options());
    for n in 1..=3 {
        append_at(&spool, n, b"abc");
    }
    for change in -45_i64..=45 {
        let crashed = dir.path().join(change.to_string());
        crash(&live, &crashed);
        let file = segment_files(&crashed)[0].clone();
        let len = fs::metadata(&file).unwrap().len();
        cut_to(&file, len.checked_add_signed(change).unwrap());
        let kept: u64 = match change {
            ..=-41 => 1,
            -40..=-1 => 2,
            0.. => 3,
        };
        let spool = open(&crashed, options());
        assert_eq!(head(&spool), kept, "{change}");
        for n in 4..=6 {
            append_at(&spool, n, b"new");
        }
        drop(spool);
        let expected: Vec<u64> = (1..=kept).chain(4..=6).collect();
        assert_eq!(
            dense_after(&open(&crashed, options()), 0),
            expected,
            "{change}"
        );
    }
}

#[test]
fn w07_one_flipped_bit_is_refused_with_its_place_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    for n in 1..=100 {
        append_at(&spool, n, b"record");
    }
    drop(spool);
    let file = segment_files(dir.path())[0].clone();
    flip(&file, 10 * 43 + 40);
    let before = fs::read(&file).unwrap();
    match try_open(dir.path(), options()) {
        Err(OpenError::Corrupt {
            segment, offset, ..
        }) => {
            assert_eq!((segment.as_str(), offset), ("0000000000000000.rdlw", 430));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    flip(&file, 10 * 43 + 40);
    assert_eq!(dense_after(&open(dir.path(), options()), 0).len(), 100);
}

#[test]
fn w08_the_head_survives_pruning_everything_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    for n in 1..=10 {
        append_at(&spool, n, b"x");
    }
    spool.set_term(9).unwrap();
    let outcome = spool.prune(Lsn::MAX, ActiveSegment::Include).unwrap();
    assert_eq!((outcome.num_segments, outcome.bytes), (1, 380));
    assert_eq!(head(&spool), 10);
    for _ in 0..3 {
        let spool = open_after(&dir, spool.clone());
        assert_eq!(head(&spool), 10);
    }
    drop(spool);
    let (spool, report) = try_open(dir.path(), options()).unwrap();
    assert_eq!((head(&spool), report.head), (10, Lsn::new(640)));
    let state = spool.state();
    assert_eq!(
        (state.term, state.system_id, state.oldest_lsn),
        (9, 7, None)
    );
    assert_eq!(state.removed_through, Lsn::new(640));
    assert!(matches!(
        spool
            .append(vec![unit(Some(640), b"again")])
            .unwrap()
            .wait(),
        Err(AppendError::LsnNotRising { .. })
    ));
    append_at(&spool, 11, b"next");
    assert_eq!(dense_after(&spool, 10), [11]);
    let next = append(&spool, unit(None, b"local")).last_lsn;
    assert_eq!(next, FIRST_LSN.saturating_add(64));
}

/// Reopens a copy of the folder, as after a crash.
fn open_after(dir: &tempfile::TempDir, spool: pgspool::spool::Spool) -> pgspool::spool::Spool {
    let copy = dir.path().join("copy");
    drop(fs::remove_dir_all(&copy));
    fs::create_dir_all(&copy).unwrap();
    fs::copy(dir.path().join("manifest.json"), copy.join("manifest.json")).unwrap();
    copy_dir(&dir.path().join("spool"), &copy.join("spool"));
    drop(spool);
    open(&copy, options())
}

#[test]
fn w09_many_writers_file_order_is_position_order() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), without_ring(segments_of(4000)));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                (0..100).for_each(|_| {
                    append(&spool, unit(None, b"record"));
                })
            });
        }
    });
    let frames = read_all(&spool, 0).unwrap();
    assert_eq!(frames.len(), 800);
    assert!(frames.windows(2).all(|pair| pair[0].lsn < pair[1].lsn));
    let mut since = Lsn::ZERO;
    for frame in frames {
        let next = spool.cursor(since).unwrap().read_disk(1).unwrap();
        assert_eq!((next.len(), next[0].lsn), (1, frame.lsn));
        since = frame.lsn;
    }
}

#[test]
fn w17_a_prune_between_plan_and_read_is_told_or_harmless_but_never_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), without_ring(segments_of(39 * 10)));
    for n in 1..=100 {
        append_at(&spool, n, b"xx");
    }
    // Pinned before the prune: reads its segment to the end, then is told.
    let mut pinned = spool.cursor(Lsn::new(5 * 64)).unwrap();
    let mut next_door = spool.cursor(Lsn::new(75 * 64)).unwrap();
    let outcome = spool.prune(Lsn::new(80 * 64), ActiveSegment::Keep).unwrap();
    assert_eq!(outcome.removed_through, Lsn::new(80 * 64));
    let mut seen = Vec::new();
    let told = loop {
        match pinned.read_disk(100) {
            Ok(frames) => seen.extend(frames.iter().map(|f| f.lsn.get() / 64)),
            Err(error) => break error,
        }
    };
    assert_eq!(seen, [6, 7, 8, 9, 10]);
    assert!(matches!(
        told,
        ReadError::Removed { since, removed_through }
            if since == Lsn::new(10 * 64) && removed_through == Lsn::new(80 * 64)
    ));
    // The segment behind the pinned one is still there: nothing is missing.
    let rest = read_on(&mut next_door).unwrap();
    let rest: Vec<u64> = rest.iter().map(|f| f.lsn.get() / 64).collect();
    assert_eq!(rest, (76..=100).collect::<Vec<_>>());
    assert!(matches!(
        spool.cursor(Lsn::new(79 * 64)),
        Err(ReadError::Removed { .. })
    ));
    assert_eq!(dense_after(&spool, 80).len(), 20);
}

/// What is read is counted, not how long it takes: a thousand records where they stand, the
/// frames before them back to the nearest index entry, and the rest of a block.
#[test]
fn w23_reading_a_thousand_records_costs_the_same_everywhere() {
    const NUM: u64 = 30_000;
    const FRAME: u64 = 200 + 33;
    const BEYOND: u64 = 64 * FRAME + (256 << 10);
    let disk = FakeDisk::default();
    let options = without_ring(segments_of(1 << 20));
    let (spool, _) = Spool::open(Arc::new(disk.clone()), Path::new("d"), options).unwrap();
    for from in (1..=NUM).step_by(1000) {
        let batch = (from..from + 1000).map(|n| unit(Some(n * 64), &[b'x'; 200]));
        spool.append(batch.collect()).unwrap().wait().unwrap();
    }
    let all = spool.state().bytes;
    let cost = |since: u64, max: usize| {
        let before = disk.counters().bytes_read;
        let mut cursor = spool.cursor(Lsn::new(since * 64)).unwrap();
        let frames = cursor.read_disk(max * 200).unwrap();
        assert_eq!((frames.len(), frames[0].lsn.get() / 64), (max, since + 1));
        disk.counters().bytes_read - before
    };
    for since in [0, 1, NUM / 3, NUM / 2, NUM / 2 + 37, NUM - 1040, NUM - 1000] {
        let (many, few) = (cost(since, 1000), cost(since, 10));
        assert!(
            many <= 1000 * FRAME + BEYOND,
            "after {since}: {many} of {all}"
        );
        assert!(few <= 10 * FRAME + BEYOND, "after {since}: {few} of {all}");
    }
    let mut cursor = spool.cursor(Lsn::ZERO).unwrap();
    let before = disk.counters().bytes_read;
    let pieces = std::iter::from_fn(|| {
        let frames = cursor.read_disk(200_000).unwrap();
        (!frames.is_empty()).then_some(frames.len() as u64)
    });
    assert_eq!(pieces.sum::<u64>(), NUM);
    let total = disk.counters().bytes_read - before;
    assert!(total <= all + all / 4, "catching up read {total} of {all}");
}

#[test]
fn w24_opening_reads_no_sealed_payload_and_pruning_unlinks_segments() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), segments_of(1000));
    for n in 1..=300 {
        append_at(&spool, n, b"payload");
    }
    let (files, segments) = (segment_files(dir.path()), spool.segments());
    assert_eq!(files.len(), segments.len());
    let sealed: u64 = segments.iter().filter(|s| s.sealed).map(|s| s.frames).sum();
    drop(spool);
    let (spool, report) = try_open(dir.path(), segments_of(1000)).unwrap();
    assert_eq!(report.frames_scanned, 300 - sealed);
    assert_eq!(spool.segments(), segments);
    let outcome = spool
        .prune(Lsn::new(150 * 64), ActiveSegment::Keep)
        .unwrap();
    assert_eq!(
        segment_files(dir.path()).len(),
        files.len() - outcome.num_segments
    );
    assert_eq!(
        spool.state().oldest_lsn,
        Some(outcome.removed_through.saturating_add(64))
    );
}

#[test]
fn w26_memory_for_readers_is_bounded_while_everything_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(
        dir.path(),
        SpoolOptions {
            ring_frames: 50,
            ..options()
        },
    );
    for n in 1..=500 {
        append_at(&spool, n, b"x");
    }
    let memory = |since: u64| {
        spool
            .cursor(Lsn::new(since * 64))
            .unwrap()
            .read_memory(1 << 20)
    };
    match memory(450) {
        Ok(MemoryRead::Frames(frames)) => assert_eq!(frames.len(), 50),
        other => panic!("{other:?}"),
    }
    assert!(matches!(memory(449), Ok(MemoryRead::NeedsDisk)));
    assert!(matches!(memory(500), Ok(MemoryRead::AtHead)));
    assert_eq!(dense_after(&spool, 0), (1..=500).collect::<Vec<_>>());
}

#[test]
fn w27_waiting_for_the_head_ends_with_the_append_that_passes_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    assert!(
        !spool
            .wait_after(Lsn::ZERO)
            .wait_timeout(Duration::from_millis(10))
    );
    let waiting = spool.wait_after(Lsn::ZERO);
    let far = spool.wait_after(Lsn::new(64 * 1000));
    let thread = thread::spawn(move || waiting.wait_timeout(Duration::from_secs(60)));
    append_at(&spool, 1, b"x");
    assert!(thread.join().unwrap());
    assert!(!far.wait_timeout(Duration::from_millis(10)));
    assert!(spool.wait_after(Lsn::ZERO).wait_timeout(Duration::ZERO));
}

#[test]
fn zeros_ahead_of_small_appends_are_gone_from_sealed_and_closed_segments() {
    let dir = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        zeros_ahead: 1 << 20,
        ..segments_of(64 << 10)
    };
    let spool = open(dir.path(), options.clone());
    let len = |n: usize| fs::metadata(&segment_files(dir.path())[n]).unwrap().len();
    append_at(&spool, 1, b"x");
    assert_eq!(len(0), 38 + (4 << 10), "no more than a part of a segment");
    append_at(&spool, 2, b"y");
    assert_eq!(len(0), 38 + (4 << 10), "the second one went into the zeros");
    append_at(&spool, 3, &[b'z'; 64 << 10]);
    append_at(&spool, 4, b"x");
    let bytes = |n: usize| spool.segments()[n].bytes;
    assert_eq!(
        (len(0), bytes(0)),
        (76 + 37 + (64 << 10), 76 + 37 + (64 << 10))
    );
    assert_eq!((len(1), bytes(1)), (38 + (4 << 10), 38));
    spool.close().unwrap();
    assert_eq!(len(1), 38);
    assert_eq!(dense_after(&spool, 0), [1, 2, 3, 4]);
    drop(spool);
    assert_eq!(dense_after(&open(dir.path(), options), 0), [1, 2, 3, 4]);
}

#[test]
fn local_positions_count_bytes_and_are_filled_into_the_payload() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    let mut whole = unit(None, b"{\"lsn\":,\"x\":1}");
    if let Drafts::One(draft) = &mut whole.frames {
        draft.hole = Some((7, Stamp::EndLsn));
    }
    let end = append(&spool, whole).last_lsn;
    // 37 + 14 + 20 = 71, rounded up to 8
    assert_eq!(end, FIRST_LSN.saturating_add(72));
    let mut parts = many(None, &[b"F", b"M", b"L"]);
    if let Drafts::Many(drafts) = &mut parts.frames {
        drafts
            .iter_mut()
            .for_each(|d| d.hole = Some((1, Stamp::OwnLsn)));
    }
    // Three frames of 37 + 1 + 20 bytes: 174, rounded up to 8
    assert_eq!(append(&spool, parts).last_lsn, end.saturating_add(176));
    let frames = read_all(&spool, 0).unwrap();
    let text = |n: usize| String::from_utf8(frames[n].payload.to_vec()).unwrap();
    assert_eq!(text(0), format!("{{\"lsn\":{},\"x\":1}}", end.get()));
    let own = [8, 8 + 56, 8 + 112].map(|more| end.get() + more);
    assert_eq!(
        [text(1), text(2), text(3)],
        [
            format!("F{}", own[0]),
            format!("M{}", own[1]),
            format!("L{}", own[2])
        ]
    );
    assert!(frames[1..].iter().all(|f| f.lsn == end.saturating_add(176)));
}

#[test]
fn a_refused_batch_appends_nothing_and_does_not_stop_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    append_at(&spool, 10, b"x");
    let refused = spool
        .append(vec![
            unit(Some(11 * 64), b"fits"),
            unit(Some(12 * 64 - 1), b"does not"),
        ])
        .unwrap()
        .wait();
    match refused {
        Err(AppendError::LsnNotRising { lsn, head, step }) => {
            assert_eq!((lsn, head, step), (Lsn::new(767), Lsn::new(704), 64));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(head(&spool), 10);
    assert!(matches!(
        spool.persist_durable_point(Lsn::new(11 * 64)),
        Err(AppendError::AheadOfHead { .. })
    ));
    append_at(&spool, 11, b"y");
    assert_eq!(dense_after(&spool, 0), [10, 11]);
}

#[test]
fn a_payload_over_the_limit_is_refused_and_one_at_the_limit_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    let max = pgspool::spool::MAX_PAYLOAD;
    let mut large = unit(None, b"");
    large.frames = Drafts::One(draft(&vec![b'x'; max - 19]));
    if let Drafts::One(draft) = &mut large.frames {
        draft.hole = Some((1, Stamp::EndLsn));
    }
    assert!(matches!(
        spool.append(vec![unit(None, b"small"), large]),
        Err(AppendError::PayloadTooLarge { len, max: m }) if len == max + 1 && m == max
    ));
    assert_eq!(spool.head(), Lsn::ZERO);
    append(&spool, unit(None, &vec![b'y'; max]));
    append(&spool, unit(None, b"after"));
    let lens: Vec<usize> = read_all(&spool, 0)
        .unwrap()
        .iter()
        .map(|f| f.payload.len())
        .collect();
    assert_eq!(lens, [max, 5]);
    drop(spool);
    assert_eq!(read_all(&open(dir.path(), options()), 0).unwrap().len(), 2);
}

#[test]
fn a_transaction_of_many_frames_is_written_in_pieces_and_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), segments_of(1 << 20));
    let part = |mark: u8| {
        let mut payload = vec![b'.'; 900 << 10];
        payload[0] = mark;
        payload
    };
    let (first, middle, last) = (part(b'F'), part(b'M'), part(b'L'));
    let mut payloads: Vec<&[u8]> = vec![&first];
    payloads.extend(std::iter::repeat_n(&middle[..], 10));
    payloads.push(&last);
    append_at(&spool, 1, b"before");
    let syncs = spool.state().num_syncs;
    append(&spool, many(Some(128), &payloads));
    assert_eq!(
        spool.state().num_syncs - syncs,
        3,
        "pieces of at most 4 MiB"
    );
    append_at(&spool, 3, b"after");
    // Larger than the ring: read from disk; one segment holds it whole.
    let frames = read_all(&spool, 0).unwrap();
    assert_eq!(frames.len(), 14);
    assert_eq!(
        spool
            .segments()
            .iter()
            .map(|s| s.frames)
            .collect::<Vec<_>>(),
        [13, 1]
    );
    // A reader in the middle of it goes on where it was.
    let mut cursor = spool.cursor(Lsn::new(64)).unwrap();
    let some = cursor.read_disk(2 << 20).unwrap();
    assert_eq!((some.len(), cursor.position()), (3, Lsn::new(64)));
    assert_eq!(read_on(&mut cursor).unwrap().len(), 10);
    assert_eq!(cursor.position(), Lsn::new(192));
}

#[test]
fn a_reader_moves_between_memory_and_disk_without_a_gap_or_a_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(
        dir.path(),
        SpoolOptions {
            ring_frames: 6,
            ..segments_of(500)
        },
    );
    let mut cursor = spool.cursor(Lsn::ZERO).unwrap();
    let mut seen = Vec::new();
    let mut take = |cursor: &mut pgspool::spool::Cursor| {
        let frames = match cursor.read_memory(1).unwrap() {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::NeedsDisk => cursor.read_disk(1).unwrap(),
            MemoryRead::AtHead => return false,
        };
        seen.extend(frames.into_iter().map(|f| f.payload));
        true
    };
    let mut expected = Vec::new();
    for n in 1..=200_u64 {
        let parts = [format!("F{n}"), format!("M{n}"), format!("L{n}")];
        let payloads: Vec<&[u8]> = parts.iter().map(|p| p.as_bytes()).collect();
        append(&spool, many(Some(n * 64), &payloads));
        expected.extend(parts);
        // Falls behind, catches up, stops in the middle of transactions.
        for _ in 0..n % 7 {
            take(&mut cursor);
        }
    }
    while take(&mut cursor) {}
    assert_eq!(seen, expected);
}

#[test]
fn the_position_for_a_time_is_before_the_first_transaction_at_or_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), segments_of(39 * 4));
    let times = [10, 20, 20, 30, 25, 40, 15, 50, 60, 60, 70];
    for (n, timestamp_ms) in (1..).zip(times) {
        append(
            &spool,
            Unit {
                timestamp_ms,
                ..unit(Some(n * 64), b"xx")
            },
        );
    }
    for asked in 0..80 {
        let first = times.iter().position(|time| *time >= asked);
        let before = first.unwrap_or(times.len()) as u64;
        assert_eq!(
            spool.position_at_time(asked).unwrap(),
            Lsn::new(before * 64),
            "{asked}"
        );
    }
}

#[test]
fn the_durable_point_follows_the_head_within_a_second_and_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), options());
    let manifest = || fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    let appended = append(&spool, unit(None, b"x")).last_lsn;
    assert_eq!(spool.state().durable_point, Lsn::ZERO);
    spool.persist_durable_point(appended).unwrap();
    assert_eq!(spool.state().durable_point, appended);
    let appended = append(&spool, unit(None, b"y")).last_lsn;
    let deadline = Instant::now() + Duration::from_secs(60);
    while spool.state().durable_point < appended && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(spool.state().durable_point, appended);
    let idle = manifest();
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(manifest(), idle, "an idle spool writes nothing");
    spool.close().unwrap();
    assert_eq!(manifest(), idle);
    assert!(matches!(
        spool.append(vec![unit(None, b"z")]),
        Err(AppendError::Closed)
    ));
    assert!(spool.close().is_ok());
}

#[test]
fn a_slot_above_what_was_recovered_refuses_to_open() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), options()));
    let with_slot = SpoolOptions {
        persisted_position: Lsn::new(64),
        ..options()
    };
    assert!(matches!(
        try_open(dir.path(), with_slot.clone()),
        Err(OpenError::Corrupt { .. })
    ));
    append_at(&open(dir.path(), options()), 1, b"x");
    assert_eq!(head(&open(dir.path(), with_slot)), 1);
}

#[test]
fn a_missing_manifest_or_segment_and_unlisted_files_refuse_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    let spool = open(&good, segments_of(100));
    for n in 1..=9 {
        append_at(&spool, n, b"payload");
    }
    drop(spool);
    let manifest = "manifest.json".to_owned();
    let segment = |n: usize| {
        let path = segment_files(&good)[n].clone();
        format!("spool/{}", path.file_name().unwrap().to_string_lossy())
    };
    let removals = [manifest, segment(0), segment(1), segment(3)];
    for file in removals {
        let copy = dir.path().join("copy");
        drop(fs::remove_dir_all(&copy));
        copy_dir(&good, &copy);
        fs::remove_file(copy.join(&file)).unwrap();
        assert!(
            matches!(try_open(&copy, options()), Err(OpenError::Corrupt { .. })),
            "{file}"
        );
    }
    fs::write(good.join("spool/00000000000003e8.rdlw"), b"?").unwrap();
    assert!(matches!(
        try_open(&good, options()),
        Err(OpenError::Corrupt { .. })
    ));
    fs::write(good.join("spool/00000000000003e8.rdlw"), b"").unwrap();
    let (_spool, report) = try_open(&good, options()).unwrap();
    assert_eq!(report.removed_files, ["00000000000003e8.rdlw"]);
}

#[test]
fn a_missing_or_damaged_index_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), segments_of(39 * 300));
    for n in 1..=700 {
        append_at(&spool, n, b"xx");
    }
    drop(spool);
    let indexes = files(dir.path(), ".idx");
    assert_eq!(indexes.len(), 2);
    let good = fs::read(&indexes[0]).unwrap();
    fs::remove_file(&indexes[0]).unwrap();
    flip(&indexes[1], 30);
    let (spool, report) = try_open(dir.path(), without_ring(options())).unwrap();
    assert_eq!(report.rebuilt_indexes.len(), 1);
    for since in [0, 1, 64, 65, 129, 250, 299, 300, 301, 450, 600, 699] {
        assert_eq!(
            dense_after(&spool, since),
            (since + 1..=700).collect::<Vec<_>>()
        );
    }
    assert_eq!(fs::read(&indexes[0]).unwrap(), good);
}
