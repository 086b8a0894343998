//! Which function makes the rows of which of PostgreSQL's relations.

use std::sync::Arc;

use crate::catalog::Context;
use crate::datum::PgType;

use super::{
    Rows, attributes, classes, fixed, information, keys, listings, procs, publications, roles,
    rules, schemas, sessions, settings, slots, spools, statistics, streams, types,
};

/// Makes the rows of a relation.
type Maker = fn(&Arc<Context>) -> Rows;

/// What makes the rows of a relation of PostgreSQL's; a relation for things that do not exist
/// here has none.
pub(super) fn maker(schema: &str, name: &str) -> Maker {
    let found = match schema {
        "pg_catalog" => catalog(name)
            .or_else(|| for_people(name))
            .or_else(|| statistics_of(name)),
        "information_schema" => standard(name),
        _other => None,
    };
    found.unwrap_or(|_context| Rows::default())
}

/// The catalog itself.
fn catalog(name: &str) -> Option<Maker> {
    Some(match name {
        "pg_am" => fixed::access_methods,
        "pg_attribute" => attributes::attributes,
        "pg_auth_members" => roles::members,
        "pg_authid" => roles::authid,
        "pg_class" => classes::classes,
        "pg_collation" => fixed::collations,
        "pg_constraint" => keys::constraints,
        "pg_database" => spools::pg_databases,
        "pg_description" => fixed::descriptions,
        "pg_index" => keys::indexes,
        "pg_language" => fixed::languages,
        "pg_namespace" => schemas::namespaces,
        "pg_proc" => procs::procs,
        "pg_publication" => publications::publications,
        "pg_publication_namespace" => publications::schemas,
        "pg_publication_rel" => publications::tables,
        "pg_tablespace" => fixed::tablespaces,
        "pg_type" => types::types,
        _other => return None,
    })
}

/// Views over the catalog.
fn for_people(name: &str) -> Option<Maker> {
    Some(match name {
        "pg_file_settings" => settings::file_settings,
        "pg_group" => roles::groups,
        "pg_hba_file_rules" => rules::hba,
        "pg_ident_file_mappings" => rules::ident,
        "pg_indexes" => listings::indexes,
        "pg_publication_tables" => publications::published_tables,
        "pg_replication_slots" => slots::replication_slots,
        "pg_roles" => roles::roles,
        "pg_settings" => settings::settings,
        "pg_shadow" => roles::shadow,
        "pg_tables" => listings::tables,
        "pg_timezone_names" => fixed::time_zones,
        "pg_user" => roles::users,
        "pg_views" => listings::views,
        _other => return None,
    })
}

fn statistics_of(name: &str) -> Option<Maker> {
    Some(match name {
        "pg_stat_activity" => sessions::activity,
        "pg_stat_archiver" => statistics::archiver,
        "pg_stat_bgwriter" => statistics::bgwriter,
        "pg_stat_database" => statistics::databases,
        "pg_stat_database_conflicts" => statistics::conflicts,
        "pg_stat_gssapi" => sessions::gssapi,
        "pg_stat_replication" => streams::replication,
        "pg_stat_replication_slots" => streams::replication_slots,
        "pg_stat_ssl" => sessions::ssl,
        "pg_stat_wal" => statistics::wal,
        _other => return None,
    })
}

/// `information_schema`
fn standard(name: &str) -> Option<Maker> {
    Some(match name {
        "applicable_roles" => information::applicable_roles,
        "character_sets" => information::character_sets,
        "check_constraints" => information::check_constraints,
        "collation_character_set_applicability" => information::collation_sets,
        "collations" => information::collations,
        "columns" => information::columns,
        "constraint_column_usage" => information::constraint_column_usage,
        "constraint_table_usage" => information::constraint_table_usage,
        "domains" => information::domains,
        "enabled_roles" => information::enabled_roles,
        "information_schema_catalog_name" => information::catalog_name,
        "key_column_usage" => information::key_column_usage,
        "parameters" => information::parameters,
        "routines" => information::routines,
        "schemata" => information::schemata,
        "table_constraints" => information::table_constraints,
        "tables" => information::tables,
        "views" => information::views,
        _other => return None,
    })
}

/// Columns that versions after 15 added to a relation; they come behind those of 15.
pub(super) fn later_columns(schema: &str, name: &str) -> &'static [(&'static str, PgType)] {
    match (schema, name) {
        ("pg_catalog", "pg_replication_slots") => &[
            ("inactive_since", PgType::TIMESTAMPTZ),
            ("conflicting", PgType::BOOL),
            ("invalidation_reason", PgType::TEXT),
            ("failover", PgType::BOOL),
            ("synced", PgType::BOOL),
        ],
        _other => &[],
    }
}
