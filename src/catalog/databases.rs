//! All databases as one statement sees them, and their OIDs.

use std::sync::{Arc, OnceLock};

use crate::engine::{Engine, EngineSnapshot};
use crate::relations::RelationSet;
use crate::replicas::ReplicaSnapshot;
use crate::slots::{SlotName, SlotSnapshot, SlotStats};

use super::{Caller, Context};

/// One database in a statement's snapshot.
#[derive(Debug)]
pub(super) struct DatabaseSnapshot {
    /// OID of the database, the same after every start.
    pub(super) oid: u32,
    /// For what does not change or is counted.
    pub(super) engine: Arc<Engine>,
    /// Spool and slots.
    pub(super) state: EngineSnapshot,
    /// Tables and publications.
    pub(super) relations: Arc<RelationSet>,
    /// Who reads; looked at when it is first asked for.
    replicas: OnceLock<Vec<ReplicaSnapshot>>,
}

impl DatabaseSnapshot {
    /// Its slots that the caller sees.
    pub(super) fn slots(&self, caller: &Caller) -> Vec<&SlotSnapshot> {
        let slots = self.state.slots.iter();
        slots.filter(|slot| caller.sees_slot(slot)).collect()
    }

    /// What was sent from each of them.
    pub(super) fn slot_stats(&self, caller: &Caller) -> Vec<(SlotName, SlotStats)> {
        let seen = self.slots(caller);
        let is_seen = |name: &SlotName| seen.iter().any(|slot| slot.name == *name);
        let mut stats = self.engine.slot_stats();
        stats.retain(|(name, _)| is_seen(name));
        stats
    }

    /// Who reads.
    pub(super) fn replicas(&self) -> &[ReplicaSnapshot] {
        self.replicas
            .get_or_init(|| self.engine.replicas().snapshot())
    }
}

impl Context {
    /// The databases that the session's role sees, by name, as this statement sees them: those that
    /// it may use, all with MONITOR, and always the session's own. Their OIDs are those that they
    /// have among all.
    pub(super) fn databases(&self) -> &[DatabaseSnapshot] {
        self.snapshot.databases.get_or_init(|| {
            let caller = self.host.caller();
            let own = self.host.engine().name();
            let engines = self.host.databases();
            let oids = database_oids(engines.iter().map(|engine| engine.name()));
            let found = engines.into_iter().zip(oids);
            let found = found.filter(|(engine, _)| {
                let name = engine.name();
                caller.is_monitor() || name == own || caller.may_use(name)
            });
            let taken = found.map(|(engine, oid)| DatabaseSnapshot {
                oid,
                state: engine.snapshot(),
                relations: engine.relations().current(),
                replicas: OnceLock::new(),
                engine,
            });
            taken.collect()
        })
    }

    /// Names and OIDs of all databases, also of those that the role may not use.
    pub(super) fn all_database_oids(&self) -> Vec<(String, u32)> {
        let engines = self.host.databases();
        let names: Vec<String> = engines
            .iter()
            .map(|engine| engine.name().to_owned())
            .collect();
        let oids = database_oids(names.iter().map(String::as_str));
        names.into_iter().zip(oids).collect()
    }

    /// The session's own database; always among [`Context::databases`].
    pub(super) fn database(&self) -> Option<&DatabaseSnapshot> {
        let name = self.host.engine().name();
        let mut databases = self.databases().iter();
        databases.find(|database| database.state.database == name)
    }

    /// Tables and publications of the session's database.
    pub(super) fn relations(&self) -> Arc<RelationSet> {
        let own = self.database();
        own.map_or_else(Arc::default, |own| Arc::clone(&own.relations))
    }
}

/// A database's OID follows from its name, so that it is the same after every start: PostgreSQL's
/// own for `postgres`, for others a hash in the range of OIDs that users' objects have. Of two
/// names with one hash the later moves on.
fn database_oids<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u32> {
    const POSTGRES: u32 = 5;
    let mut taken = Vec::new();
    for name in names {
        let mut oid = match name {
            "postgres" => POSTGRES,
            _other => USER_OIDS | (fnv1a(name) & 0x3fff_ffff),
        };
        while taken.contains(&oid) {
            oid = oid.wrapping_add(1) | USER_OIDS;
        }
        taken.push(oid);
    }
    taken
}

/// Above all OIDs that relations count up to.
const USER_OIDS: u32 = 0x4000_0000;

fn fnv1a(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_keeps_its_oid_when_others_come_and_go() {
        let all = database_oids(["pgspool", "postgres", "shop"].into_iter());
        assert_eq!(all[1], 5);
        assert_eq!(database_oids(["shop"].into_iter()), vec![all[2]]);
        let same = database_oids(["shop", "shop"].into_iter());
        assert_ne!(same[0], same[1]);
    }
}
