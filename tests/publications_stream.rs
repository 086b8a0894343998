//! What publications show of a stream, against PostgreSQL 15: the same definitions and changes on
//! both, in random order, then the same pgoutput messages for several lists of publications. What
//! PostgreSQL refuses to change for want of a replica identity is refused here in its words.
//! PGSPOOL_SEED replays a run; PGSPOOL_STEPS sets how many steps.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::panic, clippy::wildcard_enum_match_arm)]

mod dice;
mod postgres_support;
mod support;

use std::collections::{BTreeMap, HashMap};

use dice::Dice;
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::pgoutput::{Decoder, Message, OldTuple, Protocol, Tuple, Value};
use pgspool::publications::{RowOperation, check_publishable};
use postgres::Client;
use postgres_support::{Postgres, rows};
use support::{RawClient, TestServer};

const STEPS: u64 = 400;

/// Tables: schema, name, and what comes behind its columns.
const TABLES: &[(&str, &str)] = &[("public", "t"), ("public", "f"), ("s", "t"), ("s", "n")];
const NAMES: &[&str] = &["p", "q", "r"];
const FILTERS: &[&str] = &[
    "id > 3",
    "a > 2",
    "id < 4 OR b IS NULL",
    "b LIKE 'x%'",
    "a IS NOT NULL",
    "6 / (id - 39) < 1",
];
const LISTS: &[&str] = &["(id)", "(id, a)", "(a, b)", "(id, a, b)"];
const ACTIONS: &[&str] = &[
    "insert",
    "insert, update",
    "insert, delete",
    "insert, update, delete",
    "truncate",
    "delete",
    "insert, update, delete, truncate",
];

type Values = (i64, Option<i64>, Option<&'static str>);

struct Twins {
    dice: Dice,
    theirs: Client,
    ours: RawClient,
    server: TestServer,
    /// Rows that there are, by table and id.
    rows: BTreeMap<(usize, i64), Values>,
    refused: usize,
}

impl Twins {
    /// The same statement on both: done or refused alike.
    fn both(&mut self, statement: &str) -> bool {
        let there = rows(&mut self.theirs, statement).map(drop);
        let answered = self.ours.query(statement);
        let error = answered.iter().find(|message| message.tag == 'E');
        let here = error.map_or(Ok(()), |error| {
            let fields = error.fields();
            Err(format!("{} {}", fields[&'C'], fields[&'M']))
        });
        assert_eq!(there, here, "{statement}");
        here.is_ok()
    }

    fn values(&mut self, id: i64) -> Values {
        let number = self.dice.below(6);
        let a = (number > 0).then(|| i64::try_from(number).unwrap());
        let b = self
            .dice
            .pick(&[None, Some("x"), Some("xy"), Some("z"), Some("")]);
        (id, a, b)
    }

    /// One of `FOR TABLE` and the like, or nothing.
    fn objects(&mut self) -> String {
        let mut parts = Vec::new();
        for (schema, table) in TABLES {
            if !self.dice.chance(60) {
                continue;
            }
            let list = if self.dice.chance(12) {
                self.dice.pick(LISTS)
            } else {
                ""
            };
            let filter = match self.dice.chance(50) {
                true => format!(" WHERE ({})", self.dice.pick(FILTERS)),
                false => String::new(),
            };
            parts.push(format!("TABLE {schema}.{table} {list}{filter}"));
        }
        if self.dice.chance(15) {
            parts.push(format!(
                "TABLES IN SCHEMA {}",
                self.dice.pick(&["public", "s"])
            ));
        }
        parts.join(", ")
    }

    fn create(&mut self, name: &str) {
        let objects = self.objects();
        let target = if self.dice.chance(10) {
            "FOR ALL TABLES".to_owned()
        } else if objects.is_empty() {
            String::new()
        } else {
            format!("FOR {objects}")
        };
        let actions = self.dice.pick(ACTIONS);
        let create = format!("CREATE PUBLICATION {name} {target} WITH (publish = '{actions}')");
        if !self.both(&create) {
            self.both(&format!("CREATE PUBLICATION {name}"));
        }
    }

    fn alter(&mut self) {
        let name = self.dice.pick(NAMES);
        match self.dice.below(4) {
            0 => {
                let actions = self.dice.pick(ACTIONS);
                self.both(&format!(
                    "ALTER PUBLICATION {name} SET (publish = '{actions}')"
                ));
            }
            1 => {
                self.both(&format!("DROP PUBLICATION {name}"));
                self.create(name);
            }
            _ => {
                let objects = self.objects();
                if !objects.is_empty() {
                    self.both(&format!("ALTER PUBLICATION {name} SET {objects}"));
                }
            }
        }
    }

    fn change(&mut self) {
        let at = self.dice.index(TABLES.len());
        let (schema, table) = TABLES[at];
        let name = format!("{schema}.{table}");
        let known: Vec<Values> = self
            .rows
            .range((at, i64::MIN)..=(at, i64::MAX))
            .map(|(_, row)| *row)
            .collect();
        let collection = if schema == "public" {
            table.to_owned()
        } else {
            name.clone()
        };
        match self.dice.below(10) {
            0..=3 => {
                let id = i64::try_from(self.dice.below(40)).unwrap();
                if self.rows.contains_key(&(at, id)) {
                    return;
                }
                let new = self.values(id);
                let (a, b) = (literal(new.1), text(new.2));
                let insert = format!("INSERT INTO {name} VALUES ({id}, {a}, {b})");
                rows(&mut self.theirs, &insert).unwrap();
                self.rows.insert((at, id), new);
                self.publish(ChangeRecord::insert(collection, rid(id)).with_entity(json(new)));
            }
            4 if self.dice.chance(30) => {
                rows(&mut self.theirs, &format!("TRUNCATE {name}")).unwrap();
                self.rows.retain(|(of, _), _| *of != at);
                self.publish(ChangeRecord::truncate(collection));
            }
            4..=7 if !known.is_empty() => {
                let old = known[self.dice.index(known.len())];
                let moved = old.0 + 100;
                let id = if self.dice.chance(20) { moved } else { old.0 };
                if id != old.0 && self.rows.contains_key(&(at, id)) {
                    return;
                }
                let new = self.values(id);
                let (a, b) = (literal(new.1), text(new.2));
                let set = format!("UPDATE {name} SET id = {id}, a = {a}, b = {b}");
                if self.changed(
                    at,
                    RowOperation::Update,
                    &format!("{set} WHERE id = {}", old.0),
                ) {
                    self.rows.remove(&(at, old.0));
                    self.rows.insert((at, id), new);
                    let record = ChangeRecord::update(collection, rid(id));
                    self.publish(record.with_entity(json(new)).with_old(json(old)));
                }
            }
            _ if !known.is_empty() => {
                let old = known[self.dice.index(known.len())];
                let delete = format!("DELETE FROM {name} WHERE id = {}", old.0);
                if self.changed(at, RowOperation::Delete, &delete) {
                    self.rows.remove(&(at, old.0));
                    let record = ChangeRecord::delete(collection, rid(old.0));
                    self.publish(record.with_old(json(old)));
                }
            }
            _ => {}
        }
    }

    /// Whether both let rows of a table be changed; they must agree, in words too.
    fn changed(&mut self, at: usize, operation: RowOperation, statement: &str) -> bool {
        let (schema, table) = TABLES[at];
        let set = self.server.engine().relations().current();
        let relation = set.relation(schema, table).unwrap();
        let here = check_publishable(&set, relation, operation).map_err(|error| {
            (
                error.to_string(),
                error.detail().map(str::to_owned),
                error.hint().map(str::to_owned),
            )
        });
        let there = self
            .theirs
            .simple_query(statement)
            .map(drop)
            .map_err(|error| {
                let error = error.as_db_error().unwrap();
                let owned = |text: Option<&str>| text.map(str::to_owned);
                (
                    error.message().to_owned(),
                    owned(error.detail()),
                    owned(error.hint()),
                )
            });
        assert_eq!(there, here, "{statement}: {:?}", set.publications);
        self.refused += usize::from(here.is_err());
        here.is_ok()
    }

    fn publish(&mut self, record: ChangeRecord) {
        let engine = self.server.engine();
        let mut batch = engine.batch(Moment::now());
        batch.push(&record).unwrap();
        engine.publish(batch).unwrap();
    }

    /// The messages of both for a list of publications.
    fn compare(&mut self, names: &str) -> usize {
        let select = format!(
            "SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('s', NULL, NULL, \
             'proto_version', '1', 'publication_names', '{names}')"
        );
        let there = rows(&mut self.theirs, &select).map(|found| told(&hexes(found)));
        let answered = self.ours.query(&select);
        let error = answered.iter().find(|message| message.tag == 'E');
        let here = match error {
            Some(error) => Err(format!("{} {}", error.fields()[&'C'], error.fields()[&'M'])),
            None => {
                let rows = answered.iter().filter(|message| message.tag == 'D');
                Ok(told(&hexes(rows.map(support::Message::values).collect())))
            }
        };
        if let (Ok(there), Ok(here)) = (&there, &here) {
            for (number, (there, here)) in there.iter().zip(here).enumerate() {
                assert_eq!(there, here, "message {number} of {names}");
            }
        }
        assert_eq!(there, here, "{names}");
        there.map_or(0, |messages| messages.len())
    }
}

fn rid(id: i64) -> u64 {
    u64::try_from(id).unwrap()
}

fn literal(value: Option<i64>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

fn text(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), |value| format!("'{value}'"))
}

fn json((id, a, b): Values) -> String {
    serde_json::json!({"id": id, "a": a, "b": b}).to_string()
}

fn hexes(found: Vec<Vec<Option<String>>>) -> Vec<Vec<u8>> {
    let bytes = |row: Vec<Option<String>>| hex::decode(row[0].as_ref().unwrap()).unwrap();
    found.into_iter().map(bytes).collect()
}

/// Messages in words, with names for tables and columns; without LSNs and Relation messages.
fn told(messages: &[Vec<u8>]) -> Vec<String> {
    let mut decoder = Decoder::new(Protocol::V1, false);
    let mut tables: HashMap<u32, (String, Vec<String>)> = HashMap::new();
    let mut told = Vec::new();
    for bytes in messages {
        let tuple = |of: &(String, Vec<String>), tuple: &Tuple<'_>| {
            let values = tuple.0.iter().map(|value| match value {
                Value::Null => "null".to_owned(),
                Value::Unchanged => "same".to_owned(),
                Value::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
                Value::Binary(_) => "binary".to_owned(),
            });
            let named = of.1.iter().zip(values);
            named
                .map(|(name, value)| format!("{name}={value} "))
                .collect::<String>()
        };
        let old = |of: &(String, Vec<String>), old: &OldTuple<'_>| match old {
            OldTuple::Key(key) => format!("key {}", tuple(of, key)),
            OldTuple::Full(row) => format!("old {}", tuple(of, row)),
        };
        told.push(match decoder.decode(bytes).unwrap() {
            Message::Begin { .. } => "begin".to_owned(),
            Message::Commit(_) => "commit".to_owned(),
            Message::Relation(relation) => {
                let columns = relation.columns.iter();
                let columns = columns.map(|column| column.name.to_string()).collect();
                let name = format!("{}.{}", relation.schema, relation.name);
                tables.insert(relation.oid, (name, columns));
                continue;
            }
            Message::Insert { relation, new, .. } => {
                let table = &tables[&relation];
                format!("insert {} {}", table.0, tuple(table, &new))
            }
            Message::Update {
                relation,
                old: before,
                new,
                ..
            } => {
                let table = &tables[&relation];
                let before = before.map(|before| old(table, &before)).unwrap_or_default();
                format!("update {} {before}: {}", table.0, tuple(table, &new))
            }
            Message::Delete {
                relation,
                old: before,
                ..
            } => {
                let table = &tables[&relation];
                format!("delete {} {}", table.0, old(table, &before))
            }
            Message::Truncate { relations, .. } => {
                let names = relations.iter().map(|oid| tables[oid].0.clone());
                format!("truncate {}", names.collect::<Vec<_>>().join(" "))
            }
            other => format!("{other:?}"),
        });
    }
    told
}

#[test]
fn publications_show_what_postgresqls_show() {
    let dice = Dice::seeded();
    let postgres = Postgres::start();
    let server = TestServer::start();
    let mut twins = Twins {
        dice,
        theirs: postgres.connect(),
        ours: server.session(),
        server,
        rows: BTreeMap::new(),
        refused: 0,
    };
    for create in [
        "CREATE SCHEMA s",
        "CREATE TABLE t (id int PRIMARY KEY, a int, b text)",
        "CREATE TABLE f (id int, a int, b text)",
        "ALTER TABLE f REPLICA IDENTITY FULL",
        "CREATE TABLE s.t (id int PRIMARY KEY, a int NOT NULL, b text)",
        "ALTER TABLE s.t ALTER COLUMN a DROP NOT NULL",
        "CREATE TABLE s.n (id int, a int, b text)",
    ] {
        assert!(twins.both(create), "{create}");
    }
    let slot = "SELECT slot_name FROM pg_create_logical_replication_slot('s', 'pgoutput')";
    for name in NAMES {
        twins.create(name);
    }
    assert!(twins.both(slot));
    let steps = dice::number("PGSPOOL_STEPS").unwrap_or(STEPS);
    for _ in 0..steps {
        if twins.dice.chance(8) {
            twins.alter();
        } else {
            twins.change();
        }
    }
    let lists = ["p", "q", "r", "p,q", "p,q,r", "r,p", "nobody", "p,nobody"];
    let compared: usize = lists.iter().map(|names| twins.compare(names)).sum();
    println!(
        "{compared} messages compared, {} changes refused",
        twins.refused
    );
}
