//! Transaction blocks and producers over a connection: one transaction with one LSN or nothing,
//! and nothing twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use pgspool::lsn::Lsn;
use support::{RawClient, TestServer, eventually, line};

const PUBLISH: &str = "SELECT pgspool.publish";

fn copy(client: &mut RawClient, text: &str) -> String {
    client.begin_copy();
    client.copy_data(text);
    client.end_copy()[0].tag_text()
}

fn lines(ids: std::ops::RangeInclusive<u64>) -> String {
    ids.map(line).collect()
}

fn numbered(ids: std::ops::RangeInclusive<u64>) -> String {
    let line = |id| {
        format!(r#"{{"operation":"insert","collection":"orders","rid":{id},"seq":{id}}}"#) + "\n"
    };
    ids.map(line).collect()
}

/// Messages of a `json` stream up to `head`: position and id.
fn delivered(server: &TestServer, slot: &str, n: usize) -> Vec<(Lsn, u64)> {
    let mut client = server.replication();
    client.stream(slot);
    let message = |(lsn, text): (Lsn, String)| (lsn, support::id_of(&text));
    (0..n).map(|_| message(client.data())).collect()
}

#[test]
fn copies_in_a_block_are_one_transaction_with_one_lsn() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let start = server.engine().head();
    let mut client = server.session();
    client.query("BEGIN");
    assert_eq!(copy(&mut client, &lines(1..=3)), "COPY 3");
    assert_eq!(copy(&mut client, &lines(4..=2000)), "COPY 1997");
    assert_eq!(
        server.engine().head(),
        start,
        "nothing is seen before COMMIT"
    );
    assert_eq!(client.query("COMMIT")[0].tag_text(), "COMMIT");
    let head = server.engine().head();
    let found = delivered(&server, "s", 2000);
    let ids: Vec<_> = found.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, (1..=2000).collect::<Vec<_>>());
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(found[1999].0, head);
    assert_eq!(server.engine().snapshot().spool.num_appended, 1);
}

#[test]
fn a_rollback_or_a_lost_connection_stores_nothing() {
    let server = TestServer::start();
    let start = server.engine().head();
    let mut client = server.session();
    client.query("BEGIN");
    copy(&mut client, &lines(1..=100));
    assert_eq!(client.query("ROLLBACK")[0].tag_text(), "ROLLBACK");
    client.query("BEGIN");
    copy(&mut client, &lines(1..=100));
    drop(client);
    let mut other = server.session();
    assert_eq!(copy(&mut other, &lines(7..=7)), "COPY 1");
    eventually("only one record", || {
        server.engine().snapshot().spool.num_appended == 1
    });
    assert!(server.engine().head() > start);
}

#[test]
fn what_fails_in_a_block_fails_the_block() {
    let server = TestServer::start();
    let start = server.engine().head();
    let mut client = server.session();
    for bad in ["{\"operation\":\"insert\"}\n", "give up"] {
        client.query("BEGIN");
        copy(&mut client, &lines(1..=5));
        client.begin_copy();
        client.copy_data(&lines(6..=9));
        let answer = if bad == "give up" {
            client.message(b'f', b"changed my mind\0");
            client.until_ready()
        } else {
            client.copy_data(bad);
            client.until_ready()
        };
        let error = answer[0].fields();
        assert!(
            ["22P02", "57014"].contains(&error[&'C'].as_str()),
            "{error:?}"
        );
        assert!(
            !error.contains_key(&'D'),
            "nothing was published: {error:?}"
        );
        assert_eq!(answer.last().unwrap().body, b"E");
        assert_eq!(client.failure("SHOW lock_timeout"), "25P02");
        assert_eq!(client.query("COMMIT")[0].tag_text(), "ROLLBACK");
        assert_eq!(server.engine().head(), start);
    }
}

#[test]
fn savepoints_take_records_back() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let mut client = server.session();
    client.query("BEGIN");
    copy(&mut client, &lines(1..=2));
    client.query("SAVEPOINT a");
    copy(&mut client, &lines(3..=4));
    client.begin_copy();
    client.copy_data("broken\n");
    client.until_ready();
    client.query("ROLLBACK TO a");
    copy(&mut client, &lines(5..=6));
    client.query("RELEASE a");
    client.query("COMMIT");
    let ids: Vec<_> = delivered(&server, "s", 4)
        .iter()
        .map(|(_, id)| *id)
        .collect();
    assert_eq!(ids, [1, 2, 5, 6]);
}

#[test]
fn a_producer_sends_again_and_stores_nothing_twice() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let mut client = server.session();
    client.query("SET pgspool.producer = 'eu'");
    assert_eq!(copy(&mut client, &numbered(1..=50)), "COPY 50");
    assert_eq!(copy(&mut client, &numbered(41..=60)), "COPY 20");
    client.query("BEGIN");
    assert_eq!(copy(&mut client, &numbered(51..=70)), "COPY 20");
    client.query("COMMIT");
    client.query("BEGIN");
    assert_eq!(copy(&mut client, &numbered(1..=70)), "COPY 70");
    assert_eq!(client.query("COMMIT")[0].tag_text(), "COMMIT");
    let ids: Vec<_> = delivered(&server, "s", 70)
        .iter()
        .map(|(_, id)| *id)
        .collect();
    assert_eq!(ids, (1..=70).collect::<Vec<_>>());
    let known = server.engine().producers();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].last_seq, Some(70));
    assert_eq!(known[0].num_duplicates, 90);
}

#[test]
fn a_record_has_a_number_if_and_only_if_the_session_has_a_producer() {
    let server = TestServer::start();
    let mut client = server.session();
    let refused = |client: &mut RawClient, text: &str| {
        client.begin_copy();
        client.copy_data(text);
        let answer = client.end_copy();
        answer[0].fields()
    };
    let error = refused(&mut client, &numbered(1..=1));
    assert_eq!(error[&'C'], "22023");
    assert_eq!(
        error[&'M'],
        "record has a seq, but pgspool.producer is not set (line 1)"
    );
    client.query("SET pgspool.producer = 'eu'");
    let error = refused(&mut client, &lines(1..=1));
    assert_eq!(error[&'C'], "22023");
    assert_eq!(
        error[&'M'],
        "record has no seq, but pgspool.producer is \"eu\" (line 1)"
    );
    assert!(server.engine().producers().is_empty());
}

#[test]
fn statements_and_copies_of_a_block_are_one_transaction() {
    let server = TestServer::start();
    server.replication().create_slot("s", "test_decoding");
    let mut client = server.session();
    client.query("BEGIN");
    let record = r#"'{"operation":"delete","collection":"orders","rid":1}'"#;
    client.row(&format!("{PUBLISH}({record})"));
    copy(&mut client, &lines(2..=2));
    client.row("SELECT pg_logical_emit_message(true, 'p', 'abc')");
    client.query("COMMIT");
    let mut stream = server.replication();
    stream.stream("s");
    let texts: Vec<_> = (0..5).map(|_| stream.data().1).collect();
    assert!(texts[0].starts_with("BEGIN"), "{texts:?}");
    assert!(texts[1].contains("orders: DELETE"), "{texts:?}");
    assert!(texts[2].contains(": INSERT"), "{texts:?}");
    assert_eq!(
        texts[3],
        "message: transactional: 1 prefix: p, sz: 3 content:abc"
    );
    assert!(texts[4].starts_with("COMMIT"), "{texts:?}");
}

#[test]
fn a_cursor_reads_from_nothing_that_acts() {
    let server = TestServer::start();
    let mut client = server.session();
    for query in [
        format!(
            "{PUBLISH}('{}'::jsonb) FROM generate_series(1, 9)",
            line(1).trim()
        ),
        "SELECT pg_logical_emit_message(true, 'a', 'b')".to_owned(),
        "SELECT 1 FROM pg_create_logical_replication_slot('s', 'json')".to_owned(),
        "SELECT * FROM (SELECT pg_drop_replication_slot('s')) d".to_owned(),
        "SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL)".to_owned(),
        "SELECT set_config('lock_timeout', '1', true)".to_owned(),
        "WITH e AS (SELECT pgspool.emit(false, 'a', 'b') AS m) SELECT m FROM e".to_owned(),
        "SELECT 1 WHERE EXISTS (SELECT pg_cancel_backend(1))".to_owned(),
    ] {
        client.query("BEGIN");
        let declare = format!("DECLARE c CURSOR FOR {query}");
        assert_eq!(client.failure(&declare), "0A000", "{query}");
        client.query("ROLLBACK");
    }
    client.query("BEGIN");
    client.query("DECLARE c CURSOR FOR SELECT random(), clock_timestamp()");
    assert_eq!(client.query("FETCH c").len(), 4);
    assert_eq!(server.engine().snapshot().spool.num_appended, 0);
}

#[test]
fn a_rollback_to_a_savepoint_closes_the_cursors_made_since() {
    let server = TestServer::start();
    let mut client = server.session();
    let declare = |name: &str| {
        format!(
            "DECLARE {name} CURSOR FOR SELECT n, repeat('x', 3000) FROM generate_series(1, 9999) n"
        )
    };
    client.query("BEGIN");
    client.query(&declare("before"));
    client.query("SAVEPOINT a");
    client.query(&declare("kept"));
    client.query("SAVEPOINT b");
    client.query(&declare("released"));
    client.query("FETCH 1 FROM released");
    client.query("RELEASE b");
    client.query("ROLLBACK TO a");
    assert_eq!(client.row("FETCH before")[0].as_deref(), Some("1"));
    for gone in ["kept", "released"] {
        client.query("SAVEPOINT c");
        assert_eq!(client.failure(&format!("FETCH {gone}")), "34000");
        client.query("ROLLBACK TO c");
        client.query(&declare(gone));
    }
    client.query("COMMIT");
}
