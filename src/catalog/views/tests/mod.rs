//! Every view against PostgreSQL 15's list of columns, and its rows over a database.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::domains::domain;
use super::{Rows, Source, View, all, find, rows_of};
use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::catalog::test_host::{NOW_MS, TestHost};
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::datum::{Datum, PgType, format_type};
use crate::disk::FakeDisk;
use crate::engine::{Engine, SlotRequest, SlotStart};
use crate::lsn::Lsn;
use crate::slots::SlotName;

mod relations;

const COLUMNS: &str = include_str!("../../../../tests/fixtures/catalog/columns.tsv");

fn printed(ty: PgType, typmod: i32) -> String {
    match domain(ty) {
        Some(domain) => format!("information_schema.{}", domain.name),
        None => format_type(ty, typmod),
    }
}

#[test]
fn columns_are_those_of_postgresql_15_and_later_ones_come_last() {
    let mut wanted: BTreeMap<(&str, &str), Vec<(String, String)>> = BTreeMap::new();
    for line in COLUMNS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let columns = wanted.entry((fields[0], fields[1])).or_default();
        columns.push((fields[3].to_owned(), fields[4].to_owned()));
    }
    for ((schema, name), columns) in &wanted {
        let view = find(schema, name).unwrap_or_else(|| panic!("no {schema}.{name}"));
        let named = view.columns.iter().zip(&view.attributes);
        let have: Vec<(String, String)> = named
            .map(|((name, _), of)| ((*name).to_owned(), printed(of.declared, of.typmod)))
            .collect();
        assert_eq!(&have[..columns.len()], columns, "{schema}.{name}");
        let later = have.len() - columns.len();
        let slots = *name == "pg_replication_slots";
        assert_eq!(later, if slots { 5 } else { 0 }, "{schema}.{name}");
    }
    let own = all().iter().filter(|view| view.schema == "pgspool");
    let types = own
        .clone()
        .flat_map(|view| &view.columns)
        .map(|(_, ty)| *ty);
    assert_eq!(types.filter(|ty| *ty == PgType::UNKNOWN).count(), 0);
    let own = own.count();
    assert_eq!(all().len(), wanted.len() + own);
}

#[test]
fn all_columns_that_clients_name_exist() {
    // facts/clients.md 11.3, what is not in the list of columns of one release only.
    let named = [
        ("pg_class", "relpartbound"),
        ("pg_attribute", "attcompression"),
        ("pg_constraint", "conindid"),
        ("pg_database", "daticulocale"),
        ("pg_inherits", "inhdetachpending"),
        ("pg_locks", "mode"),
        ("pg_policy", "polwithcheck"),
        ("pg_statistic_ext", "stxstattarget"),
        ("pg_subscription", "subskiplsn"),
        ("pg_event_trigger", "evttags"),
        ("pg_conversion", "conforencoding"),
        ("pg_db_role_setting", "setconfig"),
        ("pg_enum", "enumsortorder"),
        ("pg_range", "rngsubtype"),
        ("pg_roles", "rolbypassrls"),
    ];
    for (view, column) in named {
        let view = find("pg_catalog", view).unwrap();
        assert!(
            view.columns.iter().any(|(name, _)| *name == column),
            "{}.{column}",
            view.name
        );
    }
}

#[test]
fn oids_are_unique_and_stay() {
    let mut classes = HashSet::new();
    let mut types = HashSet::new();
    for view in all() {
        assert!(classes.insert(view.oid), "{}", view.sql_name());
        assert!(view.row_type_oid == 0 || types.insert(view.row_type_oid));
        assert!(view.array_type_oid == 0 || types.insert(view.array_type_oid));
    }
    for (name, oid) in [("pg_class", 1259), ("pg_type", 1247), ("pg_database", 1262)] {
        assert_eq!(find("pg_catalog", name).unwrap().oid, oid);
    }
    // A view keeps its OID when others are added.
    let own = [
        "slots",
        "changes",
        "segments",
        "replicas",
        "commit_waits",
        "databases",
        "producers",
        "topology",
        "captures",
    ];
    for (oid, name) in (9001..).zip(own) {
        assert_eq!(find("pgspool", name).unwrap().oid, oid, "{name}");
    }
    assert_eq!(
        distinct(&context(), "pg_type", "oid"),
        rows(&context(), "pg_type").iter().count()
    );
    assert_eq!(
        distinct(&context(), "pg_class", "oid"),
        rows(&context(), "pg_class").iter().count()
    );
    assert_eq!(
        distinct(&context(), "pg_proc", "oid"),
        rows(&context(), "pg_proc").iter().count()
    );
}

fn distinct(context: &Arc<Context>, view: &str, column: &str) -> usize {
    let cells: HashSet<String> = texts(context, view, column)
        .into_iter()
        .map(|cell| format!("{cell:?}"))
        .collect();
    cells.len()
}

/// Whether a value may stand for a type.
fn fits(datum: &Datum, ty: PgType) -> bool {
    match (datum, ty) {
        (Datum::Null, _) => true,
        (Datum::Float(_), PgType::FLOAT4 | PgType::FLOAT8) => true,
        (Datum::Bytes(_), PgType::BYTEA) => true,
        (
            Datum::Int(_),
            PgType::BOOL
            | PgType::INT2
            | PgType::INT4
            | PgType::INT8
            | PgType::OID
            | PgType::XID
            | PgType::REGPROC
            | PgType::TIMESTAMPTZ
            | PgType::PG_LSN,
        ) => true,
        (
            Datum::Text(_),
            PgType::TEXT
            | PgType::NAME
            | PgType::CHAR
            | PgType::VARCHAR
            | PgType::NUMERIC
            | PgType::INET
            | PgType::INTERVAL
            | PgType::INT2VECTOR
            | PgType::OIDVECTOR
            | PgType::PG_NODE_TREE,
        ) => true,
        (Datum::Text(text), ty) => {
            crate::datum::info(ty).is_some_and(|info| info.is_array()) && text.starts_with('{')
        }
        _other => false,
    }
}

fn check_row(view: &View, row: &Row) {
    assert_eq!(
        row.len(),
        view.columns.len(),
        "{}: {row:?}",
        view.sql_name()
    );
    let cells = row.iter().zip(&view.columns).zip(&view.attributes);
    for ((datum, (name, ty)), attribute) in cells {
        assert!(fits(datum, *ty), "{}.{name} is {datum:?}", view.sql_name());
        let is_null = *datum == Datum::Null;
        assert!(
            !(is_null && attribute.not_null),
            "{}.{name} is NULL",
            view.sql_name()
        );
    }
}

#[test]
fn every_row_of_every_view_fits_its_columns() {
    let context = busy();
    for view in all() {
        let rows = rows_of(&context, view);
        for row in rows.iter() {
            check_row(view, row);
        }
        assert_eq!(rows.get(rows.iter().count()), None);
    }
}

/// Two databases; the session's has a slot, one in another, and some records.
fn busy() -> Arc<Context> {
    let host = Arc::new(TestHost::new(
        &Arc::new(FakeDisk::default()),
        &["shop", "other"],
    ));
    for (engine, slot) in host.databases.iter().zip(["s1", "s2"]) {
        create_slot(engine, slot);
        let mut batch = engine.batch(Moment::at_ms(NOW_MS));
        for rid in 1..=3 {
            batch.push(&ChangeRecord::insert("orders", rid)).unwrap();
        }
        engine.publish(batch).unwrap();
    }
    let now = Moment::at_ms(NOW_MS);
    host.databases[0]
        .replicas()
        .register("s1", Some("eu"), Lsn::ZERO, now);
    host.context()
}

fn create_slot(engine: &Engine, name: &str) {
    let request = SlotRequest {
        name: SlotName::parse(name).unwrap(),
        plugin: "json".to_owned(),
        start: SlotStart::Head,
        temporary: None,
        two_phase: false,
        owner: None,
    };
    engine.create_slot(request, Moment::at_ms(NOW_MS)).unwrap();
}

fn context() -> Arc<Context> {
    Arc::new(TestHost::new(&Arc::new(FakeDisk::default()), &["shop"])).context()
}

fn rows(context: &Arc<Context>, name: &str) -> Arc<Rows> {
    let view = find("pg_catalog", name)
        .or_else(|| find("pgspool", name))
        .unwrap();
    rows_of(context, view)
}

/// One column of a view.
fn texts(context: &Arc<Context>, name: &str, column: &str) -> Vec<Datum> {
    let view = find("pg_catalog", name)
        .or_else(|| find("pgspool", name))
        .unwrap();
    let at = view
        .columns
        .iter()
        .position(|(name, _)| *name == column)
        .unwrap();
    rows_of(context, view)
        .iter()
        .map(|row| row[at].clone())
        .collect()
}

fn text(value: &str) -> Datum {
    Datum::Text(value.to_owned())
}

#[test]
fn slots_of_all_databases_are_listed_and_confirmed_flush_lsn_is_never_null() {
    let context = busy();
    assert_eq!(
        texts(&context, "pg_replication_slots", "slot_name"),
        [text("s1"), text("s2")]
    );
    assert_eq!(
        texts(&context, "pg_replication_slots", "database"),
        [text("shop"), text("other")]
    );
    assert_eq!(
        texts(&context, "pg_replication_slots", "confirmed_flush_lsn"),
        texts(&context, "pg_replication_slots", "restart_lsn"),
    );
    assert_eq!(
        texts(&context, "pg_replication_slots", "datoid"),
        texts(&context, "pg_database", "oid"),
    );
    assert_eq!(
        texts(&context, "slots", "resume_mode"),
        [text("partial"), text("partial")]
    );
    let lag = texts(&context, "slots", "lag_bytes");
    assert!(
        lag.iter()
            .all(|lag| matches!(lag, Datum::Int(bytes) if *bytes > 0)),
        "{lag:?}"
    );
}

#[test]
fn a_statement_sees_one_state_whatever_happens_meanwhile() {
    let context = busy();
    let before = texts(&context, "databases", "head_lsn");
    let engine = &context.host.databases()[0];
    let mut batch = engine.batch(Moment::at_ms(NOW_MS));
    batch.push(&ChangeRecord::insert("orders", 9)).unwrap();
    engine.publish(batch).unwrap();
    create_slot(engine, "late");
    assert_eq!(texts(&context, "databases", "head_lsn"), before);
    assert_eq!(
        texts(&context, "pg_replication_slots", "slot_name").len(),
        2
    );
}

#[test]
fn segments_say_whether_a_slot_needs_them() {
    let context = busy();
    assert_eq!(
        texts(&context, "segments", "state"),
        [text("active"), text("active")]
    );
    assert_eq!(
        texts(&context, "segments", "frames"),
        [Datum::Int(3), Datum::Int(3)]
    );
}

#[test]
fn the_topology_is_the_primary_and_its_replicas() {
    let context = busy();
    let role = texts(&context, "topology", "role");
    assert_eq!(role, ["primary", "replica", "primary"].map(text));
    let addr = texts(&context, "topology", "addr");
    assert_eq!(addr, ["127.0.0.1:5432", "s1", "127.0.0.1:5432"].map(text));
    assert_eq!(texts(&context, "topology", "region")[1], text("eu"));
    assert_eq!(texts(&context, "replicas", "healthy"), [Datum::Int(1)]);
    assert_eq!(texts(&context, "topology", "lag_ms")[0], Datum::Int(0));
}

#[test]
fn views_that_are_the_same_everywhere_are_made_once() {
    let (one, other) = (rows(&context(), "pg_am"), rows(&busy(), "pg_am"));
    assert!(std::ptr::eq(one.get(0).unwrap(), other.get(0).unwrap()));
}

#[test]
fn only_changes_are_read_in_another_way() {
    let streamed = all()
        .iter()
        .filter(|view| matches!(view.source, Source::Changes));
    let names: Vec<String> = streamed.map(View::sql_name).collect();
    assert_eq!(names, ["pgspool.changes"]);
}
