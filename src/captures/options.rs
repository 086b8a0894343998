//! What a new captured database is to follow, from options by name: those of CREATE DATABASE and of
//! a section `[capture.NAME]` of the configuration are the same.

use std::path::PathBuf;
use std::time::Duration;

use super::{CaptureSettings, PasswordSource};
use crate::datum::split_names;
use crate::slots::{SlotName, SlotNameError};
use crate::units;

/// What a new captured database is to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCapture {
    /// What it follows.
    pub settings: CaptureSettings,
    /// The database is made only if the upstream can be followed right now.
    pub connect: bool,
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureOptionError {
    /// There is none of that name.
    #[error("option \"{0}\" not recognized")]
    Unknown(String),
    /// It is there twice.
    #[error("conflicting or redundant options")]
    Twice(String),
    /// It must be there.
    #[error("a captured database needs the option \"{0}\"")]
    Missing(&'static str),
    /// A yes or no is expected.
    #[error("{0} requires a Boolean value")]
    NotBoolean(String),
    /// No list of publications.
    #[error("invalid list of publications: \"{0}\"")]
    Publications(String),
    /// No name of a slot.
    #[error(transparent)]
    Slot(#[from] SlotNameError),
    /// No time.
    #[error("invalid value for option \"heartbeat\": \"{0}\"")]
    Heartbeat(String),
    /// It would write more than it is worth.
    #[error("option \"heartbeat\" must be at least 1s, or 0 for none: \"{0}\"")]
    ShortHeartbeat(String),
    /// A password comes from one place.
    #[error("options \"password_file\" and \"password_env\" cannot be used together")]
    TwoPasswords,
    /// It says nothing.
    #[error("option \"{0}\" cannot be empty")]
    Empty(String),
}

impl CaptureOptionError {
    /// The option that it is about, if it is one that was given.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::Unknown(name)
            | Self::Twice(name)
            | Self::NotBoolean(name)
            | Self::Empty(name) => Some(name),
            Self::Publications(_) => Some("publication"),
            Self::Slot(_) => Some("slot"),
            Self::Heartbeat(_) | Self::ShortHeartbeat(_) => Some("heartbeat"),
            Self::TwoPasswords => Some("password_env"),
            Self::Missing(_) => None,
        }
    }
}

/// Options as they are read.
#[derive(Debug, Default)]
struct Draft {
    upstream: Option<String>,
    publication: Option<String>,
    slot: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
    create_slot: Option<bool>,
    create_publication: Option<bool>,
    connect: Option<bool>,
    heartbeat: Option<String>,
}

impl NewCapture {
    /// What these options, by name, say of the database `database`. Without a name of a slot it is
    /// `pgspool_` and the database's.
    pub fn from_options<'a>(
        database: &str,
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CaptureOptionError> {
        let mut draft = Draft::default();
        for (name, value) in options {
            draft.take(name, value)?;
        }
        draft.finish(database)
    }
}

impl Draft {
    fn take(&mut self, name: &str, value: &str) -> Result<(), CaptureOptionError> {
        let text = match name {
            "upstream" => &mut self.upstream,
            "publication" => &mut self.publication,
            "slot" => &mut self.slot,
            "password_file" => &mut self.password_file,
            "password_env" => &mut self.password_env,
            "heartbeat" => &mut self.heartbeat,
            _other => return self.take_flag(name, value),
        };
        if value.trim().is_empty() {
            return Err(CaptureOptionError::Empty(name.to_owned()));
        }
        match text.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(CaptureOptionError::Twice(name.to_owned())),
        }
    }

    fn take_flag(&mut self, name: &str, value: &str) -> Result<(), CaptureOptionError> {
        let flag = match name {
            "create_slot" => &mut self.create_slot,
            "create_publication" => &mut self.create_publication,
            "connect" => &mut self.connect,
            _other => return Err(CaptureOptionError::Unknown(name.to_owned())),
        };
        let value = boolean(value).ok_or_else(|| CaptureOptionError::NotBoolean(name.to_owned()));
        match flag.replace(value?) {
            None => Ok(()),
            Some(_) => Err(CaptureOptionError::Twice(name.to_owned())),
        }
    }

    fn finish(self, database: &str) -> Result<NewCapture, CaptureOptionError> {
        let upstream = self
            .upstream
            .ok_or(CaptureOptionError::Missing("upstream"))?;
        let list = self
            .publication
            .ok_or(CaptureOptionError::Missing("publication"))?;
        let publications = split_names(&list).filter(|names| is_list(names));
        let publications = publications.ok_or(CaptureOptionError::Publications(list))?;
        let slot = self.slot.unwrap_or_else(|| slot_of(database));
        let slot = SlotName::parse(&slot)?.as_str().to_owned();
        let password = match (self.password_file, self.password_env) {
            (None, None) => PasswordSource::None,
            (Some(file), None) => PasswordSource::File(PathBuf::from(file)),
            (None, Some(variable)) => PasswordSource::Environment(variable),
            (Some(_), Some(_)) => return Err(CaptureOptionError::TwoPasswords),
        };
        let settings = CaptureSettings {
            upstream,
            password,
            publications,
            slot,
            create_slot: self.create_slot.unwrap_or(true),
            create_publication: self.create_publication.unwrap_or(false),
            heartbeat: self.heartbeat.map(heartbeat).transpose()?.flatten(),
            paused: false,
        };
        let connect = self.connect.unwrap_or(true);
        Ok(NewCapture { settings, connect })
    }
}

/// The slot's name where none is said: what of the database's name may be in one.
fn slot_of(database: &str) -> String {
    let fit = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_') => c,
        _other => '_',
    };
    let mut name: String = "pgspool_"
        .chars()
        .chain(database.chars().map(fit))
        .collect();
    name.truncate(63);
    name
}

/// Names, each once.
fn is_list(names: &[String]) -> bool {
    let is_new = |(at, name): (usize, &String)| !names.iter().take(at).any(|other| other == name);
    !names.is_empty()
        && names.iter().all(|name| !name.is_empty())
        && names.iter().enumerate().all(is_new)
}

/// Zero is none.
fn heartbeat(text: String) -> Result<Option<Duration>, CaptureOptionError> {
    match units::milliseconds(&text, units::MAX_MILLISECONDS) {
        Some(0) => Ok(None),
        // A number without a unit is milliseconds.
        Some(1..1000) => Err(CaptureOptionError::ShortHeartbeat(text)),
        Some(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        None => Err(CaptureOptionError::Heartbeat(text)),
    }
}

/// As PostgreSQL reads an option of a statement.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<NewCapture, CaptureOptionError> {
        NewCapture::from_options("Shop-1", options.iter().copied())
    }

    const LEAST: [(&str, &str); 2] = [("upstream", "host=a dbname=b"), ("publication", "p, \"Q\"")];

    #[test]
    fn the_least_is_an_upstream_and_a_publication() {
        let found = read(&LEAST).unwrap();
        assert!(found.connect);
        assert_eq!(found.settings.publications, ["p", "Q"]);
        assert_eq!(found.settings.slot, "pgspool_shop_1");
        assert_eq!(found.settings.password, PasswordSource::None);
        assert!(found.settings.create_slot && !found.settings.create_publication);
        assert_eq!(found.settings.heartbeat, None);
        assert_eq!(
            read(&LEAST[1..]),
            Err(CaptureOptionError::Missing("upstream"))
        );
        assert_eq!(
            read(&LEAST[..1]),
            Err(CaptureOptionError::Missing("publication"))
        );
    }

    #[test]
    fn every_option_is_read() {
        let more = [
            ("slot", "s"),
            ("password_env", "PW"),
            ("create_slot", "off"),
            ("create_publication", "TRUE"),
            ("connect", "0"),
            ("heartbeat", "10s"),
        ];
        let found = read(&[&LEAST[..], &more[..]].concat()).unwrap();
        assert_eq!(found.settings.slot, "s");
        assert_eq!(
            found.settings.password,
            PasswordSource::Environment("PW".to_owned())
        );
        assert!(!found.settings.create_slot && found.settings.create_publication);
        assert!(!found.connect);
        assert_eq!(found.settings.heartbeat, Some(Duration::from_secs(10)));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let refused = |name: &str, value: &str| {
            let error = read(&[&LEAST[..], &[(name, value)]].concat()).unwrap_err();
            error.to_string()
        };
        for (name, value, words) in [
            ("colour", "red", "option \"colour\" not recognized"),
            ("upstream", "host=c", "conflicting or redundant options"),
            (
                "create_slot",
                "maybe",
                "create_slot requires a Boolean value",
            ),
            (
                "slot",
                "My-Slot",
                "replication slot name \"My-Slot\" contains invalid character",
            ),
            ("slot", " ", "option \"slot\" cannot be empty"),
            (
                "heartbeat",
                "soon",
                "invalid value for option \"heartbeat\": \"soon\"",
            ),
            (
                "heartbeat",
                "10",
                "option \"heartbeat\" must be at least 1s, or 0 for none: \"10\"",
            ),
        ] {
            assert_eq!(refused(name, value), words);
        }
        for list in ["", "p,", "p, p", "\"\""] {
            assert!(read(&[LEAST[0], ("publication", list)]).is_err(), "{list}");
        }
        let both = [("password_file", "/x"), ("password_env", "X")];
        let error = read(&[&LEAST[..], &both[..]].concat()).unwrap_err();
        assert_eq!(error, CaptureOptionError::TwoPasswords);
    }
}
