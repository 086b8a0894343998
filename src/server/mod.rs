//! Sockets and sessions.
//!
//! [`Server`] listens, negotiates, and runs one task per connection; `session` reads messages,
//! `simple` and `pipeline` answer them, `stream` owns the socket while a subscriber streams,
//! `copy_in` while a producer copies in.
//! Nobody comes in but by a rule (`auth`, `access`).

mod access;
mod activity;
mod auth;
mod block;
mod confirm;
mod conn;
mod copy_in;
mod copy_options;
mod copy_rows;
mod databases;
mod descriptors;
mod dml;
mod door;
mod door_threads;
mod extended;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod host;
mod lexer;
mod limits;
mod listener;
mod memory;
mod negotiation;
mod peer;
mod pipeline;
mod portal;
mod prepared;
mod queries;
mod query_threads;
mod replication;
mod rights;
mod rows;
mod running;
mod sending;
mod session;
mod settings;
mod shown;
mod simple;
mod socket;
mod sql;
mod startup;
mod statement;
mod statements;
mod stream;
mod tls;
mod transaction;
mod unix_socket;
mod watched;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::admin::ServerState;
use crate::capture::{CaptureOptions, Supervisor};
use crate::clock::Moment;
use crate::engine::{Databases, Engine};
use crate::fanout::Hub;
use crate::metrics::DoorCounters;
use crate::roles::Rights;
use activity::Sessions;
use door_threads::DoorThreads;
use limits::{Census, WaitingRoom};
use listener::Listener;
use portal::MAX_RUNNING_OF_ALL;
use sql::Queries;
use unix_socket::UnixSocket;

pub use access::{Access, AccessFiles};
pub use auth::RefusedLogin;
pub use descriptors::raise_descriptor_limit;
pub use limits::Limits;
pub use shown::{ShownSetting, ShownSettings};
pub use tls::{TlsContext, TlsError, TlsOptions, TlsVersion};
pub use unix_socket::{UnixSocketError, unix_socket_fits};

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// `unix_socket_directories`: where Unix sockets are. Their number is the port of the first
    /// address.
    pub unix_socket_directories: Vec<PathBuf>,
    /// `unix_socket_permissions`: who may connect to them.
    pub unix_socket_permissions: u32,
    /// `wal_sender_timeout`, the default of each session; `None` is off.
    pub wal_sender_timeout: Option<Duration>,
    /// How long streams may take to end at a transaction boundary when the server stops.
    pub shutdown_timeout: Duration,
    /// `authentication_timeout`: how long a client may take from connecting to its session.
    pub authentication_timeout: Duration,
    /// `auth_delay`: how long a refused client waits for its error.
    pub auth_delay: Duration,
    /// `log_connections`: a line of the log for each session that begins.
    pub log_connections: bool,
    /// `max_connections`: most sessions at a time.
    pub max_connections: usize,
    /// The other limits of connections.
    pub limits: Limits,
    /// How upstreams are followed.
    pub capture: CaptureOptions,
    /// Who may come in how.
    pub access: Access,
    /// The program's own settings, for SHOW and `pg_settings`. Those that a session may set are
    /// where it begins.
    pub shown: ShownSettings,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5433))],
            unix_socket_directories: vec![],
            unix_socket_permissions: 0o700,
            wal_sender_timeout: Some(Duration::from_secs(60)),
            shutdown_timeout: Duration::from_secs(30),
            authentication_timeout: Duration::from_secs(60),
            auth_delay: Duration::from_millis(250),
            log_connections: false,
            max_connections: 100,
            limits: Limits::default(),
            capture: CaptureOptions::default(),
            access: Access::default(),
            shown: ShownSettings::default(),
        }
    }
}

impl ServerOptions {
    /// How many threads may block at once: one for each session. The runtime must have that many, or
    /// statements wait for each other. Queries have threads of their own.
    pub fn max_blocking_threads(&self) -> usize {
        self.max_sessions().saturating_add(SPARE_THREADS)
    }

    /// Most sessions, those for replication included.
    const fn max_sessions(&self) -> usize {
        self.max_connections
            .saturating_add(self.limits.max_wal_senders)
    }
}

/// Threads for what is not a session: opening files, pruning, ending queries.
const SPARE_THREADS: usize = 64;

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No address was given.
    #[error("no address to listen on")]
    NoAddress,
    /// There is no Unix socket.
    #[error(transparent)]
    UnixSocket(#[from] UnixSocketError),
    /// No threads for queries or logins.
    #[error("cannot make threads for queries and logins")]
    Threads(#[source] io::Error),
    /// The operating system refused.
    #[error("cannot listen on {address}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// The error.
        #[source]
        source: io::Error,
    },
}

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Streams end at a transaction boundary, if they reach one in time.
    Graceful,
    /// Streams end where they are.
    Fast,
}

/// What happened to a server's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections accepted since the start.
    pub num_accepted: u64,
    /// Connections that were still open when the server was told to stop and ended in time.
    pub num_ended: usize,
    /// Connections that had to be cut off.
    pub num_aborted: usize,
    /// Connections whose task panicked: each one is a fault of this program.
    pub num_panicked: u64,
}

/// A server that listens already and serves once it runs.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
    /// Set to the deadline (steady time) when the server stops.
    stop: watch::Sender<Option<Duration>>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    databases: Arc<Databases>,
    /// What the streams of each database share.
    hubs: Mutex<BTreeMap<String, Arc<Hub>>>,
    /// What follows upstreams.
    captures: Supervisor,
    options: ServerOptions,
    /// When the server started, unix milliseconds.
    started_unix_ms: u64,
    sessions: Arc<Sessions>,
    door: DoorCounters,
    door_threads: DoorThreads,
    queries: Arc<Queries>,
    /// One permit for each portal whose rows are not all taken.
    portals: Arc<Semaphore>,
    census: Arc<Census>,
    waiting_room: Arc<WaitingRoom>,
    stopping: watch::Receiver<Option<Duration>>,
    /// The runtime that the sessions run on.
    runtime: Handle,
}

impl Shared {
    /// What the role with that OID may do now; a role that is gone may do nothing.
    fn rights_of(&self, role: u32) -> Rights {
        let roles = self.databases.roles().current();
        roles
            .find_oid(role)
            .map(|role| role.rights)
            .unwrap_or_default()
    }

    /// What the streams of a database share.
    fn hub(&self, engine: &Arc<Engine>) -> Arc<Hub> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = hubs.get(engine.name())
            && hub.is_of(engine)
        {
            return Arc::clone(hub);
        }
        let hub = Arc::new(Hub::new(Arc::clone(engine)));
        hubs.insert(engine.name().to_owned(), Arc::clone(&hub));
        hub
    }

    /// Forgets what streams of dropped databases shared.
    fn forget_dropped_hubs(&self) {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.retain(|name, hub| {
            let engine = self.databases.get(name);
            engine.is_some_and(|engine| hub.is_of(&engine))
        });
    }

    /// Whether the server stops.
    fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some()
    }

    /// Completes with the deadline (steady time) once the server stops.
    async fn stopped(&self) -> Duration {
        let mut stopping = self.stopping.clone();
        let deadline = stopping.wait_for(Option::is_some).await;
        // Without a sender the server is gone altogether: stop at once.
        deadline.ok().and_then(|told| *told).unwrap_or_default()
    }
}

/// Follows the upstreams of databases that were made while the server runs; stays with the asker.
#[derive(Debug, Clone)]
pub struct CaptureService(Arc<Shared>);

impl CaptureService {
    /// Follows the upstream of a database that was just made.
    pub fn start(&self, engine: &Arc<Engine>) {
        // How its first contact ends is logged, and nobody waits for it.
        drop(self.0.captures.start(engine));
    }
}

impl Server {
    /// Listens on all addresses of `options`.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on.
    pub async fn bind(
        databases: Arc<Databases>,
        options: ServerOptions,
    ) -> Result<Self, BindError> {
        if options.listen.is_empty() {
            return Err(BindError::NoAddress);
        }
        let mut listeners = vec![];
        for &address in &options.listen {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|source| BindError::Io { address, source })?;
            listeners.push(Listener::Tcp(listener));
        }
        let port = listeners.iter().find_map(Listener::address);
        for directory in &options.unix_socket_directories {
            let port = port.map_or(0, |address| address.port());
            let socket = UnixSocket::bind(directory, port, options.unix_socket_permissions)?;
            listeners.push(Listener::Unix(socket));
        }
        let (stop, stopping) = watch::channel(None);
        // Each session may run one; others wait for their rows to be taken.
        let max_queries = options.max_sessions().saturating_add(MAX_RUNNING_OF_ALL);
        let max_waiting = options.limits.max_unauthenticated_connections;
        let shared = Shared {
            hubs: Mutex::default(),
            captures: Supervisor::new(
                Arc::clone(&databases),
                Handle::current(),
                options.capture.clone(),
            ),
            databases,
            options,
            started_unix_ms: Moment::now().unix_ms,
            sessions: Arc::new(Sessions::default()),
            door: DoorCounters::default(),
            door_threads: DoorThreads::new().map_err(BindError::Threads)?,
            queries: Arc::new(Queries::new(max_queries).map_err(BindError::Threads)?),
            portals: Arc::new(Semaphore::new(MAX_RUNNING_OF_ALL)),
            census: Arc::default(),
            waiting_room: Arc::new(WaitingRoom::new(max_waiting)),
            stopping,
            runtime: Handle::current(),
        };
        Ok(Self {
            listeners,
            shared: Arc::new(shared),
            stop,
        })
    }

    /// How the server is, for metrics and the status page; stays with the asker.
    pub fn state(&self) -> Arc<dyn ServerState> {
        let shared: Arc<Shared> = Arc::clone(&self.shared);
        shared
    }

    /// For who makes databases beside SQL.
    pub fn captures(&self) -> CaptureService {
        CaptureService(Arc::clone(&self.shared))
    }

    /// The addresses it listens on, with the ports that were chosen for port 0.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(Listener::address)
            .collect()
    }

    /// The Unix sockets it listens on.
    pub fn unix_sockets(&self) -> impl Iterator<Item = &Path> {
        self.listeners.iter().filter_map(Listener::path)
    }

    /// Serves until `shutdown` completes; then ends all sessions, streams at a transaction
    /// boundary if they reach one within `shutdown_timeout`. The databases stay open: the caller
    /// closes them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> ShutdownReport {
        self.run_until(async {
            shutdown.await;
            Shutdown::Graceful
        })
        .await
    }

    /// The same, stopped in the way that `shutdown` says.
    pub async fn run_until(self, shutdown: impl Future<Output = Shutdown>) -> ShutdownReport {
        listener::run(self, shutdown).await
    }
}
