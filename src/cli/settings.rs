//! Settings of `serve`: names and units as PostgreSQL writes them (`-c name=value`).
//!
//! An unknown name, a value that cannot be read, and values that promise nothing refuse to start;
//! nothing falls back silently. The options themselves live in the modules that use them; this
//! module only fills them in, and says what they are.

mod table;

use crate::engine::EngineOptions;
use crate::replicas::{CommitPolicy, QuorumMode};
use crate::server::ServerOptions;

use table::SETTINGS;

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
    #[error("commit_policy=quorum needs a quorum: set commit_quorum to sync=N or regions=A,B")]
    NoQuorum,
}

impl Settings {
    /// Takes each `name=value`, and refuses what does not go together.
    pub(super) fn of(assignments: &[String]) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for assignment in assignments {
            settings.assign(assignment)?;
        }
        let commit = &settings.engine.commit;
        if commit.policy == CommitPolicy::Quorum && commit.quorum == QuorumMode::Async {
            return Err(SettingError::NoQuorum);
        }
        Ok(settings)
    }

    /// Name and value of each, as `-c` takes them.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&'static str, String)> {
        SETTINGS
            .iter()
            .map(|setting| (setting.name, (setting.show)(self)))
    }

    /// Those that are not at their default.
    pub(super) fn changed(&self) -> Vec<(&'static str, String)> {
        let defaults = Self::default().shown().collect::<Vec<_>>();
        let both = self.shown().zip(defaults);
        let changed = both.filter(|(now, default)| now != default);
        changed.map(|(now, _)| now).collect()
    }

    fn assign(&mut self, assignment: &str) -> Result<(), SettingError> {
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(SettingError::NotAssigned(assignment.to_owned()));
        };
        let (name, value) = (name.trim(), value.trim());
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let known: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            return Err(SettingError::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        (setting.apply)(self, value).map_err(|expected| SettingError::Invalid {
            name: name.to_owned(),
            value: value.to_owned(),
            expected,
        })
    }
}

/// All settings with their defaults, for people.
pub(super) fn help() -> String {
    let defaults = Settings::default();
    let rows = SETTINGS.iter().map(|setting| {
        let default = (setting.show)(&defaults);
        format!("\n  {}={default}\n      {}", setting.name, setting.meaning)
    });
    let intro = "A setting, as in `-c wal_sender_timeout=30s`; may be given several times. With their \
                 defaults there are:";
    format!("{intro}\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn assigned(text: &str) -> Result<Settings, SettingError> {
        Settings::of(&[text.to_owned()])
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
        let settings = assigned("slot_idle_timeout=30d").unwrap();
        let month = Duration::from_secs(30 * 86_400);
        assert_eq!(settings.engine.limits.idle_timeout, month);
    }

    #[test]
    fn bare_numbers_have_postgresqls_units() {
        let settings = assigned("max_slot_wal_keep_size=3").unwrap();
        assert_eq!(settings.engine.max_slot_wal_keep_size, Some(3 << 20));
        let settings = assigned("wal_keep_size=1024").unwrap();
        assert_eq!(settings.engine.wal_keep_size, 1 << 30);
        let settings = assigned("wal_sender_timeout=500us").unwrap();
        let least = Duration::from_millis(1);
        assert_eq!(settings.server.wal_sender_timeout, Some(least));
        let settings = assigned("slot_retention_max_lag_lsn=64").unwrap();
        assert_eq!(settings.engine.limits.max_lag_lsn, 64);
    }

    #[test]
    fn what_is_shown_can_be_set() {
        for (name, value) in Settings::default().shown() {
            let again = assigned(&format!("{name}={value}")).unwrap();
            assert_eq!(again.changed(), [], "{name}={value}");
        }
        let texts = [
            "wal_keep_size=64kB",
            "commit_quorum=regions=us,eu",
            "commit_timeout=2s",
            "max_slot_wal_keep_size=2GB",
        ];
        let changed = Settings::of(&texts.map(str::to_owned)).unwrap().changed();
        assert_eq!(
            changed,
            [
                ("max_slot_wal_keep_size", "2GB".to_owned()),
                ("wal_keep_size", "64kB".to_owned()),
                ("commit_quorum", "regions=eu,us".to_owned()),
                ("commit_timeout", "2s".to_owned()),
            ]
        );
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
            let settings = assigned(&format!("commit_quorum={text}")).unwrap();
            assert_eq!(settings.engine.commit.quorum, mode, "{text}");
        }
        let both = ["commit_policy=quorum", "commit_quorum=sync=1"].map(str::to_owned);
        assert!(Settings::of(&both).is_ok());
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
            "wal_sender_timeout=25d",
            "slot_idle_timeout=1 week",
            "max_replication_slots=many",
            "max_replication_slots=-1",
            "commit_policy=",
            "commit_policy=nonsense",
            "commit_policy=ack_n",
            "commit_policy=remote_wal",
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

    #[test]
    fn values_that_promise_nothing_refuse_to_start() {
        for text in [
            "max_connections=0",
            "max_replication_slots=0",
            "spool_segment_size=0",
            "spool_tail_size=0",
            "spool_tail_frames=0",
            "commit_quorum=sync=0",
            "commit_policy=ack_n=0",
        ] {
            assert!(
                matches!(assigned(text), Err(SettingError::Invalid { .. })),
                "{text}"
            );
        }
        assert_eq!(
            assigned("commit_policy=quorum").unwrap_err(),
            SettingError::NoQuorum
        );
    }
}
