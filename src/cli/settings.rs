//! Settings of `serve`: names and units as PostgreSQL writes them, in `pgspool.toml`, in the
//! environment (`PGSPOOL_NAME`) and as flags (`-c name=value`), the later over the earlier.
//!
//! An unknown name, a value that cannot be read, and values that promise nothing refuse to start;
//! nothing falls back silently. The options themselves live in the modules that use them; this
//! module only fills them in, and says what they are.

mod layers;
mod sections;
mod table;

use std::path::{Path, PathBuf};

use crate::engine::EngineOptions;
use crate::replicas::{CommitPolicy, CommitSettingsError, QuorumMode};
use crate::server::{ServerOptions, TlsOptions, unix_socket_fits};

use super::log::WatchingOptions;
use super::rule_files::RuleFileNames;
use table::Setting;

pub(super) use layers::{CONFIG_FILE, Loaded, Sources};

/// Everything that `-c` can change.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) engine: EngineOptions,
    pub(super) server: ServerOptions,
    pub(super) watching: WatchingOptions,
    pub(super) rule_files: RuleFileNames,
    pub(super) tls: TlsOptions,
    pub(super) socket_directories: SocketDirectories,
    /// Where sessions begin, name and value, where that is not PostgreSQL's default.
    sessions: Vec<(String, String)>,
}

/// `unix_socket_directories`, as they were set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SocketDirectories(Vec<PathBuf>);

impl Default for SocketDirectories {
    /// The data directory.
    fn default() -> Self {
        Self(vec![PathBuf::from(".")])
    }
}

impl SocketDirectories {
    /// Where they are, as clients must name them. The data directory's path may be too long for a socket; where it was not
    /// asked for, the server does without.
    pub(super) fn in_data(&self, data: &Path) -> Vec<PathBuf> {
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        let all = self.0.iter().map(|path| {
            let in_place = path.as_os_str() == ".";
            if in_place {
                data.clone()
            } else {
                data.join(path)
            }
        });
        let all: Vec<_> = all.collect();
        if *self == Self::default() && !all.iter().all(|path| unix_socket_fits(path)) {
            tracing::warn!(
                "no Unix socket: the path of the data directory is too long for one; \
                 set unix_socket_directories"
            );
            return vec![];
        }
        all
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingError {
    #[error("\"{0}\" is not a setting; write it as name=value")]
    NotAssigned(String),
    #[error("unrecognized configuration parameter \"{name}\"; {hint}")]
    Unknown { name: String, hint: String },
    #[error("invalid value for parameter \"{name}\": \"{value}\" ({expected})")]
    Invalid {
        name: String,
        value: String,
        expected: &'static str,
    },
    #[error("cannot read {path}: {reason}")]
    File { path: String, reason: String },
    #[error("{path}, line {line}: {reason}")]
    FileEntry {
        path: String,
        line: u32,
        reason: String,
    },
    #[error(transparent)]
    Commit(#[from] CommitSettingsError),
    #[error(
        "superuser_reserved_connections ({reserved}) must be less than max_connections ({most})"
    )]
    AllReserved { reserved: usize, most: usize },
    #[error("commit_policy=quorum needs a quorum: set commit_quorum to sync=N or regions=A,B")]
    NoQuorum,
}

impl Settings {
    /// Refuses what does not go together.
    fn check(&self) -> Result<(), SettingError> {
        let commit = &self.engine.commit;
        if commit.policy == CommitPolicy::Quorum && commit.quorum == QuorumMode::Async {
            return Err(SettingError::NoQuorum);
        }
        let reserved = self.server.limits.superuser_reserved_connections;
        let most = self.server.max_connections;
        if reserved >= most {
            return Err(SettingError::AllReserved { reserved, most });
        }
        Ok(commit.check()?)
    }

    /// Name and value of each, as `-c` takes them.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&'static str, String)> {
        table::all().map(|setting| (setting.name, (setting.show)(self)))
    }

    /// Those that are not at their default.
    pub(super) fn changed(&self) -> Vec<(&'static str, String)> {
        let defaults = Self::default().shown().collect::<Vec<_>>();
        let both = self.shown().zip(defaults);
        let changed = both.filter(|(now, default)| now != default);
        changed.map(|(now, _)| now).collect()
    }

    /// What sessions begin with, where it is not PostgreSQL's default.
    fn session_value(&self, name: &str, default: &str) -> String {
        let found = self.sessions.iter().find(|(known, _)| known == name);
        found.map_or_else(|| default.to_owned(), |(_, value)| value.clone())
    }

    fn begin_sessions_with(&mut self, name: &str, value: &str) {
        self.sessions.retain(|(known, _)| known != name);
        self.sessions.push((name.to_owned(), value.to_owned()));
    }

    fn assign(&mut self, name: &str, value: &str) -> Result<&'static Setting, SettingError> {
        let Some(setting) = table::all().find(|setting| setting.name == name) else {
            let hint = match layers::meant(name) {
                Some(nearest) => format!("did you mean \"{nearest}\"?"),
                None => "see `pgspool serve --help` for those there are".to_owned(),
            };
            let name = name.to_owned();
            return Err(SettingError::Unknown { name, hint });
        };
        match (setting.apply)(self, value) {
            Ok(()) => Ok(setting),
            Err(expected) => Err(SettingError::Invalid {
                name: name.to_owned(),
                value: value.to_owned(),
                expected,
            }),
        }
    }
}

/// All settings with their defaults, for people.
pub(super) fn help() -> String {
    let defaults = Settings::default();
    let rows = table::all().map(|setting| {
        let default = (setting.show)(&defaults);
        format!("\n  {}={default}\n      {}", setting.name, setting.meaning)
    });
    let intro = "A setting, as in `-c wal_sender_timeout=30s`; may be given several times. With their \
                 defaults there are:";
    format!("{intro}\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn assigned(text: &str) -> Result<Settings, SettingError> {
        of(&[text.to_owned()])
    }

    fn of(flags: &[String]) -> Result<Settings, SettingError> {
        let sources = Sources {
            file: "/nowhere/pgspool.toml".into(),
            file_named: false,
            flags: flags.to_vec(),
        };
        Ok(sources.load()?.settings)
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
        let settings = assigned("temp_file_limit=3").unwrap();
        assert_eq!(settings.engine.temp_file_limit, Some(3 << 10));
        let settings = assigned("temp_file_limit=-1").unwrap();
        assert_eq!(settings.engine.temp_file_limit, None);
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
        let changed = of(&texts.map(str::to_owned)).unwrap().changed();
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
        assert!(of(&both).is_ok());
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
    fn a_wrong_name_says_what_may_be_meant() {
        let words = |text| assigned(text).unwrap_err().to_string();
        for (text, nearest) in [
            ("wal_kep_size=1GB", "wal_keep_size"),
            ("Max_Connections=7", "max_connections"),
            ("max_connection=7", "max_connections"),
        ] {
            let wanted = format!("did you mean \"{nearest}\"?");
            assert!(words(text).ends_with(&wanted), "{}", words(text));
        }
        for text in ["shared_buffers=1GB", "x=1"] {
            assert!(
                words(text).contains("pgspool serve --help"),
                "{}",
                words(text)
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

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = Path::new("/etc/pgspool.toml");
        let text =
            "# sizes\nwal_keep_size = \"2GB\"\nmax_connections = 7\ncommit_timeout = \"1s\"\n";
        let environment = [
            ("PGSPOOL_WAL_KEEP_SIZE", "3GB"),
            ("PGSPOOL_COMMIT_TIMEOUT", "2s"),
        ];
        let loaded =
            layers::load_for_test(file, text, &environment, &["wal_keep_size=4GB"]).unwrap();
        let shown = loaded.shown();
        let row = |name: &str| shown.iter().find(|row| row.name == name).unwrap();
        let keep = row("wal_keep_size");
        assert_eq!(
            (keep.value.as_str(), keep.setting.as_str(), keep.unit),
            ("4GB", "4096", Some("MB"))
        );
        assert_eq!(
            (keep.source, keep.boot_val.as_str()),
            ("command line", "1024")
        );
        let timeout = row("commit_timeout");
        assert_eq!(
            (timeout.value.as_str(), timeout.source),
            ("2s", "environment variable")
        );
        assert_eq!(
            (timeout.setting.as_str(), timeout.unit),
            ("2000", Some("ms"))
        );
        assert_eq!(timeout.boot_val, "5000");
        assert_eq!(timeout.max_val.as_deref(), Some("2147483647"));
        assert!(assigned("commit_timeout=0").is_err());
        let connections = row("max_connections");
        assert_eq!(connections.source, "configuration file");
        assert_eq!(connections.sourceline, Some(3));
        assert_eq!(row("listen").source, "default");
    }

    #[test]
    fn a_mistake_in_the_file_names_its_line() {
        let file = Path::new("/etc/pgspool.toml");
        for (text, words) in [
            ("\nwal_keep_size = \"much\"", "line 2: invalid value"),
            (
                "wal_keep_sizes = 1",
                "line 1: unrecognized configuration parameter",
            ),
            (
                "wal_keep_size = [1]",
                "line 1: parameter \"wal_keep_size\" needs",
            ),
            ("wal_keep_size", "cannot read /etc/pgspool.toml"),
        ] {
            let error = layers::load_for_test(file, text, &[], &[]).unwrap_err();
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_reload_changes_what_can_change_and_marks_what_waits_for_a_restart() {
        let file = Path::new("/etc/pgspool.toml");
        let load = |text: &str| layers::load_for_test(file, text, &[], &[]).unwrap();
        let before = load("max_connections = 7");
        let (after, shown, waiting) =
            before.reload(load("max_connections = 8\nwal_keep_size = \"64MB\""));
        assert_eq!(waiting, ["max_connections"]);
        assert_eq!(after.settings.server.max_connections, 7);
        assert_eq!(after.settings.engine.wal_keep_size, 64 << 20);
        let row = |name: &str| shown.iter().find(|row| row.name == name).unwrap();
        assert!(row("max_connections").pending_restart);
        assert!(!row("wal_keep_size").pending_restart);
    }

    #[test]
    fn standbys_and_levels_are_read_strictly() {
        let settings = assigned("synchronous_standby_names=ANY 2 (a, b)").unwrap();
        assert_eq!(settings.engine.commit.standbys.to_string(), "ANY 2 (a, b)");
        let settings = assigned("synchronous_commit=remote_apply").unwrap();
        assert_eq!(
            settings.sessions,
            [("synchronous_commit".to_owned(), "remote_apply".to_owned())]
        );
        for text in [
            "synchronous_standby_names=FIRST 0 (a)",
            "synchronous_standby_names=(a",
            "synchronous_commit=maybe",
            "statement_timeout=soon",
        ] {
            assert!(assigned(text).is_err(), "{text}");
        }
        let both = ["synchronous_standby_names=a", "commit_policy=ack_n=1"];
        assert!(of(&both.map(str::to_owned)).is_err());
    }
}
