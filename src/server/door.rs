//! One connection's way from its first byte to its session and to its last word; logs how it
//! ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::auth::{self, Identity, Refusal, RefusedLogin};
use super::conn::Conn;
use super::limits::{self, Admission, Seat};
use super::negotiation::{self, Negotiated};
use super::peer::Peer;
use super::rights;
use super::session::{Session, SessionEnd, database_of};
use super::socket::Socket;
use super::startup::Startup;
use crate::engine::Engine;
use crate::pgerror::PgError;

/// What the log says of a connection that had to go before it logged in. The client is not told:
/// an answer would be one that did not wait for `auth_delay`.
const TOO_MANY_WAIT: &str = "too many connections wait to log in";

/// How long a client that comes while the server stops may take for its startup packet.
const LAST_CALL: Duration = Duration::from_secs(1);

/// One connection, from its first byte to its last.
pub(super) async fn serve(socket: Socket, mut peer: Peer, shared: Arc<Shared>, seat: Seat) {
    let mut conn = Conn::new(socket);
    conn.set_max_message(shared.options.limits.max_startup_message_size);
    let deadline = deadline(&shared);
    let negotiated = tokio::select! {
        negotiated = negotiate(&mut conn, &mut peer, &shared, deadline) => negotiated,
        () = seat.lost() => Err(TOO_MANY_WAIT.to_owned()),
    };
    let startup = match negotiated {
        Ok(startup) => startup,
        Err(reason) => {
            conn.close().await;
            tracing::info!(%peer, "connection ended before a session: {reason}");
            return;
        }
    };
    let (user, database) = (startup.user.clone(), startup.database.clone());
    let entered = tokio::select! {
        entered = enter_in_time(&mut conn, &startup, &peer, &shared, deadline) => entered,
        () = seat.lost() => {
            conn.close().await;
            shared.options.access.refusals().count(RefusedLogin::Limit);
            let reason = RefusedLogin::Limit.name();
            tracing::info!(%peer, user, database, reason, "connection refused: {TOO_MANY_WAIT}");
            return;
        }
    };
    match entered {
        Ok((identity, engine, admission)) => {
            drop(seat);
            tracing::debug!(%peer, user, database, method = identity.method, "authenticated");
            let address = peer.to_string();
            shared.door.sessions.increment();
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
        Err(refusal) => {
            let (reason, method) = (refusal.reason, refusal.method);
            shared.options.access.refusals().count(reason);
            let reason = reason.name();
            tracing::info!(%peer, user, database, method, reason, "connection refused: {refusal}");
            conn.send_error(&refusal.error);
            // Who was refused still has his place, which another may need.
            tokio::select! {
                () = conn.close_after_last_words() => {}
                () = seat.lost() => {}
            }
        }
    }
}

/// When a client that connects now must have its session.
fn deadline(shared: &Shared) -> Option<Instant> {
    Instant::now().checked_add(shared.options.authentication_timeout)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn too_late() -> PgError {
    PgError::fatal("57014", "canceling authentication due to timeout")
}

/// From the startup packet to the right to a session, or the reason why there is none.
async fn enter_in_time(
    conn: &mut Conn<Socket>,
    startup: &Startup,
    peer: &Peer,
    shared: &Shared,
    deadline: Option<Instant>,
) -> Result<(Identity, Arc<Engine>, Admission), Refusal> {
    tokio::select! {
        entered = enter(conn, startup, peer, shared) => entered,
        () = until(deadline) => Err(Refusal::new(RefusedLogin::TimedOut, too_late())),
        _deadline = shared.stopped() => {
            Err(Refusal::new(RefusedLogin::TimedOut, PgError::shutting_down()))
        }
    }
}

async fn enter(
    conn: &mut Conn<Socket>,
    startup: &Startup,
    peer: &Peer,
    shared: &Shared,
) -> Result<(Identity, Arc<Engine>, Admission), Refusal> {
    let identity = auth::authenticate(conn, startup, peer, shared).await?;
    let refused = |reason| {
        let method = Some(identity.method);
        move |error| Refusal {
            method,
            ..Refusal::new(reason, error)
        }
    };
    let entry = rights::check_entry(identity.role, startup, shared);
    entry.map_err(refused(RefusedLogin::Right))?;
    let admission = limits::admit(&identity, startup, peer, shared);
    let admission = admission.map_err(refused(RefusedLogin::Limit))?;
    let engine = database_of(startup, shared).map_err(refused(RefusedLogin::Database))?;
    let database = rights::check_database(identity.role, &engine, shared);
    database.map_err(refused(RefusedLogin::Database))?;
    Ok((identity, engine, admission))
}

/// Carries a connection to its startup packet in time, or says why there is none.
async fn negotiate(
    conn: &mut Conn<Socket>,
    peer: &mut Peer,
    shared: &Shared,
    deadline: Option<Instant>,
) -> Result<Startup, String> {
    let (access, timeout) = (&shared.options.access, shared.options.wal_sender_timeout);
    let negotiation = negotiation::negotiate(conn, peer, access, timeout);
    let negotiated = tokio::select! {
        negotiated = negotiation => Some(negotiated),
        () = until(deadline) => None,
        () = long_stopped(shared) => return Err("server is stopping".to_owned()),
    };
    let error = match negotiated {
        Some(Ok(Negotiated::Startup(_))) if shared.is_stopping() => PgError::shutting_down(),
        Some(Ok(Negotiated::Startup(startup))) => return Ok(startup),
        Some(Ok(Negotiated::Cancel(pid, key))) => {
            shared.sessions.cancel_with_key(pid, key);
            return Err(format!("cancel request for {pid}"));
        }
        Some(Ok(Negotiated::Dropped(reason))) => return Err(reason),
        Some(Ok(Negotiated::NotEncrypted(reason))) => {
            shared.door.tls_failed.increment();
            return Err(reason);
        }
        Some(Err(error)) => return Err(error.to_string()),
        Some(Ok(Negotiated::Refused(error))) => {
            access.refusals().count(RefusedLogin::Protocol);
            error
        }
        None => {
            access.refusals().count(RefusedLogin::TimedOut);
            too_late()
        }
    };
    conn.send_error(&error);
    conn.close_after_last_words().await;
    Err(error.to_string())
}

/// Completes when the server stops and a client has had the time to hear of it.
async fn long_stopped(shared: &Shared) {
    shared.stopped().await;
    tokio::time::sleep(LAST_CALL).await;
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
