//! Declared tables are published to by SQL: what a statement or COPY says becomes one transaction
//! of records, or nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::io::Write;

use pgspool::roles::RoleChanges;
use postgres::types::Type;
use postgres::{Client, NoTls};
use support::{RawClient, TestServer, create_role};

const TABLE: &str = "CREATE TABLE t (id int8 PRIMARY KEY, v varchar(5), n int4)";

fn driver(server: &TestServer) -> Client {
    let address = server.address;
    let config = format!(
        "host={} port={} user=ann dbname=pgspool",
        address.ip(),
        address.port()
    );
    Client::connect(&config, NoTls).unwrap()
}

/// A server with the table and a slot that sees all that comes after.
fn server() -> (TestServer, RawClient) {
    let server = TestServer::start();
    let mut client = server.session();
    assert_eq!(client.query(TABLE)[0].tag_text(), "CREATE TABLE");
    client.query("SELECT pg_create_logical_replication_slot('s', 'test_decoding')");
    (server, client)
}

/// What was published since the last call, as `test_decoding` says it.
fn published(server: &TestServer) -> Vec<String> {
    let mut client = server.session();
    let answer = client.query(
        "SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL, 'include-xids', '0')",
    );
    let rows = answer.iter().filter(|message| message.tag == 'D');
    rows.map(|row| row.values()[0].clone().unwrap()).collect()
}

fn tag(client: &mut RawClient, statement: &str) -> String {
    client.query(statement)[0].tag_text()
}

fn code(client: &mut RawClient, statement: &str) -> String {
    client.query(statement)[0].code()
}

fn copy(client: &mut RawClient, statement: &str, data: &str) -> support::Message {
    client.send_query(statement);
    client.until(|message| message.tag == 'G');
    client.copy_data(data);
    client.end_copy().remove(0)
}

fn insert(id: i64, v: &str) -> String {
    format!("table public.t: INSERT: id[bigint]:{id} v[character varying]:'{v}' n[integer]:null")
}

#[test]
fn rows_of_a_statement_are_one_transaction() {
    let (server, mut client) = server();
    let insert_two = "INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'b')";
    assert_eq!(tag(&mut client, insert_two), "INSERT 0 2");
    let expected = ["BEGIN", &insert(1, "a"), &insert(2, "b"), "COMMIT"];
    assert_eq!(published(&server), expected);
    let select = "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 3000) g";
    assert_eq!(tag(&mut client, select), "INSERT 0 3000");
    assert_eq!(published(&server).len(), 3002);
}

#[test]
fn a_statement_that_fails_stores_nothing() {
    let (server, mut client) = server();
    let head = server.engine().head();
    let late = "INSERT INTO t SELECT g, repeat('x', g::int4) FROM generate_series(1, 9) g";
    assert_eq!(code(&mut client, late), "22001");
    let two = "INSERT INTO t VALUES (1); SELECT 1/0";
    assert_eq!(client.failure(two), "22012");
    let bad = copy(&mut client, "COPY t FROM STDIN", "1\ta\t1\n2\tb\tx\n");
    assert_eq!(bad.code(), "22P02");
    assert_eq!(bad.fields()[&'W'], "COPY t, line 2, column n: \"x\"");
    assert_eq!(server.engine().head(), head);
    assert_eq!(published(&server), Vec::<String>::new());
}

#[test]
fn a_block_publishes_at_commit_what_its_savepoints_left() {
    let (server, mut client) = server();
    client.query("BEGIN");
    tag(&mut client, "INSERT INTO t VALUES (1, 'a')");
    client.query("SAVEPOINT x");
    tag(&mut client, "INSERT INTO t VALUES (2, 'b')");
    assert_eq!(
        code(&mut client, "INSERT INTO t VALUES ('nonsense')"),
        "22P02"
    );
    assert_eq!(code(&mut client, "INSERT INTO t VALUES (3)"), "25P02");
    client.query("ROLLBACK TO x");
    assert_eq!(
        copy(&mut client, "COPY t (id, v) FROM STDIN", "4\td\n").tag_text(),
        "COPY 1"
    );
    assert_eq!(
        tag(&mut client, "UPDATE t SET v = 'u' WHERE id = 1"),
        "UPDATE 1"
    );
    assert_eq!(
        tag(&mut client, "DELETE FROM t WHERE id IN (1, 4)"),
        "DELETE 2"
    );
    assert_eq!(tag(&mut client, "TRUNCATE t"), "TRUNCATE TABLE");
    assert_eq!(published(&server), Vec::<String>::new());
    assert_eq!(tag(&mut client, "COMMIT"), "COMMIT");
    let expected = [
        "BEGIN",
        &insert(1, "a"),
        &insert(4, "d"),
        "table public.t: UPDATE: id[bigint]:1 v[character varying]:'u' \
         n[integer]:unchanged-toast-datum",
        "table public.t: DELETE: id[bigint]:1",
        "table public.t: DELETE: id[bigint]:4",
        "table public.t: TRUNCATE: (no-flags)",
        "COMMIT",
    ];
    assert_eq!(published(&server), expected);
    client.query("BEGIN");
    tag(&mut client, "INSERT INTO t VALUES (1, 'a')");
    client.query("ROLLBACK");
    assert_eq!(published(&server), Vec::<String>::new());
}

#[test]
fn a_table_of_the_same_block_is_published_to() {
    let (server, mut client) = server();
    client.query("BEGIN");
    client.query("CREATE TABLE fresh (a int4 PRIMARY KEY)");
    assert_eq!(
        tag(&mut client, "INSERT INTO fresh VALUES (7)"),
        "INSERT 0 1"
    );
    let copied = copy(&mut client, "COPY fresh FROM STDIN", "8\n");
    assert_eq!(copied.tag_text(), "COPY 1");
    assert_eq!(tag(&mut client, "COMMIT"), "COMMIT");
    let expected = [
        "BEGIN",
        "table public.fresh: INSERT: a[integer]:7",
        "table public.fresh: INSERT: a[integer]:8",
        "COMMIT",
    ];
    assert_eq!(published(&server), expected);
}

#[test]
fn publishing_needs_the_right_to_publish() {
    let (server, _) = server();
    let login = RoleChanges {
        login: Some(true),
        ..RoleChanges::default()
    };
    create_role(&server.databases, "reader", login);
    let mut owner = server.session();
    owner.query("GRANT CONNECT ON DATABASE pgspool TO reader");
    let mut client = server.connect();
    client.start(&[("user", "reader"), ("database", "pgspool")]);
    for statement in [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET v = 'a' WHERE id = 1",
        "DELETE FROM t WHERE id = 1",
        "TRUNCATE t",
        "COPY t FROM STDIN",
    ] {
        let answer = client.query(statement);
        let fields = answer[0].fields();
        assert_eq!(fields[&'C'], "42501", "{statement}");
        assert_eq!(fields[&'M'], "permission denied for table t", "{statement}");
    }
}

#[test]
fn drivers_are_told_the_types_of_the_columns() {
    let (server, _) = server();
    let mut client = driver(&server);
    let new = client.prepare("INSERT INTO t VALUES ($1, $2, $3)").unwrap();
    assert_eq!(new.params(), [Type::INT8, Type::VARCHAR, Type::INT4]);
    assert_eq!(
        client.execute(&new, &[&1_i64, &"a", &None::<i32>]).unwrap(),
        1
    );
    let update = client
        .prepare("UPDATE t SET n = $2 + 1, v = $3 WHERE id = $1")
        .unwrap();
    assert_eq!(update.params(), [Type::INT8, Type::INT4, Type::VARCHAR]);
    assert_eq!(
        client
            .execute(&update, &[&1_i64, &41, &None::<&str>])
            .unwrap(),
        1
    );
    let delete = client.prepare("DELETE FROM t WHERE id = ANY($1)").unwrap();
    assert_eq!(delete.params(), [Type::INT8_ARRAY]);
    assert_eq!(client.execute(&delete, &[&vec![1_i64, 2]]).unwrap(), 2);
    let returned = client
        .query(
            "INSERT INTO t (id) VALUES ($1), ($1 + 1) RETURNING id, v",
            &[&5_i64],
        )
        .unwrap();
    assert_eq!(returned[1].get::<_, i64>(0), 6);
    assert_eq!(returned[1].get::<_, Option<&str>>(1), None);
    let mut transaction = client.transaction().unwrap();
    let mut writer = transaction
        .copy_in("COPY t (v, id) FROM STDIN WITH (FORMAT csv)")
        .unwrap();
    writer.write_all(b"a,10\n\"b, c\",11\n").unwrap();
    assert_eq!(writer.finish().unwrap(), 2);
    transaction.commit().unwrap();
    let expected = [
        "table public.t: INSERT: id[bigint]:1 v[character varying]:'a' n[integer]:null",
        "table public.t: UPDATE: id[bigint]:1 v[character varying]:null n[integer]:42",
        "table public.t: DELETE: id[bigint]:1",
        "table public.t: DELETE: id[bigint]:2",
        "table public.t: INSERT: id[bigint]:5 v[character varying]:null n[integer]:null",
        "table public.t: INSERT: id[bigint]:6 v[character varying]:null n[integer]:null",
        &insert(10, "a"),
        &insert(11, "b, c"),
    ];
    let found = published(&server);
    let rows: Vec<_> = found
        .iter()
        .filter(|row| row.starts_with("table"))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn prepared_statements_follow_the_table() {
    let (server, mut client) = server();
    assert_eq!(
        tag(
            &mut client,
            "PREPARE i AS INSERT INTO t (id, v) VALUES ($1, $2)"
        ),
        "PREPARE"
    );
    assert_eq!(tag(&mut client, "EXECUTE i (1, 'a')"), "INSERT 0 1");
    client.query("ALTER TABLE t ADD COLUMN more text");
    assert_eq!(tag(&mut client, "EXECUTE i (2, 'b')"), "INSERT 0 1");
    client.query("ALTER TABLE t DROP COLUMN v");
    assert_eq!(code(&mut client, "EXECUTE i (3, 'c')"), "42703");
    let rows = published(&server);
    assert!(rows[4].ends_with("more[text]:null"), "{rows:?}");
}

#[test]
fn a_producer_that_numbers_cannot_publish_by_sql() {
    let (server, mut client) = server();
    client.query("SET pgspool.producer = 'p'");
    assert_eq!(code(&mut client, "INSERT INTO t VALUES (1)"), "22023");
    assert_eq!(code(&mut client, "COPY t FROM STDIN"), "22023");
    client.query("RESET pgspool.producer");
    assert_eq!(tag(&mut client, "INSERT INTO t VALUES (1)"), "INSERT 0 1");
    client.query("SET default_transaction_read_only = on");
    assert_eq!(code(&mut client, "INSERT INTO t VALUES (1)"), "25006");
    assert_eq!(published(&server).len(), 3);
}

#[test]
fn what_is_no_declared_table_is_refused_with_a_hint() {
    let (server, mut client) = server();
    server.publish([1]);
    for (statement, expected) in [
        ("INSERT INTO orders VALUES (1)", "42809"),
        ("COPY orders FROM STDIN", "42809"),
        ("INSERT INTO pg_stat_activity VALUES (1)", "55000"),
        ("INSERT INTO pgspool.changes VALUES (1)", "55000"),
    ] {
        let answer = client.query(statement);
        let fields = answer[0].fields();
        assert_eq!(fields[&'C'], expected, "{statement}");
        assert!(fields.contains_key(&'H'), "{statement}");
    }
}

#[test]
fn a_missing_value_names_its_column_and_no_other_place() {
    let (_server, mut client) = server();
    let refused = client.query("INSERT INTO t VALUES (NULL, 'a')").remove(0);
    let fields = refused.fields();
    let field = |name| fields.get(&name).map_or("", String::as_str);
    assert_eq!(
        ['C', 's', 't', 'c', 'W'].map(field),
        ["23502", "public", "t", "id", ""]
    );
    assert_eq!(field('D'), "Failing row contains (null, a, null).");
}

#[test]
fn a_table_whose_name_reads_as_another_is_refused() {
    let (server, mut client) = server();
    client.query("CREATE TABLE \"s.a\" (id int8 PRIMARY KEY)");
    client.query("CREATE SCHEMA \"x.y\"");
    client.query("CREATE TABLE \"x.y\".t (id int8 PRIMARY KEY)");
    // There is no schema s yet: the name is this table's.
    assert_eq!(
        tag(&mut client, "INSERT INTO \"s.a\" VALUES (1)"),
        "INSERT 0 1"
    );
    client.query("CREATE SCHEMA s");
    client.query("CREATE TABLE s.a (id int8 PRIMARY KEY)");
    for (table, name) in [("\"s.a\"", "s.a"), ("\"x.y\".t", "t")] {
        for statement in [
            format!("INSERT INTO {table} VALUES (2)"),
            format!("UPDATE {table} SET id = 3 WHERE id = 2"),
            format!("DELETE FROM {table} WHERE id = 2"),
            format!("TRUNCATE {table}"),
            format!("COPY {table} FROM STDIN"),
        ] {
            let refused = client.query(&statement).remove(0);
            assert_eq!(refused.code(), "0A000", "{statement}");
            let why = "cannot be published to: its name reads as another table's";
            assert_eq!(refused.fields()[&'M'], format!("table \"{name}\" {why}"));
        }
    }
    assert_eq!(tag(&mut client, "INSERT INTO s.a VALUES (2)"), "INSERT 0 1");
    assert_eq!(
        published(&server),
        [
            "BEGIN",
            "table public.\"s.a\": INSERT: id[bigint]:1",
            "COMMIT",
            "BEGIN",
            "table s.a: INSERT: id[bigint]:2",
            "COMMIT"
        ]
    );
}

#[test]
fn a_large_copy_is_one_transaction_in_bounded_memory() {
    let (server, mut client) = server();
    let before = server.engine().snapshot().spool.num_appended;
    client.send_query("COPY t (id, v) FROM STDIN");
    client.until(|message| message.tag == 'G');
    for block in 0..30 {
        let rows: String = (0..1000)
            .map(|n| format!("{}\tabc\n", block * 1000 + n))
            .collect();
        client.copy_data(&rows);
    }
    assert_eq!(client.end_copy()[0].tag_text(), "COPY 30000");
    assert_eq!(server.engine().snapshot().spool.num_appended, before + 1);
}

#[test]
fn several_tables_are_truncated_one_by_one() {
    let (server, mut client) = server();
    client.query("CREATE TABLE other (a int4 PRIMARY KEY)");
    let answer = client.query("TRUNCATE t, other");
    let fields = answer[0].fields();
    assert_eq!(fields[&'C'], "0A000");
    let hint = "Truncate the tables one by one, those that refer to others first.";
    assert_eq!(fields[&'H'], hint);
    assert_eq!(published(&server), Vec::<String>::new());
    assert_eq!(tag(&mut client, "TRUNCATE t, t"), "TRUNCATE TABLE");
}

#[test]
fn a_key_that_is_named_twice_in_other_words_is_one() {
    let (server, mut client) = server();
    for ty in [
        "numeric",
        "float8",
        "char(5)",
        "interval",
        "numeric[]",
        "jsonb",
        "inet",
    ] {
        let make = format!("CREATE TABLE keyed (k {ty} PRIMARY KEY)");
        assert_eq!(tag(&mut client, &make), "CREATE TABLE", "{ty}");
        let values = match ty {
            "numeric" => "1.0, 1.00, '1', 2, 2.0",
            "float8" => "'0', '-0', 'NaN', 'nan'",
            "char(5)" => "'a', 'a  ', 'b'",
            "interval" => "'1 day', '24 hours', '1 mon', '30 days'",
            "numeric[]" => "'{1.0}', '{1.00}', '{2}'",
            "jsonb" => "'{\"a\": 1.0}', '{\"a\": 1.00}', '1'",
            _ => "'10.0.0.1', '10.0.0.1/32', '10.0.0.1/8'",
        };
        let delete = format!("DELETE FROM keyed WHERE k IN ({values})");
        assert_eq!(tag(&mut client, &delete), "DELETE 2", "{ty}");
        let array = format!("DELETE FROM keyed WHERE k = ANY (ARRAY[{values}]::{ty}[])");
        if !ty.ends_with("[]") {
            assert_eq!(tag(&mut client, &array), "DELETE 2", "{ty}");
        }
        assert_eq!(tag(&mut client, "DROP TABLE keyed"), "DROP TABLE");
    }
    drop(server);
}
