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
use crate::server::{Access, CaptureService, ShownSettings, TlsContext};

use super::captures;
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
    pub(super) captures: CaptureService,
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
        let missing = match captures::missing(&self.databases, &loaded.captures) {
            Ok(missing) => missing,
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded, nothing was changed");
                return;
            }
        };
        // All of it can be used: from here on nothing fails but a disk.
        rules.put_into(&self.access);
        self.access.replace_tls(tls);
        warn_of_trust(&self.access, &loaded.settings.server.listen);
        for engine in self.databases.all() {
            if let Err(error) = engine.reconfigure(&loaded.settings.engine) {
                // Checked when it was loaded; said all the same, should that ever change.
                tracing::error!(database = engine.name(), %error, "not reconfigured");
            }
        }
        match captures::make(&self.databases, missing) {
            Ok(made) => made.iter().for_each(|engine| self.captures.start(engine)),
            Err(error) => tracing::error!(%error, "captured database not created"),
        }
        self.log.set_levels(&loaded.settings.watching);
        for name in waiting {
            tracing::warn!("parameter \"{name}\" cannot be changed without restarting the server");
        }
        self.shown.replace(shown);
        warn_of_plain_text(
            &self.access,
            &loaded.settings.server.listen,
            loaded.settings.tls.enabled,
        );
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

/// Says where connections from other machines are not encrypted, and which rules are without
/// effect since none is.
pub(super) fn warn_of_plain_text(access: &Access, listen: &[SocketAddr], ssl: bool) {
    for words in plain_text(access, listen, ssl) {
        tracing::warn!("{words}");
    }
}

fn plain_text(access: &Access, listen: &[SocketAddr], ssl: bool) -> Vec<String> {
    if ssl {
        return vec![];
    }
    let is_reachable = listen.iter().any(|address| !address.ip().is_loopback());
    let mut words = vec![];
    if is_reachable {
        words.push(
            "listen has addresses that other machines reach, and ssl is off: nothing is encrypted \
             (\"pgspool cert\" makes a certificate)"
                .to_owned(),
        );
    }
    let lines = access.encrypted_only(!is_reachable);
    if !lines.is_empty() {
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        let lines = lines.join(", ");
        words.push(format!(
            "hostssl rules of hba_file let nobody in while ssl is off: line {lines}"
        ));
    }
    words
}

async fn asked(hangup: &mut Signal, shown: &ShownSettings) {
    tokio::select! {
        _ = hangup.recv() => {}
        () = shown.reload_requested() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hba::{HbaRules, IdentMaps};

    #[test]
    fn plain_text_to_other_machines_and_rules_without_effect_are_told() {
        let access = Access::default();
        let rules = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl all all all cert\n";
        let rules = HbaRules::parse(rules).unwrap();
        access.replace_rules(rules, IdentMaps::parse("").unwrap(), Default::default());
        let here: SocketAddr = "127.0.0.1:5433".parse().unwrap();
        let anywhere: SocketAddr = "0.0.0.0:5433".parse().unwrap();
        assert_eq!(plain_text(&access, &[anywhere], true), [""; 0]);
        let words = plain_text(&access, &[here], false);
        assert_eq!(words.len(), 1);
        assert!(words[0].ends_with("line 1"), "{words:?}");
        let words = plain_text(&access, &[here, anywhere], false);
        assert!(words[0].contains("ssl is off"), "{words:?}");
        assert!(words[1].ends_with("line 1, 2"), "{words:?}");
    }
}
