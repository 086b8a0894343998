//! `format()`.

use super::build::collected;
use super::{MAX_LEN, too_long};
use crate::catalog::functions::args::{invalid, text_datum, text_or_null};
use crate::catalog::functions::quoting::{quote_literal_text, quote_name};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
