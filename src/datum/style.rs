//! How a session wants its values read and printed.

use jiff::tz::TimeZone;

/// `IntervalStyle`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IntervalStyle {
    /// `1 day 02:00:00`
    #[default]
    Postgres,
    /// `@ 1 day 2 hours`
    PostgresVerbose,
    /// `1 2:00:00`
    SqlStandard,
    /// `P1DT2H`
    Iso8601,
}

impl IntervalStyle {
    /// By its name as a setting; what is none is `postgres`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "postgres_verbose" => Self::PostgresVerbose,
            "sql_standard" => Self::SqlStandard,
            "iso_8601" => Self::Iso8601,
            _ => Self::Postgres,
        }
    }
}

/// How a session wants its values read and printed. Dates are printed in ISO form and read month
/// before day where that is open.
#[derive(Debug, Clone)]
pub struct Style {
    /// `TimeZone`
    pub time_zone: TimeZone,
    /// `IntervalStyle`
    pub interval_style: IntervalStyle,
    /// `extra_float_digits`; above 0 prints the shortest text that reads back as the same number.
    pub extra_float_digits: i32,
    /// `bytea_output = escape` rather than `hex`.
    pub bytea_escape: bool,
    /// What `now` means: microseconds since 1970.
    pub now_unix_us: i64,
}

impl Style {
    /// PostgreSQL's defaults, in UTC.
    #[must_use]
    pub fn utc(now_unix_us: i64) -> Self {
        Self {
            time_zone: TimeZone::UTC,
            interval_style: IntervalStyle::Postgres,
            extra_float_digits: 1,
            bytea_escape: false,
            now_unix_us,
        }
    }

    /// The time zone that `AT TIME ZONE` means: an abbreviation, or what `TimeZone` takes, but with
    /// offsets counted westwards as POSIX does.
    #[must_use]
    pub fn time_zone_in_sql(name: &str) -> Option<TimeZone> {
        super::datetime::zone_named(name).or_else(|| Self::time_zone_named(name))
    }

    /// The time zone of that name: an IANA name, an offset as POSIX writes it, or hours.
    #[must_use]
    pub fn time_zone_named(name: &str) -> Option<TimeZone> {
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
            return Some(TimeZone::UTC);
        }
        if let Ok(zone) = TimeZone::get(name) {
            return Some(zone);
        }
        // A bare number of hours counts eastwards; in a POSIX specification it counts westwards.
        if let Ok(hours) = name.parse::<f64>() {
            if hours.abs() > 24.0 {
                return None;
            }
            #[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
            let seconds = (hours * 3600.0).round() as i32;
            let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
            return Some(TimeZone::fixed(offset));
        }
        TimeZone::posix(name).ok()
    }
}
