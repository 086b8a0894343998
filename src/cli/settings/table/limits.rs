//! Settings of how much there may be at once, and for how long.

use super::{
    CLIENT, CONN, Context, DISK, Kind, REPL, SPOOL, Setting, count, number, print_time, time,
};
use crate::engine::{DiskFloor, DiskFloorAction};
use crate::units::{self, print_bytes};

const MEMORY: &str = "Resource Usage / Memory";

const FLOOR: &str = "expected auto, bytes, a number with B, kB, MB, GB or TB, or a percentage";
const ACTION: &str = "expected refuse or invalidate";
/// The values of `disk_floor_action`.
const ACTIONS: &[&str] = &["refuse", "invalidate"];
/// PostgreSQL's largest message, and the largest frame.
const MOST: u64 = 0x3FFF_FFFF;
const LENGTH: &str = "expected 1kB to 1073741823, with B, kB, MB or GB";

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "superuser_reserved_connections",
        meaning: "of max_connections, so many are only for superusers",
        kind: Kind::Number,
        context: Context::Postmaster,
        category: CONN,
        show: |of| of.server.limits.superuser_reserved_connections.to_string(),
        apply: |to, value| {
            to.server.limits.superuser_reserved_connections = number(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_connections_per_address",
        meaning: "most connections from one address, superusers' aside; 0: no limit",
        kind: Kind::Number,
        context: Context::Postmaster,
        category: CONN,
        show: |of| of.server.limits.max_connections_per_address.to_string(),
        apply: |to, value| {
            to.server.limits.max_connections_per_address = number(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_unauthenticated_connections",
        meaning: "most sockets that have not logged in; another one takes the place of the oldest",
        kind: Kind::Count,
        context: Context::Postmaster,
        category: CONN,
        show: |of| of.server.limits.max_unauthenticated_connections.to_string(),
        apply: |to, value| {
            to.server.limits.max_unauthenticated_connections = count(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_wal_senders",
        meaning: "most replication connections; they do not count in max_connections",
        kind: Kind::Number,
        context: Context::Postmaster,
        category: REPL,
        show: |of| of.server.limits.max_wal_senders.to_string(),
        apply: |to, value| {
            to.server.limits.max_wal_senders = number(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_databases",
        meaning: "most databases in the data directory",
        kind: Kind::Count,
        context: Context::Postmaster,
        category: SPOOL,
        show: |of| of.engine.max_databases.to_string(),
        apply: |to, value| {
            to.engine.max_databases = count(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_startup_message_size",
        meaning: "largest message before login",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: CONN,
        show: |of| shown(of.server.limits.max_startup_message_size),
        apply: |to, value| {
            to.server.limits.max_startup_message_size = length(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_message_size",
        meaning: "largest message of a session, but for COPY data",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: CONN,
        show: |of| shown(of.server.limits.max_message_size),
        apply: |to, value| {
            to.server.limits.max_message_size = length(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_query_length",
        meaning: "longest text of a query",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: CONN,
        show: |of| shown(of.server.limits.max_query_length),
        apply: |to, value| {
            to.server.limits.max_query_length = length(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_copy_line",
        meaning: "longest line of a COPY",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: CONN,
        show: |of| shown(of.server.limits.max_copy_line),
        apply: |to, value| {
            to.server.limits.max_copy_line = length(value)?;
            Ok(())
        },
    },
    Setting {
        name: "session_memory_limit",
        meaning: "most bytes of a session's prepared statements, portals, settings and definitions",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: MEMORY,
        show: |of| shown(of.server.limits.session_memory_limit),
        apply: |to, value| {
            to.server.limits.session_memory_limit = length(value)?;
            Ok(())
        },
    },
    Setting {
        name: "idle_session_timeout",
        meaning: "end a session that idles for longer outside of a transaction; 0: never",
        kind: Kind::Milliseconds,
        context: Context::User,
        category: CLIENT,
        show: |of| of.session_value("idle_session_timeout", "0"),
        apply: |to, value| {
            to.begin_sessions_with("idle_session_timeout", &print_time(time(value)?));
            Ok(())
        },
    },
    Setting {
        name: "disk_floor",
        meaning: "publish nothing while less is free on the file system; auto: 1GB or 5%, the less; 0: off",
        kind: Kind::Text,
        context: Context::Sighup,
        category: DISK,
        show: |of| match of.engine.disk_floor {
            DiskFloor::Auto => "auto".to_owned(),
            DiskFloor::Bytes(bytes) => print_bytes(bytes),
            DiskFloor::Percent(hundredths) => format!("{hundredths}%"),
        },
        apply: |to, value| {
            to.engine.disk_floor = floor(value).ok_or(FLOOR)?;
            Ok(())
        },
    },
    Setting {
        name: "disk_floor_action",
        meaning: "below disk_floor: refuse publishes, or also invalidate slots that nobody uses",
        kind: Kind::Enum(ACTIONS),
        context: Context::Sighup,
        category: DISK,
        show: |of| {
            let action = match of.engine.disk_floor_action {
                DiskFloorAction::Refuse => "refuse",
                DiskFloorAction::Invalidate => "invalidate",
            };
            action.to_owned()
        },
        apply: |to, value| {
            to.engine.disk_floor_action = match value {
                "refuse" => DiskFloorAction::Refuse,
                "invalidate" => DiskFloorAction::Invalidate,
                _ => return Err(ACTION),
            };
            Ok(())
        },
    },
];

fn floor(text: &str) -> Option<DiskFloor> {
    if text == "auto" {
        return Some(DiskFloor::Auto);
    }
    match text.strip_suffix('%') {
        Some(number) => {
            let hundredths = number.trim().parse().ok().filter(|n| *n < 100)?;
            Some(DiskFloor::Percent(hundredths))
        }
        None => units::bytes(text, 1).map(DiskFloor::Bytes),
    }
}

fn shown(bytes: usize) -> String {
    print_bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// A length that something useful fits into.
fn length(text: &str) -> Result<usize, &'static str> {
    let bytes = units::bytes(text, 1).filter(|bytes| (1 << 10..=MOST).contains(bytes));
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or(LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_read_strictly() {
        for (text, wanted) in [
            ("auto", Some(DiskFloor::Auto)),
            ("0", Some(DiskFloor::OFF)),
            ("2GB", Some(DiskFloor::Bytes(2 << 30))),
            ("5%", Some(DiskFloor::Percent(5))),
            ("7 %", Some(DiskFloor::Percent(7))),
            ("100%", None),
            ("-1%", None),
            ("%", None),
            ("much", None),
        ] {
            assert_eq!(floor(text), wanted, "{text}");
        }
        assert!(length("1B").is_err() && length("2GB").is_err());
        assert_eq!(length("1MB"), Ok(1 << 20));
    }
}
