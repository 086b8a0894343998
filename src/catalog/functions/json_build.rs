//! Functions that make json and jsonb of values of any type. The binder hands them each such
//! argument as JSON text already: see `takes_json` in `bind`.

use super::args::{array, text_datum, text_or_null};
use super::{Body, Call, Function as F};
use crate::datum::{Datum, Json, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        3176,
        "to_json",
        &[T::ANYELEMENT],
        T::JSON,
        Body::Scalar(same),
    ),
    F::new(
        3787,
        "to_jsonb",
        &[T::ANYELEMENT],
        T::JSONB,
        Body::Scalar(same_b),
    ),
    F::new(
        3153,
        "array_to_json",
        &[T::ANYARRAY],
        T::JSON,
        Body::Scalar(same),
    ),
    F::new(
        3198,
        "json_build_array",
        &[T::ANY],
        T::JSON,
        Body::Scalar(build_array),
    )
    .lax()
    .variadic(),
    F::new(
        3199,
        "json_build_array",
        &[],
        T::JSON,
        Body::Scalar(build_array),
    )
    .lax(),
    F::new(
        3271,
        "jsonb_build_array",
        &[T::ANY],
        T::JSONB,
        Body::Scalar(build_array_b),
    )
    .lax()
    .variadic(),
    F::new(
        3272,
        "jsonb_build_array",
        &[],
        T::JSONB,
        Body::Scalar(build_array_b),
    )
    .lax(),
    F::new(
        3200,
        "json_build_object",
        &[T::ANY],
        T::JSON,
        Body::Scalar(build_object),
    )
    .lax()
    .variadic(),
    F::new(
        3201,
        "json_build_object",
        &[],
        T::JSON,
        Body::Scalar(build_object),
    )
    .lax(),
    F::new(
        3273,
        "jsonb_build_object",
        &[T::ANY],
        T::JSONB,
        Body::Scalar(build_object_b),
    )
    .lax()
    .variadic(),
    F::new(
        3274,
        "jsonb_build_object",
        &[],
        T::JSONB,
        Body::Scalar(build_object_b),
    )
    .lax(),
    F::new(
        3175,
        "json_agg",
        &[T::ANYELEMENT],
        T::JSON,
        Body::Aggregate(agg),
    )
    .lax(),
    F::new(
        3267,
        "jsonb_agg",
        &[T::ANYELEMENT],
        T::JSONB,
        Body::Aggregate(agg_b),
    )
    .lax(),
    F::new(
        3197,
        "json_object_agg",
        &[T::ANY, T::ANY],
        T::JSON,
        Body::Aggregate(object_agg),
    )
    .lax(),
    F::new(
        3270,
        "jsonb_object_agg",
        &[T::ANY, T::ANY],
        T::JSONB,
        Body::Aggregate(object_agg_b),
    )
    .lax(),
];

type Rows<'r, 'd> = &'r mut dyn Iterator<Item = &'d [Datum]>;

/// As `jsonb` prints it.
fn canonical(value: Datum) -> Result<Datum, PgError> {
    match value {
        Datum::Text(text) => Ok(text_datum(Json::parse(&text, true)?.text())),
        Datum::Null | Datum::Int(_) | Datum::Float(_) | Datum::Bytes(_) => Ok(value),
    }
}

fn same(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(args.first().cloned().unwrap_or(Datum::Null))
}

fn same_b(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    canonical(same(call, args)?)
}

/// The collected arguments, NULL as `null`.
fn collected(args: &[Datum]) -> Result<Vec<Option<String>>, PgError> {
    Ok(match text_or_null(args, 0)? {
        Some(_) => array(args, 0)?.elements,
        None => Vec::new(),
    })
}

fn or_null(value: Option<&str>) -> &str {
    value.unwrap_or("null")
}

fn build_array(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let items = collected(args)?;
    let items: Vec<&str> = items.iter().map(|item| or_null(item.as_deref())).collect();
    Ok(text_datum(format!("[{}]", items.join(", "))))
}

fn build_array_b(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    canonical(build_array(call, args)?)
}

fn build_object(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    object_of("json_build_object", args)
}

fn object_of(function: &str, args: &[Datum]) -> Result<Datum, PgError> {
    let items = collected(args)?;
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        let message = "argument list must have even number of elements";
        return Err(PgError::error("22023", message).with_hint(format!(
            "The arguments of {function}() must consist of alternating keys and values."
        )));
    }
    let mut members = Vec::with_capacity(pairs.len());
    for (number, [name, value]) in (0_usize..).zip(pairs) {
        let Some(name) = name else {
            let message = format!("argument {} cannot be null", number * 2 + 1);
            return Err(PgError::error("22023", message).with_hint("Object keys should be text."));
        };
        members.push(format!("{} : {}", key(name)?, or_null(value.as_deref())));
    }
    Ok(text_datum(format!("{{{}}}", members.join(", "))))
}

fn build_object_b(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    canonical(object_of("jsonb_build_object", args)?)
}

/// A value in JSON text as the name of a member.
fn key(value: &str) -> Result<String, PgError> {
    match value.as_bytes().first() {
        Some(b'"') => Ok(value.to_owned()),
        Some(b'[' | b'{') => {
            let message = "key value must be scalar, not array, composite, or json";
            Err(PgError::error("22023", message))
        }
        Some(_) | None => Ok(format!("\"{value}\"")),
    }
}

fn agg(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let mut items = Vec::new();
    for row in rows {
        items.push(or_null(text_or_null(row, 0)?).to_owned());
    }
    Ok(if items.is_empty() {
        Datum::Null
    } else {
        text_datum(format!("[{}]", items.join(", ")))
    })
}

fn agg_b(call: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    canonical(agg(call, rows)?)
}

fn object_agg(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let mut members = Vec::new();
    for row in rows {
        let Some(name) = text_or_null(row, 0)? else {
            return Err(PgError::error("22023", "field name must not be null"));
        };
        let value = or_null(text_or_null(row, 1)?);
        members.push(format!("{} : {value}", key(name)?));
    }
    Ok(if members.is_empty() {
        Datum::Null
    } else {
        text_datum(format!("{{ {} }}", members.join(", ")))
    })
}

fn object_agg_b(call: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    canonical(object_agg(call, rows)?)
}
