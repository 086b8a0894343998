//! `pg_class`: relations, their indexes, and the views themselves.

use std::sync::{Arc, LazyLock};

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::relations::{Relation, RelationSet, ReplicaIdentity};

use super::cell::{NULL, row};
use super::roles::BOOTSTRAP_ROLE;
use super::schemas::oid_of_schema;
use super::{Rows, View, all};

/// Access methods (`pg_am`).
const HEAP: u32 = 2;
const BTREE: u32 = 403;

/// Relations that all databases share.
const SHARED: &[&str] = &[
    "pg_auth_members",
    "pg_authid",
    "pg_database",
    "pg_db_role_setting",
    "pg_parameter_acl",
    "pg_replication_origin",
    "pg_shdepend",
    "pg_shdescription",
    "pg_shseclabel",
    "pg_subscription",
    "pg_tablespace",
];

static OF_VIEWS: LazyLock<Vec<Row>> = LazyLock::new(|| all().iter().map(of_view).collect());

/// `pg_class`
pub(super) fn classes(context: &Arc<Context>) -> Rows {
    Rows::joined(&OF_VIEWS, of_relations(&context.relations()))
}

/// Rows of tables and their indexes.
pub(super) fn of_relations(set: &RelationSet) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in &set.relations {
        let namespace = oid_of_schema(set, &relation.schema);
        rows.push(class_row(&of_table(relation, namespace)));
        for key in &relation.keys {
            rows.push(class_row(&Class {
                oid: key.index_oid,
                name: &key.name,
                namespace,
                row_type: 0,
                am: BTREE,
                num_tuples: 0.0,
                has_index: false,
                shared: false,
                kind: 'i',
                num_columns: key.columns.len(),
                has_rules: false,
                identity: 'n',
            }));
        }
    }
    rows
}

fn of_table(relation: &Relation, namespace: u32) -> Class<'_> {
    Class {
        oid: relation.oid,
        name: &relation.name,
        namespace,
        row_type: relation.row_type_oid,
        am: HEAP,
        num_tuples: -1.0,
        has_index: !relation.keys.is_empty(),
        shared: false,
        kind: 'r',
        num_columns: relation.columns.len(),
        has_rules: false,
        identity: match relation.replica_identity {
            ReplicaIdentity::Default => 'd',
            ReplicaIdentity::Full => 'f',
            ReplicaIdentity::Nothing => 'n',
            ReplicaIdentity::Index(_) => 'i',
        },
    }
}

fn of_view(view: &View) -> Row {
    let is_table = view.kind == 'r';
    class_row(&Class {
        oid: view.oid,
        name: view.name,
        namespace: super::schemas::fixed_schema(view.schema),
        row_type: view.row_type_oid,
        am: if is_table { HEAP } else { 0 },
        num_tuples: -1.0,
        has_index: false,
        shared: view.schema == "pg_catalog" && SHARED.contains(&view.name),
        kind: view.kind,
        num_columns: view.columns.len(),
        has_rules: !is_table,
        identity: 'n',
    })
}

/// What differs between relations.
struct Class<'a> {
    oid: u32,
    name: &'a str,
    namespace: u32,
    row_type: u32,
    am: u32,
    num_tuples: f64,
    has_index: bool,
    shared: bool,
    kind: char,
    num_columns: usize,
    has_rules: bool,
    identity: char,
}

fn class_row(class: &Class<'_>) -> Row {
    const GLOBAL: u32 = 1664;
    row![
        class.oid,
        class.name,
        class.namespace,
        class.row_type,
        // reloftype
        0,
        BOOTSTRAP_ROLE,
        class.am,
        // relfilenode: nothing has a file of its own
        0,
        if class.shared { GLOBAL } else { 0 },
        // relpages
        0,
        class.num_tuples,
        // relallvisible, reltoastrelid
        0,
        0,
        class.has_index,
        class.shared,
        // relpersistence
        'p',
        class.kind,
        class.num_columns,
        // relchecks
        0,
        class.has_rules,
        // relhastriggers, relhassubclass, relrowsecurity, relforcerowsecurity
        false,
        false,
        false,
        false,
        // relispopulated
        true,
        class.identity,
        // relispartition, relrewrite, relfrozenxid, relminmxid
        false,
        0,
        0,
        0,
        // relacl, reloptions, relpartbound
        NULL,
        NULL,
        NULL,
    ]
}
