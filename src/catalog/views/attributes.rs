//! `pg_attribute`: the columns of tables, indexes and views.

use std::sync::{Arc, LazyLock};

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::datum::{PgType, info};
use crate::relations::{Relation, RelationColumn, RelationSet};

use super::cell::{NULL, collation_of, row};
use super::domains::base_of;
use super::{Rows, View, all};

/// What every table has beside its own columns.
const SYSTEM: [(&str, PgType, i16); 6] = [
    ("tableoid", PgType::OID, -6),
    ("cmax", PgType::CID, -5),
    ("xmax", PgType::XID, -4),
    ("cmin", PgType::CID, -3),
    ("xmin", PgType::XID, -2),
    ("ctid", PgType::TID, -1),
];

static OF_VIEWS: LazyLock<Vec<Row>> = LazyLock::new(|| all().iter().flat_map(of_view).collect());

/// `pg_attribute`
pub(super) fn attributes(context: &Arc<Context>) -> Rows {
    Rows::joined(&OF_VIEWS, of_relations(&context.relations()))
}

/// Columns of tables and of their indexes.
pub(super) fn of_relations(set: &RelationSet) -> Vec<Row> {
    set.relations.iter().flat_map(of_table).collect()
}

fn of_table(relation: &Relation) -> Vec<Row> {
    let mut rows: Vec<Row> = system(relation.oid).collect();
    let columns = &relation.columns;
    rows.extend(
        columns
            .iter()
            .map(|column| attribute_row(&of_column(relation.oid, column))),
    );
    for key in &relation.keys {
        for (attnum, of) in (1..).zip(&key.columns) {
            if let Some(column) = columns.iter().find(|column| column.attnum == *of) {
                rows.push(attribute_row(&Column {
                    attnum,
                    not_null: false,
                    ..of_column(key.index_oid, column)
                }));
            }
        }
    }
    rows
}

fn of_column(relid: u32, column: &RelationColumn) -> Column<'_> {
    Column {
        relid,
        name: &column.name,
        // An upstream's own type is shown as what it is, though its values are text here.
        column_type: column.upstream_type.map_or(column.column_type, PgType),
        attnum: column.attnum,
        typmod: column.typmod,
        not_null: column.not_null,
        dropped: column.dropped,
        collation: match column.upstream_type {
            None => collation_of(column.column_type),
            Some(_) => 0,
        },
    }
}

fn of_view(view: &View) -> Vec<Row> {
    let system: Vec<Row> = match view.kind {
        'r' => system(view.oid).collect(),
        _view => Vec::new(),
    };
    let columns = view.columns.iter().zip(&view.attributes).zip(1..);
    let columns = columns.map(|(((name, _), attribute), attnum)| {
        attribute_row(&Column {
            relid: view.oid,
            name,
            column_type: attribute.declared,
            attnum,
            typmod: attribute.typmod,
            not_null: attribute.not_null,
            dropped: false,
            collation: attribute.collation,
        })
    });
    system.into_iter().chain(columns).collect()
}

fn system(relid: u32) -> impl Iterator<Item = Row> {
    SYSTEM.iter().map(move |(name, column_type, attnum)| {
        attribute_row(&Column {
            relid,
            name,
            column_type: *column_type,
            attnum: *attnum,
            typmod: -1,
            not_null: true,
            dropped: false,
            collation: 0,
        })
    })
}

struct Column<'a> {
    relid: u32,
    name: &'a str,
    column_type: PgType,
    attnum: i16,
    typmod: i32,
    not_null: bool,
    dropped: bool,
    collation: u32,
}

fn attribute_row(column: &Column<'_>) -> Row {
    let shape = info(base_of(column.column_type));
    let is_own = column.attnum > 0 && !column.dropped;
    row![
        column.relid,
        if column.dropped {
            format!("........pg.dropped.{}........", column.attnum)
        } else {
            column.name.to_owned()
        },
        if column.dropped {
            PgType(0)
        } else {
            column.column_type
        },
        // attstattarget: -1 is the default, 0 none
        if is_own { -1 } else { 0 },
        shape.map_or(-1, |shape| shape.len),
        column.attnum,
        // attndims
        shape.is_some_and(|shape| shape.is_array()),
        // attcacheoff
        -1,
        column.typmod,
        shape.is_some_and(|shape| shape.by_value),
        shape.map_or('i', |shape| shape.align),
        shape.map_or('x', |shape| shape.storage),
        // attcompression
        "",
        column.not_null && !column.dropped,
        // atthasdef, atthasmissing, attidentity, attgenerated
        false,
        false,
        "",
        "",
        column.dropped,
        // attislocal, attinhcount
        true,
        0,
        if column.dropped { 0 } else { column.collation },
        // attacl, attoptions, attfdwoptions, attmissingval
        NULL,
        NULL,
        NULL,
        NULL,
    ]
}
