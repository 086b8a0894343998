//! `check` finds every fault and never writes; `repair` makes the spool open again, keeps what
//! can stay in one run, says what is lost and deletes nothing (P5).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use pgspool::disk::{Disk, FakeDisk};
use pgspool::lsn::Lsn;
use pgspool::spool::check::{Fault, SlotPosition, check};
use pgspool::spool::repair::{LostRange, RepairOptions, RepairReport, repair};
use pgspool::spool::{
    Boundary, Draft, Drafts, MemoryRead, NewSpool, RecoveryMode, Spool, SpoolOptions, Unit,
};

const DIR: &str = "data/db";

fn boundary(_payload: &[u8]) -> Boundary {
    Boundary {
        first: true,
        last: true,
    }
}

fn open(disk: &FakeDisk) -> Spool {
    try_open(disk).unwrap()
}

fn try_open(disk: &FakeDisk) -> Result<Spool, pgspool::spool::OpenError> {
    let options = SpoolOptions {
        segment_bytes: 400,
        zeros_ahead: 0,
        ring_frames: 2,
        ring_bytes: 100,
        recovery: RecoveryMode::FailClosed,
        boundary,
        persisted_position: Lsn::ZERO,
        new: NewSpool {
            system_id: 7,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        },
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Spool::open(disk, Path::new(DIR), options).map(|(spool, _)| spool)
}

fn append(spool: &Spool, count: u64) {
    for n in 0..count {
        let unit = Unit {
            term: 1,
            timestamp_ms: 1000 + n,
            end: pgspool::spool::End::Local,
            frames: Drafts::One(Draft {
                bytes: Bytes::from(vec![b'a' + (n % 26) as u8; 60]),
                hole: None,
            }),
        };
        spool.append(vec![unit]).unwrap().wait().unwrap();
    }
}

/// Two sealed segments of five transactions each, three more in the active one; closed.
fn sample() -> FakeDisk {
    let disk = FakeDisk::default();
    let spool = open(&disk);
    append(&spool, 13);
    spool.close().unwrap();
    drop(spool);
    assert_eq!(segments(&disk).len(), 3);
    assert!(disk.files().keys().filter(|path| is_index(path)).count() == 2);
    disk
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "idx")
}

fn segments(disk: &FakeDisk) -> Vec<PathBuf> {
    let files = disk.files();
    let segments = files
        .keys()
        .filter(|path| path.extension().is_some_and(|e| e == "rdlw"));
    segments.cloned().collect()
}

fn lsns(disk: &FakeDisk) -> Vec<Lsn> {
    let spool = open(disk);
    let mut cursor = spool.cursor(spool.state().removed_through).unwrap();
    let mut found = Vec::new();
    loop {
        let frames = match cursor.read_memory(1 << 20).unwrap() {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::NeedsDisk => cursor.read_disk(1 << 20).unwrap(),
            MemoryRead::AtHead => return found,
        };
        found.extend(frames.iter().map(|frame| frame.lsn));
    }
}

fn faults(disk: &FakeDisk) -> Vec<Fault> {
    check(disk, Path::new(DIR), boundary, &[])
}

fn repaired(disk: &FakeDisk) -> RepairReport {
    let options = RepairOptions {
        boundary,
        persisted_position: Lsn::ZERO,
        new: NewSpool {
            system_id: 8,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        },
    };
    repair(disk, Path::new(DIR), &options).unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn flip(disk: &FakeDisk, path: &Path, at: usize) {
    let mut bytes = disk.read(path).unwrap();
    bytes[at] ^= 1;
    disk.put(path, &bytes);
}

fn remove(disk: &FakeDisk, path: &Path) {
    disk.remove(path).unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

#[test]
fn a_sound_spool_has_no_fault_and_is_not_written_to() {
    let disk = sample();
    disk.set_read_only(true);
    let before = disk.counters().steps;
    assert_eq!(faults(&disk), []);
    assert!(
        !repaired(&disk).changed,
        "a repair of a sound spool writes nothing either"
    );
    assert_eq!(disk.counters().steps, before);
    assert_eq!(
        faults(&FakeDisk::default()).len(),
        2,
        "no folder, no manifest"
    );
}

#[test]
fn every_flipped_byte_of_every_file_is_a_fault_in_that_file() {
    let disk = sample();
    for (path, bytes) in disk.files() {
        for at in 0..bytes.len() {
            flip(&disk, &path, at);
            let found = faults(&disk);
            let named = found.iter().any(|fault| fault.file == name(&path));
            assert!(named, "{} byte {at}: {found:?}", path.display());
            disk.put(&path, &bytes);
        }
    }
    assert_eq!(faults(&disk), []);
}

#[test]
fn every_cut_of_every_file_is_a_fault_in_that_file() {
    let disk = sample();
    for (path, bytes) in disk.files() {
        for len in 0..bytes.len() - 1 {
            disk.put(&path, &bytes[..len]);
            let found = faults(&disk);
            let named = found.iter().any(|fault| fault.file == name(&path));
            assert!(named, "{} cut to {len}: {found:?}", path.display());
        }
        disk.put(&path, &bytes);
    }
}

#[test]
fn missing_and_unlisted_files_are_faults() {
    for segment in segments(&sample()) {
        let disk = sample();
        remove(&disk, &segment);
        let found = faults(&disk);
        assert!(
            found
                .iter()
                .any(|f| f.file == name(&segment) && f.what == "missing"),
            "{found:?}"
        );
    }
    for (stranger, bytes) in [("notes.txt", &b""[..]), ("00000000ffffffff.rdlw", b"x")] {
        let disk = sample();
        let path = Path::new(DIR).join("spool").join(stranger);
        disk.put(&path, bytes);
        let found = faults(&disk);
        assert!(
            found.iter().any(|fault| fault.file == stranger),
            "{found:?}"
        );
    }
    let disk = sample();
    let path = Path::new(DIR).join("spool/0000000000000000.rdlw.torn");
    disk.put(&path, b"kept by an earlier recovery");
    assert_eq!(faults(&disk), []);
}

fn slot(name: &str, restart_lsn: Lsn) -> SlotPosition {
    SlotPosition {
        name: name.to_owned(),
        restart_lsn,
        valid: true,
    }
}

#[test]
fn slots_outside_the_spool_are_faults() {
    let disk = sample();
    let all = lsns(&disk);
    let spool = open(&disk);
    let first = spool.segments()[0].last_lsn;
    spool
        .prune(first, pgspool::spool::ActiveSegment::Keep)
        .unwrap();
    spool.close().unwrap();
    drop(spool);
    let head = *all.last().unwrap();
    let invalid = |name: &str, restart_lsn| SlotPosition {
        valid: false,
        ..slot(name, restart_lsn)
    };
    let slots = [
        invalid("invalid_below", first.saturating_sub(8)),
        slot("below", first.saturating_sub(8)),
        slot("at_removed", first),
        slot("at_head", head),
        slot("above", head.saturating_add(8)),
    ];
    let found = check(&disk, Path::new(DIR), boundary, &slots);
    let above = check(
        &disk,
        Path::new(DIR),
        boundary,
        &[invalid("above", head.saturating_add(8))],
    );
    assert_eq!(
        above.len(),
        1,
        "a server refuses it, valid or not: {above:?}"
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].file == "slot below" && found[0].what.starts_with("at "));
    assert!(found[1].file == "slot above" && found[1].what.contains("above the head"));
}

#[test]
fn what_a_crash_leaves_behind_the_durable_point_is_at_most_a_note() {
    let disk = sample();
    let active = segments(&disk)[2].clone();
    let whole = disk.read(&active).unwrap();
    disk.put(&active, &[&whole[..], &[0; 5000]].concat());
    assert_eq!(faults(&disk), [], "zeros that were put down ahead");

    disk.put(&active, &[&whole[..], &whole[..40], &[0; 60]].concat());
    let found = faults(&disk);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].is_note && found[0].offset == Some(whole.len() as u64));
    let said = "torn tail of 100 bytes, the next start cuts it";
    assert!(found[0].what.starts_with(said), "{found:?}");

    let spool = open(&disk);
    append(&spool, 1);
    spool.close().unwrap();
    drop(spool);
    let longer = disk.read(&active).unwrap();
    let later = &longer[whole.len()..];
    let behind = [&whole[..], &[1; 5 << 20], later].concat();
    let disk = sample();
    disk.put(&active, &behind);
    let found = faults(&disk);
    assert!(found.len() == 1 && !found[0].is_note, "{found:?}");
}

#[test]
fn slots_before_lost_data_are_faults() {
    let disk = sample();
    let ends = ends();
    flip(&disk, &segments(&disk)[2], 97 + 50);
    let slots = [slot("before", ends[11]), slot("at_head", ends[13])];
    let is_named = |found: &[Fault]| {
        let before = |fault: &&Fault| fault.file.starts_with("slot ");
        let named: Vec<_> = found.iter().filter(before).collect();
        assert_eq!(named.len(), 1, "{found:?}");
        let said = format!(
            "slot before: at {}, but data up to {} was lost",
            ends[11], ends[13]
        );
        assert_eq!(named[0].to_string(), said);
    };
    is_named(&check(&disk, Path::new(DIR), boundary, &slots));
    assert!(repaired(&disk).changed);
    is_named(&check(&disk, Path::new(DIR), boundary, &slots));
}

/// What a damaged spool has to be after its repair.
struct Case {
    name: &'static str,
    damage: fn(&FakeDisk),
    /// Transactions of the thirteen that stay readable.
    stays: std::ops::Range<usize>,
    /// What is lost: after which transaction (count from the first), through which.
    lost: Option<(usize, usize)>,
    quarantined: usize,
    is_cut: bool,
}

const fn case(name: &'static str, damage: fn(&FakeDisk)) -> Case {
    Case {
        name,
        damage,
        stays: 0..13,
        lost: None,
        quarantined: 0,
        is_cut: false,
    }
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        Case {
            stays: 5..13,
            lost: Some((0, 5)),
            quarantined: 1,
            ..case("oldest segment flipped", |disk| {
                flip(disk, &segments(disk)[0], 50)
            })
        },
        Case {
            stays: 10..13,
            lost: Some((0, 10)),
            quarantined: 2,
            ..case("second segment flipped", |disk| {
                flip(disk, &segments(disk)[1], 50)
            })
        },
        Case {
            stays: 10..13,
            lost: Some((0, 10)),
            quarantined: 1,
            ..case("second segment missing", |disk| {
                remove(disk, &segments(disk)[1])
            })
        },
        Case {
            stays: 0..11,
            lost: Some((11, 13)),
            is_cut: true,
            ..case("active segment flipped", |disk| {
                flip(disk, &segments(disk)[2], 97 + 50)
            })
        },
        Case {
            stays: 0..12,
            lost: Some((12, 13)),
            is_cut: true,
            ..case("active segment cut inside a frame", |disk| {
                let path = &segments(disk)[2];
                let bytes = disk.read(path).unwrap();
                disk.put(path, &bytes[..bytes.len() - 1]);
            })
        },
        Case {
            stays: 0..12,
            lost: Some((12, 13)),
            ..case("active segment cut between frames", |disk| {
                let path = &segments(disk)[2];
                let bytes = disk.read(path).unwrap();
                disk.put(path, &bytes[..2 * 97]);
            })
        },
        Case {
            stays: 0..10,
            lost: Some((10, 13)),
            ..case("active segment missing", |disk| {
                remove(disk, &segments(disk)[2])
            })
        },
        case("manifest missing", |disk| {
            remove(disk, &Path::new(DIR).join("manifest.json"))
        }),
        Case {
            quarantined: 1,
            ..case("manifest flipped", |disk| {
                flip(disk, &Path::new(DIR).join("manifest.json"), 80);
            })
        },
        Case {
            stays: 10..13,
            lost: Some((0, 10)),
            quarantined: 1,
            ..case("manifest and second segment missing", |disk| {
                remove(disk, &Path::new(DIR).join("manifest.json"));
                remove(disk, &segments(disk)[1]);
            })
        },
        Case {
            stays: 0..11,
            lost: Some((11, 13)),
            is_cut: true,
            ..case("manifest missing, active segment flipped", |disk| {
                remove(disk, &Path::new(DIR).join("manifest.json"));
                flip(disk, &segments(disk)[2], 97 + 50);
            })
        },
        Case {
            quarantined: 1,
            ..case("unknown file", |disk| {
                disk.put(&Path::new(DIR).join("spool/notes.txt"), b"hello");
            })
        },
        case("index flipped", |disk| {
            let files = disk.files();
            flip(disk, files.keys().find(|path| is_index(path)).unwrap(), 9);
        }),
        case("index missing", |disk| {
            let files = disk.files();
            remove(disk, files.keys().find(|path| is_index(path)).unwrap());
        }),
    ]
}

/// The LSNs of the sample: zero, then every transaction's.
fn ends() -> Vec<Lsn> {
    let mut ends = vec![Lsn::ZERO];
    ends.extend(lsns(&sample()));
    ends
}

#[track_caller]
fn is_whole_again(case: &Case, disk: &FakeDisk, ends: &[Lsn]) {
    assert_eq!(faults(disk), [], "{}", case.name);
    let stays = &ends[case.stays.start + 1..=case.stays.end];
    assert_eq!(lsns(disk), stays, "{}", case.name);
    let spool = open(disk);
    append(&spool, 3);
    drop(spool);
    let all = lsns(disk);
    assert_eq!(all[..stays.len()], *stays, "{}", case.name);
    assert!(
        all[stays.len()] > ends[13],
        "{}: no position is given out twice",
        case.name
    );
    assert_eq!(all.len(), stays.len() + 3);
}

/// Every byte that a damaged file had (but for indexes, which are derived) is still somewhere.
#[track_caller]
fn nothing_is_deleted(case: &Case, before: &BTreeMap<PathBuf, Vec<u8>>, disk: &FakeDisk) {
    let after = disk.files();
    for (path, bytes) in before {
        let is_manifest = name(path) == "manifest.json";
        if is_index(path) || (is_manifest && !case.name.contains("manifest flipped")) {
            continue;
        }
        let elsewhere = after
            .iter()
            .any(|(other, found)| other.to_string_lossy().contains("quarantine") && found == bytes);
        // An interrupted repair may leave an unfinished side file beside the whole one.
        let torn = format!("{}.torn", name(path));
        let start = after.get(path).cloned().unwrap_or_default();
        let kept = after.iter().any(|(other, rest)| {
            name(other).starts_with(&torn) && [start.as_slice(), rest].concat() == *bytes
        });
        let kept = kept || start == *bytes;
        assert!(kept || elsewhere, "{}: {}", case.name, path.display());
    }
}

#[test]
fn repair_keeps_one_run_says_what_is_lost_and_deletes_nothing() {
    let ends = ends();
    for case in cases() {
        let disk = sample();
        (case.damage)(&disk);
        let before = disk.files();
        let report = repaired(&disk);
        let lost = case.lost.map(|(after, through)| LostRange {
            after: ends[after],
            through: ends[through],
        });
        assert_eq!(report.lost, Vec::from_iter(lost), "{}", case.name);
        assert_eq!(
            report.quarantined.len(),
            case.quarantined,
            "{}: {report:?}",
            case.name
        );
        assert_eq!(report.cut.is_some(), case.is_cut, "{}", case.name);
        assert_eq!(report.head, ends[13], "{}", case.name);
        assert_eq!(
            report.removed_through, ends[case.stays.start],
            "{}",
            case.name
        );
        assert!(report.changed, "{}", case.name);
        nothing_is_deleted(&case, &before, &disk);
        assert!(
            !repaired(&disk).changed,
            "{}: nothing is left to do",
            case.name
        );
        is_whole_again(&case, &disk, &ends);
    }
}

#[test]
fn a_repair_that_crashes_anywhere_can_be_run_again() {
    let ends = ends();
    // With a slot at the head, and with none at all.
    let persisted = [ends[13], Lsn::ZERO];
    for (case, persisted_position) in persisted
        .iter()
        .flat_map(|at| cases().into_iter().map(move |case| (case, *at)))
    {
        for stop in 0.. {
            let mut done = false;
            for seed in 0..6 {
                let disk = sample();
                (case.damage)(&disk);
                let before = disk.files();
                disk.crash_after(stop);
                let options = RepairOptions {
                    boundary,
                    persisted_position,
                    new: NewSpool {
                        system_id: 8,
                        imported_through: Lsn::ZERO,
                        start: Lsn::ZERO,
                    },
                };
                done = repair(&disk, Path::new(DIR), &options).is_ok();
                let disk = disk.crash(seed);
                repair(&disk, Path::new(DIR), &options).unwrap();
                nothing_is_deleted(&case, &before, &disk);
                is_whole_again(&case, &disk, &ends);
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn positions_in_what_a_repair_moves_stay_lost_when_it_crashes() {
    let before = sample();
    let manifest = Path::new(DIR).join("manifest.json");
    let old = before.read(&manifest).unwrap();
    let spool = open(&before);
    append(&spool, 6);
    spool.close().unwrap();
    drop(spool);
    let ends = lsns(&before);
    assert_eq!((ends.len(), segments(&before).len()), (19, 4));
    // The manifest of before: it does not know the newest segment.
    before.put(&manifest, &old);
    let files = before.files();
    for stop in 0.. {
        let mut done = false;
        for seed in 0..6 {
            let disk = FakeDisk::default();
            disk.create_dir_all(&Path::new(DIR).join("spool")).unwrap();
            files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
            disk.crash_after(stop);
            let options = RepairOptions {
                boundary,
                persisted_position: Lsn::ZERO,
                new: NewSpool {
                    system_id: 8,
                    imported_through: Lsn::ZERO,
                    start: Lsn::ZERO,
                },
            };
            done = repair(&disk, Path::new(DIR), &options).is_ok();
            let disk = disk.crash(seed);
            let report = repair(&disk, Path::new(DIR), &options).unwrap();
            let lost = LostRange {
                after: ends[14],
                through: ends[18],
            };
            assert_eq!(report.lost, [lost], "crash after {stop} steps, seed {seed}");
            assert_eq!(report.head, ends[18]);
        }
        if done {
            break;
        }
    }
}

#[test]
fn repair_of_nothing_is_refused() {
    let options = RepairOptions {
        boundary,
        persisted_position: Lsn::ZERO,
        new: NewSpool {
            system_id: 8,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        },
    };
    let disk = FakeDisk::default();
    assert!(repair(&disk, Path::new(DIR), &options).is_err());
    disk.create_dir_all(&Path::new(DIR).join("spool")).unwrap();
    let before = disk.counters().steps;
    assert!(repair(&disk, Path::new(DIR), &options).is_err());
    assert_eq!(disk.counters().steps, before);
}
