//! Promise: a subscriber is sent what its publications show, as PostgreSQL sends it
//! (`docs/protocol.md`, pgoutput).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

mod support;

use pgspool::change::{ChangeRecord, Operation};
use pgspool::clock::Moment;
use pgspool::lsn::Lsn;
use pgspool::pgoutput::{Context, Identity, Message, OldTuple, Protocol, Tuple, Value};
use support::{RawClient, TestServer, eventually};

const PUBLISHED: &str = "CREATE TABLE items (id int PRIMARY KEY, v text, n numeric(10,2), \
                         t timestamptz); \
                         CREATE TABLE hidden (id int PRIMARY KEY); \
                         CREATE PUBLICATION p FOR TABLE items";

/// A server with the tables of `PUBLISHED` and a slot `s`.
fn server() -> TestServer {
    let server = TestServer::start();
    let mut client = server.session();
    for statement in PUBLISHED.split("; ") {
        let answer = client.query(statement);
        assert_eq!(answer[0].tag, 'C', "{statement}: {answer:?}");
    }
    server.replication().create_slot("s", "pgoutput");
    server
}

/// Publishes records as one transaction; its end.
fn publish(server: &TestServer, records: &[ChangeRecord]) -> Lsn {
    let engine = server.engine();
    let mut batch = engine.batch(Moment::now());
    batch.push_transaction(records).unwrap();
    engine.publish(batch).unwrap().last_lsn
}

fn insert(table: &str, document: &str) -> ChangeRecord {
    ChangeRecord::insert(table, 0).with_entity(document.as_bytes().to_vec())
}

fn stream(server: &TestServer, options: &str) -> RawClient {
    let mut client = server.replication();
    eventually("the slot is free", || {
        let mut watcher = server.session();
        watcher.row("SELECT active FROM pg_replication_slots")[0].as_deref() == Some("f")
    });
    let start = format!(
        "START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p'{options})"
    );
    client.send_query(&start);
    let answer = client.read().unwrap();
    assert_eq!(answer.tag, 'W', "{answer:?}");
    client
}

/// The next message of a stream: its position and bytes.
fn next(client: &mut RawClient) -> (Lsn, Vec<u8>) {
    loop {
        let message = client.read().unwrap();
        assert_eq!(message.tag, 'd', "{message:?}");
        if message.body[0] == b'w' {
            let lsn = u64::from_be_bytes(message.body[1..9].try_into().unwrap());
            return (Lsn::new(lsn), message.body[25..].to_vec());
        }
    }
}

fn next_transaction(client: &mut RawClient) -> Vec<(Lsn, Vec<u8>)> {
    let mut messages = Vec::new();
    loop {
        messages.push(next(client));
        if messages.last().unwrap().1[0] == b'C' {
            return messages;
        }
    }
}

fn decoded(bytes: &[u8]) -> Message<'_> {
    Message::decode(bytes, Context::new(Protocol::V1)).unwrap()
}

fn kinds(messages: &[(Lsn, Vec<u8>)]) -> String {
    messages.iter().map(|(_, bytes)| bytes[0] as char).collect()
}

fn texts(tuple: &Tuple<'_>) -> Vec<String> {
    let text = |value: &Value<'_>| match value {
        Value::Null => "NULL".to_owned(),
        Value::Unchanged => "unchanged".to_owned(),
        Value::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        Value::Binary(bytes) => hex::encode(bytes),
    };
    tuple.0.iter().map(text).collect()
}

#[test]
fn a_transaction_comes_as_postgresql_would_send_it() {
    let server = server();
    let mut update = insert("items", r#"{"id":2,"v":null}"#);
    update.operation = Operation::Update;
    update.old = Some(br#"{"id":1}"#.to_vec());
    update.unchanged = Some(vec!["n".to_owned(), "t".to_owned()]);
    let mut delete = insert("items", r#"{"id":2}"#);
    delete.operation = Operation::Delete;
    let before = Moment::now().unix_ms;
    let end = publish(
        &server,
        &[
            insert("hidden", r#"{"id":9}"#),
            insert(
                "items",
                r#"{"id":1,"v":"a'ß","n":"1.5","t":"2024-02-29 12:00:00+01"}"#,
            ),
            update,
            delete,
        ],
    );
    let mut client = stream(&server, "");
    let messages = next_transaction(&mut client);
    assert_eq!(kinds(&messages), "BRIUDC");
    let Message::Begin {
        final_lsn,
        commit_time,
        xid,
    } = decoded(&messages[0].1)
    else {
        panic!()
    };
    assert_eq!(final_lsn, end.saturating_sub(8));
    assert_eq!(u64::from(xid), end.get() / 8);
    let since_2000 = i64::try_from(before).unwrap() * 1000 - 946_684_800_000_000;
    assert!((0..60_000_000).contains(&(commit_time - since_2000)));
    let Message::Relation(relation) = decoded(&messages[1].1) else {
        panic!()
    };
    assert_eq!(messages[1].0, Lsn::ZERO);
    assert_eq!((relation.schema, relation.name), ("public", "items"));
    assert_eq!(relation.identity, Identity::Default);
    let columns: Vec<_> = relation
        .columns
        .iter()
        .map(|column| (column.key, column.name, column.type_oid, column.typmod))
        .collect();
    assert_eq!(
        columns,
        [
            (true, "id", 23, -1),
            (false, "v", 25, -1),
            (false, "n", 1700, (10 << 16) + 2 + 4),
            (false, "t", 1184, -1)
        ]
    );
    let Message::Insert { new, .. } = decoded(&messages[2].1) else {
        panic!()
    };
    assert_eq!(texts(&new), ["1", "a'ß", "1.50", "2024-02-29 11:00:00+00"]);
    let Message::Update {
        old: Some(OldTuple::Key(old)),
        new,
        ..
    } = decoded(&messages[3].1)
    else {
        panic!()
    };
    assert_eq!(texts(&old), ["1", "NULL", "NULL", "NULL"]);
    assert_eq!(texts(&new), ["2", "NULL", "unchanged", "unchanged"]);
    let Message::Delete {
        old: OldTuple::Key(old),
        ..
    } = decoded(&messages[4].1)
    else {
        panic!()
    };
    assert_eq!(texts(&old), ["2", "NULL", "NULL", "NULL"]);
    let Message::Commit(commit) = decoded(&messages[5].1) else {
        panic!()
    };
    assert_eq!(messages[5].0, end);
    assert_eq!((commit.commit_lsn, commit.end_lsn), (final_lsn, end));
    // Begin stands where the first change stands that is shown, each change at its own place.
    let lsns: Vec<_> = messages.iter().map(|(lsn, _)| *lsn).collect();
    assert_eq!(lsns[0], lsns[2]);
    assert!(lsns[2] < lsns[3] && lsns[3] < lsns[4] && lsns[4] < final_lsn);
}

#[test]
fn relation_messages_come_once_per_stream_and_again_after_a_change() {
    let server = server();
    let one = |id: u32| {
        let row = insert("items", &format!("{{\"id\":{id}}}"));
        publish(&server, &[row])
    };
    let mut client = stream(&server, "");
    one(1);
    one(2);
    assert_eq!(kinds(&next_transaction(&mut client)), "BRIC");
    assert_eq!(kinds(&next_transaction(&mut client)), "BIC");
    let mut session = server.session();
    // Something else changes: the table is what it was.
    session.query("CREATE TABLE other (id int PRIMARY KEY)");
    one(3);
    assert_eq!(kinds(&next_transaction(&mut client)), "BIC");
    session.query("ALTER TABLE items ADD COLUMN more int");
    one(4);
    let changed = next_transaction(&mut client);
    assert_eq!(kinds(&changed), "BRIC");
    let Message::Relation(relation) = decoded(&changed[1].1) else {
        panic!()
    };
    assert_eq!(relation.columns.len(), 5);
    session.query("ALTER TABLE items REPLICA IDENTITY FULL");
    one(5);
    let changed = next_transaction(&mut client);
    assert_eq!(kinds(&changed), "BRIC");
    let Message::Relation(relation) = decoded(&changed[1].1) else {
        panic!()
    };
    assert_eq!(relation.identity, Identity::Full);
    assert!(relation.columns.iter().all(|column| column.key));
    drop(client);
    // Another stream begins with the definitions of then, and is told of each as it counts.
    let mut client = stream(&server, "");
    let again: Vec<_> = (0..5)
        .map(|_| kinds(&next_transaction(&mut client)))
        .collect();
    assert_eq!(again, ["BRIC", "BIC", "BIC", "BRIC", "BRIC"]);
}

#[test]
fn an_empty_transaction_sends_nothing_and_the_slot_follows() {
    let server = server();
    let mut client = stream(&server, "");
    let hidden = publish(
        &server,
        &[insert("hidden", r#"{"id":1}"#), insert("other", "{}")],
    );
    // The keepalive says that everything up to there was sent.
    loop {
        let message = client.read().unwrap();
        assert_eq!(message.body[0], b'k', "{message:?}");
        let end = u64::from_be_bytes(message.body[1..9].try_into().unwrap());
        if Lsn::new(end) >= hidden {
            break;
        }
        client.status(0, 0, 0, true);
    }
    client.acknowledge(hidden);
    eventually("the slot followed", || {
        let mut watcher = server.session();
        let confirmed = watcher.row("SELECT confirmed_flush_lsn FROM pg_replication_slots");
        confirmed[0] == Some(hidden.to_string())
    });
    publish(&server, &[insert("items", r#"{"id":1}"#)]);
    assert_eq!(kinds(&next_transaction(&mut client)), "BRIC");
}

#[test]
fn messages_come_only_when_they_are_asked_for() {
    let server = server();
    let mut session = server.session();
    let emit = "SELECT pg_logical_emit_message(false, 'alone', 'one')";
    assert_eq!(session.query(emit)[0].tag, 'T');
    session.query("BEGIN");
    session.query("SELECT pg_logical_emit_message(true, 'inside', 'two')");
    session.query("COMMIT");
    publish(&server, &[insert("items", r#"{"id":1}"#)]);
    let mut client = stream(&server, "");
    assert_eq!(kinds(&next_transaction(&mut client)), "BRIC");
    drop(client);
    let mut client = stream(&server, ", messages 'on'");
    let (lsn, alone) = next(&mut client);
    let wanted = Message::Logical {
        xid: None,
        transactional: false,
        lsn,
        prefix: "alone",
        content: b"one",
    };
    assert_eq!(decoded(&alone), wanted);
    let inside = next_transaction(&mut client);
    assert_eq!(kinds(&inside), "BMC");
    let wanted = Message::Logical {
        xid: None,
        transactional: true,
        lsn: inside[1].0,
        prefix: "inside",
        content: b"two",
    };
    assert_eq!(decoded(&inside[1].1), wanted);
    assert_eq!(kinds(&next_transaction(&mut client)), "BRIC");
}

#[test]
fn a_truncate_comes_behind_the_description_of_its_table() {
    let server = server();
    let mut truncate = insert("items", "");
    truncate.operation = Operation::Truncate;
    truncate.entity_bytes = None;
    publish(&server, &[truncate]);
    let mut client = stream(&server, "");
    let messages = next_transaction(&mut client);
    assert_eq!(kinds(&messages), "BRTC");
    let Message::Relation(relation) = decoded(&messages[1].1) else {
        panic!()
    };
    let wanted = Message::Truncate {
        xid: None,
        cascade: false,
        restart_identity: false,
        relations: vec![relation.oid],
    };
    assert_eq!(decoded(&messages[2].1), wanted);
}

#[test]
fn binary_values_are_sent_where_there_are_such() {
    let server = server();
    let row = r#"{"id":1,"v":"é","n":"1.5","t":"2000-01-01 00:00:01+00"}"#;
    publish(&server, &[insert("items", row)]);
    let mut client = stream(&server, ", binary");
    let messages = next_transaction(&mut client);
    let Message::Insert { new, .. } = decoded(&messages[2].1) else {
        panic!()
    };
    assert!(new.0.iter().all(|value| matches!(value, Value::Binary(_))));
    assert_eq!(
        texts(&new),
        [
            "00000001",
            "c3a9",
            "000200000000000200011388",
            "00000000000f4240"
        ]
    );
}

#[test]
fn a_publication_that_is_not_there_ends_the_stream_at_the_first_change() {
    let server = server();
    let end = publish(&server, &[insert("items", r#"{"id":1}"#)]);
    let mut session = server.session();
    let peeked = session.query(
        "SELECT * FROM pg_logical_slot_peek_binary_changes('s', NULL, NULL, 'proto_version', '1', \
         'publication_names', 'nosuch')",
    );
    let peeked = peeked.iter().find(|message| message.tag == 'E').unwrap();
    let mut client = server.replication();
    client.send_query(
        "START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'nosuch')",
    );
    let answer = client.until(|message| message.tag == 'E');
    let fields = answer.last().unwrap().fields();
    assert_eq!(fields[&'C'], "42704");
    assert_eq!(fields[&'M'], "publication \"nosuch\" does not exist");
    assert_eq!(
        fields[&'D'],
        format!(
            "The transaction ends at {end}; pg_replication_slot_advance to there takes the slot \
             past it."
        )
    );
    assert_eq!(
        fields[&'H'],
        "Publications count by position: it must exist before the change is published."
    );
    let place = "slot \"s\", output plugin \"pgoutput\", in the change callback, associated LSN ";
    let lsn: Lsn = fields[&'W'].strip_prefix(place).unwrap().parse().unwrap();
    assert!(lsn < end);
    for field in ['C', 'M', 'D', 'H', 'W'] {
        assert_eq!(peeked.fields()[&field], fields[&field]);
    }
    // The way out that it names is one.
    client.until(|message| message.tag == 'Z');
    drop(client);
    session.row(&format!("SELECT pg_replication_slot_advance('s', '{end}')"));
    publish(&server, &[insert("items", r#"{"id":2}"#)]);
    let messages = next_transaction(&mut stream(&server, ""));
    assert_eq!(kinds(&messages), "BRIC");
}

#[test]
fn the_functions_give_the_same_messages_and_describe_tables_once_a_call() {
    let server = server();
    for id in 1..=2 {
        publish(&server, &[insert("items", &format!("{{\"id\":{id}}}"))]);
    }
    let mut session = server.session();
    let changes = |function: &str| {
        format!(
            "SELECT lsn, data FROM {function}('s', NULL, NULL, 'proto_version', '1', \
             'publication_names', 'p')"
        )
    };
    let rows: Vec<_> = session
        .query(&changes("pg_logical_slot_peek_binary_changes"))
        .iter()
        .filter(|message| message.tag == 'D')
        .map(|row| {
            let values = row.values();
            let data = values[1].clone().unwrap();
            (
                values[0].as_deref().unwrap().parse().unwrap(),
                hex::decode(&data[2..]).unwrap(),
            )
        })
        .collect();
    assert_eq!(kinds(&rows), "BRICBIC");
    // Here, as in PostgreSQL, a description stands where the change stands.
    assert_eq!(rows[1].0, rows[2].0);
    let mut client = stream(&server, "");
    for (_, wanted) in rows {
        assert_eq!(next(&mut client).1, wanted);
    }
    drop(client);
    let answer = session.query(&changes("pg_logical_slot_peek_changes"));
    let error = answer.iter().find(|message| message.tag == 'E').unwrap();
    let fields = error.fields();
    assert_eq!(fields[&'C'], "0A000");
    assert_eq!(
        fields[&'M'],
        "logical decoding output plugin \"pgoutput\" produces binary output, but function \
         \"pg_logical_slot_peek_changes(name,pg_lsn,integer,text[])\" expects textual data"
    );
}

#[test]
fn bad_options_are_refused_before_the_stream_opens() {
    let server = server();
    let mut client = server.replication();
    let cases = [
        ("", "0A000"),
        ("(proto_version '1')", "22023"),
        ("(proto_version '1', publication_names 'a b')", "42602"),
        ("(proto_version '1', proto_version '1')", "42601"),
        ("(nosuch 'x')", "XX000"),
    ];
    for (options, code) in cases {
        let start = format!("START_REPLICATION SLOT s LOGICAL 0/0 {options}");
        let answer = client.query(&start);
        let error = answer.iter().find(|message| message.tag == 'E').unwrap();
        assert_eq!(error.code(), code, "{options}");
        assert_eq!(
            error.fields()[&'W'],
            "slot \"s\", output plugin \"pgoutput\", in the startup callback"
        );
    }
}

#[test]
fn a_change_that_its_filter_cannot_judge_ends_the_stream_at_each_connect() {
    let server = TestServer::start();
    let mut session = server.session();
    for statement in [
        "CREATE TABLE ratios (id int PRIMARY KEY, a int)",
        "CREATE PUBLICATION p FOR TABLE ratios WHERE (1/a > 0)",
    ] {
        let answer = session.query(statement);
        assert_eq!(answer[0].tag, 'C', "{statement}: {answer:?}");
    }
    server.replication().create_slot("s", "pgoutput");
    for (id, a) in [(1, 1), (2, 0), (3, 1)] {
        publish(
            &server,
            &[insert("ratios", &format!(r#"{{"id":{id},"a":{a}}}"#))],
        );
    }
    for _ in 0..3 {
        let mut client = stream(&server, "");
        assert_eq!(kinds(&next_transaction(&mut client)), "BRIC");
        let end = loop {
            let message = client.read().unwrap();
            assert!(message.tag != 'd' || message.body[0] == b'k', "{message:?}");
            if message.tag == 'E' {
                break message;
            }
        };
        let fields = end.fields();
        assert_eq!(
            (end.code(), &*fields[&'M']),
            ("22012".to_owned(), "division by zero")
        );
    }
}
