//! RedDB's resume rows, and the weaknesses of its planner that must not come back.
//!
//! Rows speak of the oldest dense LSN; here that is `removed_through` plus one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pgspool::clock::Moment;
use pgspool::disk::{Disk, FakeDisk};
use pgspool::lsn::Lsn;
use pgspool::resume::{ResumeCounters, ResumePlan, ResumeRequest, plan_resume, start_at_most_head};
use pgspool::slots::{InvalidationCause, NewSlot, SlotLimits, SlotName, SlotSnapshot, SlotStore};

fn lsn(value: u64) -> Lsn {
    Lsn::new(value)
}

fn name(text: &str) -> SlotName {
    SlotName::parse(text).unwrap()
}

fn store() -> SlotStore {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    SlotStore::open(Arc::new(disk), Path::new("d/slots.json"), Moment::at_ms(0)).unwrap()
}

fn create(store: &SlotStore, text: &str, start: u64) -> SlotSnapshot {
    let new = NewSlot {
        name: name(text),
        plugin: "json".to_owned(),
        start: lsn(start),
        temporary: None,
        two_phase: false,
        owner: None,
    };
    store
        .create(new, &SlotLimits::default(), Moment::at_ms(0))
        .unwrap()
}

/// `oldest` as RedDB's rows give it.
fn plan(slot: Option<&SlotSnapshot>, since: u64, oldest: u64) -> ResumePlan {
    plan_resume(ResumeRequest {
        slot,
        since: lsn(since),
        removed_through: lsn(oldest - 1),
    })
}

fn partial(at: u64) -> ResumePlan {
    ResumePlan::PartialResync {
        resume_lsn: lsn(at),
    }
}

fn full_cause(plan: ResumePlan) -> Option<InvalidationCause> {
    match plan {
        ResumePlan::PartialResync { .. } => None,
        ResumePlan::FullRebootstrap { cause, .. } => Some(cause),
    }
}

#[test]
fn r07_bootstrap_slot_pin_prevents_wal_removed_rebootstrap_after_prune() {
    let store = store();
    let slot = create(&store, "bootstrapping", 5);
    assert_eq!(plan(Some(&slot), 0, 6), partial(5));
}

#[test]
fn r10_slot_invalidation_cause_codes_cover_wal_removed() {
    let store = store();
    let slot = create(&store, "wal", 0);
    let planned = plan(Some(&slot), 0, 2);
    assert_eq!(
        planned,
        ResumePlan::FullRebootstrap {
            cause: InvalidationCause::WalRemoved,
            floor: lsn(0),
            removed_through: lsn(1),
            invalidate_slot: true,
        }
    );
    // Carried out, it stays so, and is not to be carried out again.
    let cause = full_cause(planned).unwrap();
    assert!(
        store
            .invalidate(&name("wal"), cause, Moment::at_ms(9))
            .unwrap()
    );
    let slot = store.slot(&name("wal")).unwrap();
    let again = plan(Some(&slot), 99, 2);
    assert!(matches!(
        again,
        ResumePlan::FullRebootstrap {
            cause: InvalidationCause::WalRemoved,
            invalidate_slot: false,
            ..
        }
    ));
}

#[test]
fn r13_plan_replica_resume_partial_within_window() {
    let slot = create(&store(), "blip", 0);
    let counters = ResumeCounters::default();
    let planned = plan(Some(&slot), 2, 1);
    counters.count(&planned);
    assert_eq!(planned, partial(2));
    assert_eq!((counters.partial(), counters.full()), (1, 0));
}

#[test]
fn r13b_plan_replica_resume_full_past_cap() {
    let store = store();
    create(&store, "slow", 0);
    let limits = SlotLimits {
        max_lag_lsn: 3,
        ..SlotLimits::default()
    };
    store
        .enforce_limits(lsn(6), &limits, Moment::at_ms(0))
        .unwrap();
    let slot = store.slot(&name("slow")).unwrap();
    let counters = ResumeCounters::default();
    let planned = plan(Some(&slot), 0, 1);
    counters.count(&planned);
    assert_eq!(full_cause(planned), Some(InvalidationCause::Horizon));
    assert_eq!((counters.partial(), counters.full()), (0, 1));
}

#[test]
fn r85_known_slot_wins_over_a_lower_since() {
    let store = store();
    create(&store, "tail", 10);
    store
        .advance(&name("tail"), lsn(11), lsn(11), Moment::at_ms(0))
        .unwrap();
    let slot = store.slot(&name("tail")).unwrap();
    assert_eq!(plan(Some(&slot), 0, 1), partial(11));
    assert_eq!(plan(Some(&slot), 10, 1), partial(11));
    assert_eq!(plan(Some(&slot), 12, 1), partial(12));
}

#[test]
fn w01_unknown_subscriber_gets_all_from_where_it_asks_or_a_rebootstrap() {
    // Head 10, nothing removed: everything from 1, or from 6.
    assert_eq!(plan(None, 0, 1), partial(0));
    assert_eq!(plan(None, 5, 1), partial(5));
    // Through 5 removed: 5 is just enough, less is not.
    assert_eq!(plan(None, 5, 6), partial(5));
    for since in [0, 4] {
        let planned = plan(None, since, 6);
        assert_eq!(
            planned,
            ResumePlan::FullRebootstrap {
                cause: InvalidationCause::WalRemoved,
                floor: lsn(since),
                removed_through: lsn(5),
                invalidate_slot: false,
            }
        );
    }
    // All removed: still not the head.
    assert!(full_cause(plan(None, 0, 11)).is_some());
}

#[test]
fn start_within_a_rounding_of_the_head_is_the_head() {
    let head = lsn(0x100_0040);
    for (start, wanted) in [(0, 0), (0x100_0040, 0x100_0040), (0x100_0047, 0x100_0040)] {
        assert_eq!(start_at_most_head(lsn(start), head), Ok(lsn(wanted)));
    }
    let error = start_at_most_head(lsn(0x100_0048), head).unwrap_err();
    assert_eq!(
        error.to_string(),
        "requested starting point 0/1000048 is ahead of the head 0/1000040"
    );
    assert!(start_at_most_head(Lsn::MAX, head).is_err());
}

#[test]
fn w29_plan_costs_the_same_with_many_slots() {
    let store = store();
    let mut cost = Vec::new();
    let mut made = 0;
    for total in [1, 10_000] {
        let more = (made..total).map(|n| pgspool::slots::ImportSlot {
            name: name(&format!("s{n}")),
            plugin: "json".to_owned(),
            restart_lsn: lsn(7),
            confirmed_lsn: lsn(7),
            last_seen_unix_ms: 0,
            invalidation: None,
        });
        store
            .import(more.collect(), &SlotLimits::default(), Moment::at_ms(0))
            .unwrap();
        made = total;
        // The least of some: a busy machine makes a few of them long.
        let looked_up = |_| {
            let started = Instant::now();
            for _ in 0..1_000 {
                let slot = store.slot(&name("s0"));
                assert_eq!(plan(slot.as_ref(), 0, 1), partial(7));
            }
            started.elapsed()
        };
        cost.push((0..10).map(looked_up).min().unwrap());
    }
    // Flat but for the depth of a tree; a scan would cost thousands of times as much.
    assert!(cost[1] < cost[0] * 50, "{cost:?}");
}

#[test]
fn w40_a_connection_counts_once_however_much_it_reads() {
    let slot = create(&store(), "a", 3);
    let counters = ResumeCounters::default();
    let planned = plan(Some(&slot), 0, 1);
    counters.count(&planned);
    for read in 3..30 {
        // Reads go on from the stream's own position; they plan nothing.
        assert_eq!(plan(Some(&slot), read, 1), partial(read));
    }
    assert_eq!((counters.partial(), counters.full()), (1, 0));
}
