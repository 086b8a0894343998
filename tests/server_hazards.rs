//! What somebody who is not to be trusted may send: nothing is answered that should not be, the
//! server stays up, and a stream beside it goes on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod dice;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dice::Dice;
use pgspool::engine::EngineOptions;
use pgspool::hba::HbaRules;
use pgspool::server::Access;
use support::{Message, RawClient, TestServer, ends, message, startup};

const ANN: &[(&str, &str)] = &[("user", "ann"), ("database", "pgspool")];
const V3: u32 = 3 << 16;

/// A stream that must go on whatever else happens.
struct Bystander<'a> {
    server: &'a TestServer,
    client: RawClient,
    last_id: u64,
}

impl<'a> Bystander<'a> {
    fn new(server: &'a TestServer) -> Self {
        let mut client = server.replication();
        client.create_slot("bystander", "json");
        client.stream("bystander");
        let mut bystander = Self {
            server,
            client,
            last_id: 0,
        };
        bystander.goes_on();
        bystander
    }

    fn goes_on(&mut self) {
        self.last_id += 1;
        self.server.publish([self.last_id]);
        assert_eq!(self.client.ids(1), [self.last_id]);
    }
}

/// Where a connection stands when the odd bytes come.
#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    /// A proof is awaited.
    Proving,
    Command,
    Replication,
    CopyIn,
    Stream,
}

const STATES: [State; 6] = [
    State::Starting,
    State::Proving,
    State::Command,
    State::Replication,
    State::CopyIn,
    State::Stream,
];

fn client_in(server: &TestServer, state: State) -> RawClient {
    match state {
        State::Starting => server.connect(),
        State::Proving => proving(server, "carol"),
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

/// A server that trusts those that its tests connect as, and asks everybody else for a proof.
fn server() -> TestServer {
    TestServer::start_with(EngineOptions::default(), |options| {
        let rules = "host all ann,watcher all trust\nhost all all all scram-sha-256\n";
        options.access = Access::new(HbaRules::parse(rules).unwrap());
        options.auth_delay = Duration::ZERO;
    })
}

/// A client that was asked for a proof.
fn proving(server: &TestServer, user: &str) -> RawClient {
    let mut client = server.connect();
    client.raw(&startup(V3, &[("user", user), ("database", "pgspool")]));
    let asked = client.read().unwrap();
    let body = b"\0\0\0\x0aSCRAM-SHA-256\0\0";
    assert_eq!((asked.tag, &asked.body[..]), ('R', &body[..]));
    client
}

/// Every answer must be made of messages that a server may send in that state, and a fatal error
/// is the last.
fn check(state: State, answer: &[Message], what: &str) {
    let what = &format!("{state:?}, {what}");
    for (index, message) in answer.iter().enumerate() {
        match (state, message.tag) {
            (State::Starting | State::Proving, 'E') => {
                assert_eq!(message.fields()[&'S'], "FATAL", "{what}");
            }
            (State::Starting, 'v') => {}
            // The next step of the exchange, and never that it is over.
            (State::Starting | State::Proving, 'R') => {
                let step = u32::from_be_bytes(message.body[..4].try_into().unwrap());
                assert!(matches!(step, 10 | 11), "{what}: {message:?}");
            }
            (State::Starting | State::Proving, _) => panic!("{what}: {message:?}"),
            (State::Command | State::Replication | State::CopyIn | State::Stream, tag) => {
                let known = "SZTDCEINGWdct123ns".contains(tag);
                assert!(known, "{what}: {message:?}");
            }
        }
        if message.tag == 'E' {
            let fields = message.fields();
            assert_eq!(fields[&'C'].len(), 5, "{what}");
            assert_eq!(fields[&'S'], fields[&'V'], "{what}");
            let is_last = index + 1 == answer.len();
            assert!(fields[&'S'] != "FATAL" || is_last, "{what}: {answer:?}");
        }
    }
}

#[test]
fn every_type_and_length_in_every_state_leaves_the_server_up() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    let mut random = Dice::seeded();
    for state in STATES {
        for length in 0..=16_u32 {
            for tag in 0..=255_u8 {
                // All of them in the states that cost little; the known ones everywhere.
                let is_known = b"QXPBDECHSFdcfp".contains(&tag);
                if !is_known && random.chance(92) {
                    continue;
                }
                let mut bytes = vec![tag];
                bytes.extend_from_slice(&length.to_be_bytes());
                let num_bytes = random.index(17);
                bytes.extend(random.bytes(num_bytes));
                let mut client = client_in(&server, state);
                client.raw(&bytes);
                client.half_close();
                check(state, &client.until_end(), &format!("{bytes:?}"));
            }
        }
        bystander.goes_on();
    }
    drop(bystander);
    let report = server.stop();
    assert_eq!((report.num_aborted, report.num_panicked), (0, 0));
}

#[test]
fn nothing_is_answered_before_authentication() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    let query = message(b'Q', b"SELECT 'answered'\0");
    let begin = message(
        b'p',
        b"SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=abcdefghijklmnopqrstuvwx",
    );
    for (what, bytes) in [
        ("a query", query.clone()),
        ("parse, of length 4", vec![b'P', 0, 0, 0, 4]),
        ("bind", message(b'B', b"\0\0\0\0\0\0\0\0")),
        ("sync", message(b'S', b"")),
        ("copy data", vec![b'd', 0, 0, 0, 0]),
        ("an empty proof", message(b'p', b"")),
        ("no mechanism", message(b'p', b"PLAIN\0\0\0\0\x01x")),
        (
            "a mechanism that is not offered",
            message(b'p', b"SCRAM-SHA-256-PLUS\0\0\0\0\x01p"),
        ),
        (
            "a length that lies",
            message(b'p', b"SCRAM-SHA-256\0\x7f\xff\xff\xffn,,"),
        ),
        ("no length", message(b'p', b"SCRAM-SHA-256\0")),
        ("a password", message(b'p', b"secret\0")),
        ("one gibibyte", vec![b'p', 0x40, 0, 0, 0]),
        (
            "a proof and a query",
            [begin.clone(), query.clone()].concat(),
        ),
        ("two beginnings", [begin.clone(), begin.clone()].concat()),
        (
            "a proof of nothing",
            [begin.clone(), message(b'p', b"c=biws,r=abc,p=AAAA")].concat(),
        ),
    ] {
        let mut client = proving(&server, "carol");
        client.raw(&[&bytes[..], &query, &query].concat());
        let answer = client.until_end();
        let (error, before) = answer.split_last().unwrap();
        let fields = error.fields();
        assert_eq!(
            (&fields[&'S'][..], &fields[&'V'][..]),
            ("FATAL", "FATAL"),
            "{what}"
        );
        // What stands before it is the next step of the exchange at most.
        assert!(before.len() <= 1, "{what}: {answer:?}");
        assert!(
            before.iter().all(|m| m.tag == 'R' && m.body[3] == 11),
            "{what}: {answer:?}"
        );
    }
    bystander.goes_on();
}

#[test]
fn every_error_before_ready_is_fatal_and_final() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    let query = message(b'Q', b"SELECT 'answered'\0");
    for (what, packet) in [
        ("no user", startup(V3, &[("database", "pgspool")])),
        (
            "no rule",
            startup(V3, &[("user", "carol"), ("replication", "true")]),
        ),
        (
            "no database",
            startup(V3, &[("user", "ann"), ("database", "nosuch")]),
        ),
        (
            "no such kind",
            startup(V3, &[("user", "ann"), ("replication", "maybe")]),
        ),
        (
            "no such setting",
            startup(V3, &[("user", "ann"), ("nosuch", "1")]),
        ),
        (
            "bad options",
            startup(V3, &[("user", "ann"), ("options", "-x")]),
        ),
        ("version 2", startup(2 << 16, ANN)),
        ("version 4", startup(4 << 16, ANN)),
        ("too short", vec![0, 0, 0, 7, 0, 3, 0]),
        ("too long", 10_001_u32.to_be_bytes().to_vec()),
        (
            "not ended",
            [&14_u32.to_be_bytes()[..], &V3.to_be_bytes(), b"user\0a"].concat(),
        ),
    ] {
        let mut client = server.connect();
        client.raw(&[&packet[..], &query, &query].concat());
        let answer = client.until_end();
        assert_eq!(answer.len(), 1, "{what}: {answer:?}");
        let fields = answer[0].fields();
        let severity = (&fields[&'S'][..], &fields[&'V'][..]);
        assert_eq!(severity, ("FATAL", "FATAL"), "{what}");
    }
    bystander.goes_on();
}

#[test]
fn errors_are_postgresqls_byte_for_byte() {
    let server = server();
    let mut client = server.connect();
    client.raw(&startup(2 << 16, ANN));
    let error = client.read().unwrap();
    let words = "unsupported frontend protocol 2.0: server supports 3.0 to 3.0";
    let expected = format!("SFATAL\0VFATAL\0C0A000\0M{words}\0\0");
    assert_eq!(String::from_utf8(error.body).unwrap(), expected);
    let mut client = server.session();
    let error = client.query("SELEC 1").remove(0);
    let expected = "SERROR\0VERROR\0C42601\0Msyntax error at or near \"SELEC\"\0P1\0\0";
    assert_eq!(String::from_utf8(error.body).unwrap(), expected);
}

#[test]
fn a_message_of_one_gibibyte_is_refused_from_its_header() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    let huge = 0x4000_0000_u32.to_be_bytes();
    // Where a startup packet is awaited, the first four bytes are its length.
    let mut client = server.connect();
    client.raw(&huge);
    assert_eq!(client.read().unwrap().code(), "08P01");
    assert_eq!(client.read(), None);
    for state in [
        State::Proving,
        State::Command,
        State::Replication,
        State::CopyIn,
    ] {
        for tag in *b"QPBDECFfp" {
            let mut client = client_in(&server, state);
            client.raw(&[&[tag][..], &huge].concat());
            let answer = client.until_end();
            assert_eq!(answer.len(), 1, "{state:?} {tag}: {answer:?}");
            assert_eq!(answer[0].code(), "08P01", "{state:?} {tag}");
        }
    }
    for tag in *b"dcX" {
        let mut client = client_in(&server, State::Stream);
        client.raw(&[&[tag][..], &huge].concat());
        check(State::Stream, &client.until_end(), "a huge message");
    }
    bystander.goes_on();
}

#[test]
fn copy_data_shorter_than_four_bytes_ends_only_its_connection() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    for state in [
        State::Command,
        State::Replication,
        State::CopyIn,
        State::Stream,
    ] {
        for length in 0..4_u32 {
            let mut client = client_in(&server, state);
            client.raw(&[&b"d"[..], &length.to_be_bytes(), &[0; 8]].concat());
            let answer = client.until_end();
            let error = answer.last().unwrap();
            assert_eq!(
                (error.tag, error.code()),
                ('E', "08P01".to_owned()),
                "{state:?}"
            );
        }
    }
    bystander.goes_on();
}

/// Bodies of the extended protocol that lie about what is in them.
fn broken_bodies() -> Vec<(u8, Vec<u8>)> {
    let mut bodies: Vec<(u8, Vec<u8>)> = vec![];
    for tag in *b"PBDEC" {
        bodies.push((tag, vec![]));
        bodies.push((tag, vec![0]));
        bodies.push((tag, b"no end".to_vec()));
        bodies.push((tag, vec![0xff; 40]));
    }
    for counts in [
        &[0x7f, 0xff][..],
        &[0xff, 0xff],
        &[0, 1],
        &[0, 1, 0, 0],
        &[0, 2, 0, 0, 0, 25],
    ] {
        bodies.push((b'P', [&b"\0SELECT $1\0"[..], counts].concat()));
        bodies.push((b'B', [&b"\0\0"[..], counts].concat()));
        bodies.push((b'B', [&b"\0\0\0\0"[..], counts].concat()));
        for length in [-2_i32, 5, i32::MAX, i32::MIN] {
            let lies = [&b"\0\0\0\0\0\x01"[..], &length.to_be_bytes(), counts].concat();
            bodies.push((b'B', lies));
        }
    }
    bodies.push((b'D', b"X\0".to_vec()));
    bodies.push((b'C', b"X\0".to_vec()));
    bodies.push((b'E', b"\0\0\0".to_vec()));
    bodies.push((b'D', b"Sno\xffname\0".to_vec()));
    bodies
}

#[test]
fn parse_and_bind_with_broken_bodies_are_refused() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    for (tag, body) in broken_bodies() {
        let mut client = server.session();
        client.message(tag, &body);
        client.message(b'S', b"");
        client.half_close();
        let answer = client.until_end();
        check(
            State::Command,
            &answer,
            &format!("{} {body:?}", tag as char),
        );
        let has_error = answer.iter().any(|message| message.tag == 'E');
        assert!(has_error, "{} {body:?}: {answer:?}", tag as char);
    }
    for tag in *b"PBDECF" {
        let mut client = server.replication();
        client.message(tag, b"\0\xff\xff\xff");
        // A function call ends by itself, the others at Sync.
        if tag != b'F' {
            client.message(b'S', b"");
        }
        let answer = client.until_ready();
        assert_eq!(answer[0].code(), "08P01");
        check(State::Replication, &answer, "a broken body");
        assert_eq!(client.query("IDENTIFY_SYSTEM")[0].tag, 'T');
    }
    bystander.goes_on();
}

#[test]
fn bytes_behind_a_startup_packet_wait_for_its_answer() {
    let server = server();
    let mut client = server.connect();
    client.raw(&[startup(V3, ANN), message(b'Q', b"SELECT 1\0")].concat());
    let greeting = client.until_ready();
    assert_eq!(greeting[0].tag, 'R');
    assert_eq!(client.until_ready()[0].tag, 'T');
}

#[test]
fn a_cancel_request_with_anything_wrong_is_never_answered() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    let code = 80_877_102_u32.to_be_bytes();
    for (length, body) in [
        (16_u32, vec![0; 8]),
        (12, vec![0; 4]),
        (8, vec![]),
        (17, vec![0; 9]),
        (40, vec![0xff; 32]),
        (10_000, vec![0xff; 9_992]),
    ] {
        let mut client = server.connect();
        client.raw(&[&length.to_be_bytes()[..], &code, &body].concat());
        assert_eq!(ends(&mut client.socket), b"", "{length}");
    }
    bystander.goes_on();
}

#[test]
fn nothing_stands_between_start_replication_and_copy_both() {
    let server = server();
    let mut client = server.replication();
    client.create_slot("s", "json");
    client.query("SET TimeZone TO 'Asia/Tokyo'");
    server.publish([1]);
    // Everything at once: what each says is told before the next begins.
    client.send_query("SET application_name TO 'a'; SET DateStyle TO 'ISO, DMY'");
    client.send_query("START_REPLICATION SLOT s LOGICAL 0/0");
    let settings = client.until_ready();
    assert_eq!(
        settings.iter().filter(|message| message.tag == 'S').count(),
        2
    );
    let answer = client.read().unwrap();
    assert_eq!((answer.tag, answer.body), ('W', vec![0, 0, 0]));
    assert_eq!(client.ids(1), [1]);
}

#[test]
fn a_command_inside_a_stream_is_fatal_in_postgresqls_words() {
    let server = server();
    let mut bystander = Bystander::new(&server);
    for tag in *b"QPBSHXf" {
        let mut client = client_in(&server, State::Stream);
        client.message(tag, b"SELECT 1\0");
        let answer = client.until_end();
        let Some(error) = answer.iter().find(|message| message.tag == 'E') else {
            assert_eq!(tag, b'X', "{answer:?}");
            continue;
        };
        let words = format!("invalid standby message type \"{}\"", tag as char);
        assert_eq!(error.fields()[&'M'], words);
        assert_eq!(error.fields()[&'S'], "FATAL");
    }
    for unknown in *b"wkz\0" {
        let mut client = client_in(&server, State::Stream);
        client.message(b'd', &[unknown; 34]);
        let answer = client.until_end();
        assert!(
            answer.iter().all(|message| message.tag == 'd'),
            "{answer:?}"
        );
    }
    bystander.goes_on();
}

#[test]
fn well_framed_nonsense_is_answered_in_every_state() {
    let server = server();
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
            check(state, &client.until_end(), &format!("{bytes:?}"));
        }
    }
    let report = server.stop();
    assert_eq!((report.num_aborted, report.num_panicked), (0, 0));
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
