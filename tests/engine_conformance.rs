//! RedDB's conformance rows that need spool, slots and replicas together, through the engine.
//!
//! RedDB's LSNs are dense; ours are at least 64 apart, so row LSN `n` is `64 n` here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod engine_support;

use std::time::Duration;

use engine_support::{Home, ack, at, delete, insert, lsns, options, read_all, slot_at, update};
use pgspool::change::{ChangeRecord, Operation};
use pgspool::clock::Moment;
use pgspool::engine::{Engine, EngineOptions, PublishError, SlotStart, SubscribeError};
use pgspool::lsn::Lsn;
use pgspool::replicas::{CommitPolicy, CommitSettings};
use pgspool::slots::InvalidationCause;

/// Appends row LSNs `from..=to`.
fn append(engine: &Engine, from: u64, to: u64) {
    let mut batch = engine.batch(Moment::at_ms(1));
    for n in from..=to {
        batch.push_at(at(n), &[insert("users", n)]).unwrap();
    }
    engine.publish(batch).unwrap();
}

#[test]
fn r01_change_records_roundtrip_and_prune() {
    let home = Home::new();
    let engine = home.open(EngineOptions {
        // Pruning removes whole segments.
        segment_bytes: 1,
        ..options()
    });
    engine.adopt_term(2).unwrap();
    let record = |bytes: [u8; 3], timestamp| ChangeRecord {
        timestamp,
        entity_bytes: Some(bytes.to_vec()),
        ..insert("users", 10)
    };
    for (n, unix_ms, record) in [(7, 11, record([1, 2, 3], 1)), (8, 12, record([4, 5, 6], 2))] {
        let mut batch = engine.batch(Moment::at_ms(unix_ms));
        batch.push_at(at(n), &[record]).unwrap();
        engine.publish(batch).unwrap();
    }
    let stored = |bytes: [u8; 3], timestamp, n| ChangeRecord {
        term: 2,
        lsn: at(n).get(),
        ..record(bytes, timestamp)
    };
    let found = home.records(&engine, Lsn::ZERO);
    assert_eq!(found, [stored([1, 2, 3], 1, 7), stored([4, 5, 6], 2, 8)]);
    let frames = read_all(&engine);
    assert_eq!((frames[0].term, frames[0].timestamp_ms), (2, 11));
    assert_eq!((frames[1].term, frames[1].timestamp_ms), (2, 12));

    let outcome = engine.prune_retained(at(7), Moment::at_ms(13)).unwrap();
    assert_eq!(outcome.pruned.removed_through, at(7));
    assert!(engine.read_from(Lsn::ZERO).is_err(), "gone, and it says so");
    assert_eq!(home.records(&engine, at(7)), [stored([4, 5, 6], 2, 8)]);
}

#[test]
fn r05_replica_slot_persists_and_reconnect_resumes_from_restart_lsn() {
    let home = Home::new();
    let engine = home.open(options());
    append(&engine, 1, 12);
    slot_at(&engine, "r1", SlotStart::Earliest);
    ack(&engine, "r1", 10, 8);
    let before = engine.slot(&home.name("r1")).unwrap();
    assert_eq!((before.restart_lsn, before.confirmed_lsn), (at(8), at(10)));
    engine.close().unwrap();
    drop(engine);
    let engine = home.open(options());
    let after = engine.slot(&home.name("r1")).unwrap();
    assert_eq!((after.restart_lsn, after.confirmed_lsn), (at(8), at(10)));
    assert_eq!(
        home.subscribe(&engine, "r1", Lsn::ZERO).unwrap().start(),
        at(8)
    );
}

#[test]
fn r06_retention_floor_follows_slowest_slot_and_prunes_wal() {
    let home = Home::new();
    let engine = home.open(EngineOptions {
        segment_bytes: 1,
        ..options()
    });
    slot_at(&engine, "fast", SlotStart::Head);
    slot_at(&engine, "slow", SlotStart::Head);
    append(&engine, 1, 6);
    ack(&engine, "fast", 5, 5);
    ack(&engine, "slow", 3, 2);
    let outcome = engine.prune_retained(at(6), Moment::at_ms(2)).unwrap();
    assert_eq!(outcome.prune_to, at(2));
    assert_eq!(lsns(&read_all(&engine)), [3, 4, 5, 6].map(at));
    ack(&engine, "slow", 6, 6);
    let outcome = engine.prune_retained(at(6), Moment::at_ms(3)).unwrap();
    assert_eq!(outcome.prune_to, at(5));
    assert_eq!(lsns(&read_all(&engine)), [at(6)]);
}

#[test]
fn r07_bootstrap_slot_pin_prevents_wal_removed_rebootstrap_after_prune() {
    let home = Home::new();
    let engine = home.open(EngineOptions {
        segment_bytes: 1,
        ..options()
    });
    append(&engine, 1, 5);
    assert_eq!(
        slot_at(&engine, "bootstrapping", SlotStart::Head).restart_lsn,
        at(5)
    );
    append(&engine, 6, 8);
    let outcome = engine.prune_retained(at(8), Moment::at_ms(2)).unwrap();
    assert_eq!(outcome.prune_to, at(5));
    let stream = home.subscribe(&engine, "bootstrapping", Lsn::ZERO).unwrap();
    assert_eq!(stream.start(), at(5));
}

#[test]
fn r08_default_config_enables_finite_slot_retention_cap() {
    assert!(EngineOptions::default().limits.max_lag_lsn > 0);
}

#[test]
fn r09_retention_cap_invalidates_slow_slot_and_releases_wal_floor() {
    let home = Home::new();
    let mut capped = EngineOptions {
        segment_bytes: 1,
        ..options()
    };
    capped.limits.max_lag_lsn = 3 * 64;
    let engine = home.open(capped);
    slot_at(&engine, "fast", SlotStart::Head);
    slot_at(&engine, "slow", SlotStart::Head);
    append(&engine, 1, 6);
    ack(&engine, "fast", 6, 6);
    let outcome = engine.prune_retained(at(6), Moment::at_ms(2)).unwrap();
    assert_eq!(outcome.prune_to, at(6));
    assert_eq!(
        outcome.invalidated,
        [(home.name("slow"), InvalidationCause::Horizon)]
    );
    assert!(read_all(&engine).is_empty());
    assert_eq!(engine.head(), at(6));
}

#[test]
fn r10_invalidated_slot_says_why_and_what_is_gone() {
    let home = Home::new();
    let mut limited = EngineOptions {
        segment_bytes: 1,
        ..options()
    };
    limited.limits.idle_timeout = Duration::from_millis(10);
    let engine = home.open(limited);
    append(&engine, 1, 4);
    slot_at(&engine, "idle", SlotStart::Earliest);
    let outcome = engine.prune_retained(at(4), Moment::at_ms(12)).unwrap();
    assert_eq!(
        outcome.invalidated,
        [(home.name("idle"), InvalidationCause::IdleTimeout)]
    );
    let error = home.subscribe(&engine, "idle", Lsn::ZERO).unwrap_err();
    let SubscribeError::Invalidated {
        cause,
        removed_through,
        restart_lsn,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(cause, InvalidationCause::IdleTimeout);
    assert_eq!((removed_through, restart_lsn), (at(4), Lsn::ZERO));
}

#[test]
fn r13_resume_is_partial_within_the_window_and_full_past_the_cap() {
    let home = Home::new();
    let mut capped = options();
    capped.limits.max_lag_lsn = 3 * 64;
    let engine = home.open(capped);
    slot_at(&engine, "blip", SlotStart::Head);
    slot_at(&engine, "slow", SlotStart::Head);
    append(&engine, 1, 3);
    let stream = home.subscribe(&engine, "blip", at(2)).unwrap();
    assert_eq!(stream.start(), at(2));
    drop(stream);
    assert_eq!(
        (engine.resumes().partial(), engine.resumes().full()),
        (1, 0)
    );
    append(&engine, 4, 6);
    engine.enforce_retention(Moment::at_ms(2)).unwrap();
    let error = home.subscribe(&engine, "slow", Lsn::ZERO).unwrap_err();
    let SubscribeError::Invalidated {
        cause: InvalidationCause::Horizon,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (engine.resumes().partial(), engine.resumes().full()),
        (1, 1)
    );
}

#[test]
fn r19_published_changes_are_read_back_in_order() {
    let home = Home::new();
    let engine = home.open(options());
    let mut batch = engine.batch(Moment::at_ms(1));
    for record in [insert("users", 1), update("users", 1), delete("users", 1)] {
        batch.push(&record).unwrap();
    }
    engine.publish(batch).unwrap();
    let read: Vec<_> = home.records(&engine, Lsn::ZERO);
    let operations: Vec<_> = read.iter().map(|record| record.operation).collect();
    assert_eq!(
        operations,
        [Operation::Insert, Operation::Update, Operation::Delete]
    );
    assert!(read.iter().all(|record| record.changed_columns.is_none()));
}

#[test]
fn r20_changed_columns_travel_with_the_update() {
    let home = Home::new();
    let engine = home.open(options());
    let columns = vec!["email".to_owned(), "age".to_owned()];
    let with = ChangeRecord {
        changed_columns: Some(columns.clone()),
        ..update("users", 1)
    };
    let mut batch = engine.batch(Moment::at_ms(1));
    batch.push(&with).unwrap();
    batch.push(&update("users", 2)).unwrap();
    engine.publish(batch).unwrap();
    let read = home.records(&engine, Lsn::ZERO);
    assert_eq!(read[0].changed_columns, Some(columns));
    assert_eq!(read[1].changed_columns, None);
}

#[test]
fn r21_reading_is_exclusive_of_the_cursor() {
    let home = Home::new();
    let engine = home.open(options());
    append(&engine, 1, 3);
    let read = home.records(&engine, at(1));
    assert_eq!(read.iter().map(|r| r.entity_id).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn r22_a_batch_gets_rising_lsns_without_another_writer_between() {
    let home = Home::new();
    let engine = home.open(options());
    let first = home.publish(&engine, &[insert("users", 10)]);
    let rest = home.publish(&engine, &[11, 12, 13].map(|n| insert("users", n)));
    assert!(rest.first_lsn > first.last_lsn);
    let frames = read_all(&engine);
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[1].lsn, rest.first_lsn);
    assert_eq!(frames[3].lsn, rest.last_lsn);
    assert_eq!(engine.head(), rest.last_lsn);
}

#[test]
fn r25_stats_show_what_is_stored() {
    let home = Home::new();
    let engine = home.open(options());
    append(&engine, 1, 2);
    let state = engine.snapshot().spool;
    assert_eq!(
        (state.num_appended, state.head, state.oldest_lsn),
        (2, at(2), Some(at(1)))
    );
}

/// Position 8 is too far from an unconfirmed 0, position 7 is not: the flag is looked at without
/// a publish as well (the metric's source).
#[test]
fn r66_flow_control_throttles_on_in_quorum_lag_and_releases_on_recovery() {
    let home = Home::new();
    let engine = home.open(options());
    let settings = CommitSettings {
        policy: CommitPolicy::AckN(1),
        soft_target_lsn: at(7).get(),
        ..CommitSettings::default()
    };
    engine.replicas().configure(settings).unwrap();
    slot_at(&engine, "r", SlotStart::Head);
    let stream = home.subscribe(&engine, "r", Lsn::ZERO).unwrap();
    let flow = || engine.replicas().observe(engine.head());
    let publish = |n| {
        let mut batch = engine.batch(Moment::at_ms(1));
        batch.push_at(at(n), &[insert("t", n)]).unwrap();
        engine.publish(batch)
    };
    for n in 1..=8 {
        assert!(!flow().is_throttled(), "before publish {n}");
        publish(n).unwrap();
    }
    assert!(flow().is_throttled());
    assert_eq!(flow().lag(), at(8).get());
    let refused = publish(9).unwrap_err();
    assert!(
        matches!(refused, PublishError::Throttled { lag } if lag == at(8).get()),
        "{refused}"
    );
    assert_eq!(engine.head(), at(8), "nothing was stored");
    let progress = pgspool::wire::Progress {
        write: at(8),
        flush: at(8),
        apply: at(8),
    };
    stream.note_sent(at(8), Moment::at_ms(2));
    assert!(flow().is_throttled(), "sent is not applied");
    stream.acknowledge(progress, Moment::at_ms(2)).unwrap();
    assert_eq!((flow().is_throttled(), flow().lag()), (false, 0));
    publish(9).unwrap();
}

#[test]
fn r82_writes_return_opaque_bookmark_with_term_and_commit_lsn() {
    let home = Home::new();
    let engine = home.open(options());
    engine.adopt_term(7).unwrap();
    let published = home.publish(&engine, &[insert("t", 1)]);
    let token = engine.bookmark(published.last_lsn).to_string();
    assert!(token.starts_with("rbm1."), "{token}");
    let decoded: pgspool::replicas::Bookmark = token.parse().unwrap();
    assert_eq!((decoded.term, decoded.commit_lsn), (7, engine.head()));
    assert_eq!(home.records(&engine, Lsn::ZERO)[0].term, 7);
}

#[test]
fn r85_tail_follow_waits_and_resumes_from_the_slot() {
    let home = Home::new();
    let engine = home.open(options());
    append(&engine, 1, 3);
    slot_at(&engine, "tail", SlotStart::Head);
    let mut stream = home.subscribe(&engine, "tail", Lsn::ZERO).unwrap();
    let slot = stream.start();
    assert_eq!(slot, at(3));
    assert!(
        !stream
            .wait_after(slot)
            .wait_timeout(Duration::from_millis(40))
    );
    let first = home.publish(&engine, &[insert("t", 1)]).last_lsn;
    assert!(stream.wait_after(slot).wait_timeout(Duration::from_secs(2)));
    assert_eq!(lsns(&engine_support::drain(&mut stream.cursor)), [first]);
    let progress = pgspool::wire::Progress {
        write: first,
        flush: first,
        apply: first,
    };
    stream.note_sent(progress.flush, Moment::at_ms(2));
    let lag = || engine.replicas().progress().map(|progress| progress.lag);
    assert!(lag() > Some(0), "sent, not applied");
    stream.acknowledge(progress, Moment::at_ms(2)).unwrap();
    assert_eq!(lag(), Some(0));
    drop(stream);
    let second = home.publish(&engine, &[insert("t", 2)]).last_lsn;
    let mut stream = home.subscribe(&engine, "tail", Lsn::ZERO).unwrap();
    assert_eq!(lsns(&engine_support::drain(&mut stream.cursor)), [second]);
}

#[test]
fn r88_snapshot_surfaces_slot_invalidation_reason() {
    let home = Home::new();
    let mut capped = options();
    capped.limits.max_lag_lsn = 3 * 64;
    let engine = home.open(capped);
    slot_at(&engine, "slow", SlotStart::Head);
    append(&engine, 1, 4);
    engine.enforce_retention(Moment::at_ms(0)).unwrap();
    let slots = engine.snapshot().slots;
    assert_eq!(slots[0].invalidation.unwrap().cause.as_str(), "horizon");
}
