//! What PostgreSQL sends of a workload is stored alike, whether it streams or not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::panic, clippy::wildcard_enum_match_arm)]

mod postgres_support;

use std::sync::Arc;

use pgspool::capture::{
    AssembleError, Assembled, AssembledKind, Assembler, AssemblerOptions, Described, Taken,
};
use pgspool::change::{ChunkError, ChunkReader};
use pgspool::disk::RealDisk;
use pgspool::engine::{CapturedFrames, EngineOptions, Scratch};
use pgspool::lsn::Lsn;
use pgspool::pgoutput::{Context, Decoder, Message, Protocol};
use pgspool::relations::RelationSet;
use postgres::Client;
use tempfile::TempDir;

use postgres_support::Postgres;

/// Position and payload, as the header of XLogData and what follows.
type Sent = (Lsn, Vec<u8>);

/// A unit: its end, its messages, its descriptions.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    kind: AssembledKind,
    end: Lsn,
    commit_ms: u64,
    messages: Vec<Sent>,
    described: Vec<Described>,
}

fn upstream() -> (Postgres, Client) {
    let postgres = Postgres::start();
    let mut client = postgres.connect();
    let set_up = "
        CREATE TYPE mood AS ENUM ('sad', 'glad');
        CREATE TABLE a (id int PRIMARY KEY, body text);
        CREATE TABLE b (id int PRIMARY KEY, m mood DEFAULT 'glad', big text);
        ALTER TABLE b ALTER big SET STORAGE EXTERNAL;
        CREATE TABLE c (id int PRIMARY KEY);
        CREATE PUBLICATION p FOR ALL TABLES";
    client.batch_execute(set_up).unwrap();
    let slot = "SELECT pg_create_logical_replication_slot('s', 'pgoutput')";
    client.batch_execute(slot).unwrap();
    (postgres, client)
}

/// What the slot has, `peek`ed at or taken with `get`, up to a position.
fn read(client: &mut Client, how: &str, upto: Option<&str>, streaming: bool) -> Vec<Sent> {
    client
        .batch_execute("SET logical_decoding_work_mem = '64kB'")
        .unwrap();
    let options = if streaming {
        "'proto_version', '2', 'streaming', 'on'"
    } else {
        "'proto_version', '1'"
    };
    let upto = upto.map_or_else(|| "NULL".to_owned(), |upto| format!("'{upto}'"));
    let query = format!(
        "SELECT lsn::text, data FROM pg_logical_slot_{how}_binary_changes('s', {upto}, NULL,
         {options}, 'publication_names', 'p', 'messages', 'true')"
    );
    let rows = client.query(&query, &[]).unwrap();
    rows.iter()
        .map(|row| (row.get::<_, &str>(0).parse().unwrap(), row.get(1)))
        .collect()
}

fn assembler(home: &TempDir, work_mem: usize) -> Assembler {
    let disk = Arc::new(RealDisk);
    let options = EngineOptions::default();
    let options = AssemblerOptions {
        work_mem,
        scratch: Scratch::open(disk, home.path().to_owned(), &options).unwrap(),
        large: 100_000,
    };
    Assembler::new(options, &RelationSet::default(), Lsn::ZERO)
}

fn assemble(assembler: &mut Assembler, sent: &[Sent]) -> Result<Vec<Unit>, AssembleError> {
    let mut units = Vec::new();
    for (lsn, message) in sent {
        if let Taken::Unit(unit) = assembler.take(*lsn, message)? {
            units.push(unpacked(unit));
        }
    }
    Ok(units)
}

fn unpacked(unit: Assembled) -> Unit {
    let frames = match unit.frames {
        CapturedFrames::Few(frames) => frames,
        CapturedFrames::Streamed(mut source) => {
            let mut frames = Vec::new();
            while let Some(draft) = source.next_draft().unwrap() {
                frames.push(draft.bytes);
            }
            frames
        }
    };
    let (mut reader, mut messages) = (ChunkReader::default(), Vec::new());
    for frame in frames {
        let read = reader.read::<ChunkError>(&frame, |lsn, message| {
            messages.push((lsn, message.to_vec()));
            Ok(())
        });
        read.unwrap();
    }
    Unit {
        kind: unit.kind,
        end: unit.end,
        commit_ms: unit.commit_ms,
        messages,
        described: unit.described,
    }
}

/// How many messages begin with `letter`.
fn count(sent: &[Sent], letter: u8) -> usize {
    let begins = |sent: &&Sent| sent.1.first() == Some(&letter);
    sent.iter().filter(begins).count()
}

const ROWS: &str = "SELECT n, repeat('x', 100) FROM generate_series";

fn workload(postgres: &Postgres, client: &mut Client) {
    let run = |client: &mut Client, text: &str| client.batch_execute(text).unwrap();
    run(client, "INSERT INTO a VALUES (1, 'small')");
    run(
        client,
        "SELECT pg_logical_emit_message(false, 'p', 'of none')",
    );
    // Rolled back with definitions in it, and a table that is described there for the first time.
    run(
        client,
        &format!(
            "BEGIN; INSERT INTO a {ROWS}(10, 2000) n;
             SAVEPOINT x; INSERT INTO a {ROWS}(3000, 5000) n; INSERT INTO c VALUES (1);
               SAVEPOINT y; UPDATE a SET body = 'y' WHERE id < 1000; ROLLBACK TO y;
               SAVEPOINT z; DELETE FROM a WHERE id < 900;
               INSERT INTO a {ROWS}(10010, 11500) n; RELEASE z;
             ROLLBACK TO x;
             ALTER TABLE a ADD extra int; INSERT INTO a {ROWS}(20000, 22000) n;
             SAVEPOINT w; ALTER TABLE a DROP body; UPDATE a SET extra = 1; ROLLBACK TO w;
             INSERT INTO a {ROWS}(30000, 32000) n; COMMIT"
        ),
    );
    run(client, "INSERT INTO c VALUES (2)");
    // Nothing is left of these.
    run(
        client,
        &format!(
            "BEGIN; SAVEPOINT x; INSERT INTO a {ROWS}(40000, 43000) n; ROLLBACK TO x; COMMIT;
             BEGIN; INSERT INTO a {ROWS}(40000, 43000) n; ROLLBACK"
        ),
    );
    // Two at once, with others in between.
    let (mut one, mut two) = (postgres.connect(), postgres.connect());
    run(
        &mut one,
        &format!("BEGIN; INSERT INTO a {ROWS}(50000, 52000) n"),
    );
    run(
        &mut two,
        "BEGIN; INSERT INTO b SELECT n, 'sad', repeat('y', 3000) FROM generate_series(1, 200) n",
    );
    run(client, "INSERT INTO a VALUES (5, 'between')");
    run(&mut one, &format!("INSERT INTO a {ROWS}(53000, 55000) n"));
    run(
        &mut two,
        "UPDATE b SET m = 'glad'; SELECT pg_logical_emit_message(true, 'p', 'of two'); COMMIT",
    );
    run(
        client,
        "ALTER TYPE mood RENAME TO humour; ALTER TABLE b ADD other text",
    );
    run(client, "INSERT INTO b (id) VALUES (1000)");
    run(
        &mut one,
        "DELETE FROM a WHERE id < 500; TRUNCATE c, b; COMMIT",
    );
    run(
        client,
        &format!(
            "BEGIN; ALTER TABLE a REPLICA IDENTITY FULL; UPDATE a SET body = NULL; COMMIT;
             BEGIN; CREATE TABLE d (id int PRIMARY KEY, body text); SAVEPOINT x;
             INSERT INTO d {ROWS}(1, 2000) n; ROLLBACK TO x; INSERT INTO d {ROWS}(1, 2000) n;
             DROP TABLE c; COMMIT; INSERT INTO d VALUES (5000, 'last')"
        ),
    );
}

#[test]
fn streamed_and_whole_transactions_of_postgresql_are_stored_alike() {
    let (postgres, mut client) = upstream();
    workload(&postgres, &mut client);
    let whole = read(&mut client, "peek", None, false);
    let streamed = read(&mut client, "peek", None, true);
    assert_eq!(count(&whole, b'S'), 0);
    assert!(count(&streamed, b'S') > 20, "{}", count(&streamed, b'S'));
    assert!(count(&streamed, b'A') >= 5, "{}", count(&streamed, b'A'));
    let home = TempDir::new().unwrap();
    for work_mem in [20_000, 64 << 20] {
        let from_whole = assemble(&mut assembler(&home, work_mem), &whole).unwrap();
        let from_streamed = assemble(&mut assembler(&home, work_mem), &streamed).unwrap();
        for (one, other) in from_whole.iter().zip(&from_streamed) {
            assert_eq!(one.end, other.end);
            assert_eq!(one.messages.len(), other.messages.len(), "{}", one.end);
            for (a, b) in one.messages.iter().zip(&other.messages) {
                assert_eq!(a, b, "{}", one.end);
            }
            assert_eq!(one, other);
        }
        assert_eq!(from_whole.len(), from_streamed.len());
        // As it was sent, but for repeated descriptions and where those have no position.
        let stored: Vec<&Sent> = from_whole.iter().flat_map(|unit| &unit.messages).collect();
        let mut stored = stored.into_iter();
        for (lsn, message) in &whole {
            let as_stored = match message[0] {
                b'R' | b'Y' => (Lsn::ZERO, message.clone()),
                _ => (*lsn, message.clone()),
            };
            let is_next = |next: &&Sent| **next == as_stored;
            let is_description = matches!(message[0], b'R' | b'Y');
            let mut ahead = stored.clone();
            if ahead.next().as_ref().is_some_and(is_next) {
                stored = ahead;
            } else {
                assert!(is_description, "{lsn}: {message:?}");
            }
        }
        assert_eq!(stored.next(), None);
    }
}

#[test]
fn a_message_of_a_streamed_subtransaction_does_not_say_whose_it_is() {
    let (_postgres, mut client) = upstream();
    let text = format!(
        "BEGIN; INSERT INTO a {ROWS}(1, 2000) n; SAVEPOINT x;
         SELECT pg_logical_emit_message(true, 'p', 'rolled back');
         INSERT INTO a {ROWS}(3000, 5000) n; ROLLBACK TO x; COMMIT"
    );
    client.batch_execute(&text).unwrap();
    let whole = read(&mut client, "peek", None, false);
    assert_eq!(count(&whole, b'M'), 0);
    let streamed = read(&mut client, "peek", None, true);
    let (mut decoder, mut top) = (Decoder::new(Protocol::V2, false), None);
    let mut num_messages = 0;
    for (_, message) in &streamed {
        match decoder.decode(message).unwrap() {
            Message::StreamStart { xid, .. } => top = Some(xid),
            Message::Logical { xid, .. } => {
                assert_eq!(xid, top);
                num_messages += 1;
            }
            _ => {}
        }
    }
    assert_eq!(num_messages, 1);
    let home = TempDir::new().unwrap();
    let error = assemble(&mut assembler(&home, 20_000), &streamed).unwrap_err();
    assert!(error.passes_without_streaming(), "{error}");
    let units = assemble(&mut assembler(&home, 20_000), &whole).unwrap();
    assert_eq!(units.len(), 1);
}

#[test]
fn only_the_origin_of_a_streamed_transaction_is_told_without_its_position() {
    let (_postgres, mut client) = upstream();
    let set_up = "SELECT pg_replication_origin_create('elsewhere')";
    client.batch_execute(set_up).unwrap();
    let session = "SELECT pg_replication_origin_session_setup('elsewhere')";
    client.batch_execute(session).unwrap();
    let text = format!(
        "BEGIN; SELECT pg_replication_origin_xact_setup('0/ABC', now());
         INSERT INTO a {ROWS}(1, 2000) n; COMMIT"
    );
    client.batch_execute(&text).unwrap();
    let reset = "SELECT pg_replication_origin_session_reset()";
    client.batch_execute(reset).unwrap();
    let home = TempDir::new().unwrap();
    let units = [false, true].map(|streaming| {
        let sent = read(&mut client, "peek", None, streaming);
        assemble(&mut assembler(&home, 20_000), &sent)
            .unwrap()
            .remove(0)
    });
    let origins = units.each_ref().map(|unit| {
        let (lsn, origin) = &unit.messages[1];
        let decoded = Message::decode(origin, Context::new(Protocol::V1)).unwrap();
        let Message::Origin { commit_lsn, name } = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(name, "elsewhere");
        (*lsn, commit_lsn)
    });
    assert_eq!(origins[0].0, origins[1].0);
    assert_eq!(origins[0].1, Lsn::new(0xABC));
    assert_eq!(origins[1].1, Lsn::ZERO);
    // Behind an Origin a Begin has no position in XLogData; the SQL functions give it one.
    assert_eq!(units[1].messages[0].0, Lsn::ZERO);
    assert_eq!(units[0].messages[0].1, units[1].messages[0].1);
    assert_eq!(units[0].messages[2..], units[1].messages[2..]);
}

#[test]
fn what_is_acknowledged_inside_of_a_streamed_transaction_does_not_lose_its_beginning() {
    let (postgres, mut client) = upstream();
    let mut long = postgres.connect();
    long.batch_execute(&format!("BEGIN; INSERT INTO a {ROWS}(1, 3000) n"))
        .unwrap();
    client.batch_execute("INSERT INTO c VALUES (1)").unwrap();
    let row = client
        .query_one("SELECT pg_current_wal_lsn()::text", &[])
        .unwrap();
    let upto: String = row.get(0);
    let home = TempDir::new().unwrap();
    let mut assembler = assembler(&home, 20_000);
    // All of it is acknowledged up to there.
    let sent = read(&mut client, "get", Some(&upto), true);
    let units = assemble(&mut assembler, &sent).unwrap();
    assert_eq!(units.len(), 1);
    assert!(assembler.has_open_streams() && !assembler.in_transaction());
    let slot = "SELECT confirmed_flush_lsn::text, restart_lsn < confirmed_flush_lsn
        FROM pg_replication_slots";
    let row = client.query_one(slot, &[]).unwrap();
    let confirmed: Lsn = row.get::<_, &str>(0).parse().unwrap();
    assert_eq!(confirmed, upto.parse().unwrap());
    assert!(row.get::<_, bool>(1));
    long.batch_execute(&format!("INSERT INTO a {ROWS}(4000, 6000) n; COMMIT"))
        .unwrap();
    // The next session begins with the transaction's first piece.
    assembler.reset(&RelationSet::default(), confirmed);
    let sent = read(&mut client, "get", None, true);
    let units = assemble(&mut assembler, &sent).unwrap();
    assert_eq!(units.len(), 1);
    assert_eq!(count(&units[0].messages, b'I'), 5001);
    assert!(units[0].end > confirmed);
}
