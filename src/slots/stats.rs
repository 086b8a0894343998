//! What was sent from each slot (`pg_stat_replication_slots`): in memory, since the start.

use crate::clock::Moment;

use super::{SlotName, SlotStore, UnknownSlot};

/// What was sent from one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotStats {
    /// Transactions.
    pub total_txns: u64,
    /// Bytes of their messages.
    pub total_bytes: u64,
    /// When the counts were set back, unix milliseconds; `None` for at the start.
    pub stats_reset_unix_ms: Option<u64>,
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
