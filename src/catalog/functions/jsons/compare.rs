//! Which values of a `jsonb` are in another.

use super::paths::at_key;
use super::value;
use crate::catalog::functions::args::{array, bool_datum, text};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, Json, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        4046,
        "jsonb_contains",
        &[T::JSONB, T::JSONB],
        T::BOOL,
        Body::Scalar(contains),
    ),
    F::new(
        4050,
        "jsonb_contained",
        &[T::JSONB, T::JSONB],
        T::BOOL,
        Body::Scalar(contained),
    ),
    F::new(
        4047,
        "jsonb_exists",
        &[T::JSONB, T::TEXT],
        T::BOOL,
        Body::Scalar(exists),
    ),
    F::new(
        4048,
        "jsonb_exists_any",
        &[T::JSONB, T::TEXT_ARRAY],
        T::BOOL,
        Body::Scalar(exists_any),
    ),
    F::new(
        4049,
        "jsonb_exists_all",
        &[T::JSONB, T::TEXT_ARRAY],
        T::BOOL,
        Body::Scalar(exists_all),
    ),
    F::new(
        4043,
        "jsonb_eq",
        &[T::JSONB, T::JSONB],
        T::BOOL,
        Body::Scalar(equal),
    ),
    F::new(
        4038,
        "jsonb_ne",
        &[T::JSONB, T::JSONB],
        T::BOOL,
        Body::Scalar(not_equal),
    ),
];

/// Equal as numbers, whatever their digits.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => crate::datum::numeric_compare(a, b).is_eq(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (a, b) => a == b,
    }
}

fn equal(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(same(&value(args, 0)?, &value(args, 1)?)))
}

fn not_equal(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(!same(&value(args, 0)?, &value(args, 1)?)))
}

/// Whether all of `inner` is in `outer`, level by level.
fn holds(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Object(_), Json::Object(inner)) => inner
            .iter()
            .all(|(key, value)| at_key(outer, key).is_some_and(|found| holds(found, value))),
        (Json::Array(outer), Json::Array(inner)) => inner.iter().all(|value| {
            outer.iter().any(|found| match (found, value) {
                (Json::Array(_), Json::Array(_)) | (Json::Object(_), Json::Object(_)) => {
                    holds(found, value)
                }
                _ => same(found, value),
            })
        }),
        _ => same(outer, inner),
    }
}

/// An array also contains a scalar that is in it, at the top only.
fn contained_in(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Array(items), Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => {
            items.iter().any(|item| same(item, inner))
        }
        _ => holds(outer, inner),
    }
}

fn contains(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(contained_in(&value(args, 0)?, &value(args, 1)?)))
}

fn contained(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(contained_in(&value(args, 1)?, &value(args, 0)?)))
}

/// Whether a key, an element or the whole is this string.
fn has(json: &Json, key: &str) -> bool {
    let is = |item: &Json| matches!(item, Json::String(text) if text == key);
    match json {
        Json::Object(_) => at_key(json, key).is_some(),
        Json::Array(items) => items.iter().any(is),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => is(json),
    }
}

fn exists(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(has(&value(args, 0)?, text(args, 1)?)))
}

fn exists_any(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let json = value(args, 0)?;
    Ok(bool_datum(
        array(args, 1)?
            .elements
            .iter()
            .flatten()
            .any(|key| has(&json, key)),
    ))
}

fn exists_all(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let json = value(args, 0)?;
    Ok(bool_datum(
        array(args, 1)?
            .elements
            .iter()
            .flatten()
            .all(|key| has(&json, key)),
    ))
}
