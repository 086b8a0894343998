//! `numeric`: decimal numbers of any length, with the scale that they were written with.

use std::cmp::Ordering;
use std::fmt;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode, Zero};

use super::DatumError;

/// Decimal digits in a digit of the binary form.
const GROUP: i64 = 4;
/// Most digits before the point.
const MAX_WEIGHT_DIGITS: i64 = 131_072;
/// Most digits after it.
const MAX_SCALE: i64 = 16_383;
/// What a division gives at least: significant digits, and at most: digits after the point.
const MIN_SIGNIFICANT: i64 = 16;
const MAX_DISPLAY_SCALE: i64 = 1_000;

/// A value of `numeric`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numeric {
    /// Not a number; equal to itself and greater than all else.
    NaN,
    /// Less than all else.
    NegativeInfinity,
    /// Greater than any number.
    Infinity,
    /// A number, with its scale.
    Finite(BigDecimal),
}

fn syntax(text: &str) -> DatumError {
    DatumError::syntax("numeric", text)
}

fn too_big() -> DatumError {
    DatumError::overflow("value overflows numeric format")
}

impl Numeric {
    /// Reads it as PostgreSQL does.
    pub fn parse(text: &str) -> Result<Self, DatumError> {
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let (negative, body) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, trimmed.get(1..).unwrap_or("")),
            Some(b'+') => (false, trimmed.get(1..).unwrap_or("")),
            Some(_) | None => (false, trimmed),
        };
        match body.to_ascii_lowercase().as_str() {
            "nan" if body.len() == trimmed.len() => return Ok(Self::NaN),
            "infinity" | "inf" if negative => return Ok(Self::NegativeInfinity),
            "infinity" | "inf" => return Ok(Self::Infinity),
            _ => {}
        }
        let (mantissa, exponent) = match body.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent, text)?),
            None => (body, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return Err(syntax(text));
        }
        let num_fraction = i64::try_from(fraction.len()).map_err(|_| too_big())?;
        let num_whole =
            i64::try_from(whole.trim_start_matches('0').len()).map_err(|_| too_big())?;
        let scale = num_fraction - exponent;
        if scale > MAX_SCALE || num_whole + exponent > MAX_WEIGHT_DIGITS {
            let digits = whole.bytes().chain(fraction.bytes());
            if scale > MAX_SCALE || digits.into_iter().any(|digit| digit != b'0') {
                return Err(too_big());
            }
        }
        let digits = format!("{whole}{fraction}");
        let mut number: BigInt = digits.parse().map_err(|_| syntax(text))?;
        if negative {
            number = -number;
        }
        if number.is_zero() {
            return Ok(Self::Finite(BigDecimal::new(number, scale.max(0))));
        }
        Self::of(BigDecimal::new(number, scale))
    }

    /// A number, with a scale of 0 at least; refused when it is too long.
    pub fn of(number: BigDecimal) -> Result<Self, DatumError> {
        let scale = number.fractional_digit_count();
        if scale > MAX_SCALE || digits_of(&number) - scale > MAX_WEIGHT_DIGITS {
            return Err(too_big());
        }
        Ok(Self::Finite(if scale < 0 {
            number.with_scale(0)
        } else {
            number
        }))
    }

    /// From an integer.
    #[must_use]
    pub fn from_int(value: i64) -> Self {
        Self::Finite(BigDecimal::from(value))
    }

    /// From a float, with the digits that PostgreSQL keeps: 15 of a double, 6 of a single.
    pub fn from_float(value: f64, digits: usize) -> Result<Self, DatumError> {
        if value.is_nan() {
            return Ok(Self::NaN);
        }
        if value.is_infinite() {
            return Ok(if value > 0.0 {
                Self::Infinity
            } else {
                Self::NegativeInfinity
            });
        }
        Self::parse(&super::float::general(value, digits))
    }

    /// The nearest float.
    #[must_use]
    pub fn to_float(&self) -> f64 {
        match self {
            Self::NaN => f64::NAN,
            Self::Infinity => f64::INFINITY,
            Self::NegativeInfinity => f64::NEG_INFINITY,
            Self::Finite(number) => number.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The nearest integer, halves away from zero; `None` when it is not one or does not fit.
    #[must_use]
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Self::Finite(number) => {
                let rounded = number.with_scale_round(0, RoundingMode::HalfUp);
                let (digits, _) = rounded.into_bigint_and_scale();
                i64::try_from(digits).ok()
            }
            Self::NaN | Self::Infinity | Self::NegativeInfinity => None,
        }
    }

    /// Digits after the point; 0 for what is no number.
    #[must_use]
    pub fn scale(&self) -> i64 {
        match self {
            Self::Finite(number) => number.fractional_digit_count().max(0),
            Self::NaN | Self::Infinity | Self::NegativeInfinity => 0,
        }
    }

    /// With so many digits after the point (before it, if negative), halves away from zero.
    #[must_use]
    pub fn round(&self, scale: i64, mode: RoundingMode) -> Self {
        match self {
            Self::Finite(number) => {
                let scale = scale.clamp(-MAX_WEIGHT_DIGITS, MAX_SCALE);
                let rounded = number.with_scale_round(scale, mode);
                Self::Finite(if scale < 0 {
                    rounded.with_scale(0)
                } else {
                    rounded
                })
            }
            other @ (Self::NaN | Self::Infinity | Self::NegativeInfinity) => other.clone(),
        }
    }

    /// Fits `numeric(precision, scale)`.
    pub fn fit(&self, precision: i32, scale: i32) -> Result<Self, DatumError> {
        let overflow = |detail| DatumError::Overflow {
            message: "numeric field overflow".to_owned(),
            detail,
        };
        match self {
            Self::NaN => Ok(Self::NaN),
            Self::Infinity | Self::NegativeInfinity => Err(overflow(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            ))),
            Self::Finite(_) => {
                let rounded = self.round(i64::from(scale), RoundingMode::HalfUp);
                let Self::Finite(number) = &rounded else {
                    return Ok(rounded);
                };
                let whole = digits_of(number) - number.fractional_digit_count();
                if !number.is_zero() && whole > i64::from(precision) - i64::from(scale) {
                    let limit = precision - scale;
                    let limit = if limit == 0 {
                        "1".to_owned()
                    } else {
                        format!("10^{limit}")
                    };
                    return Err(overflow(format!(
                        "A field with precision {precision}, scale {scale} must round to an \
                         absolute value less than {limit}."
                    )));
                }
                Ok(rounded)
            }
        }
    }

    fn sign(&self) -> i8 {
        match self {
            Self::NaN => 0,
            Self::Infinity => 1,
            Self::NegativeInfinity => -1,
            Self::Finite(number) => match number.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    const fn infinity(sign: i8) -> Self {
        match sign {
            0 => Self::NaN,
            1.. => Self::Infinity,
            ..0 => Self::NegativeInfinity,
        }
    }

    /// `+`
    pub fn add(&self, other: &Self) -> Result<Self, DatumError> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => Self::of(a + b),
            (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
            (Self::Infinity, Self::NegativeInfinity) | (Self::NegativeInfinity, Self::Infinity) => {
                Ok(Self::NaN)
            }
            (Self::Finite(_), infinite) | (infinite, _) => Ok(infinite.clone()),
        }
    }

    /// Unary `-`
    #[must_use]
    pub fn negate(&self) -> Self {
        match self {
            Self::NaN => Self::NaN,
            Self::Infinity => Self::NegativeInfinity,
            Self::NegativeInfinity => Self::Infinity,
            Self::Finite(number) => Self::Finite(-number),
        }
    }

    /// `-`
    pub fn subtract(&self, other: &Self) -> Result<Self, DatumError> {
        self.add(&other.negate())
    }

    /// `*`
    pub fn multiply(&self, other: &Self) -> Result<Self, DatumError> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => {
                let product = a * b;
                let scale = product.fractional_digit_count().min(MAX_SCALE);
                Self::of(product.with_scale_round(scale, RoundingMode::HalfUp))
            }
            (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
            (a, b) => Ok(Self::infinity(a.sign() * b.sign())),
        }
    }

    /// `/`; `None` for a division by zero.
    pub fn divide(&self, other: &Self) -> Result<Option<Self>, DatumError> {
        if matches!(self, Self::NaN) || matches!(other, Self::NaN) {
            return Ok(Some(Self::NaN));
        }
        if other.sign() == 0 {
            return Ok(None);
        }
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => {
                let scale = quotient_scale(a, b);
                Self::of(divide_to_scale(a, b, scale)).map(Some)
            }
            (Self::Finite(_), _) => Ok(Some(Self::from_int(0))),
            (infinite, Self::Finite(_)) => Ok(Some(Self::infinity(infinite.sign() * other.sign()))),
            _ => Ok(Some(Self::NaN)),
        }
    }

    /// `%`; `None` for a division by zero.
    pub fn modulo(&self, other: &Self) -> Result<Option<Self>, DatumError> {
        match (self, other) {
            (Self::NaN, _) | (_, Self::NaN) => Ok(Some(Self::NaN)),
            (_, Self::Finite(b)) if b.is_zero() => Ok(None),
            (Self::Infinity | Self::NegativeInfinity, _) => Ok(Some(Self::NaN)),
            (Self::Finite(_), Self::Infinity | Self::NegativeInfinity) => Ok(Some(self.clone())),
            (Self::Finite(a), Self::Finite(b)) => {
                let scale = a.fractional_digit_count().max(b.fractional_digit_count());
                let (left, _) = a.with_scale(scale).into_bigint_and_scale();
                let (right, _) = b.with_scale(scale).into_bigint_and_scale();
                Self::of(BigDecimal::new(left % right, scale)).map(Some)
            }
        }
    }

    /// Reads the binary form.
    pub(super) fn from_binary(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(2).map(|word| {
            let mut two = [0; 2];
            two.copy_from_slice(word);
            u16::from_be_bytes(two)
        });
        let num_digits = words.next()?;
        let weight = words.next()?.cast_signed();
        let sign = words.next()?;
        let scale = words.next()?;
        if bytes.len() != 8 + usize::from(num_digits) * 2 || i64::from(scale) > MAX_SCALE {
            return None;
        }
        let negative = match sign {
            0x0000 => false,
            0x4000 => true,
            0xC000 => return Some(Self::NaN),
            0xD000 => return Some(Self::Infinity),
            0xF000 => return Some(Self::NegativeInfinity),
            _ => return None,
        };
        let mut digits = String::new();
        for digit in words {
            if digit >= 10_000 {
                return None;
            }
            digits.push_str(&format!("{digit:04}"));
        }
        let mut number: BigInt = if digits.is_empty() {
            BigInt::ZERO
        } else {
            digits.parse().ok()?
        };
        if negative {
            number = -number;
        }
        let written = (i64::from(num_digits) - 1 - i64::from(weight)) * GROUP;
        let number = BigDecimal::new(number, written);
        if number.is_zero() {
            return Some(Self::Finite(BigDecimal::new(
                BigInt::ZERO,
                i64::from(scale),
            )));
        }
        // What the scale does not show is cut off.
        Self::of(number.with_scale_round(i64::from(scale), RoundingMode::Down)).ok()
    }

    /// Appends the binary form.
    pub(super) fn write_binary(&self, out: &mut Vec<u8>) -> Option<()> {
        let (sign, number) = match self {
            Self::NaN => (0xC000_u16, None),
            Self::Infinity => (0xD000, None),
            Self::NegativeInfinity => (0xF000, None),
            Self::Finite(number) if number.sign() == Sign::Minus => (0x4000, Some(number)),
            Self::Finite(number) => (0, Some(number)),
        };
        // PostgreSQL shows a part of its own header here for the infinite ones.
        let scale = match self {
            Self::Infinity | Self::NegativeInfinity => 0x20,
            Self::NaN | Self::Finite(_) => u16::try_from(self.scale()).ok()?,
        };
        let groups = number.map(groups_of).unwrap_or_default();
        let num_digits = u16::try_from(groups.digits.len()).ok()?;
        let weight = i16::try_from(groups.weight).ok()?;
        for word in [num_digits, weight.cast_unsigned(), sign, scale] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        for digit in groups.digits {
            out.extend_from_slice(&digit.to_be_bytes());
        }
        Some(())
    }
}

fn parse_exponent(exponent: &str, text: &str) -> Result<i64, DatumError> {
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(syntax(text));
    }
    let value: i64 = exponent.parse().map_err(|_| too_big())?;
    if value.abs() >= i64::from(i32::MAX / 2) {
        return Err(too_big());
    }
    Ok(value)
}

/// How many decimal digits its integer has; 0 for zero.
fn digits_of(number: &BigDecimal) -> i64 {
    if number.is_zero() {
        return 0;
    }
    i64::try_from(number.digits()).unwrap_or(i64::MAX)
}

/// Digits to the base of 10000, without zeros at the ends, and the power of the first.
#[derive(Debug, Default)]
struct Groups {
    weight: i64,
    digits: Vec<u16>,
}

fn groups_of(number: &BigDecimal) -> Groups {
    if number.is_zero() {
        return Groups::default();
    }
    let (digits, scale) = number.as_bigint_and_exponent();
    let mut text = digits.magnitude().to_string();
    // Whole groups behind the point, then before it.
    let pad = (GROUP - scale.rem_euclid(GROUP)) % GROUP;
    for _ in 0..pad {
        text.push('0');
    }
    let scale_groups = (scale + pad) / GROUP;
    while text.len() % 4 != 0 {
        text.insert(0, '0');
    }
    let mut groups: Vec<u16> = text
        .as_bytes()
        .chunks(4)
        .map(|group| {
            group
                .iter()
                .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        })
        .collect();
    let weight = i64::try_from(groups.len()).unwrap_or(0) - 1 - scale_groups;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    Groups {
        weight,
        digits: groups,
    }
}

/// How many digits a quotient shows: about 16 significant ones, at least those of the operands.
fn quotient_scale(a: &BigDecimal, b: &BigDecimal) -> i64 {
    let (left, right) = (groups_of(a), groups_of(b));
    let first = |groups: &Groups| groups.digits.first().copied().unwrap_or(0);
    let mut weight = left.weight - right.weight;
    if first(&left) <= first(&right) {
        weight -= 1;
    }
    (MIN_SIGNIFICANT - weight * GROUP)
        .max(a.fractional_digit_count())
        .max(b.fractional_digit_count())
        .clamp(0, MAX_DISPLAY_SCALE)
}

/// The quotient with `scale` digits, halves away from zero.
pub(crate) fn divide_to_scale(a: &BigDecimal, b: &BigDecimal, scale: i64) -> BigDecimal {
    let (left, left_scale) = a.as_bigint_and_exponent();
    let (right, right_scale) = b.as_bigint_and_exponent();
    // left / 10^ls / (right / 10^rs) with one digit more than wanted, to round by.
    let shift = scale + 1 + right_scale - left_scale;
    let power = |n: i64| BigInt::from(10).pow(u32::try_from(n).unwrap_or(0));
    let quotient = if shift >= 0 {
        left * power(shift) / right
    } else {
        left / (right * power(-shift))
    };
    BigDecimal::new(quotient, scale + 1).with_scale_round(scale, RoundingMode::HalfUp)
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NaN => f.write_str("NaN"),
            Self::Infinity => f.write_str("Infinity"),
            Self::NegativeInfinity => f.write_str("-Infinity"),
            Self::Finite(number) => f.write_str(&number.to_plain_string()),
        }
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |number: &Self| match number {
            Self::NegativeInfinity => 0,
            Self::Finite(_) => 1,
            Self::Infinity => 2,
            Self::NaN => 3,
        };
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => a.cmp(b),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares two numbers in text form by value; what is none comes first, in byte order.
#[must_use]
pub fn numeric_compare(a: &str, b: &str) -> Ordering {
    match (Numeric::parse(a), Numeric::parse(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => a.cmp(b),
    }
}
