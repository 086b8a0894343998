//! Which functions there are, by name and by OID.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{
    Function, aggregates, arrays, decoding, definitions, fields, floats, ints, json_build, jsons,
    matching, numerics, ours, privileges, quoting, series, session, slots, strings, times, wal,
};

/// The tables of functions, each in the module that has their bodies.
const TABLES: &[&[Function]] = &[
    super::super::bind::INTERNAL_FUNCTIONS,
    aggregates::FUNCTIONS,
    arrays::FUNCTIONS,
    definitions::described::FUNCTIONS,
    definitions::lookups::FUNCTIONS,
    definitions::objects::FUNCTIONS,
    definitions::printed::FUNCTIONS,
    definitions::visible::FUNCTIONS,
    fields::FUNCTIONS,
    floats::FUNCTIONS,
    ints::FUNCTIONS,
    json_build::FUNCTIONS,
    jsons::change::FUNCTIONS,
    jsons::compare::FUNCTIONS,
    jsons::paths::FUNCTIONS,
    jsons::raw::FUNCTIONS,
    jsons::rows::FUNCTIONS,
    matching::FUNCTIONS,
    numerics::FUNCTIONS,
    privileges::FUNCTIONS,
    quoting::FUNCTIONS,
    series::FUNCTIONS,
    session::FUNCTIONS,
    strings::build::FUNCTIONS,
    strings::cases::FUNCTIONS,
    strings::format::FUNCTIONS,
    strings::parts::FUNCTIONS,
    times::ages::FUNCTIONS,
    times::clock::FUNCTIONS,
    times::dates::FUNCTIONS,
    times::intervals::FUNCTIONS,
    times::zones::FUNCTIONS,
    super::super::bind::COUNT_FUNCTIONS,
    slots::ALL,
    decoding::ALL,
    wal::ALL,
    ours::ALL,
];

static ALL: LazyLock<Vec<&'static Function>> =
    LazyLock::new(|| TABLES.iter().flat_map(|table| table.iter()).collect());

/// Functions by schema and name.
type ByName = HashMap<&'static str, HashMap<&'static str, Vec<&'static Function>>>;

static BY_NAME: LazyLock<ByName> = LazyLock::new(|| {
    let mut by_name = ByName::new();
    for function in ALL.iter() {
        let schema = by_name.entry(function.schema).or_default();
        schema.entry(function.name).or_default().push(function);
    }
    by_name
});

static BY_OID: LazyLock<HashMap<u32, &'static Function>> = LazyLock::new(|| {
    ALL.iter()
        .map(|function| (function.oid, *function))
        .collect()
});

/// All functions.
pub(in crate::catalog) fn all() -> &'static [&'static Function] {
    &ALL
}

/// The functions of that name. Without a schema it is one of `pg_catalog`.
pub(in crate::catalog) fn find(schema: Option<&str>, name: &str) -> &'static [&'static Function] {
    BY_NAME
        .get(schema.unwrap_or("pg_catalog"))
        .and_then(|functions| functions.get(name))
        .map_or(&[], Vec::as_slice)
}

/// The function with that OID.
pub(in crate::catalog) fn by_oid(oid: u32) -> Option<&'static Function> {
    BY_OID.get(&oid).copied()
}
