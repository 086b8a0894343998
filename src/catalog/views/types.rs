//! `pg_type`: built-in types, the domains of `information_schema`, row types.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::datum::{PgType, TypeInfo, all_types, info};
use crate::relations::{RelationSet, UpstreamType};

use super::cell::{NULL, row};
use super::domains::{DOMAINS, Domain};
use super::roles::BOOTSTRAP_ROLE;
use super::schemas::{fixed_schema, oid_of_schema};
use super::{Rows, all};

static FIXED: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows: Vec<Row> = all_types().iter().map(of_info).collect();
    for domain in &DOMAINS {
        rows.extend(of_domain(domain));
    }
    for view in all() {
        let namespace = fixed_schema(view.schema);
        if view.row_type_oid != 0 {
            let array = view.array_type_oid;
            rows.extend(of_row_type(
                view.oid,
                view.name,
                namespace,
                view.row_type_oid,
                array,
            ));
        }
    }
    rows
});

/// `pg_type`
pub(super) fn types(context: &Arc<Context>) -> Rows {
    Rows::joined(&FIXED, of_relations(&context.relations()))
}

/// The row types of tables and their arrays.
pub(super) fn of_relations(set: &RelationSet) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in &set.relations {
        rows.extend(of_row_type(
            relation.oid,
            &relation.name,
            oid_of_schema(set, &relation.schema),
            relation.row_type_oid,
            relation.array_type_oid,
        ));
    }
    rows.extend(of_upstream(set));
    rows
}

/// The types of an upstream that are none of ours. Beyond name and OID nothing is known of them
/// here: they are shown as base types.
fn of_upstream(set: &RelationSet) -> impl Iterator<Item = Row> {
    const TEXT: [u32; 7] = [46, 47, 2414, 2415, 0, 0, 0];
    upstream_types(set).into_values().map(|ty| {
        let (schema, name, is_array) = parts(&ty.format_name);
        let name = if is_array { format!("_{name}") } else { name };
        type_row(&Type {
            oid: ty.oid,
            name: &name,
            namespace: oid_of_schema(set, schema.as_deref().unwrap_or("public")),
            len: -1,
            by_value: false,
            typtype: 'b',
            category: if is_array { 'A' } else { 'U' },
            preferred: false,
            delim: ',',
            relid: 0,
            subscript: 0,
            elem: 0,
            array: 0,
            procs: TEXT,
            align: 'i',
            storage: 'x',
            base: 0,
            typmod: -1,
            collation: 0,
        })
    })
}

/// By OID; several tables may have columns of one.
fn upstream_types(set: &RelationSet) -> BTreeMap<u32, &UpstreamType> {
    let tables = set.relations.iter();
    let tables = tables.filter_map(|relation| relation.upstream.as_ref());
    let types = tables.flat_map(|upstream| &upstream.types);
    types.map(|ty| (ty.oid, ty)).collect()
}

/// What `format_type` printed, as schema, name, and whether it is an array.
fn parts(format_name: &str) -> (Option<String>, String, bool) {
    let (name, is_array) = match format_name.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (format_name, false),
    };
    let mut in_quotes = false;
    let mut found = vec![String::new()];
    let mut characters = name.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if in_quotes && characters.next_if_eq(&'"').is_some() => push(&mut found, '"'),
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => found.push(String::new()),
            c => push(&mut found, c),
        }
    }
    let name = found.pop().unwrap_or_default();
    (found.pop(), name, is_array)
}

fn push(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

fn of_info(info: &TypeInfo) -> Row {
    type_row(&Type {
        oid: info.ty.0,
        name: info.name,
        namespace: fixed_schema("pg_catalog"),
        len: info.len,
        by_value: info.by_value,
        typtype: info.typtype,
        category: info.category,
        preferred: info.preferred,
        delim: info.delim,
        relid: 0,
        subscript: info.subscript.oid,
        elem: info.elem.0,
        array: info.array.0,
        procs: [
            info.input.oid,
            info.output.oid,
            info.receive.oid,
            info.send.oid,
            info.modin.oid,
            info.modout.oid,
            info.analyze.oid,
        ],
        align: info.align,
        storage: info.storage,
        base: 0,
        typmod: -1,
        collation: info.collation,
    })
}

/// A domain and its array.
fn of_domain(domain: &Domain) -> Vec<Row> {
    const DOMAIN_IN: u32 = 2597;
    const DOMAIN_RECEIVE: u32 = 2598;
    let namespace = fixed_schema("information_schema");
    let Some(base) = info(domain.base) else {
        return Vec::new();
    };
    let own = Type {
        oid: domain.ty.0,
        name: domain.name,
        namespace,
        len: base.len,
        by_value: base.by_value,
        typtype: 'd',
        category: base.category,
        preferred: false,
        delim: ',',
        relid: 0,
        subscript: 0,
        elem: 0,
        array: domain.array.0,
        procs: [
            DOMAIN_IN,
            base.output.oid,
            DOMAIN_RECEIVE,
            base.send.oid,
            0,
            0,
            base.analyze.oid,
        ],
        align: base.align,
        storage: base.storage,
        base: base.ty.0,
        typmod: domain.typmod,
        collation: domain.collation,
    };
    let array = array_of(&own);
    vec![type_row(&own), array]
}

/// A relation's row type and its array.
fn of_row_type(relid: u32, name: &str, namespace: u32, oid: u32, array: u32) -> Vec<Row> {
    const RECORD: [u32; 7] = [2290, 2291, 2402, 2403, 0, 0, 0];
    let own = Type {
        oid,
        name,
        namespace,
        len: -1,
        by_value: false,
        typtype: 'c',
        category: 'C',
        preferred: false,
        delim: ',',
        relid,
        subscript: 0,
        elem: 0,
        array,
        procs: RECORD,
        align: 'd',
        storage: 'x',
        base: 0,
        typmod: -1,
        collation: 0,
    };
    let mut rows = vec![type_row(&own)];
    if array != 0 {
        rows.push(array_of(&own));
    }
    rows
}

/// The array over a type.
fn array_of(elem: &Type<'_>) -> Row {
    const SUBSCRIPT: u32 = 6179;
    const ARRAY: [u32; 7] = [750, 751, 2400, 2401, 0, 0, 3816];
    // A name has 63 bytes at most.
    let mut name = format!("_{}", elem.name);
    while name.len() > 63 {
        name.pop();
    }
    type_row(&Type {
        oid: elem.array,
        name: &name,
        namespace: elem.namespace,
        len: -1,
        by_value: false,
        typtype: 'b',
        category: 'A',
        preferred: false,
        delim: ',',
        relid: 0,
        subscript: SUBSCRIPT,
        elem: elem.oid,
        array: 0,
        procs: ARRAY,
        align: if elem.align == 'd' { 'd' } else { 'i' },
        storage: 'x',
        base: 0,
        typmod: -1,
        collation: elem.collation,
    })
}

struct Type<'a> {
    oid: u32,
    name: &'a str,
    namespace: u32,
    len: i16,
    by_value: bool,
    typtype: char,
    category: char,
    preferred: bool,
    delim: char,
    relid: u32,
    subscript: u32,
    elem: u32,
    array: u32,
    /// input, output, receive, send, modin, modout, analyze
    procs: [u32; 7],
    align: char,
    storage: char,
    base: u32,
    typmod: i32,
    collation: u32,
}

fn type_row(ty: &Type<'_>) -> Row {
    let [input, output, receive, send, modin, modout, analyze] = ty.procs;
    row![
        ty.oid,
        ty.name,
        ty.namespace,
        BOOTSTRAP_ROLE,
        ty.len,
        ty.by_value,
        ty.typtype,
        ty.category,
        ty.preferred,
        // typisdefined
        true,
        ty.delim,
        ty.relid,
        ty.subscript,
        ty.elem,
        ty.array,
        input,
        output,
        receive,
        send,
        modin,
        modout,
        analyze,
        ty.align,
        ty.storage,
        // typnotnull
        false,
        ty.base,
        ty.typmod,
        // typndims
        0,
        ty.collation,
        // typdefaultbin, typdefault, typacl
        NULL,
        NULL,
        NULL,
    ]
}

/// The name of a type that is not built in, as `format_type` prints it: a row type, its array, or
/// a domain; `None` when there is none with this OID. Outside of the search path it has its
/// schema in front.
pub(in crate::catalog) fn name_of_made_type(context: &Context, ty: PgType) -> Option<String> {
    if let Some(domain) = DOMAINS.iter().find(|domain| domain.ty == ty) {
        return Some(format!("information_schema.{}", domain.name));
    }
    if let Some(domain) = DOMAINS.iter().find(|domain| domain.array == ty) {
        return Some(format!("information_schema.{}[]", domain.name));
    }
    let qualified = |schema: &str, name: &str, is_array: bool| {
        let brackets = if is_array { "[]" } else { "" };
        match schema {
            "pg_catalog" | "public" => format!("{name}{brackets}"),
            _other => format!("{schema}.{name}{brackets}"),
        }
    };
    let view = all()
        .iter()
        .find(|view| [view.row_type_oid, view.array_type_oid].contains(&ty.0));
    if let Some(view) = view {
        return Some(qualified(
            view.schema,
            view.name,
            ty.0 == view.array_type_oid,
        ));
    }
    let set = context.relations();
    if let Some(found) = upstream_types(&set).get(&ty.0) {
        return Some(found.format_name.clone());
    }
    let mut relations = set.relations.iter();
    let found = relations.find(|of| [of.row_type_oid, of.array_type_oid].contains(&ty.0))?;
    Some(qualified(
        &found.schema,
        &found.name,
        ty.0 == found.array_type_oid,
    ))
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_printed_name_is_taken_apart() {
        for (printed, schema, name, is_array) in [
            ("mood", None, "mood", false),
            ("mood[]", None, "mood", true),
            ("other.mood[]", Some("other"), "mood", true),
            (
                "\"My.Own\".\"a \"\"b\"\"\"",
                Some("My.Own"),
                "a \"b\"",
                false,
            ),
        ] {
            let found = parts(printed);
            let found = (found.0.as_deref(), found.1.as_str(), found.2);
            assert_eq!(found, (schema, name, is_array), "{printed}");
        }
    }
}
