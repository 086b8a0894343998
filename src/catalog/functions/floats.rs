//! Arithmetic of floating point numbers.

use super::args::{division_by_zero, float};
use super::{Body, Call, Function as F};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        204,
        "float4pl",
        &[T::FLOAT4, T::FLOAT4],
        T::FLOAT4,
        Body::Scalar(float4pl),
    ),
    F::new(
        205,
        "float4mi",
        &[T::FLOAT4, T::FLOAT4],
        T::FLOAT4,
        Body::Scalar(float4mi),
    ),
    F::new(
        202,
        "float4mul",
        &[T::FLOAT4, T::FLOAT4],
        T::FLOAT4,
        Body::Scalar(float4mul),
    ),
    F::new(
        203,
        "float4div",
        &[T::FLOAT4, T::FLOAT4],
        T::FLOAT4,
        Body::Scalar(float4div),
    ),
    F::new(
        218,
        "float8pl",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(float8pl),
    ),
    F::new(
        219,
        "float8mi",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(float8mi),
    ),
    F::new(
        216,
        "float8mul",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(float8mul),
    ),
    F::new(
        217,
        "float8div",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(float8div),
    ),
    F::new(
        206,
        "float4um",
        &[T::FLOAT4],
        T::FLOAT4,
        Body::Scalar(negate),
    ),
    F::new(
        220,
        "float8um",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(negate),
    ),
    F::new(
        207,
        "float4abs",
        &[T::FLOAT4],
        T::FLOAT4,
        Body::Scalar(absolute),
    ),
    F::new(
        221,
        "float8abs",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(absolute),
    ),
    F::new(1394, "abs", &[T::FLOAT4], T::FLOAT4, Body::Scalar(absolute)),
    F::new(1395, "abs", &[T::FLOAT8], T::FLOAT8, Body::Scalar(absolute)),
    F::new(
        232,
        "dpow",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(power),
    ),
    F::new(
        1368,
        "power",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(power),
    ),
    F::new(
        1346,
        "pow",
        &[T::FLOAT8, T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(power),
    ),
    F::new(
        230,
        "dsqrt",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(square_root),
    ),
    F::new(
        1344,
        "sqrt",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(square_root),
    ),
    F::new(
        1345,
        "cbrt",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(cube_root),
    ),
    F::new(2308, "ceil", &[T::FLOAT8], T::FLOAT8, Body::Scalar(ceiling)),
    F::new(
        2320,
        "ceiling",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(ceiling),
    ),
    F::new(2309, "floor", &[T::FLOAT8], T::FLOAT8, Body::Scalar(floor)),
    F::new(1342, "round", &[T::FLOAT8], T::FLOAT8, Body::Scalar(round)),
    F::new(
        1343,
        "trunc",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(truncate),
    ),
    F::new(2310, "sign", &[T::FLOAT8], T::FLOAT8, Body::Scalar(sign)),
    F::new(
        1347,
        "exp",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(exponential),
    ),
    F::new(1341, "ln", &[T::FLOAT8], T::FLOAT8, Body::Scalar(logarithm)),
    F::new(
        1340,
        "log",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(logarithm10),
    ),
    F::new(1610, "pi", &[], T::FLOAT8, Body::Scalar(pi)),
    F::new(
        1608,
        "degrees",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(degrees),
    ),
    F::new(
        1609,
        "radians",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Scalar(radians),
    ),
    F::new(1604, "sin", &[T::FLOAT8], T::FLOAT8, Body::Scalar(sine)),
    F::new(1605, "cos", &[T::FLOAT8], T::FLOAT8, Body::Scalar(cosine)),
    F::new(1598, "random", &[], T::FLOAT8, Body::Scalar(random)).volatile(),
];

#[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// Refuses what became infinite, or zero, of operands that were not.
fn checked(value: f64, operands: &[f64], may_be_zero: bool) -> Result<Datum, PgError> {
    if value.is_infinite() && operands.iter().all(|operand| operand.is_finite()) {
        return Err(PgError::error("22003", "value out of range: overflow"));
    }
    if value == 0.0 && !may_be_zero {
        return Err(PgError::error("22003", "value out of range: underflow"));
    }
    Ok(Datum::Float(value))
}

/// Applies an operator over doubles or singles.
fn apply(args: &[Datum], is_single: bool, operator: char) -> Result<Datum, PgError> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    let (value, may_be_zero) = match operator {
        '+' => (a + b, true),
        '-' => (a - b, true),
        '*' => (a * b, a == 0.0 || b == 0.0),
        _ if b == 0.0 && !a.is_nan() => return Err(division_by_zero()),
        _ => (a / b, a == 0.0 || b.is_infinite()),
    };
    checked(
        if is_single { single(value) } else { value },
        &[a, b],
        may_be_zero,
    )
}

macro_rules! binary {
    ($($name:ident = $single:literal $operator:literal;)*) => {
        $(fn $name(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
            apply(args, $single, $operator)
        })*
    };
}

binary! {
    float4pl = true '+';
    float4mi = true '-';
    float4mul = true '*';
    float4div = true '/';
    float8pl = false '+';
    float8mi = false '-';
    float8mul = false '*';
    float8div = false '/';
}

macro_rules! unary {
    ($($name:ident = $apply:expr;)*) => {
        $(fn $name(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
            let apply: fn(f64) -> f64 = $apply;
            Ok(Datum::Float(apply(float(args, 0)?)))
        })*
    };
}

unary! {
    negate = |x| -x;
    absolute = f64::abs;
    cube_root = f64::cbrt;
    ceiling = f64::ceil;
    floor = f64::floor;
    round = f64::round_ties_even;
    truncate = f64::trunc;
    sign = |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { 0.0 };
    degrees = f64::to_degrees;
    radians = f64::to_radians;
    sine = f64::sin;
    cosine = f64::cos;
}

fn pi(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Float(std::f64::consts::PI))
}

fn exponential(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let x = float(args, 0)?;
    checked(x.exp(), &[x], x.is_infinite())
}

fn square_root(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let x = float(args, 0)?;
    if x < 0.0 {
        let message = "cannot take square root of a negative number";
        return Err(PgError::error("2201F", message));
    }
    Ok(Datum::Float(x.sqrt()))
}

fn positive(x: f64) -> Result<f64, PgError> {
    if x == 0.0 {
        return Err(PgError::error("2201E", "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        let message = "cannot take logarithm of a negative number";
        return Err(PgError::error("2201E", message));
    }
    Ok(x)
}

fn logarithm(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Float(positive(float(args, 0)?)?.ln()))
}

fn logarithm10(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Float(positive(float(args, 0)?)?.log10()))
}

fn power(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    if a == 0.0 && b < 0.0 {
        let message = "zero raised to a negative power is undefined";
        return Err(PgError::error("2201F", message));
    }
    if a < 0.0 && b.is_finite() && b.fract() != 0.0 {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(PgError::error("2201F", message));
    }
    checked(
        a.powf(b),
        &[a, b],
        a == 0.0 || a.is_infinite() || b.is_infinite(),
    )
}

/// At least 0 and below 1. Not for secrets.
fn random(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::sync::atomic::{AtomicU64, Ordering};

    static SEED: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let mut hasher = SEED.build_hasher();
    hasher.write_u64(DRAWN.fetch_add(1, Ordering::Relaxed));
    // 53 bits are what a double holds.
    #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
    let value = (hasher.finish() >> 11) as f64 / 9_007_199_254_740_992.0;
    Ok(Datum::Float(value))
}
