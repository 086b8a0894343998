//! What a hub costs and saves: an upstream PostgreSQL serves eight pgoutput subscribers by itself,
//! and one capture by which pgspool serves them.
//!
//! The rows are written before anything is measured. Of PostgreSQL its walsenders count, of pgspool
//! the whole process.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::BenchError;
use super::client::Client;
use super::postgres::Postgres;
use super::report::{Row, Target, human, median, rate, real};
use super::server::ServerProcess;
use super::side::Side;

const ROWS: u64 = 1_000_000;
const ROWS_PER_TRANSACTION: u64 = 20;
const READERS: u64 = 8;
/// Single commits whose way to the consumer is measured.
const COMMITS: usize = 2_000;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(2);
/// How long capturing everything may take.
const PATIENCE: Duration = Duration::from_secs(300);

const SETUP: [&str; 2] = [
    "CREATE TABLE hub (id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz)",
    "CREATE PUBLICATION hub FOR TABLE hub",
];

/// Both servers, with the capture between them.
struct Hub {
    upstream: Side,
    here: Side,
    control: Client,
}

/// What capturing everything took.
struct Captured {
    time: Duration,
    ours: f64,
    walsender: f64,
}

/// Keeping up, CPU of capture, of eight subscribers, and what a hub adds to the way of a commit.
pub(super) fn run(scratch: &Path, bin: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    let server = ServerProcess::start(exe, scratch)?;
    let postgres = Postgres::start_with(
        bin,
        scratch,
        &[
            "wal_level=logical",
            "max_replication_slots=20",
            "max_wal_senders=20",
            "max_wal_size=4GB",
            "synchronous_commit=off",
            // What ends while streams are measured must be walsenders.
            "autovacuum=off",
        ],
    )?;
    let mut hub = Hub::start(&server, &postgres)?;
    hub.control.query("PAUSE hub")?;
    write(&hub.upstream)?;
    let end = hub
        .upstream
        .connect()?
        .value("SELECT pg_current_wal_lsn()")?;

    let started = Instant::now();
    let one = hub.upstream.serve(bin, &slots("one", 1), "hub", &end)?;
    // `serve` waits a second for the walsender's end.
    let direct = started.elapsed().saturating_sub(Duration::from_secs(1));
    let captured = hub.capture(&end)?;
    let eight = hub
        .upstream
        .serve(bin, &slots("eight", READERS), "hub", &end)?;
    let upstream_before = hub.upstream.cpu()?;
    let ours = hub.here.serve(bin, &slots("eight", READERS), "hub", &end)?;
    let upstream_with_eight = hub.upstream.cpu()? - upstream_before;
    let mut rows = rows(direct, one, &captured, eight, ours, upstream_with_eight);
    rows.extend(hub.latency()?);
    Ok(rows)
}

fn rows(
    direct: Duration,
    one: f64,
    captured: &Captured,
    eight: f64,
    ours: f64,
    upstream_with_eight: f64,
) -> Vec<Row> {
    let rates = [captured.time, direct].map(|time| rate(ROWS, time));
    let total = captured.walsender + captured.ours + ours;
    let seconds = |figure: f64| format!("{figure:.2} s");
    vec![
        Row {
            what: format!("capturing {}rows, rows a second", human(real(ROWS))),
            ours: format!("{}/s", human(rates[0])),
            reference: format!("{}/s: pg_recvlogical from the upstream", human(rates[1])),
            figure: rates[0] / rates[1],
            target: Target::AtLeast(0.9),
        },
        Row {
            what: "CPU of capturing them".to_owned(),
            ours: seconds(captured.ours),
            reference: format!("{}: the upstream's walsender", seconds(captured.walsender)),
            figure: captured.ours / captured.walsender,
            target: Target::AtMost(1.0 / 3.0),
        },
        Row {
            what: "CPU of the upstream while 8 subscribers read here".to_owned(),
            ours: seconds(upstream_with_eight),
            reference: format!("{}: one subscriber there", seconds(one)),
            figure: upstream_with_eight / one,
            target: Target::AtMost(0.05),
        },
        Row {
            what: "CPU of both for 8 subscribers, capture included".to_owned(),
            ours: seconds(total),
            reference: format!("{}: the upstream serves the 8 itself", seconds(eight)),
            figure: total / eight,
            target: Target::AtMost(0.25),
        },
    ]
}

fn slots(of: &str, count: u64) -> Vec<String> {
    (0..count).map(|number| format!("{of}_{number}")).collect()
}

impl Hub {
    /// Makes the table upstream, the capture, and the slots on both sides.
    fn start(server: &ServerProcess, postgres: &Postgres) -> Result<Self, BenchError> {
        let upstream = Side {
            address: postgres.address(),
            user: "postgres",
            database: "postgres",
            pid: postgres.pid(),
            forks: true,
        };
        let mut there = upstream.connect()?;
        for statement in SETUP {
            there.query(statement)?;
        }
        let port = upstream.address.port();
        server.connect()?.query(&format!(
            "CREATE DATABASE hub WITH (upstream = 'host=127.0.0.1 port={port} user=postgres \
             dbname=postgres', publication = 'hub', slot = 'pgspool_hub')"
        ))?;
        let here = Side {
            address: server.address(),
            user: "pgspool",
            database: "hub",
            pid: server.pid(),
            forks: false,
        };
        let mut control = here.connect()?;
        let all = [slots("one", 1), slots("eight", READERS)].concat();
        for slot in all {
            let made = format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')");
            there.query(&made)?;
            control.query(&made)?;
        }
        Ok(Self {
            upstream,
            here,
            control,
        })
    }

    /// Captures everything up to `end`.
    fn capture(&mut self, end: &str) -> Result<Captured, BenchError> {
        let (ours, theirs) = (self.here.cpu()?, self.upstream.cpu()?);
        let started = Instant::now();
        self.control.query("RESUME hub")?;
        let asked = format!("SELECT pg_current_wal_lsn() >= '{end}'::pg_lsn");
        while self.control.value(&asked)? != "t" {
            if started.elapsed() > PATIENCE {
                return Err("the capture does not reach the upstream's end".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let time = started.elapsed();
        let ours = self.here.cpu()? - ours;
        // Its walsender counts when it has ended.
        self.control.query("PAUSE hub")?;
        thread::sleep(Duration::from_secs(2));
        let walsender = self.upstream.cpu()? - theirs;
        self.control.query("RESUME hub")?;
        Ok(Captured {
            time,
            ours,
            walsender,
        })
    }

    /// What a hub adds to the way of a commit to a consumer: both consumers follow the same commits.
    fn latency(&self) -> Result<Vec<Row>, BenchError> {
        let direct = self.follow(&self.upstream)?;
        let through = self.follow(&self.here)?;
        let mut writer = self.upstream.connect()?;
        // Walsenders send what is flushed: not flushing at once would be all that is measured.
        writer.query("SET synchronous_commit = on")?;
        let (mut directs, mut throughs) = (vec![], vec![]);
        for number in 0..COMMITS {
            let id = ROWS + u64::try_from(number)?;
            let began = Instant::now();
            writer.query(&format!("INSERT INTO hub VALUES ({id}, 'one', 1, now())"))?;
            for (arrived, times) in [(&direct, &mut directs), (&through, &mut throughs)] {
                let at = arrived.recv_timeout(Duration::from_secs(30))?;
                times.push(at.saturating_duration_since(began).as_secs_f64() * 1e3);
            }
            thread::sleep(PAUSE);
        }
        let row = |what: &str, ours: f64, theirs: f64| Row {
            what: format!("from INSERT to a consumer, {what}"),
            ours: format!("{ours:.2} ms, {:.2} ms more", ours - theirs),
            reference: format!("{theirs:.2} ms: from the upstream itself"),
            figure: ours / theirs,
            target: Target::None,
        };
        let p99 = |times: &[f64]| {
            let mut times = times.to_vec();
            times.sort_by(f64::total_cmp);
            times
                .get(times.len() * 99 / 100)
                .copied()
                .unwrap_or_default()
        };
        Ok(vec![
            row("median", median(throughs.clone()), median(directs.clone())),
            row("99th percentile", p99(&throughs), p99(&directs)),
        ])
    }

    /// When each Commit arrives at a consumer that reads there.
    fn follow(&self, side: &Side) -> Result<Receiver<Instant>, BenchError> {
        let more = [
            ("replication", "database"),
            ("options", "-c wal_sender_timeout=0"),
        ];
        side.connect()?
            .query("SELECT pg_create_logical_replication_slot('way_0', 'pgoutput')")?;
        let mut client = Client::connect(side.address, side.user, side.database, &more)?;
        client.send_query(
            "START_REPLICATION SLOT way_0 LOGICAL 0/0 (proto_version '1', publication_names 'hub')",
        )?;
        client.expect(b'W')?;
        let (sender, receiver) = channel();
        thread::spawn(move || note_commits(&mut client, &sender));
        Ok(receiver)
    }
}

/// Says when Commits arrive, until nobody listens or the stream ends.
fn note_commits(client: &mut Client, sender: &Sender<Instant>) {
    while let Ok((_, body)) = client.expect(b'd') {
        // XLogData: its letter, two positions and a time come before the message.
        if body.first() == Some(&b'w')
            && body.get(25) == Some(&b'C')
            && sender.send(Instant::now()).is_err()
        {
            return;
        }
    }
}

/// Writes the rows.
fn write(upstream: &Side) -> Result<(), BenchError> {
    let mut client = upstream.connect()?;
    let (last, step) = (ROWS / ROWS_PER_TRANSACTION, ROWS_PER_TRANSACTION);
    // One statement, a transaction each turn of its loop: PostgreSQL is not what is measured.
    client.query(&format!(
        "DO $$ BEGIN FOR n IN 0..{last}-1 LOOP \
         INSERT INTO hub SELECT n * {step} + i, \
         'order ' || i || ' of a customer who likes his parcels large', i + 0.25, now() \
         FROM generate_series(0, {step}-1) i; COMMIT; END LOOP; END $$"
    ))?;
    Ok(())
}
