//! The settings, one row each: how a value is read, and how it is shown.

mod access;
mod capture;
mod limits;
mod sockets;
mod watching;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::plugins::parse_bool;
use crate::replicas::{CommitPolicy, QuorumMode};
use crate::units::{self, print_bytes};

use super::Settings;
use crate::cli::serve::address;

/// What kind of value a setting has, and the unit in which `pg_settings` counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Kilobytes,
    Megabytes,
    Milliseconds,
    Seconds,
    /// A number, at least 1.
    Count,
    /// A number, 0 too.
    Number,
    Text,
    /// on or off
    Bool,
    /// Permissions, in octal.
    Mode,
    Enum(&'static [&'static str]),
}

/// When a setting can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// At a start.
    Postmaster,
    /// At a reload.
    Sighup,
    /// A session may set it; this is where each begins.
    User,
}

/// One setting.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// In a few words.
    pub(super) meaning: &'static str,
    /// What kind of value it has.
    pub(super) kind: Kind,
    /// When it can change.
    pub(super) context: Context,
    pub(super) category: &'static str,
    /// The value as [`Setting::apply`] takes it.
    pub(super) show: fn(&Settings) -> String,
    /// Puts a value into its place, or says what was expected.
    pub(super) apply: fn(&mut Settings, &str) -> Result<(), &'static str>,
}

/// Every setting, in the order in which they are listed to people.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    let groups = [
        SETTINGS,
        access::SETTINGS,
        sockets::SETTINGS,
        limits::SETTINGS,
        watching::SETTINGS,
        capture::SETTINGS,
    ];
    groups.into_iter().flatten()
}

/// Those of what is stored and served.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "slot_retention_max_lag_lsn",
        meaning: "invalidate a slot further than this behind the head; 0: no limit",
        kind: Kind::Bytes,
        context: Context::Sighup,
        category: REPL,
        show: |of| print_bytes(of.engine.limits.max_lag_lsn),
        apply: |to, value| {
            to.engine.limits.max_lag_lsn = size(value)?;
            Ok(())
        },
    },
    Setting {
        name: "slot_idle_timeout",
        meaning: "invalidate a slot that was unused for this long; 0: no limit",
        kind: Kind::Milliseconds,
        context: Context::Sighup,
        category: REPL,
        show: |of| print_time(of.engine.limits.idle_timeout),
        apply: |to, value| {
            to.engine.limits.idle_timeout = long_time(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_slot_wal_keep_size",
        meaning: "keep at most this much for slots; -1: no limit",
        kind: Kind::Megabytes,
        context: Context::Sighup,
        category: REPL,
        show: |of| {
            let max = of.engine.max_slot_wal_keep_size;
            max.map_or_else(|| "-1".to_owned(), print_bytes)
        },
        apply: |to, value| {
            to.engine.max_slot_wal_keep_size = match value {
                "-1" => None,
                _ => Some(megabytes(value)?),
            };
            Ok(())
        },
    },
    Setting {
        name: "wal_keep_size",
        meaning: "keep at least this much, needed or not",
        kind: Kind::Megabytes,
        context: Context::Sighup,
        category: REPL,
        show: |of| print_bytes(of.engine.wal_keep_size),
        apply: |to, value| {
            to.engine.wal_keep_size = megabytes(value)?;
            Ok(())
        },
    },
    Setting {
        name: "temp_file_limit",
        meaning: "most bytes of a transaction block outside of memory; -1: no limit",
        kind: Kind::Kilobytes,
        context: Context::Sighup,
        category: DISK,
        show: |of| {
            let max = of.engine.temp_file_limit;
            max.map_or_else(|| "-1".to_owned(), print_bytes)
        },
        apply: |to, value| {
            to.engine.temp_file_limit = match value {
                "-1" => None,
                _ => Some(units::bytes(value, 1 << 10).ok_or(KILOBYTES)?),
            };
            Ok(())
        },
    },
    Setting {
        name: "max_replication_slots",
        meaning: "most slots in a database",
        kind: Kind::Count,
        context: Context::Sighup,
        category: REPL,
        show: |of| of.engine.limits.max_slots.to_string(),
        apply: |to, value| {
            to.engine.limits.max_slots = count(value)?;
            Ok(())
        },
    },
    Setting {
        name: "spool_segment_size",
        meaning: "seal a segment when it is this long",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: SPOOL,
        show: |of| print_bytes(of.engine.segment_bytes),
        apply: |to, value| {
            to.engine.segment_bytes = some(size(value)?)?;
            Ok(())
        },
    },
    Setting {
        name: "spool_tail_size",
        meaning: "newest frames kept in memory, by bytes",
        kind: Kind::Bytes,
        context: Context::Postmaster,
        category: SPOOL,
        show: |of| print_bytes(u64::try_from(of.engine.ring_bytes).unwrap_or(u64::MAX)),
        apply: |to, value| {
            to.engine.ring_bytes = usize::try_from(some(size(value)?)?).map_err(|_| SIZE)?;
            Ok(())
        },
    },
    Setting {
        name: "spool_tail_frames",
        meaning: "newest frames kept in memory, by number",
        kind: Kind::Count,
        context: Context::Postmaster,
        category: SPOOL,
        show: |of| of.engine.ring_frames.to_string(),
        apply: |to, value| {
            to.engine.ring_frames = count(value)?;
            Ok(())
        },
    },
    Setting {
        name: "commit_policy",
        meaning: "a commit is told when it is here (local), at N subscribers too (ack_n=N), or at a quorum",
        kind: Kind::Text,
        context: Context::Sighup,
        category: COMMIT,
        show: |of| of.engine.commit.policy.to_string(),
        apply: |to, value| {
            to.engine.commit.policy = policy(value).ok_or(POLICY)?;
            Ok(())
        },
    },
    Setting {
        name: "commit_quorum",
        meaning: "who the quorum is: async, sync=N, or regions=A,B",
        kind: Kind::Text,
        context: Context::Sighup,
        category: COMMIT,
        show: |of| print_quorum(&of.engine.commit.quorum),
        apply: |to, value| {
            to.engine.commit.quorum = quorum(value).ok_or(QUORUM)?;
            Ok(())
        },
    },
    Setting {
        name: "commit_timeout",
        meaning: "how long a commit waits for others; default: 5s, with regions 10s",
        kind: Kind::Milliseconds,
        context: Context::Sighup,
        category: COMMIT,
        show: |of| {
            let commit = &of.engine.commit;
            let in_force = commit.timeout.or_else(|| commit.wait_at_most());
            print_time(in_force.unwrap_or(Duration::from_secs(5)))
        },
        apply: |to, value| {
            to.engine.commit.timeout = match value {
                "default" => None,
                _ => Some(time(value)?),
            };
            if to.engine.commit.timeout == Some(Duration::ZERO) {
                return Err("more than 0: with commit_policy=local nobody is waited for");
            }
            Ok(())
        },
    },
    Setting {
        name: "flow_control_soft_target_lsn",
        meaning: "refuse publishes while a subscriber of the quorum is further behind than this; 0: off",
        kind: Kind::Bytes,
        context: Context::Sighup,
        category: COMMIT,
        show: |of| print_bytes(of.engine.commit.soft_target_lsn),
        apply: |to, value| {
            to.engine.commit.soft_target_lsn = size(value)?;
            Ok(())
        },
    },
    Setting {
        name: "wal_sender_timeout",
        meaning: "end a stream whose client was silent for this long; 0: never",
        kind: Kind::Milliseconds,
        context: Context::User,
        category: REPL,
        show: |of| print_time(of.server.wal_sender_timeout.unwrap_or_default()),
        apply: |to, value| {
            to.server.wal_sender_timeout = Some(time(value)?).filter(|timeout| !timeout.is_zero());
            Ok(())
        },
    },
    Setting {
        name: "shutdown_timeout",
        meaning: "how long a graceful stop waits for transactions to end",
        kind: Kind::Milliseconds,
        context: Context::Postmaster,
        category: CONN,
        show: |of| print_time(of.server.shutdown_timeout),
        apply: |to, value| {
            to.server.shutdown_timeout = time(value)?;
            Ok(())
        },
    },
    Setting {
        name: "max_connections",
        meaning: "most connections at once, replication connections aside",
        kind: Kind::Count,
        context: Context::Postmaster,
        category: CONN,
        show: |of| of.server.max_connections.to_string(),
        apply: |to, value| {
            to.server.max_connections = count(value)?;
            Ok(())
        },
    },
    Setting {
        name: "synchronous_standby_names",
        meaning: "who must confirm a commit: FIRST n (a, b), ANY n (a, b), *, or REGIONS (eu, us)",
        kind: Kind::Text,
        context: Context::Sighup,
        category: COMMIT,
        show: |of| of.engine.commit.standbys.to_string(),
        apply: |to, value| {
            to.engine.commit.standbys = value.parse().map_err(|_| STANDBYS)?;
            Ok(())
        },
    },
    Setting {
        name: "synchronous_commit",
        meaning: "what they must have done: remote_write, on (flushed), remote_apply; local, off: nothing",
        kind: Kind::Enum(SYNCHRONOUS_COMMIT),
        context: Context::User,
        category: COMMIT,
        show: |of| of.session_value("synchronous_commit", "on"),
        apply: |to, value| {
            let level = synchronous_commit(value).ok_or(SYNCHRONOUS)?;
            to.begin_sessions_with("synchronous_commit", level);
            Ok(())
        },
    },
    Setting {
        name: "statement_timeout",
        meaning: "end a statement that runs for longer; 0: never",
        kind: Kind::Milliseconds,
        context: Context::User,
        category: CLIENT,
        show: |of| of.session_value("statement_timeout", "0"),
        apply: |to, value| {
            to.begin_sessions_with("statement_timeout", &print_time(time(value)?));
            Ok(())
        },
    },
    Setting {
        name: "idle_in_transaction_session_timeout",
        meaning: "end a session that idles for longer in a transaction; 0: never",
        kind: Kind::Milliseconds,
        context: Context::User,
        category: CLIENT,
        show: |of| of.session_value("idle_in_transaction_session_timeout", "0"),
        apply: |to, value| {
            let shown = print_time(time(value)?);
            to.begin_sessions_with("idle_in_transaction_session_timeout", &shown);
            Ok(())
        },
    },
    Setting {
        name: "listen",
        meaning: "where to listen, ADDR:PORT; several with commas between",
        kind: Kind::Text,
        context: Context::Postmaster,
        category: CONN,
        show: |of| {
            let all: Vec<_> = of.server.listen.iter().map(ToString::to_string).collect();
            all.join(", ")
        },
        apply: |to, value| {
            let all = value.split(',').map(|text| address(text.trim()));
            to.server.listen = all.collect::<Result<_, _>>().map_err(|_| LISTEN)?;
            Ok(())
        },
    },
];

const REPL: &str = "Replication / Sending Servers";
const DISK: &str = "Resource Usage / Disk";
const SPOOL: &str = "Spool";
const COMMIT: &str = "Replication / Primary Server";
const CONN: &str = "Connections and Authentication / Connection Settings";
const CLIENT: &str = "Client Connection Defaults / Statement Behavior";

/// The values of `synchronous_commit`, in PostgreSQL's order.
const SYNCHRONOUS_COMMIT: &[&str] = &["local", "remote_write", "remote_apply", "on", "off"];

const STANDBYS: &str =
    "expected FIRST n (a, b), ANY n (a, b), a list of names, *, or REGIONS (a, b)";
const SYNCHRONOUS: &str = "expected on, off, local, remote_write or remote_apply";
const LISTEN: &str = "expected ADDR:PORT";
const SIZE: &str = "expected bytes, or a number with B, kB, MB, GB or TB";
const KILOBYTES: &str = "expected kilobytes, or a number with B, kB, MB, GB or TB";
const MEGABYTES: &str = "expected megabytes, or a number with B, kB, MB, GB or TB";
const NOT_ZERO: &str = "expected more than zero";
const TIME: &str = "expected milliseconds, or a number with us, ms, s, min, h or d, up to 24d";
const LONG_TIME: &str = "expected milliseconds, or a number with us, ms, s, min, h or d";
const POLICY: &str = "expected local, ack_n=N or quorum";
const QUORUM: &str = "expected async, sync=N or regions=A,B";
const NUMBER: &str = "expected a whole number, 0 or more";
const COUNT: &str = "expected a whole number, at least 1";

/// Bytes (or LSN units, which are bytes too).
fn size(text: &str) -> Result<u64, &'static str> {
    units::bytes(text, 1).ok_or(SIZE)
}

/// A size that is in megabytes in PostgreSQL.
fn megabytes(text: &str) -> Result<u64, &'static str> {
    units::bytes(text, 1 << 20).ok_or(MEGABYTES)
}

fn some(number: u64) -> Result<u64, &'static str> {
    Some(number).filter(|number| *number > 0).ok_or(NOT_ZERO)
}

/// A time that is in milliseconds in PostgreSQL.
fn time(text: &str) -> Result<Duration, &'static str> {
    units::milliseconds(text, units::MAX_MILLISECONDS)
        .map(Duration::from_millis)
        .ok_or(TIME)
}

/// A time that may be months.
fn long_time(text: &str) -> Result<Duration, &'static str> {
    units::milliseconds(text, u64::MAX / 1_000_000)
        .map(Duration::from_millis)
        .ok_or(LONG_TIME)
}

fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().map(NonZeroUsize::get).map_err(|_| COUNT)
}

fn number(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| NUMBER)
}

fn policy(text: &str) -> Option<CommitPolicy> {
    let policy = text.parse().ok()?;
    match policy {
        CommitPolicy::Local => (!text.is_empty()).then_some(policy),
        CommitPolicy::RemoteWal | CommitPolicy::AckN(0) => None,
        CommitPolicy::AckN(_) | CommitPolicy::Quorum => Some(policy),
    }
}

fn quorum(text: &str) -> Option<QuorumMode> {
    match text.split_once('=') {
        None if text == "async" => Some(QuorumMode::Async),
        Some(("sync", count)) => {
            let min_replicas = count.parse().ok().filter(|count| *count > 0)?;
            Some(QuorumMode::Sync { min_replicas })
        }
        Some(("regions", names)) => {
            let names = names.split(',').map(str::trim);
            let regions: BTreeSet<String> = names.map(str::to_owned).collect();
            (!regions.contains("")).then_some(QuorumMode::Regions(regions))
        }
        None | Some(_) => None,
    }
}

fn synchronous_commit(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let known = SYNCHRONOUS_COMMIT.iter().find(|level| **level == lower);
    known.copied().or_else(|| match parse_bool(text)? {
        true => Some("on"),
        false => Some("off"),
    })
}

fn print_time(time: Duration) -> String {
    units::print_milliseconds(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn print_quorum(quorum: &QuorumMode) -> String {
    match quorum {
        QuorumMode::Async => "async".to_owned(),
        QuorumMode::Sync { min_replicas } => format!("sync={min_replicas}"),
        QuorumMode::Regions(names) => {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("regions={}", names.join(","))
        }
    }
}
