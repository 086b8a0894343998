//! Domains, functions and their parameters.

use std::sync::Arc;

use super::super::cell::{Cell, NULL};
use super::super::domains::DOMAINS;
use super::super::shape::Shape;
use super::super::{Rows, find};
use super::{catalog, yes_or_no};
use crate::catalog::Context;
use crate::catalog::functions::{self, Row};
use crate::datum::Datum;

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

/// `domains`: those of this schema itself.
pub(in crate::catalog::views) fn domains(context: &Arc<Context>) -> Rows {
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
pub(in crate::catalog::views) fn routines(context: &Arc<Context>) -> Rows {
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
pub(in crate::catalog::views) fn parameters(context: &Arc<Context>) -> Rows {
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
