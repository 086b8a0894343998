//! What stands behind a catalog row, as SQL text: types, indexes, constraints, functions.

use crate::catalog::functions::args::{int, is_null, oid, or_null, text, text_datum};
use crate::catalog::functions::names::signature;
use crate::catalog::functions::{Body, Call, Function, Function as F, by_oid};
use crate::datum::{Datum, PgType as T, format_type, info, quote_ident};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
