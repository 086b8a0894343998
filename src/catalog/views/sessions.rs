//! Who is connected: `pg_stat_activity`, `pg_stat_ssl`, `pg_stat_gssapi`.

use std::sync::Arc;

use crate::catalog::functions::Row;
use crate::catalog::{Context, SessionInfo};
use crate::datum::Datum;

use super::Rows;
use super::cell::{Cell, NULL, row, time_ms};

/// `pg_stat_activity`
pub(super) fn activity(context: &Arc<Context>) -> Rows {
    let sessions = context.host.sessions();
    let caller = context.host.caller();
    // Which database somebody is connected to is seen by all, as on PostgreSQL.
    let oids = context.all_database_oids();
    let rows = sessions.iter().map(|session| {
        let database = oids.iter().find(|(name, _)| *name == session.database);
        if caller.sees_session_of(session.role) {
            activity_row(database, session)
        } else {
            hidden_row(database, session)
        }
    });
    rows.collect::<Vec<Row>>().into()
}

/// What everybody sees of a session.
fn hidden_row(database: Option<&(String, u32)>, session: &SessionInfo) -> Row {
    let mut row = row![
        database.map(|(_, oid)| *oid),
        database.map(|(name, _)| name.as_str()),
        session.pid,
        NULL,
        session.role,
        session.user.as_str(),
        session.application_name.as_str(),
    ];
    // client_addr up to query_id
    row.extend(std::iter::repeat_n(NULL, 13));
    row.extend(["<insufficient privilege>".cell(), NULL]);
    row
}

fn activity_row(database: Option<&(String, u32)>, session: &SessionInfo) -> Row {
    let waits = session
        .wait_event
        .or(match (session.state, session.backend_type) {
            ("active", "walsender") => Some(("Activity", "WalSenderMain")),
            ("active", _) => None,
            _idle => Some(("Client", "ClientRead")),
        });
    let (client_addr, client_port) = client(session);
    row![
        database.map(|(_, oid)| *oid),
        database.map(|(name, _)| name.as_str()),
        session.pid,
        // leader_pid
        NULL,
        session.role,
        session.user.as_str(),
        session.application_name.as_str(),
        client_addr,
        // client_hostname: nobody looks names up
        NULL,
        client_port,
        time_ms(session.started_unix_ms),
        session.transaction_unix_ms.map(time_ms),
        session.query_unix_ms.map(time_ms),
        time_ms(session.state_unix_ms),
        waits.map(|(kind, _)| kind),
        waits.map(|(_, event)| event),
        session.state,
        // backend_xid, backend_xmin, query_id
        NULL,
        NULL,
        NULL,
        session.query.as_str(),
        session.backend_type,
    ]
}

/// `client_addr` and `client_port`: no address and -1 on a Unix socket.
pub(super) fn client(session: &SessionInfo) -> (Datum, Datum) {
    match session.client {
        Some(client) => (
            client.ip().to_canonical().to_string().cell(),
            client.port().cell(),
        ),
        None => (NULL, (-1).cell()),
    }
}

/// The sessions of which the caller sees all.
fn seen(context: &Context) -> Vec<SessionInfo> {
    let caller = context.host.caller();
    let mut sessions = context.host.sessions();
    sessions.retain(|session| caller.sees_session_of(session.role));
    sessions
}

/// `pg_stat_ssl`
pub(super) fn ssl(context: &Arc<Context>) -> Rows {
    let sessions = seen(context);
    let rows = sessions.iter().map(ssl_row);
    rows.collect::<Vec<Row>>().into()
}

fn ssl_row(session: &SessionInfo) -> Row {
    let tls = session.tls.as_deref();
    let client = tls.and_then(|tls| tls.client.as_ref());
    row![
        session.pid,
        tls.is_some(),
        tls.map(|tls| tls.version),
        tls.map(|tls| tls.cipher.as_str()),
        tls.map(|tls| tls.bits),
        client.map(|client| client.subject.as_str()),
        // A numeric: it may be longer than any integer.
        client.map(|client| client.serial.as_str()),
        client.map(|client| client.issuer.as_str()),
    ]
}

/// `pg_stat_gssapi`
pub(super) fn gssapi(context: &Arc<Context>) -> Rows {
    let sessions = seen(context);
    let rows = sessions
        .iter()
        .map(|session| row![session.pid, false, NULL, false]);
    rows.collect::<Vec<Row>>().into()
}
