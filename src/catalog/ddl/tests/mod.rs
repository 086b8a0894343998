//! Against what PostgreSQL 15 itself answered.

use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, FakeDisk};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::{Outcome, RelationStore};

mod databases;
mod refusals;

use super::parse;

struct Db {
    store: RelationStore,
}

impl Db {
    fn new() -> Self {
        let disk = FakeDisk::default();
        disk.create_dir_all(Path::new("d")).unwrap();
        Self {
            store: RelationStore::open(Arc::new(disk), Path::new("d/relations.json")).unwrap(),
        }
    }

    fn run(&self, text: &str) -> Result<Outcome, PgError> {
        let command = parse(text, "spool")?.expect("a definition");
        Ok(self.store.apply(&command, Lsn::new(8))?)
    }

    fn ok(&self, text: &str) -> Outcome {
        self.run(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}

/// `code message`, then DETAIL, HINT and position where there are any.
fn shown(error: &PgError) -> String {
    let mut out = error.to_string();
    for (field, value) in error.fields() {
        match char::from(field) {
            'D' => out.push_str(&format!(" | DETAIL: {value}")),
            'H' => out.push_str(&format!(" | HINT: {value}")),
            'P' => out.push_str(&format!(" @{value}")),
            _ => {}
        }
    }
    out
}

const COLUMNS: &str = "id int, name text, ts timestamptz, n numeric(10,2), b bool, v varchar(5), \
    d float8, big bigint, j jsonb, u uuid, s smallint, dt date, tags text[], c char(3), \
    \"By\" bytea, r real, tt time, tm timestamp, m numeric, nm name, iv interval, o oid, \
    ints int[], js json, l pg_lsn";

/// Filters and what PostgreSQL 15 made of them: `pg_get_expr`, or SQLSTATE and message. Outside of
/// the subset an honest error is right, a different text never.
#[test]
fn row_filters_are_printed_as_postgresql_prints_them() {
    let db = Db::new();
    db.ok(&format!("CREATE TABLE t ({COLUMNS})"));
    let (mut wrong, mut unsupported) = (Vec::new(), Vec::new());
    for line in include_str!("filters.tsv").lines() {
        let (filter, wanted) = line.split_once('\t').unwrap();
        let statement = format!("create publication q for table t where ({filter})");
        let found = match db.run(&statement) {
            Ok(_) => {
                let set = db.store.current();
                let table = &set.publication("q").unwrap().tables[0];
                let text = table.filter.clone().unwrap();
                db.ok("drop publication q");
                text
            }
            Err(error) if error.to_string().ends_with("is not supported") => {
                assert_eq!(error.code(), "0A000");
                unsupported.push(filter);
                continue;
            }
            Err(error) => error.to_string(),
        };
        if found != wanted {
            wrong.push(format!("{filter}\n  wanted {wanted}\n  found  {found}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("unsupported: {unsupported:#?}");
    assert!(unsupported.len() < 50, "{unsupported:#?}");
}

#[test]
fn oids_are_those_that_postgresql_gives() {
    let db = Db::new();
    db.ok("create table t(id int primary key, name text, ts timestamptz, tags text[])");
    db.ok("create publication p for table t");
    db.ok("create publication p2");
    let set = db.store.current();
    let t = set.relation("public", "t").unwrap();
    assert_eq!(
        (t.oid, t.array_type_oid, t.row_type_oid),
        (16384, 16385, 16386)
    );
    // 16387 and 16388 are the table for long values and its index.
    let key = t.primary_key().unwrap();
    assert_eq!((key.index_oid, key.constraint_oid), (16389, 16390));
    let p = set.publication("p").unwrap();
    assert_eq!((p.oid, p.tables[0].oid), (16391, 16392));
    assert_eq!(set.publication("p2").unwrap().oid, 16393);

    // Recorded from PostgreSQL 15: OIDs of tables made one after the other.
    let db = Db::new();
    let mut first = 16384;
    for (columns, num_oids) in [
        ("id int", 3),
        (
            "a int, b varchar(5), c numeric(5,2), d bool unique, e int primary key, unique(a, e)",
            9,
        ),
        ("a varchar(5), b char(3)", 3),
        ("a numeric", 5),
        ("a varchar(2000)", 5),
        ("a varchar(500)", 3),
        ("a varchar(511), b varchar(5)", 5),
        ("a varchar(509)", 5),
        ("a int[]", 5),
        ("a numeric(10,2)", 3),
        ("a bit varying(30), b inet", 5),
        ("a point, b interval, c money", 3),
        ("a uuid, c name", 3),
        ("a varchar(10), b numeric", 5),
    ] {
        db.ok(&format!("create table t{first} ({columns})"));
        let name = format!("t{first}");
        assert_eq!(
            db.store.current().relation("public", &name).unwrap().oid,
            first,
            "{columns}"
        );
        first += num_oids;
    }
    db.ok("create table c0(a int)");
    db.ok("alter table c0 add column t text");
    db.ok("create publication p for tables in schema public, table c0");
    let set = db.store.current();
    let p = set.publication("p").unwrap();
    assert_eq!(
        (p.oid, p.tables[0].oid, p.schemas[0].oid),
        (first + 5, first + 6, first + 7)
    );
}

#[test]
fn what_is_skipped_is_told() {
    let db = Db::new();
    db.ok("create table t(id int primary key, a int)");
    db.ok("create table \"T x\"(id int)");
    db.ok("create publication p for table t(id, a), \"T x\"");
    db.ok("create schema s");
    db.ok("create table s.a(id int)");
    for (text, code, message) in [
        (
            "create table if not exists t(id int)",
            "42P07",
            "relation \"t\" already exists, skipping",
        ),
        (
            "drop table if exists nosuch, nosch.x",
            "00000",
            "table \"nosuch\" does not exist, skipping",
        ),
        (
            "alter table if exists nosuch add a int",
            "00000",
            "relation \"nosuch\" does not exist, skipping",
        ),
        (
            "alter table t add if not exists id int primary key",
            "42701",
            "column \"id\" of relation \"t\" already exists, skipping",
        ),
        (
            "alter table t drop if exists x",
            "00000",
            "column \"x\" of relation \"t\" does not exist, skipping",
        ),
        (
            "alter table t drop a cascade",
            "00000",
            "drop cascades to publication of table t in publication p",
        ),
        (
            "create schema if not exists s",
            "42P06",
            "schema \"s\" already exists, skipping",
        ),
        (
            "drop schema if exists nosuch",
            "00000",
            "schema \"nosuch\" does not exist, skipping",
        ),
        (
            "drop schema s cascade",
            "00000",
            "drop cascades to table s.a",
        ),
        (
            "drop publication if exists nosuch",
            "00000",
            "publication \"nosuch\" does not exist, skipping",
        ),
    ] {
        let outcome = db.ok(text);
        assert_eq!(
            (outcome.notices[0].code, outcome.notices[0].message.as_str()),
            (code, message)
        );
        let words: Vec<&str> = text.split(' ').take(2).collect();
        assert_eq!(outcome.tag, words.join(" ").to_uppercase());
    }
}

#[test]
fn types_are_those_that_postgresql_reads() {
    let db = Db::new();
    db.ok(
        "create table b(a char, b varchar, c \"char\", d float(3), e float(30), f dec(3), \
           g numeric(3,1), h bit(3), i bit, j bit varying(2), k interval(3), \
           l interval day to second(3), m time(2) with time zone, n timestamp(2), \
           o character varying(3)[], p int array, q int array[3], r int[3][3], \
           s national character(3), t pg_catalog.int4, u oid, v regclass, w \"timestamp\", \
           x float, y timestamptz(3), z \"int4\", aa double precision, ab _int4)",
    );
    let set = db.store.current();
    let found: Vec<(String, i32)> = set
        .relation("public", "b")
        .unwrap()
        .columns
        .iter()
        .map(|column| {
            (
                crate::datum::format_type(column.column_type, column.typmod),
                column.typmod,
            )
        })
        .collect();
    let wanted = [
        ("character(1)", 5),
        ("character varying", -1),
        ("\"char\"", -1),
        ("real", -1),
        ("double precision", -1),
        ("numeric(3,0)", 196_612),
        ("numeric(3,1)", 196_613),
        ("bit(3)", 3),
        ("bit(1)", 1),
        ("bit varying(2)", 2),
        ("interval(3)", 2_147_418_115),
        ("interval day to second(3)", 470_286_339),
        ("time(2) with time zone", 2),
        ("timestamp(2) without time zone", 2),
        ("character varying(3)[]", 7),
        ("integer[]", -1),
        ("integer[]", -1),
        ("integer[]", -1),
        ("character(3)", 7),
        ("integer", -1),
        ("oid", -1),
        ("regclass", -1),
        ("timestamp without time zone", -1),
        ("double precision", -1),
        ("timestamp(3) with time zone", 3),
        ("integer", -1),
        ("double precision", -1),
        ("integer[]", -1),
    ];
    assert_eq!(
        found,
        wanted.map(|(name, typmod)| (name.to_owned(), typmod))
    );
}

#[test]
fn keys_have_the_names_and_definitions_that_postgresql_gives() {
    let db = Db::new();
    db.ok("create table k(id int, id2 int, unique(id), constraint z unique(id), primary key (id))");
    db.ok("create table k4(a int, b int, primary key (a), unique(b,a), unique(a,b))");
    db.ok("alter table k4 add unique(a), add unique(a)");
    db.ok("create schema s");
    db.ok("create table s.\"T x\"(\"A b\" int primary key, \"user\" int unique)");
    let long = "longnamelongnamelongnamelongnamelongnamelongname";
    let column = "averyverylongcolumnnamethatislong";
    db.ok(&format!(
        "create table {long}({column} int, {column}2 int, unique({column},{column}2))"
    ));
    let set = db.store.current();
    let names = |schema: &str, table: &str| -> Vec<String> {
        let relation = set.relation(schema, table).unwrap();
        relation.keys.iter().map(|key| key.name.clone()).collect()
    };
    assert_eq!(names("public", "k"), ["z"]);
    assert!(set.relation("public", "k").unwrap().keys[0].primary);
    assert_eq!(
        names("public", "k4"),
        [
            "k4_pkey",
            "k4_b_a_key",
            "k4_a_b_key",
            "k4_a_key",
            "k4_a_key1"
        ]
    );
    assert_eq!(
        names("public", long),
        ["longnamelongnamelongnamelongn_averyverylongcolumnnamethatis_key"]
    );
    let table = set.relation("s", "T x").unwrap();
    assert_eq!(
        table.index_definition(&table.keys[0], true),
        "CREATE UNIQUE INDEX \"T x_pkey\" ON s.\"T x\" USING btree (\"A b\")"
    );
    assert_eq!(
        table.constraint_definition(&table.keys[1]),
        "UNIQUE (\"user\")"
    );
    let k4 = set.relation("public", "k4").unwrap();
    assert_eq!(
        k4.index_definition(&k4.keys[1], false),
        "CREATE UNIQUE INDEX k4_b_a_key ON public.k4 USING btree (b, a)"
    );
    assert_eq!(
        k4.index_definition(&k4.keys[0], true),
        "CREATE UNIQUE INDEX k4_pkey ON k4 USING btree (a)"
    );
    assert_eq!(k4.replica_identity_index().unwrap().name, "k4_pkey");
}

#[test]
fn what_defines_nothing_is_left_to_others() {
    for text in [
        "select 1",
        "",
        "CREATE_REPLICATION_SLOT s LOGICAL json",
        "create view v as select 1",
        "drop index i",
        "alter system set a = 1",
        "/* create table */ select 1",
    ] {
        assert_eq!(parse(text, "spool").unwrap(), None, "{text}");
    }
    assert!(
        parse("-- why\n/* and */ Create Table t(id int);", "spool")
            .unwrap()
            .is_some()
    );
}

/// Does what `text` asks with the schemas of `path` searched.
fn along(db: &Db, path: &str, text: &str) -> Result<Outcome, PgError> {
    let command = parse(text, "spool")?.expect("a definition");
    let within = crate::relations::Command::Within {
        search_path: crate::relations::schemas_searched(path, "spool"),
        command: Box::new(command),
    };
    Ok(db.store.apply(&within, Lsn::new(8))?)
}

#[test]
fn names_without_a_schema_are_found_along_the_path_and_made_in_its_first_schema() {
    let db = Db::new();
    let along = |path: &str, text: &str| along(&db, path, text).map(drop);
    db.ok("create schema s");
    along("nosuch, s, public", "create table t(i int)").unwrap();
    along("public", "create table t(j int)").unwrap();
    along("public", "create table only_public(j int)").unwrap();
    along("public, s", "create publication p for table t").unwrap();
    along("s, public", "create publication q for table t, only_public").unwrap();
    along(
        "s",
        "create publication r for tables in schema current_schema",
    )
    .unwrap();
    let set = db.store.current();
    let oid = |schema: &str| set.relation(schema, "t").unwrap().oid;
    assert_eq!(
        set.publication("p").unwrap().tables[0].relation,
        oid("public")
    );
    assert_eq!(set.publication("q").unwrap().tables[0].relation, oid("s"));
    let schema = set.schema("s").unwrap().oid;
    assert!(format!("{:?}", set.publication("r").unwrap().schemas).contains(&schema.to_string()));
    along("s", "alter table t add column k int").unwrap();
    let columns = |schema: &str| {
        let set = db.store.current();
        set.relation(schema, "t").unwrap().columns.len()
    };
    assert_eq!((columns("s"), columns("public")), (2, 1));
    along("s, public", "drop table t, only_public").unwrap();
    let set = db.store.current();
    assert!(set.relation("s", "t").is_none() && set.relation("public", "t").is_some());
}

#[test]
fn names_that_the_path_does_not_reach_are_refused() {
    let db = Db::new();
    let along = |path: &str, text: &str| along(&db, path, text).map(drop);
    for text in [
        "create schema s",
        "create table t(j int)",
        "create table only_public(j int)",
    ] {
        db.ok(text);
    }
    for (path, text, wanted) in [
        (
            "",
            "create table u(i int)",
            "3F000 no schema has been selected to create in @14",
        ),
        (
            "nosuch",
            "create table u(i int)",
            "3F000 no schema has been selected to create in @14",
        ),
        (
            "",
            "create publication n for tables in schema current_schema",
            "3F000 no schema has been selected for CURRENT_SCHEMA",
        ),
        (
            "s",
            "drop table only_public",
            "42P01 table \"only_public\" does not exist",
        ),
        ("", "drop table t", "42P01 table \"t\" does not exist"),
        (
            "",
            "alter table t add x int",
            "42P01 relation \"t\" does not exist",
        ),
        (
            "nosuch",
            "create publication n for table t",
            "42P01 relation \"t\" does not exist",
        ),
    ] {
        assert_eq!(shown(&along(path, text).unwrap_err()), wanted, "{text}");
    }
    along("", "create table s.u(i int)").unwrap();
    along("", "drop table if exists t").unwrap();
    assert!(db.store.current().relation("public", "t").is_some());
}
