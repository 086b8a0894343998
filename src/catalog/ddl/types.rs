//! Names of types as PostgreSQL's grammar has them, with their modifiers.

use sqlparser::tokenizer::Token;

use crate::datum::{PgType, info, type_by_name};
use crate::pgerror::PgError;

use super::cursor::Cursor;

/// The longest varchar.
const MAX_LENGTH: i64 = 10_485_760;

const ALL_INTERVAL_FIELDS: i32 = 0x7FFF;

/// A type and its modifier, -1 for none.
pub(super) type Typed = (PgType, i32);

/// A type's name, arrays too.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Typed, PgError> {
    let position = cursor.position();
    if cursor.peek_word().as_deref() == Some("setof") {
        return Err(cursor.unsupported("SETOF"));
    }
    let (element, typmod) = scalar(cursor)?;
    if !brackets(cursor)? {
        return Ok((element, typmod));
    }
    match info(element).map(|found| found.array) {
        Some(array) if array.0 != 0 => Ok((array, typmod)),
        Some(_) | None => {
            let name = info(element).map_or("???", |found| found.name);
            Err(undefined(&format!("{name}[]"), position))
        }
    }
}

/// `[]`, `[3][3]`, `ARRAY`, `ARRAY[3]`; true when there is any of them.
fn brackets(cursor: &mut Cursor<'_>) -> Result<bool, PgError> {
    let mut found = cursor.take("array");
    let (is_array, mut count) = (found, 0);
    while !(is_array && count == 1) && cursor.take_token(&Token::LBracket) {
        if matches!(cursor.peek(), Some(Token::Number(..))) {
            cursor.advance();
        }
        cursor.expect_token(&Token::RBracket)?;
        found = true;
        count += 1;
    }
    Ok(found)
}

fn undefined(name: &str, position: u32) -> PgError {
    PgError::error("42704", format!("type \"{name}\" does not exist")).at(position)
}

fn scalar(cursor: &mut Cursor<'_>) -> Result<Typed, PgError> {
    let position = cursor.position();
    if let Some(word) = cursor.peek_word()
        && let Some(found) = standard(cursor, &word, position)?
    {
        return Ok(found);
    }
    let mut name = cursor.type_name()?;
    if cursor.take_token(&Token::Period) {
        let schema = std::mem::replace(&mut name, cursor.label()?);
        if schema != "pg_catalog" {
            if schema == crate::relations::PUBLIC {
                return Err(undefined(&format!("{schema}.{name}"), position));
            }
            let message = format!("schema \"{schema}\" does not exist");
            return Err(PgError::error("3F000", message).at(position));
        }
    }
    if matches!(
        name.as_str(),
        "serial" | "serial2" | "serial4" | "serial8" | "smallserial" | "bigserial"
    ) {
        return Err(PgError::unsupported(format!("type {name} is not supported")).at(position));
    }
    let Some(ty) = type_by_name(&name) else {
        let array = cursor.peek() == Some(&Token::LBracket);
        let brackets = if array { "[]" } else { "" };
        return Err(undefined(&format!("{name}{brackets}"), position));
    };
    let modifiers = modifiers(cursor)?;
    Ok((ty, modified(ty, &name, &modifiers, position)?))
}

/// `(3)`, `(10, 2)`, or nothing.
fn modifiers(cursor: &mut Cursor<'_>) -> Result<Vec<i64>, PgError> {
    if cursor.peek() == Some(&Token::LParen) {
        cursor.in_parentheses(number)
    } else {
        Ok(Vec::new())
    }
}

/// One number in parentheses, or nothing.
fn one_modifier(cursor: &mut Cursor<'_>) -> Result<Option<i64>, PgError> {
    if !cursor.take_token(&Token::LParen) {
        return Ok(None);
    }
    if cursor.peek() == Some(&Token::Minus) {
        return Err(cursor.error());
    }
    let found = number(cursor)?;
    cursor.expect_token(&Token::RParen)?;
    Ok(Some(found))
}

fn number(cursor: &mut Cursor<'_>) -> Result<i64, PgError> {
    let minus = cursor.take_token(&Token::Minus);
    let found = match cursor.peek() {
        Some(Token::Number(digits, _)) => digits.parse::<i64>().ok(),
        _ => None,
    };
    let Some(found) = found else {
        return Err(cursor.error());
    };
    cursor.advance();
    Ok(if minus { -found } else { found })
}

/// Types whose names are words of the grammar; `None` for other words.
fn standard(cursor: &mut Cursor<'_>, word: &str, position: u32) -> Result<Option<Typed>, PgError> {
    let plain = match word {
        "int" | "integer" => PgType::INT4,
        "smallint" => PgType::INT2,
        "bigint" => PgType::INT8,
        "real" => PgType::FLOAT4,
        "boolean" => PgType::BOOL,
        "double" => {
            cursor.advance();
            cursor.expect("precision")?;
            return Ok(Some((PgType::FLOAT8, -1)));
        }
        "float" => {
            cursor.advance();
            return float(cursor).map(Some);
        }
        "dec" | "decimal" | "numeric" => {
            cursor.advance();
            let modifiers = modifiers(cursor)?;
            let typmod = modified(PgType::NUMERIC, "numeric", &modifiers, position)?;
            return Ok(Some((PgType::NUMERIC, typmod)));
        }
        "char" | "character" | "nchar" | "varchar" | "national" => {
            return characters(cursor, word, position).map(Some);
        }
        "bit" => {
            cursor.advance();
            return bits(cursor, position).map(Some);
        }
        "time" | "timestamp" => {
            cursor.advance();
            return time(cursor, word, position).map(Some);
        }
        "interval" => {
            cursor.advance();
            return interval(cursor).map(Some);
        }
        _ => return Ok(None),
    };
    cursor.advance();
    Ok(Some((plain, -1)))
}

fn float(cursor: &mut Cursor<'_>) -> Result<Typed, PgError> {
    let before = cursor.place();
    let Some(bits) = one_modifier(cursor)? else {
        return Ok((PgType::FLOAT8, -1));
    };
    let words = match bits {
        1..=24 => return Ok((PgType::FLOAT4, -1)),
        25..=53 => return Ok((PgType::FLOAT8, -1)),
        ..1 => "must be at least 1 bit",
        54.. => "must be less than 54 bits",
    };
    cursor.go_back(before);
    cursor.advance();
    let error = PgError::error("22023", format!("precision for type float {words}"));
    Err(error.at(cursor.position()))
}

fn characters(cursor: &mut Cursor<'_>, word: &str, position: u32) -> Result<Typed, PgError> {
    cursor.advance();
    if word == "national" && !cursor.take("char") && !cursor.take("character") {
        return Err(cursor.error());
    }
    let varying = word == "varchar" || cursor.take("varying");
    let (ty, name) = if varying {
        (PgType::VARCHAR, "varchar")
    } else {
        (PgType::BPCHAR, "char")
    };
    let length = match one_modifier(cursor)? {
        Some(length) => vec![length],
        // A character without a length is one.
        None if !varying => vec![1],
        None => Vec::new(),
    };
    Ok((ty, modified(ty, name, &length, position)?))
}

fn bits(cursor: &mut Cursor<'_>, position: u32) -> Result<Typed, PgError> {
    let ty = if cursor.take("varying") {
        PgType::VARBIT
    } else {
        PgType::BIT
    };
    let mut length = modifiers(cursor)?;
    if ty == PgType::BIT && length.is_empty() {
        length.push(1);
    }
    let name = if ty == PgType::BIT { "bit" } else { "varbit" };
    Ok((ty, modified(ty, name, &length, position)?))
}

fn time(cursor: &mut Cursor<'_>, word: &str, position: u32) -> Result<Typed, PgError> {
    let digits = one_modifier(cursor)?;
    let has_zone = if cursor.take_all(&["with", "time", "zone"]) {
        true
    } else {
        cursor.take_all(&["without", "time", "zone"]);
        false
    };
    let (ty, name) = match (word, has_zone) {
        ("time", false) => (PgType::TIME, "time"),
        ("time", true) => (PgType::TIMETZ, "timetz"),
        (_, false) => (PgType::TIMESTAMP, "timestamp"),
        (_, true) => (PgType::TIMESTAMPTZ, "timestamptz"),
    };
    let digits: Vec<i64> = digits.into_iter().collect();
    Ok((ty, modified(ty, name, &digits, position)?))
}

fn interval(cursor: &mut Cursor<'_>) -> Result<Typed, PgError> {
    if let Some(digits) = one_modifier(cursor)? {
        let digits = i32::try_from(digits.clamp(0, 6)).unwrap_or(6);
        return Ok((PgType::INTERVAL, (ALL_INTERVAL_FIELDS << 16) | digits));
    }
    let Some(first) = interval_field(cursor) else {
        return Ok((PgType::INTERVAL, -1));
    };
    let mut fields = first;
    let mut last = first;
    if cursor.take("to") {
        last = interval_field(cursor).ok_or_else(|| cursor.error())?;
        fields = INTERVAL_FIELDS
            .iter()
            .map(|(_, bit)| *bit)
            .skip_while(|bit| *bit != first)
            .take_while(|bit| *bit != last)
            .fold(last, |all, bit| all | bit);
        if fields == last || (last == MONTH) != (first == YEAR) {
            return Err(cursor.error_before());
        }
    }
    let digits = if last == SECOND {
        one_modifier(cursor)?
    } else {
        None
    };
    let digits = digits.map_or(0xFFFF, |digits| {
        i32::try_from(digits.clamp(0, 6)).unwrap_or(6)
    });
    Ok((PgType::INTERVAL, (fields << 16) | digits))
}

const YEAR: i32 = 1 << 2;
const MONTH: i32 = 1 << 1;
const SECOND: i32 = 1 << 12;

/// Longest first.
const INTERVAL_FIELDS: &[(&str, i32)] = &[
    ("year", YEAR),
    ("month", MONTH),
    ("day", 1 << 3),
    ("hour", 1 << 10),
    ("minute", 1 << 11),
    ("second", SECOND),
];

fn interval_field(cursor: &mut Cursor<'_>) -> Option<i32> {
    let word = cursor.peek_word()?;
    let (_, bit) = INTERVAL_FIELDS.iter().find(|(name, _)| *name == word)?;
    cursor.advance();
    Some(*bit)
}

/// The type modifier that numbers in parentheses make.
fn modified(ty: PgType, name: &str, numbers: &[i64], position: u32) -> Result<i32, PgError> {
    let refused = |message: String| Err(PgError::error("22023", message).at(position));
    let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    match (ty, numbers) {
        (_, []) => Ok(-1),
        (PgType::BPCHAR | PgType::VARCHAR | PgType::BIT | PgType::VARBIT, [length]) => {
            let name = if ty == PgType::BPCHAR { "char" } else { name };
            if *length < 1 {
                return refused(format!("length for type {name} must be at least 1"));
            }
            let is_text = matches!(ty, PgType::BPCHAR | PgType::VARCHAR);
            let max = if is_text { MAX_LENGTH } else { 83_886_080 };
            if *length > max {
                return refused(format!("length for type {name} cannot exceed {max}"));
            }
            Ok(small(*length) + if is_text { 4 } else { 0 })
        }
        (PgType::NUMERIC, [precision, ..]) if !(1..=1000).contains(precision) => refused(format!(
            "NUMERIC precision {precision} must be between 1 and 1000"
        )),
        (PgType::NUMERIC, [_, scale]) if !(-1000..=1000).contains(scale) => refused(format!(
            "NUMERIC scale {scale} must be between -1000 and 1000"
        )),
        (PgType::NUMERIC, [precision]) => Ok((small(*precision) << 16) + 4),
        (PgType::NUMERIC, [precision, scale]) => {
            Ok(((small(*precision) << 16) | (small(*scale) & 0x7FF)) + 4)
        }
        (PgType::NUMERIC, _) => refused("invalid NUMERIC type modifier".to_owned()),
        (PgType::TIME | PgType::TIMETZ | PgType::TIMESTAMP | PgType::TIMESTAMPTZ, [digits]) => {
            // More than six is cut down to six, as PostgreSQL does with a warning.
            Ok(small((*digits).clamp(0, 6)))
        }
        (PgType::BPCHAR | PgType::VARCHAR | PgType::BIT | PgType::VARBIT, _)
        | (PgType::TIME | PgType::TIMETZ | PgType::TIMESTAMP | PgType::TIMESTAMPTZ, _) => {
            refused("invalid type modifier".to_owned())
        }
        _ => {
            let message = format!("type modifier is not allowed for type \"{name}\"");
            Err(PgError::error("42601", message).at(position))
        }
    }
}

/// A column cannot have a type that only functions have.
pub(super) fn check_column(name: &str, (ty, _): Typed) -> Result<(), PgError> {
    let found = info(ty);
    if let Some(found) = found.filter(|found| found.typtype == 'p') {
        let message = format!("column \"{name}\" has pseudo-type {}", found.format_name);
        return Err(PgError::error("42P16", message));
    }
    Ok(())
}
