//! Waiting, after a commit is durable here, until others have confirmed it.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::{CommitOutcome, CommitWait, QuorumTimeout, SynchronousCommit};

/// A commit on its way to its confirmations.
pub(super) struct Confirmation {
    target: Lsn,
    at_most: Duration,
    wait: CommitWait,
}

impl Confirmation {
    /// Begins to wait for the transaction that ends at `target`; `None` when nobody has to confirm.
    pub(super) fn begin(
        engine: &Arc<Engine>,
        target: Lsn,
        synchronous: SynchronousCommit,
    ) -> Option<Self> {
        let level = synchronous.level()?;
        let at_most = engine.replicas().settings().wait_at_most()?;
        Some(Self {
            target,
            at_most,
            wait: engine.wait_released_at(target, level),
        })
    }

    /// Where the transaction ends that is to be confirmed.
    pub(super) const fn target(&self) -> Lsn {
        self.target
    }

    /// Waits for it. Dropping the future ends the wait; the commit stands.
    pub(super) async fn wait(mut self) -> Result<(), PgError> {
        let outcome = tokio::select! {
            outcome = &mut self.wait => outcome,
            () = tokio::time::sleep(self.at_most) => self.wait.time_out(),
        };
        self.settle(outcome)
    }

    /// What the producer is told: a commit that is not confirmed is never silently a success.
    fn settle(&self, outcome: CommitOutcome) -> Result<(), PgError> {
        let target = self.target;
        match outcome {
            CommitOutcome::NotRequired | CommitOutcome::Reached(_) => Ok(()),
            CommitOutcome::TimedOut { observed, required } => {
                let regions = self.wait.regions().clone();
                let count = (observed, required);
                let timeout = QuorumTimeout::new(target, count, self.at_most, regions);
                Err(PgError::unconfirmed(&timeout))
            }
            CommitOutcome::Unmet(unmet) => {
                let detail = format!("LSN {target} is durable here.");
                Err(PgError::from(unmet).with_detail(detail))
            }
        }
    }
}
