//! A session and its databases for the tests of the catalog.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::disk::{Disk, FakeDisk};
use crate::engine::{Engine, EngineOptions};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::roles::{Rights, RoleSet};

use super::{Context, Host, SessionInfo, SettingRow, Snapshot};

/// Databases on a fake disk, the first one being the session's.
pub(crate) struct TestHost {
    pub(crate) databases: Vec<Arc<Engine>>,
    pub(crate) sessions: Vec<SessionInfo>,
    pub(crate) roles: Arc<RoleSet>,
    pub(crate) settings: Mutex<Vec<SettingRow>>,
}

/// When the tests' clock stands still, unix milliseconds.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

impl TestHost {
    /// New databases of these names on `disk`.
    pub(crate) fn new(disk: &Arc<FakeDisk>, names: &[&str]) -> Self {
        let open = |name: &&str| {
            let dir = Path::new("/data").join(name);
            let options = EngineOptions::default();
            let now = Moment::at_ms(NOW_MS);
            let disk: Arc<dyn Disk> = disk.clone();
            Arc::new(Engine::open(disk, &dir, name, options, now).unwrap())
        };
        Self {
            databases: names.iter().map(open).collect(),
            sessions: vec![session(4711, names[0])],
            roles: Arc::new(RoleSet::with_owner("postgres")),
            settings: Mutex::new(vec![
                setting("wal_level", "logical"),
                setting("TimeZone", "UTC"),
                setting("search_path", "\"$user\", public"),
            ]),
        }
    }

    /// The surroundings of one statement.
    pub(crate) fn context(self: &Arc<Self>) -> Arc<Context> {
        let host: Arc<dyn Host> = self.clone();
        Arc::new(Context {
            host,
            now: Moment::at_ms(NOW_MS),
            transaction_unix_us: 1_700_000_000_000_000,
            cancelled: Arc::new(AtomicBool::new(false)),
            snapshot: Snapshot::default(),
        })
    }
}

/// A session of user `postgres`.
pub(crate) fn session(pid: u32, database: &str) -> SessionInfo {
    SessionInfo {
        pid,
        role: 10,
        user: "postgres".to_owned(),
        database: database.to_owned(),
        application_name: "test".to_owned(),
        client: Some(([127, 0, 0, 1], 50_000).into()),
        server: Some(([127, 0, 0, 1], 5432).into()),
        tls: None,
        started_unix_ms: NOW_MS,
        transaction_unix_ms: Some(NOW_MS),
        query_unix_ms: Some(NOW_MS),
        state_unix_ms: NOW_MS,
        state: "active",
        wait_event: None,
        query: "SELECT 1".to_owned(),
        backend_type: "client backend",
    }
}

/// A setting that is text.
pub(crate) fn setting(name: &str, value: &str) -> SettingRow {
    SettingRow {
        name: name.to_owned(),
        setting: value.to_owned(),
        vartype: "string",
        source: "default",
        ..SettingRow::default()
    }
}

impl Host for TestHost {
    fn engine(&self) -> &Arc<Engine> {
        &self.databases[0]
    }

    fn databases(&self) -> Vec<Arc<Engine>> {
        self.databases.clone()
    }

    fn session(&self) -> SessionInfo {
        self.sessions[0].clone()
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        self.sessions.clone()
    }

    fn server_started_unix_ms(&self) -> u64 {
        NOW_MS
    }

    fn setting(&self, name: &str) -> Result<String, PgError> {
        let settings = self.settings.lock().unwrap();
        let found = settings
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(name));
        found.map(|row| row.setting.clone()).ok_or_else(|| {
            let message = format!("unrecognized configuration parameter \"{name}\"");
            PgError::error("42704", message)
        })
    }

    fn set_config(&self, name: &str, value: &str, _is_local: bool) -> Result<String, PgError> {
        let mut settings = self.settings.lock().unwrap();
        settings.retain(|row| !row.name.eq_ignore_ascii_case(name));
        settings.push(setting(name, value));
        Ok(value.to_owned())
    }

    fn settings(&self) -> Vec<SettingRow> {
        self.settings.lock().unwrap().clone()
    }

    fn publish(&self, records: Vec<ChangeRecord>, _transactional: bool) -> Result<Lsn, PgError> {
        let mut batch = self.databases[0].batch(Moment::at_ms(NOW_MS));
        for record in &records {
            batch.push(record)?;
        }
        let published = self.databases[0].publish(batch)?;
        Ok(published.last_lsn)
    }

    fn roles(&self) -> Arc<RoleSet> {
        Arc::clone(&self.roles)
    }

    fn rights(&self) -> Rights {
        let role = self.roles.find_oid(self.sessions[0].role);
        role.map(|role| role.rights).unwrap_or_default()
    }

    fn terminate(&self, _pid: u32) -> bool {
        false
    }

    fn cancel(&self, _pid: u32) -> bool {
        false
    }
}
