//! The schema `pgspool`: what PostgreSQL has no function for.

use std::time::{Duration, Instant};

use super::given::{boolean, int, lsn, no_slot, position, slot, stored, text, void};
use super::slots::{self, Request, existing};
use super::{Body, Call, Function, Row, wal};
use crate::catalog::rights::Needs;
use crate::datum::{Datum, Interval, PgType, text_in};
use crate::engine::SlotStart;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::{Bookmark, BookmarkError, ParseBookmarkError};
use crate::resume::{ResumePlan, ResumeRequest, plan_resume, start_at_most_head};
use crate::slots::InvalidationCause;
use crate::sources::ndjson;

/// How often a wait looks whether its statement is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const NAME: PgType = PgType::NAME;
const BOOL: PgType = PgType::BOOL;

/// The functions of this module.
pub(super) const ALL: &[Function] = &[
    // Where it starts may be a word, a position or a time.
    creating(9101, &[NAME, NAME, PgType::TEXT, BOOL, BOOL]).defaults(&["NULL", "false", "false"]),
    creating(9110, &[NAME, NAME, PgType::PG_LSN, BOOL, BOOL]).defaults(&["false", "false"]),
    creating(9111, &[NAME, NAME, PgType::TIMESTAMPTZ, BOOL, BOOL]).defaults(&["false", "false"]),
    ours(
        9102,
        "plan_resume",
        &[PgType::NAME, PgType::PG_LSN],
        PgType::RECORD,
        Body::Table {
            columns: &[
                ("mode", PgType::TEXT),
                ("cause", PgType::TEXT),
                ("resume_lsn", PgType::PG_LSN),
                ("removed_through", PgType::PG_LSN),
                ("reason", PgType::TEXT),
                ("hint", PgType::TEXT),
            ],
            rows: plan,
        },
    )
    .named(&["slot", "lsn"])
    .defaults(&["'0/0'"])
    .needs(Needs::Replication),
    ours(
        9103,
        "publish",
        &[PgType::JSONB],
        PgType::PG_LSN,
        Body::Scalar(publish),
    )
    .named(&["record"])
    .acts(Needs::Publish),
    emit(9104, &[PgType::BOOL, PgType::TEXT, PgType::TEXT]),
    emit(9105, &[PgType::BOOL, PgType::TEXT, PgType::BYTEA]),
    ours(
        9106,
        "terminate",
        &[PgType::NAME],
        PgType::BOOL,
        Body::Scalar(terminate),
    )
    .named(&["slot"])
    .acts(Needs::Nothing),
    ours(
        9107,
        "report",
        &[PgType::NAME, PgType::INT8, PgType::INT8],
        PgType::VOID,
        Body::Scalar(report),
    )
    .named(&["slot", "apply_errors", "divergences"])
    .acts(Needs::Replication),
    ours(
        9108,
        "bookmark",
        &[],
        PgType::TEXT,
        Body::Scalar(|call, _| {
            let engine = call.context.host.engine();
            Ok(stored(engine.bookmark(engine.head()).to_string()))
        }),
    ),
    ours(
        9109,
        "wait_for",
        &[PgType::TEXT, PgType::INTERVAL],
        PgType::PG_LSN,
        Body::Scalar(wait_for),
    )
    .named(&["bookmark", "timeout"])
    .defaults(&["'5 s'"]),
    ours(
        9112,
        "set_slot_owner",
        &[PgType::NAME, PgType::NAME],
        PgType::VOID,
        Body::Scalar(set_slot_owner),
    )
    .named(&["slot", "role"])
    .lax()
    .acts(Needs::Superuser),
];

/// All of them do something or look at what moves.
const fn ours(
    oid: u32,
    name: &'static str,
    args: &'static [PgType],
    returns: PgType,
    body: Body,
) -> Function {
    Function::new(oid, name, args, returns, body)
        .schema("pgspool")
        .volatile()
}

/// `create_slot` with some kind of start.
const fn creating(oid: u32, args: &'static [PgType]) -> Function {
    let rows = match oid {
        9110 => create_slot_at,
        9111 => create_slot_since,
        _ => create_slot,
    };
    let body = Body::Table {
        columns: &[("slot_name", NAME), ("lsn", PgType::PG_LSN)],
        rows,
    };
    ours(oid, "create_slot", args, PgType::RECORD, body)
        .named(&["name", "plugin", "start", "temporary", "two_phase"])
        .lax()
        .acts(Needs::Replication)
}

const fn emit(oid: u32, args: &'static [PgType]) -> Function {
    ours(
        oid,
        "emit",
        args,
        PgType::PG_LSN,
        Body::Scalar(wal::emit_message),
    )
    .named(&["transactional", "prefix", "content"])
    .acts(Needs::Publish)
}

/// A slot that may start elsewhere than at the head.
fn create_slot(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    create_slot_from(call, args, start(call, text(args, 2))?)
}

fn create_slot_at(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let start = lsn(args, 2).map_or(SlotStart::Head, SlotStart::At);
    create_slot_from(call, args, start)
}

fn create_slot_since(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let start = match int(args, 2) {
        Some(us) => since(call, us)?,
        None => SlotStart::Head,
    };
    create_slot_from(call, args, start)
}

fn create_slot_from(
    call: &Call<'_>,
    args: &[Datum],
    start: SlotStart,
) -> Result<Vec<Row>, PgError> {
    let (Some(name), Some(plugin)) = (text(args, 0), text(args, 1)) else {
        return Err(PgError::error(
            "22004",
            "slot name and plugin must not be null",
        ));
    };
    let request = Request {
        name,
        plugin,
        start,
        temporary: boolean(args, 3),
        two_phase: boolean(args, 4),
    };
    Ok(vec![slots::create(call, &request)?])
}

/// The first transaction at or after a time that has come.
fn since(call: &Call<'_>, unix_us: i64) -> Result<SlotStart, PgError> {
    // Rounded up: nothing from before the time.
    let ms = unix_us.saturating_add(999).div_euclid(1000);
    let ms = u64::try_from(ms).unwrap_or(0);
    // `now()` of this very millisecond is rounded up too.
    if ms > call.context.now.unix_ms.saturating_add(1) {
        let message = "a slot cannot start at a time in the future";
        return Err(PgError::error("22023", message).with_hint("Use 'head' for what comes next."));
    }
    Ok(SlotStart::Time(ms))
}

/// `earliest`, `head`, a position or a time.
fn start(call: &Call<'_>, text: Option<&str>) -> Result<SlotStart, PgError> {
    let Some(text) = text.map(str::trim) else {
        return Ok(SlotStart::Head);
    };
    if text.eq_ignore_ascii_case("earliest") {
        return Ok(SlotStart::Earliest);
    }
    if text.eq_ignore_ascii_case("head") {
        return Ok(SlotStart::Head);
    }
    if let Ok(position) = text.parse() {
        return Ok(SlotStart::At(position));
    }
    let names = call.names();
    match text_in(PgType::TIMESTAMPTZ, text, &names, call.style()) {
        Ok(Datum::Int(us)) => since(call, us),
        Ok(_) | Err(_) => Err(PgError::error(
            "22023",
            format!("invalid start of a slot: \"{text}\""),
        )
        .with_hint("Use 'earliest', 'head', a position such as '0/1000000', or a time.")),
    }
}

/// What would happen if the slot's subscriber came now, asking for what is above a position.
fn plan(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let slot = existing(call, args)?;
    let since = lsn(args, 1).unwrap_or_default();
    let removed_through = call.context.host.engine().snapshot().spool.removed_through;
    let plan = plan_resume(ResumeRequest {
        slot: Some(&slot),
        since,
        removed_through,
    });
    let row = match plan {
        ResumePlan::PartialResync { resume_lsn } => {
            // As a stream that starts there is told.
            let resume_lsn = start_at_most_head(resume_lsn, call.context.host.engine().head())?;
            vec![
                stored("partial"),
                Datum::Null,
                position(resume_lsn),
                position(removed_through),
                stored(format!("everything after {resume_lsn} is retained")),
                Datum::Null,
            ]
        }
        ResumePlan::FullRebootstrap { cause, floor, .. } => vec![
            stored("full"),
            stored(cause.as_str()),
            Datum::Null,
            position(removed_through),
            stored(reason(
                cause,
                floor,
                removed_through,
                slot.invalidation.is_some(),
            )),
            stored(
                "Drop the slot, create it again, and copy the present data anew before \
                 streaming on.",
            ),
        ],
    };
    Ok(vec![row])
}

fn reason(cause: InvalidationCause, floor: Lsn, removed_through: Lsn, already: bool) -> String {
    if already {
        let why = match cause {
            InvalidationCause::WalRemoved => "data that it needs was removed",
            InvalidationCause::Horizon => "it fell further behind than slot_retention_max_lag_lsn",
            InvalidationCause::IdleTimeout => "it was not used for longer than slot_idle_timeout",
        };
        format!("the slot was invalidated: {why}; everything up to {removed_through} is gone")
    } else {
        format!("it has everything up to {floor}, but everything up to {removed_through} is gone")
    }
}

/// Publishes a record that is given as JSON, as strictly read as a line of COPY.
fn publish(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let host = &call.context.host;
    let named = host.setting("pgspool.producer").unwrap_or_default();
    let producer = if named.is_empty() {
        None
    } else {
        let parsed = crate::change::ProducerName::parse(&named);
        Some(parsed.map_err(|error| PgError::error("22023", error.to_string()))?)
    };
    let json = text(args, 0).unwrap_or_default();
    let record = ndjson::record_from_json(json, producer.as_ref())?;
    let head = record.message.as_ref();
    let transactional = head.is_none_or(|head| head.transactional);
    let end = host.publish(vec![record], transactional)?;
    Ok(position(end))
}

/// Ends the session that uses the slot; false when nobody does.
fn terminate(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let name = slot(args, 0)?;
    let host = &call.context.host;
    let known = host.engine().slot(&name);
    let known = known.ok_or_else(|| no_slot(name.as_str()))?;
    let Some(pid) = known.active_pid else {
        host.caller().check_slot(&known)?;
        return Ok(Datum::Int(0));
    };
    if let Some(target) = host.caller_of(pid) {
        host.caller().check_terminate(&target)?;
    }
    Ok(Datum::Int(i64::from(host.terminate(pid))))
}

/// Gives a slot to a role; NULL: to nobody.
fn set_slot_owner(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let host = &call.context.host;
    if text(args, 0).is_none() {
        return Err(PgError::error("22004", "slot name must not be null"));
    }
    let name = slot(args, 0)?;
    let owner = match text(args, 1) {
        None => None,
        Some(role) => {
            let roles = host.roles();
            let missing = || PgError::error("42704", format!("role \"{role}\" does not exist"));
            Some(roles.find(role).ok_or_else(missing)?.oid)
        }
    };
    host.engine().set_slot_owner(&name, owner)?;
    Ok(void())
}

/// What RedDB's acknowledgements carry beside positions.
fn report(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let name = slot(args, 0)?;
    existing(call, args)?;
    let engine = call.context.host.engine();
    let count = |index, what: &str| {
        let given = int(args, index).unwrap_or_default();
        u64::try_from(given)
            .map_err(|_| PgError::error("22003", format!("{what} must not be negative")))
    };
    let (errors, divergences) = (count(1, "apply_errors")?, count(2, "divergences")?);
    let now = call.context.now;
    if !engine
        .replicas()
        .report(name.as_str(), errors, divergences, now)
    {
        let message = format!("replication slot \"{name}\" is not active");
        return Err(PgError::error("55000", message)
            .with_hint("Counts are kept while the slot's subscriber is connected."));
    }
    Ok(void())
}

/// Waits until what the bookmark stands for can be read; returns the head then.
fn wait_for(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let token = text(args, 0).unwrap_or_default();
    let target: Bookmark = token
        .parse()
        .map_err(|error: ParseBookmarkError| PgError::error("22P02", error.to_string()))?;
    let timeout = text(args, 1).and_then(Interval::from_stored);
    let timeout = timeout.map_or(0, Interval::length_us);
    let timeout = Duration::from_micros(u64::try_from(timeout).unwrap_or(0));
    let engine = call.context.host.engine();
    let begun = Instant::now();
    loop {
        // What a primary has made durable it has applied.
        let applied = engine.bookmark(engine.head());
        if target.is_reached(applied)? {
            return Ok(position(applied.commit_lsn));
        }
        call.context.check_cancelled()?;
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(BookmarkError::Timeout { target, applied }.into());
        }
        let before = target.commit_lsn.saturating_sub(1);
        engine.wait_after(before).wait_timeout(left.min(LOOK_EVERY));
    }
}
