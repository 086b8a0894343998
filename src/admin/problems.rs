//! What is wrong, the worst first. Pure.

use super::snapshot::{Capture, Database, Slot, Snapshot};
use super::units::{bytes, span};
use crate::captures::CaptureState;
use crate::datum::quote_ident;
use crate::slots::wal_status::WalStatus;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// The server is not ready: it cannot do all that it is there for.
    NotReady,
    /// Somebody has lost something, or is about to.
    Alarm,
    /// To be looked at.
    Notice,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) words: String,
}

impl Problem {
    pub(super) fn not_ready(words: impl Into<String>) -> Self {
        Self::new(Severity::NotReady, words)
    }

    fn new(severity: Severity, words: impl Into<String>) -> Self {
        Self {
            severity,
            words: words.into(),
        }
    }
}

/// All that is wrong in a running server.
pub(super) fn find(snapshot: &Snapshot) -> Vec<Problem> {
    let mut found = Vec::new();
    if snapshot.server.stopping {
        found.push(Problem::not_ready("the server is stopping"));
    }
    if let Some(failure) = &snapshot.roles_failure {
        let words = format!("roles are not changed any more: {failure}; mend the disk and restart");
        found.push(Problem::not_ready(words));
    }
    for database in &snapshot.databases {
        of_database(database, &mut found);
        of_slots(database, snapshot.now.unix_ms, &mut found);
        if let Some(capture) = &database.capture {
            of_capture(&database.name, capture, snapshot.now.unix_ms, &mut found);
        }
    }
    let server = &snapshot.server;
    let (sessions, walsenders) = server.counts();
    of_limit(
        sessions,
        "max_connections",
        server.max_connections,
        &mut found,
    );
    of_limit(
        walsenders,
        "max_wal_senders",
        server.max_wal_senders,
        &mut found,
    );
    found.sort_by_key(|problem| problem.severity);
    found
}

/// What keeps the server from being ready.
pub(super) fn unready(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    let not_ready = |problem: &&Problem| problem.severity == Severity::NotReady;
    problems.iter().filter(not_ready)
}

/// A limit of connections that is nearly used up.
fn of_limit(count: usize, setting: &str, max: usize, found: &mut Vec<Problem>) {
    if max > 0 && count.saturating_mul(10) >= max.saturating_mul(9) {
        let words = format!("{count} of {setting} = {max} are in use");
        found.push(Problem::new(Severity::Notice, words));
    }
}

fn of_database(database: &Database, found: &mut Vec<Problem>) {
    let name = &database.name;
    if let Some(failure) = &database.spool.failure {
        let words = format!(
            "database \"{name}\": the writer has stopped and refuses publishes: {failure}; mend \
             the disk and restart"
        );
        found.push(Problem::not_ready(words));
    }
    if let Some(failure) = &database.slots_failure {
        let words = format!(
            "database \"{name}\": slot positions are not written any more: {failure}; mend the \
             disk and restart"
        );
        found.push(Problem::not_ready(words));
    }
    if database.disk_full {
        let free = database.disk_free.map_or_else(String::new, bytes);
        let words = format!(
            "database \"{name}\": the disk is full: {free} left, and {} stay free (disk_floor); \
             publishes are refused, reading goes on",
            bytes(database.disk_floor)
        );
        found.push(Problem::not_ready(words));
    }
    if database.flow.is_throttled() {
        let words = format!(
            "database \"{name}\": publishes are refused while a subscriber of the quorum is {} \
             behind (flow_control_soft_target_lsn)",
            bytes(database.flow.lag())
        );
        found.push(Problem::new(Severity::Alarm, words));
    }
    if database.set_aside > 0 {
        let words = format!(
            "database \"{name}\": the last recovery set {} aside; see the log of the start",
            bytes(database.set_aside)
        );
        found.push(Problem::new(Severity::Notice, words));
    }
}

fn of_slots(database: &Database, now_unix_ms: u64, found: &mut Vec<Problem>) {
    let with = |status| {
        let slots = database.slots.iter();
        let mut slots: Vec<&Slot> = slots
            .filter(|slot| slot.availability.status == status)
            .collect();
        slots.sort_by_key(|slot| slot.slot.invalidation.map(|lost| lost.at_unix_ms));
        slots
    };
    // The newest says most; a count stands for the rest.
    if let [earlier @ .., newest] = with(WalStatus::Lost).as_slice() {
        let lost = newest.slot.invalidation.map_or_else(String::new, |lost| {
            let ago = span(now_unix_ms.saturating_sub(lost.at_unix_ms));
            format!(" ({}, {ago} ago)", lost.cause)
        });
        let more = more(earlier.len());
        let words = format!(
            "database \"{}\": slot \"{}\"{more} was invalidated{lost}: drop it, create it again \
             and load its subscriber anew",
            database.name, newest.slot.name
        );
        found.push(Problem::new(Severity::Alarm, words));
    }
    if let [others @ .., first] = with(WalStatus::Unreserved).as_slice() {
        let words = format!(
            "database \"{}\": slot \"{}\"{} is past a limit and is lost unless it catches up now",
            database.name,
            first.slot.name,
            more(others.len())
        );
        found.push(Problem::new(Severity::Alarm, words));
    }
}

/// Longer than this nobody is without an upstream for a restart of it.
const UNREACHED_MS: u64 = 60_000;

/// A capture that does not go on. What is here is served all the same: the server stays ready.
fn of_capture(name: &str, capture: &Capture, now_unix_ms: u64, found: &mut Vec<Problem>) {
    let status = &capture.status;
    if let Some(stop) = &capture.stop {
        let words = format!(
            "database \"{name}\": capture has stopped ({}): {}. {}",
            stop.cause, stop.message, stop.hint
        );
        found.push(Problem::new(Severity::Alarm, words));
        return;
    }
    match status.state {
        CaptureState::Paused => {
            let words = format!(
                "database \"{name}\": capture is paused, and the upstream keeps its WAL for slot \
                 \"{}\"; RESUME {} goes on",
                capture.slot,
                quote_ident(name)
            );
            found.push(Problem::new(Severity::Notice, words));
        }
        CaptureState::DiskFull => {
            let words = format!(
                "database \"{name}\": capture waits for room on the disk; it goes on by itself"
            );
            found.push(Problem::new(Severity::Alarm, words));
        }
        CaptureState::Connecting => {
            let silent = status.lag_ms(now_unix_ms).unwrap_or(u64::MAX);
            let Some(last) = status.last_error.as_ref().filter(|_| silent > UNREACHED_MS) else {
                return;
            };
            let words = format!(
                "database \"{name}\": the upstream cannot be reached: {}",
                last.message
            );
            found.push(Problem::new(Severity::Alarm, words));
        }
        CaptureState::CatchingUp | CaptureState::Streaming | CaptureState::Stopped => {}
    }
    if let Some(lost @ ("unreserved" | "lost")) = status.slot.wal_status.as_deref() {
        let words = format!(
            "database \"{name}\": slot \"{}\" on the upstream is {lost}: raise \
             max_slot_wal_keep_size there, or see why capture is slow",
            capture.slot
        );
        found.push(Problem::new(Severity::Alarm, words));
    }
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::watch::{ServerSnapshot, SessionCount};

    #[test]
    fn walsenders_are_held_against_their_own_limit() {
        let count = |backend_type, count| SessionCount {
            backend_type,
            state: "active",
            count,
        };
        let server = ServerSnapshot {
            max_connections: 10,
            max_wal_senders: 100,
            sessions: vec![count("client backend", 8), count("walsender", 90)],
            ..ServerSnapshot::default()
        };
        assert_eq!(server.counts(), (8, 90));
        let mut found = vec![];
        of_limit(8, "max_connections", 10, &mut found);
        assert_eq!(found, []);
        of_limit(90, "max_wal_senders", 100, &mut found);
        let words: Vec<_> = found.iter().map(|problem| problem.words.as_str()).collect();
        assert_eq!(words, ["90 of max_wal_senders = 100 are in use"]);
    }
}
