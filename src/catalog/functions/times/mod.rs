//! Arithmetic of dates, times and intervals.

pub(super) mod ages;
pub(super) mod clock;
pub(super) mod dates;
pub(super) mod intervals;
pub(super) mod zones;

use self::zones::{local, to_utc};
use crate::datum::{Civil, DAY_US, Datum, Interval, Style, check_timestamp, is_infinite, split_us};
use crate::pgerror::PgError;

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
