//! RedDB's spool files: rows R-02, R-12, R-26 to R-30, R-114 to R-122 at the level of the file,
//! the recorded files, and the weaknesses W-03, W-04, W-07 and W-13.
//!
//! R-26 to R-30 and R-119 to R-122 demand RedDB's rule, the longest valid prefix; the recorded
//! and W rows run against the default, which refuses damage.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::fs;
use std::path::{Path, PathBuf};

use pgspool::disk::{Disk, FakeDisk, OpenMode, RealDisk};
use pgspool::lsn::Lsn;
use pgspool::spool::frame::{FrameVersion, encode};
use pgspool::spool::reddb_file::{
    RedDbEnd, RedDbError, RedDbFrame, RedDbReader, RedDbRepair, RedDbWriter, SeekIndex, repair_file,
};
use pgspool::spool::{MAX_PAYLOAD, RecoveryMode};

const FILE: &str = "d/x.rdb.logical.wal";
const PREFIX: RecoveryMode = RecoveryMode::LongestValidPrefix;
const CLOSED: RecoveryMode = RecoveryMode::FailClosed;

fn v3(term: u64, lsn: u64, ms: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, term, Lsn::new(lsn), ms, payload);
    out
}

/// A frame with a checksum that is read and never written.
fn sealed(version: u8, fields: &[u64], payload: &[u8]) -> Vec<u8> {
    let mut out = b"RDLW".to_vec();
    out.push(version);
    for field in fields {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32fast::hash(&out[4..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn v2(lsn: u64, ms: u64, payload: &[u8]) -> Vec<u8> {
    sealed(2, &[lsn, ms], payload)
}

fn v3_epoch(term: u64, epoch: u64, lsn: u64, ms: u64, payload: &[u8]) -> Vec<u8> {
    sealed(3, &[term, epoch, lsn, ms], payload)
}

fn v1(lsn: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = b"RDLW\x01".to_vec();
    out.extend_from_slice(&lsn.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

fn disk(bytes: &[u8]) -> FakeDisk {
    let disk = FakeDisk::default();
    disk.put(Path::new(FILE), bytes);
    disk
}

fn read(disk: &dyn Disk) -> (Vec<RedDbFrame>, RedDbEnd) {
    read_path(disk, Path::new(FILE))
}

fn read_path(disk: &dyn Disk, path: &Path) -> (Vec<RedDbFrame>, RedDbEnd) {
    let mut reader = RedDbReader::open(disk, path).unwrap();
    let frames = reader.by_ref().map(Result::unwrap).collect();
    (frames, reader.end().unwrap().clone())
}

fn lsns(disk: &dyn Disk) -> Vec<u64> {
    let (frames, end) = read(disk);
    assert_eq!(end, RedDbEnd::Clean);
    frames.iter().map(|frame| frame.lsn.get()).collect()
}

fn repaired(disk: &dyn Disk) -> RedDbRepair {
    repair_file(disk, Path::new(FILE), PREFIX).unwrap()
}

fn content(disk: &FakeDisk) -> Vec<u8> {
    disk.read(Path::new(FILE)).unwrap()
}

/// What RedDB's append does, once the file was repaired.
fn append(disk: &dyn Disk, lsn: u64, payload: &[u8]) {
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let end = file.len().unwrap();
    file.write_all_at(&v3(1, lsn, 5, payload), end).unwrap();
    file.sync().unwrap();
}

fn shared(name: &str) -> PathBuf {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/reddb");
    Path::new(shared).join(name)
}

#[test]
fn r02_v2_frames_have_no_term() {
    let payload = br#"{"lsn":3,"timestamp":44,"operation":"delete","collection":"users","rid":9,"kind":"row"}"#;
    let (frames, end) = read(&disk(&v2(3, 44, payload)));
    assert_eq!(end, RedDbEnd::Clean);
    let [frame] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    assert_eq!((frame.version, frame.term), (FrameVersion::V2, None));
    assert_eq!((frame.lsn, frame.timestamp_ms), (Lsn::new(3), 44));
    assert_eq!(frame.payload, &payload[..]);
    assert_eq!(frame.term_or(|_| None), 1, "no term anywhere");
    assert_eq!(frame.term_or(|_| Some(9)), 9, "the payload's");
}

#[test]
fn r12_seek_index_starts_near_the_position() {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    let mut writer = RedDbWriter::create(&disk, Path::new(FILE)).unwrap();
    for lsn in 1..=200 {
        let payload = [(lsn % 251) as u8, 0xAB];
        writer.push(1, Lsn::new(lsn), lsn, &payload).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), Lsn::new(200));
    let mut reader = RedDbReader::open(&disk, Path::new(FILE)).unwrap();
    let index = SeekIndex::build(&mut reader).unwrap();
    let entries = [(1, 0), (65, 2496), (129, 4992), (193, 7488)];
    let want: Vec<_> = entries.map(|(lsn, at)| (Lsn::new(lsn), at)).into();
    assert_eq!(index.entries(), want);
    for (since, offset) in [(0, 0), (64, 0), (129, 4992), (130, 4992), (999, 7488)] {
        assert_eq!(index.floor(Lsn::new(since)), offset, "since {since}");
    }
    let from = index.floor(Lsn::new(130));
    let reader = RedDbReader::open_at(&disk, Path::new(FILE), from).unwrap();
    let after = reader
        .map(Result::unwrap)
        .filter(|frame| frame.lsn > Lsn::new(130));
    let after: Vec<u64> = after.map(|frame| frame.lsn.get()).collect();
    assert_eq!(after, (131..=200).collect::<Vec<_>>());
}

#[test]
fn r26_truncated_tail_keeps_the_valid_prefix() {
    let records = [&b"first record"[..], b"second record", b"third record"];
    let mut bytes = Vec::new();
    for (lsn, payload) in (1..).zip(records) {
        bytes.extend(v3(1, lsn, 5, payload));
    }
    let disk = disk(&bytes[..bytes.len() - 7]);
    let repair = repaired(&disk);
    assert_eq!((repair.num_frames, repair.head), (2, Lsn::new(2)));
    assert_eq!(lsns(&disk), [1, 2]);
    append(&disk, 4, b"after recovery");
    assert_eq!(lsns(&disk), [1, 2, 4]);
}

#[test]
fn r27_checksum_flip_in_the_middle_cuts_there_when_asked_to() {
    let mut bytes = Vec::new();
    for (lsn, payload) in [(10, b"alpha"), (11, b"bravo"), (12, b"charl")] {
        bytes.extend(v3(1, lsn, 5, payload));
    }
    bytes[64] ^= 1;
    let disk = disk(&bytes);
    let repair = repaired(&disk);
    assert_eq!((repair.num_frames, repair.head), (1, Lsn::new(10)));
    let cut = repair.cut.unwrap();
    assert_eq!((cut.offset, cut.bytes), (42, 84));
    assert_eq!(
        disk.read(&cut.kept_in).unwrap(),
        bytes[42..],
        "nothing is thrown away"
    );
    assert_eq!(content(&disk), bytes[..42]);
}

#[test]
fn r28_empty_file_is_an_empty_state() {
    let disk = disk(b"");
    assert_eq!(lsns(&disk), [0_u64; 0]);
    let repair = repaired(&disk);
    assert_eq!(
        (repair.num_frames, repair.head, repair.cut),
        (0, Lsn::ZERO, None)
    );
}

#[test]
fn r29_torn_first_record_leaves_an_empty_file() {
    let bytes = v3(1, 1, 5, b"only");
    let disk = disk(&bytes[..bytes.len() - 2]);
    let repair = repaired(&disk);
    assert_eq!((repair.num_frames, repair.head), (0, Lsn::ZERO));
    append(&disk, 1, b"replacement");
    let (frames, _) = read(&disk);
    assert_eq!(
        (frames.len(), &frames[0].payload[..]),
        (1, &b"replacement"[..])
    );
}

#[test]
fn r30_a_finished_file_is_on_disk() {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    let mut writer = RedDbWriter::create(&disk, Path::new(FILE)).unwrap();
    writer.push(1, Lsn::new(1), 5, b"x").unwrap();
    writer.finish().unwrap();
    for seed in 0..50 {
        let after = disk.crash(seed);
        assert_eq!(content(&after).len(), 38);
        assert_eq!(lsns(&after), [1]);
    }
}

#[test]
fn an_interrupted_writer_leaves_what_was_there() {
    let old = v3(1, 1, 5, b"old");
    for stop in 0..5 {
        for seed in 0..20 {
            let disk = disk(&old);
            disk.crash_after(stop);
            let done = RedDbWriter::create(&disk, Path::new(FILE)).and_then(|mut writer| {
                writer.push(1, Lsn::new(2), 5, b"new")?;
                writer.finish()
            });
            assert!(done.is_err(), "five steps");
            let after = disk.crash(seed);
            assert!([vec![1], vec![2]].contains(&lsns(&after)));
            let mut writer = RedDbWriter::create(&after, Path::new(FILE)).unwrap();
            writer.push(1, Lsn::new(3), 5, b"next").unwrap();
            writer.finish().unwrap();
            assert_eq!(
                after.list(Path::new("d")).unwrap().len(),
                1,
                "no temporary left"
            );
            assert_eq!(lsns(&after), [3]);
        }
    }
}

#[test]
fn r115_repair_cuts_a_torn_tail() {
    let good = v3(7, 42, 99, b"payload");
    let torn = v3(7, 43, 99, b"torn payload");
    for len in 1..torn.len() {
        let disk = disk(&[&good, &torn[..len]].concat());
        let repair = repaired(&disk);
        assert_eq!(repair.num_frames, 1);
        assert_eq!(content(&disk), good);
    }
}

#[test]
fn r116_v2_round_trip_marks_the_missing_term() {
    let (frames, _) = read(&disk(&v2(3, 44, b"legacy")));
    assert_eq!(
        (frames[0].version, frames[0].term),
        (FrameVersion::V2, None)
    );
    assert_eq!((frames[0].lsn, frames[0].timestamp_ms), (Lsn::new(3), 44));
    assert_eq!(frames[0].term_or(|_| None), 1);
}

#[test]
fn r117_mixed_layouts_show_term_and_epoch() {
    let bytes = [
        v2(3, 44, b"legacy"),
        v3_epoch(7, 11, 4, 50, b"current"),
        v3(8, 5, 51, b"ours"),
    ];
    let (frames, end) = read(&disk(&bytes.concat()));
    assert_eq!(end, RedDbEnd::Clean);
    let seen: Vec<_> = frames
        .iter()
        .map(|f| (f.version, f.term, f.epoch, f.lsn.get()))
        .collect();
    let want = [
        (FrameVersion::V2, None, None, 3),
        (FrameVersion::V3Epoch, Some(7), Some(11), 4),
        (FrameVersion::V3, Some(8), None, 5),
    ];
    assert_eq!(seen, want);
}

#[test]
fn r118_missing_file_reads_as_empty_when_asked_to() {
    let disk = FakeDisk::default();
    assert!(RedDbReader::open(&disk, Path::new(FILE)).is_err());
    let mut reader = RedDbReader::open_or_empty(&disk, Path::new(FILE)).unwrap();
    let index = SeekIndex::build(&mut reader).unwrap();
    assert_eq!(index, SeekIndex::default());
    assert_eq!((reader.offset(), reader.end()), (0, Some(&RedDbEnd::Clean)));
    let repair = repaired(&disk);
    assert_eq!((repair.num_frames, repair.cut), (0, None));
}

#[test]
fn r119_read_from_the_index_and_rewrite() {
    let payload = |lsn: u64| vec![b'p'; lsn as usize];
    let bytes: Vec<u8> = (1..=70)
        .flat_map(|lsn| v3(2, lsn, lsn, &payload(lsn)))
        .collect();
    let at_65: usize = (1..=64).map(|lsn| 37 + lsn).sum();
    let disk = disk(&bytes);
    let mut reader = RedDbReader::open(&disk, Path::new(FILE)).unwrap();
    let index = SeekIndex::build(&mut reader).unwrap();
    let want = [(Lsn::new(1), 0), (Lsn::new(65), at_65 as u64)];
    assert_eq!(
        (index.entries(), index.end_offset()),
        (&want[..], bytes.len() as u64)
    );
    let tail = RedDbReader::open_at(&disk, Path::new(FILE), at_65 as u64).unwrap();
    let tail: Vec<_> = tail.map(Result::unwrap).collect();
    assert_eq!((tail.len(), tail[0].lsn), (6, Lsn::new(65)));
    let mut writer = RedDbWriter::create(&disk, Path::new(FILE)).unwrap();
    for frame in &tail {
        let term = frame.term.unwrap();
        writer
            .push(term, frame.lsn, frame.timestamp_ms, &frame.payload)
            .unwrap();
    }
    assert_eq!(writer.finish().unwrap(), Lsn::new(70));
    assert_eq!(content(&disk), bytes[at_65..]);
    assert_eq!(
        disk.list(Path::new("d")).unwrap().len(),
        1,
        "no temporary left"
    );
}

#[test]
fn r120_v1_has_no_term_and_no_time() {
    let (frames, end) = read(&disk(&v1(42, b"old")));
    assert_eq!(end, RedDbEnd::Clean);
    assert_eq!(
        (frames[0].version, frames[0].term),
        (FrameVersion::V1, None)
    );
    assert_eq!((frames[0].lsn, frames[0].timestamp_ms), (Lsn::new(42), 0));
    assert_eq!(frames[0].term_or(|_| None), 1);
}

#[test]
fn r121_garbage_after_a_good_record_is_cut() {
    let good = v3(7, 42, 99, b"payload");
    for (garbage, reason) in [
        (&b"NOPE"[..], "bad magic at offset 44: got [78, 79, 80, 69]"),
        (b"RDLW\x63", "unsupported version 99 at offset 44"),
        (b"RDLW", "torn header at offset 44"),
    ] {
        let disk = disk(&[&good, garbage].concat());
        let repair = repaired(&disk);
        assert_eq!(repair.num_frames, 1);
        assert_eq!(repair.cut.unwrap().reason, reason);
        assert_eq!(content(&disk), good);
    }
}

#[test]
fn r122_bad_checksum_and_implausible_length_are_cut() {
    let good = v3(7, 42, 99, b"payload");
    let mut flipped = v3(7, 43, 99, b"payload");
    *flipped.last_mut().unwrap() ^= 1;
    let mut long = v3(7, 43, 99, b"")[..33].to_vec();
    long[29..33].copy_from_slice(&(MAX_PAYLOAD as u32 + 1).to_le_bytes());
    for (bad, reason) in [
        (flipped, "crc mismatch"),
        (long, "implausible payload_len 268435457"),
    ] {
        let disk = disk(&[&good[..], &bad].concat());
        let repair = repaired(&disk);
        assert_eq!(repair.num_frames, 1);
        let told = repair.cut.unwrap().reason;
        assert!(told.starts_with(reason), "{told}");
        assert_eq!(content(&disk), good);
    }
}

/// The frames of a recorded file, as its `.expected.tsv` lists them.
fn expected(name: &str) -> Vec<(u8, u64, u64, usize, String)> {
    let text = fs::read_to_string(shared(name)).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |wanted: &str| header.iter().position(|name| *name == wanted);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let number = |name| column(name).map(|at| cells[at].parse::<u64>().unwrap());
            let time = number("frame_timestamp").or(number("timestamp")).unwrap();
            (
                number("version").unwrap_or(3) as u8,
                number("lsn").unwrap(),
                time,
                number("payload_len").unwrap() as usize,
                cells[column("payload_crc32").unwrap()].to_owned(),
            )
        })
        .collect()
}

fn summary(frames: &[RedDbFrame]) -> Vec<(u8, u64, u64, usize, String)> {
    let line = |frame: &RedDbFrame| {
        let crc = format!("{:08x}", crc32fast::hash(&frame.payload));
        let number = frame.version.number();
        (
            number,
            frame.lsn.get(),
            frame.timestamp_ms,
            frame.payload.len(),
            crc,
        )
    };
    frames.iter().map(line).collect()
}

#[test]
fn recorded_files_hold_exactly_what_is_expected() {
    for (name, count) in [("shop", 600), ("legacy", 60)] {
        let path = shared(&format!("{name}.rdb.logical.wal"));
        let (frames, end) = read_path(&RealDisk, &path);
        assert_eq!((end, frames.len()), (RedDbEnd::Clean, count), "{name}");
        let expected = expected(&format!("{name}.expected.tsv"));
        assert_eq!(expected.len(), count);
        for ((frame, mut found), want) in frames.iter().zip(summary(&frames)).zip(expected) {
            if name == "shop" {
                // That list gives the record's own time, not the frame's.
                let time: serde_json::Value = serde_json::from_slice(&frame.payload).unwrap();
                found.2 = time["timestamp"].as_u64().unwrap();
            }
            assert_eq!(found, want, "{name}");
        }
    }
}

#[test]
fn w03_reading_never_writes() {
    let disk = FakeDisk::default();
    for name in ["torn3", "torn-frame", "bitflip", "v3-epoch"] {
        let bytes = fs::read(shared(&format!("legacy-{name}.rdb.logical.wal"))).unwrap();
        disk.put(Path::new(FILE), &bytes);
        disk.set_read_only(true);
        let _ = read(&disk);
        let mut reader = RedDbReader::open(&disk, Path::new(FILE)).unwrap();
        SeekIndex::build(&mut reader).unwrap();
        assert_eq!(content(&disk), bytes);
    }
    assert_eq!(disk.counters().steps, 0);
}

#[test]
fn w04_every_torn_tail_is_seen_and_repaired_for_good() {
    let good: Vec<u8> = (1..=3).flat_map(|lsn| v3(1, lsn, 5, b"record")).collect();
    let next = v3(1, 4, 5, b"record");
    let stray: Vec<Vec<u8>> = (1..next.len())
        .map(|len| next[..len].to_vec())
        .chain((1..8).map(|len| vec![0; len]))
        .chain((1..8).map(|len| vec![b'x'; len]))
        .collect();
    for stray in stray {
        let disk = disk(&[&good[..], &stray].concat());
        let (frames, end) = read(&disk);
        assert_eq!(frames.len(), 3);
        let RedDbEnd::Torn { offset, bytes, .. } = end else {
            panic!("{stray:?}: {end:?}")
        };
        assert_eq!((offset, bytes), (good.len() as u64, stray.len() as u64));
        let repair = repair_file(&disk, Path::new(FILE), CLOSED).unwrap();
        assert_eq!(disk.read(&repair.cut.unwrap().kept_in).unwrap(), stray);
        for lsn in 4..7 {
            append(&disk, lsn, b"acknowledged");
        }
        assert_eq!(lsns(&disk), [1, 2, 3, 4, 5, 6]);
        assert_eq!(repaired(&disk).cut, None);
    }
}

#[test]
fn w04_recorded_torn_files_are_cut_and_reported() {
    for (name, frames, offset, bytes) in [("torn3", 60, 15_890, 3), ("torn-frame", 59, 15_624, 259)]
    {
        let path = shared(&format!("legacy-{name}.rdb.logical.wal"));
        let (found, end) = read_path(&RealDisk, &path);
        assert_eq!(
            summary(&found),
            expected("legacy.expected.tsv")[..frames],
            "{name}"
        );
        let RedDbEnd::Torn {
            offset: o,
            bytes: b,
            ..
        } = &end
        else {
            panic!("{name}: {end:?}")
        };
        assert_eq!((*o, *b), (offset, bytes), "{name}");
        end.accept(CLOSED).unwrap();
    }
}

#[test]
fn w07_damage_before_the_tail_is_refused_and_the_file_left_alone() {
    let whole: Vec<u8> = (1..=20)
        .flat_map(|lsn| v3(1, lsn, 5, b"a record"))
        .collect();
    let len = whole.len() / 20;
    for byte in 0..whole.len() - len {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x10;
        let disk = disk(&bytes);
        let good = byte / len;
        let (frames, end) = read(&disk);
        assert_eq!(frames.len(), good, "byte {byte}");
        let RedDbEnd::Corrupt { offset, .. } = end else {
            panic!("byte {byte}: {end:?}")
        };
        assert_eq!(offset, (good * len) as u64);
        let refused = repair_file(&disk, Path::new(FILE), CLOSED);
        assert!(matches!(refused, Err(RedDbError::Corrupt { offset: o, .. }) if o == offset));
        assert_eq!(content(&disk), bytes);
    }
}

#[test]
fn w07_recorded_bit_flip_is_refused_at_its_offset() {
    let path = shared("legacy-bitflip.rdb.logical.wal");
    let (found, end) = read_path(&RealDisk, &path);
    assert_eq!(summary(&found), expected("legacy.expected.tsv")[..35]);
    let RedDbEnd::Corrupt { offset, bytes, .. } = &end else {
        panic!("{end:?}")
    };
    assert_eq!((*offset, *bytes), (9234, 6656));
    assert!(matches!(
        end.accept(CLOSED),
        Err(RedDbError::Corrupt { offset: 9234, .. })
    ));
    end.accept(PREFIX).unwrap();
}

#[test]
fn w07_a_version_flipped_to_v1_is_noticed() {
    // A v1 frame has no checksum; term 1 becomes its LSN and the old LSN its length.
    let whole: Vec<u8> = (1..=9).flat_map(|lsn| v3(1, lsn, 5, b"a record")).collect();
    for frame in 1..9 {
        let mut bytes = whole.clone();
        let at = frame * whole.len() / 9;
        bytes[at + 4] = 1;
        let (frames, end) = read(&disk(&bytes));
        assert_eq!(frames.len(), frame);
        assert_ne!(end, RedDbEnd::Clean);
    }
}

#[test]
fn w13_both_layouts_of_version_3_are_read() {
    let path = shared("legacy-v3-epoch.rdb.logical.wal");
    let (frames, end) = read_path(&RealDisk, &path);
    assert_eq!(end, RedDbEnd::Clean);
    let found: Vec<u64> = frames.iter().map(|frame| frame.lsn.get()).collect();
    assert_eq!(found, (1..=30).collect::<Vec<_>>());
    assert!(
        frames
            .iter()
            .all(|frame| frame.version == FrameVersion::V3Epoch)
    );
    let unknown = [
        v3(1, 1, 5, b"x"),
        sealed(4, &[1, 2, 5], b"y"),
        v3(1, 3, 5, b"z"),
    ]
    .concat();
    let disk = disk(&unknown);
    let refused = repair_file(&disk, Path::new(FILE), CLOSED);
    assert!(matches!(
        refused,
        Err(RedDbError::Corrupt { offset: 38, .. })
    ));
    assert_eq!(
        content(&disk),
        unknown,
        "an unknown layout is never cut off"
    );
}

#[test]
fn a_repair_that_crashes_anywhere_loses_nothing() {
    let good: Vec<u8> = (1..=3).flat_map(|lsn| v3(1, lsn, 5, b"record")).collect();
    let torn = &v3(1, 4, 5, &[b'x'; 2000])[..1500];
    for stop in 0..8 {
        for seed in 0..40 {
            let disk = disk(&[&good[..], torn].concat());
            disk.crash_after(stop);
            let done = repair_file(&disk, Path::new(FILE), CLOSED).is_ok();
            let after = disk.crash(seed);
            let file = content(&after);
            assert_eq!(file[..good.len()], good);
            let kept = after.read(Path::new("d/x.rdb.logical.wal.torn"));
            let is_kept = kept.is_ok_and(|kept| kept == torn);
            assert!(
                file.len() == good.len() + torn.len() || is_kept,
                "stop {stop} seed {seed}"
            );
            assert!(!done || (is_kept && file == good));
            repair_file(&after, Path::new(FILE), CLOSED).unwrap();
            assert_eq!(lsns(&after), [1, 2, 3]);
        }
    }
}

#[test]
fn frames_longer_than_a_block_pass() {
    let payload = vec![b'p'; 700 << 10];
    let bytes: Vec<u8> = (1..=3)
        .flat_map(|lsn| v3_epoch(1, 2, lsn, u64::MAX, &payload))
        .collect();
    let (frames, end) = read(&disk(&bytes));
    assert_eq!((frames.len(), end), (3, RedDbEnd::Clean));
    assert!(frames.iter().all(|frame| frame.payload == payload));
    let half = &bytes[..bytes.len() - (300 << 10)];
    let (frames, end) = read(&disk(half));
    assert_eq!(frames.len(), 2);
    assert!(matches!(end, RedDbEnd::Torn { .. }), "{end:?}");
}
