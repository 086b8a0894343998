//! One stream's dialogue: keepalives, acknowledgements, timeouts, the out-buffer.
//!
//! [`StreamSession`] encodes whole CopyData messages into its out-buffer and takes others that were
//! encoded for several streams; the driver moves bytes and time. Its invariants:
//!
//! - `confirmed <= sent` in every field, always, and neither ever falls;
//! - every keepalive carries `sent`, so a client that acknowledges what it sees never confirms a
//!   transaction that it did not get whole;
//! - the receive timeout counts from the last message received, whatever the out-buffer holds;
//! - once an end is in sight nothing but that end is said.
//!
//! It does not read the spool, move slots or write errors: the driver does.
//!
//! The driver's loop: feed while [`StreamSession::wants_data`], write out
//! [`StreamSession::poll_transmit`], hand in what was received, call
//! [`StreamSession::handle_timeout`] when [`StreamSession::poll_timeout`] says so, and look at
//! [`StreamSession::end`] after each step.

use std::time::Duration;

use bytes::Bytes;

use super::frames;
use super::out_queue::OutQueue;
use super::standby::{StandbyMessage, StandbyMessageError};
use crate::clock::Moment;
use crate::lsn::Lsn;

/// The out-buffer asks for no more data above this.
const OUT_BUFFER_FULL: usize = 96 * 1024;
/// Answers that a client provokes stop here.
const OUT_BUFFER_LIMIT: usize = 128 * 1024;
/// A keepalive that only tells an idle or filtered client how far things are comes this often.
const IDLE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// What a status update confirmed, clamped to what was sent on this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Written by the client.
    pub write: Lsn,
    /// Durable at the client: moves the slot.
    pub flush: Lsn,
    /// Applied by the client.
    pub apply: Lsn,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// The client sent CopyDone and both sides are done: back to commands.
    ClientDone,
    /// Terminate or a closed socket.
    Disconnected,
    /// Nothing was received for longer than `wal_sender_timeout`.
    Timeout,
    /// The server is stopping; the transaction boundary was reached or the time was up.
    ServerShutdown,
    /// The client broke the protocol; PostgreSQL's words for the FATAL error.
    Protocol(String),
    /// A CopyData message that is no standby message: PostgreSQL closes the connection without
    /// a word to the client. The words are for the log.
    Malformed(String),
    /// A message cannot be encoded; the words for the client.
    Failed(String),
}

/// The states of a stream, as PostgreSQL names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// Behind the head.
    Catchup,
    /// At the head.
    Streaming,
    /// Ending: at the next transaction boundary, or when the out-buffer is drained.
    Stopping,
    /// Ended.
    Done,
}

/// Where the stream is between its first keepalive and its end.
#[derive(Debug)]
enum Phase {
    /// Sending. With a deadline (steady time) the server stops.
    Running { deadline: Option<Duration> },
    /// Nothing more is said; the end is reached when the out-buffer is drained, or at the
    /// deadline with what is left in it.
    Draining {
        end: StreamEnd,
        deadline: Option<Duration>,
    },
    /// Over.
    Ended(StreamEnd),
}

/// One stream's dialogue: keepalives, acknowledgements, timeouts, the out-buffer. It encodes
/// whole CopyData messages into its out-buffer; the driver moves bytes and time.
#[derive(Debug)]
pub struct StreamSession {
    phase: Phase,
    out: OutQueue,
    /// The out-buffer held a message so large that its room is worth giving back.
    oversized: bool,
    /// When a message was pushed last.
    last_pushed: Duration,
    /// End of the last transaction written whole or filtered out.
    sent: Lsn,
    /// The highest position that the client saw in a message or keepalive.
    told: Lsn,
    confirmed: Progress,
    caught_up: bool,
    /// Messages were pushed since the last transaction boundary.
    in_transaction: bool,
    timeout: Option<Duration>,
    last_received: Duration,
    /// A reply was asked for and nothing was received since.
    reply_asked: bool,
    /// The client asked for a reply while the out-buffer was full.
    reply_owed: bool,
    last_keepalive: Duration,
    /// The latest moment the driver told of: the stamp of messages that no call with a time
    /// causes.
    latest: Moment,
}

impl StreamSession {
    /// A stream that starts at `start`. Puts the first keepalive into the out-buffer.
    /// `timeout` is `wal_sender_timeout` (`None` or zero: off).
    pub fn new(start: Lsn, timeout: Option<Duration>, now: Moment) -> Self {
        let mut session = Self {
            phase: Phase::Running { deadline: None },
            out: OutQueue::default(),
            oversized: false,
            last_pushed: now.steady,
            sent: start,
            told: start,
            confirmed: Progress::default(),
            caught_up: false,
            in_transaction: false,
            timeout: timeout.filter(|span| !span.is_zero()),
            last_received: now.steady,
            reply_asked: false,
            reply_owed: false,
            last_keepalive: now.steady,
            latest: now,
        };
        session.append_keepalive(false);
        session
    }

    /// The state.
    pub fn state(&self) -> StreamState {
        if self.end().is_some() {
            return StreamState::Done;
        }
        match self.phase {
            Phase::Running { deadline: None } if self.caught_up => StreamState::Streaming,
            Phase::Running { deadline: None } => StreamState::Catchup,
            Phase::Running { deadline: Some(_) } | Phase::Draining { .. } => StreamState::Stopping,
            Phase::Ended(_) => StreamState::Done,
        }
    }

    /// End of the last transaction written whole to this stream or filtered out for it.
    pub fn sent(&self) -> Lsn {
        self.sent
    }

    /// The highest positions acknowledged so far, clamped to what was sent at that time.
    pub fn confirmed(&self) -> Progress {
        self.confirmed
    }

    /// True while the driver should feed more: the out-buffer has room and no end is in sight.
    /// While the server stops in the middle of a transaction, its rest is still wanted.
    pub fn wants_data(&self) -> bool {
        self.is_running() && self.out.len() < OUT_BUFFER_FULL
    }

    /// True when the stream is to end at the next transaction boundary: no more than one
    /// transaction is to be pushed at a time.
    pub const fn ends_at_boundary(&self) -> bool {
        matches!(self.phase, Phase::Running { deadline: Some(_) })
    }

    /// Appends one XLogData message (both LSN fields are `lsn`). A payload larger than the
    /// out-buffer's limit passes alone. Ignored when an end is in sight.
    pub fn push_message(&mut self, lsn: Lsn, payload: &[u8], now: Moment) {
        self.latest = now;
        if !self.is_running() {
            return;
        }
        self.release_room();
        self.last_pushed = now.steady;
        match frames::xlog_data(self.out.own(), lsn, payload, now) {
            Ok(()) => {
                // One large message, or many from one large record.
                self.oversized |= self.out.len() > 2 * OUT_BUFFER_LIMIT;
                self.in_transaction = true;
                self.told = self.told.max(lsn);
            }
            Err(error) => self.phase = Phase::Ended(StreamEnd::Failed(error.to_string())),
        }
    }

    /// Appends whole XLogData messages that other streams have, too; `told` is the highest position
    /// in them. Ignored when an end is in sight.
    pub fn push_shared(&mut self, messages: Bytes, told: Lsn, now: Moment) {
        self.latest = now;
        if !self.is_running() || messages.is_empty() {
            return;
        }
        self.last_pushed = now.steady;
        self.out.push_shared(messages);
        self.in_transaction = true;
        self.told = self.told.max(told);
    }

    /// A transaction was written whole (or filtered out): `sent` becomes `end`. While stopping,
    /// this is the boundary that ends the stream.
    pub fn transaction_done(&mut self, end: Lsn) {
        let Phase::Running { deadline } = self.phase else {
            return;
        };
        self.sent = self.sent.max(end);
        self.in_transaction = false;
        if deadline.is_some() {
            self.stop_at_boundary(deadline);
        }
    }

    /// Nothing is left to send: `sent` becomes `head`, the state becomes streaming. If that moved
    /// `sent` without a message, a keepalive will say so: [`StreamSession::poll_timeout`].
    pub fn reached_head(&mut self, head: Lsn) {
        // In the middle of a transaction something is left, whatever the caller says.
        if self.is_running() && !self.in_transaction {
            self.sent = self.sent.max(head);
            self.caught_up = true;
        }
    }

    /// There is more to read: the state becomes catch-up.
    pub fn behind(&mut self) {
        self.caught_up = false;
    }

    /// A CopyData message came. A status update returns the clamped progress.
    ///
    /// # Errors
    ///
    /// The end of the stream when the message is no standby message. Messages that come after
    /// the client's CopyDone are ignored.
    pub fn handle_copy_data(
        &mut self,
        body: &[u8],
        now: Moment,
    ) -> Result<Option<Progress>, StreamEnd> {
        match &self.phase {
            Phase::Ended(end) => return Err(end.clone()),
            Phase::Draining {
                end: StreamEnd::ClientDone,
                ..
            } => return Ok(None),
            Phase::Running { .. } | Phase::Draining { .. } => self.received(now),
        }
        match StandbyMessage::parse(body) {
            Ok(StandbyMessage::StatusUpdate {
                write,
                flush,
                apply,
                reply,
            }) => {
                self.confirm(write, flush, apply);
                if reply {
                    self.answer();
                }
                Ok(Some(self.confirmed))
            }
            Ok(StandbyMessage::HotStandbyFeedback) => Ok(None),
            Err(error) => Err(self.malformed(&error)),
        }
    }

    /// The client's CopyDone came: answers CopyDone and one more keepalive, ends the stream once
    /// the out-buffer is drained. What was read after the CopyDone is a command, not the
    /// stream's: the driver reads no further message for the stream.
    pub fn handle_copy_done(&mut self, now: Moment) {
        if self.end().is_some() {
            return;
        }
        let deadline = match &self.phase {
            Phase::Running { deadline } => *deadline,
            Phase::Draining { end, deadline } if *end != StreamEnd::ClientDone => *deadline,
            Phase::Draining { .. } | Phase::Ended(_) => return,
        };
        self.received(now);
        frames::copy_done(self.out.own());
        self.append_keepalive(false);
        self.phase = Phase::Draining {
            end: StreamEnd::ClientDone,
            deadline,
        };
    }

    /// Any other frontend message than CopyData, CopyDone, Terminate came.
    pub fn handle_other(&mut self, type_byte: u8) -> StreamEnd {
        if let Phase::Ended(end) = &self.phase {
            return end.clone();
        }
        let words = format!(
            "invalid standby message type \"{}\"",
            type_byte.escape_ascii()
        );
        self.finish(StreamEnd::Protocol(words))
    }

    /// When [`StreamSession::handle_timeout`] must be called next, as steady time
    /// ([`Moment::steady`]). It may already be past.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let (deadline, running) = match self.phase {
            Phase::Running { deadline } => (deadline, true),
            Phase::Draining { deadline, .. } => (deadline, false),
            Phase::Ended(_) => return None,
        };
        if self.end().is_some() {
            return None;
        }
        let receive = self.timeout.map(|timeout| {
            let ask = running && !self.reply_asked;
            let span = if ask { timeout / 2 } else { timeout };
            self.last_received.saturating_add(span)
        });
        let tell = self
            .owes_position()
            .then(|| self.last_keepalive.saturating_add(IDLE_KEEPALIVE_INTERVAL));
        [deadline, receive, tell].into_iter().flatten().min()
    }

    /// Time has come: asks for a reply at half the timeout, ends the stream at the whole of it,
    /// counted from the last message received, whatever the out-buffer holds. Messages that have
    /// arrived must be handed in before.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.latest = now;
        self.release_idle_room(now);
        let (deadline, running) = match self.phase {
            Phase::Running { deadline } => (deadline, true),
            Phase::Draining { deadline, .. } => (deadline, false),
            Phase::Ended(_) => return,
        };
        if self.end().is_some() {
            return;
        }
        let silence = now.steady.saturating_sub(self.last_received);
        if self.timeout.is_some_and(|timeout| silence >= timeout) {
            self.finish(StreamEnd::Timeout);
        } else if deadline.is_some_and(|deadline| now.steady >= deadline) {
            self.finish(StreamEnd::ServerShutdown);
        } else if running {
            self.keep_alive(now, silence);
        }
    }

    /// Bytes to write to the socket; the driver takes from the front what it wrote.
    pub fn poll_transmit(&mut self) -> &mut OutQueue {
        self.release_room();
        if self.reply_owed && self.is_running() && self.out.len() < OUT_BUFFER_FULL {
            self.append_keepalive(false);
        }
        &mut self.out
    }

    /// The server stops: end at the next transaction boundary, or at `deadline` (steady time) in
    /// the middle. At a boundary already, the stream ends when the out-buffer is drained, or at
    /// `deadline` with what is left in it.
    pub fn begin_shutdown(&mut self, deadline: Duration) {
        let deadline = Some(deadline);
        match &mut self.phase {
            Phase::Running { .. } if !self.in_transaction => self.stop_at_boundary(deadline),
            Phase::Running { deadline: known }
            | Phase::Draining {
                deadline: known, ..
            } => {
                *known = deadline;
            }
            Phase::Ended(_) => {}
        }
    }

    /// Set when the stream is over and the out-buffer was drained (or must not be). Whole
    /// messages may be left in it; a message that was begun must be finished before anything
    /// else is written to the socket.
    pub fn end(&self) -> Option<&StreamEnd> {
        match &self.phase {
            Phase::Running { .. } => None,
            Phase::Draining { end, .. } => self.out.is_empty().then_some(end),
            Phase::Ended(end) => Some(end),
        }
    }

    const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    fn received(&mut self, now: Moment) {
        self.release_idle_room(now);
        self.latest = now;
        self.last_received = now.steady;
        self.reply_asked = false;
    }

    /// Raises each field to what the client says, but never above what was sent.
    fn confirm(&mut self, write: Lsn, flush: Lsn, apply: Lsn) {
        let sent = self.sent;
        let raised = |known: Lsn, said: Lsn| known.max(said.min(sent));
        self.confirmed = Progress {
            write: raised(self.confirmed.write, write),
            flush: raised(self.confirmed.flush, flush),
            apply: raised(self.confirmed.apply, apply),
        };
    }

    /// Answers a client that asked for a reply; in a full out-buffer one answer waits for room,
    /// so that a client which asks and never reads costs nothing.
    fn answer(&mut self) {
        if !self.is_running() {
            return;
        }
        if self.out.len() < OUT_BUFFER_LIMIT {
            self.append_keepalive(false);
        } else {
            self.reply_owed = true;
        }
    }

    fn keep_alive(&mut self, now: Moment, silence: Duration) {
        let ask = !self.reply_asked && self.timeout.is_some_and(|timeout| silence >= timeout / 2);
        let tell = self.owes_position()
            && now.steady >= self.last_keepalive.saturating_add(IDLE_KEEPALIVE_INTERVAL);
        if ask || tell {
            self.reply_asked |= ask;
            self.append_keepalive(ask);
        }
    }

    /// `sent` moved further than anything the client saw: transactions were filtered out, or the
    /// head moved without any. A full out-buffer tells it enough for now.
    fn owes_position(&self) -> bool {
        self.is_running() && self.sent > self.told && self.out.len() < OUT_BUFFER_FULL
    }

    fn append_keepalive(&mut self, ask: bool) {
        frames::keepalive(self.out.own(), self.sent, ask, self.latest);
        self.told = self.told.max(self.sent);
        self.last_keepalive = self.latest.steady;
        self.reply_owed = false;
    }

    fn stop_at_boundary(&mut self, deadline: Option<Duration>) {
        self.phase = Phase::Draining {
            end: StreamEnd::ServerShutdown,
            deadline,
        };
    }

    fn malformed(&mut self, error: &StandbyMessageError) -> StreamEnd {
        self.finish(StreamEnd::Malformed(error.to_string()))
    }

    fn finish(&mut self, end: StreamEnd) -> StreamEnd {
        self.phase = Phase::Ended(end.clone());
        end
    }

    /// Gives back all room while there is nothing to say: most streams are idle most of the time.
    fn release_idle_room(&mut self, now: Moment) {
        let idle = now.steady.saturating_sub(self.last_pushed);
        if self.out.is_empty() && idle >= IDLE_KEEPALIVE_INTERVAL {
            self.out = OutQueue::default();
        }
    }

    /// Gives back the room of a very large message once it was written out.
    fn release_room(&mut self) {
        if self.oversized && self.out.is_empty() {
            self.out = OutQueue::default();
            self.oversized = false;
        }
    }
}
