//! Comments on objects, and encodings by name and number.

use crate::catalog::functions::args::{int, text, text_datum, text_or_null};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::catalog::views::{find, rows_of};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
];

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
