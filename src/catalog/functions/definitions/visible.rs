//! Whether a name is found without its schema.

use crate::catalog::functions::args::{bool_datum, oid};
use crate::catalog::functions::{Body, Call, Function as F, by_oid};
use crate::datum::{Datum, PgType as T, info};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
];

pub(super) fn or_null_bool(value: Option<bool>) -> Datum {
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
