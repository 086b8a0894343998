//! Waiting, after a commit is durable here, until others have confirmed it.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::{CommitOutcome, CommitSettings, CommitWait, Requirement, SynchronousCommit};

/// A commit on its way to its confirmations.
pub(super) struct Confirmation {
    engine: Arc<Engine>,
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
        let at_most = || engine.replicas().settings().wait_at_most();
        let wanted = synchronous
            .level()
            .and_then(|level| Some((level, at_most()?)));
        let Some((level, at_most)) = wanted else {
            engine.replicas().note_not_required();
            return None;
        };
        Some(Self {
            engine: Arc::clone(engine),
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

    fn settle(&self, outcome: CommitOutcome) -> Result<(), PgError> {
        told(&self.engine, self.target, self.at_most, outcome)
    }
}

/// What the producer is told: a commit that is not confirmed is never silently a success.
fn told(
    engine: &Engine,
    target: Lsn,
    waited: Duration,
    outcome: CommitOutcome,
) -> Result<(), PgError> {
    match outcome {
        CommitOutcome::NotRequired | CommitOutcome::Reached(_) => Ok(()),
        CommitOutcome::TimedOut { observed, required } => {
            let replicas = engine.replicas();
            let timeout = replicas.quorum_timeout(target, observed, required, waited);
            let missing = missing_regions(&replicas.settings(), &timeout.acked_regions);
            Err(PgError::unconfirmed(&timeout, &missing))
        }
        CommitOutcome::Unmet(unmet) => {
            let detail = format!("LSN {target} is durable here.");
            Err(PgError::from(unmet).with_detail(detail))
        }
    }
}

/// The regions that had to confirm and have not.
fn missing_regions(settings: &CommitSettings, acked: &[String]) -> Vec<String> {
    match Requirement::of(settings) {
        Requirement::Count(_) | Requirement::Standbys { .. } => vec![],
        Requirement::Regions(mut regions) => {
            regions.retain(|region| !acked.contains(region));
            regions.into_iter().collect()
        }
    }
}
