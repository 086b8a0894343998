//! One SQLite in memory, with our functions and tables and without anything that reaches out.

use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::changes::ChangesTable;
use super::function_scan::FunctionTable;
use super::seat::Seat;
use super::view_scan::ViewTable;
use super::{call, collate, vtab};
use crate::catalog::functions;
use crate::catalog::views::{self, Source};

/// Statements that a connection keeps prepared.
const PREPARED: usize = 128;
/// Instructions of SQLite's between two looks at whether the statement is to stop.
const LOOK_EVERY: std::ffi::c_int = 1000;
/// Most bytes that SQLite may have in use, in all connections of the process together.
const HEAP_BYTES: i64 = 512 << 20;

/// A connection and the seat of its statement.
pub(super) struct Opened {
    pub(super) sqlite: Connection,
    pub(super) seat: Arc<Seat>,
}

/// Opens a connection.
pub(super) fn open() -> rusqlite::Result<Opened> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut sqlite = Connection::open_in_memory_with_flags(flags)?;
    sqlite.set_prepared_statement_cache_capacity(PREPARED);
    // No temporary files: a statement that sorts too much fails instead of filling the disk that
    // the spool is on.
    sqlite.pragma_update(None, "temp_store", "MEMORY")?;
    sqlite.pragma_update(None, "hard_heap_limit", HEAP_BYTES)?;
    for config in [
        DbConfig::SQLITE_DBCONFIG_DQS_DML,
        DbConfig::SQLITE_DBCONFIG_DQS_DDL,
        DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    ] {
        sqlite.set_db_config(config, false)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, 1_000_000_000),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 16 << 20),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000_000),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    ] {
        sqlite.set_limit(limit, most)?;
    }
    let seat = Arc::new(Seat::default());
    register(&sqlite, &seat)?;
    let watched = Arc::clone(&seat);
    sqlite.progress_handler(LOOK_EVERY, Some(move || watched.is_cancelled()))?;
    sqlite.authorizer(Some(authorize))?;
    Ok(Opened { sqlite, seat })
}

fn register(sqlite: &Connection, seat: &Arc<Seat>) -> rusqlite::Result<()> {
    collate::register(sqlite)?;
    let all = functions::all().iter().copied();
    #[cfg(test)]
    let all = all.chain(super::tests::FUNCTIONS);
    for function in all {
        if let Some(table) = FunctionTable::of(function) {
            vtab::register(sqlite, &function.sql_name(), Arc::new(table), seat)?;
        } else {
            call::register(sqlite, function, seat)?;
        }
    }
    for view in views::all() {
        let table: Arc<dyn vtab::Table> = match view.source {
            Source::Rows(_) => Arc::new(ViewTable { view }),
            Source::Changes => Arc::new(ChangesTable { view }),
        };
        vtab::register(sqlite, &view.sql_name(), table, seat)?;
    }
    Ok(())
}

/// Queries only, and none that loads code.
fn authorize(context: AuthContext<'_>) -> Authorization {
    // Of all that SQLite can do we use these; there is more with each version.
    #[allow(clippy::wildcard_enum_match_arm)]
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}
