//! Functions of strings.

use super::args::{
    array, array_of, count_datum, int, invalid, or_null, text, text_datum, text_or_null,
};
use super::quoting::{quote_literal_text, quote_name};
use super::{Body, Call, Function as F, Row};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(870, "lower", &[T::TEXT], T::TEXT, Body::Scalar(lower)),
    F::new(871, "upper", &[T::TEXT], T::TEXT, Body::Scalar(upper)),
    F::new(872, "initcap", &[T::TEXT], T::TEXT, Body::Scalar(initcap)),
    F::new(1317, "length", &[T::TEXT], T::INT4, Body::Scalar(length)),
    F::new(
        1381,
        "char_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(length),
    ),
    F::new(
        1369,
        "character_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(length),
    ),
    F::new(
        1374,
        "octet_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(octet_length),
    ),
    F::new(
        1811,
        "bit_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(bit_length),
    ),
    F::new(
        883,
        "substr",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        877,
        "substr",
        &[T::TEXT, T::INT4, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        937,
        "substring",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        936,
        "substring",
        &[T::TEXT, T::INT4, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        1405,
        "overlay",
        &[T::TEXT, T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(overlay),
    ),
    F::new(
        1404,
        "overlay",
        &[T::TEXT, T::TEXT, T::INT4, T::INT4],
        T::TEXT,
        Body::Scalar(overlay),
    ),
    F::new(
        868,
        "strpos",
        &[T::TEXT, T::TEXT],
        T::INT4,
        Body::Scalar(position),
    ),
    F::new(
        849,
        "position",
        &[T::TEXT, T::TEXT],
        T::INT4,
        Body::Scalar(position),
    ),
    F::new(885, "btrim", &[T::TEXT], T::TEXT, Body::Scalar(btrim)),
    F::new(
        884,
        "btrim",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(btrim),
    ),
    F::new(881, "ltrim", &[T::TEXT], T::TEXT, Body::Scalar(ltrim)),
    F::new(
        875,
        "ltrim",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(ltrim),
    ),
    F::new(882, "rtrim", &[T::TEXT], T::TEXT, Body::Scalar(rtrim)),
    F::new(
        876,
        "rtrim",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(rtrim),
    ),
    F::new(
        879,
        "lpad",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(lpad),
    ),
    F::new(
        873,
        "lpad",
        &[T::TEXT, T::INT4, T::TEXT],
        T::TEXT,
        Body::Scalar(lpad),
    ),
    F::new(
        880,
        "rpad",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(rpad),
    ),
    F::new(
        874,
        "rpad",
        &[T::TEXT, T::INT4, T::TEXT],
        T::TEXT,
        Body::Scalar(rpad),
    ),
    F::new(
        3060,
        "left",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(left),
    ),
    F::new(
        3061,
        "right",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(right),
    ),
    F::new(
        1622,
        "repeat",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(repeat),
    ),
    F::new(
        2087,
        "replace",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(replace),
    ),
    F::new(3062, "reverse", &[T::TEXT], T::TEXT, Body::Scalar(reverse)),
    F::new(
        2088,
        "split_part",
        &[T::TEXT, T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(split_part),
    ),
    F::new(
        878,
        "translate",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(translate),
    ),
    F::new(
        3696,
        "starts_with",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(starts_with),
    ),
    F::new(1620, "ascii", &[T::TEXT], T::INT4, Body::Scalar(ascii)),
    F::new(1621, "chr", &[T::INT4], T::TEXT, Body::Scalar(chr)),
    F::new(
        1258,
        "textcat",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(textcat),
    ),
    F::new(3058, "concat", &[T::ANY], T::TEXT, Body::Scalar(concat))
        .lax()
        .variadic(),
    F::new(
        3059,
        "concat_ws",
        &[T::TEXT, T::ANY],
        T::TEXT,
        Body::Scalar(concat_ws),
    )
    .lax()
    .variadic(),
    F::new(
        394,
        "string_to_array",
        &[T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Scalar(string_to_array),
    )
    .lax(),
    F::new(
        376,
        "string_to_array",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Scalar(string_to_array),
    )
    .lax(),
    F::new(
        6160,
        "string_to_table",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Table {
            columns: &[("string_to_table", T::TEXT)],
            rows: string_to_table,
        },
    )
    .lax(),
    F::new(
        6161,
        "string_to_table",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Table {
            columns: &[("string_to_table", T::TEXT)],
            rows: string_to_table,
        },
    )
    .lax(),
    F::new(3540, "format", &[T::TEXT], T::TEXT, Body::Scalar(format)).lax(),
    F::new(
        3539,
        "format",
        &[T::TEXT, T::ANY],
        T::TEXT,
        Body::Scalar(format),
    )
    .lax()
    .variadic(),
];

/// The longest text that a function makes.
const MAX_LEN: usize = 64 << 20;

fn too_long() -> PgError {
    PgError::error("54000", "requested length too large")
}

/// Characters change their case one by one: what would become several stays as it is.
fn single(mut mapped: impl Iterator<Item = char>, original: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => original,
    }
}

fn cased(text: &str, change: impl Fn(char) -> char) -> String {
    text.chars().map(change).collect()
}

fn lower(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(cased(text(args, 0)?, |c| {
        single(c.to_lowercase(), c)
    })))
}

fn upper(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(cased(text(args, 0)?, |c| {
        single(c.to_uppercase(), c)
    })))
}

fn initcap(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut out = String::new();
    let mut inside = false;
    for character in text(args, 0)?.chars() {
        if inside {
            out.push(single(character.to_lowercase(), character));
        } else {
            out.push(single(character.to_uppercase(), character));
        }
        inside = character.is_alphanumeric();
    }
    Ok(text_datum(out))
}

fn length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(text(args, 0)?.chars().count()))
}

fn octet_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(text(args, 0)?.len()))
}

fn bit_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(text(args, 0)?.len().saturating_mul(8)))
}

/// A part by its first position (from 1, maybe before the text) and its length.
pub(super) fn part(start: i64, length: Option<i64>) -> Result<(usize, usize), PgError> {
    let end = match length {
        Some(length) if length < 0 => {
            return Err(PgError::error(
                "22011",
                "negative substring length not allowed",
            ));
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let first = start.max(1);
    let skip = usize::try_from(first - 1).unwrap_or(0);
    Ok((
        skip,
        usize::try_from(end.saturating_sub(first)).unwrap_or(0),
    ))
}

fn substring(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let length = if args.len() > 2 {
        Some(int(args, 2)?)
    } else {
        None
    };
    let (skip, take) = part(int(args, 1)?, length)?;
    let found: String = text(args, 0)?.chars().skip(skip).take(take).collect();
    Ok(text_datum(found))
}

fn overlay(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (whole, new, start) = (text(args, 0)?, text(args, 1)?, int(args, 2)?);
    if start <= 0 {
        return Err(PgError::error(
            "22011",
            "negative substring length not allowed",
        ));
    }
    let length = if args.len() > 3 {
        int(args, 3)?
    } else {
        i64::try_from(new.chars().count()).unwrap_or(i64::MAX)
    };
    let before = usize::try_from(start - 1).unwrap_or(0);
    let after = usize::try_from(start.saturating_add(length) - 1).unwrap_or(0);
    let mut out: String = whole.chars().take(before).collect();
    out.push_str(new);
    out.extend(whole.chars().skip(after));
    Ok(text_datum(out))
}

fn position(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    Ok(match whole.split_once(text(args, 1)?) {
        Some((before, _)) => count_datum(before.chars().count() + 1),
        None => Datum::Int(0),
    })
}

fn trimmed(args: &[Datum], start: bool, end: bool) -> Result<Datum, PgError> {
    let set = if args.len() > 1 { text(args, 1)? } else { " " };
    let mut found = text(args, 0)?;
    if start {
        found = found.trim_start_matches(|c| set.contains(c));
    }
    if end {
        found = found.trim_end_matches(|c| set.contains(c));
    }
    Ok(text_datum(found))
}

fn btrim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    trimmed(args, true, true)
}

fn ltrim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    trimmed(args, true, false)
}

fn rtrim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    trimmed(args, false, true)
}

/// What fills a text up to its length, and the text cut to it.
fn padded(args: &[Datum]) -> Result<(String, String), PgError> {
    let whole = text(args, 0)?;
    let wanted = usize::try_from(int(args, 1)?).unwrap_or(0);
    if wanted > MAX_LEN {
        return Err(too_long());
    }
    let fill = if args.len() > 2 { text(args, 2)? } else { " " };
    let kept: String = whole.chars().take(wanted).collect();
    let missing = wanted - kept.chars().count();
    let padding = if fill.is_empty() {
        String::new()
    } else {
        fill.chars().cycle().take(missing).collect()
    };
    Ok((padding, kept))
}

fn lpad(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (padding, kept) = padded(args)?;
    Ok(text_datum(padding + &kept))
}

fn rpad(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (padding, kept) = padded(args)?;
    Ok(text_datum(kept + &padding))
}

/// How many characters `n` means: a negative one is so many fewer than there are.
fn count_of(whole: &str, n: i64) -> usize {
    if n >= 0 {
        return usize::try_from(n).unwrap_or(usize::MAX);
    }
    let less = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    whole.chars().count().saturating_sub(less)
}

fn left(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    let found: String = whole.chars().take(count_of(whole, int(args, 1)?)).collect();
    Ok(text_datum(found))
}

fn right(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    let all = whole.chars().count();
    let kept = count_of(whole, int(args, 1)?);
    let found: String = whole.chars().skip(all.saturating_sub(kept)).collect();
    Ok(text_datum(found))
}

fn repeat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    let times = usize::try_from(int(args, 1)?).unwrap_or(0);
    if whole.len().saturating_mul(times) > MAX_LEN {
        return Err(too_long());
    }
    Ok(text_datum(whole.repeat(times)))
}

fn replace(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (whole, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    if from.is_empty() {
        return Ok(text_datum(whole));
    }
    if whole.matches(from).count().saturating_mul(to.len()) > MAX_LEN {
        return Err(too_long());
    }
    Ok(text_datum(whole.replace(from, to)))
}

fn reverse(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let found: String = text(args, 0)?.chars().rev().collect();
    Ok(text_datum(found))
}

fn split_part(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (whole, separator, n) = (text(args, 0)?, text(args, 1)?, int(args, 2)?);
    let parts: Vec<&str> = if separator.is_empty() {
        vec![whole]
    } else {
        whole.split(separator).collect()
    };
    let at = match n {
        0 => return Err(invalid("field position must not be zero")),
        1.. => usize::try_from(n - 1).ok(),
        ..0 => usize::try_from(n.unsigned_abs())
            .ok()
            .and_then(|n| parts.len().checked_sub(n)),
    };
    let found = at.and_then(|at| parts.get(at).copied()).unwrap_or("");
    Ok(text_datum(found))
}

fn translate(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (whole, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let mut out = String::with_capacity(whole.len());
    for character in whole.chars() {
        match from.chars().position(|c| c == character) {
            None => out.push(character),
            Some(at) => out.extend(to.chars().nth(at)),
        }
    }
    Ok(text_datum(out))
}

fn starts_with(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(
        text(args, 0)?.starts_with(text(args, 1)?).into(),
    ))
}

fn ascii(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let first = text(args, 0)?.chars().next();
    Ok(Datum::Int(first.map_or(0, |c| u32::from(c).into())))
}

fn chr(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let code = int(args, 0)?;
    if code == 0 {
        return Err(PgError::error("54000", "null character not permitted"));
    }
    if code < 0 {
        return Err(invalid("character number must be positive"));
    }
    let found = u32::try_from(code).ok().and_then(char::from_u32);
    found.map(|c| text_datum(c.to_string())).ok_or_else(|| {
        let message = format!("requested character not valid for encoding: {code}");
        PgError::error("54000", message)
    })
}

fn textcat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(format!("{}{}", text(args, 0)?, text(args, 1)?)))
}

/// The collected arguments of a variadic function.
fn collected(args: &[Datum], at: usize) -> Result<Vec<Option<String>>, PgError> {
    if text_or_null(args, at)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(array(args, at)?.elements)
}

fn concat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let parts: Vec<String> = collected(args, 0)?.into_iter().flatten().collect();
    Ok(text_datum(parts.concat()))
}

fn concat_ws(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let Some(separator) = text_or_null(args, 0)? else {
        return Ok(Datum::Null);
    };
    let parts: Vec<String> = collected(args, 1)?.into_iter().flatten().collect();
    Ok(text_datum(parts.join(separator)))
}

/// Parts of a text; without a separator each character is one. A part equal to the third argument
/// is NULL.
fn split(args: &[Datum]) -> Result<Option<Vec<Option<String>>>, PgError> {
    let Some(whole) = text_or_null(args, 0)? else {
        return Ok(None);
    };
    let null = text_or_null(args, 2)?;
    let parts: Vec<String> = match text_or_null(args, 1)? {
        _ if whole.is_empty() => Vec::new(),
        None => whole.chars().map(String::from).collect(),
        Some("") => vec![whole.to_owned()],
        Some(separator) => whole.split(separator).map(str::to_owned).collect(),
    };
    let parts = parts
        .into_iter()
        .map(|part| (Some(part.as_str()) != null).then_some(part));
    Ok(Some(parts.collect()))
}

fn string_to_array(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(split(args)?.map_or(Datum::Null, array_of))
}

fn string_to_table(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let parts = split(args)?.unwrap_or_default();
    Ok(parts.into_iter().map(|part| vec![or_null(part)]).collect())
}

/// `%s`, `%I`, `%L`, `%%`, with `n$`, `-` and a width.
fn format(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let Some(pattern) = text_or_null(args, 0)? else {
        return Ok(Datum::Null);
    };
    let values = collected(args, 1)?;
    let mut out = String::new();
    let mut next = 0;
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (specifier, after) = Specifier::parse(after)?;
        rest = after;
        let at = specifier.position.unwrap_or(next);
        next = at + 1;
        let value = values
            .get(at)
            .ok_or_else(|| invalid("too few arguments for format()"))?
            .as_deref();
        specifier.write(value, &mut out)?;
    }
    out.push_str(rest);
    Ok(text_datum(out))
}

struct Specifier {
    position: Option<usize>,
    left: bool,
    width: usize,
    kind: char,
}

impl Specifier {
    fn parse(text: &str) -> Result<(Self, &str), PgError> {
        let unterminated = || {
            invalid("unterminated format() type specifier")
                .with_hint("For a single \"%\" use \"%%\".")
        };
        let digits = |text: &str| {
            text.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len())
        };
        let mut rest = text;
        let mut position = None;
        let (number, after) = rest.split_at(digits(rest));
        if let Some(after) = after.strip_prefix('$') {
            let number: usize = number.parse().map_err(|_| unterminated())?;
            let zero = || invalid("format specifies argument 0, but arguments are numbered from 1");
            position = Some(number.checked_sub(1).ok_or_else(zero)?);
            rest = after;
        }
        let left = rest.starts_with('-');
        rest = rest.trim_start_matches('-');
        let (width, after) = rest.split_at(digits(rest));
        let width = if width.is_empty() {
            0
        } else {
            width.parse().map_err(|_| unterminated())?
        };
        if width > MAX_LEN {
            return Err(too_long());
        }
        let mut characters = after.chars();
        let kind = characters.next().ok_or_else(unterminated)?;
        let specifier = Self {
            position,
            left,
            width,
            kind,
        };
        Ok((specifier, characters.as_str()))
    }

    fn write(&self, value: Option<&str>, out: &mut String) -> Result<(), PgError> {
        let text = match (self.kind, value) {
            ('s', value) => value.unwrap_or("").to_owned(),
            ('I', Some(value)) => quote_name(value),
            ('I', None) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(PgError::error("22004", message));
            }
            ('L', Some(value)) => quote_literal_text(value),
            ('L', None) => "NULL".to_owned(),
            (other, _) => {
                let message = format!("unrecognized format() type specifier \"{other}\"");
                return Err(invalid(message).with_hint("For a single \"%\" use \"%%\"."));
            }
        };
        let padding = " ".repeat(self.width.saturating_sub(text.chars().count()));
        let parts = if self.left {
            [text, padding]
        } else {
            [padding, text]
        };
        out.push_str(&parts.concat());
        Ok(())
    }
}
