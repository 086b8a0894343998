//! Logins that were refused: why, how many, and how fast the next can be tried.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pgerror::PgError;

/// Why a login was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedLogin {
    /// No rule fits.
    NoRule,
    /// A rule of the method `reject` fits.
    Rejected,
    /// The password is wrong, or there is none to compare it with.
    Password,
    /// There is no client certificate, or one of somebody else.
    Certificate,
    /// The operating system's user may not be that role.
    Peer,
    /// The role does not exist; told only to who was believed otherwise.
    NoRole,
    /// The role may not log in.
    NoLogin,
    /// What the client said was no answer.
    Protocol,
    /// The client took too long.
    TimedOut,
    /// There is no such database, or it is not for that role.
    Database,
    /// The role lacks the right that such a connection needs.
    Right,
    /// Too many are here already.
    Limit,
}

impl RefusedLogin {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NoRule,
        Self::Rejected,
        Self::Password,
        Self::Certificate,
        Self::Peer,
        Self::NoRole,
        Self::NoLogin,
        Self::Protocol,
        Self::TimedOut,
        Self::Database,
        Self::Right,
        Self::Limit,
    ];

    /// Whether somebody asked for what he may not have, or had to be turned away.
    pub(in crate::server) const fn is_warning(self) -> bool {
        match self {
            Self::NoRule
            | Self::Rejected
            | Self::Password
            | Self::Certificate
            | Self::Peer
            | Self::NoRole
            | Self::NoLogin
            | Self::Right
            | Self::Database
            | Self::Limit => true,
            Self::Protocol | Self::TimedOut => false,
        }
    }

    /// A word for it that stays, for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::Rejected => "rejected",
            Self::Password => "password",
            Self::Certificate => "certificate",
            Self::Peer => "peer",
            Self::NoRole => "no_role",
            Self::NoLogin => "no_login",
            Self::Protocol => "protocol",
            Self::TimedOut => "timeout",
            Self::Database => "database",
            Self::Right => "right",
            Self::Limit => "limit",
        }
    }
}

/// What is counted of refused logins. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Refusals {
    counts: Arc<[AtomicU64; RefusedLogin::ALL.len()]>,
}

impl Refusals {
    pub(in crate::server) fn count(&self, reason: RefusedLogin) {
        let mut both = RefusedLogin::ALL.iter().zip(self.counts.iter());
        if let Some((_, count)) = both.find(|(known, _)| **known == reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each reason and how many were refused for it.
    pub(in crate::server) fn counts(&self) -> Vec<(RefusedLogin, u64)> {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        RefusedLogin::ALL.into_iter().zip(counts).collect()
    }
}

/// A refused login: what the client is told, and what only the log says.
#[derive(Debug)]
pub(in crate::server) struct Refusal {
    pub(in crate::server) reason: RefusedLogin,
    /// How the client was to be known, where a rule says it.
    pub(in crate::server) method: Option<&'static str>,
    pub(in crate::server) error: Box<PgError>,
    /// What the client must not learn.
    pub(in crate::server) detail: Option<String>,
}

impl Refusal {
    pub(in crate::server) fn new(reason: RefusedLogin, error: PgError) -> Self {
        Self {
            reason,
            method: None,
            error: Box::new(error),
            detail: None,
        }
    }

    /// The same with what only the log says.
    pub(super) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

/// For the log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}
