//! The real binary on a disk that is full or fails: what was acknowledged is never lost, what can
//! go on goes on, and each failure has the error that `docs/operations.md` names.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;
mod fear_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crash_support::{Connection, ServerProcess};
use fear_support::{
    Reader, SmallDisk, create_slot, eventually, lines, publish_until_refused, value,
};

const IS_FULL: &str = "SELECT disk_full FROM pgspool.databases WHERE name = 'pgspool'";
const FAILURE: &str = "SELECT coalesce(failure, '') FROM pgspool.databases WHERE name = 'pgspool'";
const EACH: (u64, usize) = (500, 1000);

#[test]
fn a_full_disk_refuses_publishes_and_nothing_else_and_recovers_by_itself() {
    let disk = SmallDisk::mount(64);
    let settings = [
        "disk_floor=16MB",
        "spool_segment_size=1MB",
        "wal_keep_size=0",
    ];
    let server = ServerProcess::start(&disk.data(), &settings);
    let port = server.port;
    create_slot(port, "reader");
    let mut reader = Reader::start(port, "reader");
    let (mut next, mut acknowledged) = (1, BTreeSet::new());

    // The slot holds everything, so publishing fills the disk up to the floor.
    let refusal = publish_until_refused(port, &mut next, &mut acknowledged, EACH);
    assert!(refusal.contains("C53100"), "{refusal}");
    assert!(refusal.contains("HFree space"), "{refusal}");
    assert!(acknowledged.len() > 5000, "{}", acknowledged.len());
    eventually("the view says so", || value(port, IS_FULL) == "t");
    let mut session = Connection::plain(port).unwrap();
    let refused = session.query("CREATE TABLE t (a int)").unwrap_err();
    assert!(refused.to_string().contains("C53100"), "{refused}");
    let mut session = Connection::plain(port).unwrap();
    let message = "SELECT pg_logical_emit_message(false, 'a', 'b')";
    let refused = session.query(message).unwrap_err();
    assert!(refused.to_string().contains("C53100"), "{refused}");

    // Reading and slots go on.
    reader.read_all(&acknowledged);
    create_slot(port, "another");
    value(port, "SELECT pg_drop_replication_slot('another')");
    assert_eq!(value(port, FAILURE), "");

    // What is confirmed goes, and publishing goes on.
    reader.confirm();
    let mut producer = Connection::plain(port).unwrap();
    eventually("it is published again", || {
        let ids = next..next + 10;
        next += 10;
        let published = producer.copy(&lines(ids.start, 10, 1000)).is_ok();
        if published {
            acknowledged.extend(ids);
        } else {
            producer = Connection::plain(port).unwrap();
        }
        published
    });

    // Somebody else fills the disk to its end, and frees it again.
    let filling = disk.fill(64);
    // A look at the file system counts for 10 ms.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let refusal = publish_until_refused(port, &mut next, &mut acknowledged, (10, 1000));
    assert!(refusal.contains("C53100"), "{refusal}");
    reader.read_all(&acknowledged);
    reader.confirm();
    create_slot(port, "third");
    value(port, "SELECT pg_drop_replication_slot('third')");
    fs::remove_file(filling).unwrap();
    eventually("it is published again", || {
        let mut producer = Connection::plain(port).unwrap();
        let ids = next..next + 10;
        next += 10;
        let published = producer.copy(&lines(ids.start, 10, 1000)).is_ok();
        acknowledged.extend(ids.filter(|_| published));
        published
    });
    assert_eq!(value(port, FAILURE), "");
    reader.read_all(&acknowledged);
    drop(reader);
    assert!(server.terminate());
}

#[test]
fn without_a_floor_a_full_disk_stops_the_writer_and_keeps_what_was_acknowledged() {
    let disk = SmallDisk::mount(48);
    let settings = ["disk_floor=0", "spool_segment_size=1MB", "wal_keep_size=0"];
    let filling = disk.fill(16);
    let server = ServerProcess::start(&disk.data(), &settings);
    let port = server.port;
    create_slot(port, "reader");
    let (mut next, mut acknowledged) = (1, BTreeSet::new());
    let refusal = publish_until_refused(port, &mut next, &mut acknowledged, EACH);
    assert!(refusal.contains("C53100"), "{refusal}");
    assert!(
        refusal.contains("until the server is started again"),
        "{refusal}"
    );
    assert!(!value(port, FAILURE).is_empty());
    // Reading goes on, publishing does not, also with space.
    let mut reader = Reader::start(port, "reader");
    reader.read_all(&acknowledged);
    drop(reader);
    fs::remove_file(filling).unwrap();
    let mut producer = Connection::plain(port).unwrap();
    let refused = producer.copy(&lines(next, 1, 10)).unwrap_err().to_string();
    assert!(refused.contains("C53100"), "{refused}");
    assert!(!server.terminate(), "it could not be closed cleanly");

    let server = ServerProcess::start(&disk.data(), &settings);
    let mut reader = Reader::start(server.port, "reader");
    reader.read_all(&acknowledged);
    let mut producer = Connection::plain(server.port).unwrap();
    producer.copy(&lines(next, 1, 10)).unwrap();
    reader.read_all(&BTreeSet::from([next]));
    drop(reader);
    assert!(server.terminate());
}

#[test]
fn after_a_disk_was_full_to_its_last_byte_all_goes_on_without_a_restart() {
    let disk = SmallDisk::mount(64);
    let server = ServerProcess::start(&disk.data(), &["disk_floor=16MB"]);
    let port = server.port;
    create_slot(port, "reader");
    let mut producer = Connection::plain(port).unwrap();
    producer.copy(&lines(1, 100, 100)).unwrap();
    let acknowledged: BTreeSet<u64> = (1..=100).collect();
    let mut reader = Reader::start(port, "reader");
    reader.read_all(&acknowledged);
    let tried = |text: &str| Connection::plain(port).unwrap().query(text);
    let new_slot = "SELECT pg_create_logical_replication_slot('more', 'json')";
    // Until the reserve is used up too.
    let mut filling = disk.fill(64);
    eventually("no slot can be written", || {
        let refused = tried(new_slot).is_err();
        if !refused {
            // Dropped out of the reserve as well, or not.
            drop(tried("SELECT pg_drop_replication_slot('more')"));
        }
        filling = disk.fill(64);
        refused && tried(new_slot).is_err()
    });
    assert!(tried("CREATE ROLE ann").is_err());
    reader.confirm();
    // Maintenance comes by more than once.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(value(port, IS_FULL), "t");
    fs::remove_file(filling).unwrap();
    eventually("there is space", || value(port, IS_FULL) == "f");
    tried("CREATE ROLE ann").unwrap();
    create_slot(port, "third");
    assert_eq!(value(port, FAILURE), "");
    producer = Connection::plain(port).unwrap();
    producer.copy(&lines(101, 10, 100)).unwrap();
    reader.read_all(&(101..=110).collect());
    drop(reader);
    assert!(server.terminate());
}

/// A library that lets every sync fail while a file is there.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int fails(void) {
    const char *path = getenv("FAIL_SYNC_WHILE");
    if (path && access(path, F_OK) == 0) { errno = EIO; return 1; }
    return 0;
}
int fdatasync(int fd) { return fails() ? -1 : (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return fails() ? -1 : (int)syscall(SYS_fsync, fd); }
"#;

/// The server with syncs that fail while `switch` is there.
fn with_failing_syncs(home: &Path, switch: &Path) -> Command {
    let (source, library) = (home.join("shim.c"), home.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.unwrap().success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgspool"));
    command
        .env("LD_PRELOAD", &library)
        .env("FAIL_SYNC_WHILE", switch);
    command
}

#[test]
fn a_failed_sync_stops_the_writer_and_only_that_and_a_restart_recovers() {
    let home = tempfile::tempdir().unwrap();
    let (data, switch) = (home.path().join("data"), home.path().join("fail"));
    let command = with_failing_syncs(home.path(), &switch);
    let mut server = ServerProcess::launch_by(command, &data, &[]);
    assert!(server.listens());
    let port = server.port;
    create_slot(port, "reader");
    let mut producer = Connection::plain(port).unwrap();
    producer.copy(&lines(1, 100, 100)).unwrap();
    let acknowledged: BTreeSet<u64> = (1..=100).collect();

    fs::write(&switch, "").unwrap();
    let refused = producer.copy(&lines(101, 1, 100)).unwrap_err().to_string();
    assert!(refused.contains("C58030"), "{refused}");
    assert!(!value(port, FAILURE).is_empty());
    let mut reader = Reader::start(port, "reader");
    reader.read_all(&acknowledged);
    drop(reader);
    // It is not tried again, also when the disk works again.
    fs::remove_file(&switch).unwrap();
    let mut producer = Connection::plain(port).unwrap();
    let refused = producer.copy(&lines(102, 1, 100)).unwrap_err().to_string();
    assert!(refused.contains("C58030"), "{refused}");
    assert!(!server.terminate(), "it could not be closed cleanly");

    let server = ServerProcess::start(&data, &[]);
    let mut reader = Reader::start(server.port, "reader");
    reader.read_all(&acknowledged);
    let mut producer = Connection::plain(server.port).unwrap();
    producer.copy(&lines(200, 1, 100)).unwrap();
    reader.read_all(&BTreeSet::from([200]));
    drop(reader);
    assert!(server.terminate());
}
