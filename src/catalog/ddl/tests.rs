//! Against what PostgreSQL 15 itself answered.

use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, FakeDisk};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::{Outcome, RelationStore};

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

/// Statements, one after the other, and what PostgreSQL 15 answered.
#[test]
fn refusals_are_postgresql_s_own() {
    let db = Db::new();
    for (text, wanted) in [
        ("create table t(id int, name text)", ""),
        (
            "create table t(id int)",
            "42P07 relation \"t\" already exists",
        ),
        (
            "create table t(id int, id int)",
            "42701 column \"id\" specified more than once",
        ),
        (
            "create table a(id nosuch)",
            "42704 type \"nosuch\" does not exist @19",
        ),
        (
            "create table a(id int primary key, b int primary key)",
            "42P16 multiple primary keys for table \"a\" are not allowed @42",
        ),
        (
            "create table a(id int, primary key(nosuch))",
            "42703 column \"nosuch\" named in key does not exist @24",
        ),
        (
            "create table a(id int, unique(id,id))",
            "42701 column \"id\" appears twice in unique constraint @24",
        ),
        (
            "create table a(id int not null null)",
            "42601 conflicting NULL/NOT NULL declarations for column \"id\" of table \"a\" @32",
        ),
        (
            "create table a(id varchar(0))",
            "22023 length for type varchar must be at least 1 @19",
        ),
        (
            "create table a(id numeric(1001))",
            "22023 NUMERIC precision 1001 must be between 1 and 1000 @19",
        ),
        (
            "create table a(id text(5))",
            "42601 type modifier is not allowed for type \"text\" @19",
        ),
        (
            "create table a(id int(5))",
            "42601 syntax error at or near \"(\" @22",
        ),
        (
            "create table nos.a(id int)",
            "3F000 schema \"nos\" does not exist @14",
        ),
        (
            "create table pg_catalog.a(id int)",
            "42501 permission denied to create \"pg_catalog.a\" | \
             DETAIL: System catalog modifications are currently disallowed.",
        ),
        (
            "create table a(ctid int)",
            "42701 column name \"ctid\" conflicts with a system column name",
        ),
        (
            "create table a(id anyarray)",
            "42P16 column \"id\" has pseudo-type anyarray",
        ),
        (
            "create table other.public.a(id int)",
            "0A000 cross-database references are not implemented: \"other.public.a\" @14",
        ),
        (
            "create table a(id json unique)",
            "42704 data type json has no default operator class for access method \"btree\" | \
             HINT: You must specify an operator class for the index or define a default operator \
             class for the data type.",
        ),
        (
            "create table c(a int,)",
            "42601 syntax error at or near \")\" @22",
        ),
        (
            "create table c(user int)",
            "42601 syntax error at or near \"user\" @16",
        ),
        (
            "create table c(a float(54))",
            "22023 precision for type float must be less than 54 bits @24",
        ),
        (
            "create table c(a \"int\")",
            "42704 type \"int\" does not exist @18",
        ),
        (
            "create table c(a int default 5)",
            "0A000 DEFAULT is not supported @22",
        ),
        (
            "create table c(a serial)",
            "0A000 type serial is not supported @18",
        ),
        ("drop table nosuch", "42P01 table \"nosuch\" does not exist"),
        (
            "drop table nosch.x",
            "3F000 schema \"nosch\" does not exist",
        ),
        (
            "alter table nosuch add a int",
            "42P01 relation \"nosuch\" does not exist",
        ),
        (
            "alter table nosch.x add a int",
            "3F000 schema \"nosch\" does not exist",
        ),
        ("alter table t", "42601 syntax error at end of input @14"),
        (
            "alter table t add id int",
            "42701 column \"id\" of relation \"t\" already exists",
        ),
        (
            "alter table t drop x",
            "42703 column \"x\" of relation \"t\" does not exist",
        ),
        (
            "alter table t drop ctid",
            "0A000 cannot drop system column \"ctid\"",
        ),
        (
            "alter table t replica identity using index nosuch",
            "42704 index \"nosuch\" for table \"t\" does not exist",
        ),
        ("create table t2(id int unique, b int unique not null)", ""),
        (
            "alter table t replica identity using index t2_b_key",
            "42809 \"t2_b_key\" is not an index for table \"t\"",
        ),
        (
            "alter table t2 replica identity using index t2_id_key",
            "42809 index \"t2_id_key\" cannot be used as replica identity because column \"id\" \
             is nullable",
        ),
        ("alter table t2 replica identity using index t2_b_key", ""),
        (
            "alter table t2 alter b drop not null",
            "42P16 column \"b\" is in index used as replica identity",
        ),
        (
            "create schema public",
            "42P06 schema \"public\" already exists",
        ),
        (
            "create schema pg_foo",
            "42939 unacceptable schema name \"pg_foo\" | \
             DETAIL: The prefix \"pg_\" is reserved for system schemas.",
        ),
        (
            "create schema s authorization nosuch",
            "42704 role \"nosuch\" does not exist",
        ),
        ("create schema s", ""),
        ("create table s.a(id int)", ""),
        ("create table s.\"T x\"(id int)", ""),
        (
            "drop schema s",
            "2BP01 cannot drop schema s because other objects depend on it | \
             DETAIL: table s.a depends on schema s\ntable s.\"T x\" depends on schema s | \
             HINT: Use DROP ... CASCADE to drop the dependent objects too.",
        ),
        (
            "drop schema nosuch",
            "3F000 schema \"nosuch\" does not exist",
        ),
        ("create publication p", ""),
        (
            "create publication p for table nosuch",
            "42710 publication \"p\" already exists",
        ),
        (
            "create publication q for table nosuch",
            "42P01 relation \"nosuch\" does not exist",
        ),
        (
            "create publication q for table nosch.x",
            "3F000 schema \"nosch\" does not exist",
        ),
        (
            "create publication q for table t(id), t",
            "42710 conflicting or redundant column lists for table \"t\"",
        ),
        (
            "create publication q for table t, t where (id>1)",
            "42710 conflicting or redundant WHERE clauses for table \"t\"",
        ),
        (
            "create publication q for table t(nosuch)",
            "42703 column \"nosuch\" of relation \"t\" does not exist",
        ),
        (
            "create publication q for table t(id,id)",
            "42710 duplicate column \"id\" in publication column list",
        ),
        (
            "create publication q for table t(ctid)",
            "42P10 cannot use system column \"ctid\" in publication column list",
        ),
        (
            "create publication q for table t()",
            "42601 syntax error at or near \")\" @34",
        ),
        (
            "create publication q for table t where (nosuch > 5)",
            "42703 column \"nosuch\" does not exist @41",
        ),
        (
            "create publication q for table t where (id)",
            "42804 argument of PUBLICATION WHERE must be type boolean, not type integer @41",
        ),
        (
            "create publication q for table t where (random() > 0.5)",
            "0A000 invalid publication WHERE expression | \
             DETAIL: User-defined or built-in mutable functions are not allowed. @41",
        ),
        (
            "create publication q for table t where (id = name)",
            "42883 operator does not exist: integer = text | \
             HINT: No operator matches the given name and argument types. You might need to add \
             explicit type casts. @44",
        ),
        (
            "create publication q for table t where id > 5",
            "42601 syntax error at or near \"id\" @40",
        ),
        (
            "create publication q for t",
            "42601 invalid publication object list | DETAIL: One of TABLE or TABLES IN SCHEMA \
             must be specified before a standalone table or schema name. @26",
        ),
        (
            "create publication q for table t, current_schema",
            "42601 invalid table name @35",
        ),
        (
            "create publication q for all tables, table t",
            "42601 syntax error at or near \",\" @36",
        ),
        (
            "create publication q with (publish = 'foo')",
            "42601 unrecognized value for publication option \"publish\": \"foo\"",
        ),
        (
            "create publication q with (publish = 'insert, , update')",
            "42601 invalid list syntax in parameter \"publish\"",
        ),
        (
            "create publication q with (publish)",
            "42601 publish requires a parameter",
        ),
        (
            "create publication q with (foo = 1)",
            "42601 unrecognized publication parameter: \"foo\"",
        ),
        (
            "create publication q with (publish_via_partition_root = 7)",
            "42601 publish_via_partition_root requires a Boolean value",
        ),
        (
            "create publication q with (publish='insert', publish='delete')",
            "42601 conflicting or redundant options @46",
        ),
        (
            "create publication q for tables in schema pg_catalog",
            "22023 cannot add schema \"pg_catalog\" to publication | \
             DETAIL: This operation is not supported for system schemas.",
        ),
        (
            "create publication q for tables in schema s, s.t",
            "42601 invalid schema name @46",
        ),
        (
            "create publication q for tables in schema public, table t(id)",
            "22023 cannot use column list for relation \"public.t\" in publication \"q\" | \
             DETAIL: Column lists cannot be specified in publications containing FOR TABLES IN \
             SCHEMA elements.",
        ),
        ("create publication qa for all tables", ""),
        (
            "alter publication qa add table t",
            "55000 publication \"qa\" is defined as FOR ALL TABLES | DETAIL: Tables cannot be \
             added to or dropped from FOR ALL TABLES publications.",
        ),
        (
            "alter publication qa drop tables in schema s",
            "55000 publication \"qa\" is defined as FOR ALL TABLES | DETAIL: Schemas cannot be \
             added to or dropped from FOR ALL TABLES publications.",
        ),
        ("alter publication p add table t(id) where (id > 1)", ""),
        (
            "alter publication p add table t",
            "42710 relation \"t\" is already member of publication \"p\"",
        ),
        (
            "alter publication p add tables in schema s",
            "22023 cannot add schema to publication \"p\" | DETAIL: Schemas cannot be added if \
             any tables that specify a column list are already part of the publication.",
        ),
        (
            "alter publication p drop table t2",
            "42704 relation \"t2\" is not part of the publication",
        ),
        (
            "alter publication p drop tables in schema s",
            "42704 tables from schema \"s\" are not part of the publication",
        ),
        (
            "alter publication p drop table t(id)",
            "42601 column list must not be specified in ALTER PUBLICATION ... DROP",
        ),
        (
            "alter publication p drop table t where (id > 1)",
            "42601 cannot use a WHERE clause when removing a table from a publication",
        ),
        (
            "alter table t drop id",
            "2BP01 cannot drop column id of table t because other objects depend on it | \
             DETAIL: publication of table t in publication p depends on column id of table t | \
             HINT: Use DROP ... CASCADE to drop the dependent objects too.",
        ),
        (
            "alter publication nosuch add table t",
            "42704 publication \"nosuch\" does not exist",
        ),
        (
            "alter publication p rename to qa",
            "42710 publication \"qa\" already exists",
        ),
        (
            "alter publication p owner to nosuch",
            "42704 role \"nosuch\" does not exist",
        ),
        ("alter publication p owner to spool", ""),
        ("alter publication p owner to current_user", ""),
        (
            "alter publication if exists p rename to x",
            "42601 syntax error at or near \"exists\" @22",
        ),
        (
            "drop publication nosuch",
            "42704 publication \"nosuch\" does not exist",
        ),
        (
            "drop publication qa, nosuch",
            "42704 publication \"nosuch\" does not exist",
        ),
        (
            "drop publication p restrict, qa",
            "42601 syntax error at or near \",\" @28",
        ),
        (
            "create publication a.b",
            "42601 syntax error at or near \".\" @21",
        ),
    ] {
        let found = db
            .run(text)
            .err()
            .map_or_else(String::new, |error| shown(&error));
        assert_eq!(found, wanted, "{text}");
    }
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
