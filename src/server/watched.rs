//! What the server tells of itself: sessions by what they do, and who was turned away.

use super::Shared;
use crate::admin::{ServerSnapshot, ServerState};

impl ServerState for Shared {
    fn snapshot(&self) -> ServerSnapshot {
        ServerSnapshot {
            started_unix_ms: self.started_unix_ms,
            stopping: self.stopping.borrow().is_some(),
            max_connections: self.options.max_connections,
            sessions: self.sessions.counted(),
            accepted: self.door.accepted.value(),
            dropped: self.door.dropped.value(),
            begun: self.door.sessions.value(),
            refused: self.door.refused().collect(),
            tls_failed: self.door.tls_failed.value(),
        }
    }
}
