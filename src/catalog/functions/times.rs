//! Arithmetic of dates, times and intervals.

use super::args::{float, int, interval, invalid, out_of_range, text};
use super::{Body, Call, Function as F};
use crate::clock::Moment;
use crate::datum::{Civil, DAY_US, Datum, Interval, PgType as T, SECOND_US, Style};
use crate::datum::{
    check_date, check_timestamp, is_infinite, local_to_utc, split_us, utc_to_local,
};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(1299, "now", &[], T::TIMESTAMPTZ, Body::Scalar(now)),
    F::new(
        2647,
        "transaction_timestamp",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(now),
    ),
    F::new(
        2648,
        "statement_timestamp",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(statement_timestamp),
    ),
    F::new(
        2649,
        "clock_timestamp",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(clock_timestamp),
    )
    .volatile(),
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
        1169,
        "interval_pl",
        &[T::INTERVAL, T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(interval_pl),
    ),
    F::new(
        1170,
        "interval_mi",
        &[T::INTERVAL, T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(interval_mi),
    ),
    F::new(
        1168,
        "interval_um",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(interval_um),
    ),
    F::new(
        1618,
        "interval_mul",
        &[T::INTERVAL, T::FLOAT8],
        T::INTERVAL,
        Body::Scalar(interval_mul),
    ),
    F::new(
        1624,
        "mul_d_interval",
        &[T::FLOAT8, T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(mul_d_interval),
    ),
    F::new(
        1326,
        "interval_div",
        &[T::INTERVAL, T::FLOAT8],
        T::INTERVAL,
        Body::Scalar(interval_div),
    ),
    F::new(
        1295,
        "justify_days",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(justify_days),
    ),
    F::new(
        1175,
        "justify_hours",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(justify_hours),
    ),
    F::new(
        2711,
        "justify_interval",
        &[T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(justify_interval),
    ),
    F::new(
        1373,
        "isfinite",
        &[T::DATE],
        T::BOOL,
        Body::Scalar(isfinite),
    ),
    F::new(
        2048,
        "isfinite",
        &[T::TIMESTAMP],
        T::BOOL,
        Body::Scalar(isfinite),
    ),
    F::new(
        1389,
        "isfinite",
        &[T::TIMESTAMPTZ],
        T::BOOL,
        Body::Scalar(isfinite),
    ),
    F::new(
        3846,
        "make_date",
        &[T::INT4, T::INT4, T::INT4],
        T::DATE,
        Body::Scalar(make_date),
    )
    .named(&["year", "month", "day"]),
    F::new(
        3464,
        "make_interval",
        &[
            T::INT4,
            T::INT4,
            T::INT4,
            T::INT4,
            T::INT4,
            T::INT4,
            T::FLOAT8,
        ],
        T::INTERVAL,
        Body::Scalar(make_interval),
    )
    .named(&["years", "months", "weeks", "days", "hours", "mins", "secs"])
    .defaults(&["0", "0", "0", "0", "0", "0", "0.0"]),
    F::new(
        2058,
        "age",
        &[T::TIMESTAMP, T::TIMESTAMP],
        T::INTERVAL,
        Body::Scalar(age),
    ),
    F::new(
        1199,
        "age",
        &[T::TIMESTAMPTZ, T::TIMESTAMPTZ],
        T::INTERVAL,
        Body::Scalar(age_instants),
    ),
    F::new(
        2059,
        "age",
        &[T::TIMESTAMP],
        T::INTERVAL,
        Body::Scalar(age_today),
    ),
    F::new(
        1386,
        "age",
        &[T::TIMESTAMPTZ],
        T::INTERVAL,
        Body::Scalar(age_today_instant),
    ),
    F::new(2626, "pg_sleep", &[T::FLOAT8], T::VOID, Body::Scalar(sleep)).volatile(),
];

fn too_far() -> PgError {
    PgError::error("22008", "timestamp out of range")
}

fn interval_too_long() -> PgError {
    PgError::error("22008", "interval out of range")
}

fn instant(value: i64) -> Result<Datum, PgError> {
    Ok(Datum::Int(check_timestamp(value)?))
}

fn interval_datum(value: Option<Interval>) -> Result<Datum, PgError> {
    value
        .map(|found| Datum::Text(found.stored()))
        .ok_or_else(interval_too_long)
}

fn now(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(call.context.transaction_unix_us))
}

fn unix_us(moment: Moment) -> i64 {
    i64::try_from(moment.unix_ms)
        .unwrap_or(0)
        .saturating_mul(1_000)
}

fn statement_timestamp(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(
        unix_us(call.context.now).max(call.context.transaction_unix_us),
    ))
}

fn clock_timestamp(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Ok(Datum::Int(
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
    ))
}

/// Midnight of a day.
fn midnight(days: i64) -> Result<i64, PgError> {
    if is_infinite(days) {
        return Ok(days);
    }
    days.checked_mul(DAY_US)
        .ok_or_else(|| PgError::error("22008", "date out of range for timestamp"))
}

fn date_to_timestamp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    instant(midnight(int(args, 0)?)?)
}

fn to_utc(style: &Style, local: i64) -> Result<i64, PgError> {
    local_to_utc(local, &style.time_zone).ok_or_else(too_far)
}

fn local(style: &Style, value: i64) -> Result<i64, PgError> {
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

/// Months first, then days, then the rest, on a clock without a zone.
pub(super) fn plus(value: i64, by: Interval) -> Result<i64, PgError> {
    if is_infinite(value) {
        return Ok(value);
    }
    let (days, time) = split_us(value);
    let days = match by.months {
        0 => days,
        months => Civil::from_days(days).plus_months(months.into()).days(),
    };
    let moved = days
        .checked_add(by.days.into())
        .and_then(|days| days.checked_mul(DAY_US))
        .and_then(|us| us.checked_add(time))
        .and_then(|us| us.checked_add(by.us))
        .ok_or_else(too_far)?;
    Ok(check_timestamp(moved)?)
}

/// The same in a time zone: months and days move its clock, the rest is time that passes.
pub(super) fn plus_in_zone(style: &Style, value: i64, by: Interval) -> Result<i64, PgError> {
    if is_infinite(value) {
        return Ok(value);
    }
    let mut moved = value;
    if by.months != 0 || by.days != 0 {
        let clock = plus(local(style, value)?, Interval { us: 0, ..by })?;
        moved = to_utc(style, clock)?;
    }
    Ok(check_timestamp(
        moved.checked_add(by.us).ok_or_else(too_far)?,
    )?)
}

fn negated(by: Interval) -> Result<Interval, PgError> {
    by.checked_neg().ok_or_else(interval_too_long)
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

fn interval_pl(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(interval(args, 0)?.checked_add(interval(args, 1)?))
}

fn interval_mi(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(interval(args, 0)?.checked_add(negated(interval(args, 1)?)?))
}

fn interval_um(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(interval(args, 0)?.checked_neg())
}

fn interval_mul(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(interval(args, 0)?.checked_mul(float(args, 1)?))
}

fn mul_d_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(interval(args, 1)?.checked_mul(float(args, 0)?))
}

fn interval_div(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let by = float(args, 1)?;
    if by == 0.0 {
        return Err(super::args::division_by_zero());
    }
    interval_datum(interval(args, 0)?.checked_div(by))
}

/// Moves whole units from one part to the next, and brings both to one sign.
fn carried(low: i64, high: i32, unit: i64) -> Option<(i64, i32)> {
    let carry = i32::try_from(low / unit).ok()?;
    let (mut low, mut high) = (low % unit, high.checked_add(carry)?);
    if high > 0 && low < 0 {
        (low, high) = (low + unit, high - 1);
    } else if high < 0 && low > 0 {
        (low, high) = (low - unit, high + 1);
    }
    Some((low, high))
}

fn with_whole_days(found: Interval) -> Option<Interval> {
    let (us, days) = carried(found.us, found.days, DAY_US)?;
    Some(Interval { us, days, ..found })
}

fn with_whole_months(found: Interval) -> Option<Interval> {
    let (days, months) = carried(found.days.into(), found.months, 30)?;
    let days = i32::try_from(days).ok()?;
    Some(Interval {
        days,
        months,
        ..found
    })
}

fn justify_hours(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(with_whole_days(interval(args, 0)?))
}

fn justify_days(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    interval_datum(with_whole_months(interval(args, 0)?))
}

fn justify_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let found = interval(args, 0)?;
    // All of one sign, decided by the greatest part that is not zero.
    let justified = with_whole_days(found)
        .and_then(with_whole_months)
        .map(|found| {
            let (mut months, mut days, mut us) = (found.months, found.days, found.us);
            let leading = if months == 0 {
                i64::from(days)
            } else {
                i64::from(months)
            };
            if leading > 0 && us < 0 {
                us += DAY_US;
                days -= 1;
            } else if leading < 0 && us > 0 {
                us -= DAY_US;
                days += 1;
            }
            if months > 0 && days < 0 {
                days += 30;
                months -= 1;
            } else if months < 0 && days > 0 {
                days -= 30;
                months += 1;
            }
            Interval { months, days, us }
        });
    interval_datum(justified)
}

fn isfinite(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int((!is_infinite(int(args, 0)?)).into()))
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

fn make_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let part = |at| int(args, at);
    let months = part(0)? * 12 + part(1)?;
    let days = part(2)? * 7 + part(3)?;
    #[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
    let second_us = (float(args, 6)? * 1e6).round() as i64;
    let us = (part(4)? * 3_600 + part(5)? * 60) * SECOND_US;
    let made = || {
        Some(Interval {
            months: months.try_into().ok()?,
            days: days.try_into().ok()?,
            us: us.checked_add(second_us)?,
        })
    };
    interval_datum(made())
}

/// Years, months, days and time between two clock readings.
fn between(later: i64, earlier: i64) -> Result<Datum, PgError> {
    if is_infinite(later) || is_infinite(earlier) {
        return Err(PgError::error("22008", "timestamp out of range"));
    }
    if later < earlier {
        let Datum::Text(stored) = between(earlier, later)? else {
            return Err(interval_too_long());
        };
        return interval_datum(Interval::from_stored(&stored).and_then(Interval::checked_neg));
    }
    let ((days, time), (earlier_days, earlier_time)) = (split_us(later), split_us(earlier));
    let (to, from) = (Civil::from_days(days), Civil::from_days(earlier_days));
    let mut us = time - earlier_time;
    let mut day = to.day - from.day;
    let mut months = (to.year - from.year) * 12 + to.month - from.month;
    if us < 0 {
        us += DAY_US;
        day -= 1;
    }
    if day < 0 {
        // Days of the earlier month, as long as that one is.
        day += from.month_len();
        months -= 1;
    }
    interval_datum(Some(Interval {
        months: months.try_into().map_err(|_| interval_too_long())?,
        days: day.try_into().map_err(|_| interval_too_long())?,
        us,
    }))
}

fn age(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    between(int(args, 0)?, int(args, 1)?)
}

fn age_instants(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let style = call.style();
    between(local(style, int(args, 0)?)?, local(style, int(args, 1)?)?)
}

fn today(call: &Call<'_>) -> Result<i64, PgError> {
    let now = local(call.style(), call.context.transaction_unix_us)?;
    Ok(split_us(now).0 * DAY_US)
}

fn age_today(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    between(today(call)?, int(args, 0)?)
}

fn age_today_instant(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    between(today(call)?, local(call.style(), int(args, 0)?)?)
}

/// Sleeps, and wakes when the statement is to stop.
fn sleep(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    const STEP: std::time::Duration = std::time::Duration::from_millis(20);

    let seconds = float(args, 0)?.clamp(0.0, 1e9);
    let start = std::time::Instant::now();
    let whole = std::time::Duration::from_secs_f64(if seconds.is_nan() { 0.0 } else { seconds });
    loop {
        call.context.check_cancelled()?;
        let left = whole.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(Datum::Text(String::new()));
        }
        std::thread::sleep(left.min(STEP));
    }
}
