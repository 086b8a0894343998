//! The metrics: their names, labels and values. `docs/operations.md` lists them; names and labels
//! are promises.

mod captures;

use super::exposition::{Exposition, Labels};
use super::snapshot::{Database, Slot, Snapshot};
use super::units::{length, number, signed};
use crate::replicas::{ReplicaSnapshot, ReplicaState};
use crate::slots::wal_status::WalStatus;

const STATUSES: [WalStatus; 4] = [
    WalStatus::Reserved,
    WalStatus::Extended,
    WalStatus::Unreserved,
    WalStatus::Lost,
];

const STATES: [ReplicaState; 4] = [
    ReplicaState::Startup,
    ReplicaState::Catchup,
    ReplicaState::Streaming,
    ReplicaState::Stopping,
];

/// What there is to say at any time, also before the databases are open.
pub(super) fn of_process(out: &mut Exposition, ready: bool) {
    out.gauge(
        "pgspool_build_info",
        "Always 1; the version is a label.",
        [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    );
    out.gauge(
        "pgspool_ready",
        "1 when /readyz answers 200, else 0.",
        [(vec![], flag(ready))],
    );
}

/// All that a running server has to say.
pub(super) fn of_snapshot(out: &mut Exposition, snapshot: &Snapshot) {
    of_server(out, snapshot);
    of_spools(out, &snapshot.databases);
    of_syncs(out, &snapshot.databases);
    of_commits(out, &snapshot.databases);
    of_slots(out, snapshot);
    of_slot_counts(out, &snapshot.databases);
    of_streams(out, snapshot);
    captures::of_captures(out, snapshot);
}

fn of_server(out: &mut Exposition, snapshot: &Snapshot) {
    let server = &snapshot.server;
    out.gauge(
        "pgspool_start_time_seconds",
        "When the server started, unix time.",
        [(vec![], seconds(server.started_unix_ms))],
    );
    let sessions = server.sessions.iter().map(|kind| {
        let labels = vec![("backend_type", kind.backend_type), ("state", kind.state)];
        (labels, length(kind.count))
    });
    out.gauge(
        "pgspool_connections",
        "Sessions by what they are and do, as in pg_stat_activity.",
        sessions,
    );
    out.gauge(
        "pgspool_connections_max",
        "The setting max_connections: most sessions, walsenders aside.",
        [(vec![], length(server.max_connections))],
    );
    out.gauge(
        "pgspool_walsenders_max",
        "The setting max_wal_senders: most replication connections.",
        [(vec![], length(server.max_wal_senders))],
    );
    out.gauge(
        "pgspool_roles_write_failed",
        "1 when a failed write has stopped the changing of roles.",
        [(vec![], flag(snapshot.roles_failure.is_some()))],
    );
    out.counter(
        "pgspool_connections_accepted_total",
        "Sockets accepted.",
        [(vec![], server.accepted)],
    );
    out.counter(
        "pgspool_connections_dropped_total",
        "Sockets closed without a word since there were too many.",
        [(vec![], server.dropped)],
    );
    out.counter(
        "pgspool_sessions_total",
        "Sessions that began.",
        [(vec![], server.begun)],
    );
    let refused = server.refused.iter();
    let refused = refused.map(|(reason, count)| (vec![("reason", *reason)], *count));
    out.counter(
        "pgspool_logins_refused_total",
        "Connections refused before they became sessions, by reason.",
        refused,
    );
    out.counter(
        "pgspool_tls_handshakes_failed_total",
        "TLS handshakes that failed.",
        [(vec![], server.tls_failed)],
    );
}

fn of_spools(out: &mut Exposition, databases: &[Database]) {
    let mut gauge = |name, help, value: fn(&Database) -> Option<f64>| {
        out.gauge(name, help, each(databases, value));
    };
    gauge(
        "pgspool_head_lsn_bytes",
        "End of the last durable transaction (pg_current_wal_lsn) as a number.",
        |database| Some(number(database.spool.head.get())),
    );
    gauge(
        "pgspool_removed_through_lsn_bytes",
        "Everything at or below this position was removed.",
        |database| Some(number(database.spool.removed_through.get())),
    );
    gauge(
        "pgspool_spool_bytes",
        "Bytes of all segments.",
        |database| Some(number(database.spool.bytes)),
    );
    gauge("pgspool_spool_segments", "Segments.", |database| {
        Some(length(database.num_segments))
    });
    gauge(
        "pgspool_disk_free_bytes",
        "Bytes that the database's files may still take.",
        |database| database.disk_free.map(number),
    );
    gauge(
        "pgspool_disk_floor_bytes",
        "Bytes that stay free (disk_floor); 0: no floor.",
        |database| Some(number(database.disk_floor)),
    );
    gauge(
        "pgspool_disk_full",
        "1 when publishes are refused for want of disk space.",
        |database| Some(flag(database.disk_full)),
    );
    gauge(
        "pgspool_writer_failed",
        "1 when a failed write or sync has stopped the writer for good.",
        |database| Some(flag(database.spool.failure.is_some())),
    );
    gauge(
        "pgspool_slots_write_failed",
        "1 when a failed write has stopped the writing of slot positions.",
        |database| Some(flag(database.slots_failure.is_some())),
    );
    gauge(
        "pgspool_recovery_set_aside_bytes",
        "Bytes that the last recovery cut off and kept.",
        |database| Some(number(database.set_aside)),
    );
}

fn of_syncs(out: &mut Exposition, databases: &[Database]) {
    let mut counter = |name, help, value: fn(&Database) -> u64| {
        out.counter(name, help, each(databases, |of| Some(value(of))));
    };
    counter(
        "pgspool_published_transactions_total",
        "Transactions published.",
        |database| database.spool.num_appended,
    );
    counter(
        "pgspool_published_records_total",
        "Records published.",
        |database| database.spool.num_records,
    );
    counter(
        "pgspool_published_bytes_total",
        "Bytes of the published records' frames.",
        |database| database.spool.num_record_bytes,
    );
    counter(
        "pgspool_rendered_transactions_total",
        "Transactions rendered for streams; those that asked for the same share one rendering.",
        |database| database.rendered.0,
    );
    counter(
        "pgspool_rendered_bytes_total",
        "Bytes of the messages that were rendered.",
        |database| database.rendered.1,
    );
    const MICROS: f64 = 1_000_000.0;
    out.histogram(
        "pgspool_sync_duration_seconds",
        "How long the writer's syncs took.",
        MICROS,
        each(databases, |database| Some(&database.syncs.micros)),
    );
    out.histogram(
        "pgspool_sync_records",
        "How many records a sync made durable.",
        1.0,
        each(databases, |database| Some(&database.syncs.records)),
    );
}

fn of_commits(out: &mut Exposition, databases: &[Database]) {
    let waits = databases.iter().flat_map(|database| {
        let waits = &database.waits;
        let outcomes = [
            ("confirmed", waits.reached),
            ("timed_out", waits.timed_out),
            ("not_required", waits.not_required),
            ("unmet", waits.unmet),
        ];
        outcomes.map(|(outcome, count)| (labels(database, [("outcome", outcome)]), count))
    });
    out.counter(
        "pgspool_commit_waits_total",
        "Commits by how their wait for others ended.",
        waits,
    );
    out.gauge(
        "pgspool_commits_waiting",
        "Commits that wait for others now.",
        each(databases, |database| Some(length(database.num_waiting))),
    );
    out.gauge(
        "pgspool_flow_control_throttled",
        "1 while publishes are refused since a subscriber of the quorum is too far behind.",
        each(databases, |database| {
            Some(flag(database.flow.is_throttled()))
        }),
    );
    let invalidations = databases.iter().flat_map(|database| {
        let causes = database.invalidations.iter();
        causes.map(|(cause, count)| (labels(database, [("cause", cause.as_str())]), *count))
    });
    out.counter(
        "pgspool_slot_invalidations_total",
        "Slots invalidated, by cause.",
        invalidations,
    );
}

fn of_slots(out: &mut Exposition, snapshot: &Snapshot) {
    let databases = &snapshot.databases;
    let now = snapshot.now.unix_ms;
    let idle = move |slot: &Slot| {
        let since = slot.slot.inactive_since_unix_ms;
        since.map_or(0.0, |since| seconds(now.saturating_sub(since)))
    };
    let status = all_slots(databases).flat_map(|(database, slot)| {
        STATUSES.map(|status| {
            let is = slot.availability.status == status;
            let labels = of_slot(database, slot, [("wal_status", status.as_str())]);
            (labels, flag(is))
        })
    });
    out.gauge(
        "pgspool_slot_wal_status",
        "1 for the wal_status that the slot has, 0 for the others.",
        status,
    );
    out.gauge(
        "pgspool_slot_inactive_seconds",
        "For how long nobody has used the slot; 0 while it is used.",
        each_slot(databases, |slot| Some(idle(slot))),
    );
    let mut gauge = |name, help, value: fn(&Slot) -> Option<f64>| {
        out.gauge(name, help, each_slot(databases, value));
    };
    gauge(
        "pgspool_slot_lag_bytes",
        "Head less what the slot's client has confirmed (restart_lsn).",
        |slot| Some(number(slot.lag_bytes)),
    );
    gauge(
        "pgspool_slot_lag_seconds",
        "Age of the oldest transaction that the slot's client has not confirmed.",
        |slot| slot.lag_ms.map(seconds),
    );
    gauge(
        "pgspool_slot_restart_lsn_bytes",
        "The slot's restart_lsn as a number.",
        |slot| Some(number(slot.slot.restart_lsn.get())),
    );
    gauge(
        "pgspool_slot_safe_wal_bytes",
        "Bytes that may be written before the slot is past a limit; negative when it is.",
        |slot| slot.availability.safe_wal_size.map(signed),
    );
    gauge(
        "pgspool_slot_retained_bytes",
        "Bytes of segments that hold what the slot's client has not confirmed.",
        |slot| Some(number(slot.retained_bytes)),
    );
    gauge(
        "pgspool_slot_active",
        "1 while a stream or session uses the slot.",
        |slot| Some(flag(slot.slot.active_pid.is_some())),
    );
}

fn of_slot_counts(out: &mut Exposition, databases: &[Database]) {
    let mut counter = |name, help, value: fn(&Slot) -> u64| {
        out.counter(name, help, each_slot(databases, |slot| Some(value(slot))));
    };
    counter(
        "pgspool_slot_acknowledgements_total",
        "Confirmations taken from the slot's client.",
        |slot| slot.stats.acknowledgements,
    );
    counter(
        "pgspool_slot_sent_transactions_total",
        "Transactions sent from the slot.",
        |slot| slot.stats.total_txns,
    );
    counter(
        "pgspool_slot_sent_bytes_total",
        "Bytes of the messages sent from the slot.",
        |slot| slot.stats.total_bytes,
    );
    let resyncs = all_slots(databases).flat_map(|(database, slot)| {
        let kinds = [
            ("partial", slot.stats.partial_resyncs),
            ("full", slot.stats.full_resyncs),
        ];
        kinds.map(|(kind, count)| (of_slot(database, slot, [("kind", kind)]), count))
    });
    out.counter(
        "pgspool_slot_resyncs_total",
        "Starts on the slot: partial ones went on where it stood, full ones were refused since \
         the subscriber has to be loaded anew.",
        resyncs,
    );
}

fn of_streams(out: &mut Exposition, snapshot: &Snapshot) {
    let databases = &snapshot.databases;
    let states = databases.iter().flat_map(|database| {
        STATES.map(|state| {
            let streams = database.streams.iter();
            let count = streams.filter(|stream| stream.state == state).count();
            let labels = labels(database, [("state", state.as_str())]);
            (labels, length(count))
        })
    });
    out.gauge(
        "pgspool_streams",
        "Running streams by state, as in pg_stat_replication.",
        states,
    );
    let mut gauge = |name, help, value: fn(&Database, &ReplicaSnapshot) -> Option<f64>| {
        let streams = databases.iter().flat_map(|database| {
            let streams = database.streams.iter();
            streams.filter_map(move |stream| {
                let labels = labels(database, [("slot", stream.id.as_str())]);
                Some((labels, value(database, stream)?))
            })
        });
        out.gauge(name, help, streams);
    };
    gauge(
        "pgspool_stream_unsent_bytes",
        "Head less what was sent to the stream.",
        |database, stream| Some(number(database.spool.head.distance_from(stream.sent_lsn))),
    );
    gauge(
        "pgspool_stream_write_lag_seconds",
        "write_lag of pg_stat_replication.",
        |_, stream| stream.lags.write.map(|lag| lag.as_secs_f64()),
    );
    gauge(
        "pgspool_stream_flush_lag_seconds",
        "flush_lag of pg_stat_replication.",
        |_, stream| stream.lags.flush.map(|lag| lag.as_secs_f64()),
    );
    gauge(
        "pgspool_stream_replay_lag_seconds",
        "replay_lag of pg_stat_replication.",
        |_, stream| stream.lags.apply.map(|lag| lag.as_secs_f64()),
    );
}

/// One sample for each database that has something to say.
fn each<'a, T: 'a>(
    databases: &'a [Database],
    value: impl Fn(&'a Database) -> Option<T>,
) -> impl Iterator<Item = (Labels<'a>, T)> {
    let of = move |database| Some((labels(database, []), value(database)?));
    databases.iter().filter_map(of)
}

/// One sample for each slot that has something to say.
fn each_slot<'a, T>(
    databases: &'a [Database],
    value: impl Fn(&'a Slot) -> Option<T>,
) -> impl Iterator<Item = (Labels<'a>, T)> {
    let of = move |(database, slot)| Some((of_slot(database, slot, []), value(slot)?));
    all_slots(databases).filter_map(of)
}

fn all_slots(databases: &[Database]) -> impl Iterator<Item = (&Database, &Slot)> {
    databases
        .iter()
        .flat_map(|database| database.slots.iter().map(move |slot| (database, slot)))
}

fn of_slot<'a, const N: usize>(
    database: &'a Database,
    slot: &'a Slot,
    more: [(&'static str, &'a str); N],
) -> Labels<'a> {
    let mut all = labels(database, [("slot", slot.slot.name.as_str())]);
    all.extend(more);
    all
}

fn labels<'a, const N: usize>(
    database: &'a Database,
    more: [(&'static str, &'a str); N],
) -> Labels<'a> {
    let mut all = vec![("database", database.name.as_str())];
    all.extend(more);
    all
}

fn seconds(ms: u64) -> f64 {
    number(ms) / 1000.0
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
