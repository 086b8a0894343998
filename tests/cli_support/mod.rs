//! The binary, the fixtures, and a folder to work in.
// Every test file that includes this uses its own part of it.
#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pgspool::lsn::Lsn;
use pgspool::spool::frame;
use serde_json::Value;

pub fn pgspool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgspool"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command that must succeed, and returns its standard output.
pub fn succeed(arguments: &[&str]) -> String {
    let output = pgspool(arguments);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {trouble}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with exit code 1, and returns its standard error.
pub fn refuse(arguments: &[&str]) -> String {
    let output = pgspool(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/reddb")
        .join(name)
}

/// The rows of `NAME.expected.tsv`.
pub fn expected(name: &str) -> Vec<HashMap<String, String>> {
    let text = fs::read_to_string(fixture(&format!("{name}.expected.tsv"))).unwrap();
    let mut lines = text.lines();
    let keys: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let row = |line: &str| {
        let values = line.split('\t').map(str::to_owned);
        keys.iter()
            .map(|key| (*key).to_owned())
            .zip(values)
            .collect()
    };
    lines.map(row).collect()
}

/// A data directory that goes with the value.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn data(&self) -> String {
        self.text("data")
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Rules for clients that know messages and no passwords, unless there are some.
    pub fn trust_loopback(&self) {
        let rules = self.path("data").join("pg_hba.conf");
        if !rules.exists() {
            let data = self.path("data");
            fs::create_dir_all(&data).unwrap();
            fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(rules, "host all pgspool 127.0.0.1/32 trust\n").unwrap();
        }
    }

    /// Imports a fixture spool (`NAME.rdb...`) into the database `name`.
    pub fn import(&self, fixture_name: &str, database: &str) -> String {
        let file = fixture(&format!("{fixture_name}.rdb"));
        let file = file.to_str().unwrap().to_owned();
        succeed(&[
            "import",
            "--data",
            &self.data(),
            "--reddb",
            &file,
            "--database",
            database,
        ])
    }

    pub fn database(&self, name: &str) -> PathBuf {
        self.path("data").join("databases").join(name)
    }
}

/// `inspect --json`, one value a frame.
pub fn inspect(path: &Path) -> Vec<Value> {
    let text = succeed(&["inspect", "--json", path.to_str().unwrap()]);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Asserts that the frames are the expected ones, at positions times `scale`.
pub fn assert_frames(frames: &[Value], rows: &[HashMap<String, String>], scale: u64) {
    assert_eq!(frames.len(), rows.len());
    for (frame, row) in frames.iter().zip(rows) {
        let lsn: u64 = row["lsn"].parse().unwrap();
        assert_eq!(frame["lsn"], lsn * scale);
        assert_eq!(
            frame["payload_len"],
            row["payload_len"].parse::<u64>().unwrap()
        );
        assert_eq!(
            frame["payload_crc32"],
            row["payload_crc32"].as_str(),
            "{row:?}"
        );
        if let Some(time) = row.get("frame_timestamp") {
            assert_eq!(frame["timestamp_ms"], time.parse::<u64>().unwrap());
        }
        if let Some(term) = row.get("term") {
            assert_eq!(frame["term"], term.parse::<u64>().unwrap());
        }
    }
}

pub fn spool_file(name: &str) -> PathBuf {
    fixture(&format!("{name}.rdb.logical.wal"))
}

/// A RedDB spool of these frames (`(position, payload)`) with this slots file.
pub fn reddb(home: &Home, frames: &[(u64, &str)], slots: &str) -> String {
    let mut bytes = Vec::new();
    for (position, payload) in frames {
        frame::encode(&mut bytes, 1, Lsn::new(*position), 5, payload.as_bytes());
    }
    fs::write(home.path("made.rdb.logical.wal"), bytes).unwrap();
    fs::write(home.path("made.rdb.logical.slots.json"), slots).unwrap();
    home.text("made.rdb")
}

pub fn only_segment(home: &Home, database: &str) -> PathBuf {
    fs::read_dir(home.database(database).join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "rdlw"))
        .unwrap()
}
