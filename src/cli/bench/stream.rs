//! Streaming to readers that only count, against the loopback with bytes encoded beforehand.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::report::{Row, Target, human, median, rate, real};
use super::server::ServerProcess;
use super::{BenchError, joined};

pub(super) const RECORDS: u64 = 2_000_000;
const ROUNDS: usize = 3;
const READERS: u64 = 8;
/// A record of 200 bytes in its XLogData message.
const MESSAGE_BYTES: usize = 230;

/// One reader, and eight together.
pub(super) fn run(scratch: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    let server = ServerProcess::start(exe, scratch)?;
    let names: Vec<String> = (0..READERS)
        .map(|number| format!("reader_{number}"))
        .collect();
    let mut control = server.connect_replication()?;
    for name in &names {
        control.query(&format!(
            "CREATE_REPLICATION_SLOT {name} LOGICAL json (SNAPSHOT 'nothing')"
        ))?;
    }
    publish(&server)?;
    let (mut loops, mut ones, mut eights) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        loops.push(loopback()?);
        ones.push(together(&server, names.get(..1).unwrap_or_default())?);
        eights.push(together(&server, &names)?);
    }
    let ratios = |ours: &[f64]| median(ours.iter().zip(&loops).map(|(a, b)| a / b).collect());
    let (one, eight) = (ratios(&ones), ratios(&eights));
    let reference = format!("{}msg/s: loopback, encoded before", human(median(loops)));
    let row = |what: &str, rates, figure, target| Row {
        what: what.to_owned(),
        ours: format!("{}msg/s", human(median(rates))),
        reference: reference.clone(),
        figure,
        target: Target::AtLeast(target),
    };
    Ok(vec![
        row("streaming to one raw reader", ones, one, 0.3),
        row(
            "streaming to eight raw readers together",
            eights,
            eight,
            0.5,
        ),
    ])
}

/// Publishes what the readers read.
pub(super) fn publish(server: &ServerProcess) -> Result<(), BenchError> {
    let lines = super::sample_lines(RECORDS)?;
    let copy = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)";
    Ok(server.connect()?.copy_in(copy, &lines, 64 << 10)?)
}

/// Messages a second of all readers together. Nothing is acknowledged, so every round begins at
/// the slots' positions again.
pub(super) fn together(server: &ServerProcess, names: &[String]) -> Result<f64, BenchError> {
    let mut clients = Vec::new();
    for name in names {
        clients.push((server.connect_replication()?, name));
    }
    let started = Instant::now();
    let results: Vec<Result<(), BenchError>> = thread::scope(|scope| {
        let read = |(mut client, name): (Client, &String)| {
            start(&mut client, name)?;
            count_messages(client.stream(), RECORDS)?;
            Ok(())
        };
        let handles: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || read(client)))
            .collect();
        handles.into_iter().map(joined).collect()
    });
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    let readers = u64::try_from(names.len())?;
    Ok(rate(RECORDS * readers, started.elapsed()))
}

/// Starts the stream. The connection of the round before may still be closing: its slot is free
/// once the server has seen that.
pub(super) fn start<S: Read + Write>(client: &mut Client<S>, name: &str) -> io::Result<()> {
    let patience = Instant::now();
    loop {
        client.send_query(&format!("START_REPLICATION SLOT {name} LOGICAL 0/0"))?;
        match client.expect(b'W') {
            Ok(_) => return Ok(()),
            Err(error) if patience.elapsed() > Duration::from_secs(5) => return Err(error),
            Err(_) => {
                client.expect(b'Z')?;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Reads CopyData messages until `count` of them were records.
pub(super) fn count_messages(mut socket: impl Read, count: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let (mut filled, mut seen) = (0, 0_u64);
    while seen < count {
        let room = buffer.get_mut(filled..).unwrap_or_default();
        let read = socket.read(room)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let mut at = 0;
        while let Some((length, kind)) = header(&buffer, at, filled) {
            seen += u64::from(kind == b'w');
            at += length;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
    Ok(())
}

/// Length and first body byte of the message at `at`, when it is whole.
pub(super) fn header(buffer: &[u8], at: usize, filled: usize) -> Option<(usize, u8)> {
    let bytes = buffer.get(at..filled)?;
    let length = u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?);
    let length = usize::try_from(length).ok()?.checked_add(1)?;
    let whole = bytes.get(..length)?;
    Some((length, whole.get(5).copied().unwrap_or_default()))
}

/// Messages a second when nothing has to be done but to move them.
fn loopback() -> Result<f64, BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let writer = thread::spawn(move || -> io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        let mut message = vec![b'x'; MESSAGE_BYTES];
        let length = u32::try_from(MESSAGE_BYTES - 1)
            .unwrap_or_default()
            .to_be_bytes();
        for (byte, value) in message
            .iter_mut()
            .zip([b'd'].into_iter().chain(length).chain(*b"w"))
        {
            *byte = value;
        }
        let chunk = message.repeat((256 << 10) / MESSAGE_BYTES);
        let per_chunk = chunk.len() / MESSAGE_BYTES;
        let chunks = usize::try_from(RECORDS).unwrap_or_default() / per_chunk + 1;
        (0..chunks).try_for_each(|_| socket.write_all(&chunk))
    });
    let socket = TcpStream::connect(address)?;
    let started = Instant::now();
    count_messages(&socket, RECORDS)?;
    let elapsed = started.elapsed();
    drop(socket);
    // The writer may still hold a little more than was asked for: its error is no news.
    let _ = writer.join();
    Ok(real(RECORDS) / elapsed.as_secs_f64())
}
