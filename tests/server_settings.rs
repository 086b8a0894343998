//! The server's settings in its sessions: where they begin, what RESET goes back to, what
//! `pg_settings` and SHOW say.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use pgspool::engine::EngineOptions;
use pgspool::server::{ShownSetting, ShownSettings};
use support::{RawClient, TestServer};

fn shown(name: &str, value: &str, setting: &str, context: &'static str) -> ShownSetting {
    ShownSetting {
        name: name.to_owned(),
        value: value.to_owned(),
        setting: setting.to_owned(),
        context,
        vartype: "integer",
        source: "configuration file",
        category: "Some Category",
        short_desc: "says something",
        boot_val: "0".to_owned(),
        sourcefile: Some("/etc/pgspool.toml".to_owned()),
        sourceline: Some(7),
        ..ShownSetting::default()
    }
}

fn timeout(value: &str, setting: &str) -> ShownSetting {
    ShownSetting {
        unit: Some("ms"),
        ..shown("statement_timeout", value, setting, "user")
    }
}

fn server() -> (TestServer, ShownSettings) {
    let settings = ShownSettings::new(vec![
        timeout("90s", "90000"),
        ShownSetting {
            vartype: "enum",
            ..shown("synchronous_commit", "local", "local", "user")
        },
        ShownSetting {
            unit: Some("MB"),
            ..shown("wal_keep_size", "1GB", "1024", "sighup")
        },
        ShownSetting {
            source: "default",
            sourcefile: None,
            sourceline: None,
            ..shown("max_connections", "100", "100", "postmaster")
        },
    ]);
    let of_server = settings.clone();
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.shown = of_server;
    });
    (server, settings)
}

fn show(session: &mut RawClient, name: &str) -> String {
    session.row(&format!("SHOW {name}"))[0].clone().unwrap()
}

fn with_options(server: &TestServer, options: &str) -> RawClient {
    let mut client = server.connect();
    client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("options", options),
    ]);
    client
}

#[test]
fn sessions_begin_with_the_servers_settings_and_reset_goes_back_to_them() {
    let (server, _) = server();
    let mut session = server.session();
    assert_eq!(show(&mut session, "statement_timeout"), "90s");
    assert_eq!(show(&mut session, "synchronous_commit"), "local");
    for reset in ["RESET statement_timeout", "RESET ALL", "DISCARD ALL"] {
        session.query("SET statement_timeout = '5s'");
        assert_eq!(show(&mut session, "statement_timeout"), "5s");
        session.query(reset);
        assert_eq!(show(&mut session, "statement_timeout"), "90s", "{reset}");
    }
    session.query("SET statement_timeout TO DEFAULT");
    assert_eq!(show(&mut session, "statement_timeout"), "90s");
}

#[test]
fn what_the_client_asks_for_at_its_start_wins() {
    let (server, settings) = server();
    let mut session = with_options(&server, "-c statement_timeout=3s");
    assert_eq!(show(&mut session, "statement_timeout"), "3s");
    session.query("SET statement_timeout = 1");
    session.query("RESET statement_timeout");
    settings.replace(vec![timeout("7s", "7000")]);
    assert_eq!(show(&mut session, "statement_timeout"), "3s");
    let row = session.row(
        "SELECT setting, source, reset_val, boot_val, sourcefile FROM pg_settings \
         WHERE name = 'statement_timeout'",
    );
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        row,
        [text("3000"), text("client"), text("3000"), text("0"), None]
    );
}

#[test]
fn a_reload_reaches_the_sessions_that_did_not_set_it() {
    let (server, settings) = server();
    let mut stands = server.session();
    let mut set = server.session();
    set.query("SET statement_timeout = '5s'");
    settings.replace(vec![timeout("7s", "7000")]);
    assert_eq!(show(&mut stands, "statement_timeout"), "7s");
    assert_eq!(show(&mut stands, "synchronous_commit"), "on");
    assert_eq!(show(&mut set, "statement_timeout"), "5s");
    set.query("RESET ALL");
    assert_eq!(show(&mut set, "statement_timeout"), "7s");
    assert_eq!(show(&mut server.session(), "statement_timeout"), "7s");
}

#[test]
fn the_servers_timeout_ends_statements() {
    let (server, settings) = server();
    settings.replace(vec![timeout("50ms", "50")]);
    let mut session = server.session();
    assert_eq!(session.failure("SELECT pg_sleep(60)"), "57014");
}

#[test]
fn pg_settings_has_the_servers_and_the_sessions() {
    let (server, _) = server();
    let mut session = server.session();
    session.query("SET IntervalStyle = 'iso_8601'");
    let columns = "setting, unit, context, vartype, source, reset_val, boot_val, sourceline, \
                   pending_restart";
    let mut row = |name: &str| {
        let query = format!("SELECT {columns} FROM pg_settings WHERE name = '{name}'");
        let values = session.row(&query).into_iter();
        let shown: Vec<String> = values.map(|v| v.unwrap_or_else(|| "-".into())).collect();
        shown.join("|")
    };
    for (name, wanted) in [
        (
            "wal_keep_size",
            "1024|MB|sighup|integer|configuration file|1024|0|7|f",
        ),
        (
            "max_connections",
            "100|-|postmaster|integer|default|100|0|-|f",
        ),
        (
            "statement_timeout",
            "90000|ms|user|integer|configuration file|90000|0|7|f",
        ),
        (
            "synchronous_commit",
            "local|-|user|enum|configuration file|local|0|7|f",
        ),
        (
            "IntervalStyle",
            "iso_8601|-|user|enum|session|postgres|postgres|-|f",
        ),
        (
            "server_version_num",
            "150018|-|internal|integer|default|150018|150018|-|f",
        ),
        (
            "wal_segment_size",
            "16777216|B|internal|integer|default|16777216|16777216|-|f",
        ),
        (
            "wal_level",
            "logical|-|postmaster|enum|default|logical|logical|-|f",
        ),
        (
            "transaction_read_only",
            "off|-|user|bool|override|off|off|-|f",
        ),
    ] {
        assert_eq!(row(name), wanted, "{name}");
    }
    let missing = "SELECT count(*) FROM pg_settings WHERE category = '' OR short_desc = '' \
                   OR vartype = '' OR context = '' OR source = ''";
    assert_eq!(session.row(missing), [Some("0".to_owned())]);
}

#[test]
fn show_says_what_current_setting_says_and_show_all_lists_them() {
    let (server, _) = server();
    let mut session = server.session();
    session.query("SET TimeZone = 'Europe/Berlin'");
    let names = session.query("SELECT name FROM pg_settings ORDER BY lower(name)");
    let names: Vec<String> = names
        .iter()
        .filter(|message| message.tag == 'D')
        .map(|row| row.values()[0].clone().unwrap())
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in &names {
        let current = session.row(&format!("SELECT current_setting('{name}')"));
        assert_eq!(current, [Some(show(&mut session, name))], "{name}");
    }
    let all = session.query("SHOW ALL");
    assert_eq!(all[0].columns().len(), 3);
    let rows: Vec<_> = all.iter().filter(|message| message.tag == 'D').collect();
    assert_eq!(rows.len(), names.len());
    for (row, name) in rows.iter().zip(&names) {
        let values = row.values();
        assert_eq!(values[0].as_ref(), Some(name));
        assert_eq!(values[1], Some(show(&mut session, name)), "{name}");
        assert!(
            values[2].as_ref().is_some_and(|desc| !desc.is_empty()),
            "{name}"
        );
    }
}

#[test]
fn settings_of_the_server_are_refused_as_postgresql_does() {
    let (server, _) = server();
    let mut session = server.session();
    for (set, code, words) in [
        (
            "SET max_connections = 5",
            "55P02",
            "without restarting the server",
        ),
        ("SET wal_keep_size = 5", "55P02", "cannot be changed now"),
        (
            "SET wal_level = 'replica'",
            "55P02",
            "without restarting the server",
        ),
        ("SET server_version = '1'", "55P02", "cannot be changed"),
        (
            "SET nosuch = 5",
            "42704",
            "unrecognized configuration parameter",
        ),
        (
            "SELECT set_config('max_connections', '5', false)",
            "55P02",
            "restarting",
        ),
    ] {
        let answer = session.query(set);
        let error = answer.iter().find(|message| message.tag == 'E').unwrap();
        let fields = error.fields();
        assert_eq!(fields[&'C'], code, "{set}");
        assert!(fields[&'M'].contains(words), "{set}: {fields:?}");
    }
}

#[test]
fn pg_reload_conf_asks_for_a_reload() {
    let (server, settings) = server();
    let mut session = server.session();
    assert_eq!(
        session.row("SELECT pg_reload_conf()"),
        [Some("t".to_owned())]
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let asked = tokio::time::timeout(support::PATIENCE, settings.reload_requested());
        asked.await.unwrap();
    });
}

#[test]
fn warnings_of_functions_reach_the_client_unless_it_wants_none() {
    let server = TestServer::start();
    let mut session = server.session();
    let answer = session.query("SELECT pg_cancel_backend(1000000)");
    let tags: String = answer.iter().map(|message| message.tag).collect();
    assert_eq!(tags, "TNDCZ");
    let fields = answer[1].fields();
    assert_eq!(
        (fields[&'S'].as_str(), fields[&'C'].as_str()),
        ("WARNING", "01000")
    );
    assert_eq!(
        fields[&'M'],
        "PID 1000000 is not a PostgreSQL backend process"
    );
    session.query("SET client_min_messages = error");
    let answer = session.query("SELECT pg_cancel_backend(1000000); COMMIT");
    assert!(
        answer.iter().all(|message| message.tag != 'N'),
        "{answer:?}"
    );
}

#[test]
fn a_replication_session_answers_what_tools_ask_first() {
    let server = TestServer::start();
    let mut session = server.replication();
    let row = session.row("SELECT pg_catalog.set_config('search_path', '', false);");
    assert_eq!(row, [Some(String::new())]);
    assert_eq!(session.row("SHOW search_path"), [Some(String::new())]);
    let version = session.row("SELECT version()")[0].clone().unwrap();
    assert!(version.starts_with("PostgreSQL 15."), "{version}");
}

#[test]
fn a_connection_pool_can_reset_a_session() {
    let server = TestServer::start();
    let mut client = server.session();
    client.query("BEGIN");
    for (reset, tag) in [
        ("CLOSE ALL", "CLOSE CURSOR ALL"),
        ("SET SESSION AUTHORIZATION DEFAULT", "SET"),
        ("RESET SESSION AUTHORIZATION", "RESET"),
        ("SET ROLE NONE", "SET"),
        ("SET LOCAL ROLE NONE", "SET"),
        ("RESET ROLE", "RESET"),
        ("UNLISTEN *", "UNLISTEN"),
        ("RESET ALL", "RESET"),
    ] {
        let answer = client.query(reset);
        let tags: Vec<_> = answer.iter().map(|message| message.tag).collect();
        assert_eq!(tags, [b'C', b'Z'].map(char::from), "{reset}: {answer:?}");
        assert_eq!(answer[0].tag_text(), tag);
    }
    client.query("COMMIT");
    let unlocked = client.row("SELECT pg_advisory_unlock_all()");
    assert_eq!(unlocked, [Some(String::new())]);
    for other in [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION a",
        "LISTEN a",
    ] {
        assert_eq!(client.failure(other), "0A000", "{other}");
    }
}

#[test]
fn a_simple_query_has_no_parameters() {
    let server = TestServer::start();
    let mut client = server.session();
    client.query("BEGIN");
    for (query, position) in [
        ("SELECT $1", "8"),
        ("SELECT 1; SELECT 2 WHERE 1 = $2", "30"),
        ("DECLARE c CURSOR FOR SELECT $1::int4", "29"),
    ] {
        client.query("SAVEPOINT a");
        let answer = client.query(query);
        let error = answer.iter().find(|message| message.tag == 'E').unwrap();
        let fields = error.fields();
        assert_eq!(fields[&'C'], "42P02", "{fields:?}");
        assert!(fields[&'M'].starts_with("there is no parameter $"));
        assert_eq!(fields[&'P'], position, "{query}");
        client.query("ROLLBACK TO a");
    }
    client.query("PREPARE p AS SELECT $1::int4");
    assert_eq!(client.row("EXECUTE p (7)"), [Some("7".to_owned())]);
}

#[test]
fn a_session_keeps_so_many_prepared_statements() {
    let server = TestServer::start();
    let mut client = server.session();
    for n in 0..1000 {
        client.query(&format!("PREPARE p{n} AS SELECT {n}"));
    }
    assert_eq!(client.failure("PREPARE more AS SELECT 1"), "54000");
    client.query("DEALLOCATE p0");
    client.query("PREPARE more AS SELECT 1");
    assert_eq!(client.row("EXECUTE more"), [Some("1".to_owned())]);
    client.query("DEALLOCATE ALL");
    let text = "x".repeat(600 << 10);
    let long = |n: usize| format!("PREPARE p{n} AS SELECT length('{text}')");
    for n in 0..27 {
        client.query(&long(n));
    }
    assert_eq!(client.failure(&long(27)), "54000");
    client.query("BEGIN");
    for n in 0..1000 {
        client.query(&format!("DECLARE c{n} CURSOR FOR SELECT 1"));
    }
    assert_eq!(client.failure("DECLARE more CURSOR FOR SELECT 1"), "54000");
}

#[test]
fn names_without_a_schema_mean_what_the_search_path_says() {
    let server = TestServer::start();
    let mut session = server.session();
    let refused = |session: &mut RawClient, sql: &str, wanted: &str| {
        let answer = session.query(sql);
        let error = answer.iter().find(|message| message.tag == 'E');
        let code = error.map(|message| message.code());
        assert_eq!(code.as_deref(), Some(wanted), "{sql}");
    };
    refused(&mut session, "SELECT count(*) FROM slots", "42P01");
    refused(&mut session, "SELECT bookmark()", "42883");
    session.query("SET search_path TO public, pgspool");
    assert_eq!(
        session.row("SELECT count(*) FROM slots")[0].as_deref(),
        Some("0")
    );
    assert!(session.row("SELECT bookmark()")[0].is_some());
    session.query("CREATE SCHEMA \"S\"");
    session.query("SET search_path TO \"S\", public");
    assert_eq!(show(&mut session, "search_path"), "\"S\", public");
    session.query("BEGIN; CREATE TABLE t(i int); CREATE PUBLICATION p FOR TABLE t; COMMIT");
    let found = session.row("SELECT schemaname FROM pg_publication_tables WHERE tablename = 't'");
    assert_eq!(found[0].as_deref(), Some("S"));
    refused(&mut session, "SELECT * FROM t", "0A000");
    session.query("SET search_path TO ''");
    assert_eq!(show(&mut session, "search_path"), "\"\"");
    refused(&mut session, "SELECT * FROM t", "42P01");
    refused(&mut session, "CREATE TABLE u(i int)", "3F000");
    session.query("CREATE TABLE public.u(i int)");
    refused(&mut session, "DROP TABLE u", "42P01");
    assert!(session.row("SELECT count(*) FROM pg_class")[0].is_some());
    session.query("RESET search_path");
    session.query("DROP TABLE u");
}

#[test]
fn commits_that_wait_for_nobody_are_counted() {
    let server = TestServer::start();
    let mut session = server.session();
    session.query("SELECT pg_logical_emit_message(true, 'a', 'b')");
    session.query("SET synchronous_commit = local");
    session.query("BEGIN; SELECT pg_logical_emit_message(true, 'a', 'b'); COMMIT");
    let waits = "SELECT not_required, policy FROM pgspool.commit_waits";
    let row = session.row(&format!("{waits} WHERE database = current_database()"));
    let wanted = [Some("2".to_owned()), Some("local".to_owned())];
    assert_eq!(row, wanted);
}
