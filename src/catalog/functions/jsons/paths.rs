//! One value out of a `jsonb`, by key, subscript or path.

use super::value;
use crate::catalog::functions::args::{array, int, or_null, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, Json, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        3215,
        "jsonb_array_element",
        &[T::JSONB, T::INT4],
        T::JSONB,
        Body::Scalar(element),
    )
    .named(&["from_json", "element_index"]),
    F::new(
        3216,
        "jsonb_array_element_text",
        &[T::JSONB, T::INT4],
        T::TEXT,
        Body::Scalar(element_text),
    )
    .named(&["from_json", "element_index"]),
    F::new(
        3478,
        "jsonb_object_field",
        &[T::JSONB, T::TEXT],
        T::JSONB,
        Body::Scalar(field),
    )
    .named(&["from_json", "field_name"]),
    F::new(
        3214,
        "jsonb_object_field_text",
        &[T::JSONB, T::TEXT],
        T::TEXT,
        Body::Scalar(field_text),
    )
    .named(&["from_json", "field_name"]),
    F::new(
        3217,
        "jsonb_extract_path",
        &[T::JSONB, T::TEXT_ARRAY],
        T::JSONB,
        Body::Scalar(path),
    )
    .variadic()
    .named(&["from_json", "path_elems"]),
    F::new(
        3940,
        "jsonb_extract_path_text",
        &[T::JSONB, T::TEXT_ARRAY],
        T::TEXT,
        Body::Scalar(path_text),
    )
    .variadic()
    .named(&["from_json", "path_elems"]),
];

/// A value as `->>` gives it: a string without quotes, null as NULL.
pub(super) fn plain(found: Option<&Json>) -> Datum {
    match found {
        None | Some(Json::Null) => Datum::Null,
        Some(Json::String(text)) => text_datum(text.as_str()),
        Some(other @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_))) => {
            text_datum(other.text())
        }
    }
}

pub(super) fn whole(found: Option<&Json>) -> Datum {
    or_null(found.map(Json::text))
}

/// A subscript from either end.
pub(super) fn subscript(len: usize, at: i64) -> Option<usize> {
    match usize::try_from(at) {
        Ok(at) => Some(at).filter(|at| *at < len),
        Err(_) => len.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
    }
}

fn at_index(json: &Json, at: i64) -> Option<&Json> {
    match json {
        Json::Array(items) => items.get(subscript(items.len(), at)?),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => None,
    }
}

pub(super) fn at_key<'j>(json: &'j Json, key: &str) -> Option<&'j Json> {
    match json {
        Json::Object(members) => members
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
    }
}

fn at_step<'j>(json: &'j Json, step: &str) -> Option<&'j Json> {
    match json {
        Json::Array(_) => at_index(json, step.trim().parse().ok()?),
        Json::Object(_) => at_key(json, step),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

pub(super) fn steps(args: &[Datum]) -> Result<Option<Vec<String>>, PgError> {
    Ok(array(args, 1)?.elements.into_iter().collect())
}

fn at_path<'j>(json: &'j Json, steps: &[String]) -> Option<&'j Json> {
    steps
        .iter()
        .try_fold(json, |json, step| at_step(json, step))
}

fn element(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(whole(at_index(&value(args, 0)?, int(args, 1)?)))
}

fn element_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(plain(at_index(&value(args, 0)?, int(args, 1)?)))
}

fn field(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(whole(at_key(&value(args, 0)?, text(args, 1)?)))
}

fn field_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(plain(at_key(&value(args, 0)?, text(args, 1)?)))
}

fn path(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let json = value(args, 0)?;
    Ok(steps(args)?.map_or(Datum::Null, |steps| whole(at_path(&json, &steps))))
}

fn path_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let json = value(args, 0)?;
    Ok(steps(args)?.map_or(Datum::Null, |steps| plain(at_path(&json, &steps))))
}
