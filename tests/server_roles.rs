//! Roles through SQL: every form, what it answers, and that it counts when it should.
//!
//! Errors and tags are PostgreSQL 15's own, as it answered the same statements, where they are not
//! marked as ours.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::sync::Arc;

use pgspool::disk::RealDisk;
use pgspool::engine::EngineOptions;
use pgspool::roles::{OWNER_OID, Role, RoleCommand, RoleSet, Roles, Verifier};
use support::{Message, RawClient, TestServer, superuser};
use tempfile::TempDir;

const SECRET: &str = "SCRAM-SHA-256$4096:gxq2qyYkAUMkCO5zBJNSLA==$\
                      O0FEOAJGlqwhrNNtng95pX1EXzh6npVPcPTxO66bZIQ=:\
                      5SEdD08hAXfzGpPG02BBe2FIJE6XmbOsZZ3lYT8Wp6Y=";

/// The tag, or the error as `code message @position`; notices come first, `NOTICE code message`.
fn said(answer: &[Message]) -> String {
    let mut lines = vec![];
    for message in answer {
        match message.tag {
            'C' => lines.push(message.tag_text()),
            'E' | 'N' => {
                let fields = message.fields();
                let mut line = format!("{} {}", fields[&'C'], fields[&'M']);
                if message.tag == 'N' {
                    line = format!("{} {line}", fields[&'S']);
                }
                if let Some(detail) = fields.get(&'D') {
                    line = format!("{line} | {detail}");
                }
                if let Some(position) = fields.get(&'P') {
                    line = format!("{line} @{position}");
                }
                lines.push(line);
            }
            _ => {}
        }
    }
    lines.join("\n")
}

fn check(client: &mut RawClient, table: &[(&str, &str)]) {
    for (sql, wanted) in table {
        assert_eq!(said(&client.query(sql)), *wanted, "{sql}");
    }
}

fn role(server: &TestServer, name: &str) -> Role {
    server
        .databases
        .roles()
        .current()
        .find(name)
        .unwrap()
        .clone()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_form_answers_as_postgresql_does() {
    let server = TestServer::start();
    let mut client = server.session();
    check(
        &mut client,
        &[
            ("CREATE ROLE a", "CREATE ROLE"),
            ("CREATE ROLE a", "42710 role \"a\" already exists"),
            (
                "CREATE ROLE pg_x",
                "42939 role name \"pg_x\" is reserved | Role names starting with \"pg_\" are \
                 reserved.",
            ),
            (
                "CREATE ROLE public",
                "42939 role name \"public\" is reserved @13",
            ),
            (
                "CREATE ROLE none",
                "42939 role name \"none\" is reserved @13",
            ),
            (
                "CREATE ROLE \"public\"",
                "42939 role name \"public\" is reserved @13",
            ),
            (
                "CREATE ROLE current_user",
                "42939 CURRENT_USER cannot be used as a role name here @13",
            ),
            (
                "CREATE USER b LOGIN NOLOGIN",
                "42601 conflicting or redundant options @21",
            ),
            (
                "CREATE USER b LOGIN LOGIN",
                "42601 conflicting or redundant options @21",
            ),
            (
                "CREATE ROLE b FOO",
                "42601 unrecognized role option \"foo\" @15",
            ),
            (
                "CREATE ROLE c PASSWORD ''",
                "NOTICE 00000 empty string is not a valid password, clearing password\n\
                 CREATE ROLE",
            ),
            (
                "CREATE ROLE d CONNECTION LIMIT -2",
                "22023 invalid connection limit: -2",
            ),
            (
                "CREATE ROLE d CONNECTION LIMIT 5 UNENCRYPTED PASSWORD 'x'",
                "0A000 UNENCRYPTED PASSWORD is no longer supported @34",
            ),
            (
                "CREATE ROLE d VALID UNTIL 'tomorrowish'",
                "22007 invalid input syntax for type timestamp with time zone: \"tomorrowish\"",
            ),
            (
                "CREATE ROLE zzz PASSWORD x",
                "42601 syntax error at or near \"x\" @26",
            ),
            (
                "CREATE ROLE zzz CONNECTION LIMIT",
                "42601 syntax error at end of input @33",
            ),
            ("CREATE ROLE", "42601 syntax error at end of input @12"),
            (
                "CREATE ROLE \"\"",
                "42601 zero-length delimited identifier at or near \"\"\"\" @13",
            ),
            (
                "ALTER ROLE nobody LOGIN",
                "42704 role \"nobody\" does not exist",
            ),
            (
                "ALTER ROLE pg_monitor LOGIN",
                "42939 role name \"pg_monitor\" is reserved | Cannot alter reserved roles.",
            ),
            (
                "ALTER ROLE pg_monitor RENAME TO x",
                "42939 role name \"pg_monitor\" is reserved | Role names starting with \"pg_\" \
                 are reserved.",
            ),
            ("CREATE USER b", "CREATE ROLE"),
            (
                "ALTER ROLE a RENAME TO b",
                "42710 role \"b\" already exists",
            ),
            (
                "ALTER ROLE a RENAME TO pg_b",
                "42939 role name \"pg_b\" is reserved | Role names starting with \"pg_\" are \
                 reserved.",
            ),
            ("ALTER ROLE a RENAME TO aa", "ALTER ROLE"),
            (
                "ALTER ROLE nobody RENAME TO x",
                "42704 role \"nobody\" does not exist",
            ),
            (
                "ALTER ROLE ALL LOGIN",
                "42601 syntax error at or near \"LOGIN\" @16",
            ),
            (
                "ALTER ROLE public LOGIN",
                "42704 role \"public\" does not exist",
            ),
            (
                "ALTER ROLE aa SUPERUSER NOSUPERUSER",
                "42601 conflicting or redundant options @25",
            ),
            ("ALTER ROLE aa", "ALTER ROLE"),
            ("ALTER USER aa WITH CONNECTION LIMIT 3", "ALTER ROLE"),
            ("DROP ROLE nobody", "42704 role \"nobody\" does not exist"),
            (
                "DROP ROLE IF EXISTS nobody, nobody2",
                "NOTICE 00000 role \"nobody\" does not exist, skipping\n\
                 NOTICE 00000 role \"nobody2\" does not exist, skipping\n\
                 DROP ROLE",
            ),
            (
                "DROP ROLE pg_monitor",
                "2BP01 cannot drop role pg_monitor because it is required by the database system",
            ),
            (
                "DROP ROLE public",
                "22023 cannot use special role specifier in DROP ROLE",
            ),
            (
                "DROP ROLE current_user",
                "22023 cannot use special role specifier in DROP ROLE",
            ),
            (
                "DROP USER aa, b, nobody",
                "42704 role \"nobody\" does not exist",
            ),
            ("DROP USER IF EXISTS b", "DROP ROLE"),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn grants_answer_as_postgresql_does() {
    let server = TestServer::start();
    let mut client = server.session();
    check(
        &mut client,
        &[
            ("CREATE ROLE aa", "CREATE ROLE"),
            ("CREATE ROLE plain", "CREATE ROLE"),
            (
                "GRANT CONNECT ON DATABASE nodb TO aa",
                "3D000 database \"nodb\" does not exist",
            ),
            (
                "GRANT CONNECT ON DATABASE pgspool TO nobody",
                "42704 role \"nobody\" does not exist",
            ),
            (
                "GRANT CONNECT ON DATABASE pgspool, pgspool TO aa, GROUP plain",
                "GRANT",
            ),
            (
                "GRANT FOO ON DATABASE pgspool TO aa",
                "42601 unrecognized privilege type \"foo\"",
            ),
            (
                "GRANT SELECT ON DATABASE pgspool TO aa",
                "0LP01 invalid privilege type SELECT for database",
            ),
            ("REVOKE CONNECT ON DATABASE pgspool FROM aa", "REVOKE"),
            (
                "REVOKE ALL PRIVILEGES ON DATABASE pgspool FROM aa CASCADE",
                "REVOKE",
            ),
            ("REVOKE CONNECT ON DATABASE pgspool FROM PUBLIC", "REVOKE"),
            ("GRANT pg_monitor TO aa", "GRANT ROLE"),
            (
                "GRANT pg_monitor TO aa",
                "NOTICE 00000 role \"aa\" is already a member of role \"pg_monitor\"\nGRANT ROLE",
            ),
            ("REVOKE pg_monitor FROM aa", "REVOKE ROLE"),
            (
                "REVOKE pg_monitor FROM aa",
                "WARNING 01000 role \"aa\" is not a member of role \"pg_monitor\"\nREVOKE ROLE",
            ),
            ("GRANT nobody TO aa", "42704 role \"nobody\" does not exist"),
            (
                "GRANT pg_monitor TO nobody",
                "42704 role \"nobody\" does not exist",
            ),
            // Ours: what there is none of is refused.
            (
                "GRANT aa TO plain",
                "0A000 membership in role \"aa\" is not supported",
            ),
            (
                "GRANT CREATE ON DATABASE pgspool TO aa",
                "0A000 GRANT CREATE ON DATABASE is not supported @7",
            ),
            (
                "GRANT CONNECT ON DATABASE pgspool TO PUBLIC",
                "0A000 GRANT CONNECT TO PUBLIC is not supported",
            ),
            (
                "GRANT SELECT ON pg_class TO aa",
                "0A000 rights on anything but databases are not supported @17",
            ),
            (
                "GRANT CONNECT ON DATABASE pgspool TO aa WITH GRANT OPTION",
                "0A000 passing rights on is not supported @41",
            ),
            (
                "CREATE ROLE q CREATEDB",
                "0A000 CREATEDB is not supported for a role that is no superuser",
            ),
            (
                "CREATE ROLE q NOINHERIT",
                "0A000 NOINHERIT is not supported @15",
            ),
            (
                "CREATE ROLE q IN ROLE aa",
                "0A000 membership in roles is not supported @15",
            ),
            (
                "ALTER ROLE aa SET work_mem = 1",
                "0A000 a setting of a role is not supported @15",
            ),
            (
                "CREATE ROLE q PASSWORD 'md5d8578edf8458ce06fbc5bb76a58c5ca4'",
                "0A000 MD5 passwords are not supported",
            ),
            (
                "CREATE ROLE q PASSWORD 'SCRAM-SHA-256$4096:xx'",
                "22023 invalid SCRAM-SHA-256 verifier",
            ),
            (
                "CREATE ROLE q IN DATABASE nodb",
                "3D000 database \"nodb\" does not exist",
            ),
        ],
    );
    assert!(server.databases.roles().current().find("q").is_none());
}

#[test]
fn what_is_said_of_a_role_is_what_it_has() {
    let server = TestServer::start();
    let mut client = server.session();
    let create = "CREATE ROLE \"The App\" WITH SUPERUSER LOGIN REPLICATION PUBLISH MONITOR INHERIT \
                  CREATEDB CREATEROLE BYPASSRLS ENCRYPTED PASSWORD 'secret' CONNECTION LIMIT 4 \
                  VALID UNTIL '2040-01-01 00:00:00.5+00' IN DATABASE pgspool";
    let other = "CREATE ROLE boss SUPERUSER LOGIN";
    check(
        &mut client,
        &[(other, "CREATE ROLE"), (create, "CREATE ROLE")],
    );
    let app = role(&server, "The App");
    let rights = app.rights;
    assert!(rights.superuser && rights.login && rights.replication);
    assert!(rights.publish && rights.monitor);
    assert!(app.verifier.unwrap().fits("secret"));
    assert_eq!(app.connection_limit, Some(4));
    assert_eq!(app.valid_until_unix_ms, Some(2_208_988_800_500));
    assert!(app.databases.contains("pgspool"));
    let back = "ALTER ROLE \"The App\" NOSUPERUSER NOLOGIN NOREPLICATION NOPUBLISH NOMONITOR \
                NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD NULL CONNECTION LIMIT -1 \
                VALID UNTIL 'infinity'";
    check(
        &mut client,
        &[
            (back, "ALTER ROLE"),
            (
                "REVOKE CONNECT ON DATABASE pgspool FROM \"The App\"",
                "REVOKE",
            ),
        ],
    );
    let app = role(&server, "The App");
    assert_eq!(app.rights, pgspool::roles::Rights::default());
    assert_eq!((app.verifier, app.connection_limit), (None, None));
    assert_eq!((app.valid_until_unix_ms, app.databases.len()), (None, 0));
    check(
        &mut client,
        &[
            ("CREATE ROLE r", "CREATE ROLE"),
            ("CREATE USER v", "CREATE ROLE"),
            ("CREATE USER n NOLOGIN", "CREATE ROLE"),
        ],
    );
    let login = |name| role(&server, name).rights.login;
    assert_eq!(["r", "v", "n"].map(login), [false, true, false]);
    let until = "ALTER ROLE r VALID UNTIL '1960-01-01'";
    check(&mut client, &[(until, "ALTER ROLE")]);
    assert_eq!(role(&server, "r").valid_until_unix_ms, Some(0));
}

#[test]
fn a_ready_made_verifier_is_kept_as_it_is() {
    let server = TestServer::start();
    let mut client = server.session();
    for password in [
        format!("'{SECRET}'"),
        format!("$p${SECRET}$p$"),
        format!("E'{SECRET}'"),
    ] {
        client.query("DROP ROLE IF EXISTS a");
        let create = format!("CREATE ROLE a PASSWORD {password}");
        check(&mut client, &[(&create, "CREATE ROLE")]);
        let verifier = role(&server, "a").verifier.unwrap();
        assert_eq!(verifier.to_string(), SECRET);
        assert!(verifier.fits("pencil"));
    }
    // One of the empty password is none, as in PostgreSQL.
    let empty = Verifier::with_salt("", b"salt", 4096.try_into().unwrap());
    let alter = format!("ALTER ROLE a PASSWORD '{empty}'");
    let wanted = "NOTICE 00000 empty string is not a valid password, clearing password\nALTER ROLE";
    check(&mut client, &[(&alter, wanted)]);
    assert_eq!(role(&server, "a").verifier, None);
}

#[test]
fn the_last_superuser_that_can_log_in_stays_one_and_the_first_is_not_dropped() {
    // Without the roles that the other tests come as.
    let data = Arc::new(TempDir::new().unwrap());
    let roles = Roles::open(Arc::new(RealDisk), data.path()).unwrap();
    for name in ["boss", "boss2"] {
        let (name, changes) = (name.to_owned(), superuser());
        roles.apply(&RoleCommand::Create { name, changes }).unwrap();
    }
    drop(roles);
    let server = TestServer::start_on(data, EngineOptions::default(), |_| {});
    assert_eq!(role(&server, "boss").oid, OWNER_OID);
    let as_user = |user| {
        let mut client = server.connect();
        client.start(&[("user", user), ("database", "pgspool")]);
        client
    };
    let (mut boss, mut boss2) = (as_user("boss"), as_user("boss2"));
    let required = "2BP01 cannot drop role boss because it is required by the database system";
    check(
        &mut boss2,
        &[
            ("DROP ROLE boss", required),
            ("ALTER ROLE boss NOLOGIN", "ALTER ROLE"),
        ],
    );
    let last = "2BP01 \"boss2\" is the last superuser that can log in";
    check(
        &mut boss,
        &[
            ("ALTER ROLE boss2 NOLOGIN", last),
            ("ALTER ROLE boss2 NOSUPERUSER", last),
            ("DROP ROLE boss2", last),
            ("ALTER ROLE boss LOGIN", "ALTER ROLE"),
            ("DROP ROLE boss2", "DROP ROLE"),
            ("ALTER ROLE boss NOLOGIN", &last.replace("boss2", "boss")),
        ],
    );
    assert_eq!(names(&server.databases.roles().current()), ["boss"]);
}

fn names(roles: &RoleSet) -> Vec<String> {
    // Those that the server of the tests begins with.
    let known = [
        "ann", "bob", "pgspool", "postgres", "spool", "u", "watcher", "x",
    ];
    let all = roles.iter().map(|role| role.name.clone());
    all.filter(|name| !known.contains(&name.as_str())).collect()
}

#[test]
fn roles_change_with_their_transaction() {
    let server = TestServer::start();
    let (mut client, mut other) = (server.session(), server.session());
    let count = "SELECT count(*) FROM pg_roles WHERE rolname IN ('a', 'b', 'c')";
    let counted = |client: &mut RawClient| client.row(count)[0].clone().unwrap();
    check(
        &mut client,
        &[("BEGIN", "BEGIN"), ("CREATE ROLE a", "CREATE ROLE")],
    );
    assert_eq!(
        (counted(&mut client), counted(&mut other)),
        ("1".into(), "0".into())
    );
    check(
        &mut client,
        &[
            ("SAVEPOINT s", "SAVEPOINT"),
            ("CREATE ROLE b", "CREATE ROLE"),
            ("ALTER ROLE a RENAME TO c", "ALTER ROLE"),
            ("CREATE ROLE c", "42710 role \"c\" already exists"),
            ("ROLLBACK TO s", "ROLLBACK"),
            ("CREATE ROLE c", "CREATE ROLE"),
            ("COMMIT", "COMMIT"),
        ],
    );
    assert_eq!(names(&server.databases.roles().current()), ["a", "c"]);
    assert_eq!(counted(&mut other), "2");
    check(
        &mut client,
        &[
            ("BEGIN", "BEGIN"),
            ("DROP ROLE a, c", "DROP ROLE"),
            ("ROLLBACK", "ROLLBACK"),
        ],
    );
    // A query string is one transaction.
    let string = "CREATE ROLE q; CREATE ROLE a";
    check(
        &mut client,
        &[(string, "CREATE ROLE\n42710 role \"a\" already exists")],
    );
    assert_eq!(names(&server.databases.roles().current()), ["a", "c"]);
    let read_only = "BEGIN READ ONLY; CREATE ROLE q";
    let refused = "BEGIN\n25006 cannot execute CREATE ROLE in a read-only transaction";
    check(
        &mut client,
        &[(read_only, refused), ("ROLLBACK", "ROLLBACK")],
    );
}

#[test]
fn who_loses_a_race_learns_it_at_commit_and_changes_nothing() {
    let server = TestServer::start();
    let (mut one, mut two) = (server.session(), server.session());
    for client in [&mut one, &mut two] {
        let answers = [("BEGIN", "BEGIN"), ("CREATE ROLE a", "CREATE ROLE")];
        check(client, &answers);
    }
    check(
        &mut two,
        &[("CREATE ROLE b", "CREATE ROLE"), ("COMMIT", "COMMIT")],
    );
    check(&mut one, &[("COMMIT", "42710 role \"a\" already exists")]);
    assert_eq!(names(&server.databases.roles().current()), ["a", "b"]);
}

#[test]
fn a_transaction_changes_roles_or_a_database_never_both() {
    let server = TestServer::start();
    let mut client = server.session();
    let both = "0A000 a transaction that changes roles cannot publish or define anything else";
    check(
        &mut client,
        &[
            ("BEGIN", "BEGIN"),
            ("CREATE TABLE t (id int)", "CREATE TABLE"),
            ("CREATE ROLE a", both),
            ("ROLLBACK", "ROLLBACK"),
            ("BEGIN", "BEGIN"),
            ("CREATE ROLE a", "CREATE ROLE"),
            ("CREATE TABLE t (id int)", both),
            ("ROLLBACK", "ROLLBACK"),
            ("BEGIN", "BEGIN"),
            ("CREATE ROLE a", "CREATE ROLE"),
        ],
    );
    client.begin_copy();
    client.copy_data(&support::line(1));
    client.end_copy();
    check(&mut client, &[("COMMIT", both)]);
    assert!(names(&server.databases.roles().current()).is_empty());
    assert_eq!(server.engine().relations().current().relations.len(), 0);
}

#[test]
fn a_role_that_owns_slots_is_not_dropped() {
    let server = TestServer::start();
    let mut client = server.session();
    check(
        &mut client,
        &[
            ("CREATE ROLE boss SUPERUSER LOGIN", "CREATE ROLE"),
            ("CREATE ROLE a", "CREATE ROLE"),
        ],
    );
    client.row("SELECT pg_create_logical_replication_slot('s', 'json')");
    let name = pgspool::slots::SlotName::parse("s").unwrap();
    let owner = role(&server, "a").oid;
    server.engine().set_slot_owner(&name, Some(owner)).unwrap();
    let refused = "2BP01 role \"a\" cannot be dropped because some objects depend on it | owner of \
                   replication slot s in database pgspool";
    check(&mut client, &[("DROP ROLE a", refused)]);
    server.engine().set_slot_owner(&name, None).unwrap();
    check(&mut client, &[("DROP ROLE a", "DROP ROLE")]);
}

#[test]
fn roles_are_there_after_a_restart() {
    let server = TestServer::start();
    let mut client = server.session();
    let create = format!("CREATE USER a PUBLISH PASSWORD '{SECRET}' IN DATABASE pgspool");
    check(&mut client, &[(&create, "CREATE ROLE")]);
    let before = server.databases.roles().current();
    let data = std::sync::Arc::clone(&server.data);
    drop(client);
    server.stop();
    let disk = std::sync::Arc::new(pgspool::disk::RealDisk);
    let after = Roles::open(disk, data.path()).unwrap();
    assert_eq!(after.current(), before);
}

#[test]
fn a_password_is_shown_to_nobody() {
    let server = TestServer::start();
    let (mut client, mut other) = (server.session(), server.session());
    check(
        &mut client,
        &[("CREATE USER a PASSWORD 'open sesame'", "CREATE ROLE")],
    );
    let shown = "SELECT query FROM pg_stat_activity WHERE query LIKE 'CREATE%'";
    let shown = other.row(shown)[0].clone().unwrap();
    assert_eq!(shown, "CREATE USER a PASSWORD '********'");
    let file = std::fs::read_to_string(server.data.path().join("roles.json")).unwrap();
    assert!(file.contains("SCRAM-SHA-256$4096:") && !file.contains("sesame"));
}

#[test]
fn a_password_has_a_longest_length() {
    let server = TestServer::start();
    let mut client = server.session();
    let longest = "x".repeat(8192);
    let made = client.query(&format!("CREATE USER a PASSWORD '{longest}'"));
    assert!(made.iter().all(|message| message.tag != 'E'), "{made:?}");
    let failed = client.failure(&format!("CREATE USER b PASSWORD '{longest}x'"));
    assert_eq!(failed, "22023");
}
