//! LIMIT and OFFSET whose number is known only when the query runs.

use crate::catalog::functions::{Body, Call, Function};
use crate::datum::{Datum, PgType};
use crate::pgerror::PgError;

/// `limit(n)`: no limit for NULL.
pub(super) const LIMIT: &str = "f_9950";
/// `offset(n)`: nothing skipped for NULL.
pub(super) const OFFSET: &str = "f_9951";

/// The functions, in a schema that no query can name.
pub(in crate::catalog) const FUNCTIONS: &[Function] = &[
    Function::new(
        9950,
        "limit",
        &[PgType::INT8],
        PgType::INT8,
        Body::Scalar(limit),
    )
    .lax()
    .schema(""),
    Function::new(
        9951,
        "offset",
        &[PgType::INT8],
        PgType::INT8,
        Body::Scalar(offset),
    )
    .lax()
    .schema(""),
];

fn limit(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    match args {
        [Datum::Int(count)] if *count < 0 => {
            Err(PgError::error("2201W", "LIMIT must not be negative"))
        }
        [count @ Datum::Int(_)] => Ok(count.clone()),
        _ => Ok(Datum::Int(-1)),
    }
}

fn offset(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    match args {
        [Datum::Int(count)] if *count < 0 => {
            Err(PgError::error("2201X", "OFFSET must not be negative"))
        }
        [count @ Datum::Int(_)] => Ok(count.clone()),
        _ => Ok(Datum::Int(0)),
    }
}
