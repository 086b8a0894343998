//! Arguments as the bodies of functions take them, and the errors that many of them tell.

use crate::datum::{Array, Datum, Interval, Numeric, parse_stored_array, write_array};
use crate::pgerror::PgError;

fn mismatch(at: usize) -> PgError {
    PgError::error("XX000", format!("argument {at} is not in its stored form"))
}

/// Whether an argument is NULL, or not there.
pub(super) fn is_null(args: &[Datum], at: usize) -> bool {
    matches!(args.get(at), None | Some(Datum::Null))
}

/// What is kept as an integer.
pub(super) fn int(args: &[Datum], at: usize) -> Result<i64, PgError> {
    match args.get(at) {
        Some(Datum::Int(value)) => Ok(*value),
        Some(_) | None => Err(mismatch(at)),
    }
}

/// A float, which SQLite may have made an integer.
#[allow(clippy::as_conversions, clippy::cast_precision_loss)]
pub(super) fn float(args: &[Datum], at: usize) -> Result<f64, PgError> {
    match args.get(at) {
        Some(Datum::Float(value)) => Ok(*value),
        Some(Datum::Int(value)) => Ok(*value as f64),
        Some(_) | None => Err(mismatch(at)),
    }
}

/// A bool.
pub(super) fn boolean(args: &[Datum], at: usize) -> Result<bool, PgError> {
    int(args, at).map(|value| value != 0)
}

/// An OID.
pub(super) fn oid(args: &[Datum], at: usize) -> Result<u32, PgError> {
    u32::try_from(int(args, at)?).map_err(|_| mismatch(at))
}

/// What is kept as text.
pub(super) fn text(args: &[Datum], at: usize) -> Result<&str, PgError> {
    match args.get(at) {
        Some(Datum::Text(value)) => Ok(value),
        Some(_) | None => Err(mismatch(at)),
    }
}

/// What is kept as text, or NULL.
pub(super) fn text_or_null(args: &[Datum], at: usize) -> Result<Option<&str>, PgError> {
    if is_null(args, at) {
        Ok(None)
    } else {
        text(args, at).map(Some)
    }
}

/// A bytea.
pub(super) fn bytes(args: &[Datum], at: usize) -> Result<&[u8], PgError> {
    match args.get(at) {
        Some(Datum::Bytes(value)) => Ok(value),
        Some(_) | None => Err(mismatch(at)),
    }
}

/// A numeric.
pub(super) fn numeric(args: &[Datum], at: usize) -> Result<Numeric, PgError> {
    match args.get(at) {
        Some(Datum::Int(value)) => Ok(Numeric::from_int(*value)),
        _ => Ok(Numeric::parse(text(args, at)?)?),
    }
}

/// An interval.
pub(super) fn interval(args: &[Datum], at: usize) -> Result<Interval, PgError> {
    Interval::from_stored(text(args, at)?).ok_or_else(|| mismatch(at))
}

/// An array, or a vector.
pub(super) fn array(args: &[Datum], at: usize) -> Result<Array, PgError> {
    Ok(parse_stored_array(text(args, at)?, ',')?)
}

/// An array of one dimension as a value.
pub(super) fn array_of(elements: Vec<Option<String>>) -> Datum {
    array_datum(&Array::of(elements))
}

/// An array as a value.
pub(super) fn array_datum(array: &Array) -> Datum {
    let mut out = String::new();
    write_array(array, ',', &mut out);
    Datum::Text(out)
}

/// Text as a value.
pub(super) fn text_datum(text: impl Into<String>) -> Datum {
    Datum::Text(text.into())
}

/// A number as a value.
pub(super) fn numeric_datum(number: &Numeric) -> Datum {
    Datum::Text(number.to_string())
}

/// A bool as a value.
pub(super) fn bool_datum(value: bool) -> Datum {
    Datum::Int(value.into())
}

/// How many, as a value.
pub(super) fn count_datum(count: usize) -> Datum {
    Datum::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// `NULL` for `None`.
pub(super) fn or_null(value: Option<impl Into<String>>) -> Datum {
    value.map_or(Datum::Null, text_datum)
}

/// 22012
pub(super) fn division_by_zero() -> PgError {
    PgError::error("22012", "division by zero")
}

/// 22003: `integer out of range`
pub(super) fn out_of_range(type_name: &str) -> PgError {
    PgError::error("22003", format!("{type_name} out of range"))
}

/// 22023
pub(super) fn invalid(message: impl Into<String>) -> PgError {
    PgError::error("22023", message)
}
