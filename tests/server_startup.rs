//! From the first byte to the first ReadyForQuery: order, limits, and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use pgspool::engine::EngineOptions;
use support::{Message, TestServer, startup};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30];
const ANN: &[(&str, &str)] = &[("user", "ann"), ("database", "pgspool")];

fn parameters(messages: &[Message]) -> Vec<String> {
    let statuses = messages.iter().filter(|message| message.tag == 'S');
    let printed = statuses.map(|message| {
        let text = String::from_utf8(message.body.clone()).unwrap();
        text.trim_end_matches('\0').replacen('\0', "=", 1)
    });
    printed.collect()
}

#[test]
fn the_greeting_is_postgresqls_in_order() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.raw(&SSL_REQUEST);
    assert_eq!(client.byte(), Some(b'N'));
    client.raw(&GSSENC_REQUEST);
    assert_eq!(client.byte(), Some(b'N'));
    let greeting = client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("replication", "database"),
        ("application_name", "pg_recvlogical"),
    ]);
    let tags: String = greeting.iter().map(|message| message.tag).collect();
    assert_eq!(tags, "RSSSSSSSSSSSSSKZ");
    assert_eq!(greeting[0].body, [0, 0, 0, 0]);
    let version = format!(
        "server_version=15.18 (pgspool {})",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        parameters(&greeting),
        [
            "application_name=pg_recvlogical",
            "client_encoding=UTF8",
            "DateStyle=ISO, MDY",
            "default_transaction_read_only=off",
            "in_hot_standby=off",
            "integer_datetimes=on",
            "IntervalStyle=postgres",
            "is_superuser=on",
            "server_encoding=UTF8",
            &version,
            "session_authorization=ann",
            "standard_conforming_strings=on",
            "TimeZone=Etc/UTC",
        ]
    );
    assert_eq!(greeting[14].body.len(), 8);
    assert_eq!(greeting[15].body, b"I");
}

#[test]
fn startup_options_set_the_session() {
    let server = TestServer::start();
    let mut client = server.connect();
    let options = " -c datestyle=ISO,DMY -c intervalstyle=postgres -c extra_float_digits=3 \
                   --wal-sender-timeout=90s";
    let greeting = client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("options", options),
        ("TimeZone", "Europe/Berlin"),
        ("client_encoding", "'utf-8'"),
    ]);
    let told = parameters(&greeting);
    assert!(told.contains(&"DateStyle=ISO, DMY".to_owned()));
    assert!(told.contains(&"TimeZone=Europe/Berlin".to_owned()));
    assert!(told.contains(&"client_encoding=UTF8".to_owned()));
    let timeout = client.row("SHOW wal_sender_timeout");
    assert_eq!(timeout, [Some("90s".to_owned())]);
}

#[test]
fn nothing_may_stand_behind_an_encryption_request() {
    let server = TestServer::start();
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        for behind in [startup(3 << 16, ANN), vec![0]] {
            let mut client = server.connect();
            client.raw(&[&request[..], &behind].concat());
            assert_eq!(client.byte(), None, "the connection ends unanswered");
        }
    }
}

#[test]
fn an_encryption_request_is_answered_once() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.raw(&SSL_REQUEST);
    assert_eq!(client.byte(), Some(b'N'));
    client.raw(&SSL_REQUEST);
    assert_eq!(client.read().unwrap().code(), "0A000");
    assert_eq!(client.read(), None);
}

/// What the first answer to `bytes` is: an SQLSTATE, a message type, or nothing.
fn answer(server: &TestServer, bytes: &[u8]) -> String {
    let mut client = server.connect();
    client.raw(bytes);
    match client.read() {
        Some(message) if message.tag == 'E' => {
            assert_eq!(message.fields()[&'S'], "FATAL");
            assert_eq!(message.fields()[&'V'], "FATAL");
            assert_eq!(client.read(), None, "nothing follows a fatal error");
            message.code()
        }
        Some(message) => message.tag.to_string(),
        None => String::new(),
    }
}

#[test]
fn lengths_of_startup_packets_are_limited() {
    let server = TestServer::start();
    for length in [0_u32, 4, 7, 10_001, 1 << 30, u32::MAX] {
        assert_eq!(answer(&server, &length.to_be_bytes()), "08P01", "{length}");
    }
    let only_version = [8_u32.to_be_bytes(), (3_u32 << 16).to_be_bytes()].concat();
    assert_eq!(answer(&server, &only_version), "08P01");
    let fits = "x".repeat(10_000 - startup(3 << 16, ANN).len() - "my.y\0\0".len());
    let mut longest = ANN.to_vec();
    longest.push(("my.y", &fits));
    let packet = startup(3 << 16, &longest);
    assert_eq!(packet.len(), 10_000);
    assert_eq!(answer(&server, &packet), "22023", "values are limited, too");
}

#[test]
fn protocol_versions_are_negotiated() {
    let server = TestServer::start();
    for (major, minor, expected) in [
        (2, 0, "0A000"),
        (4, 0, "0A000"),
        (3, 0, "R"),
        (3, 1, "v"),
        (3, 2, "v"),
        (3, 9999, "v"),
    ] {
        let packet = startup(major << 16 | minor, ANN);
        assert_eq!(answer(&server, &packet), expected, "{major}.{minor}");
    }
    let mut client = server.connect();
    let mut parameters = ANN.to_vec();
    parameters.push(("_pq_.nosuch", "1"));
    client.raw(&startup(3 << 16, &parameters));
    let negotiation = client.read().unwrap();
    let expected = [
        &(3_u32 << 16).to_be_bytes()[..],
        &1_u32.to_be_bytes(),
        b"_pq_.nosuch\0",
    ];
    assert_eq!(
        (negotiation.tag, negotiation.body),
        ('v', expected.concat())
    );
    assert_eq!(client.until_ready().last().unwrap().tag, 'Z');
}

#[test]
fn startup_packets_are_checked() {
    let server = TestServer::start();
    let v3 = 3 << 16;
    for (parameters, expected) in [
        (&[("database", "pgspool")][..], "28000"),
        (&[("user", "")], "28000"),
        (&[("user", "ann")], "3D000"),
        (&[("user", "pgspool")], "R"),
        (&[("user", "ann"), ("database", "nosuch")], "3D000"),
        (&[("user", "ann"), ("database", "../pgspool")], "3D000"),
        (&[("user", "pgspool"), ("replication", "maybe")], "22023"),
        (&[("user", "pgspool"), ("replication", "off")], "R"),
        (&[("user", "ann"), ("replication", "true")], "R"),
        (&[("user", "pgspool"), ("nosuch", "1")], "42704"),
        (
            &[("user", "pgspool"), ("client_encoding", "LATIN1")],
            "0A000",
        ),
        (&[("user", "pgspool"), ("options", "-x")], "42601"),
        (
            &[("user", "pgspool"), ("wal_sender_timeout", "1 fortnight")],
            "22023",
        ),
    ] {
        assert_eq!(
            answer(&server, &startup(v3, parameters)),
            expected,
            "{parameters:?}"
        );
    }
    let mut client = server.connect();
    client.raw(&startup(v3, &[("user", "ann")]));
    let error = client.read().unwrap().fields();
    assert_eq!(error[&'M'], "database \"ann\" does not exist");
}

#[test]
fn clients_beyond_the_limit_are_told_so() {
    let server = TestServer::start_with(EngineOptions::default(), |o| o.max_connections = 2);
    let first = server.session();
    let _second = server.session();
    let mut third = server.connect();
    third.raw(&startup(3 << 16, ANN));
    let error = third.read().unwrap();
    assert_eq!(error.code(), "53300");
    assert_eq!(error.fields()[&'M'], "sorry, too many clients already");
    drop(first);
    support::eventually("a place is free again", || {
        answer(&server, &startup(3 << 16, ANN)) == "R"
    });
}

#[test]
fn a_silent_client_is_dropped_in_time() {
    let server = TestServer::start_with(EngineOptions::default(), |o| {
        o.authentication_timeout = Duration::from_secs(1);
    });
    let mut client = server.connect();
    client.raw(&[0, 0]);
    assert_eq!(client.read().unwrap().code(), "57014");
    assert_eq!(client.read(), None);
}

#[test]
fn a_server_without_rules_lets_nobody_in() {
    let server = TestServer::start_with(EngineOptions::default(), |o| {
        o.access = pgspool::server::Access::default();
        o.auth_delay = Duration::ZERO;
    });
    let mut client = server.connect();
    client.raw(&startup(3 << 16, ANN));
    let refused = client.until_end();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].code(), "28000");
}
