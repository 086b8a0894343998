//! Aggregates and window functions.

use super::args::{array_datum, array_of, float, interval, numeric, numeric_datum, text_or_null};
use super::{Body, Call, Function as F};
use crate::datum::{Array, Datum, Interval, Numeric, PgType as T, parse_stored_array};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(2803, "count", &[], T::INT8, Body::Native("count")).lax(),
    F::new(2147, "count", &[T::ANY], T::INT8, Body::Native("count")).lax(),
    F::new(
        2051,
        "min",
        &[T::ANYARRAY],
        T::ANYARRAY,
        Body::Native("min"),
    )
    .lax(),
    F::new(
        2050,
        "max",
        &[T::ANYARRAY],
        T::ANYARRAY,
        Body::Native("max"),
    )
    .lax(),
    F::new(2133, "min", &[T::INT2], T::INT2, Body::Native("min")).lax(),
    F::new(2132, "min", &[T::INT4], T::INT4, Body::Native("min")).lax(),
    F::new(2131, "min", &[T::INT8], T::INT8, Body::Native("min")).lax(),
    F::new(2134, "min", &[T::OID], T::OID, Body::Native("min")).lax(),
    F::new(2135, "min", &[T::FLOAT4], T::FLOAT4, Body::Native("min")).lax(),
    F::new(2136, "min", &[T::FLOAT8], T::FLOAT8, Body::Native("min")).lax(),
    F::new(2146, "min", &[T::NUMERIC], T::NUMERIC, Body::Native("min")).lax(),
    F::new(2145, "min", &[T::TEXT], T::TEXT, Body::Native("min")).lax(),
    F::new(2245, "min", &[T::BPCHAR], T::BPCHAR, Body::Native("min")).lax(),
    F::new(2138, "min", &[T::DATE], T::DATE, Body::Native("min")).lax(),
    F::new(2139, "min", &[T::TIME], T::TIME, Body::Native("min")).lax(),
    F::new(
        2142,
        "min",
        &[T::TIMESTAMP],
        T::TIMESTAMP,
        Body::Native("min"),
    )
    .lax(),
    F::new(
        2143,
        "min",
        &[T::TIMESTAMPTZ],
        T::TIMESTAMPTZ,
        Body::Native("min"),
    )
    .lax(),
    F::new(
        2144,
        "min",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Native("min"),
    )
    .lax(),
    F::new(4190, "min", &[T::PG_LSN], T::PG_LSN, Body::Native("min")).lax(),
    F::new(5100, "min", &[T::XID8], T::XID8, Body::Native("min")).lax(),
    F::new(2117, "max", &[T::INT2], T::INT2, Body::Native("max")).lax(),
    F::new(2116, "max", &[T::INT4], T::INT4, Body::Native("max")).lax(),
    F::new(2115, "max", &[T::INT8], T::INT8, Body::Native("max")).lax(),
    F::new(2118, "max", &[T::OID], T::OID, Body::Native("max")).lax(),
    F::new(2119, "max", &[T::FLOAT4], T::FLOAT4, Body::Native("max")).lax(),
    F::new(2120, "max", &[T::FLOAT8], T::FLOAT8, Body::Native("max")).lax(),
    F::new(2130, "max", &[T::NUMERIC], T::NUMERIC, Body::Native("max")).lax(),
    F::new(2129, "max", &[T::TEXT], T::TEXT, Body::Native("max")).lax(),
    F::new(2244, "max", &[T::BPCHAR], T::BPCHAR, Body::Native("max")).lax(),
    F::new(2122, "max", &[T::DATE], T::DATE, Body::Native("max")).lax(),
    F::new(2123, "max", &[T::TIME], T::TIME, Body::Native("max")).lax(),
    F::new(
        2126,
        "max",
        &[T::TIMESTAMP],
        T::TIMESTAMP,
        Body::Native("max"),
    )
    .lax(),
    F::new(
        2127,
        "max",
        &[T::TIMESTAMPTZ],
        T::TIMESTAMPTZ,
        Body::Native("max"),
    )
    .lax(),
    F::new(
        2128,
        "max",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Native("max"),
    )
    .lax(),
    F::new(4189, "max", &[T::PG_LSN], T::PG_LSN, Body::Native("max")).lax(),
    F::new(5099, "max", &[T::XID8], T::XID8, Body::Native("max")).lax(),
    F::new(3565, "min", &[T::INET], T::INET, Body::Native("min")).lax(),
    F::new(3564, "max", &[T::INET], T::INET, Body::Native("max")).lax(),
    F::new(2109, "sum", &[T::INT2], T::INT8, Body::Native("sum")).lax(),
    F::new(2108, "sum", &[T::INT4], T::INT8, Body::Native("sum")).lax(),
    F::new(
        2107,
        "sum",
        &[T::INT8],
        T::NUMERIC,
        Body::Aggregate(sum_numeric),
    ),
    F::new(
        2114,
        "sum",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Aggregate(sum_numeric),
    ),
    F::new(
        2110,
        "sum",
        &[T::FLOAT4],
        T::FLOAT4,
        Body::Aggregate(sum_single),
    ),
    F::new(
        2111,
        "sum",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Aggregate(sum_float),
    ),
    F::new(
        2113,
        "sum",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Aggregate(sum_interval),
    ),
    F::new(
        2102,
        "avg",
        &[T::INT2],
        T::NUMERIC,
        Body::Aggregate(avg_numeric),
    ),
    F::new(
        2101,
        "avg",
        &[T::INT4],
        T::NUMERIC,
        Body::Aggregate(avg_numeric),
    ),
    F::new(
        2100,
        "avg",
        &[T::INT8],
        T::NUMERIC,
        Body::Aggregate(avg_numeric),
    ),
    F::new(
        2103,
        "avg",
        &[T::NUMERIC],
        T::NUMERIC,
        Body::Aggregate(avg_numeric),
    ),
    F::new(
        2104,
        "avg",
        &[T::FLOAT4],
        T::FLOAT8,
        Body::Aggregate(avg_float),
    ),
    F::new(
        2105,
        "avg",
        &[T::FLOAT8],
        T::FLOAT8,
        Body::Aggregate(avg_float),
    ),
    F::new(
        2106,
        "avg",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Aggregate(avg_interval),
    ),
    F::new(2517, "bool_and", &[T::BOOL], T::BOOL, Body::Native("min")).lax(),
    F::new(2518, "bool_or", &[T::BOOL], T::BOOL, Body::Native("max")).lax(),
    F::new(2519, "every", &[T::BOOL], T::BOOL, Body::Native("min")).lax(),
    F::new(
        3538,
        "string_agg",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Aggregate(string_agg),
    )
    .lax(),
    F::new(
        3545,
        "string_agg",
        &[T::BYTEA, T::BYTEA],
        T::BYTEA,
        Body::Aggregate(bytes_agg),
    )
    .lax(),
    F::new(
        2335,
        "array_agg",
        &[T::ANYNONARRAY],
        T::ANYARRAY,
        Body::Aggregate(array_agg),
    )
    .lax(),
    F::new(
        4053,
        "array_agg",
        &[T::ANYARRAY],
        T::ANYARRAY,
        Body::Aggregate(array_agg_arrays),
    )
    .lax(),
    F::new(3100, "row_number", &[], T::INT8, Body::Native("row_number")).lax(),
    F::new(3101, "rank", &[], T::INT8, Body::Native("rank")).lax(),
    F::new(3102, "dense_rank", &[], T::INT8, Body::Native("dense_rank")).lax(),
    F::new(
        3103,
        "percent_rank",
        &[],
        T::FLOAT8,
        Body::Native("percent_rank"),
    )
    .lax(),
    F::new(3104, "cume_dist", &[], T::FLOAT8, Body::Native("cume_dist")).lax(),
    F::new(3105, "ntile", &[T::INT4], T::INT4, Body::Native("ntile")),
    F::new(
        3106,
        "lag",
        &[T::ANYELEMENT],
        T::ANYELEMENT,
        Body::Native("lag"),
    ),
    F::new(
        3107,
        "lag",
        &[T::ANYELEMENT, T::INT4],
        T::ANYELEMENT,
        Body::Native("lag"),
    ),
    F::new(
        3108,
        "lag",
        &[T::ANYELEMENT, T::INT4, T::ANYELEMENT],
        T::ANYELEMENT,
        Body::Native("lag"),
    ),
    F::new(
        3109,
        "lead",
        &[T::ANYELEMENT],
        T::ANYELEMENT,
        Body::Native("lead"),
    ),
    F::new(
        3110,
        "lead",
        &[T::ANYELEMENT, T::INT4],
        T::ANYELEMENT,
        Body::Native("lead"),
    ),
    F::new(
        3111,
        "lead",
        &[T::ANYELEMENT, T::INT4, T::ANYELEMENT],
        T::ANYELEMENT,
        Body::Native("lead"),
    ),
    F::new(
        3112,
        "first_value",
        &[T::ANYELEMENT],
        T::ANYELEMENT,
        Body::Native("first_value"),
    ),
    F::new(
        3113,
        "last_value",
        &[T::ANYELEMENT],
        T::ANYELEMENT,
        Body::Native("last_value"),
    ),
    F::new(
        3114,
        "nth_value",
        &[T::ANYELEMENT, T::INT4],
        T::ANYELEMENT,
        Body::Native("nth_value"),
    ),
];

/// The argument lists of a group's rows.
type Rows<'a, 'b> = &'a mut dyn Iterator<Item = &'b [Datum]>;

/// The sum and how many there were.
fn added(rows: Rows<'_, '_>) -> Result<(Numeric, i64), PgError> {
    let mut sum = Numeric::from_int(0);
    let mut count = 0;
    for row in rows {
        sum = sum.add(&numeric(row, 0)?)?;
        count += 1;
    }
    Ok((sum, count))
}

fn sum_numeric(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    Ok(match added(rows)? {
        (_, 0) => Datum::Null,
        (sum, _) => numeric_datum(&sum),
    })
}

fn avg_numeric(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let (sum, count) = added(rows)?;
    let average = sum.divide(&Numeric::from_int(count))?;
    Ok(match average {
        Some(average) if count > 0 => numeric_datum(&average),
        Some(_) | None => Datum::Null,
    })
}

fn floats(rows: Rows<'_, '_>) -> Result<Vec<f64>, PgError> {
    rows.map(|row| float(row, 0)).collect()
}

fn finite_sum(values: &[f64]) -> Result<f64, PgError> {
    let sum: f64 = values.iter().sum();
    if sum.is_infinite() && values.iter().all(|value| value.is_finite()) {
        return Err(PgError::error("22003", "value out of range: overflow"));
    }
    Ok(sum)
}

fn sum_float(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let values = floats(rows)?;
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    Ok(Datum::Float(finite_sum(&values)?))
}

/// Singles are added as singles.
fn sum_single(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let values = floats(rows)?;
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    #[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
    let sum: f32 = values.iter().map(|value| *value as f32).sum();
    Ok(Datum::Float(sum.into()))
}

fn avg_float(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let values = floats(rows)?;
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
    let count = values.len() as f64;
    Ok(Datum::Float(finite_sum(&values)? / count))
}

fn interval_sum(rows: Rows<'_, '_>) -> Result<Option<(Interval, u32)>, PgError> {
    let mut sum = Interval::default();
    let mut count = 0_u32;
    for row in rows {
        let next = sum.checked_add(interval(row, 0)?);
        sum = next.ok_or_else(|| PgError::error("22008", "interval out of range"))?;
        count = count.saturating_add(1);
    }
    Ok((count > 0).then_some((sum, count)))
}

fn sum_interval(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let sum = interval_sum(rows)?;
    Ok(sum.map_or(Datum::Null, |(sum, _)| Datum::Text(sum.stored())))
}

fn avg_interval(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let Some((sum, count)) = interval_sum(rows)? else {
        return Ok(Datum::Null);
    };
    let average = sum.checked_div(count.into());
    let average = average.ok_or_else(|| PgError::error("22008", "interval out of range"))?;
    Ok(Datum::Text(average.stored()))
}

/// Each delimiter stands before the value of its own row.
fn string_agg(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let mut joined: Option<String> = None;
    for row in rows {
        let Some(value) = text_or_null(row, 0)? else {
            continue;
        };
        match &mut joined {
            None => joined = Some(value.to_owned()),
            Some(joined) => {
                joined.push_str(text_or_null(row, 1)?.unwrap_or(""));
                joined.push_str(value);
            }
        }
    }
    Ok(joined.map_or(Datum::Null, Datum::Text))
}

fn bytes_agg(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let mut joined: Option<Vec<u8>> = None;
    for row in rows {
        let Some(Datum::Bytes(value)) = row.first() else {
            continue;
        };
        match &mut joined {
            None => joined = Some(value.clone()),
            Some(joined) => {
                if let Some(Datum::Bytes(delimiter)) = row.get(1) {
                    joined.extend_from_slice(delimiter);
                }
                joined.extend_from_slice(value);
            }
        }
    }
    Ok(joined.map_or(Datum::Null, Datum::Bytes))
}

fn array_agg(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let mut elements = Vec::new();
    for row in rows {
        elements.push(text_or_null(row, 0)?.map(str::to_owned));
    }
    // Of no rows it is NULL, not an empty array.
    Ok(if elements.is_empty() {
        Datum::Null
    } else {
        array_of(elements)
    })
}

fn array_agg_arrays(_: &Call<'_>, rows: Rows<'_, '_>) -> Result<Datum, PgError> {
    let mut all = Array::default();
    let mut inner: Option<Vec<(usize, i32)>> = None;
    let mut count = 0;
    for row in rows {
        let Some(text) = text_or_null(row, 0)? else {
            return Err(PgError::error("22004", "cannot accumulate null arrays"));
        };
        let next = parse_stored_array(text, ',')?;
        if next.elements.is_empty() {
            return Err(PgError::error("2202E", "cannot accumulate empty arrays"));
        }
        if inner.get_or_insert_with(|| next.dimensions.clone()) != &next.dimensions {
            let message = "cannot accumulate arrays of different dimensionality";
            return Err(PgError::error("2202E", message));
        }
        all.elements.extend(next.elements);
        count += 1;
    }
    let Some(inner) = inner else {
        return Ok(Datum::Null);
    };
    all.dimensions = std::iter::once((count, 1)).chain(inner).collect();
    Ok(array_datum(&all))
}
