//! What the server tells of itself: sessions by what they do, and who was turned away.

use super::Shared;
use crate::admin::{ServerSnapshot, ServerState};

impl ServerState for Shared {
    fn snapshot(&self) -> ServerSnapshot {
        let refused = self.options.access.refusals().counts().into_iter();
        ServerSnapshot {
            started_unix_ms: self.started_unix_ms,
            stopping: self.stopping.borrow().is_some(),
            max_connections: self.options.max_connections,
            max_wal_senders: self.options.limits.max_wal_senders,
            sessions: self.sessions.counted(),
            accepted: self.door.accepted.value(),
            dropped: self.door.dropped.value(),
            begun: self.door.sessions.value(),
            refused: refused
                .map(|(reason, count)| (reason.name(), count))
                .collect(),
            tls_failed: self.door.tls_failed.value(),
        }
    }
}
