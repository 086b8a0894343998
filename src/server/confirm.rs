//! Waiting, after a commit is durable here, until others have confirmed it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::activity::Appearance;
use super::session::Signal;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::{CommitOutcome, CommitWait, QuorumTimeout, SynchronousCommit};

/// A commit on its way to its confirmations.
pub(super) struct Confirmation {
    target: Lsn,
    at_most: Duration,
    began: Instant,
    wait: CommitWait,
    _shown: Shown,
}

/// As long as it lives, others see that the session waits for confirmations.
struct Shown(Appearance);

impl Shown {
    fn new(appearance: &Appearance) -> Self {
        appearance.update(|info| info.wait_event = Some(("IPC", "SyncRep")));
        Self(appearance.clone())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.update(|info| info.wait_event = None);
    }
}

impl Confirmation {
    /// Begins to wait for the transaction that ends at `target`; `None` when nobody has to confirm.
    pub(super) fn begin(
        engine: &Arc<Engine>,
        appearance: &Appearance,
        target: Lsn,
        synchronous: SynchronousCommit,
    ) -> Option<Self> {
        let at_most = || engine.replicas().settings().wait_at_most();
        let wanted = synchronous
            .level()
            .and_then(|level| Some((level, at_most()?)));
        let Some((level, at_most)) = wanted else {
            engine.replicas().note_not_required();
            return None;
        };
        Some(Self {
            target,
            at_most,
            began: Instant::now(),
            _shown: Shown::new(appearance),
            wait: engine.wait_released_at(target, level),
        })
    }

    /// Waits for it, at most until `signal`, whose error is that the commit stands.
    pub(super) async fn wait(
        mut self,
        signal: impl Future<Output = Signal>,
    ) -> Result<(), PgError> {
        let ended = tokio::select! {
            biased;
            outcome = &mut self.wait => return self.told(self.at_most, outcome),
            () = tokio::time::sleep(self.at_most) => None,
            signal = signal => Some(signal),
        };
        let outcome = self.wait.time_out();
        match ended {
            None => self.told(self.at_most, outcome),
            Some(signal) => {
                let told = self.told(self.began.elapsed(), outcome);
                told.map_err(|error| signal.error_of_committed(error))
            }
        }
    }

    /// What the producer is told: a commit that is not confirmed is never silently a success.
    fn told(&self, waited: Duration, outcome: CommitOutcome) -> Result<(), PgError> {
        let target = self.target;
        match outcome {
            CommitOutcome::NotRequired | CommitOutcome::Reached(_) => Ok(()),
            CommitOutcome::TimedOut { observed, required } => {
                let regions = self.wait.regions().clone();
                let count = (observed, required);
                let timeout = QuorumTimeout::new(target, count, waited, regions);
                Err(PgError::unconfirmed(&timeout))
            }
            CommitOutcome::Unmet(unmet) => {
                let detail = format!("LSN {target} is durable here.");
                Err(PgError::from(unmet).with_detail(detail))
            }
        }
    }
}
