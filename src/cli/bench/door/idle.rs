//! What it costs to be connected: sessions that idle, and streams that have nothing to send.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::login::Password;
use super::reader::status;
use super::{PASSWORD, ROLE, make_role};
use crate::cli::bench::client::{Client, startup};
use crate::cli::bench::report::{Row, Target, human, real};
use crate::cli::bench::server::ServerProcess;
use crate::cli::bench::{BenchError, joined, sample_lines};
use crate::server::raise_descriptor_limit;

const SESSIONS: u64 = 2_000;
const STREAMS: u64 = 1_000;
/// Clients that log in at the same time, each its part one by one.
const THREADS: u64 = 8;
/// How long any one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sockets of both sides, a segment for each stream, and some for files.
const DESCRIPTORS: u64 = 2 * (SESSIONS + STREAMS) + 1_000;
const SETTINGS: [&str; 3] = [
    "max_connections=2100",
    "max_wal_senders=1100",
    "max_replication_slots=1100",
];

/// Memory of each, with all of them there and alive at the end.
pub(super) fn run(scratch: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    if let Some(most) = raise_descriptor_limit()
        && most < DESCRIPTORS
    {
        return Err(format!("needs {DESCRIPTORS} open files, {most} are allowed").into());
    }
    let server = ServerProcess::start_with(exe, scratch, &SETTINGS, "warn")?;
    make_role(&server)?;
    let password = Password::new(PASSWORD);
    // What is there for the first one only is not what one more costs.
    drop(log_in(&server, &password, &[])?);
    let empty = settled(&server)?;
    let mut sessions = many(SESSIONS, || log_in(&server, &password, &[]))?;
    let idle = settled(&server)?;
    ask_each(&mut sessions)?;
    let asked = settled(&server)?;

    make_slots(&server)?;
    let before = settled(&server)?;
    let more = [("replication", "database")];
    let mut streams = many(STREAMS, || log_in(&server, &password, &more))?;
    for (number, stream) in (1..).zip(&mut streams) {
        stream.send_query(&format!("START_REPLICATION SLOT slot_{number} LOGICAL 0/0"))?;
        stream.expect(b'W')?;
        expect_copy(stream, b'k')?;
    }
    let open = settled(&server)?;
    let copy = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)";
    server.connect()?.copy_in(copy, &sample_lines(10)?, 4096)?;
    for stream in &mut streams {
        for _ in 0..10 {
            expect_copy(stream, b'w')?;
        }
    }
    let sent = settled(&server)?;

    ask_each(&mut sessions)?;
    for stream in &mut streams {
        stream.send(b'd', &status([0; 8], true))?;
        expect_copy(stream, b'k')?;
    }
    Ok(vec![
        row("idle session", SESSIONS, empty, idle),
        row("session that has asked once", SESSIONS, empty, asked),
        row("open stream with nothing to send", STREAMS, before, open),
        row("stream that has sent ten records", STREAMS, before, sent),
    ])
}

fn row(what: &str, count: u64, before: u64, after: u64) -> Row {
    let each = real(after.saturating_sub(before)) / real(count);
    Row {
        what: format!(
            "resident memory, {what} ({} of them)",
            human(real(count)).trim()
        ),
        ours: format!("{}B each", human(each)),
        reference: format!(
            "{}B before, {}B with all",
            human(real(before)),
            human(real(after))
        ),
        figure: real(after) / real(before).max(1.0),
        target: Target::None,
    }
}

/// Resident memory once nothing moves any more.
fn settled(server: &ServerProcess) -> Result<u64, BenchError> {
    thread::sleep(Duration::from_secs(1));
    server.resident()
}

fn make_slots(server: &ServerProcess) -> Result<(), BenchError> {
    let sql = format!(
        "SELECT pg_create_logical_replication_slot('slot_' || i, 'json') \
         FROM generate_series(1, {STREAMS}) i"
    );
    // They are the guest's who makes them.
    let password = Password::new(PASSWORD);
    Ok(log_in(server, &password, &[])?.query(&sql)?)
}

fn log_in(
    server: &ServerProcess,
    password: &Password,
    more: &[(&str, &str)],
) -> Result<Client, BenchError> {
    let socket = TcpStream::connect(server.address())?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut client = Client::over(socket, &startup(ROLE, "pgspool", more))?;
    password.log_in(&mut client)?;
    Ok(client)
}

/// As many as that, made by a few threads.
fn many(
    count: u64,
    make: impl Fn() -> Result<Client, BenchError> + Sync,
) -> Result<Vec<Client>, BenchError> {
    let part = || (0..count / THREADS).map(|_| make()).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(part)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let made: Result<Vec<Client>, BenchError> = joined(thread);
            all.append(&mut made?);
        }
        Ok(all)
    })
}

fn ask_each(sessions: &mut [Client]) -> io::Result<()> {
    sessions
        .iter_mut()
        .try_for_each(|session| session.query("SELECT 1"))
}

/// Reads until a CopyData message of that kind.
fn expect_copy(client: &mut Client, kind: u8) -> io::Result<()> {
    while client.expect(b'd')?.1.first() != Some(&kind) {}
    Ok(())
}
