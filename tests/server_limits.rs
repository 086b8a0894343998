//! Limits of connections and sessions: each refuses in PostgreSQL's words, and gives back what it
//! counted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    missing_docs
)]

mod support;

use std::time::{Duration, Instant};

use pgspool::engine::EngineOptions;
use pgspool::roles::RoleChanges;
use pgspool::server::Limits;
use support::{RawClient, TestServer, create_role, eventually};

fn start(max_connections: usize, change: impl FnOnce(&mut Limits)) -> TestServer {
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.max_connections = max_connections;
        change(&mut options.limits);
    });
    for (name, connection_limit) in [("plain", None), ("single", Some(1))] {
        let changes = RoleChanges {
            login: Some(true),
            replication: Some(true),
            connection_limit: Some(connection_limit),
            databases: Some(["pgspool".to_owned()].into()),
            ..RoleChanges::default()
        };
        create_role(&server.databases, name, changes);
    }
    server
}

/// A session, or the SQLSTATE and message of the refusal.
fn enter(
    server: &TestServer,
    user: &str,
    replication: bool,
) -> Result<RawClient, (String, String)> {
    let mut client = server.connect();
    let mut parameters = vec![("user", user), ("database", "pgspool")];
    if replication {
        parameters.push(("replication", "database"));
    }
    client.raw(&support::startup(196_608, &parameters));
    let answer = client.until(|message| matches!(message.tag, 'Z' | 'E'));
    match answer.last().unwrap() {
        error if error.tag == 'E' => {
            let fields = error.fields();
            assert_eq!(fields[&'S'], "FATAL");
            Err((fields[&'C'].clone(), fields[&'M'].clone()))
        }
        _ => Ok(client),
    }
}

fn refusal(message: &str) -> Option<(String, String)> {
    Some(("53300".to_owned(), message.to_owned()))
}

const RESERVED: &str =
    "remaining connection slots are reserved for non-replication superuser connections";

#[test]
fn the_last_connections_are_for_superusers() {
    let server = start(5, |limits| limits.superuser_reserved_connections = 2);
    let mut held: Vec<_> = (0..3)
        .map(|_| enter(&server, "plain", false).unwrap())
        .collect();
    assert_eq!(enter(&server, "plain", false).err(), refusal(RESERVED));
    // Replication connections are counted apart.
    let _stream = enter(&server, "plain", true).unwrap();
    held.push(enter(&server, "ann", false).unwrap());
    held.push(enter(&server, "ann", false).unwrap());
    let full = refusal("sorry, too many clients already");
    assert_eq!(enter(&server, "ann", false).err(), full);
    assert_eq!(enter(&server, "plain", false).err(), full);
    held.clear();
    eventually("all is given back", || {
        enter(&server, "plain", false).is_ok()
    });
}

#[test]
fn a_role_has_no_more_connections_than_its_limit() {
    let server = start(20, |_| {});
    let one = enter(&server, "single", true).unwrap();
    let refused = refusal("too many connections for role \"single\"");
    assert_eq!(enter(&server, "single", false).err(), refused);
    enter(&server, "plain", false).unwrap();
    drop(one);
    eventually("it is given back", || {
        enter(&server, "single", false).is_ok()
    });
}

#[test]
fn an_address_has_no_more_connections_than_allowed() {
    let server = start(20, |limits| limits.max_connections_per_address = 2);
    let held = [(); 2].map(|()| enter(&server, "plain", false).unwrap());
    let refused = refusal("too many connections from address \"127.0.0.1\"");
    assert_eq!(enter(&server, "plain", false).err(), refused);
    enter(&server, "ann", false).unwrap();
    drop(held);
    eventually("they are given back", || {
        enter(&server, "plain", false).is_ok()
    });
}

#[test]
fn replication_connections_have_a_limit_of_their_own() {
    let server = start(5, |limits| limits.max_wal_senders = 1);
    let one = enter(&server, "plain", true).unwrap();
    let words = "number of requested standby connections exceeds max_wal_senders (currently 1)";
    assert_eq!(enter(&server, "ann", true).err(), refusal(words));
    enter(&server, "plain", false).unwrap();
    drop(one);
    eventually("it is given back", || enter(&server, "plain", true).is_ok());
}

#[test]
fn long_messages_and_long_queries_are_refused() {
    let server = start(20, |limits| {
        limits.max_message_size = 4096;
        limits.max_query_length = 1024;
        limits.max_startup_message_size = 2048;
    });
    let mut client = server.session();
    let query = format!("SELECT '{}'", "x".repeat(2000));
    assert_eq!(client.failure(&query), "54000");
    client.message(b'P', format!("\0{query}\0\0\0").as_bytes());
    client.message(b'S', b"");
    let answer = client.until_ready();
    assert_eq!(answer[0].code(), "54000");
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
    client.send_query(&"x".repeat(5000));
    let end = client.until_end();
    assert_eq!(end.last().unwrap().code(), "08P01");

    let mut client = server.connect();
    let long = "x".repeat(3000);
    client.raw(&support::startup(196_608, &[("user", &long)]));
    assert_eq!(client.until_end()[0].code(), "08P01");
}

#[test]
fn a_line_of_a_copy_is_no_longer_than_allowed() {
    let server = start(20, |limits| limits.max_copy_line = 1024);
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&support::line(1));
    client.copy_data(&format!("{}\n", "x".repeat(80 << 10)));
    let answer = client.end_copy();
    let error = answer.iter().find(|message| message.tag == 'E').unwrap();
    assert_eq!(error.code(), "54000");
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
}

#[test]
fn a_session_holds_no_more_memory_than_allowed() {
    let server = start(20, |limits| limits.session_memory_limit = 300_000);
    let mut client = server.session();
    // Prepared statements.
    let text = format!("SELECT '{}'", "x".repeat(10_000));
    let mut refused = None;
    for n in 0..100 {
        let answer = client.query(&format!("PREPARE p{n} AS {text}"));
        if answer[0].tag == 'E' {
            refused = Some((n, answer[0].fields()));
            break;
        }
    }
    let (n, fields) = refused.unwrap();
    assert!((2..20).contains(&n), "{n}");
    assert_eq!((&*fields[&'C'], &*fields[&'M']), ("53200", "out of memory"));
    assert!(
        fields[&'D'].contains("session_memory_limit is 300000"),
        "{fields:?}"
    );
    client.query("DEALLOCATE ALL");
    assert_eq!(client.query("PREPARE q AS SELECT 1")[0].tag, 'C');

    // Portals with large parameters.
    client.query("BEGIN");
    let value = "x".repeat(50_000);
    let mut bound = 0;
    let refused = loop {
        let portal = format!("portal{bound}");
        client.message(b'P', b"\0SELECT $1::text\0\0\0");
        let mut bind = format!("{portal}\0\0").into_bytes();
        bind.extend_from_slice(&[0, 0, 0, 1]);
        bind.extend_from_slice(&(value.len() as u32).to_be_bytes());
        bind.extend_from_slice(value.as_bytes());
        bind.extend_from_slice(&[0, 0]);
        client.message(b'B', &bind);
        client.message(b'H', b"");
        let answers = client.until(|answer| matches!(answer.tag, '2' | 'E'));
        let answer = answers.last().unwrap();
        if answer.tag == 'E' {
            break answer.code();
        }
        bound += 1;
    };
    assert_eq!(refused, "53200");
    assert!((1..10).contains(&bound), "{bound}");
    client.message(b'S', b"");
    client.until_ready();
    client.query("ROLLBACK");

    // Settings, and their copies for savepoints.
    client.query("BEGIN");
    for n in 0..100 {
        client.query(&format!("SET my.s{n} = '{}'", "x".repeat(900)));
    }
    let refused = (0..10).find_map(|n| {
        let answer = client.query(&format!("SAVEPOINT s{n}"));
        (answer[0].tag == 'E').then(|| answer[0].code())
    });
    assert_eq!(refused.as_deref(), Some("53200"));
    client.query("ROLLBACK");
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
}

#[test]
fn an_aggregate_gathers_no_more_than_it_may_and_gives_it_back() {
    let server = start(20, |_| {});
    let mut client = server.session();
    let gather = |megabytes: u32| {
        format!(
            "SELECT length(string_agg(repeat('x', 1000000), '')) FROM generate_series(1, {megabytes})"
        )
    };
    // More often than all of them together could be held.
    for _ in 0..3 {
        let answer = client.query(&gather(140));
        assert_eq!(
            answer.iter().find(|a| a.tag == 'E').unwrap().code(),
            "53200"
        );
        assert_eq!(client.row(&gather(40)), [Some("40000000".to_owned())]);
    }
}

#[test]
fn an_aggregate_that_gathers_can_be_cancelled() {
    let server = start(20, |_| {});
    let mut client = server.session();
    client.query("SET statement_timeout = '100ms'");
    let answer = client.query("SELECT count(DISTINCT a) FROM (SELECT array_agg(i) a FROM generate_series(1, 1000000000) i) s");
    assert_eq!(
        answer.iter().find(|a| a.tag == 'E').unwrap().code(),
        "57014"
    );
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
}

#[test]
fn a_statement_that_would_be_rewritten_to_gigabytes_is_refused() {
    let server = start(20, |_| {});
    let mut client = server.session();
    // SQLite has no such operator: each writes its operands twice.
    let expr = format!("i{}", " # 1".repeat(40));
    let answer = client.query(&format!("SELECT {expr} FROM generate_series(1, 2) i"));
    let fields = answer.iter().find(|a| a.tag == 'E').unwrap().fields();
    assert_eq!(
        (&*fields[&'C'], &*fields[&'M']),
        ("54001", "the statement is too complex")
    );
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
}

#[test]
fn a_session_that_idles_for_too_long_is_ended() {
    let server = start(20, |_| {});
    let mut client = server.session();
    let begin = Instant::now();
    client.query("SET idle_session_timeout = '300ms'");
    let end = client.until_end();
    let fields = end[0].fields();
    assert_eq!(fields[&'C'], "57P05");
    assert_eq!(
        fields[&'M'],
        "terminating connection due to idle-session timeout"
    );
    assert!(begin.elapsed() >= Duration::from_millis(300));
    // Inside a block the other timeout counts.
    let mut client = server.session();
    client.query("SET idle_session_timeout = '100ms'; BEGIN");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
}
