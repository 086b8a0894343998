//! Statements, one after the other, and what PostgreSQL 15 answered: nothing where it did them.

use super::{Db, shown};

type Answers = &'static [(&'static str, &'static str)];

#[test]
fn tables_are_refused_as_postgresql_refuses_them() {
    check(CREATE_TABLE);
}

#[test]
fn changes_of_tables_are_refused_as_postgresql_refuses_them() {
    check(OTHER_TABLE);
}

#[test]
fn schemas_are_refused_as_postgresql_refuses_them() {
    check(SCHEMA);
}

#[test]
fn publications_are_refused_as_postgresql_refuses_them() {
    check(CREATE_PUBLICATION);
}

#[test]
fn changes_of_publications_are_refused_as_postgresql_refuses_them() {
    check(OTHER_PUBLICATION);
}

fn check(answers: Answers) {
    let db = Db::new();
    for (text, wanted) in answers {
        let found = db.run(text).err();
        let found = found.map_or_else(String::new, |error| shown(&error));
        assert_eq!(found, *wanted, "{text}");
    }
}

const CREATE_TABLE: Answers = &[
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
];

const OTHER_TABLE: Answers = &[
    ("create table t(id int, name text)", ""),
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
];

const SCHEMA: Answers = &[
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
];

const CREATE_PUBLICATION: Answers = &[
    ("create table t(id int, name text)", ""),
    ("create schema s", ""),
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
];

const OTHER_PUBLICATION: Answers = &[
    ("create table t(id int, name text)", ""),
    ("create table t2(id int unique, b int unique not null)", ""),
    ("create schema s", ""),
    ("create publication p", ""),
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
];
