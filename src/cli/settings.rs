//! Settings of `serve`: names and units as PostgreSQL writes them (`-c name=value`).
//!
//! An unknown name or a value that cannot be read refuses to start; nothing falls back silently.
//! The options themselves live in the modules that use them; this module only fills them in.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::EngineOptions;
use crate::replicas::QuorumMode;
use crate::server::ServerOptions;

/// Everything that `-c` can change.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) engine: EngineOptions,
    pub(super) server: ServerOptions,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingError {
    #[error("\"{0}\" is not a setting; write it as name=value")]
    NotAssigned(String),
    #[error("unrecognized configuration parameter \"{name}\"; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("invalid value for parameter \"{name}\": \"{value}\" ({expected})")]
    Invalid {
        name: String,
        value: String,
        expected: &'static str,
    },
}

/// Puts a value into its place, or says what was expected.
type Apply = fn(&mut Settings, &str) -> Result<(), &'static str>;

/// Every setting, in the order in which they are listed to people.
const SETTINGS: &[(&str, Apply)] = &[
    ("slot_retention_max_lag_lsn", |to, value| {
        to.engine.limits.max_lag_lsn = size(value)?;
        Ok(())
    }),
    ("slot_idle_timeout", |to, value| {
        to.engine.limits.idle_timeout = span(value)?;
        Ok(())
    }),
    ("max_slot_wal_keep_size", |to, value| {
        to.engine.max_slot_wal_keep_size = match value {
            "-1" => None,
            _ => Some(size(value)?),
        };
        Ok(())
    }),
    ("wal_keep_size", |to, value| {
        to.engine.wal_keep_size = size(value)?;
        Ok(())
    }),
    ("max_replication_slots", |to, value| {
        to.engine.limits.max_slots = count(value)?;
        Ok(())
    }),
    ("spool_segment_size", |to, value| {
        to.engine.segment_bytes = size(value)?;
        Ok(())
    }),
    ("spool_tail_size", |to, value| {
        to.engine.ring_bytes = usize::try_from(size(value)?).map_err(|_| SIZE)?;
        Ok(())
    }),
    ("spool_tail_frames", |to, value| {
        to.engine.ring_frames = count(value)?;
        Ok(())
    }),
    ("commit_policy", |to, value| {
        to.engine.commit.policy = value.parse().map_err(|_| POLICY)?;
        Ok(())
    }),
    ("commit_quorum", |to, value| {
        to.engine.commit.quorum = quorum(value).ok_or(QUORUM)?;
        Ok(())
    }),
    ("commit_timeout", |to, value| {
        to.engine.commit.timeout = Some(span(value)?);
        Ok(())
    }),
    ("flow_control_soft_target_lsn", |to, value| {
        to.engine.commit.soft_target_lsn = size(value)?;
        Ok(())
    }),
    ("wal_sender_timeout", |to, value| {
        to.server.wal_sender_timeout = Some(span(value)?).filter(|timeout| !timeout.is_zero());
        Ok(())
    }),
    ("shutdown_timeout", |to, value| {
        to.server.shutdown_timeout = span(value)?;
        Ok(())
    }),
    ("max_connections", |to, value| {
        to.server.max_connections = count(value)?;
        Ok(())
    }),
];

const SIZE: &str = "expected bytes, or a number with B, kB, MB, GB or TB";
const SPAN: &str = "expected milliseconds, or a number with us, ms, s, min, h or d";
const POLICY: &str = "expected local, ack_n=N or quorum";
const QUORUM: &str = "expected async, sync=N or regions=A,B";
const COUNT: &str = "expected a whole number";

impl Settings {
    /// Takes one `name=value`.
    pub(super) fn assign(&mut self, assignment: &str) -> Result<(), SettingError> {
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(SettingError::NotAssigned(assignment.to_owned()));
        };
        let (name, value) = (name.trim(), value.trim());
        let Some((_, apply)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
            return Err(SettingError::Unknown {
                name: name.to_owned(),
                known: names().collect::<Vec<_>>().join(", "),
            });
        };
        apply(self, value).map_err(|expected| SettingError::Invalid {
            name: name.to_owned(),
            value: value.to_owned(),
            expected,
        })
    }
}

/// The names of all settings.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _)| *name)
}

/// Bytes (or LSN units, which are bytes too).
fn size(text: &str) -> Result<u64, &'static str> {
    let units = [
        ("B", 1),
        ("kB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("TB", 1 << 40),
    ];
    quantity(text, &units, 1).ok_or(SIZE)
}

/// A span of time.
fn span(text: &str) -> Result<Duration, &'static str> {
    let units = [
        ("us", 1),
        ("ms", 1_000),
        ("s", 1_000_000),
        ("min", 60_000_000),
        ("h", 3_600_000_000),
        ("d", 86_400_000_000),
    ];
    quantity(text, &units, 1_000)
        .map(Duration::from_micros)
        .ok_or(SPAN)
}

fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| COUNT)
}

fn quorum(text: &str) -> Option<QuorumMode> {
    match text.split_once('=') {
        None if text == "async" => Some(QuorumMode::Async),
        Some(("sync", count)) => Some(QuorumMode::Sync {
            min_replicas: count.parse().ok()?,
        }),
        Some(("regions", names)) => {
            let names = names.split(',').map(str::trim);
            let regions: BTreeSet<String> = names.map(str::to_owned).collect();
            (!regions.contains("")).then_some(QuorumMode::Regions(regions))
        }
        None | Some(_) => None,
    }
}

/// A whole number with a unit (or with `plain`, when it has none). Units are case-sensitive, as
/// PostgreSQL's are.
fn quantity(text: &str, units: &[(&str, u64)], plain: u64) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit.trim_start() {
        "" => plain,
        name => units.iter().find(|(known, _)| *known == name)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(text: &str) -> Result<Settings, SettingError> {
        let mut settings = Settings::default();
        settings.assign(text).map(|()| settings)
    }

    #[test]
    fn units_are_postgresqls() {
        for (text, bytes) in [
            ("7", 7),
            ("7B", 7),
            ("8kB", 8192),
            ("64MB", 64 << 20),
            ("1 GB", 1 << 30),
            ("64TB", 64 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, ms) in [
            ("5", 5),
            ("60s", 60_000),
            ("2min", 120_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn values_reach_their_options() {
        let settings = assigned("slot_retention_max_lag_lsn=3GB").unwrap();
        assert_eq!(settings.engine.limits.max_lag_lsn, 3 << 30);
        let settings = assigned("wal_sender_timeout=1s").unwrap();
        assert_eq!(
            settings.server.wal_sender_timeout,
            Some(Duration::from_secs(1))
        );
        let settings = assigned("wal_sender_timeout=0").unwrap();
        assert_eq!(settings.server.wal_sender_timeout, None);
        let settings = assigned("max_slot_wal_keep_size=-1").unwrap();
        assert_eq!(settings.engine.max_slot_wal_keep_size, None);
        let settings = assigned("max_slot_wal_keep_size=1MB").unwrap();
        assert_eq!(settings.engine.max_slot_wal_keep_size, Some(1 << 20));
    }

    #[test]
    fn commit_settings_are_read() {
        let settings = assigned("commit_policy=ack_n=2").unwrap();
        assert_eq!(settings.engine.commit.policy.to_string(), "ack_n=2");
        let regions = ["us", "eu"].map(str::to_owned).into();
        for (text, mode) in [
            ("async", QuorumMode::Async),
            ("sync=3", QuorumMode::Sync { min_replicas: 3 }),
            ("regions=us, eu", QuorumMode::Regions(regions)),
        ] {
            assert_eq!(quorum(text), Some(mode), "{text}");
        }
    }

    #[test]
    fn w34_an_unknown_value_refuses_to_start() {
        assert!(matches!(
            assigned("wal_keep_size"),
            Err(SettingError::NotAssigned(_))
        ));
        assert!(matches!(
            assigned("ack_n=3"),
            Err(SettingError::Unknown { .. })
        ));
        for text in [
            "wal_keep_size=",
            "wal_keep_size=-1",
            "wal_keep_size=1gb",
            "wal_keep_size=99999999TB",
            "slot_idle_timeout=1 week",
            "max_replication_slots=many",
            "max_replication_slots=-1",
            "commit_policy=nonsense",
            "commit_policy=ack_n",
            "commit_quorum=sync",
            "commit_quorum=regions=",
            "commit_quorum=most",
        ] {
            assert!(
                matches!(assigned(text), Err(SettingError::Invalid { .. })),
                "{text}"
            );
        }
    }
}
