//! Letters: their case and their codes.

use crate::catalog::functions::args::{int, invalid, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(870, "lower", &[T::TEXT], T::TEXT, Body::Scalar(lower)),
    F::new(871, "upper", &[T::TEXT], T::TEXT, Body::Scalar(upper)),
    F::new(872, "initcap", &[T::TEXT], T::TEXT, Body::Scalar(initcap)),
    F::new(1620, "ascii", &[T::TEXT], T::INT4, Body::Scalar(ascii)),
    F::new(1621, "chr", &[T::INT4], T::TEXT, Body::Scalar(chr)),
];

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
