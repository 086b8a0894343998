//! `COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)`: lines into durable transactions; and
//! `COPY table FROM STDIN`, whose rows all go to the transaction's buffer (`copy_rows`).
//!
//! The connection's task reads; what came goes in chunks to a blocking thread, one chunk at a
//! time and in order, where it is decoded and queued for the spool's writer; what is queued is
//! awaited here. So reading, decoding and writing go on side by side, and what is held of a COPY
//! is bounded however long it is. `COPY n` is said only when all n records are durable, and
//! confirmed where the commit policy asks for it. After an error what was published stays
//! published, and the client is told how much that is.
//!
//! In a transaction block the records go to the block's buffer instead and wait there for its
//! COMMIT. `n` counts what was taken: a record that its producer published before, too.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pgwire::messages::copy::CopyInResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinHandle};

use super::confirm::Confirmation;
use super::conn::{Conn, CopyInput};
use super::copy_rows::RowSource;
use super::host::SessionState;
use super::session::{Session, SessionEnd, Signal, Stop};
use crate::change::{ChangeRecord, OpenRecord, ProducerName};
use crate::clock::Moment;
use crate::engine::{Engine, PublishError, PublishTicket, TransactionBuffer};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::replicas::SynchronousCommit;
use crate::sources::ndjson::{LineError, RecordDecoder};
use crate::spool::{Appended, MAX_PAYLOAD};

/// Data is handed on in chunks of about this many bytes.
const CHUNK: usize = 256 << 10;
/// No chunk is handed on while more bytes than this wait to become durable.
const MAX_IN_FLIGHT: usize = 3 << 20;
/// What a line may be longer than the payload that it becomes.
const SPARE: usize = 64 << 10;

/// Where the records of a COPY go.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// The session's producer, which then numbers every record.
    pub(super) producer: Option<ProducerName>,
    /// The buffer of the open block, if there is one.
    pub(super) block: Option<TransactionBuffer>,
    /// What reads rows of a table; else lines are records.
    pub(super) rows: Option<Box<RowSource>>,
}

/// Runs the COPY of a session; returns its tag. A block's buffer comes back in `target`
/// whatever happens; after an error records of this COPY may be in it, so the block has failed.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    session: &mut Session<S>,
    target: &mut Target,
) -> Result<String, Stop> {
    let response = match &target.rows {
        Some(rows) => rows.response(),
        None => CopyInResponse::new(0, 1, vec![0]),
    };
    session.conn.send(&response);
    session.conn.flush().await.map_err(io_end)?;
    let synchronous = session
        .state
        .settings(|settings| settings.synchronous_commit());
    let mut copy = CopyIn::new(&session.state, synchronous, target);
    let outcome = take(session, &mut copy).await;
    target.block = copy.decoder.into_block();
    outcome
}

async fn take<S: AsyncRead + AsyncWrite + Unpin + Send>(
    session: &mut Session<S>,
    copy: &mut CopyIn,
) -> Result<String, Stop> {
    let mut signal = Box::pin(session.signal());
    let mut outcome = copy.receive(&mut session.conn, signal.as_mut()).await;
    // What was queued is waited for in any case: it is published, and the client is told.
    copy.settle().await;
    if outcome.is_ok() {
        outcome = copy.confirm(signal.as_mut()).await;
    }
    match outcome {
        Ok(()) => Ok(format!("COPY {}", copy.published.num_records)),
        // What is in a block is not published yet.
        Err(Stop::Error(error)) if copy.in_block => Err(Stop::Error(error)),
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
    fn add(&mut self, num_records: u64, appended: Appended) {
        self.num_records += num_records;
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
    state: Arc<SessionState>,
    /// What the end waits for.
    synchronous: SynchronousCommit,
    /// Read and not handed on yet.
    waiting: BytesMut,
    decoder: Decoder,
    in_block: bool,
    /// What the right to publish is asked for.
    published_as: String,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    published: Published,
    failure: Option<PgError>,
}

/// The decoder is here, or away on a blocking thread with a chunk.
enum Decoder {
    Here(Box<Decoding>),
    Away(JoinHandle<Decoded>),
    /// The data is over: all of it was decoded, or an error ended it.
    Finished(Option<Box<Decoding>>),
}

impl Decoder {
    fn into_block(self) -> Option<TransactionBuffer> {
        match self {
            Self::Here(decoding) => decoding.block,
            Self::Finished(decoding) => decoding?.block,
            // It was waited for before.
            Self::Away(_) => None,
        }
    }
}

/// The decoder and where its records go.
struct Decoding {
    source: Records,
    /// Else each record is a transaction of its own.
    block: Option<TransactionBuffer>,
}

/// What data is read as.
enum Records {
    /// A record each line.
    Lines(RecordDecoder),
    /// Rows of a table.
    Rows(Box<RowSource>),
}

/// Records that were queued.
struct InFlight {
    ticket: PublishTicket,
    sent: Sent,
}

/// How much was queued at once.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    num_records: u64,
    num_bytes: usize,
}

impl CopyIn {
    fn new(state: &Arc<SessionState>, synchronous: SynchronousCommit, target: &mut Target) -> Self {
        let engine = Arc::clone(&state.engine);
        let block = target.block.take();
        let term = block
            .as_ref()
            .map_or_else(|| engine.term(), TransactionBuffer::term);
        let max_line = state.shared.options.limits.max_copy_line;
        let max_line = max_line.min(MAX_PAYLOAD).saturating_add(SPARE);
        let (source, published_as) = match target.rows.take() {
            Some(rows) => {
                let what = format!("table {}", rows.table_name());
                (Records::Rows(rows), what)
            }
            None => {
                let decoder = RecordDecoder::new(term, max_line);
                let decoder = decoder.of_producer(target.producer.clone());
                (Records::Lines(decoder), "view changes".to_owned())
            }
        };
        Self {
            engine,
            state: Arc::clone(state),
            synchronous,
            waiting: BytesMut::new(),
            in_block: block.is_some(),
            published_as,
            decoder: Decoder::Here(Box::new(Decoding { source, block })),
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
        while !matches!(self.decoder, Decoder::Finished(_)) && self.failure.is_none() {
            if !done {
                done = self.take_input(conn).await?;
            }
            self.hand_on(done);
            if self.failure.is_some() {
                break;
            }
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
        if matches!(self.decoder, Decoder::Here(_))
            && let Err(error) = self.state.caller().check_publish(&self.published_as)
        {
            self.failure = Some(error);
            return;
        }
        self.decoder = match std::mem::replace(&mut self.decoder, Decoder::Finished(None)) {
            Decoder::Here(decoding) => {
                let engine = Arc::clone(&self.engine);
                let chunk = self.waiting.split().freeze();
                Decoder::Away(tokio::task::spawn_blocking(move || {
                    decode_and_submit(&engine, decoding, &chunk, done)
                }))
            }
            other @ (Decoder::Away(_) | Decoder::Finished(_)) => other,
        };
    }

    /// Takes the decoder back and queues what it decoded.
    fn queue(&mut self, decoded: Result<Decoded, JoinError>) {
        match decoded {
            Ok(decoded) => {
                if let Some(ticket) = decoded.ticket {
                    let sent = decoded.sent;
                    self.in_flight_bytes += sent.num_bytes;
                    self.in_flight.push_back(InFlight { ticket, sent });
                } else if self.in_block {
                    self.published.num_records += decoded.sent.num_records;
                }
                self.failure = self.failure.take().or(decoded.failure);
                self.decoder = if decoded.over {
                    Decoder::Finished(Some(decoded.decoding))
                } else {
                    Decoder::Here(decoded.decoding)
                };
            }
            Err(error) => {
                let message = format!("internal error: {error}");
                // A block's buffer is lost: the session must not go on with another one.
                self.failure = Some(if self.in_block {
                    PgError::fatal("XX000", message)
                } else {
                    PgError::error("XX000", message)
                });
                self.decoder = Decoder::Finished(None);
            }
        }
    }

    fn note(&mut self, (outcome, sent): Settled) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(sent.num_bytes);
        match outcome {
            Ok(appended) => self.published.add(sent.num_records, appended),
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
        if self.published.num_records == 0 || self.in_block {
            return Ok(());
        }
        let target = self.published.last_lsn;
        let (engine, appearance) = (&self.engine, &self.state.appearance);
        match Confirmation::begin(engine, appearance, target, self.synchronous) {
            Some(confirmation) => Ok(confirmation.wait(signal).await?),
            None => Ok(()),
        }
    }
}

/// The outcome of the decoder that is away. Never completes while it is not. Cancel-safe.
async fn join(decoder: &mut Decoder) -> Result<Decoded, JoinError> {
    match decoder {
        Decoder::Away(running) => running.await,
        Decoder::Here(_) | Decoder::Finished(_) => pending().await,
    }
}

type Settled = (Result<Appended, PgError>, Sent);

/// The oldest queued append's outcome; takes it out. Never completes without one. Cancel-safe.
async fn front(in_flight: &mut VecDeque<InFlight>) -> Settled {
    let Some(InFlight { ticket, sent }) = in_flight.front_mut() else {
        return pending().await;
    };
    let settled = (ticket.await.map_err(PgError::from), *sent);
    in_flight.pop_front();
    settled
}

/// What became of one chunk.
struct Decoded {
    /// `None` in a block, or when there was nothing to queue.
    ticket: Option<PublishTicket>,
    sent: Sent,
    decoding: Box<Decoding>,
    /// The data is over.
    over: bool,
    failure: Option<PgError>,
}

/// Decodes `chunk` and queues its records, or puts them into the block's buffer. Blocking.
fn decode_and_submit(
    engine: &Engine,
    mut decoding: Box<Decoding>,
    chunk: &Bytes,
    last: bool,
) -> Decoded {
    let Decoding { source, block } = &mut *decoding;
    let now = Moment::now();
    let mut sent = Sent::default();
    let mut ticket = None;
    let failure = match (source, block) {
        (Records::Lines(decoder), block) => {
            let mut lines = Lines {
                decoder,
                chunk,
                now,
                last,
            };
            match block {
                Some(block) => lines.each(|encode| {
                    block.push_open(encode)?;
                    sent.num_records += 1;
                    Ok(())
                }),
                None => lines.submit(engine, &mut sent, &mut ticket),
            }
        }
        (Records::Rows(rows), Some(block)) => {
            let push = |record: &ChangeRecord| {
                block.push(record, now)?;
                sent.num_records += 1;
                Ok(())
            };
            rows.each(chunk, last, push).err()
        }
        // Rows of one COPY count together, so there is always a buffer.
        (Records::Rows(_), None) => Some(PgError::error("XX000", "COPY without a transaction")),
    };
    Decoded {
        ticket,
        sent,
        decoding,
        over: last || failure.is_some(),
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

/// Appends the next record to a buffer.
type Encode<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> Result<OpenRecord, Halt>;

/// The lines of a chunk.
struct Lines<'a> {
    decoder: &'a mut RecordDecoder,
    chunk: &'a [u8],
    now: Moment,
    last: bool,
}

impl Lines<'_> {
    /// Queues the records, each as a transaction of its own, up to the first line that is none;
    /// returns what is wrong with that.
    fn submit(
        &mut self,
        engine: &Engine,
        sent: &mut Sent,
        ticket: &mut Option<PublishTicket>,
    ) -> Option<PgError> {
        let mut batch = engine.batch(self.now);
        let failure = self.each(|encode| batch.push_open(encode));
        sent.num_records = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        sent.num_bytes = batch.num_bytes();
        if batch.is_empty() {
            return failure;
        }
        match engine.submit(batch) {
            Ok(queued) => {
                *ticket = Some(queued);
                failure
            }
            Err(error) => Some(error.into()),
        }
    }

    /// Gives `push` one record after the other, up to the first line that is none; returns what is
    /// wrong with that.
    fn each(&mut self, mut push: impl FnMut(Encode<'_>) -> Result<(), Halt>) -> Option<PgError> {
        loop {
            match push(&mut |out| self.next(out)) {
                Ok(()) => {}
                Err(Halt::UsedUp) => return None,
                Err(Halt::Line(error)) => return Some(error.into()),
                Err(Halt::Publish(error)) => {
                    let context = format!("COPY changes, line {}", self.decoder.line());
                    return Some(PgError::from(error).with_context(context));
                }
            }
        }
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Result<OpenRecord, Halt> {
        let now_ms = self.now.unix_ms;
        let next = self.decoder.next(&mut self.chunk, now_ms, out);
        let mut record = next.map_err(Halt::Line)?;
        if record.is_none() && self.last {
            record = self.decoder.finish(now_ms, out).map_err(Halt::Line)?;
        }
        record.ok_or(Halt::UsedUp)
    }
}
