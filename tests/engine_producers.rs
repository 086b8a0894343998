//! Producers that number their records: what is sent again is not stored again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod dice;
mod engine_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use dice::Dice;
use engine_support::{Home, options, read_all};
use pgspool::change::{self, ChangeRecord, ProducerName};
use pgspool::clock::Moment;
use pgspool::disk::{FakeDisk, FakeError, FakeOp};
use pgspool::engine::{
    Engine, EngineOptions, OpenError, PRODUCERS_FILE, ProducerStoreError, PublishError,
};
use pgspool::lsn::Lsn;

const NOW: Moment = Moment::at_ms(7);

fn name(name: &str) -> ProducerName {
    ProducerName::parse(name).unwrap()
}

fn record(producer: &str, seq: u64) -> ChangeRecord {
    ChangeRecord::insert("orders", seq).with_seq(name(producer), seq)
}

/// Publishes records of one producer; how many transactions that made.
fn publish(engine: &Engine, producer: &str, seqs: impl IntoIterator<Item = u64>) -> u64 {
    let mut batch = engine.batch(NOW);
    for seq in seqs {
        batch.push(&record(producer, seq)).unwrap();
    }
    engine.publish(batch).unwrap().num_transactions
}

/// The numbers that are stored, in order.
fn stored(engine: &Engine, producer: &str) -> Vec<u64> {
    let frames = read_all(engine);
    let numbered = frames
        .iter()
        .filter_map(|frame| change::numbered(&frame.payload));
    let of_this = numbered.filter(|numbered| numbered.producer.as_str() == producer);
    of_this.map(|numbered| numbered.seq).collect()
}

/// Last durable number and counted repeats.
fn known(engine: &Engine, producer: &str) -> (Option<u64>, u64) {
    let producers = engine.producers();
    let found = producers
        .iter()
        .find(|found| found.name.as_str() == producer);
    found.map_or((None, 0), |found| (found.last_seq, found.num_duplicates))
}

#[test]
fn a_repeated_number_is_counted_and_not_stored() {
    let home = Home::new();
    let engine = home.open(options());
    assert_eq!(publish(&engine, "a", [0, 1, 2, 5]), 4);
    let head = engine.head();
    assert_eq!(publish(&engine, "a", [2, 5]), 0);
    assert_eq!(engine.head(), head);
    assert_eq!(publish(&engine, "a", [3, 5, 6, 6, 9]), 2);
    assert_eq!(
        publish(&engine, "b", [6]),
        1,
        "another one counts for itself"
    );
    assert_eq!(stored(&engine, "a"), [0, 1, 2, 5, 6, 9]);
    assert_eq!(known(&engine, "a"), (Some(9), 5));
    assert_eq!(known(&engine, "b"), (Some(6), 0));
    assert_eq!(known(&engine, "c"), (None, 0));
    let last = engine.producers()[1].last_lsn;
    assert_eq!(last, engine.head());
}

#[test]
fn a_record_says_whose_it_is_and_which() {
    let home = Home::new();
    let engine = home.open(options());
    publish(&engine, "orders-eu", [7]);
    let frames = read_all(&engine);
    let text = String::from_utf8(frames[0].payload.to_vec()).unwrap();
    assert!(
        text.contains(r#""operation":"insert","producer":"orders-eu","rid":7,"seq":7,"term":1"#)
    );
}

#[test]
fn only_some_of_a_transaction_may_be_new() {
    let home = Home::new();
    let engine = home.open(options());
    publish(&engine, "a", [3]);
    let transaction = |seqs: &[u64]| {
        let mut batch = engine.batch(NOW);
        let records: Vec<_> = seqs.iter().map(|seq| record("a", *seq)).collect();
        batch.push_transaction(&records).unwrap();
        engine.publish(batch).unwrap()
    };
    assert_eq!(transaction(&[1, 2, 3]).num_transactions, 0);
    assert_eq!(transaction(&[2, 3, 4, 5, 6]).num_transactions, 1);
    assert_eq!(transaction(&[5, 6, 7]).num_transactions, 1);
    assert_eq!(stored(&engine, "a"), [3, 4, 5, 6, 7]);
    let frames = read_all(&engine);
    let places: Vec<_> = frames
        .iter()
        .map(|frame| (frame.boundary.first, frame.boundary.last))
        .collect();
    let whole = (true, true);
    assert_eq!(
        places,
        [whole, (true, false), (false, false), (false, true), whole]
    );
    assert_eq!(frames[4].payload[0], b'{', "one record is a bare one");
}

#[test]
fn a_repeated_block_commits_and_stores_nothing() {
    let home = Home::new();
    let engine = home.open(options());
    for round in 0..2 {
        let mut buffer = engine.begin();
        for seq in 1..=3 {
            buffer.push(&record("a", seq), NOW).unwrap();
        }
        let ticket = engine.commit(buffer, NOW).unwrap().unwrap();
        assert_eq!(ticket.wait().unwrap().num_transactions, 1 - round);
    }
    assert_eq!(stored(&engine, "a"), [1, 2, 3]);
    assert_eq!(known(&engine, "a"), (Some(3), 3));
}

#[test]
fn a_block_that_is_rolled_back_leaves_the_numbers_as_they_were() {
    let home = Home::new();
    let engine = home.open(options());
    let mut buffer = engine.begin();
    buffer.push(&record("a", 5), NOW).unwrap();
    buffer.push(&record("a", 5), NOW).unwrap();
    drop(buffer);
    assert_eq!(known(&engine, "a"), (None, 0));
    let mut buffer = engine.begin();
    buffer.savepoint();
    buffer.push(&record("a", 9), NOW).unwrap();
    buffer.rollback_to(1).unwrap();
    buffer.push(&record("a", 5), NOW).unwrap();
    engine.commit(buffer, NOW).unwrap().unwrap().wait().unwrap();
    assert_eq!(publish(&engine, "a", [9]), 1);
    assert_eq!(stored(&engine, "a"), [5, 9]);
}

#[test]
fn a_block_that_another_connection_overtook_fails_and_stores_nothing() {
    let home = Home::new();
    let engine = home.open(options());
    let mut last = 0;
    for (first, len) in [(1, 10), (101, 300_000)] {
        for overtaken_by in [first + 2, first + 9] {
            let mut buffer = engine.begin();
            for seq in overtaken_by - 2..overtaken_by + 4 {
                let record = record("a", seq).with_entity(vec![1; len]);
                buffer.push(&record, NOW).unwrap();
            }
            publish(&engine, "a", [overtaken_by]);
            let refused = engine.commit(buffer, NOW).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!(
                    "producer \"a\" published seq {overtaken_by} meanwhile; seq {} of this \
                     block would be lost",
                    overtaken_by - 2
                )
            );
            last = overtaken_by;
        }
    }
    assert_eq!(stored(&engine, "a"), [3, 10, 103, 110]);
    // What was a repeated one when it came takes nothing from the block.
    let mut buffer = engine.begin();
    for seq in [last, last + 5] {
        buffer.push(&record("a", seq), NOW).unwrap();
    }
    publish(&engine, "a", [last + 1]);
    engine.commit(buffer, NOW).unwrap().unwrap().wait().unwrap();
    assert_eq!(stored(&engine, "a"), [3, 10, 103, 110, 111, 115]);
    assert_eq!(known(&engine, "a"), (Some(115), 1));
}

#[test]
fn two_connections_never_store_a_number_twice() {
    let home = Home::new();
    let engine = Arc::new(home.open(options()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                (1..=200)
                    .map(|seq| publish(&engine, "a", [seq]))
                    .sum::<u64>()
            })
        })
        .collect();
    let stored_by: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let found = stored(&engine, "a");
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
    assert_eq!(u64::try_from(found.len()).unwrap(), stored_by);
    assert_eq!(known(&engine, "a").0, Some(200));
}

#[test]
fn an_own_position_and_a_producers_number_exclude_each_other() {
    let home = Home::new();
    let engine = home.open(options());
    let mut batch = engine.batch(NOW);
    let refused = batch.push_at(Lsn::new(64), &[record("a", 1)]);
    assert!(matches!(refused, Err(PublishError::NumberedAtPosition)));
    assert!(batch.is_empty());
}

fn checkpoint(home: &Home) -> std::path::PathBuf {
    home.path().join(PRODUCERS_FILE)
}

#[test]
fn numbers_are_known_after_a_restart_and_without_their_file() {
    let home = Home::new();
    let engine = home.open(options());
    publish(&engine, "a", [1, 2]);
    engine.maintain(NOW).unwrap();
    publish(&engine, "a", [3]);
    publish(&engine, "b", [1]);
    drop(engine);
    assert!(checkpoint(&home).exists());
    for lose_file in [false, true, false] {
        if lose_file {
            std::fs::remove_file(checkpoint(&home)).unwrap();
        }
        let engine = home.open(options());
        assert_eq!(known(&engine, "a"), (Some(3), 0));
        assert_eq!(known(&engine, "b"), (Some(1), 0));
        assert_eq!(publish(&engine, "a", [2, 3]), 0);
        engine.close().unwrap();
    }
}

fn pruned(home: &Home) -> Engine {
    let engine = home.open(EngineOptions {
        segment_bytes: 1,
        ..options()
    });
    publish(&engine, "a", [1, 2, 3]);
    publish(&engine, "b", [8]);
    engine.prune_retained(engine.head(), NOW).unwrap();
    assert!(read_all(&engine).is_empty());
    engine
}

#[test]
fn numbers_outlive_their_records() {
    let home = Home::new();
    drop(pruned(&home));
    let engine = home.open(options());
    assert_eq!(known(&engine, "a"), (Some(3), 0));
    assert_eq!(publish(&engine, "a", [3]), 0);
    assert_eq!(publish(&engine, "b", [8]), 0);
}

#[test]
fn a_lost_or_damaged_file_is_a_startup_error_where_it_cannot_be_made_again() {
    let open = |home: &Home| {
        let disk = Arc::new(pgspool::disk::RealDisk);
        Engine::open(disk, &home.path(), "db", options(), NOW).map(drop)
    };
    let corrupt = |home: &Home| match open(home) {
        Err(OpenError::Producers {
            source: ProducerStoreError::Corrupt { path, reason },
            ..
        }) => {
            assert!(path.ends_with(PRODUCERS_FILE));
            reason
        }
        other => panic!("{other:?}"),
    };
    let home = Home::new();
    drop(pruned(&home));
    let good = std::fs::read(checkpoint(&home)).unwrap();
    std::fs::remove_file(checkpoint(&home)).unwrap();
    assert!(corrupt(&home).starts_with("it is missing"));
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(checkpoint(&home), bad).unwrap();
    assert!(corrupt(&home).starts_with("checksum"));
    // An old copy does not know what was removed since.
    let home = Home::new();
    let engine = home.open(EngineOptions {
        segment_bytes: 1,
        ..options()
    });
    publish(&engine, "a", [1]);
    engine.maintain(NOW).unwrap();
    let old = std::fs::read(checkpoint(&home)).unwrap();
    publish(&engine, "a", [2]);
    engine.prune_retained(engine.head(), NOW).unwrap();
    drop(engine);
    std::fs::write(checkpoint(&home), old).unwrap();
    assert!(corrupt(&home).starts_with("it counts through"));
}

fn fake(disk: &FakeDisk) -> Engine {
    let options = EngineOptions {
        segment_bytes: 2000,
        ..options()
    };
    Engine::open(Arc::new(disk.clone()), Path::new("/db"), "db", options, NOW).unwrap()
}

#[test]
fn what_cannot_be_counted_is_not_pruned() {
    let disk = FakeDisk::default();
    let engine = fake(&disk);
    for seq in 0..100 {
        publish(&engine, "a", [seq]);
    }
    disk.fail_from(FakeOp::SyncDir, 1, FakeError::Io);
    assert!(engine.maintain(NOW).is_err());
    disk.clear_faults();
    assert!(
        engine.maintain(NOW).is_err(),
        "what nobody knows the outcome of is not tried again"
    );
    assert_eq!(stored(&engine, "a"), (0..100).collect::<Vec<_>>());
    drop(engine);
    let engine = fake(&disk);
    engine.maintain(NOW).unwrap();
    assert!(stored(&engine, "a").len() < 100);
    assert_eq!(known(&engine, "a").0, Some(99));
}

#[test]
fn producers_are_counted_and_data_is_pruned_again_once_there_is_space() {
    let disk = FakeDisk::default();
    let engine = fake(&disk);
    for seq in 0..100 {
        publish(&engine, "a", [seq]);
    }
    disk.fail_from(FakeOp::Create, 1, FakeError::NoSpace);
    for _ in 0..2 {
        assert!(engine.maintain(NOW).is_err());
        assert_eq!(stored(&engine, "a"), (0..100).collect::<Vec<_>>());
    }
    disk.clear_faults();
    engine.maintain(NOW).unwrap();
    assert!(stored(&engine, "a").len() < 100);
    publish(&engine, "a", [100]);
    drop(engine);
    let engine = fake(&disk.crash(5));
    assert_eq!(known(&engine, "a").0, Some(100));
}

/// Producers that send what was not acknowledged again, a disk that crashes, and pruning.
#[test]
fn no_number_is_lost_or_stored_twice_whenever_the_disk_crashes() {
    let mut dice = Dice::seeded();
    let mut disk = FakeDisk::default();
    let mut acknowledged: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..60 {
        let engine = fake(&disk);
        for producer in ["a", "b", "c"] {
            // What a producer asks after a lost connection.
            let last = known(&engine, producer).0.unwrap_or(0);
            let acked = acknowledged.get(producer).copied().unwrap_or(0);
            assert!(
                last >= acked,
                "{producer}: {acked} was acknowledged, {last} is known"
            );
            check_stored(&engine, producer);
        }
        disk.crash_after(1 + dice.below(60));
        while !disk.has_crashed() {
            let producer = dice.pick(&["a", "b", "c"]);
            let acked = acknowledged.get(producer).copied().unwrap_or(0);
            let from = acked.saturating_sub(dice.below(3));
            let seqs: Vec<u64> = (from..=acked + 1 + dice.below(4)).collect();
            let done = match dice.below(8) {
                0 => {
                    let _ = engine.maintain(NOW);
                    false
                }
                1..4 => in_block(&engine, producer, &seqs),
                _ => in_batch(&engine, producer, &seqs),
            };
            if done {
                acknowledged.insert(producer, *seqs.last().unwrap());
            }
        }
        drop(engine);
        disk = disk.crash(dice.roll());
    }
    assert!(acknowledged.values().sum::<u64>() > 20);
}

fn in_block(engine: &Engine, producer: &str, seqs: &[u64]) -> bool {
    let mut buffer = engine.begin();
    for seq in seqs {
        buffer.push(&record(producer, *seq), NOW).unwrap();
    }
    let ticket = engine.commit(buffer, NOW);
    ticket.is_ok_and(|ticket| ticket.is_none_or(|ticket| ticket.wait().is_ok()))
}

fn in_batch(engine: &Engine, producer: &str, seqs: &[u64]) -> bool {
    let mut batch = engine.batch(NOW);
    for seq in seqs {
        batch.push(&record(producer, *seq)).unwrap();
    }
    engine.publish(batch).is_ok()
}

/// What is retained has no gap and no repeat, and ends with what is known.
fn check_stored(engine: &Engine, producer: &str) {
    let found = stored(engine, producer);
    let rises = found.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    assert!(rises, "{producer}: {found:?}");
    if let Some(last) = found.last() {
        assert_eq!(known(engine, producer).0, Some(*last), "{producer}");
    }
}
