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
use super::{Server, Shared, Shutdown, ShutdownReport};
use crate::clock::Moment;
use crate::engine::Engine;

/// How long connections have for their last words after the shutdown timeout.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes, then ends all connections.
pub(super) async fn run(
    server: Server,
    shutdown: impl Future<Output = Shutdown>,
) -> ShutdownReport {
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
    let shutdown = accept_until(shutdown, &listeners, &shared, &mut connections).await;

    let timeout = match shutdown {
        Shutdown::Graceful => shared.options.shutdown_timeout,
        Shutdown::Fast => Duration::ZERO,
    };
    // Sessions hold their own receivers; with none left there is nobody to tell.
    let _nobody = stop.send(Some(Moment::now().steady.saturating_add(timeout)));
    let num_open = connections.tasks.len();
    let all_ended = end_all(&listeners, &shared, &mut connections);
    let in_time = tokio::time::timeout(timeout.saturating_add(LAST_WORDS), all_ended);
    let _late = in_time.await;
    drop(listeners);
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

/// Waits until all connections have ended; meanwhile tells those who come that it is too late.
async fn end_all(listeners: &[TcpListener], shared: &Arc<Shared>, connections: &mut Connections) {
    let mut late = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            ended = connections.next_end() => if ended.is_none() {
                break;
            },
            Some(_told) = late.join_next() => {}
            accepted = accept(listeners) => match accepted {
                Ok((socket, peer)) => {
                    late.spawn(open(socket, peer, shared));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // They were told at once; who has not heard it yet has a moment more.
    let all_told = async { while late.join_next().await.is_some() {} };
    let _told = tokio::time::timeout(ACCEPT_PAUSE, all_told).await;
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
    shutdown: impl Future<Output = Shutdown>,
    listeners: &[TcpListener],
    shared: &Arc<Shared>,
    connections: &mut Connections,
) -> Shutdown {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            shutdown = &mut shutdown => return shutdown,
            Some(()) = connections.next_end() => {}
            accepted = accept(listeners) => match accepted {
                Ok((socket, peer)) => {
                    connections.num_accepted += 1;
                    connections.tasks.spawn(open(socket, peer, shared));
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

/// A connection from its first byte to its last.
fn open(
    socket: TcpStream,
    client: SocketAddr,
    shared: &Arc<Shared>,
) -> impl Future<Output = ()> + Send + use<> {
    let peer = describe(&socket, client);
    let seat = shared.waiting_room.enter(peer.ip());
    door::serve(Socket::Tcp(socket), peer, Arc::clone(shared), seat)
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
