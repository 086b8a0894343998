//! The socket: few connections, each of one request and a few seconds. Whoever comes is accepted at
//! once; who is slow to ask cannot keep others out.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::http;
use super::report::Reporter;
use super::watch::Watch;

/// Most connections at a time; for another one the oldest that has not asked yet has to go.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to ask.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while more than half of the connections are taken.
const HURRIED_HEADER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection may last, the answer included.
const LIFETIME: Duration = Duration::from_secs(30);
/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (admin_listen)")]
pub struct AdminBindError {
    /// Where.
    pub address: SocketAddr,
    /// The error.
    #[source]
    pub source: io::Error,
}

/// Listens already, and answers once it runs.
#[derive(Debug)]
pub struct AdminListener {
    socket: TcpListener,
    watch: Watch,
}

impl AdminListener {
    /// Listens on `address`.
    pub async fn bind(address: SocketAddr, watch: Watch) -> Result<Self, AdminBindError> {
        if !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "metrics and the status page can be reached from other machines and ask nobody \
                 who they are"
            );
        }
        let bound = TcpListener::bind(address).await;
        let socket = bound.map_err(|source| AdminBindError { address, source })?;
        Ok(Self { socket, watch })
    }

    /// Where it listens, with the port that was chosen for port 0.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn run(self) {
        let is_loopback = self.local_addr().is_ok_and(|at| at.ip().is_loopback());
        let router = http::router(Reporter::new(self.watch), is_loopback);
        let mut connections = Connections::default();
        loop {
            match self.socket.accept().await {
                Ok((socket, _)) => connections.serve(socket, router.clone()),
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection for metrics");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The open connections; they end with this value.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first.
    open: VecDeque<Connection>,
}

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    /// Its request has come.
    has_asked: Arc<AtomicBool>,
}

impl Connections {
    fn serve(&mut self, socket: TcpStream, router: Router) {
        while self.tasks.try_join_next().is_some() {}
        self.open
            .retain(|connection| !connection.task.is_finished());
        if self.open.len() >= MAX_CONNECTIONS {
            self.evict();
        }
        let patience = if self.open.len() > MAX_CONNECTIONS / 2 {
            HURRIED_HEADER_TIMEOUT
        } else {
            HEADER_TIMEOUT
        };
        let has_asked = Arc::<AtomicBool>::default();
        let serving = serve(socket, router, patience, Arc::clone(&has_asked));
        // Whoever is too slow is cut off without a word.
        let task = self.tasks.spawn(async move {
            let _slow = tokio::time::timeout(LIFETIME, serving).await;
        });
        self.open.push_back(Connection { task, has_asked });
    }

    /// Ends the oldest that has not asked; where all have, the oldest.
    fn evict(&mut self) {
        let mut open = self.open.iter();
        let idle = open.position(|connection| !connection.has_asked.load(Ordering::Relaxed));
        if let Some(connection) = self.open.remove(idle.unwrap_or_default()) {
            connection.task.abort();
        }
    }
}

async fn serve(socket: TcpStream, router: Router, patience: Duration, has_asked: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let answer = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}
