//! Intervals by themselves.

use super::{interval_datum, negated};
use crate::catalog::functions::args::{float, int, interval};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{DAY_US, Datum, Interval, PgType as T, SECOND_US};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
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
];

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
        return Err(crate::catalog::functions::args::division_by_zero());
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
