//! `to_char` of timestamps: patterns as PostgreSQL has them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::text_datum;
use super::fields::{iso_parts, ordinal_day};
use crate::datum::{Civil, Datum, SECOND_US, is_infinite, split_us};
use crate::pgerror::PgError;

/// Patterns, longer ones before those they begin with.
const PATTERNS: &[&str] = &[
    "YYYY", "IYYY", "Y,YYY", "MONTH", "Month", "month", "YYY", "IYY", "HH24", "HH12", "SSSSS",
    "SSSS", "A.M.", "P.M.", "a.m.", "p.m.", "DAY", "Day", "day", "MON", "Mon", "mon", "DDD", "FF1",
    "FF2", "FF3", "FF4", "FF5", "FF6", "TZH", "TZM", "YY", "IY", "HH", "MI", "SS", "MS", "US",
    "AM", "PM", "am", "pm", "DY", "Dy", "dy", "DD", "MM", "WW", "IW", "ID", "CC", "RM", "TZ", "tz",
    "OF", "Y", "I", "D", "W", "J", "Q",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const ROMAN: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];

/// What a zone calls itself at an instant.
pub(super) fn zone_name(utc: i64, zone: &TimeZone) -> String {
    Timestamp::from_microsecond(utc)
        .map(|instant| zone.to_offset_info(instant).abbreviation().to_owned())
        .unwrap_or_default()
}

struct Moment {
    civil: Civil,
    days: i64,
    time_us: i64,
    zone: Option<(String, i64)>,
}

/// Writes a clock's reading, with the zone's name and offset if there is one.
pub(super) fn write(
    local: i64,
    zone: Option<(String, i64)>,
    pattern: &str,
) -> Result<Datum, PgError> {
    if is_infinite(local) {
        return Ok(Datum::Null);
    }
    let (days, time_us) = split_us(local);
    let moment = Moment {
        civil: Civil::from_days(days),
        days,
        time_us,
        zone,
    };
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = quoted(rest.get(1..).unwrap_or(""), &mut out);
            continue;
        }
        let (fill, after) = match rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let found = PATTERNS.iter().find(|known| starts_with(after, known));
        let Some(known) = found else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        };
        let (written, after) = after.split_at(known.len());
        let number = moment.write(known, written, fill, &mut out)?;
        rest = after;
        if let Some(number) = number
            && let Some(after) = rest.strip_prefix("TH").or_else(|| rest.strip_prefix("th"))
        {
            let suffix = ordinal(number);
            out.push_str(&if rest.starts_with("TH") {
                suffix.to_uppercase()
            } else {
                suffix.to_owned()
            });
            rest = after;
        }
    }
    Ok(text_datum(out))
}

/// Case means something to names and halves of the day, not to numbers.
fn starts_with(text: &str, known: &str) -> bool {
    let Some(head) = text.get(..known.len()) else {
        return false;
    };
    head == known || (is_number(known) && head.eq_ignore_ascii_case(known))
}

fn is_number(known: &str) -> bool {
    !matches!(
        known.to_ascii_uppercase().as_str(),
        "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "A.M." | "P.M." | "TZ"
    )
}

/// Text in quotes stands for itself.
fn quoted<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => out.extend(characters.next()),
            plain => out.push(plain),
        }
    }
    characters.as_str()
}

fn ordinal(number: i64) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

fn index<const N: usize>(names: [&'static str; N], number: i64) -> &'static str {
    let at = usize::try_from(number - 1).unwrap_or(0);
    names.get(at).copied().unwrap_or("")
}

impl Moment {
    /// Writes one pattern; returns its number if it is one.
    fn write(
        &self,
        known: &str,
        written: &str,
        fill: bool,
        out: &mut String,
    ) -> Result<Option<i64>, PgError> {
        if let Some((number, width)) = self.number(known) {
            let width = if fill { 0 } else { width };
            out.push_str(&format!("{number:0width$}"));
            return Ok(Some(number));
        }
        let digits = |digits: u32| {
            let fraction = self.time_us % SECOND_US;
            let width = usize::try_from(digits).unwrap_or(0);
            format!("{:0width$}", fraction / 10_i64.pow(6 - digits))
        };
        let text = match known {
            "FF1" => digits(1),
            "FF2" => digits(2),
            "FF3" | "MS" => digits(3),
            "FF4" => digits(4),
            "FF5" => digits(5),
            "FF6" | "US" => digits(6),
            "Y,YYY" => format!("{},{:03}", self.civil.year / 1_000, self.civil.year % 1_000),
            "RM" => padded(index(ROMAN, self.civil.month), 4, fill),
            "MONTH" | "Month" | "month" => {
                padded(&cased(index(MONTHS, self.civil.month), written), 9, fill)
            }
            "MON" | "Mon" | "mon" => cased(
                index(MONTHS, self.civil.month).get(..3).unwrap_or(""),
                written,
            ),
            "DAY" | "Day" | "day" => padded(&cased(self.day_name(), written), 9, fill),
            "DY" | "Dy" | "dy" => cased(self.day_name().get(..3).unwrap_or(""), written),
            _ => match self.half_or_zone(known) {
                Some(text) => text,
                None => return Err(PgError::unsupported(format!("to_char pattern {known}"))),
            },
        };
        out.push_str(&text);
        Ok(None)
    }

    fn day_name(&self) -> &'static str {
        index(DAYS, iso_parts(self.days).2)
    }

    /// Numbers with the width that they are filled to.
    fn number(&self, known: &str) -> Option<(i64, usize)> {
        let hour = self.time_us / (3_600 * SECOND_US);
        let seconds = self.time_us / SECOND_US;
        let (iso_year, iso_week, iso_day) = iso_parts(self.days);
        let day_of_year = ordinal_day(self.civil);
        let year = self.civil.year;
        Some(match known {
            "YYYY" => (year, 4),
            "YYY" => (year % 1_000, 3),
            "YY" => (year % 100, 2),
            "Y" => (year % 10, 1),
            "IYYY" => (iso_year, 4),
            "IYY" => (iso_year % 1_000, 3),
            "IY" => (iso_year % 100, 2),
            "I" => (iso_year % 10, 1),
            "MM" => (self.civil.month, 2),
            "DD" => (self.civil.day, 2),
            "DDD" => (day_of_year, 3),
            "D" => (iso_day % 7 + 1, 1),
            "ID" => (iso_day, 1),
            "W" => ((self.civil.day - 1) / 7 + 1, 1),
            "WW" => ((day_of_year - 1) / 7 + 1, 2),
            "IW" => (iso_week, 2),
            "Q" => ((self.civil.month - 1) / 3 + 1, 1),
            "CC" => ((year + 99) / 100, 2),
            "J" => (self.days + 2_440_588, 0),
            "HH24" => (hour, 2),
            "HH" | "HH12" => ((hour + 11) % 12 + 1, 2),
            "MI" => (seconds / 60 % 60, 2),
            "SS" => (seconds % 60, 2),
            "SSSS" | "SSSSS" => (seconds, 0),
            _ => return None,
        })
    }

    fn half_or_zone(&self, known: &str) -> Option<String> {
        let is_pm = self.time_us >= 12 * 3_600 * SECOND_US;
        let (name, offset) = match &self.zone {
            Some((name, offset)) => (name.as_str(), *offset),
            None => ("", 0),
        };
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 3_600, offset.abs() / 60 % 60);
        Some(match known {
            "AM" | "PM" => if is_pm { "PM" } else { "AM" }.to_owned(),
            "am" | "pm" => if is_pm { "pm" } else { "am" }.to_owned(),
            "A.M." | "P.M." => if is_pm { "P.M." } else { "A.M." }.to_owned(),
            "a.m." | "p.m." => if is_pm { "p.m." } else { "a.m." }.to_owned(),
            "TZ" => name.to_owned(),
            "tz" => name.to_lowercase(),
            "TZH" => format!("{sign}{hours:02}"),
            "TZM" => format!("{minutes:02}"),
            "OF" if minutes == 0 => format!("{sign}{hours:02}"),
            "OF" => format!("{sign}{hours:02}:{minutes:02}"),
            _ => return None,
        })
    }
}

/// In the case in which the pattern was written.
fn cased(name: &str, written: &str) -> String {
    let mut letters = written.chars();
    match (letters.next(), letters.next()) {
        (Some(first), _) if first.is_lowercase() => name.to_lowercase(),
        (_, Some(second)) if second.is_lowercase() => name.to_owned(),
        _ => name.to_uppercase(),
    }
}

fn padded(name: &str, width: usize, fill: bool) -> String {
    if fill {
        name.to_owned()
    } else {
        format!("{name:<width$}")
    }
}
