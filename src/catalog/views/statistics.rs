//! PostgreSQL's statistics of databases and of the server.
//!
//! What does not happen here (buffers, checkpoints, conflicts, deadlocks) is 0. What happens and
//! is not counted is NULL, never a number that would be wrong.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;

use super::Rows;
use super::cell::{NULL, row, time_ms};

/// `pg_stat_database`
pub(super) fn databases(context: &Arc<Context>) -> Rows {
    let sessions = context.host.sessions();
    let started = context.host.server_started_unix_ms();
    let rows = context.databases().iter().map(|database| {
        let name = database.state.database.as_str();
        let backends = sessions.iter().filter(|session| session.database == name);
        row![
            database.oid,
            name,
            backends.count(),
            // xact_commit: transactions published since the start; xact_rollback
            database.state.spool.num_appended,
            NULL,
            // blks_read, blks_hit
            0,
            0,
            // tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            // conflicts, temp_files, temp_bytes, deadlocks
            0,
            0,
            0,
            0,
            // checksum_failures: one would have stopped the reader; checksum_last_failure
            NULL,
            NULL,
            // blk_read_time, blk_write_time
            0.0,
            0.0,
            // session_time, active_time, idle_in_transaction_time
            NULL,
            NULL,
            NULL,
            // sessions, sessions_abandoned, sessions_fatal, sessions_killed
            NULL,
            NULL,
            NULL,
            NULL,
            time_ms(started),
        ]
    });
    rows.collect::<Vec<Row>>().into()
}

/// `pg_stat_database_conflicts`
pub(super) fn conflicts(context: &Arc<Context>) -> Rows {
    let rows = context.databases().iter().map(|database| {
        let name = database.state.database.as_str();
        row![database.oid, name, 0, 0, 0, 0, 0]
    });
    rows.collect::<Vec<Row>>().into()
}

/// `pg_stat_bgwriter`: there are no checkpoints and no buffers.
pub(super) fn bgwriter(context: &Arc<Context>) -> Rows {
    let started = time_ms(context.host.server_started_unix_ms());
    vec![row![0, 0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, started]].into()
}

/// `pg_stat_archiver`: nothing is archived.
pub(super) fn archiver(context: &Arc<Context>) -> Rows {
    let started = time_ms(context.host.server_started_unix_ms());
    vec![row![0, NULL, NULL, 0, NULL, NULL, started]].into()
}

/// `pg_stat_wal`: the spools of all databases since the start.
pub(super) fn wal(context: &Arc<Context>) -> Rows {
    let spools = || {
        context
            .databases()
            .iter()
            .map(|database| &database.state.spool)
    };
    let appended: u64 = spools().map(|spool| spool.num_appended).sum();
    let syncs: u64 = spools().map(|spool| spool.num_syncs).sum();
    let started = time_ms(context.host.server_started_unix_ms());
    // wal_records, wal_fpi, wal_bytes, wal_buffers_full, wal_write, wal_sync, wal_write_time,
    // wal_sync_time, stats_reset
    vec![row![appended, 0, NULL, 0, NULL, syncs, NULL, NULL, started]].into()
}
