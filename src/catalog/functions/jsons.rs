//! Functions of json and jsonb.

use super::args::{array, bool_datum, count_datum, int, invalid, or_null, text, text_datum};
use super::{Body, Call, Function as F, Row};
use crate::datum::{Datum, Json, PgType as T, RawMember, one_of_each};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
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
        3968,
        "json_typeof",
        &[T::JSON],
        T::TEXT,
        Body::Scalar(type_of),
    ),
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
        3301,
        "jsonb_concat",
        &[T::JSONB, T::JSONB],
        T::JSONB,
        Body::Scalar(concat),
    ),
    F::new(
        3302,
        "jsonb_delete",
        &[T::JSONB, T::TEXT],
        T::JSONB,
        Body::Scalar(delete_key),
    ),
    F::new(
        3303,
        "jsonb_delete",
        &[T::JSONB, T::INT4],
        T::JSONB,
        Body::Scalar(delete_element),
    ),
    F::new(
        3343,
        "jsonb_delete",
        &[T::JSONB, T::TEXT_ARRAY],
        T::JSONB,
        Body::Scalar(delete_keys),
    )
    .variadic()
    .named(&["from_json", "path_elems"]),
    F::new(
        3304,
        "jsonb_delete_path",
        &[T::JSONB, T::TEXT_ARRAY],
        T::JSONB,
        Body::Scalar(delete_path),
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
    F::new(
        3306,
        "jsonb_pretty",
        &[T::JSONB],
        T::TEXT,
        Body::Scalar(pretty),
    ),
    F::new(
        3262,
        "jsonb_strip_nulls",
        &[T::JSONB],
        T::JSONB,
        Body::Scalar(strip_nulls),
    ),
];

/// A `jsonb`, or a `json` as one.
fn value(args: &[Datum], at: usize) -> Result<Json, PgError> {
    Ok(Json::parse(text(args, at)?, true)?)
}

/// The members of a `json` as they were written.
fn raw(args: &[Datum]) -> Result<Option<Vec<RawMember>>, PgError> {
    Ok(Json::raw_members(text(args, 0)?)?)
}

/// A value as `->>` gives it: a string without quotes, null as NULL.
fn plain(found: Option<&Json>) -> Datum {
    match found {
        None | Some(Json::Null) => Datum::Null,
        Some(Json::String(text)) => text_datum(text.as_str()),
        Some(other @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_))) => {
            text_datum(other.text())
        }
    }
}

fn whole(found: Option<&Json>) -> Datum {
    or_null(found.map(Json::text))
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

/// A subscript from either end.
fn subscript(len: usize, at: i64) -> Option<usize> {
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

fn at_key<'j>(json: &'j Json, key: &str) -> Option<&'j Json> {
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

fn steps(args: &[Datum]) -> Result<Option<Vec<String>>, PgError> {
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
fn items(json: Json, object: &str, scalar: &str) -> Result<Vec<Json>, PgError> {
    match json {
        Json::Array(items) => Ok(items),
        Json::Object(_) => Err(invalid(object)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(invalid(scalar)),
    }
}

const LENGTH_OF_OBJECT: &str = "cannot get array length of a non-array";
const LENGTH_OF_SCALAR: &str = "cannot get array length of a scalar";
const ELEMENTS_OF_OBJECT: &str = "cannot extract elements from an object";
const ELEMENTS_OF_SCALAR: &str = "cannot extract elements from a scalar";

fn length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let items = items(value(args, 0)?, LENGTH_OF_OBJECT, LENGTH_OF_SCALAR)?;
    Ok(count_datum(items.len()))
}

fn json_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let json = Json::parse(text(args, 0)?, false)?;
    Ok(count_datum(
        items(json, LENGTH_OF_OBJECT, LENGTH_OF_SCALAR)?.len(),
    ))
}

fn elements(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let items = items(value(args, 0)?, ELEMENTS_OF_OBJECT, ELEMENTS_OF_SCALAR)?;
    Ok(items.iter().map(|item| vec![whole(Some(item))]).collect())
}

fn elements_text(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let items = items(value(args, 0)?, ELEMENTS_OF_OBJECT, ELEMENTS_OF_SCALAR)?;
    Ok(items.iter().map(|item| vec![plain(Some(item))]).collect())
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

fn concat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let listed = |json: Json| match json {
        Json::Array(items) => items,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            vec![json]
        }
    };
    let joined = match (value(args, 0)?, value(args, 1)?) {
        (Json::Object(mut one), Json::Object(other)) => {
            one.extend(other);
            Json::Object(one_of_each(one))
        }
        (one, other) => {
            let mut items = listed(one);
            items.extend(listed(other));
            Json::Array(items)
        }
    };
    Ok(text_datum(joined.text()))
}

fn without(json: Json, keys: &[String]) -> Result<Json, PgError> {
    match json {
        Json::Object(mut members) => {
            members.retain(|(key, _)| !keys.contains(key));
            Ok(Json::Object(members))
        }
        Json::Array(mut items) => {
            items.retain(|item| !matches!(item, Json::String(text) if keys.contains(text)));
            Ok(Json::Array(items))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            Err(invalid("cannot delete from scalar"))
        }
    }
}

fn delete_key(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let keys = [text(args, 1)?.to_owned()];
    Ok(text_datum(without(value(args, 0)?, &keys)?.text()))
}

fn delete_keys(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let keys: Vec<String> = array(args, 1)?.elements.into_iter().flatten().collect();
    Ok(text_datum(without(value(args, 0)?, &keys)?.text()))
}

fn delete_element(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    match value(args, 0)? {
        Json::Array(mut items) => {
            if let Some(at) = subscript(items.len(), int(args, 1)?) {
                items.remove(at);
            }
            Ok(text_datum(Json::Array(items).text()))
        }
        Json::Object(_) => Err(invalid("cannot delete from object using integer index")),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            Err(invalid("cannot delete from scalar"))
        }
    }
}

fn cut(json: &mut Json, steps: &[String]) {
    let Some((step, rest)) = steps.split_first() else {
        return;
    };
    match json {
        Json::Object(members) => {
            if rest.is_empty() {
                members.retain(|(key, _)| key != step);
            } else if let Some((_, inner)) = members.iter_mut().find(|(key, _)| key == step) {
                cut(inner, rest);
            }
        }
        Json::Array(items) => {
            let at = step
                .trim()
                .parse()
                .ok()
                .and_then(|at| subscript(items.len(), at));
            match at {
                Some(at) if rest.is_empty() => {
                    items.remove(at);
                }
                Some(at) => {
                    if let Some(inner) = items.get_mut(at) {
                        cut(inner, rest);
                    }
                }
                None => {}
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn delete_path(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut json = value(args, 0)?;
    if !matches!(json, Json::Object(_) | Json::Array(_)) {
        return Err(invalid("cannot delete path in scalar"));
    }
    cut(&mut json, &steps(args)?.unwrap_or_default());
    Ok(text_datum(json.text()))
}

fn indented(json: &Json, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"    ".repeat(depth));
    };
    match json {
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                indented(item, depth + 1, out);
            }
            line(out, depth);
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                Json::String(key.clone()).write(out);
                out.push_str(": ");
                indented(value, depth + 1, out);
            }
            line(out, depth);
            out.push('}');
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.write(out),
    }
}

fn pretty(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut out = String::new();
    indented(&value(args, 0)?, 0, &mut out);
    Ok(text_datum(out))
}

fn stripped(json: Json) -> Json {
    match json {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(key, value)| (key, stripped(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(stripped).collect()),
        scalar @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => scalar,
    }
}

fn strip_nulls(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(stripped(value(args, 0)?).text()))
}
