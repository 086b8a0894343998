//! The replication dialect as values and state machines: no socket, no clock.
//!
//! Replication commands, standby messages, XLogData and keepalives, and [`StreamSession`], which
//! turns them into what a walsender must do next.

use std::time::Duration;

use bytes::BytesMut;

use crate::clock::Moment;
use crate::lsn::Lsn;

/// A name and its value, as START_REPLICATION and CREATE_REPLICATION_SLOT carry them.
pub type CommandOption = (String, Option<String>);

/// What SNAPSHOT asks of CREATE_REPLICATION_SLOT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotAction {
    /// Export a snapshot under a name (PostgreSQL's default).
    #[default]
    Export,
    /// Use it in the running transaction.
    Use,
    /// None.
    Nothing,
}

/// One replication command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicationCommand {
    /// IDENTIFY_SYSTEM
    IdentifySystem,
    /// SHOW name
    Show(String),
    /// CREATE_REPLICATION_SLOT ... LOGICAL
    CreateLogicalSlot {
        /// Slot.
        slot: String,
        /// TEMPORARY
        temporary: bool,
        /// Output plugin.
        plugin: String,
        /// SNAPSHOT
        snapshot: SnapshotAction,
        /// TWO_PHASE
        two_phase: bool,
    },
    /// CREATE_REPLICATION_SLOT ... PHYSICAL
    CreatePhysicalSlot {
        /// Slot.
        slot: String,
    },
    /// DROP_REPLICATION_SLOT
    DropSlot {
        /// Slot.
        slot: String,
        /// WAIT
        wait: bool,
    },
    /// READ_REPLICATION_SLOT
    ReadSlot {
        /// Slot.
        slot: String,
    },
    /// START_REPLICATION SLOT ... LOGICAL
    StartLogical {
        /// Slot.
        slot: String,
        /// Start position.
        start: Lsn,
        /// Options in order.
        options: Vec<CommandOption>,
    },
    /// START_REPLICATION without LOGICAL
    StartPhysical,
    /// BASE_BACKUP
    BaseBackup,
    /// TIMELINE_HISTORY
    TimelineHistory(u32),
}

/// A replication command that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// PostgreSQL's words, for example `syntax error at or near "FOO"`.
    pub message: String,
}

impl ReplicationCommand {
    /// Parses a query string of a replication connection. `Ok(None)`: not a replication command,
    /// so plain SQL.
    pub fn parse(_text: &str) -> Result<Option<Self>, CommandError> {
        todo!()
    }
}

/// What a client says inside CopyBoth (the body of a CopyData message).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyMessage {
    /// `r`
    StatusUpdate {
        /// Written up to here.
        write: Lsn,
        /// Durable up to here.
        flush: Lsn,
        /// Applied up to here.
        apply: Lsn,
        /// A keepalive is asked for at once.
        reply: bool,
    },
    /// `h`: hot-standby feedback, ignored.
    HotStandbyFeedback,
}

/// Not a standby message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid standby message")]
pub struct StandbyMessageError;

impl StandbyMessage {
    /// Parses a CopyData body.
    pub fn parse(_body: &[u8]) -> Result<Self, StandbyMessageError> {
        todo!()
    }
}

/// What a status update confirmed, clamped to what was sent on this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The client broke the protocol; PostgreSQL's words.
    Protocol(String),
    /// The slot was invalidated under the stream.
    SlotInvalidated,
    /// Reading the spool or rendering failed; the words for the client.
    Failed(String),
}

/// The states of a stream, as PostgreSQL names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// Behind the head.
    Catchup,
    /// At the head.
    Streaming,
    /// Ending at the next transaction boundary.
    Stopping,
    /// Ended.
    Done,
}

/// One stream's dialogue: keepalives, acknowledgements, timeouts, the out-buffer. It encodes
/// whole CopyData messages into its out-buffer; the driver moves bytes and time.
#[derive(Debug)]
pub struct StreamSession {
    _private: (),
}

impl StreamSession {
    /// A stream that starts at `start`. Puts the first keepalive into the out-buffer.
    /// `timeout` is `wal_sender_timeout` (`None`: off).
    pub fn new(_start: Lsn, _timeout: Option<Duration>, _now: Moment) -> Self {
        todo!()
    }

    /// The state.
    pub fn state(&self) -> StreamState {
        todo!()
    }

    /// End of the last transaction written whole to this stream or filtered out for it.
    pub fn sent(&self) -> Lsn {
        todo!()
    }

    /// True while the driver should feed more: the out-buffer has room and no end is in sight.
    pub fn wants_data(&self) -> bool {
        todo!()
    }

    /// Appends one XLogData message (both LSN fields are `lsn`).
    pub fn push_message(&mut self, _lsn: Lsn, _payload: &[u8], _now: Moment) {
        todo!()
    }

    /// A transaction was written whole (or filtered out): `sent` becomes `end`. While stopping,
    /// this is the boundary that ends the stream.
    pub fn transaction_done(&mut self, _end: Lsn) {
        todo!()
    }

    /// Nothing is left to send: `sent` becomes `head`, the state becomes streaming.
    pub fn reached_head(&mut self, _head: Lsn) {
        todo!()
    }

    /// There is more to read: the state becomes catch-up.
    pub fn behind(&mut self) {
        todo!()
    }

    /// A CopyData message came. A status update returns the clamped progress.
    pub fn handle_copy_data(
        &mut self,
        _body: &[u8],
        _now: Moment,
    ) -> Result<Option<Progress>, StreamEnd> {
        todo!()
    }

    /// The client's CopyDone came: answers CopyDone and one more keepalive, ends the stream once
    /// the out-buffer is drained.
    pub fn handle_copy_done(&mut self, _now: Moment) {
        todo!()
    }

    /// Any other frontend message than CopyData, CopyDone, Terminate came.
    pub fn handle_other(&mut self, _type_byte: u8) -> StreamEnd {
        todo!()
    }

    /// When [`StreamSession::handle_timeout`] must be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        todo!()
    }

    /// Time has come: asks for a reply at half the timeout, ends the stream at the whole of it,
    /// counted from the last message received, whatever the out-buffer holds.
    pub fn handle_timeout(&mut self, _now: Moment) {
        todo!()
    }

    /// Bytes to write to the socket; the driver takes from the front what it wrote.
    pub fn poll_transmit(&mut self) -> &mut BytesMut {
        todo!()
    }

    /// The server stops: end at the next transaction boundary, or at `deadline` (steady time) in
    /// the middle.
    pub fn begin_shutdown(&mut self, _deadline: Duration) {
        todo!()
    }

    /// Set when the stream is over and the out-buffer was drained (or must not be).
    pub fn end(&self) -> Option<&StreamEnd> {
        todo!()
    }
}
