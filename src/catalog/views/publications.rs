//! `pg_publication` and what belongs to it.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::relations::{Publication, PublishedTable, Relation, RelationSet};

use super::Rows;
use super::cell::{array, row, vector};
use super::roles::BOOTSTRAP_ROLE;
use super::schemas::oid_of_schema;

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
        for (relation, table) in published(set, publication) {
            let columns = published_columns(relation, table);
            rows.push(row![
                publication.name.as_str(),
                relation.schema.as_str(),
                relation.name.as_str(),
                array(columns.map(|(_, name)| name)),
                table.and_then(|table| table.filter.as_deref()),
            ]);
        }
    }
    rows
}

/// What a publication publishes: its tables, with the entry that says which columns and rows
/// unless all are published. A table that comes with its schema is published whole.
pub(in crate::catalog) fn published<'a>(
    set: &'a RelationSet,
    publication: &'a Publication,
) -> Vec<(&'a Relation, Option<&'a PublishedTable>)> {
    let schema_is_published = |relation: &Relation| {
        let oid = oid_of_schema(set, &relation.schema);
        publication
            .schemas
            .iter()
            .any(|schema| schema.schema == oid)
    };
    let mut found = Vec::new();
    for relation in &set.relations {
        let mut tables = publication.tables.iter();
        let table = tables.find(|table| table.relation == relation.oid);
        if publication.all_tables || schema_is_published(relation) {
            found.push((relation, None));
        } else if table.is_some() {
            found.push((relation, table));
        }
    }
    found
}

/// Numbers and names of the columns that are published of a table.
pub(in crate::catalog) fn published_columns<'a>(
    relation: &'a Relation,
    table: Option<&'a PublishedTable>,
) -> impl Iterator<Item = (i16, &'a str)> {
    let only = table.and_then(|table| table.columns.as_ref());
    let columns = relation.columns.iter().filter(move |column| {
        !column.dropped && only.is_none_or(|only| only.contains(&column.attnum))
    });
    columns.map(|column| (column.attnum, column.name.as_str()))
}
