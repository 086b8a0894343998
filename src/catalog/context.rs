//! What a statement may ask of the session that runs it, and the snapshot that it looks at.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::datum::{IntervalStyle, Style};
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::{RelationSet, schemas_searched};
use crate::roles::{Rights, Role, RoleSet};
use crate::slots::SlotUser;

use super::databases::DatabaseSnapshot;
use super::rights::Caller;
use super::views::Rows;

/// Who runs a statement.
#[derive(Debug, Clone)]
pub(crate) struct SessionInfo {
    /// Process id.
    pub(crate) pid: u32,
    /// OID of its role.
    pub(crate) role: u32,
    /// User.
    pub(crate) user: String,
    /// Database.
    pub(crate) database: String,
    /// application_name
    pub(crate) application_name: String,
    /// Where the client is; `None` on a Unix socket.
    pub(crate) client: Option<SocketAddr>,
    /// Where the server is.
    pub(crate) server: Option<SocketAddr>,
    /// How its connection is encrypted.
    pub(crate) tls: Option<Arc<SessionTls>>,
    /// When the session began, unix milliseconds.
    pub(crate) started_unix_ms: u64,
    /// When its transaction began, when its statement began, when its state changed.
    pub(crate) transaction_unix_ms: Option<u64>,
    /// See above.
    pub(crate) query_unix_ms: Option<u64>,
    /// See above.
    pub(crate) state_unix_ms: u64,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`
    pub(crate) state: &'static str,
    /// What it waits for, when that is more than its client: type and name.
    pub(crate) wait_event: Option<(&'static str, &'static str)>,
    /// The last statement.
    pub(crate) query: String,
    /// `client backend`, `walsender`
    pub(crate) backend_type: &'static str,
}

/// How a session's connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionTls {
    /// `TLSv1.3`
    pub(crate) version: &'static str,
    /// As OpenSSL names it.
    pub(crate) cipher: String,
    /// Length of the key.
    pub(crate) bits: i32,
    /// The client's certificate, when it showed one.
    pub(crate) client: Option<ClientCertificate>,
}

/// What is shown of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// `/CN=ann`
    pub(crate) subject: String,
    /// A decimal number.
    pub(crate) serial: String,
    /// `/CN=an authority`
    pub(crate) issuer: String,
}

/// One row of `pg_settings`.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingRow {
    pub(crate) name: String,
    pub(crate) setting: String,
    pub(crate) unit: Option<&'static str>,
    pub(crate) category: &'static str,
    pub(crate) short_desc: String,
    /// internal, postmaster, sighup, superuser, user
    pub(crate) context: &'static str,
    /// bool, integer, string, enum, real
    pub(crate) vartype: &'static str,
    /// default, configuration file, environment variable, command line, client, session
    pub(crate) source: &'static str,
    pub(crate) min_val: Option<String>,
    pub(crate) max_val: Option<String>,
    pub(crate) enumvals: Option<Vec<&'static str>>,
    pub(crate) boot_val: Option<String>,
    pub(crate) reset_val: Option<String>,
    pub(crate) sourcefile: Option<String>,
    pub(crate) sourceline: Option<i32>,
    pub(crate) pending_restart: bool,
}

/// What a statement may ask of the session that runs it. Called on a blocking thread.
pub(crate) trait Host: Send + Sync {
    /// The session's database.
    fn engine(&self) -> &Arc<Engine>;
    /// All databases, by name.
    fn databases(&self) -> Vec<Arc<Engine>>;
    /// Tables and publications of the session's database, with what the open transaction defines.
    fn relations_seen(&self) -> Arc<RelationSet> {
        self.engine().relations().current()
    }
    /// The session.
    fn session(&self) -> SessionInfo;
    /// All sessions.
    fn sessions(&self) -> Vec<SessionInfo>;
    /// All roles, with what the open transaction changed.
    fn roles(&self) -> Arc<RoleSet>;
    /// What the session's role may do now.
    fn rights(&self) -> Rights;
    /// The session's role as it is now.
    fn caller(&self) -> Caller {
        Caller::new(self.session().role, self.rights(), &self.roles())
    }
    /// As who the session uses slots.
    fn slot_user(&self) -> SlotUser {
        self.caller().slot_user(self.session().pid)
    }
    /// The role of the session `pid` as it is now; `None` when there is no such session.
    fn caller_of(&self, pid: u32) -> Option<Caller> {
        let sessions = self.sessions();
        let session = sessions.into_iter().find(|session| session.pid == pid)?;
        let roles = self.roles();
        let rights = roles.find_oid(session.role).map(|role| role.rights);
        Some(Caller::new(
            session.role,
            rights.unwrap_or_default(),
            &roles,
        ))
    }
    /// What `hba_file` says now; empty where there is none.
    fn hba_text(&self) -> String {
        String::new()
    }
    /// What `ident_file` says now.
    fn ident_text(&self) -> String {
        String::new()
    }
    /// When the server started, unix milliseconds.
    fn server_started_unix_ms(&self) -> u64;
    /// A setting's value in PostgreSQL's spelling; 42704 when there is none.
    fn setting(&self, name: &str) -> Result<String, PgError>;
    /// `set_config`; returns the new value.
    fn set_config(&self, name: &str, value: &str, is_local: bool) -> Result<String, PgError>;
    /// All settings, for `pg_settings`.
    fn settings(&self) -> Vec<SettingRow>;
    /// Publishes records: as part of the open transaction block (then at its COMMIT), or each as a
    /// transaction of its own, waiting for durability and the commit policy. Returns the last end,
    /// or inside of a block the head.
    fn publish(&self, records: Vec<ChangeRecord>, transactional: bool) -> Result<Lsn, PgError>;
    /// Whether the open transaction has something to commit.
    fn has_written(&self) -> bool {
        false
    }
    /// Ends the session `pid`; false when there is none.
    fn terminate(&self, pid: u32) -> bool;
    /// Cancels what the session `pid` runs; false when there is none.
    fn cancel(&self, pid: u32) -> bool;
    /// Sends the client a WARNING.
    fn warn(&self, code: &'static str, message: String) {
        tracing::debug!(code, message, "a warning for a client that takes none");
    }
    /// Reads the configuration again, as SIGHUP does; whether that was begun.
    fn reload(&self) -> Result<bool, PgError> {
        Err(PgError::unsupported(
            "reloading the configuration is not supported here",
        ))
    }
}

/// One statement's surroundings: it sees one snapshot, taken piece by piece at first use.
pub(crate) struct Context {
    pub(crate) host: Arc<dyn Host>,
    /// Statement and transaction time.
    pub(crate) now: Moment,
    /// `now()`: when the transaction began, unix microseconds.
    pub(crate) transaction_unix_us: i64,
    /// Set when the statement is to stop (57014 or 57P01 is the caller's business).
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) snapshot: Snapshot,
}

impl Context {
    /// How the session wants values read and printed.
    pub(crate) fn style(&self) -> &Style {
        self.snapshot.style.get_or_init(|| {
            let setting = |name| self.host.setting(name).unwrap_or_default();
            let mut style = Style::utc(self.transaction_unix_us);
            if let Some(zone) = Style::time_zone_named(&setting("TimeZone")) {
                style.time_zone = zone;
            }
            style.interval_style = IntervalStyle::named(&setting("IntervalStyle"));
            style.extra_float_digits = setting("extra_float_digits").parse().unwrap_or(1);
            style.bytea_escape = setting("bytea_output").eq_ignore_ascii_case("escape");
            style
        })
    }

    /// All roles, as this statement sees them.
    pub(crate) fn roles(&self) -> &RoleSet {
        self.snapshot.roles.get_or_init(|| self.host.roles())
    }

    /// The role of the session; `None` when it was dropped.
    pub(crate) fn own_role(&self) -> Option<&Role> {
        self.roles().find_oid(self.host.session().role)
    }

    /// What the session's role may do.
    pub(crate) fn rights(&self) -> Rights {
        *self.snapshot.rights.get_or_init(|| self.host.rights())
    }

    /// Schemas that are searched for a name without one, in order; not all need be there.
    pub(crate) fn search_path(&self) -> &[String] {
        self.snapshot.search_path.get_or_init(|| {
            let setting = self.host.setting("search_path").unwrap_or_default();
            let mut path = schemas_searched(&setting, &self.host.session().user);
            let catalog = "pg_catalog".to_owned();
            if !path.contains(&catalog) {
                path.insert(0, catalog);
            }
            path
        })
    }
}

/// What the views show, taken once a statement, each piece at its first use.
#[derive(Default)]
pub(crate) struct Snapshot {
    /// Rows of views by the view's OID.
    pub(super) rows: Mutex<BTreeMap<u32, Arc<Rows>>>,
    /// All databases.
    pub(super) databases: OnceLock<Vec<DatabaseSnapshot>>,
    /// How the session wants values read and printed, asked once a statement.
    style: OnceLock<Style>,
    /// Schemas that are searched for a name without one.
    search_path: OnceLock<Vec<String>>,
    /// All roles.
    roles: OnceLock<Arc<RoleSet>>,
    /// What the session's role may do.
    rights: OnceLock<Rights>,
    /// What is left to do when the statement has succeeded.
    finish: Mutex<Vec<Finish>>,
}

/// What a function leaves to be done when all rows of its statement were made without an error.
pub(super) type Finish = Box<dyn FnOnce() -> Result<(), PgError> + Send>;

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Context {
    /// Leaves something to be done when the statement has succeeded.
    pub(super) fn at_success(&self, finish: Finish) {
        lock(&self.snapshot.finish).push(finish);
    }

    /// What was left to be done, in order.
    pub(super) fn take_finish(&self) -> Vec<Finish> {
        std::mem::take(&mut *lock(&self.snapshot.finish))
    }

    /// An error when the statement is to stop.
    pub(super) fn check_cancelled(&self) -> Result<(), PgError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(PgError::cancelled());
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
