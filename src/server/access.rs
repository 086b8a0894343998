//! What decides at the door and may change while the server runs: the rules, and what TLS shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::auth::{MockVerifiers, Refusals, RefusedLogin};
use super::tls::TlsContext;
use crate::hba::{HbaRules, IdentMaps};

/// What decides at the door. Clones share it; what is put in counts for the next connection.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    entry: RwLock<Arc<Entry>>,
    mock_verifiers: RwLock<MockVerifiers>,
    refusals: Refusals,
    tls: RwLock<Option<Arc<TlsContext>>>,
}

/// The rules at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) rules: HbaRules,
    pub(super) maps: IdentMaps,
    /// Where they were read from.
    pub(super) files: AccessFiles,
}

/// The files that rules and maps are in, for the views that show them. `None`: in no file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// `hba_file`
    pub hba: Option<PathBuf>,
    /// `ident_file`
    pub ident: Option<PathBuf>,
}

impl Access {
    /// These rules, without maps and TLS.
    pub fn new(rules: HbaRules) -> Self {
        let entry = Entry {
            rules,
            ..Entry::default()
        };
        let mut secret = [0; 32];
        // Without random bytes names that do not exist could be found out; no more than that.
        if let Err(error) = getrandom::fill(&mut secret) {
            tracing::error!(%error, "no random bytes");
        }
        let shared = Shared {
            entry: RwLock::new(Arc::new(entry)),
            mock_verifiers: RwLock::new(MockVerifiers::new(&secret)),
            refusals: Refusals::default(),
            tls: RwLock::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The rules now.
    pub(super) fn entry(&self) -> Arc<Entry> {
        let entry = self.shared.entry.read();
        Arc::clone(&entry.unwrap_or_else(PoisonError::into_inner))
    }

    /// Has these rules and maps count from now on.
    pub fn replace_rules(&self, rules: HbaRules, maps: IdentMaps, files: AccessFiles) {
        let entry = self.shared.entry.write();
        *entry.unwrap_or_else(PoisonError::into_inner) = Arc::new(Entry { rules, maps, files });
    }

    /// The line of the first rule that trusts people on other machines.
    pub fn trusts_from_afar(&self) -> Option<u32> {
        self.entry().rules.trusted_from_afar().map(|rule| rule.line)
    }

    /// The lines of rules that count for encrypted connections only: all, or those for this machine
    /// alone.
    pub fn encrypted_only(&self, local_only: bool) -> Vec<u32> {
        self.entry().rules.encrypted_only(local_only)
    }

    /// Answers for roles that do not exist with what belongs to this secret. One that is kept with
    /// the data keeps the answers the same over restarts.
    pub fn keep_secret(&self, secret: &[u8]) {
        let mocks = self.shared.mock_verifiers.write();
        *mocks.unwrap_or_else(PoisonError::into_inner) = MockVerifiers::new(secret);
    }

    /// How many logins were refused since the start, for each reason.
    pub fn refused_logins(&self) -> Vec<(RefusedLogin, u64)> {
        self.shared.refusals.counts()
    }

    /// What the file of the rules says now. Reads it.
    pub(super) fn hba_text(&self) -> String {
        text_of(self.entry().files.hba.as_deref())
    }

    /// What the file of the maps says now. Reads it.
    pub(super) fn ident_text(&self) -> String {
        text_of(self.entry().files.ident.as_deref())
    }

    pub(super) fn mock_verifiers(&self) -> MockVerifiers {
        let mocks = self.shared.mock_verifiers.read();
        mocks.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn refusals(&self) -> &Refusals {
        &self.shared.refusals
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

/// What a file says; nothing where there is none.
fn text_of(path: Option<&Path>) -> String {
    let bytes = path.and_then(|path| fs::read(path).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// Lets nobody in.
impl Default for Access {
    fn default() -> Self {
        Self::new(HbaRules::default())
    }
}
