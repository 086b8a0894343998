//! Arithmetic of `numeric`.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, Signed, Zero};

use super::args::{bool_datum, division_by_zero, int, numeric, numeric_datum};
use super::{Body, Call, Function as F};
use crate::datum::{Datum, Numeric, PgType as T, divide_to_scale};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        1724,
        "numeric_add",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(add),
    ),
    F::new(
        1725,
        "numeric_sub",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(subtract),
    ),
    F::new(
        1726,
        "numeric_mul",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(multiply),
    ),
    F::new(
        1727,
        "numeric_div",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(divide),
    ),
    F::new(
        1729,
        "numeric_mod",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(modulo),
    ),
    F::new(
        1728,
        "mod",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(modulo),
    ),
    F::new(
        1973,
        "div",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(whole_quotient),
    ),
    F::new(
        1771,
        "numeric_uminus",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(negate),
    ),
    F::new(
        1704,
        "numeric_abs",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(absolute),
    ),
    F::new(
        1705,
        "abs",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(absolute),
    ),
    F::new(
        1739,
        "numeric_power",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(power),
    ),
    F::new(
        2169,
        "power",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(power),
    ),
    F::new(
        1738,
        "pow",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(power),
    ),
    F::new(
        1731,
        "numeric_sqrt",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(square_root),
    ),
    F::new(
        1730,
        "sqrt",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(square_root),
    ),
    F::new(
        1733,
        "numeric_exp",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(no_series),
    ),
    F::new(
        1732,
        "exp",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(no_series),
    ),
    F::new(
        1734,
        "ln",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(no_series),
    ),
    F::new(
        1741,
        "log",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(no_series),
    ),
    F::new(
        1736,
        "log",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(no_series),
    ),
    F::new(
        1711,
        "ceil",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(ceiling),
    ),
    F::new(
        2167,
        "ceiling",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(ceiling),
    ),
    F::new(
        1712,
        "floor",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(floor),
    ),
    F::new(
        1708,
        "round",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(round),
    ),
    F::new(
        1707,
        "round",
        &[T::NUMERIC, T::INT4],
        T::NUMERIC,
        Body::Scalar(round),
    ),
    F::new(
        1710,
        "trunc",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(truncate),
    ),
    F::new(
        1709,
        "trunc",
        &[T::NUMERIC, T::INT4],
        T::NUMERIC,
        Body::Scalar(truncate),
    ),
    F::new(1706, "sign", &[T::NUMERIC], T::NUMERIC, Body::Scalar(sign)),
    F::new(3281, "scale", &[T::NUMERIC], T::INT4, Body::Scalar(scale)),
    F::new(
        5042,
        "min_scale",
        &[T::NUMERIC],
        T::INT4,
        Body::Scalar(min_scale),
    ),
    F::new(
        5043,
        "trim_scale",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Scalar(trim_scale),
    ),
    F::new(
        1718,
        "numeric_eq",
        &[T::NUMERIC, T::NUMERIC],
        T::BOOL,
        Body::Scalar(eq),
    ),
    F::new(
        1719,
        "numeric_ne",
        &[T::NUMERIC, T::NUMERIC],
        T::BOOL,
        Body::Scalar(ne),
    ),
    F::new(
        1722,
        "numeric_lt",
        &[T::NUMERIC, T::NUMERIC],
        T::BOOL,
        Body::Scalar(lt),
    ),
    F::new(
        1723,
        "numeric_le",
        &[T::NUMERIC, T::NUMERIC],
        T::BOOL,
        Body::Scalar(le),
    ),
    F::new(
        1720,
        "numeric_gt",
        &[T::NUMERIC, T::NUMERIC],
        T::BOOL,
        Body::Scalar(gt),
    ),
    F::new(
        1721,
        "numeric_ge",
        &[T::NUMERIC, T::NUMERIC],
        T::BOOL,
        Body::Scalar(ge),
    ),
    F::new(
        1769,
        "numeric_cmp",
        &[T::NUMERIC, T::NUMERIC],
        T::INT4,
        Body::Scalar(cmp),
    ),
];

fn add(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(&numeric(args, 0)?.add(&numeric(args, 1)?)?))
}

fn subtract(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(
        &numeric(args, 0)?.subtract(&numeric(args, 1)?)?,
    ))
}

fn multiply(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(
        &numeric(args, 0)?.multiply(&numeric(args, 1)?)?,
    ))
}

fn divide(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let quotient = numeric(args, 0)?.divide(&numeric(args, 1)?)?;
    quotient
        .map(|found| numeric_datum(&found))
        .ok_or_else(division_by_zero)
}

fn modulo(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let rest = numeric(args, 0)?.modulo(&numeric(args, 1)?)?;
    rest.map(|found| numeric_datum(&found))
        .ok_or_else(division_by_zero)
}

fn whole_quotient(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    match (numeric(args, 0)?, numeric(args, 1)?) {
        (Numeric::Finite(_), Numeric::Finite(b)) if b.is_zero() => Err(division_by_zero()),
        (Numeric::Finite(a), Numeric::Finite(b)) => {
            let exact = Numeric::Finite(a.clone()).modulo(&Numeric::Finite(b.clone()))?;
            let Some(Numeric::Finite(rest)) = exact else {
                return Err(division_by_zero());
            };
            Ok(numeric_datum(&Numeric::of(divide_to_scale(
                &(a - rest),
                &b,
                0,
            ))?))
        }
        (a, b) => {
            let quotient = a.divide(&b)?.ok_or_else(division_by_zero)?;
            Ok(numeric_datum(&quotient))
        }
    }
}

fn negate(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(&numeric(args, 0)?.negate()))
}

fn absolute(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let value = numeric(args, 0)?;
    let negative = match &value {
        Numeric::Finite(number) => number.is_negative(),
        Numeric::NegativeInfinity => true,
        Numeric::NaN | Numeric::Infinity => false,
    };
    Ok(numeric_datum(&if negative {
        value.negate()
    } else {
        value
    }))
}

fn rounded(args: &[Datum], mode: RoundingMode) -> Result<Datum, PgError> {
    let scale = if args.len() > 1 { int(args, 1)? } else { 0 };
    Ok(numeric_datum(&numeric(args, 0)?.round(scale, mode)))
}

fn round(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    rounded(args, RoundingMode::HalfUp)
}

fn truncate(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    rounded(args, RoundingMode::Down)
}

fn ceiling(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    rounded(args, RoundingMode::Ceiling)
}

fn floor(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    rounded(args, RoundingMode::Floor)
}

fn sign(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(&match numeric(args, 0)? {
        Numeric::NaN => Numeric::NaN,
        Numeric::Infinity => Numeric::from_int(1),
        Numeric::NegativeInfinity => Numeric::from_int(-1),
        Numeric::Finite(number) if number.is_zero() => Numeric::from_int(0),
        Numeric::Finite(number) => Numeric::from_int(if number.is_negative() { -1 } else { 1 }),
    }))
}

fn scale(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(match numeric(args, 0)? {
        Numeric::Finite(number) => Datum::Int(number.fractional_digit_count()),
        Numeric::NaN | Numeric::Infinity | Numeric::NegativeInfinity => Datum::Null,
    })
}

/// Without the zeros at the end of its fraction.
fn trimmed(number: &BigDecimal) -> BigDecimal {
    let normal = number.normalized();
    if normal.fractional_digit_count() < 0 {
        normal.with_scale(0)
    } else {
        normal
    }
}

fn min_scale(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(match numeric(args, 0)? {
        Numeric::Finite(number) => Datum::Int(trimmed(&number).fractional_digit_count()),
        Numeric::NaN | Numeric::Infinity | Numeric::NegativeInfinity => Datum::Null,
    })
}

fn trim_scale(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(&match numeric(args, 0)? {
        Numeric::Finite(number) => Numeric::Finite(trimmed(&number)),
        other @ (Numeric::NaN | Numeric::Infinity | Numeric::NegativeInfinity) => other,
    }))
}

/// Powers of a whole exponent are exact; others would need logarithms of any length.
fn power(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (base, exponent) = (numeric(args, 0)?, numeric(args, 1)?);
    let whole = exponent == exponent.round(0, RoundingMode::Down);
    let (Numeric::Finite(number), Some(times), true) = (&base, exponent.to_int(), whole) else {
        return Err(PgError::unsupported(
            "this power of a numeric is not supported",
        ));
    };
    if number.is_zero() {
        return match times {
            ..0 => Err(PgError::error(
                "2201F",
                "zero raised to a negative power is undefined",
            )),
            0 => Ok(numeric_datum(&Numeric::of(
                BigDecimal::from(1).with_scale(16),
            )?)),
            1.. => Ok(numeric_datum(&Numeric::of(
                BigDecimal::zero().with_scale(16),
            )?)),
        };
    }
    let digits = number
        .abs()
        .to_string()
        .parse::<f64>()
        .map_or(0.0, f64::log10);
    #[allow(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation
    )]
    let magnitude = (digits * times as f64) as i64;
    if magnitude > 131_072 {
        return Err(PgError::error("22003", "value overflows numeric format"));
    }
    let scale = number
        .fractional_digit_count()
        .max(exponent.scale())
        .clamp(16, 1000);
    let times_abs = u32::try_from(times.unsigned_abs())
        .ok()
        .filter(|times| u64::from(*times) * number.digits() < 1_000_000)
        .ok_or_else(|| PgError::unsupported("this power of a numeric is not supported"))?;
    let (digits, digit_scale) = number.as_bigint_and_exponent();
    let exact = BigDecimal::new(digits.pow(times_abs), digit_scale * i64::from(times_abs));
    let result = if times < 0 {
        divide_to_scale(&BigDecimal::from(1), &exact, scale)
    } else {
        exact.with_scale_round(scale, RoundingMode::HalfUp)
    };
    Ok(numeric_datum(&Numeric::of(result)?))
}

fn square_root(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let number = match numeric(args, 0)? {
        Numeric::Finite(number) if !number.is_negative() => number,
        Numeric::Finite(_) | Numeric::NegativeInfinity => {
            let message = "cannot take square root of a negative number";
            return Err(PgError::error("2201F", message));
        }
        other @ (Numeric::NaN | Numeric::Infinity) => return Ok(numeric_datum(&other)),
    };
    // As many significant digits as a division gives: 16, counted in groups of four.
    let whole = i64::try_from(number.digits()).unwrap_or(0) - number.fractional_digit_count();
    let weight = (whole - 1).div_euclid(4);
    let before = if number.is_zero() { 1 } else { weight * 2 + 1 };
    let scale = (16 - before)
        .max(number.fractional_digit_count())
        .clamp(0, 1000);
    let (digits, _) = number.with_scale(2 * (scale + 1)).into_bigint_and_scale();
    let root: BigInt = digits.sqrt();
    let root = BigDecimal::new(root, scale + 1).with_scale_round(scale, RoundingMode::HalfUp);
    Ok(numeric_datum(&Numeric::of(root)?))
}

fn no_series(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let message = "logarithms of numeric are not supported";
    Err(PgError::unsupported(message).with_hint("Cast the argument to double precision."))
}

macro_rules! compare {
    ($($name:ident = $test:ident;)*) => {
        $(fn $name(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
            Ok(bool_datum(numeric(args, 0)?.cmp(&numeric(args, 1)?).$test()))
        })*
    };
}

compare! {
    eq = is_eq;
    ne = is_ne;
    lt = is_lt;
    le = is_le;
    gt = is_gt;
    ge = is_ge;
}

fn cmp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let order = numeric(args, 0)?.cmp(&numeric(args, 1)?);
    Ok(Datum::Int(match order {
        std::cmp::Ordering::Less => -1,
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Greater => 1,
    }))
}
