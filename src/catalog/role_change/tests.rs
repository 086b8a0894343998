//! Who may change roles, in PostgreSQL 15's words: recorded with the same statements there, as a
//! role without any right. What is marked as ours is otherwise.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::ddl::parse_roles;
use super::super::exec::Executor;
use super::super::prepare;
use super::super::test_host::TestHost;
use super::*;
use crate::datum::text_out;
use crate::disk::FakeDisk;

/// A session of `user`, beside a superuser and some others.
fn host(user: &str) -> Arc<TestHost> {
    let mut host = TestHost::new(&Arc::new(FakeDisk::default()), &["db", "shop"]);
    let mut roles = RoleSet::with_owner("spool");
    let verifier = Verifier::of_password("secret").unwrap();
    let create = |name: &str, changes: RoleChanges| RoleCommand::Create {
        name: name.to_owned(),
        changes,
    };
    let login = RoleChanges {
        login: Some(true),
        verifier: Some(Some(verifier)),
        databases: Some(["db".to_owned()].into()),
        ..RoleChanges::default()
    };
    let with = |change: fn(&mut RoleChanges)| {
        let mut changes = login.clone();
        change(&mut changes);
        changes
    };
    let commands = [
        create("plain", login.clone()),
        create("aa", RoleChanges::default()),
        create("repl", with(|changes| changes.replication = Some(true))),
        create("pub", with(|changes| changes.publish = Some(true))),
        create("mon", with(|changes| changes.monitor = Some(true))),
    ];
    roles = roles.after_all(&commands).unwrap();
    host.sessions[0].role = roles.find(user).unwrap().oid;
    host.sessions[0].user = user.to_owned();
    host.roles = Arc::new(roles);
    Arc::new(host)
}

fn refusal(user: &str, text: &str) -> String {
    let statement = parse_roles(text).unwrap().unwrap();
    match role_change(&host(user).context(), &statement) {
        Ok(change) => format!("{} {}", change.commands.len(), change.tag),
        Err(error) => error.to_string(),
    }
}

#[test]
fn who_is_no_superuser_is_told_so_in_postgresqls_words() {
    let alter_super = "must be superuser to alter superuser roles or change superuser attribute";
    let alter_replication =
        "must be superuser to alter replication roles or change replication attribute";
    let table = [
        ("CREATE ROLE y", "permission denied to create role"),
        (
            "CREATE ROLE y SUPERUSER",
            "must be superuser to create superusers",
        ),
        (
            "CREATE ROLE y REPLICATION",
            "must be superuser to create replication users",
        ),
        ("ALTER ROLE plain PASSWORD 'x' LOGIN", "permission denied"),
        ("ALTER ROLE plain CONNECTION LIMIT 4", "permission denied"),
        ("ALTER ROLE plain SUPERUSER", alter_super),
        ("ALTER ROLE plain REPLICATION", alter_replication),
        (
            "ALTER ROLE plain VALID UNTIL 'infinity'",
            "permission denied",
        ),
        ("ALTER ROLE aa PASSWORD 'x'", "permission denied"),
        ("ALTER ROLE repl PASSWORD 'x'", alter_replication),
        ("ALTER ROLE spool PASSWORD 'x'", alter_super),
        ("ALTER ROLE spool LOGIN", alter_super),
        ("ALTER ROLE aa LOGIN", "permission denied"),
        // Ours: other rights too.
        ("ALTER ROLE plain PUBLISH", "permission denied"),
        ("ALTER ROLE plain MONITOR", "permission denied"),
        (
            "ALTER ROLE aa RENAME TO aaa",
            "permission denied to rename role",
        ),
        (
            "ALTER ROLE spool RENAME TO aaa",
            "must be superuser to rename superusers",
        ),
        ("DROP ROLE aa", "permission denied to drop role"),
        ("DROP ROLE plain", "permission denied to drop role"),
        ("DROP ROLE nobody", "permission denied to drop role"),
        (
            "GRANT pg_monitor TO plain",
            "must have admin option on role \"pg_monitor\"",
        ),
        (
            "REVOKE pg_monitor FROM plain",
            "must have admin option on role \"pg_monitor\"",
        ),
        // Ours: an error, where PostgreSQL warns. One that is not there is not told apart.
        (
            "GRANT CONNECT ON DATABASE shop TO plain",
            "permission denied for database shop",
        ),
        (
            "REVOKE CONNECT ON DATABASE nodb FROM plain",
            "permission denied for database nodb",
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(refusal("plain", text), format!("42501 {wanted}"), "{text}");
        // Nor do the other rights help, where it is not about the role itself.
        if !text.contains(" plain ") {
            assert_eq!(refusal("mon", text), format!("42501 {wanted}"), "{text}");
        }
    }
    let own = "0A000 session user cannot be renamed";
    assert_eq!(refusal("plain", "ALTER ROLE plain RENAME TO plain2"), own);
    assert_eq!(refusal("spool", "ALTER ROLE spool RENAME TO spool2"), own);
    let own = "55006 current user cannot be dropped";
    assert_eq!(refusal("spool", "DROP ROLE spool"), own);
}

#[test]
fn everybody_may_change_the_own_password() {
    for user in ["plain", "repl", "mon", "spool"] {
        for text in [
            format!("ALTER USER {user} PASSWORD 'new'"),
            "ALTER ROLE current_user ENCRYPTED PASSWORD 'new'".to_owned(),
            "ALTER ROLE session_user PASSWORD NULL".to_owned(),
        ] {
            assert_eq!(refusal(user, &text), "1 ALTER ROLE", "{user}: {text}");
        }
    }
}

/// The only value of a query, or its error.
fn asked(user: &str, query: &str) -> String {
    let context = host(user).context();
    let outcome = prepare::prepare_without_parameters(&context, query).and_then(|prepared| {
        let mut rows = Vec::new();
        Executor::new(2).run(&context, &prepared, &[], &mut |row| {
            let mut text = String::new();
            let names = names(&context);
            for (datum, column) in row.iter().zip(&prepared.columns) {
                if !text.is_empty() {
                    text.push('|');
                }
                text_out(
                    column.column_type,
                    datum,
                    &names,
                    context.style(),
                    &mut text,
                )
                .unwrap();
            }
            rows.push(text);
            ControlFlow::Continue(())
        })?;
        Ok(rows.join(" "))
    });
    outcome.unwrap_or_else(|error| error.to_string())
}

#[test]
fn verifiers_are_shown_to_superusers_only() {
    let denied = [
        ("SELECT rolpassword FROM pg_authid", "table pg_authid"),
        ("SELECT count(*) FROM pg_authid", "table pg_authid"),
        (
            "SELECT passwd FROM pg_shadow WHERE usename = 'plain'",
            "view pg_shadow",
        ),
    ];
    for (query, what) in denied {
        for user in ["plain", "mon", "pub", "repl"] {
            let wanted = format!("42501 permission denied for {what}");
            assert_eq!(asked(user, query), wanted);
        }
    }
    let query = "SELECT rolpassword FROM pg_authid WHERE rolname = 'plain'";
    assert!(asked("spool", query).starts_with("SCRAM-SHA-256$4096:"));
    let query = "SELECT rolpassword FROM pg_roles WHERE rolname = 'plain'";
    assert_eq!(asked("spool", query), "********");
}

#[test]
fn a_role_sees_its_databases() {
    let query = "SELECT datname FROM pg_database ORDER BY 1";
    assert_eq!(asked("plain", query), "db");
    assert_eq!(asked("mon", query), "db shop");
    assert_eq!(asked("spool", query), "db shop");
    assert_eq!(
        asked("plain", "SELECT count(*) FROM pgspool.databases"),
        "1"
    );
    let acl = "SELECT datacl FROM pg_database WHERE datname = 'db'";
    let wanted = "{spool=CTc/spool,plain=c/spool,repl=c/spool,pub=Cc/spool,mon=c/spool}";
    assert_eq!(asked("spool", acl), wanted);
}

#[test]
fn privileges_follow_from_rights() {
    // As PostgreSQL 15 answered a role without rights, and a superuser.
    let table = [
        ("has_table_privilege('pg_authid', 'SELECT')", "f", "t"),
        ("has_table_privilege('pg_class', 'SELECT')", "t", "t"),
        ("has_table_privilege('pg_class', 'INSERT')", "f", "t"),
        (
            "has_table_privilege('pg_roles', 'select, insert')",
            "t",
            "t",
        ),
        ("pg_has_role('pg_monitor', 'USAGE')", "f", "t"),
        ("pg_has_role('plain', 'spool', 'MEMBER')", "f", "f"),
        ("pg_has_role('spool', 'pg_monitor', 'MEMBER')", "t", "t"),
        ("pg_has_role('plain', 'plain', 'USAGE')", "t", "t"),
        ("has_schema_privilege('public', 'CREATE')", "f", "t"),
        ("has_schema_privilege('pg_catalog', 'CREATE')", "f", "t"),
        ("has_schema_privilege('pg_catalog', 'USAGE')", "t", "t"),
        ("has_database_privilege('db', 'CREATE')", "f", "t"),
        ("has_database_privilege('db', 'connect')", "t", "t"),
        ("has_database_privilege('public', 'db', 'CREATE')", "f", "f"),
        ("has_database_privilege('aa', 'db', 'CONNECT')", "f", "f"),
        ("has_database_privilege('pub', 'db', 'CREATE')", "t", "t"),
        ("has_schema_privilege('pub', 'public', 'CREATE')", "t", "t"),
        ("pg_has_role('mon', 'pg_monitor', 'USAGE')", "t", "t"),
        ("pg_has_role('mon', 'pg_read_all_stats', 'USAGE')", "t", "t"),
        (
            "has_table_privilege('pg_class', 'SELECT WITH GRANT OPTION')",
            "f",
            "t",
        ),
        ("has_table_privilege(0::oid, 'SELECT')", "", ""),
    ];
    for (call, plain, superuser) in table {
        let query = format!("SELECT {call}");
        assert_eq!(asked("plain", &query), plain, "{call}");
        assert_eq!(asked("spool", &query), superuser, "{call}");
    }
    let errors = [
        (
            "has_database_privilege('db', 'foo')",
            "22023 unrecognized privilege type: \"foo\"",
        ),
        (
            "has_schema_privilege('plain', 'public', 'FOO')",
            "22023 unrecognized privilege type: \"FOO\"",
        ),
        (
            "has_schema_privilege('nobody', 'public', 'usage')",
            "42704 role \"nobody\" does not exist",
        ),
        (
            "has_database_privilege('shop', 'CONNECT')",
            "3D000 database \"shop\" does not exist",
        ),
    ];
    for (call, wanted) in errors {
        assert_eq!(asked("plain", &format!("SELECT {call}")), wanted);
    }
    assert_eq!(
        asked("plain", "SELECT current_user, session_user"),
        "plain|plain"
    );
}
