//! `disk_floor`: below it nothing is published, and everything else goes on.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod engine_support;

use std::path::Path;
use std::sync::Arc;

use engine_support::{insert, options, read_all, slot_at};
use pgspool::clock::Moment;
use pgspool::disk::{FakeDisk, FakeError, FakeOp};
use pgspool::engine::{
    Databases, DiskFloor, DiskFloorAction, Engine, EngineOptions, OpenError, PublishError,
    SlotStart, Subscriber,
};
use pgspool::lsn::Lsn;
use pgspool::relations::{Command, CreateTable, TableName};
use pgspool::slots::{InvalidationCause, SlotName, SlotUser};

const MIB: u64 = 1 << 20;
const PLENTY: Option<u64> = Some(1000 * MIB);
const LITTLE: Option<u64> = Some(90 * MIB);
const DATA: &str = "/data/db";

fn floored(action: DiskFloorAction) -> EngineOptions {
    EngineOptions {
        segment_bytes: 1,
        disk_floor: DiskFloor::Bytes(100 * MIB),
        disk_floor_action: action,
        ..options()
    }
}

fn open(disk: &FakeDisk, options: EngineOptions) -> Engine {
    let now = Moment::at_ms(0);
    Engine::open(Arc::new(disk.clone()), Path::new(DATA), "db", options, now).unwrap()
}

fn publish(engine: &Engine, id: u64) -> Result<Lsn, PublishError> {
    let mut batch = engine.batch(Moment::at_ms(1));
    batch.push(&insert("orders", id))?;
    Ok(engine.publish(batch)?.last_lsn)
}

fn name(name: &str) -> SlotName {
    SlotName::parse(name).unwrap()
}

fn is_refused(outcome: Result<impl Sized, PublishError>) -> bool {
    matches!(
        outcome.map(drop),
        Err(PublishError::DiskFull { free, floor })
            if (Some(free), floor) == (LITTLE, 100 * MIB)
    )
}

#[test]
fn below_the_floor_nothing_is_published_and_all_else_goes_on() {
    let disk = FakeDisk::default();
    disk.set_free_bytes(PLENTY);
    let engine = open(&disk, floored(DiskFloorAction::Refuse));
    slot_at(&engine, "reader", SlotStart::Earliest);
    slot_at(&engine, "gone", SlotStart::Earliest);
    let first = publish(&engine, 1).unwrap();
    publish(&engine, 2).unwrap();
    let mut block = engine.begin();
    block.push(&insert("orders", 3), Moment::at_ms(1)).unwrap();

    disk.set_free_bytes(LITTLE);
    engine.maintain(Moment::at_ms(1000)).unwrap();
    assert!(engine.disk_space().is_full());
    assert!(is_refused(publish(&engine, 4)));
    let define = Command::CreateTable(CreateTable {
        table: TableName {
            schema: None,
            name: "t".to_owned(),
            position: 1,
        },
        if_not_exists: false,
        columns: Vec::new(),
        keys: Vec::new(),
    });
    assert!(is_refused(engine.define(&define)));
    assert!(is_refused(engine.commit(block, Moment::at_ms(1))));

    assert_eq!(read_all(&engine).len(), 2);
    let who = Subscriber {
        user: SlotUser { pid: 1, role: None },
        application_name: String::new(),
        region: None,
    };
    let stream = engine.subscribe(&name("reader"), Lsn::ZERO, &who, Moment::at_ms(1001));
    drop(stream.unwrap());
    let to = engine.advance_slot(&name("reader"), first, 1, Moment::at_ms(1002));
    assert_eq!(to.unwrap(), first);
    engine.drop_slot(&name("gone"), None).unwrap();
    slot_at(&engine, "new", SlotStart::Head);
    engine.maintain(Moment::at_ms(2000)).unwrap();
    assert_eq!(
        engine.slot(&name("reader")).unwrap().persisted_restart_lsn,
        first
    );
    assert_eq!(read_all(&engine).len(), 1, "what nobody needs goes");

    disk.set_free_bytes(PLENTY);
    publish(&engine, 5).unwrap();
    engine.maintain(Moment::at_ms(3000)).unwrap();
    assert!(!engine.disk_space().is_full());
    engine.define(&define).unwrap();
}

#[test]
fn the_floor_is_seen_before_a_large_transaction_is_begun() {
    let disk = FakeDisk::default();
    disk.set_free_bytes(Some(112 * MIB));
    let engine = open(
        &disk,
        EngineOptions {
            segment_bytes: MIB,
            ..floored(DiskFloorAction::Refuse)
        },
    );
    publish(&engine, 1).unwrap();
    // It is within the floor by itself, and too much together with what stays free.
    let mut batch = engine.batch(Moment::at_ms(1));
    let row = vec![7; 5 << 20];
    batch.push(&insert("orders", 2).with_entity(&*row)).unwrap();
    let refused = engine.publish(batch).unwrap_err();
    assert!(
        matches!(refused, PublishError::DiskFull { .. }),
        "{refused}"
    );
    publish(&engine, 3).unwrap();
    assert_eq!(read_all(&engine).len(), 2);
}

#[test]
fn invalidate_takes_the_inactive_slot_furthest_behind_first_until_there_is_space() {
    let disk = FakeDisk::default();
    disk.set_free_bytes(PLENTY);
    let engine = open(&disk, floored(DiskFloorAction::Invalidate));
    slot_at(&engine, "behind", SlotStart::Earliest);
    for id in 1..=3 {
        publish(&engine, id).unwrap();
    }
    slot_at(&engine, "used", SlotStart::Head);
    slot_at(&engine, "idle", SlotStart::Head);
    publish(&engine, 4).unwrap();
    let who = Subscriber {
        user: SlotUser { pid: 1, role: None },
        application_name: String::new(),
        region: None,
    };
    let now = Moment::at_ms(1000);
    let stream = engine
        .subscribe(&name("used"), Lsn::ZERO, &who, now)
        .unwrap();

    disk.set_free_bytes(LITTLE);
    let outcome = engine.maintain(now).unwrap();
    let lost = [(name("behind"), InvalidationCause::WalRemoved)];
    assert_eq!(outcome.invalidated, lost);
    assert_eq!(outcome.pruned.num_segments, 3);
    // What was removed may become free only now: nobody else goes for it.
    assert_eq!(
        engine.maintain(Moment::at_ms(2000)).unwrap().invalidated,
        []
    );
    // The stream holds all that the idle slot holds: taking that would free nothing.
    assert_eq!(
        engine.maintain(Moment::at_ms(9000)).unwrap().invalidated,
        []
    );
    drop(stream);
    let outcome = engine.maintain(Moment::at_ms(10_000)).unwrap();
    let mut lost: Vec<_> = outcome
        .invalidated
        .into_iter()
        .map(|(slot, _)| slot)
        .collect();
    lost.sort();
    assert_eq!(lost, [name("idle"), name("used")]);
    disk.set_free_bytes(PLENTY);
    publish(&engine, 5).unwrap();
}

#[test]
fn a_disk_that_others_filled_takes_slot_positions_out_of_the_reserve() {
    let disk = FakeDisk::default();
    disk.set_free_bytes(PLENTY);
    let engine = open(&disk, floored(DiskFloorAction::Refuse));
    let first = publish(&engine, 1).unwrap();
    slot_at(&engine, "reader", SlotStart::Earliest);
    engine.maintain(Moment::at_ms(1000)).unwrap();
    let reserve = Path::new(DATA).join("reserve.zeros");
    assert!(disk.files().contains_key(&reserve));
    disk.set_free_bytes(Some(0));
    disk.fail(FakeOp::Write, 1, FakeError::NoSpace);
    engine
        .advance_slot(&name("reader"), first, 1, Moment::at_ms(1001))
        .unwrap();
    assert!(!disk.files().contains_key(&reserve));
    engine.drop_slot(&name("reader"), None).unwrap();
    disk.set_free_bytes(PLENTY);
    engine.maintain(Moment::at_ms(2000)).unwrap();
    assert!(disk.files().contains_key(&reserve));
    publish(&engine, 2).unwrap();
}

#[test]
fn a_disk_that_was_full_to_its_end_leaves_nothing_stopped_once_there_is_space() {
    let disk = FakeDisk::default();
    disk.set_free_bytes(PLENTY);
    let engine = open(&disk, floored(DiskFloorAction::Refuse));
    let first = publish(&engine, 1).unwrap();
    slot_at(&engine, "reader", SlotStart::Earliest);
    engine.maintain(Moment::at_ms(1000)).unwrap();
    // Beyond the reserve.
    disk.set_free_bytes(Some(0));
    disk.fail_from(FakeOp::Write, 1, FakeError::NoSpace);
    for at in [1001, 2001, 3001] {
        let advanced = engine.advance_slot(&name("reader"), first, 1, Moment::at_ms(at));
        assert!(advanced.is_err());
        assert!(engine.maintain(Moment::at_ms(at)).is_err());
    }
    assert!(engine.disk_space().is_full());
    disk.clear_faults();
    disk.set_free_bytes(PLENTY);
    engine.maintain(Moment::at_ms(4000)).unwrap();
    assert!(!engine.disk_space().is_full());
    assert!(engine.slots_failure().is_none());
    slot_at(&engine, "another", SlotStart::Head);
    publish(&engine, 2).unwrap();
    // A step that fails keeps no other one from being done.
    disk.fail_from(FakeOp::Create, 1, FakeError::Io);
    disk.set_free_bytes(Some(0));
    let _first_error = engine.maintain(Moment::at_ms(5000));
    assert!(engine.disk_space().is_full());
}

#[test]
fn a_data_directory_is_opened_once_at_a_time_in_a_process_too() {
    let home = tempfile::tempdir().unwrap();
    let open = || {
        let disk = Arc::new(pgspool::disk::RealDisk);
        Databases::open(disk, home.path(), EngineOptions::default(), Moment::now())
    };
    let first = open().unwrap();
    assert!(matches!(open(), Err(OpenError::Locked(path)) if path == home.path()));
    let engine = first.get("pgspool").unwrap();
    drop(first);
    assert!(
        matches!(open(), Err(OpenError::Locked(_))),
        "it can still be written to"
    );
    drop(engine);
    open().unwrap();
}

#[test]
fn more_databases_than_allowed_are_not_opened() {
    let home = tempfile::tempdir().unwrap();
    let open = |most| {
        let disk = Arc::new(pgspool::disk::RealDisk);
        let options = EngineOptions {
            max_databases: most,
            ..EngineOptions::default()
        };
        Databases::open(disk, home.path(), options, Moment::now())
    };
    std::fs::create_dir_all(home.path().join("databases/other")).unwrap();
    let refused = open(1).unwrap_err().to_string();
    assert_eq!(
        refused,
        "there are 2 databases, more than max_databases (1)"
    );
    open(2).unwrap();
}
