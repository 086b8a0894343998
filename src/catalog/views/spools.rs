//! Databases and their files: `pg_database`, `pgspool.databases`, `pgspool.segments`.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::databases::DatabaseSnapshot;
use crate::catalog::functions::Row;
use crate::lsn::Lsn;
use crate::spool::SegmentInfo;

use super::Rows;
use super::cell::{NULL, row};
use super::roles::{BOOTSTRAP_ROLE, database_acl};

/// `pg_database`. Text is UTF-8 and compares by its bytes, which is what `C.UTF-8` does. There are
/// no templates.
pub(super) fn pg_databases(context: &Arc<Context>) -> Rows {
    const UTF8: i32 = 6;
    const PG_DEFAULT: u32 = 1663;
    const LOCALE: &str = "C.UTF-8";
    let rows = context.databases().iter().map(|database| {
        row![
            database.oid,
            database.state.database.as_str(),
            BOOTSTRAP_ROLE,
            UTF8,
            // datlocprovider: libc
            'c',
            // datistemplate, datallowconn, datconnlimit
            false,
            true,
            -1,
            // datfrozenxid, datminmxid
            0,
            0,
            PG_DEFAULT,
            LOCALE,
            LOCALE,
            // daticulocale, datcollversion
            NULL,
            NULL,
            database_acl(context, &database.state.database),
        ]
    });
    rows.collect::<Vec<Row>>().into()
}

/// `pgspool.databases`
pub(super) fn databases(context: &Arc<Context>) -> Rows {
    let rows = context.databases().iter().map(database_row);
    rows.collect::<Vec<Row>>().into()
}

fn database_row(database: &DatabaseSnapshot) -> Row {
    let spool = &database.state.spool;
    let recovery = database.engine.recovery();
    let space = database.engine.disk_space();
    let set_aside = recovery.torn.iter().chain(&recovery.set_aside);
    row![
        database.oid,
        database.state.database.as_str(),
        spool.head,
        spool.removed_through,
        spool.oldest_lsn,
        spool.durable_point,
        (spool.imported_through > Lsn::ZERO).then_some(spool.imported_through),
        spool.term,
        spool.system_id.to_string(),
        database.state.segments.len(),
        spool.bytes,
        database.state.slots.len(),
        spool.num_appended,
        spool.num_syncs,
        spool.failure.as_ref().map(ToString::to_string),
        recovery.head,
        recovery.frames_scanned,
        set_aside.clone().map(|torn| torn.bytes).sum::<u64>(),
        set_aside.map(|torn| torn.reason.as_str()).next(),
        recovery.rebuilt_indexes.len(),
        (space.free < u64::MAX).then_some(space.free),
        space.floor,
        space.is_full(),
    ]
}

/// `pgspool.segments`
pub(super) fn segments(context: &Arc<Context>) -> Rows {
    let mut rows = Vec::new();
    for database in context.databases() {
        let needed_above = needed_above(database);
        let segments = database.state.segments.iter();
        rows.extend(segments.map(|segment| segment_row(database, segment, needed_above)));
    }
    rows.into()
}

/// The lowest position that a valid slot stands at, as it is on disk.
fn needed_above(database: &DatabaseSnapshot) -> Option<Lsn> {
    let valid = database
        .state
        .slots
        .iter()
        .filter(|slot| slot.invalidation.is_none());
    valid.map(|slot| slot.persisted_restart_lsn).min()
}

fn segment_row(
    database: &DatabaseSnapshot,
    segment: &SegmentInfo,
    needed_above: Option<Lsn>,
) -> Row {
    let is_needed = needed_above.is_some_and(|floor| segment.last_lsn > floor);
    let state = match (segment.sealed, is_needed) {
        (false, _) => "active",
        (true, true) => "needed",
        (true, false) => "kept",
    };
    row![
        database.state.database.as_str(),
        segment.name.as_str(),
        segment.first_lsn,
        segment.last_lsn,
        segment.bytes,
        segment.frames,
        segment.sealed,
        state,
    ]
}

/// `pgspool.producers`
pub(super) fn producers(context: &Arc<Context>) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for database in context.databases() {
        rows.extend(database.engine.producers().into_iter().map(|producer| {
            row![
                database.state.database.as_str(),
                producer.name.as_str(),
                producer.last_seq.map(|seq| seq.to_string()),
                (producer.last_lsn > Lsn::ZERO).then_some(producer.last_lsn),
                producer.num_duplicates,
            ]
        }));
    }
    rows.into()
}
