//! The settings that there are: names, defaults, what values each takes.

use super::super::ShownSetting;
use super::described::described;
use crate::catalog::SettingRow;
use crate::change::ProducerName;
use crate::datum::Style;
use crate::pgerror::PgError;
use crate::plugins::parse_bool;
use crate::replicas::SynchronousCommit;
use crate::units::{self, print_milliseconds};

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fixed,
    /// A size that cannot be changed.
    FixedBytes,
    /// Set when the server starts.
    AtStart(&'static [&'static str]),
    Text,
    Name,
    Bool,
    AlwaysOn,
    SynchronousCommit,
    Integer,
    Milliseconds,
    DateStyle,
    TimeZone,
    Encoding,
    Producer,
    OneOf(&'static [&'static str]),
    /// Set by the session itself, when a transaction begins.
    Transaction(&'static [&'static str]),
}

const ISOLATION_LEVELS: &[&str] = &[
    "serializable",
    "repeatable read",
    "read committed",
    "read uncommitted",
];
const INTERVAL_STYLES: &[&str] = &["postgres", "postgres_verbose", "sql_standard", "iso_8601"];
const COMMIT_LEVELS: &[&str] = &["local", "remote_write", "remote_apply", "on", "off"];
const WAL_LEVELS: &[&str] = &["minimal", "replica", "logical"];
const SWITCH: &[&str] = &["on", "off"];
const MESSAGE_LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
];

/// Name, default, kind. Those that [`REPORTED`] names are told to the client.
pub(super) const TABLE: &[(&str, &str, Kind)] = &[
    ("application_name", "", Kind::Name),
    ("bytea_output", "hex", Kind::OneOf(&["escape", "hex"])),
    ("client_encoding", "UTF8", Kind::Encoding),
    ("client_min_messages", "notice", Kind::OneOf(MESSAGE_LEVELS)),
    ("data_directory_mode", "0700", Kind::Fixed),
    ("DateStyle", "ISO, MDY", Kind::DateStyle),
    (
        "default_transaction_isolation",
        "read committed",
        Kind::OneOf(ISOLATION_LEVELS),
    ),
    ("default_transaction_deferrable", "off", Kind::Bool),
    ("default_transaction_read_only", "off", Kind::Bool),
    ("extra_float_digits", "1", Kind::Integer),
    (
        "idle_in_transaction_session_timeout",
        "0",
        Kind::Milliseconds,
    ),
    ("idle_session_timeout", "0", Kind::Milliseconds),
    ("in_hot_standby", "off", Kind::Fixed),
    ("integer_datetimes", "on", Kind::Fixed),
    ("IntervalStyle", "postgres", Kind::OneOf(INTERVAL_STYLES)),
    ("is_superuser", "on", Kind::Fixed),
    ("lock_timeout", "0", Kind::Milliseconds),
    ("max_identifier_length", "63", Kind::Fixed),
    (
        "password_encryption",
        "scram-sha-256",
        Kind::OneOf(&["scram-sha-256"]),
    ),
    ("pgspool.producer", "", Kind::Producer),
    ("pgspool.region", "", Kind::Text),
    ("search_path", "\"$user\", public", Kind::Text),
    ("server_encoding", "UTF8", Kind::Fixed),
    ("server_version", SERVER_VERSION, Kind::Fixed),
    ("server_version_num", "150018", Kind::Fixed),
    ("session_authorization", "", Kind::Fixed),
    ("standard_conforming_strings", "on", Kind::AlwaysOn),
    ("statement_timeout", "0", Kind::Milliseconds),
    ("synchronous_commit", "on", Kind::SynchronousCommit),
    ("TimeZone", "Etc/UTC", Kind::TimeZone),
    ("transaction_deferrable", "off", Kind::Transaction(SWITCH)),
    (
        "transaction_isolation",
        "read committed",
        Kind::Transaction(ISOLATION_LEVELS),
    ),
    ("transaction_read_only", "off", Kind::Transaction(SWITCH)),
    ("wal_level", "logical", Kind::AtStart(WAL_LEVELS)),
    ("wal_segment_size", "16MB", Kind::FixedBytes),
    ("wal_sender_timeout", "1min", Kind::Milliseconds),
];

/// What a transaction begins with: its setting, and the session's setting that it comes from.
pub(super) const TRANSACTION_DEFAULTS: &[(&str, &str)] = &[
    ("transaction_deferrable", "default_transaction_deferrable"),
    ("transaction_isolation", "default_transaction_isolation"),
    ("transaction_read_only", "default_transaction_read_only"),
];

/// Whether a setting belongs to the transaction.
pub(super) fn is_of_transaction(name: &str) -> bool {
    matches!(find(name), Some((_, _, Kind::Transaction(_))))
}

/// The settings a client is told at the start and on each change, in PostgreSQL's order.
pub(super) const REPORTED: &[&str] = &[
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
pub(super) const SERVER_VERSION: &str = concat!("15.18 (pgspool ", env!("CARGO_PKG_VERSION"), ")");

/// The longest value kept for a setting.
const MAX_VALUE: usize = 1000;

/// Name in PostgreSQL's spelling, default and kind.
pub(super) fn find(name: &str) -> Option<(&'static str, &'static str, Kind)> {
    let known = TABLE.iter().find(|row| row.0.eq_ignore_ascii_case(name));
    known.copied()
}

/// A name with a class, `class.name`: anyone may set those.
pub(super) fn is_custom(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(class, rest)| !class.is_empty() && !rest.is_empty())
}

pub(super) fn unrecognized(name: &str) -> PgError {
    PgError::error(
        "42704",
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// The error for a setting of the server that a session wants to change.
pub(super) fn not_now(name: &str, context: &str) -> PgError {
    let when = match context {
        "postmaster" => "without restarting the server",
        _ => "now",
    };
    let message = format!("parameter \"{name}\" cannot be changed {when}");
    PgError::error("55P02", message)
}

fn invalid(name: &str, value: &str) -> PgError {
    PgError::error(
        "22023",
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
}

/// The name and value in PostgreSQL's spelling.
pub(super) fn checked(name: &str, value: &str) -> Result<(String, String), PgError> {
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
        Kind::AtStart(_) => Err(not_now(name, "postmaster")),
        Kind::Fixed | Kind::FixedBytes => {
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
            let hint = format!("Available values: {}.", COMMIT_LEVELS.join(", "));
            invalid(name, value).with_hint(hint)
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
        Kind::TimeZone => Style::time_zone_named(value)
            .map(|zone| {
                let known = zone.iana_name();
                let known = known.filter(|known| known.eq_ignore_ascii_case(value));
                known.unwrap_or(value).to_owned()
            })
            .ok_or_else(|| invalid(name, value)),
        Kind::Producer if value.is_empty() => Ok(String::new()),
        Kind::Producer => ProducerName::parse(value)
            .map(|name| name.as_str().to_owned())
            .map_err(|error| invalid(name, value).with_detail(error.to_string())),
        Kind::OneOf(values) | Kind::Transaction(values) => one_of(name, value, values),
        Kind::Encoding => encoding(value).ok_or_else(|| {
            PgError::unsupported(format!(
                "conversion between {value} and UTF8 is not supported"
            ))
        }),
    }
}

/// One of `values`, in any case; a switch also in the other spellings of a boolean.
fn one_of(name: &str, value: &str, values: &[&str]) -> Result<String, PgError> {
    let spelled = match parse_bool(value).filter(|_| values == SWITCH) {
        Some(true) => "on",
        Some(false) => "off",
        None => value,
    };
    let known = values
        .iter()
        .find(|known| known.eq_ignore_ascii_case(spelled));
    known.map(|&known| known.to_owned()).ok_or_else(|| {
        let hint = format!("Available values: {}.", values.join(", "));
        invalid(name, value).with_hint(hint)
    })
}

/// Type, unit and context of a setting.
fn type_of(kind: Kind) -> (&'static str, Option<&'static str>, &'static str) {
    match kind {
        Kind::Fixed => ("string", None, "internal"),
        Kind::FixedBytes => ("integer", Some("B"), "internal"),
        Kind::AtStart(_) => ("enum", None, "postmaster"),
        Kind::Text
        | Kind::Name
        | Kind::DateStyle
        | Kind::TimeZone
        | Kind::Encoding
        | Kind::Producer => ("string", None, "user"),
        Kind::Bool | Kind::AlwaysOn => ("bool", None, "user"),
        Kind::Integer => ("integer", None, "user"),
        Kind::Milliseconds => ("integer", Some("ms"), "user"),
        Kind::OneOf(_) | Kind::Transaction(_) | Kind::SynchronousCommit => ("enum", None, "user"),
    }
}

fn values_of(kind: Kind) -> Option<Vec<&'static str>> {
    match kind {
        Kind::Transaction(values) if values == SWITCH => None,
        Kind::OneOf(values) | Kind::Transaction(values) | Kind::AtStart(values) => {
            Some(values.to_vec())
        }
        Kind::SynchronousCommit => Some(COMMIT_LEVELS.to_vec()),
        Kind::Fixed
        | Kind::FixedBytes
        | Kind::Text
        | Kind::Name
        | Kind::Bool
        | Kind::AlwaysOn
        | Kind::Integer
        | Kind::Milliseconds
        | Kind::DateStyle
        | Kind::TimeZone
        | Kind::Encoding
        | Kind::Producer => None,
    }
}

/// A value as SHOW prints it, in the setting's unit.
pub(super) fn in_unit(kind: Kind, shown: &str) -> String {
    let number = match type_of(kind).1 {
        Some("ms") => units::milliseconds(shown, units::MAX_MILLISECONDS),
        Some("B") => units::bytes(shown, 1),
        Some(_) | None => None,
    };
    number.map_or_else(|| shown.to_owned(), |number| number.to_string())
}

/// The row of `pg_settings` for `row` of [`TABLE`] and its value as SHOW prints it; `None` for
/// one that SHOW knows and lists leave out.
pub(super) fn setting_row(row: (&str, &str, Kind), shown: &str) -> Option<SettingRow> {
    let (name, boot, kind) = row;
    let described = described(name)?;
    let (vartype, unit, context) = type_of(kind);
    Some(SettingRow {
        name: name.to_owned(),
        setting: in_unit(kind, shown),
        unit,
        category: described.category,
        short_desc: described.short_desc.to_owned(),
        context,
        vartype: described.vartype.unwrap_or(vartype),
        min_val: described.range.map(|(least, _)| least.to_owned()),
        max_val: described.range.map(|(_, most)| most.to_owned()),
        enumvals: values_of(kind),
        boot_val: Some(in_unit(kind, boot)),
        ..SettingRow::default()
    })
}

/// The row of `pg_settings` for a setting of the server.
pub(super) fn server_row(shown: &ShownSetting) -> SettingRow {
    SettingRow {
        name: shown.name.clone(),
        setting: shown.setting.clone(),
        unit: shown.unit,
        category: shown.category,
        short_desc: shown.short_desc.to_owned(),
        context: shown.context,
        vartype: shown.vartype,
        source: shown.source,
        min_val: shown.min_val.clone(),
        max_val: shown.max_val.clone(),
        enumvals: shown.enumvals.map(<[&'static str]>::to_vec),
        boot_val: Some(shown.boot_val.clone()),
        reset_val: Some(shown.setting.clone()),
        sourcefile: shown.sourcefile.clone(),
        sourceline: shown.sourceline.and_then(|line| i32::try_from(line).ok()),
        pending_restart: shown.pending_restart,
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
