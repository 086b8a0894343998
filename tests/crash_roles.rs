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

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crash_support::ServerProcess;
use dice::Dice;
use pgspool::disk::RealDisk;
use pgspool::roles::{ROLES_FILE, Roles};
use postgres::{Client, NoTls};

const ROUNDS: u64 = 5;

/// Connection limits by name.
type Known = BTreeMap<String, Option<u32>>;

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
    let others = set.iter().filter(|role| role.name != "ann");
    others
        .map(|role| (role.name.clone(), role.connection_limit))
        .collect()
}

/// A statement, and what the roles are behind it.
fn step(random: &mut Dice, known: &Known, number: u64) -> (String, Known) {
    let mut next = known.clone();
    let some = known.keys().nth(random.index(known.len())).cloned();
    let statement = match some {
        Some(name) if random.chance(30) => {
            let limit = u32::from(random.byte());
            next.insert(name.clone(), Some(limit));
            format!("ALTER ROLE {name} CONNECTION LIMIT {limit}")
        }
        Some(name) if random.chance(40) => {
            next.remove(&name);
            format!("DROP ROLE {name}")
        }
        Some(name) if random.chance(30) => {
            let limit = next.remove(&name).unwrap();
            next.insert(format!("n{number}"), limit);
            format!("ALTER ROLE {name} RENAME TO n{number}")
        }
        _ => {
            let names = [format!("r{number}"), format!("s{number}")];
            next.extend(names.clone().map(|name| (name, None)));
            // Both or none.
            let [one, two] = names;
            format!("CREATE USER {one} PASSWORD 'x'; CREATE ROLE {two}")
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
    let (mut known, mut number, mut answered) = (Known::new(), 0, 0);
    for _ in 0..ROUNDS {
        let server = ServerProcess::start(&data, &[]);
        let mut client = connect(server.port);
        let killer = server.kill_in(Duration::from_millis(200 + random.below(600)));
        let torn = loop {
            number += 1;
            let (statement, next) = step(&mut random, &known, number);
            match client.batch_execute(&statement) {
                Ok(()) => (known, answered) = (next, answered + 1),
                Err(error) if error.as_db_error().is_none() => break next,
                Err(error) => panic!("{statement}: {error}"),
            }
        };
        killer.join().unwrap();
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
    assert!(answered > 20, "{answered} changes only");
    // A start that finds half a file beside it goes on with the whole one.
    fs::write(data.join(format!("{ROLES_FILE}.tmp")), "{\n  \"crc32\"").unwrap();
    let server = ServerProcess::start(&data, &[]);
    connect(server.port)
        .batch_execute("CREATE ROLE last")
        .unwrap();
    assert!(server.terminate());
    assert!(stored(&data).contains_key("last"));
}
