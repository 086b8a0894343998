//! Read dates and times as people write them: ISO forms, month names, `01/15/2024`, `today`.

use jiff::tz::{Offset, TimeZone};

use super::super::{DatumError, Style};
use super::{
    Civil, DAY_US, INFINITY, NEGATIVE_INFINITY, SECOND_US, check_date, check_timestamp,
    local_to_utc, split_us, utc_to_local,
};

/// What the text is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::datum) enum Wanted {
    /// Days since 1970.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 1970 on a clock without a zone.
    Timestamp,
    /// Microseconds since 1970.
    Timestamptz,
}

impl Wanted {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamp with time zone",
        }
    }
}

/// A point that has a name.
#[derive(Debug, Clone, Copy)]
enum Named {
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    /// Midnight, so many days from today.
    Day(i64),
}

/// What was read so far.
#[derive(Debug, Default)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    time_us: Option<i64>,
    zone: Option<TimeZone>,
    named: Option<Named>,
    /// `PM` is true.
    half: Option<bool>,
    iso_time_follows: bool,
}

/// Why a part does not do.
enum Fault {
    Syntax,
    Range,
    Displacement,
    Zone(String),
}

/// Reads `text` as what is `wanted`, in the form that is stored.
pub(in crate::datum) fn parse(
    text: &str,
    wanted: Wanted,
    style: &Style,
) -> Result<i64, DatumError> {
    let told = |fault| match fault {
        Fault::Syntax => DatumError::datetime(wanted.type_name(), text),
        Fault::Range => DatumError::field_range(text),
        Fault::Displacement => DatumError::TimeZoneDisplacement(text.to_owned()),
        Fault::Zone(name) => DatumError::UnknownTimeZone(name),
    };
    let mut fields = Fields::default();
    let words = split_words(text);
    if words.is_empty() {
        return Err(told(Fault::Syntax));
    }
    for word in &words {
        fields.take(word, wanted).map_err(told)?;
    }
    fields.finish(wanted, style, text).map_err(|end| match end {
        End::Fault(fault) => told(fault),
        End::Error(error) => error,
    })
}

enum End {
    Fault(Fault),
    Error(DatumError),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Words by blanks and commas; a `T` between a date and a time separates too.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split(|c: char| c.is_ascii_whitespace() || c == ',') {
        let at = word.char_indices().position(|(at, c)| {
            matches!(c, 'T' | 't')
                && at > 0
                && word
                    .get(..at)
                    .is_some_and(|b| b.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
                && word
                    .get(at + 1..)
                    .is_some_and(|a| a.starts_with(|c: char| c.is_ascii_digit()))
        });
        match at {
            Some(at) => {
                words.push(word.get(..at).unwrap_or("").to_owned());
                words.push(format!("T{}", word.get(at + 1..).unwrap_or("")));
            }
            None if word.is_empty() => {}
            None => words.push(word.to_owned()),
        }
    }
    words
}

fn number(text: &str) -> Result<i64, Fault> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    text.parse().map_err(|_| Fault::Range)
}

/// Sets what may be said once.
fn set<T>(field: &mut Option<T>, value: T) -> Result<(), Fault> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::Syntax),
    }
}

impl Fields {
    fn take(&mut self, word: &str, wanted: Wanted) -> Result<(), Fault> {
        let first = word.chars().next().unwrap_or(' ');
        if let Some(time) = word
            .strip_prefix('T')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            self.iso_time_follows = true;
            return self.time(time);
        }
        if first.is_ascii_digit() {
            if word.contains(':') {
                return self.time(word);
            }
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            if digits == word.len() {
                return self.bare_number(word, wanted);
            }
            return self.date(word);
        }
        if matches!(first, '+' | '-')
            && word
                .get(1..)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            return set(&mut self.zone, offset_zone(word)?);
        }
        self.word(word)
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "infinity" | "+infinity" => return set(&mut self.named, Named::Infinity),
            "-infinity" => return set(&mut self.named, Named::NegativeInfinity),
            "epoch" => return set(&mut self.named, Named::Epoch),
            "now" => return set(&mut self.named, Named::Now),
            "today" => return set(&mut self.named, Named::Day(0)),
            "tomorrow" => return set(&mut self.named, Named::Day(1)),
            "yesterday" => return set(&mut self.named, Named::Day(-1)),
            "allballs" => return set(&mut self.time_us, 0),
            "am" => return set(&mut self.half, false),
            "pm" => return set(&mut self.half, true),
            "ad" | "at" | "on" => return Ok(()),
            _ => {}
        }
        if let Some(month) = month_named(&lower) {
            return set(&mut self.month, month);
        }
        if is_weekday(&lower) {
            return Ok(());
        }
        let zone = zone_named(word).ok_or_else(|| {
            if word.contains('/') {
                Fault::Zone(lower)
            } else {
                Fault::Syntax
            }
        })?;
        set(&mut self.zone, zone)
    }

    /// Digits only: `20240115`, `101112` after a `T` or a date, a day or a year beside a month.
    fn bare_number(&mut self, word: &str, wanted: Wanted) -> Result<(), Fault> {
        let value = number(word)?;
        let has_date = self.year.is_some() && self.day.is_some();
        match word.len() {
            8 if !has_date => {
                set(&mut self.year, value / 10_000)?;
                set(&mut self.month, value / 100 % 100)?;
                set(&mut self.day, value % 100)
            }
            4 | 6 if has_date || (wanted == Wanted::Time && self.month.is_none()) => {
                self.time(word)
            }
            6 if self.month.is_none() => {
                set(&mut self.year, full_year(value / 10_000))?;
                set(&mut self.month, value / 100 % 100)?;
                set(&mut self.day, value % 100)
            }
            1 | 2 if self.month.is_some() && self.day.is_none() => set(&mut self.day, value),
            2 if self.month.is_some() => set(&mut self.year, full_year(value)),
            1 | 2 if self.day.is_none() => set(&mut self.day, value),
            3..=6 => set(&mut self.year, value),
            _ => Err(Fault::Syntax),
        }
    }

    /// `2024-01-15`, `01/15/2024`, `15-Jan-2024`, with a zone behind perhaps.
    fn date(&mut self, word: &str) -> Result<(), Fault> {
        let is_separator = |c: char| matches!(c, '-' | '/' | '.');
        let mut parts = word.splitn(3, is_separator);
        let (Some(first), Some(second), Some(third)) = (parts.next(), parts.next(), parts.next())
        else {
            // 2024.015 (a day of a year) and its like.
            return Err(Fault::Syntax);
        };
        let end = third
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(third.len());
        let (third, zone) = third.split_at(end);
        if !zone.is_empty() {
            let zone = if zone.starts_with(['+', '-']) {
                offset_zone(zone)?
            } else {
                zone_named(zone).ok_or(Fault::Syntax)?
            };
            set(&mut self.zone, zone)?;
        }
        if let Some(month) = month_named(&second.to_ascii_lowercase()) {
            set(&mut self.month, month)?;
            let (day, year) = if first.len() >= 3 {
                (third, first)
            } else {
                (first, third)
            };
            set(&mut self.day, number(day)?)?;
            return set(&mut self.year, year_of(year)?);
        }
        let (year, month, day) = if first.len() >= 3 {
            (first, second, third)
        } else {
            (third, first, second)
        };
        set(&mut self.year, year_of(year)?)?;
        set(&mut self.month, number(month)?)?;
        set(&mut self.day, number(day)?)
    }

    /// `10:11`, `10:11:12.5`, `101112`, with `pm` or a zone behind perhaps.
    fn time(&mut self, word: &str) -> Result<(), Fault> {
        let end = word
            .find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.'))
            .unwrap_or(word.len());
        let (clock, rest) = word.split_at(end);
        set(&mut self.time_us, clock_us(clock)?)?;
        match rest.to_ascii_lowercase().as_str() {
            "" => Ok(()),
            "am" => set(&mut self.half, false),
            "pm" => set(&mut self.half, true),
            _ if rest.starts_with(['+', '-']) => set(&mut self.zone, offset_zone(rest)?),
            _ => set(&mut self.zone, zone_named(rest).ok_or(Fault::Syntax)?),
        }
    }

    fn time_of_day(&self) -> Result<i64, Fault> {
        let time_us = self.time_us.unwrap_or(0);
        let hour = time_us / (3_600 * SECOND_US);
        match self.half {
            None => Ok(time_us),
            Some(_) if self.time_us.is_none() => Err(Fault::Syntax),
            Some(_) if !(1..=12).contains(&hour) => Err(Fault::Range),
            Some(true) if hour < 12 => Ok(time_us + DAY_US / 2),
            Some(false) if hour == 12 => Ok(time_us - DAY_US / 2),
            Some(_) => Ok(time_us),
        }
    }

    fn finish(self, wanted: Wanted, style: &Style, text: &str) -> Result<i64, End> {
        if let Some(named) = self.named {
            if self.year.is_some() || self.month.is_some() || self.day.is_some() {
                return Err(Fault::Syntax.into());
            }
            return self.finish_named(named, wanted, style);
        }
        let time_us = self.time_of_day()?;
        if wanted == Wanted::Time {
            return if self.time_us.is_some() {
                Ok(time_us)
            } else {
                Err(Fault::Syntax.into())
            };
        }
        let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day) else {
            return Err(Fault::Syntax.into());
        };
        let civil = Civil { year, month, day };
        let is_day = (1..=12).contains(&month) && (1..=civil.month_len()).contains(&day);
        if year < 1 || !is_day {
            return Err(Fault::Range.into());
        }
        // No year that is greater has a date; far greater ones would not be counted rightly.
        let days = if year > 5_874_897 {
            i64::MAX - 1
        } else {
            civil.days()
        };
        if wanted == Wanted::Date {
            let told = || DatumError::DatetimeOverflow(format!("date out of range: \"{text}\""));
            return check_date(days).map_err(|_| End::Error(told()));
        }
        let out_of_range =
            || DatumError::DatetimeOverflow(format!("timestamp out of range: \"{text}\""));
        let local = days
            .checked_mul(DAY_US)
            .and_then(|us| us.checked_add(time_us))
            .ok_or_else(|| End::Error(out_of_range()))?;
        if wanted == Wanted::Timestamp {
            return check_timestamp(local).map_err(|_| End::Error(out_of_range()));
        }
        let zone = self.zone.as_ref().unwrap_or(&style.time_zone);
        local_to_utc(local, zone)
            .and_then(|us| check_timestamp(us).ok())
            .ok_or_else(|| End::Error(out_of_range()))
    }

    fn finish_named(&self, named: Named, wanted: Wanted, style: &Style) -> Result<i64, End> {
        let today = || -> Result<i64, End> {
            let local = utc_to_local(style.now_unix_us, &style.time_zone).ok_or(Fault::Range)?;
            Ok(split_us(local).0)
        };
        if wanted == Wanted::Time {
            let Named::Now = named else {
                return Err(Fault::Syntax.into());
            };
            let local = utc_to_local(style.now_unix_us, &style.time_zone).ok_or(Fault::Range)?;
            return Ok(split_us(local).1);
        }
        let local = match named {
            Named::Infinity => return Ok(INFINITY),
            Named::NegativeInfinity => return Ok(NEGATIVE_INFINITY),
            Named::Epoch => return Ok(0),
            Named::Now if wanted == Wanted::Timestamptz => return Ok(style.now_unix_us),
            Named::Now if wanted == Wanted::Date => return today(),
            Named::Now => {
                return Ok(utc_to_local(style.now_unix_us, &style.time_zone).ok_or(Fault::Range)?);
            }
            Named::Day(distance) => today()? + distance,
        };
        if wanted == Wanted::Date {
            return Ok(local);
        }
        let local_us = local * DAY_US + self.time_of_day()?;
        if wanted == Wanted::Timestamp {
            return Ok(local_us);
        }
        let zone = self.zone.as_ref().unwrap_or(&style.time_zone);
        Ok(local_to_utc(local_us, zone).ok_or(Fault::Range)?)
    }
}

fn year_of(text: &str) -> Result<i64, Fault> {
    let value = number(text)?;
    Ok(if text.len() <= 2 {
        full_year(value)
    } else {
        value
    })
}

/// Two digits mean 1970 to 2069.
const fn full_year(value: i64) -> i64 {
    if value < 70 {
        value + 2_000
    } else if value < 100 {
        value + 1_900
    } else {
        value
    }
}

fn clock_us(clock: &str) -> Result<i64, Fault> {
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let (hour, minute, second) = if whole.contains(':') {
        let mut parts = whole.split(':');
        let hour = number(parts.next().unwrap_or(""))?;
        let minute = number(parts.next().unwrap_or(""))?;
        let second = parts.next().map_or(Ok(0), number)?;
        if parts.next().is_some() {
            return Err(Fault::Syntax);
        }
        (hour, minute, second)
    } else {
        let value = number(whole)?;
        match whole.len() {
            6 => (value / 10_000, value / 100 % 100, value % 100),
            4 => (value / 100, value % 100, 0),
            _ => return Err(Fault::Syntax),
        }
    };
    let us = fraction_us(fraction)?;
    if hour > 24 || minute > 59 || second > 60 {
        return Err(Fault::Range);
    }
    let total = ((hour * 60 + minute) * 60 + second) * SECOND_US + us;
    if total > DAY_US {
        Err(Fault::Range)
    } else {
        Ok(total)
    }
}

/// Digits behind the point of seconds, rounded to microseconds.
fn fraction_us(digits: &str) -> Result<i64, Fault> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    let seven: i64 = format!("{digits:0<7}")
        .get(..7)
        .unwrap_or("0")
        .parse()
        .map_err(|_| Fault::Syntax)?;
    Ok((seven + 5) / 10)
}

/// `+02`, `-03:30`, `+0200`, `+02:00:30`
fn offset_zone(text: &str) -> Result<TimeZone, Fault> {
    let negative = text.starts_with('-');
    let body = text.get(1..).unwrap_or("");
    let (hours, minutes, seconds) = if body.contains(':') {
        let mut parts = body.split(':');
        let hours = number(parts.next().unwrap_or(""))?;
        let minutes = parts.next().map_or(Ok(0), number)?;
        let seconds = parts.next().map_or(Ok(0), number)?;
        if parts.next().is_some() {
            return Err(Fault::Syntax);
        }
        (hours, minutes, seconds)
    } else {
        let value = number(body)?;
        match body.len() {
            1 | 2 => (value, 0, 0),
            3 | 4 => (value / 100, value % 100, 0),
            6 => (value / 10_000, value / 100 % 100, value % 100),
            _ => return Err(Fault::Syntax),
        }
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Fault::Displacement);
    }
    let total = (hours * 60 + minutes) * 60 + seconds;
    let total = if negative { -total } else { total };
    let total = i32::try_from(total).map_err(|_| Fault::Range)?;
    Offset::from_seconds(total)
        .map(TimeZone::fixed)
        .map_err(|_| Fault::Range)
}

/// Abbreviations that PostgreSQL knows by default, with hours ahead of UTC.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("z", 0),
    ("zulu", 0),
    ("utc", 0),
    ("gmt", 0),
    ("ut", 0),
    ("wet", 0),
    ("bst", 1),
    ("cet", 1),
    ("met", 1),
    ("west", 1),
    ("cest", 2),
    ("eet", 2),
    ("sast", 2),
    ("ist", 2),
    ("eest", 3),
    ("msk", 3),
    ("jst", 9),
    ("kst", 9),
    ("ast", -4),
    ("adt", -3),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
    ("hst", -10),
];

/// A zone by abbreviation or IANA name.
pub(in crate::datum) fn zone_named(name: &str) -> Option<TimeZone> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, hours)) = ABBREVIATIONS.iter().find(|(known, _)| *known == lower) {
        return Offset::from_seconds(hours * 3_600)
            .ok()
            .map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

fn month_named(lower: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let lower = lower.trim_end_matches('.');
    let at = MONTHS.iter().position(|month| {
        *month == lower
            || (lower.len() == 3 && month.starts_with(lower))
            || (lower == "sept" && month.starts_with("sept"))
    })?;
    i64::try_from(at + 1).ok()
}

fn is_weekday(lower: &str) -> bool {
    const DAYS: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    DAYS.iter().any(|day| {
        *day == lower || (lower.len() >= 3 && lower.len() <= 5 && day.starts_with(lower))
    })
}
