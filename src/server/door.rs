//! One connection's way from its first byte to its session and to its last word; logs how it
//! ended.

use std::sync::Arc;

use super::Shared;
use super::auth::{self, Identity};
use super::conn::Conn;
use super::limits::{self, Admission};
use super::negotiation::{self, Negotiated};
use super::peer::Peer;
use super::rights;
use super::session::{Session, SessionEnd, database_of};
use super::socket::Socket;
use super::startup::Startup;
use crate::engine::Engine;
use crate::pgerror::PgError;

/// One connection, from its first byte to its last.
pub(super) async fn serve(socket: Socket, mut peer: Peer, shared: Arc<Shared>) {
    let mut conn = Conn::new(socket);
    let startup = match negotiate(&mut conn, &mut peer, &shared).await {
        Ok(startup) => startup,
        Err(reason) => {
            conn.close().await;
            tracing::info!(%peer, "connection ended before a session: {reason}");
            return;
        }
    };
    let (user, database) = (startup.user.clone(), startup.database.clone());
    match enter(&mut conn, &startup, &peer, &shared).await {
        Ok((identity, engine, admission)) => {
            tracing::debug!(%peer, user, database, method = identity.method, "authenticated");
            let address = peer.to_string();
            let session = Session::open(conn, peer, startup, identity, engine, shared, admission);
            let (pid, end) = session.run().await;
            tracing::info!(
                peer = address,
                pid,
                user,
                database,
                "connection ended: {end}"
            );
        }
        Err(error) => {
            tracing::info!(%peer, user, database, "connection refused: {error}");
            conn.send_error(&error);
            conn.close_after_last_words().await;
        }
    }
}

/// From the startup packet to the right to a session, or the reason why there is none.
async fn enter(
    conn: &mut Conn<Socket>,
    startup: &Startup,
    peer: &Peer,
    shared: &Shared,
) -> Result<(Identity, Arc<Engine>, Admission), PgError> {
    let identity = auth::authenticate(conn, startup, peer, shared).await?;
    let admission = limits::admit(&identity, peer, shared)?;
    rights::check_entry(identity.role, startup, shared)?;
    let engine = database_of(startup, shared)?;
    rights::check_database(identity.role, &engine, shared)?;
    Ok((identity, engine, admission))
}

/// Carries a connection to its startup packet in time, or says why there is none.
async fn negotiate(
    conn: &mut Conn<Socket>,
    peer: &mut Peer,
    shared: &Shared,
) -> Result<Startup, String> {
    let (access, timeout) = (&shared.options.access, shared.options.wal_sender_timeout);
    let negotiation = negotiation::negotiate(conn, peer, access, timeout);
    let negotiated = tokio::select! {
        negotiated = tokio::time::timeout(shared.options.startup_timeout, negotiation) => negotiated,
        _deadline = shared.stopped() => return Err("server is stopping".to_owned()),
    };
    let error = match negotiated {
        Ok(Ok(Negotiated::Startup(startup))) => return Ok(startup),
        Ok(Ok(Negotiated::Cancel(pid, key))) => {
            shared.sessions.cancel_with_key(pid, key);
            return Err(format!("cancel request for {pid}"));
        }
        Ok(Ok(Negotiated::Dropped(reason))) => return Err(reason),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(Negotiated::Refused(error))) => error,
        Err(_elapsed) => PgError::fatal("57014", "canceling authentication due to timeout"),
    };
    conn.send_error(&error);
    conn.close_after_last_words().await;
    Err(error.to_string())
}

impl std::fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Terminated => f.write_str("terminated by the client"),
            Self::Closed => f.write_str("closed by the client"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Fatal(error) => write!(f, "{error}"),
            Self::StreamTimeout => {
                f.write_str("terminating walsender process due to replication timeout")
            }
            Self::Malformed(words) => write!(f, "malformed standby message: {words}"),
        }
    }
}
