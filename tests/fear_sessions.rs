//! The real binary and clients that take too much: descriptors, memory, time. Others do not
//! notice.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;
mod fear_support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crash_support::{Connection, PATIENCE, ServerProcess};
use fear_support::{Reader, create_slot, eventually, lines, value};

const MIB: u64 = 1 << 20;

#[test]
fn without_descriptors_accepting_pauses_and_all_else_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_pgspool"));
    let settings = ["spool_segment_size=64kB", "wal_keep_size=0"];
    let mut server = ServerProcess::launch_by(command, home.path(), &settings);
    assert!(server.listens());
    let port = server.port;
    create_slot(port, "reader");
    let mut reader = Reader::start(port, "reader");
    let mut producer = Connection::plain(port).unwrap();
    let idle: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    let waiting = thread::spawn(move || value(port, "SELECT 1"));
    let words = "too few open files are allowed for more connections";
    eventually("accepting pauses", || server.log().contains(words));

    // Segments are made and removed, slots are written.
    for round in 0..20 {
        let ids = round * 100..round * 100 + 100;
        producer.copy(&lines(ids.start, 100, 1000)).unwrap();
        reader.read_all(&ids.collect());
        reader.confirm();
    }
    assert!(!waiting.is_finished(), "there was room for another one");

    drop(idle);
    assert_eq!(waiting.join().unwrap(), "1");
    let failure = "SELECT coalesce(failure, '') FROM pgspool.databases WHERE name = 'pgspool'";
    assert_eq!(value(port, failure), "");
    drop((reader, producer));
    assert!(server.terminate());
}

/// Sets the limit of open files of a process, the one that it may raise itself.
fn limit_descriptors(pid: u32, limit: u32) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={limit}:")]);
    assert!(command.status().unwrap().success());
}

#[test]
fn when_accepting_fails_those_who_wait_are_served_later() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path(), &[]);
    let (port, pid) = (server.port, server.pid());
    create_slot(port, "reader");
    let mut reader = Reader::start(port, "reader");
    let mut producer = Connection::plain(port).unwrap();
    // Makes the files that publishing needs.
    producer.copy(&lines(0, 1, 10)).unwrap();
    // From here on there is none left.
    let open = |number: &u32| Path::new(&format!("/proc/{pid}/fd/{number}")).is_symlink();
    limit_descriptors(pid, (0..).find(|number| !open(number)).unwrap());
    let waiting = thread::spawn(move || value(port, "SELECT 1"));
    let words = "cannot accept connections; trying again and again";
    eventually("accepting pauses", || server.log().contains(words));

    producer.copy(&lines(1, 10, 10)).unwrap();
    reader.read_all(&(0..11).collect());
    assert!(!waiting.is_finished(), "it was accepted");

    limit_descriptors(pid, 1024);
    assert_eq!(waiting.join().unwrap(), "1");
    drop((reader, producer));
    assert!(server.terminate());
}

/// A startup packet of somebody who is asked for a proof.
fn stranger() -> Vec<u8> {
    let text = b"user\0stranger\0database\0pgspool\0\0";
    let length = u32::try_from(text.len() + 8).unwrap();
    [
        &length.to_be_bytes()[..],
        &(3_u32 << 16).to_be_bytes(),
        text,
    ]
    .concat()
}

#[test]
fn strangers_who_announce_much_cost_no_memory() {
    let home = tempfile::tempdir().unwrap();
    let rules = "host all pgspool 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(home.path().join("pg_hba.conf"), rules).unwrap();
    let server = ServerProcess::start(home.path(), &["auth_delay=5s"]);
    assert_eq!(value(server.port, "SELECT 1"), "1");
    let before = server.memory();
    let huge = 0x4000_0000_u32.to_be_bytes();
    let mut clients = vec![];
    for index in 0..50 {
        let mut client = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        if index % 2 == 1 {
            client.write_all(&stranger()).unwrap();
            // What it is asked for.
            client.read_exact(&mut [0; 9]).unwrap();
            client.write_all(b"p").unwrap();
        }
        client.write_all(&huge).unwrap();
        // It may have been closed by then.
        let _sent = client.write_all(&[0; 64 << 10]);
        clients.push(client);
    }
    std::thread::sleep(Duration::from_millis(500));
    let more = server.memory().saturating_sub(before);
    assert!(more < 16 * MIB, "{more} bytes");
    assert_eq!(value(server.port, "SELECT 1"), "1");
    drop(clients);
    assert!(server.terminate());
}

#[test]
fn a_subscriber_that_never_reads_costs_no_memory_and_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let settings = ["wal_sender_timeout=5s", "spool_segment_size=4MB"];
    let server = ServerProcess::start(home.path(), &settings);
    let port = server.port;
    create_slot(port, "silent");
    create_slot(port, "reader");
    let _silent = Reader::start(port, "silent");
    let mut reader = Reader::start(port, "reader");
    let mut producer = Connection::plain(port).unwrap();
    let mut before = 0;
    for round in 0..20 {
        let first = round * 5000;
        producer.copy(&lines(first, 5000, 1000)).unwrap();
        reader.read_all(&(first..first + 5000).collect());
        reader.confirm();
        if round == 5 {
            before = server.memory();
        }
    }
    // 70 MiB were published since, which the silent one did not take.
    let grew = server.memory().saturating_sub(before);
    assert!(grew < 24 * MIB, "{} MiB more", grew / MIB);
    let active = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'silent' AND active";
    drop(reader);
    eventually("it is dropped", || value(port, active) == "0");
    // Its slot kept everything.
    let mut again = Reader::start(port, "silent");
    again.read_all(&(0..100_000).collect());
    drop(again);
    assert!(server.terminate());
}

#[test]
fn a_producer_that_never_finishes_holds_up_nobody() {
    let home = tempfile::tempdir().unwrap();
    let settings = [
        "spool_segment_size=1MB",
        "wal_keep_size=0",
        "spool_tail_size=2MB",
        "idle_in_transaction_session_timeout=6s",
    ];
    let server = ServerProcess::start(home.path(), &settings);
    let port = server.port;
    create_slot(port, "reader");
    let mut reader = Reader::start(port, "reader");
    let copy = b"COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)\0";
    let mut endless = Connection::plain(port).unwrap();
    endless.query("BEGIN").unwrap();
    endless.send(b'Q', copy).unwrap();
    let mut block = Connection::plain(port).unwrap();
    block.query("BEGIN").unwrap();
    block.copy(&lines(1, 10, 100)).unwrap();
    let idle_since = Instant::now();

    let mut before = 0;
    let mut producer = Connection::plain(port).unwrap();
    for round in 0..30_u64 {
        if round == 10 {
            before = server.memory();
        }
        // The endless one goes on, and stays out of memory: into a file, up to temp_file_limit.
        for line in lines(1_000_000 + round * 2000, 2000, 1000) {
            endless
                .send(b'd', &[line.as_bytes(), b"\n"].concat())
                .unwrap();
        }
        let ids = 1000 * (round + 1)..1000 * (round + 1) + 500;
        producer.copy(&lines(ids.start, 500, 1000)).unwrap();
        reader.read_all(&ids.collect());
        reader.confirm();
    }
    // It sent 40 MiB since.
    let grew = server.memory().saturating_sub(before);
    assert!(grew < 24 * MIB, "{} MiB more", grew / MIB);
    // Retention is not held up.
    let segments = "SELECT count(*) FROM pgspool.segments";
    eventually("old segments go", || {
        value(port, segments).parse::<u64>().unwrap() < 5
    });
    // Who idles in a block is ended; what it had goes, its records were never seen.
    let ended = loop {
        match block.read() {
            Ok(message) if message.tag == b'E' => break message,
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert!(String::from_utf8_lossy(&ended.body).contains("C25P03"));
    assert!(idle_since.elapsed() < PATIENCE);
    endless.close();
    producer.copy(&lines(5_000_000, 1, 10)).unwrap();
    reader.read_all(&BTreeSet::from([5_000_000]));
    let strange = |id: &&u64| **id < 1000 || (1_000_000..5_000_000).contains(*id);
    assert_eq!(reader.seen.iter().filter(strange).count(), 0);
    drop((reader, producer));
    assert!(server.terminate());
}
