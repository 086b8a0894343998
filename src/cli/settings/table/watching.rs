//! Settings of what the server says of itself: metrics and logs.

use super::{Context, Kind, Setting};
use crate::cli::log::{self, LogFormat};
use crate::cli::serve::address;
use crate::plugins::parse_bool;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "admin_listen",
        meaning: "where to answer for metrics and the status page, ADDR:PORT; empty: nowhere",
        kind: Kind::Text,
        context: Context::Postmaster,
        category: STATISTICS,
        show: |of| {
            let listen = of.watching.admin_listen;
            listen.map_or_else(String::new, |address| address.to_string())
        },
        apply: |to, value| {
            to.watching.admin_listen = match value {
                "" => None,
                _ => Some(address(value).map_err(|_| "expected ADDR:PORT")?),
            };
            Ok(())
        },
    },
    Setting {
        name: "log_connections",
        meaning: "log each session that begins; how it ended is always logged",
        kind: Kind::Bool,
        context: Context::Postmaster,
        category: LOGGING,
        show: |of| {
            if of.server.log_connections {
                "on"
            } else {
                "off"
            }
            .to_owned()
        },
        apply: |to, value| {
            to.server.log_connections = parse_bool(value).ok_or("expected on or off")?;
            Ok(())
        },
    },
    Setting {
        name: "log_format",
        meaning: "how the log is written: text, or json (one object a line)",
        kind: Kind::Enum(LogFormat::NAMES),
        context: Context::Postmaster,
        category: LOGGING,
        show: |of| of.watching.log_format.as_str().to_owned(),
        apply: |to, value| {
            to.watching.log_format = LogFormat::parse(value).ok_or("expected text or json")?;
            Ok(())
        },
    },
    Setting {
        name: "log_level",
        meaning: "what is logged: error, warn, info, debug or trace, also by target, as in \
                  info,pgspool::server=debug; RUST_LOG wins over it",
        kind: Kind::Text,
        context: Context::Sighup,
        category: LOGGING,
        show: |of| of.watching.log_level.clone(),
        apply: |to, value| {
            if !log::is_level(value) {
                return Err(
                    "expected error, warn, info, debug, trace or off, also by target: \
                            info,pgspool::server=debug",
                );
            }
            value.clone_into(&mut to.watching.log_level);
            Ok(())
        },
    },
];

const STATISTICS: &str = "Statistics / Monitoring";
const LOGGING: &str = "Reporting and Logging / What to Log";
