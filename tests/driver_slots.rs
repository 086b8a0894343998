//! The life of a slot through Rust's own PostgreSQL clients, the blocking one and the other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::Write;

use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::PgLsn;
use postgres::{Client, Config, NoTls, Row};
use support::{TestServer, line};

fn connect(server: &TestServer) -> Client {
    let mut config = Config::new();
    config.host(&server.address.ip().to_string());
    config.port(server.address.port());
    config
        .user("ann")
        .dbname("pgspool")
        .application_name("driver");
    config.connect(NoTls).unwrap()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, postgres::Error>) -> SqlState {
    outcome.unwrap_err().code().unwrap().clone()
}

const CREATE: &str = "SELECT slot_name, lsn FROM pg_create_logical_replication_slot($1, $2)";

#[test]
fn a_slot_lives_from_its_creation_to_its_drop() {
    let server = TestServer::start();
    let mut client = connect(&server);
    let row = client.query_one(CREATE, &[&"a", &"test_decoding"]).unwrap();
    assert_eq!(row.get::<_, &str>(0), "a");
    let start: PgLsn = row.get(1);
    let again = client.query_one(CREATE, &[&"a", &"json"]);
    assert_eq!(code(again), SqlState::DUPLICATE_OBJECT);
    // In the select list, with all of its arguments, by name too.
    client
        .query_one(
            "SELECT pg_create_logical_replication_slot($1, $2, $3, $4)",
            &[&"b", &"json", &true, &false],
        )
        .unwrap();
    client
        .query_one(
            "SELECT (pg_create_logical_replication_slot(slot_name => $1, plugin => $2)).lsn",
            &[&"c", &"json"],
        )
        .unwrap();
    listed(&mut client, start);
    read(&server, &mut client);
    advanced(&server, &mut client);
    copied_and_dropped(&mut client);
}

fn listed(client: &mut Client, start: PgLsn) {
    let columns = "slot_name, plugin, slot_type, datoid, database, temporary, active, active_pid, \
                   xmin, catalog_xmin, restart_lsn, confirmed_flush_lsn, wal_status, \
                   safe_wal_size, two_phase";
    let query = format!(
        "SELECT {columns} FROM pg_replication_slots WHERE slot_name = ANY($1) ORDER BY slot_name"
    );
    let names = vec!["a", "b", "nosuch"];
    let rows = client.query(&query, &[&names]).unwrap();
    let text = |row: &Row, index| row.get::<_, String>(index);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (text(&rows[0], 0), text(&rows[0], 1)),
        ("a".into(), "test_decoding".into())
    );
    assert_eq!(
        (text(&rows[1], 0), text(&rows[1], 1)),
        ("b".into(), "json".into())
    );
    for (row, temporary) in rows.iter().zip([false, true]) {
        assert_eq!(
            (text(row, 2), text(row, 4)),
            ("logical".into(), "pgspool".into())
        );
        assert!(row.get::<_, u32>(3) > 0);
        assert_eq!(row.get::<_, bool>(5), temporary);
        // The session that made a temporary slot holds it.
        assert_eq!(row.get::<_, bool>(6), temporary);
        assert_eq!(row.get::<_, Option<i32>>(7).is_some(), temporary);
        assert_eq!(row.get::<_, PgLsn>(11), start);
        assert!(row.get::<_, PgLsn>(10) <= start);
        assert_eq!(text(row, 12), "reserved");
        assert!(!row.get::<_, bool>(14));
    }
    let all = client
        .query("SELECT * FROM pg_replication_slots", &[])
        .unwrap();
    assert_eq!(all.len(), 3);
}

const PEEK: &str =
    "SELECT lsn, xid, data FROM pg_logical_slot_peek_changes($1, $2, $3, VARIADIC $4)";
const GET: &str = "SELECT lsn, data FROM pg_logical_slot_get_changes($1, $2, $3, \
                   'include-xids', '0', 'skip-empty-xacts', '1')";

fn read(server: &TestServer, client: &mut Client) {
    let options = vec!["include-xids", "0"];
    let none: Option<PgLsn> = None;
    let peek = |client: &mut Client, upto: Option<PgLsn>, n: Option<i32>| {
        client.query(PEEK, &[&"a", &upto, &n, &options]).unwrap()
    };
    assert!(peek(client, none, None).is_empty());
    server.publish(1..=3);
    let all = peek(client, none, None);
    let texts: Vec<&str> = all.iter().map(|row| row.get(2)).collect();
    assert_eq!((texts.len(), texts[0], texts[2]), (9, "BEGIN", "COMMIT"));
    assert!(texts[1].contains("orders"), "{texts:?}");
    assert_eq!(peek(client, none, Some(1)).len(), 3, "whole transactions");
    let first_end: PgLsn = all[2].get(0);
    assert_eq!(peek(client, Some(first_end), None).len(), 3);
    let text_lsn = first_end.to_string();
    let by_literal = client
        .query(
            "SELECT * FROM pg_logical_slot_peek_changes('a', $1::text::pg_lsn, NULL)",
            &[&text_lsn],
        )
        .unwrap();
    assert_eq!(by_literal.len(), 3);
    let got = client.query(GET, &[&"a", &none, &1_i32]).unwrap();
    assert_eq!(got.len(), 3);
    assert_eq!(
        client
            .query(GET, &[&"a", &none, &None::<i32>])
            .unwrap()
            .len(),
        6
    );
    assert!(
        client
            .query(GET, &[&"a", &none, &None::<i32>])
            .unwrap()
            .is_empty()
    );
    // A plugin's text is the same in its binary form.
    let binary = "SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, $2)";
    let row = &client.query(binary, &[&"b", &1_i32]).unwrap()[0];
    assert_eq!(support::id_of(std::str::from_utf8(row.get(0)).unwrap()), 1);
    let unknown = vec!["nosuch", "1"];
    let refused = client.query(PEEK, &[&"a", &none, &None::<i32>, &unknown]);
    assert_eq!(code(refused), SqlState::INVALID_PARAMETER_VALUE);
    let missing = client.query(PEEK, &[&"nosuch", &none, &None::<i32>, &options]);
    assert_eq!(code(missing), SqlState::UNDEFINED_OBJECT);
}

fn advanced(server: &TestServer, client: &mut Client) {
    let head = PgLsn::from(server.publish(4..=5).get());
    let advance = "SELECT slot_name, end_lsn FROM pg_replication_slot_advance($1, $2)";
    let row = client.query_one(advance, &[&"a", &head]).unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, PgLsn>(1)), ("a", head));
    let none: Option<PgLsn> = None;
    assert!(
        client
            .query(GET, &[&"a", &none, &None::<i32>])
            .unwrap()
            .is_empty()
    );
    let back = client.query_one(advance, &[&"a", &PgLsn::from(1)]);
    assert_eq!(code(back), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    let missing = client.query_one(advance, &[&"nosuch", &head]);
    assert_eq!(code(missing), SqlState::UNDEFINED_OBJECT);
}

fn copied_and_dropped(client: &mut Client) {
    let copy = "SELECT slot_name, lsn FROM pg_copy_logical_replication_slot($1, $2)";
    let row = client.query_one(copy, &[&"c", &"d"]).unwrap();
    assert_eq!(row.get::<_, &str>(0), "d");
    assert_eq!(
        code(client.query_one(copy, &[&"c", &"d"])),
        SqlState::DUPLICATE_OBJECT
    );
    assert_eq!(
        code(client.query_one(copy, &[&"nosuch", &"e"])),
        SqlState::UNDEFINED_OBJECT
    );
    let none: Option<PgLsn> = None;
    for name in ["c", "d"] {
        let query = "SELECT count(*) FROM pg_logical_slot_peek_changes($1, $2, NULL)";
        let row = client.query_one(query, &[&name, &none]).unwrap();
        assert_eq!(row.get::<_, i64>(0), 5, "{name} stands where it was made");
    }
    for name in ["a", "c", "d"] {
        client
            .execute("SELECT pg_drop_replication_slot($1)", &[&name])
            .unwrap();
        let again = client.execute("SELECT pg_drop_replication_slot($1)", &[&name]);
        assert_eq!(code(again), SqlState::UNDEFINED_OBJECT);
    }
    let row = client
        .query_one("SELECT count(*) FROM pg_replication_slots", &[])
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[test]
fn a_temporary_slot_goes_with_its_session() {
    let server = TestServer::start();
    let mut client = connect(&server);
    client
        .query_one(
            "SELECT pg_create_logical_replication_slot($1, $2, true)",
            &[&"t", &"json"],
        )
        .unwrap();
    client.close().unwrap();
    let mut other = connect(&server);
    support::eventually("the slot is gone", || {
        let slots = other.query("SELECT 1 FROM pg_replication_slots", &[]);
        slots.unwrap().is_empty()
    });
}

#[test]
fn the_blocking_client_copies_and_takes_rows_in_pieces() {
    let server = TestServer::start();
    let mut client = connect(&server);
    let mut writer = client
        .copy_in("COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)")
        .unwrap();
    for id in 1..=100 {
        writer.write_all(line(id).as_bytes()).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 100);
    let mut transaction = client.transaction().unwrap();
    let query = "SELECT rid::text FROM pgspool.changes WHERE collection = $1 ORDER BY lsn";
    let statement = transaction.prepare(query).unwrap();
    let portal = transaction.bind(&statement, &[&"orders"]).unwrap();
    let mut ids: Vec<String> = vec![];
    loop {
        let rows = transaction.query_portal(&portal, 7).unwrap();
        ids.extend(rows.iter().map(|row| row.get(0)));
        if rows.len() < 7 {
            break;
        }
    }
    assert_eq!(
        ids,
        (1..=100).map(|id: u64| id.to_string()).collect::<Vec<_>>()
    );
    transaction.commit().unwrap();
    let raw = client.query_raw(query, ["orders"]).unwrap();
    assert_eq!(raw.count().unwrap(), 100);
}

#[test]
fn the_blocking_client_cancels() {
    let server = TestServer::start();
    let mut client = connect(&server);
    let token = client.cancel_token();
    let address = server.address;
    let canceller = std::thread::spawn(move || {
        support::until_active(address, "SELECT pg_sleep($1)");
        token.cancel_query(NoTls).unwrap();
    });
    let outcome = client.query("SELECT pg_sleep($1)", &[&60.0_f64]);
    assert_eq!(code(outcome), SqlState::QUERY_CANCELED);
    canceller.join().unwrap();
    client.query_one("SELECT 1", &[]).unwrap();
}

#[test]
fn changes_whose_rows_cannot_be_written_are_not_confirmed() {
    let server = TestServer::start();
    let mut client = connect(&server);
    client
        .query(
            "SELECT pg_create_logical_replication_slot('unwritten', 'test_decoding')",
            &[],
        )
        .unwrap();
    server.publish(1..=3);
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots \
                     WHERE slot_name = 'unwritten'";
    let mut at = || -> PgLsn { client.query_one(confirmed, &[]).unwrap().get(0) };
    let before = at();
    let mut other = connect(&server);
    let failed = other.query(
        "SELECT lsn, 'spool=r/spool'::aclitem \
         FROM pg_logical_slot_get_changes('unwritten', NULL, NULL)",
        &[],
    );
    assert_eq!(code(failed), SqlState::UNDEFINED_FUNCTION);
    assert_eq!(at(), before);
    let all = "SELECT lsn FROM pg_logical_slot_get_changes('unwritten', NULL, NULL)";
    assert_eq!(other.query(all, &[]).unwrap().len(), 9);
    assert!(at() > before);
}
