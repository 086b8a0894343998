//! `+ - * / %` and signs, with PostgreSQL's ranges.

use crate::datum::{DatumError, Numeric, PgType, check_date, is_infinite};

use super::EvaluationError;
use super::value::{Value, misplaced};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

impl Sign {
    pub(super) fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "+" => Self::Plus,
            "-" => Self::Minus,
            "*" => Self::Times,
            "/" => Self::Over,
            "%" => Self::Modulo,
            _ => return None,
        })
    }
}

/// The type of `left sign right`; `None` if there is no such operation.
pub(super) fn result(sign: Sign, left: PgType, right: PgType) -> Option<PgType> {
    match (left, sign, right) {
        (PgType::DATE, Sign::Plus | Sign::Minus, PgType::INT4)
        | (PgType::INT4, Sign::Plus, PgType::DATE) => return Some(PgType::DATE),
        (PgType::DATE, Sign::Minus, PgType::DATE) => return Some(PgType::INT4),
        _ => {}
    }
    let rank = |ty: PgType| PgType::NUMBERS.iter().position(|number| *number == ty);
    let widest = if rank(left)? < rank(right)? {
        right
    } else {
        left
    };
    let is_float = |ty| matches!(ty, PgType::FLOAT4 | PgType::FLOAT8);
    let is_numeric = |ty| ty == PgType::NUMERIC;
    let alike = is_float(left) == is_float(right) && is_numeric(left) == is_numeric(right);
    (alike && (sign != Sign::Modulo || !is_float(widest))).then_some(widest)
}

/// Whether a value of `ty` may have a sign before it.
pub(super) fn is_number(ty: PgType) -> bool {
    PgType::NUMBERS.contains(&ty)
}

/// `left sign right`, none of them NULL, as a value of `ty`.
pub(super) fn compute(
    sign: Sign,
    ty: PgType,
    left: &Value<'_>,
    right: &Value<'_>,
    is_date: (bool, bool),
) -> Result<Value<'static>, EvaluationError> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => match is_date {
            (false, false) => integers(sign, ty, *left, *right).map(Value::Int),
            (true, true) => days_between(*left, *right).map(Value::Int),
            (true, false) => days_from(*left, *right, sign).map(Value::Int),
            (false, true) => days_from(*right, *left, sign).map(Value::Int),
        },
        (Value::Float(left), Value::Float(right)) => {
            floats(sign, ty, *left, *right).map(Value::Float)
        }
        (Value::Numeric(left), Value::Numeric(right)) => {
            let found = match sign {
                Sign::Plus => left.add(right)?,
                Sign::Minus => left.subtract(right)?,
                Sign::Times => left.multiply(right)?,
                Sign::Over => divided(left.divide(right)?)?,
                Sign::Modulo => divided(left.modulo(right)?)?,
            };
            Ok(Value::Numeric(found))
        }
        _ => Err(misplaced("the operands of an operation").into()),
    }
}

/// `- value`, which is not NULL.
pub(super) fn negate(ty: PgType, value: &Value<'_>) -> Result<Value<'static>, EvaluationError> {
    match value {
        Value::Int(value) => integers(Sign::Minus, ty, 0, *value).map(Value::Int),
        Value::Float(value) => Ok(Value::Float(-value)),
        Value::Numeric(value) => Ok(Value::Numeric(value.negate())),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => {
            Err(misplaced("the operand of a sign").into())
        }
    }
}

fn divided(quotient: Option<Numeric>) -> Result<Numeric, EvaluationError> {
    quotient.ok_or(EvaluationError::DivisionByZero)
}

fn integers(sign: Sign, ty: PgType, left: i64, right: i64) -> Result<i64, EvaluationError> {
    let found = match sign {
        Sign::Plus => left.checked_add(right),
        Sign::Minus => left.checked_sub(right),
        Sign::Times => left.checked_mul(right),
        Sign::Over | Sign::Modulo if right == 0 => return Err(EvaluationError::DivisionByZero),
        Sign::Over => left.checked_div(right),
        // What is left of the smallest number divided by -1 is nothing, and no overflow.
        Sign::Modulo => Some(left.wrapping_rem(right)),
    };
    found.map_or_else(|| Err(out_of_range(ty)), |found| fitted(ty, found))
}

/// `value` as an integer of `ty`.
pub(super) fn fitted(ty: PgType, value: i64) -> Result<i64, EvaluationError> {
    let fits = match ty {
        PgType::INT2 => i16::try_from(value).is_ok(),
        PgType::INT4 => i32::try_from(value).is_ok(),
        _ => true,
    };
    if fits {
        Ok(value)
    } else {
        Err(out_of_range(ty))
    }
}

/// An integer does not fit.
pub(super) fn out_of_range(ty: PgType) -> EvaluationError {
    EvaluationError::OutOfRange(format!("{} out of range", integer_name(ty)))
}

/// What an error calls a type of integers.
pub(super) const fn integer_name(ty: PgType) -> &'static str {
    match ty {
        PgType::INT2 => "smallint",
        PgType::INT4 => "integer",
        _ => "bigint",
    }
}

fn floats(sign: Sign, ty: PgType, left: f64, right: f64) -> Result<f64, EvaluationError> {
    let exact = match sign {
        Sign::Plus => left + right,
        Sign::Minus => left - right,
        Sign::Times => left * right,
        Sign::Over if right == 0.0 && !left.is_nan() => {
            return Err(EvaluationError::DivisionByZero);
        }
        Sign::Over => left / right,
        Sign::Modulo => return Err(misplaced("the operands of an operation").into()),
    };
    let found = if ty == PgType::FLOAT4 {
        single(exact)
    } else {
        exact
    };
    let was_infinite = match sign {
        Sign::Over => left.is_infinite(),
        Sign::Plus | Sign::Minus | Sign::Times | Sign::Modulo => {
            left.is_infinite() || right.is_infinite()
        }
    };
    if found.is_infinite() && !was_infinite {
        return Err(overflow());
    }
    let was_zero = match sign {
        Sign::Plus | Sign::Minus | Sign::Modulo => true,
        Sign::Times => left == 0.0 || right == 0.0,
        Sign::Over => left == 0.0 || right.is_infinite(),
    };
    if found == 0.0 && !was_zero {
        return Err(underflow());
    }
    Ok(found)
}

/// The nearest single, as a double.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)] // rounds as it should
pub(super) fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

pub(super) fn overflow() -> EvaluationError {
    EvaluationError::OutOfRange("value out of range: overflow".to_owned())
}

pub(super) fn underflow() -> EvaluationError {
    EvaluationError::OutOfRange("value out of range: underflow".to_owned())
}

fn days_between(left: i64, right: i64) -> Result<i64, EvaluationError> {
    if is_infinite(left) || is_infinite(right) {
        return Err(EvaluationError::DateOutOfRange(
            "cannot subtract infinite dates",
        ));
    }
    Ok(left - right)
}

fn days_from(date: i64, days: i64, sign: Sign) -> Result<i64, EvaluationError> {
    if is_infinite(date) {
        return Ok(date);
    }
    let found = if sign == Sign::Minus {
        date - days
    } else {
        date + days
    };
    check_date(found).map_err(|_: DatumError| EvaluationError::DateOutOfRange("date out of range"))
}
