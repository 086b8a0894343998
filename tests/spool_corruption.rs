//! No damage goes unreported: every byte of a three-segment spool flipped, every cut of its last
//! frame, after a clean close and after a crash.
//!
//! The outcome is always one of: refused at open with segment and offset; refused at read with
//! segment and offset; recovered, with a torn tail reported and exactly a prefix of the records
//! left; or, for damage to what is only a cache or white space, nothing missing at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

mod spool_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgspool::lsn::Lsn;
use pgspool::spool::{
    Cursor, OpenError, ReadError, RecoveryMode, RecoveryReport, Spool, SpoolOptions,
};
use spool_support::*;

const SEGMENT_BYTES: u64 = 240;
/// Payloads of the transactions, in order; three segments of them.
const RECORDS: [&[&str]; 9] = [
    &["one"],
    &["F-two", "M-two", "L-two"],
    &["three"],
    &["four"],
    &["F-five", "L-five"],
    &["six"],
    &[""],
    &["F-eight", "L-eight"],
    &["nine"],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Crashed,
}

#[derive(Debug)]
enum Outcome {
    /// At open or at read: file and offset.
    Refused(String, u64),
    /// So many transactions are there, exactly the first ones.
    Read(usize, RecoveryReport),
}

/// A spool in memory: its files with their bytes.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn disk_open(dir: &Path, recovery: RecoveryMode) -> Result<(Spool, RecoveryReport), OpenError> {
    let options = SpoolOptions {
        recovery,
        ..without_ring(segments_of(SEGMENT_BYTES))
    };
    Spool::open(Arc::new(UnsyncedDisk), dir, options)
}

/// The spool as it lies on disk in one state.
fn build(dir: &Path, state: State) -> Files {
    let (live, copy) = (dir.join("live"), dir.join("copy"));
    let (spool, _) = disk_open(&live, RecoveryMode::FailClosed).unwrap();
    for (n, payloads) in (1..).zip(RECORDS) {
        let payloads: Vec<&[u8]> = payloads.iter().map(|p| p.as_bytes()).collect();
        append(&spool, many(Some(n * 64), &payloads));
    }
    match state {
        State::Closed => {
            drop(spool);
            copy_dir(&live, &copy);
        }
        State::Crashed => crash(&live, &copy),
    }
    let mut paths = vec![PathBuf::from("manifest.json")];
    for suffix in [".rdlw", ".idx"] {
        let found = files(&copy, suffix);
        paths.extend(
            found
                .iter()
                .map(|p| p.strip_prefix(&copy).unwrap().to_owned()),
        );
    }
    assert_eq!(segment_files(&copy).len(), 3);
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(copy.join(path)).unwrap()))
        .collect()
}

fn lay_out(dir: &Path, files: &Files) {
    drop(fs::remove_dir_all(dir));
    fs::create_dir_all(dir.join("spool")).unwrap();
    for (path, bytes) in files {
        fs::write(dir.join(path), bytes).unwrap();
    }
}

/// Opens and reads everything; panics on wrong or unreported missing data.
fn outcome(dir: &Path, files: &Files, mode: RecoveryMode) -> Outcome {
    lay_out(dir, files);
    let (spool, report) = match disk_open(dir, mode) {
        Ok(opened) => opened,
        Err(OpenError::Corrupt {
            segment, offset, ..
        }) => {
            assert_unchanged(dir, files);
            return Outcome::Refused(segment, offset);
        }
        Err(error) => panic!("{error:?}"),
    };
    let mut cursor = spool.cursor(Lsn::ZERO).unwrap();
    let read = read_whole(&mut cursor);
    let n = match &read {
        Ok(n) | Err((n, _)) => *n,
    };
    if let Err((_, error)) = read {
        match error {
            ReadError::Corrupt {
                segment, offset, ..
            } => return Outcome::Refused(segment, offset),
            other @ (ReadError::Removed { .. } | ReadError::Io { .. }) => panic!("{other:?}"),
        }
    }
    let cut = report.torn.is_some() || !report.set_aside.is_empty();
    assert!(n == RECORDS.len() || cut, "{n} records without a word");
    // What is left is a working spool.
    append(&spool, unit(Some(100 * 64), b"later"));
    drop(spool);
    let (spool, _) = disk_open(dir, RecoveryMode::FailClosed).unwrap();
    let frames = read_all(&spool, 0).unwrap();
    assert_eq!(frames[frames.len() - 1].payload, "later");
    assert_eq!(frames.iter().filter(|f| f.boundary.last).count(), n + 1);
    Outcome::Read(n, report)
}

/// Reads to the end, checking that it is exactly the first records; how many whole ones.
fn read_whole(cursor: &mut Cursor) -> Result<usize, (usize, ReadError)> {
    let mut expected = (1_u64..)
        .zip(RECORDS)
        .flat_map(|(n, payloads)| payloads.iter().map(move |p| (n * 64, *p)));
    loop {
        let before = cursor.position();
        let whole = (before.get() / 64) as usize;
        let frames = cursor.read_disk(1).map_err(|error| (whole, error))?;
        if frames.is_empty() {
            return Ok(whole);
        }
        for frame in frames {
            let payload = std::str::from_utf8(&frame.payload).unwrap();
            assert_eq!(Some((frame.lsn.get(), payload)), expected.next());
        }
    }
}

fn assert_unchanged(dir: &Path, files: &Files) {
    for (path, bytes) in files {
        assert_eq!(
            &fs::read(dir.join(path)).unwrap(),
            bytes,
            "{}",
            path.display()
        );
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "rdlw")
}

/// Where the frames of a segment begin, and its end.
fn frame_starts(bytes: &[u8]) -> Vec<u64> {
    let mut starts = vec![0];
    let mut at = 0;
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at + 29..at + 33].try_into().unwrap());
        at += 37 + len as usize;
        starts.push(at as u64);
    }
    starts
}

#[test]
fn every_flipped_byte_after_a_clean_close_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let good = build(dir.path(), State::Closed);
    let case = dir.path().join("case");
    for (index, (path, bytes)) in good.iter().enumerate() {
        for at in 0..bytes.len() {
            let mut bad = good.clone();
            bad[index].1[at] ^= 1 << (at % 8);
            match outcome(&case, &bad, RecoveryMode::FailClosed) {
                Outcome::Refused(segment, offset) => {
                    assert_eq!(segment, file_name(path), "byte {at}");
                    if is_segment(path) {
                        let starts = frame_starts(bytes);
                        let frame = starts.iter().rev().find(|start| **start <= at as u64);
                        assert_eq!(Some(&offset), frame, "byte {at} of {segment}");
                    }
                }
                Outcome::Read(n, report) => {
                    assert!(!is_segment(path), "byte {at} of {}", path.display());
                    assert_eq!((n, report.torn.is_none()), (RECORDS.len(), true));
                }
            }
        }
    }
}

#[test]
fn every_flipped_byte_after_a_crash_is_refused_or_cut_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let good = build(dir.path(), State::Crashed);
    let case = dir.path().join("case");
    let active = segment_count(&good) - 1;
    let before_active = transactions_in(&good, active);
    let mut num_cut = 0;
    for (index, (path, bytes)) in good.iter().enumerate() {
        let segment_index = index.checked_sub(1).filter(|i| *i <= active);
        for at in 0..bytes.len() {
            let mut bad = good.clone();
            bad[index].1[at] ^= 1 << (at % 8);
            match outcome(&case, &bad, RecoveryMode::FailClosed) {
                Outcome::Refused(segment, _) => {
                    assert_eq!(segment, file_name(path), "byte {at}");
                    assert_ne!(segment_index, Some(active), "byte {at}");
                }
                Outcome::Read(n, report) if segment_index == Some(active) => {
                    // Nothing vouches for the active segment: its first fault is a torn tail.
                    assert!((before_active..RECORDS.len()).contains(&n));
                    let torn = report.torn.unwrap();
                    assert!(torn.offset <= at as u64);
                    let kept = &bad[index].1[torn.offset as usize..];
                    assert_eq!(torn.bytes, kept.len() as u64);
                    assert_eq!(fs::read(&torn.kept_in).unwrap(), kept);
                    num_cut += 1;
                }
                Outcome::Read(n, _) => {
                    assert!(!is_segment(path), "byte {at} of {}", path.display());
                    assert_eq!(n, RECORDS.len());
                }
            }
        }
    }
    assert_eq!(num_cut, good[active + 1].1.len());
}

#[test]
fn every_cut_of_the_last_frame_is_refused_after_a_close_and_torn_after_a_crash() {
    for state in [State::Closed, State::Crashed] {
        let dir = tempfile::tempdir().unwrap();
        let good = build(dir.path(), state);
        let case = dir.path().join("case");
        let active = segment_count(&good);
        let starts = frame_starts(&good[active].1);
        let (last, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
        // Cut exactly at the frame after a crash, the spool is sound, only shorter.
        for len in last + u64::from(state == State::Crashed)..end {
            let mut bad = good.clone();
            bad[active].1.truncate(len as usize);
            match (state, outcome(&case, &bad, RecoveryMode::FailClosed)) {
                (State::Closed, Outcome::Refused(segment, offset)) => {
                    assert_eq!(segment, file_name(&good[active].0));
                    assert_eq!(offset, last);
                }
                (State::Crashed, Outcome::Read(n, report)) => {
                    assert_eq!(n, RECORDS.len() - 1);
                    let torn_bytes = report.torn.map_or(0, |torn| torn.bytes);
                    assert_eq!(torn_bytes, len - last);
                }
                (_, other) => panic!("{state:?}, cut to {len}: {other:?}"),
            }
        }
    }
}

#[test]
fn every_cut_of_a_sealed_segment_is_refused() {
    for state in [State::Closed, State::Crashed] {
        let dir = tempfile::tempdir().unwrap();
        let good = build(dir.path(), state);
        let case = dir.path().join("case");
        for index in 1..segment_count(&good) {
            for len in 0..good[index].1.len() {
                let mut bad = good.clone();
                bad[index].1.truncate(len);
                match outcome(&case, &bad, RecoveryMode::FailClosed) {
                    Outcome::Refused(segment, offset) => {
                        assert_eq!(segment, file_name(&good[index].0));
                        assert_eq!(offset, len as u64);
                    }
                    other => panic!("cut to {len}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn the_longest_valid_prefix_is_kept_and_the_rest_set_aside_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let good = build(dir.path(), State::Closed);
    let case = dir.path().join("case");
    let num_segments = segment_count(&good);
    let all: usize = good[1..=num_segments].iter().map(|(_, b)| b.len()).sum();
    for index in 1..=num_segments {
        for at in 0..good[index].1.len() {
            let mut bad = good.clone();
            bad[index].1[at] ^= 1 << (at % 8);
            match outcome(&case, &bad, RecoveryMode::LongestValidPrefix) {
                Outcome::Read(n, report) => {
                    let before = transactions_in(&good, index - 1);
                    assert!((before..RECORDS.len()).contains(&n), "byte {at}");
                    let aside = report.torn.iter().chain(&report.set_aside);
                    let kept_aside: u64 = aside.map(|torn| torn.bytes).sum();
                    let in_front: usize = bad[1..index].iter().map(|(_, b)| b.len()).sum();
                    let cut = report.torn.map_or(0, |torn| torn.offset);
                    assert_eq!(kept_aside + cut + in_front as u64, all as u64);
                }
                other @ Outcome::Refused(..) => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_sound_frame_far_behind_a_bad_one_proves_a_later_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let (spool, _) = Spool::open(Arc::new(UnsyncedDisk), &live, options()).unwrap();
    for n in 1..=12 {
        append_at(&spool, n, &vec![b'x'; 500 << 10]);
    }
    crash(&live, &crashed);
    let segment = segment_files(&crashed)[0].clone();
    let frame = 37 + (500 << 10);
    // Nine frames (4.4 MiB) follow frame 2; only two follow frame 9.
    flip(&segment, 2 * frame + 1000);
    match try_open(&crashed, options()) {
        Err(OpenError::Corrupt { offset, .. }) => assert_eq!(offset, 2 * frame as u64),
        other => panic!("{other:?}"),
    }
    flip(&segment, 2 * frame + 1000);
    flip(&segment, 9 * frame + 1000);
    let (spool, report) = try_open(&crashed, options()).unwrap();
    assert_eq!(head(&spool), 9);
    assert_eq!(report.torn.unwrap().bytes, 3 * frame as u64);
}

#[test]
fn side_files_of_earlier_recoveries_are_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let mut from = dir.path().join("0");
    drop(open(&from, options()));
    let mut kept = Vec::new();
    for round in 1..=3 {
        let to = dir.path().join(round.to_string());
        crash(&from, &to);
        let segment = segment_files(&to)[0].clone();
        let mut bytes = fs::read(&segment).unwrap();
        bytes.extend(format!("tail {round}").bytes());
        fs::write(&segment, bytes).unwrap();
        let (spool, report) = try_open(&to, options()).unwrap();
        kept.push(file_name(&report.torn.unwrap().kept_in));
        append_at(&spool, round, b"x");
        from = to;
    }
    let segment = "0000000000000000.rdlw";
    let expected = [".torn", ".torn.1", ".torn.2"].map(|suffix| format!("{segment}{suffix}"));
    assert_eq!(kept, expected);
    for (round, name) in (1..).zip(&kept) {
        let bytes = fs::read(from.join("spool").join(name)).unwrap();
        assert_eq!(bytes, format!("tail {round}").as_bytes());
    }
}

#[test]
fn zeros_ahead_are_a_clean_end_and_anything_else_there_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    let ahead = SpoolOptions {
        zeros_ahead: 90,
        ..without_ring(options())
    };
    let (spool, _) = Spool::open(Arc::new(UnsyncedDisk), &live, ahead).unwrap();
    for n in 1..=5 {
        append_at(&spool, n, b"x");
    }
    crash(&live, &crashed);
    drop(spool);
    let data = 5 * 38;
    let plain = fs::read(&segment_files(&live)[0]).unwrap();
    assert_eq!(plain.len(), data, "a closed spool has none");
    let name = PathBuf::from("spool/0000000000000000.rdlw");
    let manifest = PathBuf::from("manifest.json");
    let files = |segment: Vec<u8>| -> Files {
        vec![
            (manifest.clone(), fs::read(crashed.join(&manifest)).unwrap()),
            (name.clone(), segment),
        ]
    };
    let with_zeros = fs::read(crashed.join(&name)).unwrap();
    let end = with_zeros.len();
    assert!(end > data && with_zeros[..data] == plain[..]);
    let case = dir.path().join("case");
    // How many are kept, and how many bytes were set aside.
    let recovered = |segment: Vec<u8>| -> (u64, u64) {
        lay_out(&case, &files(segment));
        let (spool, report) = disk_open(&case, RecoveryMode::FailClosed).unwrap();
        let kept = dense_after(&spool, 0).len() as u64;
        drop(spool);
        let len = fs::metadata(case.join(&name)).unwrap().len();
        assert_eq!(len, kept * 38);
        (kept, report.torn.map_or(0, |torn| torn.bytes))
    };
    for len in data..=end {
        assert_eq!(recovered(with_zeros[..len].to_vec()), (5, 0), "{len}");
    }
    for at in 0..end {
        let mut flipped = with_zeros.clone();
        flipped[at] ^= 1 << (at % 8);
        let kept = (at / 38).min(5) as u64;
        assert_eq!(recovered(flipped), (kept, end as u64 - kept * 38), "{at}");
    }
    // The last frames did not get there, or only their beginning did.
    for at in 2 * 38..data {
        let mut lost = with_zeros.clone();
        lost[at..].fill(0);
        let kept = at as u64 / 38;
        let torn = if at % 38 == 0 {
            0
        } else {
            end as u64 - kept * 38
        };
        assert_eq!(recovered(lost), (kept, torn), "{at}");
    }
}

fn segment_count(files: &Files) -> usize {
    files.iter().filter(|(path, _)| is_segment(path)).count()
}

/// Transactions in the first `count` segments.
fn transactions_in(files: &Files, count: usize) -> usize {
    let frames: usize = files[1..=count]
        .iter()
        .map(|(_, bytes)| frame_starts(bytes).len() - 1)
        .sum();
    let mut left = frames;
    RECORDS
        .iter()
        .take_while(|payloads| {
            let whole = left >= payloads.len();
            left = left.saturating_sub(payloads.len());
            whole
        })
        .count()
}
