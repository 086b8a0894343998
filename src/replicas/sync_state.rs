//! How replicas count for commits, in the words of `pg_stat_replication`.

use super::policy::{CommitPolicy, CommitSettings};
use super::quorum;
use super::registry::ReplicaSnapshot;
use super::standby_names::{StandbyNames, SyncMethod};

/// `sync_state` and `sync_priority` of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncState {
    /// `async`, `potential`, `sync` or `quorum`.
    pub state: &'static str,
    /// Its place in the list; 1 for all that count under a quorum, 0 for who does not count.
    pub priority: i32,
}

impl SyncState {
    const ASYNC: Self = Self {
        state: "async",
        priority: 0,
    };
    const QUORUM: Self = Self {
        state: "quorum",
        priority: 1,
    };
}

/// How each of the connected `replicas` counts for commits under `settings`.
pub fn sync_states(settings: &CommitSettings, replicas: &[ReplicaSnapshot]) -> Vec<SyncState> {
    let quorum = |counts: bool| {
        if counts {
            SyncState::QUORUM
        } else {
            SyncState::ASYNC
        }
    };
    let place = |r: &ReplicaSnapshot| settings.standbys.priority(&r.id, &r.application_name);
    match &settings.standbys {
        StandbyNames::Nobody => {
            let of = |replica: &ReplicaSnapshot| match settings.policy {
                CommitPolicy::Local | CommitPolicy::RemoteWal | CommitPolicy::AckN(0) => false,
                CommitPolicy::AckN(_) => true,
                CommitPolicy::Quorum => {
                    quorum::in_quorum(&settings.quorum, replica.region.as_deref())
                }
            };
            replicas.iter().map(|replica| quorum(of(replica))).collect()
        }
        StandbyNames::Regions(regions) => {
            let named =
                |r: &ReplicaSnapshot| r.region.as_ref().is_some_and(|r| regions.contains(r));
            replicas.iter().map(|r| quorum(named(r))).collect()
        }
        StandbyNames::Named {
            method: SyncMethod::Any(_),
            ..
        } => replicas
            .iter()
            .map(|r| quorum(place(r).is_some()))
            .collect(),
        StandbyNames::Named {
            method: SyncMethod::First(count),
            ..
        } => first(*count, replicas.iter().map(place).collect()),
    }
}

/// The first `count` by place, then by order of connection, are `sync`, other listed ones
/// `potential`.
fn first(count: u32, places: Vec<Option<usize>>) -> Vec<SyncState> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let state = |(index, place): (usize, &Option<usize>)| {
        let Some(place) = *place else {
            return SyncState::ASYNC;
        };
        let mine = (place, index);
        let before = places
            .iter()
            .enumerate()
            .filter(|(other, at)| at.is_some_and(|at| (at, *other) < mine))
            .count();
        SyncState {
            state: if before < count { "sync" } else { "potential" },
            priority: i32::try_from(place).unwrap_or(i32::MAX),
        }
    };
    places.iter().enumerate().map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::lsn::Lsn;
    use crate::replicas::Registry;

    fn states(standbys: &str) -> Vec<(&'static str, i32)> {
        let mut registry = Registry::default();
        for (id, region) in [("a", "eu"), ("b", "us"), ("c", "eu")] {
            registry.register(id, Some(region), Lsn::ZERO, Moment::at_ms(0));
        }
        let settings = CommitSettings {
            standbys: standbys.parse().unwrap(),
            ..CommitSettings::default()
        };
        let replicas: Vec<_> = registry.iter().cloned().collect();
        let states = sync_states(&settings, &replicas);
        states.iter().map(|s| (s.state, s.priority)).collect()
    }

    #[test]
    fn states_and_priorities_are_postgresqls() {
        for (standbys, wanted) in [
            ("", [("async", 0), ("async", 0), ("async", 0)]),
            ("b, a", [("potential", 2), ("sync", 1), ("async", 0)]),
            (
                "FIRST 2 (c, *)",
                [("sync", 2), ("potential", 2), ("sync", 1)],
            ),
            ("ANY 1 (b, c)", [("async", 0), ("quorum", 1), ("quorum", 1)]),
            ("REGIONS (eu)", [("quorum", 1), ("async", 0), ("quorum", 1)]),
        ] {
            assert_eq!(states(standbys), wanted, "{standbys}");
        }
    }
}
