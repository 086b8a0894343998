//! Values that are spelled as PostgreSQL prints them already: most are, since most records come
//! from those who print values so. They are copied; all others are read and printed anew.

use crate::datum::{Civil, PgType, numeric_typmod};

/// Numbers with more digits take the long way: their limits are looked at there.
const MOST_DIGITS: usize = 100;
/// Digits that no 64-bit integer is too short for.
const SAFE_DIGITS: usize = 18;

/// Appends the value of `ty` that `text` is, where that needs no more than a look at `text`; false,
/// and nothing appended, where it does.
pub(super) fn write(ty: PgType, typmod: i32, text: &str, out: &mut String) -> bool {
    let bytes = text.as_bytes();
    let is_printed = match ty {
        PgType::TEXT => !has_nul(bytes),
        PgType::VARCHAR | PgType::BPCHAR => !has_nul(bytes) && fits(ty, typmod, text),
        PgType::INT2 => is_integer(bytes, i16::MIN.into(), i16::MAX.into()),
        PgType::INT4 => is_integer(bytes, i32::MIN.into(), i32::MAX.into()),
        PgType::INT8 => is_integer(bytes, i64::MIN, i64::MAX),
        PgType::OID => is_integer(bytes, 0, u32::MAX.into()),
        PgType::NUMERIC => is_numeric(bytes, typmod),
        PgType::BOOL => return write_bool(text, out),
        PgType::DATE => is_date(bytes),
        PgType::TIME => is_time(bytes, typmod),
        PgType::TIMESTAMP => is_timestamp(bytes, typmod),
        PgType::TIMESTAMPTZ => bytes
            .strip_suffix(b"+00")
            .is_some_and(|local| is_timestamp(local, typmod)),
        PgType::UUID => is_uuid(bytes),
        PgType::BYTEA => bytes.strip_prefix(b"\\x").is_some_and(|digits| {
            digits.len().is_multiple_of(2) && digits.iter().copied().all(is_lower_hex)
        }),
        _ => false,
    };
    if is_printed {
        out.push_str(text);
    }
    is_printed
}

fn has_nul(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_some()
}

/// Whether a text is not too long for its type, and for `bpchar` not too short either.
fn fits(ty: PgType, typmod: i32, text: &str) -> bool {
    if typmod < 0 {
        return true;
    }
    let Ok(length) = usize::try_from(typmod.saturating_sub(4)) else {
        return false;
    };
    if ty == PgType::BPCHAR {
        return text.chars().count() == length;
    }
    text.len() <= length || text.chars().count() <= length
}

fn write_bool(text: &str, out: &mut String) -> bool {
    match text {
        "true" | "t" => out.push('t'),
        "false" | "f" => out.push('f'),
        _ => return false,
    }
    true
}

/// Digits of a number without zeros in front.
fn is_natural(digits: &[u8]) -> bool {
    match digits {
        [] => false,
        [b'0', _, ..] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    }
}

fn is_integer(bytes: &[u8], min: i64, max: i64) -> bool {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if !is_natural(digits) || digits.len() > SAFE_DIGITS {
        return false;
    }
    let is_negative = digits.len() < bytes.len();
    let magnitude = number(digits);
    let value = if is_negative { -magnitude } else { magnitude };
    !(is_negative && magnitude == 0) && (min..=max).contains(&value)
}

/// What digits say, no more than 18 of them.
fn number(digits: &[u8]) -> i64 {
    let value = |so_far: i64, digit: &u8| so_far * 10 + i64::from(digit & 0xF);
    digits.iter().fold(0, value)
}

fn is_numeric(bytes: &[u8], typmod: i32) -> bool {
    let body = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if body.len() > MOST_DIGITS {
        return false;
    }
    let point = memchr::memchr(b'.', body);
    let (whole, fraction) = match point.and_then(|point| body.split_at_checked(point)) {
        Some((whole, [_, fraction @ ..])) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return false,
        None => (body, &[][..]),
    };
    if !is_natural(whole) || !fraction.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let is_negative = body.len() < bytes.len();
    if is_negative && body.iter().all(|byte| matches!(byte, b'0' | b'.')) {
        return false;
    }
    if typmod < 0 {
        return true;
    }
    let (precision, scale) = numeric_typmod(typmod);
    let most_whole = usize::try_from(precision.saturating_sub(scale));
    let num_whole = if whole == b"0" { 0 } else { whole.len() };
    usize::try_from(scale) == Ok(fraction.len()) && most_whole.is_ok_and(|most| num_whole <= most)
}

/// Two digits.
fn pair(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens & 0xF) * 10 + i64::from(ones & 0xF))
}

/// `2026-11-23`, from the year 1 to the year 9999.
fn is_date(bytes: &[u8]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else {
        return false;
    };
    let (Some(century), Some(year), Some(month), Some(day)) =
        (pair(y1, y2), pair(y3, y4), pair(m1, m2), pair(d1, d2))
    else {
        return false;
    };
    let civil = Civil {
        year: century * 100 + year,
        month,
        day,
    };
    civil.year > 0 && (1..=12).contains(&month) && (1..=civil.month_len()).contains(&day)
}

/// `20:15:34.123456`, with no zeros at the end of the fraction and no more digits than are kept.
fn is_time(bytes: &[u8], typmod: i32) -> bool {
    let Some((&[h1, h2, b':', m1, m2, b':', s1, s2], fraction)) = bytes.split_first_chunk() else {
        return false;
    };
    let below = |value: Option<i64>, limit| value.is_some_and(|value| value < limit);
    let is_clock = below(pair(h1, h2), 24) && below(pair(m1, m2), 60) && below(pair(s1, s2), 60);
    let most = if typmod < 0 {
        6
    } else {
        usize::try_from(typmod).unwrap_or_default().min(6)
    };
    is_clock
        && match fraction {
            [] => true,
            [b'.', digits @ .., b'1'..=b'9'] => {
                digits.len() < most && digits.iter().all(u8::is_ascii_digit)
            }
            _ => false,
        }
}

fn is_timestamp(bytes: &[u8], typmod: i32) -> bool {
    match bytes.split_at_checked(10) {
        Some((date, [b' ', time @ ..])) => is_date(date) && is_time(time, typmod),
        Some(_) | None => false,
    }
}

const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_uuid(bytes: &[u8]) -> bool {
    let is_right = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => is_lower_hex(*byte),
    };
    bytes.len() == 36 && bytes.iter().enumerate().all(is_right)
}
