//! Who may do what: every verb with every right alone and with none, in every protocol.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod rights_support;
mod support;

use rights_support::{
    alter, code, column, extended, login, role, server_with, session, simple, slot, walsender,
    words,
};
use support::{RawClient, TestServer, line};

/// Roles with one right each, and what stands for them in [`TABLE`].
const ROLES: &[(&str, &str)] = &[
    ("nobody", ""),
    ("reader", "R"),
    ("writer", "P"),
    ("guard", "M"),
    ("chief", "S"),
];

/// A statement, who may (letters of [`ROLES`]; `*` is everybody), and how it ends for those: the
/// SQLSTATE, empty for success. `{n}` is a new number, `{slot}` a new slot of nobody, `{pid}` a
/// new session of another role, `{table}`, `{schema}` and `{publication}` new ones.
const TABLE: &[(&str, &str, &str)] = &[
    ("SELECT pg_promote()", "S", "55000"),
    ("SELECT pg_switch_wal()", "S", "0A000"),
    ("SELECT pg_wal_replay_pause()", "S", "55000"),
    ("SELECT pg_wal_replay_resume()", "S", "55000"),
    (
        "SELECT pg_create_logical_replication_slot('made{n}', 'json')",
        "RS",
        "",
    ),
    (
        "SELECT pg_create_physical_replication_slot('made{n}')",
        "RS",
        "0A000",
    ),
    (
        "SELECT pg_copy_logical_replication_slot('{slot}', 'made{n}')",
        "RS",
        "",
    ),
    (
        "SELECT pg_copy_logical_replication_slot('{slot}', 'made{n}', false)",
        "RS",
        "",
    ),
    (
        "SELECT pg_copy_logical_replication_slot('{slot}', 'made{n}', false, 'json')",
        "RS",
        "",
    ),
    (
        "SELECT pg_copy_physical_replication_slot('{slot}', 'made{n}')",
        "RS",
        "0A000",
    ),
    (
        "SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())",
        "RS",
        "",
    ),
    ("SELECT pg_drop_replication_slot('{slot}')", "RS", ""),
    ("SELECT pg_drop_replication_slot('nosuch')", "RS", "42704"),
    (
        "SELECT * FROM pg_logical_slot_get_changes('{slot}', NULL, NULL)",
        "RS",
        "",
    ),
    (
        "SELECT * FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL)",
        "RS",
        "",
    ),
    (
        "SELECT * FROM pg_logical_slot_get_binary_changes('{slot}', NULL, NULL)",
        "RS",
        "",
    ),
    (
        "SELECT * FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL)",
        "RS",
        "",
    ),
    (
        "SELECT pgspool.create_slot('made{n}', 'json', 'earliest')",
        "RS",
        "",
    ),
    (
        "SELECT pgspool.create_slot('made{n}', 'json', pg_current_wal_lsn())",
        "RS",
        "",
    ),
    (
        "SELECT pgspool.create_slot('made{n}', 'json', now())",
        "RS",
        "",
    ),
    ("SELECT pgspool.plan_resume('{slot}')", "RS", ""),
    ("SELECT pgspool.report('{slot}', 1, 0)", "RS", "55000"),
    ("SELECT pgspool.terminate('{slot}')", "RS", ""),
    ("SELECT count(*) FROM pgspool.changes", "RS", ""),
    ("SELECT 1 FROM pgspool.changes WHERE false", "RS", ""),
    ("SELECT pg_stat_reset_replication_slot('{slot}')", "S", ""),
    ("SELECT pg_stat_reset_replication_slot(NULL)", "S", ""),
    ("SELECT pgspool.set_slot_owner('{slot}', 'reader')", "S", ""),
    ("SELECT pgspool.set_slot_owner('{slot}', NULL)", "S", ""),
    (
        "SELECT pgspool.set_slot_owner('{slot}', 'nosuch')",
        "S",
        "42704",
    ),
    ("SELECT pg_reload_conf()", "S", ""),
    ("SELECT pg_terminate_backend({pid})", "S", ""),
    ("SELECT pg_cancel_backend({pid})", "S", ""),
    ("SELECT pgspool.publish('{record}')", "PS", ""),
    ("SELECT pgspool.emit(true, 'a', 'b')", "PS", ""),
    ("SELECT pg_logical_emit_message(true, 'a', 'b')", "PS", ""),
    ("SELECT pg_logical_emit_message(false, 'a', 'b')", "PS", ""),
    (
        "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)",
        "PS",
        "",
    ),
    ("CREATE TABLE made{n} (id int PRIMARY KEY)", "PS", ""),
    ("ALTER TABLE {table} REPLICA IDENTITY FULL", "PS", ""),
    ("DROP TABLE {table}", "PS", ""),
    ("DROP TABLE IF EXISTS nosuch", "PS", ""),
    ("CREATE SCHEMA made{n}", "PS", ""),
    ("DROP SCHEMA {schema}", "PS", ""),
    ("CREATE PUBLICATION made{n} FOR ALL TABLES", "PS", ""),
    (
        "ALTER PUBLICATION {publication} SET (publish = 'insert')",
        "PS",
        "",
    ),
    ("DROP PUBLICATION {publication}", "PS", ""),
    ("SHOW data_directory", "MS", "42704"),
    ("SELECT current_setting('hba_file')", "MS", "42704"),
    ("SELECT set_config('application_name', 'x', false)", "*", ""),
    ("SET application_name = 'x'", "*", ""),
    ("SELECT pg_terminate_backend(0)", "*", ""),
    ("SELECT pg_current_wal_lsn()", "*", ""),
    ("SELECT pgspool.wait_for(pgspool.bookmark())", "*", ""),
    ("SELECT count(*) FROM pgspool.slots", "*", ""),
    ("SELECT count(*) FROM pg_stat_activity", "*", ""),
];

/// Volatile functions that everybody may call: they look and change nothing for others.
const OPEN: &[&str] = &[
    "clock_timestamp",
    "pg_advisory_unlock_all",
    "pg_blocking_pids",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_database_size",
    "pg_get_wal_replay_pause_state",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_jit_available",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_relation_size",
    "pg_safe_snapshot_blocking_pids",
    "pg_sleep",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "random",
    // The binder's own: raises the error of a cast.
    "raise",
];

struct Surroundings<'a> {
    server: &'a TestServer,
    n: u32,
    /// Sessions that may be cancelled or ended.
    victims: Vec<RawClient>,
}

impl Surroundings<'_> {
    /// The statement with all that it names made.
    fn fill(&mut self, statement: &str) -> String {
        self.n += 1;
        let n = self.n;
        let mut owner = session(self.server, "chief");
        let mut made = |mark: &str, create: &str| {
            if statement.contains(mark) {
                assert_eq!(code(&owner.query(create)), "", "{create}");
            }
        };
        made(
            "{table}",
            &format!("CREATE TABLE table{n} (id int PRIMARY KEY)"),
        );
        made("{schema}", &format!("CREATE SCHEMA schema{n}"));
        made(
            "{publication}",
            &format!("CREATE PUBLICATION publication{n}"),
        );
        if statement.contains("{slot}") {
            slot(self.server, "pgspool", &format!("slot{n}"), None);
        }
        let mut pid = String::new();
        if statement.contains("{pid}") {
            let mut victim = session(self.server, "victim");
            pid = victim.row("SELECT pg_backend_pid()")[0].clone().unwrap();
            self.victims.push(victim);
        }
        statement
            .replace("{record}", line(n.into()).trim())
            .replace("{table}", &format!("table{n}"))
            .replace("{schema}", &format!("schema{n}"))
            .replace("{publication}", &format!("publication{n}"))
            .replace("{slot}", &format!("slot{n}"))
            .replace("{n}", &n.to_string())
            .replace("{pid}", &pid)
    }
}

fn server() -> TestServer {
    let server = server_with(&[]);
    for (name, rights) in ROLES {
        role(&server, name, rights, &["pgspool"]);
    }
    role(&server, "victim", "", &["pgspool"]);
    server
}

#[test]
fn each_right_opens_what_it_is_for_and_nothing_else() {
    let server = server();
    let mut around = Surroundings {
        server: &server,
        n: 0,
        victims: vec![],
    };
    for (name, rights) in ROLES {
        let may_stream = matches!(*rights, "R" | "S");
        for (statement, who, outcome) in TABLE {
            let allowed = *who == "*" || (!rights.is_empty() && who.contains(rights));
            let wanted = if allowed { *outcome } else { "42501" };
            let told = |protocol: &str, answer: &[support::Message]| {
                assert_eq!(
                    code(answer),
                    wanted,
                    "{name} {protocol} {statement}: {answer:?}"
                );
            };
            let text = around.fill(statement);
            told("simple", &simple(&mut session(&server, name), &text));
            let text = around.fill(statement);
            told("extended", &extended(&mut session(&server, name), &text));
            if may_stream {
                let text = around.fill(statement);
                told("walsender", &simple(&mut walsender(&server, name), &text));
            }
        }
    }
    drop(around);
    server.stop();
}

/// Whoever adds a function that does more than answer says here who may call it.
#[test]
fn every_function_that_acts_has_a_row() {
    let server = server();
    let mut owner = session(&server, "chief");
    let volatile = "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'";
    let missing: Vec<String> = column(&mut owner, volatile)
        .into_iter()
        .filter(|name| {
            let called = format!("{name}(");
            !OPEN.contains(&name.as_str())
                && !TABLE
                    .iter()
                    .any(|(statement, _, _)| statement.contains(&called))
        })
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    drop(owner);
    server.stop();
}

#[test]
fn walsenders_need_replication_and_say_so_before_all_else() {
    let server = server();
    let commands = [
        ("IDENTIFY_SYSTEM", ""),
        ("SHOW wal_level", ""),
        (
            "CREATE_REPLICATION_SLOT \"made{n}\" LOGICAL json (SNAPSHOT 'nothing')",
            "",
        ),
        ("READ_REPLICATION_SLOT \"{slot}\"", "0A000"),
        ("READ_REPLICATION_SLOT nosuch", ""),
        ("DROP_REPLICATION_SLOT \"{slot}\"", ""),
        ("START_REPLICATION SLOT nosuch LOGICAL 0/0", "42704"),
        ("BASE_BACKUP", "0A000"),
    ];
    for (name, rights) in ROLES {
        for kind in ["database", "true"] {
            for database in ["pgspool", "nosuch"] {
                let refused = login(&server, name, database, Some(kind)).err();
                let wanted = match (*rights, kind, database) {
                    ("R" | "S", "database", "nosuch") => Some("3D000"),
                    ("R" | "S", _, _) => None,
                    _ => Some("42501"),
                };
                assert_eq!(refused.as_deref(), wanted, "{name} {kind} {database}");
            }
        }
        if !matches!(*rights, "R" | "S") {
            continue;
        }
        let mut around = Surroundings {
            server: &server,
            n: 1000 * u32::from(*rights == "R"),
            victims: vec![],
        };
        for (command, wanted) in &commands {
            let command = around.fill(command);
            let answer = walsender(&server, name).query(&command);
            assert_eq!(code(&answer), *wanted, "{name} {command}: {answer:?}");
        }
    }
    server.stop();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn refusals_read_as_in_postgresql() {
    let server = server();
    slot(&server, "pgspool", "s", None);
    let mut owner = session(&server, "chief");
    let pid = owner.row("SELECT pg_backend_pid()")[0].clone().unwrap();
    let victim = session(&server, "victim").row("SELECT pg_backend_pid()");
    let mut nobody = session(&server, "nobody");
    let mut other = session(&server, "victim");
    let other_pid = other.row("SELECT pg_backend_pid()")[0].clone().unwrap();
    drop(victim);
    for (statement, message) in [
        (
            "SELECT pg_drop_replication_slot('s')",
            "must be superuser or replication role to use replication slots",
        ),
        (
            "SELECT pg_reload_conf()",
            "permission denied for function pg_reload_conf",
        ),
        (
            "SELECT pg_stat_reset_replication_slot('s')",
            "permission denied for function pg_stat_reset_replication_slot",
        ),
        (
            &format!("SELECT pg_terminate_backend({pid})"),
            "must be a superuser to terminate superuser process",
        ),
        (
            &format!("SELECT pg_cancel_backend({pid})"),
            "must be a superuser to cancel superuser query",
        ),
        (
            &format!("SELECT pg_terminate_backend({other_pid})"),
            "must be a member of the role whose process is being terminated or member of \
             pg_signal_backend",
        ),
        (
            &format!("SELECT pg_cancel_backend({other_pid})"),
            "must be a member of the role whose query is being canceled or member of \
             pg_signal_backend",
        ),
        (
            "CREATE TABLE q (a int)",
            "permission denied for schema public",
        ),
        ("CREATE SCHEMA q", "permission denied for database pgspool"),
        (
            "CREATE PUBLICATION q",
            "permission denied for database pgspool",
        ),
        ("ALTER TABLE q ADD b int", "must be owner of table q"),
        ("DROP TABLE q", "must be owner of table q"),
        ("DROP SCHEMA q", "must be owner of schema q"),
        (
            "ALTER PUBLICATION q ADD TABLE t",
            "must be owner of publication q",
        ),
        ("DROP PUBLICATION q", "must be owner of publication q"),
        (
            "SHOW data_directory",
            "must be superuser or have privileges of pg_read_all_settings to examine \
             \"data_directory\"",
        ),
        (
            "SELECT * FROM pgspool.changes",
            "permission denied for view changes",
        ),
        (
            "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)",
            "permission denied for view changes",
        ),
    ] {
        let answer = nobody.query(statement);
        assert_eq!(words(&answer), message, "{statement}");
        assert_eq!(code(&answer), "42501");
    }
    drop((owner, nobody, other));
    server.stop();
}

#[test]
fn one_may_end_and_cancel_ones_own_sessions_also_without_a_right() {
    let server = server();
    let mut target = session(&server, "nobody");
    let pid = target.row("SELECT pg_backend_pid()")[0].clone().unwrap();
    let mut nobody = session(&server, "nobody");
    let cancel = format!("SELECT pg_cancel_backend({pid})");
    assert_eq!(nobody.row(&cancel)[0].as_deref(), Some("t"));
    let end = format!("SELECT pg_terminate_backend({pid}, 10000)");
    assert_eq!(nobody.row(&end)[0].as_deref(), Some("t"));
    assert_eq!(code(&target.until_end()), "57P01");
    server.stop();
}

#[test]
fn a_session_is_told_when_its_role_is_a_superuser_no_more() {
    let server = server();
    role(&server, "fallen", "S", &["pgspool"]);
    let mut fallen = session(&server, "fallen");
    assert_eq!(fallen.row("SHOW is_superuser")[0].as_deref(), Some("on"));
    alter(&server, "fallen", "", &["pgspool"]);
    let answer = fallen.query("SHOW is_superuser");
    let told: Vec<_> = answer.iter().filter(|message| message.tag == 'S').collect();
    assert_eq!(told.len(), 1, "{answer:?}");
    assert_eq!(told[0].body, b"is_superuser\0off\0");
    let row = fallen.row("SHOW is_superuser");
    assert_eq!(row[0].as_deref(), Some("off"));
    server.stop();
}

#[test]
fn a_session_says_whether_its_role_is_a_superuser() {
    let server = server();
    for (name, wanted) in [("chief", "on"), ("reader", "off")] {
        let row = session(&server, name).row("SHOW is_superuser");
        assert_eq!(row[0].as_deref(), Some(wanted));
    }
    server.stop();
}
