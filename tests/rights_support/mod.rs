//! Roles for the tests of rights: a server with some, and sessions of theirs.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(clippy::panic, missing_docs, unreachable_pub)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use pgspool::clock::Moment;
use pgspool::engine::{EngineOptions, SlotRequest, SlotStart};
use pgspool::roles::{RoleChanges, RoleCommand};
use pgspool::slots::SlotName;
use tempfile::TempDir;

use crate::support::{Message, RawClient, TestServer, startup};

/// A server with these databases beside `pgspool`.
pub fn server_with(databases: &[&str]) -> TestServer {
    let data = Arc::new(TempDir::new().unwrap());
    for name in databases {
        fs::create_dir_all(data.path().join("databases").join(name)).unwrap();
    }
    TestServer::start_on(data, EngineOptions::default(), |_| {})
}

/// What roles may, by letters: Replication, Publish, Monitor, Superuser.
pub fn changes(rights: &str, databases: &[&str]) -> RoleChanges {
    RoleChanges {
        login: Some(true),
        replication: Some(rights.contains('R')),
        publish: Some(rights.contains('P')),
        monitor: Some(rights.contains('M')),
        superuser: Some(rights.contains('S')),
        databases: Some(databases.iter().map(|&name| name.to_owned()).collect()),
        ..RoleChanges::default()
    }
}

/// Makes a role.
pub fn role(server: &TestServer, name: &str, rights: &str, databases: &[&str]) -> u32 {
    let command = RoleCommand::Create {
        name: name.to_owned(),
        changes: changes(rights, databases),
    };
    let roles = server.databases.roles().apply(&command).unwrap();
    roles.find(name).unwrap().oid
}

/// Changes what a role may.
pub fn alter(server: &TestServer, name: &str, rights: &str, databases: &[&str]) {
    let command = RoleCommand::Alter {
        name: name.to_owned(),
        changes: changes(rights, databases),
    };
    server.databases.roles().apply(&command).unwrap();
}

/// Drops a role.
pub fn drop_role(server: &TestServer, name: &str) {
    let command = RoleCommand::Drop {
        names: vec![name.to_owned()],
        if_exists: false,
    };
    server.databases.roles().apply(&command).unwrap();
}

/// A slot made by the library, of a role or of nobody.
pub fn slot(server: &TestServer, database: &str, name: &str, owner: Option<u32>) {
    let request = SlotRequest {
        name: SlotName::parse(name).unwrap(),
        plugin: "test_decoding".to_owned(),
        start: SlotStart::Head,
        temporary: None,
        two_phase: false,
        owner,
    };
    let engine = server.databases.get(database).unwrap();
    engine.create_slot(request, Moment::now()).unwrap();
}

/// A session, or the SQLSTATE with which it was refused.
pub fn login(
    server: &TestServer,
    user: &str,
    database: &str,
    replication: Option<&str>,
) -> Result<RawClient, String> {
    let mut client = server.connect();
    let mut parameters = vec![("user", user), ("database", database)];
    parameters.extend(replication.map(|kind| ("replication", kind)));
    client.raw(&startup(3 << 16, &parameters));
    let greeting = client.until_ready();
    match greeting.iter().find(|message| message.tag == 'E') {
        Some(error) => {
            assert_eq!(error.fields()[&'S'], "FATAL");
            Err(error.code())
        }
        None => Ok(client),
    }
}

/// A session that is let in.
pub fn session(server: &TestServer, user: &str) -> RawClient {
    login(server, user, "pgspool", None).unwrap()
}

/// A walsender session that is let in.
pub fn walsender(server: &TestServer, user: &str) -> RawClient {
    login(server, user, "pgspool", Some("database")).unwrap()
}

/// The SQLSTATE of a failed statement, or nothing.
pub fn code(answer: &[Message]) -> String {
    let error = answer.iter().find(|message| message.tag == 'E');
    error.map(Message::code).unwrap_or_default()
}

/// What the client is told of an error.
pub fn words(answer: &[Message]) -> String {
    let error = answer.iter().find(|message| message.tag == 'E');
    let error = error.unwrap_or_else(|| panic!("no error: {answer:?}"));
    error.fields()[&'M'].clone()
}

/// A statement in the simple protocol, with the rest of a COPY that it begins.
pub fn simple(client: &mut RawClient, statement: &str) -> Vec<Message> {
    client.send_query(statement);
    let mut answer = client.until(|message| matches!(message.tag, 'Z' | 'G'));
    if answer.last().is_some_and(|message| message.tag == 'G') {
        client.message(b'c', b"");
        answer.extend(client.until_ready());
    }
    answer
}

/// A statement in the extended protocol.
pub fn extended(client: &mut RawClient, statement: &str) -> Vec<Message> {
    client.message(b'P', format!("\0{statement}\0\0\0").as_bytes());
    client.message(b'B', b"\0\0\0\0\0\0\0\0");
    client.message(b'E', b"\0\0\0\0\0");
    client.message(b'H', b"");
    let mut answer = client.until(|message| matches!(message.tag, 'C' | 'E' | 'G' | 's'));
    if answer.last().is_some_and(|message| message.tag == 'G') {
        client.message(b'c', b"");
    }
    client.message(b'S', b"");
    answer.extend(client.until_ready());
    answer
}

/// First columns of all rows.
pub fn column(client: &mut RawClient, query: &str) -> BTreeSet<String> {
    let answer = client.query(query);
    assert_eq!(code(&answer), "", "{query}: {answer:?}");
    let rows = answer.iter().filter(|message| message.tag == 'D');
    rows.map(|row| row.values()[0].clone().unwrap_or_default())
        .collect()
}
