//! Databases through SQL: made, used and dropped while the server runs; captured from a real
//! PostgreSQL, shown, paused, and never written to.
//!
//! Errors and tags are PostgreSQL 15's own where it has them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    missing_docs
)]

mod postgres_support;
mod support;

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use pgspool::engine::EngineOptions;
use pgspool::roles::RoleChanges;
use postgres_support::Postgres;
use support::{Message, PATIENCE, RawClient, TestServer, create_role, startup};
use tempfile::TempDir;

/// The tag, or the error as `code message | detail`; notices come first.
fn said(answer: &[Message]) -> String {
    let mut lines = vec![];
    for message in answer {
        match message.tag {
            'C' => lines.push(message.tag_text()),
            'E' | 'N' => {
                let fields = message.fields();
                let mut line = format!("{} {}", fields[&'C'], fields[&'M']);
                if message.tag == 'N' {
                    line = format!("{} {line}", fields[&'S']);
                }
                if let Some(detail) = fields.get(&'D') {
                    line = format!("{line} | {detail}");
                }
                lines.push(line);
            }
            _ => {}
        }
    }
    lines.join("\n")
}

fn rows(client: &mut RawClient, sql: &str) -> Vec<Vec<String>> {
    let answer = client.query(sql);
    let rows = answer.iter().filter(|message| message.tag == 'D');
    let rows: Vec<Vec<String>> = rows
        .map(|row| {
            let values = row.values().into_iter();
            values
                .map(|value| value.unwrap_or("-".to_owned()))
                .collect()
        })
        .collect();
    assert!(
        answer.iter().all(|message| message.tag != 'E'),
        "{sql}: {}",
        said(&answer)
    );
    rows
}

fn session(server: &TestServer, user: &str, database: &str) -> RawClient {
    let mut client = server.connect();
    client.start(&[("user", user), ("database", database)]);
    client
}

/// Why a connection is refused.
fn refused(server: &TestServer, user: &str, database: &str) -> String {
    let mut client = server.connect();
    client.raw(&startup(196_608, &[("user", user), ("database", database)]));
    said(&client.until_end())
}

fn check(client: &mut RawClient, table: &[(&str, &str)]) {
    for (sql, wanted) in table {
        assert_eq!(said(&client.query(sql)), *wanted, "{sql}");
    }
}

#[test]
fn a_database_is_there_as_soon_as_it_is_made_and_gone_when_it_is_dropped() {
    let server = TestServer::start();
    let mut ann = server.session();
    check(
        &mut ann,
        &[
            ("CREATE DATABASE shop", "CREATE DATABASE"),
            (
                "CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0",
                "42P04 database \"shop\" already exists",
            ),
            (
                "CREATE DATABASE b TEMPLATE nothing",
                "3D000 template database \"nothing\" does not exist",
            ),
            (
                "CREATE DATABASE b OWNER nobody",
                "42704 role \"nobody\" does not exist",
            ),
            ("DROP DATABASE b", "3D000 database \"b\" does not exist"),
            (
                "DROP DATABASE IF EXISTS b",
                "NOTICE 00000 database \"b\" does not exist, skipping\nDROP DATABASE",
            ),
            (
                "DROP DATABASE pgspool",
                "55006 cannot drop the currently open database",
            ),
            (
                "PAUSE shop",
                "55000 database \"shop\" is not captured from an upstream",
            ),
            (
                "RESUME",
                "55000 database \"pgspool\" is not captured from an upstream",
            ),
            ("PAUSE b", "3D000 database \"b\" does not exist"),
        ],
    );
    let names = "SELECT datname FROM pg_database ORDER BY 1";
    assert_eq!(rows(&mut ann, names), [["pgspool"], ["shop"]]);
    assert!(rows(&mut ann, "SELECT * FROM pgspool.captures").is_empty());

    let mut bob = session(&server, "bob", "shop");
    check(
        &mut bob,
        &[
            ("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE"),
            ("INSERT INTO t VALUES (1)", "INSERT 0 1"),
            (
                "DROP DATABASE shop",
                "55006 cannot drop the currently open database",
            ),
        ],
    );
    let sql = "SELECT slot_name FROM pg_create_logical_replication_slot('s', 'json')";
    assert_eq!(rows(&mut bob, sql), [["s"]]);
    check(
        &mut ann,
        &[
            (
                "DROP DATABASE shop",
                "55006 database \"shop\" is being accessed by other users | There is 1 other \
                 session using the database.",
            ),
            ("DROP DATABASE shop WITH (FORCE)", "DROP DATABASE"),
            (
                "DROP DATABASE shop",
                "3D000 database \"shop\" does not exist",
            ),
        ],
    );
    assert_eq!(rows(&mut ann, names), [["pgspool"]]);
    let words = refused(&server, "bob", "shop");
    assert!(words.contains("3D000"), "{words}");
    check(&mut ann, &[("CREATE DATABASE shop", "CREATE DATABASE")]);
    let mut again = session(&server, "bob", "shop");
    assert!(rows(&mut again, "SELECT * FROM pg_replication_slots").is_empty());
}

#[test]
fn only_superusers_make_databases_and_never_in_a_transaction_block() {
    let server = TestServer::start();
    let plain = RoleChanges {
        login: Some(true),
        databases: Some(["pgspool".to_owned()].into()),
        ..RoleChanges::default()
    };
    create_role(&server.databases, "carl", plain);
    let mut ann = server.session();
    let mut carl = session(&server, "carl", "pgspool");
    check(
        &mut carl,
        &[
            (
                "CREATE DATABASE shop",
                "42501 permission denied to create database",
            ),
            (
                "DROP DATABASE pgspool",
                "42501 must be owner of database pgspool",
            ),
            ("PAUSE", "42501 must be owner of database pgspool"),
        ],
    );
    check(
        &mut ann,
        &[
            ("BEGIN", "BEGIN"),
            (
                "CREATE DATABASE shop",
                "25001 CREATE DATABASE cannot run inside a transaction block",
            ),
            ("ROLLBACK", "ROLLBACK"),
            (
                "SELECT 1; DROP DATABASE shop",
                "SELECT 1\n25001 DROP DATABASE cannot run inside a transaction block",
            ),
            ("CREATE DATABASE shop", "CREATE DATABASE"),
            ("GRANT CONNECT ON DATABASE shop TO carl", "GRANT"),
        ],
    );
    drop(session(&server, "carl", "shop"));
    check(
        &mut ann,
        &[
            ("DROP DATABASE shop", "DROP DATABASE"),
            ("CREATE DATABASE shop", "CREATE DATABASE"),
        ],
    );
    // The right was that of the database that is gone.
    let words = refused(&server, "carl", "shop");
    assert!(words.contains("42501"), "{words}");
}

#[test]
fn an_upstream_that_cannot_be_followed_leaves_nothing() {
    let server = TestServer::start();
    let mut ann = server.session();
    let make = |upstream: &str| {
        format!("CREATE DATABASE shop WITH (upstream = '{upstream}', publication = 'p')")
    };
    for upstream in [
        "host=127.0.0.1 dbname=b password=S3cret",
        "postgresql://ann:S3cret@127.0.0.1/b",
    ] {
        let answer = ann.query(&make(upstream));
        let words = said(&answer);
        assert!(
            words.starts_with("22023 ") && !words.contains("S3cret"),
            "{words}"
        );
        let error = answer.iter().find(|message| message.tag == 'E').unwrap();
        assert!(error.fields()[&'H'].contains("password_file"), "{words}");
    }
    let mut bob = session(&server, "bob", "pgspool");
    let shown = rows(
        &mut bob,
        "SELECT query FROM pg_stat_activity WHERE usename = 'ann'",
    );
    assert!(!shown[0][0].contains("S3cret"), "{shown:?}");

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = port.local_addr().unwrap().port();
    let nobody = format!("host=127.0.0.1 port={port} user=ann dbname=b");
    let words = said(&ann.query(&make(&nobody)));
    assert!(words.starts_with("08006 "), "{words}");
    let names = "SELECT datname FROM pg_database";
    assert_eq!(rows(&mut ann, names), [["pgspool"]]);
    let words = make(&nobody).replace(')', ", connect = false)");
    assert_eq!(said(&ann.query(&words)), "CREATE DATABASE");
    let state = rows(
        &mut ann,
        "SELECT database, state, slot FROM pgspool.captures",
    );
    assert_eq!(state, [["shop", "connecting", "pgspool_shop"]]);
    assert!(said(&ann.query("DROP DATABASE shop")).ends_with("DROP DATABASE"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_captured_database_shows_its_upstream_and_takes_nothing_of_its_own() {
    let upstream = Postgres::start();
    let mut primary = upstream.connect();
    primary
        .batch_execute(
            "CREATE TYPE mood AS ENUM ('sad', 'fine');
             CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2), how mood);
             CREATE TABLE logs (line text);
             ALTER TABLE logs REPLICA IDENTITY FULL;
             CREATE PUBLICATION p FOR TABLE orders, logs;
             INSERT INTO orders VALUES (0, 1, 'sad')",
        )
        .unwrap();
    let server = TestServer::start_on(
        std::sync::Arc::new(TempDir::new().unwrap()),
        EngineOptions::default(),
        |_| {},
    );
    let mut ann = server.session();
    let make = format!(
        "CREATE DATABASE shop WITH (upstream = 'host=127.0.0.1 port={} user=postgres \
         dbname=postgres', publication = 'p', slot = 'hub')",
        upstream.port
    );
    assert_eq!(said(&ann.query(&make)), "CREATE DATABASE");
    let mut shop = session(&server, "bob", "shop");
    let made = rows(
        &mut shop,
        "SELECT slot_name FROM pg_create_logical_replication_slot('s', 'test_decoding')",
    );
    assert_eq!(made, [["s"]]);
    primary
        .batch_execute("INSERT INTO orders VALUES (1, 12.5, 'fine')")
        .unwrap();
    wait_for(&mut shop, "SELECT count(*) FROM pgspool.changes", "1");
    wait_for(&mut shop, "SELECT state FROM pgspool.captures", "streaming");
    let seen = "SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL, \
                'include-xids', '0') WHERE data LIKE 'table%'";
    let seen = &rows(&mut shop, seen)[0][0];
    let wanted = "table public.orders: INSERT: id[integer]:1 total[numeric]:12.50 how[";
    assert!(seen.starts_with(wanted), "{seen}");

    let sql = "SELECT database, publications, slot, last_error, stop_cause, plan, \
               host LIKE '127.0.0.1:%', num_transactions > 0 FROM pgspool.captures";
    assert_eq!(
        rows(&mut shop, sql),
        [["shop", "{p}", "hub", "-", "-", "-", "t", "t"]]
    );
    // Each is shown as it is at a moment of its own.
    let sql = "SELECT flushed_lsn >= acknowledged_lsn AND received_lsn >= flushed_lsn \
               FROM pgspool.captures";
    wait_for(&mut shop, sql, "t");
    let id = primary.query_one(
        "SELECT system_identifier::text FROM pg_control_system()",
        &[],
    );
    let id: String = id.unwrap().get(0);
    assert_eq!(
        rows(&mut shop, "SELECT system_id FROM pgspool.captures"),
        [[id.as_str()]]
    );
    // Clients that ask who this is are told of the upstream.
    let mut client = server.connect();
    client.start(&[
        ("user", "ann"),
        ("database", "shop"),
        ("replication", "database"),
    ]);
    let told = rows(&mut client, "IDENTIFY_SYSTEM");
    assert_eq!(
        (&*told[0][0], &*told[0][1], &*told[0][3]),
        (&*id, "1", "shop")
    );
    drop(client);

    // Its tables and publications.
    let sql = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute \
               WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(
        rows(&mut shop, sql),
        [
            ["id", "integer"],
            ["total", "numeric(10,2)"],
            ["how", "mood"]
        ]
    );
    let oid = primary.query_one("SELECT 'orders'::regclass::oid", &[]);
    let oid: u32 = oid.unwrap().get(0);
    let sql = "SELECT oid, relreplident FROM pg_class WHERE relname = 'orders'";
    assert_eq!(rows(&mut shop, sql), [[oid.to_string().as_str(), "d"]]);
    let sql = "SELECT relreplident FROM pg_class WHERE relname = 'logs'";
    assert_eq!(rows(&mut shop, sql), [["f"]]);
    let sql = "SELECT tablename FROM pg_publication_tables WHERE pubname = 'p' ORDER BY 1";
    assert_eq!(rows(&mut shop, sql), [["logs"], ["orders"]]);
    let sql = "SELECT indisprimary FROM pg_index WHERE indrelid = 'orders'::regclass";
    assert_eq!(rows(&mut shop, sql), [["t"]]);

    // Nothing is taken.
    for sql in [
        "INSERT INTO orders VALUES (2, 1, 'sad')",
        "UPDATE orders SET total = 1 WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
        "TRUNCATE orders",
        "COPY orders FROM STDIN",
        "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)",
        "CREATE TABLE t (id int)",
        "DROP TABLE orders",
        "CREATE PUBLICATION q",
        "DROP PUBLICATION p",
        "CREATE SCHEMA x",
        "SELECT pg_logical_emit_message(true, 'a', 'b')",
        "SELECT pgspool.publish('{\"operation\":\"insert\",\"collection\":\"o\",\"rid\":1}')",
    ] {
        let words = said(&shop.query(sql));
        let wanted = "55000 database \"shop\" is captured from an upstream";
        assert!(words.starts_with(wanted), "{sql}: {words}");
    }

    // Held up and going on.
    assert_eq!(said(&shop.query("PAUSE")), "PAUSE");
    wait_for(&mut ann, "SELECT state FROM pgspool.captures", "paused");
    wait_until_free(&mut primary);
    primary
        .batch_execute("INSERT INTO orders VALUES (3, 1, NULL)")
        .unwrap();
    assert!(!is_read(&mut primary));
    assert_eq!(
        rows(&mut shop, "SELECT count(*) FROM pgspool.changes"),
        [["1"]]
    );
    assert_eq!(said(&ann.query("RESUME shop")), "RESUME");
    wait_for(&mut shop, "SELECT count(*) FROM pgspool.changes", "2");

    // Dropped here; the slot there stays, and somebody is told.
    drop(shop);
    let words = said(&ann.query("DROP DATABASE shop WITH (FORCE)"));
    let wanted = "NOTICE 00000 replication slot \"hub\" is left on the upstream";
    assert!(words.starts_with(wanted), "{words}");
    assert!(rows(&mut ann, "SELECT * FROM pgspool.captures").is_empty());
    let left = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'hub'";
    let left: i64 = primary.query_one(left, &[]).unwrap().get(0);
    assert_eq!(left, 1);
    // A second one begins where the first one's slot stands.
    wait_until_free(&mut primary);
    let at = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'hub'";
    let at: String = primary.query_one(at, &[]).unwrap().get(0);
    let words = said(&ann.query(&make));
    assert_eq!(words, "CREATE DATABASE");
    let mut shop = session(&server, "bob", "shop");
    let begun = format!("SELECT pg_current_wal_lsn() >= '{at}'");
    assert_eq!(rows(&mut shop, &begun), [["t"]]);
    primary
        .batch_execute("INSERT INTO orders VALUES (4, 1, NULL)")
        .unwrap();
    wait_for(&mut shop, "SELECT count(*) FROM pgspool.changes", "1");
}

/// Whether anybody reads from the slot upstream.
fn is_read(primary: &mut postgres::Client) -> bool {
    let active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'hub'";
    primary.query_one(active, &[]).unwrap().get(0)
}

fn wait_until_free(primary: &mut postgres::Client) {
    let began = Instant::now();
    while is_read(primary) {
        assert!(began.elapsed() < PATIENCE, "the slot is read from");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_first_contact_that_takes_long_can_be_cancelled() {
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let server = TestServer::start();
    let mut ann = server.session();
    let mut bob = session(&server, "bob", "pgspool");
    let pid = &rows(&mut ann, "SELECT pg_backend_pid()")[0][0];
    let cancel = format!("SELECT pg_cancel_backend({pid})");
    let (answered, is_answered) = std::sync::mpsc::channel::<()>();
    // The statement may not have begun at the first time.
    let canceller = std::thread::spawn(move || {
        let every = Duration::from_millis(200);
        while is_answered.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            rows(&mut bob, &cancel);
        }
    });
    let began = Instant::now();
    let make = format!(
        "CREATE DATABASE shop WITH (upstream = 'host=127.0.0.1 port={port} user=u dbname=d', \
         publication = 'p')"
    );
    let words = said(&ann.query(&make));
    assert_eq!(words, "57014 canceling statement due to user request");
    assert!(began.elapsed() < PATIENCE / 2);
    drop(answered);
    canceller.join().unwrap();
    let names = "SELECT datname FROM pg_database";
    assert_eq!(rows(&mut ann, names), [["pgspool"]]);
}

/// Waits until a query has this one value.
fn wait_for(client: &mut RawClient, sql: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let found = rows(client, sql);
        if found == [[wanted]] {
            return;
        }
        if began.elapsed() >= PATIENCE {
            let captures = rows(client, "SELECT * FROM pgspool.captures");
            panic!("{sql}: {found:?}, not {wanted}; {captures:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
