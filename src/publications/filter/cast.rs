//! Casts that depend on nothing but the value.

use std::borrow::Cow;

use crate::datum::{DAY_US, Numeric, PgType, cut_name, is_infinite};

use super::EvaluationError;
use super::arithmetic::{fitted, integer_name, out_of_range, overflow, single, underflow};
use super::order::unpadded;
use super::value::{Value, misplaced};

/// Whether a filter may cast `from` to `to`.
pub(super) fn is_allowed(from: PgType, to: PgType) -> bool {
    let both = |types: &[PgType]| types.contains(&from) && types.contains(&to);
    if from == to || both(PgType::NUMBERS) || both(PgType::STRINGS) {
        return true;
    }
    matches!(
        (from, to),
        (
            PgType::BOOL,
            PgType::INT4 | PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR
        ) | (PgType::INT4, PgType::BOOL | PgType::OID)
            | (PgType::INT2 | PgType::INT8, PgType::OID)
            | (PgType::OID, PgType::INT4 | PgType::INT8)
            | (PgType::DATE, PgType::TIMESTAMP)
            | (PgType::TIMESTAMP, PgType::DATE | PgType::TIME)
    )
}

/// `value`, which is not NULL, of the type `from` as a value of `to`.
pub(super) fn cast(
    value: Value<'_>,
    from: PgType,
    to: PgType,
) -> Result<Value<'_>, EvaluationError> {
    if from == to {
        return Ok(value);
    }
    match value {
        Value::Null => Ok(Value::Null),
        Value::Bool(value) if to == PgType::INT4 => Ok(Value::Int(value.into())),
        Value::Bool(value) => Ok(Value::Text(Cow::Borrowed(if value {
            "true"
        } else {
            "false"
        }))),
        Value::Int(value) => integer(value, from, to),
        Value::Float(value) => float(value, from, to),
        Value::Numeric(value) => numeric(&value, to),
        Value::Text(text) => Ok(Value::Text(string(text, from, to))),
        Value::Bytes(_) => Err(misplaced("the operand of a cast").into()),
    }
}

fn integer(value: i64, from: PgType, to: PgType) -> Result<Value<'static>, EvaluationError> {
    let found = match (from, to) {
        (_, PgType::BOOL) => return Ok(Value::Bool(value != 0)),
        (_, PgType::NUMERIC) => return Ok(Value::Numeric(Numeric::from_int(value))),
        (_, PgType::FLOAT8) => return Ok(Value::Float(double(value))),
        (_, PgType::FLOAT4) => return Ok(Value::Float(nearest_single(value))),
        (PgType::INT8, PgType::OID) => u32::try_from(value)
            .map(i64::from)
            .map_err(|_| EvaluationError::OutOfRange("OID out of range".to_owned()))?,
        // The bits stay.
        (_, PgType::OID) if value < 0 => value + (1 << 32),
        (PgType::OID, PgType::INT4) if value > i32::MAX.into() => value - (1 << 32),
        (PgType::DATE | PgType::TIMESTAMP, _) if to != PgType::TIME && is_infinite(value) => value,
        (PgType::DATE, PgType::TIMESTAMP) => midnight(value)?,
        (PgType::TIMESTAMP, PgType::DATE) => value.div_euclid(DAY_US),
        (PgType::TIMESTAMP, PgType::TIME) if is_infinite(value) => return Ok(Value::Null),
        (PgType::TIMESTAMP, PgType::TIME) => value.rem_euclid(DAY_US),
        _ => fitted(to, value)?,
    };
    Ok(Value::Int(found))
}

/// The timestamp at which a date begins.
fn midnight(date: i64) -> Result<i64, EvaluationError> {
    let error = EvaluationError::DateOutOfRange("date out of range for timestamp");
    date.checked_mul(DAY_US).ok_or(error)
}

#[allow(clippy::as_conversions, clippy::cast_precision_loss)] // rounds as it should
fn double(value: i64) -> f64 {
    value as f64
}

#[allow(clippy::as_conversions, clippy::cast_precision_loss)] // rounds as it should
fn nearest_single(value: i64) -> f64 {
    f64::from(value as f32)
}

fn float(value: f64, from: PgType, to: PgType) -> Result<Value<'static>, EvaluationError> {
    match to {
        PgType::FLOAT8 => Ok(Value::Float(value)),
        PgType::FLOAT4 => {
            let found = single(value);
            if found.is_infinite() && !value.is_infinite() {
                return Err(overflow());
            }
            if found == 0.0 && value != 0.0 {
                return Err(underflow());
            }
            Ok(Value::Float(found))
        }
        PgType::NUMERIC => {
            let digits = if from == PgType::FLOAT4 { 6 } else { 15 };
            Ok(Value::Numeric(Numeric::from_float(value, digits)?))
        }
        _ => {
            let rounded = value.round_ties_even();
            // Both ends are exact as doubles; the upper one is the first that does not fit.
            let (low, high) = (-9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0);
            if !(low..high).contains(&rounded) {
                return Err(out_of_range(to));
            }
            #[allow(clippy::as_conversions, clippy::cast_possible_truncation)] // it fits
            let whole = rounded as i64;
            fitted(to, whole).map(Value::Int)
        }
    }
}

fn numeric(value: &Numeric, to: PgType) -> Result<Value<'static>, EvaluationError> {
    if matches!(to, PgType::FLOAT4 | PgType::FLOAT8) {
        return Ok(Value::read(to, &value.to_string())?.into_owned());
    }
    let name = integer_name(to);
    let what = match value {
        Numeric::NaN => "NaN",
        Numeric::Infinity | Numeric::NegativeInfinity => "infinity",
        Numeric::Finite(_) => {
            let whole = value.to_int().ok_or_else(|| out_of_range(to))?;
            return fitted(to, whole).map(Value::Int);
        }
    };
    let message = format!("cannot convert {what} to {name}");
    Err(EvaluationError::NotANumber(message))
}

fn string(text: Cow<'_, str>, from: PgType, to: PgType) -> Cow<'_, str> {
    match (from, to) {
        (PgType::BPCHAR, PgType::NAME) => {
            let len = unpadded(cut_name(&text)).len();
            shortened(text, len)
        }
        (_, PgType::NAME) => {
            let len = cut_name(&text).len();
            shortened(text, len)
        }
        (PgType::BPCHAR, _) => {
            let len = unpadded(&text).len();
            shortened(text, len)
        }
        _ => text,
    }
}

/// The first `len` bytes.
fn shortened(text: Cow<'_, str>, len: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..len).unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    }
}
