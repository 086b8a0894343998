//! Who may be cancelled: running sessions by process id and secret key.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// All sessions that a cancel request can reach.
#[derive(Debug, Default)]
pub(super) struct CancelRegistry {
    last_pid: AtomicU32,
    /// Keyed from the operating system's randomness; keys made with it cannot be foretold.
    keys: RandomState,
    sessions: Mutex<HashMap<u32, (u32, Arc<Notify>)>>,
}

impl CancelRegistry {
    /// Enters a new session.
    pub(super) fn enter(self: &Arc<Self>) -> CancelGuard {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = loop {
            // Process ids are positive 32-bit integers for the clients.
            let next = self.last_pid.fetch_add(1, Ordering::Relaxed) % 0x7FFF_FFFF + 1;
            if !sessions.contains_key(&next) {
                break next;
            }
        };
        let key = u32::try_from(self.keys.hash_one(pid) & 0xFFFF_FFFF).unwrap_or_default();
        let cancelled = Arc::new(Notify::new());
        sessions.insert(pid, (key, Arc::clone(&cancelled)));
        CancelGuard {
            registry: Arc::clone(self),
            pid,
            key,
            cancelled,
        }
    }

    /// Cancels what the session runs at this moment; nothing when pid and key do not match.
    pub(super) fn cancel(&self, pid: u32, key: u32) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own_key, cancelled)) = sessions.get(&pid)
            && *own_key == key
        {
            cancelled.notify_waiters();
        }
    }
}

/// A session's entry; leaves the registry when dropped.
#[derive(Debug)]
pub(super) struct CancelGuard {
    registry: Arc<CancelRegistry>,
    pid: u32,
    key: u32,
    cancelled: Arc<Notify>,
}

impl CancelGuard {
    /// The session's process id.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// The secret that a cancel request must show.
    pub(super) const fn key(&self) -> u32 {
        self.key
    }

    /// Wakes those who wait at the moment of a cancel request.
    pub(super) fn signal(&self) -> Arc<Notify> {
        Arc::clone(&self.cancelled)
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        let mut sessions = self
            .registry
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_key_cancels() {
        let registry = Arc::new(CancelRegistry::default());
        let (one, two) = (registry.enter(), registry.enter());
        assert_ne!(one.pid(), two.pid());
        let signal = one.signal();
        let waiting = signal.notified();
        tokio::pin!(waiting);
        registry.cancel(one.pid(), one.key().wrapping_add(1));
        registry.cancel(two.pid(), two.key());
        let pending = tokio::time::timeout(std::time::Duration::from_millis(10), &mut waiting);
        assert!(pending.await.is_err());
        registry.cancel(one.pid(), one.key());
        waiting.await;
        drop(one);
        assert_eq!(registry.sessions.lock().unwrap().len(), 1);
    }
}
