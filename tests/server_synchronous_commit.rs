//! `synchronous_standby_names` and `synchronous_commit`: who must have done what before a commit is
//! answered, in a block, outside of one and for a COPY, and what a client is told otherwise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use pgspool::engine::EngineOptions;
use pgspool::lsn::Lsn;
use pgspool::replicas::CommitSettings;
use support::{Message, PATIENCE, RawClient, TestServer, line, message};

/// How long a wait that must not be answered is watched.
const SHORT: Duration = Duration::from_millis(80);

fn server(standbys: &str, timeout: Duration) -> TestServer {
    let options = EngineOptions {
        commit: CommitSettings {
            standbys: standbys.parse().unwrap(),
            timeout: Some(timeout),
            ..CommitSettings::default()
        },
        ..EngineOptions::default()
    };
    TestServer::start_with(options, |_| {})
}

fn standby(server: &TestServer, name: &str) -> RawClient {
    let mut client = server.replication_with(&[("application_name", name)]);
    let slot = format!("slot_{name}");
    client.create_slot(&slot, "json");
    client.stream(&slot);
    client
}

fn assert_waits(producer: &RawClient) {
    producer.socket.set_read_timeout(Some(SHORT)).unwrap();
    let waiting = producer.socket.peek(&mut [0]).map_err(|error| error.kind());
    assert!(
        matches!(waiting, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "it was answered"
    );
    producer.socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn publish(id: u64) -> String {
    format!("SELECT pgspool.publish('{}')", line(id).trim())
}

fn error(answer: &[Message]) -> &Message {
    let found = answer.iter().find(|message| message.tag == 'E');
    found.unwrap_or_else(|| panic!("no error: {answer:?}"))
}

fn assert_good(answer: &[Message]) {
    assert!(answer.iter().all(|m| m.tag != 'E'), "{answer:?}");
    assert_eq!(answer.last().unwrap().tag, 'Z');
}

/// Each way of publishing one record: what is sent, and the statement whose answer waits.
const WAYS: &[&str] = &[
    "publish",
    "emit",
    "block",
    "copy",
    "copy in a block",
    "extended",
];

fn send(producer: &mut RawClient, way: &str, id: u64) {
    match way {
        "publish" => producer.send_query(&publish(id)),
        "emit" => producer.send_query("SELECT pg_logical_emit_message(true, 'p', 'text')"),
        "block" => {
            assert_good(&producer.query("BEGIN"));
            assert_good(&producer.query(&publish(id)));
            producer.send_query("COMMIT");
        }
        "copy" => {
            producer.begin_copy();
            producer.copy_data(&line(id));
            producer.message(b'c', b"");
        }
        "copy in a block" => {
            assert_good(&producer.query("BEGIN"));
            producer.begin_copy();
            producer.copy_data(&line(id));
            assert_good(&producer.end_copy());
            producer.send_query("COMMIT");
        }
        "extended" => {
            let text = format!("\0{}\0\0\0", publish(id));
            // At once, so that nothing is answered before the wait.
            let messages = [
                message(b'P', text.as_bytes()),
                message(b'B', b"\0\0\0\0\0\0\0\0"),
                message(b'E', b"\0\0\0\0\0"),
                message(b'S', b""),
            ];
            producer.raw(&messages.concat());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_commit_is_answered_after_its_confirmation_whichever_way_it_came() {
    let server = server("ANY 1 (a)", PATIENCE);
    let mut a = standby(&server, "a");
    let mut producer = server.session();
    for (id, way) in (1..).zip(WAYS) {
        println!("{way}");
        send(&mut producer, way, id);
        let (end, _) = a.data();
        assert_waits(&producer);
        a.acknowledge(end.max(server.engine().head()));
        assert_good(&producer.until_ready());
    }
}

#[test]
fn each_level_waits_for_its_own_position() {
    let server = server("ANY 1 (a)", PATIENCE);
    let mut a = standby(&server, "a");
    let mut producer = server.session();
    for (id, level) in (1..).zip(["remote_write", "on", "remote_apply"]) {
        println!("{level}");
        assert_good(&producer.query(&format!("SET synchronous_commit = {level}")));
        producer.send_query(&publish(id));
        let (end, _) = a.data();
        let end = end.get();
        let before = end - 1;
        let below = match level {
            "remote_write" => (before, before, before),
            "on" => (end, before, before),
            _ => (end, end, before),
        };
        a.status(below.0, below.1, below.2, false);
        assert_waits(&producer);
        let enough = match level {
            "remote_write" => (end, before, before),
            "on" => (end, end, before),
            _ => (end, end, end),
        };
        a.status(enough.0, enough.1, enough.2, false);
        assert_good(&producer.until_ready());
        a.status(end, end, end, false);
    }
    for level in ["local", "off", "false"] {
        assert_good(&producer.query(&format!("SET synchronous_commit = {level}")));
        for (id, way) in (10..).zip(WAYS) {
            send(&mut producer, way, id);
            assert_good(&producer.until_ready());
        }
    }
}

#[test]
fn a_level_that_is_set_for_a_transaction_counts_for_its_commit() {
    let server = server("FIRST 1 (*)", Duration::from_millis(100));
    let _a = standby(&server, "a");
    let mut producer = server.session();
    producer.query("BEGIN");
    producer.query("SET LOCAL synchronous_commit = off");
    producer.query(&publish(1));
    assert_good(&producer.query("COMMIT"));
    let answer = producer.query(&publish(2));
    assert_eq!(error(&answer).code(), "PS001");
    let row = producer.row("SHOW synchronous_commit");
    assert_eq!(row, [Some("on".to_owned())]);
}

#[test]
fn any_counts_whoever_comes_first_and_first_counts_in_order() {
    let any = server("ANY 2 (a, b, c)", PATIENCE);
    let mut standbys = ["c", "a", "other"].map(|name| standby(&any, name));
    let mut producer = any.session();
    producer.send_query(&publish(1));
    let ends: Vec<Lsn> = standbys
        .iter_mut()
        .map(|standby| standby.data().0)
        .collect();
    standbys[2].acknowledge(ends[2]);
    standbys[0].acknowledge(ends[0]);
    assert_waits(&producer);
    standbys[1].acknowledge(ends[1]);
    assert_good(&producer.until_ready());

    let first = server("FIRST 1 (a, b)", PATIENCE);
    let mut a = standby(&first, "a");
    let mut b = standby(&first, "b");
    let mut producer = first.session();
    // As in PostgreSQL who never said anything has no place yet.
    producer.query("SET synchronous_commit = off");
    producer.query(&publish(1));
    producer.query("SET synchronous_commit = on");
    let (end, _) = a.data();
    a.acknowledge(end);
    b.data();
    producer.send_query(&publish(2));
    let (end, _) = b.data();
    b.acknowledge(end);
    assert_waits(&producer);
    let (end, _) = a.data();
    a.acknowledge(end);
    assert_good(&producer.until_ready());
}

#[test]
fn who_is_not_confirmed_in_time_is_told_where_it_is_committed() {
    let server = server("ANY 2 (a, b)", Duration::from_secs(2));
    let mut a = standby(&server, "a");
    let _b = standby(&server, "b");
    let mut producer = server.session();
    for (id, way) in (1..).zip(WAYS) {
        println!("{way}");
        send(&mut producer, way, id);
        let (end, _) = a.data();
        a.acknowledge(end.max(server.engine().head()));
        let answer = producer.until_ready();
        let fields = error(&answer).fields();
        assert_eq!(fields[&'C'], "PS001", "{fields:?}");
        let head = server.engine().head();
        let message = format!("committed here at {head}, confirmed by 1 of 2");
        assert_eq!(fields[&'M'], message);
        assert!(fields[&'D'].contains(&head.to_string()), "{fields:?}");
        assert!(fields[&'H'].contains("again would repeat"), "{fields:?}");
        assert_eq!(answer.last().unwrap().body, b"I");
    }
    assert_good(&producer.query("SELECT 1"));
}

#[test]
fn nobody_to_confirm_is_an_error_with_the_lsn_too() {
    let server = server("*", Duration::from_millis(100));
    let mut producer = server.session();
    for (id, way) in (1..).zip(WAYS) {
        println!("{way}");
        send(&mut producer, way, id);
        let answer = producer.until_ready();
        let fields = error(&answer).fields();
        assert_eq!(fields[&'C'], "PS001", "{fields:?}");
        let head = server.engine().head().to_string();
        assert!(fields[&'D'].contains(&head), "{fields:?}");
    }
}

#[test]
fn a_cancelled_wait_says_that_the_transaction_is_committed() {
    let server = server("ANY 1 (a)", PATIENCE);
    let mut a = standby(&server, "a");
    let mut producer = server.session();
    let pid = producer.row("SELECT pg_backend_pid()")[0].clone().unwrap();
    let mut other = server.session();
    for (id, way) in (1..).zip(WAYS) {
        println!("{way}");
        send(&mut producer, way, id);
        a.data();
        assert_waits(&producer);
        let seen =
            format!("SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = {pid}");
        let waits = [Some("IPC".to_owned()), Some("SyncRep".to_owned())];
        assert_eq!(other.row(&seen), waits);
        other.row(&format!("SELECT pg_cancel_backend({pid})"));
        let answer = producer.until_ready();
        let fields = error(&answer).fields();
        assert_eq!(fields[&'C'], "PS001", "{fields:?}");
        let head = server.engine().head().to_string();
        assert!(fields[&'D'].contains(&head), "{fields:?}");
        let why = "canceling statement due to user request";
        assert!(fields[&'D'].contains(why), "{fields:?}");
    }
}

#[test]
fn an_unknown_level_is_refused() {
    let server = TestServer::start();
    let mut session = server.session();
    for value in ["maybe", "'remote write'", "2", "''"] {
        let set = format!("SET synchronous_commit = {value}");
        assert_eq!(session.failure(&set), "22023", "{value}");
    }
    for (value, shown) in [
        ("yes", "on"),
        ("0", "off"),
        ("REMOTE_APPLY", "remote_apply"),
    ] {
        assert_good(&session.query(&format!("SET synchronous_commit = {value}")));
        assert_eq!(
            session.row("SHOW synchronous_commit"),
            [Some(shown.to_owned())]
        );
    }
    assert_eq!(
        session.failure("SET synchronous_standby_names = 'a'"),
        "42704"
    );
}
