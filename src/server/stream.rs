//! The loop that owns socket and timer while a subscriber streams.
//!
//! One task, one poll loop over the same socket: it hands the client's messages to the
//! [`StreamSession`], fills its out-buffer from the spool, writes it with one write per fill, and
//! waits for whatever comes first: the socket, a new head, a block from the disk, the timer, a
//! cancel request or the server's stop. The out-buffer's room is the only back-pressure, and the
//! timer runs whatever the buffer holds. Nothing is lost when the task is dropped: the slot is
//! free again, at what its client confirmed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, Sleep};

use super::conn::{Conn, MAX_STANDBY};
use super::rights::Standing;
use super::session::Signal;
use crate::clock::Moment;
use crate::engine::{SubscribeError, Subscription};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::plugins::{FrameView, Messages, Renderer, Told};
use crate::replicas::ReplicaState;
use crate::slots::UnknownSlot;
use crate::spool::{Frame, HeadWait, MemoryRead, ReadError};
use crate::wire::{Progress, StreamEnd, StreamSession, StreamState};

/// Frames are read in blocks of about this many bytes.
const READ_BYTES: usize = 256 << 10;
/// More frames are read ahead while fewer bytes than this wait to be rendered.
const READ_AHEAD: usize = 128 << 10;
/// How often a stream looks at what nobody wakes it for: whether its slot was invalidated, and
/// whether its role may still have it.
const TICK: Duration = Duration::from_secs(1);

/// How a stream ended here.
#[derive(Debug)]
pub(super) enum StreamOutcome {
    /// As the dialogue with the client says.
    Ended(StreamEnd),
    /// The socket failed.
    Io(io::Error),
    /// By a cancel request.
    Cancelled,
    /// The spool cannot be read.
    ReadFailed(ReadError),
    /// The slot was invalidated under the stream.
    Invalidated(SubscribeError),
    /// The slot is not there any more.
    SlotGone(UnknownSlot),
    /// Something of ours broke.
    Broken(PgError),
}

/// How a stream is to be.
pub(super) struct Asked {
    /// Makes its messages.
    pub(super) renderer: Renderer,
    /// `wal_sender_timeout`
    pub(super) timeout: Option<Duration>,
    /// Whether its role may go on.
    pub(super) standing: Standing,
}

/// Streams until an end. What was begun to be written is in the connection's out-buffer then,
/// and what was read and not used stays in its read buffer.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    conn: &mut Conn<S>,
    subscription: Box<Subscription>,
    asked: Asked,
    signal: impl Future<Output = Signal> + Send,
) -> StreamOutcome {
    if let Err(error) = conn.flush().await {
        return StreamOutcome::Io(error);
    }
    let now = Moment::now();
    let mut stream = Stream {
        session: StreamSession::new(subscription.start(), asked.timeout, now),
        feed: Feed::new(subscription, asked.renderer),
        standing: asked.standing,
        conn,
        client_done: false,
        progress: None,
        noted: None,
        shown: StreamState::Done,
        broken: None,
        next_tick: now.steady + TICK,
    };
    let outcome = stream.serve(signal).await;
    let Stream {
        mut session,
        feed,
        progress,
        ..
    } = stream;
    // What the client said last counts, also when it left in the same breath; and the slot is
    // free before the client hears of the end.
    let (txns, bytes) = feed.counted;
    if let Some(subscription) = feed.release().await {
        subscription.count_sent(txns, bytes);
        let taken = hand_over(&subscription, session.sent(), progress, Moment::now());
        if let Err(error) = taken {
            tracing::debug!(%error, "a last acknowledgement came too late");
        }
    }
    conn.out.extend_from_slice(session.poll_transmit());
    outcome
}

struct Stream<'a, S> {
    conn: &'a mut Conn<S>,
    session: StreamSession,
    feed: Feed,
    standing: Standing,
    /// The client's CopyDone came: what follows in the read buffer are commands.
    client_done: bool,
    /// Acknowledged by the client, not yet handed to the engine.
    progress: Option<Progress>,
    /// The sent position that the engine knows.
    noted: Option<Lsn>,
    /// The state that the engine knows.
    shown: StreamState,
    /// Writing failed. A client that leaves resets the connection: what it said before (its last
    /// acknowledgement) is still to be read.
    broken: Option<io::Error>,
    next_tick: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream<'_, S> {
    async fn serve(&mut self, signal: impl Future<Output = Signal> + Send) -> StreamOutcome {
        let mut signal = std::pin::pin!(signal);
        let mut signalled = false;
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let now = Moment::now();
            if let Err(outcome) = self.step(now) {
                return outcome;
            }
            if let Some(end) = self.session.end() {
                return StreamOutcome::Ended(end.clone());
            }
            arm(timer.as_mut(), self.wake_at(), now);
            let woken = poll_fn(|cx| {
                if !signalled && let Poll::Ready(signal) = signal.as_mut().poll(cx) {
                    return Poll::Ready(Ok(Some(signal)));
                }
                self.poll_progress(cx, timer.as_mut()).map_ok(|()| None)
            });
            match woken.await {
                Ok(None) => {}
                Ok(Some(Signal::Cancelled | Signal::TimedOut)) => return StreamOutcome::Cancelled,
                Ok(Some(Signal::Stopping(deadline))) => {
                    signalled = true;
                    self.session.begin_shutdown(deadline);
                }
                Err(outcome) => return outcome,
            }
        }
    }

    /// Everything that can be done without waiting.
    fn step(&mut self, now: Moment) -> Result<(), StreamOutcome> {
        self.take_messages(now)?;
        if let Source::Here(subscription) = &self.feed.source {
            let sent = self.session.sent();
            note(subscription, &mut self.shown, &self.session);
            if self.noted != Some(sent) || self.progress.is_some() {
                let (txns, bytes) = std::mem::take(&mut self.feed.counted);
                subscription.count_sent(txns, bytes);
                let taken = hand_over(subscription, sent, self.progress.take(), now);
                taken.map_err(StreamOutcome::SlotGone)?;
                self.noted = Some(sent);
            }
            if let Some(cause) = subscription.invalidated() {
                let error = subscription.invalidated_error(cause);
                return Err(StreamOutcome::Invalidated(error));
            }
        }
        if now.steady >= self.next_tick {
            self.next_tick = now.steady + TICK;
            self.check_right()?;
        }
        if self
            .session
            .poll_timeout()
            .is_some_and(|at| now.steady >= at)
        {
            self.session.handle_timeout(now);
        }
        self.feed.fill(&mut self.session, now)?;
        Ok(())
    }

    /// Ends the stream when its role was dropped, lost what streaming needs, or its slot was given
    /// to another role.
    fn check_right(&mut self) -> Result<(), StreamOutcome> {
        self.standing.check().map_err(StreamOutcome::Broken)?;
        if let Source::Here(subscription) = &self.feed.source
            && let Some(slot) = subscription.slot_now()
        {
            let checked = self.standing.caller().check_slot(&slot);
            checked.map_err(StreamOutcome::Broken)?;
        }
        Ok(())
    }

    fn wake_at(&self) -> Duration {
        let timeout = self.session.poll_timeout();
        timeout.map_or(self.next_tick, |at| at.min(self.next_tick))
    }

    /// Hands the client's messages to the dialogue.
    fn take_messages(&mut self, now: Moment) -> Result<(), StreamOutcome> {
        while !self.client_done
            && let Some((tag, len)) = self.conn.peek_header()
        {
            match (tag, len) {
                (b'd', 4..=MAX_STANDBY) => {
                    let Some(body) = self.conn.peek_body(len) else {
                        return Ok(());
                    };
                    let progress = self.session.handle_copy_data(body, now);
                    self.conn.consume(len + 1);
                    self.progress = progress.map_err(StreamOutcome::Ended)?.or(self.progress);
                }
                (b'c', 4) => {
                    self.conn.consume(5);
                    self.session.handle_copy_done(now);
                    self.client_done = true;
                }
                (b'X', _) => return Err(StreamOutcome::Ended(StreamEnd::Disconnected)),
                (b'd' | b'c', _) => {
                    let words = "invalid message length".to_owned();
                    return Err(StreamOutcome::Ended(StreamEnd::Protocol(words)));
                }
                (other, _) => return Err(StreamOutcome::Ended(self.session.handle_other(other))),
            }
        }
        Ok(())
    }

    /// Ready when something moved: bytes in or out, the head, a block, the timer. Everything is
    /// polled each time, so that none of them starves the others.
    fn poll_progress(
        &mut self,
        cx: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Result<(), StreamOutcome>> {
        let mut moved = timer.poll(cx).is_ready();
        if self.client_done
            && let Some(error) = self.broken.take()
        {
            return Poll::Ready(Err(StreamOutcome::Io(error)));
        }
        if !self.client_done
            && let Poll::Ready(read) = self.conn.poll_fill(cx)
        {
            let end = match read {
                Ok(0) => StreamOutcome::Ended(StreamEnd::Disconnected),
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) => StreamOutcome::Io(error),
            };
            return Poll::Ready(Err(self.broken.take().map_or(end, StreamOutcome::Io)));
        }
        let out = self.session.poll_transmit();
        if !out.is_empty()
            && self.broken.is_none()
            && let Poll::Ready(written) = self.conn.poll_write(cx, out)
        {
            if self.client_done {
                written.map_err(StreamOutcome::Io)?;
            } else {
                self.broken = written.err();
            }
            moved = true;
        } else if out.is_empty()
            && self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.conn.poll_flush(cx)
        {
            self.broken = Some(error);
            moved = true;
        }
        moved |= self.feed.poll_source(cx)?;
        if moved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// Sets the timer unless it is set so already.
fn arm(timer: Pin<&mut Sleep>, at: Duration, now: Moment) {
    let deadline = Instant::now() + at.saturating_sub(now.steady);
    let off_by = if deadline > timer.deadline() {
        deadline - timer.deadline()
    } else {
        timer.deadline() - deadline
    };
    if timer.is_elapsed() || off_by > Duration::from_millis(1) {
        timer.reset(deadline);
    }
}

/// Where frames come from: the subscription is here, or away on a thread that reads the disk.
enum Source {
    Here(Box<Subscription>),
    Reading(JoinHandle<DiskRead>),
    Lost,
}

type DiskRead = (Box<Subscription>, Result<Vec<Frame>, ReadError>);

/// Turns the spool's frames into the dialogue's messages.
struct Feed {
    source: Source,
    renderer: Renderer,
    messages: Messages,
    /// The tables that the client was told of.
    told: Told,
    /// Frames that were read and not rendered yet.
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    /// The head when the source had nothing more: everything up to it was yielded.
    drained_at: Option<Lsn>,
    head_wait: Option<HeadWait>,
    /// Transactions that were rendered and not counted yet, and the bytes of their messages.
    counted: (u64, u64),
}

impl Feed {
    fn new(subscription: Box<Subscription>, renderer: Renderer) -> Self {
        Self {
            source: Source::Here(subscription),
            renderer,
            messages: Messages::default(),
            told: Told::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            drained_at: None,
            head_wait: None,
            counted: (0, 0),
        }
    }

    /// Renders frames while the dialogue wants data and there are any.
    fn fill(&mut self, session: &mut StreamSession, now: Moment) -> Result<(), StreamOutcome> {
        while session.wants_data() {
            self.read_ahead(session)?;
            let Some(frame) = self.queue.pop_front() else {
                if let Some(head) = self.drained_at {
                    session.reached_head(head);
                }
                return Ok(());
            };
            self.queued_bytes = self.queued_bytes.saturating_sub(weight(&frame));
            let view = FrameView {
                end_lsn: frame.lsn,
                term: frame.term,
                timestamp_ms: frame.timestamp_ms,
                payload: &frame.payload,
            };
            if let Some(message) = self.renderer.verbatim(view) {
                session.push_message(frame.lsn, message, now);
                session.transaction_done(frame.lsn);
                self.counted = count(self.counted, 1, message.len());
                continue;
            }
            self.messages.clear();
            let rendered = self.renderer.frame(view, &mut self.messages);
            let transaction_end =
                rendered.map_err(|error| StreamOutcome::Broken(PgError::from(error)))?;
            let done = u64::from(transaction_end.is_some());
            self.counted = count(self.counted, done, self.messages.num_bytes());
            self.messages
                .each_with_descriptions(&mut self.told, |lsn, message| {
                    session.push_message(lsn.unwrap_or(Lsn::ZERO), message, now);
                });
            if let Some(end) = transaction_end {
                session.transaction_done(end);
            }
        }
        Ok(())
    }

    /// Reads on until enough frames are queued, the head is reached or the disk is needed.
    fn read_ahead(&mut self, session: &mut StreamSession) -> Result<(), StreamOutcome> {
        while self.queued_bytes < READ_AHEAD && self.drained_at.is_none() {
            let Source::Here(subscription) = &mut self.source else {
                return Ok(());
            };
            // Read before the cursor is asked: a transaction that comes in between is not yet
            // yielded and must not count as sent.
            let head = subscription.head();
            let read = subscription.cursor.read_memory(READ_BYTES);
            match read.map_err(StreamOutcome::ReadFailed)? {
                MemoryRead::Frames(frames) => self.enqueue(frames),
                MemoryRead::AtHead => {
                    self.head_wait = Some(subscription.wait_after(head));
                    self.drained_at = Some(head);
                }
                MemoryRead::NeedsDisk => {
                    session.behind();
                    self.read_disk();
                }
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, frames: Vec<Frame>) {
        self.queued_bytes += frames.iter().map(weight).sum::<usize>();
        self.queue.extend(frames);
    }

    fn read_disk(&mut self) {
        self.source = match std::mem::replace(&mut self.source, Source::Lost) {
            Source::Here(mut subscription) => {
                Source::Reading(tokio::task::spawn_blocking(move || {
                    let read = subscription.cursor.read_disk(READ_BYTES);
                    (subscription, read)
                }))
            }
            other @ (Source::Reading(_) | Source::Lost) => other,
        };
    }

    /// True when the head moved or a block came from the disk.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Result<bool, StreamOutcome> {
        if let Some(wait) = &mut self.head_wait
            && Pin::new(wait).poll(cx).is_ready()
        {
            self.head_wait = None;
            self.drained_at = None;
            return Ok(true);
        }
        let Source::Reading(reading) = &mut self.source else {
            return Ok(false);
        };
        let Poll::Ready(done) = Pin::new(reading).poll(cx) else {
            return Ok(false);
        };
        let (subscription, read) = done.map_err(lost)?;
        self.source = Source::Here(subscription);
        self.enqueue(read.map_err(StreamOutcome::ReadFailed)?);
        Ok(true)
    }

    /// The subscription, once it is back. Whatever was read is not needed any more.
    async fn release(self) -> Option<Box<Subscription>> {
        match self.source {
            Source::Here(subscription) => Some(subscription),
            Source::Reading(reading) => reading.await.ok().map(|(subscription, _)| subscription),
            Source::Lost => None,
        }
    }
}

/// Tells the engine what the stream is doing, when that is something else than before.
fn note(subscription: &Subscription, shown: &mut StreamState, session: &StreamSession) {
    let state = session.state();
    if *shown != state {
        *shown = state;
        subscription.note_state(match state {
            StreamState::Catchup => ReplicaState::Catchup,
            StreamState::Streaming => ReplicaState::Streaming,
            StreamState::Stopping | StreamState::Done => ReplicaState::Stopping,
        });
    }
}

fn count((txns, bytes): (u64, u64), more: u64, len: usize) -> (u64, u64) {
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    (txns.saturating_add(more), bytes.saturating_add(len))
}

/// Tells the engine what was sent, then what the client confirmed of it.
fn hand_over(
    subscription: &Subscription,
    sent: Lsn,
    progress: Option<Progress>,
    now: Moment,
) -> Result<(), UnknownSlot> {
    subscription.note_sent(sent, now);
    progress.map_or(Ok(()), |progress| subscription.acknowledge(progress, now))
}

/// What a queued frame costs; an empty payload costs something, too.
fn weight(frame: &Frame) -> usize {
    frame.payload.len() + size_of::<Frame>()
}

fn lost(error: JoinError) -> StreamOutcome {
    let message = format!("internal error: {error}");
    StreamOutcome::Broken(PgError::error("XX000", message))
}
