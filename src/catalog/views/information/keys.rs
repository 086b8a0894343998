//! Keys and other constraints of tables.

use std::sync::Arc;

use super::super::Rows;
use super::super::cell::{NULL, row};
use super::super::schemas::oid_of_schema;
use super::catalog;
use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::relations::{Relation, RelationKey};

/// All keys of all tables.
fn each_key(context: &Context, mut make: impl FnMut(&Relation, &RelationKey) -> Vec<Row>) -> Rows {
    let mut rows = Vec::new();
    for relation in &context.relations().relations {
        for key in &relation.keys {
            rows.extend(make(relation, key));
        }
    }
    rows.into()
}

/// `table_constraints`: keys, and NOT NULL as the standard has it.
pub(in crate::catalog::views) fn table_constraints(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let set = context.relations();
    let mut rows = Vec::new();
    for relation in &set.relations {
        let mut constraint = |name: &str, kind: &str, nulls_distinct: Option<&str>| {
            let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
            rows.push(row![
                catalog.as_str(),
                schema,
                name,
                catalog.as_str(),
                schema,
                table,
                kind,
                "NO",
                "NO",
                "YES",
                nulls_distinct,
            ]);
        };
        for key in &relation.keys {
            if key.primary {
                constraint(&key.name, "PRIMARY KEY", None);
            } else {
                constraint(&key.name, "UNIQUE", Some("YES"));
            }
        }
        let namespace = oid_of_schema(&set, &relation.schema);
        for column in relation
            .columns
            .iter()
            .filter(|column| column.not_null && !column.dropped)
        {
            constraint(
                &not_null_name(namespace, relation, column.attnum),
                "CHECK",
                None,
            );
        }
    }
    rows.into()
}

fn not_null_name(namespace: u32, relation: &Relation, attnum: i16) -> String {
    format!("{namespace}_{}_{attnum}_not_null", relation.oid)
}

/// `check_constraints`: NOT NULL only.
pub(in crate::catalog::views) fn check_constraints(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let set = context.relations();
    let mut rows = Vec::new();
    for relation in &set.relations {
        let namespace = oid_of_schema(&set, &relation.schema);
        for column in relation
            .columns
            .iter()
            .filter(|column| column.not_null && !column.dropped)
        {
            let name = not_null_name(namespace, relation, column.attnum);
            let clause = format!("{} IS NOT NULL", column.name);
            rows.push(row![
                catalog.as_str(),
                relation.schema.as_str(),
                name,
                clause
            ]);
        }
    }
    rows.into()
}

/// `key_column_usage`
pub(in crate::catalog::views) fn key_column_usage(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    each_key(context, |relation, key| {
        let columns = (1_i32..).zip(key_columns(relation, key));
        let row = |(position, column): (i32, &str)| {
            let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
            row![
                catalog.as_str(),
                schema,
                key.name.as_str(),
                catalog.as_str(),
                schema,
                table,
                column,
                position,
                NULL,
            ]
        };
        columns.map(row).collect()
    })
}

fn key_columns<'a>(relation: &'a Relation, key: &'a RelationKey) -> impl Iterator<Item = &'a str> {
    key.columns.iter().filter_map(|attnum| {
        let column = relation
            .columns
            .iter()
            .find(|column| column.attnum == *attnum)?;
        Some(column.name.as_str())
    })
}

/// `constraint_column_usage`
pub(in crate::catalog::views) fn constraint_column_usage(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    each_key(context, |relation, key| {
        let row = |column: &str| {
            let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
            row![
                catalog.as_str(),
                schema,
                table,
                column,
                catalog.as_str(),
                schema,
                key.name.as_str(),
            ]
        };
        key_columns(relation, key).map(row).collect()
    })
}

/// `constraint_table_usage`
pub(in crate::catalog::views) fn constraint_table_usage(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    each_key(context, |relation, key| {
        let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
        vec![row![
            catalog.as_str(),
            schema,
            table,
            catalog.as_str(),
            schema,
            key.name.as_str(),
        ]]
    })
}
