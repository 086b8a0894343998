//! `synchronous_standby_names` over the commit waiter: who must have done what with a commit.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use pgspool::lsn::Lsn;
use pgspool::replicas::{
    Acknowledger, CommitOutcome, CommitSettings, CommitSettingsError, CommitWaiter, ConfirmLevel,
    Confirmed, Requirement,
};

const TARGET: Lsn = Lsn::new(100);

fn required(names: &str) -> Requirement {
    Requirement::of(&CommitSettings {
        standbys: names.parse().unwrap(),
        ..CommitSettings::default()
    })
}

fn ack(waiter: &CommitWaiter, id: &str, write: u64, flush: u64, apply: u64) {
    let who = Acknowledger {
        id,
        application_name: &format!("app_{id}"),
        region: None,
    };
    let [write, flush, apply] = [write, flush, apply].map(Lsn::new);
    waiter.record(
        who,
        Confirmed {
            write,
            flush,
            apply,
        },
    );
}

fn outcome(waiter: &CommitWaiter, names: &str, level: ConfirmLevel) -> CommitOutcome {
    let wait = waiter.wait_at(TARGET, required(names), level);
    wait.block(Some(Duration::from_millis(1)))
}

#[test]
fn first_counts_the_highest_priorities_that_are_there() {
    let waiter = CommitWaiter::new();
    ack(&waiter, "b", 100, 100, 100);
    assert_eq!(
        outcome(&waiter, "FIRST 1 (a, b)", ConfirmLevel::Flush),
        CommitOutcome::Reached(1)
    );
    // Once a is there it is the one that counts, and it is behind.
    ack(&waiter, "a", 90, 90, 90);
    assert_eq!(
        outcome(&waiter, "FIRST 1 (a, b)", ConfirmLevel::Flush),
        CommitOutcome::TimedOut {
            observed: 0,
            required: 1
        }
    );
    assert_eq!(
        outcome(&waiter, "ANY 1 (a, b)", ConfirmLevel::Flush),
        CommitOutcome::Reached(1)
    );
    assert_eq!(
        outcome(&waiter, "ANY 2 (a, b)", ConfirmLevel::Flush),
        CommitOutcome::TimedOut {
            observed: 1,
            required: 2
        }
    );
}

#[test]
fn a_standby_that_leaves_hands_its_place_to_the_next() {
    let waiter = CommitWaiter::new();
    ack(&waiter, "a", 90, 90, 90);
    ack(&waiter, "b", 100, 100, 100);
    let wait = waiter.wait_at(TARGET, required("a, b"), ConfirmLevel::Flush);
    waiter.drop_member("a");
    assert_eq!(
        wait.block(Some(Duration::from_secs(10))),
        CommitOutcome::Reached(1)
    );
}

#[test]
fn names_are_slots_or_application_names_and_a_star_is_everybody() {
    let waiter = CommitWaiter::new();
    ack(&waiter, "a", 100, 100, 100);
    for names in ["a", "APP_A", "x, *"] {
        assert_eq!(
            outcome(&waiter, names, ConfirmLevel::Flush),
            CommitOutcome::Reached(1),
            "{names}"
        );
    }
    assert!(matches!(
        outcome(&waiter, "b", ConfirmLevel::Flush),
        CommitOutcome::TimedOut { .. }
    ));
}

#[test]
fn each_level_waits_for_its_own_position() {
    let waiter = CommitWaiter::new();
    ack(&waiter, "a", 100, 99, 98);
    let reached = |level| matches!(outcome(&waiter, "*", level), CommitOutcome::Reached(1));
    assert!(reached(ConfirmLevel::Write) && !reached(ConfirmLevel::Flush));
    ack(&waiter, "a", 100, 100, 98);
    assert!(reached(ConfirmLevel::Flush) && !reached(ConfirmLevel::Apply));
    ack(&waiter, "a", 100, 100, 100);
    assert!(reached(ConfirmLevel::Apply));
}

#[test]
fn an_acknowledgement_wakes_those_who_wait_at_its_level() {
    let waiter = CommitWaiter::new();
    ack(&waiter, "a", 1, 1, 1);
    let write = waiter.wait_at(TARGET, required("*"), ConfirmLevel::Write);
    let apply = waiter.wait_at(TARGET, required("*"), ConfirmLevel::Apply);
    ack(&waiter, "a", 100, 1, 1);
    assert_eq!(waiter.num_waiting(), 1);
    assert_eq!(write.block(None), CommitOutcome::Reached(1));
    ack(&waiter, "a", 100, 1, 100);
    assert_eq!(apply.block(None), CommitOutcome::Reached(1));
}

#[test]
fn two_ways_to_say_whom_a_commit_waits_for_are_refused() {
    let settings = CommitSettings {
        policy: "ack_n=1".parse().unwrap(),
        standbys: "a".parse().unwrap(),
        ..CommitSettings::default()
    };
    assert_eq!(settings.check(), Err(CommitSettingsError::TwoWays));
}
