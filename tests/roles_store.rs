//! The role store against a model, on a disk that crashes and fails at random.
//!
//! Every seed runs on its own; `PGSPOOL_SEED=n` repeats one, `PGSPOOL_SEEDS=n` sets how many are
//! run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod dice;

use dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use pgspool::clock::Moment;
use pgspool::disk::{Disk, FakeDisk, FakeError, FakeOp, RealDisk};
use pgspool::engine::{Databases, EngineOptions, SlotRequest, SlotStart};
use pgspool::roles::{
    FIRST_ROLE_OID, OWNER_OID, ROLES_FILE, RoleChanges, RoleCommand, RoleError, RoleSet, Roles,
    Verifier,
};
use pgspool::slots::SlotName;

const SEEDS: u64 = 500;
const NAMES: [&str; 6] = ["ann", "bob", "cem", "dan", "pg_x", ""];
const DATABASES: [&str; 3] = ["pgspool", "shop", "bank"];

fn seeds() -> std::ops::Range<u64> {
    let only: Option<u64> = dice::number("PGSPOOL_SEED");
    let seeds = dice::number("PGSPOOL_SEEDS").unwrap_or(SEEDS).max(1);
    only.map_or(0..seeds, |seed| seed..seed + 1)
}

fn each_seed(run: fn(u64)) {
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "repeat with PGSPOOL_SEED={seed}");
    }
}

fn maybe<T>(random: &mut Dice, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    random.chance(40).then(|| value(random))
}

fn changes(random: &mut Dice) -> RoleChanges {
    let right = |random: &mut Dice| maybe(random, |random| random.chance(50));
    let verifier = |random: &mut Dice| {
        random.chance(70).then(|| Verifier {
            iterations: 4096,
            salt: vec![random.byte(); 16],
            stored_key: [random.byte(); 32],
            server_key: [random.byte(); 32],
        })
    };
    RoleChanges {
        login: right(random),
        superuser: right(random),
        replication: right(random),
        publish: right(random),
        monitor: right(random),
        verifier: maybe(random, verifier),
        connection_limit: maybe(random, |random| maybe(random, |_| 7)),
        valid_until_unix_ms: maybe(random, |random| maybe(random, Dice::roll)),
        databases: maybe(random, some_databases),
    }
}

fn some_databases(random: &mut Dice) -> BTreeSet<String> {
    let mut some = DATABASES.map(str::to_owned).to_vec();
    some.retain(|_| random.chance(50));
    some.into_iter().collect()
}

fn names(random: &mut Dice) -> Vec<String> {
    (0..=random.below(2))
        .map(|_| random.pick(&NAMES).to_owned())
        .collect()
}

fn command(random: &mut Dice) -> RoleCommand {
    let name = random.pick(&NAMES).to_owned();
    match random.below(6) {
        0 | 1 => RoleCommand::Create {
            name,
            changes: changes(random),
        },
        2 => RoleCommand::Alter {
            name,
            changes: changes(random),
        },
        3 => RoleCommand::Rename {
            name,
            to: random.pick(&NAMES).to_owned(),
        },
        4 => RoleCommand::Drop {
            names: names(random),
            if_exists: random.chance(50),
        },
        _ => RoleCommand::Databases {
            databases: some_databases(random).into_iter().collect(),
            roles: names(random),
            grant: random.chance(60),
        },
    }
}

/// A plain list that knows the rules in other words: name to (OID, what was said of it).
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    roles: BTreeMap<String, (u32, RoleChanges)>,
    given: u32,
}

impl Model {
    #[expect(clippy::too_many_lines, reason = "a case for each command")]
    fn after(&self, command: &RoleCommand) -> Result<Self, RoleError> {
        let mut next = self.clone();
        let usable = |name: &str| match name {
            "" => Err(RoleError::InvalidName),
            name if name.starts_with("pg_") => Err(RoleError::ReservedName(name.to_owned())),
            _ => Ok(()),
        };
        let has = |name: &str| self.roles.contains_key(name);
        let there = |name: &String| match has(name) {
            true => Ok(()),
            false => Err(RoleError::Missing(name.clone())),
        };
        match command {
            RoleCommand::Create { name, changes } => {
                usable(name)?;
                if has(name) {
                    return Err(RoleError::Exists(name.clone()));
                }
                let is_first = self.roles.values().all(|(oid, _)| *oid != OWNER_OID);
                let oid = if is_first && changes.superuser == Some(true) {
                    OWNER_OID
                } else {
                    next.given += 1;
                    FIRST_ROLE_OID + self.given
                };
                next.roles.insert(name.clone(), (oid, changes.clone()));
            }
            RoleCommand::Alter { name, changes } => {
                there(name)?;
                merge(&mut next.roles.get_mut(name).unwrap().1, changes);
            }
            RoleCommand::Rename { name, to } => {
                usable(to)?;
                there(name)?;
                if has(to) {
                    return Err(RoleError::Exists(to.clone()));
                }
                let role = next.roles.remove(name).unwrap();
                next.roles.insert(to.clone(), role);
            }
            RoleCommand::Drop { names, if_exists } => {
                let mut sorted = names.clone();
                sorted.sort();
                for name in sorted {
                    match self.roles.get(&name) {
                        Some((OWNER_OID, _)) => return Err(RoleError::Required(name)),
                        None if !if_exists => return Err(RoleError::Missing(name)),
                        _ => {}
                    }
                }
                next.roles.retain(|name, _| !names.contains(name));
            }
            RoleCommand::Databases {
                databases,
                roles,
                grant,
            } => {
                for name in roles {
                    there(name)?;
                    let of = &mut next.roles.get_mut(name).unwrap().1;
                    let mut all = of.databases.clone().unwrap_or_default();
                    all.retain(|database| *grant || !databases.contains(database));
                    all.extend(databases.iter().filter(|_| *grant).cloned());
                    of.databases = Some(all);
                }
            }
        }
        match self.administrators().first() {
            Some(last) if next.administrators().is_empty() => {
                Err(RoleError::LastSuperuser(last.clone()))
            }
            _ => Ok(next),
        }
    }

    fn administrators(&self) -> Vec<String> {
        let able =
            |changes: &RoleChanges| changes.login == Some(true) && changes.superuser == Some(true);
        let roles = self.roles.iter().filter(|(_, (_, changes))| able(changes));
        roles.map(|(name, _)| name.clone()).collect()
    }

    fn check(&self, set: &RoleSet) {
        assert_eq!(set.iter().count(), self.roles.len());
        for (role, (name, (oid, said))) in set.iter().zip(&self.roles) {
            assert_eq!((&role.name, role.oid), (name, *oid));
            let rights = [
                (role.rights.login, said.login),
                (role.rights.superuser, said.superuser),
                (role.rights.replication, said.replication),
                (role.rights.publish, said.publish),
                (role.rights.monitor, said.monitor),
            ];
            assert!(
                rights
                    .iter()
                    .all(|(has, said)| *has == said.unwrap_or_default())
            );
            assert_eq!(role.verifier, said.verifier.clone().flatten());
            assert_eq!(role.connection_limit, said.connection_limit.flatten());
            assert_eq!(role.valid_until_unix_ms, said.valid_until_unix_ms.flatten());
            let databases = said.databases.clone().unwrap_or_default();
            assert_eq!(role.databases, databases);
            for database in DATABASES {
                let may = role.rights.superuser || databases.contains(database);
                assert_eq!(role.may_use(database), may);
            }
        }
    }
}

fn merge(into: &mut RoleChanges, from: &RoleChanges) {
    let keep = |into: &mut Option<bool>, from: Option<bool>| *into = from.or(*into);
    keep(&mut into.login, from.login);
    keep(&mut into.superuser, from.superuser);
    keep(&mut into.replication, from.replication);
    keep(&mut into.publish, from.publish);
    keep(&mut into.monitor, from.monitor);
    into.verifier = from.verifier.clone().or(into.verifier.take());
    into.connection_limit = from.connection_limit.or(into.connection_limit);
    into.valid_until_unix_ms = from.valid_until_unix_ms.or(into.valid_until_unix_ms);
    into.databases = from.databases.clone().or(into.databases.take());
}

#[test]
fn commands_make_of_the_roles_what_a_plain_list_of_them_says() {
    each_seed(|seed| {
        let mut random = Dice(seed);
        let (mut model, mut set) = (Model::default(), RoleSet::default());
        for _ in 0..40 {
            let command = command(&mut random);
            match (model.after(&command), set.after(&command)) {
                (Ok(next_model), Ok(next)) => (model, set) = (next_model, next),
                (wanted, found) => {
                    assert_eq!(wanted.err(), found.err(), "{command:?}");
                }
            }
            model.check(&set);
            assert!(set.iter().all(|role| set.find_oid(role.oid) == Some(role)));
        }
    });
}

#[test]
fn several_commands_count_together_or_not_at_all() {
    each_seed(|seed| {
        let mut random = Dice(seed);
        let roles = Roles::open(Arc::new(disk()), Path::new("d")).unwrap();
        for _ in 0..10 {
            let commands: Vec<_> = (0..random.below(4)).map(|_| command(&mut random)).collect();
            let before = roles.current();
            let one_by_one = commands
                .iter()
                .try_fold(RoleSet::clone(&before), |set, next| set.after(next));
            let outcome = roles.apply_all(&commands);
            let wanted = one_by_one.as_ref().unwrap_or(&before);
            assert_eq!(*roles.current(), *wanted);
            assert_eq!(outcome.err(), one_by_one.as_ref().err().cloned());
        }
    });
}

fn disk() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    disk
}

#[test]
fn acknowledged_role_changes_survive_every_crash_and_failed_ones_are_whole_or_absent() {
    each_seed(|seed| {
        let mut random = Dice(seed);
        let mut disk = disk();
        let mut possible = vec![RoleSet::default()];
        for _ in 0..4 {
            let roles = Roles::open(Arc::new(disk.clone()), Path::new("d")).unwrap();
            let found = RoleSet::clone(&roles.current());
            assert!(possible.contains(&found), "neither before nor after");
            let mut durable = found;
            let mut failed: Option<RoleSet> = None;
            match random.below(3) {
                0 => disk.crash_after(random.below(25)),
                1 => {
                    let ops = [FakeOp::Write, FakeOp::Sync, FakeOp::Rename, FakeOp::SyncDir];
                    let error = random.pick(&[FakeError::Io, FakeError::NoSpace]);
                    disk.fail(random.pick(&ops), random.below(4), error);
                }
                _ => {}
            }
            for _ in 0..8 {
                let command = command(&mut random);
                let wanted = durable.after(&command);
                match (roles.apply(&command), wanted) {
                    (Err(RoleError::Persist(_)), wanted) => {
                        // Whatever was written: what counts is what counted before.
                        assert_eq!(*roles.current(), durable);
                        let is_over = roles.failure().is_some() || disk.has_crashed();
                        if failed.is_none() && is_over {
                            failed = Some(wanted.unwrap_or_else(|_| durable.clone()));
                        }
                    }
                    (outcome, wanted) => {
                        // A disk that crashed writes nothing; what changes nothing writes nothing.
                        let changes = wanted.as_ref().is_ok_and(|set| *set != durable);
                        let may = failed.is_none() || (roles.failure().is_none() && !changes);
                        assert!(may, "written after a failure");
                        assert_eq!(outcome.map(|set| RoleSet::clone(&set)), wanted);
                        durable = wanted.unwrap_or(durable);
                    }
                }
            }
            possible = vec![durable];
            possible.extend(failed);
            disk = disk.crash(random.roll());
        }
    });
}

#[test]
fn roles_change_again_once_there_is_space_and_never_after_an_unknown_outcome() {
    let create = |name: &str| RoleCommand::Create {
        name: name.to_owned(),
        changes: RoleChanges::default(),
    };
    for op in [FakeOp::Create, FakeOp::Write, FakeOp::Sync] {
        let disk = disk();
        let roles = Roles::open(Arc::new(disk.clone()), Path::new("d")).unwrap();
        roles.apply(&create("ann")).unwrap();
        disk.fail_from(op, 1, FakeError::NoSpace);
        for _ in 0..2 {
            let refused = roles.apply(&create("bob"));
            assert!(matches!(refused, Err(RoleError::Persist(_))), "{op:?}");
            assert!(roles.current().find("bob").is_none() && roles.failure().is_none());
        }
        let left = disk.files().into_keys().collect::<Vec<_>>();
        assert_eq!(left, [Path::new("d").join(ROLES_FILE)], "{op:?}");
        disk.clear_faults();
        roles.apply(&create("bob")).unwrap();
        let again = Roles::open(Arc::new(disk.crash(1)), Path::new("d")).unwrap();
        assert!(again.current().find("bob").is_some());
    }
    for op in [FakeOp::Rename, FakeOp::SyncDir] {
        let disk = disk();
        let roles = Roles::open(Arc::new(disk.clone()), Path::new("d")).unwrap();
        roles.apply(&create("ann")).unwrap();
        disk.fail(op, 1, FakeError::Io);
        assert!(roles.apply(&create("bob")).is_err());
        assert!(roles.failure().is_some());
        let before = disk.counters();
        assert!(roles.apply(&create("cem")).is_err(), "{op:?}");
        assert_eq!(disk.counters().writes, before.writes);
    }
}

#[test]
fn only_a_data_directory_without_roles_is_a_first_start() {
    let disk = Arc::new(disk());
    let roles = Roles::open(disk.clone(), Path::new("d")).unwrap();
    assert!(roles.is_new() && roles.current().is_empty());
    let name = "ann".to_owned();
    let create = RoleCommand::Create {
        name: name.clone(),
        changes: RoleChanges::default(),
    };
    roles.apply(&create).unwrap();
    assert!(!roles.is_new());
    let drop = RoleCommand::Drop {
        names: vec![name],
        if_exists: false,
    };
    roles.apply(&drop).unwrap();
    let again = Roles::open(disk, Path::new("d")).unwrap();
    assert!(!again.is_new() && again.current().is_empty());
    // The OID of the dropped one is not given again.
    let again = again.apply(&create).unwrap();
    assert_eq!(again.find("ann").unwrap().oid, FIRST_ROLE_OID + 1);
}

#[test]
fn damaged_roles_are_refused_with_the_file_and_the_reason() {
    let disk = Arc::new(disk());
    let path = Path::new("d").join(ROLES_FILE);
    let roles = Roles::open(disk.clone(), Path::new("d")).unwrap();
    let name = "ann".to_owned();
    roles
        .apply(&RoleCommand::Create {
            name,
            changes: RoleChanges::default(),
        })
        .unwrap();
    let mut bytes = disk.read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    disk.put(&path, &bytes);
    let error = Roles::open(disk, Path::new("d")).unwrap_err().to_string();
    assert!(
        error.contains("d/roles.json") && error.contains("checksum"),
        "{error}"
    );
}

#[test]
fn nobody_else_can_read_the_roles() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let roles = Roles::open(Arc::new(RealDisk), folder.path()).unwrap();
    let name = "ann".to_owned();
    roles
        .apply(&RoleCommand::Create {
            name,
            changes: RoleChanges::default(),
        })
        .unwrap();
    let mode = folder
        .path()
        .join(ROLES_FILE)
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn verifiers_are_in_no_debug_text() {
    let verifier = Verifier::of_password("open sesame").unwrap();
    let changes = RoleChanges {
        verifier: Some(Some(verifier.clone())),
        ..Default::default()
    };
    let create = RoleCommand::Create {
        name: "ann".to_owned(),
        changes,
    };
    let set = RoleSet::default().after(&create).unwrap();
    let key = verifier.to_string();
    let key = key.rsplit(':').next().unwrap();
    for shown in [
        format!("{create:?}"),
        format!("{set:?}"),
        format!("{set:#?}"),
    ] {
        assert!(shown.contains("ann") && !shown.contains(key) && !shown.contains("sesame"));
        assert!(!shown.contains(&format!("{:?}", verifier.stored_key)));
    }
}

#[test]
fn after_roles_are_lost_no_new_one_gets_the_slots_of_an_old_one() {
    let data = Path::new("/data");
    let disk = FakeDisk::default();
    let open = |disk: &FakeDisk| {
        let disk = Arc::new(disk.clone());
        Databases::open(disk, data, EngineOptions::default(), Moment::now()).unwrap()
    };
    let databases = open(&disk);
    let request = SlotRequest {
        name: SlotName::parse("s").unwrap(),
        plugin: "json".to_owned(),
        start: SlotStart::Head,
        temporary: None,
        two_phase: false,
        owner: Some(FIRST_ROLE_OID + 7),
    };
    let engine = databases.get("pgspool").unwrap();
    engine.create_slot(request, Moment::now()).unwrap();
    assert!(databases.roles().is_new());
    drop((engine, databases));
    let create = RoleCommand::Create {
        name: "ann".to_owned(),
        changes: RoleChanges::default(),
    };
    let databases = open(&disk);
    assert!(databases.roles().is_new() && databases.roles().current().is_empty());
    let roles = databases.roles().apply(&create).unwrap();
    assert_eq!(roles.find("ann").unwrap().oid, FIRST_ROLE_OID + 8);
    drop(databases);
    // It is written down.
    let databases = open(&disk);
    assert_eq!(databases.roles().current().next_oid(), FIRST_ROLE_OID + 9);
}
