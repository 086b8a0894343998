//! What decides at the door and may change while the server runs: the rules, and what TLS shows.

use std::sync::{Arc, PoisonError, RwLock};

use super::tls::TlsContext;
use crate::hba::HbaRules;

/// What decides at the door. Clones share it; what is put in counts for the next connection.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rules: RwLock<Arc<HbaRules>>,
    tls: RwLock<Option<Arc<TlsContext>>>,
}

impl Access {
    /// These rules, without TLS.
    pub fn new(rules: HbaRules) -> Self {
        let rules = RwLock::new(Arc::new(rules));
        let tls = RwLock::default();
        let shared = Arc::new(Shared { rules, tls });
        Self { shared }
    }

    /// The rules now.
    pub fn rules(&self) -> Arc<HbaRules> {
        let rules = self.shared.rules.read();
        Arc::clone(&rules.unwrap_or_else(PoisonError::into_inner))
    }

    /// Has these rules count from now on.
    pub fn replace_rules(&self, rules: HbaRules) {
        let current = self.shared.rules.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// What the next handshake shows; `None`: there is none.
    pub fn tls(&self) -> Option<Arc<TlsContext>> {
        let tls = self.shared.tls.read();
        tls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has handshakes show this from now on. Encrypted connections go on as they are.
    pub fn replace_tls(&self, tls: Option<TlsContext>) {
        let current = self.shared.tls.write();
        *current.unwrap_or_else(PoisonError::into_inner) = tls.map(Arc::new);
    }
}

impl Default for Access {
    fn default() -> Self {
        Self::new(HbaRules::trust_all())
    }
}
