//! What each further subscriber costs: the same rows, read by 1, 4 and 8 `pg_recvlogical` with
//! pgoutput, from PostgreSQL and from pgspool.
//!
//! Only serving streams is counted, all was published before: of PostgreSQL its walsenders, of
//! pgspool the whole process.

use std::path::Path;
use std::thread;

use super::postgres::Postgres;
use super::report::{Row, Target, human, real};
use super::server::ServerProcess;
use super::side::Side;
use super::{BenchError, joined};

const ROWS: u64 = 1_000_000;
const ROWS_PER_TRANSACTION: u64 = 20;
/// Connections that publish; together, so that they share the waiting for the disk.
const PUBLISHERS: u64 = 8;
const READERS: [u64; 3] = [1, 4, 8];

const SETUP: [&str; 2] = [
    "CREATE TABLE fan (id integer PRIMARY KEY, name text, amount numeric(12,2), at timestamptz)",
    "CREATE PUBLICATION fan FOR TABLE fan",
];

/// CPU of 1, 4 and 8 readers, what a further one costs, and how often all was rendered.
pub(super) fn run(scratch: &Path, bin: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    let server = ServerProcess::start_with(exe, scratch, &["admin_listen=127.0.0.1:0"], "warn")?;
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
    let ours = Side {
        address: server.address(),
        user: "pgspool",
        database: "pgspool",
        pid: server.pid(),
        forks: false,
    };
    let theirs = Side {
        address: postgres.address(),
        user: "postgres",
        database: "postgres",
        pid: postgres.pid(),
        forks: true,
    };
    let (our_end, their_end) = (prepare(&ours)?, prepare(&theirs)?);
    let (mut our_costs, mut their_costs, mut renders) = (vec![], vec![], 0.0);
    for readers in READERS {
        their_costs.push(serve(&theirs, bin, readers, &their_end)?);
        let before = rendered(&server)?;
        our_costs.push(serve(&ours, bin, readers, &our_end)?);
        renders = (rendered(&server)? - before) / real(ROWS / ROWS_PER_TRANSACTION);
    }
    rows(&our_costs, &their_costs, renders)
}

fn rows(ours: &[f64], theirs: &[f64], renders: f64) -> Result<Vec<Row>, BenchError> {
    let ([our_one, _, our_eight], [_, _, their_eight]) = (ours, theirs) else {
        return Err("a measurement is missing".into());
    };
    let what = |readers| {
        format!(
            "CPU of {readers} pgoutput subscribers, {}rows",
            human(real(ROWS))
        )
    };
    let mut rows = vec![];
    for ((readers, ours), theirs) in READERS.iter().zip(ours).zip(theirs) {
        rows.push(Row {
            what: what(readers),
            ours: format!("{ours:.2} s"),
            reference: format!("{theirs:.2} s: PostgreSQL 15's walsenders"),
            figure: ours / theirs,
            target: match readers {
                8 => Target::AtMost(0.1),
                _ => Target::None,
            },
        });
    }
    let (further, each) = ((our_eight - our_one) / 7.0, their_eight / 8.0);
    rows.push(Row {
        what: "CPU of a further subscriber".to_owned(),
        ours: format!("{further:.3} s"),
        reference: format!("{each:.2} s: one walsender of PostgreSQL 15"),
        figure: further / each,
        target: Target::AtMost(1.0 / 30.0),
    });
    rows.push(Row {
        what: "renders of a transaction, 8 subscribers from the oldest position".to_owned(),
        ours: format!("{renders:.3}"),
        reference: "once".to_owned(),
        figure: renders,
        target: Target::AtMost(1.0),
    });
    Ok(rows)
}

fn slot(readers: u64, number: u64) -> String {
    format!("fan_{readers}_{number}")
}

/// Makes table, publication and slots, publishes the rows and says where they end.
fn prepare(side: &Side) -> Result<String, BenchError> {
    let mut control = side.connect()?;
    for statement in SETUP {
        control.query(statement)?;
    }
    for readers in READERS {
        for number in 0..readers {
            let slot = slot(readers, number);
            control.query(&format!(
                "SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"
            ))?;
        }
    }
    let results: Vec<Result<(), BenchError>> = thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| scope.spawn(move || publish(side, number)))
            .collect();
        publishers.into_iter().map(joined).collect()
    });
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(control.value("SELECT pg_current_wal_lsn()")?)
}

/// Publishes one share of the rows.
fn publish(side: &Side, number: u64) -> Result<(), BenchError> {
    let mut client = side.connect()?;
    let share = ROWS / PUBLISHERS;
    let mut id = number * share;
    let end = id + share;
    while id < end {
        let rows: Vec<String> = (id..end.min(id + ROWS_PER_TRANSACTION))
            .map(|id| {
                let (cents, second) = (id % 100, id % 60);
                format!(
                    "({id}, 'order {id} of a customer who likes his parcels large', \
                     '{id}.{cents:02}', '2026-03-04 05:06:{second:02}.123456+00')"
                )
            })
            .collect();
        client.query(&format!("INSERT INTO fan VALUES {}", rows.join(", ")))?;
        id += ROWS_PER_TRANSACTION;
    }
    Ok(())
}

/// CPU seconds that it costs to send everything to so many readers.
fn serve(side: &Side, bin: &Path, readers: u64, end: &str) -> Result<f64, BenchError> {
    let slots: Vec<String> = (0..readers).map(|number| slot(readers, number)).collect();
    side.serve(bin, &slots, "fan", end)
}

/// How many transactions pgspool has rendered.
fn rendered(server: &ServerProcess) -> Result<f64, BenchError> {
    let metrics = server.metrics()?;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("pgspool_rendered_transactions_total{"))
        .ok_or("no count of what was rendered")?;
    let value = line.rsplit(' ').next().ok_or("no value")?;
    Ok(value.parse()?)
}
