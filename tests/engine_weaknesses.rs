//! The weaknesses measured in RedDB that need the whole engine to show: each must be absent.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod engine_support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine_support::{Home, ack, at, drain, insert, lsns, options, read_all, slot_at};
use pgspool::clock::Moment;
use pgspool::disk::{FakeDisk, FakeError, FakeOp};
use pgspool::engine::{
    CreateSlotError, Engine, EngineOptions, OpenError, PublishError, SlotStart, SubscribeError,
};
use pgspool::lsn::Lsn;
use pgspool::slots::{AcquireError, InvalidationCause};
use pgspool::spool::{AppendError, ReadError};
use pgspool::wire::Progress;

fn on_fake(disk: &FakeDisk) -> Result<Engine, OpenError> {
    let options = EngineOptions {
        segment_bytes: 1,
        ..options()
    };
    Engine::open(
        Arc::new(disk.clone()),
        Path::new("/data/db"),
        "db",
        options,
        Moment::at_ms(0),
    )
}

fn ten_records(home: &Home) -> Engine {
    let engine = home.open(EngineOptions {
        segment_bytes: 1,
        ..options()
    });
    let records: Vec<_> = (1..=10).map(|n| insert("users", n)).collect();
    home.publish(&engine, &records);
    engine
}

#[test]
fn w01_new_subscriber_gets_all_or_an_explicit_error_never_a_jump_to_the_head() {
    let home = Home::new();
    let engine = ten_records(&home);
    assert_eq!(home.records(&engine, Lsn::ZERO).len(), 10);
    slot_at(&engine, "all", SlotStart::Earliest);
    let mut stream = home.subscribe(&engine, "all", Lsn::ZERO).unwrap();
    assert_eq!(drain(&mut stream.cursor).len(), 10);
    drop(stream);
    let half = read_all(&engine)[4].lsn;
    engine.drop_slot(&home.name("all"), None).unwrap();
    engine.prune_retained(half, Moment::at_ms(1)).unwrap();
    assert!(matches!(
        engine.read_from(Lsn::ZERO),
        Err(ReadError::Removed { .. })
    ));
    let forgotten = home.subscribe(&engine, "all", half).unwrap_err();
    assert!(
        matches!(forgotten, SubscribeError::Acquire(AcquireError::Unknown(_))),
        "{forgotten}"
    );
}

#[test]
fn w03_looking_at_the_oldest_position_never_touches_what_is_written() {
    let home = Home::new();
    let engine = home.open(options());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(engine.snapshot().spool.oldest_lsn <= Some(engine.head()));
            }
        });
        for n in 0..200 {
            home.publish(&engine, &[insert("users", n)]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(engine);
    assert_eq!(read_all(&home.open(options())).len(), 200);
}

#[test]
fn w06_a_failing_disk_fails_the_publish_and_shows_nothing() {
    for op in [FakeOp::Write, FakeOp::Sync] {
        let disk = FakeDisk::default();
        let engine = on_fake(&disk).unwrap();
        let mut batch = engine.batch(Moment::at_ms(1));
        batch.push(&insert("users", 1)).unwrap();
        let kept = engine.publish(batch).unwrap().last_lsn;
        let waiting = engine.wait_after(kept);
        disk.fail(op, 1, FakeError::Io);
        let mut batch = engine.batch(Moment::at_ms(1));
        batch.push(&insert("users", 2)).unwrap();
        let refused = engine.publish(batch).unwrap_err();
        assert!(
            matches!(refused, PublishError::Append(AppendError::Stopped(_))),
            "{refused}"
        );
        assert!(
            !waiting.wait_timeout(Duration::from_millis(20)),
            "{op:?} woke a waiter"
        );
        assert_eq!(engine.head(), kept);
        assert_eq!(lsns(&read_all(&engine)), [kept]);
        disk.clear_faults();
        let mut batch = engine.batch(Moment::at_ms(1));
        batch.push(&insert("users", 3)).unwrap();
        assert!(
            engine.publish(batch).is_err(),
            "a failed {op:?} is never retried"
        );
    }
}

#[test]
fn w06_a_spool_that_cannot_be_opened_is_a_startup_error() {
    let disk = FakeDisk::default();
    disk.fail(FakeOp::Create, 1, FakeError::Io);
    assert!(on_fake(&disk).is_err());
}

#[test]
fn w10_a_damaged_slot_store_is_a_startup_error_and_nothing_is_pruned() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Earliest);
    drop(engine);
    let path = home.path().join("slots.json");
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let opened = Engine::open(
            Arc::new(pgspool::disk::RealDisk),
            &home.path(),
            "db",
            options(),
            Moment::at_ms(1),
        );
        assert!(
            matches!(opened, Err(OpenError::Slots { .. })),
            "byte {at} was not missed"
        );
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(read_all(&home.open(options())).len(), 10);
}

#[test]
fn w10_a_lost_slot_store_beside_a_spool_is_a_startup_error() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Earliest);
    drop(engine);
    std::fs::remove_file(home.path().join("slots.json")).unwrap();
    let disk = Arc::new(pgspool::disk::RealDisk);
    let opened = Engine::open(disk, &home.path(), "db", options(), Moment::at_ms(1));
    assert!(matches!(opened, Err(OpenError::Slots { .. })), "{opened:?}");
}

#[test]
fn wal_keep_size_keeps_what_no_slot_needs() {
    let home = Home::new();
    let keeping = EngineOptions {
        segment_bytes: 1,
        wal_keep_size: 1 << 20,
        ..options()
    };
    let engine = home.open(keeping);
    home.publish(
        &engine,
        &(0..10).map(|n| insert("users", n)).collect::<Vec<_>>(),
    );
    engine.maintain(Moment::at_ms(1)).unwrap();
    assert_eq!(read_all(&engine).len(), 10);
}

#[test]
fn max_slot_wal_keep_size_invalidates_a_slot_that_holds_more() {
    let home = Home::new();
    let limited = EngineOptions {
        segment_bytes: 1,
        max_slot_wal_keep_size: Some(1000),
        ..options()
    };
    let engine = home.open(limited);
    slot_at(&engine, "s", SlotStart::Head);
    home.publish(
        &engine,
        &(0..100).map(|n| insert("users", n)).collect::<Vec<_>>(),
    );
    let outcome = engine.maintain(Moment::at_ms(1)).unwrap();
    assert_eq!(
        outcome.invalidated,
        [(home.name("s"), InvalidationCause::WalRemoved)]
    );
    assert!(outcome.pruned.num_segments > 80, "{outcome:?}");
}

#[test]
fn w15_a_dropped_slot_releases_the_floor_and_a_new_one_streams_again() {
    let home = Home::new();
    let mut capped = EngineOptions {
        segment_bytes: 1,
        ..options()
    };
    capped.limits.max_lag_lsn = 64;
    let engine = home.open(capped);
    slot_at(&engine, "s", SlotStart::Head);
    for n in 0..10 {
        home.publish(&engine, &[insert("users", n)]);
    }
    engine.enforce_retention(Moment::at_ms(1)).unwrap();
    assert!(home.subscribe(&engine, "s", Lsn::ZERO).is_err());
    engine.drop_slot(&home.name("s"), None).unwrap();
    slot_at(&engine, "s", SlotStart::Head);
    let mut stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    let published = home.publish(&engine, &[insert("users", 11)]);
    assert_eq!(lsns(&drain(&mut stream.cursor)), [published.last_lsn]);
}

#[test]
fn w16_slots_survive_a_long_downtime_and_clock_jumps() {
    const DAY: u64 = 86_400_000;
    let home = Home::new();
    let mut limited = options();
    limited.limits.idle_timeout = Duration::from_millis(DAY);
    let moment = |unix_ms, steady_ms| Moment {
        unix_ms,
        steady: Duration::from_millis(steady_ms),
    };
    let engine = home.open_at(limited.clone(), moment(DAY, 0));
    slot_at(&engine, "s", SlotStart::Head);
    drop(engine);
    let engine = home.open_at(limited, moment(3 * DAY, 0));
    for (unix_ms, steady_ms) in [(3 * DAY + 1, 1), (4 * DAY + 2, 2), (2 * DAY, 3)] {
        let outcome = engine.maintain(moment(unix_ms, steady_ms)).unwrap();
        assert_eq!(outcome.invalidated, [], "at {unix_ms}");
    }
    let outcome = engine.maintain(moment(4 * DAY, DAY + 1)).unwrap();
    assert_eq!(
        outcome.invalidated,
        [(home.name("s"), InvalidationCause::IdleTimeout)]
    );
}

#[test]
fn w17_a_prune_between_plan_and_read_is_an_error_or_pinned_data_never_a_gap() {
    let home = Home::new();
    let engine = ten_records(&home);
    let all = lsns(&read_all(&engine));
    for reads_before in 0..3 {
        let mut cursor = engine.read_from(Lsn::ZERO).unwrap();
        let mut seen = Vec::new();
        for _ in 0..reads_before {
            seen.extend(lsns(&cursor.read_disk(1).unwrap()));
        }
        if reads_before == 2 {
            engine.prune_retained(all[9], Moment::at_ms(1)).unwrap();
        }
        loop {
            match cursor.read_disk(1) {
                Ok(frames) if frames.is_empty() => {
                    assert_eq!(seen, all);
                    break;
                }
                Ok(frames) => seen.extend(lsns(&frames)),
                Err(ReadError::Removed { .. }) => {
                    assert_eq!(seen, all[..seen.len()]);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn w18_an_acknowledgement_for_an_unknown_slot_is_refused_and_creates_nothing() {
    let home = Home::new();
    let engine = home.open(options());
    let progress = Progress {
        write: at(1),
        flush: at(1),
        apply: at(1),
    };
    assert!(
        engine
            .acknowledge(&home.name("ghost"), progress, Moment::at_ms(1))
            .is_err()
    );
    assert!(engine.snapshot().slots.is_empty());
}

#[test]
fn w20_a_failing_slot_store_stops_pruning_at_the_persisted_positions() {
    let disk = FakeDisk::default();
    let engine = on_fake(&disk).unwrap();
    slot_at(&engine, "s", SlotStart::Head);
    for n in 0..5 {
        let mut batch = engine.batch(Moment::at_ms(1));
        batch.push(&insert("users", n)).unwrap();
        engine.publish(batch).unwrap();
    }
    let all = lsns(&read_all(&engine));
    let name = pgspool::slots::SlotName::parse("s").unwrap();
    let head = engine.head();
    let progress = Progress {
        write: head,
        flush: head,
        apply: head,
    };
    engine
        .acknowledge(&name, progress, Moment::at_ms(2))
        .unwrap();
    disk.fail_from(FakeOp::Rename, 1, FakeError::Io);
    assert!(engine.maintain(Moment::at_ms(3)).is_err());
    assert_eq!(lsns(&read_all(&engine)), all);
    disk.clear_faults();
    assert!(engine.maintain(Moment::at_ms(4)).is_err(), "never retried");
    assert_eq!(lsns(&read_all(&engine)), all);
}

#[test]
fn w22_acknowledgements_do_not_wait_for_the_disk() {
    let disk = FakeDisk::default();
    let engine = on_fake(&disk).unwrap();
    slot_at(&engine, "s", SlotStart::Head);
    let mut batch = engine.batch(Moment::at_ms(1));
    batch.push(&insert("users", 1)).unwrap();
    engine.publish(batch).unwrap();
    let name = pgspool::slots::SlotName::parse("s").unwrap();
    let head = engine.head();
    let before = disk.counters();
    for n in 0..1000 {
        let progress = Progress {
            write: head,
            flush: head,
            apply: head,
        };
        engine
            .acknowledge(&name, progress, Moment::at_ms(n))
            .unwrap();
    }
    assert_eq!(disk.counters().writes, before.writes);
    assert_eq!(disk.counters().syncs, before.syncs);
}

#[test]
fn w30_an_acknowledgement_above_the_head_moves_the_slot_no_further_than_the_head() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Earliest);
    let progress = Progress {
        write: Lsn::MAX,
        flush: Lsn::MAX,
        apply: Lsn::MAX,
    };
    let slot = engine
        .acknowledge(&home.name("s"), progress, Moment::at_ms(1))
        .unwrap();
    assert_eq!(
        (slot.restart_lsn, slot.confirmed_lsn),
        (engine.head(), engine.head())
    );
}

#[test]
fn w30_a_stream_confirms_no_more_than_was_sent_on_it() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Earliest);
    let stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    let sent = read_all(&engine)[4].lsn;
    stream.note_sent(sent, Moment::at_ms(1));
    for claimed in [sent.saturating_add(1), engine.head(), Lsn::MAX] {
        let progress = Progress {
            write: claimed,
            flush: claimed,
            apply: claimed,
        };
        stream.acknowledge(progress, Moment::at_ms(2)).unwrap();
        let slot = engine.slot(&home.name("s")).unwrap();
        assert_eq!((slot.restart_lsn, slot.confirmed_lsn), (sent, sent));
        let replica = &engine.replicas().snapshot()[0];
        assert_eq!((replica.durable_lsn, replica.applied_lsn), (sent, sent));
        engine.maintain(Moment::at_ms(3)).unwrap();
    }
}

#[test]
fn p9_slots_that_stand_before_damage_set_aside_are_invalid_and_stream_nothing() {
    let home = Home::new();
    let engine = home.open(options());
    home.publish(
        &engine,
        &(0..20).map(|n| insert("users", n)).collect::<Vec<_>>(),
    );
    slot_at(&engine, "before", SlotStart::Earliest);
    slot_at(&engine, "after", SlotStart::Head);
    engine.close().unwrap();
    drop(engine);
    let segment = home.path().join("spool").join(format!("{:016x}.rdlw", 0));
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let recovery = pgspool::spool::RecoveryMode::LongestValidPrefix;
    let engine = home.open(EngineOptions {
        recovery,
        ..options()
    });
    assert!(engine.recovery().readable < engine.recovery().head);
    home.publish(&engine, &[insert("users", 1000)]);
    let error = home.subscribe(&engine, "before", Lsn::ZERO).unwrap_err();
    assert!(
        matches!(
            error,
            SubscribeError::Invalidated {
                cause: InvalidationCause::WalRemoved,
                ..
            }
        ),
        "{error}"
    );
    let mut stream = home.subscribe(&engine, "after", Lsn::ZERO).unwrap();
    assert_eq!(drain(&mut stream.cursor).len(), 1);
    // One that is made knowing of the loss reads what was kept, then what came after.
    slot_at(&engine, "kept", SlotStart::Earliest);
    let mut stream = home.subscribe(&engine, "kept", Lsn::ZERO).unwrap();
    let ends = lsns(&drain(&mut stream.cursor));
    assert!(ends.len() > 2 && ends.len() < 20, "{ends:?}");
    assert!(ends[ends.len() - 2] <= engine.recovery().readable);
    assert_eq!(ends.last(), Some(&engine.head()));
}

#[test]
fn p4_a_slot_made_while_retention_prunes_keeps_its_data() {
    let home = Home::new();
    let engine = home.open(EngineOptions {
        segment_bytes: 1,
        ..options()
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                engine
                    .prune_retained(engine.head(), Moment::at_ms(1))
                    .unwrap();
            }
        });
        for n in 0..200 {
            home.publish(&engine, &[insert("users", n)]);
            slot_at(&engine, "s", SlotStart::Earliest);
            home.publish(&engine, &[insert("users", n)]);
            let mut stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
            assert!(!drain(&mut stream.cursor).is_empty());
            drop(stream);
            engine.drop_slot(&home.name("s"), None).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn w36_limits_act_without_backup_and_without_traffic() {
    let home = Home::new();
    let mut limited = EngineOptions {
        segment_bytes: 1,
        ..options()
    };
    limited.limits.idle_timeout = Duration::from_millis(10);
    let engine = home.open(limited);
    slot_at(&engine, "s", SlotStart::Head);
    home.publish(&engine, &[insert("users", 1), insert("users", 2)]);
    let outcome = engine.maintain(Moment::at_ms(11)).unwrap();
    assert_eq!(
        outcome.invalidated,
        [(home.name("s"), InvalidationCause::IdleTimeout)]
    );
    assert!(outcome.pruned.num_segments > 0);
}

#[test]
fn w37_a_stream_that_ends_leaves_the_registry_and_frees_its_slot() {
    let home = Home::new();
    let engine = home.open(options());
    slot_at(&engine, "s", SlotStart::Head);
    let stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    assert_eq!(engine.replicas().snapshot().len(), 1);
    let second = home.subscribe(&engine, "s", Lsn::ZERO).unwrap_err();
    assert!(
        matches!(second, SubscribeError::Acquire(AcquireError::Active { .. })),
        "{second}"
    );
    drop(stream);
    assert!(engine.replicas().snapshot().is_empty());
    assert!(home.subscribe(&engine, "s", Lsn::ZERO).is_ok());
}

#[test]
fn w38_the_topology_epoch_never_goes_back_over_a_restart() {
    let home = Home::new();
    let mut last = 0;
    for _ in 0..3 {
        let engine = home.open(options());
        for n in 0..5 {
            let name = format!("s{n}");
            if engine.slot(&home.name(&name)).is_none() {
                slot_at(&engine, &name, SlotStart::Head);
            }
            drop(home.subscribe(&engine, &name, Lsn::ZERO).unwrap());
            assert!(engine.replicas().epoch() > last);
            last = engine.replicas().epoch();
        }
    }
}

#[test]
fn w40_one_connection_counts_one_resume_however_often_it_reads() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Earliest);
    let mut stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    for _ in 0..5 {
        stream.cursor.read_disk(1).unwrap();
    }
    assert_eq!(engine.resumes().partial(), 1);
}

#[test]
fn a_start_far_above_the_head_is_refused_and_one_just_above_means_the_head() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Head);
    let head = engine.head();
    assert_eq!(
        home.subscribe(&engine, "s", head.saturating_add(7))
            .unwrap()
            .start(),
        head
    );
    let refused = home
        .subscribe(&engine, "s", head.saturating_add(8))
        .unwrap_err();
    assert!(
        matches!(refused, SubscribeError::AheadOfHead { .. }),
        "{refused}"
    );
}

#[test]
fn a_slot_can_start_at_any_retained_position_and_nowhere_else() {
    let home = Home::new();
    let engine = ten_records(&home);
    let all = lsns(&read_all(&engine));
    assert_eq!(
        slot_at(&engine, "at", SlotStart::At(all[3])).restart_lsn,
        all[3]
    );
    assert_eq!(
        slot_at(&engine, "time", SlotStart::Time(0)).restart_lsn,
        Lsn::ZERO
    );
    for name in ["at", "time"] {
        engine.drop_slot(&home.name(name), None).unwrap();
    }
    engine.prune_retained(all[4], Moment::at_ms(1)).unwrap();
    assert_eq!(
        slot_at(&engine, "earliest", SlotStart::Earliest).restart_lsn,
        all[4]
    );
    let request = |start| pgspool::engine::SlotRequest {
        name: home.name("bad"),
        plugin: "json".to_owned(),
        start,
        temporary: None,
        two_phase: false,
        owner: None,
    };
    let gone = engine
        .create_slot(request(SlotStart::At(all[3])), Moment::at_ms(1))
        .unwrap_err();
    assert!(
        matches!(gone, CreateSlotError::Start(ReadError::Removed { .. })),
        "{gone}"
    );
    let ahead = SlotStart::At(all[9].saturating_add(1));
    let ahead = engine
        .create_slot(request(ahead), Moment::at_ms(1))
        .unwrap_err();
    assert!(
        matches!(ahead, CreateSlotError::AheadOfHead { .. }),
        "{ahead}"
    );
}

#[test]
fn a_transaction_of_several_records_is_read_whole_with_rising_change_lsns() {
    let home = Home::new();
    let engine = home.open(options());
    let before = home.publish(&engine, &[insert("users", 1)]).last_lsn;
    let mut batch = engine.batch(Moment::at_ms(1));
    let records: Vec<_> = (0..5).map(|n| insert("users", n)).collect();
    batch.push_transaction(&records).unwrap();
    let end = engine.publish(batch).unwrap().last_lsn;
    let frames = drain(&mut engine.read_from(before).unwrap());
    assert_eq!(lsns(&frames), [end; 5]);
    assert!(frames[0].boundary.first && !frames[0].boundary.last && frames[4].boundary.last);
    let own: Vec<u64> = frames
        .iter()
        .map(
            |frame| match pgspool::change::parse_payload(&frame.payload) {
                pgspool::change::Payload::Part { json, .. } => {
                    pgspool::change::decode(&json).unwrap().lsn
                }
                other @ (pgspool::change::Payload::Whole(_)
                | pgspool::change::Payload::Opaque(_)) => panic!("{other:?}"),
            },
        )
        .collect();
    assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "{own:?}");
    assert!(
        own[0] >= before.get() + 8 && own[4] < end.get() - 8,
        "{before} {own:?} {end}"
    );
}

#[test]
fn temporary_slots_hold_data_and_go_with_their_session() {
    let home = Home::new();
    let engine = ten_records(&home);
    let request = pgspool::engine::SlotRequest {
        name: home.name("temp"),
        plugin: "json".to_owned(),
        start: SlotStart::Earliest,
        temporary: Some(7),
        two_phase: false,
        owner: None,
    };
    engine.create_slot(request, Moment::at_ms(1)).unwrap();
    engine
        .prune_retained(engine.head(), Moment::at_ms(2))
        .unwrap();
    assert_eq!(read_all(&engine).len(), 10);
    engine.session_ended(7);
    engine
        .prune_retained(engine.head(), Moment::at_ms(3))
        .unwrap();
    assert_eq!(read_all(&engine).len(), 0);
}

#[test]
fn acknowledgements_are_on_disk_after_maintain() {
    let home = Home::new();
    let engine = ten_records(&home);
    slot_at(&engine, "s", SlotStart::Earliest);
    let all = lsns(&read_all(&engine));
    let progress = Progress {
        write: all[3],
        flush: all[3],
        apply: all[3],
    };
    engine
        .acknowledge(&home.name("s"), progress, Moment::at_ms(1))
        .unwrap();
    let started = Instant::now();
    engine.maintain(Moment::at_ms(2)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
    let text = std::fs::read_to_string(home.path().join("slots.json")).unwrap();
    assert!(text.contains(&all[3].get().to_string()), "{text}");
    ack(&engine, "s", 0, 0);
    assert_eq!(engine.slot(&home.name("s")).unwrap().restart_lsn, all[3]);
}
