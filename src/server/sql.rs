//! The few doors through which the server uses the catalog.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::query_threads::QueryThreads;
use crate::catalog::dml::{ChangeSink, PreparedChange};
use crate::catalog::{self, Context, Executor, Prepared, Sink};
use crate::datum::{Datum, Names, PgType};
use crate::pgerror::PgError;

/// What runs queries.
pub(super) struct Queries {
    executor: Executor,
    threads: QueryThreads,
}

impl Queries {
    /// At most `num_at_once` run at a time; others wait.
    pub(super) fn new(num_at_once: usize) -> io::Result<Self> {
        Ok(Self {
            executor: Executor::new(num_at_once),
            threads: QueryThreads::new(num_at_once)?,
        })
    }

    /// Runs `work` on a thread for queries.
    pub(super) fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        // Without threads the server is gone, and `work` with who waits for it.
        drop(self.threads.spawn(work));
    }

    /// Runs a prepared query. Blocking.
    pub(super) fn run(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn FnMut(&[Datum]) -> ControlFlow<()>,
    ) -> Result<u64, PgError> {
        self.executor.run(context, prepared, params, sink)
    }

    /// Runs a prepared change. Blocking.
    pub(super) fn change(
        &self,
        context: &Arc<Context>,
        change: &PreparedChange,
        params: &[Datum],
        sink: &mut dyn ChangeSink,
    ) -> Result<u64, PgError> {
        change.run(context, &self.executor, params, sink)
    }

    /// Runs a prepared query into a sink that can fail. Blocking.
    pub(super) fn run_into(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn Sink,
    ) -> Result<u64, PgError> {
        self.executor.run_into(context, prepared, params, sink)
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").finish_non_exhaustive()
    }
}

/// Parses and binds one query; with `declared` it may have parameters. Blocking.
pub(super) fn prepare(
    context: &Arc<Context>,
    text: &str,
    declared: Option<&[Option<PgType>]>,
) -> Result<Prepared, PgError> {
    match declared {
        Some(declared) => catalog::prepare(context, text, declared),
        None => catalog::prepare_without_parameters(context, text),
    }
}

/// Parses and binds one statement that changes tables; with `declared` it may have parameters.
/// Blocking.
pub(super) fn prepare_change(
    context: &Arc<Context>,
    text: &str,
    declared: Option<&[Option<PgType>]>,
) -> Result<PreparedChange, PgError> {
    catalog::dml::prepare_change(context, text, declared)
}

/// The names that values of `context` print as.
pub(super) fn names(context: &Arc<Context>) -> impl Names + use<'_> {
    catalog::names(context)
}
