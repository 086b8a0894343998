//! Texts out of others.

use super::{MAX_LEN, too_long};
use crate::catalog::functions::args::{
    array, array_of, int, invalid, or_null, text, text_datum, text_or_null,
};
use crate::catalog::functions::{Body, Call, Function as F, Row};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
];

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

fn textcat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(format!("{}{}", text(args, 0)?, text(args, 1)?)))
}

/// The collected arguments of a variadic function.
pub(super) fn collected(args: &[Datum], at: usize) -> Result<Vec<Option<String>>, PgError> {
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
