//! Slots: make, drop, move, copy, list.

use super::given::{boolean, lsn, no_slot, no_slot_text, position, slot, stored, text, void};
use super::{Body, Call, Function, Row};
use crate::catalog::rights::Needs;
use crate::catalog::views;
use crate::datum::{Datum, PgType};
use crate::engine::{SlotRequest, SlotStart};
use crate::pgerror::PgError;
use crate::plugins::Plugin;
use crate::slots::{SlotName, SlotSnapshot};

const MADE: &[(&str, PgType)] = &[("slot_name", PgType::NAME), ("lsn", PgType::PG_LSN)];

/// The functions of this module.
pub(super) const ALL: &[Function] = &[
    Function::new(
        3786,
        "pg_create_logical_replication_slot",
        &[PgType::NAME, PgType::NAME, PgType::BOOL, PgType::BOOL],
        PgType::RECORD,
        Body::Table {
            columns: MADE,
            rows: create_logical,
        },
    )
    .named(&["slot_name", "plugin", "temporary", "twophase"])
    .defaults(&["false", "false"])
    .acts(Needs::Replication),
    Function::new(
        3779,
        "pg_create_physical_replication_slot",
        &[PgType::NAME, PgType::BOOL, PgType::BOOL],
        PgType::RECORD,
        Body::Table {
            columns: MADE,
            rows: |_, _| Err(physical()),
        },
    )
    .named(&["slot_name", "immediately_reserve", "temporary"])
    .defaults(&["false", "false"])
    .acts(Needs::Replication),
    Function::new(
        3780,
        "pg_drop_replication_slot",
        &[PgType::NAME],
        PgType::VOID,
        Body::Scalar(drop_slot),
    )
    .acts(Needs::Replication),
    Function::new(
        3878,
        "pg_replication_slot_advance",
        &[PgType::NAME, PgType::PG_LSN],
        PgType::RECORD,
        Body::Table {
            columns: &[("slot_name", PgType::NAME), ("end_lsn", PgType::PG_LSN)],
            rows: advance,
        },
    )
    .named(&["slot_name", "upto_lsn"])
    .acts(Needs::Replication),
    copying(
        4222,
        &[PgType::NAME, PgType::NAME, PgType::BOOL, PgType::NAME],
    ),
    copying(4223, &[PgType::NAME, PgType::NAME, PgType::BOOL]),
    copying(4224, &[PgType::NAME, PgType::NAME]),
    copying_physical(4220, &[PgType::NAME, PgType::NAME, PgType::BOOL]),
    copying_physical(4221, &[PgType::NAME, PgType::NAME]),
    Function::new(
        3781,
        "pg_get_replication_slots",
        &[],
        PgType::RECORD,
        Body::Table {
            columns: LISTED,
            rows: list,
        },
    ),
    Function::new(
        6169,
        "pg_stat_get_replication_slot",
        &[PgType::TEXT],
        PgType::RECORD,
        Body::Table {
            columns: STATISTICS,
            rows: statistics,
        },
    )
    .named(&["slot_name"]),
    Function::new(
        6170,
        "pg_stat_reset_replication_slot",
        &[PgType::TEXT],
        PgType::VOID,
        Body::Scalar(reset_statistics),
    )
    .lax()
    .acts(Needs::Superuser),
];

/// `pg_copy_logical_replication_slot` with some of its arguments.
const fn copying(oid: u32, args: &'static [PgType]) -> Function {
    let body = Body::Table {
        columns: MADE,
        rows: copy,
    };
    let name = "pg_copy_logical_replication_slot";
    let names: &[&str] = match args.len() {
        2 => &["src_slot_name", "dst_slot_name"],
        3 => &["src_slot_name", "dst_slot_name", "temporary"],
        _ => &["src_slot_name", "dst_slot_name", "temporary", "plugin"],
    };
    Function::new(oid, name, args, PgType::RECORD, body)
        .named(names)
        .acts(Needs::Replication)
}

const fn copying_physical(oid: u32, args: &'static [PgType]) -> Function {
    let body = Body::Table {
        columns: MADE,
        rows: |_, _| Err(physical()),
    };
    let name = "pg_copy_physical_replication_slot";
    Function::new(oid, name, args, PgType::RECORD, body).acts(Needs::Replication)
}

fn physical() -> PgError {
    PgError::unsupported("physical replication slots are not supported")
        .with_hint("Use pg_create_logical_replication_slot.")
}

fn create_logical(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let request = Request {
        name: text(args, 0).unwrap_or_default(),
        plugin: text(args, 1).unwrap_or_default(),
        start: SlotStart::Head,
        temporary: boolean(args, 2),
        two_phase: boolean(args, 3),
    };
    Ok(vec![create(call, &request)?])
}

/// A slot to make, as its names were given.
pub(super) struct Request<'a> {
    pub(super) name: &'a str,
    pub(super) plugin: &'a str,
    pub(super) start: SlotStart,
    pub(super) temporary: bool,
    pub(super) two_phase: bool,
}

/// Makes a slot of the session's database; returns its name and where it starts.
pub(super) fn create(call: &Call<'_>, request: &Request<'_>) -> Result<Row, PgError> {
    let host = &call.context.host;
    let name = SlotName::parse(request.name)?;
    if host.has_written() {
        return Err(PgError::slot_behind_writes());
    }
    let plugin = Plugin::parse(request.plugin)?;
    let made = host.engine().create_slot(
        SlotRequest {
            name,
            plugin: plugin.name().to_owned(),
            start: request.start,
            temporary: request.temporary.then(|| host.session().pid),
            two_phase: request.two_phase,
            owner: host.caller().as_owner(),
        },
        call.context.now,
    )?;
    Ok(vec![stored(made.name.as_str()), position(made.restart_lsn)])
}

fn drop_slot(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let host = &call.context.host;
    let name = slot(args, 0)?;
    host.engine().drop_slot_as(&name, host.slot_user())?;
    Ok(void())
}

fn advance(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let host = &call.context.host;
    let name = slot(args, 0)?;
    let upto = lsn(args, 1).unwrap_or_default();
    if upto == crate::lsn::Lsn::ZERO {
        return Err(PgError::error("XX000", "invalid target WAL LSN"));
    }
    let user = host.slot_user();
    let end = host
        .engine()
        .advance_slot(&name, upto, user, call.context.now)?;
    Ok(vec![vec![stored(name.as_str()), position(end)]])
}

fn copy(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let source = existing(call, args)?;
    if source.invalidation.is_some() {
        let message = format!(
            "cannot copy invalidated replication slot \"{}\"",
            source.name
        );
        return Err(PgError::error("55000", message));
    }
    let given = |index: usize| args.len() > index;
    let request = Request {
        name: text(args, 1).unwrap_or_default(),
        plugin: text(args, 3).unwrap_or(&source.plugin),
        start: SlotStart::At(source.restart_lsn),
        temporary: if given(2) {
            boolean(args, 2)
        } else {
            source.temporary
        },
        two_phase: false,
    };
    Ok(vec![create(call, &request)?])
}

/// The slot that the first argument names, if the caller may use it.
pub(super) fn existing(call: &Call<'_>, args: &[Datum]) -> Result<SlotSnapshot, PgError> {
    let name = slot(args, 0)?;
    let host = &call.context.host;
    let known = host.engine().slot(&name);
    let known = known.ok_or_else(|| no_slot(name.as_str()))?;
    host.caller().check_slot(&known)?;
    Ok(known)
}

/// The columns of `pg_replication_slots` without the database's name.
const LISTED: &[(&str, PgType)] = &[
    ("slot_name", PgType::NAME),
    ("plugin", PgType::NAME),
    ("slot_type", PgType::TEXT),
    ("datoid", PgType::OID),
    ("temporary", PgType::BOOL),
    ("active", PgType::BOOL),
    ("active_pid", PgType::INT4),
    ("xmin", PgType::XID),
    ("catalog_xmin", PgType::XID),
    ("restart_lsn", PgType::PG_LSN),
    ("confirmed_flush_lsn", PgType::PG_LSN),
    ("wal_status", PgType::TEXT),
    ("safe_wal_size", PgType::INT8),
    ("two_phase", PgType::BOOL),
];

fn list(call: &Call<'_>, _: &[Datum]) -> Result<Vec<Row>, PgError> {
    let Some(view) = views::find("pg_catalog", "pg_replication_slots") else {
        return Ok(Vec::new());
    };
    let columns = LISTED.iter().map(|(name, _)| {
        let mut names = view.columns.iter();
        names.position(|(column, _)| column == name)
    });
    let columns: Vec<Option<usize>> = columns.collect();
    let rows = views::rows_of(call.context, view);
    let cut = |row: &Row| {
        let cell = |at: &Option<usize>| at.and_then(|at| row.get(at)).cloned();
        columns
            .iter()
            .map(|at| cell(at).unwrap_or(Datum::Null))
            .collect()
    };
    Ok(rows.iter().map(cut).collect())
}

const STATISTICS: &[(&str, PgType)] = &[
    ("slot_name", PgType::TEXT),
    ("spill_txns", PgType::INT8),
    ("spill_count", PgType::INT8),
    ("spill_bytes", PgType::INT8),
    ("stream_txns", PgType::INT8),
    ("stream_count", PgType::INT8),
    ("stream_bytes", PgType::INT8),
    ("total_txns", PgType::INT8),
    ("total_bytes", PgType::INT8),
    ("stats_reset", PgType::TIMESTAMPTZ),
];

/// Zeros for a slot that is not there, or that the caller does not see. Nothing is ever spilled, or streamed before its commit.
fn statistics(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let name = text(args, 0).unwrap_or_default();
    let database = call.context.database();
    let all = database.map(|database| database.slot_stats(&call.context.host.caller()));
    let mut all = all.into_iter().flatten();
    let found = all.find(|(slot, _)| slot.as_str() == name);
    let stats = found.map(|(_, stats)| stats).unwrap_or_default();
    let count = |number: u64| Datum::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let reset = stats.stats_reset_unix_ms.map(|ms| ms.saturating_mul(1000));
    let mut row = vec![stored(name)];
    row.extend(std::iter::repeat_n(count(0), 6));
    row.push(count(stats.total_txns));
    row.push(count(stats.total_bytes));
    row.push(reset.map_or(Datum::Null, count));
    Ok(vec![row])
}

fn reset_statistics(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let engine = call.context.host.engine();
    let now = call.context.now;
    match text(args, 0) {
        Some(name) => {
            // Told with another code than elsewhere, as PostgreSQL does.
            let missing = || PgError::error("22023", no_slot_text(name));
            let name = SlotName::parse(name).map_err(|_| missing())?;
            engine
                .reset_slot_stats(Some(&name), now)
                .map_err(|_| missing())?;
        }
        None => engine.reset_slot_stats(None, now)?,
    }
    Ok(void())
}
