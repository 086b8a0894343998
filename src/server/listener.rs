//! The accept loop: connection limits, startup timeout, one task per connection, and the
//! databases' maintenance beside it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::door;
use super::peer::Peer;
use super::socket::Socket;
use super::{Server, Shared, ShutdownReport};
use crate::clock::Moment;
use crate::engine::Engine;

/// How long connections have for their last words after the shutdown timeout.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes, then ends all connections.
pub(super) async fn run(server: Server, shutdown: impl Future<Output = ()>) -> ShutdownReport {
    let Server {
        listeners,
        shared,
        stop,
    } = server;
    let mut maintenance = JoinSet::new();
    for engine in shared.databases.all() {
        maintenance.spawn(maintain(Arc::clone(engine)));
    }
    let mut connections = Connections::default();
    accept_until(shutdown, &listeners, &shared, &mut connections).await;
    drop(listeners);

    let shutdown_timeout = shared.options.shutdown_timeout;
    // Sessions hold their own receivers; with none left there is nobody to tell.
    let _nobody = stop.send(Some(Moment::now().steady.saturating_add(shutdown_timeout)));
    let num_open = connections.tasks.len();
    let all_ended = async { while connections.next_end().await.is_some() {} };
    let in_time = tokio::time::timeout(shutdown_timeout.saturating_add(LAST_WORDS), all_ended);
    let _late = in_time.await;
    let num_aborted = connections.tasks.len();
    connections.tasks.shutdown().await;
    maintenance.shutdown().await;
    ShutdownReport {
        num_accepted: connections.num_accepted,
        num_ended: num_open.saturating_sub(num_aborted),
        num_aborted,
        num_panicked: connections.num_panicked,
    }
}

/// The running connections.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<()>,
    num_accepted: u64,
    num_panicked: u64,
}

impl Connections {
    /// Waits for a connection to end; `None` when there is none. Cancel-safe.
    async fn next_end(&mut self) -> Option<()> {
        if let Err(error) = self.tasks.join_next().await? {
            self.num_panicked += u64::from(error.is_panic());
            tracing::error!(%error, "a connection's task broke");
        }
        Some(())
    }
}

/// Accepts and spawns connections until `shutdown` completes.
async fn accept_until(
    shutdown: impl Future<Output = ()>,
    listeners: &[TcpListener],
    shared: &Arc<Shared>,
    connections: &mut Connections,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    // Those that have not shown a startup packet yet are bounded too: as many again and a few.
    let max_sockets = shared.options.max_connections.saturating_mul(2) + 8;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(()) = connections.next_end() => {}
            accepted = accept(listeners) => match accepted {
                Ok((socket, peer)) => {
                    connections.num_accepted += 1;
                    shared.door.accepted.increment();
                    if connections.tasks.len() < max_sockets {
                        let peer = describe(&socket, peer);
                        let serve = door::serve(Socket::Tcp(socket), peer, Arc::clone(shared));
                        connections.tasks.spawn(serve);
                    } else {
                        shared.door.dropped.increment();
                        tracing::warn!(%peer, "connection dropped: too many sockets");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// The next connection of any listener.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|cx| {
        let mut polled = listeners.iter().map(|listener| listener.poll_accept(cx));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// The other end of an accepted socket.
fn describe(socket: &TcpStream, client: SocketAddr) -> Peer {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%client, %error, "cannot switch off delayed sending");
    }
    Peer {
        client: Some(client),
        server: socket.local_addr().ok(),
        ..Peer::default()
    }
}

/// The periodic work of one database. An error is logged when it is new.
async fn maintain(engine: Arc<Engine>) {
    let mut ticks = tokio::time::interval(Engine::MAINTAIN_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known_error = None;
    loop {
        ticks.tick().await;
        let engine_here = Arc::clone(&engine);
        let done = tokio::task::spawn_blocking(move || engine_here.maintain(Moment::now()));
        let error = match done.await {
            Ok(Ok(outcome)) => {
                for (slot, cause) in outcome.invalidated {
                    let database = engine.name();
                    tracing::warn!(database, %slot, ?cause, "replication slot invalidated");
                }
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if error != known_error {
            if let Some(error) = &error {
                tracing::error!(database = engine.name(), %error, "maintenance failed");
            }
            known_error = error;
        }
    }
}
