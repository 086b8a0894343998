//! Casts between numbers, and the few others that SQLite's text cannot say.

use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};

use super::{text_of, type_arg, value_arg};
use crate::catalog::functions::Call;
use crate::datum::{self, Datum, PgType, char_byte, parse_char};
use crate::pgerror::PgError;

/// `cast(from, to, value)`
pub(super) fn cast(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (from, to) = (type_arg(args, 0), type_arg(args, 1));
    let value = value_arg(args, 2, from);
    convert(call, from, to, value)
}

/// `value` of type `from` as one of type `to`.
pub(super) fn convert(
    call: &Call<'_>,
    from: PgType,
    to: PgType,
    value: Datum,
) -> Result<Datum, PgError> {
    match (from, to) {
        (PgType::CHAR, PgType::INT4) => {
            let byte = text_of(Some(&value)).map_or(0, char_byte);
            return Ok(Datum::Int(i64::from(i8::from_ne_bytes([byte]))));
        }
        (PgType::INT4, PgType::CHAR) => return char_of(&value),
        (_, PgType::CHAR) => {
            let text = text_of(Some(&value)).unwrap_or_default();
            return Ok(Datum::Text(parse_char(text)));
        }
        (PgType::INET, _) => {
            let text = text_of(Some(&value)).unwrap_or_default();
            let all = if text.contains(':') { 128 } else { 32 };
            let whole = if text.contains('/') {
                text.to_owned()
            } else {
                format!("{text}/{all}")
            };
            return Ok(Datum::Text(whole));
        }
        (_, PgType::NAME) => return Ok(name_of(&value)),
        (PgType::JSONB, PgType::BOOL) => return json_bool(&value),
        (PgType::JSONB, _) => return json_number(call, to, &value),
        (_, PgType::OID) => return oid_of(&value),
        (_, PgType::INT4) if from == PgType::OID || super::super::types::is_reg(from) => {
            return Ok(wrapped(&value));
        }
        _ => {}
    }
    if super::super::types::is_reg(to) {
        return oid_of(&value);
    }
    match value {
        Datum::Int(number) => from_int(to, number),
        Datum::Float(number) => from_float(from, to, number),
        Datum::Text(text) => from_numeric(to, &text),
        Datum::Null | Datum::Bytes(_) => Ok(Datum::Null),
    }
}

fn out_of_range(ty: PgType) -> PgError {
    let message = match ty {
        PgType::INT2 => "smallint out of range",
        PgType::INT4 => "integer out of range",
        PgType::INT8 => "bigint out of range",
        PgType::OID => "OID out of range",
        _ => "value out of range",
    };
    PgError::error("22003", message)
}

fn from_int(to: PgType, number: i64) -> Result<Datum, PgError> {
    #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
    let wide = number as f64;
    let fits = match to {
        PgType::INT2 => i16::try_from(number).is_ok(),
        PgType::INT4 => i32::try_from(number).is_ok(),
        PgType::FLOAT4 => return Ok(Datum::Float(narrow(wide))),
        PgType::FLOAT8 => return Ok(Datum::Float(wide)),
        PgType::NUMERIC => return Ok(Datum::Text(number.to_string())),
        _ => true,
    };
    if fits {
        Ok(Datum::Int(number))
    } else {
        Err(out_of_range(to))
    }
}

/// The nearest float4.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
fn narrow(number: f64) -> f64 {
    f64::from(number as f32)
}

fn from_float(from: PgType, to: PgType, number: f64) -> Result<Datum, PgError> {
    match to {
        PgType::FLOAT8 => Ok(Datum::Float(number)),
        PgType::FLOAT4 => {
            let narrowed = narrow(number);
            if narrowed.is_infinite() && number.is_finite() {
                return Err(PgError::error("22003", "value out of range: overflow"));
            }
            if narrowed == 0.0 && number != 0.0 {
                return Err(PgError::error("22003", "value out of range: underflow"));
            }
            Ok(Datum::Float(narrowed))
        }
        PgType::NUMERIC => Ok(Datum::Text(numeric_of(from, number))),
        _ => {
            let rounded = number.round_ties_even();
            // 2^63 itself is no i64; below it every whole double is.
            if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
                return Err(out_of_range(to));
            }
            #[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
            let whole = rounded as i64;
            from_int(to, whole)
        }
    }
}

/// A float as the numeric that PostgreSQL makes of it: 15 digits, 6 of a float4.
fn numeric_of(from: PgType, number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        let name = if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        return name.to_owned();
    }
    let digits = if from == PgType::FLOAT4 { 5 } else { 14 };
    let written = format!("{number:.digits$e}");
    match BigDecimal::from_str(&written) {
        Ok(value) => {
            let value = value.normalized();
            let (_, scale) = value.as_bigint_and_exponent();
            let value = if scale < 0 {
                value.with_scale(0)
            } else {
                value
            };
            value.to_plain_string()
        }
        Err(_) => "NaN".to_owned(),
    }
}

fn from_numeric(to: PgType, text: &str) -> Result<Datum, PgError> {
    let special = matches!(text, "NaN" | "Infinity" | "-Infinity");
    match to {
        PgType::NUMERIC => Ok(Datum::Text(text.to_owned())),
        PgType::FLOAT8 | PgType::FLOAT4 => {
            let number: f64 = match text {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => text.parse().unwrap_or(f64::NAN),
            };
            if number.is_infinite() && !special {
                let message = format!(
                    "\"{text}\" is out of range for type {}",
                    super::super::types::display(to)
                );
                return Err(PgError::error("22003", message));
            }
            from_float(PgType::FLOAT8, to, number)
        }
        _ if special => {
            let value = if text == "NaN" { "NaN" } else { "infinity" };
            let message = format!(
                "cannot convert {value} to {}",
                super::super::types::display(to)
            );
            Err(PgError::unsupported(message))
        }
        _ => {
            let number = BigDecimal::from_str(text)
                .map_err(|_| out_of_range(to))?
                .with_scale_round(0, RoundingMode::HalfUp);
            let whole = number.to_i64().ok_or_else(|| out_of_range(to))?;
            from_int(to, whole)
        }
    }
}

fn oid_of(value: &Datum) -> Result<Datum, PgError> {
    match value {
        Datum::Int(number) if u32::try_from(*number).is_ok() => Ok(Datum::Int(*number)),
        Datum::Null => Ok(Datum::Null),
        Datum::Int(_) | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_) => {
            Err(out_of_range(PgType::OID))
        }
    }
}

/// An OID as an int4, which has a sign.
fn wrapped(value: &Datum) -> Datum {
    let Datum::Int(number) = value else {
        return Datum::Null;
    };
    let bits = u32::try_from(*number).unwrap_or(0);
    Datum::Int(i64::from(i32::from_ne_bytes(bits.to_ne_bytes())))
}

fn char_of(value: &Datum) -> Result<Datum, PgError> {
    let Datum::Int(number) = value else {
        return Ok(Datum::Null);
    };
    let byte =
        i8::try_from(*number).map_err(|_| PgError::error("22003", "\"char\" out of range"))?;
    match u8::try_from(byte) {
        Ok(0) => Ok(Datum::Text(String::new())),
        Ok(byte) => Ok(Datum::Text(char::from(byte).to_string())),
        // Text is UTF-8 here, and half a character is none.
        Err(_) => Err(PgError::unsupported(
            "a \"char\" that is not ASCII is not supported",
        )),
    }
}

/// Text cut to a name's length, at a character.
fn name_of(value: &Datum) -> Datum {
    let text = text_of(Some(value)).unwrap_or_default();
    let mut end = text.len().min(63);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    Datum::Text(text.get(..end).unwrap_or_default().to_owned())
}

fn json_kind(text: &str) -> &'static str {
    match text.bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        Some(_) | None => "numeric",
    }
}

fn json_mismatch(text: &str, to: PgType) -> PgError {
    let message = format!(
        "cannot cast jsonb {} to type {}",
        json_kind(text),
        super::super::types::display(to)
    );
    PgError::error("22023", message)
}

fn json_bool(value: &Datum) -> Result<Datum, PgError> {
    match text_of(Some(value)).unwrap_or_default() {
        "true" => Ok(Datum::Int(1)),
        "false" => Ok(Datum::Int(0)),
        other => Err(json_mismatch(other, PgType::BOOL)),
    }
}

fn json_number(call: &Call<'_>, to: PgType, value: &Datum) -> Result<Datum, PgError> {
    let text = text_of(Some(value)).unwrap_or_default();
    if json_kind(text) != "numeric" {
        return Err(json_mismatch(text, to));
    }
    let numeric = datum::text_in(PgType::NUMERIC, text, &call.names(), call.style())?;
    from_numeric(to, text_of(Some(&numeric)).unwrap_or_default())
}
