//! `pg_namespace`, and the OIDs of schemas.

use std::sync::Arc;

use crate::catalog::Context;
use crate::relations::RelationSet;

use super::Rows;
use super::cell::{NULL, row};
use super::roles::{BOOTSTRAP_ROLE, DATABASE_OWNER, owner_name};

const PG_CATALOG: u32 = 11;
const PG_TOAST: u32 = 99;
/// `public`
pub(in crate::catalog) const PUBLIC: u32 = 2200;
const PGSPOOL: u32 = 9000;
/// The OID that a PostgreSQL 15 gives to `information_schema` at initdb.
const INFORMATION_SCHEMA: u32 = 13207;

/// Schemas that are in every database and hold views only.
pub(super) const FIXED: [(&str, u32); 4] = [
    ("pg_catalog", PG_CATALOG),
    ("pg_toast", PG_TOAST),
    ("pgspool", PGSPOOL),
    ("information_schema", INFORMATION_SCHEMA),
];

/// The OID of a schema of views; 0 when it is none.
pub(in crate::catalog) fn fixed_schema(name: &str) -> u32 {
    let found = FIXED.iter().find(|(fixed, _)| *fixed == name);
    found.map_or(0, |(_, oid)| *oid)
}

/// The OID of a schema of tables; 0 when there is none of that name.
pub(in crate::catalog) fn oid_of_schema(set: &RelationSet, name: &str) -> u32 {
    let found = set.schemas.iter().find(|schema| schema.name == name);
    match found {
        Some(schema) => schema.oid,
        None if name == "public" => PUBLIC,
        None => 0,
    }
}

/// Schemas of tables, `public` first.
pub(super) fn of_tables(set: &RelationSet) -> impl Iterator<Item = (u32, &str)> {
    let created = set.schemas.iter().filter(|schema| schema.oid != PUBLIC);
    std::iter::once((PUBLIC, "public"))
        .chain(created.map(|schema| (schema.oid, schema.name.as_str())))
}

/// `pg_namespace`
pub(super) fn namespaces(context: &Arc<Context>) -> Rows {
    let owner = owner_name(context);
    let all = format!("{{{owner}=UC/{owner},=U/{owner}}}");
    let public = "{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}";
    let mut rows = Vec::new();
    for (name, oid) in FIXED {
        let acl = (oid != PG_TOAST).then_some(all.as_str());
        rows.push(row![oid, name, BOOTSTRAP_ROLE, acl]);
    }
    for (oid, name) in of_tables(&context.relations()) {
        rows.push(if oid == PUBLIC {
            row![oid, name, DATABASE_OWNER, public]
        } else {
            row![oid, name, BOOTSTRAP_ROLE, NULL]
        });
    }
    rows.into()
}
