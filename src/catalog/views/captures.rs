//! `pgspool.captures`: what captured databases follow.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::databases::DatabaseSnapshot;
use crate::catalog::functions::Row;
use crate::datum::Datum;
use crate::engine::Capture;
use crate::lsn::Lsn;

use super::Rows;
use super::cell::{Cell, array, row, time_ms};

/// `pgspool.captures`
pub(super) fn captures(context: &Arc<Context>) -> Rows {
    let now = context.now.unix_ms;
    // As PostgreSQL hides a subscription's connection string. Errors and plans repeat it.
    let sees_all = context.host.caller().is_monitor();
    let rows = context.databases().iter().filter_map(|database| {
        let capture = database.engine.capture()?;
        Some(capture_row(database, capture, now, sees_all))
    });
    rows.collect::<Vec<Row>>().into()
}

fn capture_row(
    database: &DatabaseSnapshot,
    capture: &Capture,
    now_unix_ms: u64,
    sees_all: bool,
) -> Row {
    let hidden = |text: &str| sees_all.then(|| text.to_owned());
    let settings = capture.settings();
    let status = capture.status.get();
    let head = database.state.spool.head;
    let slot = &status.slot;
    let name = database.state.database.as_str();
    let stop = status.stop.as_ref();
    let stop = stop.map(|reason| reason.explain(name, &settings));
    let lag = status.lag_ms(now_unix_ms);
    row![
        name,
        status.state.name(),
        hidden(&settings.upstream),
        status.host.as_deref().and_then(hidden),
        status.server_version.as_deref(),
        array(&settings.publications),
        settings.slot.as_str(),
        status.system_id.map(|id| id.to_string()),
        status.timeline,
        some(status.received_lsn),
        some(head),
        some(status.acknowledged_lsn),
        some(status.upstream_lsn),
        (status.upstream_lsn > Lsn::ZERO).then(|| status.lag_bytes(head)),
        lag.map(seconds),
        time(status.last_commit_ms),
        time(status.last_message_ms),
        status.buffered_bytes,
        status.spilled_bytes,
        status.num_transactions,
        status.num_bytes,
        status.num_restarts,
        status
            .last_error
            .as_ref()
            .and_then(|last| hidden(&last.message)),
        status.last_error.as_ref().map(|last| time_ms(last.at_ms)),
        slot.restart_lsn,
        slot.confirmed_flush_lsn,
        slot.wal_status.as_deref(),
        slot.lag_bytes,
        time(slot.at_ms),
        stop.as_ref().map(|stop| stop.cause),
        stop.as_ref().and_then(|stop| hidden(&stop.message)),
        stop.as_ref().and_then(|stop| stop.missing_from),
        stop.as_ref().and_then(|stop| stop.missing_to),
        stop.as_ref().and_then(|stop| hidden(&stop.hint)),
    ]
}

/// A position, where there is one yet.
fn some(position: Lsn) -> Option<Lsn> {
    (position > Lsn::ZERO).then_some(position)
}

/// A time, where there was one.
fn time(unix_ms: u64) -> Datum {
    (unix_ms > 0).then(|| time_ms(unix_ms)).cell()
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
