//! Which commits are confirmed by enough members: pure functions over members.
//!
//! A member counts with what it *acknowledged* as durable. Positions that the registry took over
//! from a slot at registration are facts about the replica, not confirmations: a replica that
//! never acknowledged is no member here.

use std::collections::BTreeSet;

use crate::lsn::Lsn;

use super::policy::{CommitPolicy, CommitSettings, QuorumMode};

/// One acknowledged replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The region it declared.
    pub region: Option<&'a str>,
    /// The highest position it acknowledged as durable.
    pub durable_lsn: Lsn,
}

/// Who must have confirmed a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// This many members.
    Count(u32),
    /// A member in each of these regions.
    Regions(BTreeSet<String>),
}

impl Requirement {
    /// What the settings ask for.
    pub fn of(settings: &CommitSettings) -> Self {
        match (&settings.policy, &settings.quorum) {
            (CommitPolicy::Local | CommitPolicy::RemoteWal, _)
            | (CommitPolicy::Quorum, QuorumMode::Async) => Self::Count(0),
            (CommitPolicy::AckN(count), _) => Self::Count(*count),
            (CommitPolicy::Quorum, QuorumMode::Sync { min_replicas }) => Self::Count(*min_replicas),
            (CommitPolicy::Quorum, QuorumMode::Regions(regions)) => Self::Regions(regions.clone()),
        }
    }

    /// Nobody has to confirm.
    pub fn is_none(&self) -> bool {
        match self {
            Self::Count(count) => *count == 0,
            Self::Regions(regions) => regions.is_empty(),
        }
    }

    /// How many confirmations are needed.
    pub fn required(&self) -> usize {
        match self {
            Self::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Regions(regions) => regions.len(),
        }
    }
}

/// The highest position that is confirmed as required; `0/0` when none is, or nothing is
/// required.
pub fn released_lsn<'a>(
    requirement: &Requirement,
    members: impl Iterator<Item = Member<'a>>,
) -> Lsn {
    match requirement {
        Requirement::Count(0) => Lsn::ZERO,
        Requirement::Count(_) => {
            let mut durable: Vec<_> = members.map(|member| member.durable_lsn).collect();
            durable.sort_unstable_by(|a, b| b.cmp(a));
            let last = requirement.required().saturating_sub(1);
            durable.get(last).copied().unwrap_or_default()
        }
        Requirement::Regions(regions) => {
            let members: Vec<_> = members.collect();
            let highest_in = |region: &String| {
                let inside = members.iter().filter(|m| m.region == Some(region.as_str()));
                inside.map(|m| m.durable_lsn).max().unwrap_or_default()
            };
            regions.iter().map(highest_in).min().unwrap_or_default()
        }
    }
}

/// How many of the required confirmations `target` has: members, or regions.
pub fn confirmations<'a>(
    requirement: &Requirement,
    target: Lsn,
    members: impl Iterator<Item = Member<'a>>,
) -> usize {
    match requirement {
        Requirement::Count(_) => members.filter(|m| m.durable_lsn >= target).count(),
        Requirement::Regions(regions) => acked_regions(regions, target, members).len(),
    }
}

/// The regions of `regions` in which a member confirmed `target`.
pub fn acked_regions<'a>(
    regions: &BTreeSet<String>,
    target: Lsn,
    members: impl Iterator<Item = Member<'a>>,
) -> BTreeSet<String> {
    members
        .filter(|member| member.durable_lsn >= target)
        .filter_map(|member| regions.get(member.region?).cloned())
        .collect()
}

/// The quorum cannot be met by those who are connected; nothing was waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumUnmet {
    /// Too few replicas.
    #[error("commit quorum needs {required} replicas, {connected} are connected")]
    InsufficientReplicas {
        /// Needed.
        required: usize,
        /// Registered.
        connected: usize,
    },
    /// Regions without a replica.
    #[error("commit quorum has no replica in: {}", .missing.join(", "))]
    MissingRegions {
        /// Which.
        missing: Vec<String>,
    },
}

/// Checked before any wait: can those who are registered (with these regions) meet the quorum?
pub fn check_members<'a>(
    mode: &QuorumMode,
    registered: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), QuorumUnmet> {
    match mode {
        QuorumMode::Async => Ok(()),
        QuorumMode::Sync { min_replicas } => {
            let required = usize::try_from(*min_replicas).unwrap_or(usize::MAX);
            let connected = registered.count();
            if connected < required {
                return Err(QuorumUnmet::InsufficientReplicas {
                    required,
                    connected,
                });
            }
            Ok(())
        }
        QuorumMode::Regions(regions) => {
            let bound: BTreeSet<&str> = registered.flatten().collect();
            let missing: Vec<_> = regions
                .iter()
                .filter(|region| !bound.contains(region.as_str()))
                .cloned()
                .collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(QuorumUnmet::MissingRegions { missing })
            }
        }
    }
}

/// Whether a replica in `region` is one of those whose lag may hold producers back.
pub fn in_quorum(mode: &QuorumMode, region: Option<&str>) -> bool {
    match mode {
        QuorumMode::Async => false,
        QuorumMode::Sync { .. } => true,
        QuorumMode::Regions(regions) => region.is_some_and(|region| regions.contains(region)),
    }
}
