//! `pg_index` and `pg_constraint`: primary keys and unique constraints of tables.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::datum::PgType;
use crate::relations::{Relation, RelationKey, RelationSet, ReplicaIdentity};

use super::Rows;
use super::cell::{NULL, array, collation_of, row, vector};
use super::schemas::oid_of_schema;

/// The default operator class of a B-tree, by the type of the column (`pg_opclass`).
const BTREE_CLASSES: &[(PgType, u32)] = &[
    (PgType::BOOL, 10003),
    (PgType::BPCHAR, 10004),
    (PgType::BYTEA, 10006),
    (PgType::CHAR, 10007),
    (PgType::DATE, 3122),
    (PgType::FLOAT4, 10012),
    (PgType::FLOAT8, 3123),
    (PgType::INET, 10015),
    (PgType::INT2, 1979),
    (PgType::INT4, 1978),
    (PgType::INT8, 3124),
    (PgType::INTERVAL, 10022),
    (PgType::NAME, 10028),
    (PgType::NUMERIC, 3125),
    (PgType::OID, 1981),
    (PgType::TEXT, 3126),
    (PgType::VARCHAR, 3126),
    (PgType::TIME, 10038),
    (PgType::TIMESTAMPTZ, 3127),
    (PgType::TIMESTAMP, 3128),
    (PgType::XID8, 10053),
    (PgType::UUID, 10065),
    (PgType::PG_LSN, 10067),
    (PgType::JSONB, 10088),
];

/// `array_ops`, for what is none of the above.
const ARRAY_CLASS: u32 = 10000;

/// `pg_index`
pub(super) fn indexes(context: &Arc<Context>) -> Rows {
    index_rows(&context.relations()).into()
}

pub(super) fn index_rows(set: &RelationSet) -> Vec<Row> {
    let keys = set
        .relations
        .iter()
        .flat_map(|of| of.keys.iter().map(move |key| (of, key)));
    keys.map(|(relation, key)| index_row(relation, key))
        .collect()
}

fn index_row(relation: &Relation, key: &RelationKey) -> Row {
    let types: Vec<PgType> = column_types(relation, key).collect();
    let identity = relation.replica_identity == ReplicaIdentity::Index(key.index_oid);
    row![
        key.index_oid,
        relation.oid,
        key.columns.len(),
        key.columns.len(),
        // indisunique, indnullsnotdistinct
        true,
        false,
        key.primary,
        // indisexclusion, indimmediate, indisclustered, indisvalid, indcheckxmin
        false,
        true,
        false,
        true,
        false,
        // indisready, indislive
        true,
        true,
        identity,
        vector(&key.columns),
        vector(types.iter().map(|ty| collation_of(*ty))),
        vector(types.iter().map(|ty| operator_class(*ty))),
        // indoption
        vector(types.iter().map(|_| 0)),
        NULL,
        NULL,
    ]
}

fn column_types(relation: &Relation, key: &RelationKey) -> impl Iterator<Item = PgType> {
    key.columns.iter().map(|attnum| {
        let column = relation
            .columns
            .iter()
            .find(|column| column.attnum == *attnum);
        column.map_or(PgType::UNKNOWN, |column| column.column_type)
    })
}

fn operator_class(ty: PgType) -> u32 {
    let found = BTREE_CLASSES.iter().find(|(of, _)| *of == ty);
    found.map_or(ARRAY_CLASS, |(_, class)| *class)
}

/// `pg_constraint`
pub(super) fn constraints(context: &Arc<Context>) -> Rows {
    constraint_rows(&context.relations()).into()
}

pub(super) fn constraint_rows(set: &RelationSet) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in &set.relations {
        let namespace = oid_of_schema(set, &relation.schema);
        let keys = relation.keys.iter();
        rows.extend(keys.map(|key| constraint_row(relation, namespace, key)));
    }
    rows
}

fn constraint_row(relation: &Relation, namespace: u32, key: &RelationKey) -> Row {
    row![
        key.constraint_oid,
        key.name.as_str(),
        namespace,
        if key.primary { 'p' } else { 'u' },
        // condeferrable, condeferred, convalidated
        false,
        false,
        true,
        relation.oid,
        // contypid
        0,
        key.index_oid,
        // conparentid, confrelid
        0,
        0,
        // confupdtype, confdeltype, confmatchtype
        ' ',
        ' ',
        ' ',
        // conislocal, coninhcount, connoinherit
        true,
        0,
        true,
        array(key.columns.iter().map(ToString::to_string)),
        // confkey, conpfeqop, conppeqop, conffeqop, confdelsetcols, conexclop, conbin
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    ]
}
