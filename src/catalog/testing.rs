//! A session and a database for the catalog's tests.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::exec::Executor;
use super::{Column, Context, Host, Prepared, SessionInfo, SettingRow, Snapshot};
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::datum::{Datum, PgType};
use crate::disk::FakeDisk;
use crate::engine::{Engine, EngineOptions};
use crate::lsn::Lsn;
use crate::pgerror::PgError;

/// A session of its own, on one database.
pub(super) struct TestHost {
    pub(super) engine: Arc<Engine>,
    /// Pids that were terminated or cancelled.
    pub(super) ended: Mutex<Vec<(u32, &'static str)>>,
}

/// A database in memory, and its disk.
pub(super) fn engine(options: EngineOptions) -> (Arc<Engine>, Arc<FakeDisk>) {
    let disk = Arc::new(FakeDisk::default());
    let dir = Path::new("/data/db");
    let engine = Engine::open(disk.clone(), dir, "db", options, Moment::now());
    (Arc::new(engine.unwrap()), disk)
}

/// The surroundings of one statement.
pub(super) fn context(engine: &Arc<Engine>) -> Arc<Context> {
    let host = TestHost {
        engine: Arc::clone(engine),
        ended: Mutex::default(),
    };
    context_of(Arc::new(host))
}

/// The same, for a session of one's own.
pub(super) fn context_of(host: Arc<TestHost>) -> Arc<Context> {
    let now = Moment::now();
    Arc::new(Context {
        host,
        now,
        transaction_unix_us: i64::try_from(now.unix_ms).unwrap() * 1000,
        cancelled: Arc::new(AtomicBool::new(false)),
        snapshot: Snapshot::default(),
    })
}

/// Runs a rewritten statement whose columns have these types.
pub(super) fn run(
    context: &Arc<Context>,
    sql: &str,
    types: &[PgType],
    params: &[Datum],
) -> Result<Vec<Vec<Datum>>, PgError> {
    let column = |ty: &PgType| Column {
        name: "c".to_owned(),
        column_type: *ty,
        typmod: -1,
        table_oid: 0,
        attnum: 0,
    };
    let prepared = Prepared {
        params: Vec::new(),
        columns: types.iter().map(column).collect(),
        fields: Vec::new(),
        acts: false,
        sql: sql.to_owned(),
    };
    let mut rows = Vec::new();
    Executor::new(2).run(context, &prepared, params, &mut |row| {
        rows.push(row.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// Asks the statement to stop.
pub(super) fn cancel(context: &Context) {
    context.cancelled.store(true, Ordering::Relaxed);
}

impl TestHost {
    fn info(pid: u32) -> SessionInfo {
        SessionInfo {
            pid,
            role: 10,
            user: "tester".to_owned(),
            database: "db".to_owned(),
            application_name: "test".to_owned(),
            client: None,
            server: None,
            tls: None,
            started_unix_ms: 1,
            transaction_unix_ms: None,
            query_unix_ms: None,
            state_unix_ms: 1,
            state: "active",
            wait_event: None,
            query: String::new(),
            backend_type: "client backend",
        }
    }
}

impl Host for TestHost {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn databases(&self) -> Vec<Arc<Engine>> {
        vec![Arc::clone(&self.engine)]
    }

    fn session(&self) -> SessionInfo {
        Self::info(7)
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        vec![Self::info(7), Self::info(8)]
    }

    fn server_started_unix_ms(&self) -> u64 {
        1
    }

    fn setting(&self, name: &str) -> Result<String, PgError> {
        if name == "TimeZone" {
            return Ok("UTC".to_owned());
        }
        Err(PgError::error("42704", "no such setting"))
    }

    fn set_config(&self, _: &str, value: &str, _: bool) -> Result<String, PgError> {
        Ok(value.to_owned())
    }

    fn settings(&self) -> Vec<SettingRow> {
        Vec::new()
    }

    fn publish(&self, records: Vec<ChangeRecord>, transactional: bool) -> Result<Lsn, PgError> {
        let mut batch = self.engine.batch(Moment::now());
        if transactional {
            batch.push_transaction(&records)?;
        } else {
            for record in &records {
                batch.push(record)?;
            }
        }
        Ok(self.engine.publish(batch)?.last_lsn)
    }

    fn roles(&self) -> Arc<crate::roles::RoleSet> {
        Arc::new(crate::roles::RoleSet::with_owner("tester"))
    }

    fn rights(&self) -> crate::roles::Rights {
        crate::roles::Rights {
            superuser: true,
            ..crate::roles::Rights::default()
        }
    }

    fn terminate(&self, pid: u32) -> bool {
        self.ended.lock().unwrap().push((pid, "terminated"));
        pid == 8
    }

    fn cancel(&self, pid: u32) -> bool {
        self.ended.lock().unwrap().push((pid, "cancelled"));
        pid == 8
    }
}
