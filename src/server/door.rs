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
pub(super) async fn serve(socket: Socket, peer: Peer, shared: Arc<Shared>, seat: Seat) {
    let login = log_in(socket, peer, Arc::clone(&shared), seat);
    let Some(Some(entrant)) = shared.door_threads.run(login).await else {
        return;
    };
    let Entrant {
        conn,
        peer,
        startup,
        identity,
        engine,
        admission,
    } = *entrant;
    let (user, database) = (startup.user.clone(), startup.database.clone());
    let address = peer.to_string();
    shared.door.sessions.increment();
    let session = Session::open(conn, peer, startup, identity, engine, shared, admission);
    let (pid, end) = session.run().await;
    tracing::info!(
        peer = %address,
        pid,
        user,
        database,
        "connection ended: {end}"
    );
}

/// Who came in, with all that a session begins with.
struct Entrant {
    conn: Conn<Socket>,
    peer: Peer,
    startup: Startup,
    identity: Identity,
    engine: Arc<Engine>,
    admission: Admission,
}

/// From the first byte to the right to a session. `None`: the connection has ended.
async fn log_in(
    socket: Socket,
    mut peer: Peer,
    shared: Arc<Shared>,
    seat: Seat,
) -> Option<Box<Entrant>> {
    let mut conn = Conn::new(socket);
    conn.set_max_message(shared.options.limits.max_startup_message_size);
    let deadline = deadline(&shared);
    let negotiated = tokio::select! {
        negotiated = negotiate(&mut conn, &mut peer, &shared, deadline) => negotiated,
        () = seat.lost() => Err(TOO_MANY_WAIT.to_owned()),
    };
    let mut startup = match negotiated {
        Ok(startup) => startup,
        Err(reason) => {
            conn.close().await;
            tracing::info!(%peer, "connection ended before a session: {reason}");
            return None;
        }
    };
    let (user, database) = (startup.user.clone(), startup.database.clone());
    let entered = tokio::select! {
        entered = enter_in_time(&mut conn, &mut startup, &peer, &shared, deadline) => entered,
        () = seat.lost() => {
            conn.close().await;
            shared.options.access.refusals().count(RefusedLogin::Limit);
            let reason = RefusedLogin::Limit.name();
            tracing::info!(%peer, user, database, reason, "connection refused: {TOO_MANY_WAIT}");
            return None;
        }
    };
    match entered {
        Ok((identity, engine, admission)) => {
            if shared.options.log_connections {
                let method = identity.method;
                tracing::info!(%peer, user, database, method, "connection authorized");
            }
            Some(Box::new(Entrant {
                conn,
                peer,
                startup,
                identity,
                engine,
                admission,
            }))
        }
        Err(refusal) => {
            shared.options.access.refusals().count(refusal.reason);
            log_refusal(&refusal, &peer, &user, &database);
            // Nobody is known: whatever it was, there is nothing behind it.
            conn.send_error(&refusal.error.into_fatal());
            // Who was refused still has his place, which another may need.
            tokio::select! {
                () = conn.close_after_last_words() => {}
                () = seat.lost() => {}
            }
            None
        }
    }
}

/// Somebody who may not come in is to be seen also where only warnings are; somebody who left, or
/// said nothing that makes sense, is not.
fn log_refusal(refusal: &Refusal, peer: &Peer, user: &str, database: &str) {
    let (reason, method) = (refusal.reason.name(), refusal.method);
    if refusal.reason.is_warning() {
        tracing::warn!(%peer, user, database, method, reason, "connection refused: {refusal}");
    } else {
        tracing::info!(%peer, user, database, method, reason, "connection refused: {refusal}");
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
    startup: &mut Startup,
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
    startup: &mut Startup,
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
    let settings = startup.apply_settings().map_err(PgError::into_fatal);
    settings.map_err(refused(RefusedLogin::Protocol))?;
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::clock::Moment;
    use crate::disk::RealDisk;
    use crate::engine::{Databases, EngineOptions};
    use crate::hba::HbaRules;
    use crate::server::{Access, Server, ServerOptions};

    /// A startup packet of `user` with a query behind it, in one piece; all that is answered.
    async fn answer(address: SocketAddr, user: &str) -> Vec<u8> {
        let text = format!("user\0{user}\0database\0pgspool\0\0");
        let mut bytes = u32::try_from(text.len() + 8)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        bytes.extend((3_u32 << 16).to_be_bytes());
        bytes.extend(text.bytes());
        for _ in 0..2 {
            bytes.extend(b"Q\0\0\0\x16SELECT 'answered'\0");
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = vec![];
        match stream.read_to_end(&mut answer).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        answer
    }

    #[tokio::test]
    async fn an_authentication_that_goes_wrong_is_fatal_and_answers_nothing_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::open(
            Arc::new(RealDisk),
            folder.path(),
            EngineOptions::default(),
            Moment::now(),
        );
        let options = ServerOptions {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            access: Access::new(HbaRules::trust_all()),
            authentication_timeout: Duration::from_millis(300),
            auth_delay: Duration::ZERO,
            ..ServerOptions::default()
        };
        let databases = Arc::new(databases.unwrap());
        let server = Server::bind(Arc::clone(&databases), options).await.unwrap();
        let address = *server.local_addrs().first().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let clients = async move {
            for (user, code) in [(auth::FAILS, "58030"), (auth::HANGS, "57014")] {
                let answer = answer(address, user).await;
                let len = u32::from_be_bytes(*answer.get(1..).unwrap().first_chunk().unwrap());
                assert_eq!(
                    usize::try_from(len).unwrap() + 1,
                    answer.len(),
                    "one message"
                );
                let error = String::from_utf8(answer).unwrap();
                let beginning = format!("SFATAL\0VFATAL\0C{code}\0M");
                assert!(
                    error.starts_with('E') && error.contains(&beginning),
                    "{error:?}"
                );
            }
            // A fault of this program: the connection is gone, in a release with all of it.
            assert_eq!(answer(address, auth::PANICS).await, b"");
            drop(stop);
        };
        let (report, ()) = tokio::join!(server.run(async { drop(stopped.await) }), clients);
        assert_eq!((report.num_accepted, report.num_panicked), (3, 1));
        assert!(databases.close().is_empty());
    }
}
