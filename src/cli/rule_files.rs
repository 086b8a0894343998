//! `pg_hba.conf` and `pg_ident.conf` on disk: where they are, and what they say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::hba::{HbaError, HbaRules, IdentMaps};
use crate::server::{Access, AccessFiles};

/// The settings `hba_file` and `ident_file`, as they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleFileNames {
    pub(super) hba: PathBuf,
    pub(super) ident: PathBuf,
}

impl Default for RuleFileNames {
    fn default() -> Self {
        Self {
            hba: "pg_hba.conf".into(),
            ident: "pg_ident.conf".into(),
        }
    }
}

/// The two files of a data directory.
#[derive(Debug, Clone)]
pub(super) struct RuleFiles {
    pub(super) hba: PathBuf,
    /// It is the one of the data directory, which may be made there.
    pub(super) hba_is_default: bool,
    ident: PathBuf,
    ident_is_default: bool,
}

/// Why the rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RulesError {
    #[error("cannot read {}: {reason}", path.display())]
    Read { path: PathBuf, reason: io::Error },
    #[error("{} cannot be used:{}", path.display(), list(errors))]
    Wrong {
        path: PathBuf,
        errors: Vec<HbaError>,
    },
}

fn list(errors: &[HbaError]) -> String {
    errors.iter().map(|error| format!("\n  {error}")).collect()
}

impl RuleFiles {
    /// Those that the settings name; relative ones are in `data`.
    pub(super) fn new(data: &Path, names: &RuleFileNames) -> Self {
        let default = RuleFileNames::default();
        Self {
            hba: data.join(&names.hba),
            hba_is_default: names.hba == default.hba,
            ident: data.join(&names.ident),
            ident_is_default: names.ident == default.ident,
        }
    }

    /// Has what the files say now count for `access`; nothing of it where anything is wrong.
    pub(super) fn load_into(&self, access: &Access) -> Result<(), RulesError> {
        self.read()?.put_into(access);
        Ok(())
    }

    /// What the files say now.
    pub(super) fn read(&self) -> Result<ReadRules, RulesError> {
        let rules = HbaRules::parse(&read(&self.hba)?).map_err(|errors| RulesError::Wrong {
            path: self.hba.clone(),
            errors,
        })?;
        let text = match read(&self.ident) {
            Err(RulesError::Read { reason, .. })
                if reason.kind() == io::ErrorKind::NotFound && self.ident_is_default =>
            {
                String::new()
            }
            read => read?,
        };
        let maps = IdentMaps::parse(&text).map_err(|errors| RulesError::Wrong {
            path: self.ident.clone(),
            errors,
        })?;
        let files = AccessFiles {
            hba: Some(self.hba.clone()),
            ident: Some(self.ident.clone()),
        };
        Ok(ReadRules { rules, maps, files })
    }
}

/// What was read, and does not count yet.
#[derive(Debug)]
pub(super) struct ReadRules {
    rules: HbaRules,
    maps: IdentMaps,
    files: AccessFiles,
}

impl ReadRules {
    /// Has it count.
    pub(super) fn put_into(self, access: &Access) {
        access.replace_rules(self.rules, self.maps, self.files);
    }
}

fn read(path: &Path) -> Result<String, RulesError> {
    fs::read_to_string(path).map_err(|reason| RulesError::Read {
        path: path.to_owned(),
        reason,
    })
}
