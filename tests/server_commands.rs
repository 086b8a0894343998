//! Commands and their answers: replication commands, the few plain statements, transactions,
//! cancelling, and every SQLSTATE that clients look at.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use support::{PATIENCE, RawClient, TestServer, eventually};

fn tags(client: &mut RawClient, query: &str) -> String {
    let answer = client.query(query);
    answer.iter().map(|message| message.tag).collect()
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|&value| Some(value.to_owned())).collect()
}

#[test]
fn pg_recvlogical_gets_its_answers_in_order() {
    let server = TestServer::start();
    let mut client = server.replication();
    let answer = client.query("SELECT pg_catalog.set_config('search_path', '', false);");
    assert_eq!(answer[0].columns(), [("set_config".to_owned(), 25, -1)]);
    assert_eq!(answer[1].values(), texts(&[""]));
    assert_eq!(answer[2].tag_text(), "SELECT 1");

    let answer = client.query("SHOW data_directory_mode");
    assert_eq!(answer[1].values(), texts(&["0700"]));
    assert_eq!(answer[2].tag_text(), "SHOW");

    let answer = client.query("IDENTIFY_SYSTEM");
    let columns = [
        ("systemid", 25, -1),
        ("timeline", 23, 4),
        ("xlogpos", 25, -1),
        ("dbname", 25, -1),
    ];
    assert_eq!(
        answer[0].columns(),
        columns.map(|(name, oid, size)| (name.to_owned(), oid, size))
    );
    let system_id = server.engine().system_id().to_string();
    let head = server.engine().head().to_string();
    assert_eq!(
        answer[1].values(),
        texts(&[&system_id, "1", &head, "pgspool"])
    );
    assert_eq!(answer[2].tag_text(), "IDENTIFY_SYSTEM");
    assert_eq!(answer[3].body, b"I");

    let create = "CREATE_REPLICATION_SLOT \"rl\" LOGICAL \"test_decoding\" ( SNAPSHOT 'nothing')";
    let answer = client.query(create);
    let row = answer[1].values();
    assert_eq!(row[..2], texts(&["rl", &head]));
    assert_eq!(row[2..], [None, Some("test_decoding".to_owned())]);
    assert_eq!(answer[2].tag_text(), "CREATE_REPLICATION_SLOT");
    let answer = client.query(create);
    let error = answer[0].fields();
    assert_eq!(error[&'C'], "42710");
    assert_eq!(error[&'M'], "replication slot \"rl\" already exists");
    assert_eq!(
        (&error[&'S'], &error[&'V']),
        (&"ERROR".to_owned(), &"ERROR".to_owned())
    );

    let answer = client.query("DROP_REPLICATION_SLOT \"rl\"");
    assert_eq!(answer[0].tag_text(), "DROP_REPLICATION_SLOT");
    assert_eq!(client.failure("DROP_REPLICATION_SLOT \"rl\""), "42704");
}

#[test]
fn slots_are_created_in_every_spelling() {
    let server = TestServer::start();
    let mut client = server.replication();
    for (query, exported) in [
        ("CREATE_REPLICATION_SLOT \"a\" LOGICAL \"json\"", true),
        ("CREATE_REPLICATION_SLOT b  LOGICAL json ", true),
        (
            "CREATE_REPLICATION_SLOT c TEMPORARY LOGICAL json NOEXPORT_SNAPSHOT",
            false,
        ),
        (
            "CREATE_REPLICATION_SLOT d LOGICAL json (TWO_PHASE, SNAPSHOT 'nothing');",
            false,
        ),
        (
            "CREATE_REPLICATION_SLOT e LOGICAL json EXPORT_SNAPSHOT",
            true,
        ),
    ] {
        let row = client.row(query);
        assert_eq!(row.len(), 4);
        assert_eq!(row[2].is_some(), exported, "{query}");
        if let Some(snapshot) = &row[2] {
            let parts: Vec<_> = snapshot.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 8, 1], "{snapshot}");
        }
    }
    let slots = server.engine().snapshot().slots;
    let names: Vec<_> = slots.iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    drop(client);
    support::eventually("the temporary slot is gone with its session", || {
        server.engine().snapshot().slots.len() == 4
    });
}

#[test]
fn replication_commands_fail_with_postgresqls_codes() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.create_slot("taken", "json");
    for (query, code) in [
        ("CREATE_REPLICATION_SLOT \"No\" LOGICAL json", "42602"),
        ("CREATE_REPLICATION_SLOT \"\" LOGICAL json", "42602"),
        ("CREATE_REPLICATION_SLOT x LOGICAL nosuch", "58P01"),
        (
            "CREATE_REPLICATION_SLOT x LOGICAL json (SNAPSHOT 'use')",
            "0A000",
        ),
        ("CREATE_REPLICATION_SLOT x PHYSICAL", "0A000"),
        ("CREATE_REPLICATION_SLOT x", "42601"),
        ("START_REPLICATION SLOT nosuch LOGICAL 0/0", "42704"),
        (
            "START_REPLICATION SLOT taken LOGICAL 0/0 (nosuch '1')",
            "22023",
        ),
        ("START_REPLICATION SLOT taken LOGICAL FF/0", "55000"),
        ("START_REPLICATION SLOT taken LOGICAL x", "42601"),
        ("START_REPLICATION 0/3000000 TIMELINE 1", "0A000"),
        (
            "START_REPLICATION SLOT \"taken\" 0/3000000 TIMELINE 1",
            "0A000",
        ),
        ("READ_REPLICATION_SLOT taken", "0A000"),
        ("TIMELINE_HISTORY 1", "0A000"),
        ("BASE_BACKUP ( LABEL 'x',  PROGRESS,  WAIT 0)", "0A000"),
        ("DROP_REPLICATION_SLOT nosuch", "42704"),
        ("DROP_REPLICATION_SLOT nosuch WAIT", "42704"),
        ("SHOW nosuch", "42704"),
    ] {
        assert_eq!(client.failure(query), code, "{query}");
    }
    let long = format!("CREATE_REPLICATION_SLOT {} LOGICAL json", "x".repeat(64));
    let name = client.row(&long)[0].clone().unwrap();
    assert_eq!(
        name.len(),
        63,
        "identifiers are cut as PostgreSQL cuts them"
    );
    let row = client.row("READ_REPLICATION_SLOT nosuch");
    assert_eq!(row, [None, None, None]);
}

#[test]
fn a_plugin_error_says_where_it_happened_and_leaves_the_slot_free() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.create_slot("s", "test_decoding");
    let answer = client.query("START_REPLICATION SLOT s LOGICAL 0/0 (\"nosuch\" '1')");
    let error = answer[0].fields();
    assert_eq!(error[&'C'], "22023");
    assert_eq!(error[&'M'], "option \"nosuch\" = \"1\" is unknown");
    assert_eq!(
        error[&'W'],
        "slot \"s\", output plugin \"test_decoding\", in the startup callback"
    );
    client.stream("s");
}

#[test]
fn replication_commands_are_syntax_errors_on_a_normal_connection() {
    let server = TestServer::start();
    let mut client = server.session();
    let answer = client.query("IDENTIFY_SYSTEM");
    let error = answer[0].fields();
    assert_eq!(error[&'C'], "42601");
    assert_eq!(error[&'M'], "syntax error at or near \"IDENTIFY_SYSTEM\"");
}

#[test]
fn extended_queries_are_refused_on_replication_connections_up_to_sync() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.message(b'P', b"\0SELECT 1\0\0\0");
    client.message(b'B', b"\0\0\0\0\0\0\0\0");
    client.message(b'D', b"P\0");
    client.message(b'E', b"\0\0\0\0\0");
    client.send_query("SELECT 1");
    client.message(b'S', b"");
    let answer = client.until_ready();
    assert_eq!(answer.len(), 2, "{answer:?}");
    assert_eq!(answer[0].code(), "08P01");
    assert_eq!(client.row("SELECT 1"), texts(&["1"]));
    client.message(b'F', b"\0\0\0\0");
    assert_eq!(client.until_ready()[0].code(), "08P01");
    let mut client = server.session();
    client.message(b'F', b"\0\0\0\0");
    assert_eq!(client.until_ready()[0].code(), "0A000");
}

#[test]
fn physical_connections_know_the_system_but_no_database() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.start(&[
        ("user", "x"),
        ("database", "replication"),
        ("replication", "true"),
    ]);
    let row = client.row("IDENTIFY_SYSTEM");
    assert_eq!(row[3], None);
    assert_eq!(client.row("SHOW wal_segment_size"), texts(&["16MB"]));
    assert_eq!(client.failure("SELECT 1"), "0A000");
    assert_eq!(
        client.failure("CREATE_REPLICATION_SLOT x LOGICAL json"),
        "55000"
    );
    assert_eq!(
        client.failure("START_REPLICATION SLOT x LOGICAL 0/0"),
        "55000"
    );
}

#[test]
fn plain_statements_answer_or_say_that_they_cannot() {
    let server = TestServer::start();
    let mut client = server.session();
    assert_eq!(client.row("SELECT 1"), texts(&["1"]));
    let version = client.row("SELECT version()")[0].clone().unwrap();
    assert!(version.starts_with("PostgreSQL 15.18 (pgspool "));
    assert_eq!(tags(&mut client, ""), "IZ");
    assert_eq!(tags(&mut client, " ; -- nothing\n;"), "IZ");
    assert_eq!(tags(&mut client, "SELECT 1; SELECT ';';"), "TDCEZ");
    assert_eq!(tags(&mut client, "SELECT 1; foo"), "EZ");
    assert_eq!(tags(&mut client, "SET application_name = 'me'"), "CSZ");
    assert_eq!(client.row("SHOW application_name"), texts(&["me"]));
    assert_eq!(
        tags(&mut client, "SET statement_timeout = 90000; SELECT 1"),
        "CTDCZ"
    );
    assert_eq!(client.row("SHOW statement_timeout"), texts(&["90s"]));
    for (query, code) in [
        ("SELECT 2", "0A000"),
        ("CREATE PUBLICATION p FOR ALL TABLES", "0A000"),
        ("SELECT 'open", "42601"),
        ("foo", "42601"),
        ("COPY orders FROM STDIN", "42P01"),
        ("SET wal_level = 'minimal'", "55P02"),
    ] {
        assert_eq!(client.failure(query), code, "{query}");
    }
    client.message(b'Q', b"SELECT '\xff'\0");
    assert_eq!(client.until_ready()[0].code(), "22021");
    client.message(b'Q', b"SELECT 1");
    assert_eq!(client.until_ready()[0].code(), "22021");
}

#[test]
fn transactions_fail_and_end_as_postgresqls() {
    let server = TestServer::start();
    for mut client in [server.session(), server.replication()] {
        let begin = client.query("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(
            (begin[0].tag_text(), &begin[1].body[..]),
            ("BEGIN".to_owned(), &b"T"[..])
        );
        assert_eq!(tags(&mut client, "BEGIN"), "NCZ");
        assert_eq!(client.failure("foo"), "42601");
        assert_eq!(client.failure("SELECT 1"), "25P02");
        let commit = client.query("COMMIT");
        assert_eq!(commit[0].tag_text(), "ROLLBACK");
        assert_eq!(commit[1].body, b"I");
        assert_eq!(tags(&mut client, "COMMIT"), "NCZ");
        client.query("BEGIN");
        assert_eq!(
            client.failure("COPY pgspool.changes FROM STDIN (FORMAT ndjson)"),
            "0A000"
        );
        client.query("ROLLBACK");
    }
    let mut client = server.replication();
    client.query("BEGIN");
    assert_eq!(
        client.failure("CREATE_REPLICATION_SLOT x LOGICAL json"),
        "25001"
    );
    assert_eq!(client.failure("IDENTIFY_SYSTEM"), "25P02");
    client.query("ROLLBACK");
    client.query("BEGIN");
    assert_eq!(
        client.failure("START_REPLICATION SLOT x LOGICAL 0/0"),
        "25001"
    );
}

#[test]
fn drop_wait_waits_for_the_stream_to_end() {
    let server = TestServer::start();
    let mut streaming = server.replication();
    streaming.create_slot("s", "json");
    streaming.stream("s");
    let mut other = server.replication();
    let answer = other.query("DROP_REPLICATION_SLOT s");
    let error = answer[0].fields();
    assert_eq!(error[&'C'], "55006");
    assert!(error[&'M'].starts_with("replication slot \"s\" is active for PID "));
    assert_eq!(
        other.failure("START_REPLICATION SLOT s LOGICAL 0/0"),
        "55006"
    );
    other.send_query("DROP_REPLICATION_SLOT s WAIT");
    assert!(!answers_soon(&other), "it waits");
    assert!(!server.engine().snapshot().slots.is_empty());
    drop(streaming);
    let answer = other.until_ready();
    assert_eq!(answer[0].tag_text(), "DROP_REPLICATION_SLOT");
    assert!(server.engine().snapshot().slots.is_empty());
}

/// Whether something comes from the server within a moment; it stays to be read.
fn answers_soon(client: &RawClient) -> bool {
    let moment = Some(Duration::from_millis(50));
    client.socket.set_read_timeout(moment).unwrap();
    let answers = client.socket.peek(&mut [0]).is_ok();
    client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    answers
}

fn cancel(server: &TestServer, pid: &[u8], key: &[u8]) {
    let mut client = server.connect();
    let code = 80_877_102_u32.to_be_bytes();
    client.raw(&[&16_u32.to_be_bytes()[..], &code, pid, key].concat());
    assert_eq!(client.read(), None, "a cancel request is never answered");
}

#[test]
fn a_cancel_request_ends_what_runs_and_only_with_the_right_key() {
    let server = TestServer::start();
    let mut holder = server.replication();
    holder.create_slot("s", "json");
    holder.stream("s");
    let mut client = server.connect();
    let greeting = client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("replication", "database"),
    ]);
    let key_data = greeting.iter().find(|m| m.tag == 'K').unwrap().body.clone();
    let (pid, key) = key_data.split_at(4);
    // Nothing runs: nothing happens.
    cancel(&server, pid, key);
    client.send_query("DROP_REPLICATION_SLOT s WAIT");
    for _ in 0..2 {
        cancel(&server, pid, &[!key[0], key[1], key[2], key[3]]);
        assert!(!answers_soon(&client), "the key is wrong");
    }
    assert!(!server.engine().snapshot().slots.is_empty());
    // A request that comes before the command cancels nothing.
    eventually("cancelled", || {
        cancel(&server, pid, key);
        answers_soon(&client)
    });
    assert_eq!(client.until_ready()[0].code(), "57014");
    assert_eq!(client.row("SELECT 1"), texts(&["1"]));
}

#[test]
fn a_stopping_server_says_so_to_idle_sessions() {
    let mut server = TestServer::start();
    let mut clients = [server.session(), server.replication()];
    server.begin_stop();
    for client in &mut clients {
        let error = client.read().unwrap();
        assert_eq!(error.code(), "57P01");
        assert_eq!(error.fields()[&'S'], "FATAL");
        assert_eq!(client.read(), None);
    }
    drop(clients);
    let report = server.stop();
    assert_eq!((report.num_accepted, report.num_aborted), (2, 0));
}
