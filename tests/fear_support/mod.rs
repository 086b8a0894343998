//! What the tests of things that go wrong share: records of some size, subscribers that count,
//! a small file system.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeSet;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::crash_support::{Connection, PATIENCE, position};

/// A record of about `bytes` bytes.
pub fn line(id: u64, bytes: usize) -> String {
    let filling = "x".repeat(bytes);
    format!(
        "{{\"operation\":\"insert\",\"collection\":\"orders\",\"rid\":{id},\"kind\":\"row\",\
         \"timestamp\":1,\"metadata\":{{\"x\":\"{filling}\"}}}}"
    )
}

/// `count` records from `first` on.
pub fn lines(first: u64, count: u64, bytes: usize) -> Vec<String> {
    (first..first + count).map(|id| line(id, bytes)).collect()
}

pub fn create_slot(port: u16, slot: &str) {
    let mut session = Connection::replication(port).unwrap();
    let command =
        format!("CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL \"json\" (SNAPSHOT 'nothing')");
    session.query(&command).unwrap();
}

/// The only value of a query's last row.
pub fn value(port: u16, query: &str) -> String {
    let mut session = Connection::plain(port).unwrap();
    session.query(query).unwrap().remove(0)
}

/// A stream that notes which records came.
pub struct Reader {
    pub connection: Connection,
    pub seen: BTreeSet<u64>,
    pub last: u64,
    confirmed: u64,
}

impl Reader {
    pub fn start(port: u16, slot: &str) -> Self {
        let mut connection = Connection::replication(port).unwrap();
        connection.start_replication(slot).unwrap();
        Self {
            connection,
            seen: BTreeSet::new(),
            last: 0,
            confirmed: 0,
        }
    }

    /// Reads on until all of these came.
    pub fn read_all(&mut self, wanted: &BTreeSet<u64>) {
        let begin = Instant::now();
        while !wanted.is_subset(&self.seen) {
            assert!(begin.elapsed() < PATIENCE, "records are missing");
            self.read().unwrap();
        }
    }

    /// Reads one message; answers one that asks for an answer.
    pub fn read(&mut self) -> Result<()> {
        let message = self.connection.read()?;
        if message.tag == b'd' && message.body[0] == b'k' && message.body[17] == 1 {
            self.connection.confirm(self.confirmed)?;
        }
        if message.tag == b'd' && message.body[0] == b'w' {
            self.last = position(&message.body, 1);
            let record: serde_json::Value = serde_json::from_slice(&message.body[25..]).unwrap();
            self.seen.insert(record["rid"].as_u64().unwrap());
        }
        Ok(())
    }

    /// Confirms all that came.
    pub fn confirm(&mut self) {
        self.confirmed = self.last;
        self.connection.confirm(self.last).unwrap();
    }
}

/// Publishes records of `bytes` bytes from `*next` on in COPYs of `each`, until one is refused.
/// Notes those whose COPY was acknowledged; returns what the refusal said.
pub fn publish_until_refused(
    port: u16,
    next: &mut u64,
    acknowledged: &mut BTreeSet<u64>,
    (each, bytes): (u64, usize),
) -> String {
    let begin = Instant::now();
    let mut producer = Connection::plain(port).unwrap();
    loop {
        assert!(begin.elapsed() < PATIENCE, "nothing was refused");
        let ids = *next..*next + each;
        *next += each;
        match producer.copy(&lines(ids.start, each, bytes)) {
            Ok(()) => acknowledged.extend(ids),
            Err(error) => return error.to_string(),
        }
    }
}

/// Tries until it works.
pub fn eventually(what: &str, mut works: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !works() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A file system in memory, gone with the value.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Needs the right to mount, as root has it.
    pub fn mount(megabytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "pgspool-test"])
            .arg(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&mounted.stderr);
        assert!(
            mounted.status.success(),
            "this test mounts a small file system, which needs root: {said}"
        );
        Self(dir)
    }

    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Takes space away.
    pub fn fill(&self, megabytes: usize) -> PathBuf {
        let path = self.0.path().join("filling");
        // What fits of it is enough.
        drop(std::fs::write(&path, vec![1; megabytes << 20]));
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path: &Path = self.0.path();
        let unmounted = Command::new("umount").arg("-l").arg(path).status();
        let is_gone = unmounted.is_ok_and(|status| status.success());
        if !is_gone && std::thread::panicking() {
            eprintln!("still mounted: {}", path.display());
        } else {
            assert!(is_gone, "still mounted: {}", path.display());
        }
    }
}
