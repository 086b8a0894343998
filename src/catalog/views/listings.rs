//! PostgreSQL's views over its catalog for people: `pg_tables`, `pg_views`, `pg_indexes`.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;

use super::cell::{NULL, row};
use super::roles::owner_name;
use super::{Rows, all};

/// `pg_tables`
pub(super) fn tables(context: &Arc<Context>) -> Rows {
    let owner = owner_name(context);
    let own = all().iter().filter(|view| view.kind == 'r');
    let mut rows: Vec<Row> = own
        .map(|view| {
            row![
                view.schema,
                view.name,
                owner.as_str(),
                NULL,
                false,
                false,
                false,
                false
            ]
        })
        .collect();
    rows.extend(context.relations().relations.iter().map(|relation| {
        let indexed = !relation.keys.is_empty();
        let (schema, name) = (relation.schema.as_str(), relation.name.as_str());
        row![
            schema,
            name,
            owner.as_str(),
            NULL,
            indexed,
            false,
            false,
            false
        ]
    }));
    rows.into()
}

/// `pg_views`; ours are not made of SQL, so there is no definition to show.
pub(super) fn views(context: &Arc<Context>) -> Rows {
    let owner = owner_name(context);
    let views = all().iter().filter(|view| view.kind == 'v');
    let rows = views.map(|view| row![view.schema, view.name, owner.as_str(), NULL]);
    rows.collect::<Vec<Row>>().into()
}

/// `pg_indexes`
pub(super) fn indexes(context: &Arc<Context>) -> Rows {
    let mut rows = Vec::new();
    for relation in &context.relations().relations {
        rows.extend(relation.keys.iter().map(|key| {
            row![
                relation.schema.as_str(),
                relation.name.as_str(),
                key.name.as_str(),
                NULL,
                relation.index_definition(key, false),
            ]
        }));
    }
    rows.into()
}
