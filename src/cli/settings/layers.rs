//! Where settings come from, the later over the earlier: defaults, `pgspool.toml`, the
//! environment, flags.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use toml::{Spanned, Value};

use crate::captures::NewCapture;
use crate::server::ShownSetting;
use crate::units;

use super::sections;
use super::table::{self, Context, Kind, Setting};
use super::{SettingError, Settings};

/// The configuration file, in the data directory unless another is named.
pub(in crate::cli) const CONFIG_FILE: &str = "pgspool.toml";

/// What the names of environment variables begin with: `PGSPOOL_WAL_KEEP_SIZE`.
const ENVIRONMENT_PREFIX: &str = "PGSPOOL_";

/// Variables of the project's own tests and tools.
const NOT_SETTINGS: &[&str] = &["BIN", "SEED", "CRASH", "SQL", "POSTGRES", "ROUNDS"];

/// The setting that is most like what the variable `name` says; `None` when it says a setting, or
/// is not ours.
fn unknown_variable(name: &str) -> Option<&'static str> {
    let said = name.strip_prefix(ENVIRONMENT_PREFIX)?;
    let is_ours = |setting: &Setting| setting.name.eq_ignore_ascii_case(said);
    if table::all().any(is_ours) || NOT_SETTINGS.iter().any(|other| said.starts_with(other)) {
        return None;
    }
    let said = said.to_ascii_lowercase();
    let distance = |setting: &&Setting| edits(&said, setting.name);
    table::all()
        .min_by_key(distance)
        .map(|setting| setting.name)
}

/// The setting that a name most probably means, if it is close to one.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let said = name.to_ascii_lowercase();
    let near = table::all().map(|setting| (edits(&said, setting.name), setting.name));
    let (distance, nearest) = near.min()?;
    (distance.saturating_mul(4) <= said.len()).then_some(nearest)
}

/// How many characters have to be changed, added or removed to make one text of the other.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.bytes().enumerate() {
        let mut left = index.saturating_add(1);
        let mut next = vec![left];
        for (pair, b) in row.windows(2).zip(other.bytes()) {
            let [diagonal, above] = pair else { continue };
            let replaced = diagonal.saturating_add(usize::from(a != b));
            left = replaced
                .min(above.saturating_add(1))
                .min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Where the settings of a server are.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Sources {
    /// The configuration file.
    pub(in crate::cli) file: PathBuf,
    /// It was named, so it must be there.
    pub(in crate::cli) file_named: bool,
    /// `-c name=value`, in order.
    pub(in crate::cli) flags: Vec<String>,
}

/// Where one setting got its value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(u32),
    Environment,
    Flag,
}

/// All settings, and where each got its value.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Loaded {
    pub(in crate::cli) settings: Settings,
    sources: BTreeMap<&'static str, Source>,
    file: PathBuf,
    /// The sections `[capture.NAME]`: databases that are to follow an upstream.
    pub(in crate::cli) captures: BTreeMap<String, NewCapture>,
    /// What others may do with the data directory, once it is open.
    pub(in crate::cli) data_directory_mode: Option<u32>,
}

impl Sources {
    /// Reads them all. Nothing is taken when any of them is wrong.
    pub(in crate::cli) fn load(&self) -> Result<Loaded, SettingError> {
        let mut loaded = Loaded {
            file: self.file.clone(),
            ..Loaded::default()
        };
        if let Some(text) = self.read_file()? {
            loaded.take_file(&text)?;
        }
        loaded.take_environment(|name| std::env::var(name).ok())?;
        for assignment in &self.flags {
            let (name, value) = assignment
                .split_once('=')
                .ok_or_else(|| SettingError::NotAssigned(assignment.clone()))?;
            loaded.take(name.trim(), value.trim(), Source::Flag)?;
        }
        loaded.settings.check()?;
        Ok(loaded)
    }

    fn read_file(&self) -> Result<Option<String>, SettingError> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.file_named => Ok(None),
            Err(error) => Err(SettingError::File {
                path: self.file.display().to_string(),
                reason: error.to_string(),
            }),
        }
    }
}

impl Loaded {
    fn take(&mut self, name: &str, value: &str, source: Source) -> Result<(), SettingError> {
        let setting = self.settings.assign(name, value)?;
        self.sources.insert(setting.name, source);
        Ok(())
    }

    fn take_file(&mut self, text: &str) -> Result<(), SettingError> {
        let path = self.file.display().to_string();
        let parsed: Result<BTreeMap<String, Spanned<Value>>, _> = toml::from_str(text);
        let entries = parsed.map_err(|error| SettingError::File {
            path: path.clone(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        for (name, entry) in entries {
            let line = line_of(text, entry.span().start);
            let in_file = |reason: String| SettingError::FileEntry {
                path: path.clone(),
                line,
                reason,
            };
            let value = entry.into_inner();
            if name == "capture" && value.is_table() {
                self.captures = sections::captures(value).map_err(in_file)?;
                continue;
            }
            let value = sections::scalar(value).ok_or_else(|| {
                in_file(format!("parameter \"{name}\" needs a string or a number"))
            })?;
            self.take(&name, &value, Source::File(line))
                .map_err(|error| in_file(error.to_string()))?;
        }
        Ok(())
    }

    fn take_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), SettingError> {
        for setting in table::all() {
            let name = format!("{ENVIRONMENT_PREFIX}{}", setting.name.to_ascii_uppercase());
            if let Some(value) = variable(&name) {
                self.take(setting.name, value.trim(), Source::Environment)?;
            }
        }
        Ok(())
    }

    /// Says of variables that look like settings and are none which one may be meant.
    pub(in crate::cli) fn warn_of_unknown(names: impl Iterator<Item = String>) {
        for name in names {
            if let Some(nearest) = unknown_variable(&name) {
                let nearest = format!("{ENVIRONMENT_PREFIX}{}", nearest.to_ascii_uppercase());
                tracing::warn!(name, nearest, "an environment variable that is no setting");
            }
        }
    }

    /// Every setting for SHOW and `pg_settings`.
    pub(in crate::cli) fn shown(&self) -> Vec<ShownSetting> {
        let defaults = Settings::default();
        let settings = table::all().map(|setting| self.shown_one(setting, &defaults));
        let mode = self.data_directory_mode.map(|mode| ShownSetting {
            name: "data_directory_mode".to_owned(),
            value: format!("{mode:04o}"),
            boot_val: "0700".to_owned(),
            source: "default",
            ..ShownSetting::default()
        });
        settings.chain(mode).collect()
    }

    fn shown_one(&self, setting: &Setting, defaults: &Settings) -> ShownSetting {
        let value = (setting.show)(&self.settings);
        let source = self.sources.get(setting.name);
        let (unit, vartype) = match setting.kind {
            Kind::Bytes => (Some("B"), "integer"),
            Kind::Kilobytes => (Some("kB"), "integer"),
            Kind::Megabytes => (Some("MB"), "integer"),
            Kind::Milliseconds => (Some("ms"), "integer"),
            Kind::Seconds => (Some("s"), "integer"),
            Kind::Count | Kind::Number => (None, "integer"),
            Kind::Text => (None, "string"),
            Kind::Bool => (None, "bool"),
            Kind::Mode => (None, "integer"),
            Kind::Enum(_) => (None, "enum"),
        };
        let (least, most) = bounds(setting);
        ShownSetting {
            name: setting.name.to_owned(),
            setting: in_unit(setting.kind, &value),
            boot_val: in_unit(setting.kind, &(setting.show)(defaults)),
            value,
            unit,
            category: setting.category,
            short_desc: setting.meaning,
            context: match setting.context {
                Context::Postmaster => "postmaster",
                Context::Sighup => "sighup",
                Context::User => "user",
            },
            vartype,
            source: match source {
                None => "default",
                Some(Source::File(_)) => "configuration file",
                Some(Source::Environment) => "environment variable",
                Some(Source::Flag) => "command line",
            },
            min_val: least.map(str::to_owned),
            max_val: most.map(str::to_owned),
            enumvals: match setting.kind {
                Kind::Enum(values) => Some(values),
                Kind::Bytes
                | Kind::Kilobytes
                | Kind::Megabytes
                | Kind::Milliseconds
                | Kind::Seconds
                | Kind::Count
                | Kind::Number
                | Kind::Text
                | Kind::Bool
                | Kind::Mode => None,
            },
            sourcefile: match source {
                Some(Source::File(_)) => Some(self.file.display().to_string()),
                Some(Source::Environment | Source::Flag) | None => None,
            },
            sourceline: match source {
                Some(Source::File(line)) => Some(*line),
                Some(Source::Environment | Source::Flag) | None => None,
            },
            pending_restart: false,
        }
    }

    /// What `new` changes, when it is loaded into a running server that has these: every setting
    /// as shown from then on, and the names of those that count only after a restart. Those keep
    /// their present values.
    pub(in crate::cli) fn reload(&self, mut new: Self) -> (Self, Vec<ShownSetting>, Vec<String>) {
        new.data_directory_mode = self.data_directory_mode;
        let mut waiting = Vec::new();
        for setting in table::all() {
            let (before, after) = (
                (setting.show)(&self.settings),
                (setting.show)(&new.settings),
            );
            if setting.context == Context::Postmaster && before != after {
                waiting.push(setting.name.to_owned());
                // What is shown can be set, so this cannot fail.
                let _kept = (setting.apply)(&mut new.settings, &before);
                match self.sources.get(setting.name) {
                    Some(source) => new.sources.insert(setting.name, source.clone()),
                    None => new.sources.remove(setting.name),
                };
            }
        }
        let mut shown = new.shown();
        for setting in &mut shown {
            setting.pending_restart = waiting.contains(&setting.name);
        }
        (new, shown, waiting)
    }
}

/// The least and the greatest number that a setting takes, in its unit.
fn bounds(setting: &Setting) -> (Option<&'static str>, Option<&'static str>) {
    let least = match setting.kind {
        Kind::Kilobytes if setting.name == "capture_work_mem" => Some("64"),
        Kind::Kilobytes => Some("-1"),
        Kind::Milliseconds if setting.name == "capture_mirror_interval" => Some("1"),
        Kind::Megabytes if setting.name == "max_slot_wal_keep_size" => Some("-1"),
        Kind::Milliseconds if setting.name == "commit_timeout" => Some("1"),
        Kind::Bytes | Kind::Megabytes | Kind::Milliseconds | Kind::Number | Kind::Mode => Some("0"),
        Kind::Count | Kind::Seconds => Some("1"),
        Kind::Text | Kind::Bool | Kind::Enum(_) => None,
    };
    let most = match setting.kind {
        // Months do not fit into PostgreSQL's milliseconds.
        Kind::Milliseconds if setting.name == "slot_idle_timeout" => None,
        Kind::Milliseconds | Kind::Megabytes | Kind::Kilobytes => Some("2147483647"),
        Kind::Seconds => Some("600"),
        Kind::Mode => Some("511"),
        Kind::Bytes | Kind::Count | Kind::Number | Kind::Text | Kind::Bool | Kind::Enum(_) => None,
    };
    (least, most)
}

fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.get(..offset).unwrap_or(text);
    u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
}

/// The number that `pg_settings` shows for a value with a unit.
fn in_unit(kind: Kind, value: &str) -> String {
    let number = match kind {
        Kind::Bytes => units::bytes(value, 1),
        Kind::Kilobytes => units::bytes(value, 1 << 10).map(|bytes| bytes >> 10),
        Kind::Megabytes => units::bytes(value, 1 << 20).map(|bytes| bytes >> 20),
        Kind::Milliseconds => units::milliseconds(value, u64::MAX / 1_000_000),
        Kind::Seconds => units::seconds(value),
        Kind::Count | Kind::Number | Kind::Text | Kind::Bool | Kind::Mode | Kind::Enum(_) => None,
    };
    number.map_or_else(|| value.to_owned(), |number| number.to_string())
}

/// For the tests of `settings`, which need no file.
#[cfg(test)]
pub(super) fn load_for_test(
    file: &std::path::Path,
    text: &str,
    environment: &[(&str, &str)],
    flags: &[&str],
) -> Result<Loaded, SettingError> {
    let mut loaded = Loaded {
        file: file.to_owned(),
        ..Loaded::default()
    };
    loaded.take_file(text)?;
    loaded.take_environment(|name| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })?;
    for flag in flags {
        let (name, value) = flag.split_once('=').unwrap();
        loaded.take(name, value, Source::Flag)?;
    }
    loaded.settings.check()?;
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::unknown_variable;

    #[test]
    fn a_misspelled_variable_names_the_setting_that_is_meant() {
        for (name, nearest) in [
            ("PGSPOOL_WAL_KEP_SIZE", Some("wal_keep_size")),
            ("PGSPOOL_COMMIT_TIMEOUTS", Some("commit_timeout")),
            ("PGSPOOL_WAL_KEEP_SIZE", None),
            ("PGSPOOL_SEED", None),
            ("PGSPOOL_CRASH_ROUNDS", None),
            ("HOME", None),
        ] {
            assert_eq!(unknown_variable(name), nearest, "{name}");
        }
    }
}
