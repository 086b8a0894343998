//! Metrics of captured databases.

use super::super::exposition::{Exposition, Labels};
use super::super::snapshot::{Capture, Database, Snapshot};
use super::super::units::number;
use super::{flag, labels, seconds};
use crate::captures::CaptureState;
use crate::lsn::Lsn;

const STATES: [CaptureState; 6] = [
    CaptureState::Connecting,
    CaptureState::CatchingUp,
    CaptureState::Streaming,
    CaptureState::Paused,
    CaptureState::DiskFull,
    CaptureState::Stopped,
];

pub(super) fn of_captures(out: &mut Exposition, snapshot: &Snapshot) {
    let databases = &snapshot.databases;
    let states = captured(databases).flat_map(|(database, capture)| {
        STATES.map(|state| {
            let labels = labels(database, [("state", state.name())]);
            (labels, flag(capture.status.state == state))
        })
    });
    out.gauge(
        "pgspool_capture_state",
        "1 for the state that the capture is in, 0 for the others.",
        states,
    );
    let now = snapshot.now.unix_ms;
    out.gauge(
        "pgspool_capture_lag_seconds",
        "0 while the capture streams near the upstream's end; else the age of what came last.",
        each(databases, |_, of| of.status.lag_ms(now).map(seconds)),
    );
    of_positions(out, databases);
    of_upstream_slots(out, databases);
    of_counts(out, databases);
}

fn of_positions(out: &mut Exposition, databases: &[Database]) {
    let mut gauge = |name, help, value: fn(&Database, &Capture) -> Option<f64>| {
        out.gauge(name, help, each(databases, value));
    };
    gauge(
        "pgspool_capture_received_lsn_bytes",
        "End of what came in from the upstream, stored or not, as a number.",
        |_, of| position(of.status.received_lsn),
    );
    gauge(
        "pgspool_capture_acknowledged_lsn_bytes",
        "What was confirmed to the upstream, as a number.",
        |_, of| position(of.status.acknowledged_lsn),
    );
    gauge(
        "pgspool_capture_upstream_lsn_bytes",
        "End of the upstream's WAL, as it was last said, as a number.",
        |_, of| position(of.status.upstream_lsn),
    );
    gauge(
        "pgspool_capture_lag_bytes",
        "From the head to the end of the upstream's WAL, as it was last said.",
        |database, of| {
            position(of.status.upstream_lsn)?;
            Some(number(of.status.lag_bytes(database.spool.head)))
        },
    );
    gauge(
        "pgspool_capture_buffered_bytes",
        "Transactions under way, in memory.",
        |_, of| Some(number(of.status.buffered_bytes)),
    );
    gauge(
        "pgspool_capture_spilled_bytes",
        "Transactions under way, in temporary files.",
        |_, of| Some(number(of.status.spilled_bytes)),
    );
}

fn of_upstream_slots(out: &mut Exposition, databases: &[Database]) {
    out.gauge(
        "pgspool_capture_upstream_slot_lag_bytes",
        "WAL that the slot of the capture holds back on the upstream.",
        each(databases, |_, of| of.status.slot.lag_bytes.map(number)),
    );
    out.gauge(
        "pgspool_capture_upstream_slot_restart_lsn_bytes",
        "restart_lsn of the slot on the upstream, as a number.",
        each(databases, |_, of| {
            of.status.slot.restart_lsn.and_then(position)
        }),
    );
    let statuses = captured(databases).filter_map(|(database, capture)| {
        let status = capture.status.slot.wal_status.as_deref()?;
        Some((labels(database, [("wal_status", status)]), 1.0))
    });
    out.gauge(
        "pgspool_capture_upstream_slot_wal_status",
        "Always 1; wal_status of the slot on the upstream is a label.",
        statuses,
    );
}

fn of_counts(out: &mut Exposition, databases: &[Database]) {
    let mut counter = |name, help, value: fn(&Capture) -> u64| {
        out.counter(name, help, each(databases, |_, of| Some(value(of))));
    };
    counter(
        "pgspool_capture_transactions_total",
        "Transactions stored from the upstream.",
        |of| of.status.num_transactions,
    );
    counter(
        "pgspool_capture_bytes_total",
        "Bytes of messages received from the upstream.",
        |of| of.status.num_bytes,
    );
    counter(
        "pgspool_capture_restarts_total",
        "Connections to the upstream that were made anew.",
        |of| of.status.num_restarts,
    );
}

fn captured(databases: &[Database]) -> impl Iterator<Item = (&Database, &Capture)> {
    let all = databases.iter();
    all.filter_map(|database| Some((database, database.capture.as_ref()?)))
}

/// One sample for each captured database that has something to say.
fn each<'a, T>(
    databases: &'a [Database],
    value: impl Fn(&'a Database, &'a Capture) -> Option<T>,
) -> impl Iterator<Item = (Labels<'a>, T)> {
    let of = move |(database, capture)| Some((labels(database, []), value(database, capture)?));
    captured(databases).filter_map(of)
}

fn position(position: Lsn) -> Option<f64> {
    (position > Lsn::ZERO).then(|| number(position.get()))
}
