//! Bytes that no client sends: whatever comes, the answer is an error or the end, never a panic,
//! and never more memory than the state allows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod dice;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use dice::Dice;
use support::{Message, RawClient, TestServer, message};

/// Where a connection stands when the odd bytes come.
#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    Command,
    Replication,
    CopyIn,
    Stream,
}

const STATES: [State; 5] = [
    State::Starting,
    State::Command,
    State::Replication,
    State::CopyIn,
    State::Stream,
];

fn client_in(server: &TestServer, state: State) -> RawClient {
    match state {
        State::Starting => server.connect(),
        State::Command => server.session(),
        State::Replication => server.replication(),
        State::CopyIn => {
            let mut client = server.session();
            client.begin_copy();
            client
        }
        State::Stream => {
            let mut client = server.replication();
            static NUM_SLOTS: AtomicU64 = AtomicU64::new(0);
            let slot = format!("s{}", NUM_SLOTS.fetch_add(1, Ordering::Relaxed));
            let create = format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL json");
            assert_eq!(client.query(&create)[0].tag, 'T');
            client.stream(&slot);
            client
        }
    }
}

/// Every answer must be made of messages that a server may send.
fn check(answer: &[Message], what: &str) {
    for message in answer {
        assert!(
            "RSKZTDCEINGWdcv".contains(message.tag),
            "{what}: {message:?}"
        );
        if message.tag == 'E' {
            assert_eq!(message.code().len(), 5, "{what}");
        }
    }
}

#[test]
fn no_message_of_any_type_and_length_breaks_the_server() {
    let server = TestServer::start();
    let mut random = Dice::seeded();
    for state in STATES {
        for tag in 0..=255 {
            // The length field lies as often as not.
            let said = random.roll() % 17;
            let len = random.roll() as usize % 17;
            let mut bytes = vec![tag];
            bytes.extend_from_slice(&(said as u32).to_be_bytes());
            bytes.extend(random.bytes(len));
            let mut client = client_in(&server, state);
            client.raw(&bytes);
            client.half_close();
            check(&client.until_end(), &format!("{state:?} {bytes:?}"));
        }
    }
    assert_eq!(server.session().row("SELECT 1")[0].as_deref(), Some("1"));
    let report = server.stop();
    assert_eq!((report.num_aborted, report.num_panicked), (0, 0));
}

#[test]
fn well_framed_nonsense_is_answered_in_every_state() {
    let server = TestServer::start();
    let mut random = Dice::seeded();
    let tags = b"QXPBDECHSFdcfpZ\0\xff";
    for state in STATES {
        for &tag in tags {
            let mut client = client_in(&server, state);
            let mut bytes = vec![];
            for _ in 0..8 {
                let len = random.roll() as usize % 64;
                bytes.extend(message(tag, &random.bytes(len)));
            }
            client.raw(&bytes);
            client.half_close();
            check(&client.until_end(), &format!("{state:?} {bytes:?}"));
        }
    }
    let report = server.stop();
    assert_eq!((report.num_aborted, report.num_panicked), (0, 0));
}

#[test]
fn messages_over_their_limit_are_refused_from_their_header() {
    let server = TestServer::start();
    for state in [State::Command, State::Replication] {
        for tag in *b"QPBDECF" {
            let mut client = client_in(&server, state);
            client.raw(&[tag, 0x40, 0, 0, 0]);
            let error = client.read().unwrap();
            assert_eq!((error.tag, error.code()), ('E', "08P01".to_owned()));
            assert_eq!(client.read(), None);
        }
    }
}

#[test]
fn messages_of_the_wrong_state_end_the_connection_with_an_error() {
    let server = TestServer::start();
    for (state, tag, words) in [
        (State::Command, b'p', "invalid frontend message type 112"),
        (
            State::CopyIn,
            b'Q',
            "unexpected message type 0x51 during COPY from stdin",
        ),
        (State::Stream, b'Q', "invalid standby message type \"Q\""),
        (State::Stream, b'P', "invalid standby message type \"P\""),
        (State::Stream, b'f', "invalid standby message type \"f\""),
    ] {
        let mut client = client_in(&server, state);
        client.message(tag, b"SELECT 1\0");
        let answer = client.until_end();
        let error = answer.last().unwrap().fields();
        assert_eq!(error[&'M'], words);
        assert_eq!((&error[&'C'][..], &error[&'S'][..]), ("08P01", "FATAL"));
    }
}

#[test]
fn a_copy_data_that_is_no_standby_message_closes_the_stream_silently() {
    let server = TestServer::start();
    let mut client = client_in(&server, State::Stream);
    client.message(b'd', b"x");
    let answer = client.until_end();
    assert!(
        answer.iter().all(|message| message.tag == 'd'),
        "{answer:?}"
    );
}

#[test]
fn copy_messages_outside_of_a_copy_are_ignored() {
    let server = TestServer::start();
    let mut client = server.session();
    client.copy_data("late");
    client.message(b'c', b"");
    client.message(b'f', b"no\0");
    client.message(b'H', b"");
    assert_eq!(client.row("SELECT 1")[0].as_deref(), Some("1"));
}

#[test]
fn a_terminated_session_ends_without_a_word() {
    let server = TestServer::start();
    for state in [State::Command, State::Replication, State::CopyIn] {
        let mut client = client_in(&server, state);
        client.message(b'X', b"");
        assert_eq!(client.until_end(), [], "{state:?}");
    }
}
