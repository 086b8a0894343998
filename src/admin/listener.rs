//! The socket: few connections, each of one request and a few seconds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::http;
use super::report::Reporter;
use super::watch::Watch;

/// Most connections at a time; others wait in the operating system's queue.
const MAX_CONNECTIONS: usize = 16;
/// How long a client may take to ask.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
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
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            match self.socket.accept().await {
                Ok((socket, _)) => {
                    let serving = tokio::time::timeout(LIFETIME, serve(socket, router.clone()));
                    connections.spawn(async move {
                        // Whoever is too slow is cut off without a word.
                        let _slow = serving.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection for metrics");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(socket: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}
