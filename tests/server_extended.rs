//! The extended query protocol, message by message: the orders that PostgreSQL answers in, its
//! errors, and bytes that no client sends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod dice;
mod support;

use dice::Dice;
use support::{Message, RawClient, TestServer};

fn parse(name: &str, query: &str, types: &[u32]) -> (u8, Vec<u8>) {
    let mut body = format!("{name}\0{query}\0").into_bytes();
    body.extend((types.len() as u16).to_be_bytes());
    for oid in types {
        body.extend(oid.to_be_bytes());
    }
    (b'P', body)
}

fn bind(portal: &str, name: &str, values: &[Option<&[u8]>], binary: bool) -> (u8, Vec<u8>) {
    let mut body = format!("{portal}\0{name}\0").into_bytes();
    body.extend([0, 1, 0, u8::from(binary)]);
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        match value {
            Some(bytes) => {
                body.extend((bytes.len() as u32).to_be_bytes());
                body.extend_from_slice(bytes);
            }
            None => body.extend((-1_i32).to_be_bytes()),
        }
    }
    body.extend([0, 1, 0, u8::from(binary)]);
    (b'B', body)
}

fn execute(portal: &str, limit: i32) -> (u8, Vec<u8>) {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend(limit.to_be_bytes());
    (b'E', body)
}

fn named(tag: u8, kind: char, name: &str) -> (u8, Vec<u8>) {
    (tag, format!("{kind}{name}\0").into_bytes())
}

fn sync() -> (u8, Vec<u8>) {
    (b'S', vec![])
}

/// Sends all messages at once and reads up to ReadyForQuery.
fn ask(client: &mut RawClient, messages: &[(u8, Vec<u8>)]) -> Vec<Message> {
    let bytes: Vec<u8> = messages
        .iter()
        .flat_map(|(tag, body)| support::message(*tag, body))
        .collect();
    client.raw(&bytes);
    client.until_ready()
}

/// The same with a Sync behind it; the types of the answers.
fn tags(client: &mut RawClient, messages: &[(u8, Vec<u8>)]) -> String {
    let messages = [messages, &[sync()]].concat();
    ask(client, &messages).iter().map(|m| m.tag).collect()
}

/// The SQLSTATE that messages fail with.
fn failure(client: &mut RawClient, messages: &[(u8, Vec<u8>)]) -> String {
    let messages = [messages, &[sync()]].concat();
    let answer = ask(client, &messages);
    let error = answer.iter().find(|m| m.tag == 'E');
    error
        .unwrap_or_else(|| panic!("no error: {answer:?}"))
        .code()
}

const SERIES: &str = "VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)";

#[test]
fn tokio_postgres_gets_its_answers_in_order() {
    let server = TestServer::start();
    let mut client = server.session();
    let prepare = [parse("s0", "SELECT 1", &[]), named(b'D', 'S', "s0")];
    let answer = ask(&mut client, &[&prepare[..], &[sync()]].concat());
    let order: String = answer.iter().map(|m| m.tag).collect();
    assert_eq!(order, "1tTZ");
    assert_eq!(answer[1].body, [0, 0]);
    assert_eq!(answer[2].columns(), [("?column?".to_owned(), 23, 4)]);
    let run = [bind("", "s0", &[], true), execute("", 0)];
    let answer = ask(&mut client, &[&run[..], &[sync()]].concat());
    let order: String = answer.iter().map(|m| m.tag).collect();
    assert_eq!(order, "2DCZ");
    assert_eq!(answer[1].body, [0, 1, 0, 0, 0, 4, 0, 0, 0, 1]);
    assert_eq!(answer[2].tag_text(), "SELECT 1");
    assert_eq!(tags(&mut client, &[named(b'C', 'S', "s0")]), "3Z");
    assert_eq!(failure(&mut client, &run), "26000");
}

#[test]
fn a_described_portal_has_its_formats_and_one_round_trip_is_enough() {
    let server = TestServer::start();
    let mut client = server.session();
    let all = [
        parse("", "SELECT $1::int4", &[]),
        bind("", "", &[Some(b"7")], false),
        named(b'D', 'P', ""),
        execute("", 0),
        sync(),
    ];
    let answer = ask(&mut client, &all);
    let order: String = answer.iter().map(|m| m.tag).collect();
    assert_eq!(order, "12TDCZ");
    assert_eq!(answer[3].values(), [Some("7".to_owned())]);
    let all = [
        parse("", "SELECT $1::int4", &[23]),
        bind("", "", &[None], true),
        execute("", 0),
        sync(),
    ];
    assert_eq!(ask(&mut client, &all)[2].values(), [None]);
}

#[test]
fn a_portal_goes_on_where_its_limit_stopped_it() {
    let server = TestServer::start();
    let mut client = server.session();
    assert_eq!(tags(&mut client, &[parse("s", SERIES, &[])]), "1Z");
    let run = [
        bind("p", "s", &[], false),
        execute("p", 4),
        execute("p", 4),
        execute("p", 4),
        execute("p", 4),
    ];
    let answer = ask(&mut client, &[&run[..], &[sync()]].concat());
    let order: String = answer.iter().map(|m| m.tag).collect();
    assert_eq!(order, "2DDDDsDDDDsDDCCZ");
    assert_eq!(answer[14 - 1].tag_text(), "SELECT 2");
    assert_eq!(answer[14].tag_text(), "SELECT 0");
    assert_eq!(
        failure(&mut client, &[execute("p", 1)]),
        "34000",
        "it ended with Sync"
    );

    client.query("BEGIN");
    assert_eq!(
        tags(&mut client, &[bind("p", "s", &[], false), execute("p", 5)]),
        "2DDDDDsZ"
    );
    assert_eq!(failure(&mut client, &[bind("p", "s", &[], false)]), "42P03");
    assert_eq!(
        failure(&mut client, &[execute("p", 1)]),
        "34000",
        "it ended there"
    );
    client.query("ROLLBACK");

    client.query("BEGIN");
    assert_eq!(
        tags(&mut client, &[bind("p", "s", &[], false), execute("p", 10)]),
        { "2DDDDDDDDDDsZ" }
    );
    assert_eq!(tags(&mut client, &[execute("p", 10)]), "CZ");
    assert_eq!(
        tags(&mut client, &[named(b'C', 'P', "p"), named(b'C', 'P', "p")]),
        "33Z"
    );
    assert_eq!(client.query("COMMIT")[0].tag_text(), "COMMIT");
}

#[test]
fn every_kind_of_statement_goes_through_it() {
    let server = TestServer::start();
    let mut client = server.session();
    for (query, described, executed) in [
        ("", "n", "I"),
        ("SHOW server_version", "T", "DC"),
        ("SET application_name = 'x'", "n", "C"),
        ("BEGIN", "n", "C"),
        ("SAVEPOINT a", "n", "C"),
        ("ROLLBACK TO a", "n", "C"),
        ("SELECT 1", "T", "DC"),
        ("COMMIT", "n", "C"),
        ("DISCARD PLANS", "n", "C"),
        ("RESET ALL", "n", "C"),
    ] {
        let run = [
            parse("", query, &[]),
            bind("", "", &[], false),
            named(b'D', 'P', ""),
            execute("", 0),
        ];
        let found = tags(&mut client, &run).replace('S', "");
        assert_eq!(found, format!("12{described}{executed}Z"), "{query}");
    }
    let copy = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)";
    for (tag, body) in [
        parse("", copy, &[]),
        bind("", "", &[], false),
        execute("", 0),
        sync(),
    ] {
        client.message(tag, &body);
    }
    assert_eq!(client.until(|m| m.tag == 'G').len(), 3);
    client.copy_data(&support::line(1));
    client.message(b'c', b"");
    client.message(b'S', b"");
    let answer = client.until_ready();
    assert_eq!(answer[0].tag_text(), "COPY 1");
}

#[test]
fn an_error_skips_to_sync_and_names_its_code() {
    let server = TestServer::start();
    let mut client = server.session();
    assert_eq!(
        tags(&mut client, &[parse("s", "SELECT $1::int4", &[])]),
        "1Z"
    );
    for (messages, code) in [
        (vec![parse("s", "SELECT 1", &[])], "42P05"),
        (vec![parse("", "foo", &[])], "42601"),
        (vec![parse("", "SELECT 1; SELECT 2", &[])], "42601"),
        (vec![bind("", "nosuch", &[], false)], "26000"),
        (vec![named(b'D', 'S', "nosuch")], "26000"),
        (vec![named(b'D', 'P', "nosuch")], "34000"),
        (vec![execute("nosuch", 0)], "34000"),
        (vec![bind("", "s", &[], false)], "08P01"),
        (vec![bind("", "s", &[None, None], false)], "08P01"),
        (vec![bind("", "s", &[Some(b"x")], false)], "22P02"),
        (vec![bind("", "s", &[Some(b"x")], true)], "08P01"),
        (vec![bind("", "s", &[Some(b"\xff")], false)], "22021"),
        (vec![(b'B', b"\0s\0\0\x01\0\x02\0\0\0\0".to_vec())], "22023"),
        (vec![(b'B', b"\0s\0\xff\xff".to_vec())], "08P01"),
        (vec![(b'P', b"".to_vec())], "08P01"),
        (vec![(b'D', b"X\0".to_vec())], "08P01"),
        (vec![(b'C', b"".to_vec())], "08P01"),
    ] {
        let skipped = [messages.clone(), vec![named(b'C', 'S', "s")]].concat();
        assert_eq!(tags(&mut client, &skipped), "EZ", "{messages:?}");
        assert_eq!(failure(&mut client, &messages), code, "{messages:?}");
    }
    let portal = [
        parse("", "SHOW lock_timeout", &[]),
        bind("", "", &[], false),
    ];
    let twice = [&portal[..], &[execute("", 0), execute("", 0)]].concat();
    assert_eq!(failure(&mut client, &twice), "55000");
}

#[test]
fn a_failed_transaction_takes_only_its_end() {
    let server = TestServer::start();
    let mut client = server.session();
    tags(
        &mut client,
        &[parse("one", "SELECT 1", &[]), parse("end", "ROLLBACK", &[])],
    );
    client.query("BEGIN");
    client.query("SELECT nonsense from nowhere");
    assert_eq!(failure(&mut client, &[parse("", "SELECT 1", &[])]), "25P02");
    assert_eq!(
        failure(&mut client, &[bind("", "one", &[], false)]),
        "25P02"
    );
    let end = [bind("", "end", &[], false), execute("", 0), sync()];
    let answer = ask(&mut client, &end);
    assert_eq!(answer[1].tag_text(), "ROLLBACK");
    assert_eq!(answer[2].body, b"I");
}

#[test]
fn flush_brings_the_answers_so_far() {
    let server = TestServer::start();
    let mut client = server.session();
    for (tag, body) in [
        parse("", "SELECT 1", &[]),
        bind("", "", &[], false),
        execute("", 0),
    ] {
        client.message(tag, &body);
        client.message(b'H', b"");
    }
    let order: String = client
        .until(|m| m.tag == 'C')
        .iter()
        .map(|m| m.tag)
        .collect();
    assert_eq!(order, "12DC");
    client.message(b'S', b"");
    assert_eq!(client.until_ready().len(), 1);
}

#[test]
fn random_bodies_get_an_error_or_an_answer() {
    let server = TestServer::start();
    let mut random = Dice::seeded();
    for _ in 0..60 {
        let mut client = server.session();
        let mut bytes = vec![];
        for _ in 0..20 {
            let whole = [
                parse("s", "SELECT $1::int4", &[23]),
                bind("p", "s", &[Some(b"7")], random.roll().is_multiple_of(2)),
                execute("p", (random.roll() % 3) as i32),
                named(b'D', 'P', "p"),
                named(b'C', 'S', "s"),
                sync(),
            ];
            let (tag, mut body) = whole[random.roll() as usize % whole.len()].clone();
            match random.roll() % 4 {
                0 => {
                    let len = random.roll() as usize % 40;
                    body = random.bytes(len);
                }
                1 => body.truncate(random.roll() as usize % (body.len() + 1)),
                2 if !body.is_empty() => {
                    let at = random.roll() as usize % body.len();
                    body[at] ^= 1 << (random.roll() % 8);
                }
                _ => {}
            }
            if tag == b'S' {
                body.clear();
            }
            bytes.extend(support::message(tag, &body));
        }
        client.raw(&bytes);
        client.half_close();
        for message in client.until_end() {
            assert!("123tTnsCDEZISN".contains(message.tag), "{message:?}");
        }
    }
    let report = server.stop();
    assert_eq!((report.num_aborted, report.num_panicked), (0, 0));
}

const PUBLISH: &str = r#"SELECT pgspool.publish(('{"operation":"insert","collection":"orders","kind":"row","rid":' || n || '}')::jsonb) FROM generate_series(1, 2000) n"#;

#[test]
fn a_query_that_acts_is_over_before_its_first_row_is_taken() {
    let server = TestServer::start();
    let start = server.engine().head();
    let mut client = server.session();
    let first = [
        parse("", PUBLISH, &[]),
        bind("p", "", &[], false),
        execute("p", 1),
    ];
    for (end, num_appended) in [("ROLLBACK", 0), ("COMMIT", 1)] {
        client.query("BEGIN");
        assert_eq!(tags(&mut client, &first), "12DsZ");
        assert_eq!(
            tags(&mut client, &[execute("p", 2), execute("p", 0)]).len(),
            2 + 1 + 1997 + 2
        );
        client.query(end);
        assert_eq!(
            server.engine().snapshot().spool.num_appended,
            num_appended,
            "{end}"
        );
    }
    assert!(server.engine().head() > start);
    let count = "SELECT count(*) FROM pgspool.changes";
    assert_eq!(client.row(count), [Some("2000".to_owned())]);
    let create = "SELECT pg_create_logical_replication_slot('s', 'json')";
    let run = [
        parse("", create, &[]),
        bind("", "", &[], false),
        execute("", 10),
    ];
    assert_eq!(tags(&mut client, &run), "12DCZ");
    let long = "SELECT set_config('pgspool.producer', 'p', true), repeat('x', 3000) \
                FROM generate_series(1, 1000)";
    let run = [
        parse("", long, &[]),
        bind("", "", &[], false),
        execute("", 1),
    ];
    assert_eq!(failure(&mut client, &run), "54000");
    assert_eq!(
        client.row("SHOW pgspool.producer"),
        [Some(String::new())],
        "undone"
    );
}
