//! `interval`: months, days and microseconds, which stay apart.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::datetime::{DAY_US, SECOND_US, round_us, write_fraction};
use super::{DatumError, IntervalStyle};

/// A value of `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// Months, years among them.
    pub months: i32,
    /// Days, weeks among them.
    pub days: i32,
    /// Microseconds, hours among them.
    pub us: i64,
}

impl Interval {
    /// From the stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let found = Self {
            months: parts.next()?.parse().ok()?,
            days: parts.next()?.parse().ok()?,
            us: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(found)
    }

    /// The stored form.
    #[must_use]
    pub fn stored(self) -> String {
        format!("{} {} {}", self.months, self.days, self.us)
    }

    /// Its length, with months of 30 days of 24 hours: what it compares by.
    #[must_use]
    pub fn length_us(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(DAY_US) + i128::from(self.us)
    }

    /// `+`, if it fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            us: self.us.checked_add(other.us)?,
        })
    }

    /// Unary `-`, if it fits.
    #[must_use]
    pub fn checked_neg(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            us: self.us.checked_neg()?,
        })
    }

    /// Multiplied: parts of months become days, parts of days time.
    #[must_use]
    #[allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss
    )]
    pub fn checked_mul(self, factor: f64) -> Option<Self> {
        let whole = |value: f64| {
            (value.is_finite() && value.abs() <= f64::from(i32::MAX)).then_some(value as i32)
        };
        let round6 = |value: f64| (value * 1e6).round() / 1e6;
        let months = f64::from(self.months) * factor;
        let days = f64::from(self.days) * factor;
        let kept_months = whole(months)?;
        let kept_days = whole(days)?;
        let month_days = round6((months - f64::from(kept_months)) * 30.0);
        let mut seconds =
            round6((days - f64::from(kept_days) + (month_days - month_days.trunc())) * 86_400.0);
        let mut more_days = month_days.trunc();
        if seconds.abs() >= 86_400.0 {
            more_days += (seconds / 86_400.0).trunc();
            seconds %= 86_400.0;
        }
        let us = (self.us as f64 * factor + seconds * 1e6).round();
        // 2^63 as a float: what is below it is a 64-bit integer.
        if !us.is_finite() || us.abs() >= 9_223_372_036_854_775_808.0 {
            return None;
        }
        Some(Self {
            months: kept_months,
            days: kept_days.checked_add(whole(more_days)?)?,
            us: us as i64,
        })
    }

    /// Divided in the same way.
    #[must_use]
    pub fn checked_div(self, divisor: f64) -> Option<Self> {
        self.checked_mul(1.0 / divisor)
    }

    /// Rounded to so many digits of a second.
    pub(super) const fn rounded(self, digits: i32) -> Self {
        Self {
            us: round_us(self.us, digits),
            ..self
        }
    }

    /// Reads it as PostgreSQL does.
    pub fn parse(text: &str) -> Result<Self, DatumError> {
        let syntax = || DatumError::datetime("interval", text);
        let range = || {
            DatumError::DatetimeOverflow(format!("interval field value out of range: \"{text}\""))
        };
        let mut sum = Sum::default();
        let trimmed = text.trim();
        let read = if trimmed.starts_with(['P', 'p']) {
            sum.iso(trimmed)
        } else {
            sum.words(trimmed)
        };
        read.ok_or_else(syntax)?;
        sum.finish().ok_or_else(range)
    }

    /// Appends it.
    pub(crate) fn write(self, style: IntervalStyle, out: &mut String) {
        match style {
            IntervalStyle::Postgres => self.write_postgres(out),
            IntervalStyle::PostgresVerbose => self.write_verbose(out),
            IntervalStyle::SqlStandard => self.write_standard(out),
            IntervalStyle::Iso8601 => self.write_iso(out),
        }
    }

    fn clock(self) -> (i64, i64, i64, i64) {
        let seconds = self.us / SECOND_US;
        (
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
            self.us % SECOND_US,
        )
    }

    fn write_postgres(self, out: &mut String) {
        let mut before = false;
        let mut empty = true;
        let parts = [
            (self.months / 12, "year"),
            (self.months % 12, "mon"),
            (self.days, "day"),
        ];
        for (value, unit) in parts {
            if value != 0 {
                let blank = if empty { "" } else { " " };
                let plus = if before && value > 0 { "+" } else { "" };
                let plural = if value == 1 { "" } else { "s" };
                let _ = write!(out, "{blank}{plus}{value} {unit}{plural}");
                before = value < 0;
                empty = false;
            }
        }
        if empty || self.us != 0 {
            let (hours, minutes, seconds, us) = self.clock();
            let blank = if empty { "" } else { " " };
            let sign = if self.us < 0 {
                "-"
            } else if before {
                "+"
            } else {
                ""
            };
            let _ = write!(
                out,
                "{blank}{sign}{:02}:{:02}:{:02}",
                hours.abs(),
                minutes.abs(),
                seconds.abs()
            );
            write_fraction(us, out);
        }
    }

    fn write_verbose(self, out: &mut String) {
        let (hours, minutes, seconds, us) = self.clock();
        out.push('@');
        let mut before = None;
        let parts = [
            (i64::from(self.months / 12), "year"),
            (i64::from(self.months % 12), "mon"),
            (i64::from(self.days), "day"),
            (hours, "hour"),
            (minutes, "min"),
        ];
        // The first part that is not zero says whether all is `ago`.
        let mut say = |value: i64, negative: bool, fraction: i64, unit: &str, out: &mut String| {
            let ago = *before.get_or_insert(negative);
            let sign = if ago == negative { "" } else { "-" };
            let _ = write!(out, " {sign}{}", value.abs());
            write_fraction(fraction, out);
            let plural = if value.abs() == 1 && fraction == 0 {
                ""
            } else {
                "s"
            };
            let _ = write!(out, " {unit}{plural}");
        };
        let mut any = false;
        for (value, unit) in parts {
            if value != 0 {
                say(value, value < 0, 0, unit, out);
                any = true;
            }
        }
        if seconds != 0 || us != 0 {
            say(seconds, seconds < 0 || us < 0, us, "sec", out);
            any = true;
        }
        if !any {
            out.push_str(" 0");
        }
        if before == Some(true) {
            out.push_str(" ago");
        }
    }

    fn write_standard(self, out: &mut String) {
        let (hours, minutes, seconds, us) = self.clock();
        let negative = self.months < 0 || self.days < 0 || self.us < 0;
        let positive = self.months > 0 || self.days > 0 || self.us > 0;
        let has_months = self.months != 0;
        let has_rest = self.days != 0 || self.us != 0;
        let clock = |out: &mut String| {
            let _ = write!(
                out,
                "{}:{:02}:{:02}",
                hours.abs(),
                minutes.abs(),
                seconds.abs()
            );
            write_fraction(us, out);
        };
        let (years, months) = ((self.months / 12).abs(), (self.months % 12).abs());
        if !negative && !positive {
            out.push('0');
        } else if (negative && positive) || (has_months && has_rest) {
            let sign = |negative: bool| if negative { '-' } else { '+' };
            let _ = write!(out, "{}{years}-{months}", sign(self.months < 0));
            let _ = write!(out, " {}{} ", sign(self.days < 0), self.days.unsigned_abs());
            out.push(sign(self.us < 0));
            clock(out);
        } else {
            if negative {
                out.push('-');
            }
            if has_months {
                let _ = write!(out, "{years}-{months}");
            } else {
                if self.days != 0 {
                    let _ = write!(out, "{} ", self.days.unsigned_abs());
                }
                clock(out);
            }
        }
    }

    fn write_iso(self, out: &mut String) {
        if self == Self::default() {
            out.push_str("PT0S");
            return;
        }
        let (hours, minutes, seconds, us) = self.clock();
        let part = |value: i64, unit: char, out: &mut String| {
            if value != 0 {
                let _ = write!(out, "{value}{unit}");
            }
        };
        out.push('P');
        part(i64::from(self.months / 12), 'Y', out);
        part(i64::from(self.months % 12), 'M', out);
        part(i64::from(self.days), 'D', out);
        if self.us != 0 {
            out.push('T');
        }
        part(hours, 'H', out);
        part(minutes, 'M', out);
        if seconds != 0 || us != 0 {
            let sign = if seconds < 0 || us < 0 { "-" } else { "" };
            let _ = write!(out, "{sign}{}", seconds.abs());
            write_fraction(us, out);
            out.push('S');
        }
    }
}

/// Compares two intervals in stored form; what is none comes first.
#[must_use]
pub fn interval_compare(a: &str, b: &str) -> Ordering {
    let length = |text| Interval::from_stored(text).map(Interval::length_us);
    length(a).cmp(&length(b))
}

/// Units: months, days or microseconds of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Months(i64),
    Days(i64),
    Us(i64),
}

fn unit_named(name: &str) -> Option<Unit> {
    Some(match name {
        "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds"
        | "microsecon" => Unit::Us(1),
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "mseconds" | "msecond"
        | "millisecon" => Unit::Us(1_000),
        "second" | "seconds" | "sec" | "secs" | "s" => Unit::Us(SECOND_US),
        "minute" | "minutes" | "min" | "mins" | "m" => Unit::Us(60 * SECOND_US),
        "hour" | "hours" | "hr" | "hrs" | "h" => Unit::Us(3_600 * SECOND_US),
        "day" | "days" | "d" => Unit::Days(1),
        "week" | "weeks" | "w" => Unit::Days(7),
        "month" | "months" | "mon" | "mons" => Unit::Months(1),
        "year" | "years" | "yr" | "yrs" | "y" => Unit::Months(12),
        "decade" | "decades" | "dec" | "decs" => Unit::Months(120),
        "century" | "centuries" | "c" | "cent" => Unit::Months(1_200),
        "millennium" | "millennia" | "mil" | "mils" => Unit::Months(12_000),
        _ => return None,
    })
}

/// What the parts add up to; `None` when a part does not fit.
struct Sum {
    months: Option<i64>,
    days: Option<i64>,
    us: Option<i128>,
    /// Units that were named already: each may be once.
    seen: Vec<Unit>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            months: Some(0),
            days: Some(0),
            us: Some(0),
            seen: Vec::new(),
        }
    }
}

/// A decimal number in parts: sign, whole, millionths.
#[derive(Clone, Copy)]
struct Decimal {
    negative: bool,
    whole: i64,
    millionths: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let negative = text.starts_with('-');
        let body = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let seven: i64 = format!("{fraction:0<7}").get(..7)?.parse().ok()?;
        Some(Self {
            negative,
            whole,
            millionths: (seven + 5) / 10,
        })
    }
}

impl Sum {
    fn add(&mut self, number: Decimal, unit: Unit) {
        let sign = if number.negative { -1 } else { 1 };
        let add = |sum: Option<i64>, by: i64, one: i64| sum?.checked_add(by.checked_mul(one)?);
        let fraction = number.millionths * sign;
        match unit {
            Unit::Months(one) => {
                self.months = add(self.months, number.whole * sign, one);
                if one == 1 {
                    self.add_day_fraction(i128::from(fraction) * 30);
                } else {
                    // A part of a year is whole months.
                    let months = (fraction * one + 500_000 * sign) / 1_000_000;
                    self.months = add(self.months, months, 1);
                }
            }
            Unit::Days(one) => {
                self.days = add(self.days, number.whole * sign, one);
                self.add_day_fraction(i128::from(fraction) * i128::from(one));
            }
            Unit::Us(one) => {
                let total = i128::from(number.whole) * i128::from(one)
                    + i128::from(number.millionths) * i128::from(one) / 1_000_000;
                self.add_us(total * i128::from(sign));
            }
        }
    }

    /// Adds what may be named once only.
    fn add_once(&mut self, number: Decimal, unit: Unit) -> Option<()> {
        if self.seen.contains(&unit) {
            return None;
        }
        self.seen.push(unit);
        self.add(number, unit);
        Some(())
    }

    fn add_us(&mut self, us: i128) {
        self.us = self.us.map(|sum| sum + us);
    }

    /// Millionths of a day: whole ones are days, the rest is time.
    fn add_day_fraction(&mut self, millionths: i128) {
        let whole = i64::try_from(millionths / 1_000_000).ok();
        self.days = self
            .days
            .zip(whole)
            .and_then(|(sum, whole)| sum.checked_add(whole));
        self.add_us(millionths % 1_000_000 * i128::from(DAY_US / 1_000_000));
    }

    fn negate(&mut self) {
        self.months = self.months.map(|value| -value);
        self.days = self.days.map(|value| -value);
        self.us = self.us.map(|value| -value);
    }

    fn finish(&self) -> Option<Interval> {
        Some(Interval {
            months: self.months?.try_into().ok()?,
            days: self.days?.try_into().ok()?,
            us: self.us?.try_into().ok()?,
        })
    }

    /// `1 day 02:03:04`, `1-2`, `3 mons ago`
    fn words(&mut self, text: &str) -> Option<()> {
        let words = split(text);
        let mut any = false;
        let mut ago = false;
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word == "@" {
                continue;
            }
            if word.eq_ignore_ascii_case("ago") && any && words.peek().is_none() {
                ago = true;
                continue;
            }
            if word.contains(':') {
                self.clock(word)?;
            } else if let Some((years, months)) = year_month(word) {
                self.add_once(years, Unit::Months(12))?;
                self.add_once(months, Unit::Months(1))?;
            } else {
                let number = Decimal::parse(word)?;
                let unit = match words.peek() {
                    Some(next) if next.contains(':') => Unit::Days(1),
                    Some(next) if next.eq_ignore_ascii_case("ago") => Unit::Us(SECOND_US),
                    Some(next) => {
                        let unit = unit_named(&next.to_ascii_lowercase())?;
                        words.next();
                        unit
                    }
                    None => Unit::Us(SECOND_US),
                };
                self.add_once(number, unit)?;
            }
            any = true;
        }
        if ago {
            self.negate();
        }
        any.then_some(())
    }

    /// `[-]HH:MM[:SS[.fraction]]`
    fn clock(&mut self, word: &str) -> Option<()> {
        let negative = word.starts_with('-');
        let body = word.strip_prefix(['-', '+']).unwrap_or(word);
        let mut parts = body.split(':');
        let hours = Decimal::parse(parts.next()?)?;
        let minutes = Decimal::parse(parts.next()?)?;
        let seconds = match parts.next() {
            Some(seconds) => Decimal::parse(seconds)?,
            None => Decimal {
                negative,
                whole: 0,
                millionths: 0,
            },
        };
        if parts.next().is_some()
            || hours.millionths != 0
            || minutes.whole > 59
            || seconds.whole > 60
        {
            return None;
        }
        for (number, unit) in [
            (hours, Unit::Us(3_600 * SECOND_US)),
            (minutes, Unit::Us(60 * SECOND_US)),
            (seconds, Unit::Us(SECOND_US)),
        ] {
            self.add_once(Decimal { negative, ..number }, unit)?;
        }
        Some(())
    }

    /// `P1Y2M3DT4H5M6.7S`
    fn iso(&mut self, text: &str) -> Option<()> {
        let mut rest = text.get(1..)?;
        let mut in_time = false;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(['T', 't']) {
                in_time = true;
                rest = after;
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let number = Decimal::parse(rest.get(..end)?)?;
            let letter = rest.get(end..)?.chars().next()?.to_ascii_uppercase();
            let unit = match (letter, in_time) {
                ('Y', false) => Unit::Months(12),
                ('M', false) => Unit::Months(1),
                ('W', false) => Unit::Days(7),
                ('D', false) => Unit::Days(1),
                ('H', true) => Unit::Us(3_600 * SECOND_US),
                ('M', true) => Unit::Us(60 * SECOND_US),
                ('S', true) => Unit::Us(SECOND_US),
                _ => return None,
            };
            self.add(number, unit);
            rest = rest.get(end + 1..)?;
        }
        Some(())
    }
}

/// `1-2`: years and months.
fn year_month(word: &str) -> Option<(Decimal, Decimal)> {
    let negative = word.starts_with('-');
    let body = word.strip_prefix(['-', '+']).unwrap_or(word);
    let (years, months) = body.split_once('-')?;
    let years = Decimal::parse(years)?;
    let months = Decimal::parse(months)?;
    (months.whole < 12).then_some(())?;
    Some((
        Decimal { negative, ..years },
        Decimal { negative, ..months },
    ))
}

/// Words by blanks, and between a number and its unit.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let mut current = String::new();
        for character in word.chars() {
            let alphabetic = character.is_ascii_alphabetic();
            let was_alphabetic = current
                .chars()
                .next_back()
                .is_some_and(|c| c.is_ascii_alphabetic());
            if !current.is_empty() && (alphabetic != was_alphabetic || current == "@") {
                words.push(std::mem::take(&mut current));
            }
            current.push(character);
        }
        words.push(current);
    }
    words
}
