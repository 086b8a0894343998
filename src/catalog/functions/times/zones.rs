//! From one kind of time to another, in the zone of the session or a named one.

use super::{instant, interval_datum, too_far};
use crate::catalog::functions::args::{int, interval, invalid, text};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{
    DAY_US, Datum, Interval, PgType as T, Style, is_infinite, local_to_utc, split_us, utc_to_local,
};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        2024,
        "timestamp",
        &[T::DATE],
        T::TIMESTAMP,
        Body::Scalar(date_to_timestamp),
    ),
    F::new(
        2027,
        "timestamp",
        &[T::TIMESTAMPTZ],
        T::TIMESTAMP,
        Body::Scalar(to_local),
    ),
    F::new(
        1174,
        "timestamptz",
        &[T::DATE],
        T::TIMESTAMPTZ,
        Body::Scalar(date_to_instant),
    ),
    F::new(
        2028,
        "timestamptz",
        &[T::TIMESTAMP],
        T::TIMESTAMPTZ,
        Body::Scalar(to_instant),
    ),
    F::new(
        2029,
        "date",
        &[T::TIMESTAMP],
        T::DATE,
        Body::Scalar(timestamp_to_date),
    ),
    F::new(
        1178,
        "date",
        &[T::TIMESTAMPTZ],
        T::DATE,
        Body::Scalar(instant_to_date),
    ),
    F::new(
        1316,
        "time",
        &[T::TIMESTAMP],
        T::TIME,
        Body::Scalar(timestamp_to_time),
    ),
    F::new(
        2019,
        "time",
        &[T::TIMESTAMPTZ],
        T::TIME,
        Body::Scalar(instant_to_time),
    ),
    F::new(
        1419,
        "time",
        &[T::INTERVAL],
        T::TIME,
        Body::Scalar(interval_to_time),
    ),
    F::new(
        1370,
        "interval",
        &[T::TIME],
        T::INTERVAL,
        Body::Scalar(time_to_interval),
    ),
    F::new(
        1159,
        "timezone",
        &[T::TEXT, T::TIMESTAMPTZ],
        T::TIMESTAMP,
        Body::Scalar(zone_of_instant),
    ),
    F::new(
        2069,
        "timezone",
        &[T::TEXT, T::TIMESTAMP],
        T::TIMESTAMPTZ,
        Body::Scalar(zone_of_timestamp),
    ),
];

/// Midnight of a day.
pub(super) fn midnight(days: i64) -> Result<i64, PgError> {
    if is_infinite(days) {
        return Ok(days);
    }
    days.checked_mul(DAY_US)
        .ok_or_else(|| PgError::error("22008", "date out of range for timestamp"))
}

fn date_to_timestamp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(midnight(int(args, 0)?)?)
}

pub(super) fn to_utc(style: &Style, local: i64) -> Result<i64, PgError> {
    local_to_utc(local, &style.time_zone).ok_or_else(too_far)
}

pub(super) fn local(style: &Style, value: i64) -> Result<i64, PgError> {
    utc_to_local(value, &style.time_zone).ok_or_else(too_far)
}

fn to_local(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(local(call.style(), int(args, 0)?)?)
}

fn date_to_instant(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(to_utc(call.style(), midnight(int(args, 0)?)?)?)
}

fn to_instant(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(to_utc(call.style(), int(args, 0)?)?)
}

fn day_of(value: i64) -> Datum {
    Datum::Int(if is_infinite(value) {
        value
    } else {
        split_us(value).0
    })
}

/// Infinite timestamps have no time of day.
fn time_of(value: i64) -> Datum {
    if is_infinite(value) {
        Datum::Null
    } else {
        Datum::Int(split_us(value).1)
    }
}

fn timestamp_to_date(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(day_of(int(args, 0)?))
}

fn instant_to_date(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(day_of(local(call.style(), int(args, 0)?)?))
}

fn timestamp_to_time(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(time_of(int(args, 0)?))
}

fn instant_to_time(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(time_of(local(call.style(), int(args, 0)?)?))
}

fn interval_to_time(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(interval(args, 0)?.us.rem_euclid(DAY_US)))
}

fn time_to_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let us = int(args, 0)?;
    interval_datum(Some(Interval {
        us,
        ..Interval::default()
    }))
}

/// The session's style with another time zone.
fn style_in(call: &Call<'_>, zone: &str) -> Result<Style, PgError> {
    let time_zone = Style::time_zone_in_sql(zone)
        .ok_or_else(|| invalid(format!("time zone \"{zone}\" not recognized")))?;
    Ok(Style {
        time_zone,
        ..call.style().clone()
    })
}

fn zone_of_instant(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(local(&style_in(call, text(args, 0)?)?, int(args, 1)?)?)
}

fn zone_of_timestamp(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(to_utc(&style_in(call, text(args, 0)?)?, int(args, 1)?)?)
}
