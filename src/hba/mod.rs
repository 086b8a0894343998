//! The rules that say who may come in how: `pg_hba.conf` and `pg_ident.conf`.
//!
//! Text into rules and rules into a decision; no files, no sockets.

use std::net::IpAddr;

/// The rules of one `pg_hba.conf`, in order: the first that fits a connection decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HbaRules {
    rules: Vec<HbaRule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HbaRule {
    /// Its line in the file, from 1.
    pub line: u32,
    /// How who comes by this rule is known.
    pub method: Method,
}

/// How the user is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Not at all: everybody is believed.
    Trust,
    /// Nobody comes in.
    Reject,
    /// By a password, proven by SCRAM-SHA-256.
    ScramSha256,
    /// By a client certificate.
    Cert,
    /// By the operating system's user on the other end of a Unix socket.
    Peer,
}

/// A connection that asks to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The database it names.
    pub database: &'a str,
    /// Whether it is for physical replication, which `replication` stands for and `all` does not.
    pub is_physical_replication: bool,
    /// The user it names.
    pub user: &'a str,
    /// Where it is from; `None` is a Unix socket.
    pub address: Option<IpAddr>,
    /// Whether it is encrypted.
    pub is_tls: bool,
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct HbaError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl HbaRules {
    /// Trusts everybody; for tests and for programs that guard their door themselves.
    pub fn trust_all() -> Self {
        let rule = HbaRule {
            line: 1,
            method: Method::Trust,
        };
        Self { rules: vec![rule] }
    }

    /// The rule that decides; `None`: nobody comes in without one.
    pub fn find(&self, _attempt: &Attempt<'_>) -> Option<&HbaRule> {
        self.rules.first()
    }
}
