//! Slot functions, decoding, messages and our own functions over a real engine.

use std::sync::{Arc, Mutex};

use super::*;
use crate::catalog::testing::{self, TestHost, context, engine, run};
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::engine::{Engine, EngineOptions};
use crate::lsn::Lsn;
use crate::slots::SlotName;

fn database() -> Arc<Engine> {
    engine(EngineOptions::default()).0
}

/// Runs a statement of up to six columns and gives their texts, `;` between columns.
fn rows(engine: &Arc<Engine>, sql: &str) -> Result<Vec<String>, PgError> {
    let types = [PgType::UNKNOWN; 6];
    let mut depth = 0;
    let commas = sql.split(" FROM ").next().unwrap().chars().filter(|c| {
        depth += i32::from(*c == '(' || *c == '{') - i32::from(*c == ')' || *c == '}');
        *c == ',' && depth == 0
    });
    let count = commas.count() + 1;
    let found = run(&context(engine), sql, &types[..count.min(6)], &[])?;
    let shown = |datum: &Datum| match datum {
        Datum::Null => "-".to_owned(),
        Datum::Int(number) => number.to_string(),
        Datum::Float(number) => number.to_string(),
        Datum::Text(text) => text.clone(),
        Datum::Bytes(bytes) => format!("\\x{}", hex::encode(bytes)),
    };
    let line = |row: &Vec<Datum>| row.iter().map(shown).collect::<Vec<_>>().join(";");
    Ok(found.iter().map(line).collect())
}

fn code(engine: &Arc<Engine>, sql: &str) -> &'static str {
    rows(engine, sql).expect_err(sql).code()
}

fn publish(engine: &Arc<Engine>, collection: &str, rids: &[u64]) -> Lsn {
    let mut batch = engine.batch(Moment::now());
    let records: Vec<_> = rids
        .iter()
        .map(|rid| ChangeRecord::insert(collection, *rid).with_entity(b"{}"))
        .collect();
    batch.push_transaction(&records).unwrap();
    engine.publish(batch).unwrap().last_lsn
}

fn slot(engine: &Engine, name: &str) -> crate::slots::SlotSnapshot {
    engine.slot(&SlotName::parse(name).unwrap()).unwrap()
}

const CREATE: &str = "SELECT slot_name, lsn FROM f_3786('s', 'test_decoding', 0, 0)";

#[test]
fn a_slot_is_made_moved_copied_listed_and_dropped() {
    let engine = database();
    let first = publish(&engine, "a", &[1]);
    assert_eq!(
        rows(&engine, CREATE).unwrap(),
        [format!("s;{}", first.get())]
    );
    assert_eq!(code(&engine, CREATE), "42710");
    let second = publish(&engine, "a", &[2]);
    let advance = |to: u64| format!("SELECT slot_name, end_lsn FROM f_3878('s', {to})");
    let moved = rows(&engine, &advance(u64::from(u32::MAX))).unwrap();
    assert_eq!(moved, [format!("s;{}", second.get())], "at most the head");
    assert_eq!(slot(&engine, "s").persisted_restart_lsn, second);
    assert_eq!(code(&engine, &advance(first.get())), "55000");
    assert_eq!(code(&engine, &advance(0)), "XX000");
    let copied = rows(
        &engine,
        "SELECT slot_name, lsn FROM f_4222('s', 'c', 1, 'json')",
    );
    assert_eq!(copied.unwrap(), [format!("c;{}", second.get())]);
    assert!(slot(&engine, "c").temporary && slot(&engine, "c").plugin == "json");
    let copied = rows(&engine, "SELECT slot_name, lsn FROM f_4224('s', 'd')");
    assert_eq!(copied.unwrap().len(), 1);
    assert_eq!(slot(&engine, "d").plugin, "test_decoding");
    assert_eq!(
        code(&engine, "SELECT slot_name FROM f_4224('nosuch', 'e')"),
        "42704"
    );
    let listed = rows(
        &engine,
        "SELECT slot_name, plugin, temporary FROM f_3781() ORDER BY 1",
    );
    let wanted = ["c;json;1", "d;test_decoding;0", "s;test_decoding;0"];
    assert_eq!(listed.unwrap(), wanted);
    assert_eq!(rows(&engine, "SELECT f_3780('s')").unwrap(), [""]);
    assert_eq!(code(&engine, "SELECT f_3780('s')"), "42704");
    assert_eq!(code(&engine, "SELECT f_3780('No Name')"), "42704");
}

#[test]
fn what_a_slot_cannot_be_has_postgresqls_error() {
    let engine = database();
    let create = |name: &str, plugin: &str| {
        code(
            &engine,
            &format!("SELECT lsn FROM f_3786('{name}', '{plugin}', 0, 0)"),
        )
    };
    assert_eq!(create("Upper", "json"), "42602");
    assert_eq!(create("", "json"), "42602");
    assert_eq!(create("a", "nosuch"), "58P01");
    assert_eq!(code(&engine, "SELECT lsn FROM f_3779('p', 0, 0)"), "0A000");
    assert_eq!(code(&engine, "SELECT lsn FROM f_4221('p', 'q')"), "0A000");
    assert_eq!(code(&engine, "SELECT f_2848()"), "0A000");
}

#[test]
fn get_hands_out_and_confirms_and_peek_only_looks() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    let ends = [publish(&engine, "a", &[1, 2]), publish(&engine, "b", &[3])];
    let peek = "SELECT lsn, xid, data FROM f_3784('s', NULL, NULL, '{}')";
    let seen = rows(&engine, peek).unwrap();
    assert_eq!(seen.len(), 7);
    assert_eq!(rows(&engine, peek).unwrap(), seen);
    assert!(seen[0].ends_with(&format!(";BEGIN {}", crate::change::xid(ends[0]))));
    assert!(
        seen[1].contains("table public.a: INSERT: rid[bigint]:1"),
        "{}",
        seen[1]
    );
    assert!(
        seen[3].starts_with(&format!("{};", ends[0].get())),
        "{}",
        seen[3]
    );
    let get = "SELECT lsn, xid, data FROM f_3782('s', NULL, NULL, '{include-xids,0}')";
    let got = rows(&engine, get).unwrap();
    assert!(got.len() == 7 && got[0].ends_with(";BEGIN"), "{}", got[0]);
    assert_eq!(slot(&engine, "s").persisted_restart_lsn, ends[1], "durably");
    assert!(rows(&engine, get).unwrap().is_empty());
    assert_eq!(slot(&engine, "s").active_pid, None);
}

#[test]
fn limits_stop_at_a_transactions_end() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    let ends: Vec<Lsn> = (0..4)
        .map(|n| publish(&engine, "a", &[n, n + 10]))
        .collect();
    let count = |upto_lsn: &str, upto_changes: &str| {
        let sql = format!("SELECT data FROM f_3784('s', {upto_lsn}, {upto_changes}, '{{}}')");
        rows(&engine, &sql).unwrap().len()
    };
    for (upto_changes, wanted) in [
        ("1", 4),
        ("4", 4),
        ("5", 8),
        ("100", 16),
        ("0", 16),
        ("-1", 0),
    ] {
        assert_eq!(count("NULL", upto_changes), wanted, "{upto_changes}");
    }
    let upto = |lsn: u64| count(&lsn.to_string(), "NULL");
    assert_eq!(upto(ends[1].get()), 8);
    assert_eq!(
        upto(ends[1].get() - 8),
        4,
        "commits before the position only"
    );
    assert_eq!(upto(ends[3].get() + 8), 16);
    let get = "SELECT data FROM f_3782('s', NULL, 1, '{}')";
    assert_eq!(rows(&engine, get).unwrap().len(), 4);
    assert_eq!(slot(&engine, "s").restart_lsn, ends[0]);
}

#[test]
fn only_whole_transactions_that_were_handed_out_are_confirmed() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    let start = slot(&engine, "s").restart_lsn;
    let ends: Vec<Lsn> = (0..3)
        .map(|n| publish(&engine, "a", &[n, n + 10]))
        .collect();
    let get = "FROM f_3782('s', NULL, NULL, '{}')";
    rows(&engine, &format!("SELECT data {get} LIMIT 3")).unwrap();
    assert_eq!(slot(&engine, "s").restart_lsn, start);
    rows(&engine, &format!("SELECT data {get} LIMIT 6")).unwrap();
    assert_eq!(slot(&engine, "s").restart_lsn, ends[0]);
    // A statement that fails confirms nothing and lets go of the slot.
    let failing = format!("SELECT f_2096(1, CASE WHEN lsn > 0 THEN -1 END) {get}");
    assert_eq!(code(&engine, &failing), "22003");
    assert_eq!(slot(&engine, "s").restart_lsn, ends[0]);
    assert_eq!(slot(&engine, "s").active_pid, None);
    let left = rows(&engine, &format!("SELECT count(*) {get}")).unwrap();
    assert_eq!(left, ["8"]);
    assert_eq!(slot(&engine, "s").restart_lsn, ends[2]);
}

#[test]
fn a_slot_in_use_and_bad_options_are_refused() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    publish(&engine, "a", &[1]);
    let peek = |options: &str| format!("SELECT data FROM f_3784('s', NULL, NULL, {options})");
    for (options, wanted) in [
        ("'{nosuch,1}'", "22023"),
        ("'{include-xids,maybe}'", "22023"),
        ("'{include-xids}'", "0A000"),
        ("'{NULL,1}'", "0A000"),
        ("NULL", "22004"),
        ("'{force-binary,true}'", "0A000"),
    ] {
        assert_eq!(code(&engine, &peek(options)), wanted, "{options}");
    }
    let peek_of = |name: &str| format!("SELECT data FROM f_3784({name}, NULL, NULL, '{{}}')");
    assert_eq!(code(&engine, &peek_of("NULL")), "22004");
    assert_eq!(code(&engine, &peek_of("'nosuch'")), "42704");
    let name = SlotName::parse("s").unwrap();
    let held = engine.read_slot(&name, 99, Moment::now()).unwrap();
    assert_eq!(code(&engine, &peek("'{}'")), "55006");
    assert_eq!(code(&engine, "SELECT f_3780('s')"), "55006");
    drop(held);
    let binary = "SELECT data FROM f_3785('s', NULL, NULL, '{}') LIMIT 1";
    assert!(rows(&engine, binary).unwrap()[0].starts_with("\\x424547494e"));
}

#[test]
fn a_big_transaction_is_not_held_in_memory_and_its_statement_can_be_cancelled() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    let rids: Vec<u64> = (0..20_000).collect();
    publish(&engine, "a", &rids);
    let counted = rows(
        &engine,
        "SELECT count(*) FROM f_3784('s', NULL, NULL, '{}')",
    );
    assert_eq!(counted.unwrap(), ["20002"]);
    let context = context(&engine);
    testing::cancel(&context);
    let sql = "SELECT data FROM f_3784('s', NULL, NULL, '{}')";
    let cancelled = run(&context, sql, &[PgType::TEXT], &[]).unwrap_err();
    assert_eq!(cancelled.code(), "57014");
}

#[test]
fn positions_are_told_and_computed_as_postgresql_does() {
    let engine = database();
    let head = publish(&engine, "a", &[1]);
    for oid in [2849, 2852, 3330] {
        let sql = format!("SELECT f_{oid}()");
        assert_eq!(rows(&engine, &sql).unwrap(), [head.get().to_string()]);
    }
    assert_eq!(
        rows(&engine, "SELECT f_3820(), f_3821(), f_3830()").unwrap(),
        ["-;-;-"]
    );
    assert_eq!(rows(&engine, "SELECT f_3165(16, 32)").unwrap(), ["-16"]);
    // As PostgreSQL 15 answers on timeline 1.
    for (lsn, name) in [
        (0x1ABC_DEF0_u64, "00000001000000000000001A"),
        (0x1_0000_0000, "0000000100000000000000FF"),
        (0x5_0100_0000, "000000010000000500000000"),
        (0x5_0100_0001, "000000010000000500000001"),
        (0, "00000001FFFFFFFF000000FF"),
    ] {
        assert_eq!(
            rows(&engine, &format!("SELECT f_2851({lsn})")).unwrap(),
            [name]
        );
    }
    let sql = format!(
        "SELECT file_name, file_offset FROM f_2850({})",
        0x1ABC_DEF0_u64
    );
    let wanted = format!("00000001000000000000001A;{}", 0xBC_DEF0);
    assert_eq!(rows(&engine, &sql).unwrap(), [wanted]);
}

#[test]
fn a_message_is_published_and_comes_out_of_the_slot() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    let sql = "SELECT f_3577(1, 'app', 'hello')";
    let end = rows(&engine, sql).unwrap();
    assert_eq!(end, [engine.head().get().to_string()]);
    rows(&engine, "SELECT f_9105(0, 'app', x'00ff')").unwrap();
    let sql = "SELECT operation, prefix, transactional, entity FROM \"pgspool.changes\"";
    let wanted = ["message;app;1;\\x68656c6c6f", "message;app;0;\\x00ff"];
    assert_eq!(rows(&engine, sql).unwrap(), wanted);
}

#[test]
fn sessions_are_ended_by_pid_and_by_slot() {
    let engine = database();
    let host = Arc::new(TestHost {
        engine: Arc::clone(&engine),
        ended: Mutex::default(),
    });
    let context = testing::context_of(Arc::clone(&host));
    let one = |sql: &str| run(&context, sql, &[PgType::BOOL], &[]).unwrap()[0][0].clone();
    assert_eq!(one("SELECT f_2096(8, 0)"), Datum::Int(1));
    assert_eq!(one("SELECT f_2096(9, 0)"), Datum::Int(0));
    assert_eq!(one("SELECT f_2171(8)"), Datum::Int(1));
    // The session does not go: after the timeout that is told.
    assert_eq!(one("SELECT f_2096(8, 30)"), Datum::Int(0));
    rows(&engine, CREATE).unwrap();
    assert_eq!(one("SELECT f_9106('s')"), Datum::Int(0), "nobody uses it");
    let name = SlotName::parse("s").unwrap();
    let held = engine.read_slot(&name, 8, Moment::now()).unwrap();
    assert_eq!(one("SELECT f_9106('s')"), Datum::Int(1));
    drop(held);
    let ended = host.ended.lock().unwrap();
    assert_eq!(ended.last(), Some(&(8, "terminated")));
}

#[test]
fn a_slot_of_ours_starts_where_it_is_told_to() {
    let engine = database();
    let mut ends = Vec::new();
    for ms in [1_000_000, 2_000_000, 3_000_000] {
        let mut batch = engine.batch(Moment::at_ms(ms));
        batch.push(&ChangeRecord::insert("a", ms)).unwrap();
        ends.push(engine.publish(batch).unwrap().last_lsn.get());
    }
    let start = |name: &str, start: &str| {
        rows(
            &engine,
            &format!("SELECT lsn FROM f_9101('{name}', 'json', {start}, 0, 0)"),
        )
    };
    assert_eq!(start("a", "NULL").unwrap(), [ends[2].to_string()]);
    assert_eq!(start("b", "'earliest'").unwrap(), ["0"]);
    let position = format!("'{}'", Lsn::new(ends[0]));
    assert_eq!(start("c", &position).unwrap(), [ends[0].to_string()]);
    let time = "'1970-01-01 00:33:20+00'";
    assert_eq!(
        start("d", time).unwrap(),
        [ends[0].to_string()],
        "the second comes first"
    );
    assert_eq!(start("e", "'someday'").unwrap_err().code(), "22023");
    assert_eq!(start("f", "'7/0'").unwrap_err().code(), "55000");
}

#[test]
fn the_resume_plan_is_told_before_anybody_resumes() {
    let mut options = EngineOptions::default();
    options.limits.max_lag_lsn = 100;
    let (engine, _disk) = engine(options);
    rows(&engine, CREATE).unwrap();
    let end = publish(&engine, "a", &[1]);
    let plan = "SELECT mode, cause, resume_lsn FROM f_9102('s', 0)";
    assert_eq!(rows(&engine, plan).unwrap(), ["partial;-;0"]);
    let above = format!(
        "SELECT mode, cause, resume_lsn FROM f_9102('s', {})",
        end.get()
    );
    assert_eq!(
        rows(&engine, &above).unwrap(),
        [format!("partial;-;{}", end.get())]
    );
    let ahead = format!("SELECT mode FROM f_9102('s', {})", end.get() + (1 << 30));
    assert_eq!(code(&engine, &ahead), "55000");
    engine.enforce_retention(Moment::now()).unwrap();
    assert_eq!(rows(&engine, plan).unwrap(), ["full;horizon;-"]);
    let reason = rows(&engine, "SELECT reason FROM f_9102('s', 0)").unwrap();
    assert!(
        reason[0].contains("slot_retention_max_lag_lsn"),
        "{}",
        reason[0]
    );
    assert_eq!(
        code(&engine, "SELECT mode FROM f_9102('nosuch', 0)"),
        "42704"
    );
}

#[test]
fn a_record_is_published_as_strictly_as_a_line_of_copy() {
    let engine = database();
    let record = r#"{"operation": "insert", "collection": "a", "rid": 7, "kind": "row"}"#;
    rows(&engine, &format!("SELECT f_9103('{record}')")).unwrap();
    let sql = "SELECT operation, collection, rid FROM \"pgspool.changes\"";
    assert_eq!(rows(&engine, sql).unwrap(), ["insert;a;7"]);
    assert_eq!(
        code(&engine, "SELECT f_9103('{\"operation\": \"insert\"}')"),
        "22P02"
    );
}

/// R-83: a session's own write is seen by the read that carries its bookmark.
#[test]
fn r83_causal_session_carries_extracts_and_injects_bookmark() {
    let engine = database();
    publish(&engine, "a", &[1]);
    let token = rows(&engine, "SELECT f_9108()").unwrap().remove(0);
    assert!(token.starts_with("rbm1."), "{token}");
    let wait = |token: &str, timeout: &str| {
        rows(
            &engine,
            &format!("SELECT f_9109('{token}', '0 0 {timeout}')"),
        )
    };
    assert_eq!(
        wait(&token, "0").unwrap(),
        [engine.head().get().to_string()]
    );
    let read = "SELECT collection, rid FROM \"pgspool.changes\" WHERE lsn <= f_2849()";
    assert_eq!(rows(&engine, read).unwrap(), ["a;1"]);
    let ahead = engine.bookmark(engine.head().saturating_add(8)).to_string();
    assert_eq!(wait(&ahead, "30000").unwrap_err().code(), "57014");
    let writer = Arc::clone(&engine);
    let writing = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        publish(&writer, "a", &[2]);
    });
    wait(&ahead, "60000000").unwrap();
    writing.join().unwrap();
    engine.adopt_term(5).unwrap();
    assert_eq!(
        wait(&token, "0").unwrap_err().code(),
        "55000",
        "another term"
    );
    assert_eq!(wait("rbm2.x", "0").unwrap_err().code(), "22P02");
}

#[test]
fn reports_are_kept_with_the_replica() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    assert_eq!(
        code(&engine, "SELECT f_9107('s', 1, 2)"),
        "55000",
        "nobody streams"
    );
    let who = crate::engine::Subscriber {
        user: 8.into(),
        application_name: "sub".to_owned(),
        region: None,
    };
    let name = SlotName::parse("s").unwrap();
    let stream = engine
        .subscribe(&name, Lsn::ZERO, &who, Moment::now())
        .unwrap();
    rows(&engine, "SELECT f_9107('s', 3, 2)").unwrap();
    rows(&engine, "SELECT f_9107('s', 1, 5)").unwrap();
    let shown = engine.replicas().snapshot().remove(0);
    assert_eq!(
        (shown.apply_errors, shown.divergences),
        (3, 5),
        "they never fall"
    );
    assert_eq!((shown.pid, shown.application_name.as_str()), (8, "sub"));
    assert_eq!(code(&engine, "SELECT f_9107('s', -1, 0)"), "22003");
    drop(stream);
}

#[test]
fn statistics_of_a_slot_are_set_back_by_name_or_all() {
    let engine = database();
    rows(&engine, CREATE).unwrap();
    let stats = || engine.slot_stats().remove(0).1;
    assert_eq!(stats().stats_reset_unix_ms, None);
    assert_eq!(code(&engine, "SELECT f_6170('nosuch')"), "22023");
    let shown = "SELECT slot_name, total_txns, stats_reset FROM f_6169('s')";
    assert_eq!(rows(&engine, shown).unwrap(), ["s;0;-"]);
    rows(&engine, "SELECT f_6170(NULL)").unwrap();
    assert!(stats().stats_reset_unix_ms.is_some());
}

#[test]
fn what_only_a_standby_can_do_says_so_as_postgresql_does() {
    let engine = database();
    for call in [
        "f_3436(1, 60)",
        "f_3071()",
        "f_3072()",
        "f_3073()",
        "f_1137()",
    ] {
        assert_eq!(code(&engine, &format!("SELECT {call}")), "55000", "{call}");
    }
}
