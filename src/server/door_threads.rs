//! The threads on which clients log in: apart from those of sessions and streams, and behind them
//! when the processor is busy, so that a storm of logins takes little from a stream.

use std::fmt;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::query_threads::step_back;

/// Behind all that runs for somebody who is known, and before queries: a login is short.
const NICE: i32 = 10;

/// Threads for logins.
pub(super) struct DoorThreads {
    /// Taken out at the end.
    runtime: Option<Runtime>,
}

impl DoorThreads {
    /// One for every two processors, so that half of them are never busy with strangers.
    pub(super) fn new() -> std::io::Result<Self> {
        let num_processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads((num_processors / 2).max(1))
            .thread_name("door")
            .on_thread_start(|| step_back(NICE))
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs `login` on one of them; dropped with the caller. `None` when it broke.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        login: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut task = JoinSet::new();
        task.spawn_on(login, self.runtime.as_ref()?.handle());
        match task.join_next().await? {
            Ok(done) => Some(done),
            // It counts as this connection's.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_cancelled) => None,
        }
    }
}

impl Drop for DoorThreads {
    /// Whoever drops it may not block.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for DoorThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorThreads").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn logins_run_apart_and_end_with_who_waits_for_them() {
        let threads = DoorThreads::new().unwrap();
        let name = threads.run(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await, Some(Some("door".to_owned())));

        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let mut waiting = Box::pin(threads.run(async move {
            std::future::pending::<()>().await;
            drop(held);
        }));
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        drop(waiting);
        assert!(dropped.await.is_err());
    }
}
