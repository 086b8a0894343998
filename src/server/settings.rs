//! A session's settings: the few of PostgreSQL's that clients ask for, set or are told.
//!
//! Values are checked and put into PostgreSQL's spelling when they are set, so that reading one
//! cannot fail. A setting that would change nothing here is accepted only where its value makes
//! no difference to what pgspool answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ShownSetting;
use super::units::{self, print_milliseconds};
use crate::pgerror::PgError;
use crate::plugins::parse_bool;
use crate::replicas::SynchronousCommit;

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fixed,
    Text,
    Name,
    Bool,
    AlwaysOn,
    SynchronousCommit,
    Integer,
    Milliseconds,
    DateStyle,
    IntervalStyle,
    Encoding,
}

/// Name, default, kind. Those that [`REPORTED`] names are told to the client.
const TABLE: &[(&str, &str, Kind)] = &[
    ("application_name", "", Kind::Name),
    ("bytea_output", "hex", Kind::Text),
    ("client_encoding", "UTF8", Kind::Encoding),
    ("client_min_messages", "notice", Kind::Text),
    ("data_directory_mode", "0700", Kind::Fixed),
    ("DateStyle", "ISO, MDY", Kind::DateStyle),
    (
        "default_transaction_isolation",
        "read committed",
        Kind::Text,
    ),
    ("default_transaction_read_only", "off", Kind::Bool),
    ("extra_float_digits", "1", Kind::Integer),
    (
        "idle_in_transaction_session_timeout",
        "0",
        Kind::Milliseconds,
    ),
    ("in_hot_standby", "off", Kind::Fixed),
    ("integer_datetimes", "on", Kind::Fixed),
    ("IntervalStyle", "postgres", Kind::IntervalStyle),
    ("is_superuser", "on", Kind::Fixed),
    ("lock_timeout", "0", Kind::Milliseconds),
    ("max_identifier_length", "63", Kind::Fixed),
    ("search_path", "\"$user\", public", Kind::Text),
    ("server_encoding", "UTF8", Kind::Fixed),
    ("server_version", SERVER_VERSION, Kind::Fixed),
    ("server_version_num", "150018", Kind::Fixed),
    ("session_authorization", "", Kind::Fixed),
    ("standard_conforming_strings", "on", Kind::AlwaysOn),
    ("statement_timeout", "0", Kind::Milliseconds),
    ("synchronous_commit", "on", Kind::SynchronousCommit),
    ("TimeZone", "Etc/UTC", Kind::Text),
    ("transaction_isolation", "read committed", Kind::Fixed),
    ("wal_level", "logical", Kind::Fixed),
    ("wal_segment_size", "16MB", Kind::Fixed),
    ("wal_sender_timeout", "1min", Kind::Milliseconds),
];

/// The settings a client is told at the start and on each change, in PostgreSQL's order.
const REPORTED: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// PostgreSQL's version whose surface is offered, and ours.
const SERVER_VERSION: &str = concat!("15.18 (pgspool ", env!("CARGO_PKG_VERSION"), ")");

/// The longest value kept for a setting.
const MAX_VALUE: usize = 1000;

/// What `version()` answers.
pub(super) fn version_text() -> String {
    format!(
        "PostgreSQL {SERVER_VERSION} on {}-{}",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

/// One session's settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// What differs from [`TABLE`], by lower-case name.
    start: BTreeMap<String, String>,
    changed: BTreeMap<String, String>,
    /// What the server was started with and [`TABLE`] does not have.
    of_server: BTreeMap<String, String>,
}

impl Settings {
    /// The settings a session of `user` starts with.
    pub(super) fn new(user: &str, wal_sender_timeout: Option<Duration>) -> Self {
        let milliseconds = wal_sender_timeout.unwrap_or_default().as_millis();
        let timeout = print_milliseconds(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        let start = BTreeMap::from([
            ("session_authorization".to_owned(), user.to_owned()),
            ("wal_sender_timeout".to_owned(), timeout),
        ]);
        Self {
            start,
            changed: BTreeMap::new(),
            of_server: BTreeMap::new(),
        }
    }

    /// Takes the settings of the server, which a session can see and not change.
    pub(super) fn show_too(&mut self, shown: &[ShownSetting]) {
        let own = shown.iter().filter(|setting| find(&setting.name).is_none());
        self.of_server
            .extend(own.map(|setting| (setting.name.clone(), setting.value.clone())));
    }

    /// Sets `name` at the start of a session: what is set here is what RESET would go back to.
    pub(super) fn set_at_start(&mut self, name: &str, value: &str) -> Result<(), PgError> {
        let (name, value) = checked(name, value)?;
        self.start.insert(name.to_ascii_lowercase(), value);
        Ok(())
    }

    /// Sets `name`, or puts it back when there is no value. Returns what the client must be told.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> Result<Option<(&'static str, String)>, PgError> {
        let before = self.show(name)?.1;
        let key = name.to_ascii_lowercase();
        if self.of_server.contains_key(&key) {
            let what = "cannot be changed without restarting the server";
            let message = format!("parameter \"{key}\" {what}");
            return Err(PgError::error("55P02", message));
        }
        match value {
            Some(value) => {
                let (_, value) = checked(name, value)?;
                self.changed.insert(key, value);
            }
            None => {
                self.changed.remove(&key);
            }
        }
        let (_, after) = self.show(name)?;
        let reported = REPORTED.iter().find(|r| r.eq_ignore_ascii_case(name));
        Ok(reported
            .filter(|_| before != after)
            .map(|&name| (name, after)))
    }

    /// Puts every setting back. Returns what the client must be told.
    pub(super) fn reset_all(&mut self) -> Vec<(&'static str, String)> {
        let before: Vec<_> = self.reported().collect();
        self.changed.clear();
        let after = self.reported().zip(before);
        let changed = after.filter(|(now, before)| now != before);
        changed.map(|(now, _)| now).collect()
    }

    /// The name in PostgreSQL's spelling and the value.
    pub(super) fn show(&self, name: &str) -> Result<(String, String), PgError> {
        let key = name.to_ascii_lowercase();
        let own = self.changed.get(&key).or_else(|| self.start.get(&key));
        let own = own.or_else(|| self.of_server.get(&key));
        match (find(name), own) {
            (Some((name, default, _)), own) => {
                let value = own.map_or(default, String::as_str);
                Ok((name.to_owned(), value.to_owned()))
            }
            (None, Some(value)) => Ok((key, value.clone())),
            (None, None) if is_custom(name) => Ok((key, String::new())),
            (None, None) => Err(unrecognized(name)),
        }
    }

    /// A value, empty when there is no such setting.
    pub(super) fn value(&self, name: &str) -> String {
        self.show(name).map(|(_, value)| value).unwrap_or_default()
    }

    /// `wal_sender_timeout`; `None` when it is off.
    pub(super) fn wal_sender_timeout(&self) -> Option<Duration> {
        let milliseconds =
            units::milliseconds(&self.value("wal_sender_timeout"), units::MAX_MILLISECONDS)?;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }

    /// `synchronous_commit`.
    pub(super) fn synchronous_commit(&self) -> SynchronousCommit {
        SynchronousCommit::parse(&self.value("synchronous_commit")).unwrap_or_default()
    }

    /// All that a client is told at the start, in order.
    pub(super) fn reported(&self) -> impl Iterator<Item = (&'static str, String)> {
        REPORTED.iter().map(|&name| (name, self.value(name)))
    }
}

fn find(name: &str) -> Option<(&'static str, &'static str, Kind)> {
    let known = TABLE.iter().find(|row| row.0.eq_ignore_ascii_case(name));
    known.copied()
}

/// A name with a class, `class.name`: anyone may set those.
fn is_custom(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(class, rest)| !class.is_empty() && !rest.is_empty())
}

fn unrecognized(name: &str) -> PgError {
    PgError::error(
        "42704",
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn invalid(name: &str, value: &str) -> PgError {
    PgError::error(
        "22023",
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
}

/// The name and value in PostgreSQL's spelling.
fn checked(name: &str, value: &str) -> Result<(String, String), PgError> {
    if value.len() > MAX_VALUE {
        return Err(invalid(name, "(too long)"));
    }
    let Some((name, _, kind)) = find(name) else {
        return if is_custom(name) {
            Ok((name.to_ascii_lowercase(), value.to_owned()))
        } else {
            Err(unrecognized(name))
        };
    };
    let value = checked_value(name, value, kind)?;
    Ok((name.to_owned(), value))
}

fn checked_value(name: &str, value: &str, kind: Kind) -> Result<String, PgError> {
    match kind {
        Kind::Fixed => {
            let message = format!("parameter \"{name}\" cannot be changed");
            Err(PgError::error("55P02", message))
        }
        Kind::Text => Ok(value.to_owned()),
        Kind::Name => Ok(plain_name(value)),
        Kind::Bool => match parse_bool(value) {
            Some(true) => Ok("on".to_owned()),
            Some(false) => Ok("off".to_owned()),
            None => Err(PgError::error(
                "22023",
                format!("parameter \"{name}\" requires a Boolean value"),
            )),
        },
        Kind::AlwaysOn => match parse_bool(value) {
            Some(true) => Ok("on".to_owned()),
            _ => Err(PgError::unsupported(format!(
                "parameter \"{name}\" cannot be set to \"{value}\" here"
            ))),
        },
        Kind::SynchronousCommit => synchronous_commit(value).ok_or_else(|| {
            invalid(name, value)
                .with_hint("Available values: local, remote_write, remote_apply, on, off.")
        }),
        Kind::Integer => value
            .parse::<i32>()
            .map(|number| number.to_string())
            .map_err(|_| invalid(name, value)),
        Kind::Milliseconds => units::milliseconds(value, units::MAX_MILLISECONDS)
            .map(print_milliseconds)
            .ok_or_else(|| {
                invalid(name, value).with_hint(
                    "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", \
                     and \"d\".",
                )
            }),
        Kind::DateStyle => date_style(value).ok_or_else(|| invalid(name, value)),
        Kind::IntervalStyle => {
            let lower = value.to_ascii_lowercase();
            let known = ["postgres", "postgres_verbose", "sql_standard", "iso_8601"];
            if known.contains(&lower.as_str()) {
                Ok(lower)
            } else {
                Err(invalid(name, value))
            }
        }
        Kind::Encoding => encoding(value).ok_or_else(|| {
            PgError::unsupported(format!(
                "conversion between {value} and UTF8 is not supported"
            ))
        }),
    }
}

/// At most 63 printable ASCII characters, as PostgreSQL keeps names given by clients.
fn plain_name(value: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    value.chars().take(63).map(plain).collect()
}

fn synchronous_commit(value: &str) -> Option<String> {
    if SynchronousCommit::parse(value).is_some() {
        return Some(value.to_ascii_lowercase());
    }
    let on = parse_bool(value)?;
    Some(if on { "on" } else { "off" }.to_owned())
}

fn encoding(value: &str) -> Option<String> {
    let plain: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "utf8" | "unicode" => Some("UTF8".to_owned()),
        "sqlascii" => Some("SQL_ASCII".to_owned()),
        _ => None,
    }
}

fn date_style(value: &str) -> Option<String> {
    let mut order = "MDY";
    for part in value.split(',').map(str::trim) {
        match part.to_ascii_uppercase().as_str() {
            "ISO" => {}
            "MDY" | "US" => order = "MDY",
            "DMY" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_reported_settings_are_told_once() {
        let mut settings = Settings::new("ann", Some(Duration::from_secs(60)));
        assert_eq!(settings.value("wal_sender_timeout"), "1min");
        assert_eq!(
            settings.set("datestyle", Some("iso, dmy")).unwrap(),
            Some(("DateStyle", "ISO, DMY".to_owned()))
        );
        assert_eq!(settings.set("datestyle", Some("ISO, DMY")).unwrap(), None);
        assert_eq!(settings.set("statement_timeout", Some("90000")), Ok(None));
        assert_eq!(settings.value("statement_timeout"), "90s");
        assert!(settings.set("server_version", Some("16")).is_err());
        assert!(settings.set("nosuch", Some("1")).is_err());
        assert_eq!(settings.set("my.own", Some("1")), Ok(None));
        assert_eq!(settings.value("my.own"), "1");
        settings.set("wal_sender_timeout", Some("0")).unwrap();
        assert_eq!(settings.wal_sender_timeout(), None);
    }
}
