//! SQL beside PostgreSQL, and beside a stream: a thousand slots looked at, and a storm of queries.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use super::client::Client;
use super::postgres::Postgres;
use super::report::{Row, Target, human, median, rate};
use super::server::ServerProcess;
use super::stream::{publish, together};
use super::{BenchError, joined};

const SLOTS: u32 = 1_000;
const LOOKS: usize = 300;
const LOOK: &str = "SELECT * FROM pg_replication_slots";

const ROUNDS: usize = 3;
const STORMERS: usize = 8;
/// What dashboards and agents ask all the time.
const STORM: &[&str] = &[
    "SELECT * FROM pg_replication_slots",
    "SELECT * FROM pg_stat_replication",
    "SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) AS lag \
     FROM pg_replication_slots ORDER BY 2 DESC",
    "SELECT pg_is_in_recovery()",
];

/// Both rows.
pub(super) fn run(scratch: &Path, bin: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    Ok(vec![slots(scratch, bin, exe)?, storm(scratch, exe)?])
}

fn slots(scratch: &Path, bin: &Path, exe: &Path) -> Result<Row, BenchError> {
    let ours = ServerProcess::start(exe, scratch)?;
    let theirs = Postgres::start_with(
        bin,
        scratch,
        &["wal_level=logical", "max_replication_slots=1000"],
    )?;
    let (mut ours, mut theirs) = (ours_client(&ours, "json")?, theirs.connect()?);
    make_slots(&mut theirs, "pgoutput")?;
    let (mut our_times, mut their_times) = (vec![], vec![]);
    for _ in 0..LOOKS {
        our_times.push(look(&mut ours)?);
        their_times.push(look(&mut theirs)?);
    }
    let (ours, theirs) = (median(our_times), median(their_times));
    Ok(Row {
        what: "SELECT * FROM pg_replication_slots, 1,000 slots, p50".to_owned(),
        ours: format!("{:.2} ms", ours * 1e3),
        reference: format!("{:.2} ms: PostgreSQL 15", theirs * 1e3),
        figure: ours / theirs,
        target: Target::AtMost(1.0),
    })
}

fn ours_client(server: &ServerProcess, plugin: &str) -> Result<Client, BenchError> {
    let mut client = server.connect()?;
    make_slots(&mut client, plugin)?;
    Ok(client)
}

fn make_slots(client: &mut Client, plugin: &str) -> Result<(), BenchError> {
    client.query(&format!(
        "SELECT pg_create_logical_replication_slot('slot_' || i, '{plugin}') \
         FROM generate_series(1, {SLOTS}) i"
    ))?;
    Ok(())
}

fn look(client: &mut Client) -> Result<f64, BenchError> {
    let started = Instant::now();
    client.query(LOOK)?;
    Ok(started.elapsed().as_secs_f64())
}

fn storm(scratch: &Path, exe: &Path) -> Result<Row, BenchError> {
    let server = ServerProcess::start(exe, scratch)?;
    let name = ["reader".to_owned()];
    let mut control = server.connect_replication()?;
    control.query("CREATE_REPLICATION_SLOT reader LOGICAL json (SNAPSHOT 'nothing')")?;
    publish(&server)?;
    let (mut calm, mut stormy, mut answered) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        calm.push(together(&server, &name)?);
        let (reading, asking) = beside(&server, || together(&server, &name))?;
        stormy.push(reading);
        answered.push(asking);
    }
    let ratios = stormy
        .iter()
        .zip(&calm)
        .map(|(with, without)| with / without);
    Ok(Row {
        what: format!(
            "a stream beside {STORMERS} clients that ask all the time ({}queries/s)",
            human(median(answered))
        ),
        figure: median(ratios.collect()),
        ours: format!("{}msg/s", human(median(stormy))),
        reference: format!("{}msg/s: without them", human(median(calm))),
        target: Target::AtLeast(0.9),
    })
}

/// Runs `work` beside the storm; returns what it returned, and the queries a second.
fn beside(
    server: &ServerProcess,
    work: impl FnOnce() -> Result<f64, BenchError>,
) -> Result<(f64, f64), BenchError> {
    let mut clients = Vec::new();
    for _ in 0..STORMERS {
        clients.push(server.connect()?);
    }
    let (over, num_queries) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let ask = |mut client: Client| -> Result<(), BenchError> {
            for sql in STORM.iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                client.query(sql)?;
                num_queries.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let handles: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || ask(client)))
            .collect();
        let started = Instant::now();
        let done = work();
        let asking = rate(num_queries.load(Ordering::Relaxed), started.elapsed());
        over.store(true, Ordering::Relaxed);
        for handle in handles {
            joined(handle)?;
        }
        Ok((done?, asking))
    })
}
