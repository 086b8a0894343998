//! Tables and publications as the catalog shows them.

use super::super::{attributes, classes, find, keys, publications, types};
use super::{check_row, text};
use crate::catalog::functions::Row;
use crate::datum::{Datum, PgType};
use crate::lsn::Lsn;
use crate::relations::{
    Publication, PublishedSchema, PublishedTable, Relation, RelationColumn, RelationKey,
    RelationSet, ReplicaIdentity, Schema,
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
