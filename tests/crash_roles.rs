//! Roles are changed over SQL until the server is killed: what was answered is there again, what
//! was not is there whole or not at all, and the next start takes the file as it is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crash_support::ServerProcess;
use dice::Dice;
use pgspool::disk::RealDisk;
use pgspool::roles::{ROLES_FILE, Rights, Role, Roles, Verifier};
use postgres::{Client, NoTls};

const ROUNDS: u64 = 5;
/// So many changes are answered in a round before the server may be killed.
const ANSWERED: u64 = 5;

/// Whole roles by name, but for their OIDs.
type Known = BTreeMap<String, Role>;

fn pgspool(data: &Path, args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgspool"));
    let output = command.args(args).arg("--data").arg(data).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
}

fn connect(port: u16) -> Client {
    let conninfo = format!("host=127.0.0.1 port={port} user=ann password=open dbname=pgspool");
    Client::connect(&conninfo, NoTls).unwrap()
}

/// What the file says, but for the one who changes them.
fn stored(data: &Path) -> Known {
    let set = Roles::inspect(&RealDisk, data).unwrap().unwrap();
    let others = set.iter().filter(|role| role.name != "ann").cloned();
    others
        .map(|role| (role.name.clone(), Role { oid: 0, ..role }))
        .collect()
}

/// What `CREATE ROLE name` makes.
fn plain(name: &str) -> Role {
    Role {
        oid: 0,
        name: name.to_owned(),
        rights: Rights::default(),
        verifier: None,
        connection_limit: None,
        valid_until_unix_ms: None,
        databases: BTreeSet::new(),
    }
}

fn verifier(random: &mut Dice) -> Verifier {
    let salt: Vec<u8> = (0..16).map(|_| random.byte()).collect();
    Verifier::with_salt("of somebody", &salt, NonZeroU32::new(4096).unwrap())
}

/// Changes the role in one way, and says so in SQL.
fn alter(random: &mut Dice, role: &mut Role) -> String {
    let name = role.name.clone();
    let on = random.chance(50);
    let word = if on { "" } else { "NO" };
    let change = match random.below(8) {
        0 => {
            let limit = u32::from(random.byte());
            role.connection_limit = Some(limit);
            format!("CONNECTION LIMIT {limit}")
        }
        1 => {
            let verifier = verifier(random);
            let change = format!("PASSWORD '{verifier}'");
            role.verifier = Some(verifier);
            change
        }
        2 => {
            role.verifier = None;
            "PASSWORD NULL".to_owned()
        }
        3 => {
            role.valid_until_unix_ms = Some(2_208_988_800_000);
            "VALID UNTIL '2040-01-01 00:00:00+00'".to_owned()
        }
        4 => {
            (role.rights.login, role.rights.publish) = (on, on);
            format!("{word}LOGIN {word}PUBLISH")
        }
        5 => {
            (role.rights.replication, role.rights.monitor) = (on, on);
            format!("{word}REPLICATION {word}MONITOR")
        }
        6 => {
            role.rights.superuser = on;
            format!("{word}SUPERUSER")
        }
        _ if on => {
            role.databases.insert("pgspool".to_owned());
            return format!("GRANT CONNECT ON DATABASE pgspool TO {name}");
        }
        _ => {
            role.databases.remove("pgspool");
            return format!("REVOKE CONNECT ON DATABASE pgspool FROM {name}");
        }
    };
    format!("ALTER ROLE {name} {change}")
}

/// A statement, and what the roles are behind it.
fn step(random: &mut Dice, known: &Known, number: u64) -> (String, Known) {
    let mut next = known.clone();
    let some = known.keys().nth(random.index(known.len())).cloned();
    let statement = match some {
        Some(name) if random.chance(60) => alter(random, next.get_mut(&name).unwrap()),
        Some(name) if random.chance(25) => {
            next.remove(&name);
            format!("DROP ROLE {name}")
        }
        Some(name) if random.chance(30) => {
            let role = next.remove(&name).unwrap();
            let to = format!("n{number}");
            let renamed = Role {
                name: to.clone(),
                ..role
            };
            next.insert(to, renamed);
            format!("ALTER ROLE {name} RENAME TO n{number}")
        }
        _ => {
            // Both or none.
            let [one, two] = [format!("r{number}"), format!("s{number}")];
            let mut user = plain(&one);
            user.rights.login = true;
            let verifier = verifier(random);
            let create = format!("CREATE USER {one} PASSWORD '{verifier}'; CREATE ROLE {two}");
            user.verifier = Some(verifier);
            next.insert(one, user);
            next.insert(two.clone(), plain(&two));
            create
        }
    };
    (statement, next)
}

#[test]
fn no_acknowledged_role_change_is_lost_by_kill_9() {
    let seed = dice::seed();
    println!("PGSPOOL_SEED={seed}");
    let mut random = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let password = folder.path().join("password");
    fs::write(&password, "open\n").unwrap();
    let password = password.to_str().unwrap();
    let add = [
        "role",
        "add",
        "ann",
        "--superuser",
        "--password-file",
        password,
    ];
    pgspool(&data, &add);
    let rules = "host all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
    let (mut known, mut number, mut answered) = (Known::new(), 0, 0);
    for _ in 0..ROUNDS {
        let server = ServerProcess::start(&data, &[]);
        let mut client = connect(server.port);
        let (enough, mut killer) = (answered + ANSWERED, None);
        let torn = loop {
            if answered >= enough && killer.is_none() {
                killer = Some(server.kill_in(Duration::from_millis(random.below(600))));
            }
            number += 1;
            let (statement, next) = step(&mut random, &known, number);
            match client.batch_execute(&statement) {
                Ok(()) => (known, answered) = (next, answered + 1),
                Err(error) if error.as_db_error().is_none() => break next,
                Err(error) => panic!("{statement}: {error}"),
            }
        };
        killer.unwrap().join().unwrap();
        drop(server);
        let found = stored(&data);
        assert!(
            found == known || found == torn,
            "{found:?} is neither {known:?} nor {torn:?}"
        );
        known = found;
        pgspool(&data, &["check"]);
    }
    println!("{answered} changes were acknowledged");
    assert!(answered >= ROUNDS * ANSWERED);
    // A start that finds half a file beside it goes on with the whole one.
    fs::write(data.join(format!("{ROLES_FILE}.tmp")), "{\n  \"crc32\"").unwrap();
    let server = ServerProcess::start(&data, &[]);
    connect(server.port)
        .batch_execute("CREATE ROLE last")
        .unwrap();
    assert!(server.terminate());
    assert!(stored(&data).contains_key("last"));
}
