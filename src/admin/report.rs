//! Answers, each made from a snapshot of its own. Blocking.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::exposition::Exposition;
use super::families;
use super::page::{self, Rates};
use super::problems::{self, Problem};
use super::snapshot::{Ages, Snapshot};
use super::watch::{Phase, Watch};

/// Makes the answers, one at a time.
#[derive(Debug)]
pub(super) struct Reporter {
    watch: Watch,
    memory: Mutex<Memory>,
}

/// What is remembered from one answer to the next.
#[derive(Debug, Default)]
struct Memory {
    ages: Ages,
    rates: Rates,
}

/// The server at one moment, as far as it is up.
#[derive(Debug)]
struct Look {
    snapshot: Option<Snapshot>,
    problems: Vec<Problem>,
}

impl Look {
    fn is_ready(&self) -> bool {
        problems::unready(&self.problems).next().is_none()
    }
}

impl Reporter {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            memory: Mutex::default(),
        }
    }

    /// `/metrics`
    pub(super) fn metrics(&self) -> Result<String, prometheus::Error> {
        let look = self.look(&mut self.memory());
        let mut out = Exposition::default();
        families::of_process(&mut out, look.is_ready());
        if let Some(snapshot) = &look.snapshot {
            families::of_snapshot(&mut out, snapshot);
        }
        out.encode()
    }

    /// `/readyz`: whether it is ready, and `ready` or one line for each reason why not.
    pub(super) fn readiness(&self) -> (bool, String) {
        let look = self.look(&mut self.memory());
        if look.is_ready() {
            return (true, "ready\n".to_owned());
        }
        let reasons = problems::unready(&look.problems);
        let lines = reasons.map(|problem| format!("{}\n", problem.words));
        (false, lines.collect())
    }

    /// The status page.
    pub(super) fn page(&self) -> String {
        let mut memory = self.memory();
        let look = self.look(&mut memory);
        page::render(look.snapshot.as_ref(), &look.problems, &mut memory.rates)
    }

    fn look(&self, memory: &mut Memory) -> Look {
        match self.watch.phase() {
            Phase::Serving(served) => {
                let snapshot = Snapshot::take(&served, &mut memory.ages);
                Look {
                    problems: problems::find(&snapshot),
                    snapshot: Some(snapshot),
                }
            }
            Phase::Recovering => Look {
                snapshot: None,
                problems: vec![Problem::not_ready("the databases are being opened")],
            },
            Phase::Closing => Look {
                snapshot: None,
                problems: vec![Problem::not_ready("the databases are being closed")],
            },
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
