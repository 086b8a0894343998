//! `json`, which keeps its text: values out of it as they are written.

use super::paths::{plain, steps, subscript};
use super::rows::{LENGTH_OF_OBJECT, LENGTH_OF_SCALAR, items};
use crate::catalog::functions::args::{count_datum, int, invalid, or_null, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F, Row};
use crate::datum::{Datum, Json, PgType as T, RawMember};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        3949,
        "json_array_element",
        &[T::JSON, T::INT4],
        T::JSON,
        Body::Scalar(json_element),
    )
    .named(&["from_json", "element_index"]),
    F::new(
        3950,
        "json_array_element_text",
        &[T::JSON, T::INT4],
        T::TEXT,
        Body::Scalar(json_element_text),
    )
    .named(&["from_json", "element_index"]),
    F::new(
        3947,
        "json_object_field",
        &[T::JSON, T::TEXT],
        T::JSON,
        Body::Scalar(json_field),
    )
    .named(&["from_json", "field_name"]),
    F::new(
        3948,
        "json_object_field_text",
        &[T::JSON, T::TEXT],
        T::TEXT,
        Body::Scalar(json_field_text),
    )
    .named(&["from_json", "field_name"]),
    F::new(
        3951,
        "json_extract_path",
        &[T::JSON, T::TEXT_ARRAY],
        T::JSON,
        Body::Scalar(json_path),
    )
    .variadic()
    .named(&["from_json", "path_elems"]),
    F::new(
        3953,
        "json_extract_path_text",
        &[T::JSON, T::TEXT_ARRAY],
        T::TEXT,
        Body::Scalar(json_path_text),
    )
    .variadic()
    .named(&["from_json", "path_elems"]),
    F::new(
        3956,
        "json_array_length",
        &[T::JSON],
        T::INT4,
        Body::Scalar(json_length),
    ),
    F::new(
        3955,
        "json_array_elements",
        &[T::JSON],
        T::JSON,
        Body::Table {
            columns: &[("value", T::JSON)],
            rows: json_elements,
        },
    )
    .named(&["from_json"]),
    F::new(
        3969,
        "json_array_elements_text",
        &[T::JSON],
        T::TEXT,
        Body::Table {
            columns: &[("value", T::TEXT)],
            rows: json_elements_text,
        },
    )
    .named(&["from_json"]),
    F::new(
        3957,
        "json_object_keys",
        &[T::JSON],
        T::TEXT,
        Body::Table {
            columns: &[("json_object_keys", T::TEXT)],
            rows: json_keys,
        },
    ),
    F::new(
        3958,
        "json_each",
        &[T::JSON],
        T::RECORD,
        Body::Table {
            columns: &[("key", T::TEXT), ("value", T::JSON)],
            rows: json_each,
        },
    )
    .named(&["from_json"]),
    F::new(
        3959,
        "json_each_text",
        &[T::JSON],
        T::RECORD,
        Body::Table {
            columns: &[("key", T::TEXT), ("value", T::TEXT)],
            rows: json_each_text,
        },
    )
    .named(&["from_json"]),
];

/// The members of a `json` as they were written.
fn raw(args: &[Datum]) -> Result<Option<Vec<RawMember>>, PgError> {
    Ok(Json::raw_members(text(args, 0)?)?)
}

/// The same of a `json` in its own spelling.
fn raw_plain(found: Option<&str>) -> Result<Datum, PgError> {
    let Some(found) = found else {
        return Ok(Datum::Null);
    };
    Ok(match Json::parse(found, false)? {
        Json::Null => Datum::Null,
        Json::String(_) => plain(Some(&Json::parse(found, true)?)),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => text_datum(found),
    })
}

/// A member of a `json` by key (the last of that name) or subscript, in its own spelling.
fn raw_at(json: &str, step: &str, only: Option<char>) -> Result<Option<String>, PgError> {
    let Some(members) = Json::raw_members(json)? else {
        return Ok(None);
    };
    let is_object = json.trim_start().starts_with('{');
    if only.is_some_and(|only| (only == '{') != is_object) {
        return Ok(None);
    }
    Ok(if is_object {
        let mut found = members.into_iter().rev();
        found
            .find(|(key, _)| key.as_deref() == Some(step))
            .map(|(_, value)| value)
    } else {
        let at = step
            .trim()
            .parse()
            .ok()
            .and_then(|at| subscript(members.len(), at));
        at.and_then(|at| members.into_iter().nth(at))
            .map(|(_, value)| value)
    })
}

fn json_element_raw(args: &[Datum]) -> Result<Option<String>, PgError> {
    raw_at(text(args, 0)?, &int(args, 1)?.to_string(), Some('['))
}

fn json_element(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(json_element_raw(args)?))
}

fn json_element_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    raw_plain(json_element_raw(args)?.as_deref())
}

fn json_field(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(raw_at(text(args, 0)?, text(args, 1)?, Some('{'))?))
}

fn json_field_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    raw_plain(raw_at(text(args, 0)?, text(args, 1)?, Some('{'))?.as_deref())
}

fn raw_path(args: &[Datum]) -> Result<Option<String>, PgError> {
    let Some(steps) = steps(args)? else {
        return Ok(None);
    };
    let mut json = text(args, 0)?.to_owned();
    for step in &steps {
        let Some(next) = raw_at(&json, step, None)? else {
            return Ok(None);
        };
        json = next;
    }
    Ok(Some(json))
}

fn json_path(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(raw_path(args)?))
}

fn json_path_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    raw_plain(raw_path(args)?.as_deref())
}

fn json_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let json = Json::parse(text(args, 0)?, false)?;
    Ok(count_datum(
        items(json, LENGTH_OF_OBJECT, LENGTH_OF_SCALAR)?.len(),
    ))
}

fn raw_items(args: &[Datum]) -> Result<Vec<String>, PgError> {
    let json = Json::parse(text(args, 0)?, false)?;
    items(
        json,
        "cannot call json_array_elements on a non-array",
        "cannot call json_array_elements on a scalar",
    )?;
    let members = raw(args)?.unwrap_or_default();
    Ok(members.into_iter().map(|(_, value)| value).collect())
}

fn json_elements(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    Ok(raw_items(args)?
        .into_iter()
        .map(|item| vec![text_datum(item)])
        .collect())
}

fn json_elements_text(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    raw_items(args)?
        .iter()
        .map(|item| Ok(vec![raw_plain(Some(item))?]))
        .collect()
}

fn raw_object(args: &[Datum], name: &str) -> Result<Vec<(String, String)>, PgError> {
    let json = text(args, 0)?;
    let what = match json.trim_start().chars().next() {
        Some('{') => {
            let members = raw(args)?.unwrap_or_default();
            return Ok(members
                .into_iter()
                .filter_map(|(key, value)| Some((key?, value)))
                .collect());
        }
        Some('[') => "an array",
        Some(_) | None => "a scalar",
    };
    if name == "json_object_keys" {
        return Err(invalid(format!("cannot call {name} on {what}")));
    }
    Err(invalid(if what == "an array" {
        "cannot deconstruct an array as an object"
    } else {
        "cannot deconstruct a scalar"
    }))
}

fn json_keys(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let members = raw_object(args, "json_object_keys")?;
    Ok(members
        .into_iter()
        .map(|(key, _)| vec![text_datum(key)])
        .collect())
}

fn json_each(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let members = raw_object(args, "json_each")?;
    Ok(members
        .into_iter()
        .map(|(key, value)| vec![text_datum(key), text_datum(value)])
        .collect())
}

fn json_each_text(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let members = raw_object(args, "json_each_text")?.into_iter();
    members
        .map(|(key, value)| Ok(vec![text_datum(key), raw_plain(Some(&value))?]))
        .collect()
}
