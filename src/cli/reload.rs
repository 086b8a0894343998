//! Reading the configuration again while the server runs: on SIGHUP and for `pg_reload_conf()`.
//!
//! A file with a mistake changes nothing. What cannot change without a restart keeps its value and
//! is marked so in `pg_settings`.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::engine::Databases;
use crate::server::ShownSettings;

use super::log::Log;
use super::settings::{Loaded, Sources};

/// What a reload needs.
pub(super) struct Configuration {
    pub(super) sources: Sources,
    pub(super) loaded: Loaded,
    pub(super) shown: ShownSettings,
    pub(super) databases: Arc<Databases>,
    pub(super) log: Log,
}

impl Configuration {
    /// Reloads whenever it is asked for, from now on.
    pub(super) fn reload_on_hangup(mut self) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            loop {
                asked(&mut hangup, &self.shown).await;
                self.reload();
            }
        });
        Ok(())
    }

    fn reload(&mut self) {
        let new = match self.sources.load() {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded, nothing was changed");
                return;
            }
        };
        let (loaded, shown, waiting) = self.loaded.reload(new);
        for engine in self.databases.all() {
            if let Err(error) = engine.reconfigure(&loaded.settings.engine) {
                // Checked when it was loaded; said all the same, should that ever change.
                tracing::error!(database = engine.name(), %error, "not reconfigured");
            }
        }
        self.log.set_levels(&loaded.settings.watching);
        for name in waiting {
            tracing::warn!("parameter \"{name}\" cannot be changed without restarting the server");
        }
        self.shown.replace(shown);
        self.loaded = loaded;
        tracing::info!("configuration reloaded");
    }
}

async fn asked(hangup: &mut Signal, shown: &ShownSettings) {
    tokio::select! {
        _ = hangup.recv() => {}
        () = shown.reload_requested() => {}
    }
}
