//! Floating point numbers as text.

use bigdecimal::BigDecimal;

use super::DatumError;

/// Appends a float8 (or, if `single`, a float4) as PostgreSQL prints it.
pub(crate) fn write_float(value: f64, single: bool, extra_float_digits: i32, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else if extra_float_digits > 0 {
        // A single has its own shortest text.
        let (shortest, fixed_below) = if single {
            (format!("{:e}", to_single(value)), 6)
        } else {
            (shortest(value), 15)
        };
        out.push_str(&layout(&shortest, fixed_below));
    } else {
        let digits = if single { 6 } else { 15 };
        let digits = usize::try_from(extra_float_digits.saturating_add(digits)).unwrap_or(1);
        out.push_str(&general(value, digits.max(1)));
    }
}

/// The shortest digits that read back as `value`; not those that lie halfway to the next float and
/// come back only by rounding to even, which PostgreSQL does not print.
fn shortest(value: f64) -> String {
    let found = format!("{value:e}");
    // Below 2^54 what lies halfway has more digits than any shortest text.
    if value.abs() < 18_014_398_509_481_984.0 || !lies_halfway(value, &found) {
        return found;
    }
    let num_digits = found
        .split('e')
        .next()
        .map_or(1, |m| m.bytes().filter(u8::is_ascii_digit).count());
    (num_digits..17)
        .map(|digits| format!("{value:.digits$e}"))
        .find(|longer| longer.parse() == Ok(value) && !lies_halfway(value, longer))
        .unwrap_or(found)
}

/// Whether a text lies in the middle between `value` and a neighbour of it.
fn lies_halfway(value: f64, text: &str) -> bool {
    let exact = |float: f64| BigDecimal::try_from(float).ok();
    let Ok(text) = text.parse::<BigDecimal>() else {
        return false;
    };
    let twice = &text + &text;
    [value.next_up(), value.next_down()]
        .into_iter()
        .any(|neighbour| {
            exact(value)
                .zip(exact(neighbour))
                .is_some_and(|(value, neighbour)| value + neighbour == twice)
        })
}

/// The nearest float4.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
pub(crate) const fn to_single(value: f64) -> f32 {
    value as f32
}

/// As `%.*g` of C does it.
pub(super) fn general(value: f64, digits: usize) -> String {
    let scientific = format!("{:.*e}", digits.saturating_sub(1), value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    layout(
        &format!("{mantissa}e{exponent}"),
        i32::try_from(digits).unwrap_or(17),
    )
}

/// Lays out `d.ddde±x`: without an exponent when that is from -4 to below `fixed_below`.
fn layout(scientific: &str, fixed_below: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..fixed_below).contains(&exponent) {
        let sign_of = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{sign_of}{:02}", exponent.unsigned_abs());
    }
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let Ok(point) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("{sign}0.{}{digits}", "0".repeat(zeros));
    };
    let whole_len = point + 1;
    match (digits.get(..whole_len), digits.get(whole_len..)) {
        (Some(whole), Some("")) => format!("{sign}{whole}"),
        (Some(whole), Some(fraction)) => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{digits}{}", "0".repeat(whole_len - digits.len())),
    }
}

/// Reads a float8 or, if `single`, a float4.
pub(super) fn parse_float(text: &str, single: bool) -> Result<f64, DatumError> {
    let type_name = if single { "real" } else { "double precision" };
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let syntax = || DatumError::syntax(type_name, text);
    let body = trimmed
        .strip_prefix(['-', '+'])
        .unwrap_or(trimmed)
        .to_ascii_lowercase();
    let negative = trimmed.starts_with('-');
    match body.as_str() {
        "nan" => return Ok(f64::NAN),
        "infinity" | "inf" if negative => return Ok(f64::NEG_INFINITY),
        "infinity" | "inf" => return Ok(f64::INFINITY),
        _ => {}
    }
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(syntax());
    }
    let value: f64 = trimmed.parse().map_err(|_| syntax())?;
    let value = if single {
        f64::from(to_single(value))
    } else {
        value
    };
    let has_digits = body
        .split('e')
        .next()
        .is_some_and(|m| m.bytes().any(|b| (b'1'..=b'9').contains(&b)));
    if value.is_infinite() || (value == 0.0 && has_digits) {
        return Err(DatumError::overflow(&format!(
            "\"{trimmed}\" is out of range for type {type_name}"
        )));
    }
    Ok(value)
}
