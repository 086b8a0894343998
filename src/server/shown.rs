//! The server's settings as SHOW and `pg_settings` show them, replaced as a whole on a reload.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;

/// One setting of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownSetting {
    /// Name.
    pub name: String,
    /// The value as SHOW prints it, with its unit.
    pub value: String,
    /// The value in `unit`, as `pg_settings` has it.
    pub setting: String,
    /// What `setting` counts: B, kB, MB, ms, s.
    pub unit: Option<&'static str>,
    /// Group.
    pub category: &'static str,
    /// In a few words.
    pub short_desc: &'static str,
    /// When it can change: postmaster (at a start), sighup (at a reload), user (by SET).
    pub context: &'static str,
    /// bool, integer, string, enum
    pub vartype: &'static str,
    /// default, configuration file, environment variable, command line
    pub source: &'static str,
    /// Least value, in `unit`.
    pub min_val: Option<String>,
    /// Greatest value, in `unit`.
    pub max_val: Option<String>,
    /// Values of an enum.
    pub enumvals: Option<&'static [&'static str]>,
    /// The default, in `unit`.
    pub boot_val: String,
    /// The file it was set in.
    pub sourcefile: Option<String>,
    /// And the line there.
    pub sourceline: Option<u32>,
    /// The file has another value now, which counts after a restart.
    pub pending_restart: bool,
}

/// The settings of a running server. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ShownSettings {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    current: RwLock<Arc<Vec<ShownSetting>>>,
    reload: Notify,
}

impl ShownSettings {
    /// These settings.
    pub fn new(settings: Vec<ShownSetting>) -> Self {
        let shown = Self::default();
        shown.replace(settings);
        shown
    }

    /// The settings now.
    pub fn current(&self) -> Arc<Vec<ShownSetting>> {
        let current = self.shared.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// The setting of that name, in lower case.
    pub fn find(&self, name: &str) -> Option<ShownSetting> {
        let current = self.current();
        current.iter().find(|setting| setting.name == name).cloned()
    }

    /// Shows others from now on.
    pub fn replace(&self, settings: Vec<ShownSetting>) {
        let mut current = self
            .shared
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(settings);
    }

    /// Asks for a reload of the configuration (`pg_reload_conf()`).
    pub fn request_reload(&self) {
        self.shared.reload.notify_one();
    }

    /// Completes when a reload was asked for.
    pub async fn reload_requested(&self) {
        self.shared.reload.notified().await;
    }
}
