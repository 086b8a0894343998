//! The log: positions, messages, and the sessions that use it.

use std::time::{Duration, Instant};

use super::given::{at, boolean, bytes, int, lsn, position, stored, text};
use super::{Body, Call, Function, Row};
use crate::catalog::rights::Needs;
use crate::change::ChangeRecord;
use crate::datum::{Datum, PgType};
use crate::lsn::Lsn;
use crate::pgerror::PgError;

/// What tools take a log file's size to be (`wal_segment_size`).
const WAL_SEGMENT_BYTES: u64 = 16 << 20;

/// How often `pg_terminate_backend` looks whether the session has gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The functions of this module.
pub(super) const ALL: &[Function] = &[
    head(2849, "pg_current_wal_lsn"),
    head(2852, "pg_current_wal_insert_lsn"),
    head(3330, "pg_current_wal_flush_lsn"),
    of_recovery(3820, "pg_last_wal_receive_lsn", PgType::PG_LSN),
    of_recovery(3821, "pg_last_wal_replay_lsn", PgType::PG_LSN),
    of_recovery(3830, "pg_last_xact_replay_timestamp", PgType::TIMESTAMPTZ),
    only_in_recovery(3071, "pg_wal_replay_pause", PgType::VOID).needs(Needs::Superuser),
    only_in_recovery(3072, "pg_wal_replay_resume", PgType::VOID).needs(Needs::Superuser),
    only_in_recovery(3073, "pg_is_wal_replay_paused", PgType::BOOL),
    only_in_recovery(1137, "pg_get_wal_replay_pause_state", PgType::TEXT),
    Function::new(
        3436,
        "pg_promote",
        &[PgType::BOOL, PgType::INT4],
        PgType::BOOL,
        Body::Scalar(|_, _| Err(not_in_recovery())),
    )
    .named(&["wait", "wait_seconds"])
    .defaults(&["true", "60"])
    .volatile()
    .needs(Needs::Superuser),
    Function::new(
        3165,
        "pg_wal_lsn_diff",
        &[PgType::PG_LSN, PgType::PG_LSN],
        PgType::NUMERIC,
        Body::Scalar(|_, args| {
            let number = |index| i128::from(lsn(args, index).unwrap_or_default().get());
            Ok(stored((number(0) - number(1)).to_string()))
        }),
    ),
    Function::new(
        2851,
        "pg_walfile_name",
        &[PgType::PG_LSN],
        PgType::TEXT,
        Body::Scalar(|call, args| {
            let lsn = lsn(args, 0).unwrap_or_default();
            Ok(stored(file_name(call, lsn)))
        }),
    ),
    Function::new(
        2850,
        "pg_walfile_name_offset",
        &[PgType::PG_LSN],
        PgType::RECORD,
        Body::Table {
            columns: &[("file_name", PgType::TEXT), ("file_offset", PgType::INT4)],
            rows: file_name_and_offset,
        },
    )
    .named(&["lsn"]),
    Function::new(
        2848,
        "pg_switch_wal",
        &[],
        PgType::PG_LSN,
        Body::Scalar(|_, _| {
            Err(
                PgError::unsupported("switching to another log file by hand is not supported")
                    .with_hint("Segments of the spool are sealed when they are full."),
            )
        }),
    )
    .volatile()
    .needs(Needs::Superuser),
    emit(3577, &[PgType::BOOL, PgType::TEXT, PgType::TEXT]),
    emit(3578, &[PgType::BOOL, PgType::TEXT, PgType::BYTEA]),
    Function::new(
        2096,
        "pg_terminate_backend",
        &[PgType::INT4, PgType::INT8],
        PgType::BOOL,
        Body::Scalar(terminate),
    )
    .named(&["pid", "timeout"])
    .defaults(&["0"])
    .acts(Needs::Nothing),
    Function::new(
        2171,
        "pg_cancel_backend",
        &[PgType::INT4],
        PgType::BOOL,
        Body::Scalar(|call, args| {
            let host = &call.context.host;
            let target = pid(args).and_then(|pid| Some((pid, host.caller_of(pid)?)));
            let Some((pid, target)) = target else {
                no_session(call, args);
                return Ok(Datum::Int(0));
            };
            host.caller().check_cancel(&target)?;
            Ok(Datum::Int(i64::from(host.cancel(pid))))
        }),
    )
    .acts(Needs::Nothing),
    Function::new(
        2621,
        "pg_reload_conf",
        &[],
        PgType::BOOL,
        Body::Scalar(|call, _| {
            let reloaded = call.context.host.reload()?;
            Ok(Datum::Int(i64::from(reloaded)))
        }),
    )
    .acts(Needs::Superuser),
];

const fn head(oid: u32, name: &'static str) -> Function {
    // Volatile as in PostgreSQL: the head moves while a statement runs.
    Function::new(
        oid,
        name,
        &[],
        PgType::PG_LSN,
        Body::Scalar(|call, _| Ok(position(call.context.host.engine().head()))),
    )
    .volatile()
}

/// NULL, as on every server that is not in recovery.
const fn of_recovery(oid: u32, name: &'static str, ty: PgType) -> Function {
    Function::new(oid, name, &[], ty, Body::Scalar(|_, _| Ok(Datum::Null))).volatile()
}

const fn only_in_recovery(oid: u32, name: &'static str, ty: PgType) -> Function {
    Function::new(
        oid,
        name,
        &[],
        ty,
        Body::Scalar(|_, _| Err(not_in_recovery())),
    )
    .volatile()
}

fn not_in_recovery() -> PgError {
    let hint = "Recovery control functions can only be executed during recovery.";
    PgError::error("55000", "recovery is not in progress").with_hint(hint)
}

const fn emit(oid: u32, args: &'static [PgType]) -> Function {
    Function::new(
        oid,
        "pg_logical_emit_message",
        args,
        PgType::PG_LSN,
        Body::Scalar(emit_message),
    )
    .acts(Needs::Publish)
}

/// Publishes a message; returns where it ends.
pub(super) fn emit_message(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let transactional = boolean(args, 0);
    let prefix = text(args, 1).unwrap_or_default();
    let content = bytes(args, 2).unwrap_or_default();
    let record = ChangeRecord::message(transactional, prefix, content);
    let end = call.context.host.publish(vec![record], transactional)?;
    Ok(position(end))
}

/// The number of the segment that ends at or holds what is before `lsn`, as PostgreSQL counts.
fn segment(lsn: Lsn) -> u64 {
    lsn.get().wrapping_sub(1) / WAL_SEGMENT_BYTES
}

fn file_name(call: &Call<'_>, lsn: Lsn) -> String {
    let per_id = (1_u64 << 32) / WAL_SEGMENT_BYTES;
    let timeline = call.context.host.engine().term() & 0xFFFF_FFFF;
    let segment = segment(lsn);
    let (high, low) = (segment / per_id, segment % per_id);
    format!("{timeline:08X}{high:08X}{low:08X}")
}

fn file_name_and_offset(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let lsn = lsn(args, 0).unwrap_or_default();
    let offset = i64::try_from(lsn.get() % WAL_SEGMENT_BYTES).unwrap_or_default();
    Ok(vec![vec![stored(file_name(call, lsn)), Datum::Int(offset)]])
}

fn pid(args: &[Datum]) -> Option<u32> {
    int(args, 0).and_then(|pid| u32::try_from(pid).ok())
}

/// Warns that there is no such session.
fn no_session(call: &Call<'_>, args: &[Datum]) {
    let pid = int(args, 0).unwrap_or_default();
    let message = format!("PID {pid} is not a PostgreSQL backend process");
    call.context.host.warn("01000", message);
}

/// Ends a session; with a timeout, true only once it has gone.
fn terminate(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let timeout = match at(args, 1) {
        Datum::Int(ms) => u64::try_from(*ms)
            .map_err(|_| PgError::error("22003", "\"timeout\" must not be negative"))?,
        Datum::Null | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_) => 0,
    };
    let host = &call.context.host;
    let target = pid(args).and_then(|pid| Some((pid, host.caller_of(pid)?)));
    let Some((pid, target)) = target else {
        no_session(call, args);
        return Ok(Datum::Int(0));
    };
    host.caller().check_terminate(&target)?;
    if !host.terminate(pid) {
        no_session(call, args);
        return Ok(Datum::Int(0));
    }
    let mut gone = true;
    if timeout > 0 {
        let begun = Instant::now();
        let is_there = || host.sessions().iter().any(|session| session.pid == pid);
        while is_there() {
            call.context.check_cancelled()?;
            if begun.elapsed() >= Duration::from_millis(timeout) {
                let message = format!(
                    "backend with PID {pid} did not terminate within {timeout} milliseconds"
                );
                host.warn("01000", message);
                gone = false;
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(Datum::Int(i64::from(gone)))
}
