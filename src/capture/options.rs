//! How upstreams are followed: the server's settings for all captures.

use std::time::Duration;

/// Settings of all captures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureOptions {
    /// `capture_work_mem`: memory for transactions under way of one captured database, in bytes.
    pub work_mem: u64,
    /// How often the upstream's tables, publications and slot are looked at.
    pub mirror_interval: Duration,
    /// `wal_receiver_timeout`: a connection on which nothing came for so long is given up.
    pub receiver_timeout: Option<Duration>,
    /// `wal_receiver_status_interval`: how often the upstream is told how far we are, at least.
    pub status_interval: Duration,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            work_mem: 64 << 20,
            mirror_interval: Duration::from_secs(10),
            receiver_timeout: Some(Duration::from_secs(60)),
            status_interval: Duration::from_secs(10),
        }
    }
}
