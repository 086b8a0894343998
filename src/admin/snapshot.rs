//! Everything that is shown, as it is at one moment.
//!
//! Taken from the same places as the rows of the SQL views, so that both tell the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::watch::{Served, ServerSnapshot};
use crate::captures::{CaptureStatus, Stop};
use crate::clock::Moment;
use crate::engine::{Engine, EngineSnapshot, Retained};
use crate::lsn::Lsn;
use crate::metrics::SyncSnapshot;
use crate::replicas::{CommitWaitMetrics, FlowControl, ReplicaSnapshot};
use crate::slots::wal_status::Availability;
use crate::slots::{InvalidationCause, SlotSnapshot, SlotStats};
use crate::spool::SpoolState;

/// Everything at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) now: Moment,
    pub(super) server: ServerSnapshot,
    /// Why roles are not changed any more.
    pub(super) roles_failure: Option<String>,
    /// By name.
    pub(super) databases: Vec<Database>,
}

/// One database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) spool: SpoolState,
    pub(super) num_segments: usize,
    /// Transactions that were rendered for streams, and bytes of their messages.
    pub(super) rendered: (u64, u64),
    /// Bytes that its files may still take, where that can be told.
    pub(super) disk_free: Option<u64>,
    /// Bytes that stay free (`disk_floor`).
    pub(super) disk_floor: u64,
    /// Less is free than must be for publishes.
    pub(super) disk_full: bool,
    /// Why slot positions are not written any more.
    pub(super) slots_failure: Option<String>,
    /// Bytes that the last recovery set aside.
    pub(super) set_aside: u64,
    pub(super) syncs: SyncSnapshot,
    pub(super) waits: CommitWaitMetrics,
    pub(super) num_waiting: usize,
    pub(super) flow: FlowControl,
    pub(super) invalidations: Vec<(InvalidationCause, u64)>,
    /// By name.
    pub(super) slots: Vec<Slot>,
    /// Running streams.
    pub(super) streams: Vec<ReplicaSnapshot>,
    /// How its capture fares, when it follows an upstream.
    pub(super) capture: Option<Capture>,
}

/// How a captured database fares.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) status: CaptureStatus,
    /// The slot on the upstream.
    pub(super) slot: String,
    /// Why it cannot go on, and what can be done.
    pub(super) stop: Option<Stop>,
}

impl Capture {
    fn take(engine: &Engine) -> Option<Self> {
        let capture = engine.capture()?;
        let settings = capture.settings();
        let status = capture.status.get();
        let stop = status.stop.as_ref();
        Some(Self {
            slot: settings.slot.clone(),
            stop: stop.map(|reason| reason.explain(engine.name(), &settings)),
            status,
        })
    }
}

/// One slot.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) slot: SlotSnapshot,
    pub(super) stats: SlotStats,
    pub(super) availability: Availability,
    /// Head less `restart_lsn`.
    pub(super) lag_bytes: u64,
    /// Age of the oldest transaction that is not confirmed; `None` for an invalidated slot, or
    /// where it cannot be read.
    pub(super) lag_ms: Option<u64>,
    pub(super) retained_bytes: u64,
}

/// When the first transaction after a position was committed. That never changes, so what was
/// read from disk once is remembered as long as a slot stands there.
#[derive(Debug, Default)]
pub(super) struct Ages {
    known: BTreeMap<(String, Lsn), u64>,
}

impl Snapshot {
    /// As it is now. Blocking.
    pub(super) fn take(served: &Served, ages: &mut Ages) -> Self {
        let now = Moment::now();
        let known = std::mem::take(&mut ages.known);
        let databases = served.databases.all();
        let databases = databases
            .iter()
            .map(|engine| Database::take(engine, now, &known, ages));
        Self {
            now,
            server: served.server.snapshot(),
            roles_failure: served.databases.roles().failure(),
            databases: databases.collect(),
        }
    }
}

impl Database {
    fn take(
        engine: &Arc<Engine>,
        now: Moment,
        known: &BTreeMap<(String, Lsn), u64>,
        ages: &mut Ages,
    ) -> Self {
        let state = engine.snapshot();
        let recovery = engine.recovery();
        let set_aside = recovery.torn.iter().chain(&recovery.set_aside);
        let disk = engine.disk_space();
        let replicas = engine.replicas();
        let slots = slots(engine, &state, now, known, ages);
        Self {
            name: state.database,
            num_segments: state.segments.len(),
            rendered: (
                engine.rendered().transactions.value(),
                engine.rendered().bytes.value(),
            ),
            // A file system that does not tell has no bound.
            disk_free: (disk.free < u64::MAX).then_some(disk.free),
            disk_floor: disk.floor,
            disk_full: disk.is_full(),
            slots_failure: engine.slots_failure().map(|failed| failed.to_string()),
            set_aside: set_aside.map(|torn| torn.bytes).sum(),
            syncs: engine.syncs(),
            waits: replicas.wait_metrics(),
            num_waiting: replicas.waiting().0,
            flow: replicas.flow(),
            invalidations: engine.invalidations().to_vec(),
            slots,
            streams: replicas.snapshot(),
            capture: Capture::take(engine),
            spool: state.spool,
        }
    }
}

fn slots(
    engine: &Engine,
    state: &EngineSnapshot,
    now: Moment,
    known: &BTreeMap<(String, Lsn), u64>,
    ages: &mut Ages,
) -> Vec<Slot> {
    let retained = Retained::new(&state.segments);
    let mut stats: BTreeMap<_, _> = engine.slot_stats().into_iter().collect();
    let safe = engine.availability(&state.slots);
    let rows = state.slots.iter().zip(safe).map(|(slot, availability)| {
        let valid = slot.invalidation.is_none();
        let since = valid.then(|| ages.since(engine, slot.restart_lsn, known));
        Slot {
            stats: stats.remove(&slot.name).unwrap_or_default(),
            availability,
            lag_bytes: state.spool.head.distance_from(slot.restart_lsn),
            lag_ms: since.flatten().map(|since| match since {
                Some(committed) => now.unix_ms.saturating_sub(committed),
                None => 0,
            }),
            retained_bytes: retained.for_slot(slot),
            slot: slot.clone(),
        }
    });
    rows.collect()
}

impl Ages {
    /// When the first transaction after `position` was committed; the inner `None`: there is none
    /// yet, the outer: it cannot be told.
    fn since(
        &mut self,
        engine: &Engine,
        position: Lsn,
        known: &BTreeMap<(String, Lsn), u64>,
    ) -> Option<Option<u64>> {
        let key = (engine.name().to_owned(), position);
        let before = self.known.get(&key).or_else(|| known.get(&key)).copied();
        let since = match before {
            Some(since) => Some(since),
            None => engine.committed_after(position).ok()?,
        };
        if let Some(since) = since {
            self.known.insert(key, since);
        }
        Some(since)
    }
}

/// Whether the databases' folder is one file system is not known, so each tells for itself.
pub(super) fn least_free(databases: &[Database]) -> Option<u64> {
    let free = databases.iter().filter_map(|database| database.disk_free);
    free.min()
}
