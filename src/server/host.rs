//! What a statement may ask of its session, on whatever thread it runs.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::Shared;
use super::activity::{Appearance, lock};
use super::confirm::Confirmation;
use super::settings::Settings;
use super::work::{self, Work};
use crate::catalog::rights::is_hidden_setting;
use crate::catalog::{Caller, Host, SessionInfo, SettingRow};
use crate::change::ChangeRecord;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::RelationSet;
use crate::roles::{Rights, RoleSet};

/// What the session's task and its statements' threads share.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) user: String,
    /// OID of its role.
    pub(super) role: u32,
    pub(super) appearance: Appearance,
    pub(super) engine: Arc<Engine>,
    pub(super) shared: Arc<Shared>,
    settings: Mutex<Settings>,
    work: Mutex<Work>,
    /// Warnings of the running statement that were not sent yet: SQLSTATE and text.
    warnings: Mutex<Vec<(&'static str, String)>>,
}

impl SessionState {
    /// That of a new session.
    pub(super) fn new(
        appearance: Appearance,
        engine: Arc<Engine>,
        shared: Arc<Shared>,
        settings: Settings,
    ) -> Self {
        Self {
            user: appearance.info().user,
            role: appearance.info().role,
            appearance,
            engine,
            shared,
            settings: Mutex::new(settings),
            work: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// Looks at or changes the settings.
    pub(super) fn settings<T>(&self, look: impl FnOnce(&mut Settings) -> T) -> T {
        look(&mut lock(&self.settings))
    }

    /// All settings that the role may see.
    pub(super) fn seen_settings(&self) -> Vec<SettingRow> {
        let mut rows = self.settings(|settings| settings.rows());
        if !self.caller().is_monitor() {
            rows.retain(|row| !is_hidden_setting(&row.name));
        }
        rows
    }

    /// Looks at or changes the open transaction's work.
    pub(super) fn work<T>(&self, look: impl FnOnce(&mut Work) -> T) -> T {
        look(&mut lock(&self.work))
    }

    /// The session's role as it is now.
    pub(super) fn caller(&self) -> Caller {
        self.shared.caller(self.role)
    }

    /// Leaves a warning for the client.
    fn warn(&self, code: &'static str, message: String) {
        lock(&self.warnings).push((code, message));
    }

    /// The warnings since this was asked last.
    pub(super) fn take_warnings(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut lock(&self.warnings))
    }

    /// The error for `what` in a transaction that is read-only.
    pub(super) fn check_writable(&self, what: &str) -> Result<(), PgError> {
        if self.settings(|settings| settings.is_on("transaction_read_only")) {
            let message = format!("cannot execute {what} in a read-only transaction");
            return Err(PgError::error("25006", message));
        }
        Ok(())
    }

    /// The same for what publishes or defines: not in a captured database.
    pub(super) fn check_takes_records(&self, what: &str) -> Result<(), PgError> {
        self.check_writable(what)?;
        Ok(self.engine.check_takes_records()?)
    }
}

/// The session as one of its statements sees it.
#[derive(Debug)]
pub(super) struct StatementHost {
    pub(super) state: Arc<SessionState>,
    /// Set when the statement is to stop.
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Host for StatementHost {
    fn engine(&self) -> &Arc<Engine> {
        &self.state.engine
    }

    fn databases(&self) -> Vec<Arc<Engine>> {
        self.state.shared.databases.all()
    }

    fn relations_seen(&self) -> Arc<RelationSet> {
        let engine = &self.state.engine;
        self.state.work(|work| work.relations_seen(engine))
    }

    fn session(&self) -> SessionInfo {
        self.state.appearance.info()
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        self.state.shared.sessions.all()
    }

    fn roles(&self) -> Arc<RoleSet> {
        let roles = self.state.shared.databases.roles();
        self.state.work(|work| work.roles_seen(roles))
    }

    fn rights(&self) -> Rights {
        self.state.shared.rights_of(self.state.role)
    }

    fn caller(&self) -> Caller {
        self.state.caller()
    }

    fn caller_of(&self, pid: u32) -> Option<Caller> {
        let shared = &self.state.shared;
        let role = shared.sessions.role_of(pid)?;
        Some(shared.caller(role))
    }

    fn hba_text(&self) -> String {
        self.state.shared.options.access.hba_text()
    }

    fn ident_text(&self) -> String {
        self.state.shared.options.access.ident_text()
    }

    fn server_started_unix_ms(&self) -> u64 {
        self.state.shared.started_unix_ms
    }

    fn setting(&self, name: &str) -> Result<String, PgError> {
        self.caller().check_examine(name)?;
        let shown = self.state.settings(|settings| settings.show(name));
        shown.map(|(_, value)| value)
    }

    fn set_config(&self, name: &str, value: &str, is_local: bool) -> Result<String, PgError> {
        self.state
            .settings(|settings| settings.set(name, Some(value), is_local))
    }

    fn settings(&self) -> Vec<SettingRow> {
        self.state.seen_settings()
    }

    fn publish(&self, records: Vec<ChangeRecord>, transactional: bool) -> Result<Lsn, PgError> {
        self.state.check_takes_records("publish()")?;
        let engine = &self.state.engine;
        if transactional && self.state.work(|work| work.is_together()) {
            self.state.work(|work| work.publish(&records))?;
            return Ok(engine.head());
        }
        let end = work::publish_each(engine, &records)?;
        let synchronous = self
            .state
            .settings(|settings| settings.synchronous_commit());
        if let Some(confirmation) =
            Confirmation::begin(engine, &self.state.appearance, end, synchronous)
        {
            let runtime = &self.state.shared.runtime;
            work::wait(runtime, confirmation, &self.cancelled)?;
        }
        Ok(end)
    }

    fn has_written(&self) -> bool {
        self.state.work(|work| !work.is_empty())
    }

    fn terminate(&self, pid: u32) -> bool {
        self.state.shared.sessions.terminate(pid)
    }

    fn cancel(&self, pid: u32) -> bool {
        self.state.shared.sessions.cancel(pid)
    }

    fn warn(&self, code: &'static str, message: String) {
        self.state.warn(code, message);
    }

    fn reload(&self) -> Result<bool, PgError> {
        self.state.shared.options.shown.request_reload();
        Ok(true)
    }
}
