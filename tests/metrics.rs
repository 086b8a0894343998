//! The metrics are what the SQL views say: exactly when nothing happens, and within what happened
//! between two looks while streams and publishes run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::panic, clippy::float_cmp)]

mod admin_support;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use admin_support::{Admin, Samples};
use pgspool::lsn::Lsn;
use support::{RawClient, TestServer};

const STREAMS: usize = 4;
const RECORDS: u64 = 2000;

/// A number as it is in the first column; positions are numbers too, NULL is not there.
fn number(session: &mut RawClient, query: &str) -> Option<f64> {
    let value = session.row(query)[0].clone()?;
    let as_position = || value.parse::<Lsn>().map(|lsn| lsn.get().to_string());
    let digits = if value.contains('/') {
        as_position().unwrap()
    } else {
        value.replace('t', "1").replace('f', "0")
    };
    Some(digits.parse().unwrap_or_else(|_| panic!("{value}")))
}

/// Counters and positions of a database, and the queries that tell the same.
const RISING: [(&str, &str); 5] = [
    (
        "pgspool_published_transactions_total",
        "SELECT xact_commit FROM pg_stat_database WHERE datname = 'pgspool'",
    ),
    (
        "pgspool_head_lsn_bytes",
        "SELECT head_lsn FROM pgspool.databases",
    ),
    (
        "pgspool_sync_duration_seconds_count",
        "SELECT syncs FROM pgspool.databases",
    ),
    ("pgspool_spool_bytes", "SELECT bytes FROM pgspool.databases"),
    ("pgspool_head_lsn_bytes", "SELECT pg_current_wal_lsn()"),
];

/// What the views say of one slot.
const OF_SLOT: [(&str, &str); 6] = [
    (
        "pgspool_slot_lag_bytes",
        "SELECT lag_bytes FROM pgspool.slots WHERE slot_name = '",
    ),
    (
        "pgspool_slot_retained_bytes",
        "SELECT retained_bytes FROM pgspool.slots WHERE slot_name = '",
    ),
    (
        "pgspool_slot_restart_lsn_bytes",
        "SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '",
    ),
    (
        "pgspool_slot_safe_wal_bytes",
        "SELECT safe_wal_size FROM pg_replication_slots WHERE slot_name = '",
    ),
    (
        "pgspool_slot_sent_transactions_total",
        "SELECT total_txns FROM pg_stat_replication_slots WHERE slot_name = '",
    ),
    (
        "pgspool_slot_sent_bytes_total",
        "SELECT total_bytes FROM pg_stat_replication_slots WHERE slot_name = '",
    ),
];

fn slot_name(stream: usize) -> String {
    format!("sub_{stream}")
}

/// A subscriber that acknowledges every tenth record, and the last one.
fn subscribe(server: &TestServer, stream: usize) -> thread::JoinHandle<RawClient> {
    let name = slot_name(stream);
    let mut client = server.replication_with(&[("application_name", &name)]);
    client.create_slot(&name, "json");
    client.stream(&name);
    thread::spawn(move || {
        for number in 1..=RECORDS {
            let (end, _) = client.data();
            if number % 10 == 0 {
                client.status(end.get(), end.get(), end.get(), false);
            }
        }
        client
    })
}

/// While all runs, a metric lies between what the view says before and after it.
fn look_under_load(session: &mut RawClient, admin: &Admin, before: &mut Option<Samples>) {
    let first: Vec<_> = RISING.map(|(_, query)| number(session, query)).into();
    let samples = admin.metrics();
    for ((name, query), low) in RISING.iter().zip(first) {
        let (low, high) = (low.unwrap(), number(session, query).unwrap());
        let value = samples.database(name);
        assert!(
            (low..=high).contains(&value),
            "{name}: {low} {value} {high}"
        );
    }
    for stream in 0..STREAMS {
        let acknowledged = samples.slot("pgspool_slot_acknowledgements_total", &slot_name(stream));
        // Every tenth, and the one at the start.
        assert!(acknowledged <= 2.0 + f64::from(u32::try_from(RECORDS).unwrap()) / 10.0);
    }
    if let Some(before) = before.replace(samples.clone()) {
        let counters = before.0.iter().filter(|(name, _)| {
            let name = name.split('{').next().unwrap();
            name.ends_with("_total") || name.ends_with("_count") || name.ends_with("_bucket")
        });
        for (name, value) in counters {
            assert!(samples.0[name] >= *value, "{name} fell");
        }
    }
}

#[test]
fn metrics_are_what_the_views_say() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    let subscribers: Vec<_> = (0..STREAMS)
        .map(|stream| subscribe(&server, stream))
        .collect();
    let mut session = server.session();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..RECORDS / 20 {
                server.publish(batch * 20..(batch + 1) * 20);
            }
            done.store(true, Ordering::Release);
        });
        let mut before = None;
        let mut looks = 0;
        while !done.load(Ordering::Acquire) || looks < 3 {
            look_under_load(&mut session, &admin, &mut before);
            looks += 1;
        }
    });
    let mut clients: Vec<_> = subscribers.into_iter().map(|s| s.join().unwrap()).collect();
    let head = server.engine().head();
    for client in &mut clients {
        client.status(head.get(), head.get(), head.get(), true);
    }
    let caught_up = || {
        let slots = server.engine().snapshot().slots;
        slots.iter().all(|slot| slot.restart_lsn == head)
    };
    support::eventually("all slots at the head", caught_up);
    assert_exactly_equal(&mut session, &admin);
    drop(clients);
    support::eventually("all streams ended", || {
        server.engine().replicas().snapshot().is_empty()
    });
    assert_exactly_equal(&mut session, &admin);
    drop(session);
    server.stop();
}

/// Every metric that a view tells too has exactly its value.
fn assert_exactly_equal(session: &mut RawClient, admin: &Admin) {
    let samples = admin.metrics();
    for (name, query) in RISING {
        assert_eq!(
            Some(samples.database(name)),
            number(session, query),
            "{name}"
        );
    }
    assert_eq!(samples.database("pgspool_published_records_total"), 2000.0);
    assert_eq!(samples.database("pgspool_sync_records_sum"), 2000.0);
    for stream in 0..STREAMS {
        let slot = slot_name(stream);
        for (name, query) in OF_SLOT {
            let told = number(session, &format!("{query}{slot}'"));
            assert_eq!(Some(samples.slot(name, &slot)), told, "{name} of {slot}");
        }
        let query = format!(
            "SELECT wal_status, active FROM pg_replication_slots WHERE slot_name = '{slot}'"
        );
        let row = session.row(&query);
        let (status, active) = (row[0].clone().unwrap(), row[1].as_deref() == Some("t"));
        let sample = format!(
            "pgspool_slot_wal_status{{database=\"pgspool\",slot=\"{slot}\",wal_status=\"{status}\"}}"
        );
        assert_eq!(samples.exactly(&sample), 1.0);
        let shown = samples.slot("pgspool_slot_active", &slot);
        assert_eq!(shown, f64::from(u8::from(active)), "{slot}");
        assert_eq!(samples.slot("pgspool_slot_lag_seconds", &slot), 0.0);
    }
    for (outcome, column) in [
        ("confirmed", "reached"),
        ("timed_out", "timed_out"),
        ("not_required", "not_required"),
    ] {
        let query = format!("SELECT {column} FROM pgspool.commit_waits");
        let sample =
            format!("pgspool_commit_waits_total{{database=\"pgspool\",outcome=\"{outcome}\"}}");
        assert_eq!(
            Some(samples.exactly(&sample)),
            number(session, &query),
            "{outcome}"
        );
    }
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    let sample = "pgspool_streams{database=\"pgspool\",state=\"streaming\"}";
    assert_eq!(Some(samples.exactly(sample)), number(session, streaming));
    for (backend, state) in [("walsender", "active"), ("client backend", "idle")] {
        let sample = format!("pgspool_connections{{backend_type=\"{backend}\",state=\"{state}\"}}");
        let query = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = '{backend}' AND \
             (state = '{state}' OR pid = pg_backend_pid())"
        );
        assert_eq!(
            Some(samples.exactly(&sample)),
            number(session, &query),
            "{backend}"
        );
    }
}

#[test]
fn refused_logins_are_counted() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    let mut stranger = server.connect();
    stranger.raw(&support::startup(
        3 << 16,
        &[("user", "ann"), ("database", "nowhere")],
    ));
    let last = stranger.until_end().pop().unwrap();
    assert_eq!(last.code(), "3D000");
    let refused = "pgspool_logins_refused_total{reason=\"database\"}";
    support::eventually("the refusal is counted", || {
        admin.metrics().exactly(refused) == 1.0
    });
    assert_eq!(admin.metrics().exactly("pgspool_sessions_total"), 0.0);
    drop(server.session());
    assert_eq!(admin.metrics().exactly("pgspool_sessions_total"), 1.0);
    assert_eq!(
        admin
            .metrics()
            .exactly("pgspool_connections_accepted_total"),
        2.0
    );
    server.stop();
}
