//! `pg_publication` and what belongs to it.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::relations::RelationSet;

use super::Rows;
use super::cell::{array, row, vector};
use super::roles::BOOTSTRAP_ROLE;

/// `pg_publication`
pub(super) fn publications(context: &Arc<Context>) -> Rows {
    let set = context.relations();
    let rows = set.publications.iter().map(|publication| {
        row![
            publication.oid,
            publication.name.as_str(),
            BOOTSTRAP_ROLE,
            publication.all_tables,
            publication.insert,
            publication.update,
            publication.delete,
            publication.truncate,
            publication.via_root,
        ]
    });
    rows.collect::<Vec<Row>>().into()
}

/// `pg_publication_rel`. A row filter is kept as the text that `pg_get_expr` prints.
pub(super) fn tables(context: &Arc<Context>) -> Rows {
    let mut rows = Vec::new();
    for publication in &context.relations().publications {
        rows.extend(publication.tables.iter().map(|table| {
            row![
                table.oid,
                publication.oid,
                table.relation,
                table.filter.as_deref(),
                table.columns.as_ref().map(vector),
            ]
        }));
    }
    rows.into()
}

/// `pg_publication_namespace`
pub(super) fn schemas(context: &Arc<Context>) -> Rows {
    let mut rows = Vec::new();
    for publication in &context.relations().publications {
        let schemas = publication.schemas.iter();
        rows.extend(schemas.map(|schema| row![schema.oid, publication.oid, schema.schema]));
    }
    rows.into()
}

/// `pg_publication_tables`
pub(super) fn published_tables(context: &Arc<Context>) -> Rows {
    published_rows(&context.relations()).into()
}

pub(super) fn published_rows(set: &RelationSet) -> Vec<Row> {
    let mut rows = Vec::new();
    for publication in &set.publications {
        for table in set.publication_tables(publication) {
            let relation = table.relation;
            let columns = relation.live_columns().filter(|column| {
                let published = table.attnums;
                published.is_none_or(|published| published.contains(&column.attnum))
            });
            rows.push(row![
                publication.name.as_str(),
                relation.schema.as_str(),
                relation.name.as_str(),
                array(columns.map(|column| column.name.as_str())),
                table.filter,
            ]);
        }
    }
    rows
}
