//! Tables and publications are made and changed over SQL until the server is killed: what was
//! answered is there again, what was not is there whole or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crash_support::ServerProcess;
use dice::Dice;
use postgres::{Client, NoTls, SimpleQueryMessage};

const ROUNDS: u64 = 6;
/// So many changes are answered in a round before the server may be killed.
const ANSWERED: u64 = 5;

/// A publication: its tables, and whether updates are in it.
type Publication = (BTreeSet<String>, bool);

#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    tables: BTreeSet<String>,
    publications: BTreeMap<String, Publication>,
}

fn connect(port: u16) -> Client {
    let conninfo = format!("host=127.0.0.1 port={port} user=pgspool dbname=pgspool");
    Client::connect(&conninfo, NoTls).unwrap()
}

/// The first two columns of all rows; without a second one it is empty.
fn rows(client: &mut Client, query: &str) -> Vec<(String, String)> {
    let answer = client.simple_query(query).unwrap();
    let rows = answer.iter().filter_map(|message| {
        let SimpleQueryMessage::Row(row) = message else {
            return None;
        };
        Some(row)
    });
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let pair = |row: &postgres::SimpleQueryRow| {
        let second = if row.len() > 1 { row.get(1) } else { None };
        (text(row.get(0)), text(second))
    };
    rows.map(pair).collect()
}

/// What the catalog says.
fn found(client: &mut Client) -> Known {
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    let tables = rows(client, tables).into_iter().map(|(name, _)| name);
    let mut known = Known {
        tables: tables.collect(),
        ..Known::default()
    };
    for (name, updates) in rows(client, "SELECT pubname, pubupdate FROM pg_publication") {
        let publication = (BTreeSet::new(), updates == "t");
        known.publications.insert(name, publication);
    }
    for (name, table) in rows(
        client,
        "SELECT pubname, tablename FROM pg_publication_tables",
    ) {
        known.publications.get_mut(&name).unwrap().0.insert(table);
    }
    known
}

fn any<'a>(
    random: &mut Dice,
    mut names: impl ExactSizeIterator<Item = &'a String>,
) -> Option<String> {
    let at = random.index(names.len());
    names.nth(at).cloned()
}

/// A statement, and what is there behind it.
fn step(random: &mut Dice, known: &Known, number: u64) -> (String, Known) {
    let mut next = known.clone();
    let table = any(random, known.tables.iter());
    let publication = any(random, known.publications.keys());
    let statement = match (publication, table) {
        (Some(name), _) if random.chance(15) => {
            next.publications.remove(&name);
            format!("DROP PUBLICATION {name}")
        }
        (Some(name), _) if random.chance(15) => {
            let publication = next.publications.remove(&name).unwrap();
            next.publications.insert(format!("n{number}"), publication);
            format!("ALTER PUBLICATION {name} RENAME TO n{number}")
        }
        (Some(name), _) if random.chance(15) => {
            let updates = random.chance(50);
            next.publications.get_mut(&name).unwrap().1 = updates;
            let publish = if updates { "insert, update" } else { "insert" };
            format!("ALTER PUBLICATION {name} SET (publish = '{publish}')")
        }
        (Some(name), Some(table)) if random.chance(50) => {
            let tables = &mut next.publications.get_mut(&name).unwrap().0;
            let change = match random.below(3) {
                0 => {
                    *tables = BTreeSet::from([table.clone()]);
                    "SET"
                }
                _ if tables.remove(&table) => "DROP",
                _ => {
                    tables.insert(table.clone());
                    "ADD"
                }
            };
            format!("ALTER PUBLICATION {name} {change} TABLE {table}")
        }
        (_, Some(table)) if random.chance(50) => {
            let tables = BTreeSet::from([table.clone()]);
            next.publications
                .insert(format!("p{number}"), (tables, true));
            format!("CREATE PUBLICATION p{number} FOR TABLE {table}")
        }
        (_, Some(table)) if random.chance(20) => {
            next.tables.remove(&table);
            for (tables, _) in next.publications.values_mut() {
                tables.remove(&table);
            }
            format!("DROP TABLE {table}")
        }
        _ => {
            // Both or none.
            next.tables.insert(format!("t{number}"));
            let publication = (BTreeSet::new(), true);
            next.publications.insert(format!("q{number}"), publication);
            format!(
                "BEGIN; CREATE TABLE t{number} (a int PRIMARY KEY, b text); \
                 CREATE PUBLICATION q{number}; COMMIT"
            )
        }
    };
    (statement, next)
}

#[test]
fn no_acknowledged_table_or_publication_is_lost_by_kill_9() {
    let mut random = Dice::seeded();
    let folder = tempfile::tempdir().unwrap();
    let (mut known, mut number, mut answered) = (Known::default(), 0, 0);
    for _ in 0..ROUNDS {
        let server = ServerProcess::start(folder.path(), &[]);
        let mut client = connect(server.port);
        assert_eq!(found(&mut client), known);
        let (enough, mut killer) = (answered + ANSWERED, None);
        let torn = loop {
            if answered >= enough && killer.is_none() {
                killer = Some(server.kill_in(Duration::from_millis(random.below(500))));
            }
            number += 1;
            let (statement, next) = step(&mut random, &known, number);
            match client.batch_execute(&statement) {
                Ok(()) => (known, answered) = (next, answered + 1),
                Err(error) if error.as_db_error().is_none() => break (statement, next),
                Err(error) => panic!("{statement}: {error:?}"),
            }
        };
        killer.unwrap().join().unwrap();
        drop(server);
        let server = ServerProcess::start(folder.path(), &[]);
        let there = found(&mut connect(server.port));
        assert!(
            there == known || there == torn.1,
            "{there:?} is neither {known:?} nor that behind {torn:?}"
        );
        known = there;
        assert!(server.terminate());
    }
    println!("{answered} changes were acknowledged");
    assert!(answered >= ROUNDS * ANSWERED);
}
