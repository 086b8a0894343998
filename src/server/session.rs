//! One session: the command loop and the plain statements.
//!
//! It reads one message at a time, answers it whole and flushes; while a stream runs, `stream`
//! has the connection. Replication commands are in `replication`, COPY in `copy_in`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::response::TransactionStatus;
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::cancel::CancelGuard;
use super::conn::{Broken, ColumnType, Conn, Incoming, Phase, text_of};
use super::copy_in;
use super::settings::{self, Settings};
use super::startup::{Replication, Startup};
use super::statements::Statement;
use crate::engine::{DEFAULT_DATABASE, Engine};
use crate::pgerror::PgError;
use crate::wire::ReplicationCommand;

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

/// What reaches a running statement from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// A cancel request.
    Cancelled,
    /// The server stops; streams have until this steady time.
    Stopping(Duration),
}

/// Where the session stands between BEGIN and COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    Failed,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session<S> {
    pub(super) conn: Conn<S>,
    pub(super) engine: Arc<Engine>,
    /// The database's name; `None` on a physical replication connection.
    pub(super) database: Option<String>,
    pub(super) settings: Settings,
    pub(super) num_snapshots: u32,
    shared: Arc<Shared>,
    replication: Replication,
    transaction: Transaction,
    /// Set between an extended-query error and the Sync behind it.
    skip_to_sync: bool,
    /// Reported settings that changed in this query.
    changed: Vec<(&'static str, String)>,
    temporary_slots: TemporarySlots,
    cancel: CancelGuard,
    _permit: OwnedSemaphorePermit,
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

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Opens a session on `engine`, the database that [`database_of`] found for it.
    pub(super) fn open(
        conn: Conn<S>,
        startup: Startup,
        engine: Arc<Engine>,
        shared: Arc<Shared>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let Startup {
            database,
            replication,
            mut settings,
            ..
        } = startup;
        settings.show_too(&shared.options.shown.current());
        let cancel = shared.cancels.enter();
        Self {
            conn,
            temporary_slots: TemporarySlots {
                engine: Arc::clone(&engine),
                pid: cancel.pid(),
            },
            engine,
            database: (replication != Replication::Physical).then_some(database),
            settings,
            num_snapshots: 0,
            shared,
            replication,
            transaction: Transaction::None,
            skip_to_sync: false,
            changed: vec![],
            cancel,
            _permit: permit,
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

    /// Completes at the next cancel request or when the server stops.
    pub(super) fn signal(&self) -> impl Future<Output = Signal> + Send + use<S> {
        let cancel = self.cancel.signal();
        let shared = Arc::clone(&self.shared);
        async move {
            tokio::select! {
                () = cancel.notified() => Signal::Cancelled,
                deadline = shared.stopped() => Signal::Stopping(deadline),
            }
        }
    }

    fn greet(&mut self) {
        self.conn.send(&Authentication::Ok);
        for (name, value) in self.settings.reported().collect::<Vec<_>>() {
            self.conn.send_parameter(name, &value);
        }
        let pid = i32::try_from(self.pid()).unwrap_or_default();
        let key = i32::from_be_bytes(self.cancel.key().to_be_bytes());
        self.conn
            .send(&BackendKeyData::new(pid, SecretKey::I32(key)));
        self.conn.send_ready(self.status());
    }

    /// One message and its answer.
    async fn step(&mut self) -> Result<(), SessionEnd> {
        let shared = Arc::clone(&self.shared);
        let message = tokio::select! {
            message = async {
                self.conn.flush().await.map_err(Broken::Io)?;
                self.conn.read_message(Phase::Command).await
            } => message?,
            _deadline = shared.stopped() => return Err(SessionEnd::Fatal(PgError::shutdown())),
        };
        self.answer(message).await
    }

    async fn answer(&mut self, message: Incoming) -> Result<(), SessionEnd> {
        match message.tag {
            b'X' => return Err(SessionEnd::Terminated),
            b'S' => {
                self.skip_to_sync = false;
                self.ready();
            }
            _ if self.skip_to_sync => {}
            b'Q' => {
                let outcome = self.query(&message.body).await;
                self.settle(outcome)?;
                self.ready();
            }
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                self.skip_to_sync = true;
                let error = self.extended_query_refusal("extended query protocol");
                self.settle(Err(error.into()))?;
            }
            b'F' => {
                let error = self.extended_query_refusal("fastpath function calls");
                self.settle(Err(error.into()))?;
                self.ready();
            }
            // Flush: every answer is flushed anyway. CopyData, CopyDone, CopyFail: the rest of a
            // copy that ended here with an error.
            _ => {}
        }
        Ok(())
    }

    fn extended_query_refusal(&self, what: &str) -> PgError {
        if self.replication == Replication::No {
            PgError::unsupported(format!("{what} not supported yet"))
                .with_hint("Use the simple query protocol.")
        } else {
            let message = format!("{what} not supported in a replication connection");
            PgError::error("08P01", message)
        }
    }

    /// Reports a statement's error, or ends the session with it.
    fn settle(&mut self, outcome: Result<(), Stop>) -> Result<(), SessionEnd> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Session(end)) => Err(end),
            Err(Stop::Error(error)) if error.is_fatal() => Err(SessionEnd::Fatal(error)),
            Err(Stop::Error(error)) => {
                tracing::debug!(pid = self.pid(), %error, "statement failed");
                self.conn.send_error(&error);
                if self.transaction == Transaction::Open {
                    self.transaction = Transaction::Failed;
                }
                Ok(())
            }
        }
    }

    fn ready(&mut self) {
        for (name, value) in std::mem::take(&mut self.changed) {
            self.conn.send_parameter(name, &value);
        }
        self.conn.send_ready(self.status());
    }

    const fn status(&self) -> TransactionStatus {
        match self.transaction {
            Transaction::None => TransactionStatus::Idle,
            Transaction::Open => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        }
    }

    async fn query(&mut self, body: &[u8]) -> Result<(), Stop> {
        let text = text_of(body).ok_or_else(|| {
            PgError::error("22021", "invalid byte sequence for encoding \"UTF8\"")
        })?;
        if self.replication != Replication::No {
            if let Some(command) = ReplicationCommand::parse(text)? {
                self.check_not_failed()?;
                return self.replication_command(command).await;
            }
            if self.replication == Replication::Physical && !text.trim().is_empty() {
                let message = "cannot execute SQL commands in WAL sender for physical replication";
                return Err(PgError::unsupported(message).into());
            }
        }
        let statements = Statement::parse_all(text)?;
        if statements.is_empty() {
            self.conn.send_empty_query();
        }
        for statement in statements {
            self.execute(statement).await?;
        }
        Ok(())
    }

    fn check_not_failed(&self) -> Result<(), PgError> {
        if self.transaction == Transaction::Failed {
            let message = "current transaction is aborted, commands ignored until end of \
                           transaction block";
            return Err(PgError::error("25P02", message));
        }
        Ok(())
    }

    /// An error inside a transaction block, for what cannot run there.
    pub(super) fn check_no_transaction(&self, what: &str) -> Result<(), PgError> {
        if self.transaction == Transaction::None {
            Ok(())
        } else {
            let message = format!("{what} cannot run inside a transaction block");
            Err(PgError::error("25001", message))
        }
    }

    async fn execute(&mut self, statement: Statement) -> Result<(), Stop> {
        if !matches!(statement, Statement::Commit | Statement::Rollback) {
            self.check_not_failed()?;
        }
        match statement {
            Statement::SelectOne => self.select("?column?", ColumnType::Int4, "1"),
            Statement::SelectVersion => {
                self.select("version", ColumnType::Text, &settings::version_text());
            }
            Statement::SetConfig { name, value } => {
                self.set(&name, Some(&value))?;
                self.select("set_config", ColumnType::Text, &self.settings.value(&name));
            }
            Statement::Show(name) => self.show(&name)?,
            Statement::Set { name, value } => {
                self.set(&name, value.as_deref())?;
                self.conn.send_complete("SET");
            }
            Statement::Reset(name) => {
                self.set(&name, None)?;
                self.conn.send_complete("RESET");
            }
            Statement::ResetAll => {
                self.changed.extend(self.settings.reset_all());
                self.conn.send_complete("RESET");
            }
            Statement::DiscardAll => {
                self.check_no_transaction("DISCARD ALL")?;
                self.changed.extend(self.settings.reset_all());
                self.conn.send_complete("DISCARD ALL");
            }
            Statement::Begin(tag) => self.begin(tag),
            Statement::Commit => self.end_transaction("COMMIT"),
            Statement::Rollback => self.end_transaction("ROLLBACK"),
            Statement::CopyChanges => {
                if self.transaction != Transaction::None {
                    let message =
                        "COPY pgspool.changes inside a transaction block is not supported";
                    let hint = "Each record is a transaction of its own: COPY outside of BEGIN, \
                                with the client in autocommit mode.";
                    return Err(PgError::unsupported(message).with_hint(hint).into());
                }
                copy_in::run(self, &mut copy_in::Target::default()).await?;
            }
            Statement::Refused(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn select(&mut self, column: &str, column_type: ColumnType, value: &str) {
        self.conn.send_row(&[(column, column_type, Some(value))]);
        self.conn.send_complete("SELECT 1");
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), PgError> {
        let changed = self.settings.set(name, value)?;
        self.changed.extend(changed);
        Ok(())
    }

    /// SHOW, the same on both kinds of connections.
    pub(super) fn show(&mut self, name: &str) -> Result<(), PgError> {
        let (name, value) = self.settings.show(name)?;
        self.conn
            .send_row(&[(&name, ColumnType::Text, Some(&value))]);
        self.conn.send_complete("SHOW");
        Ok(())
    }

    fn begin(&mut self, tag: &str) {
        if self.transaction == Transaction::Open {
            self.conn
                .send_warning("25001", "there is already a transaction in progress");
        }
        self.transaction = Transaction::Open;
        self.conn.send_complete(tag);
    }

    fn end_transaction(&mut self, tag: &str) {
        let before = std::mem::replace(&mut self.transaction, Transaction::None);
        if before == Transaction::None {
            self.conn
                .send_warning("25P01", "there is no transaction in progress");
        }
        let rolled_back = before == Transaction::Failed;
        self.conn
            .send_complete(if rolled_back { "ROLLBACK" } else { tag });
    }
}

/// Runs work that may touch the disk on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PgError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| PgError::error("XX000", format!("internal error: {error}")))
}
