//! Who reads: `pg_stat_replication`, `pg_stat_replication_slots`, `pgspool.replicas`,
//! `pgspool.topology`, `pgspool.commit_waits`.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::databases::DatabaseSnapshot;
use crate::catalog::functions::Row;
use crate::catalog::{Caller, Context, SessionInfo};
use crate::datum::Datum;
use crate::replicas::topology::{Caller as Gate, Endpoint, LagEstimate, Topology};
use crate::replicas::{CommitSettings, ReplicaSnapshot, StandbyNames, SyncState, sync_states};
use crate::slots::SlotSnapshot;

use super::Rows;
use super::cell::{NULL, interval, row, time_ms};
use super::sessions::client;

/// Replicas with how each counts for commits.
fn replicas_of(database: &DatabaseSnapshot) -> impl Iterator<Item = (&ReplicaSnapshot, SyncState)> {
    let all = database.replicas();
    let states = sync_states(&database.engine.replicas().settings(), all);
    all.iter().zip(states)
}

/// `pg_stat_replication`: the streams of the databases that the caller may use; of those of other
/// roles only who they are.
pub(super) fn replication(context: &Arc<Context>) -> Rows {
    let sessions = context.host.sessions();
    let caller = context.host.caller();
    let mut rows: Vec<Row> = Vec::new();
    for database in context.databases() {
        let slots = database.slots(&caller);
        for (replica, sync) in replicas_of(database) {
            let session = sessions.iter().find(|session| session.pid == replica.pid);
            rows.push(if sees(&caller, session, &slots, replica) {
                replication_row(session, replica, &sync)
            } else {
                hidden_row(session, replica)
            });
        }
    }
    rows.into()
}

/// Whether the caller sees all of a stream: by its session, or by its slot.
fn sees(
    caller: &Caller,
    session: Option<&SessionInfo>,
    slots: &[&SlotSnapshot],
    replica: &ReplicaSnapshot,
) -> bool {
    caller.is_monitor()
        || session.is_some_and(|session| caller.sees_session_of(session.role))
        || slots.iter().any(|slot| slot.name.as_str() == replica.id)
}

/// What everybody sees of a stream. The name of its slot, which stands for the application's
/// where that has none, is not told.
fn hidden_row(session: Option<&SessionInfo>, replica: &ReplicaSnapshot) -> Row {
    let mut row = row![
        (replica.pid != 0).then_some(replica.pid),
        session.map(|session| session.role),
        session.map(|session| session.user.as_str()),
        session.map(|session| session.application_name.as_str()),
    ];
    // client_addr up to reply_time
    row.extend(std::iter::repeat_n(NULL, 16));
    row
}

fn replication_row(
    session: Option<&SessionInfo>,
    replica: &ReplicaSnapshot,
    sync: &SyncState,
) -> Row {
    let (client_addr, client_port) = session.map_or((NULL, NULL), client);
    let replied = replica.acknowledged;
    let started = session.map(|session| session.started_unix_ms);
    row![
        (replica.pid != 0).then_some(replica.pid),
        session.map(|session| session.role),
        session.map(|session| session.user.as_str()),
        replica.application_name.as_str(),
        client_addr,
        // client_hostname
        NULL,
        client_port,
        time_ms(started.unwrap_or(replica.connected_at_unix_ms)),
        // backend_xmin
        NULL,
        replica.state.as_str(),
        replica.sent_lsn,
        // As PostgreSQL: NULL before the first reply.
        replied.then_some(replica.written_lsn),
        replied.then_some(replica.durable_lsn),
        replied.then_some(replica.applied_lsn),
        replica.lags.write.map(lag),
        replica.lags.flush.map(lag),
        replica.lags.apply.map(lag),
        sync.priority,
        sync.state,
        replica.reply_unix_ms.map(time_ms),
    ]
}

fn lag(lag: Duration) -> Datum {
    interval(i64::try_from(lag.as_micros()).unwrap_or(i64::MAX))
}

/// `pg_stat_replication_slots`, of the slots that the caller sees. Nothing is ever spilled or
/// streamed before its commit.
pub(super) fn replication_slots(context: &Arc<Context>) -> Rows {
    let caller = context.host.caller();
    let mut rows: Vec<Row> = Vec::new();
    for database in context.databases() {
        for (name, stats) in database.slot_stats(&caller) {
            rows.push(row![
                name.as_str(),
                // spill_txns, spill_count, spill_bytes, stream_txns, stream_count, stream_bytes
                0,
                0,
                0,
                0,
                0,
                0,
                stats.total_txns,
                stats.total_bytes,
                stats.stats_reset_unix_ms.map(time_ms),
            ]);
        }
    }
    rows.into()
}

/// `pgspool.replicas`; of those of other roles only where and by which session.
pub(super) fn replicas(context: &Arc<Context>) -> Rows {
    let sessions = context.host.sessions();
    let caller = context.host.caller();
    let mut rows: Vec<Row> = Vec::new();
    for database in context.databases() {
        let slots = database.slots(&caller);
        let advertised = advertised(context, database, Gate::Authenticated).replicas;
        for ((replica, sync), shown) in replicas_of(database).zip(advertised) {
            let session = sessions.iter().find(|session| session.pid == replica.pid);
            rows.push(if sees(&caller, session, &slots, replica) {
                replica_row(database, replica, &sync, shown.healthy)
            } else {
                let mut row = row![
                    database.state.database.as_str(),
                    NULL,
                    NULL,
                    (replica.pid != 0).then_some(replica.pid),
                ];
                row.extend(std::iter::repeat_n(NULL, 15));
                row
            });
        }
    }
    rows.into()
}

fn replica_row(
    database: &DatabaseSnapshot,
    replica: &ReplicaSnapshot,
    sync: &SyncState,
    healthy: bool,
) -> Row {
    let head = database.state.spool.head;
    row![
        database.state.database.as_str(),
        replica.id.as_str(),
        replica.region.as_deref(),
        (replica.pid != 0).then_some(replica.pid),
        replica.application_name.as_str(),
        replica.state.as_str(),
        replica.sent_lsn,
        replica.written_lsn,
        replica.durable_lsn,
        replica.applied_lsn,
        head.distance_from(replica.applied_lsn),
        replica.acknowledged,
        sync.state,
        replica.rebootstrapping,
        healthy,
        replica.apply_errors,
        replica.divergences,
        time_ms(replica.connected_at_unix_ms),
        time_ms(replica.last_seen.unix_ms),
    ]
}

/// What the session may see of the fleet: all of it with MONITOR, else the primary only.
fn gate(context: &Context) -> Gate {
    if context.host.caller().is_monitor() {
        Gate::Authenticated
    } else {
        Gate::Denied
    }
}

/// A database's fleet, as far as the gate lets it through.
fn advertised(context: &Context, database: &DatabaseSnapshot, gate: Gate) -> Topology {
    let replicas = database.engine.replicas();
    let server = context.host.session().server;
    let primary = Endpoint {
        addr: server.map(|server| server.to_string()).unwrap_or_default(),
        region: UNKNOWN_REGION.to_owned(),
    };
    Topology::advertise(
        database.replicas(),
        gate,
        replicas.epoch(),
        primary,
        database.state.spool.head,
        LagEstimate::default(),
        context.now,
    )
}

/// The primary declares no region.
const UNKNOWN_REGION: &str = "unknown";

/// `pgspool.topology`
pub(super) fn topology(context: &Arc<Context>) -> Rows {
    let gate = gate(context);
    let mut rows: Vec<Row> = Vec::new();
    for database in context.databases() {
        let name = database.state.database.as_str();
        let spool = &database.state.spool;
        let topology = advertised(context, database, gate);
        let at = topology.primary;
        rows.push(row![
            name,
            topology.epoch,
            "primary",
            (!at.addr.is_empty()).then_some(at.addr),
            at.region,
            spool.failure.is_none(),
            0,
            spool.head,
            false,
        ]);
        for replica in topology.replicas {
            rows.push(row![
                name,
                topology.epoch,
                "replica",
                replica.endpoint.addr,
                replica.endpoint.region,
                replica.healthy,
                (replica.lag_ms != u32::MAX).then_some(replica.lag_ms),
                replica.last_applied_lsn,
                replica.rebootstrapping,
            ]);
        }
    }
    rows.into()
}

/// `pgspool.commit_waits`: one row for each database.
pub(super) fn commit_waits(context: &Arc<Context>) -> Rows {
    let rows = context.databases().iter().map(|database| {
        let replicas = database.engine.replicas();
        let settings = replicas.settings();
        let metrics = replicas.wait_metrics();
        let (num_waiting, lowest) = replicas.waiting();
        let released = replicas.released_lsn();
        let flow = replicas.flow();
        row![
            database.state.database.as_str(),
            policy_in_force(&settings),
            settings.standbys.to_string(),
            num_waiting,
            lowest,
            (released.get() > 0).then_some(released),
            metrics.reached,
            metrics.timed_out,
            metrics.not_required,
            metrics.last_wait_micros,
            settings.soft_target_lsn,
            flow.lag(),
            flow.is_throttled(),
        ]
    });
    rows.collect::<Vec<Row>>().into()
}

/// What a commit waits for: PostgreSQL's setting, where it is set, else ours.
fn policy_in_force(settings: &CommitSettings) -> String {
    if settings.standbys == StandbyNames::Nobody {
        settings.policy.to_string()
    } else {
        "synchronous_standby_names".to_owned()
    }
}
