//! `pg_replication_slots` and `pgspool.slots`.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::databases::DatabaseSnapshot;
use crate::catalog::functions::Row;
use crate::datum::Datum;
use crate::engine::Retained;
use crate::lsn::Lsn;
use crate::resume::{ResumePlan, ResumeRequest, plan_resume};
use crate::roles::RoleSet;
use crate::slots::wal_status::Availability;
use crate::slots::{InvalidationCause, SlotSnapshot};

use super::Rows;
use super::cell::{Cell, NULL, row, time_ms};

/// `pg_replication_slots`: the slots of all databases that the caller sees.
pub(super) fn replication_slots(context: &Arc<Context>) -> Rows {
    let caller = context.host.caller();
    let mut rows = Vec::new();
    for database in context.databases() {
        let slots = &database.state.slots;
        let safe = database.engine.availability(slots);
        let slots = slots.iter().zip(safe);
        let seen = slots.filter(|(slot, _)| caller.sees_slot(slot));
        rows.extend(seen.map(|(slot, safe)| replication_slot(database, slot, safe)));
    }
    rows.into()
}

/// `confirmed_flush_lsn` is what a client may rely on after a restart of its own, so it is
/// `restart_lsn`. There are no snapshots of old rows here, hence neither xmin nor catalog_xmin.
fn replication_slot(database: &DatabaseSnapshot, slot: &SlotSnapshot, safe: Availability) -> Row {
    row![
        slot.name.as_str(),
        slot.plugin.as_str(),
        "logical",
        database.oid,
        database.state.database.as_str(),
        slot.temporary,
        slot.active_pid.is_some(),
        slot.active_pid,
        NULL,
        NULL,
        slot.restart_lsn,
        slot.restart_lsn,
        safe.status.as_str(),
        safe.safe_wal_size,
        slot.two_phase,
        slot.inactive_since_unix_ms.map(time_ms),
        // A conflict is one with recovery on a standby.
        false,
        slot.invalidation
            .map(|invalidation| reason(invalidation.cause)),
        false,
        false,
    ]
}

/// PostgreSQL's spelling, where it has a word for it.
const fn reason(cause: InvalidationCause) -> &'static str {
    match cause {
        InvalidationCause::WalRemoved => "wal_removed",
        InvalidationCause::Horizon => "horizon",
        InvalidationCause::IdleTimeout => "idle_timeout",
    }
}

/// `pgspool.slots`.
pub(super) fn own_slots(context: &Arc<Context>) -> Rows {
    let caller = context.host.caller();
    let roles = context.host.roles();
    let mut rows = Vec::new();
    for database in context.databases() {
        let retained = Retained::new(&database.state.segments);
        let slots = database.slots(&caller).into_iter();
        let row = |slot| own_slot(database, &retained, &roles, slot);
        rows.extend(slots.map(row));
    }
    rows.into()
}

/// The owner's name; of a role that is gone its OID, in PostgreSQL's words.
fn owner(slot: &SlotSnapshot, roles: &RoleSet) -> Option<String> {
    let oid = slot.owner?;
    let name = roles.find_oid(oid).map(|role| role.name.clone());
    Some(name.unwrap_or_else(|| format!("unknown (OID={oid})")))
}

fn own_slot(
    database: &DatabaseSnapshot,
    retained: &Retained,
    roles: &RoleSet,
    slot: &SlotSnapshot,
) -> Row {
    let spool = &database.state.spool;
    let plan = plan_resume(ResumeRequest {
        slot: Some(slot),
        since: Lsn::ZERO,
        removed_through: spool.removed_through,
    });
    let (mode, why, resume_lsn) = resume(&plan);
    row![
        slot.name.as_str(),
        database.state.database.as_str(),
        slot.plugin.as_str(),
        slot.temporary,
        slot.active_pid,
        slot.restart_lsn,
        slot.persisted_restart_lsn,
        slot.confirmed_lsn,
        spool.head.distance_from(slot.restart_lsn),
        retained.for_slot(slot),
        time_ms(slot.last_seen_unix_ms),
        slot.inactive_since_unix_ms.map(time_ms),
        slot.invalidation
            .map(|invalidation| invalidation.cause.as_str()),
        slot.invalidation
            .map(|invalidation| time_ms(invalidation.at_unix_ms)),
        mode,
        why,
        resume_lsn,
        spool.removed_through,
        owner(slot, roles),
    ]
}

/// A plan as `resume_mode`, `resume_reason` and `resume_lsn`.
pub(super) fn resume(plan: &ResumePlan) -> (Datum, Datum, Datum) {
    match plan {
        ResumePlan::PartialResync { resume_lsn } => ("partial".cell(), NULL, resume_lsn.cell()),
        ResumePlan::FullRebootstrap { cause, .. } => ("full".cell(), cause.as_str().cell(), NULL),
    }
}
