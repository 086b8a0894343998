//! Arrays in their text form: making them, taking them apart, comparing their elements.

use std::cmp::Ordering;

use super::super::{casts, types};
use super::{int_arg, read, text_arg, text_of, type_arg, value_arg, write};
use crate::catalog::functions::{self, Body, Call};
use crate::datum::{
    self, Array, Datum, PgType, char_compare, inet_compare, interval_compare, numeric_compare,
};
use crate::pgerror::PgError;

/// Nearly all types separate elements so; `box`, which we do not have, is the exception.
const DELIM: char = ',';

fn parsed(text: &str) -> Result<Array, PgError> {
    Ok(datum::parse_stored_array(text, DELIM)?)
}

fn written(array: &Array) -> Datum {
    let mut out = String::new();
    datum::write_array(array, DELIM, &mut out);
    Datum::Text(out)
}

/// `array(text, ...)`
pub(super) fn array(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let elements = args
        .iter()
        .map(|arg| text_of(Some(arg)).map(str::to_owned))
        .collect();
    Ok(written(&Array::of(elements)))
}

/// `text_agg(text)`
pub(super) fn text_agg(
    _: &Call<'_>,
    rows: &mut dyn Iterator<Item = &[Datum]>,
) -> Result<Datum, PgError> {
    let elements = rows
        .map(|row| text_of(row.first()).map(str::to_owned))
        .collect();
    Ok(written(&Array::of(elements)))
}

/// `nested(array, ...)`: an array with one dimension more.
pub(super) fn nested(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut all = Array::default();
    let mut inner: Option<Vec<(usize, i32)>> = None;
    for arg in args {
        let one = match text_of(Some(arg)) {
            Some(text) => parsed(text)?,
            None => Array::default(),
        };
        if inner.get_or_insert_with(|| one.dimensions.clone()) != &one.dimensions {
            let message =
                "multidimensional arrays must have array expressions with matching dimensions";
            return Err(PgError::error("2202E", message));
        }
        all.elements.extend(one.elements);
    }
    let inner = inner.unwrap_or_default();
    if !inner.is_empty() {
        all.dimensions.push((args.len(), 1));
        all.dimensions.extend(inner);
    }
    Ok(written(&all))
}

/// `cast_array(from, to, array)`
pub(super) fn cast(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let element = |ty| types::element_of(ty).unwrap_or(PgType::TEXT);
    let (from, to) = (element(type_arg(args, 0)), element(type_arg(args, 1)));
    let mut array = parsed(text_arg(args, 2))?;
    for item in array.elements.iter_mut().flatten() {
        *item = cast_text(call, from, to, item)?;
    }
    Ok(written(&array))
}

/// An element in text form as one of another type.
fn cast_text(call: &Call<'_>, from: PgType, to: PgType, text: &str) -> Result<String, PgError> {
    let through_code =
        casts::find(from, to, super::super::Coercion::Explicit) == Some(casts::Method::Code);
    let value = if through_code {
        super::casts::convert(call, from, to, read(call, from, text)?)?
    } else {
        read(call, to, text)?
    };
    write(call, to, &value)
}

/// `concat(array, array)`: one of an outer dimension takes one of the inner as its element.
pub(super) fn concat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (one, other) = match (text_of(args.first()), text_of(args.get(1))) {
        (Some(one), Some(other)) => (parsed(one)?, parsed(other)?),
        (Some(one), None) => return Ok(Datum::Text(one.to_owned())),
        (None, Some(other)) => return Ok(Datum::Text(other.to_owned())),
        (None, None) => return Ok(Datum::Null),
    };
    if one.elements.is_empty() {
        return Ok(written(&other));
    }
    if other.elements.is_empty() {
        return Ok(written(&one));
    }
    let incompatible = || {
        PgError::error("2202E", "cannot concatenate incompatible arrays")
            .with_detail("Arrays with differing dimensions are not compatible for concatenation.")
    };
    let lengths = |array: &Array| -> Vec<usize> {
        array.dimensions.iter().map(|(length, _)| *length).collect()
    };
    let (left, right) = (lengths(&one), lengths(&other));
    let mut dimensions = if left.len() >= right.len() {
        one.dimensions.clone()
    } else {
        other.dimensions.clone()
    };
    let added = if left.len() == right.len() && left.get(1..) == right.get(1..) {
        right.first().copied().unwrap_or(0)
    } else if left.get(1..) == Some(right.as_slice()) || right.get(1..) == Some(left.as_slice()) {
        1
    } else {
        return Err(incompatible());
    };
    if let Some((length, _)) = dimensions.first_mut() {
        *length = length.saturating_add(added);
    }
    let elements = one.elements.into_iter().chain(other.elements).collect();
    Ok(written(&Array {
        dimensions,
        elements,
    }))
}

/// `subscript(array, index, ...)`: NULL outside of the bounds.
pub(super) fn subscript(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let array = parsed(text_arg(args, 0))?;
    if args.len().saturating_sub(1) != array.dimensions.len() {
        return Ok(Datum::Null);
    }
    let mut offset = 0usize;
    for (index, (length, lower)) in array.dimensions.iter().enumerate() {
        let at = int_arg(args, index.saturating_add(1)).saturating_sub(i64::from(*lower));
        let Some(at) = usize::try_from(at).ok().filter(|at| at < length) else {
            return Ok(Datum::Null);
        };
        offset = offset.saturating_mul(*length).saturating_add(at);
    }
    let element = array.elements.into_iter().nth(offset).flatten();
    Ok(element.map_or(Datum::Null, Datum::Text))
}

/// `slice(array, lower, upper)`: counts from 1 again.
pub(super) fn slice(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let array = parsed(text_arg(args, 0))?;
    let [(length, first)] = array.dimensions.as_slice() else {
        if array.dimensions.is_empty() {
            return Ok(written(&array));
        }
        return Err(PgError::unsupported(
            "a slice of an array of several dimensions is not supported",
        ));
    };
    let first = i64::from(*first);
    let last = first
        .saturating_add(i64::try_from(*length).unwrap_or(i64::MAX))
        .saturating_sub(1);
    let bound = |index: usize, otherwise: i64| match args.get(index) {
        Some(Datum::Int(number)) => *number,
        Some(Datum::Null | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_)) | None => otherwise,
    };
    let lower = bound(1, first).max(first);
    let upper = bound(2, last).min(last);
    let skip = usize::try_from(lower.saturating_sub(first)).unwrap_or(0);
    let take = usize::try_from(upper.saturating_sub(lower).saturating_add(1)).unwrap_or(0);
    Ok(written(&Array::of(
        array.elements.into_iter().skip(skip).take(take).collect(),
    )))
}

/// Elements read as values of a type.
fn elements(call: &Call<'_>, ty: PgType, text: &str) -> Result<Vec<Datum>, PgError> {
    let array = parsed(text)?;
    let read_one = |element: Option<String>| match element {
        Some(text) => read(call, ty, &text),
        None => Ok(Datum::Null),
    };
    array.elements.into_iter().map(read_one).collect()
}

/// `contains(element, array, array)`: NULL equals nothing.
pub(super) fn contains(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = type_arg(args, 0);
    let all = elements(call, ty, text_arg(args, 1))?;
    let wanted = elements(call, ty, text_arg(args, 2))?;
    let contained = wanted
        .iter()
        .all(|one| all.iter().any(|other| equal(ty, one, other)));
    Ok(Datum::Int(i64::from(contained)))
}

/// `overlap(element, array, array)`
pub(super) fn overlap(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = type_arg(args, 0);
    let one = elements(call, ty, text_arg(args, 1))?;
    let other = elements(call, ty, text_arg(args, 2))?;
    let shared = one.iter().any(|a| other.iter().any(|b| equal(ty, a, b)));
    Ok(Datum::Int(i64::from(shared)))
}

fn equal(ty: PgType, one: &Datum, other: &Datum) -> bool {
    *one != Datum::Null && *other != Datum::Null && order(ty, one, other) == Ordering::Equal
}

/// `compare(element, array, array)`: by elements, then by length, then by dimensions.
pub(super) fn compare(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = type_arg(args, 0);
    let (one, other) = (text_arg(args, 1), text_arg(args, 2));
    let left = elements(call, ty, one)?;
    let right = elements(call, ty, other)?;
    let ordering = left
        .iter()
        .zip(&right)
        .map(|(a, b)| match (a, b) {
            (Datum::Null, Datum::Null) => Ordering::Equal,
            (Datum::Null, _) => Ordering::Greater,
            (_, Datum::Null) => Ordering::Less,
            (a, b) => order(ty, a, b),
        })
        .find(|ordering| *ordering != Ordering::Equal)
        .unwrap_or_else(|| left.len().cmp(&right.len()));
    let ordering = match ordering {
        Ordering::Equal => {
            let (one, other) = (parsed(one)?.dimensions, parsed(other)?.dimensions);
            one.len().cmp(&other.len()).then_with(|| one.cmp(&other))
        }
        different @ (Ordering::Less | Ordering::Greater) => different,
    };
    Ok(Datum::Int(sign(ordering)))
}

const fn sign(ordering: Ordering) -> i64 {
    match ordering {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

/// The order of values of a type, neither of them NULL.
fn order(ty: PgType, one: &Datum, other: &Datum) -> Ordering {
    match (one, other) {
        (Datum::Int(one), Datum::Int(other)) => one.cmp(other),
        (Datum::Float(one), Datum::Float(other)) => {
            // NaN is above all and equal to itself; -0 is 0.
            one.partial_cmp(other)
                .unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
        }
        (Datum::Text(one), Datum::Text(other)) => match ty {
            PgType::NUMERIC => numeric_compare(one, other),
            PgType::INTERVAL => interval_compare(one, other),
            PgType::INET => inet_compare(one, other),
            PgType::CHAR => char_compare(one, other),
            PgType::BPCHAR => one.trim_end_matches(' ').cmp(other.trim_end_matches(' ')),
            _ => one.as_bytes().cmp(other.as_bytes()),
        },
        (Datum::Bytes(one), Datum::Bytes(other)) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

/// `any(symbol, all, element, value, array)`
pub(super) fn any(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let symbol = text_arg(args, 0);
    let ty = type_arg(args, 2);
    let value = value_arg(args, 3, ty);
    let test = |element: &Datum| {
        if value == Datum::Null || *element == Datum::Null {
            return Ok(None);
        }
        let ordering = order(ty, &value, element);
        Ok(Some(match symbol {
            "=" => ordering.is_eq(),
            "<>" => ordering.is_ne(),
            "<" => ordering.is_lt(),
            "<=" => ordering.is_le(),
            ">" => ordering.is_gt(),
            _ => ordering.is_ge(),
        }))
    };
    quantify(call, ty, int_arg(args, 1) != 0, args.get(4), test)
}

/// `any_call(function, negated, all, element, value, array)`
pub(super) fn any_call(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let function = functions::by_oid(type_arg(args, 0).0);
    let negated = int_arg(args, 1) != 0;
    let ty = type_arg(args, 3);
    let value = value_arg(args, 4, ty);
    let test = |element: &Datum| {
        if value == Datum::Null || *element == Datum::Null {
            return Ok(None);
        }
        let Some(Body::Scalar(body)) = function.map(|function| &function.body) else {
            return Err(PgError::unsupported(
                "this operator over an array is not supported",
            ));
        };
        Ok(match body(call, &[value.clone(), element.clone()])? {
            Datum::Int(answer) => Some((answer != 0) != negated),
            Datum::Null | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_) => None,
        })
    };
    quantify(call, ty, int_arg(args, 2) != 0, args.get(5), test)
}

/// ANY is true if one is, ALL false if one is not; where none decides and one is unknown, so is it.
fn quantify(
    call: &Call<'_>,
    ty: PgType,
    all: bool,
    array: Option<&Datum>,
    test: impl Fn(&Datum) -> Result<Option<bool>, PgError>,
) -> Result<Datum, PgError> {
    let Some(text) = text_of(array) else {
        return Ok(Datum::Null);
    };
    let mut unknown = false;
    for element in elements(call, ty, text)? {
        match test(&element)? {
            Some(answer) if answer != all => return Ok(Datum::Int(i64::from(answer))),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown {
        Datum::Null
    } else {
        Datum::Int(i64::from(all))
    })
}
