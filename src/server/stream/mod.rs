//! The loop that owns socket and timer while a subscriber streams.
//!
//! One task, one poll loop over the same socket: it hands the client's messages to the
//! [`StreamSession`], hands it the pieces that the feed gets from the stream's channel, writes them
//! as large as the socket takes them, and waits for whatever comes first: the socket, a new head, a
//! piece that is being made, the timer, a cancel request or the server's stop. The out-buffer's
//! room is the only back-pressure, and the timer runs whatever the buffer holds. Nothing is lost
//! when the task is dropped: the slot is free again, at what its client confirmed.

mod feed;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::conn::{Conn, MAX_STANDBY};
use super::rights::Standing;
use super::session::Signal;
use crate::clock::Moment;
use crate::engine::{SubscribeError, Subscription};
use crate::fanout::Channel;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::plugins::RenderError;
use crate::replicas::ReplicaState;
use crate::slots::UnknownSlot;
use crate::spool::ReadError;
use crate::wire::{Progress, StreamEnd, StreamSession, StreamState};
use feed::Feed;

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
    /// Something that is stored cannot be shown.
    NotRendered(RenderError),
    /// Something of ours broke.
    Broken(PgError),
}

/// How a stream is to be.
pub(super) struct Asked {
    /// Where its messages come from.
    pub(super) channel: Channel,
    /// `wal_sender_timeout`
    pub(super) timeout: Option<Duration>,
    /// Whether its role may go on.
    pub(super) standing: Standing,
}

/// Streams until an end. What was begun to be written is in the connection's out-buffer then,
/// and what was read and not used stays in its read buffer.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    conn: &mut Conn<S>,
    mut subscription: Box<Subscription>,
    asked: Asked,
    signal: impl Future<Output = Signal> + Send,
) -> StreamOutcome {
    if let Err(error) = conn.flush().await {
        return StreamOutcome::Io(error);
    }
    // What there is to read is read by way of the channel.
    subscription.cursor.rest();
    let now = Moment::now();
    let mut stream = Stream {
        session: StreamSession::new(subscription.start(), asked.timeout, now),
        feed: Feed::new(asked.channel, subscription.start()),
        subscription,
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
    let outcome = stream.with_its_cause(outcome);
    let Stream {
        mut session,
        mut feed,
        subscription,
        progress,
        ..
    } = stream;
    // What the client said last counts, also when it left in the same breath; and the slot is
    // free before the client hears of the end.
    let (txns, bytes) = feed.take_counted();
    subscription.count_sent(txns, bytes);
    let taken = hand_over(&subscription, session.sent(), progress, Moment::now());
    if let Err(error) = taken {
        tracing::debug!(%error, "a last acknowledgement came too late");
    }
    drop(subscription);
    conn.out.put(session.poll_transmit());
    outcome
}

struct Stream<'a, S> {
    conn: &'a mut Conn<S>,
    session: StreamSession,
    feed: Feed,
    subscription: Box<Subscription>,
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
        let sent = self.session.sent();
        note(&self.subscription, &mut self.shown, &self.session);
        if self.noted != Some(sent) || self.progress.is_some() {
            let (txns, bytes) = self.feed.take_counted();
            self.subscription.count_sent(txns, bytes);
            let taken = hand_over(&self.subscription, sent, self.progress.take(), now);
            taken.map_err(StreamOutcome::SlotGone)?;
            self.noted = Some(sent);
        }
        if let Some(cause) = self.subscription.invalidated() {
            let error = self.subscription.invalidated_error(cause);
            return Err(StreamOutcome::Invalidated(error));
        }
        if now.steady >= self.next_tick {
            self.next_tick = now.steady + TICK;
            self.check_right()?;
            self.feed.tidy(now);
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
        if let Some(slot) = self.subscription.slot_now() {
            let checked = self.standing.caller().check_slot(&slot);
            checked.map_err(StreamOutcome::Broken)?;
        }
        Ok(())
    }

    /// Data that is gone under a slot that was invalidated is gone because of that.
    fn with_its_cause(&self, outcome: StreamOutcome) -> StreamOutcome {
        match (&outcome, self.subscription.invalidated()) {
            (StreamOutcome::ReadFailed(ReadError::Removed { .. }), Some(cause)) => {
                StreamOutcome::Invalidated(self.subscription.invalidated_error(cause))
            }
            _ => outcome,
        }
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
