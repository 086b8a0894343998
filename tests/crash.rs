//! `kill -9` under load: every acknowledged record is delivered, in order, to every subscriber,
//! without a gap.
//!
//! Each round starts the real binary, lets producers and two subscribers work (one confirms every
//! record, the other lags behind), kills the process, and compares what everybody saw with what
//! is on disk then. A third of the kills comes at any moment of the start, a third early in the
//! work, a third when acknowledgements were written and segments pruned. A part
//! of what is published comes in transaction blocks, small ones and ones larger than what may be
//! unsynced: of each all is there, or nothing.
//! `PGSPOOL_CRASH_ROUNDS` sets the number of rounds, `PGSPOOL_SEED` replays one run's choices.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod dice;

use dice::Dice;
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pgspool::disk::RealDisk;
use pgspool::slots::SlotStore;
use pgspool::spool::{Manifest, read_manifest};

mod crash_support;

use crash_support::history::{Batch, History, Ledger, Run};
use crash_support::{Connection, PATIENCE, ServerProcess, position};

const PRODUCERS: u64 = 3;
/// Between two COPYs of a producer: slow enough for the lagging subscriber to keep up, so that
/// segments are pruned and no round has much to repeat.
const PRODUCER_PAUSE: Duration = Duration::from_millis(30);
const SETTINGS: &[&str] = &[
    "spool_segment_size=32kB",
    "wal_keep_size=0",
    "wal_sender_timeout=20s",
];

#[test]
fn acknowledged_records_survive_kill_9_without_a_gap() {
    let seed = dice::seed();
    let rounds = dice::number("PGSPOOL_CRASH_ROUNDS").unwrap_or(6);
    println!("PGSPOOL_SEED={seed} PGSPOOL_CRASH_ROUNDS={rounds}");
    let mut crashes = Crashes::new(seed);
    let mut before = crashes.ledger.progress();
    for round in 1..=rounds {
        crashes.round(round);
        if round % 3 == 0 {
            let now = crashes.ledger.progress();
            let grew = before.iter().zip(&now).all(|(before, now)| before < now);
            assert!(grew, "up to round {round}: no progress, {before:?} {now:?}");
            before = now;
        }
    }
    crashes.finish();
    println!(
        "[acknowledged, delivered prompt, lagging]: {:?}",
        crashes.ledger.progress()
    );
}

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// This long after its launch, wherever it is then.
    Starting(Duration),
    /// This long after it began to listen.
    Working(Duration),
    /// When what was confirmed so long after it began to listen is on disk.
    Written(Duration),
}

impl Kill {
    /// Each of the three kinds once in three rounds.
    fn choose(round: u64, dice: &mut Dice) -> Self {
        let mut between = |from, to| Duration::from_millis(from + dice.below(to - from));
        match round % 3 {
            0 => Self::Written(between(100, 1500)),
            1 => Self::Starting(between(0, 300)),
            _ => Self::Working(between(100, 1000)),
        }
    }
}

/// One data directory and what became of it.
struct Crashes {
    data: tempfile::TempDir,
    dice: Dice,
    ledger: Ledger,
}

impl Crashes {
    fn new(seed: u64) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(data.path(), SETTINGS);
        let mut connection = Connection::replication(server.port).unwrap();
        for slot in ["prompt", "lagging"] {
            let create =
                format!("CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL \"json\" (SNAPSHOT 'nothing')");
            connection.query(&create).unwrap();
        }
        server.kill();
        let mut crashes = Self {
            data,
            dice: Dice(seed),
            ledger: Ledger::default(),
        };
        crashes.ledger.prompt = History::new(crashes.on_disk("prompt"));
        crashes.ledger.lagging = History::new(crashes.on_disk("lagging"));
        crashes
    }

    fn database(&self) -> PathBuf {
        self.data.path().join("databases/pgspool")
    }

    /// Where a slot stands on disk.
    fn on_disk(&self, slot: &str) -> u64 {
        let slots = SlotStore::inspect(&RealDisk, &self.database().join("slots.json")).unwrap();
        let slot = slots.iter().find(|found| found.name.as_str() == slot);
        let slot = slot.unwrap();
        assert!(slot.invalidation.is_none(), "{slot:?}");
        slot.restart_lsn.get()
    }

    fn manifest(&self) -> Manifest {
        read_manifest(&RealDisk, &self.database()).unwrap()
    }

    fn round(&mut self, round: u64) {
        let kill = Kill::choose(round, &mut self.dice);
        let mut server = ServerProcess::launch(self.data.path(), SETTINGS);
        let work = match kill {
            Kill::Starting(after) => {
                let killer = server.kill_in(after);
                let work = server
                    .listens()
                    .then(|| Work::begin(server.port, round, &mut self.dice));
                killer.join().unwrap();
                work
            }
            Kill::Working(after) | Kill::Written(after) => {
                assert!(server.listens(), "round {round}: the server did not start");
                let work = Work::begin(server.port, round, &mut self.dice);
                thread::sleep(after);
                if matches!(kill, Kill::Written(_)) {
                    self.until_written(&work);
                }
                server.kill();
                Some(work)
            }
        };
        println!("round {round}: {kill:?}, {}", self.manifest().head);
        let runs = work.map(|work| work.end(&mut self.ledger));
        self.compare(&runs.unwrap_or_default());
    }

    /// Waits until both slots delivered and confirmed something new, what they confirmed is on
    /// disk, and segments that nobody needs are gone.
    fn until_written(&self, work: &Work) {
        eventually("a record is acknowledged", || {
            work.acknowledged.load(Ordering::SeqCst)
        });
        let histories = [&self.ledger.prompt, &self.ledger.lagging];
        for (history, (slot, confirmed)) in histories.iter().zip(&work.confirmed) {
            let confirmed = || confirmed.load(Ordering::SeqCst);
            eventually("a new record is confirmed", || {
                confirmed() > history.newest()
            });
            let asked = confirmed();
            eventually("it is on disk", || self.on_disk(slot) >= asked);
        }
        eventually("segments are pruned", || {
            let removed = self.manifest().removed_through.get();
            histories.iter().all(|history| removed > history.start)
        });
    }

    /// What was seen against what is on disk.
    fn compare(&mut self, [prompt, lagging]: &[Run; 2]) {
        self.ledger.prompt.take(prompt);
        self.ledger.lagging.take(lagging);
        self.ledger.check_same();
        let at = ["prompt", "lagging"].map(|slot| self.on_disk(slot));
        self.ledger.prompt.crashed("prompt", at[0]);
        self.ledger.lagging.crashed("lagging", at[1]);
        let removed = self.manifest().removed_through.get();
        assert!(
            removed <= at[0].min(at[1]),
            "removed through {removed}, the slots stand at {at:?}"
        );
    }

    /// After the last crash: slots moved, segments went, both subscribers read up to the head,
    /// and the spool is whole.
    fn finish(&mut self) {
        let removed = self.manifest().removed_through.get();
        let ledger = &mut self.ledger;
        for history in [&ledger.prompt, &ledger.lagging] {
            let (start, at) = (history.start, history.persisted);
            assert!(at > start, "a slot still stands at {start} on disk");
            assert!(removed > start, "nothing was ever pruned");
        }
        let server = ServerProcess::start(self.data.path(), SETTINGS);
        let mut connection = Connection::replication(server.port).unwrap();
        let head = connection.query("IDENTIFY_SYSTEM").unwrap()[2].clone();
        let head = head.parse::<pgspool::lsn::Lsn>().unwrap().get();
        let follow = |subscriber: Subscriber| subscriber.follow(server.port, Some(head));
        ledger.prompt.take(&follow(Subscriber::prompt()));
        ledger.lagging.take(&follow(Subscriber::lagging()));
        ledger.check_complete();
        assert!(server.terminate(), "a graceful stop exits with 0");
        check(self.data.path());
    }
}

fn check(data: &Path) {
    let check = Command::new(env!("CARGO_BIN_EXE_pgspool"))
        .arg("check")
        .arg(data)
        .output();
    let check = check.unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "check found faults:\n{said}");
}

/// The threads of one round.
struct Work {
    producers: Vec<thread::JoinHandle<Vec<Batch>>>,
    prompt: thread::JoinHandle<Run>,
    lagging: thread::JoinHandle<Run>,
    /// Whether a record was acknowledged yet.
    acknowledged: Arc<AtomicBool>,
    /// The slots, and what was confirmed of each.
    confirmed: [(&'static str, Arc<AtomicU64>); 2],
}

impl Work {
    fn begin(port: u16, round: u64, dice: &mut Dice) -> Self {
        let acknowledged = Arc::new(AtomicBool::new(false));
        let producers = (0..PRODUCERS)
            .map(|producer| {
                let first = (producer << 48) | (round << 24);
                let dice = Dice(dice.roll());
                let acknowledged = Arc::clone(&acknowledged);
                thread::spawn(move || produce(port, first, dice, &acknowledged))
            })
            .collect();
        let (prompt, lagging) = (Subscriber::prompt(), Subscriber::lagging());
        let confirmed = [&prompt, &lagging].map(|one| (one.slot, Arc::clone(&one.confirmed)));
        Self {
            producers,
            prompt: thread::spawn(move || prompt.follow(port, None)),
            lagging: thread::spawn(move || lagging.follow(port, None)),
            acknowledged,
            confirmed,
        }
    }

    /// What the subscribers saw, prompt and lagging; what the producers sent goes to the ledger.
    fn end(self, ledger: &mut Ledger) -> [Run; 2] {
        for producer in self.producers {
            ledger.batches.extend(producer.join().unwrap());
        }
        [self.prompt.join().unwrap(), self.lagging.join().unwrap()]
    }
}

/// A crash breaks connections; an error that the server tells is a fault.
fn only_broken<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::Other => panic!("the server said: {error}"),
        Err(_) => None,
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends batches until the connection breaks; only the last one can be unacknowledged.
fn produce(port: u16, first: u64, mut dice: Dice, some: &AtomicBool) -> Vec<Batch> {
    let mut batches = Vec::new();
    let Some(mut connection) = only_broken(Connection::plain(port)) else {
        return batches;
    };
    let mut next = first;
    loop {
        let block = dice.chance(30);
        // Entities take two digits a byte: a large block has more than 4 MiB.
        let (num_ids, size) = match dice.below(10) {
            0 if block => (300, 10_000),
            _ => (1 + dice.below(40), usize::try_from(dice.below(97)).unwrap()),
        };
        let ids: Vec<u64> = (next..next + num_ids).collect();
        next = ids[ids.len() - 1] + 1;
        let last = |id: &u64| !block || *id + 1 == next;
        let lines: Vec<String> = ids.iter().map(|id| line(*id, size, last(id))).collect();
        let sent = if block {
            connection.copy_block(&lines)
        } else {
            connection.copy(&lines)
        };
        let acknowledged = only_broken(sent).is_some();
        some.fetch_or(acknowledged, Ordering::SeqCst);
        batches.push(Batch {
            ids,
            block,
            acknowledged,
        });
        if !acknowledged {
            return batches;
        }
        thread::sleep(PRODUCER_PAUSE);
    }
}

/// `last` says that it is the last one of its transaction.
fn line(id: u64, size: usize, last: bool) -> String {
    let bytes = "5a".repeat(size);
    format!(
        r#"{{"operation":"insert","collection":"crash","kind":"row","rid":{id},"metadata":{last},"entity_bytes_hex":"{bytes}"}}"#
    )
}

/// How a subscriber behaves.
struct Subscriber {
    slot: &'static str,
    /// Confirms the record this many before the newest, whenever that many more have come.
    lag: usize,
    pause: Duration,
    /// What it confirmed, for others to see.
    confirmed: Arc<AtomicU64>,
}

impl Subscriber {
    fn prompt() -> Self {
        Self {
            slot: "prompt",
            lag: 0,
            pause: Duration::ZERO,
            confirmed: Arc::default(),
        }
    }

    fn lagging() -> Self {
        Self {
            slot: "lagging",
            lag: 100,
            pause: Duration::from_micros(100),
            confirmed: Arc::default(),
        }
    }

    /// Follows the slot until the connection breaks, or everything up to `until` was seen.
    fn follow(&self, port: u16, until: Option<u64>) -> Run {
        let mut run = Run::default();
        let Some(mut connection) = only_broken(Connection::replication(port)) else {
            return run;
        };
        only_broken(connection.start_replication(self.slot));
        while let Ok(message) = connection.read() {
            assert_eq!(
                message.tag,
                b'd',
                "{}",
                String::from_utf8_lossy(&message.body)
            );
            let end = position(&message.body, if message.body[0] == b'w' { 9 } else { 1 });
            if message.body[0] == b'w' {
                let (id, last) = record(&message.body[25..]);
                run.seen.push((end, id));
                if last {
                    run.ends.push((run.seen.len(), end));
                }
                self.confirm(&mut connection, &mut run);
                thread::sleep(self.pause);
            } else if message.body[17] == 1 {
                let _ = connection.confirm(run.highest_confirmed());
            }
            if until.is_some_and(|until| end >= until) {
                connection.close();
                return run;
            }
        }
        assert!(
            until.is_none(),
            "slot {}: the stream ended too early",
            self.slot
        );
        run
    }

    fn confirm(&self, connection: &mut Connection, run: &mut Run) {
        if self.lag > 0 && !run.seen.len().is_multiple_of(self.lag) {
            return;
        }
        let upto = run.seen.len().saturating_sub(self.lag);
        let confirmed = run.highest_confirmed();
        let end = run.ends.iter().rfind(|(num_seen, _)| *num_seen <= upto);
        if let Some(&(_, lsn)) = end.filter(|(_, lsn)| *lsn > confirmed) {
            // Noted first: what was not sent whole may have arrived whole.
            run.confirmed.push(lsn);
            if connection.confirm(lsn).is_ok() {
                self.confirmed.store(lsn, Ordering::SeqCst);
            }
        }
    }
}

/// Its id, and whether it is the last of its transaction.
fn record(payload: &[u8]) -> (u64, bool) {
    let record: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let last = record["metadata"].as_bool().unwrap();
    (record["rid"].as_u64().unwrap(), last)
}
