//! What a commit waits for: the operator's choice, parsed strictly.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::quorum::ConfirmLevel;
use super::standby_names::StandbyNames;

/// `commit_policy`: when a commit is reported to its producer, beyond being durable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommitPolicy {
    /// Durable here is enough.
    #[default]
    Local,
    /// RedDB's `remote_wal`. It parses, but it has never waited for anything, so
    /// [`CommitSettings::check`] refuses it instead of promising what it does not do.
    RemoteWal,
    /// Durable at this many replicas; none means `Local`.
    AckN(u32),
    /// As [`QuorumMode`] says.
    Quorum,
}

/// Not a commit policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid commit policy \"{0}\": use local, ack_n=N or quorum")]
pub struct ParseCommitPolicyError(String);

impl CommitPolicy {
    /// Its name without a count.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::RemoteWal => "remote_wal",
            Self::AckN(_) => "ack_n",
            Self::Quorum => "quorum",
        }
    }
}

impl FromStr for CommitPolicy {
    type Err = ParseCommitPolicyError;

    /// `local` (or nothing), `remote_wal`, `ack_n=N`, `quorum`, in any case; all else is refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        match lower.as_str() {
            "" | "local" => Ok(Self::Local),
            "remote_wal" => Ok(Self::RemoteWal),
            "quorum" => Ok(Self::Quorum),
            other => other
                .strip_prefix("ack_n=")
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .map(Self::AckN)
                .ok_or_else(|| ParseCommitPolicyError(text.to_owned())),
        }
    }
}

impl fmt::Display for CommitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AckN(count) => write!(f, "ack_n={count}"),
            Self::Local | Self::RemoteWal | Self::Quorum => f.write_str(self.label()),
        }
    }
}

/// `synchronous_commit`: what a session's commits wait for, once they are durable here. They
/// always are, also with `off`: nothing is acknowledged that a crash could take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SynchronousCommit {
    /// As `Local`.
    Off,
    /// Nobody else.
    Local,
    /// Received by those that have to confirm.
    RemoteWrite,
    /// Durable there.
    #[default]
    On,
    /// Applied there.
    RemoteApply,
}

impl SynchronousCommit {
    /// By its name in PostgreSQL.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Some(Self::Off),
            "local" => Some(Self::Local),
            "remote_write" => Some(Self::RemoteWrite),
            "on" => Some(Self::On),
            "remote_apply" => Some(Self::RemoteApply),
            _ => None,
        }
    }

    /// What others must have done; `None` when nobody is waited for.
    pub const fn level(self) -> Option<ConfirmLevel> {
        match self {
            Self::Off | Self::Local => None,
            Self::RemoteWrite => Some(ConfirmLevel::Write),
            Self::On => Some(ConfirmLevel::Flush),
            Self::RemoteApply => Some(ConfirmLevel::Apply),
        }
    }
}

/// Who has to confirm under [`CommitPolicy::Quorum`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QuorumMode {
    /// Nobody.
    #[default]
    Async,
    /// This many replicas.
    Sync {
        /// How many.
        min_replicas: u32,
    },
    /// At least one replica in each of these regions.
    Regions(BTreeSet<String>),
}

/// How commits of one database are released.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitSettings {
    /// Policy.
    pub policy: CommitPolicy,
    /// Quorum, for [`CommitPolicy::Quorum`].
    pub quorum: QuorumMode,
    /// `synchronous_standby_names`: PostgreSQL's way to say whom a commit waits for.
    pub standbys: StandbyNames,
    /// How long a commit waits; `None` for the default of policy and mode.
    pub timeout: Option<Duration>,
    /// Flow control: producers are held back while a replica of the quorum lags further behind
    /// the head than this; 0 for off.
    pub soft_target_lsn: u64,
}

/// Settings that would not do what they say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitSettingsError {
    /// It never waits.
    #[error("commit policy remote_wal is not supported: it confirms nothing")]
    RemoteWal,
    /// A quorum over no region is always met.
    #[error("a quorum over regions needs at least one region")]
    NoRegions,
    /// Two ways to say whom a commit waits for.
    #[error("set either synchronous_standby_names or commit_policy, not both")]
    TwoWays,
}

impl CommitSettings {
    /// Refuses settings under which a commit would not be as durable as they sound.
    pub fn check(&self) -> Result<(), CommitSettingsError> {
        if self.standbys != StandbyNames::Nobody && self.policy != CommitPolicy::Local {
            return Err(CommitSettingsError::TwoWays);
        }
        match (&self.policy, &self.quorum) {
            (CommitPolicy::RemoteWal, _) => Err(CommitSettingsError::RemoteWal),
            (CommitPolicy::Quorum, QuorumMode::Regions(regions)) if regions.is_empty() => {
                Err(CommitSettingsError::NoRegions)
            }
            (CommitPolicy::Local | CommitPolicy::AckN(_) | CommitPolicy::Quorum, _) => Ok(()),
        }
    }

    /// How long a commit waits; `None` when it does not wait.
    pub fn wait_at_most(&self) -> Option<Duration> {
        if let Some(default) = match &self.standbys {
            StandbyNames::Nobody => None,
            StandbyNames::Named { .. } => Some(5),
            StandbyNames::Regions(_) => Some(10),
        } {
            return Some(self.timeout.unwrap_or(Duration::from_secs(default)));
        }
        let default = match (&self.policy, &self.quorum) {
            (CommitPolicy::Local | CommitPolicy::RemoteWal | CommitPolicy::AckN(0), _)
            | (CommitPolicy::Quorum, QuorumMode::Async) => return None,
            (CommitPolicy::AckN(_), _) | (CommitPolicy::Quorum, QuorumMode::Sync { .. }) => 5,
            (CommitPolicy::Quorum, QuorumMode::Regions(_)) => 10,
        };
        Some(self.timeout.unwrap_or(Duration::from_secs(default)))
    }

    /// The mode whose members flow control watches.
    pub fn flow_mode(&self) -> QuorumMode {
        if let StandbyNames::Regions(regions) = &self.standbys {
            return QuorumMode::Regions(regions.clone());
        }
        match self.policy {
            CommitPolicy::Local | CommitPolicy::RemoteWal | CommitPolicy::AckN(0) => {
                QuorumMode::Async
            }
            CommitPolicy::AckN(min_replicas) => QuorumMode::Sync { min_replicas },
            CommitPolicy::Quorum => self.quorum.clone(),
        }
    }
}
