//! Fields of dates and times: extract, date_part, date_trunc; to_timestamp, to_char.

use bigdecimal::BigDecimal;

use super::args::{float, int, interval, invalid, numeric_datum, text};
use super::{Body, Call, Function as F};
use crate::datum::{
    Civil, DAY_US, Datum, Interval, Numeric, PgType as T, SECOND_US, Style, check_timestamp,
    is_infinite, local_to_utc, offset_at, split_us, utc_to_local,
};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        6199,
        "extract",
        &[T::TEXT, T::DATE],
        T::NUMERIC,
        Body::Scalar(extract_date),
    ),
    F::new(
        6200,
        "extract",
        &[T::TEXT, T::TIME],
        T::NUMERIC,
        Body::Scalar(extract_time),
    ),
    F::new(
        6202,
        "extract",
        &[T::TEXT, T::TIMESTAMP],
        T::NUMERIC,
        Body::Scalar(extract_timestamp),
    ),
    F::new(
        6203,
        "extract",
        &[T::TEXT, T::TIMESTAMPTZ],
        T::NUMERIC,
        Body::Scalar(extract_instant),
    ),
    F::new(
        6204,
        "extract",
        &[T::TEXT, T::INTERVAL],
        T::NUMERIC,
        Body::Scalar(extract_interval),
    ),
    F::new(
        1384,
        "date_part",
        &[T::TEXT, T::DATE],
        T::FLOAT8,
        Body::Scalar(part_date),
    ),
    F::new(
        1385,
        "date_part",
        &[T::TEXT, T::TIME],
        T::FLOAT8,
        Body::Scalar(part_time),
    ),
    F::new(
        2021,
        "date_part",
        &[T::TEXT, T::TIMESTAMP],
        T::FLOAT8,
        Body::Scalar(part_timestamp),
    ),
    F::new(
        1171,
        "date_part",
        &[T::TEXT, T::TIMESTAMPTZ],
        T::FLOAT8,
        Body::Scalar(part_instant),
    ),
    F::new(
        1172,
        "date_part",
        &[T::TEXT, T::INTERVAL],
        T::FLOAT8,
        Body::Scalar(part_interval),
    ),
    F::new(
        2020,
        "date_trunc",
        &[T::TEXT, T::TIMESTAMP],
        T::TIMESTAMP,
        Body::Scalar(trunc_timestamp),
    ),
    F::new(
        1217,
        "date_trunc",
        &[T::TEXT, T::TIMESTAMPTZ],
        T::TIMESTAMPTZ,
        Body::Scalar(trunc_instant),
    ),
    F::new(
        1284,
        "date_trunc",
        &[T::TEXT, T::TIMESTAMPTZ, T::TEXT],
        T::TIMESTAMPTZ,
        Body::Scalar(trunc_instant),
    ),
    F::new(
        1218,
        "date_trunc",
        &[T::TEXT, T::INTERVAL],
        T::INTERVAL,
        Body::Scalar(trunc_interval),
    ),
    F::new(
        1158,
        "to_timestamp",
        &[T::FLOAT8],
        T::TIMESTAMPTZ,
        Body::Scalar(to_timestamp),
    ),
    F::new(
        2049,
        "to_char",
        &[T::TIMESTAMP, T::TEXT],
        T::TEXT,
        Body::Scalar(char_timestamp),
    ),
    F::new(
        1770,
        "to_char",
        &[T::TIMESTAMPTZ, T::TEXT],
        T::TEXT,
        Body::Scalar(char_instant),
    ),
];

/// What a field is taken from.
#[derive(Clone, Copy)]
enum Source {
    Date(i64),
    Time(i64),
    Timestamp(i64),
    /// With its offset from UTC in seconds, and the clock's reading.
    Instant {
        utc: i64,
        local: i64,
        offset: i64,
    },
    Interval(Interval),
}

impl Source {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Date(_) => "date",
            Self::Time(_) => "time without time zone",
            Self::Timestamp(_) => "timestamp without time zone",
            Self::Instant { .. } => "timestamp with time zone",
            Self::Interval(_) => "interval",
        }
    }
}

fn whole(value: i64) -> BigDecimal {
    BigDecimal::from(value)
}

/// Microseconds as seconds with six digits, milliseconds with three.
fn scaled(us: i128, digits: i64) -> BigDecimal {
    BigDecimal::new(us.into(), digits)
}

fn unknown(field: &str, source: Source) -> PgError {
    let message = format!(
        "unit \"{field}\" not recognized for type {}",
        source.type_name()
    );
    invalid(message)
}

fn unfit(field: &str, source: Source) -> PgError {
    PgError::unsupported(format!(
        "unit \"{field}\" not supported for type {}",
        source.type_name()
    ))
}

/// Names of fields as PostgreSQL takes them.
fn field_name(field: &str) -> Option<&'static str> {
    Some(match field {
        "microseconds" | "microsecond" | "us" | "usec" | "usecs" | "useconds" => "microseconds",
        "milliseconds" | "millisecond" | "ms" | "msec" | "msecs" => "milliseconds",
        "second" | "seconds" | "sec" | "secs" | "s" => "second",
        "minute" | "minutes" | "min" | "mins" | "m" => "minute",
        "hour" | "hours" | "hr" | "hrs" | "h" => "hour",
        "day" | "days" | "d" => "day",
        "week" | "weeks" | "w" => "week",
        "month" | "months" | "mon" | "mons" => "month",
        "quarter" | "qtr" => "quarter",
        "year" | "years" | "yr" | "yrs" | "y" => "year",
        "decade" | "decades" | "dec" | "decs" => "decade",
        "century" | "centuries" | "cent" | "c" => "century",
        "millennium" | "millennia" | "mil" | "mils" => "millennium",
        "isoyear" => "isoyear",
        "dow" => "dow",
        "isodow" => "isodow",
        "doy" => "doy",
        "epoch" => "epoch",
        "julian" | "j" => "julian",
        "timezone" | "tz" => "timezone",
        "timezone_hour" | "tzh" => "timezone_hour",
        "timezone_minute" | "tzm" => "timezone_minute",
        _ => return None,
    })
}

/// Day of the week, Monday 1 to Sunday 7.
const fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// Year and week as ISO 8601 counts them.
fn iso_week(days: i64) -> (i64, i64) {
    // The Thursday of a week says to which year it belongs.
    let thursday = days - iso_weekday(days) + 4;
    let year = Civil::from_days(thursday).year;
    let first = Civil {
        year,
        month: 1,
        day: 1,
    }
    .days();
    (year, (thursday - first) / 7 + 1)
}

fn day_of_year(civil: Civil) -> i64 {
    civil.days()
        - Civil {
            month: 1,
            day: 1,
            ..civil
        }
        .days()
        + 1
}

/// Counted without a year 0.
fn century_of(year: i64, len: i64) -> i64 {
    if year > 0 {
        (year + len - 1) / len
    } else {
        -((len - year) / len)
    }
}

fn of_day(field: &str, days: i64) -> Option<i64> {
    let civil = Civil::from_days(days);
    Some(match field {
        "day" => civil.day,
        "month" => civil.month,
        "quarter" => (civil.month - 1) / 3 + 1,
        "year" if civil.year > 0 => civil.year,
        "year" => civil.year - 1,
        "decade" => civil.year.div_euclid(10),
        "century" => century_of(civil.year, 100),
        "millennium" => century_of(civil.year, 1_000),
        "week" => iso_week(days).1,
        "isoyear" => iso_week(days).0,
        "dow" => iso_weekday(days) % 7,
        "isodow" => iso_weekday(days),
        "doy" => day_of_year(civil),
        _ => return None,
    })
}

fn of_time(field: &str, us: i64) -> Option<BigDecimal> {
    let minute_us = us % (60 * SECOND_US);
    Some(match field {
        "hour" => whole(us / (3_600 * SECOND_US)),
        "minute" => whole(us / (60 * SECOND_US) % 60),
        "second" => scaled(minute_us.into(), 6),
        "milliseconds" => scaled(minute_us.into(), 3),
        "microseconds" => whole(minute_us),
        _ => return None,
    })
}

fn of_timestamp(field: &str, local: i64, utc: i64) -> Option<BigDecimal> {
    let (days, time) = split_us(local);
    match field {
        "epoch" => Some(scaled(utc.into(), 6)),
        "julian" => {
            let part = Numeric::from_int(time).divide(&Numeric::from_int(DAY_US));
            match part {
                Ok(Some(Numeric::Finite(part))) => Some(whole(days + 2_440_588) + part),
                _ => None,
            }
        }
        _ => of_day(field, days)
            .map(whole)
            .or_else(|| of_time(field, time)),
    }
}

fn of_interval(field: &str, from: Interval) -> Option<BigDecimal> {
    let (years, months) = (i64::from(from.months) / 12, i64::from(from.months) % 12);
    Some(match field {
        "year" => whole(years),
        "decade" => whole(years / 10),
        "century" => whole(years / 100),
        "millennium" => whole(years / 1_000),
        "quarter" => whole(months / 3 + 1),
        "month" => whole(months),
        "day" => whole(from.days.into()),
        "epoch" => {
            // Years of 365.25 days, months of 30.
            let quarter_days =
                i128::from(years) * 1_461 + i128::from(months) * 120 + i128::from(from.days) * 4;
            scaled(
                quarter_days * i128::from(DAY_US / 4) + i128::from(from.us),
                6,
            )
        }
        _ => return of_time(field, from.us),
    })
}

/// Infinite ones have what grows without bounds, and of the rest nothing.
fn of_infinite(field: &str, positive: bool) -> Option<Numeric> {
    let grows = matches!(
        field,
        "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch"
    );
    grows.then_some(if positive {
        Numeric::Infinity
    } else {
        Numeric::NegativeInfinity
    })
}

fn field_of(given: &str, source: Source) -> Result<Option<Numeric>, PgError> {
    let lower = given.to_ascii_lowercase();
    let field = field_name(&lower).ok_or_else(|| unknown(&lower, source))?;
    if let Source::Date(value) | Source::Timestamp(value) | Source::Instant { utc: value, .. } =
        source
        && is_infinite(value)
    {
        return Ok(of_infinite(field, value > 0));
    }
    let found = match source {
        Source::Date(days) => match field {
            "epoch" => Some(whole(days * 86_400)),
            "julian" => Some(whole(days + 2_440_588)),
            _ => of_day(field, days).map(whole),
        },
        Source::Time(us) => match field {
            "epoch" => Some(scaled(us.into(), 6)),
            _ => of_time(field, us),
        },
        Source::Timestamp(local) => of_timestamp(field, local, local),
        Source::Instant { utc, local, offset } => match field {
            "timezone" => Some(whole(offset)),
            "timezone_hour" => Some(whole(offset / 3_600)),
            "timezone_minute" => Some(whole(offset / 60 % 60)),
            _ => of_timestamp(field, local, utc),
        },
        Source::Interval(from) => of_interval(field, from),
    };
    match found {
        Some(number) => Ok(Some(Numeric::of(number)?)),
        None => Err(unfit(&lower, source)),
    }
}

fn extracted(args: &[Datum], source: Source) -> Result<Datum, PgError> {
    Ok(field_of(text(args, 0)?, source)?.map_or(Datum::Null, |found| numeric_datum(&found)))
}

fn part(args: &[Datum], source: Source) -> Result<Datum, PgError> {
    let found = field_of(text(args, 0)?, source)?;
    Ok(found.map_or(Datum::Null, |found| Datum::Float(found.to_float())))
}

fn instant_source(style: &Style, utc: i64) -> Result<Source, PgError> {
    let local = utc_to_local(utc, &style.time_zone)
        .ok_or_else(|| PgError::error("22008", "timestamp out of range"))?;
    let offset = offset_at(utc, &style.time_zone);
    Ok(Source::Instant { utc, local, offset })
}

macro_rules! of_source {
    ($($extract:ident $part:ident = |$call:ident, $args:ident| $source:expr;)*) => {
        $(fn $extract($call: &Call<'_>, $args: &[Datum]) -> Result<Datum, PgError> {
            let _ = $call;
            extracted($args, $source)
        }
        fn $part($call: &Call<'_>, $args: &[Datum]) -> Result<Datum, PgError> {
            let _ = $call;
            part($args, $source)
        })*
    };
}

of_source! {
    extract_date part_date = |call, args| Source::Date(int(args, 1)?);
    extract_time part_time = |call, args| Source::Time(int(args, 1)?);
    extract_timestamp part_timestamp = |call, args| Source::Timestamp(int(args, 1)?);
    extract_instant part_instant = |call, args| instant_source(call.style(), int(args, 1)?)?;
    extract_interval part_interval = |call, args| Source::Interval(interval(args, 1)?);
}

/// Cuts a clock's reading.
fn truncated(given: &str, local: i64, source: Source) -> Result<i64, PgError> {
    let lower = given.to_ascii_lowercase();
    let field = field_name(&lower).ok_or_else(|| unknown(&lower, source))?;
    if is_infinite(local) {
        return Ok(local);
    }
    let (days, time) = split_us(local);
    let civil = Civil::from_days(days);
    let start_of = |year: i64, month: i64| {
        Civil {
            year,
            month,
            day: 1,
        }
        .days()
            * DAY_US
    };
    let to = |unit: i64| days * DAY_US + time / unit * unit;
    let since = |len: i64| start_of((civil.year - 1).div_euclid(len) * len + 1, 1);
    Ok(match field {
        "microseconds" => local,
        "milliseconds" => to(1_000),
        "second" => to(SECOND_US),
        "minute" => to(60 * SECOND_US),
        "hour" => to(3_600 * SECOND_US),
        "day" => days * DAY_US,
        "week" => (days - iso_weekday(days) + 1) * DAY_US,
        "month" => start_of(civil.year, civil.month),
        "quarter" => start_of(civil.year, (civil.month - 1) / 3 * 3 + 1),
        "year" => start_of(civil.year, 1),
        "decade" => start_of(civil.year.div_euclid(10) * 10, 1),
        "century" => since(100),
        "millennium" => since(1_000),
        "dow" | "isodow" | "doy" | "isoyear" | "epoch" | "julian" => {
            return Err(unknown(&lower, source));
        }
        _ => return Err(unfit(&lower, source)),
    })
}

fn trunc_timestamp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let local = int(args, 1)?;
    Ok(Datum::Int(truncated(
        text(args, 0)?,
        local,
        Source::Timestamp(local),
    )?))
}

fn trunc_instant(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut style = call.style().clone();
    if args.len() > 2 {
        let zone = text(args, 2)?;
        style.time_zone = Style::time_zone_in_sql(zone)
            .ok_or_else(|| invalid(format!("time zone \"{zone}\" not recognized")))?;
    }
    let source = instant_source(&style, int(args, 1)?)?;
    let local = match source {
        Source::Instant { local, .. } => local,
        Source::Date(_) | Source::Time(_) | Source::Timestamp(_) | Source::Interval(_) => 0,
    };
    let cut = truncated(text(args, 0)?, local, source)?;
    let utc = local_to_utc(cut, &style.time_zone)
        .ok_or_else(|| PgError::error("22008", "timestamp out of range"))?;
    Ok(Datum::Int(check_timestamp(utc)?))
}

fn trunc_interval(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let from = interval(args, 1)?;
    let lower = text(args, 0)?.to_ascii_lowercase();
    let source = Source::Interval(from);
    let field = field_name(&lower).ok_or_else(|| unknown(&lower, source))?;
    let months = |unit: i32| Interval {
        months: from.months / unit * unit,
        ..Interval::default()
    };
    let time = |unit: i64| Interval {
        us: from.us / unit * unit,
        ..from
    };
    let cut = match field {
        "millennium" => months(12_000),
        "century" => months(1_200),
        "decade" => months(120),
        "year" => months(12),
        "quarter" => months(3),
        "month" => months(1),
        "day" => Interval { us: 0, ..from },
        "hour" => time(3_600 * SECOND_US),
        "minute" => time(60 * SECOND_US),
        "second" => time(SECOND_US),
        "milliseconds" => time(1_000),
        "microseconds" => from,
        "week" => {
            return Err(unfit(&lower, source).with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(unfit(&lower, source)),
    };
    Ok(Datum::Text(cut.stored()))
}

fn to_timestamp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let seconds = float(args, 0)?;
    if seconds.is_nan() {
        return Err(PgError::error("22008", "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(Datum::Int(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
    }
    let us = (seconds * 1e6).round_ties_even();
    if us.abs() >= 9.2e18 {
        let message = format!("timestamp out of range: \"{seconds}\"");
        return Err(PgError::error("22008", message));
    }
    #[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
    Ok(Datum::Int(check_timestamp(us as i64)?))
}

fn char_timestamp(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    super::to_char::write(int(args, 0)?, None, text(args, 1)?)
}

fn char_instant(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let utc = int(args, 0)?;
    let zone = &call.style().time_zone;
    let local =
        utc_to_local(utc, zone).ok_or_else(|| PgError::error("22008", "timestamp out of range"))?;
    let name = super::to_char::zone_name(utc, zone);
    super::to_char::write(local, Some((name, offset_at(utc, zone))), text(args, 1)?)
}

/// For to_char.
pub(super) fn iso_parts(days: i64) -> (i64, i64, i64) {
    let (year, week) = iso_week(days);
    (year, week, iso_weekday(days))
}

/// For to_char.
pub(super) fn ordinal_day(civil: Civil) -> i64 {
    day_of_year(civil)
}
