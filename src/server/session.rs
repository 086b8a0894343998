//! One session: its state and the loop over the client's messages.
//!
//! Messages are answered one after the other; what was answered is written when no further message
//! is there, or when it is much. Query strings are answered in `simple`, the extended protocol in
//! `pipeline`, statements are carried out in `statement`, transactions in `block`, replication
//! commands in `replication`; while a stream or a COPY runs, `stream` or `copy_in` has the
//! connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::Shared;
use super::activity::{HIDDEN, SessionGuard, shown_query};
use super::auth::Identity;
use super::conn::{Broken, Conn, Incoming, Phase};
use super::host::{SessionState, StatementHost};
use super::limits::Admission;
use super::peer::Peer;
use super::portal::Portals;
use super::prepared::PreparedStatements;
use super::rights::Standing;
use super::startup::{Replication, Startup};
use super::transaction::Transaction;
use crate::catalog::{Context, SessionInfo, Snapshot};
use crate::clock::Moment;
use crate::engine::{DEFAULT_DATABASE, Engine};
use crate::pgerror::PgError;

/// Answers are written when there are more bytes of them than this.
pub(super) const MUCH: usize = 64 << 10;

/// How a session ended.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// Terminate came.
    Terminated,
    /// The client closed the connection.
    Closed,
    /// The socket failed.
    Io(io::Error),
    /// With an error that the client is told.
    Fatal(PgError),
    /// A stream's client was silent for too long.
    StreamTimeout,
    /// A stream's client sent nonsense; nothing is said.
    Malformed(String),
}

impl From<Broken> for SessionEnd {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Closed => Self::Closed,
            Broken::Io(error) => Self::Io(error),
            Broken::Refused(error) => Self::Fatal(error),
        }
    }
}

/// Why a statement stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// With an error; a fatal one ends the session.
    Error(PgError),
    /// The session is over.
    Session(SessionEnd),
}

impl<E: Into<PgError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl From<Signal> for Stop {
    fn from(signal: Signal) -> Self {
        Self::Error(signal.error())
    }
}

impl Stop {
    /// The same with what the interrupted query said of how far it came.
    pub(super) fn with_detail_of(self, failure: Option<PgError>) -> Self {
        match (self, failure) {
            (Self::Error(error), Some(failure)) if failure.is_committed() => {
                Self::Error(error.of_committed(failure))
            }
            (Self::Error(error), Some(failure)) if failure.code() == "57014" => {
                Self::Error(error.with_details_of(failure))
            }
            (stop, _) => stop,
        }
    }

    /// The same with its position moved by the characters before its statement.
    pub(super) fn moved_by(self, num_characters: u32) -> Self {
        match self {
            Self::Error(error) => Self::Error(error.moved_by(num_characters)),
            Self::Session(end) => Self::Session(end),
        }
    }
}

/// What reaches a running statement from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// A cancel request.
    Cancelled,
    /// `statement_timeout` is over.
    TimedOut,
    /// The server stops, or the session is to end; streams have until this steady time.
    Stopping(Duration),
}

impl Signal {
    /// What the client is told.
    pub(super) fn error(self) -> PgError {
        match self {
            Self::Cancelled => PgError::cancelled(),
            Self::TimedOut => {
                PgError::error("57014", "canceling statement due to statement timeout")
            }
            Self::Stopping(_) => PgError::shutdown(),
        }
    }

    /// The same for who waits for confirmations of what is committed, where `unconfirmed` says
    /// that.
    pub(super) fn error_of_committed(self, unconfirmed: PgError) -> PgError {
        self.error().of_committed(unconfirmed)
    }
}

/// One session.
#[derive(Debug)]
pub(super) struct Session<S> {
    pub(super) conn: Conn<S>,
    pub(super) engine: Arc<Engine>,
    /// The database's name; `None` on a physical replication connection.
    pub(super) database: Option<String>,
    pub(super) num_snapshots: u32,
    pub(super) state: Arc<SessionState>,
    pub(super) replication: Replication,
    pub(super) transaction: Transaction,
    /// When the transaction and its present statement began.
    pub(super) transaction_began: Moment,
    pub(super) statement_began: Moment,
    /// When the present statement has run for too long.
    pub(super) deadline: Option<Instant>,
    pub(super) statements: PreparedStatements,
    pub(super) portals: Portals,
    pub(super) shared: Arc<Shared>,
    /// Set between an extended-query error and the Sync behind it.
    skip_to_sync: bool,
    temporary_slots: TemporarySlots,
    pub(super) standing: Standing,
    guard: SessionGuard,
    _admission: Admission,
}

/// Drops the session's temporary slots, however the session ends.
#[derive(Debug)]
struct TemporarySlots {
    engine: Arc<Engine>,
    pid: u32,
}

impl Drop for TemporarySlots {
    fn drop(&mut self) {
        self.engine.session_ended(self.pid);
    }
}

/// The database a client asked for. A physical replication connection names none; the default
/// one stands for the system.
pub(super) fn database_of(startup: &Startup, shared: &Shared) -> Result<Arc<Engine>, PgError> {
    let name = if startup.replication == Replication::Physical {
        DEFAULT_DATABASE
    } else {
        &startup.database
    };
    let engine = shared.databases.get(name);
    engine.ok_or_else(|| PgError::fatal("3D000", format!("database \"{name}\" does not exist")))
}

/// How a new session appears to others.
fn appearance(startup: &Startup, peer: &Peer, identity: &Identity, pid: u32) -> SessionInfo {
    let now = Moment::now().unix_ms;
    SessionInfo {
        pid,
        role: identity.role,
        user: startup.user.clone(),
        database: startup.database.clone(),
        application_name: startup.settings.value("application_name"),
        client: peer.client,
        server: peer.server,
        tls: peer.tls.as_ref().map(|tls| Arc::new(tls.shown())),
        started_unix_ms: now,
        transaction_unix_ms: None,
        query_unix_ms: None,
        state_unix_ms: now,
        state: "idle",
        wait_event: None,
        query: String::new(),
        backend_type: match startup.replication {
            Replication::No => "client backend",
            Replication::Logical | Replication::Physical => "walsender",
        },
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Opens a session on `engine`, the database that [`database_of`] found for it.
    pub(super) fn open(
        mut conn: Conn<S>,
        peer: Peer,
        startup: Startup,
        identity: Identity,
        engine: Arc<Engine>,
        shared: Arc<Shared>,
        admission: Admission,
    ) -> Self {
        let guard = shared
            .sessions
            .enter(|pid| appearance(&startup, &peer, &identity, pid));
        let Startup {
            database,
            replication,
            mut settings,
            ..
        } = startup;
        settings.stand_on(shared.options.shown.clone());
        conn.set_max_message(shared.options.limits.max_message_size);
        let state = SessionState::new(
            guard.appearance(),
            Arc::clone(&engine),
            Arc::clone(&shared),
            settings,
        );
        let now = Moment::now();
        Self {
            conn,
            temporary_slots: TemporarySlots {
                engine: Arc::clone(&engine),
                pid: guard.pid(),
            },
            standing: Standing::new(
                Arc::clone(&shared),
                Arc::clone(&engine),
                identity.role,
                replication != Replication::No,
            ),
            engine,
            database: (replication != Replication::Physical).then_some(database),
            num_snapshots: 0,
            state: Arc::new(state),
            replication,
            transaction: Transaction::None,
            transaction_began: now,
            statement_began: now,
            deadline: None,
            statements: PreparedStatements::default(),
            portals: Portals::default(),
            shared,
            skip_to_sync: false,
            guard,
            _admission: admission,
        }
    }

    /// Serves the session to its end; returns its process id with how it ended.
    pub(super) async fn run(mut self) -> (u32, SessionEnd) {
        self.greet();
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        self.portals.close_all().await;
        if let SessionEnd::Fatal(error) = &end {
            self.conn.send_error(error);
            self.conn.close_after_last_words().await;
        } else {
            self.conn.close().await;
        }
        (self.pid(), end)
    }

    /// The session's process id.
    pub(super) const fn pid(&self) -> u32 {
        self.temporary_slots.pid
    }

    /// Completes when something ends what runs: a cancel request, the statement's timeout, or the
    /// session's end.
    pub(super) fn signal(&self) -> impl Future<Output = Signal> + Send + use<S> {
        let cancelled = self.guard.cancelled();
        let deadline = self.deadline;
        let ended = self.ended();
        async move {
            tokio::select! {
                () = cancelled => Signal::Cancelled,
                () = sleep_until(deadline) => Signal::TimedOut,
                deadline = ended => Signal::Stopping(deadline),
            }
        }
    }

    /// Completes when the server stops or the session is to end, with what streams still have.
    fn ended(&self) -> impl Future<Output = Duration> + Send + use<S> {
        let terminated = self.guard.terminated();
        let shared = Arc::clone(&self.shared);
        async move {
            tokio::select! {
                deadline = shared.stopped() => deadline,
                () = terminated => Moment::now().steady,
            }
        }
    }

    fn greet(&mut self) {
        self.conn.send(&Authentication::Ok);
        self.look_up_superuser();
        self.report_settings();
        let pid = i32::try_from(self.pid()).unwrap_or_default();
        let key = i32::from_be_bytes(self.guard.key().to_be_bytes());
        self.conn
            .send(&BackendKeyData::new(pid, SecretKey::I32(key)));
        self.ready();
    }

    /// One message and its answer.
    async fn step(&mut self) -> Result<(), SessionEnd> {
        let message = self.next_message().await?;
        self.standing.check().map_err(SessionEnd::Fatal)?;
        self.look_up_superuser();
        self.answer(message).await
    }

    /// Has `is_superuser` say what the role is now: it may have changed while the session lasts.
    fn look_up_superuser(&self) {
        let is_superuser = self.standing.is_superuser();
        self.state
            .settings(|settings| settings.set_superuser(is_superuser));
    }

    /// The next message. What was answered is written before it is waited for.
    async fn next_message(&mut self) -> Result<Incoming, SessionEnd> {
        let phase = match self.replication {
            Replication::No => Phase::Command,
            Replication::Logical | Replication::Physical => Phase::ReplicationCommand,
        };
        if self.conn.out.len() < MUCH
            && let Some(message) = self.conn.next_message(phase).map_err(SessionEnd::Fatal)?
        {
            return Ok(message);
        }
        let (ended, idle) = (self.ended(), self.idle_deadline());
        tokio::select! {
            message = async {
                self.conn.flush().await.map_err(Broken::Io)?;
                self.conn.read_message(phase).await
            } => Ok(message?),
            _deadline = ended => Err(SessionEnd::Fatal(PgError::shutdown())),
            () = sleep_until(idle) => Err(SessionEnd::Fatal(self.idle_for_too_long())),
        }
    }

    /// When a session has waited for too long, inside a transaction block or outside.
    fn idle_deadline(&self) -> Option<Instant> {
        let name = if self.transaction.is_block() {
            "idle_in_transaction_session_timeout"
        } else {
            "idle_session_timeout"
        };
        let timeout = self.state.settings(|settings| settings.timeout(name));
        Instant::now().checked_add(timeout?)
    }

    fn idle_for_too_long(&self) -> PgError {
        if self.transaction.is_block() {
            let message = "terminating connection due to idle-in-transaction timeout";
            return PgError::fatal("25P03", message);
        }
        PgError::fatal(
            "57P05",
            "terminating connection due to idle-session timeout",
        )
    }

    async fn answer(&mut self, message: Incoming) -> Result<(), SessionEnd> {
        self.deadline = None;
        match message.tag {
            b'X' => return Err(SessionEnd::Terminated),
            b'S' => {
                self.skip_to_sync = false;
                let outcome = self.finish_implicit().await;
                self.settle(outcome).await?;
                self.ready();
            }
            _ if self.skip_to_sync => {}
            b'Q' => {
                let outcome = self.query(&message.body).await;
                self.settle(outcome).await?;
                self.ready();
            }
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                let outcome = self.extended(message).await;
                self.skip_to_sync = outcome.is_err();
                self.settle(outcome).await?;
            }
            b'F' => {
                let error = if self.replication == Replication::No {
                    PgError::unsupported("fastpath function calls are not supported")
                } else {
                    let message = "fastpath function calls not supported in a replication \
                                   connection";
                    PgError::error("08P01", message)
                };
                self.settle(Err(error.into())).await?;
                self.ready();
            }
            // Flush: every answer is written before the next message is waited for. CopyData,
            // CopyDone, CopyFail: the rest of a copy that ended here with an error.
            _ => {}
        }
        Ok(())
    }

    /// Reports a statement's error and what it does to the transaction, or ends the session with
    /// it.
    async fn settle(&mut self, outcome: Result<(), Stop>) -> Result<(), SessionEnd> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Session(end)) => Err(end),
            Err(Stop::Error(error)) if error.is_fatal() => Err(SessionEnd::Fatal(error)),
            Err(Stop::Error(error)) => {
                self.send_warnings();
                // A syntax error may repeat what was meant as a password.
                if self.state.appearance.info().query.contains(HIDDEN) {
                    let code = error.code();
                    tracing::debug!(pid = self.pid(), code, "statement failed");
                } else {
                    tracing::debug!(pid = self.pid(), %error, "statement failed");
                }
                self.conn.send_error(&error);
                self.fail().await;
                Ok(())
            }
        }
    }

    /// Sends what a statement's thread warned of.
    pub(super) fn send_warnings(&mut self) {
        for (code, message) in self.state.take_warnings() {
            self.warn(code, &message);
        }
    }

    /// WARNING, unless the client wants none.
    pub(super) fn warn(&mut self, code: &'static str, message: &str) {
        if self.wants("warning") {
            self.conn.send_warning(code, message);
        }
    }

    /// Whether `client_min_messages` lets messages of this level through.
    pub(super) fn wants(&self, level: &str) -> bool {
        let least = self
            .state
            .settings(|settings| settings.value("client_min_messages"));
        let rank = |level: &str| {
            ["notice", "warning", "error"]
                .iter()
                .position(|l| *l == level)
        };
        rank(level) >= rank(&least)
    }

    /// Tells the client what settings changed.
    fn report_settings(&mut self) {
        for (name, value) in self.state.settings(|settings| settings.changes()) {
            self.conn.send_parameter(name, &value);
            if name == "application_name" {
                self.state
                    .appearance
                    .update(|info| info.application_name = value);
            }
        }
    }

    /// Tells the client that the next command may come.
    fn ready(&mut self) {
        self.send_warnings();
        self.look_up_superuser();
        self.report_settings();
        self.conn.send_ready(self.transaction.status());
        let state = self.transaction.idle_state();
        let transaction =
            (self.transaction != Transaction::None).then_some(self.transaction_began.unix_ms);
        self.state.appearance.update(|info| {
            info.state = state;
            info.state_unix_ms = Moment::now().unix_ms;
            info.transaction_unix_ms = transaction;
        });
    }

    /// Shows others what runs from now on.
    pub(super) fn show_active(&self, text: &str) {
        let now = Moment::now().unix_ms;
        self.state.appearance.update(|info| {
            info.state = "active";
            info.query = shown_query(text);
            info.query_unix_ms = Some(now);
            info.state_unix_ms = now;
        });
    }

    /// The surroundings of a statement that begins now.
    pub(super) fn context(&self) -> Context {
        let cancelled = Arc::new(AtomicBool::new(false));
        let host = StatementHost {
            state: Arc::clone(&self.state),
            cancelled: Arc::clone(&cancelled),
        };
        let began_ms = self.transaction_began.unix_ms;
        Context {
            host: Arc::new(host),
            now: self.statement_began,
            transaction_unix_us: i64::try_from(began_ms.saturating_mul(1000)).unwrap_or(i64::MAX),
            cancelled,
            snapshot: Snapshot::default(),
        }
    }

    /// Runs work on a thread where it may block. It is told to stop when the statement is to, and
    /// waited for in any case.
    pub(super) async fn on_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Context) -> Result<T, PgError> + Send + 'static,
    ) -> Result<T, Stop> {
        let context = self.context();
        let cancelled = Arc::clone(&context.cancelled);
        let mut done = std::pin::pin!(blocking(move || work(context)));
        let told = tokio::select! {
            biased;
            done = &mut done => return Ok(done??),
            signal = self.signal() => signal,
        };
        cancelled.store(true, Ordering::Relaxed);
        match done.await? {
            Ok(done) => Ok(done),
            Err(error) if error.code() == "57014" => Err(told.into()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Runs work that may touch the disk on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PgError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| PgError::error("XX000", format!("internal error: {error}")))
}
