//! The statements that real tools send give the answers that PostgreSQL 15.18 gave.
//!
//! Each runs in a connection of its own, in the order of the file, as it was recorded. `exact`
//! statements must print what psql printed; of the others the column names and types must be the
//! same. What differs on purpose is in [`DELIBERATE`], with the reason, and in `docs/sql.md`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{Databases, Engine, EngineOptions};
use pgspool::lsn::Lsn;
use pgspool::roles::{RoleCommand, Roles};
use pgspool::spool::{FIRST_LSN, NewSpool};
use serde::Deserialize;
use support::{Message, RawClient, TestServer};
use tempfile::TempDir;

/// Statements whose answer is another one here, and why.
const DELIBERATE: &[(&str, &str)] = &[
    (
        "psql \\l #1",
        "there are no template databases and no default privileges",
    ),
    (
        "adhoc star",
        "the columns of later versions stand behind PostgreSQL 15's",
    ),
    (
        "debezium slot lookup",
        "the columns of later versions stand behind PostgreSQL 15's",
    ),
];

#[derive(Deserialize)]
struct Statement {
    id: String,
    compare: String,
    sql: String,
}

#[derive(Deserialize, Debug, PartialEq, Eq, Default)]
#[serde(default)]
struct Answer {
    status: String,
    output: String,
    columns: Vec<(String, u32)>,
    tag: String,
    notice: String,
}

fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/catalog/");
    serde_json::from_str(&std::fs::read_to_string(format!("{dir}{name}")).unwrap()).unwrap()
}

#[test]
fn statements_of_real_tools_give_the_recorded_answers() {
    let (server, _stream) = prepared();
    let statements: Vec<Statement> = fixture("statements.json");
    let answers: BTreeMap<String, Answer> = fixture("answers.json");
    let mut wrong = String::new();
    for statement in &statements {
        let expected = &answers[&statement.id];
        let answer = ask(&mut session(&server, "postgres"), &statement.sql);
        let deliberate = DELIBERATE.iter().find(|(id, _)| *id == statement.id);
        let same = if deliberate.is_some() {
            let shown = answer.columns.get(..expected.columns.len());
            answer.status == expected.status && shown == Some(&expected.columns[..])
        } else if statement.compare == "exact" {
            answer == *expected
        } else {
            (&answer.status, &answer.columns) == (&expected.status, &expected.columns)
        };
        if !same {
            let id = &statement.id;
            writeln!(wrong, "--- {id}\n{answer:#?}\nexpected {expected:#?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A server in the state of the recording: table, publications, slot with a stream on it.
fn prepared() -> (TestServer, RawClient) {
    let data = Arc::new(TempDir::new().unwrap());
    for name in ["postgres", "d2"] {
        let dir = Databases::dir(data.path(), name).unwrap();
        let (disk, options) = (Arc::new(RealDisk), EngineOptions::default());
        let new = NewSpool {
            system_id: 0,
            imported_through: Lsn::ZERO,
            start: FIRST_LSN,
        };
        let engine = Engine::open_new(disk, &dir, name, options, new, Moment::now()).unwrap();
        engine.close().unwrap();
    }
    let roles = Roles::open(Arc::new(RealDisk), data.path()).unwrap();
    let name = "postgres".to_owned();
    let changes = support::superuser();
    roles.apply(&RoleCommand::Create { name, changes }).unwrap();
    drop(roles);
    let server = TestServer::start_on(data, EngineOptions::default(), |_| {});
    let mut client = session(&server, "postgres");
    for sql in [
        "create table t(id int primary key, name text, ts timestamptz, tags text[])",
        "create publication p for table t",
        "create publication p2 for table t (id,name) where (id>5)",
        "select pg_create_logical_replication_slot('s1','json')",
    ] {
        let answer = ask(&mut client, sql);
        assert_eq!(answer.status, "ok", "{sql}: {answer:?}");
    }
    let mut stream = server.connect();
    stream.start(&[
        ("user", "postgres"),
        ("database", "postgres"),
        ("replication", "database"),
        ("application_name", "sub"),
    ]);
    stream.stream("s1");
    (server, stream)
}

fn session(server: &TestServer, database: &str) -> RawClient {
    let mut client = server.connect();
    client.start(&[
        ("user", "postgres"),
        ("database", database),
        ("application_name", "psql"),
        ("client_encoding", "UTF8"),
    ]);
    client
}

/// Runs one statement and writes its answer down as the recording does.
fn ask(client: &mut RawClient, sql: &str) -> Answer {
    let mut answer = Answer {
        status: "ok".to_owned(),
        ..Answer::default()
    };
    let mut rows = vec![];
    for message in client.query(sql) {
        match message.tag {
            'T' => {
                let columns = message.columns().into_iter();
                answer.columns = columns.map(|(name, oid, _)| (name, oid)).collect();
            }
            'D' => rows.push(message.values()),
            'C' => answer.tag = message.tag_text(),
            'N' => answer.notice = said(&message),
            'E' => {
                answer.status = "error".to_owned();
                // What came before an error is not shown, as the recording has it.
                answer.columns.clear();
                answer.output = format!("ERROR:  {}\n", said(&message));
            }
            _ => {}
        }
    }
    if answer.status == "ok" {
        answer.output = printed(&answer, &rows);
    }
    answer
}

fn said(message: &Message) -> String {
    let fields = message.fields();
    format!("{}: {}", fields[&'C'], fields[&'M'])
}

/// As `psql -X -A` prints it.
fn printed(answer: &Answer, rows: &[Vec<Option<String>>]) -> String {
    if answer.columns.is_empty() && rows.is_empty() {
        return format!("{}\n", answer.tag);
    }
    let names: Vec<&str> = answer
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut text = format!("{}\n", names.join("|"));
    for row in rows {
        let values: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or("")).collect();
        writeln!(text, "{}", values.join("|")).unwrap();
    }
    let plural = if rows.len() == 1 { "row" } else { "rows" };
    writeln!(text, "({} {plural})", rows.len()).unwrap();
    text
}
