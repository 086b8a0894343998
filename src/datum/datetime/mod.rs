//! Dates and times: the calendar, and how they print. `parse` reads them.

mod parse;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::DatumError;

pub(super) use parse::{Wanted, parse, zone_named};

/// Microseconds in a second.
pub(crate) const SECOND_US: i64 = 1_000_000;
/// Microseconds in a day.
pub(crate) const DAY_US: i64 = 86_400 * SECOND_US;
/// 2000-01-01, from which PostgreSQL counts.
const YEAR_2000_US: i64 = 946_684_800 * SECOND_US;
/// What stands for `infinity`; `-infinity` is `i64::MIN`.
pub(crate) const INFINITY: i64 = i64::MAX;
/// See [`INFINITY`].
pub(crate) const NEGATIVE_INFINITY: i64 = i64::MIN;

/// A day of the (proleptic Gregorian) calendar; years count ..., -1, 0, 1, ... without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

impl Civil {
    /// The day that is `days` after 1970-01-01.
    pub(crate) const fn from_days(days: i64) -> Self {
        // Eras of 400 years that begin on a 1st of March.
        let shifted = days.saturating_add(719_468);
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self { year, month, day }
    }

    /// Days since 1970-01-01.
    pub(crate) const fn days(self) -> i64 {
        let year = if self.month <= 2 {
            self.year - 1
        } else {
            self.year
        };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = if self.month > 2 {
            self.month - 3
        } else {
            self.month + 9
        };
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// How many days its month has.
    pub(crate) const fn month_len(self) -> i64 {
        match self.month {
            2 if self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// The same day so many months later; the last of its month where that is shorter.
    pub(crate) fn plus_months(self, months: i64) -> Self {
        let total = self.year * 12 + (self.month - 1) + months;
        let moved = Self {
            year: total.div_euclid(12),
            month: total.rem_euclid(12) + 1,
            day: 1,
        };
        Self {
            day: self.day.min(moved.month_len()),
            ..moved
        }
    }
}

/// Day and time of day of a timestamp.
pub(crate) const fn split_us(timestamp_us: i64) -> (i64, i64) {
    (
        timestamp_us.div_euclid(DAY_US),
        timestamp_us.rem_euclid(DAY_US),
    )
}

fn write_infinite(value: i64, out: &mut String) -> bool {
    match value {
        INFINITY => out.push_str("infinity"),
        NEGATIVE_INFINITY => out.push_str("-infinity"),
        _ => return false,
    }
    true
}

fn write_day(civil: Civil, out: &mut String) {
    let year = if civil.year > 0 {
        civil.year
    } else {
        1 - civil.year
    };
    padded(year, 4, out);
    out.push('-');
    padded(civil.month, 2, out);
    out.push('-');
    padded(civil.day, 2, out);
}

/// Appends a number with zeros in front, up to `width` digits. Times are written by the thousand, and
/// the formatting machinery costs more than the digits.
fn padded(number: i64, width: usize, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    for _ in digits.len()..width {
        out.push('0');
    }
    out.push_str(digits);
}

fn write_era(civil: Civil, out: &mut String) {
    if civil.year <= 0 {
        out.push_str(" BC");
    }
}

/// Appends a date: days since 1970.
pub(crate) fn write_date(days: i64, out: &mut String) {
    if !write_infinite(days, out) {
        let civil = Civil::from_days(days);
        write_day(civil, out);
        write_era(civil, out);
    }
}

/// Appends a time of day: microseconds since midnight.
pub(crate) fn write_time(time_us: i64, out: &mut String) {
    let seconds = time_us / SECOND_US;
    padded(seconds / 3_600, 2, out);
    out.push(':');
    padded(seconds / 60 % 60, 2, out);
    out.push(':');
    padded(seconds % 60, 2, out);
    write_fraction(time_us % SECOND_US, out);
}

/// Appends a fraction of a second without the zeros at its end.
pub(super) fn write_fraction(us: i64, out: &mut String) {
    if us != 0 {
        out.push('.');
        padded(us.abs(), 6, out);
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Appends a timestamp.
pub(crate) fn write_timestamp(timestamp_us: i64, out: &mut String) {
    if write_infinite(timestamp_us, out) {
        return;
    }
    let (days, time_us) = split_us(timestamp_us);
    let civil = Civil::from_days(days);
    write_day(civil, out);
    out.push(' ');
    write_time(time_us, out);
    write_era(civil, out);
}

/// Appends a timestamp as it is in a time zone.
pub(crate) fn write_timestamptz(timestamp_us: i64, zone: &TimeZone, out: &mut String) {
    if write_infinite(timestamp_us, out) {
        return;
    }
    let offset = offset_at(timestamp_us, zone);
    let (days, time_us) = split_us(timestamp_us.saturating_add(offset * SECOND_US));
    let civil = Civil::from_days(days);
    write_day(civil, out);
    out.push(' ');
    write_time(time_us, out);
    write_offset(offset, out);
    write_era(civil, out);
}

fn write_offset(offset: i64, out: &mut String) {
    let seconds = offset.abs();
    let sign = if offset < 0 { '-' } else { '+' };
    out.push(sign);
    padded(seconds / 3_600, 2, out);
    if seconds % 3_600 != 0 {
        out.push(':');
        padded(seconds / 60 % 60, 2, out);
    }
    if seconds % 60 != 0 {
        out.push(':');
        padded(seconds % 60, 2, out);
    }
}

/// Seconds that a zone is ahead of UTC at an instant.
pub(crate) fn offset_at(timestamp_us: i64, zone: &TimeZone) -> i64 {
    let instant = Timestamp::from_microsecond(timestamp_us).unwrap_or(if timestamp_us < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    i64::from(zone.to_offset(instant).seconds())
}

/// The instant at which a zone's clocks show `local_us`. Clocks that jump over it are read as if
/// they had not jumped yet; of two instants it is the later one.
pub(crate) fn local_to_utc(local_us: i64, zone: &TimeZone) -> Option<i64> {
    use jiff::tz::AmbiguousOffset;

    if local_us == INFINITY || local_us == NEGATIVE_INFINITY {
        return Some(local_us);
    }
    // Beyond the years that a rule can be asked for, the nearest such moment tells the offset.
    let shown =
        Timestamp::from_microsecond(local_us).map(|instant| TimeZone::UTC.to_datetime(instant));
    let offset = match shown {
        Ok(shown) => match zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => i64::from(offset.seconds()),
            AmbiguousOffset::Gap { before, .. } => i64::from(before.seconds()),
            AmbiguousOffset::Fold { after, .. } => i64::from(after.seconds()),
        },
        Err(_) => offset_at(local_us, zone),
    };
    local_us.checked_sub(offset * SECOND_US)
}

/// What a zone's clocks show at an instant.
pub(crate) fn utc_to_local(timestamp_us: i64, zone: &TimeZone) -> Option<i64> {
    if timestamp_us == INFINITY || timestamp_us == NEGATIVE_INFINITY {
        return Some(timestamp_us);
    }
    timestamp_us.checked_add(offset_at(timestamp_us, zone) * SECOND_US)
}

/// A timestamp at that many digits of a second: what lies half way is rounded away from
/// 2000-01-01, where PostgreSQL counts from.
pub(super) const fn round_timestamp(us: i64, digits: i32) -> i64 {
    if is_infinite(us) {
        return us;
    }
    round_us(us.saturating_sub(YEAR_2000_US), digits).saturating_add(YEAR_2000_US)
}

/// Rounded to so many digits of a second.
pub(super) const fn round_us(us: i64, digits: i32) -> i64 {
    if us == INFINITY || us == NEGATIVE_INFINITY {
        return us;
    }
    let unit = match digits {
        0 => 1_000_000,
        1 => 100_000,
        2 => 10_000,
        3 => 1_000,
        4 => 100,
        5 => 10,
        _ => return us,
    };
    let half = if us < 0 { -(unit / 2) } else { unit / 2 };
    us.saturating_add(half) / unit * unit
}

/// 4713-11-24 BC, where PostgreSQL begins; the end here is that of 64 bits, in the year 294247.
const TIMESTAMP_MIN: i64 = -210_866_803_200_000_000;

/// Refuses what is no timestamp.
pub(crate) fn check_timestamp(us: i64) -> Result<i64, DatumError> {
    let finite = (TIMESTAMP_MIN..INFINITY).contains(&us);
    if finite || us == INFINITY || us == NEGATIVE_INFINITY {
        Ok(us)
    } else {
        Err(DatumError::DatetimeOverflow(
            "timestamp out of range".to_owned(),
        ))
    }
}

/// Refuses what is no date.
pub(crate) fn check_date(days: i64) -> Result<i64, DatumError> {
    // 4713-11-24 BC to 5874897-12-31.
    if (-2_440_588..2_145_042_906).contains(&days) || days == INFINITY || days == NEGATIVE_INFINITY
    {
        Ok(days)
    } else {
        Err(DatumError::DatetimeOverflow("date out of range".to_owned()))
    }
}

/// Whether a stored date or timestamp is `infinity` or `-infinity`.
pub(crate) const fn is_infinite(value: i64) -> bool {
    value == INFINITY || value == NEGATIVE_INFINITY
}
