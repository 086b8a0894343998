//! A connection to an upstream: the client crate behind the few verbs that are used.
//!
//! The crate's connecting and asking block, so they are done on a thread of their own
//! ([`on_thread`]); its stream is read on the runtime. A connection that is dropped says goodbye on
//! such a thread too.

mod error;
mod incoming;
mod make;
mod password;
mod there;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use pg_walstream::{CancellationToken, PgReplicationConnection};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::conninfo::{Conninfo, Target, TargetAttrs};
use crate::captures::CaptureSettings;
use crate::lsn::Lsn;

pub use error::UpstreamError;
pub(super) use incoming::Incoming;
pub(super) use password::Secret;

/// How long the answer to a question may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The oldest upstream that streams transactions in progress.
pub(super) const OLDEST: u32 = 140_000;

/// The rows of an answer, as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Replication, and SQL beside it.
    Replication,
    /// SQL.
    Questions,
}

/// A connection to an upstream.
pub(super) struct Connection {
    /// `None` after it broke, or while a thread has it.
    inner: Option<PgReplicationConnection>,
    target: Target,
    /// As `server_version_num`.
    version: u32,
    secret: Secret,
    never: CancellationToken,
}

/// The way to a server that was connected to.
#[derive(Debug, Clone)]
pub(super) struct Door {
    conninfo: Conninfo,
    target: Target,
    secret: Secret,
}

impl Door {
    /// A connection for questions.
    pub(super) async fn open(&self) -> Result<Connection, UpstreamError> {
        let (purpose, any) = (Purpose::Questions, TargetAttrs::Any);
        Connection::connect_to(&self.conninfo, &self.target, &self.secret, purpose, any).await
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("target", &self.target)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without a runtime the crate says goodbye itself.
        if let Some(inner) = self.inner.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let goodbye = move || {
                let _entered = runtime.enter();
                drop(inner);
            };
            // A thread that cannot be made drops it, too.
            drop(std::thread::Builder::new().spawn(goodbye));
        }
    }
}

impl Connection {
    /// Connects to the first server that answers and is as it should be. The password is read
    /// anew.
    pub(super) async fn connect(
        settings: &CaptureSettings,
        purpose: Purpose,
    ) -> Result<Self, UpstreamError> {
        let conninfo = Conninfo::parse(&settings.upstream);
        let conninfo = conninfo.map_err(|error| UpstreamError::new(error.to_string()))?;
        let secret = password::read(&settings.password).await?;
        let mut errors = Vec::new();
        let attrs = match conninfo.attrs() {
            TargetAttrs::PreferStandby => &[TargetAttrs::Standby, TargetAttrs::Any][..],
            TargetAttrs::Any => &[TargetAttrs::Any][..],
            TargetAttrs::ReadWrite => &[TargetAttrs::ReadWrite][..],
            TargetAttrs::ReadOnly => &[TargetAttrs::ReadOnly][..],
            TargetAttrs::Primary => &[TargetAttrs::Primary][..],
            TargetAttrs::Standby => &[TargetAttrs::Standby][..],
        };
        for wanted in attrs {
            errors.clear();
            for target in conninfo.targets() {
                match Self::connect_to(&conninfo, target, &secret, purpose, *wanted).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => errors.push(error.within(&target.to_string())),
                }
            }
        }
        Err(all_of(&errors).connecting())
    }

    /// The way to further connections to the same server.
    pub(super) fn door(&self, settings: &CaptureSettings) -> Result<Door, UpstreamError> {
        let conninfo = Conninfo::parse(&settings.upstream);
        Ok(Door {
            conninfo: conninfo.map_err(|error| UpstreamError::new(error.to_string()))?,
            target: self.target.clone(),
            secret: self.secret.clone(),
        })
    }

    async fn connect_to(
        conninfo: &Conninfo,
        target: &Target,
        secret: &Secret,
        purpose: Purpose,
        wanted: TargetAttrs,
    ) -> Result<Self, UpstreamError> {
        let is_replication = purpose == Purpose::Replication;
        let text = Secret::new(conninfo.with_password(target, secret.reveal(), is_replication));
        let connected = on_thread(move || PgReplicationConnection::connect(text.reveal()));
        let inner = connected.await?;
        let inner = inner.map_err(|error| UpstreamError::of(&error, secret.reveal()))?;
        let version = u32::try_from(inner.server_version()).unwrap_or(0);
        let mut this = Self {
            inner: Some(inner),
            target: target.clone(),
            version,
            secret: secret.clone(),
            never: CancellationToken::new(),
        };
        let name = conninfo.application_name().unwrap_or("pgspool");
        this.settle(purpose, name).await?;
        this.check(wanted).await?;
        Ok(this)
    }

    /// Sets what a session is to be like: values as text in one form, whatever the role's defaults.
    async fn settle(&mut self, purpose: Purpose, name: &str) -> Result<(), UpstreamError> {
        let mut settings = vec![
            ("application_name", name),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("extra_float_digits", "3"),
            ("bytea_output", "hex"),
            ("TimeZone", "UTC"),
            ("statement_timeout", "0"),
        ];
        if purpose == Purpose::Questions {
            settings.push(("search_path", ""));
        }
        let calls = settings.iter().map(|(name, value)| {
            let (name, value) = (literal(name), literal(value));
            format!("pg_catalog.set_config({name}, {value}, false)")
        });
        let calls: Vec<_> = calls.collect();
        self.query(format!("SELECT {}", calls.join(", "))).await?;
        Ok(())
    }

    /// Whether the server is one that will do.
    async fn check(&mut self, wanted: TargetAttrs) -> Result<(), UpstreamError> {
        if self.version < OLDEST {
            let version = self.version / 10_000;
            let words = "an upstream has to be PostgreSQL 14 or later";
            return Err(UpstreamError::new(format!(
                "{words}, and this is {version}"
            )));
        }
        if wanted == TargetAttrs::Any {
            return Ok(());
        }
        let sql = "SELECT pg_catalog.pg_is_in_recovery(), \
                   pg_catalog.current_setting('transaction_read_only')";
        let rows = self.query(sql.to_owned()).await?;
        let row = rows.first();
        let field = |at: usize| row.and_then(|row| row.get(at)?.as_deref());
        let is_standby = field(0) == Some("t");
        let is_read_only = field(1) == Some("on");
        // The words are libpq's.
        let error = match wanted {
            TargetAttrs::ReadWrite if is_read_only => "session is read-only",
            TargetAttrs::ReadOnly if !is_read_only => "session is not read-only",
            TargetAttrs::Primary if is_standby => "server is in hot standby mode",
            TargetAttrs::Standby if !is_standby => "server is not in hot standby mode",
            TargetAttrs::Any
            | TargetAttrs::ReadWrite
            | TargetAttrs::ReadOnly
            | TargetAttrs::Primary
            | TargetAttrs::Standby
            | TargetAttrs::PreferStandby => return Ok(()),
        };
        Err(UpstreamError::new(error))
    }

    /// The server that it is connected to.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// As `server_version_num`.
    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// Asks, and waits for the answer for a minute.
    pub(super) async fn query(&mut self, sql: String) -> Result<Rows, UpstreamError> {
        let answer = tokio::time::timeout(PATIENCE, self.query_patiently(sql));
        let late = || UpstreamError::new("the upstream did not answer for a minute");
        answer.await.map_err(|_| late())?
    }

    /// Asks, and waits for the answer. After this future was dropped the connection is gone.
    pub(super) async fn query_patiently(&mut self, sql: String) -> Result<Rows, UpstreamError> {
        let mut inner = self.inner.take().ok_or_else(is_gone)?;
        let asked = on_thread(move || {
            let answer = inner.exec(&sql);
            (inner, answer)
        });
        let (inner, answer) = asked.await?;
        self.inner = Some(inner);
        let answer = answer.map_err(|error| self.error(&error))?;
        let (rows, columns) = (0..answer.ntuples(), 0..answer.nfields());
        let row = |row| {
            columns
                .clone()
                .map(|at| answer.get_value(row, at))
                .collect()
        };
        Ok(rows.map(row).collect())
    }

    /// START_REPLICATION: from here on it is a stream.
    pub(super) async fn start(
        &mut self,
        slot: &str,
        from: Lsn,
        publications: &[String],
        streaming: bool,
    ) -> Result<(), UpstreamError> {
        let mut inner = self.inner.take().ok_or_else(is_gone)?;
        let slot = slot.to_owned();
        let names = make::name_list(publications);
        let started = on_thread(move || {
            let options = [
                ("proto_version", "2"),
                ("publication_names", names.as_str()),
                ("messages", "on"),
                ("streaming", if streaming { "on" } else { "off" }),
            ];
            let started = inner.start_replication(&slot, from.get(), &options);
            (inner, started)
        });
        let (inner, started) = tokio::time::timeout(PATIENCE, started)
            .await
            .map_err(|_| UpstreamError::new("START_REPLICATION was not answered for a minute"))??;
        self.inner = Some(inner);
        started.map_err(|error| self.error(&error))
    }

    /// The next message. Cancel-safe: the crate reads into a buffer that it keeps.
    pub(super) async fn receive(&mut self) -> Result<Incoming, UpstreamError> {
        let inner = self.inner.as_mut().ok_or_else(is_gone)?;
        let body: Bytes = inner
            .get_copy_data_async(&self.never)
            .await
            .map_err(|error| UpstreamError::of(&error, self.secret.reveal()))?;
        Incoming::parse(&body)
    }

    /// The next message if it is there already.
    pub(super) fn receive_now(&mut self) -> Option<Result<Incoming, UpstreamError>> {
        let receive = pin!(self.receive());
        match receive.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => None,
        }
    }

    /// A status update: what was received, and what is durable here.
    pub(super) async fn acknowledge(
        &mut self,
        received: Lsn,
        durable: Lsn,
        reply: bool,
    ) -> Result<(), UpstreamError> {
        let inner = self.inner.as_mut().ok_or_else(is_gone)?;
        let (received, durable) = (received.get(), durable.get());
        let sent = inner.send_standby_status_update(received, durable, durable, reply);
        let sent = sent.await;
        sent.map_err(|error| UpstreamError::of(&error, self.secret.reveal()))
    }

    fn error(&self, error: &pg_walstream::ReplicationError) -> UpstreamError {
        UpstreamError::of(error, self.secret.reveal())
    }
}

fn is_gone() -> UpstreamError {
    UpstreamError::new("the connection to the upstream is gone")
}

/// One error for all servers that were tried.
fn all_of(errors: &[UpstreamError]) -> UpstreamError {
    match errors {
        [only] => only.clone(),
        all => {
            let all: Vec<_> = all.iter().map(ToString::to_string).collect();
            UpstreamError::new(all.join("; "))
        }
    }
}

/// Does what blocks on a thread of its own, in the runtime's context so that sockets are the
/// runtime's. Whoever stops waiting does not wait for the thread either.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, UpstreamError> {
    let (done, answer) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let _entered = runtime.enter();
        // Nobody waits any more: what was made is dropped here.
        drop(done.send(work()));
    };
    let thread = std::thread::Builder::new().name("upstream".to_owned());
    thread
        .spawn(work)
        .map_err(|error| UpstreamError::new(format!("cannot start a thread: {error}")))?;
    answer.await.map_err(|_| is_gone())
}

/// `text` as a literal of SQL.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
