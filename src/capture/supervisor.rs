//! All captures of a server: starts them, stops them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::options::CaptureOptions;
use super::receiver::{NoContact, Receiver};
use super::upstream::UpstreamError;
use crate::engine::{Databases, Engine};

/// How the first attempt to follow an upstream ends. Nobody has to wait for it.
pub type FirstContact = Pin<Box<dyn Future<Output = Result<(), NoContact>> + Send>>;

/// All captures of a server.
#[derive(Debug)]
pub struct Supervisor {
    databases: Arc<Databases>,
    runtime: Handle,
    options: CaptureOptions,
    running: Mutex<BTreeMap<String, Running>>,
}

/// A capture that runs.
#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// For the captured ones among `databases`, which are started one by one or all
    /// ([`Supervisor::start_all`]).
    pub const fn new(databases: Arc<Databases>, runtime: Handle, options: CaptureOptions) -> Self {
        Self {
            databases,
            runtime,
            options,
            running: Mutex::new(BTreeMap::new()),
        }
    }

    /// Starts the captures of all databases, and waits for none.
    pub fn start_all(&self) {
        for engine in self.databases.all() {
            drop(self.start(&engine));
        }
    }

    /// Starts the capture of `engine`, unless it has none or it runs. The future tells how its
    /// first attempt ended; the capture goes on without anybody waiting for that.
    pub fn start(&self, engine: &Arc<Engine>) -> FirstContact {
        let Some(capture) = engine.capture() else {
            return Box::pin(std::future::ready(Ok(())));
        };
        let mut running = self.lock();
        if running.contains_key(engine.name()) {
            return Box::pin(std::future::ready(Ok(())));
        }
        let (stop, stop_receiver) = watch::channel(false);
        let (first_contact, told) = oneshot::channel();
        let receiver = Receiver {
            engine: Arc::clone(engine),
            capture: Arc::clone(capture),
            options: self.options.clone(),
            stop: stop_receiver,
            first_contact: Some(first_contact),
            streaming: true,
            was_connected: false,
        };
        let task = self.runtime.spawn(receiver.run());
        running.insert(engine.name().to_owned(), Running { stop, task });
        Box::pin(async move {
            let stopped = || NoContact::Failed(UpstreamError::new("the capture was stopped"));
            told.await.map_err(|_| stopped())?
        })
    }

    /// Stops the capture of `database` and waits for its end: what it queued is durable then.
    pub async fn stop(&self, database: &str) {
        let running = self.lock().remove(database);
        if let Some(running) = running {
            running.end().await;
        }
    }

    /// Stops all, and waits for them.
    pub async fn stop_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        for running in all.values() {
            running.stop.send_replace(true);
        }
        for (_, running) in all {
            running.end().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    async fn end(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a capture ended in disorder");
        }
    }
}
