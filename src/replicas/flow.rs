//! Flow control: hold producers back while a replica of the quorum lags too far.
//!
//! A throttled publish is refused, not delayed. A replica outside the quorum never throttles
//! anybody. The decision is made anew whenever something it depends on changes: a publish, an
//! acknowledgement, a replica that leaves, a timer.

use crate::lsn::Lsn;

/// A publish was held back; nothing was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a replica in the quorum lags {lag} behind, more than {soft_target}")]
pub struct Throttled {
    /// How far the slowest replica of the quorum is behind the head.
    pub lag: u64,
    /// The limit.
    pub soft_target: u64,
}

/// The state of flow control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowControl {
    soft_target: u64,
    lag: u64,
    throttled: bool,
}

impl FlowControl {
    /// Sets the limit; 0 turns it off and lets producers go at once. Another limit takes effect
    /// with the next observation.
    pub fn set_soft_target(&mut self, soft_target: u64) {
        self.soft_target = soft_target;
        if soft_target == 0 {
            self.throttled = false;
        }
    }

    /// Looks at the applied positions of the replicas in the quorum.
    pub fn observe(&mut self, head: Lsn, in_quorum: impl Iterator<Item = Lsn>) {
        let behind = in_quorum.map(|applied| head.distance_from(applied));
        self.lag = behind.max().unwrap_or(0);
        self.throttled = self.soft_target > 0 && self.lag > self.soft_target;
    }

    /// Whether a publish may go on.
    pub fn try_admit(&self) -> Result<(), Throttled> {
        if self.throttled {
            Err(Throttled {
                lag: self.lag,
                soft_target: self.soft_target,
            })
        } else {
            Ok(())
        }
    }

    /// The limit, 0 for off.
    pub fn soft_target(&self) -> u64 {
        self.soft_target
    }

    /// The lag last observed.
    pub fn lag(&self) -> u64 {
        self.lag
    }

    /// Whether producers are held back.
    pub fn is_throttled(&self) -> bool {
        self.throttled
    }
}
