//! Dates and instants with intervals added and taken away.

use super::zones::midnight;
use super::{instant, interval_datum, interval_too_long, negated, plus, plus_in_zone, too_far};
use crate::catalog::functions::args::{int, interval, out_of_range};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Civil, DAY_US, Datum, Interval, PgType as T, check_date, is_infinite};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        1141,
        "date_pli",
        &[T::DATE, T::INT4],
        T::DATE,
        Body::Scalar(date_pli),
    ),
    F::new(
        1142,
        "date_mii",
        &[T::DATE, T::INT4],
        T::DATE,
        Body::Scalar(date_mii),
    ),
    F::new(
        2550,
        "integer_pl_date",
        &[T::INT4, T::DATE],
        T::DATE,
        Body::Scalar(integer_pl_date),
    ),
    F::new(
        1140,
        "date_mi",
        &[T::DATE, T::DATE],
        T::INT4,
        Body::Scalar(date_mi),
    ),
    F::new(
        1272,
        "datetime_pl",
        &[T::DATE, T::TIME],
        T::TIMESTAMP,
        Body::Scalar(datetime_pl),
    ),
    F::new(
        1296,
        "timedate_pl",
        &[T::TIME, T::DATE],
        T::TIMESTAMP,
        Body::Scalar(timedate_pl),
    ),
    F::new(
        2071,
        "date_pl_interval",
        &[T::DATE, T::INTERVAL],
        T::TIMESTAMP,
        Body::Scalar(date_pl_interval),
    ),
    F::new(
        2072,
        "date_mi_interval",
        &[T::DATE, T::INTERVAL],
        T::TIMESTAMP,
        Body::Scalar(date_mi_interval),
    ),
    F::new(
        2546,
        "interval_pl_date",
        &[T::INTERVAL, T::DATE],
        T::TIMESTAMP,
        Body::Scalar(interval_pl_date),
    ),
    F::new(
        1747,
        "time_pl_interval",
        &[T::TIME, T::INTERVAL],
        T::TIME,
        Body::Scalar(time_pl_interval),
    ),
    F::new(
        1848,
        "interval_pl_time",
        &[T::INTERVAL, T::TIME],
        T::TIME,
        Body::Scalar(interval_pl_time),
    ),
    F::new(
        1748,
        "time_mi_interval",
        &[T::TIME, T::INTERVAL],
        T::TIME,
        Body::Scalar(time_mi_interval),
    ),
    F::new(
        1690,
        "time_mi_time",
        &[T::TIME, T::TIME],
        T::INTERVAL,
        Body::Scalar(time_mi_time),
    ),
    F::new(
        2032,
        "timestamp_pl_interval",
        &[T::TIMESTAMP, T::INTERVAL],
        T::TIMESTAMP,
        Body::Scalar(timestamp_pl_interval),
    ),
    F::new(
        2033,
        "timestamp_mi_interval",
        &[T::TIMESTAMP, T::INTERVAL],
        T::TIMESTAMP,
        Body::Scalar(timestamp_mi_interval),
    ),
    F::new(
        2548,
        "interval_pl_timestamp",
        &[T::INTERVAL, T::TIMESTAMP],
        T::TIMESTAMP,
        Body::Scalar(interval_pl_timestamp),
    ),
    F::new(
        2031,
        "timestamp_mi",
        &[T::TIMESTAMP, T::TIMESTAMP],
        T::INTERVAL,
        Body::Scalar(timestamp_mi),
    ),
    F::new(
        1189,
        "timestamptz_pl_interval",
        &[T::TIMESTAMPTZ, T::INTERVAL],
        T::TIMESTAMPTZ,
        Body::Scalar(timestamptz_pl_interval),
    ),
    F::new(
        1190,
        "timestamptz_mi_interval",
        &[T::TIMESTAMPTZ, T::INTERVAL],
        T::TIMESTAMPTZ,
        Body::Scalar(timestamptz_mi_interval),
    ),
    F::new(
        2549,
        "interval_pl_timestamptz",
        &[T::INTERVAL, T::TIMESTAMPTZ],
        T::TIMESTAMPTZ,
        Body::Scalar(interval_pl_timestamptz),
    ),
    F::new(
        1188,
        "timestamptz_mi",
        &[T::TIMESTAMPTZ, T::TIMESTAMPTZ],
        T::INTERVAL,
        Body::Scalar(timestamp_mi),
    ),
    F::new(
        3846,
        "make_date",
        &[T::INT4, T::INT4, T::INT4],
        T::DATE,
        Body::Scalar(make_date),
    )
    .named(&["year", "month", "day"]),
];

fn date_plus(days: i64, by: Option<i64>) -> Result<Datum, PgError> {
    if is_infinite(days) {
        return Ok(Datum::Int(days));
    }
    let moved = by
        .and_then(|by| days.checked_add(by))
        .ok_or_else(|| out_of_range("date"))?;
    Ok(Datum::Int(check_date(moved)?))
}

fn date_pli(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    date_plus(int(args, 0)?, Some(int(args, 1)?))
}

fn date_mii(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    date_plus(int(args, 0)?, int(args, 1)?.checked_neg())
}

fn integer_pl_date(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    date_plus(int(args, 1)?, Some(int(args, 0)?))
}

fn date_mi(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (a, b) = (int(args, 0)?, int(args, 1)?);
    if is_infinite(a) || is_infinite(b) {
        return Err(PgError::error("22008", "cannot subtract infinite dates"));
    }
    Ok(Datum::Int(a - b))
}

fn datetime(days: i64, time: i64) -> Result<Datum, PgError> {
    if is_infinite(days) {
        return Ok(Datum::Int(days));
    }
    instant(midnight(days)?.checked_add(time).ok_or_else(too_far)?)
}

fn datetime_pl(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    datetime(int(args, 0)?, int(args, 1)?)
}

fn timedate_pl(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    datetime(int(args, 1)?, int(args, 0)?)
}

fn date_pl_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus(
        midnight(int(args, 0)?)?,
        interval(args, 1)?,
    )?))
}

fn date_mi_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus(
        midnight(int(args, 0)?)?,
        negated(interval(args, 1)?)?,
    )?))
}

fn interval_pl_date(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus(
        midnight(int(args, 1)?)?,
        interval(args, 0)?,
    )?))
}

fn time_plus(time: i64, us: i64) -> Datum {
    Datum::Int((time % DAY_US + us % DAY_US).rem_euclid(DAY_US))
}

fn time_pl_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(time_plus(int(args, 0)?, interval(args, 1)?.us))
}

fn interval_pl_time(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(time_plus(int(args, 1)?, interval(args, 0)?.us))
}

fn time_mi_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(time_plus(int(args, 0)?, -(interval(args, 1)?.us % DAY_US)))
}

fn time_mi_time(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let us = int(args, 0)? - int(args, 1)?;
    interval_datum(Some(Interval {
        us,
        ..Interval::default()
    }))
}

fn timestamp_pl_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus(int(args, 0)?, interval(args, 1)?)?))
}

fn timestamp_mi_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus(
        int(args, 0)?,
        negated(interval(args, 1)?)?,
    )?))
}

fn interval_pl_timestamp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus(int(args, 1)?, interval(args, 0)?)?))
}

fn timestamptz_pl_interval(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus_in_zone(
        call.style(),
        int(args, 0)?,
        interval(args, 1)?,
    )?))
}

fn timestamptz_mi_interval(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let by = negated(interval(args, 1)?)?;
    Ok(Datum::Int(plus_in_zone(call.style(), int(args, 0)?, by)?))
}

fn interval_pl_timestamptz(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(plus_in_zone(
        call.style(),
        int(args, 1)?,
        interval(args, 0)?,
    )?))
}

/// Days and time between; never months.
fn timestamp_mi(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (a, b) = (int(args, 0)?, int(args, 1)?);
    if is_infinite(a) || is_infinite(b) {
        return Err(PgError::error(
            "22008",
            "cannot subtract infinite timestamps",
        ));
    }
    let us = a.checked_sub(b).ok_or_else(interval_too_long)?;
    let days = i32::try_from(us / DAY_US).map_err(|_| interval_too_long())?;
    interval_datum(Some(Interval {
        months: 0,
        days,
        us: us % DAY_US,
    }))
}

fn make_date(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let civil = Civil {
        year: int(args, 0)?,
        month: int(args, 1)?,
        day: int(args, 2)?,
    };
    let is_day = (1..=12).contains(&civil.month) && (1..=civil.month_len()).contains(&civil.day);
    if civil.year < 1 || !is_day {
        let (year, month, day) = (civil.year, civil.month, civil.day);
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        return Err(PgError::error("22008", message));
    }
    Ok(Datum::Int(check_date(civil.days())?))
}
