//! A storm of logins with wrong proofs beside a stream, against as many connections to a listener
//! that accepts and closes.
//!
//! Both are begun on the same timetable by the same client with as many of them under way, so
//! what differs is only what the server does with them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::login::{initial_response, wrong_answer};
use super::reader::Reading;
use super::{ROLE, make_role};
use crate::cli::bench::client::startup;
use crate::cli::bench::report::{Row, Target, human, median, rate};
use crate::cli::bench::server::ServerProcess;
use crate::cli::bench::stream::publish;
use crate::cli::bench::{BenchError, joined};

const ROUNDS: usize = 5;
const LOGINS: u32 = 10_000;
/// How many are under way at most.
const UNDER_WAY: u32 = 64;
/// Far more than are under way: whoever was refused keeps its place until the server has seen that
/// it left, and without a place the server would cut some off before their proof.
const PLACES: &str = "max_unauthenticated_connections=1000";
/// When one is begun after the other.
const EVERY: Duration = Duration::from_micros(500);
const SLOT: &str = "reader";

/// What happens to the connections of a storm.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// They are accepted and closed.
    Closed,
    /// They are logins with a wrong proof.
    Refused,
}

/// Connections on a timetable, the same for both kinds.
#[derive(Debug)]
struct Storm {
    kind: Kind,
    address: SocketAddr,
    every: Duration,
    next: AtomicU32,
    packet: Vec<u8>,
    initial_response: Vec<u8>,
}

/// One pace, its rounds and what came out of them.
struct Measured {
    with_logins: Vec<f64>,
    with_closed: Vec<f64>,
    ratios: Vec<f64>,
    logins: Vec<f64>,
}

/// Both rows: on a timetable, and as fast as the server answers.
pub(super) fn run(scratch: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    // As servers are run, with a line in the log for each refusal, but for the delay of a refusal:
    // with it 64 clients are refused 256 times a second, which no stream notices.
    let settings = ["admin_listen=127.0.0.1:0", "auth_delay=0", PLACES];
    let server = ServerProcess::start_with(exe, scratch, &settings, "info")?;
    make_role(&server)?;
    let mut control = server.connect_replication()?;
    control.query(&format!(
        "CREATE_REPLICATION_SLOT {SLOT} LOGICAL json (SNAPSHOT 'nothing')"
    ))?;
    publish(&server)?;
    let reading = Reading::default();
    let measured = thread::scope(|scope| {
        let reader = scope.spawn(|| reading.run(&server, SLOT));
        let measured = rounds(&server, &reading, Some(EVERY))
            .and_then(|paced| Ok((paced, rounds(&server, &reading, None)?)));
        reading.over.store(true, Ordering::Relaxed);
        joined(reader)?;
        measured
    });
    let (paced, unpaced) = measured?;
    check_count(&server)?;
    let pace = format!("begun every {} µs", EVERY.as_micros());
    Ok(vec![
        paced.row(&pace, Target::AtLeast(0.8)),
        unpaced.row("as fast as they are refused", Target::None),
    ])
}

/// Rounds of both kinds in turn. Without a pace the logins come first and set it for the others.
fn rounds(
    server: &ServerProcess,
    reading: &Reading,
    pace: Option<Duration>,
) -> Result<Measured, BenchError> {
    let mut all = Measured {
        with_logins: vec![],
        with_closed: vec![],
        ratios: vec![],
        logins: vec![],
    };
    for round in 0..ROUNDS {
        let logins = |every| beside(reading, Kind::Refused, server.address(), every);
        let closed = |every| {
            let listener = Closing::start()?;
            beside(reading, Kind::Closed, listener.address, every)
        };
        let (refused, closed) = match pace {
            None => {
                let refused = logins(Duration::ZERO)?;
                let closed = closed(refused.elapsed / LOGINS)?;
                (refused, closed)
            }
            Some(every) if round % 2 == 0 => (logins(every)?, closed(every)?),
            Some(every) => {
                let closed = closed(every)?;
                (logins(every)?, closed)
            }
        };
        all.with_logins.push(refused.stream);
        all.with_closed.push(closed.stream);
        all.ratios.push(refused.stream / closed.stream);
        all.logins.push(rate(u64::from(LOGINS), refused.elapsed));
    }
    Ok(all)
}

impl Measured {
    fn row(self, pace: &str, target: Target) -> Row {
        let logins = human(median(self.logins));
        let (with_logins, with_closed) = (median(self.with_logins), median(self.with_closed));
        Row {
            what: format!("a stream beside {LOGINS} refused logins, {pace} ({logins}refused/s)"),
            ours: format!("{}msg/s", human(with_logins)),
            reference: format!(
                "{}msg/s: as many accepted and closed elsewhere",
                human(with_closed)
            ),
            figure: median(self.ratios),
            target,
        }
    }
}

/// What was seen during one storm.
struct Seen {
    /// Messages a second of the stream.
    stream: f64,
    elapsed: Duration,
}

/// One storm beside the reader.
fn beside(
    reading: &Reading,
    kind: Kind,
    address: SocketAddr,
    every: Duration,
) -> Result<Seen, BenchError> {
    let storm = Arc::new(Storm {
        kind,
        address,
        every,
        next: AtomicU32::new(0),
        packet: startup(ROLE, "pgspool", &[]),
        initial_response: initial_response(),
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let before = reading.num_read.load(Ordering::Relaxed);
    let started = Instant::now();
    runtime.block_on(storm.run(started))?;
    let elapsed = started.elapsed();
    let read = reading.num_read.load(Ordering::Relaxed) - before;
    Ok(Seen {
        stream: rate(read, elapsed),
        elapsed,
    })
}

impl Storm {
    /// All of them; an error unless each ended as it should.
    async fn run(self: Arc<Self>, started: Instant) -> io::Result<()> {
        let mut clients = JoinSet::new();
        for _ in 0..UNDER_WAY {
            clients.spawn(Arc::clone(&self).client(started));
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// One of those that are under way together: begins the next one when it is due.
    async fn client(self: Arc<Self>, started: Instant) -> io::Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= LOGINS {
                return Ok(());
            }
            if !self.every.is_zero() {
                tokio::time::sleep_until(started + self.every * number).await;
            }
            let socket = TcpStream::connect(self.address).await?;
            match self.kind {
                Kind::Closed => until_closed(socket).await?,
                Kind::Refused => self.be_refused(socket).await?,
            }
        }
    }

    /// A login that ends as it must.
    async fn be_refused(&self, socket: TcpStream) -> io::Result<()> {
        let mut socket = BufReader::with_capacity(1024, socket);
        socket.write_all(&self.packet).await?;
        expect(&mut socket, b'R').await?;
        socket.write_all(&message(&self.initial_response)).await?;
        let challenge = expect(&mut socket, b'R').await?;
        let challenge = challenge.get(4..).unwrap_or_default();
        let answer = wrong_answer(challenge).ok_or(io::ErrorKind::InvalidData)?;
        socket.write_all(&message(answer.as_bytes())).await?;
        let error = expect(&mut socket, b'E').await?;
        if is_wrong_password(&error) {
            Ok(())
        } else {
            let words = String::from_utf8_lossy(&error);
            Err(io::Error::other(format!("refused otherwise: {words}")))
        }
    }
}

/// Whether the fields of an error say 28P01.
fn is_wrong_password(fields: &[u8]) -> bool {
    fields
        .split(|byte| *byte == 0)
        .any(|field| field == b"C28P01")
}

/// What a client says while it logs in.
fn message(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = vec![b'p'];
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(body);
    message
}

async fn expect(socket: &mut BufReader<TcpStream>, kind: u8) -> io::Result<Vec<u8>> {
    let found = socket.read_u8().await?;
    let len = socket.read_u32().await?.saturating_sub(4);
    let mut body = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    socket.read_exact(&mut body).await?;
    if found == kind {
        Ok(body)
    } else {
        let words = String::from_utf8_lossy(&body);
        Err(io::Error::other(format!(
            "message {found}, not {kind}: {words}"
        )))
    }
}

async fn until_closed(mut socket: TcpStream) -> io::Result<()> {
    match socket.read_u8().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A listener that accepts and closes, until it is dropped.
struct Closing {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Closing {
    fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread =
            thread::spawn(
                move || {
                    while !is_over.load(Ordering::Relaxed) && listener.accept().is_ok() {}
                },
            );
        Ok(Self {
            address,
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        drop(std::net::TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// The server must have counted and logged each of them.
fn check_count(server: &ServerProcess) -> Result<(), BenchError> {
    let expected = u64::from(LOGINS) * u64::try_from(2 * ROUNDS)?;
    let counted = counted(&server.metrics()?);
    let log = server.log()?;
    let logged = log.matches("connection refused: 28P01").count();
    if counted == Some(expected) && u64::try_from(logged)? == expected {
        return Ok(());
    }
    let words = format!("{expected} logins were refused, {counted:?} counted, {logged} logged");
    Err(words.into())
}

/// Refused passwords in the metrics.
fn counted(metrics: &str) -> Option<u64> {
    let name = "pgspool_logins_refused_total{reason=\"password\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(name));
    count?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_password_is_one() {
        let error = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0";
        assert!(is_wrong_password(error));
        let error = b"SFATAL\0VFATAL\0C53300\0M28P01\0\0";
        assert!(!is_wrong_password(error));
        assert!(!is_wrong_password(b""));
    }

    #[test]
    fn the_count_of_refused_passwords_is_found_among_metrics() {
        let metrics = "# HELP pgspool_logins_refused_total x\n\
                       pgspool_logins_refused_total{reason=\"limit\"} 3\n\
                       pgspool_logins_refused_total{reason=\"password\"} 20000\n";
        assert_eq!(counted(metrics), Some(20_000));
        assert_eq!(counted("pgspool_up 1\n"), None);
    }

    #[test]
    fn a_storm_makes_all_its_connections_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counting = thread::spawn(move || {
            let accepted = listener.incoming().take(usize::try_from(LOGINS).unwrap());
            accepted.filter(|socket| socket.is_ok()).count()
        });
        let reading = Reading::default();
        let seen = beside(&reading, Kind::Closed, address, Duration::ZERO).unwrap();
        assert_eq!(seen.stream, 0.0);
        assert_eq!(counting.join().unwrap(), usize::try_from(LOGINS).unwrap());
        // Nobody listens there any more.
        assert!(beside(&reading, Kind::Closed, address, Duration::ZERO).is_err());
    }
}
