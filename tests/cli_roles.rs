//! `pgspool role`: roles before the first start, and beside no server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod cli_support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use cli_support::{Home, pgspool, refuse, succeed};
use pgspool::disk::RealDisk;
use pgspool::roles::{OWNER_OID, Role, Roles};

fn role(home: &Home, name: &str) -> Role {
    let set = Roles::inspect(&RealDisk, home.data().as_ref())
        .unwrap()
        .unwrap();
    set.find(name).unwrap().clone()
}

#[test]
fn roles_are_made_before_the_first_start() {
    let home = Home::new();
    let data = home.data();
    let made = succeed(&["role", "add", "boss", "--data", &data, "--superuser"]);
    let password = made.strip_prefix("password: ").unwrap().trim_end();
    assert_eq!(password.len(), 24);
    let boss = role(&home, "boss");
    assert!(boss.verifier.unwrap().fits(password));
    assert_eq!(boss.oid, OWNER_OID);
    let file = home.path("password");
    fs::write(&file, "open sesame\n").unwrap();
    let file = file.to_str().unwrap();
    let said = succeed(&[
        "role",
        "add",
        "app",
        "--data",
        &data,
        "--replication",
        "--publish",
        "--monitor",
        "--database",
        "pgspool",
        "--connection-limit",
        "5",
        "--valid-until",
        "2030-01-01",
        "--password-file",
        file,
    ]);
    assert_eq!(said, "");
    let app = role(&home, "app");
    assert!(app.rights.login && app.rights.replication && app.rights.publish);
    assert!(app.rights.monitor && !app.rights.superuser);
    assert!(app.verifier.unwrap().fits("open sesame"));
    assert_eq!(app.valid_until_unix_ms, Some(1_893_456_000_000));
    assert_eq!(
        succeed(&["role", "add", "group", "--data", &data, "--no-login"]),
        ""
    );
    let listed = succeed(&["role", "list", "--data", &data]);
    let wanted = "app: replication; publish; monitor; at most 5 connections; \
                  password valid until 2030-01-01T00:00:00Z; databases: pgspool\n\
                  boss: superuser; databases: all\n\
                  group: no login; no database\n";
    assert_eq!(listed, wanted);
    let stored = fs::read_to_string(home.path("data").join("roles.json")).unwrap();
    assert!(!stored.contains("sesame") && !stored.contains(password));
}

#[test]
fn a_password_comes_from_standard_input_and_is_replaced() {
    let home = Home::new();
    let data = home.data();
    succeed(&["role", "add", "ann", "--data", &data]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgspool"));
    command.args([
        "role",
        "password",
        "ann",
        "--password-stdin",
        "--data",
        &data,
    ]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"new one\r\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(role(&home, "ann").verifier.unwrap().fits("new one"));
    // A ready-made verifier is kept as it is.
    let verifier = pgspool::roles::Verifier::of_password("third").unwrap();
    let file = home.path("verifier");
    fs::write(&file, verifier.to_string()).unwrap();
    let file = file.to_str().unwrap();
    succeed(&[
        "role",
        "password",
        "ann",
        "--password-file",
        file,
        "--data",
        &data,
    ]);
    assert_eq!(role(&home, "ann").verifier, Some(verifier));
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let home = Home::new();
    let data = home.data();
    let boss = ["role", "add", "boss", "--data", &data, "--superuser"];
    succeed(&boss);
    let before = fs::read(home.path("data").join("roles.json")).unwrap();
    assert!(refuse(&boss).contains("role \"boss\" already exists"));
    let refused = |args: &[&str], wanted: &str| {
        let said = refuse(&[args, &["--data", &data]].concat());
        assert!(said.contains(wanted), "{said}");
    };
    refused(&["role", "drop", "boss"], "cannot drop role boss");
    refused(
        &["role", "drop", "nobody"],
        "role \"nobody\" does not exist",
    );
    refused(
        &["role", "password", "nobody"],
        "role \"nobody\" does not exist",
    );
    refused(&["role", "add", "pg_x"], "role name \"pg_x\" is reserved");
    refused(
        &["role", "add", "x", "--database", "nodb"],
        "there is no database \"nodb\"",
    );
    let empty = home.path("empty");
    fs::write(&empty, "\n").unwrap();
    let empty = empty.to_str().unwrap();
    refused(&["role", "add", "x", "--password-file", empty], "is empty");
    fs::write(empty, "SCRAM-SHA-256$x").unwrap();
    refused(&["role", "add", "x", "--password-file", empty], "is none");
    refused(
        &["role", "add", "x", "--password-file", "/nosuch"],
        "cannot read a password",
    );
    // There is no way to give a password on the command line.
    let output = pgspool(&["role", "add", "x", "--password", "secret", "--data", &data]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        fs::read(home.path("data").join("roles.json")).unwrap(),
        before
    );
    let nowhere = home.path("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    assert!(refuse(&["role", "list", "--data", nowhere]).contains("there is no data directory"));
    assert!(refuse(&["role", "drop", "x", "--data", nowhere]).contains("no data directory"));
}

#[test]
fn check_tells_damaged_roles() {
    let home = Home::new();
    let data = home.data();
    succeed(&["role", "add", "boss", "--data", &data, "--superuser"]);
    assert!(succeed(&["check", "--data", &data]).contains("roles.json: ok"));
    let path = home.path("data").join("roles.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("boss", "loss")).unwrap();
    let output = pgspool(&["check", "--data", &data]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("roles.json") && said.contains("checksum"),
        "{said}"
    );
}
