//! Tables and publications as the catalog shows them.

use super::super::{attributes, classes, find, keys, publications, types};
use super::{check_row, text};
use crate::catalog::functions::Row;
use crate::catalog::test_host::NOW_MS;
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::datum::{Datum, PgType};
use crate::lsn::Lsn;
use crate::relations::{
    Command, CreateTable, NewColumn, NewKey, Publication, PublicationOptions, PublicationTarget,
    PublishedSchema, PublishedTable, Relation, RelationColumn, RelationKey, RelationSet,
    ReplicaIdentity, Schema, TableName,
};

fn check_rows(view: &str, rows: &[Row]) {
    let view = find("pg_catalog", view).unwrap();
    rows.iter().for_each(|row| check_row(view, row));
}

/// What the recorded answers of PostgreSQL were made over: table t with a key, publications p and
/// p2; a second schema beside it.
fn recorded() -> RelationSet {
    let column = |attnum: i16, name: &str, ty: PgType, not_null: bool| RelationColumn {
        name: name.to_owned(),
        attnum,
        column_type: ty,
        typmod: -1,
        not_null,
        dropped: false,
        upstream_type: None,
    };
    let publication = |oid: u32, name: &str, table: PublishedTable| Publication {
        oid,
        name: name.to_owned(),
        all_tables: false,
        insert: true,
        update: true,
        delete: true,
        truncate: true,
        via_root: false,
        captured: false,
        tables: vec![table],
        schemas: Vec::new(),
    };
    let table = |oid: u32, columns: Option<Vec<i16>>, filter: Option<&str>| PublishedTable {
        oid,
        relation: 16384,
        columns,
        filter: filter.map(str::to_owned),
        filter_columns: filter.iter().map(|_| 1).collect(),
    };
    RelationSet {
        schemas: vec![
            Schema {
                oid: 2200,
                name: "public".to_owned(),
            },
            Schema {
                oid: 16400,
                name: "sales".to_owned(),
            },
        ],
        relations: vec![Relation {
            oid: 16384,
            row_type_oid: 16386,
            array_type_oid: 16385,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: vec![
                column(1, "id", PgType::INT4, true),
                column(2, "name", PgType::TEXT, false),
                column(3, "ts", PgType::TIMESTAMPTZ, false),
                column(4, "tags", PgType::TEXT_ARRAY, false),
            ],
            keys: vec![RelationKey {
                index_oid: 16389,
                constraint_oid: 16390,
                name: "t_pkey".to_owned(),
                columns: vec![1],
                primary: true,
            }],
            replica_identity: ReplicaIdentity::Default,
            declared: true,
            upstream: None,
            since: Lsn::ZERO,
        }],
        publications: vec![
            publication(16391, "p", table(16392, None, None)),
            publication(
                16393,
                "p2",
                table(16394, Some(vec![1, 2]), Some("(id > 5)")),
            ),
        ],
    }
}

fn cells<const N: usize>(view: &str, rows: &[Row], columns: [&str; N]) -> Vec<[Datum; N]> {
    let view = find("pg_catalog", view).unwrap();
    let at = columns.map(|name| view.columns.iter().position(|(n, _)| *n == name).unwrap());
    rows.iter()
        .map(|row| at.map(|at| row[at].clone()))
        .collect()
}

#[test]
fn a_table_looks_as_it_does_in_postgresql() {
    let set = recorded();
    let rows = classes::of_relations(&set);
    check_rows("pg_class", &rows);
    let int = Datum::Int;
    assert_eq!(
        cells(
            "pg_class",
            &rows,
            [
                "oid",
                "relname",
                "relnamespace",
                "reltype",
                "relam",
                "relkind"
            ]
        ),
        [
            [
                int(16384),
                text("t"),
                int(2200),
                int(16386),
                int(2),
                text("r")
            ],
            [
                int(16389),
                text("t_pkey"),
                int(2200),
                int(0),
                int(403),
                text("i")
            ],
        ]
    );
    assert_eq!(
        cells(
            "pg_class",
            &rows,
            ["reltuples", "relhasindex", "relnatts", "relreplident"]
        ),
        [
            [Datum::Float(-1.0), int(1), int(4), text("d")],
            [Datum::Float(0.0), int(0), int(1), text("n")],
        ]
    );
    check_rows("pg_type", &types::of_relations(&set));
}

#[test]
fn columns_look_as_they_do_in_postgresql() {
    let set = recorded();
    let int = Datum::Int;
    let rows = attributes::of_relations(&set);
    check_rows("pg_attribute", &rows);
    let user: Vec<Row> = rows.into_iter().filter(|row| row[5] != int(-1)).collect();
    let shown = [
        "attname",
        "atttypid",
        "attlen",
        "attnotnull",
        "attstorage",
        "attcollation",
    ];
    let shown = cells("pg_attribute", &user, shown);
    assert_eq!(
        shown[5..],
        [
            [text("id"), int(23), int(4), int(1), text("p"), int(0)],
            [text("name"), int(25), int(-1), int(0), text("x"), int(100)],
            [text("ts"), int(1184), int(8), int(0), text("p"), int(0)],
            [
                text("tags"),
                int(1009),
                int(-1),
                int(0),
                text("x"),
                int(100)
            ],
            [text("id"), int(23), int(4), int(0), text("p"), int(0)],
        ]
    );
}

#[test]
fn a_key_is_an_index_and_a_constraint() {
    let set = recorded();
    let rows = keys::index_rows(&set);
    check_rows("pg_index", &rows);
    let int = Datum::Int;
    assert_eq!(
        cells(
            "pg_index",
            &rows,
            [
                "indexrelid",
                "indrelid",
                "indisprimary",
                "indkey",
                "indclass"
            ]
        ),
        [[int(16389), int(16384), int(1), text("1"), text("1978")]]
    );
    let rows = keys::constraint_rows(&set);
    check_rows("pg_constraint", &rows);
    assert_eq!(
        cells(
            "pg_constraint",
            &rows,
            ["oid", "conname", "contype", "conindid", "conkey"]
        ),
        [[
            int(16390),
            text("t_pkey"),
            text("p"),
            int(16389),
            text("{1}")
        ]]
    );
}

#[test]
fn published_tables_are_those_of_postgresql() {
    let mut set = recorded();
    let rows = publications::published_rows(&set);
    check_rows("pg_publication_tables", &rows);
    let shown = ["pubname", "tablename", "attnames", "rowfilter"];
    let plain = [text("p"), text("t"), text("{id,name,ts,tags}"), Datum::Null];
    let narrow = [text("p2"), text("t"), text("{id,name}"), text("(id > 5)")];
    let have = cells("pg_publication_tables", &rows, shown);
    assert_eq!(have, [plain.clone(), narrow.clone()]);
    // A whole schema publishes whole tables; all tables are all.
    set.publications[1].schemas.push(PublishedSchema {
        oid: 16395,
        schema: 2200,
    });
    let rows = publications::published_rows(&set);
    let mut whole = plain.clone();
    whole[0] = text("p2");
    assert_eq!(
        cells("pg_publication_tables", &rows, shown),
        [plain.clone(), whole]
    );
    set.publications.truncate(1);
    set.publications[0].tables.clear();
    assert!(publications::published_rows(&set).is_empty());
    set.publications[0].all_tables = true;
    let rows = publications::published_rows(&set);
    assert_eq!(cells("pg_publication_tables", &rows, shown), [plain]);
}

#[test]
fn a_dropped_column_keeps_its_number_and_loses_its_name() {
    let mut set = recorded();
    set.relations[0].columns[1].dropped = true;
    let rows = attributes::of_relations(&set);
    check_rows("pg_attribute", &rows);
    let shown = cells(
        "pg_attribute",
        &rows,
        ["attname", "atttypid", "attnum", "attisdropped"],
    );
    let int = Datum::Int;
    assert!(shown.contains(&[text("........pg.dropped.2........"), int(0), int(2), int(1)]));
    let rows = publications::published_rows(&set);
    assert_eq!(
        cells("pg_publication_tables", &rows, ["attnames"])[0],
        [text("{id,ts,tags}")]
    );
}

/// CREATE TABLE t (id int PRIMARY KEY, name text), CREATE PUBLICATION all_of_it FOR ALL TABLES,
/// and a record of another collection.
fn defined() -> std::sync::Arc<crate::catalog::Context> {
    let context = super::context();
    let engine = context.host.engine();
    let column = |name: &str, ty: PgType, not_null: bool| NewColumn {
        name: name.to_owned(),
        column_type: ty,
        typmod: -1,
        not_null,
    };
    let table = CreateTable {
        table: TableName {
            schema: None,
            name: "t".to_owned(),
            position: 1,
        },
        if_not_exists: false,
        columns: vec![
            column("id", PgType::INT4, true),
            column("name", PgType::TEXT, false),
        ],
        keys: vec![NewKey {
            name: None,
            columns: vec!["id".to_owned()],
            primary: true,
            position: 1,
        }],
    };
    engine.define(&Command::CreateTable(table)).unwrap();
    let publication = Command::CreatePublication {
        name: "all_of_it".to_owned(),
        target: PublicationTarget::AllTables,
        options: PublicationOptions::default(),
    };
    engine.define(&publication).unwrap();
    let mut batch = engine.batch(Moment::at_ms(NOW_MS));
    batch.push(&ChangeRecord::insert("orders", 1)).unwrap();
    engine.publish(batch).unwrap();
    context
}

#[test]
fn defined_tables_and_published_collections_are_in_every_view() {
    let context = defined();
    for view in crate::catalog::views::all() {
        let rows = crate::catalog::views::rows_of(&context, view);
        rows.iter().for_each(|row| check_row(view, row));
    }
    let user = |oid: &Datum| matches!(oid, Datum::Int(16384..));
    let names = super::texts(&context, "pg_class", "relname");
    let oids = super::texts(&context, "pg_class", "oid");
    let own = names.into_iter().zip(oids).filter(|(_, oid)| user(oid));
    let own: Vec<Datum> = own.map(|(name, _)| name).collect();
    let all = ["t", "t_pkey", "orders", "orders_pkey"].map(text);
    assert_eq!(own, all, "a collection has its rid as key");
    for view in ["pg_class", "pg_type"] {
        let oids = super::texts(&context, view, "oid");
        let distinct: std::collections::HashSet<String> =
            oids.iter().map(|oid| format!("{oid:?}")).collect();
        assert_eq!(distinct.len(), oids.len(), "{view}");
    }
    let published = super::texts(&context, "pg_publication_tables", "tablename");
    assert_eq!(published, [text("t"), text("orders")]);
    let indexes = super::texts(&context, "pg_indexes", "indexdef");
    let of_t = "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)";
    let of_orders = "CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (rid)";
    assert_eq!(indexes, [of_t, of_orders].map(text));
}
