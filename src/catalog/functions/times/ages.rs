//! How far apart two instants are, in years, months and days.

use super::zones::local;
use super::{interval_datum, interval_too_long};
use crate::catalog::functions::args::int;
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Civil, DAY_US, Datum, Interval, PgType as T, is_infinite, split_us};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
];

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
