//! What is watched: the databases, and the server as far as it tells.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::Databases;

/// Sessions that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCount {
    /// `client backend`, `walsender`
    pub backend_type: &'static str,
    /// As in `pg_stat_activity.state`.
    pub state: &'static str,
    /// How many there are.
    pub count: usize,
}

/// The server's side at one moment.
#[derive(Debug, Clone, Default)]
pub struct ServerSnapshot {
    /// When it started, unix milliseconds.
    pub started_unix_ms: u64,
    /// It stops: sessions end, nobody comes in.
    pub stopping: bool,
    /// `max_connections`
    pub max_connections: usize,
    /// `max_wal_senders`
    pub max_wal_senders: usize,
    /// Sessions by what they do.
    pub sessions: Vec<SessionCount>,
    /// Sockets accepted.
    pub accepted: u64,
    /// Sockets closed without a word, for there were too many.
    pub dropped: u64,
    /// Sessions that began.
    pub begun: u64,
    /// Connections refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// TLS handshakes that failed.
    pub tls_failed: u64,
}

impl ServerSnapshot {
    /// How many sessions there are, and how many for replication. Each has a limit of its own.
    pub(super) fn counts(&self) -> (usize, usize) {
        let of = |walsenders: bool| {
            let kinds = self.sessions.iter();
            let kinds = kinds.filter(|kind| (kind.backend_type == "walsender") == walsenders);
            kinds.map(|kind| kind.count).sum()
        };
        (of(false), of(true))
    }
}

/// Whoever knows the sessions.
pub trait ServerState: fmt::Debug + Send + Sync {
    /// How it is now.
    fn snapshot(&self) -> ServerSnapshot;
}

/// How far the process is. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    phase: Arc<RwLock<Phase>>,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Phase {
    /// The databases are being opened.
    #[default]
    Recovering,
    /// They are served.
    Serving(Served),
    /// They are being closed.
    Closing,
}

/// What is served.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) databases: Arc<Databases>,
    pub(super) server: Arc<dyn ServerState>,
}

impl Watch {
    /// The databases are open and are served from now on.
    pub fn serving(&self, databases: Arc<Databases>, server: Arc<dyn ServerState>) {
        self.set(Phase::Serving(Served { databases, server }));
    }

    /// The server is gone; the databases are being closed.
    pub fn closing(&self) {
        self.set(Phase::Closing);
    }

    pub(super) fn phase(&self) -> Phase {
        let phase = self.phase.read();
        phase.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, phase: Phase) {
        *self.phase.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}
