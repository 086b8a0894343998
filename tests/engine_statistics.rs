//! What `pg_stat_replication` and `pg_stat_replication_slots` show, by a clock of the test's own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod engine_support;

use std::time::Duration;

use engine_support::{Home, at, options};
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::engine::{Engine, EngineOptions, SlotStart, Subscription};
use pgspool::lsn::Lsn;
use pgspool::replicas::{Lags, ReplicaSnapshot, ReplicaState};
use pgspool::slots::wal_status::WalStatus;
use pgspool::wire::Progress;

fn publish(engine: &Engine, lsn: Lsn) {
    let mut batch = engine.batch(Moment::at_ms(1));
    batch.push_at(lsn, &[ChangeRecord::insert("t", 1)]).unwrap();
    engine.publish(batch).unwrap();
}

fn ack(stream: &Subscription, write: u64, flush: u64, apply: u64, ms: u64) {
    let progress = Progress {
        write: at(write),
        flush: at(flush),
        apply: at(apply),
    };
    stream.acknowledge(progress, Moment::at_ms(ms)).unwrap();
}

fn shown(engine: &Engine) -> ReplicaSnapshot {
    engine.replicas().snapshot().remove(0)
}

const fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

#[test]
fn a_stream_is_shown_with_its_positions_its_lags_and_its_state() {
    let home = Home::new();
    let engine = home.open(options());
    engine_support::slot_at(&engine, "s", SlotStart::Head);
    let stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    let first = shown(&engine);
    assert_eq!((first.pid, first.application_name.as_str()), (1, "test"));
    assert_eq!(first.state, ReplicaState::Startup);
    assert_eq!((first.lags, first.reply_unix_ms), (Lags::default(), None));
    stream.note_state(ReplicaState::Streaming);
    publish(&engine, at(100));
    publish(&engine, at(200));
    stream.note_sent(at(100), Moment::at_ms(1000));
    stream.note_sent(at(200), Moment::at_ms(2000));
    ack(&stream, 200, 100, 50, 2500);
    let after = shown(&engine);
    assert_eq!(after.state.as_str(), "streaming");
    assert_eq!(
        [
            after.sent_lsn,
            after.written_lsn,
            after.durable_lsn,
            after.applied_lsn
        ],
        [at(200), at(200), at(100), at(50)]
    );
    assert_eq!(after.reply_unix_ms, Some(2500));
    let lags = Lags {
        write: ms(500),
        flush: ms(1500),
        apply: ms(1500),
    };
    assert_eq!(after.lags, lags);
    // Caught up and idle: nothing to show.
    ack(&stream, 200, 200, 200, 2600);
    ack(&stream, 200, 200, 200, 9000);
    assert_eq!(shown(&engine).lags, Lags::default());
}

#[test]
fn what_a_client_claims_beyond_what_it_was_sent_is_not_shown() {
    let home = Home::new();
    let engine = home.open(options());
    engine_support::slot_at(&engine, "s", SlotStart::Head);
    let stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    publish(&engine, at(100));
    stream.note_sent(at(100), Moment::at_ms(1));
    ack(&stream, 900, 900, 900, 2);
    let shown = shown(&engine);
    assert_eq!(
        [shown.written_lsn, shown.durable_lsn, shown.applied_lsn],
        [at(100); 3]
    );
}

#[test]
fn slots_count_what_was_sent_and_can_be_set_back() {
    let home = Home::new();
    let engine = home.open(options());
    engine_support::slot_at(&engine, "s", SlotStart::Head);
    let stream = home.subscribe(&engine, "s", Lsn::ZERO).unwrap();
    stream.count_sent(2, 300);
    stream.count_sent(1, 30);
    let stats = || engine.slot_stats().remove(0).1;
    assert_eq!((stats().total_txns, stats().total_bytes), (3, 330));
    let name = home.name("s");
    engine
        .reset_slot_stats(Some(&name), Moment::at_ms(77))
        .unwrap();
    assert_eq!(
        (stats().total_txns, stats().stats_reset_unix_ms),
        (0, Some(77))
    );
    assert!(
        engine
            .reset_slot_stats(Some(&home.name("t")), Moment::at_ms(78))
            .is_err()
    );
}

/// The status warns before the limit, and says lost after it.
#[test]
fn the_status_of_a_slot_follows_the_limits_of_the_engine() {
    let home = Home::new();
    let mut limited = EngineOptions {
        wal_keep_size: 0,
        ..options()
    };
    limited.limits.max_lag_lsn = 64 * 100;
    let engine = home.open(limited);
    engine_support::slot_at(&engine, "s", SlotStart::Head);
    let status = || {
        let slots = engine.snapshot().slots;
        let shown = engine.availability(&slots).remove(0);
        (shown.status, shown.safe_wal_size)
    };
    assert_eq!(status(), (WalStatus::Reserved, Some(6400)));
    publish(&engine, at(60));
    assert_eq!(status(), (WalStatus::Reserved, Some(64 * 40)));
    publish(&engine, at(101));
    assert_eq!(status(), (WalStatus::Unreserved, Some(-64)));
    engine.enforce_retention(Moment::at_ms(9)).unwrap();
    assert_eq!(status(), (WalStatus::Lost, None));
}
