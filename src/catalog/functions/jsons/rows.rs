//! Types, lengths, elements and members of a `jsonb`.

use super::paths::{plain, whole};
use super::value;
use crate::catalog::functions::args::{count_datum, invalid, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F, Row};
use crate::datum::{Datum, Json, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        3968,
        "json_typeof",
        &[T::JSON],
        T::TEXT,
        Body::Scalar(type_of),
    ),
    F::new(
        3210,
        "jsonb_typeof",
        &[T::JSONB],
        T::TEXT,
        Body::Scalar(type_of),
    ),
    F::new(
        3207,
        "jsonb_array_length",
        &[T::JSONB],
        T::INT4,
        Body::Scalar(length),
    ),
    F::new(
        3219,
        "jsonb_array_elements",
        &[T::JSONB],
        T::JSONB,
        Body::Table {
            columns: &[("value", T::JSONB)],
            rows: elements,
        },
    )
    .named(&["from_json"]),
    F::new(
        3465,
        "jsonb_array_elements_text",
        &[T::JSONB],
        T::TEXT,
        Body::Table {
            columns: &[("value", T::TEXT)],
            rows: elements_text,
        },
    )
    .named(&["from_json"]),
    F::new(
        3931,
        "jsonb_object_keys",
        &[T::JSONB],
        T::TEXT,
        Body::Table {
            columns: &[("jsonb_object_keys", T::TEXT)],
            rows: keys,
        },
    ),
    F::new(
        3208,
        "jsonb_each",
        &[T::JSONB],
        T::RECORD,
        Body::Table {
            columns: &[("key", T::TEXT), ("value", T::JSONB)],
            rows: each,
        },
    )
    .named(&["from_json"]),
    F::new(
        3932,
        "jsonb_each_text",
        &[T::JSONB],
        T::RECORD,
        Body::Table {
            columns: &[("key", T::TEXT), ("value", T::TEXT)],
            rows: each_text,
        },
    )
    .named(&["from_json"]),
];

fn type_of(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(match Json::parse(text(args, 0)?, false)? {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }))
}

/// The elements of an array, or PostgreSQL's words for what is none.
pub(super) fn items(json: Json, object: &str, scalar: &str) -> Result<Vec<Json>, PgError> {
    match json {
        Json::Array(items) => Ok(items),
        Json::Object(_) => Err(invalid(object)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(invalid(scalar)),
    }
}

pub(super) const LENGTH_OF_OBJECT: &str = "cannot get array length of a non-array";

pub(super) const LENGTH_OF_SCALAR: &str = "cannot get array length of a scalar";

const ELEMENTS_OF_OBJECT: &str = "cannot extract elements from an object";

const ELEMENTS_OF_SCALAR: &str = "cannot extract elements from a scalar";

fn length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let items = items(value(args, 0)?, LENGTH_OF_OBJECT, LENGTH_OF_SCALAR)?;
    Ok(count_datum(items.len()))
}

fn elements(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let items = items(value(args, 0)?, ELEMENTS_OF_OBJECT, ELEMENTS_OF_SCALAR)?;
    Ok(items.iter().map(|item| vec![whole(Some(item))]).collect())
}

fn elements_text(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let items = items(value(args, 0)?, ELEMENTS_OF_OBJECT, ELEMENTS_OF_SCALAR)?;
    Ok(items.iter().map(|item| vec![plain(Some(item))]).collect())
}

fn members(args: &[Datum], name: &str) -> Result<Vec<(String, Json)>, PgError> {
    match value(args, 0)? {
        Json::Object(members) => Ok(members),
        Json::Array(_) if name == "jsonb_object_keys" => {
            Err(invalid(format!("cannot call {name} on an array")))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)
            if name == "jsonb_object_keys" =>
        {
            Err(invalid(format!("cannot call {name} on a scalar")))
        }
        Json::Array(_) | Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            Err(invalid(format!("cannot call {name} on a non-object")))
        }
    }
}

fn keys(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let members = members(args, "jsonb_object_keys")?;
    Ok(members
        .into_iter()
        .map(|(key, _)| vec![text_datum(key)])
        .collect())
}

fn each(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let members = members(args, "jsonb_each")?;
    let rows = members
        .into_iter()
        .map(|(key, value)| vec![text_datum(key), whole(Some(&value))]);
    Ok(rows.collect())
}

fn each_text(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let members = members(args, "jsonb_each_text")?;
    let rows = members
        .into_iter()
        .map(|(key, value)| vec![text_datum(key), plain(Some(&value))]);
    Ok(rows.collect())
}
