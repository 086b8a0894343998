//! What the catalog says of its objects: definitions, descriptions, visibility.

use super::args::{bool_datum, int, is_null, oid, or_null, text, text_datum, text_or_null};
use super::names::signature;
use super::{Body, Call, Function, Function as F, Row, by_oid};
use crate::catalog::views::{find, rows_of};
use crate::datum::{Datum, Names, PgType as T, format_type, info, quote_ident};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        1081,
        "format_type",
        &[T::OID, T::INT4],
        T::TEXT,
        Body::Scalar(type_text),
    )
    .lax(),
    F::new(
        1642,
        "pg_get_userbyid",
        &[T::OID],
        T::NAME,
        Body::Scalar(user),
    ),
    F::new(
        2079,
        "pg_table_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(table_is_visible),
    ),
    F::new(
        2080,
        "pg_type_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(type_is_visible),
    ),
    F::new(
        2081,
        "pg_function_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(function_is_visible),
    ),
    F::new(
        2082,
        "pg_operator_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        2083,
        "pg_opclass_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3829,
        "pg_opfamily_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3815,
        "pg_collation_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2093,
        "pg_conversion_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3403,
        "pg_statistics_obj_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3756,
        "pg_ts_parser_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3757,
        "pg_ts_dict_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3768,
        "pg_ts_template_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3758,
        "pg_ts_config_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        1716,
        "pg_get_expr",
        &[T::PG_NODE_TREE, T::OID],
        T::TEXT,
        Body::Scalar(expression),
    ),
    F::new(
        2509,
        "pg_get_expr",
        &[T::PG_NODE_TREE, T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(expression),
    ),
    F::new(
        1643,
        "pg_get_indexdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(index),
    ),
    F::new(
        2507,
        "pg_get_indexdef",
        &[T::OID, T::INT4, T::BOOL],
        T::TEXT,
        Body::Scalar(index),
    ),
    F::new(
        1387,
        "pg_get_constraintdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(constraint),
    ),
    F::new(
        2508,
        "pg_get_constraintdef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(constraint),
    ),
    F::new(
        1641,
        "pg_get_viewdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2506,
        "pg_get_viewdef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3159,
        "pg_get_viewdef",
        &[T::OID, T::INT4],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1573,
        "pg_get_ruledef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2504,
        "pg_get_ruledef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1662,
        "pg_get_triggerdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2730,
        "pg_get_triggerdef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3415,
        "pg_get_statisticsobjdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        6174,
        "pg_get_statisticsobjdef_columns",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3352,
        "pg_get_partkeydef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3408,
        "pg_get_partition_constraintdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1665,
        "pg_get_serial_sequence",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3808,
        "pg_get_function_arg_default",
        &[T::OID, T::INT4],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        6197,
        "pg_get_function_sqlbody",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2098,
        "pg_get_functiondef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(function_definition),
    ),
    F::new(
        2165,
        "pg_get_function_result",
        &[T::OID],
        T::TEXT,
        Body::Scalar(function_result),
    ),
    F::new(
        2162,
        "pg_get_function_arguments",
        &[T::OID],
        T::TEXT,
        Body::Scalar(function_arguments),
    ),
    F::new(
        2232,
        "pg_get_function_identity_arguments",
        &[T::OID],
        T::TEXT,
        Body::Scalar(function_identity_arguments),
    ),
    F::new(
        3778,
        "pg_tablespace_location",
        &[T::OID],
        T::TEXT,
        Body::Scalar(tablespace_location),
    ),
    F::new(
        2999,
        "pg_relation_filenode",
        &[T::REGCLASS],
        T::OID,
        Body::Scalar(none),
    ),
    F::new(
        3034,
        "pg_relation_filepath",
        &[T::REGCLASS],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1348,
        "obj_description",
        &[T::OID],
        T::TEXT,
        Body::Scalar(description),
    ),
    F::new(
        1215,
        "obj_description",
        &[T::OID, T::NAME],
        T::TEXT,
        Body::Scalar(description),
    ),
    F::new(
        1216,
        "col_description",
        &[T::OID, T::INT4],
        T::TEXT,
        Body::Scalar(column_description),
    ),
    F::new(
        1993,
        "shobj_description",
        &[T::OID, T::NAME],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        6121,
        "pg_relation_is_publishable",
        &[T::REGCLASS],
        T::BOOL,
        Body::Scalar(is_publishable),
    ),
    F::new(
        1597,
        "pg_encoding_to_char",
        &[T::INT4],
        T::NAME,
        Body::Scalar(encoding_name),
    ),
    F::new(
        1264,
        "pg_char_to_encoding",
        &[T::NAME],
        T::INT4,
        Body::Scalar(encoding_number),
    ),
    F::new(
        6120,
        "pg_get_replica_identity_index",
        &[T::REGCLASS],
        T::REGCLASS,
        Body::Scalar(identity_index),
    ),
    F::new(
        6119,
        "pg_get_publication_tables",
        &[T::TEXT],
        T::RECORD,
        Body::Table {
            columns: &[
                ("relid", T::OID),
                ("attrs", T::INT2VECTOR),
                ("qual", T::PG_NODE_TREE),
            ],
            rows: publication_tables,
        },
    )
    .named(&["pubname"]),
    F::new(
        3495,
        "to_regclass",
        &[T::TEXT],
        T::REGCLASS,
        Body::Scalar(to_regclass),
    ),
    F::new(
        3493,
        "to_regtype",
        &[T::TEXT],
        T::REGTYPE,
        Body::Scalar(to_regtype),
    ),
    F::new(
        3494,
        "to_regproc",
        &[T::TEXT],
        T::REGPROC,
        Body::Scalar(to_regproc),
    ),
    F::new(
        3479,
        "to_regprocedure",
        &[T::TEXT],
        T::REGPROCEDURE,
        Body::Scalar(to_regprocedure),
    ),
    F::new(
        4086,
        "to_regnamespace",
        &[T::TEXT],
        T::REGNAMESPACE,
        Body::Scalar(to_regnamespace),
    ),
    F::new(
        4093,
        "to_regrole",
        &[T::TEXT],
        T::REGROLE,
        Body::Scalar(to_regrole),
    ),
];

fn type_text(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) {
        return Ok(Datum::Null);
    }
    let ty = T(oid(args, 0)?);
    if ty.0 == 0 {
        return Ok(text_datum("-"));
    }
    // Without a modifier it is the plain name: only there is a bpchar a character.
    let name = if is_null(args, 1) {
        match info(ty) {
            Some(found) if found.ty == T::BPCHAR => Some(found.format_name.to_owned()),
            Some(_) | None => call.names().type_name(ty, -1),
        }
    } else {
        let typmod = i32::try_from(int(args, 1)?).unwrap_or(-1);
        call.names().type_name(ty, typmod)
    };
    Ok(text_datum(name.unwrap_or_else(|| "???".to_owned())))
}

fn user(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let oid = oid(args, 0)?;
    let name = call.names().role_name(oid);
    Ok(text_datum(
        name.unwrap_or_else(|| format!("unknown (OID={oid})")),
    ))
}

fn or_null_bool(value: Option<bool>) -> Datum {
    value.map_or(Datum::Null, bool_datum)
}

fn table_is_visible(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null_bool(
        call.names().relation_is_visible(oid(args, 0)?),
    ))
}

fn type_is_visible(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = T(oid(args, 0)?);
    if info(ty).is_some() {
        return Ok(bool_datum(true));
    }
    // The type of a row is where its table is: its name tells when it needs its schema.
    let name = call.names().type_name(ty, -1);
    Ok(or_null_bool(name.map(|name| !name.contains('.'))))
}

fn function_is_visible(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null_bool(
        by_oid(oid(args, 0)?).map(|function| function.schema == "pg_catalog"),
    ))
}

/// There are none of these.
fn never(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Null)
}

fn always(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(true))
}

fn none(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Null)
}

/// Expressions are kept as they print.
fn expression(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(text(args, 0)?))
}

/// The whole definition, or the name of one column.
fn index(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let set = call.context.relations();
    let Some((relation, key)) = set.key_by_index(oid(args, 0)?) else {
        return Ok(Datum::Null);
    };
    let column = if args.len() > 1 { int(args, 1)? } else { 0 };
    if column == 0 {
        let pretty = args.len() > 2 && int(args, 2)? != 0;
        return Ok(text_datum(relation.index_definition(key, pretty)));
    }
    let at = usize::try_from(column - 1).ok();
    let columns = relation.key_columns(key);
    let name = at.and_then(|at| columns.get(at).cloned());
    Ok(text_datum(name.unwrap_or_default()))
}

fn constraint(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let set = call.context.relations();
    let found = set.key_by_constraint(oid(args, 0)?);
    Ok(or_null(found.map(|(relation, key)| {
        relation.constraint_definition(key)
    })))
}

fn function_of(args: &[Datum]) -> Result<Option<&'static Function>, PgError> {
    Ok(by_oid(oid(args, 0)?))
}

/// The columns of a function that returns rows.
fn outputs(function: &Function) -> &'static [(&'static str, T)] {
    match function.body {
        Body::Table { columns, .. } | Body::Stream { columns, .. } => columns,
        Body::Scalar(_) | Body::Aggregate(_) | Body::Native(_) => &[],
    }
}

fn result_text(function: &Function) -> String {
    let result = format_type(function.returns, -1);
    if outputs(function).is_empty() {
        result
    } else {
        format!("SETOF {result}")
    }
}

/// Names and types of the arguments, with what is to be said beside.
fn arguments_text(function: &Function, whole: bool) -> String {
    let num_args = function.args.len();
    let first_default = num_args.saturating_sub(function.defaults.len());
    let args = function.args.iter().enumerate().map(|(at, ty)| {
        let mut text = String::new();
        if function.variadic && at + 1 == num_args {
            text.push_str("VARIADIC ");
        }
        if let Some(name) = function.arg_names.get(at).filter(|name| !name.is_empty()) {
            text.push_str(&quote_ident(name));
            text.push(' ');
        }
        text.push_str(&format_type(*ty, -1));
        let default = at
            .checked_sub(first_default)
            .and_then(|at| function.defaults.get(at));
        if let Some(default) = default.filter(|_| whole) {
            text.push_str(" DEFAULT ");
            text.push_str(default);
        }
        text
    });
    let mut parts: Vec<String> = args.collect();
    if let [_, _, ..] = outputs(function)
        && whole
    {
        let outputs = outputs(function).iter();
        parts.extend(outputs.map(|(name, ty)| format!("OUT {name} {}", format_type(*ty, -1))));
    }
    parts.join(", ")
}

fn function_result(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(function_of(args)?.map(result_text)))
}

fn function_arguments(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(
        function_of(args)?.map(|function| arguments_text(function, true)),
    ))
}

fn function_identity_arguments(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(
        function_of(args)?.map(|function| arguments_text(function, false)),
    ))
}

fn function_definition(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let Some(function) = function_of(args)? else {
        return Ok(Datum::Null);
    };
    if function.kind() == 'a' {
        let message = format!("\"{}\" is an aggregate function", function.name);
        return Err(PgError::error("42809", message));
    }
    let volatility = if function.volatile { "" } else { " STABLE" };
    let strict = if function.strict { " STRICT" } else { "" };
    let attributes = format!("{volatility}{strict}");
    let attributes = if attributes.is_empty() {
        attributes
    } else {
        format!("\n{attributes}")
    };
    let name = signature(function);
    let name = name.split('(').next().unwrap_or(function.name);
    Ok(text_datum(format!(
        "CREATE OR REPLACE FUNCTION {}.{}({})\n RETURNS {}\n LANGUAGE internal{attributes}\nAS $function${}$function$\n",
        quote_ident(function.schema),
        name.rsplit('.').next().unwrap_or(name),
        arguments_text(function, true),
        result_text(function),
        function.name,
    )))
}

fn tablespace_location(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    // pg_default and pg_global, which are where all else is.
    Ok(match oid(args, 0)? {
        0 | 1663 | 1664 => text_datum(""),
        _ => Datum::Null,
    })
}

/// The description of an object (or of one of its columns) in a row of pg_description.
fn described(
    call: &Call<'_>,
    object: i64,
    class: Option<u32>,
    column: i64,
) -> Result<Datum, PgError> {
    let Some(view) = find("pg_catalog", "pg_description") else {
        return Ok(Datum::Null);
    };
    let rows = rows_of(call.context, view);
    let found = rows.iter().find(|row| {
        let is = |at: usize, wanted: i64| row.get(at) == Some(&Datum::Int(wanted));
        is(0, object) && is(2, column) && class.is_none_or(|class| is(1, class.into()))
    });
    Ok(found
        .and_then(|row| row.get(3))
        .cloned()
        .unwrap_or(Datum::Null))
}

fn description(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let class = match text_or_null(args, 1)? {
        None => None,
        Some(name) => match find("pg_catalog", name) {
            Some(view) => Some(view.oid),
            None => return Ok(Datum::Null),
        },
    };
    described(call, int(args, 0)?, class, 0)
}

fn column_description(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let class = find("pg_catalog", "pg_class").map(|view| view.oid);
    described(call, int(args, 0)?, class, int(args, 1)?)
}

fn is_publishable(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let wanted = oid(args, 0)?;
    let set = call.context.relations();
    if set.relations.iter().any(|relation| relation.oid == wanted) {
        return Ok(bool_datum(true));
    }
    Ok(or_null_bool(
        call.names().relation_is_visible(wanted).map(|_| false),
    ))
}

const UTF8: i64 = 6;

fn encoding_name(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(match int(args, 0)? {
        0 => "SQL_ASCII",
        UTF8 => "UTF8",
        8 => "LATIN1",
        _ => "",
    }))
}

fn encoding_number(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(
        match text(args, 0)?.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" | "unicode" => UTF8,
            "sql_ascii" => 0,
            "latin1" => 8,
            _ => -1,
        },
    ))
}

fn identity_index(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let set = call.context.relations();
    let relation = set.relation_by_oid(oid(args, 0)?);
    let key = relation.and_then(|relation| relation.replica_identity_index());
    Ok(key.map_or(Datum::Null, |key| Datum::Int(key.index_oid.into())))
}

fn publication_tables(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let name = text(args, 0)?;
    let set = call.context.relations();
    let Some(publication) = set
        .publications
        .iter()
        .find(|publication| publication.name == name)
    else {
        let message = format!("publication \"{name}\" does not exist");
        return Err(PgError::error("42704", message));
    };
    let tables = set.publication_tables(publication).into_iter();
    let rows = tables.map(|table| {
        let columns = table.relation.live_columns().map(|column| column.attnum);
        let columns =
            columns.filter(|attnum| table.attnums.is_none_or(|only| only.contains(attnum)));
        let attrs: Vec<String> = columns.map(|attnum| attnum.to_string()).collect();
        vec![
            Datum::Int(table.relation.oid.into()),
            text_datum(attrs.join(" ")),
            or_null(table.filter),
        ]
    });
    Ok(rows.collect())
}

fn registered(call: &Call<'_>, args: &[Datum], ty: T) -> Result<Datum, PgError> {
    let oid = call.names().oid_of(ty, text(args, 0)?);
    Ok(oid.map_or(Datum::Null, |oid| Datum::Int(oid.into())))
}

macro_rules! to_reg {
    ($($name:ident = $ty:ident;)*) => {
        $(fn $name(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
            registered(call, args, T::$ty)
        })*
    };
}

to_reg! {
    to_regclass = REGCLASS;
    to_regtype = REGTYPE;
    to_regproc = REGPROC;
    to_regprocedure = REGPROCEDURE;
    to_regnamespace = REGNAMESPACE;
    to_regrole = REGROLE;
}
