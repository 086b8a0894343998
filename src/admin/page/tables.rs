//! The tables of the status page.

use std::fmt::{self, Write};

use super::super::escape::Escaped;
use super::super::snapshot::{Capture, Database, Slot, Snapshot};
use super::super::units::{bytes, grouped, span};
use crate::captures::CaptureState;
use crate::replicas::ReplicaSnapshot;
use crate::slots::wal_status::WalStatus;

/// Most rows of a table; the worst are shown.
const MOST_ROWS: usize = 200;

/// Most invalidations that are called recent.
const MOST_INVALIDATIONS: usize = 10;

pub(super) fn write_all(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    write_captures(out, snapshot)?;
    write_slots(out, snapshot)?;
    write_streams(out, snapshot)?;
    write_databases(out, snapshot)?;
    write_invalidations(out, snapshot)?;
    write_connections(out, snapshot)
}

/// A table under its title; a column whose title begins with `#` has numbers. Without rows it
/// says `none`.
fn table(
    out: &mut String,
    title: &str,
    columns: &[&str],
    none: &str,
    rows: &[String],
) -> fmt::Result {
    write!(out, "<h2>{title}</h2>\n<div class=\"scroll\">")?;
    if rows.is_empty() {
        return writeln!(out, "<p class=\"none\">{none}</p></div>");
    }
    out.write_str("<table>\n<thead><tr>")?;
    for column in columns {
        match column.strip_prefix('#') {
            Some(column) => write!(out, "<th class=\"n\">{column}</th>")?,
            None => write!(out, "<th>{column}</th>")?,
        }
    }
    out.write_str("</tr></thead>\n<tbody>\n")?;
    for row in rows.iter().take(MOST_ROWS) {
        writeln!(out, "<tr>{row}</tr>")?;
    }
    out.write_str("</tbody></table>")?;
    let hidden = rows.len().saturating_sub(MOST_ROWS);
    if hidden > 0 {
        write!(out, "<p class=\"none\">and {hidden} more</p>")?;
    }
    out.write_str("</div>\n")
}

fn word(text: &str) -> String {
    format!("<td>{}</td>", Escaped(text))
}

fn figure(text: &str) -> String {
    format!("<td class=\"n\">{}</td>", Escaped(text))
}

fn pill(class: &str, text: &str) -> String {
    format!(
        "<td><span class=\"state {class}\">{}</span></td>",
        Escaped(text)
    )
}

/// Only where there are any: most servers follow nobody.
fn write_captures(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let now = snapshot.now.unix_ms;
    let rows = snapshot.databases.iter().filter_map(|database| {
        let capture = database.capture.as_ref()?;
        Some(capture_row(database, capture, now))
    });
    let rows: Vec<String> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [
        "database",
        "state",
        "upstream",
        "slot there",
        "#head",
        "#behind",
        "#since",
        "#kept there",
        "#transactions",
        "#restarts",
        "last error",
    ];
    table(out, "Captures", &columns, "", &rows)
}

fn capture_row(database: &Database, capture: &Capture, now_unix_ms: u64) -> String {
    let status = &capture.status;
    let class = match status.state {
        CaptureState::Streaming => "good",
        CaptureState::CatchingUp | CaptureState::Connecting | CaptureState::Paused => "warn",
        CaptureState::DiskFull | CaptureState::Stopped => "bad",
    };
    let head = database.spool.head;
    let lag = status.lag_ms(now_unix_ms);
    let last_error = status.last_error.as_ref();
    [
        word(&database.name),
        pill(class, status.state.name()),
        word(status.host.as_deref().unwrap_or_default()),
        word(&capture.slot),
        figure(&head.to_string()),
        figure(&bytes(status.lag_bytes(head))),
        figure(&lag.map_or_else(String::new, span)),
        figure(&status.slot.lag_bytes.map_or_else(String::new, bytes)),
        figure(&grouped(status.num_transactions)),
        figure(&grouped(status.num_restarts)),
        word(last_error.map_or("", |last| last.message.as_str())),
    ]
    .concat()
}

fn write_slots(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let databases = snapshot.databases.iter();
    let mut slots: Vec<(&Database, &Slot)> = databases
        .flat_map(|database| database.slots.iter().map(move |slot| (database, slot)))
        .collect();
    slots.sort_by_key(|(_, slot)| {
        let worst = std::cmp::Reverse(gravity(slot.availability.status));
        (worst, std::cmp::Reverse(slot.lag_bytes))
    });
    let now = snapshot.now.unix_ms;
    let rows = slots.into_iter().map(|(of, slot)| slot_row(of, slot, now));
    let columns = [
        "slot",
        "database",
        "status",
        "#behind",
        "#oldest waits",
        "#kept for it",
        "#may still grow by",
        "used by",
        "#confirmations",
    ];
    let none = "There is no slot yet. A subscriber makes one with CREATE_REPLICATION_SLOT.";
    table(out, "Slots", &columns, none, &rows.collect::<Vec<_>>())
}

const fn gravity(status: WalStatus) -> u8 {
    match status {
        WalStatus::Lost => 3,
        WalStatus::Unreserved => 2,
        WalStatus::Extended => 1,
        WalStatus::Reserved => 0,
    }
}

fn slot_row(database: &Database, slot: &Slot, now_unix_ms: u64) -> String {
    let class = match slot.availability.status {
        WalStatus::Reserved => "good",
        WalStatus::Extended => "warn",
        WalStatus::Unreserved | WalStatus::Lost => "bad",
    };
    let status = match slot.slot.invalidation {
        Some(lost) => format!("{}: {}", slot.availability.status.as_str(), lost.cause),
        None => slot.availability.status.as_str().to_owned(),
    };
    let safe = match slot.availability.safe_wal_size {
        Some(left) if left < 0 => "nothing".to_owned(),
        Some(left) => bytes(left.unsigned_abs()),
        None if slot.slot.invalidation.is_some() => String::new(),
        None => "no limit".to_owned(),
    };
    let used = match (slot.slot.active_pid, slot.slot.inactive_since_unix_ms) {
        (Some(pid), _) => format!("pid {pid}"),
        (None, Some(since)) => format!("nobody for {}", span(now_unix_ms.saturating_sub(since))),
        (None, None) => "nobody".to_owned(),
    };
    [
        word(slot.slot.name.as_str()),
        word(&database.name),
        pill(class, &status),
        figure(&bytes(slot.lag_bytes)),
        figure(&slot.lag_ms.map_or_else(String::new, span)),
        figure(&bytes(slot.retained_bytes)),
        figure(&safe),
        word(&used),
        figure(&grouped(slot.stats.acknowledgements)),
    ]
    .concat()
}

fn write_streams(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let databases = snapshot.databases.iter();
    let rows = databases.flat_map(|database| {
        let streams = database.streams.iter();
        streams.map(move |stream| stream_row(database, stream))
    });
    let columns = [
        "slot",
        "database",
        "application",
        "state",
        "#sent to",
        "#unsent",
        "#written",
        "#flushed",
        "#applied",
    ];
    let rows: Vec<_> = rows.collect();
    table(out, "Streams", &columns, "Nobody streams.", &rows)
}

fn stream_row(database: &Database, stream: &ReplicaSnapshot) -> String {
    let unsent = database.spool.head.distance_from(stream.sent_lsn);
    let lag = |lag: Option<std::time::Duration>| {
        let ms = |lag: std::time::Duration| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        figure(&lag.map_or_else(String::new, |lag| format!("{} later", span(ms(lag)))))
    };
    [
        word(&stream.id),
        word(&database.name),
        word(&stream.application_name),
        word(stream.state.as_str()),
        figure(&stream.sent_lsn.to_string()),
        figure(&bytes(unsent)),
        lag(stream.lags.write),
        lag(stream.lags.flush),
        lag(stream.lags.apply),
    ]
    .concat()
}

fn write_databases(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let rows = snapshot.databases.iter().map(database_row);
    let columns = [
        "database",
        "writer",
        "#head",
        "#spool",
        "#segments",
        "#disk free",
        "#transactions",
        "#records",
        "#commits confirmed",
        "#timed out",
    ];
    table(out, "Databases", &columns, "", &rows.collect::<Vec<_>>())
}

fn database_row(database: &Database) -> String {
    let (class, writer) = match (&database.spool.failure, database.disk_full) {
        (Some(_), _) => ("bad", "stopped"),
        (None, true) => ("bad", "disk full"),
        (None, false) => ("good", "works"),
    };
    [
        word(&database.name),
        pill(class, writer),
        figure(&database.spool.head.to_string()),
        figure(&bytes(database.spool.bytes)),
        figure(&database.num_segments.to_string()),
        figure(&database.disk_free.map_or_else(String::new, bytes)),
        figure(&grouped(database.spool.num_appended)),
        figure(&grouped(database.spool.num_records)),
        figure(&grouped(database.waits.reached)),
        figure(&grouped(database.waits.timed_out)),
    ]
    .concat()
}

fn write_invalidations(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let databases = snapshot.databases.iter();
    let mut lost: Vec<_> = databases
        .flat_map(|of| of.slots.iter().map(move |slot| (of, slot)))
        .filter_map(|(of, slot)| Some((of, slot, slot.slot.invalidation?)))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    lost.sort_by_key(|(_, _, invalidation)| std::cmp::Reverse(invalidation.at_unix_ms));
    lost.truncate(MOST_INVALIDATIONS);
    let rows = lost.into_iter().map(|(of, slot, invalidation)| {
        let ago = span(snapshot.now.unix_ms.saturating_sub(invalidation.at_unix_ms));
        [
            word(&format!("{ago} ago")),
            word(slot.slot.name.as_str()),
            word(&of.name),
            word(invalidation.cause.as_str()),
            figure(&slot.slot.restart_lsn.to_string()),
        ]
        .concat()
    });
    let columns = ["when", "slot", "database", "cause", "#had confirmed"];
    table(
        out,
        "Recent invalidations",
        &columns,
        "",
        &rows.collect::<Vec<_>>(),
    )
}

fn write_connections(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let server = &snapshot.server;
    let there = server.sessions.iter().filter(|kind| kind.count > 0);
    let mut rows: Vec<_> = there
        .map(|kind| {
            let what = format!("{}, {}", kind.backend_type, kind.state);
            word(&what) + &figure(&kind.count.to_string())
        })
        .collect();
    let refused = server.refused.iter().filter(|(_, count)| *count > 0);
    rows.extend(refused.map(|(reason, count)| {
        let what = format!("refused since the start: {reason}");
        word(&what) + &figure(&grouped(*count))
    }));
    for (what, count) in [
        ("dropped since the start: too many sockets", server.dropped),
        ("TLS handshakes failed since the start", server.tls_failed),
    ] {
        if count > 0 {
            rows.push(word(what) + &figure(&grouped(count)));
        }
    }
    let none = "Nobody is connected.";
    table(out, "Connections", &["what", "#how many"], none, &rows)
}
