//! The `information_schema`: tables, columns and keys in the words of the SQL standard.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::{self, Row};
use crate::datum::{Datum, PgType};
use crate::relations::{Relation, RelationKey};

use super::cell::{Cell, NULL, row};
use super::domains::{DOMAINS, domain};
use super::roles::roles_by_oid;
use super::schemas::{FIXED, of_tables, oid_of_schema};
use super::shape::Shape;
use super::{Rows, all, find};

/// The name of the database, which is what the standard calls a catalog.
fn catalog(context: &Context) -> String {
    context.host.engine().name().to_owned()
}

/// A row of `view` that is NULL but for the given columns.
fn sparse(view: &str, cells: Vec<(&str, Datum)>) -> Row {
    let columns = find("information_schema", view).map_or(&[][..], |view| &view.columns);
    let mut row = vec![NULL; columns.len()];
    for (name, cell) in cells {
        let at = columns.iter().position(|(column, _)| *column == name);
        if let Some(place) = at.and_then(|at| row.get_mut(at)) {
            *place = cell;
        }
    }
    row
}

/// `information_schema_catalog_name`
pub(super) fn catalog_name(context: &Arc<Context>) -> Rows {
    vec![row![catalog(context)]].into()
}

/// `schemata`
pub(super) fn schemata(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let user = context.host.session().user;
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
pub(super) fn tables(context: &Arc<Context>) -> Rows {
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
pub(super) fn views(context: &Arc<Context>) -> Rows {
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
pub(super) fn columns(context: &Arc<Context>) -> Rows {
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
pub(super) fn table_constraints(context: &Arc<Context>) -> Rows {
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
pub(super) fn check_constraints(context: &Arc<Context>) -> Rows {
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
pub(super) fn key_column_usage(context: &Arc<Context>) -> Rows {
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
pub(super) fn constraint_column_usage(context: &Arc<Context>) -> Rows {
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
pub(super) fn constraint_table_usage(context: &Arc<Context>) -> Rows {
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

/// `character_sets`
pub(super) fn character_sets(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    vec![row![NULL, NULL, "UTF8", "UCS", "UTF8", catalog, NULL, NULL]].into()
}

const COLLATIONS: [&str; 3] = ["default", "C", "POSIX"];

/// `collations`
pub(super) fn collations(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let rows = COLLATIONS.map(|name| row![catalog.as_str(), "pg_catalog", name, "NO PAD"]);
    rows.to_vec().into()
}

/// `collation_character_set_applicability`
pub(super) fn collation_sets(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let row = |name| row![catalog.as_str(), "pg_catalog", name, NULL, NULL, "UTF8"];
    COLLATIONS.map(row).to_vec().into()
}

/// `enabled_roles`: a superuser has them all.
pub(super) fn enabled_roles(context: &Arc<Context>) -> Rows {
    let roles = roles_by_oid(context).into_iter();
    roles
        .map(|(_, name)| row![name])
        .collect::<Vec<Row>>()
        .into()
}

/// `applicable_roles`
pub(super) fn applicable_roles(context: &Arc<Context>) -> Rows {
    let user = context.host.session().user;
    vec![
        row![user, "pg_database_owner", "NO"],
        row!["pg_monitor", "pg_read_all_settings", "NO"],
        row!["pg_monitor", "pg_read_all_stats", "NO"],
        row!["pg_monitor", "pg_stat_scan_tables", "NO"],
    ]
    .into()
}

/// `domains`: those of this schema itself.
pub(super) fn domains(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let rows = DOMAINS.map(|domain| {
        let mut cells = vec![
            ("domain_catalog", catalog.as_str().cell()),
            ("domain_schema", "information_schema".cell()),
            ("domain_name", domain.name.cell()),
            ("udt_catalog", catalog.as_str().cell()),
            ("dtd_identifier", "1".cell()),
        ];
        cells.extend(shape_cells(&catalog, Shape::of(domain.base, domain.typmod)));
        cells.extend(collation_cells(&catalog, domain.collation));
        sparse("domains", cells)
    });
    rows.to_vec().into()
}

fn shape_cells(catalog: &str, shape: Shape) -> Vec<(&'static str, Datum)> {
    vec![
        ("data_type", shape.data_type.cell()),
        ("character_maximum_length", shape.character_maximum_length),
        ("character_octet_length", shape.character_octet_length),
        ("numeric_precision", shape.numeric_precision),
        ("numeric_precision_radix", shape.numeric_precision_radix),
        ("numeric_scale", shape.numeric_scale),
        ("datetime_precision", shape.datetime_precision),
        ("udt_catalog", catalog.cell()),
        ("udt_schema", shape.udt_schema.cell()),
        ("udt_name", shape.udt_name.cell()),
    ]
}

fn collation_cells(catalog: &str, collation: u32) -> Vec<(&'static str, Datum)> {
    if collation == 0 {
        return Vec::new();
    }
    vec![
        ("collation_catalog", catalog.cell()),
        ("collation_schema", "pg_catalog".cell()),
        ("collation_name", "C".cell()),
    ]
}

/// `routines`
pub(super) fn routines(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let functions = functions::all()
        .iter()
        .filter(|function| function.kind() == 'f');
    let rows = functions.map(|function| {
        let shape = Shape::of(function.returns, -1);
        let specific = format!("{}_{}", function.name, function.oid);
        let cells = vec![
            ("specific_catalog", catalog.as_str().cell()),
            ("specific_schema", function.schema.cell()),
            ("specific_name", specific.cell()),
            ("routine_catalog", catalog.as_str().cell()),
            ("routine_schema", function.schema.cell()),
            ("routine_name", function.name.cell()),
            ("routine_type", "FUNCTION".cell()),
            ("data_type", shape.data_type.cell()),
            ("type_udt_catalog", catalog.as_str().cell()),
            ("type_udt_schema", shape.udt_schema.cell()),
            ("type_udt_name", shape.udt_name.cell()),
            ("dtd_identifier", "0".cell()),
            ("routine_body", "EXTERNAL".cell()),
            ("routine_definition", function.name.cell()),
            ("external_language", "INTERNAL".cell()),
            ("parameter_style", "GENERAL".cell()),
            ("is_deterministic", "NO".cell()),
            ("sql_data_access", "MODIFIES".cell()),
            ("is_null_call", yes_or_no(function.strict).cell()),
            ("schema_level_routine", "YES".cell()),
            ("max_dynamic_result_sets", 0.cell()),
            ("security_type", "INVOKER".cell()),
            ("as_locator", "NO".cell()),
            ("is_udt_dependent", "NO".cell()),
        ];
        sparse("routines", cells)
    });
    rows.collect::<Vec<Row>>().into()
}

/// `parameters`
pub(super) fn parameters(context: &Arc<Context>) -> Rows {
    let catalog = catalog(context);
    let mut rows = Vec::new();
    for function in functions::all() {
        let specific = format!("{}_{}", function.name, function.oid);
        for (number, ty) in (1_i32..).zip(function.args) {
            let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let mut cells = vec![
                ("specific_catalog", catalog.as_str().cell()),
                ("specific_schema", function.schema.cell()),
                ("specific_name", specific.as_str().cell()),
                ("ordinal_position", number.cell()),
                ("parameter_mode", "IN".cell()),
                ("is_result", "NO".cell()),
                ("as_locator", "NO".cell()),
                ("parameter_name", function.arg_names.get(at).copied().cell()),
                ("dtd_identifier", number.to_string().cell()),
            ];
            let mut shape = shape_cells(&catalog, Shape::of(*ty, -1));
            // Lengths and precisions are those of columns only.
            shape.retain(|(name, _)| name.starts_with("udt") || *name == "data_type");
            cells.extend(shape);
            rows.push(sparse("parameters", cells));
        }
    }
    rows.into()
}
