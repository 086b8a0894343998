//! PostgreSQL's views over its catalog for people: `pg_tables`, `pg_views`, `pg_indexes`.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::relations::{Relation, RelationKey};

use super::cell::{NULL, row};
use super::{Rows, all};

/// `pg_tables`
pub(super) fn tables(context: &Arc<Context>) -> Rows {
    let owner = context.host.session().user;
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
    let owner = context.host.session().user;
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
                index_definition(relation, key, Some(&relation.schema)),
            ]
        }));
    }
    rows.into()
}

/// `CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)`; without a schema where PostgreSQL
/// leaves it out.
pub(in crate::catalog) fn index_definition(
    relation: &Relation,
    key: &RelationKey,
    schema: Option<&str>,
) -> String {
    let name = quoted_identifier(&key.name);
    let table = quoted_identifier(&relation.name);
    let on = match schema {
        Some(schema) => format!("{}.{table}", quoted_identifier(schema)),
        None => table,
    };
    let columns = key_columns(relation, key);
    format!("CREATE UNIQUE INDEX {name} ON {on} USING btree ({columns})")
}

/// `PRIMARY KEY (id)`
pub(in crate::catalog) fn constraint_definition(relation: &Relation, key: &RelationKey) -> String {
    let kind = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
    format!("{kind} ({})", key_columns(relation, key))
}

fn key_columns(relation: &Relation, key: &RelationKey) -> String {
    let columns = key.columns.iter().filter_map(|attnum| {
        let column = relation
            .columns
            .iter()
            .find(|column| column.attnum == *attnum)?;
        Some(quoted_identifier(&column.name))
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// A name in quotes where it needs them.
fn quoted_identifier(name: &str) -> String {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if starts && name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
