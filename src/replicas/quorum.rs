//! Which commits are confirmed by enough members: pure functions over members.
//!
//! A member counts with what it *acknowledged* as durable. Positions that the registry took over
//! from a slot at registration are facts about the replica, not confirmations: a replica that
//! never acknowledged is no member here.

use std::collections::BTreeSet;

use crate::lsn::Lsn;

use super::policy::{CommitPolicy, CommitSettings, QuorumMode};
use super::standby_names::{StandbyNames, SyncMethod};

/// One acknowledged replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its slot.
    pub id: &'a str,
    /// The application_name of its connection.
    pub application_name: &'a str,
    /// The region it declared.
    pub region: Option<&'a str>,
    /// The highest position it acknowledged at the level that is asked for.
    pub confirmed_lsn: Lsn,
}

/// What a subscriber must have done with a commit (`synchronous_commit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConfirmLevel {
    /// `remote_write`: received it.
    Write,
    /// `on`: made it durable.
    #[default]
    Flush,
    /// `remote_apply`: applied it.
    Apply,
}

/// Who must have confirmed a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// This many members.
    Count(u32),
    /// A member in each of these regions.
    Regions(BTreeSet<String>),
    /// Members by name, as `synchronous_standby_names` lists them.
    Standbys {
        /// How many.
        method: SyncMethod,
        /// The list.
        names: StandbyNames,
    },
}

impl Requirement {
    /// What the settings ask for.
    pub fn of(settings: &CommitSettings) -> Self {
        match &settings.standbys {
            StandbyNames::Nobody => {}
            StandbyNames::Regions(regions) => return Self::Regions(regions.clone()),
            names @ StandbyNames::Named { method, .. } => {
                return Self::Standbys {
                    method: *method,
                    names: names.clone(),
                };
            }
        }
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
            Self::Standbys { .. } => false,
        }
    }

    /// How many confirmations are needed.
    pub fn required(&self) -> usize {
        match self {
            Self::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Regions(regions) => regions.len(),
            Self::Standbys { method, .. } => {
                let (SyncMethod::First(count) | SyncMethod::Any(count)) = method;
                usize::try_from(*count).unwrap_or(usize::MAX)
            }
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
            nth_highest(members.map(|m| m.confirmed_lsn), requirement.required())
        }
        Requirement::Standbys { method, names } => {
            let listed = synchronous(*method, names, members);
            nth_highest(listed.map(|m| m.confirmed_lsn), requirement.required())
        }
        Requirement::Regions(regions) => {
            let members: Vec<_> = members.collect();
            let highest_in = |region: &String| {
                let inside = members.iter().filter(|m| m.region == Some(region.as_str()));
                inside.map(|m| m.confirmed_lsn).max().unwrap_or_default()
            };
            regions.iter().map(highest_in).min().unwrap_or_default()
        }
    }
}

/// The `n`-th highest position; `0/0` where there are fewer.
fn nth_highest(positions: impl Iterator<Item = Lsn>, n: usize) -> Lsn {
    let mut positions: Vec<_> = positions.collect();
    positions.sort_unstable_by(|a, b| b.cmp(a));
    let last = n.saturating_sub(1);
    positions.get(last).copied().unwrap_or_default()
}

/// The members whose confirmations count: all that are listed, or the first so many of them.
fn synchronous<'a>(
    method: SyncMethod,
    names: &StandbyNames,
    members: impl Iterator<Item = Member<'a>>,
) -> impl Iterator<Item = Member<'a>> {
    let mut listed: Vec<_> = members
        .filter_map(|m| Some((names.priority(m.id, m.application_name)?, m)))
        .collect();
    let most = match method {
        SyncMethod::Any(_) => usize::MAX,
        SyncMethod::First(count) => {
            // Of those with the same priority the one with the first slot name counts: the choice
            // must not change from one look to the next.
            listed.sort_by_key(|(priority, m)| (*priority, m.id));
            usize::try_from(count).unwrap_or(usize::MAX)
        }
    };
    listed.into_iter().take(most).map(|(_, member)| member)
}

/// How many of the required confirmations `target` has: members, or regions.
pub fn confirmations<'a>(
    requirement: &Requirement,
    target: Lsn,
    members: impl Iterator<Item = Member<'a>>,
) -> usize {
    match requirement {
        Requirement::Count(_) => members.filter(|m| m.confirmed_lsn >= target).count(),
        Requirement::Standbys { method, names } => synchronous(*method, names, members)
            .filter(|m| m.confirmed_lsn >= target)
            .count(),
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
        .filter(|member| member.confirmed_lsn >= target)
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
