//! Stored forms into SQLite's values and back.
//!
//! SQLite has no NaN (it makes NULL of it), so NaN travels as the text `NaN`: it is equal to
//! itself then and above every number, which is what PostgreSQL says of it.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use super::super::functions::Function;
use crate::datum::{Datum, PgType};

const NAN: &str = "NaN";

/// A stored form as SQLite takes it, borrowed.
pub(super) fn to_sqlite(datum: &Datum) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match datum {
        Datum::Null => ValueRef::Null,
        Datum::Int(number) => ValueRef::Integer(*number),
        Datum::Float(number) if number.is_nan() => ValueRef::Text(NAN.as_bytes()),
        Datum::Float(number) => ValueRef::Real(*number),
        Datum::Text(text) => ValueRef::Text(text.as_bytes()),
        Datum::Bytes(bytes) => ValueRef::Blob(bytes),
    })
}

/// The same, owned: for the answers of functions.
pub(super) fn into_sqlite(datum: Datum) -> Value {
    match datum {
        Datum::Null => Value::Null,
        Datum::Int(number) => Value::Integer(number),
        Datum::Float(number) if number.is_nan() => Value::Text(NAN.to_owned()),
        Datum::Float(number) => Value::Real(number),
        Datum::Text(text) => Value::Text(text),
        Datum::Bytes(bytes) => Value::Blob(bytes),
    }
}

/// The stored form of what SQLite has as a value of the type `ty`.
pub(super) fn from_sqlite(value: ValueRef<'_>, ty: PgType) -> Datum {
    let datum = match value {
        ValueRef::Null => Datum::Null,
        ValueRef::Integer(number) => Datum::Int(number),
        ValueRef::Real(number) => Datum::Float(number),
        ValueRef::Text(text) => Datum::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Datum::Bytes(bytes.to_vec()),
    };
    typed(datum, ty)
}

/// The same into a value that is there already, whose memory is used again.
pub(super) fn refill(datum: &mut Datum, value: ValueRef<'_>, ty: PgType) {
    match (&mut *datum, value) {
        (Datum::Text(kept), ValueRef::Text(bytes)) if !is_float(ty) => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                kept.clear();
                kept.push_str(text);
                return;
            }
        }
        (Datum::Bytes(kept), ValueRef::Blob(bytes)) => {
            kept.clear();
            kept.extend_from_slice(bytes);
            return;
        }
        _ => {}
    }
    *datum = from_sqlite(value, ty);
}

/// An integer as the nearest double.
fn widened(number: i64) -> f64 {
    #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
    let widened = number as f64;
    widened
}

/// The type of a function's argument; the last one of a variadic function collects the rest.
pub(super) fn arg_type(function: &Function, index: usize) -> PgType {
    let declared = function.args.get(index).or_else(|| function.args.last());
    declared.copied().unwrap_or(PgType::UNKNOWN)
}

/// The same value, read as one of the type `ty`.
pub(super) fn typed(datum: Datum, ty: PgType) -> Datum {
    match datum {
        Datum::Int(number) if is_float(ty) => Datum::Float(widened(number)),
        Datum::Text(text) if is_float(ty) && text == NAN => Datum::Float(f64::NAN),
        datum @ (Datum::Null
        | Datum::Int(_)
        | Datum::Float(_)
        | Datum::Text(_)
        | Datum::Bytes(_)) => datum,
    }
}

fn is_float(ty: PgType) -> bool {
    ty == PgType::FLOAT8 || ty == PgType::FLOAT4
}
