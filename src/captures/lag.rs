//! How far a capture is behind its upstream (pure).

use super::{CaptureState, CaptureStatus};
use crate::lsn::Lsn;

impl CaptureStatus {
    /// Bytes from the head `head` of what is here to the upstream's end, as it was last said.
    pub fn lag_bytes(&self, head: Lsn) -> u64 {
        self.upstream_lsn.distance_from(head)
    }

    /// For how long what is here may have been old, in milliseconds: 0 near the upstream's end, the
    /// age of the last transaction while it catches up, the time since the upstream was last heard
    /// where it is not connected. `None` when there was neither.
    pub fn lag_ms(&self, now_unix_ms: u64) -> Option<u64> {
        let since = match self.state {
            CaptureState::Streaming => return Some(0),
            CaptureState::CatchingUp => self.last_commit_ms,
            CaptureState::Connecting
            | CaptureState::Paused
            | CaptureState::DiskFull
            | CaptureState::Stopped => self.last_message_ms,
        };
        (since > 0).then(|| now_unix_ms.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_told_by_what_the_capture_does() {
        let of = |state| CaptureStatus {
            state,
            last_commit_ms: 1000,
            last_message_ms: 4000,
            upstream_lsn: Lsn::new(0x300),
            ..CaptureStatus::default()
        };
        for (state, lag) in [
            (CaptureState::Streaming, 0),
            (CaptureState::CatchingUp, 4000),
            (CaptureState::Connecting, 1000),
            (CaptureState::Paused, 1000),
            (CaptureState::DiskFull, 1000),
            (CaptureState::Stopped, 1000),
        ] {
            assert_eq!(of(state).lag_ms(5000), Some(lag), "{}", state.name());
        }
        assert_eq!(CaptureStatus::default().lag_ms(5000), None);
        let status = of(CaptureState::Streaming);
        assert_eq!(status.lag_bytes(Lsn::new(0x100)), 0x200);
        assert_eq!(status.lag_bytes(Lsn::new(0x400)), 0);
    }
}
