//! The `information_schema`: tables, columns and keys in the words of the SQL standard.

mod keys;
mod types;

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::datum::PgType;

use super::cell::{NULL, row};
use super::domains::domain;
use super::roles::{BOOTSTRAP_ROLE, is_member, owner_name, roles_by_oid};
use super::schemas::{FIXED, of_tables};
use super::shape::Shape;
use super::{Rows, all};

pub(super) use keys::{
    check_constraints, constraint_column_usage, constraint_table_usage, key_column_usage,
    table_constraints,
};
pub(super) use types::{domains, parameters, routines};

/// The name of the database, which is what the standard calls a catalog.
fn catalog(context: &Context) -> String {
    context.host.engine().name().to_owned()
}

/// `information_schema_catalog_name`
pub(in crate::catalog::views) fn catalog_name(context: &Arc<Context>) -> Rows {
    vec![row![catalog(context)]].into()
}

/// `schemata`
pub(in crate::catalog::views) fn schemata(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let user = owner_name(context);
    let set = context.relations();
    let fixed = FIXED.iter().map(|(name, _)| (*name, user.as_str()));
    let of_tables = of_tables(&set).map(|(_, name)| match name {
        "public" => (name, "pg_database_owner"),
        _other => (name, user.as_str()),
    });
    let rows = fixed
        .chain(of_tables)
        .map(|(name, owner)| row![catalog.as_str(), name, owner, NULL, NULL, NULL, NULL]);
    rows.collect::<Vec<Row>>().into()
}

/// `tables`
pub(in crate::catalog::views) fn tables(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let table = |schema: &str, name: &str, kind: char, insertable: bool| {
        row![
            catalog.as_str(),
            schema,
            name,
            if kind == 'r' { "BASE TABLE" } else { "VIEW" },
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            yes_or_no(insertable),
            "NO",
            NULL,
        ]
    };
    let views = all()
        .iter()
        .map(|view| table(view.schema, view.name, view.kind, false));
    let mut rows: Vec<Row> = views.collect();
    let relations = &context.relations().relations;
    rows.extend(
        relations
            .iter()
            .map(|of| table(&of.schema, &of.name, 'r', true)),
    );
    rows.into()
}

const fn yes_or_no(flag: bool) -> &'static str {
    if flag { "YES" } else { "NO" }
}

/// `views`; ours are not made of SQL, so there is no definition to show.
pub(in crate::catalog::views) fn views(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let views = all().iter().filter(|view| view.kind == 'v');
    let rows = views.map(|view| {
        row![
            catalog.as_str(),
            view.schema,
            view.name,
            NULL,
            "NONE",
            "NO",
            "NO",
            "NO",
            "NO",
            "NO",
        ]
    });
    rows.collect::<Vec<Row>>().into()
}

/// `columns`
pub(in crate::catalog::views) fn columns(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let mut rows = Vec::new();
    for view in all() {
        let columns = view.columns.iter().zip(&view.attributes);
        rows.extend(
            (1_i32..)
                .zip(columns)
                .map(|(number, ((name, _), attribute))| {
                    column_row(
                        &catalog,
                        (view.schema, view.name),
                        &ColumnOf {
                            name,
                            number,
                            ty: attribute.declared,
                            typmod: attribute.typmod,
                            not_null: attribute.not_null,
                            updatable: false,
                        },
                    )
                }),
        );
    }
    for relation in &context.relations().relations {
        let columns = relation.columns.iter().filter(|column| !column.dropped);
        rows.extend(columns.map(|column| {
            column_row(
                &catalog,
                (&relation.schema, &relation.name),
                &ColumnOf {
                    name: &column.name,
                    number: column.attnum.into(),
                    ty: column.column_type,
                    typmod: column.typmod,
                    not_null: column.not_null,
                    updatable: true,
                },
            )
        }));
    }
    rows.into()
}

struct ColumnOf<'a> {
    name: &'a str,
    number: i32,
    ty: PgType,
    typmod: i32,
    not_null: bool,
    updatable: bool,
}

fn column_row(catalog: &str, (schema, table): (&str, &str), column: &ColumnOf<'_>) -> Row {
    let shape = Shape::of(column.ty, column.typmod);
    let domain = domain(column.ty);
    let collated = shape.collation_name;
    row![
        catalog,
        schema,
        table,
        column.name,
        column.number,
        // column_default
        NULL,
        yes_or_no(!column.not_null),
        shape.data_type,
        shape.character_maximum_length,
        shape.character_octet_length,
        shape.numeric_precision,
        shape.numeric_precision_radix,
        shape.numeric_scale,
        shape.datetime_precision,
        // interval_type, interval_precision, character_set_*
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        collated.map(|_| catalog),
        collated.map(|_| "pg_catalog"),
        collated,
        domain.map(|_| catalog),
        domain.map(|_| "information_schema"),
        domain.map(|domain| domain.name),
        catalog,
        shape.udt_schema,
        shape.udt_name,
        // scope_catalog, scope_schema, scope_name, maximum_cardinality
        NULL,
        NULL,
        NULL,
        NULL,
        column.number.to_string(),
        // is_self_referencing, is_identity, identity_*
        "NO",
        "NO",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "NO",
        "NEVER",
        NULL,
        yes_or_no(column.updatable),
    ]
}

/// `character_sets`
pub(in crate::catalog::views) fn character_sets(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    vec![row![NULL, NULL, "UTF8", "UCS", "UTF8", catalog, NULL, NULL]].into()
}

const COLLATIONS: [&str; 3] = ["default", "C", "POSIX"];

/// `collations`
pub(in crate::catalog::views) fn collations(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let rows = COLLATIONS.map(|name| row![catalog.as_str(), "pg_catalog", name, "NO PAD"]);
    rows.to_vec().into()
}

/// `collation_character_set_applicability`
pub(in crate::catalog::views) fn collation_sets(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let row = |name| row![catalog.as_str(), "pg_catalog", name, NULL, NULL, "UTF8"];
    COLLATIONS.map(row).to_vec().into()
}

/// `enabled_roles`: those that the session's role is a member of; a superuser is of all.
pub(in crate::catalog::views) fn enabled_roles(context: &Arc<Context>) -> Rows {
    let own = context.host.session().role;
    let roles = roles_by_oid(context).into_iter();
    roles
        .filter(|(oid, _)| is_member(context.roles(), own, *oid))
        .map(|(_, name)| row![name])
        .collect::<Vec<Row>>()
        .into()
}

/// `applicable_roles`
pub(in crate::catalog::views) fn applicable_roles(context: &Arc<Context>) -> Rows {
    let of_monitor = [
        "pg_read_all_settings",
        "pg_read_all_stats",
        "pg_stat_scan_tables",
    ];
    let mut rows = Vec::new();
    let user = context.own_role().map(|role| role.name.as_str());
    if context.host.session().role == BOOTSTRAP_ROLE {
        rows.push(row![user, "pg_database_owner", "NO"]);
    }
    let rights = context.rights();
    if rights.monitor {
        rows.push(row![user, "pg_monitor", "NO"]);
    }
    if rights.monitor || rights.superuser {
        rows.extend(of_monitor.map(|role| row!["pg_monitor", role, "NO"]));
    }
    rows.into()
}
