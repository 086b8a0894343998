//! How a capture fares, for `pgspool.captures`, metrics and logs.

use std::sync::{Arc, Mutex, PoisonError};

use super::StopReason;
use crate::lsn::Lsn;

/// What a capture does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptureState {
    /// Connects, or waits to connect again.
    #[default]
    Connecting,
    /// Receives, and is behind the upstream.
    CatchingUp,
    /// Receives, and is near the upstream's end.
    Streaming,
    /// The operator said PAUSE.
    Paused,
    /// There is no room on the disk; goes on by itself when there is.
    DiskFull,
    /// Cannot go on without the operator: [`CaptureStatus::stop`] says why.
    Stopped,
}

impl CaptureState {
    /// Its name in views and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::CatchingUp => "catchup",
            Self::Streaming => "streaming",
            Self::Paused => "paused",
            Self::DiskFull => "disk_full",
            Self::Stopped => "stopped",
        }
    }
}

/// The last thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// In words, without a password.
    pub message: String,
    /// When, unix milliseconds.
    pub at_ms: u64,
}

/// The slot as the upstream shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamSlot {
    /// `restart_lsn`
    pub restart_lsn: Option<Lsn>,
    /// `confirmed_flush_lsn`
    pub confirmed_flush_lsn: Option<Lsn>,
    /// `wal_status`
    pub wal_status: Option<String>,
    /// Bytes of WAL that it holds back there.
    pub lag_bytes: Option<u64>,
    /// When it was looked at, unix milliseconds.
    pub at_ms: u64,
}

/// How a capture fares. What is received is the database's head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaptureStatus {
    /// What it does.
    pub state: CaptureState,
    /// `host:port` that it is or was last connected to.
    pub host: Option<String>,
    /// The upstream's `server_version`.
    pub server_version: Option<String>,
    /// The upstream's system identifier.
    pub system_id: Option<u64>,
    /// The upstream's timeline.
    pub timeline: Option<u64>,
    /// End of what came in, stored or not.
    pub received_lsn: Lsn,
    /// Acknowledged to the upstream as flushed.
    pub acknowledged_lsn: Lsn,
    /// The upstream's end, as it was last said.
    pub upstream_lsn: Lsn,
    /// Commit time of the last transaction that was stored, unix milliseconds; 0 for none.
    pub last_commit_ms: u64,
    /// When the last message came, unix milliseconds; 0 for never.
    pub last_message_ms: u64,
    /// Transactions stored since the start of the process.
    pub num_transactions: u64,
    /// Bytes of messages received since the start of the process.
    pub num_bytes: u64,
    /// Bytes of transactions under way that are in memory, and in files.
    pub buffered_bytes: u64,
    /// See `buffered_bytes`.
    pub spilled_bytes: u64,
    /// How often it connected again since the start of the process.
    pub num_restarts: u64,
    /// The last thing that went wrong.
    pub last_error: Option<LastError>,
    /// Why it cannot go on.
    pub stop: Option<StopReason>,
    /// The upstream's slot.
    pub slot: UpstreamSlot,
}

/// How far behind the upstream's end a capture may be and still count as streaming.
const NEAR: u64 = 16 << 20;

impl CaptureStatus {
    /// Whether a capture that receives is near the upstream's end.
    pub fn judge_distance(&mut self) {
        let behind = self.upstream_lsn.distance_from(self.received_lsn);
        match self.state {
            CaptureState::CatchingUp if behind <= NEAR => self.state = CaptureState::Streaming,
            CaptureState::Streaming if behind > NEAR => self.state = CaptureState::CatchingUp,
            CaptureState::CatchingUp
            | CaptureState::Streaming
            | CaptureState::Connecting
            | CaptureState::Paused
            | CaptureState::DiskFull
            | CaptureState::Stopped => {}
        }
    }
}

/// A status that one task writes and many read.
#[derive(Debug, Clone, Default)]
pub struct StatusCell(Arc<Mutex<CaptureStatus>>);

impl StatusCell {
    /// A copy.
    pub fn get(&self) -> CaptureStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut CaptureStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_receives_streams_near_the_upstreams_end_and_only_there() {
        for (state, behind, then) in [
            (CaptureState::CatchingUp, NEAR, CaptureState::Streaming),
            (CaptureState::CatchingUp, NEAR + 1, CaptureState::CatchingUp),
            (CaptureState::Streaming, NEAR + 1, CaptureState::CatchingUp),
            (CaptureState::Streaming, 0, CaptureState::Streaming),
            (CaptureState::Paused, 0, CaptureState::Paused),
            (CaptureState::Stopped, 0, CaptureState::Stopped),
            (CaptureState::Connecting, 0, CaptureState::Connecting),
        ] {
            let mut status = CaptureStatus {
                state,
                received_lsn: Lsn::new(1 << 30),
                upstream_lsn: Lsn::new((1 << 30) + behind),
                ..CaptureStatus::default()
            };
            status.judge_distance();
            assert_eq!(status.state, then, "{} {behind}", state.name());
        }
    }
}
