//! generate_series.

use super::args::{int, interval, invalid, numeric, numeric_datum};
use super::times::{plus, plus_in_zone};
use super::{Body, Call, Function as F, Row, RowStream};
use crate::datum::{Datum, Interval, Numeric, PgType as T, Style};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        1067,
        "generate_series",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Stream {
            columns: &[("generate_series", T::INT4)],
            rows: integers,
        },
    ),
    F::new(
        1066,
        "generate_series",
        &[T::INT4, T::INT4, T::INT4],
        T::INT4,
        Body::Stream {
            columns: &[("generate_series", T::INT4)],
            rows: integers,
        },
    ),
    F::new(
        1069,
        "generate_series",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Stream {
            columns: &[("generate_series", T::INT8)],
            rows: integers,
        },
    ),
    F::new(
        1068,
        "generate_series",
        &[T::INT8, T::INT8, T::INT8],
        T::INT8,
        Body::Stream {
            columns: &[("generate_series", T::INT8)],
            rows: integers,
        },
    ),
    F::new(
        3260,
        "generate_series",
        &[T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Stream {
            columns: &[("generate_series", T::NUMERIC)],
            rows: numerics,
        },
    ),
    F::new(
        3259,
        "generate_series",
        &[T::NUMERIC, T::NUMERIC, T::NUMERIC],
        T::NUMERIC,
        Body::Stream {
            columns: &[("generate_series", T::NUMERIC)],
            rows: numerics,
        },
    ),
    F::new(
        938,
        "generate_series",
        &[T::TIMESTAMP, T::TIMESTAMP, T::INTERVAL],
        T::TIMESTAMP,
        Body::Stream {
            columns: &[("generate_series", T::TIMESTAMP)],
            rows: timestamps,
        },
    ),
    F::new(
        939,
        "generate_series",
        &[T::TIMESTAMPTZ, T::TIMESTAMPTZ, T::INTERVAL],
        T::TIMESTAMPTZ,
        Body::Stream {
            columns: &[("generate_series", T::TIMESTAMPTZ)],
            rows: instants,
        },
    ),
];

fn zero_step() -> PgError {
    invalid("step size cannot equal zero")
}

fn integers(_: &Call<'_>, args: &[Datum]) -> Result<RowStream, PgError> {
    let (first, last) = (int(args, 0)?, int(args, 1)?);
    let step = if args.len() > 2 { int(args, 2)? } else { 1 };
    if step == 0 {
        return Err(zero_step());
    }
    let within = move |value: &i64| {
        if step > 0 {
            *value <= last
        } else {
            *value >= last
        }
    };
    let values = std::iter::successors(Some(first), move |value| value.checked_add(step));
    Ok(Box::new(
        values
            .take_while(within)
            .map(|value| Ok(vec![Datum::Int(value)])),
    ))
}

fn numerics(_: &Call<'_>, args: &[Datum]) -> Result<RowStream, PgError> {
    let (first, last) = (numeric(args, 0)?, numeric(args, 1)?);
    let step = if args.len() > 2 {
        numeric(args, 2)?
    } else {
        Numeric::from_int(1)
    };
    for (what, value) in [("start", &first), ("stop", &last), ("step size", &step)] {
        match value {
            Numeric::Finite(_) => {}
            Numeric::NaN => return Err(invalid(format!("{what} value cannot be NaN"))),
            Numeric::Infinity | Numeric::NegativeInfinity => {
                return Err(invalid(format!("{what} value cannot be infinity")));
            }
        }
    }
    let zero = Numeric::from_int(0);
    if step == zero {
        return Err(zero_step());
    }
    let rising = step > zero;
    let within = move |value: &Numeric| {
        if rising {
            *value <= last
        } else {
            *value >= last
        }
    };
    let values = std::iter::successors(Some(first), move |value| value.add(&step).ok());
    Ok(Box::new(
        values
            .take_while(within)
            .map(|value| Ok(vec![numeric_datum(&value)])),
    ))
}

/// From a first one on, each a step later as `next` moves it.
fn moments(
    args: &[Datum],
    next: impl Fn(i64, Interval) -> Result<i64, PgError> + Send + 'static,
) -> Result<RowStream, PgError> {
    let (first, last, step) = (int(args, 0)?, int(args, 1)?, interval(args, 2)?);
    let length = step.length_us();
    if length == 0 {
        return Err(zero_step());
    }
    let within = move |value: i64| {
        if length > 0 {
            value <= last
        } else {
            value >= last
        }
    };
    let mut state = Some(Ok(first));
    let rows = std::iter::from_fn(move || -> Option<Result<Row, PgError>> {
        let value = match state.take()? {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        if !within(value) {
            return None;
        }
        let following = next(value, step);
        // One that does not move, like infinity, would go on for ever.
        if following.as_ref().ok() != Some(&value) {
            state = Some(following);
        }
        Some(Ok(vec![Datum::Int(value)]))
    });
    Ok(Box::new(rows))
}

fn timestamps(_: &Call<'_>, args: &[Datum]) -> Result<RowStream, PgError> {
    moments(args, plus)
}

fn instants(call: &Call<'_>, args: &[Datum]) -> Result<RowStream, PgError> {
    let style: Style = call.style().clone();
    moments(args, move |value, step| plus_in_zone(&style, value, step))
}
