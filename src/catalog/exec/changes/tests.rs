//! `pgspool.changes` over a real engine.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::Executor;
use super::super::tests::{database, prepared, run, text};
use super::row::NUM_COLUMNS;
use crate::catalog::{prepare, testing, views};
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::datum::{Datum, PgType};
use crate::engine::{Engine, EngineOptions};
use crate::lsn::Lsn;
use crate::pgerror::PgError;

fn publish(engine: &Arc<Engine>, n: u64, collection: &str) -> Lsn {
    let mut batch = engine.batch(Moment::now());
    let record = ChangeRecord::insert(collection, n).with_entity(format!("{{\"n\":{n}}}"));
    batch.push(&record).unwrap();
    engine.publish(batch).unwrap().last_lsn
}

fn position(lsn: Lsn) -> Datum {
    Datum::Int(i64::try_from(lsn.get()).unwrap())
}

const CHANGES: &str = "\"pgspool.changes\"";

#[test]
fn the_columns_of_changes_are_those_that_its_rows_have() {
    let view = views::find("pgspool", "changes").unwrap();
    assert_eq!(view.columns.len(), NUM_COLUMNS);
}

#[test]
fn changes_show_every_field_of_a_record() {
    let engine = database();
    let record = ChangeRecord::update("orders", u64::MAX)
        .with_entity(br#"{"b":1, "a":[1.50]}"#)
        .with_metadata(serde_json::json!({"who": "me"}))
        .with_changed_columns(["a", "b \"c\""]);
    let mut batch = engine.batch(Moment::at_ms(1_700_000_000_123));
    batch
        .push_transaction(&[
            record,
            ChangeRecord::delete("orders", 2),
            ChangeRecord::refresh("t", [b"x".to_vec(), b"\x01".to_vec()]),
        ])
        .unwrap();
    let end = engine.publish(batch).unwrap().last_lsn;
    let sql = "SELECT lsn, xid, committed_at, operation, collection, rid, entity, document,
        metadata, changed_columns, refresh_rows, refresh_records, change_lsn FROM \"pgspool.changes\"";
    let rows = run(&testing::context(&engine), sql, &[]).unwrap();
    assert_eq!(rows.len(), 3);
    let row = &rows[0];
    assert_eq!(row[0], position(end));
    assert_eq!(row[1], Datum::Int(i64::from(crate::change::xid(end))));
    assert_eq!(row[2], Datum::Int(1_700_000_000_123_000));
    assert_eq!(
        row[3..6],
        [text("update"), text("orders"), text("18446744073709551615")]
    );
    assert_eq!(row[7], text(r#"{"a": [1.50], "b": 1}"#));
    assert_eq!(row[8], text(r#"{"who": "me"}"#));
    assert_eq!(row[9], text(r#"{a,"b \"c\""}"#));
    assert_eq!(rows[1][3], text("delete"));
    assert_eq!(
        rows[2][10..12],
        [Datum::Int(2), text(r#"{"\\x78","\\x01"}"#)]
    );
    let own: Vec<_> = rows.iter().map(|row| row[12].clone()).collect();
    let Datum::Int(first) = own[0] else { panic!() };
    let Datum::Int(last) = own[2] else { panic!() };
    assert!(first < last && position(end) != own[2]);
}

#[test]
fn bounds_and_collections_find_what_a_full_reading_finds() {
    let engine = database();
    let ends: Vec<Lsn> = (0..50)
        .map(|n| publish(&engine, n, if n % 3 == 0 { "a" } else { "b" }))
        .collect();
    let context = testing::context(&engine);
    let count = |condition: &str, param: Lsn| {
        let sql = format!("SELECT count(*) FROM {CHANGES} WHERE {condition}");
        run(&context, &sql, &[position(param)]).unwrap()[0][0].clone()
    };
    for (condition, wanted) in [
        ("lsn > ?1", 29),
        ("lsn >= ?1", 30),
        ("lsn = ?1", 1),
        ("lsn < ?1", 20),
        ("lsn <= ?1", 21),
        ("?1 < lsn AND lsn <= ?1 + 500", 2),
        ("lsn > ?1 AND collection = 'a'", 10),
        ("lsn < ?1 AND collection = 'a'", 7),
        ("lsn > ?1 AND lsn < ?1", 0),
        ("lsn > NULL", 0),
        ("lsn = ?1 OR lsn = ?1 + 1", 1),
    ] {
        assert_eq!(
            count(condition, ends[20]),
            Datum::Int(wanted),
            "{condition}"
        );
    }
    let sql = format!("SELECT rid FROM {CHANGES} ORDER BY lsn LIMIT 2");
    assert_eq!(
        run(&context, &sql, &[]).unwrap(),
        [[text("0")], [text("1")]]
    );
}

#[test]
fn a_bound_on_the_commit_time_is_looked_up() {
    let engine = database();
    for ms in [1000, 2000, 3000, 2500, 4000] {
        let mut batch = engine.batch(Moment::at_ms(ms));
        batch.push(&ChangeRecord::insert("a", ms)).unwrap();
        engine.publish(batch).unwrap();
    }
    let sql = format!("SELECT rid FROM {CHANGES} WHERE committed_at >= ?1");
    let found = |us: i64| {
        let rows = run(&testing::context(&engine), &sql, &[Datum::Int(us)]).unwrap();
        rows.into_iter()
            .map(|row| row[0].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(2_999_999), [text("3000"), text("4000")]);
    assert_eq!(found(2_500_000), [text("3000"), text("2500"), text("4000")]);
    assert_eq!(found(9_000_000), []);
}

#[test]
fn reading_near_the_head_of_a_big_spool_does_not_read_the_beginning() {
    let options = EngineOptions {
        segment_bytes: 1 << 20,
        ring_frames: 4,
        ring_bytes: 1 << 12,
        ..EngineOptions::default()
    };
    let (engine, disk) = testing::engine(options);
    let mut ends = Vec::new();
    for n in 0..40_u64 {
        let mut batch = engine.batch(Moment::now());
        for i in 0..200 {
            let record = ChangeRecord::insert("big", n * 200 + i).with_entity(vec![b'x'; 500]);
            batch.push(&record).unwrap();
        }
        ends.push(engine.publish(batch).unwrap().last_lsn);
    }
    let context = testing::context(&engine);
    let read = |condition: &str, param: Lsn| {
        let before = disk.counters().bytes_read;
        let sql = format!("SELECT count(*) FROM {CHANGES} WHERE {condition}");
        let rows = run(&context, &sql, &[position(param)]).unwrap();
        (rows[0][0].clone(), disk.counters().bytes_read - before)
    };
    let (all, all_bytes) = read("?1 > 0", ends[0]);
    assert_eq!(all, Datum::Int(8000));
    assert!(all_bytes > 8_000_000, "{all_bytes}");
    let (found, bytes) = read("lsn > ?1", ends[38]);
    assert_eq!(found, Datum::Int(200));
    assert!(bytes < 700_000, "{bytes}");
    let (found, bytes) = read("lsn <= ?1", ends[0]);
    assert_eq!(found, Datum::Int(200));
    assert!(bytes < 700_000, "{bytes}");
    let before = disk.counters().bytes_read;
    run(
        &context,
        &format!("SELECT lsn FROM {CHANGES} LIMIT 20"),
        &[],
    )
    .unwrap();
    let bytes = disk.counters().bytes_read - before;
    assert!(bytes < 700_000, "LIMIT read {bytes}");
}

#[test]
fn a_statement_sees_what_was_there_when_it_began() {
    let engine = database();
    for n in 0..10 {
        publish(&engine, n, "a");
    }
    let context = testing::context(&engine);
    let mut seen = 0;
    let sql = prepared(&format!("SELECT lsn FROM {CHANGES}"), &[PgType::PG_LSN]);
    Executor::new(1)
        .run(&context, &sql, &[], &mut |_| {
            seen += 1;
            publish(&engine, 100 + seen, "a");
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, 10);
}

#[test]
fn what_is_removed_under_a_reader_is_an_error_and_no_gap() {
    let options = EngineOptions {
        segment_bytes: 1 << 16,
        ring_frames: 4,
        ring_bytes: 1 << 12,
        wal_keep_size: 0,
        ..EngineOptions::default()
    };
    let (engine, _disk) = testing::engine(options);
    for n in 0..2000 {
        let mut batch = engine.batch(Moment::now());
        let record = ChangeRecord::insert("a", n).with_entity(vec![b'x'; 500]);
        batch.push(&record).unwrap();
        engine.publish(batch).unwrap();
    }
    let context = testing::context(&engine);
    let mut seen = 0_u64;
    let sql = prepared(&format!("SELECT lsn FROM {CHANGES}"), &[PgType::PG_LSN]);
    let ran = Executor::new(1).run(&context, &sql, &[], &mut |_| {
        seen += 1;
        if seen == 1 {
            engine.enforce_retention(Moment::now()).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(ran.unwrap_err().code(), "58P01");
    assert!(seen < 2000);
    // Afterwards the view shows what is retained.
    let rows = run(
        &testing::context(&engine),
        &format!("SELECT lsn FROM {CHANGES}"),
        &[],
    );
    assert!(!rows.unwrap().is_empty());
}

/// Rows of a statement of PostgreSQL's.
fn ask(engine: &Arc<Engine>, sql: &str) -> Vec<Vec<Datum>> {
    try_ask(engine, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn try_ask(engine: &Arc<Engine>, sql: &str) -> Result<Vec<Vec<Datum>>, PgError> {
    let context = testing::context(engine);
    let prepared = prepare(&context, sql, &[])?;
    let mut rows = Vec::new();
    Executor::new(1).run(&context, &prepared, &[], &mut |row| {
        rows.push(row.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

#[test]
fn statements_of_postgresqls_reach_the_seek_index() {
    let options = EngineOptions {
        segment_bytes: 1 << 20,
        ring_frames: 4,
        ring_bytes: 1 << 12,
        ..EngineOptions::default()
    };
    let (engine, disk) = testing::engine(options);
    let mut end = Lsn::ZERO;
    for n in 0..20_u64 {
        let mut batch = engine.batch(Moment::at_ms(1000 * n));
        for i in 0..200 {
            let record = ChangeRecord::insert("orders", n * 200 + i).with_entity(vec![b'x'; 500]);
            batch.push(&record).unwrap();
        }
        let before = end;
        end = engine.publish(batch).unwrap().last_lsn;
        if n == 19 {
            end = before;
        }
    }
    for (sql, wanted) in [
        (
            format!("SELECT * FROM pgspool.changes WHERE lsn > '{end}' LIMIT 20"),
            20,
        ),
        (
            format!(
                "SELECT rid FROM pgspool.changes WHERE lsn > '{end}' AND collection = 'orders'"
            ),
            200,
        ),
        (
            format!("SELECT rid FROM pgspool.changes WHERE '{end}' < lsn AND collection = 'x'"),
            0,
        ),
        (
            format!("SELECT rid FROM pgspool.changes WHERE lsn BETWEEN '{end}' AND '{end}'"),
            1,
        ),
        ("SELECT lsn FROM pgspool.changes LIMIT 20".to_owned(), 20),
        (
            "SELECT lsn FROM pgspool.changes ORDER BY lsn LIMIT 20".to_owned(),
            20,
        ),
        (
            "SELECT lsn FROM pgspool.changes WHERE committed_at >= '1970-01-01 00:00:19+00'"
                .to_owned(),
            200,
        ),
    ] {
        let before = disk.counters().bytes_read;
        assert_eq!(ask(&engine, &sql).len(), wanted, "{sql}");
        let bytes = disk.counters().bytes_read - before;
        assert!(bytes < 1_000_000, "{sql} read {bytes}");
    }
}

#[test]
fn a_slot_starts_at_a_word_a_position_or_a_time_that_has_come() {
    let engine = database();
    publish(&engine, 1, "a");
    for (name, start) in [
        ("a", "'earliest'"),
        ("b", "'head'"),
        ("c", "pg_current_wal_lsn()"),
        ("d", "now()"),
        ("e", "now() - interval '1 hour'"),
        ("f", "'0/0'::text"),
        ("g", "NULL"),
    ] {
        let by_name = format!(
            "SELECT lsn FROM pgspool.create_slot(name => '{name}', plugin => 'json', \
             start => {start}, temporary => true)"
        );
        assert_eq!(ask(&engine, &by_name).len(), 1, "{start}");
        let by_place = format!("SELECT pgspool.create_slot('{name}2', 'json', {start})");
        assert_eq!(ask(&engine, &by_place).len(), 1, "{start}");
    }
    for future in ["now() + interval '1 hour'", "'2999-01-01'", "'infinity'"] {
        let sql = format!("SELECT pgspool.create_slot('z', 'json', {future})");
        let error = try_ask(&engine, &sql).unwrap_err();
        assert_eq!(error.code(), "22023", "{future}: {error}");
    }
}

#[test]
fn slot_functions_are_called_as_postgresqls_users_call_them() {
    let engine = database();
    ask(
        &engine,
        "SELECT * FROM pg_create_logical_replication_slot('s', 'test_decoding')",
    );
    ask(
        &engine,
        "SELECT lsn FROM pgspool.create_slot('e', 'json', start => 'earliest')",
    );
    publish(&engine, 1, "a");
    for (sql, rows) in [
        (
            "SELECT pg_create_logical_replication_slot('t', 'json', true)",
            1,
        ),
        (
            "SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL)",
            3,
        ),
        (
            "SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL, 'include-xids', '0')",
            3,
        ),
        ("SELECT pg_logical_slot_peek_changes('s', NULL, NULL)", 3),
        (
            "SELECT * FROM pg_logical_slot_get_binary_changes('e', NULL, 1)",
            1,
        ),
        (
            "SELECT * FROM pg_logical_slot_get_changes('s', pg_current_wal_lsn(), NULL)",
            3,
        ),
        (
            "SELECT * FROM pg_logical_slot_get_changes('s', NULL, NULL)",
            0,
        ),
        (
            "SELECT pg_replication_slot_advance('e', pg_current_wal_lsn())",
            1,
        ),
        (
            "SELECT slot_name, mode FROM pg_replication_slots, pgspool.plan_resume(slot_name)",
            3,
        ),
        (
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) FROM pg_replication_slots",
            3,
        ),
        ("SELECT pg_logical_emit_message(true, 'p', 'c')", 1),
        ("SELECT pgspool.wait_for(pgspool.bookmark())", 1),
        (
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            3,
        ),
        ("SELECT * FROM pg_get_replication_slots()", 0),
    ] {
        assert_eq!(ask(&engine, sql).len(), rows, "{sql}");
    }
}
