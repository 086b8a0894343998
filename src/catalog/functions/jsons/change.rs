//! A `jsonb` out of others: joined, without a part, printed with indents.

use super::paths::{steps, subscript};
use super::value;
use crate::catalog::functions::args::{array, int, invalid, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, Json, PgType as T, one_of_each};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
