//! Where going on would leave a gap, a capture stops with a plan, and what is here stays.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod capture_support;

use capture_support::{Captured, Cluster, wait_until};
use pgspool::captures::{CaptureSettings, CaptureState, PasswordSource, Stop};

/// A captured database with a row in it, stopped in good order.
fn followed(upstream: &Cluster) -> Captured {
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    upstream.run_sql("INSERT INTO t VALUES (1)");
    captured.wait_for_head(upstream.position());
    captured.stop();
    captured
}

fn stopped(captured: &Captured) -> Stop {
    captured.wait_for_state(CaptureState::Stopped);
    let settings = captured.engine().capture().unwrap().settings();
    let reason = captured.status().stop.unwrap();
    reason.explain("shop", &settings)
}

#[test]
fn a_dropped_slot_stops_with_what_is_missing() {
    let upstream = Cluster::start();
    let mut captured = followed(&upstream);
    upstream.run_sql("SELECT pg_drop_replication_slot('pgspool_shop')");
    upstream.run_sql("INSERT INTO t VALUES (2)");
    assert!(captured.start().is_err());
    let stop = stopped(&captured);
    assert_eq!(stop.cause, "slot_missing");
    assert_eq!(stop.missing_from, Some(captured.head()));
    assert!(stop.missing_to.unwrap() >= upstream.position());
    // What is here is still here.
    assert_eq!(captured.inserted(), ["1"]);
    // A slot of the same name that somebody makes is no way around the gap.
    upstream.run_sql("SELECT pg_create_logical_replication_slot('pgspool_shop', 'pgoutput')");
    captured.pause(false);
    wait_until("it is looked at again", || {
        captured
            .status()
            .stop
            .is_some_and(|reason| reason.cause() == "slot_ahead")
    });
    assert_eq!(stopped(&captured).cause, "slot_ahead");
    captured.stop();
}

#[test]
fn a_slot_that_was_moved_stops() {
    let upstream = Cluster::start();
    let mut captured = followed(&upstream);
    upstream.run_sql("INSERT INTO t VALUES (2)");
    upstream.run_sql("SELECT pg_replication_slot_advance('pgspool_shop', pg_current_wal_lsn())");
    assert!(captured.start().is_err());
    assert_eq!(stopped(&captured).cause, "slot_ahead");
    captured.stop();
}

#[test]
fn another_cluster_stops() {
    let mut upstream = Cluster::start();
    let mut captured = followed(&upstream);
    let port = upstream.port;
    upstream.stop();
    let mut other = Cluster::start();
    other.stop();
    other.move_to(port);
    other.run();
    other.run_sql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES");
    assert!(captured.start().is_err());
    assert_eq!(stopped(&captured).cause, "system_identifier_changed");
    // The right one comes back.
    other.stop();
    upstream.run();
    captured.pause(false);
    captured.wait_for_state(CaptureState::Streaming);
    upstream.run_sql("INSERT INTO t VALUES (2)");
    captured.wait_for_head(upstream.position());
    assert_eq!(captured.inserted(), ["1", "2"]);
    captured.stop();
}

#[test]
fn an_older_copy_of_the_upstream_stops() {
    let mut upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE u (id int)");
    let mut older = upstream.copy();
    let mut captured = followed(&upstream);
    upstream.stop();
    older.move_to(upstream.port);
    older.run();
    older.run_sql("CREATE PUBLICATION p FOR ALL TABLES");
    assert!(captured.start().is_err());
    let stop = stopped(&captured);
    assert_eq!(stop.cause, "upstream_behind");
    assert!(stop.missing_from.unwrap() < captured.head());
    captured.stop();
}

#[test]
fn a_standby_promoted_without_the_slot_stops() {
    let mut upstream = Cluster::start();
    let mut standby = upstream.standby();
    let mut captured = followed(&upstream);
    let end = upstream.position();
    wait_until("the standby has all", || {
        let replayed = standby.ask("SELECT pg_last_wal_replay_lsn()");
        replayed.parse::<pgspool::lsn::Lsn>().unwrap() >= end
    });
    upstream.crash();
    standby.promote();
    standby.crash();
    standby.move_to(upstream.port);
    standby.run();
    assert!(captured.start().is_err());
    // Its history contains all that was received: only the slot is not there.
    assert_eq!(stopped(&captured).cause, "slot_missing");
    captured.stop();
}

#[test]
fn a_promoted_standby_with_the_slot_is_followed() {
    let mut upstream = Cluster::start();
    let mut captured = followed(&upstream);
    upstream.run_sql("INSERT INTO t VALUES (2)");
    upstream.stop();
    let mut twin = upstream.twin();
    twin.move_to(upstream.port);
    twin.run();
    twin.promote();
    twin.run_sql("INSERT INTO t VALUES (3)");
    captured.start().unwrap();
    captured.wait_for_head(twin.position());
    assert_eq!(captured.inserted(), ["1", "2", "3"]);
    assert_eq!(captured.engine().term(), 2);
    captured.stop();
    captured.start().unwrap();
    captured.stop();
}

#[test]
fn a_standby_promoted_below_what_was_received_stops() {
    let mut upstream = Cluster::start();
    let mut captured = followed(&upstream);
    upstream.stop();
    let mut twin = upstream.twin();
    upstream.run();
    captured.start().unwrap();
    upstream.run_sql("INSERT INTO t VALUES (2)");
    captured.wait_for_head(upstream.position());
    captured.stop();
    upstream.stop();
    twin.move_to(upstream.port);
    twin.run();
    twin.promote();
    twin.run_sql("INSERT INTO t VALUES (3), (4), (5)");
    assert!(captured.start().is_err());
    let stop = stopped(&captured);
    assert_eq!(stop.cause, "timeline_diverged");
    assert!(stop.missing_from.unwrap() < captured.head());
    assert_eq!(captured.inserted(), ["1", "2"]);
    captured.stop();
}

#[test]
fn wal_that_was_removed_stops() {
    let upstream = Cluster::start_with(&["max_slot_wal_keep_size=1MB", "max_wal_size=32MB"]);
    let mut captured = followed(&upstream);
    for _ in 0..4 {
        upstream.run_sql("INSERT INTO t SELECT generate_series(10, 9); SELECT pg_switch_wal()");
        upstream.run_sql("CREATE TABLE x (n int); DROP TABLE x; SELECT pg_switch_wal()");
    }
    upstream.run_sql("CHECKPOINT");
    wait_until("the slot is lost", || {
        upstream.run_sql("SELECT pg_switch_wal(); CHECKPOINT");
        upstream.ask("SELECT wal_status FROM pg_replication_slots") == "lost"
    });
    assert!(captured.start().is_err());
    let stop = stopped(&captured);
    assert_eq!(stop.cause, "slot_lost");
    assert!(stop.hint.contains("max_slot_wal_keep_size"));
    captured.stop();
}

#[test]
fn a_password_is_read_and_never_shown() {
    let upstream = Cluster::start_with(&["password_encryption=scram-sha-256"]);
    upstream.run_sql(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES; \
         CREATE ROLE cap LOGIN REPLICATION PASSWORD 'S3cret''x'",
    );
    let hba = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(upstream.path.join("pg_hba.conf"), hba).unwrap();
    upstream.run_sql("SELECT pg_reload_conf()");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "wrong-S3cret\n").unwrap();
    let settings = CaptureSettings {
        upstream: upstream.conninfo().replace("user=postgres", "user=cap"),
        password: PasswordSource::File(file.clone()),
        ..upstream.settings()
    };
    let mut captured = Captured::new(&settings);
    let error = captured.start().unwrap_err();
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(!error.contains("S3cret"), "{error}");
    assert!(!format!("{:?}", captured.status()).contains("S3cret"));
    // It is read anew at each attempt.
    std::fs::write(&file, "S3cret'x\n").unwrap();
    captured.wait_for_state(CaptureState::Streaming);
    upstream.run_sql("INSERT INTO t VALUES (1)");
    captured.wait_for_head(upstream.position());
    assert!(!format!("{:?}", captured.engine().capture()).contains("S3cret"));
    captured.stop();
}

#[test]
fn an_upstream_over_tls_is_verified() {
    let upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    upstream.serve_tls(&key.cert.pem(), &key.signing_key.serialize_pem());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, key.cert.pem()).unwrap();
    let tls = |root: &str| CaptureSettings {
        upstream: upstream.conninfo().replace(
            "sslmode=disable",
            &format!("sslmode=verify-full sslrootcert='{root}'"),
        ),
        ..upstream.settings()
    };
    let mut captured = Captured::new(&tls(root.to_str().unwrap()));
    captured.start().unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl s JOIN pg_stat_replication r \
                     ON r.pid = s.pid";
    assert_eq!(upstream.ask(encrypted), "t");
    upstream.run_sql("INSERT INTO t VALUES (1)");
    captured.wait_for_head(upstream.position());
    captured.stop();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&root, other.cert.pem()).unwrap();
    assert!(captured.start().is_err());
    captured.stop();
}
