//! The sections `[capture.NAME]` against the databases that there are: what is made, and what is
//! refused. A section never turns an existing database to another upstream.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::capture::{Conninfo, ConninfoError};
use crate::captures::{CaptureSettings, NewCapture};
use crate::clock::Moment;
use crate::engine::{CreateDatabaseError, Databases, Engine};

/// A section that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureSectionError {
    #[error("[capture.{database}]: {error}")]
    Upstream {
        database: String,
        error: ConninfoError,
    },
    #[error(
        "[capture.{0}]: the database is there and follows no upstream; give the section another \
         name, or drop the database"
    )]
    NotCaptured(String),
    #[error(
        "[capture.{database}]: {what} is {wanted} here and {kept} in the database; a captured \
         database keeps what it follows: write that back, or drop the database and have it \
         recreated"
    )]
    Elsewhere {
        database: String,
        what: &'static str,
        wanted: String,
        kept: String,
    },
    #[error("[capture.{database}]: {error}")]
    Create {
        database: String,
        error: CreateDatabaseError,
    },
}

/// Sections whose database is yet to be made.
pub(super) type Missing<'a> = Vec<(&'a str, &'a NewCapture)>;

/// The sections whose database is not there; an error when one says otherwise than its database.
pub(super) fn missing<'a>(
    databases: &Databases,
    sections: &'a BTreeMap<String, NewCapture>,
) -> Result<Missing<'a>, CaptureSectionError> {
    let mut missing = Vec::new();
    for (name, new) in sections {
        let parsed = Conninfo::parse(&new.settings.upstream);
        parsed.map_err(|error| CaptureSectionError::Upstream {
            database: name.clone(),
            error,
        })?;
        let Some(engine) = databases.get(name) else {
            missing.push((name.as_str(), new));
            continue;
        };
        let Some(capture) = engine.capture() else {
            return Err(CaptureSectionError::NotCaptured(name.clone()));
        };
        if let Some((what, wanted, kept)) = difference(&new.settings, &capture.settings()) {
            return Err(CaptureSectionError::Elsewhere {
                database: name.clone(),
                what,
                wanted,
                kept,
            });
        }
    }
    Ok(missing)
}

/// Makes the databases that are missing. Blocking.
pub(super) fn make(
    databases: &Databases,
    missing: Missing<'_>,
) -> Result<Vec<Arc<Engine>>, CaptureSectionError> {
    let make = |(name, new): (&str, &NewCapture)| {
        let made = databases.create(name, Some(&new.settings), Moment::now());
        let engine = made.map_err(|error| CaptureSectionError::Create {
            database: name.to_owned(),
            error,
        })?;
        tracing::info!(database = name, "captured database created");
        Ok(engine)
    };
    missing.into_iter().map(make).collect()
}

/// In what a section says otherwise than its database: what, as it is wanted, and as it is.
/// Passwords are read from where they are anew at each connection, and only their places compared.
fn difference(
    wanted: &CaptureSettings,
    kept: &CaptureSettings,
) -> Option<(&'static str, String, String)> {
    let heartbeat = |of: &CaptureSettings| match of.heartbeat {
        Some(every) => format!("{} ms", every.as_millis()),
        None => "off".to_owned(),
    };
    let quoted = |text: &str| format!("\"{text}\"");
    let password = |of: &CaptureSettings| format!("{:?}", of.password);
    let all: [(&'static str, String, String); 5] = [
        ("upstream", quoted(&wanted.upstream), quoted(&kept.upstream)),
        (
            "publication",
            quoted(&wanted.publications.join(", ")),
            quoted(&kept.publications.join(", ")),
        ),
        ("slot", quoted(&wanted.slot), quoted(&kept.slot)),
        ("the password's place", password(wanted), password(kept)),
        ("heartbeat", heartbeat(wanted), heartbeat(kept)),
    ];
    all.into_iter().find(|(_, wanted, kept)| wanted != kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &[(&str, &str)]) -> CaptureSettings {
        let all = [("upstream", "host=a dbname=b"), ("publication", "p")];
        let all = all.iter().filter(|(name, _)| {
            let mut given = options.iter();
            !given.any(|(other, _)| other == name)
        });
        let all = all.chain(options).copied();
        NewCapture::from_options("shop", all).unwrap().settings
    }

    #[test]
    fn a_section_that_points_elsewhere_is_found_by_what_differs() {
        let kept = settings(&[]);
        assert_eq!(difference(&settings(&[]), &kept), None);
        for (option, value, what) in [
            ("upstream", "host=c dbname=b", "upstream"),
            ("publication", "q", "publication"),
            ("slot", "s", "slot"),
            ("password_env", "PW", "the password's place"),
            ("heartbeat", "1s", "heartbeat"),
        ] {
            let found = difference(&settings(&[(option, value)]), &kept);
            assert_eq!(found.unwrap().0, what);
        }
        // Whether something is made counts once.
        assert_eq!(
            difference(&settings(&[("create_slot", "false")]), &kept),
            None
        );
    }
}
