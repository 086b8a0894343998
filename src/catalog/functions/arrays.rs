//! Functions of arrays, over their text form.

use super::args::{
    array, array_datum, array_of, bool_datum, count_datum, int, is_null, or_null, text, text_datum,
    text_or_null,
};
use super::{Body, Call, Function as F, Row};
use crate::datum::{Array, Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        2176,
        "array_length",
        &[T::ANYARRAY, T::INT4],
        T::INT4,
        Body::Scalar(length),
    ),
    F::new(
        2092,
        "array_upper",
        &[T::ANYARRAY, T::INT4],
        T::INT4,
        Body::Scalar(upper),
    ),
    F::new(
        2091,
        "array_lower",
        &[T::ANYARRAY, T::INT4],
        T::INT4,
        Body::Scalar(lower),
    ),
    F::new(
        748,
        "array_ndims",
        &[T::ANYARRAY],
        T::INT4,
        Body::Scalar(num_dimensions),
    ),
    F::new(
        747,
        "array_dims",
        &[T::ANYARRAY],
        T::TEXT,
        Body::Scalar(dimensions),
    ),
    F::new(
        3179,
        "cardinality",
        &[T::ANYARRAY],
        T::INT4,
        Body::Scalar(cardinality),
    ),
    F::new(
        3277,
        "array_position",
        &[T::ANYARRAY, T::ANYELEMENT],
        T::INT4,
        Body::Scalar(position),
    )
    .lax(),
    F::new(
        3278,
        "array_position",
        &[T::ANYARRAY, T::ANYELEMENT, T::INT4],
        T::INT4,
        Body::Scalar(position),
    )
    .lax(),
    F::new(
        3279,
        "array_positions",
        &[T::ANYARRAY, T::ANYELEMENT],
        T::INT4_ARRAY,
        Body::Scalar(positions),
    )
    .lax(),
    F::new(
        3167,
        "array_remove",
        &[T::ANYARRAY, T::ANYELEMENT],
        T::ANYARRAY,
        Body::Scalar(remove),
    )
    .lax(),
    F::new(
        3168,
        "array_replace",
        &[T::ANYARRAY, T::ANYELEMENT, T::ANYELEMENT],
        T::ANYARRAY,
        Body::Scalar(replace),
    )
    .lax(),
    F::new(
        378,
        "array_append",
        &[T::ANYARRAY, T::ANYELEMENT],
        T::ANYARRAY,
        Body::Scalar(append),
    )
    .lax(),
    F::new(
        379,
        "array_prepend",
        &[T::ANYELEMENT, T::ANYARRAY],
        T::ANYARRAY,
        Body::Scalar(prepend),
    )
    .lax(),
    F::new(
        383,
        "array_cat",
        &[T::ANYARRAY, T::ANYARRAY],
        T::ANYARRAY,
        Body::Scalar(cat),
    )
    .lax(),
    F::new(
        395,
        "array_to_string",
        &[T::ANYARRAY, T::TEXT],
        T::TEXT,
        Body::Scalar(to_text),
    ),
    F::new(
        384,
        "array_to_string",
        &[T::ANYARRAY, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(to_text),
    )
    .lax(),
    F::new(
        2748,
        "arraycontains",
        &[T::ANYARRAY, T::ANYARRAY],
        T::BOOL,
        Body::Scalar(contains),
    ),
    F::new(
        2749,
        "arraycontained",
        &[T::ANYARRAY, T::ANYARRAY],
        T::BOOL,
        Body::Scalar(contained),
    ),
    F::new(
        2747,
        "arrayoverlap",
        &[T::ANYARRAY, T::ANYARRAY],
        T::BOOL,
        Body::Scalar(overlaps),
    ),
    F::new(
        744,
        "array_eq",
        &[T::ANYARRAY, T::ANYARRAY],
        T::BOOL,
        Body::Scalar(equal),
    ),
    F::new(
        390,
        "array_ne",
        &[T::ANYARRAY, T::ANYARRAY],
        T::BOOL,
        Body::Scalar(not_equal),
    ),
    F::new(
        6172,
        "trim_array",
        &[T::ANYARRAY, T::INT4],
        T::ANYARRAY,
        Body::Scalar(trim),
    ),
    F::new(
        2331,
        "unnest",
        &[T::ANYARRAY],
        T::ANYELEMENT,
        Body::Table {
            columns: &[("unnest", T::ANYELEMENT)],
            rows: unnest,
        },
    ),
    F::new(
        13208,
        "_pg_expandarray",
        &[T::ANYARRAY],
        T::RECORD,
        Body::Table {
            columns: &[("x", T::ANYELEMENT), ("n", T::INT4)],
            rows: expand,
        },
    )
    .schema("information_schema"),
    F::new(
        1192,
        "generate_subscripts",
        &[T::ANYARRAY, T::INT4],
        T::INT4,
        Body::Table {
            columns: &[("generate_subscripts", T::INT4)],
            rows: subscripts,
        },
    ),
    F::new(
        1191,
        "generate_subscripts",
        &[T::ANYARRAY, T::INT4, T::BOOL],
        T::INT4,
        Body::Table {
            columns: &[("generate_subscripts", T::INT4)],
            rows: subscripts,
        },
    ),
];

/// The dimension that an argument names.
fn dimension(args: &[Datum]) -> Result<Option<(usize, i32)>, PgError> {
    let at = int(args, 1)?
        .checked_sub(1)
        .and_then(|at| usize::try_from(at).ok());
    let found = array(args, 0)?;
    Ok(at.and_then(|at| found.dimensions.get(at).copied()))
}

fn bound(lower: i32, offset: usize) -> i64 {
    i64::from(lower).saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))
}

fn length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(dimension(args)?.map_or(Datum::Null, |(length, _)| count_datum(length)))
}

fn upper(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(dimension(args)?.map_or(Datum::Null, |(length, lower)| {
        Datum::Int(bound(lower, length).saturating_sub(1))
    }))
}

fn lower(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(dimension(args)?.map_or(Datum::Null, |(_, lower)| Datum::Int(lower.into())))
}

fn num_dimensions(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(match array(args, 0)?.dimensions.len() {
        0 => Datum::Null,
        several => count_datum(several),
    })
}

fn dimensions(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let found = array(args, 0)?;
    let bounds = found
        .dimensions
        .iter()
        .map(|(length, lower)| format!("[{lower}:{}]", bound(*lower, *length).saturating_sub(1)));
    let text: String = bounds.collect();
    Ok(or_null((!text.is_empty()).then_some(text)))
}

fn cardinality(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(array(args, 0)?.elements.len()))
}

/// An array that may be NULL, which counts as empty.
fn array_or_empty(args: &[Datum], at: usize) -> Result<Array, PgError> {
    if is_null(args, at) {
        Ok(Array::default())
    } else {
        array(args, at)
    }
}

fn flat(args: &[Datum], what: &str) -> Result<Array, PgError> {
    let found = array(args, 0)?;
    if found.dimensions.len() > 1 {
        let message = format!("{what} multidimensional arrays is not supported");
        return Err(PgError::unsupported(message));
    }
    Ok(found)
}

/// Subscripts of the elements that are the second argument.
fn found_at(args: &[Datum]) -> Result<Vec<i64>, PgError> {
    let found = flat(args, "searching for elements in")?;
    let wanted = text_or_null(args, 1)?;
    let lower = found.dimensions.first().map_or(1, |(_, lower)| *lower);
    let elements = found.elements.iter().enumerate();
    let equal = elements.filter(|(_, element)| element.as_deref() == wanted);
    Ok(equal.map(|(at, _)| bound(lower, at)).collect())
}

fn position(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) {
        return Ok(Datum::Null);
    }
    let from = if args.len() > 2 {
        int(args, 2)?
    } else {
        i64::MIN
    };
    let first = found_at(args)?.into_iter().find(|at| *at >= from);
    Ok(first.map_or(Datum::Null, Datum::Int))
}

fn positions(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) {
        return Ok(Datum::Null);
    }
    Ok(array_of(
        found_at(args)?
            .into_iter()
            .map(|at| Some(at.to_string()))
            .collect(),
    ))
}

fn remove(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) {
        return Ok(Datum::Null);
    }
    let mut found = flat(args, "removing elements from")?;
    let wanted = text_or_null(args, 1)?;
    found
        .elements
        .retain(|element| element.as_deref() != wanted);
    let lower = found.dimensions.first().map_or(1, |(_, lower)| *lower);
    found.dimensions = if found.elements.is_empty() {
        Vec::new()
    } else {
        vec![(found.elements.len(), lower)]
    };
    Ok(array_datum(&found))
}

fn replace(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) {
        return Ok(Datum::Null);
    }
    let mut found = array(args, 0)?;
    let (from, to) = (text_or_null(args, 1)?, text_or_null(args, 2)?);
    for element in &mut found.elements {
        if element.as_deref() == from {
            *element = to.map(str::to_owned);
        }
    }
    Ok(array_datum(&found))
}

fn one_dimension(found: &Array) -> Result<i32, PgError> {
    match found.dimensions.as_slice() {
        [] => Ok(1),
        [(_, lower)] => Ok(*lower),
        _ => Err(PgError::error(
            "22000",
            "argument must be empty or one-dimensional array",
        )),
    }
}

fn append(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut found = array_or_empty(args, 0)?;
    let lower = one_dimension(&found)?;
    found
        .elements
        .push(text_or_null(args, 1)?.map(str::to_owned));
    found.dimensions = vec![(found.elements.len(), lower)];
    Ok(array_datum(&found))
}

fn prepend(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut found = array_or_empty(args, 1)?;
    let lower = one_dimension(&found)?;
    found
        .elements
        .insert(0, text_or_null(args, 0)?.map(str::to_owned));
    found.dimensions = vec![(found.elements.len(), lower)];
    Ok(array_datum(&found))
}

fn cat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) && is_null(args, 1) {
        return Ok(Datum::Null);
    }
    let (mut one, other) = (array_or_empty(args, 0)?, array_or_empty(args, 1)?);
    if other.elements.is_empty() {
        return Ok(array_datum(&one));
    }
    if one.elements.is_empty() {
        return Ok(array_datum(&other));
    }
    let outer = |array: &Array| array.dimensions.first().copied().unwrap_or((0, 1));
    let inner = |array: &Array| -> Vec<usize> {
        array
            .dimensions
            .iter()
            .skip(1)
            .map(|(length, _)| *length)
            .collect()
    };
    let whole = |array: &Array| -> Vec<usize> {
        array.dimensions.iter().map(|(length, _)| *length).collect()
    };
    let ((one_len, lower), (other_len, _)) = (outer(&one), outer(&other));
    let rest: Vec<(usize, i32)>;
    let total;
    if inner(&one) == inner(&other) && one.dimensions.len() == other.dimensions.len() {
        total = one_len + other_len;
        rest = one.dimensions.iter().skip(1).copied().collect();
    } else if inner(&one) == whole(&other) {
        total = one_len + 1;
        rest = one.dimensions.iter().skip(1).copied().collect();
    } else if whole(&one) == inner(&other) {
        total = other_len + 1;
        rest = other.dimensions.iter().skip(1).copied().collect();
    } else {
        return Err(
            PgError::error("2202E", "cannot concatenate incompatible arrays").with_detail(
                "Arrays with differing dimensions are not compatible for concatenation.",
            ),
        );
    }
    one.elements.extend(other.elements);
    one.dimensions = std::iter::once((total, lower)).chain(rest).collect();
    Ok(array_datum(&one))
}

fn to_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) || is_null(args, 1) {
        return Ok(Datum::Null);
    }
    let found = array(args, 0)?;
    let null = text_or_null(args, 2)?;
    let parts: Vec<&str> = found
        .elements
        .iter()
        .filter_map(|element| element.as_deref().or(null))
        .collect();
    Ok(text_datum(parts.join(text(args, 1)?)))
}

/// Whether all of `inner` is in `outer`; a NULL is in nothing.
fn holds(outer: &Array, inner: &Array) -> bool {
    inner
        .elements
        .iter()
        .all(|element| element.is_some() && outer.elements.contains(element))
}

fn contains(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(holds(&array(args, 0)?, &array(args, 1)?)))
}

fn contained(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(holds(&array(args, 1)?, &array(args, 0)?)))
}

fn overlaps(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (one, other) = (array(args, 0)?, array(args, 1)?);
    let shared = one
        .elements
        .iter()
        .any(|e| e.is_some() && other.elements.contains(e));
    Ok(bool_datum(shared))
}

fn equal(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(array(args, 0)? == array(args, 1)?))
}

fn not_equal(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(array(args, 0)? != array(args, 1)?))
}

fn trim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut found = array(args, 0)?;
    let n = int(args, 1)?;
    let length = found.dimensions.first().map_or(0, |(length, _)| *length);
    let cut = usize::try_from(n)
        .ok()
        .filter(|cut| *cut <= length)
        .ok_or_else(|| {
            PgError::error(
                "2202E",
                format!("number of elements to trim must be between 0 and {length}"),
            )
        })?;
    let per_row: usize = found
        .dimensions
        .iter()
        .skip(1)
        .map(|(length, _)| *length)
        .product();
    found.elements.truncate((length - cut) * per_row);
    if let Some(outer) = found.dimensions.first_mut() {
        *outer = (length - cut, 1);
    }
    if found.elements.is_empty() {
        found.dimensions.clear();
    }
    Ok(array_datum(&found))
}

fn unnest(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let elements = array(args, 0)?.elements;
    Ok(elements
        .into_iter()
        .map(|element| vec![or_null(element)])
        .collect())
}

/// Elements and their positions from 1, whatever the array counts from.
fn expand(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let elements = array(args, 0)?.elements.into_iter().zip(1_i64..);
    Ok(elements
        .map(|(element, n)| vec![or_null(element), Datum::Int(n)])
        .collect())
}

fn subscripts(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let Some((length, lower)) = dimension(args)? else {
        return Ok(Vec::new());
    };
    let mut rows: Vec<Row> = (0..length)
        .map(|at| vec![Datum::Int(bound(lower, at))])
        .collect();
    if args.len() > 2 && int(args, 2)? != 0 {
        rows.reverse();
    }
    Ok(rows)
}
