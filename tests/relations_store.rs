//! What tables and publications there are is kept durably, and each record keeps the relation of
//! its time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod dice;
mod engine_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dice::Dice;
use engine_support::{Home, options};
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::datum::PgType;
use pgspool::disk::{Disk, FakeDisk, FakeError, FakeOp};
use pgspool::engine::{Engine, OpenError};
use pgspool::lsn::Lsn;
use pgspool::relations::{
    Command, CreateTable, DefineError, NewColumn, NewKey, NewPublishedTable, NewReplicaIdentity,
    PublicationAction, PublicationObjects, PublicationOptions, PublicationTarget, RelationSet,
    RelationStore, RelationStoreError, ReplicaIdentity, TableAction, TableName,
};

const PATH: &str = "d/relations.json";

fn disk() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    disk
}

fn open(disk: &FakeDisk) -> RelationStore {
    RelationStore::open(Arc::new(disk.clone()), Path::new(PATH)).unwrap()
}

fn table(name: &str) -> TableName {
    TableName {
        schema: None,
        name: name.to_owned(),
        position: 1,
    }
}

fn column(name: &str) -> NewColumn {
    NewColumn {
        name: name.to_owned(),
        column_type: PgType::INT4,
        typmod: -1,
        not_null: false,
    }
}

fn create(name: &str) -> Command {
    Command::CreateTable(CreateTable {
        table: table(name),
        if_not_exists: false,
        columns: vec![column("id"), column("a")],
        keys: vec![NewKey {
            name: None,
            columns: vec!["id".to_owned()],
            primary: true,
            position: 1,
        }],
    })
}

fn alter(name: &str, action: TableAction) -> Command {
    Command::AlterTable {
        table: table(name),
        if_exists: false,
        actions: vec![action],
    }
}

fn add_column(name: &str, new: &str) -> Command {
    let action = TableAction::AddColumn {
        column: column(new),
        keys: Vec::new(),
        if_not_exists: false,
    };
    alter(name, action)
}

fn drop_column(name: &str, old: &str) -> Command {
    let action = TableAction::DropColumn {
        name: old.to_owned(),
        if_exists: false,
        cascade: false,
    };
    alter(name, action)
}

fn drop_table(name: &str) -> Command {
    Command::DropTable {
        tables: vec![table(name)],
        if_exists: false,
    }
}

fn objects(names: &[&str]) -> PublicationObjects {
    let published = |name: &&str| NewPublishedTable {
        table: table(name),
        columns: None,
        filter: None,
    };
    PublicationObjects {
        tables: names.iter().map(published).collect(),
        schemas: Vec::new(),
    }
}

fn publish(name: &str, tables: &[&str]) -> Command {
    Command::CreatePublication {
        name: name.to_owned(),
        target: PublicationTarget::Objects(objects(tables)),
        options: PublicationOptions::default(),
    }
}

fn names(set: &RelationSet, table: &str) -> Vec<String> {
    let relation = set.relation("public", table).unwrap();
    relation
        .live_columns()
        .map(|column| column.name.clone())
        .collect()
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n)
}

#[test]
fn definitions_survive_a_reopen_whole() {
    let disk = disk();
    let store = open(&disk);
    store.apply(&create("t"), lsn(100)).unwrap();
    store.apply(&publish("p", &["t"]), lsn(200)).unwrap();
    let identity = TableAction::ReplicaIdentity(NewReplicaIdentity::UsingIndex("t_pkey".into()));
    store.apply(&alter("t", identity), lsn(300)).unwrap();
    store
        .note_collections(&["orders", "public.items"], lsn(400))
        .unwrap();
    let again = open(&disk);
    assert_eq!(*again.current(), *store.current());
    for at in [1, 100, 101, 200, 201, 301, 401] {
        assert_eq!(*again.at(lsn(at)), *store.at(lsn(at)), "{at}");
    }
    // OIDs go on where they were, also past what was dropped.
    let last = store.current().relations.last().unwrap().oid;
    again.apply(&drop_table("items"), lsn(500)).unwrap();
    let third = open(&disk);
    third.apply(&create("u"), lsn(600)).unwrap();
    assert!(third.current().relation("public", "u").unwrap().oid > last);
}

#[test]
fn a_record_keeps_the_relation_of_its_time() {
    let disk = disk();
    let store = open(&disk);
    store.apply(&create("t"), lsn(100)).unwrap();
    store.apply(&publish("p", &["t"]), lsn(100)).unwrap();
    store.apply(&add_column("t", "b"), lsn(200)).unwrap();
    store.apply(&drop_column("t", "a"), lsn(300)).unwrap();
    let oid = store.current().relation("public", "t").unwrap().oid;
    store.apply(&drop_table("t"), lsn(400)).unwrap();
    for store in [&store, &open(&disk)] {
        assert!(store.at(lsn(100)).relations.is_empty());
        assert!(store.at(lsn(100)).publications.is_empty());
        assert_eq!(names(&store.at(lsn(101)), "t"), ["id", "a"]);
        assert_eq!(names(&store.at(lsn(200)), "t"), ["id", "a"]);
        assert_eq!(names(&store.at(lsn(201)), "t"), ["id", "a", "b"]);
        assert_eq!(names(&store.at(lsn(400)), "t"), ["id", "b"]);
        assert_eq!(store.at(lsn(400)).relation("public", "t").unwrap().oid, oid);
        assert_eq!(
            store.at(lsn(400)).relation("public", "t").unwrap().since,
            lsn(300)
        );
        assert_eq!(store.at(lsn(400)).publications[0].tables.len(), 1);
        assert!(store.at(lsn(401)).relation("public", "t").is_none());
        assert_eq!(store.at(lsn(401)).publications[0].tables.len(), 0);
        assert_eq!(store.at(Lsn::MAX), store.current());
    }
    // Numbers of columns are never used twice.
    let old = store.at(lsn(400));
    let numbers: Vec<i16> = old.relations[0].live_columns().map(|c| c.attnum).collect();
    assert_eq!(numbers, [1, 3]);
    // What only removed records needed is forgotten.
    store.forget_below(lsn(300));
    assert_eq!(names(&store.at(lsn(301)), "t"), ["id", "b"]);
    store.apply(&create("u"), lsn(500)).unwrap();
    let text = String::from_utf8(disk.files()[Path::new(PATH)].clone()).unwrap();
    assert!(
        !text.contains("\"until\":300") && text.contains("\"until\":400"),
        "{text}"
    );
}

#[test]
fn a_crash_leaves_the_old_definitions_or_the_new() {
    for steps in 1..12 {
        let disk = disk();
        let store = open(&disk);
        store.apply(&create("t"), lsn(100)).unwrap();
        let before = store.current();
        disk.crash_after(steps);
        let done = store.apply(&add_column("t", "b"), lsn(200));
        let after = open(&disk.crash(steps));
        let found = names(&after.current(), "t");
        match done {
            Ok(_) => assert_eq!(found, ["id", "a", "b"], "after {steps} steps"),
            Err(_) => {
                assert!(found.len() == 2 || found.len() == 3, "after {steps} steps");
                assert_eq!(*store.current(), *before);
            }
        }
    }
}

#[test]
fn definitions_go_on_once_a_new_file_can_be_written() {
    for op in [FakeOp::Create, FakeOp::Write, FakeOp::Sync] {
        let disk = disk();
        let store = open(&disk);
        store.apply(&create("t"), lsn(100)).unwrap();
        disk.fail_from(op, 1, FakeError::NoSpace);
        for _ in 0..2 {
            let failed = store.apply(&create("u"), lsn(200));
            assert!(matches!(failed, Err(DefineError::Persist(_))), "{op:?}");
            assert!(store.current().relation("public", "u").is_none());
        }
        disk.clear_faults();
        store.apply(&create("u"), lsn(200)).unwrap();
        let again = open(&disk.crash(3)).current();
        assert!(again.relation("public", "t").is_some());
        assert!(again.relation("public", "u").is_some());
    }
}

#[test]
fn while_nobody_knows_what_a_write_left_nothing_is_defined_any_more() {
    for op in [FakeOp::Rename, FakeOp::SyncDir] {
        let disk = disk();
        let store = open(&disk);
        store.apply(&create("t"), lsn(100)).unwrap();
        disk.fail(op, 1, FakeError::Io);
        let failed = store.apply(&create("u"), lsn(200));
        assert!(matches!(failed, Err(DefineError::Persist(_))), "{op:?}");
        let again = store.apply(&create("u"), lsn(200));
        assert!(matches!(again, Err(DefineError::Persist(_))), "{op:?}");
        assert!(store.note_collections(&["t"], lsn(200)).is_ok());
        assert!(store.note_collections(&["v"], lsn(200)).is_err());
        assert!(store.current().relation("public", "u").is_none());
        assert!(open(&disk).current().relation("public", "t").is_some());
    }
}

#[test]
fn a_damaged_file_refuses_to_open() {
    let disk = disk();
    let store = open(&disk);
    store.apply(&create("t"), lsn(100)).unwrap();
    store.apply(&add_column("t", "b"), lsn(200)).unwrap();
    let bytes = disk.files()[Path::new(PATH)].clone();
    let refused = |bytes: &[u8]| {
        disk.put(Path::new(PATH), bytes);
        let opened = RelationStore::open(Arc::new(disk.clone()), Path::new(PATH));
        matches!(opened, Err(RelationStoreError::Corrupt { .. }))
    };
    for end in 0..bytes.len() {
        assert!(refused(&bytes[..end]), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(refused(&bad), "byte {at}");
    }
    assert!(!refused(&bytes));
}

#[test]
fn a_collection_is_the_table_that_its_name_says() {
    let disk = disk();
    let store = open(&disk);
    store
        .note_collections(&["a", "public.b", "s.c", "x.", "A b"], lsn(100))
        .unwrap();
    let schema = Command::CreateSchema {
        name: "s".to_owned(),
        if_not_exists: false,
    };
    store.apply(&schema, lsn(200)).unwrap();
    store
        .note_collections(&["s.c", "s.d", "a", "public.a"], lsn(200))
        .unwrap();
    let set = store.current();
    let found: Vec<(&str, &str)> = set
        .relations
        .iter()
        .map(|relation| (relation.schema.as_str(), relation.name.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("public", "a"),
            ("public", "b"),
            ("public", "s.c"),
            ("public", "x."),
            ("public", "A b"),
            ("s", "c"),
            ("s", "d"),
        ]
    );
    let a = set.relation_of_collection("public.a").unwrap();
    assert_eq!((a.name.as_str(), a.declared), ("a", false));
    assert_eq!(
        names(&set, "a"),
        ["rid", "kind", "entity", "document", "metadata"]
    );
    assert_eq!(a.primary_key().unwrap().name, "a_pkey");
    assert_eq!(
        store
            .at(lsn(200))
            .relation_of_collection("s.c")
            .unwrap()
            .schema,
        "public"
    );
}

#[test]
fn declaring_a_collection_keeps_its_oid_and_its_publications() {
    let disk = disk();
    let store = open(&disk);
    store.note_collections(&["orders"], lsn(100)).unwrap();
    store.apply(&publish("p", &["orders"]), lsn(100)).unwrap();
    let refused = store.apply(&add_column("orders", "b"), lsn(150));
    assert!(matches!(refused, Err(DefineError::Undeclared(_))));
    let full = TableAction::ReplicaIdentity(NewReplicaIdentity::Full);
    store.apply(&alter("orders", full), lsn(150)).unwrap();
    let oid = store.current().relation("public", "orders").unwrap().oid;
    store.apply(&create("orders"), lsn(200)).unwrap();
    let set = store.current();
    let declared = set.relation("public", "orders").unwrap();
    assert_eq!((declared.oid, declared.declared), (oid, true));
    assert_eq!(declared.replica_identity, ReplicaIdentity::Default);
    assert_eq!(names(&set, "orders"), ["id", "a"]);
    assert_eq!(set.publications[0].tables[0].relation, oid);
    assert_eq!(names(&store.at(lsn(200)), "orders").len(), 5);
    let twice = store.apply(&create("orders"), lsn(300));
    assert_eq!(twice, Err(DefineError::RelationExists("orders".to_owned())));
}

#[test]
fn publishing_makes_collections_tables_before_their_records() {
    let home = Home::new();
    let engine = home.open(options());
    let mut batch = engine.batch(Moment::at_ms(1));
    batch.push(&ChangeRecord::insert("a", 1)).unwrap();
    batch.push(&ChangeRecord::insert("b \"x\"", 1)).unwrap();
    let both = [ChangeRecord::insert("c", 1), ChangeRecord::insert("a", 2)];
    batch.push_transaction(&both).unwrap();
    engine.publish(batch).unwrap();
    let mut block = engine.begin();
    block
        .push(&ChangeRecord::insert("d", 1), Moment::at_ms(2))
        .unwrap();
    block.savepoint();
    block
        .push(&ChangeRecord::insert("never", 1), Moment::at_ms(2))
        .unwrap();
    block.rollback_to(1).unwrap();
    engine
        .commit(block, Moment::at_ms(2))
        .unwrap()
        .unwrap()
        .wait()
        .unwrap();
    let tables = |engine: &Engine| -> Vec<String> {
        let set = engine.relations().current();
        let mut names: Vec<String> = set.relations.iter().map(|r| r.name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(tables(&engine), ["a", "b \"x\"", "c", "d"]);
    engine.close().unwrap();
    drop(engine);
    let engine = home.open(options());
    assert_eq!(tables(&engine), ["a", "b \"x\"", "c", "d"]);
    engine.close().unwrap();
    drop(engine);
    // Lost, or made before there were tables: found in the records.
    std::fs::remove_file(home.path().join("relations.json")).unwrap();
    let engine = home.open(options());
    assert_eq!(tables(&engine), ["a", "b \"x\"", "c", "d"]);
    assert!(engine.relations().at(Lsn::new(64)).relations.len() == 4);
    assert!(home.path().join("relations.json").exists());
    engine.close().unwrap();
    drop(engine);
    std::fs::write(home.path().join("relations.json"), "{}").unwrap();
    let opened = Engine::open(
        Arc::new(pgspool::disk::RealDisk),
        &home.path(),
        "db",
        options(),
        Moment::at_ms(3),
    );
    assert!(matches!(opened, Err(OpenError::Relations { .. })));
}

/// What there should be: columns of tables, tables of publications.
#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    tables: BTreeMap<String, Vec<String>>,
    publications: BTreeMap<String, Vec<String>>,
}

impl Model {
    fn of(set: &RelationSet) -> Self {
        let tables = set.relations.iter();
        let tables = tables.map(|table| (table.name.clone(), names(set, &table.name)));
        let publications = set.publications.iter().map(|publication| {
            let name = |oid| set.relation_by_oid(oid).unwrap().name.clone();
            let mut members: Vec<String> = publication
                .tables
                .iter()
                .map(|table| name(table.relation))
                .collect();
            members.sort();
            (publication.name.clone(), members)
        });
        Self {
            tables: tables.collect(),
            publications: publications.collect(),
        }
    }

    /// Does `command`; false when it must be refused.
    fn apply(&mut self, command: &Command) -> bool {
        match command {
            Command::CreateTable(new) => {
                let columns = new
                    .columns
                    .iter()
                    .map(|column| column.name.clone())
                    .collect();
                let is_new = !self.tables.contains_key(&new.table.name);
                self.tables.entry(new.table.name.clone()).or_insert(columns);
                is_new
            }
            Command::DropTable { tables, .. } => {
                for members in self.publications.values_mut() {
                    members.retain(|member| *member != tables[0].name);
                }
                self.tables.remove(&tables[0].name).is_some()
            }
            Command::AlterTable { table, actions, .. } => self.alter(&table.name, &actions[0]),
            Command::CreatePublication { name, target, .. } => {
                let PublicationTarget::Objects(objects) = target else {
                    panic!("{target:?}");
                };
                let members: Vec<String> = objects
                    .tables
                    .iter()
                    .map(|table| table.table.name.clone())
                    .collect();
                let known = members
                    .iter()
                    .all(|member| self.tables.contains_key(member));
                let is_new = known && !self.publications.contains_key(name);
                if is_new {
                    self.publications.insert(name.clone(), members);
                }
                is_new
            }
            Command::AlterPublication { name, action } => {
                let PublicationAction::Add(objects) = action else {
                    panic!("{action:?}");
                };
                let new = &objects.tables[0].table.name;
                let Some(members) = self.publications.get_mut(name) else {
                    return false;
                };
                let fits = self.tables.contains_key(new) && !members.contains(new);
                if fits {
                    members.push(new.clone());
                    members.sort();
                }
                fits
            }
            Command::DropPublication { names, .. } => self.publications.remove(&names[0]).is_some(),
            Command::CreateSchema { .. } | Command::DropSchema { .. } | Command::Within { .. } => {
                panic!("{command:?}")
            }
        }
    }

    /// Does one change to a table; false when it must be refused.
    fn alter(&mut self, table: &str, action: &TableAction) -> bool {
        let Some(columns) = self.tables.get_mut(table) else {
            return false;
        };
        let before = columns.len();
        if let TableAction::AddColumn { column, .. } = action {
            if !columns.contains(&column.name) {
                columns.push(column.name.clone());
            }
        } else if let TableAction::DropColumn { name, .. } = action {
            columns.retain(|column| column != name);
        } else {
            panic!("{action:?}");
        }
        columns.len() != before
    }
}

fn any_command(dice: &mut Dice) -> Command {
    let table = dice.pick(&["a", "b", "c"]);
    let column = dice.pick(&["id", "a", "x", "y"]);
    let publication = dice.pick(&["p", "q"]);
    match dice.below(7) {
        0 => create(table),
        1 => drop_table(table),
        2 => add_column(table, column),
        3 => drop_column(table, column),
        4 => publish(publication, &[table]),
        5 => Command::AlterPublication {
            name: publication.to_owned(),
            action: PublicationAction::Add(objects(&[table])),
        },
        _ => Command::DropPublication {
            names: vec![publication.to_owned()],
            if_exists: false,
        },
    }
}

#[test]
fn random_definitions_agree_with_a_model_at_every_position() {
    let mut dice = Dice::seeded();
    for _ in 0..20 {
        let disk = disk();
        let mut store = open(&disk);
        let mut model = Model::default();
        let mut head = 0;
        let mut past = vec![];
        let mut oids: BTreeMap<u32, String> = BTreeMap::new();
        for _ in 0..60 {
            head += dice.below(3) * 8;
            let command = any_command(&mut dice);
            let mut wanted = model.clone();
            let accepted = wanted.apply(&command);
            let done = store.apply(&command, lsn(head));
            assert_eq!(done.is_ok(), accepted, "{command:?}: {done:?}");
            if accepted {
                model = wanted;
            }
            if dice.chance(10) {
                store = open(&disk);
            }
            assert_eq!(Model::of(&store.current()), model, "{command:?}");
            past.push((head, model.clone()));
            for table in &store.current().relations {
                let name = oids.entry(table.oid).or_insert_with(|| table.name.clone());
                assert_eq!(*name, table.name, "an OID was used twice");
            }
        }
        for at in 1..head + 16 {
            let wanted = past.iter().rev().find(|(since, _)| *since < at);
            let wanted = wanted.map_or_else(Model::default, |(_, model)| model.clone());
            assert_eq!(Model::of(&store.at(lsn(at))), wanted, "at {at}");
        }
    }
}

#[test]
fn definitions_of_several_sessions_follow_one_another_without_gaps() {
    let home = Home::new();
    let engine = Arc::new(home.open(options()));
    engine.define(&create("t")).unwrap();
    let definers = (0..3).map(|n| {
        let engine = Arc::clone(&engine);
        std::thread::spawn(move || {
            for _ in 0..10 {
                let name = format!("c{n}");
                engine.define(&add_column("t", &name)).unwrap();
                engine.define(&drop_column("t", &name)).unwrap();
            }
        })
    });
    let publishers = (0..2).map(|n| {
        let engine = Arc::clone(&engine);
        std::thread::spawn(move || {
            for rid in 0..60 {
                let mut batch = engine.batch(Moment::at_ms(7));
                let collection = format!("x{n}{}", rid / 6);
                batch.push(&ChangeRecord::insert(&collection, rid)).unwrap();
                engine.publish(batch).unwrap();
            }
        })
    });
    let threads: Vec<_> = definers.chain(publishers).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // The file refuses to open with a gap or an overlap.
    drop(engine);
    let engine = home.open(options());
    let store = engine.relations();
    let since = |at: u64| {
        let set = store.at(lsn(at));
        let table = set.relation("public", "t");
        table.map_or(0, |table| table.since.get())
    };
    let head = engine.head().get();
    let found: Vec<u64> = (0..=50).map(|n| since(head * n / 50)).collect();
    assert!(found.is_sorted(), "{found:?}");
}

#[test]
fn a_definition_never_counts_from_below_an_earlier_one() {
    let disk = disk();
    let store = open(&disk);
    store.apply(&create("t"), lsn(100)).unwrap();
    store.apply(&add_column("t", "b"), lsn(200)).unwrap();
    store.apply(&add_column("t", "c"), lsn(300)).unwrap();
    store.apply(&add_column("t", "d"), lsn(250)).unwrap();
    let set = open(&disk).current();
    assert_eq!(set.relation("public", "t").unwrap().since, lsn(300));
}

#[test]
fn records_that_are_queued_keep_the_relation_of_before() {
    let home = Home::new();
    let engine = home.open(options());
    engine.define(&create("t")).unwrap();
    let mut tickets = Vec::new();
    for rid in 0..50 {
        let mut batch = engine.batch(Moment::at_ms(7));
        let record = ChangeRecord::insert("t", rid).with_entity(format!("{{\"id\":{rid}}}"));
        batch.push(&record).unwrap();
        tickets.push(engine.submit(batch).unwrap());
    }
    engine.define(&add_column("t", "b")).unwrap();
    for ticket in tickets {
        let end = ticket.wait().unwrap().last_lsn;
        let set = engine.relations().at(end);
        assert_eq!(names(&set, "t"), ["id", "a"]);
    }
}
