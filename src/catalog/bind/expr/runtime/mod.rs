//! What rewritten text calls beside PostgreSQL's functions: casts, arrays, rows.
//!
//! They are entries of the registry in a schema that no query can name.

mod arrays;
mod casts;
mod jsons;

use crate::catalog::functions::{Body, Call, Function};
use crate::datum::{self, Datum, PgType};
use crate::pgerror::PgError;

/// The schema that no query can name.
const SCHEMA: &str = "";

/// `in(type, text)`: reads the text form.
pub(super) const IN: &str = "f_9900";
/// `out(type, value)`: the text form.
pub(super) const OUT: &str = "f_9901";
/// `cast(from, to, value)`
pub(super) const CAST: &str = "f_9902";
/// `cast_array(from, to, array)`
pub(super) const CAST_ARRAY: &str = "f_9903";
/// `typmod(type, typmod, explicit, value)`
pub(super) const TYPMOD: &str = "f_9904";
/// `raise(sqlstate, message)`
pub(super) const RAISE: &str = "f_9905";
/// `row(text, ...)`
pub(super) const ROW: &str = "f_9906";
/// `array(text, ...)`
pub(super) const ARRAY: &str = "f_9907";
/// `nested(array, ...)`
pub(super) const NESTED: &str = "f_9908";
/// `concat(array, array)`
pub(super) const CONCAT: &str = "f_9909";
/// `contains(element, array, array)`
pub(super) const CONTAINS: &str = "f_9910";
/// `overlap(element, array, array)`
pub(super) const OVERLAP: &str = "f_9911";
/// `compare(element, array, array)`: below, at or above 0.
pub(super) const COMPARE: &str = "f_9912";
/// `subscript(array, index, ...)`: the element's text form.
pub(super) const SUBSCRIPT: &str = "f_9913";
/// `slice(array, lower, upper)`, with `''` for no bound.
pub(super) const SLICE: &str = "f_9914";
/// `any(symbol, all, element, value, array)`
pub(super) const ANY: &str = "f_9915";
/// `any_call(function, negated, all, element, value, array)`
pub(super) const ANY_CALL: &str = "f_9916";
/// `text_agg(text)`: an array, `{}` of no rows.
pub(super) const TEXT_AGG: &str = "f_9917";
/// `json(type, value)`: JSON text.
pub(super) const JSON: &str = "f_9918";

const INT: PgType = PgType::INT4;
const TEXT: PgType = PgType::TEXT;
const VALUE: PgType = PgType::ANY;

const fn scalar(
    oid: u32,
    name: &'static str,
    args: &'static [PgType],
    returns: PgType,
    body: fn(&Call<'_>, &[Datum]) -> Result<Datum, PgError>,
) -> Function {
    Function::new(oid, name, args, returns, Body::Scalar(body)).schema(SCHEMA)
}

/// The registry's entries.
pub(in crate::catalog) const FUNCTIONS: &[Function] = &[
    scalar(9900, "in", &[INT, TEXT], VALUE, input),
    scalar(9901, "out", &[INT, VALUE], TEXT, output),
    scalar(9902, "cast", &[INT, INT, VALUE], VALUE, casts::cast),
    scalar(9903, "cast_array", &[INT, INT, TEXT], TEXT, arrays::cast),
    scalar(9904, "typmod", &[INT, INT, INT, VALUE], VALUE, fit),
    scalar(9905, "raise", &[TEXT, TEXT], VALUE, raise).volatile(),
    scalar(9906, "row", &[TEXT], TEXT, row).lax(),
    scalar(9907, "array", &[TEXT], TEXT, arrays::array).lax(),
    scalar(9908, "nested", &[TEXT], TEXT, arrays::nested).lax(),
    scalar(9909, "concat", &[TEXT, TEXT], TEXT, arrays::concat).lax(),
    scalar(9910, "contains", &[INT, TEXT, TEXT], INT, arrays::contains),
    scalar(9911, "overlap", &[INT, TEXT, TEXT], INT, arrays::overlap),
    scalar(9912, "compare", &[INT, TEXT, TEXT], INT, arrays::compare),
    scalar(9913, "subscript", &[TEXT, INT], TEXT, arrays::subscript),
    scalar(9914, "slice", &[TEXT, VALUE, VALUE], TEXT, arrays::slice),
    scalar(
        9915,
        "any",
        &[TEXT, INT, INT, VALUE, TEXT],
        INT,
        arrays::any,
    )
    .lax(),
    scalar(
        9916,
        "any_call",
        &[INT, INT, INT, INT, VALUE, TEXT],
        INT,
        arrays::any_call,
    )
    .lax(),
    scalar(9918, "json", &[INT, VALUE], TEXT, jsons::json),
    Function::new(
        9917,
        "text_agg",
        &[TEXT],
        TEXT,
        Body::Aggregate(arrays::text_agg),
    )
    .schema(SCHEMA)
    .lax(),
];

/// The type that an argument names.
fn type_arg(args: &[Datum], index: usize) -> PgType {
    PgType(u32::try_from(int_arg(args, index)).unwrap_or(0))
}

fn int_arg(args: &[Datum], index: usize) -> i64 {
    match args.get(index) {
        Some(Datum::Int(number)) => *number,
        Some(Datum::Null | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_)) | None => 0,
    }
}

fn text_arg(args: &[Datum], index: usize) -> &str {
    text_of(args.get(index)).unwrap_or_default()
}

fn text_of(datum: Option<&Datum>) -> Option<&str> {
    match datum {
        Some(Datum::Text(text)) => Some(text),
        Some(Datum::Null | Datum::Int(_) | Datum::Float(_) | Datum::Bytes(_)) | None => None,
    }
}

fn value_arg(args: &[Datum], index: usize, ty: PgType) -> Datum {
    stored(args.get(index).cloned().unwrap_or(Datum::Null), ty)
}

/// A value as SQLite passed it, of which only this code knows the type: NaN travels as a text.
fn stored(value: Datum, ty: PgType) -> Datum {
    let is_float = matches!(ty, PgType::FLOAT4 | PgType::FLOAT8);
    match &value {
        Datum::Text(text) if is_float && text == "NaN" => Datum::Float(f64::NAN),
        Datum::Null | Datum::Int(_) | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_) => value,
    }
}

/// Reads a text form.
fn read(call: &Call<'_>, ty: PgType, text: &str) -> Result<Datum, PgError> {
    Ok(datum::text_in(ty, text, &call.names(), call.style())?)
}

/// Writes a text form.
fn write(call: &Call<'_>, ty: PgType, value: &Datum) -> Result<String, PgError> {
    let mut out = String::new();
    datum::text_out(ty, value, &call.names(), call.style(), &mut out)?;
    Ok(out)
}

fn input(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    read(call, type_arg(args, 0), text_arg(args, 1))
}

fn output(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = type_arg(args, 0);
    Ok(Datum::Text(write(call, ty, &value_arg(args, 1, ty))?))
}

fn fit(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = type_arg(args, 0);
    let typmod = i32::try_from(int_arg(args, 1)).unwrap_or(-1);
    let explicit = int_arg(args, 2) != 0;
    Ok(datum::apply_typmod(
        ty,
        typmod,
        value_arg(args, 3, ty),
        explicit,
    )?)
}

fn raise(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    // The one error that the binder leaves for when rows are there.
    Err(PgError::error("21000", text_arg(args, 1)))
}

/// A record's text form, of its fields' text forms.
fn row(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut out = String::from("(");
    for (index, field) in args.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let Some(text) = text_of(Some(field)) else {
            continue;
        };
        let quote = text.is_empty()
            || text.contains(|c: char| {
                matches!(c, '"' | '\\' | '(' | ')' | ',') || c.is_ascii_whitespace() || c == '\x0b'
            });
        if !quote {
            out.push_str(text);
            continue;
        }
        out.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                out.push(character);
            }
            out.push(character);
        }
        out.push('"');
    }
    out.push(')');
    Ok(Datum::Text(out))
}
