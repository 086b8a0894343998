//! `COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)`: lines into durable transactions.
//!
//! The connection's task reads; whole lines go in chunks to a blocking thread, one chunk at a
//! time and in order, where they are decoded and queued for the spool's writer; what is queued is
//! awaited here. So reading, decoding and writing go on side by side, and what is held of a COPY
//! is bounded however long it is. `COPY n` is said only when all n records are durable. After an
//! error what was published stays published, and the client is told how much that is.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pgwire::messages::copy::CopyInResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::conn::{Broken, Conn, CopyInput};
use super::errors::PgError;
use super::session::{Session, SessionEnd, Signal, Stop};
use crate::clock::Moment;
use crate::engine::{Engine, PublishTicket};
use crate::lsn::Lsn;
use crate::sources::ndjson;
use crate::spool::{Appended, MAX_PAYLOAD};

/// Lines are handed on in chunks of about this many bytes.
const CHUNK: usize = 256 << 10;
/// No chunk is handed on while more bytes than this wait to become durable.
const MAX_IN_FLIGHT: usize = 3 << 20;
/// The longest line: a record of the largest payload and a little.
const MAX_LINE: usize = MAX_PAYLOAD + (64 << 10);

/// Runs the COPY of a session and completes the command.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    session: &mut Session<S>,
) -> Result<(), Stop> {
    session.conn.send(&CopyInResponse::new(0, 1, vec![0]));
    session.conn.flush().await.map_err(io_end)?;
    let signal = session.signal();
    let mut copy = CopyIn::new(Arc::clone(&session.engine));
    let outcome = copy.receive(&mut session.conn, signal).await;
    // What was queued is waited for in any case: it is published, and the client is told.
    copy.settle().await;
    match (outcome, copy.failure.take()) {
        (Err(Stop::Session(end)), _) => Err(Stop::Session(end)),
        (Err(Stop::Error(error)), _) | (Ok(()), Some(error)) => {
            Err(Stop::Error(error.with_detail(copy.published.detail())))
        }
        (Ok(()), None) => {
            let tag = format!("COPY {}", copy.published.num_records);
            session.conn.send_complete(&tag);
            Ok(())
        }
    }
}

fn io_end(error: std::io::Error) -> Stop {
    Stop::Session(SessionEnd::Io(error))
}

/// What is durable of a COPY.
#[derive(Debug, Default)]
struct Published {
    num_records: u64,
    last_lsn: Lsn,
}

impl Published {
    fn add(&mut self, appended: Appended) {
        self.num_records += appended.num_transactions;
        self.last_lsn = self.last_lsn.max(appended.last_lsn);
    }

    fn detail(&self) -> String {
        match self.num_records {
            0 => "No record was published before it.".to_owned(),
            1 => format!("1 record was published before it, up to {}.", self.last_lsn),
            n => format!(
                "{n} records were published before it, up to {}.",
                self.last_lsn
            ),
        }
    }
}

/// One COPY.
struct CopyIn {
    engine: Arc<Engine>,
    lines: LineBuffer,
    /// The next chunk's first line, counted from 1.
    next_line: u64,
    job: Option<JoinHandle<Decoded>>,
    in_flight: VecDeque<(PublishTicket, usize)>,
    in_flight_bytes: usize,
    published: Published,
    failure: Option<PgError>,
}

impl CopyIn {
    fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            lines: LineBuffer::default(),
            next_line: 1,
            job: None,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            published: Published::default(),
            failure: None,
        }
    }

    /// Takes lines until the client has sent all and all of it is queued, or something fails.
    async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        conn: &mut Conn<S>,
        signal: impl Future<Output = Signal>,
    ) -> Result<(), Stop> {
        let mut signal = std::pin::pin!(signal);
        let mut done = false;
        while self.failure.is_none() {
            if !done {
                done = self.take_input(conn).await?;
            }
            self.start_job();
            if done && self.job.is_none() && self.lines.is_empty() {
                return Ok(());
            }
            tokio::select! {
                read = conn.fill(), if !done && !self.lines.is_full() => {
                    if read.map_err(io_end)? == 0 {
                        return Err(Stop::Session(SessionEnd::Closed));
                    }
                }
                decoded = join(&mut self.job) => self.finish_job(decoded),
                appended = front(&mut self.in_flight) => self.finish_append(appended),
                signal = &mut signal => return Err(match signal {
                    Signal::Cancelled => PgError::cancelled().into(),
                    Signal::Stopping(_) => PgError::shutdown().into(),
                }),
            }
        }
        Ok(())
    }

    /// Takes what is there already; true when the client has sent all.
    async fn take_input<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        conn: &mut Conn<S>,
    ) -> Result<bool, Stop> {
        loop {
            match self.lines.take_from(conn)? {
                CopyInput::Data => {}
                CopyInput::Done => {
                    self.lines.end();
                    return Ok(true);
                }
                CopyInput::Fail(words) => {
                    let message = format!("COPY from stdin failed: {words}");
                    return Err(PgError::error("57014", message).into());
                }
                CopyInput::Terminate => return Err(Stop::Session(SessionEnd::Terminated)),
            }
            if self.lines.is_too_long() {
                let message = format!("line is longer than {MAX_LINE} bytes");
                let error = PgError::error("54000", message);
                return Err(error.with_context(context(self.next_line)).into());
            }
            if self.lines.is_full() {
                return Ok(false);
            }
            match conn.fill_now().await {
                Some(Ok(0)) => return Err(Stop::Session(Broken::Closed.into())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(io_end(error)),
                None => return Ok(false),
            }
        }
    }

    fn start_job(&mut self) {
        if self.job.is_some() || self.in_flight_bytes > MAX_IN_FLIGHT {
            return;
        }
        if let Some(chunk) = self.lines.take_chunk() {
            let engine = Arc::clone(&self.engine);
            let first_line = self.next_line;
            self.job = Some(tokio::task::spawn_blocking(move || {
                decode_and_submit(&engine, &chunk, first_line)
            }));
        }
    }

    fn finish_job(&mut self, decoded: Decoded) {
        self.next_line = decoded.next_line;
        self.failure = self.failure.take().or(decoded.failure);
        if let Some(ticket) = decoded.ticket {
            self.in_flight_bytes += decoded.num_bytes;
            self.in_flight.push_back((ticket, decoded.num_bytes));
        }
    }

    fn finish_append(&mut self, (outcome, num_bytes): Settled) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(num_bytes);
        match outcome {
            Ok(appended) => self.published.add(appended),
            // A failed append comes before whatever went wrong behind it.
            Err(error) => self.failure = Some(error),
        }
    }

    /// Waits for all that was queued.
    async fn settle(&mut self) {
        if self.job.is_some() {
            let decoded = join(&mut self.job).await;
            self.finish_job(decoded);
        }
        while !self.in_flight.is_empty() {
            let settled = front(&mut self.in_flight).await;
            self.finish_append(settled);
        }
    }
}

fn context(line: u64) -> String {
    format!("COPY changes, line {line}")
}

/// The running job's outcome; takes it out. Never completes without one. Cancel-safe.
async fn join(job: &mut Option<JoinHandle<Decoded>>) -> Decoded {
    let Some(running) = job else {
        return pending().await;
    };
    let decoded = running.await;
    *job = None;
    decoded.unwrap_or_else(|error| Decoded {
        ticket: None,
        num_bytes: 0,
        next_line: 0,
        failure: Some(PgError::error("XX000", format!("internal error: {error}"))),
    })
}

type Settled = (Result<Appended, PgError>, usize);

/// The oldest queued append's outcome; takes it out. Never completes without one. Cancel-safe.
async fn front(in_flight: &mut VecDeque<(PublishTicket, usize)>) -> Settled {
    let Some((ticket, num_bytes)) = in_flight.front_mut() else {
        return pending().await;
    };
    let settled = (ticket.await.map_err(PgError::from), *num_bytes);
    in_flight.pop_front();
    settled
}

/// What became of one chunk.
struct Decoded {
    ticket: Option<PublishTicket>,
    num_bytes: usize,
    next_line: u64,
    failure: Option<PgError>,
}

/// Decodes the lines of `chunk` and queues their records. Blocking.
fn decode_and_submit(engine: &Engine, chunk: &Bytes, first_line: u64) -> Decoded {
    let mut batch = engine.batch(Moment::now());
    let mut failure = None;
    let mut next_line = first_line;
    for line in lines_of(chunk) {
        let pushed = match ndjson::decode_line(line) {
            Ok(record) => batch.push(&record).map_err(PgError::from),
            Err(error) => Err(PgError::bad_line(next_line, &error)),
        };
        if let Err(error) = pushed {
            failure = Some(error.with_context(context(next_line)));
            break;
        }
        next_line += 1;
    }
    let num_bytes = batch.num_bytes();
    let mut ticket = None;
    if !batch.is_empty() {
        match engine.submit(batch) {
            Ok(queued) => ticket = Some(queued),
            Err(error) => failure = Some(error.into()),
        }
    }
    Decoded {
        ticket,
        num_bytes,
        next_line,
        failure,
    }
}

/// The lines of `chunk` without their ends (`\n` or `\r\n`).
fn lines_of(chunk: &[u8]) -> impl Iterator<Item = &[u8]> {
    let chunk = chunk.strip_suffix(b"\n").unwrap_or(chunk);
    let mut rest = Some(chunk);
    std::iter::from_fn(move || {
        let text = rest?;
        let line = match memchr::memchr(b'\n', text) {
            Some(end) => {
                rest = text.get(end + 1..);
                text.get(..end).unwrap_or_default()
            }
            None => {
                rest = None;
                text
            }
        };
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// COPY data that was not handed on yet.
#[derive(Debug, Default)]
struct LineBuffer {
    bytes: BytesMut,
    /// Bytes at the front that are whole lines.
    whole: usize,
}

impl LineBuffer {
    fn take_from<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        conn: &mut Conn<S>,
    ) -> Result<CopyInput, PgError> {
        let known = self.bytes.len();
        let limit = if self.whole > 0 { CHUNK } else { MAX_LINE };
        let input = conn.take_copy_data(&mut self.bytes, limit)?;
        // Only the new bytes are searched, so that a long line is not searched again and again.
        let new = self.bytes.get(known..).unwrap_or_default();
        if let Some(at) = memchr::memrchr(b'\n', new) {
            self.whole = known + at + 1;
        }
        Ok(input)
    }

    /// The client has sent all: what is left is a line, too.
    fn end(&mut self) {
        self.whole = self.bytes.len();
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.whole > 0 && self.bytes.len() >= CHUNK
    }

    fn is_too_long(&self) -> bool {
        self.whole == 0 && self.bytes.len() >= MAX_LINE
    }

    fn take_chunk(&mut self) -> Option<Bytes> {
        let whole = std::mem::take(&mut self.whole);
        (whole > 0).then(|| self.bytes.split_to(whole).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_without_their_ends() {
        for (chunk, lines) in [
            (&b"a\nb\n"[..], vec![&b"a"[..], b"b"]),
            (b"a\r\nb", vec![b"a", b"b"]),
            (b"\n", vec![b""]),
            (b"a\n\n", vec![b"a", b""]),
        ] {
            let cut: Vec<&[u8]> = lines_of(chunk).collect();
            assert_eq!(cut, lines);
        }
    }

    #[tokio::test]
    async fn data_is_put_together_across_messages_of_any_size() {
        use tokio::io::AsyncWriteExt;
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let mut conn = Conn::new(server);
        let mut sent = vec![];
        for piece in [&b"{\"a\":"[..], b"1}\n{\"b\"", b"", b":2}\n{\"c\":3}"] {
            sent.push(b'd');
            let len = u32::try_from(piece.len() + 4).unwrap();
            sent.extend_from_slice(&len.to_be_bytes());
            sent.extend_from_slice(piece);
        }
        sent.extend_from_slice(b"H\0\0\0\x04c\0\0\0\x04Q");
        let mut lines = LineBuffer::default();
        let mut chunks = vec![];
        for byte in sent {
            client.write_all(&[byte]).await.unwrap();
            conn.fill().await.unwrap();
            if lines.take_from(&mut conn).unwrap() == CopyInput::Done {
                lines.end();
            }
            chunks.extend(lines.take_chunk());
        }
        let expected = [&b"{\"a\":1}\n"[..], b"{\"b\":2}\n", b"{\"c\":3}"];
        assert_eq!(chunks, expected);
        assert_eq!(conn.buffered(), b"Q");
    }
}
