//! The accept loop: connection limits, startup timeout, one task per connection, and the
//! databases' maintenance beside it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::descriptors;
use super::door;
use super::peer::Peer;
use super::socket::Socket;
use super::unix_socket::UnixSocket;
use super::{Server, Shared, Shutdown, ShutdownReport};
use crate::clock::Moment;
use crate::engine::Engine;

/// How long connections have for their last words after the shutdown timeout.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often it is logged at most that there is no room for another connection.
const FULL_AGAIN: Duration = Duration::from_secs(60);

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
    maintenance.spawn(maintain_all(Arc::clone(&shared)));
    shared.captures.start_all();
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
    shared.captures.stop_all().await;
    maintenance.shutdown().await;
    ShutdownReport {
        num_accepted: connections.num_accepted,
        num_ended: num_open.saturating_sub(num_aborted),
        num_aborted,
        num_panicked: connections.num_panicked,
    }
}

/// Waits until all connections have ended; meanwhile tells those who come that it is too late.
async fn end_all(listeners: &[Listener], shared: &Arc<Shared>, connections: &mut Connections) {
    let mut turns = 0;
    let mut late = JoinSet::new();
    let max_sockets = descriptors::max_sockets(shared.databases.all().len());
    loop {
        let has_room = connections.tasks.len().saturating_add(late.len()) < max_sockets;
        tokio::select! {
            biased;
            ended = connections.next_end() => if ended.is_none() {
                break;
            },
            Some(_told) = late.join_next() => {}
            accepted = accept(listeners, &mut turns), if has_room => match accepted {
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
    /// Before that it is not logged again that there is no room for another one.
    told_again_at: Option<Instant>,
}

impl Connections {
    /// Logs that there is no room for another one, now and then.
    fn note_full(&mut self) {
        let now = Instant::now();
        if self.told_again_at.is_none_or(|at| now >= at) {
            self.told_again_at = Some(now + FULL_AGAIN);
            let num_open = self.tasks.len();
            tracing::error!(
                num_open,
                "too few open files are allowed for more connections"
            );
        }
    }

    /// Waits for a connection to end; `None` when there is none. Cancel-safe.
    async fn next_end(&mut self) -> Option<()> {
        if let Err(error) = self.tasks.join_next().await? {
            self.num_panicked += u64::from(error.is_panic());
            tracing::error!(%error, "a connection's task broke");
        }
        Some(())
    }
}

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Listener {
    /// TCP
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixSocket),
}

impl Listener {
    /// Its address, with the port that was chosen; `None` for a Unix socket.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// The path of a Unix socket.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => Some(socket.path()),
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Peer)>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, client)| of_tcp(stream, client)),
            Self::Unix(socket) => socket
                .listener()
                .poll_accept(cx)
                .map_ok(|(stream, _)| of_unix(stream)),
        }
    }
}

/// Accepts and spawns connections until `shutdown` completes.
async fn accept_until(
    shutdown: impl Future<Output = Shutdown>,
    listeners: &[Listener],
    shared: &Arc<Shared>,
    connections: &mut Connections,
) -> Shutdown {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut turns = 0;
    let mut pause = Pause::default();
    let max_sockets = descriptors::max_sockets(shared.databases.all().len());
    tracing::debug!(max_sockets, "sockets that the limit of open files allows");
    loop {
        let has_room = connections.tasks.len() < max_sockets;
        if !has_room {
            connections.note_full();
        }
        tokio::select! {
            biased;
            shutdown = &mut shutdown => return shutdown,
            Some(()) = connections.next_end() => {}
            accepted = accept(listeners, &mut turns), if has_room && pause.is_over() => match accepted {
                Ok((socket, peer)) => {
                    pause.accepted();
                    connections.num_accepted += 1;
                    shared.door.accepted.increment();
                    connections.tasks.spawn(open(socket, peer, shared));
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a client left before it was accepted");
                }
                Err(error) => pause.begin(&error),
            },
            () = pause.sleep() => {}
        }
    }
}

/// The time in which no connection can be accepted, for example for want of descriptors. Those
/// that are open go on, and those that wait to be accepted wait a little longer.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    /// That there is a pause was logged, and not yet that it is over.
    is_told: bool,
}

/// A connection from its first byte to its last.
fn open(
    socket: Socket,
    peer: Peer,
    shared: &Arc<Shared>,
) -> impl Future<Output = ()> + Send + use<> {
    let seat = shared.waiting_room.enter(peer.ip());
    door::serve(socket, peer, Arc::clone(shared), seat)
}

impl Pause {
    fn is_over(&self) -> bool {
        self.until.is_none()
    }

    fn begin(&mut self, error: &io::Error) {
        self.until = Some(Instant::now() + ACCEPT_PAUSE);
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::error!(%error, "cannot accept connections; trying again and again");
        }
    }

    fn accepted(&mut self) {
        if std::mem::take(&mut self.is_told) {
            tracing::info!("connections are accepted again");
        }
    }

    /// Completes when the pause is over; never when there is none. Cancel-safe.
    async fn sleep(&mut self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
        self.until = None;
    }
}

/// The next connection of any listener; each of them is asked first in its turn. Cancel-safe.
async fn accept(listeners: &[Listener], turns: &mut usize) -> io::Result<(Socket, Peer)> {
    let first = *turns % listeners.len().max(1);
    let accepted = poll_fn(|cx| {
        let from_first = listeners.iter().cycle().skip(first).take(listeners.len());
        let mut polled = from_first.map(|listener| listener.poll_accept(cx));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    });
    let accepted = accepted.await;
    *turns = turns.wrapping_add(1);
    accepted
}

/// Whether the error is of a connection that was about to be accepted, not of accepting.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::Interrupted
    )
}

/// An accepted TCP connection and its other end.
fn of_tcp(stream: TcpStream, client: SocketAddr) -> (Socket, Peer) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%client, %error, "cannot switch off delayed sending");
    }
    let peer = Peer {
        client: Some(client),
        server: stream.local_addr().ok(),
        ..Peer::default()
    };
    (Socket::Tcp(stream), peer)
}

/// An accepted connection of a Unix socket and who is on its other end.
fn of_unix(stream: UnixStream) -> (Socket, Peer) {
    let peer = Peer {
        unix_uid: stream.peer_cred().ok().map(|peer| peer.uid()),
        ..Peer::default()
    };
    (Socket::Unix(stream), peer)
}

/// Does the periodic work of every database there is, those that come later too.
async fn maintain_all(shared: Arc<Shared>) {
    let mut changes = shared.databases.changes();
    let mut running: Vec<Weak<Engine>> = Vec::new();
    let mut tasks = JoinSet::new();
    loop {
        changes.mark_unchanged();
        shared.forget_dropped_hubs();
        running.retain(|engine| engine.strong_count() > 0);
        for engine in shared.databases.all() {
            let known = |weak: &Weak<Engine>| weak.as_ptr() == Arc::as_ptr(&engine);
            if !running.iter().any(known) {
                running.push(Arc::downgrade(&engine));
                tasks.spawn(maintain(engine));
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                break;
            },
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "the periodic work of a database broke");
            },
        }
    }
}

/// The periodic work of one database. An error is logged when it is new.
async fn maintain(engine: Arc<Engine>) {
    let mut ticks = tokio::time::interval(Engine::MAINTAIN_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known_error = None;
    while !engine.is_dropped() {
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
