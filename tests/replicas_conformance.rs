//! RedDB's registry, commit waiter, policy, quorum, flow control and bookmark rows, and the
//! weaknesses there that must not come back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use pgspool::clock::Moment;
use pgspool::disk::{Disk, FakeDisk};
use pgspool::lsn::Lsn;
use pgspool::replicas::{
    AppliedTracker, Bookmark, BookmarkError, CommitOutcome, CommitPolicy, CommitSettings,
    CommitSettingsError, CommitWaiter, ConfirmLevel, Confirmed, Gap, ParseBookmarkError,
    QuorumMode, QuorumTimeout, QuorumUnmet, Replicas, ReplicationProgress, Requirement,
    UnknownReplica, quorum,
};
use pgspool::slots::{NewSlot, SlotLimits, SlotName, SlotStore};

fn lsn(value: u64) -> Lsn {
    Lsn::new(value)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Moment {
    Moment::at_ms(ms)
}

fn regions(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn with_quorum(mode: QuorumMode) -> Replicas {
    with_flow(mode, 0)
}

fn with_flow(quorum: QuorumMode, soft_target_lsn: u64) -> Replicas {
    let replicas = Replicas::new(1);
    configure(&replicas, quorum, soft_target_lsn);
    replicas
}

fn configure(replicas: &Replicas, quorum: QuorumMode, soft_target_lsn: u64) {
    replicas
        .configure(CommitSettings {
            policy: CommitPolicy::Quorum,
            quorum,
            timeout: None,
            soft_target_lsn,
            ..CommitSettings::default()
        })
        .unwrap();
}

fn sync(min_replicas: u32) -> QuorumMode {
    QuorumMode::Sync { min_replicas }
}

fn us_eu() -> QuorumMode {
    QuorumMode::Regions(regions(&["us", "eu"]))
}

fn join(replicas: &Replicas, id: &str, region: Option<&str>, applied: u64) {
    replicas.register(id, region, lsn(0), at(0));
    ack(replicas, id, applied, applied);
}

fn ack(replicas: &Replicas, id: &str, applied: u64, durable: u64) {
    replicas
        .acknowledge(id, lsn(applied), lsn(durable), at(0))
        .unwrap();
}

fn wait(replicas: &Replicas, target: u64, timeout_ms: u64) -> CommitOutcome {
    replicas.wait_released_blocking(lsn(target), ms(timeout_ms))
}

fn await_acks(waiter: &CommitWaiter, target: u64, n: u32, timeout_ms: u64) -> CommitOutcome {
    waiter.await_acks(lsn(target), n, ms(timeout_ms))
}

fn record(waiter: &CommitWaiter, id: &str, durable: u64) {
    waiter.record_ack(id, None, lsn(durable));
}

const fn timed_out(observed: usize, required: usize) -> CommitOutcome {
    CommitOutcome::TimedOut { observed, required }
}

#[test]
fn r03_topology_epoch_monotonic_on_register_and_unregister() {
    let replicas = Replicas::new(1);
    let mut epochs = vec![replicas.epoch()];
    replicas.register("r1", None, lsn(0), at(0));
    epochs.push(replicas.epoch());
    replicas.register("r2", None, lsn(0), at(0));
    epochs.push(replicas.epoch());
    assert!(replicas.unregister("r1"));
    epochs.push(replicas.epoch());
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(!replicas.unregister("ghost"));
    assert_eq!(replicas.epoch(), epochs[3]);
}

#[test]
fn r04_register_replica_is_idempotent_on_reconnect() {
    let replicas = Replicas::new(1);
    replicas.register("r1", None, lsn(0), at(0));
    replicas.note_sent("r1", lsn(42), at(1));
    ack(&replicas, "r1", 40, 40);
    let epoch = replicas.epoch();
    assert_eq!(replicas.register("r1", None, lsn(40), at(2)), lsn(40));
    assert_eq!(replicas.epoch(), epoch);
    let all = replicas.snapshot();
    assert_eq!(all.len(), 1);
    let known = &all[0];
    assert_eq!(
        (known.sent_lsn, known.applied_lsn, known.durable_lsn),
        (lsn(42), lsn(40), lsn(40))
    );
}

#[test]
fn r14_ensure_replica_registered_self_registers_then_is_a_noop() {
    let replicas = Replicas::new(1);
    assert!(replicas.ensure_registered("r1", None, lsn(0), at(0)));
    assert_eq!(replicas.snapshot().len(), 1);
    replicas.note_sent("r1", lsn(7), at(1));
    let epoch = replicas.epoch();
    assert!(!replicas.ensure_registered("r1", Some("eu"), lsn(0), at(9)));
    let all = replicas.snapshot();
    assert_eq!((all.len(), replicas.epoch()), (1, epoch));
    assert_eq!(all[0].sent_lsn, lsn(7));
    assert_eq!((all[0].last_seen, all[0].region.as_deref()), (at(1), None));
}

#[test]
fn r15_replication_progress_uses_sent_applied_and_durable_registry_lsns() {
    let replicas = Replicas::new(1);
    assert_eq!(replicas.progress(), None);
    for (id, applied, sent, durable) in [("fast", 90, 120, 80), ("slow", 70, 100, 60)] {
        replicas.register(id, None, lsn(0), at(0));
        replicas.note_sent(id, lsn(sent), at(0));
        ack(&replicas, id, applied, durable);
    }
    let wanted = ReplicationProgress {
        lag: 50,
        safe_replay_lsn: lsn(60),
    };
    assert_eq!(replicas.progress(), Some(wanted));
}

#[test]
fn rebootstrapping_moves_the_epoch_only_when_it_changes() {
    let replicas = Replicas::new(1);
    assert!(!replicas.set_rebootstrapping("r1", true));
    replicas.register("r1", None, lsn(0), at(0));
    let epoch = replicas.epoch();
    for (flag, moved) in [(false, 0), (true, 1), (true, 1), (false, 2)] {
        assert!(replicas.set_rebootstrapping("r1", flag));
        assert_eq!(replicas.epoch(), epoch + moved);
        assert_eq!(replicas.snapshot()[0].rebootstrapping, flag);
    }
}

#[test]
fn r31_required_zero_is_immediate_no_op() {
    let waiter = CommitWaiter::new();
    let started = Instant::now();
    assert_eq!(
        await_acks(&waiter, 100, 0, 60_000),
        CommitOutcome::NotRequired
    );
    assert!(started.elapsed() < ms(50_000));
}

#[test]
fn r32_reaches_threshold_with_existing_acks() {
    let waiter = CommitWaiter::new();
    record(&waiter, "a", 200);
    record(&waiter, "b", 200);
    assert_eq!(await_acks(&waiter, 150, 2, 10), CommitOutcome::Reached(2));
}

#[test]
fn r33_commit_watermark_is_nth_highest_durable_lsn() {
    let waiter = CommitWaiter::new();
    for (id, durable) in [("a", 10), ("b", 30), ("c", 20)] {
        record(&waiter, id, durable);
    }
    let watermarks: Vec<_> = (0..=4).map(|n| waiter.watermark(n).get()).collect();
    assert_eq!(watermarks, [0, 30, 20, 10, 0]);
    record(&waiter, "b", 15);
    assert_eq!(waiter.watermark(2), lsn(20));
}

#[test]
fn r34_times_out_when_no_one_has_acked() {
    let waiter = CommitWaiter::new();
    record(&waiter, "a", 100);
    assert_eq!(await_acks(&waiter, 500, 1, 20), timed_out(0, 1));
}

#[test]
fn r35_ack_arriving_during_wait_unblocks_caller() {
    let waiter = CommitWaiter::new();
    let waiting = {
        let waiter = waiter.clone();
        thread::spawn(move || await_acks(&waiter, 1000, 1, 60_000))
    };
    sleep(ms(50));
    record(&waiter, "late", 1000);
    assert_eq!(waiting.join().unwrap(), CommitOutcome::Reached(1));
}

#[test]
fn r36_ack_idempotent_does_not_double_count() {
    let waiter = CommitWaiter::new();
    (0..3).for_each(|_| record(&waiter, "a", 50));
    assert_eq!(await_acks(&waiter, 50, 1, 5), CommitOutcome::Reached(1));
    assert_eq!(await_acks(&waiter, 50, 2, 20), timed_out(1, 2));
}

#[test]
fn r37_ack_only_advances_lsn_forward() {
    let waiter = CommitWaiter::new();
    record(&waiter, "a", 200);
    record(&waiter, "a", 100);
    assert_eq!(waiter.snapshot(), vec![("a".to_owned(), lsn(200))]);
}

#[test]
fn r38_drop_replica_removes_from_count() {
    let waiter = CommitWaiter::new();
    record(&waiter, "a", 100);
    record(&waiter, "b", 100);
    waiter.drop_member("a");
    assert_eq!(await_acks(&waiter, 100, 2, 20), timed_out(1, 2));
}

#[test]
fn r39_metrics_count_each_outcome_kind() {
    let waiter = CommitWaiter::new();
    await_acks(&waiter, 1, 0, 1);
    assert_eq!(waiter.metrics().last_wait_micros, 0);
    await_acks(&waiter, 1, 1, 1);
    record(&waiter, "a", 1);
    await_acks(&waiter, 1, 1, 1);
    let metrics = waiter.metrics();
    assert_eq!(
        (metrics.reached, metrics.timed_out, metrics.not_required),
        (1, 1, 1)
    );
    assert!(metrics.last_wait_micros > 0);
}

#[test]
fn r40_default_is_local() {
    assert_eq!(CommitPolicy::default(), CommitPolicy::Local);
    assert_eq!(CommitSettings::default().policy, CommitPolicy::Local);
    assert_eq!(CommitSettings::default().wait_at_most(), None);
}

#[test]
fn r41_parse_known_values() {
    for (text, policy) in [
        ("local", CommitPolicy::Local),
        (" LOCAL ", CommitPolicy::Local),
        ("remote_wal", CommitPolicy::RemoteWal),
        ("quorum", CommitPolicy::Quorum),
        ("ack_n=3", CommitPolicy::AckN(3)),
        ("ack_n=0", CommitPolicy::AckN(0)),
    ] {
        assert_eq!(text.parse(), Ok(policy), "{text}");
    }
}

#[test]
fn r42_empty_is_local_and_nothing_else_falls_back() {
    assert_eq!("".parse(), Ok(CommitPolicy::Local));
    for text in ["nonsense", "ack_n=abc"] {
        assert!(text.parse::<CommitPolicy>().is_err(), "{text}");
    }
}

#[test]
fn r124_strict_parse_rejects_unknown_values() {
    for text in [
        "nonsense",
        "ack_n",
        "ack_n=",
        "ack_n=+1",
        "ack_n=-1",
        "ack_n=4294967296",
        "ack_n = 1",
        "quorum=2",
    ] {
        assert!(text.parse::<CommitPolicy>().is_err(), "{text}");
    }
}

#[test]
fn r43_label_round_trips_known_values() {
    for (policy, label) in [
        (CommitPolicy::Local, "local"),
        (CommitPolicy::RemoteWal, "remote_wal"),
        (CommitPolicy::AckN(5), "ack_n"),
        (CommitPolicy::Quorum, "quorum"),
    ] {
        assert_eq!(policy.label(), label);
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
}

#[test]
fn r44_ack_n_times_out_when_no_replica_acks() {
    let replicas = Replicas::new(1);
    let settings = CommitSettings {
        policy: CommitPolicy::AckN(1),
        ..CommitSettings::default()
    };
    assert_eq!(settings.wait_at_most(), Some(ms(5_000)));
    replicas.configure(settings).unwrap();
    assert_eq!(wait(&replicas, 100, 20), timed_out(0, 1));
    let metrics = replicas.wait_metrics();
    assert_eq!((metrics.reached, metrics.timed_out), (0, 1));
}

#[test]
fn r45_late_ack_does_not_retroactively_unblock_prior_waiter() {
    let waiter = CommitWaiter::new();
    let first = {
        let waiter = waiter.clone();
        thread::spawn(move || await_acks(&waiter, 50, 1, 20))
    };
    assert_eq!(first.join().unwrap(), timed_out(0, 1));
    record(&waiter, "late", 50);
    assert_eq!(await_acks(&waiter, 50, 1, 20), CommitOutcome::Reached(1));
    let metrics = waiter.metrics();
    assert_eq!((metrics.reached, metrics.timed_out), (1, 1));
}

#[test]
fn r46_ack_n_requires_distinct_replicas_not_duplicate_acks() {
    let waiter = CommitWaiter::new();
    (0..3).for_each(|_| record(&waiter, "solo", 100));
    assert_eq!(await_acks(&waiter, 100, 2, 20), timed_out(1, 2));
}

#[test]
fn r47_async_mode_returns_immediately() {
    let replicas = with_quorum(QuorumMode::Async);
    assert_eq!(wait(&replicas, 42, 60_000), CommitOutcome::NotRequired);
    assert!(replicas.is_released(lsn(42)));
}

#[test]
fn r48_sync_mode_fails_when_too_few_replicas() {
    let replicas = with_quorum(sync(2));
    let unmet = QuorumUnmet::InsufficientReplicas {
        required: 2,
        connected: 0,
    };
    assert_eq!(wait(&replicas, 1, 60_000), CommitOutcome::Unmet(unmet));
}

#[test]
fn r49_sync_mode_returns_when_enough_acks() {
    let replicas = with_quorum(sync(2));
    join(&replicas, "r1", None, 10);
    join(&replicas, "r2", None, 10);
    assert_eq!(wait(&replicas, 10, 500), CommitOutcome::Reached(2));
}

#[test]
fn r50_region_mode_needs_all_regions_acked() {
    let replicas = with_quorum(us_eu());
    replicas.register("us_a", Some("us"), lsn(0), at(0));
    replicas.register("eu_a", Some("eu"), lsn(0), at(0));
    ack(&replicas, "us_a", 50, 50);
    assert!(!replicas.is_released(lsn(50)));
    ack(&replicas, "eu_a", 50, 50);
    assert!(replicas.is_released(lsn(50)));
}

#[test]
fn r51_region_mode_requires_durable_lsn_for_watermark() {
    let replicas = with_quorum(us_eu());
    replicas.register("us_a", Some("us"), lsn(0), at(0));
    replicas.register("eu_a", Some("eu"), lsn(0), at(0));
    ack(&replicas, "us_a", 50, 50);
    ack(&replicas, "eu_a", 50, 40);
    assert!(!replicas.is_released(lsn(50)));
    assert_eq!(replicas.released_lsn(), lsn(40));
    ack(&replicas, "eu_a", 50, 50);
    assert!(replicas.is_released(lsn(50)));
    assert_eq!(replicas.released_lsn(), lsn(50));
}

#[test]
fn r52_region_mode_wait_wakes_on_durable_ack() {
    let replicas = with_quorum(us_eu());
    replicas.register("us_a", Some("us"), lsn(0), at(0));
    replicas.register("eu_a", Some("eu"), lsn(0), at(0));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&replicas, 75, 60_000));
        sleep(ms(20));
        ack(&replicas, "us_a", 75, 75);
        ack(&replicas, "eu_a", 75, 75);
        assert_eq!(waiting.join().unwrap(), CommitOutcome::Reached(2));
    });
}

#[test]
fn r53_region_mode_rejects_missing_regions_upfront() {
    let replicas = with_quorum(us_eu());
    join(&replicas, "us_a", Some("us"), 1);
    let unmet = QuorumUnmet::MissingRegions {
        missing: vec!["eu".to_owned()],
    };
    assert_eq!(wait(&replicas, 1, 60_000), CommitOutcome::Unmet(unmet));
}

#[test]
fn r54_safe_replay_lsn_is_min_across_replicas() {
    let replicas = Replicas::new(1);
    join(&replicas, "r1", None, 100);
    join(&replicas, "r2", None, 50);
    assert_eq!(replicas.progress().unwrap().safe_replay_lsn, lsn(50));
}

#[test]
fn r55_async_mode_classifies_no_replica_in_quorum() {
    assert!(!quorum::in_quorum(&QuorumMode::Async, Some("us")));
}

#[test]
fn r56_sync_mode_classifies_every_replica_in_quorum() {
    assert!(quorum::in_quorum(&sync(2), None));
    assert!(quorum::in_quorum(&sync(2), Some("eu")));
}

#[test]
fn r57_regions_mode_classifies_only_required_regions_in_quorum() {
    let inside = |region| quorum::in_quorum(&us_eu(), region);
    assert!(inside(Some("us")) && inside(Some("eu")));
    assert!(!inside(Some("ap")) && !inside(None));
}

#[test]
fn r58_disabled_controller_never_throttles() {
    let replicas = with_flow(sync(1), 0);
    join(&replicas, "r1", None, 0);
    assert!(replicas.admit(lsn(1_000_000)).is_ok());
    assert!(!replicas.observe(lsn(1_000_000)).is_throttled());
}

#[test]
fn r59_engages_when_in_quorum_replica_exceeds_soft_target() {
    let replicas = with_flow(sync(1), 100);
    join(&replicas, "r1", None, 350);
    let throttled = replicas.admit(lsn(500)).unwrap_err();
    assert_eq!((throttled.lag, throttled.soft_target), (150, 100));
}

#[test]
fn r60_releases_when_in_quorum_replica_recovers() {
    let replicas = with_flow(sync(1), 100);
    join(&replicas, "r1", None, 350);
    assert!(replicas.admit(lsn(500)).is_err());
    ack(&replicas, "r1", 450, 450);
    assert!(replicas.admit(lsn(500)).is_ok());
    let flow = replicas.observe(lsn(500));
    assert_eq!((flow.lag(), flow.is_throttled()), (50, false));
}

#[test]
fn r61_at_soft_target_boundary_does_not_throttle() {
    let replicas = with_flow(sync(1), 100);
    join(&replicas, "r1", None, 400);
    assert!(replicas.admit(lsn(500)).is_ok());
}

#[test]
fn r62_async_read_replica_lag_never_engages_throttling() {
    let replicas = with_flow(QuorumMode::Regions(regions(&["us"])), 100);
    join(&replicas, "us", Some("us"), 500);
    join(&replicas, "ap", Some("ap"), 0);
    assert!(replicas.admit(lsn(500)).is_ok());
    assert_eq!(replicas.observe(lsn(500)).lag(), 0);
}

#[test]
fn r63_in_quorum_replica_still_throttles_with_async_replica_present() {
    let replicas = with_flow(QuorumMode::Regions(regions(&["us"])), 100);
    join(&replicas, "us", Some("us"), 300);
    join(&replicas, "ap", Some("ap"), 500);
    assert_eq!(replicas.admit(lsn(500)).unwrap_err().lag, 200);
}

#[test]
fn r64_configure_soft_target_zero_releases_throttle() {
    let replicas = with_flow(sync(1), 100);
    join(&replicas, "r1", None, 0);
    assert!(replicas.admit(lsn(500)).is_err());
    configure(&replicas, sync(1), 0);
    assert!(replicas.admit(lsn(500)).is_ok());
    assert!(!replicas.observe(lsn(500)).is_throttled());
}

#[test]
fn r65_no_in_quorum_replicas_never_throttles() {
    let replicas = with_flow(QuorumMode::Regions(regions(&["us"])), 10);
    join(&replicas, "ap", Some("ap"), 0);
    assert!(replicas.admit(lsn(1000)).is_ok());
    assert_eq!(replicas.observe(lsn(1000)).lag(), 0);
}

#[test]
fn r66_flow_control_throttles_on_in_quorum_lag_and_releases_on_recovery() {
    let replicas = with_flow(sync(1), 2);
    replicas.register("r1", None, lsn(0), at(0));
    let head = lsn(8);
    assert!(replicas.admit(lsn(2)).is_ok());
    assert!(replicas.admit(head).unwrap_err().lag > 2);
    assert!(replicas.observe(head).is_throttled());
    ack(&replicas, "r1", 8, 8);
    let flow = replicas.observe(head);
    assert!(!flow.is_throttled());
    assert!(replicas.admit(head).is_ok());
}

#[test]
fn r82_writes_return_opaque_bookmark_with_term_and_commit_lsn() {
    let bookmark = Bookmark {
        term: 7,
        commit_lsn: lsn(0x100_0040),
    };
    let token = bookmark.to_string();
    assert!(token.starts_with("rbm1."));
    assert_eq!(token.parse(), Ok(bookmark));
}

#[test]
fn r84_bookmark_wait_uses_contiguous_applied_lsn_not_gappy_received_frontier() {
    let mark = |commit| Bookmark {
        term: 1,
        commit_lsn: lsn(commit),
    };
    let follower = AppliedTracker::starting_at(mark(0));
    let apply = |n: u64| follower.apply(lsn(n - 1), mark(n));
    apply(1).unwrap();
    let gap = Gap {
        applied: lsn(1),
        after: lsn(4),
        next: lsn(5),
    };
    assert_eq!(apply(5), Err(gap));
    assert_eq!((follower.received(), follower.applied()), (lsn(5), mark(1)));
    assert_eq!(
        follower.wait_blocking(mark(5), ms(25)),
        Err(BookmarkError::Timeout {
            target: mark(5),
            applied: mark(1)
        })
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| follower.wait_blocking(mark(5), ms(60_000)));
        (2..=5).for_each(|n| apply(n).unwrap());
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    apply(3).unwrap();
    assert_eq!(follower.applied(), mark(5));
    let before_failover = Bookmark {
        term: 2,
        commit_lsn: lsn(5),
    };
    assert!(matches!(
        follower.wait_blocking(before_failover, ms(1)),
        Err(BookmarkError::TermMismatch { .. })
    ));
}

#[test]
fn rg14_bookmark_sample_and_refusals_in_order() {
    let sample = Bookmark {
        term: 0x12,
        commit_lsn: lsn(0x345),
    };
    let token = "rbm1.00000000000000120000000000000345";
    assert_eq!(sample.to_string(), token);
    assert_eq!(token.parse(), Ok(sample));
    let upper = "rbm1.000000000000001200000000000003AB";
    assert_eq!(upper.parse::<Bookmark>().unwrap().commit_lsn, lsn(0x3AB));
    for (text, error) in [
        ("", ParseBookmarkError::InvalidPrefix),
        ("rbm2.", ParseBookmarkError::InvalidPrefix),
        ("rbm1.", ParseBookmarkError::InvalidLength),
        ("rbm1.zz", ParseBookmarkError::InvalidLength),
        (
            "rbm1.0000000000000012000000000000034g",
            ParseBookmarkError::InvalidHex,
        ),
        // 32 bytes, and no character begins at the sixteenth.
        (
            "rbm1.000000000000000é000000000000000",
            ParseBookmarkError::InvalidHex,
        ),
    ] {
        assert_eq!(text.parse::<Bookmark>(), Err(error), "{text}");
    }
}

#[test]
fn w18_concurrent_registrations_make_one_entry_and_one_epoch_step() {
    let replicas = Replicas::new(3);
    let epoch = replicas.epoch();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| replicas.ensure_registered("r1", None, lsn(1), at(0)));
        }
    });
    assert_eq!(replicas.snapshot().len(), 1);
    assert_eq!(replicas.epoch(), epoch + 1);
    assert_eq!(
        replicas.acknowledge("ghost", lsn(9), lsn(9), at(0)),
        Err(UnknownReplica("ghost".to_owned()))
    );
    assert_eq!(replicas.snapshot().len(), 1);
}

#[test]
fn w18_acknowledgement_after_leaving_confirms_nothing() {
    let replicas = with_quorum(sync(1));
    join(&replicas, "r1", None, 5);
    assert!(replicas.is_released(lsn(5)));
    replicas.unregister("r1");
    assert!(replicas.acknowledge("r1", lsn(9), lsn(9), at(0)).is_err());
    assert_eq!(replicas.released_lsn(), lsn(0));
}

#[test]
fn w27_an_ack_wakes_only_those_it_confirms_and_waiting_needs_no_thread() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .map(Iterator::count)
            .unwrap_or(0)
    };
    let replicas = with_quorum(sync(1));
    join(&replicas, "r1", None, 0);
    let threads_before = threads();
    let mut waits: Vec<_> = (1..=1000)
        .map(|target| {
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let mut wait = replicas.wait_released(lsn(target * 10));
            let waker = Waker::from(Arc::clone(&count));
            let mut context = Context::from_waker(&waker);
            assert!(Pin::new(&mut wait).poll(&mut context).is_pending());
            (wait, count)
        })
        .collect();
    // Other tests of this program come and go meanwhile; a thread a waiter would be a thousand.
    assert!(threads() < threads_before + 100);
    ack(&replicas, "r1", 35, 35);
    let woken = |waits: &[(pgspool::replicas::CommitWait, Arc<Count>)]| {
        let woken = waits
            .iter()
            .map(|(_, count)| count.0.load(Ordering::Relaxed));
        woken.sum::<usize>()
    };
    assert_eq!(woken(&waits), 3);
    ack(&replicas, "r1", 20, 20);
    assert_eq!(woken(&waits), 3);
    let (first, _) = &mut waits[0];
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(
        Pin::new(first).poll(&mut context),
        Poll::Ready(CommitOutcome::Reached(1))
    );
    drop(waits);
    ack(&replicas, "r1", 99_999, 99_999);
}

#[test]
fn w30_absurd_acknowledgement_counts_as_what_was_sent() {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    let slots = SlotStore::open(Arc::new(disk), Path::new("d/slots.json"), at(0)).unwrap();
    let name = SlotName::parse("r1").unwrap();
    let new = NewSlot {
        name: name.clone(),
        plugin: "json".to_owned(),
        start: lsn(0),
        temporary: None,
        two_phase: false,
        owner: None,
    };
    slots.create(new, &SlotLimits::default(), at(0)).unwrap();
    let replicas = with_quorum(sync(1));
    replicas.register("r1", None, lsn(0), at(0));
    replicas.note_sent("r1", lsn(7), at(0));
    let (applied, durable) = replicas.clamp_to_sent("r1", Lsn::MAX, Lsn::MAX).unwrap();
    slots.advance(&name, applied, durable, at(0)).unwrap();
    replicas.acknowledge("r1", applied, durable, at(0)).unwrap();
    assert_eq!(slots.slot(&name).unwrap().restart_lsn, lsn(7));
    assert_eq!(replicas.released_lsn(), lsn(7));
    assert_eq!(wait(&replicas, 8, 5), timed_out(0, 1));
    assert!(replicas.clamp_to_sent("ghost", lsn(1), lsn(1)).is_err());
}

#[test]
fn w31_new_member_counts_for_nothing_before_its_first_ack() {
    for mode in [sync(1), QuorumMode::Regions(regions(&["eu"]))] {
        let replicas = with_quorum(mode);
        replicas.register("empty", Some("eu"), lsn(100), at(0));
        assert_eq!(replicas.snapshot()[0].durable_lsn, lsn(100));
        assert_eq!(replicas.released_lsn(), lsn(0));
        assert_eq!(wait(&replicas, 50, 5), timed_out(0, 1));
        // Its word counts as far as it goes, not as far as its slot.
        ack(&replicas, "empty", 60, 40);
        assert_eq!(wait(&replicas, 50, 5), timed_out(0, 1));
        ack(&replicas, "empty", 60, 50);
        assert_eq!(wait(&replicas, 50, 5), CommitOutcome::Reached(1));
    }
}

#[test]
fn w32_throttle_engages_and_releases_without_ack_or_scrape() {
    let replicas = with_flow(sync(1), 2);
    replicas.register("r1", None, lsn(0), at(0));
    replicas.register("r2", None, lsn(0), at(900));
    assert!(replicas.admit(lsn(8)).is_err());
    ack(&replicas, "r2", 8, 8);
    assert!(replicas.admit(lsn(8)).is_err());
    assert_eq!(replicas.expire(at(1000), ms(999)), ["r1"]);
    assert!(replicas.admit(lsn(8)).is_ok());
    assert!(replicas.admit(lsn(80)).is_err());
    replicas.unregister("r2");
    assert!(replicas.admit(lsn(80)).is_ok());
}

#[test]
fn w34_policies_that_confirm_nothing_are_refused() {
    let replicas = Replicas::new(1);
    let refused = |policy, quorum| {
        let settings = CommitSettings {
            policy,
            quorum,
            ..CommitSettings::default()
        };
        replicas.configure(settings).unwrap_err()
    };
    assert_eq!(
        refused(CommitPolicy::RemoteWal, QuorumMode::Async),
        CommitSettingsError::RemoteWal
    );
    assert_eq!(
        refused(CommitPolicy::Quorum, QuorumMode::Regions(BTreeSet::new())),
        CommitSettingsError::NoRegions
    );
    assert_eq!(replicas.settings(), CommitSettings::default());
}

#[test]
fn w35_timeout_is_an_end_of_its_own_and_the_wait_is_for_the_writers_lsn() {
    let replicas = with_quorum(us_eu());
    join(&replicas, "us_a", Some("us"), 70);
    join(&replicas, "eu_a", Some("eu"), 60);
    assert_eq!(wait(&replicas, 60, 5), CommitOutcome::Reached(2));
    assert_eq!(wait(&replicas, 65, 5), timed_out(1, 2));
    // Which regions those are is the wait's own: settings of later and other levels change nothing.
    replicas.register("eu_b", Some("eu"), lsn(0), at(0));
    let confirmed = Confirmed {
        write: lsn(75),
        flush: lsn(60),
        apply: lsn(60),
    };
    replicas.acknowledge_each("eu_b", confirmed, at(0)).unwrap();
    let mut at_write = replicas.wait_released_at(lsn(72), ConfirmLevel::Write);
    let mut at_flush = replicas.wait_released(lsn(65));
    configure(&replicas, QuorumMode::Sync { min_replicas: 1 }, 0);
    assert_eq!(at_flush.time_out(), timed_out(1, 2));
    assert_eq!(at_flush.regions().acked, ["us"]);
    assert_eq!(at_flush.regions().missing, ["eu"]);
    assert_eq!(at_write.time_out(), timed_out(1, 2));
    let regions = at_write.regions().clone();
    assert_eq!(
        (regions.acked.as_slice(), regions.missing.as_slice()),
        (&["eu".to_owned()][..], &["us".to_owned()][..])
    );
    let error = QuorumTimeout::new(lsn(72), (1, 2), ms(5), regions);
    assert!(error.to_string().contains("committed here"));
    configure(&replicas, QuorumMode::Async, 0);
    assert_eq!(wait(&replicas, 65, 5), CommitOutcome::NotRequired);
}

#[test]
fn w35_async_wait_that_times_out_says_so_once() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let replicas = Arc::new(with_quorum(sync(1)));
        join(&replicas, "r1", None, 5);
        assert_eq!(
            replicas.wait_released(lsn(5)).await,
            CommitOutcome::Reached(1)
        );
        let mut wait = replicas.wait_released(lsn(6));
        assert!(tokio::time::timeout(ms(5), &mut wait).await.is_err());
        assert_eq!(wait.time_out(), timed_out(0, 1));
        ack(&replicas, "r1", 6, 6);
        assert_eq!(wait.time_out(), timed_out(0, 1));
        let waiting = tokio::spawn(replicas.wait_released(lsn(7)));
        poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
        ack(&replicas, "r1", 7, 7);
        assert_eq!(waiting.await.unwrap(), CommitOutcome::Reached(1));
        let metrics = replicas.wait_metrics();
        assert_eq!((metrics.reached, metrics.timed_out), (2, 1));
    });
}

#[test]
fn w37_silent_replicas_leave_within_the_timeout() {
    let replicas = Replicas::new(1);
    replicas.register("a", None, lsn(0), at(0));
    replicas.register("b", None, lsn(0), at(0));
    replicas.note_sent("b", lsn(1), at(600));
    let epoch = replicas.epoch();
    // The wall clock may jump; only steady time counts.
    let jumped = Moment {
        unix_ms: 99_999_999,
        steady: ms(500),
    };
    assert!(replicas.expire(jumped, ms(500)).is_empty());
    assert_eq!(replicas.expire(at(501), ms(500)), ["a"]);
    assert_eq!(replicas.epoch(), epoch + 1);
    assert_eq!(replicas.snapshot().len(), 1);
}

#[test]
fn w38_epoch_after_restart_is_above_every_epoch_before() {
    let before = Replicas::new(1);
    for n in 0..1000 {
        before.register(&format!("r{n}"), None, lsn(0), at(0));
    }
    assert!(Replicas::new(2).epoch() > before.epoch());
}

#[test]
fn replicas_are_listed_in_the_order_of_their_registration() {
    let replicas = Replicas::new(1);
    for id in ["z", "a", "m"] {
        replicas.register(id, None, lsn(0), at(0));
    }
    replicas.unregister("a");
    replicas.register("a", None, lsn(0), at(0));
    let ids: Vec<_> = replicas.snapshot().into_iter().map(|r| r.id).collect();
    assert_eq!(ids, ["z", "m", "a"]);
}

#[test]
fn released_position_agrees_with_waits_under_random_acks() {
    let waiter = CommitWaiter::new();
    let two = Requirement::Count(2);
    let mut waits: Vec<_> = (1..=200)
        .map(|target| (target, waiter.wait(lsn(target), two.clone())))
        .collect();
    let mut state = 42_u64;
    for _ in 0..300 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let id = format!("r{}", (state >> 33) % 4);
        record(&waiter, &id, (state >> 40) % 200);
        let released = waiter.released_lsn(&two).get();
        let mut context = Context::from_waker(Waker::noop());
        waits.retain_mut(|(target, wait)| {
            let ready = Pin::new(wait).poll(&mut context).is_ready();
            assert_eq!(ready, *target <= released, "target {target}");
            !ready
        });
        assert_eq!(waiter.num_waiting(), waits.len());
    }
}
