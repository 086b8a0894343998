//! What an upstream commits arrives here once, whatever is restarted in between.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod capture_support;

use capture_support::{Captured, Cluster, wait_until};
use pgspool::captures::CaptureState;

#[test]
fn a_committed_row_arrives_and_is_acknowledged() {
    let upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY, note text)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    // The table is known before its first row.
    let set = captured.engine().relations().current();
    let table = set.relation("public", "t").unwrap();
    assert_eq!(table.columns.len(), 2);
    assert!(set.publication("p").is_some_and(|of| of.all_tables));

    upstream.run_sql("INSERT INTO t VALUES (1, 'one')");
    upstream.run_sql("INSERT INTO t VALUES (2, 'two')");
    let end = upstream.position();
    captured.wait_for_head(end);
    assert_eq!(captured.inserted(), ["1", "2"]);
    // What was known is not described again.
    let letters: Vec<u8> = captured.messages().iter().map(|(_, _, m)| m[0]).collect();
    assert_eq!(letters, b"BICBIC");
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    wait_until("the slot is acknowledged", || {
        upstream
            .ask(confirmed)
            .parse::<pgspool::lsn::Lsn>()
            .unwrap()
            >= end
    });
    captured.wait_for_state(CaptureState::Streaming);
    let status = captured.status();
    assert_eq!(status.num_transactions, 2);
    assert_eq!(status.stop, None);
    assert!(status.acknowledged_lsn >= end);
    captured.stop();
}

#[test]
fn restarts_on_either_side_neither_skip_nor_repeat() {
    let mut upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY, note text)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    let mut wanted = Vec::new();
    for round in 0..4 {
        for id in 0..20 {
            let id = round * 100 + id;
            upstream.run_sql(&format!("INSERT INTO t VALUES ({id}, 'x')"));
            wanted.push(id.to_string());
        }
        match round {
            // In good order the upstream waits until all is acknowledged.
            0 => {
                upstream.stop();
                upstream.run();
            }
            1 => {
                upstream.crash();
                upstream.run();
            }
            2 => {
                captured.stop();
                captured.start().unwrap();
            }
            _ => {}
        }
    }
    captured.wait_for_head(upstream.position());
    assert_eq!(captured.inserted(), wanted);
    assert!(captured.status().stop.is_none());
    captured.stop();
}

#[test]
fn an_idle_upstream_is_acknowledged_forward() {
    let upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    upstream.run_sql("CREATE DATABASE other");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    let before = captured.head();
    let other = format!(
        "host=127.0.0.1 port={} user=postgres dbname=other",
        upstream.port
    );
    let mut other = postgres::Client::connect(&other, postgres::NoTls).unwrap();
    other
        .batch_execute("CREATE TABLE u AS SELECT generate_series(1, 10000) AS n")
        .unwrap();
    let end = upstream.position();
    assert!(end > before);
    captured.wait_for_head(end);
    wait_until("the slot is acknowledged", || {
        let confirmed = upstream.ask("SELECT confirmed_flush_lsn FROM pg_replication_slots");
        confirmed.parse::<pgspool::lsn::Lsn>().unwrap() >= end
    });
    assert!(captured.messages().is_empty());
    // The head is durable.
    captured.stop();
    captured.start().unwrap();
    assert!(captured.head() >= end);
    captured.stop();
}

#[test]
fn what_is_paused_goes_on_where_it_was() {
    let upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    upstream.run_sql("INSERT INTO t VALUES (1)");
    captured.wait_for_head(upstream.position());
    captured.pause(true);
    captured.wait_for_state(CaptureState::Paused);
    let active = "SELECT active FROM pg_replication_slots";
    wait_until("the connection ends", || upstream.ask(active) == "f");
    upstream.run_sql("INSERT INTO t VALUES (2)");
    // It stays paused over a restart, and starting it is no failure.
    captured.stop();
    captured.start().unwrap();
    captured.wait_for_state(CaptureState::Paused);
    assert_eq!(captured.inserted(), ["1"]);
    captured.pause(false);
    captured.wait_for_head(upstream.position());
    assert_eq!(captured.inserted(), ["1", "2"]);
    captured.stop();
}

#[test]
fn tables_and_publications_follow_the_upstream() {
    let upstream = Cluster::start();
    upstream.run_sql(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SCHEMA app; \
         CREATE TABLE app.t (id int PRIMARY KEY, feels mood NOT NULL, many mood[]); \
         CREATE TABLE u (a int, b text); CREATE PUBLICATION p FOR TABLE app.t; \
         CREATE PUBLICATION less FOR TABLE app.t (id) WHERE (id > 5) WITH (publish = 'insert'); \
         CREATE PUBLICATION more FOR TABLE app.t, u",
    );
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    let set = captured.engine().relations().current();
    let names: Vec<_> = set.publications.iter().map(|of| of.name.as_str()).collect();
    // What holds a table that is not captured is not here.
    assert_eq!(names, ["p", "less"]);
    let table = set.relation("app", "t").unwrap();
    assert_eq!(
        table.oid.to_string(),
        upstream.ask("SELECT 'app.t'::regclass::oid")
    );
    assert!(
        table
            .primary_key()
            .is_some_and(|key| key.name == "t_pkey" && key.columns == [1])
    );
    assert!(table.columns[1].not_null && table.columns[1].upstream_type.is_some());
    let types: Vec<_> = table.upstream.as_ref().unwrap().types.iter().collect();
    let names: Vec<_> = types.iter().map(|of| of.format_name.as_str()).collect();
    assert_eq!(names, ["mood", "mood[]"]);

    upstream.run_sql(
        "ALTER TABLE app.t ADD COLUMN later date; ALTER PUBLICATION p ADD TABLE u; \
         DROP PUBLICATION less; ALTER TABLE u REPLICA IDENTITY FULL",
    );
    wait_until("the new definitions are here", || {
        let set = captured.engine().relations().current();
        let names: Vec<_> = set.publications.iter().map(|of| of.name.clone()).collect();
        let table = set.relation("app", "t").unwrap();
        table.column("later").is_some()
            && set.relation("public", "u").is_some()
            && names == ["p", "more"]
    });
    // And rows of the new form are read under them.
    upstream.run_sql("INSERT INTO app.t VALUES (1, 'ok', '{sad}', '2020-01-01')");
    upstream.run_sql("ALTER TABLE app.t DROP COLUMN later");
    upstream.run_sql("INSERT INTO app.t VALUES (2, 'ok', '{sad}')");
    captured.wait_for_head(upstream.position());
    assert_eq!(captured.inserted(), ["1", "2"]);
    // A table may go and come back.
    let has_u = |captured: &Captured| {
        let set = captured.engine().relations().current();
        set.relation("public", "u").is_some()
    };
    upstream.run_sql("ALTER PUBLICATION p DROP TABLE u");
    wait_until("the table is gone", || !has_u(&captured));
    upstream.run_sql("ALTER PUBLICATION p ADD TABLE u");
    wait_until("the table is back", || has_u(&captured));
    upstream.run_sql("INSERT INTO u VALUES (3, 'x')");
    captured.wait_for_head(upstream.position());
    captured.stop();
    captured.start().unwrap();
    assert_eq!(captured.inserted(), ["1", "2", "3"]);
    captured.stop();
}

#[test]
fn a_table_of_a_new_schema_is_known_by_its_first_row() {
    let upstream = Cluster::start();
    let mut captured = Captured::new(&upstream.settings());
    captured.options.mirror_interval = std::time::Duration::from_secs(3600);
    captured.start().unwrap();
    upstream
        .run_sql("CREATE SCHEMA app; CREATE TABLE app.t (id int); INSERT INTO app.t VALUES (1)");
    captured.wait_for_head(upstream.position());
    // The description has the catalogs looked at, where the schema's OID is.
    let oid = upstream.ask("SELECT oid FROM pg_namespace WHERE nspname = 'app'");
    wait_until("the schema has its OID", || {
        let set = captured.engine().relations().current();
        set.schema("app")
            .is_some_and(|schema| schema.oid.to_string() == oid)
    });
    assert!(
        captured
            .engine()
            .relations()
            .current()
            .relation("app", "t")
            .is_some()
    );
    upstream.run_sql("ALTER SCHEMA app RENAME TO web; INSERT INTO web.t VALUES (2)");
    captured.wait_for_head(upstream.position());
    wait_until("the schema has its new name", || {
        let set = captured.engine().relations().current();
        let has_new = set
            .schema("web")
            .is_some_and(|schema| schema.oid.to_string() == oid);
        has_new && set.schema("app").is_none() && set.relation("web", "t").is_some()
    });
    // What was written opens again.
    captured.stop();
    captured.start().unwrap();
    assert_eq!(captured.inserted(), ["1", "2"]);
    captured.stop();
}
