//! Reading the configuration again while the server runs: on SIGHUP and for `pg_reload_conf()`.
//!
//! All files are read first: one with a mistake, also a certificate, changes nothing. What cannot
//! change without a restart keeps its value and is marked so in `pg_settings`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::engine::Databases;
use crate::server::{Access, ShownSettings, TlsContext};

use super::log::Log;
use super::rule_files::RuleFiles;
use super::settings::{Loaded, Sources};
use super::systemd;
use super::with_causes;

/// What a reload needs.
pub(super) struct Configuration {
    pub(super) sources: Sources,
    pub(super) loaded: Loaded,
    pub(super) shown: ShownSettings,
    pub(super) access: Access,
    /// The data directory.
    pub(super) data: PathBuf,
    pub(super) databases: Arc<Databases>,
    pub(super) rule_files: RuleFiles,
    pub(super) log: Log,
}

impl Configuration {
    /// Reloads whenever it is asked for, from now on.
    pub(super) fn reload_on_hangup(mut self) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            loop {
                asked(&mut hangup, &self.shown).await;
                systemd::reloading();
                // Reads files, which may take as long as a disk does.
                let reloaded = tokio::task::spawn_blocking(move || {
                    self.reload();
                    self
                });
                match reloaded.await {
                    Ok(same) => self = same,
                    Err(error) => {
                        tracing::error!(%error, "no configuration is reloaded any more");
                        return;
                    }
                }
                systemd::reloaded();
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
        let rules = match self.rule_files.read() {
            Ok(rules) => rules,
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded, nothing was changed");
                return;
            }
        };
        let (loaded, shown, waiting) = self.loaded.reload(new);
        // Certificates and keys are read again also when their names are the same.
        let tls = match TlsContext::load(&loaded.settings.tls, &self.data) {
            Ok(tls) => tls,
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(%error, "configuration not reloaded, nothing was changed");
                return;
            }
        };
        // All of it can be used: from here on nothing fails.
        rules.put_into(&self.access);
        self.access.replace_tls(tls);
        warn_of_trust(&self.access, &loaded.settings.server.listen);
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

/// Says when people on other machines are believed whatever they say.
pub(super) fn warn_of_trust(access: &Access, listen: &[SocketAddr]) {
    let is_reachable = listen.iter().any(|address| !address.ip().is_loopback());
    if let Some(line) = access.trusts_from_afar().filter(|_| is_reachable) {
        tracing::warn!(
            "line {line} of hba_file trusts everybody on other machines: no password is asked for"
        );
    }
}

async fn asked(hangup: &mut Signal, shown: &ShownSettings) {
    tokio::select! {
        _ = hangup.recv() => {}
        () = shown.reload_requested() => {}
    }
}
