//! Cancel requests: the right key stops what runs; whatever else comes does nothing and is not
//! answered.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use std::collections::BTreeSet;

use support::{Message, RawClient, TestServer, message, startup, until_active};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

/// Process id and key of a session.
fn key_data(greeting: &[Message]) -> (u32, u32) {
    let data = greeting.iter().find(|message| message.tag == 'K').unwrap();
    let word = |at: usize| u32::from_be_bytes(data.body[at..at + 4].try_into().unwrap());
    (word(0), word(4))
}

fn open(server: &TestServer, replication: bool) -> (RawClient, u32, u32) {
    let mut client = server.connect();
    let mut parameters = vec![("user", "ann"), ("database", "pgspool")];
    if replication {
        parameters.push(("replication", "database"));
    }
    client.raw(&startup(3 << 16, &parameters));
    let (pid, key) = key_data(&client.until_ready());
    (client, pid, key)
}

/// Sends a cancel request; it is never answered.
fn cancel(server: &TestServer, pid: u32, key: u32) {
    let mut client = server.connect();
    let mut packet = vec![0, 0, 0, 16];
    for word in [80_877_102, pid, key] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    client.raw(&packet);
    assert_eq!(client.read(), None, "a cancel request is never answered");
}

/// Requests with a key that is wrong, for a process id that is wrong, and cut short.
fn attack(server: &TestServer, pid: u32, key: u32) {
    for bit in 0..32 {
        cancel(server, pid, key ^ (1 << bit));
    }
    for (pid, key) in [
        (pid, 0),
        (pid, u32::MAX),
        (pid, !key),
        (pid + 1, key),
        (0, key),
        (u32::MAX, key),
    ] {
        cancel(server, pid, key);
    }
}

fn code(answer: &[Message]) -> String {
    let error = answer.iter().find(|message| message.tag == 'E');
    error.map(Message::code).unwrap_or_default()
}

#[test]
fn a_query_is_cancelled_with_its_key_and_with_no_other() {
    let server = TestServer::start();
    let (mut client, pid, key) = open(&server, false);
    let (_other, _, other_key) = open(&server, false);
    let query = "SELECT pg_sleep(5)";
    client.send_query(query);
    until_active(server.address, query);
    attack(&server, pid, key);
    cancel(&server, pid, other_key);
    // It ends as if nothing had happened.
    let answer = client.until_ready();
    assert_eq!((code(&answer), answer[1].tag), (String::new(), 'D'));
    let query = "SELECT pg_sleep(60)";
    client.send_query(query);
    until_active(server.address, query);
    cancel(&server, pid, key);
    assert_eq!(code(&client.until_ready()), "57014");
    // A late one cancels nothing that begins later.
    cancel(&server, pid, key);
    assert_eq!(code(&client.query("SELECT 1")), "");
    server.stop();
}

#[test]
fn a_copy_and_a_stream_are_cancelled_with_their_keys() {
    let server = TestServer::start();
    let (mut client, pid, key) = open(&server, false);
    client.begin_copy();
    client.copy_data(&support::line(1));
    attack(&server, pid, key);
    client.copy_data(&support::line(2));
    cancel(&server, pid, key);
    assert_eq!(code(&client.until_ready()), "57014");
    assert_eq!(code(&client.query("SELECT 1")), "");

    let (mut client, pid, key) = open(&server, true);
    client.create_slot("s", "json");
    client.stream("s");
    attack(&server, pid, key);
    server.publish([7]);
    assert_eq!(client.ids(1), [7]);
    cancel(&server, pid, key);
    assert_eq!(code(&client.until_ready()), "57014");
    server.stop();
}

#[test]
fn the_key_of_a_session_that_is_gone_fits_none_that_comes_after_it() {
    let server = TestServer::start();
    let (mut gone, old_pid, old_key) = open(&server, false);
    gone.message(b'X', b"");
    assert!(gone.until_end().is_empty());
    let mut keys = BTreeSet::from([old_key]);
    for _ in 0..50 {
        let (mut client, pid, key) = open(&server, false);
        assert_ne!(pid, old_pid, "process ids are not used again soon");
        assert!(keys.insert(key), "each session has a key of its own");
        cancel(&server, old_pid, old_key);
        cancel(&server, pid, old_key);
        assert_eq!(code(&client.query("SELECT 1")), "");
    }
    // Random in all of its bits: each is set in some and not in others.
    let (some, all) = keys
        .iter()
        .fold((0, u32::MAX), |(or, and), key| (or | key, and & key));
    assert_eq!((some, all), (u32::MAX, 0), "{keys:x?}");
    server.stop();
}

#[test]
fn a_cancel_request_that_is_cut_short_or_too_long_does_nothing() {
    let server = TestServer::start();
    let (mut client, pid, key) = open(&server, false);
    let query = "SELECT pg_sleep(60)";
    client.send_query(query);
    until_active(server.address, query);
    let mut packet = vec![];
    for word in [80_877_102, pid, key] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    for len in [8, 12, 15, 17, 20] {
        let mut body = packet.clone();
        body.resize(len - 4, 0);
        let mut attacker = server.connect();
        attacker.raw(&message(0, &body)[1..]);
        attacker.half_close();
        assert_eq!(attacker.read(), None, "{len}");
    }
    until_active(server.address, query);
    cancel(&server, pid, key);
    assert_eq!(code(&client.until_ready()), "57014");
    server.stop();
}

#[test]
fn a_driver_cancels_its_query() {
    let server = TestServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let address = format!(
            "host=127.0.0.1 port={} user=ann dbname=pgspool",
            server.address.port()
        );
        let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
        tokio::spawn(connection);
        let token = client.cancel_token();
        let address = server.address;
        let query = "SELECT pg_sleep(60)";
        let (outcome, ()) = tokio::join!(client.batch_execute(query), async {
            let seen = tokio::task::spawn_blocking(move || until_active(address, query));
            seen.await.unwrap();
            token.cancel_query(NoTls).await.unwrap();
        });
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        client.batch_execute("SELECT 1").await.unwrap();
    });
    server.stop();
}
