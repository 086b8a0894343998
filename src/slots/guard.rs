//! The exclusive use of a slot, and waiting for its end.

use std::pin::pin;
use std::sync::Arc;

use crate::clock::Moment;

use super::SlotName;
use super::store::Shared;

/// The exclusive use of a slot. The slot is free the moment the guard is dropped; a temporary
/// slot then still belongs to its session.
#[derive(Debug)]
pub struct SlotGuard {
    shared: Arc<Shared>,
    name: SlotName,
    hold: u64,
}

impl SlotGuard {
    pub(super) fn new(shared: Arc<Shared>, name: SlotName, hold: u64) -> Self {
        Self { shared, name, hold }
    }

    /// The slot.
    pub fn name(&self) -> &SlotName {
        &self.name
    }

    /// Frees the slot, used last at `now`. Dropping the guard does the same with the latest
    /// moment that the store was told.
    pub fn release(self, now: Moment) {
        self.shared.table().at(now);
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        let now = table.latest;
        if let Some(slot) = table.slots.get_mut(&self.name) {
            slot.release(self.hold, now);
        }
    }
}

/// Completes when nobody uses the slot, or when it is gone.
pub(super) async fn released(shared: Arc<Shared>, name: SlotName) {
    loop {
        let freed = {
            let table = shared.table();
            match table.visible(&name) {
                Some(slot) if slot.active_pid().is_some() => Arc::clone(&slot.freed),
                Some(_) | None => return,
            }
        };
        let mut notified = pin!(freed.notified());
        // Registered first and looked at again after: a release in between is not missed.
        notified.as_mut().enable();
        let still_used = shared
            .table()
            .visible(&name)
            .is_some_and(|slot| slot.active_pid().is_some());
        if !still_used {
            return;
        }
        notified.await;
    }
}
