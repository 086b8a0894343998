//! Transaction blocks: one transaction with one LSN whatever its size, or nothing at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    missing_docs
)]

mod dice;
mod engine_support;

use std::path::Path;
use std::sync::Arc;

use dice::Dice;
use engine_support::{Home, drain, options, read_all};
use pgspool::change::{self, ChangeRecord, Payload, ProducerName, parse_payload};
use pgspool::clock::Moment;
use pgspool::disk::{FakeDisk, FakeError, FakeOp};
use pgspool::engine::{
    DiskFloor, Engine, EngineOptions, MAX_IN_MEMORY, PublishError, TransactionBuffer,
};
use pgspool::lsn::Lsn;
use pgspool::relations::{Command, CreateTable, TableName};
use pgspool::spool::Frame;

const NOW: Moment = Moment::at_ms(7);

fn record(rid: u64, len: usize) -> ChangeRecord {
    ChangeRecord::insert("orders", rid)
        .with_entity(vec![0x5a; len])
        .with_timestamp(1)
}

fn commit(engine: &Engine, buffer: TransactionBuffer) -> Option<Lsn> {
    let ticket = engine.commit(buffer, NOW).unwrap()?;
    Some(ticket.wait().unwrap().last_lsn)
}

fn json(frame: &Frame) -> Vec<u8> {
    match parse_payload(&frame.payload) {
        Payload::Whole(json) | Payload::Part { json, .. } => json.to_vec(),
        Payload::Opaque(bytes) => panic!("opaque: {bytes:?}"),
    }
}

fn decoded(frame: &Frame) -> ChangeRecord {
    change::decode(&json(frame)).unwrap()
}

fn rids(frames: &[Frame]) -> Vec<u64> {
    frames
        .iter()
        .map(|frame| decoded(frame).entity_id)
        .collect()
}

#[test]
fn a_block_is_one_transaction_with_one_lsn() {
    let home = Home::new();
    let engine = home.open(options());
    // Three in memory, and enough for several pieces in the file.
    for num_records in [3, 400] {
        let before = engine.head();
        let mut buffer = engine.begin();
        for rid in 0..num_records {
            buffer.push(&record(rid, 10_000), NOW).unwrap();
        }
        assert_eq!(buffer.num_records(), num_records);
        assert_eq!(engine.head(), before, "nothing is seen before COMMIT");
        let end = commit(&engine, buffer).unwrap();
        assert_eq!(engine.head(), end);
        let frames = drain(&mut engine.read_from(before).unwrap());
        assert_eq!(rids(&frames), (0..num_records).collect::<Vec<_>>());
        assert!(
            frames
                .iter()
                .all(|frame| frame.lsn == end && frame.timestamp_ms == 7)
        );
        let first: Vec<_> = frames.iter().map(|frame| frame.boundary.first).collect();
        let last: Vec<_> = frames.iter().map(|frame| frame.boundary.last).collect();
        assert_eq!(first.iter().position(|first| *first), Some(0));
        assert_eq!(first.iter().filter(|first| **first).count(), 1);
        assert_eq!(last.iter().position(|last| *last), Some(frames.len() - 1));
        // Each change has its own position, inside of the transaction's.
        let own: Vec<_> = frames.iter().map(|frame| decoded(frame).lsn).collect();
        assert!(own[0] >= before.get().max(0x100_0000) + 8);
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(own[own.len() - 1] < end.get() - 8);
    }
}

#[test]
fn a_block_gets_the_lsns_that_the_same_batch_gets() {
    let (home, other) = (Home::new(), Home::new());
    let records: Vec<_> = (0..300).map(|rid| record(rid, 9_000)).collect();
    let in_block = home.open(options());
    let mut buffer = in_block.begin();
    for record in &records {
        buffer.push(record, NOW).unwrap();
    }
    commit(&in_block, buffer).unwrap();
    let in_batch = other.open(options());
    let mut batch = in_batch.batch(NOW);
    batch.push_transaction(&records).unwrap();
    in_batch.publish(batch).unwrap();
    assert_eq!(read_all(&in_block), read_all(&in_batch));
}

#[test]
fn a_block_of_one_record_is_that_record() {
    let home = Home::new();
    let engine = home.open(options());
    for len in [10, 2 * MAX_IN_MEMORY] {
        let before = engine.head();
        let mut buffer = engine.begin();
        buffer.push(&record(5, len), NOW).unwrap();
        let end = commit(&engine, buffer).unwrap();
        let frames = drain(&mut engine.read_from(before).unwrap());
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].payload[0], b'{');
        let wanted = ChangeRecord {
            lsn: end.get(),
            ..record(5, len)
        };
        assert_eq!(decoded(&frames[0]), wanted);
    }
}

#[test]
fn a_rolled_back_block_stores_nothing_and_leaves_no_file() {
    let home = Home::new();
    let engine = home.open(options());
    let files = || {
        let names = std::fs::read_dir(home.path()).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("transaction")).count()
    };
    let mut buffer = engine.begin();
    for rid in 0..30 {
        buffer.push(&record(rid, 200_000), NOW).unwrap();
        assert_eq!(files(), 0, "its name goes at once");
    }
    drop(buffer);
    assert!(
        commit(&engine, engine.begin()).is_none(),
        "an empty block has no LSN"
    );
    assert!(read_all(&engine).is_empty());
}

#[test]
fn what_a_crash_left_of_open_blocks_is_removed_at_the_next_start() {
    let home = Home::new();
    drop(home.open(options()));
    let left = home.path().join("transaction.3.tmp");
    std::fs::write(&left, "half a record").unwrap();
    drop(home.open(options()));
    assert!(!left.exists());
}

#[test]
fn a_message_of_its_own_is_no_part_of_a_block() {
    let home = Home::new();
    let engine = home.open(options());
    let mut buffer = engine.begin();
    let refused = buffer.push(&ChangeRecord::message(false, "p", "x"), NOW);
    assert!(matches!(refused, Err(PublishError::StandsAlone)));
    buffer
        .push(&ChangeRecord::message(true, "p", "x"), NOW)
        .unwrap();
    commit(&engine, buffer).unwrap();
    assert_eq!(read_all(&engine).len(), 1);
}

fn fake(disk: &FakeDisk, segment_bytes: u64) -> Engine {
    let options = EngineOptions {
        segment_bytes,
        ..options()
    };
    let disk = Arc::new(disk.clone());
    Engine::open(disk, Path::new("/db"), "db", options, NOW).unwrap()
}

#[test]
fn a_full_disk_fails_the_statement_and_nothing_else() {
    let disk = FakeDisk::default();
    let engine = fake(&disk, 64 << 20);
    let mut buffer = engine.begin();
    buffer.push(&record(1, 100), NOW).unwrap();
    buffer.savepoint();
    for op in [FakeOp::Create, FakeOp::Write] {
        disk.fail(op, 1, FakeError::NoSpace);
        let error = buffer.push(&record(2, MAX_IN_MEMORY), NOW).unwrap_err();
        assert!(
            matches!(&error, PublishError::Buffer { kind, .. }
                if *kind == std::io::ErrorKind::StorageFull),
            "{error}"
        );
        disk.clear_faults();
    }
    // What was there stays, others publish, and with room the block goes on.
    let mut batch = engine.batch(NOW);
    batch.push(&record(9, 10)).unwrap();
    engine.publish(batch).unwrap();
    buffer.rollback_to(1).unwrap();
    buffer.push(&record(3, MAX_IN_MEMORY), NOW).unwrap();
    commit(&engine, buffer).unwrap();
    assert_eq!(rids(&read_all(&engine)), [9, 1, 3]);
}

#[test]
fn a_block_stays_below_its_limit_and_leaves_room_for_the_spool() {
    let disk = FakeDisk::default();
    let engine = fake(&disk, 64 << 20);
    let limit = |bytes| {
        let options = EngineOptions {
            temp_file_limit: bytes,
            ..engine.options()
        };
        engine.reconfigure(&options).unwrap();
    };
    let mut buffer = engine.begin();
    let mut next = 0;
    let mut push = |buffer: &mut TransactionBuffer| {
        next += 1;
        buffer.push(&record(next, MAX_IN_MEMORY), NOW)
    };
    push(&mut buffer).unwrap();
    limit(Some(6 << 20));
    let refused = loop {
        if let Err(error) = push(&mut buffer) {
            break error;
        }
    };
    assert_eq!(
        refused.to_string(),
        "temporary file size exceeds temp_file_limit (6144kB)"
    );
    let num_records = buffer.num_records();
    assert!((2..6).contains(&num_records));
    limit(None);
    push(&mut buffer).unwrap();
    // Two segments or 256 MiB are left alone, whichever is more, also where there is no floor.
    engine
        .reconfigure(&EngineOptions {
            temp_file_limit: None,
            disk_floor: DiskFloor::OFF,
            ..engine.options()
        })
        .unwrap();
    disk.set_free_bytes(Some(256 << 20));
    let full = push(&mut buffer).unwrap_err();
    assert!(
        matches!(&full, PublishError::Buffer { kind, .. }
            if *kind == std::io::ErrorKind::StorageFull),
        "{full}"
    );
    disk.set_free_bytes(Some(260 << 20));
    push(&mut buffer).unwrap();
    commit(&engine, buffer).unwrap();
    let stored = read_all(&engine).len();
    assert_eq!(u64::try_from(stored).unwrap(), num_records + 2);
}

#[test]
fn a_buffer_that_does_not_read_back_is_never_stored() {
    let disk = FakeDisk::default();
    let engine = fake(&disk, 64 << 20);
    let mut buffer = engine.begin();
    for rid in 0..8 {
        buffer.push(&record(rid, 600_000), NOW).unwrap();
    }
    disk.fail_from(FakeOp::Read, 3, FakeError::Io);
    let ticket = engine.commit(buffer, NOW).unwrap().unwrap();
    assert!(ticket.wait().is_err());
    drop(engine);
    disk.clear_faults();
    let engine = fake(&disk, 64 << 20);
    assert!(read_all(&engine).is_empty());
}

fn create(name: &str) -> Command {
    Command::CreateTable(CreateTable {
        table: TableName {
            schema: None,
            name: name.to_owned(),
            position: 1,
        },
        if_not_exists: false,
        columns: Vec::new(),
        keys: Vec::new(),
    })
}

#[test]
fn a_commit_that_is_refused_defines_nothing() {
    let disk = FakeDisk::default();
    let engine = fake(&disk, 64 << 20);
    let block = || {
        let mut buffer = engine.begin();
        for rid in 0..8 {
            buffer.push(&record(rid, 600_000), NOW).unwrap();
        }
        buffer
    };
    let is_there = |name| engine.relations().knows([name]);
    // A buffer that does not read back.
    let buffer = block();
    disk.fail_from(FakeOp::Read, 3, FakeError::Io);
    let refused = engine.commit_defining(&[create("t")], buffer, NOW);
    assert!(matches!(refused, Err(PublishError::Buffer { .. })));
    disk.clear_faults();
    assert!(!is_there("t") && !is_there("orders"));
    // A definition that cannot be made any more.
    let twice = [create("t"), create("t")];
    let refused = engine.commit_defining(&twice, block(), NOW);
    assert!(matches!(refused, Err(PublishError::Define(_))));
    assert!(!is_there("t") && !is_there("orders"));
    assert!(read_all(&engine).is_empty());
    // Both at once, in front of the records.
    let ticket = engine.commit_defining(&[create("t")], block(), NOW);
    ticket.unwrap().unwrap().wait().unwrap();
    assert!(is_there("t") && is_there("orders"));
    assert_eq!(read_all(&engine).len(), 8);
}

#[test]
fn a_throttled_commit_defines_nothing() {
    let home = Home::new();
    let mut options = options();
    options.commit.soft_target_lsn = 1;
    options.commit.policy = pgspool::replicas::CommitPolicy::AckN(1);
    let engine = home.open(options);
    let replicas = engine.replicas();
    replicas.register("slow", None, engine.head(), NOW);
    let mut batch = engine.batch(NOW);
    batch.push(&record(1, 1000)).unwrap();
    engine.publish(batch).unwrap();
    let mut buffer = engine.begin();
    buffer.push(&record(2, 10), NOW).unwrap();
    let refused = engine.commit_defining(&[create("t")], buffer, NOW);
    assert!(
        matches!(refused, Err(PublishError::Throttled { .. })),
        "{refused:?}"
    );
    assert!(!engine.relations().knows(["t"]));
}

/// Three blocks and single records, on a disk that crashes after every number of steps in turn.
#[test]
fn a_crash_leaves_all_of_a_block_or_nothing() {
    let seed = dice::seed();
    println!("PGSPOOL_SEED={seed}");
    let mut dice = Dice(seed);
    let mut crashed = true;
    let mut steps = 0;
    while crashed {
        steps += 1 + dice.below(4);
        let disk = FakeDisk::default();
        let engine = fake(&disk, 1 << 20);
        disk.crash_after(steps);
        let mut acknowledged = Vec::new();
        for block in 0..3 {
            let mut buffer = engine.begin();
            let num_records = [3, 12, 5][block];
            let len = [100, 200_000, 60_000][block];
            let mut failed = false;
            for rid in 0..num_records {
                failed |= buffer.push(&record(rid, len), NOW).is_err();
            }
            if failed {
                break;
            }
            let Ok(Some(ticket)) = engine.commit(buffer, NOW) else {
                break;
            };
            match ticket.wait() {
                Ok(appended) => acknowledged.push((appended.last_lsn, num_records)),
                Err(_) => break,
            }
        }
        crashed = disk.has_crashed();
        drop(engine);
        let survivor = disk.crash(dice.roll());
        let engine = fake(&survivor, 1 << 20);
        let frames = read_all(&engine);
        let mut found: Vec<(Lsn, u64)> = Vec::new();
        for frame in &frames {
            match found.last_mut() {
                Some((lsn, count)) if *lsn == frame.lsn => *count += 1,
                _ => found.push((frame.lsn, 1)),
            }
        }
        for (block, (_, count)) in found.iter().enumerate() {
            assert_eq!(
                *count,
                [3, 12, 5][block],
                "half of block {block}, {steps} steps"
            );
        }
        assert_eq!(found[..acknowledged.len()], acknowledged, "{steps} steps");
    }
    assert!(steps > 20, "{steps} steps are too few to mean anything");
}

/// What a block should come to.
#[derive(Default, Clone)]
struct Model {
    kept: Vec<ChangeRecord>,
    savepoints: Vec<usize>,
}

#[test]
fn a_buffer_does_what_a_list_with_savepoints_does() {
    let mut dice = Dice::seeded();
    let home = Home::new();
    let engine = home.open(options());
    let producers = ["a", "b"].map(|name| ProducerName::parse(name).unwrap());
    let mut published = [0_u64; 2];
    for _ in 0..12 {
        let before = engine.head();
        let mut buffer = engine.begin();
        let mut model = Model::default();
        let large = dice.chance(60);
        for rid in 0..dice.below(80) {
            step(
                &mut dice,
                rid,
                large,
                &mut buffer,
                &mut model,
                &producers,
                &published,
            );
            assert_eq!(buffer.num_records(), model.kept.len() as u64);
        }
        if dice.chance(25) {
            drop(buffer);
            assert_eq!(engine.head(), before);
            continue;
        }
        commit(&engine, buffer);
        let frames = drain(&mut engine.read_from(before).unwrap());
        let found: Vec<_> = frames.iter().map(decoded).collect();
        assert_eq!(found.len(), model.kept.len());
        for (found, wanted) in found.iter().zip(&model.kept) {
            let wanted = ChangeRecord {
                lsn: found.lsn,
                ..wanted.clone()
            };
            assert_eq!(*found, wanted);
        }
        for numbered in model
            .kept
            .iter()
            .filter_map(|record| record.numbered.as_ref())
        {
            let at = producers.iter().position(|name| *name == numbered.producer);
            published[at.unwrap()] = numbered.seq;
        }
    }
}

fn step(
    dice: &mut Dice,
    rid: u64,
    large: bool,
    buffer: &mut TransactionBuffer,
    model: &mut Model,
    producers: &[ProducerName; 2],
    published: &[u64; 2],
) {
    match dice.below(10) {
        0 => {
            buffer.savepoint();
            model.savepoints.push(model.kept.len());
        }
        1 if !model.savepoints.is_empty() => {
            let n = 1 + dice.index(model.savepoints.len());
            buffer.rollback_to(n).unwrap();
            model.savepoints.truncate(n);
            model.kept.truncate(model.savepoints[n - 1]);
        }
        2 if !model.savepoints.is_empty() => {
            let n = 1 + dice.index(model.savepoints.len());
            buffer.release(n);
            model.savepoints.truncate(n - 1);
        }
        _ => {
            let len = dice.below(if large { 100_000 } else { 200 });
            let mut record = record(rid, usize::try_from(len).unwrap());
            let mut repeated = false;
            if dice.chance(50) {
                let at = dice.index(2);
                let of_this = |record: &&ChangeRecord| {
                    let numbered = record.numbered.as_ref();
                    numbered.is_some_and(|numbered| numbered.producer == producers[at])
                };
                let last = model.kept.iter().rfind(of_this);
                let last = last.map_or(published[at], |last| last.numbered.as_ref().unwrap().seq);
                let seq = (last + 3).saturating_sub(dice.below(5)).max(1);
                repeated = seq <= last;
                record = record.with_seq(producers[at].clone(), seq);
            }
            buffer.push(&record, NOW).unwrap();
            if !repeated {
                model.kept.push(record);
            }
        }
    }
}
