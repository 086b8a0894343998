//! `COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)`: lines into durable transactions.
//!
//! The connection's task reads; what came goes in chunks to a blocking thread, one chunk at a
//! time and in order, where it is decoded and queued for the spool's writer; what is queued is
//! awaited here. So reading, decoding and writing go on side by side, and what is held of a COPY
//! is bounded however long it is. `COPY n` is said only when all n records are durable, and
//! confirmed where the commit policy asks for it. After an error what was published stays
//! published, and the client is told how much that is.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pgwire::messages::copy::CopyInResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinHandle};

use super::confirm::Confirmation;
use super::conn::{Conn, CopyInput};
use super::session::{Session, SessionEnd, Signal, Stop};
use crate::clock::Moment;
use crate::engine::{Batch, Engine, PublishError, PublishTicket};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::SynchronousCommit;
use crate::sources::ndjson::{LineError, RecordDecoder};
use crate::spool::{Appended, MAX_PAYLOAD};

/// Data is handed on in chunks of about this many bytes.
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
    let mut signal = Box::pin(session.signal());
    let synchronous = session
        .state
        .settings(|settings| settings.synchronous_commit());
    let mut copy = CopyIn::new(Arc::clone(&session.engine), synchronous);
    let mut outcome = copy.receive(&mut session.conn, signal.as_mut()).await;
    // What was queued is waited for in any case: it is published, and the client is told.
    copy.settle().await;
    if outcome.is_ok() {
        outcome = copy.confirm(signal.as_mut()).await;
    }
    match outcome {
        Ok(()) => {
            let tag = format!("COPY {}", copy.published.num_records);
            session.conn.send_complete(&tag);
            Ok(())
        }
        Err(Stop::Error(error)) => {
            let detail = copy.published.detail();
            Err(Stop::Error(error.with_detail_first(detail)))
        }
        Err(Stop::Session(end)) => Err(Stop::Session(end)),
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
        let last_lsn = self.last_lsn;
        match self.num_records {
            0 => "No record of this COPY was published.".to_owned(),
            1 => format!("1 record of this COPY was published, up to {last_lsn}."),
            n => format!("{n} records of this COPY were published, up to {last_lsn}."),
        }
    }
}

/// One COPY.
struct CopyIn {
    engine: Arc<Engine>,
    /// What the end waits for.
    synchronous: SynchronousCommit,
    /// Read and not handed on yet.
    waiting: BytesMut,
    decoder: Decoder,
    in_flight: VecDeque<(PublishTicket, usize)>,
    in_flight_bytes: usize,
    published: Published,
    failure: Option<PgError>,
}

/// The decoder is here, or away on a blocking thread with a chunk.
enum Decoder {
    Here(Box<RecordDecoder>),
    Away(JoinHandle<Decoded>),
    /// The data is over: all of it was decoded, or an error ended it.
    Finished,
}

impl CopyIn {
    fn new(engine: Arc<Engine>, synchronous: SynchronousCommit) -> Self {
        let decoder = Box::new(RecordDecoder::new(engine.term(), MAX_LINE));
        Self {
            engine,
            synchronous,
            waiting: BytesMut::new(),
            decoder: Decoder::Here(decoder),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            published: Published::default(),
            failure: None,
        }
    }

    /// Takes data until the client has sent all and all of it is queued, or something fails.
    async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        conn: &mut Conn<S>,
        mut signal: impl Future<Output = Signal> + Unpin,
    ) -> Result<(), Stop> {
        let mut done = false;
        while !matches!(self.decoder, Decoder::Finished) && self.failure.is_none() {
            if !done {
                done = self.take_input(conn).await?;
            }
            self.hand_on(done);
            tokio::select! {
                read = conn.fill(), if !done && self.waiting.len() < CHUNK => {
                    if read.map_err(io_end)? == 0 {
                        return Err(Stop::Session(SessionEnd::Closed));
                    }
                }
                decoded = join(&mut self.decoder) => self.queue(decoded),
                appended = front(&mut self.in_flight) => self.note(appended),
                signal = &mut signal => return Err(signal.into()),
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
            match conn.take_copy_data(&mut self.waiting, CHUNK)? {
                CopyInput::Data => {}
                CopyInput::Done => return Ok(true),
                CopyInput::Fail(words) => {
                    let message = format!("COPY from stdin failed: {words}");
                    return Err(PgError::error("57014", message).into());
                }
                CopyInput::Terminate => return Err(Stop::Session(SessionEnd::Terminated)),
            }
            if self.waiting.len() >= CHUNK {
                return Ok(false);
            }
            match conn.fill_now().await {
                Some(Ok(0)) => return Err(Stop::Session(SessionEnd::Closed)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(io_end(error)),
                None => return Ok(false),
            }
        }
    }

    /// Gives the decoder what is waiting, when it is free and not too much is in flight.
    fn hand_on(&mut self, done: bool) {
        if self.in_flight_bytes > MAX_IN_FLIGHT || (self.waiting.is_empty() && !done) {
            return;
        }
        self.decoder = match std::mem::replace(&mut self.decoder, Decoder::Finished) {
            Decoder::Here(decoder) => {
                let engine = Arc::clone(&self.engine);
                let chunk = self.waiting.split().freeze();
                Decoder::Away(tokio::task::spawn_blocking(move || {
                    decode_and_submit(&engine, decoder, &chunk, done)
                }))
            }
            other @ (Decoder::Away(_) | Decoder::Finished) => other,
        };
    }

    /// Takes the decoder back and queues what it decoded.
    fn queue(&mut self, decoded: Result<Decoded, JoinError>) {
        match decoded {
            Ok(decoded) => {
                if let Some(ticket) = decoded.ticket {
                    self.in_flight_bytes += decoded.num_bytes;
                    self.in_flight.push_back((ticket, decoded.num_bytes));
                }
                self.failure = self.failure.take().or(decoded.failure);
                self.decoder = decoded.decoder.map_or(Decoder::Finished, Decoder::Here);
            }
            Err(error) => {
                let message = format!("internal error: {error}");
                self.failure = Some(PgError::error("XX000", message));
                self.decoder = Decoder::Finished;
            }
        }
    }

    fn note(&mut self, (outcome, num_bytes): Settled) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(num_bytes);
        match outcome {
            Ok(appended) => self.published.add(appended),
            // A failed append comes before whatever went wrong behind it.
            Err(error) => self.failure = Some(error),
        }
    }

    /// Waits for all that was queued.
    async fn settle(&mut self) {
        if matches!(self.decoder, Decoder::Away(_)) {
            let decoded = join(&mut self.decoder).await;
            self.queue(decoded);
        }
        while !self.in_flight.is_empty() {
            let settled = front(&mut self.in_flight).await;
            self.note(settled);
        }
    }

    /// Waits until others have confirmed what was published, as the commit policy asks.
    async fn confirm(&mut self, signal: impl Future<Output = Signal> + Unpin) -> Result<(), Stop> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        if self.published.num_records == 0 {
            return Ok(());
        }
        let target = self.published.last_lsn;
        let Some(confirmation) = Confirmation::begin(&self.engine, target, self.synchronous) else {
            return Ok(());
        };
        tokio::select! {
            outcome = confirmation.wait() => Ok(outcome?),
            signal = signal => Err(signal.into()),
        }
    }
}

/// The outcome of the decoder that is away. Never completes while it is not. Cancel-safe.
async fn join(decoder: &mut Decoder) -> Result<Decoded, JoinError> {
    match decoder {
        Decoder::Away(running) => running.await,
        Decoder::Here(_) | Decoder::Finished => pending().await,
    }
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
    /// To go on with; none when the data is over.
    decoder: Option<Box<RecordDecoder>>,
    failure: Option<PgError>,
}

/// Decodes `chunk` and queues its records. Blocking.
fn decode_and_submit(
    engine: &Engine,
    mut decoder: Box<RecordDecoder>,
    chunk: &Bytes,
    last: bool,
) -> Decoded {
    let mut batch = engine.batch(Moment::now());
    let mut failure = decode(&mut decoder, chunk, last, &mut batch).err();
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
        decoder: (!last && failure.is_none()).then_some(decoder),
        failure,
    }
}

/// Why the decoder stopped within a chunk.
enum Halt {
    /// It needs more data.
    UsedUp,
    Line(LineError),
    Publish(PublishError),
}

impl From<PublishError> for Halt {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

/// Puts the records of `chunk` into `batch`, up to the first that is none.
fn decode(
    decoder: &mut RecordDecoder,
    mut chunk: &[u8],
    last: bool,
    batch: &mut Batch,
) -> Result<(), PgError> {
    let now_ms = batch.unix_ms();
    loop {
        let pushed = batch.push_with(|out| {
            let mut record = decoder.next(&mut chunk, now_ms, out).map_err(Halt::Line)?;
            if record.is_none() && last {
                record = decoder.finish(now_ms, out).map_err(Halt::Line)?;
            }
            record.map(|record| record.lsn_at).ok_or(Halt::UsedUp)
        });
        match pushed {
            Ok(()) => {}
            Err(Halt::UsedUp) => return Ok(()),
            Err(Halt::Line(error)) => return Err(error.into()),
            Err(Halt::Publish(error)) => {
                let context = format!("COPY changes, line {}", decoder.line());
                return Err(PgError::from(error).with_context(context));
            }
        }
    }
}
