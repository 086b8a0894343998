//! Types of a simple text form: bool, bytea, integers, OIDs, uuid, pg_lsn.

use std::cmp::Ordering;
use std::fmt::Write;

use super::DatumError;

/// Whitespace as C's isspace has it.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// bool: any beginning of `true`, `false`, `yes`, `no`, and `on`, `off`, `1`, `0`.
pub(super) fn parse_bool(text: &str) -> Result<bool, DatumError> {
    let word = text.trim_matches(is_space).to_ascii_lowercase();
    let begins = |whole: &str| !word.is_empty() && whole.starts_with(&word);
    if begins("true") || begins("yes") || word == "on" || word == "1" {
        Ok(true)
    } else if begins("false") || begins("no") || word == "of" || word == "off" || word == "0" {
        Ok(false)
    } else {
        Err(DatumError::syntax("boolean", text))
    }
}

/// An integer between `min` and `max`.
pub(super) fn parse_int(
    text: &str,
    type_name: &str,
    min: i64,
    max: i64,
) -> Result<i64, DatumError> {
    let trimmed = text.trim_matches(is_space);
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DatumError::syntax(type_name, text));
    }
    trimmed
        .parse()
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| DatumError::range(type_name, text))
}

/// oid and xid: 32 bits; a negative one is counted from the end.
pub(super) fn parse_oid(text: &str, type_name: &str) -> Result<i64, DatumError> {
    let value = parse_int(text, type_name, i64::from(i32::MIN), i64::from(u32::MAX))?;
    Ok(if value < 0 { value + (1 << 32) } else { value })
}

/// tid: a block and an item in it.
pub(super) fn parse_tid(text: &str) -> Result<String, DatumError> {
    let parts = text
        .trim_matches(is_space)
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|inside| inside.split_once(','));
    let numbers = parts.and_then(|(block, item)| {
        let block: u32 = block.trim().parse().ok()?;
        let item: u16 = item.trim().parse().ok()?;
        Some(format!("({block},{item})"))
    });
    numbers.ok_or_else(|| DatumError::syntax("tid", text))
}

/// xid8: 64 bits.
pub(super) fn parse_xid8(text: &str) -> Result<i64, DatumError> {
    let trimmed = text.trim_matches(is_space);
    if trimmed.is_empty() || !trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DatumError::syntax("xid8", text));
    }
    let value: u64 = trimmed
        .parse()
        .map_err(|_| DatumError::range("xid8", text))?;
    Ok(value.cast_signed())
}

/// uuid: digits in any case, in braces or not, a hyphen behind any four of them or none.
pub(super) fn parse_uuid(text: &str) -> Result<String, DatumError> {
    let syntax = || DatumError::syntax("uuid", text);
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(syntax)?,
        None => text,
    };
    let mut digits = String::with_capacity(32);
    let mut last_was_hyphen = true;
    for character in inner.chars() {
        if character == '-'
            && !last_was_hyphen
            && digits.len().is_multiple_of(4)
            && digits.len() < 32
        {
            last_was_hyphen = true;
        } else if character.is_ascii_hexdigit() {
            digits.push(character.to_ascii_lowercase());
            last_was_hyphen = false;
        } else {
            return Err(syntax());
        }
    }
    uuid_text(&digits).ok_or_else(syntax)
}

/// Thirty-two digits with hyphens between.
pub(super) fn uuid_text(digits: &str) -> Option<String> {
    if digits.len() != 32 {
        return None;
    }
    let parts = [
        digits.get(..8)?,
        digits.get(8..12)?,
        digits.get(12..16)?,
        digits.get(16..20)?,
        digits.get(20..)?,
    ];
    Some(parts.join("-"))
}

/// pg_lsn: two hexadecimal numbers.
pub(super) fn parse_lsn(text: &str) -> Result<i64, DatumError> {
    let syntax = || DatumError::syntax("pg_lsn", text);
    let (high, low) = text.split_once('/').ok_or_else(syntax)?;
    let half = |part: &str| {
        let fits = (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| u32::from_str_radix(part, 16).ok()).flatten()
    };
    let (high, low) = half(high).zip(half(low)).ok_or_else(syntax)?;
    Ok(((u64::from(high) << 32) | u64::from(low)).cast_signed())
}

/// As PostgreSQL prints a position.
pub(super) fn write_lsn(stored: i64, out: &mut String) {
    let value = stored.cast_unsigned();
    // Writing to a string does not fail.
    let _ = write!(out, "{:X}/{:X}", value >> 32, value & 0xFFFF_FFFF);
}

/// bytea: `\x` and digits, or text with octal escapes.
pub(super) fn parse_bytea(text: &str) -> Result<Vec<u8>, DatumError> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escaped(text),
    }
}

/// Pairs of digits; blanks may stand between the pairs.
pub(crate) fn parse_hex(digits: &str) -> Result<Vec<u8>, DatumError> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut characters = digits.chars();
    let digit = |character: char| {
        character
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
            .ok_or_else(|| {
                DatumError::InvalidParameter(format!("invalid hexadecimal digit: \"{character}\""))
            })
    };
    while let Some(first) = characters.next() {
        if matches!(first, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(first)?;
        let second = characters.next().ok_or_else(|| {
            DatumError::InvalidParameter(
                "invalid hexadecimal data: odd number of digits".to_owned(),
            )
        })?;
        bytes.push(high * 16 + digit(second)?);
    }
    Ok(bytes)
}

/// Text with octal escapes.
pub(crate) fn parse_escaped(text: &str) -> Result<Vec<u8>, DatumError> {
    let syntax = || DatumError::Malformed {
        message: "invalid input syntax for type bytea".to_owned(),
        detail: String::new(),
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            (b'\\', _) => return Err(syntax()),
            (plain, after) => {
                bytes.push(*plain);
                rest = after;
            }
        }
    }
    Ok(bytes)
}

/// Appends bytes as `bytea` prints.
pub(super) fn write_bytea(bytes: &[u8], escape: bool, out: &mut String) {
    if !escape {
        out.push_str("\\x");
        out.push_str(&hex::encode(bytes));
        return;
    }
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7E => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\{other:03o}")),
        }
    }
}

/// "char": one byte; one that is no ASCII is written `\ooo`.
pub(crate) fn parse_char(text: &str) -> String {
    let bytes = text.as_bytes();
    if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] = bytes {
        return char_text((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
    }
    bytes
        .first()
        .map_or_else(String::new, |byte| char_text(*byte))
}

/// The text of one byte; a zero is none.
pub(super) fn char_text(byte: u8) -> String {
    match byte {
        0 => String::new(),
        1..=0x7F => char::from(byte).to_string(),
        0x80.. => format!("\\{byte:03o}"),
    }
}

/// The byte of a "char".
pub(crate) fn char_byte(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')
        }
        bytes => bytes.first().copied().unwrap_or(0),
    }
}

/// Orders values of "char" as PostgreSQL does: by their bytes, not by their texts.
#[must_use]
pub fn char_compare(one: &str, other: &str) -> Ordering {
    char_byte(one).cmp(&char_byte(other))
}

/// The longest name, in bytes.
const NAME_LEN: usize = 63;

/// Cut to what a name may be, between characters.
pub(crate) fn cut_name(text: &str) -> &str {
    text.get(..text.floor_char_boundary(NAME_LEN))
        .unwrap_or(text)
}
