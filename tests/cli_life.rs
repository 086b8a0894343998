//! How a server process begins and ends: one on a data directory, ready when it says so, stopped
//! as it is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;
mod dice;
mod fear_support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use pgspool::lsn::Lsn;

use crash_support::{Connection, PATIENCE, ServerProcess};
use fear_support::{Reader, create_slot, eventually, lines, value};

/// On a busy machine, and less than any timeout that would have to pass first.
const AT_ONCE: Duration = Duration::from_secs(50);
const RESTART_LSN: &str = "SELECT restart_lsn FROM pg_replication_slots";

fn serve_and_wait(data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgspool"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .output()
        .unwrap()
}

#[test]
fn two_processes_never_have_one_data_directory() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path(), &[]);
    let second = serve_and_wait(home.path());
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("is in use by another pgspool"), "{said}");
    Connection::plain(server.port).unwrap();
    // The lock goes with the process, whatever end that finds.
    server.kill();
    let server = ServerProcess::start(home.path(), &[]);
    assert!(server.terminate());
    let server = ServerProcess::start(home.path(), &[]);
    server.signal("-INT");
    assert!(server.ended().success());
}

/// A server with a stream in the middle of a transaction that its client does not read; the one
/// before it is confirmed.
fn busy(data: &Path, settings: &[&str]) -> (ServerProcess, Reader) {
    let server = ServerProcess::start(data, settings);
    create_slot(server.port, "slow");
    let mut producer = Connection::plain(server.port).unwrap();
    producer.copy(&lines(99_999, 1, 10)).unwrap();
    producer.copy_block(&lines(0, 30_000, 1000)).unwrap();
    let mut reader = Reader::start(server.port, "slow");
    reader.read_all(&BTreeSet::from([99_999]));
    reader.confirm();
    let confirmed = Lsn::new(reader.last).to_string();
    eventually("it is confirmed", || {
        value(server.port, RESTART_LSN) == confirmed
    });
    (server, reader)
}

#[test]
fn sigterm_lets_streams_end_their_transaction_and_takes_nobody_in() {
    let home = tempfile::tempdir().unwrap();
    let (server, mut reader) = busy(home.path(), &["shutdown_timeout=30s"]);
    let confirmed = Lsn::new(reader.last).to_string();
    let port = server.port;
    let mut idle = Connection::plain(port).unwrap();
    server.signal("-TERM");
    let ended = idle.read().unwrap();
    let words = String::from_utf8_lossy(&ended.body).into_owned();
    assert!(ended.tag == b'E' && words.contains("C57P01"), "{words}");
    let late = Connection::plain(port).err().unwrap().to_string();
    assert!(late.contains("C57P03"), "{late}");
    assert!(
        late.contains("Mthe database system is shutting down"),
        "{late}"
    );
    reader.read_all(&(0..30_000).collect());
    while reader.read().is_ok() {}
    assert!(server.ended().success());
    // What was confirmed was written down.
    let server = ServerProcess::start(home.path(), &[]);
    assert_eq!(value(server.port, RESTART_LSN), confirmed);
    assert!(server.terminate());
}

#[test]
fn shutdown_timeout_ends_streams_that_do_not_get_to_a_boundary() {
    let home = tempfile::tempdir().unwrap();
    let (server, reader) = busy(home.path(), &["shutdown_timeout=1s"]);
    let begin = Instant::now();
    server.signal("-TERM");
    assert!(server.ended().success());
    let took = begin.elapsed();
    assert!(
        (Duration::from_millis(900)..AT_ONCE).contains(&took),
        "{took:?}"
    );
    drop(reader);
}

#[test]
fn sigint_ends_streams_where_they_are_and_closes_cleanly() {
    let home = tempfile::tempdir().unwrap();
    let (server, reader) = busy(home.path(), &["shutdown_timeout=60s"]);
    let mut idle = Connection::plain(server.port).unwrap();
    let begin = Instant::now();
    server.signal("-INT");
    let words = String::from_utf8_lossy(&idle.read().unwrap().body).into_owned();
    assert!(words.contains("C57P01"), "{words}");
    drop(idle);
    assert!(server.ended().success());
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    drop(reader);
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_next_start_recovers() {
    let home = tempfile::tempdir().unwrap();
    let (server, reader) = busy(home.path(), &["shutdown_timeout=60s"]);
    let mut idle = Connection::plain(server.port).unwrap();
    let begin = Instant::now();
    server.signal("-TERM");
    // It has begun to stop.
    assert_eq!(idle.read().unwrap().tag, b'E');
    server.signal("-TERM");
    assert_eq!(server.ended().code(), Some(1));
    assert!(begin.elapsed() < AT_ONCE);
    drop(reader);
    let server = ServerProcess::start(home.path(), &[]);
    let mut reader = Reader::start(server.port, "slow");
    reader.read_all(&(0..30_000).collect());
    drop(reader);
    assert!(server.terminate());
}

#[test]
fn a_service_manager_is_told_of_readiness_reloads_and_the_stop() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = |wanted: &str| loop {
        let mut message = [0; 4096];
        let len = manager.recv(&mut message).unwrap();
        let text = String::from_utf8_lossy(&message[..len]).into_owned();
        if text.lines().any(|line| line == wanted) {
            return text;
        }
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgspool"));
    command.env("NOTIFY_SOCKET", &path);
    let mut server = ServerProcess::launch_by(command, &home.path().join("data"), &[]);
    told("STATUS=recovering the databases");
    let ready = told("READY=1");
    assert!(
        ready.contains("STATUS=serving 1 database(s) on 127.0.0.1:"),
        "{ready}"
    );
    assert!(server.listens());
    Connection::plain(server.port).unwrap();
    server.signal("-HUP");
    assert!(told("RELOADING=1").contains("MONOTONIC_USEC="));
    told("READY=1");
    server.signal("-TERM");
    told("STOPPING=1");
    assert!(server.ended().success());
}

/// Whether a server that was killed ends a client like this.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
    )
}

/// What a client that makes and drops slots and publications knows to be there or gone.
#[derive(Default)]
struct Known {
    slots: BTreeSet<String>,
    publications: BTreeSet<String>,
    /// Asked for and not answered: either way is right.
    unsure: BTreeSet<String>,
}

impl Known {
    /// Makes and drops until the server is gone; asks for that after a few answers.
    fn work(&mut self, server: &ServerProcess, dice: &mut dice::Dice, round: u64) {
        let mut session = Connection::plain(server.port).unwrap();
        let (enough, mut killer) = (2 + dice.below(40), None);
        for n in 0.. {
            if n == enough {
                killer = Some(server.kill_in(Duration::from_millis(dice.below(20))));
            }
            let name = format!("r{round}_{n}");
            // One of each is made in any case.
            let is_slot = if n < 2 { n == 0 } else { dice.below(2) == 0 };
            let drops = n >= 2 && dice.below(3) == 0;
            let known = if is_slot {
                &mut self.slots
            } else {
                &mut self.publications
            };
            // The first one stays.
            let old = known.iter().nth(1).cloned().filter(|_| drops);
            let statement = match (&old, is_slot) {
                (Some(old), true) => format!("SELECT pg_drop_replication_slot('{old}')"),
                (Some(old), false) => format!("DROP PUBLICATION {old}"),
                (None, true) => {
                    format!("SELECT pg_create_logical_replication_slot('{name}', 'json')")
                }
                (None, false) => format!("CREATE PUBLICATION {name} FOR ALL TABLES"),
            };
            let answer = session.query(&statement);
            if let Err(error) = &answer {
                // A server that lives and refuses is no crash.
                assert!(is_gone(error), "{statement}: {error}");
            }
            let answered = answer.is_ok();
            match old {
                Some(old) => {
                    known.remove(&old);
                    self.unsure.extend((!answered).then_some(old));
                }
                None if answered => drop(known.insert(name)),
                None => drop(self.unsure.insert(name)),
            }
            if !answered {
                break;
            }
        }
        killer.expect("killed too early").join().unwrap();
    }

    /// Compares with what is there, and takes over what was unsure.
    fn check(&mut self, port: u16) {
        let list = |query: &str| -> BTreeSet<String> {
            let all = value(port, query);
            all.split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let slots =
            list("SELECT coalesce(string_agg(slot_name::text, ','), '') FROM pg_replication_slots");
        let publications =
            list("SELECT coalesce(string_agg(pubname::text, ','), '') FROM pg_publication");
        for (found, known) in [
            (slots, &mut self.slots),
            (publications, &mut self.publications),
        ] {
            let wrong: Vec<_> = found
                .symmetric_difference(known)
                .filter(|name| !self.unsure.contains(*name))
                .collect();
            assert!(
                wrong.is_empty(),
                "there or gone against its word: {wrong:?}"
            );
            *known = found;
        }
        self.unsure.clear();
    }
}

#[test]
fn slots_and_publications_that_were_answered_survive_kill_9() {
    let seed = dice::seed();
    println!("PGSPOOL_SEED={seed}");
    let mut dice = dice::Dice(seed);
    let home = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    for round in 0..8 {
        let server = ServerProcess::start(home.path(), &[]);
        known.check(server.port);
        known.work(&server, &mut dice, round);
    }
    let server = ServerProcess::start(home.path(), &[]);
    known.check(server.port);
    assert!(!known.slots.is_empty() && !known.publications.is_empty());
    assert!(server.terminate());
}

#[test]
fn sockets_that_never_log_in_keep_nobody_out() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path(), &["max_unauthenticated_connections=5"]);
    let connect = || std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut silent: Vec<_> = (0..40).map(|_| connect()).collect();
    for _ in 0..5 {
        Connection::plain(server.port).unwrap();
    }
    // The oldest had to go.
    silent[0].set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
    drop(silent);
    eventually("it goes on", || Connection::plain(server.port).is_ok());
    assert!(server.terminate());
}
