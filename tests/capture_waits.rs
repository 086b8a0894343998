//! What an upstream is told, and when: nothing above what the quorum here confirmed, and something
//! often enough; and what happens when it sends what can only be taken whole.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    missing_docs
)]

mod capture_support;

use std::time::{Duration, Instant};

use capture_support::{Captured, Cluster, wait_until};
use pgspool::captures::{CaptureSettings, CaptureState};
use pgspool::clock::Moment;
use pgspool::engine::{SlotRequest, SlotStart, Subscriber};
use pgspool::lsn::Lsn;
use pgspool::slots::{SlotName, SlotUser};
use pgspool::wire::Progress;

fn confirmed(upstream: &Cluster) -> Lsn {
    let sql = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    upstream.ask(sql).parse().unwrap()
}

/// Holds all the time, for longer than anything takes to be told.
fn assert_stays(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert!(is(), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_upstream_is_told_of_nothing_that_the_quorum_has_not_confirmed() {
    let upstream = Cluster::start_with(&["wal_sender_timeout=2s"]);
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    upstream.run_sql("INSERT INTO t VALUES (1)");
    let first = upstream.position();
    captured.wait_for_head(first);
    wait_until("the first row is confirmed", || {
        confirmed(&upstream) >= first
    });
    let name = SlotName::parse("standby").unwrap();
    let slot = SlotRequest {
        name: name.clone(),
        plugin: "pgoutput".to_owned(),
        start: SlotStart::Head,
        temporary: None,
        two_phase: false,
        owner: None,
    };
    captured.engine().create_slot(slot, Moment::now()).unwrap();
    captured.stop();

    // From now on somebody has to confirm, and nobody is there.
    captured.engine_options.commit.standbys = "standby".parse().unwrap();
    captured.start().unwrap();
    let row = |id: u32| {
        upstream.run_sql(&format!("INSERT INTO t VALUES ({id})"));
        upstream.position()
    };
    let second = row(2);
    captured.wait_for_head(second);
    assert_eq!(captured.inserted(), ["1", "2"]);
    assert_stays("told without the quorum", || confirmed(&upstream) < second);
    assert!(captured.status().acknowledged_lsn < second);
    captured.pause(true);
    captured.wait_for_state(CaptureState::Paused);
    let active = "SELECT active FROM pg_replication_slots";
    wait_until("the connection ends", || upstream.ask(active) == "f");
    assert!(confirmed(&upstream) < second, "told by PAUSE");
    captured.pause(false);
    let third = row(3);
    captured.wait_for_head(third);
    captured.stop();
    wait_until("the connection ends", || upstream.ask(active) == "f");
    assert!(confirmed(&upstream) < second, "told by the stop");

    // Nothing came twice, and who confirms lets the upstream go on.
    captured.start().unwrap();
    let fourth = row(4);
    captured.wait_for_head(fourth);
    assert_eq!(captured.inserted(), ["1", "2", "3", "4"]);
    let subscriber = Subscriber {
        user: SlotUser::from(1),
        application_name: "standby".to_owned(),
        region: None,
    };
    let engine = captured.engine();
    let stream = engine.subscribe(&name, Lsn::ZERO, &subscriber, Moment::now());
    let stream = stream.unwrap();
    let confirm = |upto: Lsn| {
        stream.note_sent(upto, Moment::now());
        let all = Progress {
            write: upto,
            flush: upto,
            apply: upto,
        };
        stream.acknowledge(all, Moment::now()).unwrap();
    };
    confirm(third);
    assert_stays("told of more than was confirmed", || {
        confirmed(&upstream) < fourth
    });
    confirm(captured.head());
    wait_until("the upstream is told", || confirmed(&upstream) >= fourth);
    drop(stream);
    captured.stop();
}

#[test]
fn what_can_only_be_taken_whole_is_taken_whole() {
    let upstream = Cluster::start_with(&["logical_decoding_work_mem=64kB"]);
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY, note text)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    let mut client = upstream.connect();
    // The message names no subtransaction, so whether it was rolled back is not to be told from a
    // transaction that comes while it is under way.
    for sql in [
        "BEGIN",
        "INSERT INTO t SELECT n, repeat('a', 100) FROM generate_series(1, 1000) n",
        "SAVEPOINT s",
        "INSERT INTO t SELECT n, repeat('b', 100) FROM generate_series(10001, 11000) n",
        "SELECT pg_logical_emit_message(true, 'rolled', 'back')",
        "INSERT INTO t SELECT n, repeat('b', 100) FROM generate_series(11001, 12000) n",
        "ROLLBACK TO SAVEPOINT s",
        "SELECT pg_logical_emit_message(true, 'kept', 'one')",
        "INSERT INTO t SELECT n, repeat('c', 100) FROM generate_series(1001, 2000) n",
        "COMMIT",
        "INSERT INTO t VALUES (2001, 'behind')",
    ] {
        client.batch_execute(sql).unwrap();
    }
    captured.wait_for_head(upstream.position());
    let wanted: Vec<_> = (1..=2001).map(|id| id.to_string()).collect();
    assert!(captured.inserted() == wanted, "{:?}", captured.inserted());
    let messages = captured.messages();
    let said: Vec<_> = messages
        .iter()
        .filter(|(_, _, message)| message[0] == b'M')
        .collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].2.ends_with(b"kept\0\0\0\0\x03one"), "{said:?}");
    // The upstream did send it while it was under way.
    let streamed = "SELECT stream_txns > 0 FROM pg_stat_replication_slots";
    wait_until("the slot says it streamed", || {
        upstream.ask(streamed) == "t"
    });
    // One more connection, for the transaction as a whole.
    let status = captured.status();
    assert_eq!((status.stop, status.num_restarts), (None, 1));
    captured.stop();
}

#[test]
fn an_idle_capture_outlives_a_short_sender_timeout() {
    let upstream = Cluster::start_with(&["wal_sender_timeout=1s"]);
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    let pid = "SELECT active_pid FROM pg_replication_slots";
    let sender = upstream.ask(pid);
    std::thread::sleep(Duration::from_secs(5));
    upstream.run_sql("INSERT INTO t VALUES (1)");
    captured.wait_for_head(upstream.position());
    assert_eq!(captured.inserted(), ["1"]);
    let status = captured.status();
    assert_eq!(status.num_restarts, 0, "{:?}", status.last_error);
    assert_eq!(upstream.ask(pid), sender);
    captured.stop();
}

#[test]
fn a_heartbeat_moves_an_upstream_that_nobody_writes_to() {
    let upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    let settings = CaptureSettings {
        heartbeat: Some(Duration::from_millis(100)),
        ..upstream.settings()
    };
    let mut captured = Captured::new(&settings);
    captured.start().unwrap();
    let beats = |captured: &Captured| {
        let messages = captured.messages();
        let beats = messages.iter().filter(|(_, _, message)| {
            // Flags, LSN, prefix, length.
            message[0] == b'M' && message[1] == 0 && &message[10..] == b"pgspool\0\0\0\0\0"
        });
        beats.count()
    };
    wait_until("heartbeats come", || beats(&captured) >= 3);
    assert_eq!(captured.messages().len(), beats(&captured));
    let before = confirmed(&upstream);
    wait_until("the slot moves", || confirmed(&upstream) > before);
    captured.pause(true);
    captured.wait_for_state(CaptureState::Paused);
    let paused_at = upstream.ask("SELECT pg_current_wal_insert_lsn()");
    captured.pause(false);
    let before = beats(&captured);
    wait_until("they go on", || beats(&captured) > before);
    assert_ne!(
        upstream.ask("SELECT pg_current_wal_insert_lsn()"),
        paused_at
    );
    captured.stop();
}
