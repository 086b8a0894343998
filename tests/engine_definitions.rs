//! Blocks that define, and whoever publishes or defines while their records are looked at.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod engine_support;

use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use engine_support::{options, read_all};
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::datum::PgType;
use pgspool::disk::{Disk, DiskFile, FakeDisk, OpenMode};
use pgspool::engine::{Engine, PublishError, TransactionBuffer};
use pgspool::relations::{Command, CreateTable, NewColumn, TableAction, TableName};

const NOW: Moment = Moment::at_ms(7);
/// Longer than anything that is not broken takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where whoever reads a file stands still, when it is closed.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Reads that came to the closed gate.
    met: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        if state.closed {
            state.met += 1;
            self.changed.notify_all();
        }
        while state.closed {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }

    /// Returns how many had come.
    fn open(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.closed = false;
        self.changed.notify_all();
        state.met
    }

    fn until_met(&self) {
        let state = self.state.lock().unwrap();
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.met == 0);
        assert!(!waited.unwrap().1.timed_out(), "nobody reads");
    }
}

/// A disk whose files are read through a gate.
#[derive(Debug, Clone, Default)]
struct GatedDisk {
    disk: FakeDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl Disk for GatedDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let (file, gate) = (self.disk.open(path, mode)?, Arc::clone(&self.gate));
        Ok(Arc::new(GatedFile { file, gate }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.gate.pass();
        self.file.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

fn table(name: &str) -> TableName {
    TableName {
        schema: None,
        name: name.to_owned(),
        position: 1,
    }
}

fn column(name: &str, not_null: bool) -> NewColumn {
    NewColumn {
        name: name.to_owned(),
        column_type: PgType::TEXT,
        typmod: -1,
        not_null,
    }
}

fn create(name: &str) -> Command {
    Command::CreateTable(CreateTable {
        table: table(name),
        if_not_exists: false,
        columns: vec![column("a", false)],
        keys: Vec::new(),
    })
}

fn add_column(not_null: bool) -> Command {
    Command::AlterTable {
        table: table("t"),
        if_exists: false,
        actions: vec![TableAction::AddColumn {
            column: column("b", not_null),
            keys: Vec::new(),
            if_not_exists: false,
        }],
    }
}

/// An engine with the table `t (a text)`, its disk's gate open.
fn engine() -> (Arc<Engine>, Arc<Gate>) {
    let disk = GatedDisk::default();
    let gate = Arc::clone(&disk.gate);
    let engine = Engine::open(Arc::new(disk), Path::new("/db"), "db", options(), NOW).unwrap();
    engine.define(&create("t")).unwrap();
    (Arc::new(engine), gate)
}

/// Eight rows of `t`, too large to stay in memory.
fn block(engine: &Engine) -> TransactionBuffer {
    let mut buffer = engine.begin();
    for rid in 0..8 {
        let document = format!(r#"{{"a":"{}"}}"#, "x".repeat(600_000));
        let record = ChangeRecord::insert("t", rid).with_entity(document);
        buffer.push(&record, NOW).unwrap();
    }
    buffer
}

/// Commits a block that defines `u`, and does something `meanwhile` as its records are looked at.
/// Returns what came of it and how many reads waited for that.
fn commit_while(
    engine: &Arc<Engine>,
    gate: &Gate,
    meanwhile: impl FnOnce(&Engine) + Send + 'static,
) -> (Result<(), PublishError>, usize) {
    let buffer = block(engine);
    gate.close();
    let committing = {
        let engine = Arc::clone(engine);
        thread::spawn(move || {
            let ticket = engine.commit_defining(&[create("u")], buffer, NOW)?;
            ticket.unwrap().wait().unwrap();
            Ok(())
        })
    };
    gate.until_met();
    let (done, is_done) = mpsc::channel();
    let other = Arc::clone(engine);
    thread::spawn(move || {
        meanwhile(&other);
        done.send(()).unwrap();
    });
    let in_time = is_done.recv_timeout(PATIENCE);
    let num_reads = gate.open();
    in_time.expect("held up by a block that is looked at");
    (committing.join().unwrap(), num_reads)
}

fn publish(engine: &Engine) {
    let mut batch = engine.batch(NOW);
    let record = ChangeRecord::insert("t", 100).with_entity(r#"{"a":"meanwhile"}"#);
    batch.push(&record).unwrap();
    engine.publish(batch).unwrap();
}

#[test]
fn others_publish_while_a_block_that_defines_is_looked_at() {
    let (engine, gate) = engine();
    let (outcome, num_reads) = commit_while(&engine, &gate, publish);
    outcome.unwrap();
    assert_eq!(num_reads, 1, "it stood at its first read");
    let frames = read_all(&engine);
    assert_eq!(frames.len(), 9);
    assert!(frames.first().unwrap().lsn < frames.get(1).unwrap().lsn);
    assert!(engine.relations().knows(["u"]));
}

#[test]
fn what_others_define_while_a_block_is_looked_at_counts_for_it() {
    let (engine, gate) = engine();
    let define =
        |not_null| move |engine: &Engine| drop(engine.define(&add_column(not_null)).unwrap());
    let (refused, _) = commit_while(&engine, &gate, define(true));
    let words = "null value in column \"b\" of relation \"t\" violates not-null constraint";
    assert_eq!(refused.unwrap_err().to_string(), words);
    assert!(read_all(&engine).is_empty());
    assert!(!engine.relations().knows(["u"]));
}

#[test]
fn a_definition_that_changes_nothing_for_a_block_does_not_refuse_it() {
    let (engine, gate) = engine();
    let define = |engine: &Engine| drop(engine.define(&create("other")).unwrap());
    commit_while(&engine, &gate, define).0.unwrap();
    assert_eq!(read_all(&engine).len(), 8);
    let define = |engine: &Engine| drop(engine.define(&create("u")).unwrap());
    let (engine, gate) = self::engine();
    let (refused, _) = commit_while(&engine, &gate, define);
    assert!(
        matches!(refused, Err(PublishError::Define(_))),
        "{refused:?}"
    );
    assert!(read_all(&engine).is_empty());
}
