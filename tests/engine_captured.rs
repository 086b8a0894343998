//! Captured databases through the engine: what their capture stores, and that nobody else does;
//! and databases that come and go.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod engine_support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use engine_support::{insert, lsns, read_all};
use pgspool::captures::{CAPTURE_FILE, CaptureSettings, PasswordSource};
use pgspool::change::{ChunkFlags, begin_chunk, begin_message, set_flags};
use pgspool::clock::Moment;
use pgspool::disk::{Disk, FakeDisk};
use pgspool::engine::{
    CapturedFrames, CapturedTransaction, CreateDatabaseError, CreateSlotError, Databases,
    DiskFloor, DropDatabaseError, Engine, EngineOptions, OpenError, PublishError, SlotRequest,
    SlotStart, SubscribeError, Subscriber,
};
use pgspool::lsn::Lsn;
use pgspool::relations::{Command, DefineError, Relation, RelationSet, ReplicaIdentity};
use pgspool::slots::{SlotName, SlotUser};
use pgspool::spool::{AppendError, MemoryRead};
use pgspool::wire::Progress;

const DATA: &str = "/data";

fn settings() -> CaptureSettings {
    CaptureSettings {
        upstream: "host=upstream dbname=shop".to_owned(),
        password: PasswordSource::None,
        publications: vec!["p".to_owned()],
        slot: "pgspool_shop".to_owned(),
        create_slot: true,
        create_publication: false,
        heartbeat: None,
        paused: false,
    }
}

fn options() -> EngineOptions {
    EngineOptions {
        disk_floor: DiskFloor::OFF,
        ..engine_support::options()
    }
}

fn now() -> Moment {
    Moment::at_ms(0)
}

fn databases(disk: &FakeDisk) -> Databases {
    Databases::open(Arc::new(disk.clone()), Path::new(DATA), options(), now()).unwrap()
}

fn shop(databases: &Databases) -> Arc<Engine> {
    databases.create("shop", Some(&settings()), now()).unwrap()
}

fn chunk(first: bool, last: bool) -> Bytes {
    let mut chunk = Vec::new();
    begin_chunk(&mut chunk);
    begin_message(Lsn::new(1), 0, &mut chunk);
    let flags = ChunkFlags {
        first,
        last,
        ..ChunkFlags::default()
    };
    set_flags(&mut chunk, flags);
    chunk.into()
}

fn transaction(end: u64) -> CapturedTransaction {
    CapturedTransaction {
        end: Lsn::new(end),
        commit_ms: 77,
        frames: CapturedFrames::Few(vec![chunk(true, false), chunk(false, true)]),
    }
}

fn store(engine: &Engine, end: u64) {
    let ticket = engine.store_captured(transaction(end)).unwrap();
    assert_eq!(ticket.wait().unwrap().last_lsn, Lsn::new(end));
}

fn request(name: &str) -> SlotRequest {
    SlotRequest {
        name: SlotName::parse(name).unwrap(),
        plugin: "pgoutput".to_owned(),
        start: SlotStart::Head,
        temporary: None,
        two_phase: false,
        owner: None,
    }
}

fn subscriber() -> Subscriber {
    Subscriber {
        user: SlotUser::from(1),
        application_name: "app".to_owned(),
        region: None,
    }
}

#[test]
fn what_was_received_is_there_after_a_restart() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let engine = shop(&open);
    assert_eq!(engine.head(), Lsn::ZERO);
    engine.follow(42, 3).unwrap();
    engine.advance_received(Lsn::new(0x5000)).unwrap();
    store(&engine, 0x5008);
    engine.advance_received(Lsn::new(0x6000)).unwrap();
    let crashed = disk.crash(1);
    drop((engine, open));
    let open = databases(&crashed);
    let engine = open.get("shop").unwrap();
    assert_eq!((engine.system_id(), engine.term()), (42, 3));
    assert_eq!(engine.head(), Lsn::new(0x6000));
    let frames = read_all(&engine);
    assert_eq!(lsns(&frames), [Lsn::new(0x5008), Lsn::new(0x5008)]);
    assert_eq!((frames[0].timestamp_ms, frames[0].term), (77, 3));
    let refused = engine.store_captured(transaction(0x6000)).unwrap().wait();
    assert!(
        matches!(refused, Err(AppendError::LsnNotRising { .. })),
        "{refused:?}"
    );
}

#[test]
fn frames_that_are_no_whole_transaction_are_not_stored() {
    let open = databases(&FakeDisk::default());
    let engine = shop(&open);
    for frames in [
        vec![chunk(true, false)],
        vec![chunk(false, true)],
        vec![chunk(true, true), chunk(true, true)],
        vec![chunk(true, false), chunk(true, true)],
        vec![chunk(true, false), chunk(false, false)],
    ] {
        let broken = CapturedTransaction {
            frames: CapturedFrames::Few(frames),
            ..transaction(0x100)
        };
        let refused = engine.store_captured(broken).unwrap_err();
        assert!(matches!(refused, PublishError::BrokenFrames), "{refused}");
    }
    let none = CapturedTransaction {
        frames: CapturedFrames::Few(vec![]),
        ..transaction(0x100)
    };
    assert!(matches!(
        engine.store_captured(none),
        Err(PublishError::Empty)
    ));
    store(&engine, 0x100);
}

#[test]
fn a_slot_stands_on_an_advanced_head_over_a_restart() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let engine = shop(&open);
    let early = engine.create_slot(request("early"), now());
    assert!(matches!(early, Err(CreateSlotError::NothingReceived(_))));
    engine.advance_received(Lsn::new(0x5000)).unwrap();
    store(&engine, 0x5100);
    engine.create_slot(request("s"), now()).unwrap();
    engine.advance_received(Lsn::new(0x9000)).unwrap();
    let name = SlotName::parse("s").unwrap();
    let stream = engine
        .subscribe(&name, Lsn::ZERO, &subscriber(), now())
        .unwrap();
    stream.note_sent(Lsn::new(0x9000), now());
    let all = Progress {
        write: Lsn::new(0x9000),
        flush: Lsn::new(0x9000),
        apply: Lsn::new(0x9000),
    };
    stream.acknowledge(all, now()).unwrap();
    drop(stream);
    engine.maintain(now()).unwrap();
    drop((engine, open));
    let open = databases(&disk.crash(2));
    let slot = open.get("shop").unwrap().slot(&name).unwrap();
    assert_eq!(slot.restart_lsn, Lsn::new(0x9000));
    assert!(slot.invalidation.is_none());
}

#[test]
fn a_stream_that_starts_above_a_captured_head_waits() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let engine = shop(&open);
    engine.advance_received(Lsn::new(0x5000)).unwrap();
    engine.create_slot(request("s"), now()).unwrap();
    let name = SlotName::parse("s").unwrap();
    let start = Lsn::new(0x8000);
    let mut stream = engine
        .subscribe(&name, start, &subscriber(), now())
        .unwrap();
    assert_eq!(stream.start(), start);
    assert!(matches!(
        stream.cursor.read_memory(1).unwrap(),
        MemoryRead::AtHead
    ));
    let ahead = Progress {
        write: start,
        flush: start,
        apply: start,
    };
    stream.acknowledge(ahead, now()).unwrap();
    // Not above what is here.
    assert_eq!(engine.slot(&name).unwrap().restart_lsn, Lsn::new(0x5000));
    engine.maintain(now()).unwrap();
    store(&engine, 0x7000);
    store(&engine, 0x8000);
    store(&engine, 0x8010);
    let MemoryRead::Frames(frames) = stream.cursor.read_memory(1 << 20).unwrap() else {
        panic!("nothing came");
    };
    assert_eq!(lsns(&frames), [Lsn::new(0x8010), Lsn::new(0x8010)]);
    // A local database refuses that.
    let local = open.get("pgspool").unwrap();
    local.create_slot(request("l"), now()).unwrap();
    let local_name = SlotName::parse("l").unwrap();
    let above = local.head().checked_add(0x1000).unwrap();
    let refused = local.subscribe(&local_name, above, &subscriber(), now());
    assert!(matches!(refused, Err(SubscribeError::AheadOfHead(_))));
}

#[test]
fn a_captured_database_takes_no_records_of_its_own() {
    let open = databases(&FakeDisk::default());
    let engine = shop(&open);
    let is_refused = |error| match error {
        PublishError::Captured(name) => assert_eq!(name, "shop"),
        other => panic!("{other}"),
    };
    let mut batch = engine.batch(now());
    batch.push(&insert("c", 1)).unwrap();
    is_refused(engine.submit(batch).unwrap_err());
    let mut buffer = engine.begin();
    buffer.push(&insert("c", 1), now()).unwrap();
    is_refused(engine.commit(buffer, now()).unwrap_err());
    let command = Command::CreateSchema {
        name: "x".to_owned(),
        if_not_exists: false,
    };
    is_refused(engine.define(&command).unwrap_err());
    let commands = std::slice::from_ref(&command);
    is_refused(
        engine
            .commit_defining(commands, engine.begin(), now())
            .unwrap_err(),
    );
    let nothing = engine.commit(engine.begin(), now()).unwrap();
    assert!(nothing.is_none());
    let local = open.get("pgspool").unwrap();
    assert!(matches!(
        local.store_captured(transaction(1 << 40)),
        Err(PublishError::NotCaptured(_))
    ));
    assert!(matches!(
        local.advance_received(Lsn::new(1 << 40)),
        Err(PublishError::NotCaptured(_))
    ));
}

#[test]
fn a_full_disk_is_told_apart_and_passes() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let engine = shop(&open);
    disk.set_free_bytes(Some(1 << 20));
    let floor = EngineOptions {
        disk_floor: DiskFloor::Bytes(1 << 20),
        ..options()
    };
    engine.reconfigure(&floor).unwrap();
    let refused = engine.store_captured(transaction(0x100)).unwrap_err();
    assert!(refused.is_disk_full(), "{refused}");
    disk.set_free_bytes(Some(1 << 40));
    store(&engine, 0x100);
}

#[test]
fn pausing_is_durable_and_told() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let engine = shop(&open);
    let capture = engine.capture().unwrap();
    let told = capture.paused();
    capture.set_paused(true).unwrap();
    assert!(told.has_changed().unwrap());
    drop((engine, open));
    let open = databases(&disk.crash(3));
    let capture = open.get("shop").unwrap();
    let capture = capture.capture().unwrap();
    assert!(*capture.paused().borrow());
    assert!(capture.settings().paused);
}

#[test]
fn damaged_settings_of_a_capture_are_refused() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    drop((shop(&open), open));
    let path = Path::new(DATA).join("databases/shop").join(CAPTURE_FILE);
    let mut bytes = disk.read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    disk.put(&path, &bytes);
    let opened = Databases::open(Arc::new(disk), Path::new(DATA), options(), now());
    let Err(OpenError::Capture { database, source }) = opened else {
        panic!("it was opened");
    };
    assert_eq!(database, "shop");
    assert!(source.to_string().contains("capture.json"), "{source}");
}

fn table(set: &mut RelationSet, oid: u32, name: &str) {
    set.relations.retain(|relation| relation.oid != oid);
    set.relations.push(Relation {
        oid,
        row_type_oid: oid + 2,
        array_type_oid: oid + 1,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: vec![],
        keys: vec![],
        replica_identity: ReplicaIdentity::Default,
        declared: true,
        upstream: None,
        since: Lsn::ZERO,
    });
}

fn name_at(engine: &Engine, lsn: u64, oid: u32) -> Option<String> {
    let set = engine.relations().at(Lsn::new(lsn));
    set.relation_by_oid(oid)
        .map(|relation| relation.name.clone())
}

#[test]
fn definitions_of_an_upstream_count_by_position_and_can_come_again() {
    const OID: u32 = 4_000_000_000;
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let engine = shop(&open);
    engine.advance_received(Lsn::new(0x100)).unwrap();
    let mirror = |engine: &Engine, since: u64, name: &str| {
        let since = Lsn::new(since);
        engine.mirror(since, |set| table(set, OID, name)).unwrap();
    };
    mirror(&engine, 0x1ff, "a");
    store(&engine, 0x200);
    mirror(&engine, 0x2ff, "b");
    mirror(&engine, 0x2ff, "b");
    store(&engine, 0x300);
    // This one's transaction is not stored before the crash.
    mirror(&engine, 0x3ff, "c");
    let names = |engine: &Engine| {
        [0x1ff, 0x200, 0x2ff, 0x300, 0x3ff, 0x400].map(|at| name_at(engine, at, OID))
    };
    let of = |names: [&str; 6]| names.map(|n| (!n.is_empty()).then(|| n.to_owned()));
    assert_eq!(names(&engine), of(["", "a", "a", "b", "b", "c"]));
    drop((engine, open));
    let disk = disk.crash(4);
    let open = databases(&disk);
    let engine = open.get("shop").unwrap();
    assert_eq!(names(&engine), of(["", "a", "a", "b", "b", "b"]));
    // It comes again with its transaction, once more told otherwise.
    mirror(&engine, 0x3ff, "x");
    mirror(&engine, 0x3ff, "c");
    store(&engine, 0x400);
    drop((engine, open));
    let open = databases(&disk.crash(5));
    let engine = open.get("shop").unwrap();
    assert_eq!(names(&engine), of(["", "a", "a", "b", "b", "c"]));
    // An OID below the next one of a local database.
    engine
        .mirror(Lsn::new(0x4ff), |set| table(set, 100, "low"))
        .unwrap();
    let stray = engine.mirror(Lsn::new(0x4ff), |set| {
        table(set, 100, "low");
        set.relations[0].schema = "nowhere".to_owned();
    });
    assert!(matches!(stray, Err(DefineError::Mirror(_))), "{stray:?}");
    assert_eq!(name_at(&engine, 0x500, 100).as_deref(), Some("low"));
}

#[test]
fn databases_are_made_and_dropped_while_others_go_on() {
    let disk = FakeDisk::default();
    let open = databases(&disk);
    let mut changes = open.changes();
    let engine = shop(&open);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert!(matches!(
        open.create("shop", None, now()),
        Err(CreateDatabaseError::Exists(_))
    ));
    for name in ["", ".x", "a/b", "-x", "\u{e4}"] {
        assert!(matches!(
            open.create(name, None, now()),
            Err(CreateDatabaseError::Open(OpenError::InvalidName(_)))
        ));
    }
    let local = open.create("local", None, now()).unwrap();
    assert_eq!(local.head(), pgspool::spool::FIRST_LSN);
    assert!(local.capture().is_none());
    assert_eq!(open.all().len(), 3);

    let used = open.drop_database("shop", || 2).unwrap_err();
    assert!(matches!(
        used,
        DropDatabaseError::InUse {
            num_sessions: 2,
            ..
        }
    ));
    engine.advance_received(Lsn::new(0x100)).unwrap();
    engine.create_slot(request("s"), now()).unwrap();
    let name = SlotName::parse("s").unwrap();
    let stream = engine
        .subscribe(&name, Lsn::ZERO, &subscriber(), now())
        .unwrap();
    let used = open.drop_database("shop", || 0).unwrap_err();
    assert!(
        matches!(
            used,
            DropDatabaseError::InUse {
                num_sessions: 0,
                ..
            }
        ),
        "{used}"
    );
    drop(stream);
    open.drop_database("shop", || 0).unwrap();
    assert!(engine.is_dropped());
    engine.maintain(now()).unwrap();
    assert!(open.get("shop").is_none());
    assert!(matches!(
        open.drop_database("shop", || 0),
        Err(DropDatabaseError::Unknown(_))
    ));
    assert!(matches!(
        open.drop_database("pgspool", || 0),
        Err(DropDatabaseError::Default(_))
    ));
    // Its name can be used again at once.
    assert_eq!(shop(&open).head(), Lsn::ZERO);
    let names = disk.list(&Path::new(DATA).join("databases")).unwrap();
    assert_eq!(names, ["local", "pgspool", "shop"]);
}

#[test]
fn there_are_at_most_max_databases() {
    let two = EngineOptions {
        max_databases: 2,
        ..options()
    };
    let disk = Arc::new(FakeDisk::default());
    let open = Databases::open(disk, Path::new(DATA), two, now()).unwrap();
    open.create("a", None, now()).unwrap();
    assert!(matches!(
        open.create("b", None, now()),
        Err(CreateDatabaseError::Open(
            OpenError::TooManyDatabases { .. }
        ))
    ));
}

#[test]
fn a_crash_leaves_a_database_whole_or_not_at_all() {
    for steps in 0.. {
        let disk = FakeDisk::default();
        let open = databases(&disk);
        open.create("old", None, now()).unwrap();
        disk.crash_after(steps);
        let made = open.create("shop", Some(&settings()), now());
        let dropped = open.drop_database("old", || 0);
        let (made, dropped) = (made.map(drop).is_ok(), dropped.is_ok());
        drop(open);
        let is_over = !disk.has_crashed();
        assert!(!is_over || (made && dropped && steps > 10), "{steps}");
        let disk = disk.crash(steps);
        let open = databases(&disk);
        let found = open.get("shop");
        if let Some(engine) = &found {
            assert!(engine.capture().is_some(), "{steps}");
        }
        assert!(found.is_some() || !made, "{steps}");
        assert!(open.get("old").is_none() || !dropped, "{steps}");
        let names = disk.list(&Path::new(DATA).join("databases")).unwrap();
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        if is_over {
            return;
        }
    }
}
