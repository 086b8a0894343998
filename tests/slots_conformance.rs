//! RedDB's slot rows, and the weaknesses of its slots that must not come back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgspool::clock::Moment;
use pgspool::disk::{Disk, FakeDisk, FakeError, FakeOp};
use pgspool::lsn::Lsn;
use pgspool::replicas::Replicas;
use pgspool::slots::retention::{self, RetentionInput, RetentionPositions};
use pgspool::slots::{
    AcquireError, CreateError, DropError, ImportSlot, Invalidation, InvalidationCause, NewSlot,
    SlotLimits, SlotName, SlotStore, SlotStoreError, UnknownSlot, reddb,
};

const NO_LIMITS: SlotLimits = SlotLimits {
    max_lag_lsn: 0,
    idle_timeout: Duration::ZERO,
    max_slots: 0,
};

fn lsn(value: u64) -> Lsn {
    Lsn::new(value)
}

fn name(text: &str) -> SlotName {
    SlotName::parse(text).unwrap()
}

fn at(ms: u64) -> Moment {
    Moment::at_ms(ms)
}

fn path() -> PathBuf {
    PathBuf::from("d/slots.json")
}

fn disk() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    disk
}

fn open(disk: &FakeDisk) -> SlotStore {
    open_at(disk, 0)
}

fn open_at(disk: &FakeDisk, ms: u64) -> SlotStore {
    SlotStore::open(Arc::new(disk.clone()), &path(), at(ms)).unwrap()
}

fn new_slot(text: &str, start: u64) -> NewSlot {
    NewSlot {
        name: name(text),
        plugin: "json".to_owned(),
        start: lsn(start),
        temporary: None,
        two_phase: false,
        owner: None,
    }
}

fn create(store: &SlotStore, text: &str, start: u64) {
    store
        .create(new_slot(text, start), &NO_LIMITS, at(0))
        .unwrap();
}

fn ack(store: &SlotStore, text: &str, applied: u64, durable: u64) {
    store
        .advance(&name(text), lsn(applied), lsn(durable), at(0))
        .unwrap();
}

/// RedDB's prune_retained, with acknowledgements on disk as they are there.
fn prune_to(store: &SlotStore, head: u64, archived: u64, limits: &SlotLimits) -> Option<Lsn> {
    store.persist().unwrap();
    let positions = RetentionPositions::archived(lsn(head), lsn(archived));
    store.retain(&positions, limits, at(0)).unwrap().prune_to
}

fn capped(max_lag_lsn: u64) -> SlotLimits {
    SlotLimits {
        max_lag_lsn,
        ..NO_LIMITS
    }
}

#[test]
fn r05_replica_slot_persists_and_reconnect_resumes_from_restart_lsn() {
    let disk = disk();
    let store = open(&disk);
    create(&store, "r1", 0);
    ack(&store, "r1", 10, 8);
    let before = store.slot(&name("r1")).unwrap();
    assert_eq!(
        (before.restart_lsn, before.confirmed_lsn),
        (lsn(8), lsn(10))
    );
    assert!(store.persist().unwrap());
    let store = open(&disk.crash(1));
    let after = store.slot(&name("r1")).unwrap();
    assert_eq!((after.restart_lsn, after.confirmed_lsn), (lsn(8), lsn(10)));
    let replicas = Replicas::new(store.generation());
    let resumes = replicas.register("r1", None, after.restart_lsn, at(0));
    assert_eq!(resumes, lsn(8));
}

#[test]
fn r06_retention_floor_follows_slowest_slot_and_prunes_wal() {
    let store = open(&disk());
    create(&store, "fast", 0);
    create(&store, "slow", 0);
    ack(&store, "fast", 5, 5);
    ack(&store, "slow", 3, 2);
    assert_eq!(prune_to(&store, 6, 6, &NO_LIMITS), Some(lsn(2)));
    assert_eq!(store.retention_floor(), Some(lsn(2)));
    ack(&store, "slow", 6, 6);
    assert_eq!(prune_to(&store, 6, 6, &NO_LIMITS), Some(lsn(5)));
    assert_eq!(store.retention_floor(), Some(lsn(5)));
}

#[test]
fn r07_bootstrap_slot_pin_holds_what_comes_after_it() {
    let store = open(&disk());
    create(&store, "bootstrapping", 5);
    assert_eq!(prune_to(&store, 8, 8, &NO_LIMITS), Some(lsn(5)));
}

#[test]
fn r08_default_config_enables_finite_slot_retention_cap() {
    assert!(SlotLimits::default().max_lag_lsn > 0);
}

#[test]
fn r09_retention_cap_invalidates_slow_slot_and_releases_wal_floor() {
    let store = open(&disk());
    create(&store, "fast", 0);
    create(&store, "slow", 0);
    ack(&store, "fast", 6, 6);
    assert_eq!(prune_to(&store, 6, 6, &capped(3)), Some(lsn(6)));
    let slow = store.slot(&name("slow")).unwrap();
    assert_eq!(slow.invalidation.unwrap().cause, InvalidationCause::Horizon);
}

#[test]
fn r10b_slot_invalidation_cause_codes_cover_horizon() {
    let store = open(&disk());
    create(&store, "horizon", 0);
    let hit = store.enforce_limits(lsn(4), &capped(3), at(0)).unwrap();
    assert_eq!(hit, vec![(name("horizon"), InvalidationCause::Horizon)]);
    create(&store, "just", 1);
    assert!(
        store
            .enforce_limits(lsn(4), &capped(3), at(0))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn r10c_slot_invalidation_cause_codes_cover_idle_timeout() {
    let store = open(&disk());
    create(&store, "idle", 0);
    store.touch(&name("idle"), at(1));
    let limits = SlotLimits {
        idle_timeout: Duration::from_millis(10),
        ..NO_LIMITS
    };
    let none = store.enforce_limits(lsn(0), &limits, at(11)).unwrap();
    assert!(none.is_empty());
    let hit = store.enforce_limits(lsn(0), &limits, at(12)).unwrap();
    assert_eq!(hit, vec![(name("idle"), InvalidationCause::IdleTimeout)]);
}

#[test]
fn r88_status_surfaces_slot_invalidation_reason() {
    let disk = disk();
    let store = open(&disk);
    create(&store, "slow", 0);
    store.enforce_limits(lsn(4), &capped(3), at(77)).unwrap();
    for store in [store, open(&disk.crash(3))] {
        let invalidation = store.slot(&name("slow")).unwrap().invalidation.unwrap();
        assert_eq!(invalidation.cause.as_str(), "horizon");
        assert_eq!(invalidation.at_unix_ms, 77);
    }
}

const SHOP: &str = r#"{
  "slots": [
    {
      "confirmed_lsn": 37,
      "id": "audit",
      "invalidated_at_unix_ms": 1795419729158,
      "invalidation_reason": "horizon",
      "last_seen_at_unix_ms": 1795419729158,
      "restart_lsn": 12
    },
    {
      "confirmed_lsn": 600,
      "id": "search",
      "last_seen_at_unix_ms": 1795419729157,
      "restart_lsn": 600
    },
    {
      "confirmed_lsn": 412,
      "id": "warehouse",
      "last_seen_at_unix_ms": 1795419729156,
      "restart_lsn": 400
    }
  ]
}"#;

const ONE: &str = r#"{
  "slots": [
    {
      "confirmed_lsn": 0,
      "id": "r1",
      "last_seen_at_unix_ms": 1795417030892,
      "restart_lsn": 0
    }
  ]
}"#;

#[test]
fn rg13_slots_json_is_byte_exact() {
    for text in [SHOP, ONE] {
        let mut slots = reddb::decode_strict(text.as_bytes(), 0).unwrap();
        slots.reverse();
        assert_eq!(reddb::encode(&slots).unwrap(), text.as_bytes());
    }
    assert_eq!(
        String::from_utf8(reddb::encode(&[]).unwrap()).unwrap(),
        "{\n  \"slots\": []\n}"
    );
}

#[test]
fn rg13_lenient_reading_drops_what_reddb_drops_and_says_so() {
    let text = r#"{"slots":[
        {"id":"ok","restart_lsn":1.0,"confirmed_lsn":2,"invalidation_reason":"whatever"},
        {"restart_lsn":1,"confirmed_lsn":2},
        {"id":"b","restart_lsn":-1,"confirmed_lsn":2},
        {"id":"c","restart_lsn":1},
        7
    ]}"#;
    let read = reddb::decode(text.as_bytes(), 99).unwrap();
    assert_eq!(read.slots.len(), 1);
    assert_eq!(read.slots[0].restart_lsn, 1);
    assert_eq!(read.slots[0].last_seen_at_unix_ms, 99);
    assert_eq!(read.slots[0].invalidation_reason, None);
    let ids: Vec<_> = read.dropped.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids, ["ok", "#1", "b", "c", "#4"]);
    assert!(reddb::decode_strict(text.as_bytes(), 99).is_err());
    assert!(reddb::decode(b"{}", 0).unwrap().slots.is_empty());
    assert!(reddb::decode(b"{\"slots\": [", 0).is_err());
}

#[test]
fn imports_refuse_unusable_ids_together_and_rename_on_request() {
    let text = r#"{"slots":[
        {"id":"Bad One","restart_lsn":1,"confirmed_lsn":2},
        {"id":"x-y","restart_lsn":3,"confirmed_lsn":4},
        {"id":"z","restart_lsn":5,"confirmed_lsn":6}
    ]}"#;
    let slots = reddb::decode_strict(text.as_bytes(), 0).unwrap();
    let refused = reddb::name_all(slots.clone(), &[]).unwrap_err();
    let ids: Vec<_> = refused.0.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids, ["Bad One", "x-y"]);
    let rename = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    let clash = [rename("Bad One", "z"), rename("x-y", "x_y")];
    assert_eq!(
        reddb::name_all(slots.clone(), &clash).unwrap_err().0.len(),
        1
    );
    let renames = [rename("Bad One", "bad_one"), rename("x-y", "x_y")];
    let named = reddb::name_all(slots, &renames).unwrap();
    let names: Vec<_> = named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["bad_one", "x_y", "z"]);
}

#[test]
fn imported_slots_are_durable_all_or_none() {
    let disk = disk();
    let store = open(&disk);
    let import = |text: &str| ImportSlot {
        name: name(text),
        plugin: "json".to_owned(),
        restart_lsn: lsn(400 * 64),
        confirmed_lsn: lsn(412 * 64),
        last_seen_unix_ms: 5,
        invalidation: Some(Invalidation {
            cause: InvalidationCause::Horizon,
            at_unix_ms: 6,
        }),
    };
    create(&store, "b", 1);
    let clash = store.import(vec![import("a"), import("b")], &NO_LIMITS, at(0));
    assert!(matches!(clash, Err(CreateError::Exists(_))));
    assert!(store.slot(&name("a")).is_none());
    store.import(vec![import("a")], &NO_LIMITS, at(0)).unwrap();
    let slot = open(&disk.crash(5)).slot(&name("a")).unwrap();
    assert_eq!(slot.confirmed_lsn, lsn(412 * 64));
    assert_eq!(slot.last_seen_unix_ms, 5);
    assert_eq!(slot.invalidation.unwrap().at_unix_ms, 6);
}

#[test]
fn w10_damaged_slot_store_refuses_to_open_and_is_left_as_it_is() {
    let disk = disk();
    create(&open(&disk), "a", 7);
    let bytes = disk.read(&path()).unwrap();
    for at_byte in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at_byte] ^= 0x01;
        disk.put(&path(), &bad);
        let error = SlotStore::open(Arc::new(disk.clone()), &path(), at(0)).unwrap_err();
        assert!(matches!(error, SlotStoreError::Corrupt { .. }), "{error}");
        assert_eq!(disk.read(&path()).unwrap(), bad);
    }
    disk.put(&path(), &[]);
    assert!(SlotStore::open(Arc::new(disk), &path(), at(0)).is_err());
}

#[test]
fn w12_positions_are_exact_to_the_last_bit() {
    for value in [(1 << 53) + 1, u64::MAX] {
        let disk = disk();
        create(&open(&disk), "a", value);
        assert_eq!(
            open(&disk).slot(&name("a")).unwrap().restart_lsn,
            lsn(value)
        );
        let slot = reddb::RedSlot {
            id: "a".to_owned(),
            restart_lsn: value,
            confirmed_lsn: value,
            last_seen_at_unix_ms: value,
            invalidation_reason: None,
            invalidated_at_unix_ms: None,
        };
        let bytes = reddb::encode(std::slice::from_ref(&slot)).unwrap();
        assert_eq!(reddb::decode_strict(&bytes, 0).unwrap(), vec![slot]);
    }
}

#[test]
fn w15_dropped_slot_releases_the_floor_at_once_and_can_be_made_again() {
    let disk = disk();
    let store = open(&disk);
    create(&store, "gone", 2);
    create(&store, "here", 9);
    store.enforce_limits(lsn(20), &capped(15), at(0)).unwrap();
    assert!(store.slot(&name("gone")).unwrap().invalidation.is_some());
    ack(&store, "gone", 15, 15);
    assert_eq!(store.slot(&name("gone")).unwrap().restart_lsn, lsn(2));
    store.drop_slot(&name("gone"), None).unwrap();
    assert_eq!(store.retention_floor(), Some(lsn(9)));
    create(&store, "gone", 20);
    ack(&store, "gone", 21, 21);
    let again = store.slot(&name("gone")).unwrap();
    assert_eq!((again.restart_lsn, again.invalidation), (lsn(21), None));
    store.drop_slot(&name("here"), None).unwrap();
    let names: Vec<_> = open(&disk.crash(9))
        .snapshot()
        .into_iter()
        .map(|slot| slot.name)
        .collect();
    assert_eq!(names, [name("gone")]);
}

#[test]
fn w16_idle_time_starts_over_at_open_and_ignores_clock_jumps() {
    const DAY: u64 = 86_400_000;
    let disk = disk();
    let limits = SlotLimits {
        idle_timeout: Duration::from_millis(DAY),
        ..NO_LIMITS
    };
    let wall = |unix_ms, steady_ms| Moment {
        unix_ms,
        steady: Duration::from_millis(steady_ms),
    };
    let enforce = |store: &SlotStore, now| store.enforce_limits(lsn(0), &limits, now).unwrap();
    let store = SlotStore::open(Arc::new(disk.clone()), &path(), wall(DAY, 0)).unwrap();
    store
        .create(new_slot("a", 0), &limits, wall(DAY, 0))
        .unwrap();
    // Down for two days.
    let store = SlotStore::open(Arc::new(disk), &path(), wall(3 * DAY, 50)).unwrap();
    assert!(enforce(&store, wall(3 * DAY, 60)).is_empty());
    assert!(enforce(&store, wall(4 * DAY + 60, 70)).is_empty());
    assert!(enforce(&store, wall(DAY, 80)).is_empty());
    assert!(enforce(&store, wall(3 * DAY, DAY + 50)).is_empty());
    // In use, it is never idle.
    let guard = store.acquire(&name("a"), 7, wall(3 * DAY, 90)).unwrap();
    assert!(enforce(&store, wall(9 * DAY, 9 * DAY)).is_empty());
    guard.release(wall(9 * DAY, 9 * DAY));
    assert!(enforce(&store, wall(10 * DAY, 10 * DAY)).is_empty());
    assert_eq!(enforce(&store, wall(10 * DAY, 10 * DAY + 1)).len(), 1);
}

#[test]
fn w18_acknowledgement_of_an_unknown_slot_is_refused_and_makes_none() {
    let store = open(&disk());
    let refused = store.advance(&name("ghost"), lsn(5), lsn(5), at(0));
    assert_eq!(refused, Err(UnknownSlot(name("ghost"))));
    store.touch(&name("ghost"), at(0));
    assert!(store.snapshot().is_empty());
    create(&store, "a", 1);
    let second = store.create(new_slot("a", 2), &NO_LIMITS, at(0));
    assert!(matches!(second, Err(CreateError::Exists(_))));
}

#[test]
fn w18_many_creators_of_one_name_make_one_slot() {
    let store = open(&disk());
    let made: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                scope.spawn(move || store.create(new_slot("a", n), &NO_LIMITS, at(0)).is_ok())
            })
            .collect();
        tries
            .into_iter()
            .map(|t| usize::from(t.join().unwrap()))
            .sum()
    });
    assert_eq!(made, 1);
}

#[test]
fn w19_restart_follows_every_accepted_acknowledgement_and_never_falls() {
    let store = open(&disk());
    create(&store, "a", 0);
    for (applied, durable, restart, confirmed) in
        [(4, 4, 4, 4), (9, 6, 6, 9), (1, 1, 6, 9), (0, 12, 12, 12)]
    {
        ack(&store, "a", applied, durable);
        let slot = store.slot(&name("a")).unwrap();
        assert_eq!(slot.restart_lsn, lsn(restart));
        assert_eq!(slot.confirmed_lsn, lsn(confirmed));
    }
}

#[test]
fn w20_retention_follows_the_disk_and_stops_when_it_fails() {
    for op in [FakeOp::Rename, FakeOp::SyncDir] {
        let disk = disk();
        let store = open(&disk);
        create(&store, "a", 2);
        ack(&store, "a", 9, 9);
        assert_eq!(store.retention_floor(), Some(lsn(2)));
        assert_eq!(store.highest_dirty(), Some(lsn(9)));
        disk.fail(op, 1, FakeError::Io);
        assert!(store.persist().is_err());
        assert_eq!(store.retention_floor(), Some(lsn(2)), "{op:?}");
        // Never again, although the disk would work.
        let before = disk.counters();
        let positions = RetentionPositions::at_head(lsn(9));
        assert!(store.persist().is_err());
        assert!(store.retain(&positions, &NO_LIMITS, at(0)).is_err());
        assert!(store.enforce_limits(lsn(9), &capped(1), at(0)).is_err());
        assert!(store.create(new_slot("b", 9), &NO_LIMITS, at(0)).is_err());
        assert!(store.drop_slot(&name("a"), None).is_err());
        let cause = InvalidationCause::WalRemoved;
        assert!(store.invalidate(&name("a"), cause, at(0)).is_err());
        assert_eq!(disk.counters().writes, before.writes);
        assert!(store.slot(&name("a")).unwrap().invalidation.is_none());
        assert!(store.slot(&name("b")).is_none());
        // The old or the new file, never anything between.
        let found = open(&disk.crash(11)).slot(&name("a")).unwrap().restart_lsn;
        assert!([lsn(2), lsn(9)].contains(&found));
    }
}

#[test]
fn slots_are_written_again_once_there_is_space_for_a_new_file() {
    for op in [FakeOp::Create, FakeOp::Write, FakeOp::Sync] {
        for error in [FakeError::NoSpace, FakeError::Io] {
            let disk = disk();
            let store = open(&disk);
            create(&store, "a", 2);
            ack(&store, "a", 9, 9);
            disk.fail_from(op, 1, error);
            assert!(store.persist().is_err());
            assert!(store.create(new_slot("b", 9), &NO_LIMITS, at(0)).is_err());
            assert!(store.drop_slot(&name("a"), None).is_err());
            assert_eq!(store.retention_floor(), Some(lsn(2)), "{op:?}");
            assert!(store.failure().is_none());
            disk.clear_faults();
            assert!(store.persist().unwrap());
            assert_eq!(store.retention_floor(), Some(lsn(9)));
            create(&store, "b", 9);
            let again = open(&disk.crash(7));
            assert_eq!(again.slot(&name("a")).unwrap().restart_lsn, lsn(9));
            assert!(again.slot(&name("b")).is_some());
        }
    }
}

#[test]
fn w20_failed_create_drop_and_invalidation_are_rolled_back_in_memory() {
    type Change = fn(&SlotStore) -> bool;
    let changes: [Change; 3] = [
        |store| store.create(new_slot("new", 9), &NO_LIMITS, at(0)).is_ok(),
        |store| store.drop_slot(&name("old"), None).is_ok(),
        |store| {
            let hit = store.enforce_limits(lsn(100), &capped(1), at(0));
            hit.is_ok()
        },
    ];
    for change in changes {
        let disk = disk();
        let store = open(&disk);
        create(&store, "old", 3);
        let before = store.snapshot();
        disk.fail(FakeOp::Sync, 1, FakeError::NoSpace);
        assert!(!change(&store));
        assert_eq!(store.snapshot(), before);
        assert_eq!(store.retention_floor(), Some(lsn(3)));
    }
}

#[test]
fn w22_acknowledgements_never_wait_for_the_disk() {
    let disk = disk();
    let store = open(&disk);
    for n in 0..500 {
        create(&store, &format!("s{n}"), 0);
    }
    let writes = disk.counters().writes;
    let started = Instant::now();
    for round in 1..=20 {
        for n in 0..500 {
            ack(&store, &format!("s{n}"), round, round);
        }
    }
    let each = started.elapsed() / 10_000;
    assert_eq!(disk.counters().writes, writes);
    assert!(each < Duration::from_millis(1), "{each:?}");
    assert!(store.persist().unwrap());
    assert_eq!(disk.counters().writes, writes + 1);
    assert!(!store.persist().unwrap());
}

#[test]
fn w22_acknowledgements_go_on_while_a_write_is_stuck() {
    let gate = Arc::new(std::sync::Mutex::new(()));
    let fake = disk();
    let disk = Arc::new(SlowDisk {
        fake: fake.clone(),
        gate: Arc::clone(&gate),
    });
    let store = SlotStore::open(disk, &path(), at(0)).unwrap();
    create(&store, "a", 0);
    ack(&store, "a", 5, 5);
    let closed = gate.lock().unwrap();
    let persisting = {
        let store = store.clone();
        std::thread::spawn(move || store.persist().unwrap())
    };
    while fake.counters().writes < 3 {
        std::thread::yield_now();
    }
    ack(&store, "a", 8, 8);
    assert_eq!(store.retention_floor(), Some(lsn(0)));
    drop(closed);
    assert!(persisting.join().unwrap());
    assert_eq!(store.retention_floor(), Some(lsn(5)));
    assert_eq!(store.highest_dirty(), Some(lsn(8)));
    assert!(store.persist().unwrap());
    assert_eq!(store.retention_floor(), Some(lsn(8)));
}

#[test]
fn w36_limits_act_without_backup_traffic_or_subscriber() {
    let store = open(&disk());
    create(&store, "a", 1);
    let positions = RetentionPositions::at_head(lsn(50));
    let outcome = store.retain(&positions, &capped(10), at(0)).unwrap();
    assert_eq!(outcome.invalidated.len(), 1);
    assert_eq!(outcome.prune_to, Some(lsn(50)));
}

#[test]
fn w38_generation_rises_with_every_open_over_a_crash() {
    let mut disk = disk();
    let mut last = 0;
    for seed in 0..5 {
        let generation = open(&disk).generation();
        assert!(generation > last);
        last = generation;
        disk = disk.crash(seed);
    }
}

#[test]
fn slots_are_used_by_one_at_a_time_and_free_when_the_guard_goes() {
    let store = open(&disk());
    create(&store, "a", 0);
    let guard = store.acquire(&name("a"), 7, at(1)).unwrap();
    let slot = store.slot(&name("a")).unwrap();
    assert_eq!(
        (slot.active_pid, slot.inactive_since_unix_ms),
        (Some(7), None)
    );
    for pid in [7, 8] {
        let refused = store.acquire(&name("a"), pid, at(2)).unwrap_err();
        assert!(matches!(refused, AcquireError::Active { pid: 7, .. }));
    }
    let refused = store.drop_slot(&name("a"), Some(8)).unwrap_err();
    assert!(matches!(refused, DropError::Active { pid: 7, .. }));
    guard.release(at(30));
    let slot = store.slot(&name("a")).unwrap();
    assert_eq!(
        (slot.active_pid, slot.inactive_since_unix_ms),
        (None, Some(30))
    );
    drop(store.acquire(&name("a"), 8, at(40)).unwrap());
    let unknown = store.acquire(&name("b"), 1, at(2)).unwrap_err();
    assert!(matches!(unknown, AcquireError::Unknown(_)));
}

#[test]
fn temporary_slots_hold_data_in_memory_and_go_with_their_session() {
    let disk = disk();
    let store = open(&disk);
    let limits = SlotLimits {
        max_slots: 2,
        ..NO_LIMITS
    };
    create(&store, "p", 9);
    let writes = disk.counters().writes;
    let temporary = NewSlot {
        temporary: Some(7),
        ..new_slot("t", 4)
    };
    let made = store.create(temporary, &limits, at(0)).unwrap();
    assert!(made.temporary);
    assert_eq!(made.active_pid, Some(7));
    assert_eq!(disk.counters().writes, writes);
    assert!(matches!(
        store.create(new_slot("u", 1), &limits, at(0)),
        Err(CreateError::TooMany)
    ));
    assert_eq!(store.retention_floor(), Some(lsn(4)));
    ack(&store, "t", 6, 6);
    assert_eq!(store.retention_floor(), Some(lsn(6)));
    assert!(matches!(
        store.acquire(&name("t"), 8, at(0)),
        Err(AcquireError::Active { pid: 7, .. })
    ));
    drop(store.acquire(&name("t"), 7, at(0)).unwrap());
    assert!(store.slot(&name("t")).is_some());
    assert!(matches!(
        store.drop_slot(&name("t"), Some(8)),
        Err(DropError::Active { .. })
    ));
    assert!(!store.persist().unwrap());
    store.drop_temporary(7);
    assert!(store.slot(&name("t")).is_none());
    assert_eq!(store.retention_floor(), Some(lsn(9)));
    assert!(open(&disk).slot(&name("t")).is_none());
}

#[test]
fn persist_leaves_positions_above_the_limit_for_the_next_time() {
    let disk = disk();
    let store = open(&disk);
    create(&store, "a", 1);
    create(&store, "b", 1);
    ack(&store, "a", 5, 4);
    ack(&store, "b", 9, 9);
    // Another slot's change does not carry them to disk either.
    create(&store, "c", 2);
    assert_eq!(store.highest_persisted(), lsn(2));
    assert!(store.persist_through(lsn(4)).unwrap());
    assert_eq!(store.highest_persisted(), lsn(4));
    assert_eq!(store.highest_dirty(), Some(lsn(9)));
    assert!(!store.persist_through(lsn(4)).unwrap());
    assert!(store.persist().unwrap());
    assert_eq!(store.highest_persisted(), lsn(9));
    assert_eq!(store.highest_dirty(), None);
    let again = open(&disk.crash(2)).slot(&name("a")).unwrap();
    assert_eq!((again.restart_lsn, again.confirmed_lsn), (lsn(4), lsn(5)));
}

#[test]
fn inspecting_a_store_changes_nothing() {
    let disk = disk();
    create(&open(&disk), "a", 3);
    let before = disk.files();
    let slots = SlotStore::inspect(&disk, &path()).unwrap();
    assert_eq!(slots[0].restart_lsn, lsn(3));
    assert_eq!(disk.files(), before);
}

#[test]
fn retention_plan_and_store_agree() {
    let store = open(&disk());
    create(&store, "a", 3);
    create(&store, "b", 7);
    let slots: Vec<_> = store
        .snapshot()
        .into_iter()
        .map(|slot| retention::SlotHold {
            name: slot.name,
            restart_lsn: slot.restart_lsn,
            persisted_restart_lsn: slot.persisted_restart_lsn,
            valid: slot.invalidation.is_none(),
            in_use: slot.active_pid.is_some(),
            unused_for: Duration::ZERO,
        })
        .collect();
    let positions = RetentionPositions::at_head(lsn(10));
    let plan = retention::plan(&RetentionInput {
        positions,
        slots: &slots,
        limits: capped(5),
    });
    let outcome = store.retain(&positions, &capped(5), at(0)).unwrap();
    assert_eq!(plan.invalidate, outcome.invalidated);
    assert_eq!(plan.prune_to, outcome.prune_to);
    assert_eq!(plan.prune_to, Some(lsn(7)));
}

#[test]
fn waiting_for_a_slot_ends_when_it_is_free_or_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let soon = Duration::from_millis(20);
        let late = Duration::from_secs(20);
        let store = open(&disk());
        create(&store, "a", 0);
        store.released(&name("a")).await;
        store.released(&name("unknown")).await;
        let guard = store.acquire(&name("a"), 7, at(0)).unwrap();
        let waiting = tokio::spawn(store.released(&name("a")));
        assert!(
            tokio::time::timeout(soon, store.released(&name("a")))
                .await
                .is_err()
        );
        drop(guard);
        tokio::time::timeout(late, waiting).await.unwrap().unwrap();
        let temporary = NewSlot {
            temporary: Some(7),
            ..new_slot("t", 4)
        };
        store.create(temporary, &NO_LIMITS, at(0)).unwrap();
        let waiting = tokio::spawn(store.released(&name("t")));
        tokio::task::yield_now().await;
        store.drop_temporary(7);
        tokio::time::timeout(late, waiting).await.unwrap().unwrap();
    });
}

/// A fake disk whose file syncs wait at a gate.
#[derive(Debug)]
struct SlowDisk {
    fake: FakeDisk,
    gate: Arc<std::sync::Mutex<()>>,
}

impl Disk for SlowDisk {
    fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
        self.fake.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        self.fake.list(dir)
    }
    fn exists(&self, path: &Path) -> std::io::Result<bool> {
        self.fake.exists(path)
    }
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.fake.read(path)
    }
    fn open(
        &self,
        path: &Path,
        mode: pgspool::disk::OpenMode,
    ) -> std::io::Result<Arc<dyn pgspool::disk::DiskFile>> {
        self.fake.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        drop(self.gate.lock().unwrap());
        self.fake.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.fake.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.fake.sync_dir(dir)
    }
}
