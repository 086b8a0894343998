//! What was sent from each slot (`pg_stat_replication_slots`): in memory, since the start.

use crate::clock::Moment;

use super::{InvalidationCause, SlotName, SlotStore, UnknownSlot};
use crate::metrics::Counter;

/// What was sent from one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotStats {
    /// Transactions.
    pub total_txns: u64,
    /// Bytes of their messages.
    pub total_bytes: u64,
    /// Confirmed positions that were taken from its client.
    pub acknowledgements: u64,
    /// Streams that went on where the slot stood.
    pub partial_resyncs: u64,
    /// Streams that were refused, since the subscriber has to be loaded anew.
    pub full_resyncs: u64,
    /// When the counts were set back, unix milliseconds; `None` for at the start.
    pub stats_reset_unix_ms: Option<u64>,
}

/// How many slots were invalidated, by cause.
#[derive(Debug, Default)]
pub(super) struct Invalidations {
    wal_removed: Counter,
    horizon: Counter,
    idle_timeout: Counter,
}

impl Invalidations {
    pub(super) const fn of(&self, cause: InvalidationCause) -> &Counter {
        match cause {
            InvalidationCause::WalRemoved => &self.wal_removed,
            InvalidationCause::Horizon => &self.horizon,
            InvalidationCause::IdleTimeout => &self.idle_timeout,
        }
    }
}

impl SlotStore {
    /// Counts what was sent from a slot; an unknown one is left alone.
    pub fn count_sent(&self, name: &SlotName, txns: u64, bytes: u64) {
        let mut table = self.shared().table();
        if let Some(slot) = table.visible_mut(name) {
            slot.stats.total_txns = slot.stats.total_txns.saturating_add(txns);
            slot.stats.total_bytes = slot.stats.total_bytes.saturating_add(bytes);
        }
    }

    /// Counts a stream that began on a slot, or had to be refused.
    pub fn count_resync(&self, name: &SlotName, whole: bool) {
        let mut table = self.shared().table();
        if let Some(slot) = table.visible_mut(name) {
            let counter = if whole {
                &mut slot.stats.full_resyncs
            } else {
                &mut slot.stats.partial_resyncs
            };
            *counter = counter.saturating_add(1);
        }
    }

    /// How many slots were invalidated since the start, by cause.
    pub fn invalidations(&self) -> [(InvalidationCause, u64); InvalidationCause::ALL.len()] {
        let counted = &self.shared().invalidations;
        InvalidationCause::ALL.map(|cause| (cause, counted.of(cause).value()))
    }

    /// The counts of all slots, by name.
    pub fn stats(&self) -> Vec<(SlotName, SlotStats)> {
        let table = self.shared().table();
        let visible = table.slots.iter().filter(|(_, slot)| slot.is_visible());
        visible
            .map(|(name, slot)| (name.clone(), slot.stats))
            .collect()
    }

    /// Sets the counts of one slot, or of all, back to zero.
    pub fn reset_stats(&self, only: Option<&SlotName>, now: Moment) -> Result<(), UnknownSlot> {
        let mut table = self.shared().table();
        let zero = SlotStats {
            stats_reset_unix_ms: Some(now.unix_ms),
            ..SlotStats::default()
        };
        match only {
            Some(name) => {
                let slot = table.visible_mut(name);
                slot.ok_or_else(|| UnknownSlot(name.clone()))?.stats = zero;
            }
            None => table.slots.values_mut().for_each(|slot| slot.stats = zero),
        }
        Ok(())
    }
}
