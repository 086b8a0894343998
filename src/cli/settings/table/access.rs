//! Settings of who may come in how: rules, certificates, sockets.

use std::path::PathBuf;
use std::time::Duration;

use super::{Context, Kind, Setting, TIME, print_time, time};
use crate::units;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "hba_file",
        meaning: "who may come in how; a relative path starts at the data directory",
        kind: Kind::Text,
        context: Context::Postmaster,
        category: FILES,
        show: |of| of.rule_files.hba.display().to_string(),
        apply: |to, value| {
            to.rule_files.hba = path(value)?;
            Ok(())
        },
    },
    Setting {
        name: "ident_file",
        meaning: "which role a system user or a certificate may be",
        kind: Kind::Text,
        context: Context::Postmaster,
        category: FILES,
        show: |of| of.rule_files.ident.display().to_string(),
        apply: |to, value| {
            to.rule_files.ident = path(value)?;
            Ok(())
        },
    },
    Setting {
        name: "authentication_timeout",
        meaning: "how long a client may take from connecting to its session",
        kind: Kind::Seconds,
        context: Context::Postmaster,
        category: AUTH,
        show: |of| print_time(of.server.authentication_timeout),
        apply: |to, value| {
            let seconds = units::seconds(value).filter(|seconds| (1..=600).contains(seconds));
            to.server.authentication_timeout = Duration::from_secs(seconds.ok_or(SECONDS)?);
            Ok(())
        },
    },
    Setting {
        name: "auth_delay",
        meaning: "how long a refused client waits for its error; 0: not at all",
        kind: Kind::Milliseconds,
        context: Context::Postmaster,
        category: AUTH,
        show: |of| print_time(of.server.auth_delay),
        apply: |to, value| {
            let delay = time(value)?;
            to.server.auth_delay = Some(delay).filter(|d| d.as_secs() <= 60).ok_or(TIME)?;
            Ok(())
        },
    },
];

const FILES: &str = "File Locations";
const AUTH: &str = "Connections and Authentication / Authentication";
const SECONDS: &str = "expected seconds, or a number with s or min, from 1s to 10min";

fn path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() {
        return Err("expected the path of a file");
    }
    Ok(PathBuf::from(text))
}
