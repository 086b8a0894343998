//! The threads that queries run on: apart from those of streams and producers, and behind them
//! when the processor is busy, so that dashboards that ask all the time take nothing from a stream.

use std::fmt;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// The lowest priority: a query still runs whenever there is a processor for it.
const NICE: i32 = 19;

/// Threads for queries.
pub(super) struct QueryThreads {
    /// Only for its pool of blocking threads; taken out at the end.
    runtime: Option<Runtime>,
}

impl QueryThreads {
    /// At most `num_threads`, started as they are needed.
    pub(super) fn new(num_threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(num_threads.max(1))
            .thread_name("query")
            .on_thread_start(|| step_back(NICE))
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs `work` on one of them. What it waits for it waits for in the caller's runtime: nobody
    /// drives the timers of this one.
    pub(super) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
        let runtime = self.runtime.as_ref()?;
        let callers = Handle::try_current().ok();
        Some(runtime.spawn_blocking(move || {
            let _entered = callers.as_ref().map(Handle::enter);
            work();
        }))
    }
}

/// Lowers the priority. On Linux this is about the calling thread alone.
pub(super) fn step_back(by: i32) {
    if let Err(error) = rustix::process::nice(by) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

impl Drop for QueryThreads {
    /// Whoever drops it may not block: queries that still run end by themselves.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for QueryThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryThreads").finish_non_exhaustive()
    }
}
