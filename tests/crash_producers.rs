//! A producer that numbers its records and publishes them by SQL: after `kill -9` it asks where it
//! was, repeats what it has no answer for, and nothing is stored twice or missing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;
mod dice;

use std::time::Duration;

use crash_support::ServerProcess;
use dice::Dice;
use postgres::{Client, NoTls};

const NAME: &str = "billing";
/// Numbers published without an answer being waited for longer than the server lives.
const ROUNDS: u64 = 4;

fn connect(port: u16) -> Result<Client, postgres::Error> {
    let conninfo = format!("host=127.0.0.1 port={port} user=pgspool dbname=pgspool");
    let mut client = Client::connect(&conninfo, NoTls)?;
    client.batch_execute(&format!("SET pgspool.producer = '{NAME}'"))?;
    Ok(client)
}

fn record(seq: u64) -> String {
    format!(
        r#"{{"operation":"insert","collection":"orders","rid":{seq},"kind":"row",
            "timestamp":1700000000000,"entity_bytes_hex":"00","seq":{seq}}}"#
    )
}

fn publish(client: &mut Client, seq: u64) -> Result<(), postgres::Error> {
    let statement = "SELECT pgspool.publish($1::text::jsonb)";
    client.query_one(statement, &[&record(seq)]).map(drop)
}

/// The last durable number and how many repeats were counted.
fn durable(client: &mut Client) -> (u64, i64) {
    let query = "SELECT last_seq::text, num_duplicates FROM pgspool.producers WHERE name = $1";
    let row = client.query_opt(query, &[&NAME]).unwrap();
    row.map_or((0, 0), |row| {
        (row.get::<_, String>(0).parse().unwrap(), row.get(1))
    })
}

fn stored(client: &mut Client) -> Vec<u64> {
    let query = "SELECT seq::text FROM pgspool.changes WHERE producer = $1 ORDER BY lsn";
    let rows = client.query(query, &[&NAME]).unwrap();
    let seqs = rows.iter().map(|row| row.get::<_, String>(0));
    seqs.map(|seq| seq.parse().unwrap()).collect()
}

#[test]
fn numbers_repeated_after_kill_9_are_counted_and_not_stored() {
    let seed = dice::seed();
    println!("PGSPOOL_SEED={seed}");
    let mut dice = Dice(seed);
    let data = tempfile::tempdir().unwrap();
    let mut next = 1;
    let rounds = dice::number("PGSPOOL_CRASH_ROUNDS").unwrap_or(ROUNDS);
    for round in 1..=rounds {
        let server = ServerProcess::start(data.path(), &[]);
        let mut client = connect(server.port).unwrap();
        let (last, _) = durable(&mut client);
        // Every answered number is durable, and at most the one without an answer beside.
        assert!(last == next - 1 || last == next, "{last} after {next}");
        // The producer does not know its own luck: it repeats more than it has to.
        let again = last.saturating_sub(2).max(1);
        for seq in again..=last {
            publish(&mut client, seq).unwrap();
        }
        assert_eq!(
            stored(&mut client),
            (1..=last).collect::<Vec<_>>(),
            "round {round}"
        );
        let repeats = i64::try_from((again..=last).count()).unwrap();
        assert_eq!(durable(&mut client), (last, repeats), "round {round}");
        next = last + 1;
        // Within the time of a few records behind so many answered ones.
        let answered = last + 1 + dice.below(50);
        let delay = Duration::from_micros(dice.below(5000));
        let mut killed = None;
        // One in a block now and then: it counts with its COMMIT.
        loop {
            if killed.is_none() && next > answered {
                killed = Some(server.kill_in(delay));
            }
            let outcome = if next.is_multiple_of(5) {
                in_a_block(&mut client, next)
            } else {
                publish(&mut client, next)
            };
            match outcome {
                Ok(()) => next += 1,
                Err(error) => {
                    assert!(error.as_db_error().is_none(), "{error:?}");
                    break;
                }
            }
        }
        killed.unwrap().join().unwrap();
    }
    let server = ServerProcess::start(data.path(), &[]);
    let mut client = connect(server.port).unwrap();
    let (last, _) = durable(&mut client);
    assert!(last == next - 1 || last == next);
    assert_eq!(stored(&mut client), (1..=last).collect::<Vec<_>>());
    assert!(server.terminate());
}

fn in_a_block(client: &mut Client, seq: u64) -> Result<(), postgres::Error> {
    let mut block = client.transaction()?;
    let statement = "SELECT pgspool.publish($1::text::jsonb)";
    block.query_one(statement, &[&record(seq)])?;
    block.commit()
}
