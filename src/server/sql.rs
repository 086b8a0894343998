//! The few doors through which the server uses the catalog.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::catalog::{self, Context, Executor, Prepared};
use crate::datum::{Datum, Names, PgType};
use crate::pgerror::PgError;

/// What runs queries.
pub(super) struct Queries {
    executor: Executor,
}

impl Queries {
    /// At most `num_at_once` run at a time; others wait.
    pub(super) fn new(num_at_once: usize) -> Self {
        Self {
            executor: Executor::new(num_at_once),
        }
    }

    /// Runs a prepared query. Blocking.
    pub(super) fn run(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn FnMut(Vec<Datum>) -> ControlFlow<()>,
    ) -> Result<u64, PgError> {
        self.executor.run(context, prepared, params, sink)
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").finish_non_exhaustive()
    }
}

/// Parses and binds one query. Blocking.
pub(super) fn prepare(
    context: &Arc<Context>,
    text: &str,
    declared: &[Option<PgType>],
) -> Result<Prepared, PgError> {
    catalog::prepare(context, text, declared)
}

/// The names that values of `context` print as.
pub(super) fn names(context: &Arc<Context>) -> impl Names + use<'_> {
    catalog::names(context)
}
