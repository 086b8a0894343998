//! `kill -9` under load: every acknowledged record is delivered, in order, to every subscriber,
//! without a gap.
//!
//! Each round starts the real binary, lets producers and two subscribers work (one confirms every
//! record, the other lags far behind), kills the process at a random moment, and compares what
//! everybody saw. Segments are small, so that sealing and pruning are hit too.
//! `PGSPOOL_CRASH_ROUNDS` sets the number of rounds, `PGSPOOL_SEED` replays one run's choices.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::HashMap;
use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod crash_support;

use crash_support::{Connection, ServerProcess, position};

const PRODUCERS: u64 = 3;
const SETTINGS: &[&str] = &[
    "spool_segment_size=64kB",
    "wal_keep_size=0",
    "wal_sender_timeout=20s",
];

#[test]
fn acknowledged_records_survive_kill_9_without_a_gap() {
    let seed = number_from_env("PGSPOOL_SEED").unwrap_or_else(fresh_seed);
    let rounds = number_from_env("PGSPOOL_CRASH_ROUNDS").unwrap_or(5);
    println!("PGSPOOL_SEED={seed} PGSPOOL_CRASH_ROUNDS={rounds}");
    let mut dice = Dice(seed);
    let data = tempfile::tempdir().unwrap();
    create_slots(data.path());

    let mut ledger = Ledger::default();
    for round in 1..=rounds {
        let server = ServerProcess::start(data.path(), SETTINGS);
        let work = Work::begin(server.port, round, &mut dice);
        thread::sleep(Duration::from_millis(30 + dice.below(600)));
        server.kill();
        work.end_into(&mut ledger);
        ledger.check(round);
    }
    drain(data.path(), &mut ledger);
    println!(
        "{} records acknowledged, {} delivered",
        ledger.acknowledged(),
        ledger.prompt.len()
    );
    assert!(ledger.acknowledged() > 0, "nothing was ever acknowledged");
}

fn create_slots(data: &std::path::Path) {
    let server = ServerProcess::start(data, SETTINGS);
    let mut connection = Connection::replication(server.port).unwrap();
    for slot in ["prompt", "lagging"] {
        let create =
            format!("CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL \"json\" (SNAPSHOT 'nothing')");
        connection.query(&create).unwrap();
    }
    server.kill();
}

/// After the last crash: both subscribers read up to the head, and the spool must be whole.
fn drain(data: &std::path::Path, ledger: &mut Ledger) {
    let server = ServerProcess::start(data, SETTINGS);
    let mut connection = Connection::replication(server.port).unwrap();
    let head = connection.query("IDENTIFY_SYSTEM").unwrap()[2].clone();
    let (high, low) = head.split_once('/').unwrap();
    let half = |digits| u64::from_str_radix(digits, 16).unwrap();
    let head = (half(high) << 32) | half(low);
    ledger
        .prompt
        .take(Subscriber::prompt().follow(server.port, Some(head)));
    ledger
        .lagging
        .take(Subscriber::lagging().follow(server.port, Some(head)));
    ledger.check_complete();
    assert!(server.terminate(), "a graceful stop exits with 0");
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
}

impl Work {
    fn begin(port: u16, round: u64, dice: &mut Dice) -> Self {
        let producers = (0..PRODUCERS)
            .map(|producer| {
                let first = (producer << 48) | (round << 24);
                let dice = Dice(dice.next());
                thread::spawn(move || produce(port, first, dice))
            })
            .collect();
        Self {
            producers,
            prompt: thread::spawn(move || Subscriber::prompt().follow(port, None)),
            lagging: thread::spawn(move || Subscriber::lagging().follow(port, None)),
        }
    }

    fn end_into(self, ledger: &mut Ledger) {
        for producer in self.producers {
            ledger.batches.extend(producer.join().unwrap());
        }
        ledger.prompt.take(self.prompt.join().unwrap());
        ledger.lagging.take(self.lagging.join().unwrap());
    }
}

/// Records sent with one COPY.
struct Batch {
    ids: Vec<u64>,
    acknowledged: bool,
}

/// Sends batches until the connection breaks; only the last one can be unacknowledged.
fn produce(port: u16, first: u64, mut dice: Dice) -> Vec<Batch> {
    let mut batches = Vec::new();
    let Ok(mut connection) = Connection::plain(port) else {
        return batches;
    };
    let mut next = first;
    loop {
        let ids: Vec<u64> = (next..=next + dice.below(40)).collect();
        next = ids[ids.len() - 1] + 1;
        let lines: Vec<String> = ids.iter().map(|id| line(*id)).collect();
        let acknowledged = connection.copy(&lines).is_ok();
        batches.push(Batch { ids, acknowledged });
        if !acknowledged {
            return batches;
        }
    }
}

fn line(id: u64) -> String {
    let size = usize::try_from(id % 97).unwrap();
    let bytes = "5a".repeat(size);
    format!(
        r#"{{"operation":"insert","collection":"crash","kind":"row","rid":{id},"entity_bytes_hex":"{bytes}"}}"#
    )
}

/// How a subscriber behaves.
struct Subscriber {
    slot: &'static str,
    /// Confirms the record this many before the newest, whenever that many more have come.
    lag: usize,
    pause: Duration,
}

/// What one connection of a subscriber saw: `(end of transaction, record)`, and the highest
/// position it confirmed.
#[derive(Default)]
struct Run {
    seen: Vec<(u64, u64)>,
    confirmed: u64,
}

impl Subscriber {
    fn prompt() -> Self {
        Self {
            slot: "prompt",
            lag: 0,
            pause: Duration::ZERO,
        }
    }

    fn lagging() -> Self {
        Self {
            slot: "lagging",
            lag: 150,
            pause: Duration::from_micros(200),
        }
    }

    /// Follows the slot until the connection breaks, or everything up to `until` was seen.
    fn follow(&self, port: u16, until: Option<u64>) -> Run {
        let mut run = Run::default();
        let Ok(mut connection) = Connection::replication(port) else {
            return run;
        };
        let begun = connection.start_replication(self.slot);
        if let (Err(error), Some(_)) = (&begun, until) {
            panic!("slot {}: {error}", self.slot);
        }
        while let Ok(message) = connection.read() {
            assert_eq!(
                message.tag,
                b'd',
                "{}",
                String::from_utf8_lossy(&message.body)
            );
            let end = position(&message.body, if message.body[0] == b'w' { 9 } else { 1 });
            if message.body[0] == b'w' {
                run.seen.push((end, record_id(&message.body[25..])));
                self.confirm(&mut connection, &mut run);
                thread::sleep(self.pause);
            } else if message.body[17] == 1 {
                let _ = connection.confirm(run.confirmed);
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
        if let Some(&(lsn, _)) = run.seen.iter().rev().nth(self.lag) {
            run.confirmed = lsn;
            let _ = connection.confirm(lsn);
        }
    }
}

fn record_id(payload: &[u8]) -> u64 {
    let record: serde_json::Value = serde_json::from_slice(payload).unwrap();
    record["rid"].as_u64().unwrap()
}

/// What one slot delivered over all its connections, put together.
#[derive(Default)]
struct History {
    seen: Vec<(u64, u64)>,
    confirmed: u64,
}

impl History {
    /// Adds a connection's run: in LSN order, repeating only what was not confirmed, and then
    /// going on. What is repeated must be what it was.
    fn take(&mut self, run: Run) {
        for pair in run.seen.windows(2) {
            assert!(pair[0].0 < pair[1].0, "out of order: {pair:?}");
        }
        if let Some(&(first, _)) = run.seen.first() {
            let known = self.seen.partition_point(|(lsn, _)| *lsn < first);
            let repeated = self.seen.len() - known;
            let (again, new) = run.seen.split_at(repeated.min(run.seen.len()));
            assert_eq!(
                again,
                &self.seen[known..known + again.len()],
                "a repeat differs"
            );
            self.seen.extend_from_slice(new);
        }
        self.confirmed = self.confirmed.max(run.confirmed);
    }

    fn len(&self) -> usize {
        self.seen.len()
    }
}

/// Everything that was promised and everything that was delivered.
#[derive(Default)]
struct Ledger {
    batches: Vec<Batch>,
    prompt: History,
    lagging: History,
}

impl Ledger {
    fn acknowledged(&self) -> usize {
        let batches = self.batches.iter().filter(|batch| batch.acknowledged);
        batches.map(|batch| batch.ids.len()).sum()
    }

    /// Both subscribers saw the same, as far as both came.
    fn check(&self, round: u64) {
        let both = self.prompt.len().min(self.lagging.len());
        let (prompt, lagging) = (&self.prompt.seen[..both], &self.lagging.seen[..both]);
        if let Some(at) = (0..both).find(|at| prompt[*at] != lagging[*at]) {
            panic!(
                "round {round}: record {at}: {:?} or {:?}?",
                prompt[at], lagging[at]
            );
        }
    }

    /// Both have everything that was acknowledged, once, in the order of its producer.
    fn check_complete(&self) {
        assert_eq!(
            self.prompt.seen, self.lagging.seen,
            "the subscribers differ"
        );
        let mut place = HashMap::new();
        for (at, (_, id)) in self.prompt.seen.iter().enumerate() {
            assert!(
                place.insert(*id, at).is_none(),
                "record {id:x} was stored twice"
            );
        }
        let mut previous = HashMap::new();
        for batch in &self.batches {
            for id in &batch.ids {
                let Some(at) = place.remove(id) else {
                    assert!(!batch.acknowledged, "acknowledged record {id:x} is missing");
                    continue;
                };
                let last = previous.insert(id >> 48, at);
                assert!(
                    last < Some(at),
                    "record {id:x} stands before its predecessor"
                );
            }
        }
        assert!(place.is_empty(), "records that nobody sent: {place:?}");
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos()) | 1
}

/// A small generator: the same seed gives the same choices.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
