//! Messages of an upstream in, whole transactions out.
//!
//! ```text
//! Begin .. Commit                    -> plain: frames, as the messages come
//! Stream Start .. Stream Stop        -> streamed: kept, whichever (sub)transaction they are of
//! Stream Commit                      -> streamed: what was not rolled back, as frames
//! a logical message of no transaction-> a unit of its own
//! ```
//!
//! Both ways give the same frames for the same transaction, but for what PostgreSQL does not say
//! while it streams: the commit LSN in an Origin message. Rows are not decoded: of a change only
//! its table's OID is looked at. It knows no socket, no clock and no spool; it blocks where a
//! transaction under way does not fit into memory.
//!
//! What may be acknowledged: between units ([`Assembler::in_transaction`] is false), all that a
//! keepalive names was received, whatever streamed transactions are under way
//! ([`Assembler::has_open_streams`]): each of them ends, and is committed, above that. A slot that
//! was acknowledged in the middle of one keeps the WAL from its beginning on (`restart_lsn`), and
//! the next session gets it whole, from its first piece, since all that PostgreSQL asks of a
//! position is whether the *end* of a transaction lies behind it. (`tests/capture_assembler.rs`
//! does that with a PostgreSQL.)

mod entries;
mod error;
mod frames;
mod known;
mod peek;
mod plain;
mod replay;
mod streamed;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use error::AssembleError;

use self::frames::Sizes;
use self::known::{Known, Said};
use self::plain::Plain;
use self::streamed::Streamed;
use super::spill::Budget;
use crate::engine::{CapturedFrames, Scratch};
use crate::lsn::Lsn;
use crate::pgoutput::{Commit, Context, Message, Protocol};
use crate::relations::RelationSet;

/// A table that the upstream described otherwise than it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its OID.
    pub oid: u32,
    /// Its Relation message, without a transaction id.
    pub relation: Vec<u8>,
    /// The Type messages that came for its columns: OID and message, without a transaction id.
    pub types: Vec<(u32, Vec<u8>)>,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssembledKind {
    /// A transaction.
    Transaction,
    /// A logical message of none.
    Message,
}

/// A whole transaction, or a message that belongs to none, ready to be stored.
#[derive(Debug)]
pub struct Assembled {
    /// What it is.
    pub kind: AssembledKind,
    /// Its end. That of a message is its own position, which PostgreSQL takes from the end of its
    /// record: above everything that was sent before, and not above the beginning of the next
    /// record. (Acknowledged any further, a commit that begins there would be passed over.)
    pub end: Lsn,
    /// When it was committed, unix milliseconds; 0 for a message, of which nobody says.
    pub commit_ms: u64,
    /// Its frames.
    pub frames: CapturedFrames,
    /// Tables that it described otherwise than they were known before: their definitions count from
    /// this unit on, and its frames describe them where that happens. None for a unit that had been
    /// received before.
    pub described: Vec<Described>,
}

/// What a message brings.
#[derive(Debug)]
pub enum Taken {
    /// Nothing yet.
    Nothing,
    /// A transaction with nothing in it ended here, and all up to there was received.
    Passed(Lsn),
    /// A unit is whole.
    Unit(Assembled),
}

/// How an assembler works.
#[derive(Debug, Clone)]
pub struct AssemblerOptions {
    /// Bytes in memory of all transactions under way, but for one frame and one message
    /// (`capture_work_mem`).
    pub work_mem: usize,
    /// Where what is above that goes.
    pub scratch: Scratch,
    /// A transaction with more bytes than this is a large one.
    pub large: usize,
}

/// Puts transactions together.
#[derive(Debug)]
pub struct Assembler {
    budget: Budget,
    large: usize,
    sizes: Sizes,
    known: Known,
    /// The transaction between Begin and Commit.
    plain: Option<Plain>,
    /// Streamed transactions under way, by their ids.
    streams: HashMap<u32, Streamed>,
    /// The one between Stream Start and Stream Stop.
    open: Option<u32>,
    /// Bytes in memory.
    buffered: usize,
}

const OUTSIDE: &str = "outside of a transaction";
const INSIDE: &str = "inside of a transaction";

impl Assembler {
    /// For a connection that begins: `known` is what counts behind `since`, and units that end
    /// there or below were received before.
    pub fn new(options: AssemblerOptions, known: &RelationSet, since: Lsn) -> Self {
        let AssemblerOptions {
            work_mem,
            scratch,
            large,
        } = options;
        Self {
            budget: Budget { work_mem, scratch },
            large,
            sizes: Sizes::default(),
            known: Known::new(known, since),
            plain: None,
            streams: HashMap::new(),
            open: None,
            buffered: 0,
        }
    }

    /// For the next connection: drops all that is under way.
    pub fn reset(&mut self, known: &RelationSet, since: Lsn) {
        self.known = Known::new(known, since);
        self.plain = None;
        self.streams.clear();
        self.open = None;
        self.buffered = 0;
    }

    /// The description of a table that is stored is another now: what comes next of it is described
    /// again.
    pub(super) fn forget(&mut self, oid: u32) {
        self.known.forget(oid);
    }

    /// Whether the next message is one of a transaction that began: between Begin and Commit, or
    /// between Stream Start and Stream Stop.
    pub const fn in_transaction(&self) -> bool {
        self.plain.is_some() || self.open.is_some()
    }

    /// Whether streamed transactions are under way.
    pub fn has_open_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Bytes in memory of transactions under way.
    pub const fn buffered_bytes(&self) -> usize {
        self.buffered
    }

    /// Bytes in temporary files of transactions under way.
    pub fn spilled_bytes(&self) -> u64 {
        let plain = self.plain.as_ref().map_or(0, Plain::spilled_bytes);
        let streams = self.streams.values().map(Streamed::spilled_bytes);
        streams.fold(plain, u64::saturating_add)
    }

    /// Takes the payload of an XLogData message whose header says `lsn`. Blocking where a
    /// transaction is too much for memory. After an error only [`Assembler::reset`] is of use.
    pub fn take(&mut self, lsn: Lsn, payload: &[u8]) -> Result<Taken, AssembleError> {
        let message = (lsn, payload);
        if self.open.is_some() {
            return self.streamed(message);
        }
        match payload.first() {
            Some(b'I' | b'U' | b'D') => {
                let relation = peek::relation(payload, 1)?;
                let plain = self.plain.as_mut();
                let plain = plain.ok_or_else(|| peek::out_of_place(payload, OUTSIDE))?;
                let before = plain.memory_bytes();
                plain.change(message, relation, &self.known, &self.budget)?;
                let after = plain.memory_bytes();
                self.grown(before, after)?;
                Ok(Taken::Nothing)
            }
            Some(b'T' | b'M') if self.plain.is_some() => {
                self.in_plain(|plain, known, budget| plain.other(message, known, budget))
            }
            Some(b'R') => {
                self.in_plain_or(payload, |plain, known, _| plain.relation(payload, known))
            }
            Some(b'Y') => self.in_plain_or(payload, |plain, _, _| plain.describe_type(payload)),
            Some(b'O') => self.in_plain_or(payload, |plain, _, _| {
                Message::decode(payload, Context::new(Protocol::V1))?;
                plain.origin(lsn, payload);
                Ok(())
            }),
            _ => self.boundary(message),
        }
    }

    fn in_plain_or(
        &mut self,
        payload: &[u8],
        change: impl FnOnce(&mut Plain, &mut Known, &Budget) -> Result<(), AssembleError>,
    ) -> Result<Taken, AssembleError> {
        if self.plain.is_none() {
            return Err(peek::out_of_place(payload, OUTSIDE));
        }
        self.in_plain(change)
    }

    fn in_plain(
        &mut self,
        change: impl FnOnce(&mut Plain, &mut Known, &Budget) -> Result<(), AssembleError>,
    ) -> Result<Taken, AssembleError> {
        if let Some(plain) = &mut self.plain {
            let before = plain.memory_bytes();
            change(plain, &mut self.known, &self.budget)?;
            let after = plain.memory_bytes();
            self.grown(before, after)?;
        }
        Ok(Taken::Nothing)
    }

    /// Between Stream Start and Stream Stop.
    fn streamed(&mut self, (lsn, payload): (Lsn, &[u8])) -> Result<Taken, AssembleError> {
        let in_stream = Context {
            in_stream: true,
            ..Context::new(Protocol::V2)
        };
        let letter = payload.first().copied();
        if let Some(b'I' | b'U' | b'D' | b'T' | b'M' | b'R' | b'Y' | b'O') = letter {
            let xid = self.open.unwrap_or_default();
            let stream = self.streams.get_mut(&xid);
            let stream = stream.ok_or(AssembleError::UnknownTransaction(xid))?;
            let before = stream.memory_bytes();
            if letter == Some(b'O') {
                Message::decode(payload, in_stream)?;
                stream.origin(payload);
            } else {
                let (known, sizes) = (&mut self.known, self.sizes);
                stream.take((lsn, payload), known, sizes, &self.budget)?;
            }
            let after = stream.memory_bytes();
            self.grown(before, after)?;
            return Ok(Taken::Nothing);
        }
        // What else there is cannot come here, and says so when it is read.
        Message::decode(payload, in_stream)?;
        self.open = None;
        Ok(Taken::Nothing)
    }

    /// Begins and ends.
    fn boundary(&mut self, (lsn, payload): (Lsn, &[u8])) -> Result<Taken, AssembleError> {
        let decoded = Message::decode(payload, Context::new(Protocol::V2))?;
        if self.plain.is_some() && !matches!(decoded, Message::Commit(_)) {
            return Err(peek::out_of_place(payload, INSIDE));
        }
        match decoded {
            Message::Begin { .. } => {
                let plain = Plain::new(lsn, payload, self.sizes);
                self.buffered = self.buffered.saturating_add(plain.memory_bytes());
                self.plain = Some(plain);
                Ok(Taken::Nothing)
            }
            Message::Commit(commit) => self.commit((lsn, payload), commit),
            Message::Logical {
                transactional: false,
                lsn: at,
                ..
            } => Ok(Taken::Unit(Assembled {
                kind: AssembledKind::Message,
                end: at,
                commit_ms: 0,
                frames: plain::lone_message(lsn, payload, self.sizes, self.large),
                described: Vec::new(),
            })),
            Message::StreamStart { xid, first } => self.start(xid, first),
            Message::StreamCommit { xid, commit } => self.stream_commit(lsn, xid, commit),
            Message::StreamAbort { xid, subxid, .. } => {
                self.stream_abort(xid, subxid);
                Ok(Taken::Nothing)
            }
            Message::Origin { .. }
            | Message::Logical { .. }
            | Message::Relation(_)
            | Message::Type { .. }
            | Message::Insert { .. }
            | Message::Update { .. }
            | Message::Delete { .. }
            | Message::Truncate { .. }
            | Message::StreamStop
            | Message::BeginPrepare(_)
            | Message::Prepare(_)
            | Message::CommitPrepared(_)
            | Message::RollbackPrepared(_)
            | Message::StreamPrepare(_) => Err(peek::out_of_place(payload, OUTSIDE)),
        }
    }

    fn commit(&mut self, message: (Lsn, &[u8]), commit: Commit) -> Result<Taken, AssembleError> {
        let plain = self.plain.take();
        let mut plain = plain.ok_or_else(|| peek::out_of_place(message.1, OUTSIDE))?;
        self.buffered = self.buffered.saturating_sub(plain.memory_bytes());
        let said = std::mem::take(&mut plain.said);
        let frames = plain.commit(message, self.large)?;
        Ok(self.unit(commit, frames.map(|frames| (frames, said))))
    }

    fn unit(&mut self, commit: Commit, kept: Option<(CapturedFrames, Said)>) -> Taken {
        let end = commit.end_lsn;
        let Some((frames, said)) = kept else {
            return Taken::Passed(end);
        };
        Taken::Unit(Assembled {
            kind: AssembledKind::Transaction,
            end,
            commit_ms: unix_ms(commit.commit_time),
            frames,
            described: self.known.store(said, end),
        })
    }

    fn start(&mut self, xid: u32, first: bool) -> Result<Taken, AssembleError> {
        match (self.streams.contains_key(&xid), first) {
            (true, true) => return Err(AssembleError::BegunTwice(xid)),
            (false, false) => return Err(AssembleError::UnknownTransaction(xid)),
            (true, false) => {}
            (false, true) => {
                self.streams.insert(xid, Streamed::default());
            }
        }
        self.open = Some(xid);
        Ok(Taken::Nothing)
    }

    fn stream_commit(
        &mut self,
        lsn: Lsn,
        xid: u32,
        commit: Commit,
    ) -> Result<Taken, AssembleError> {
        let stream = self.streams.remove(&xid);
        let stream = stream.ok_or(AssembleError::UnknownTransaction(xid))?;
        self.buffered = self.buffered.saturating_sub(stream.memory_bytes());
        let sizes = (self.sizes, self.large);
        let kept = stream.commit((xid, commit, lsn), &mut self.known, sizes)?;
        Ok(self.unit(commit, kept))
    }

    /// An abort of what nobody knows leaves nothing, either.
    fn stream_abort(&mut self, xid: u32, subxid: u32) {
        if xid != subxid {
            if let Some(stream) = self.streams.get_mut(&xid) {
                stream.abort(subxid);
            }
        } else if let Some(stream) = self.streams.remove(&xid) {
            self.buffered = self.buffered.saturating_sub(stream.memory_bytes());
        }
    }

    /// What is in memory of a transaction was `before` and is `after` bytes.
    fn grown(&mut self, before: usize, after: usize) -> Result<(), AssembleError> {
        self.buffered = self.buffered.saturating_sub(before).saturating_add(after);
        while self.buffered > self.budget.work_mem && self.spill_largest()? {}
        Ok(())
    }

    /// Writes the transaction that has most in memory to its file; false if there is none.
    fn spill_largest(&mut self) -> Result<bool, AssembleError> {
        let plain = self.plain.as_mut().filter(|plain| plain.can_spill());
        let of_plain = plain.as_ref().map_or(0, |plain| plain.memory_bytes());
        let largest = self
            .streams
            .values_mut()
            .max_by_key(|stream| stream.memory_bytes());
        let (before, after) = match (plain, largest) {
            (_, Some(stream)) if stream.memory_bytes() > of_plain => {
                let before = stream.memory_bytes();
                stream.spill(&self.budget)?;
                (before, stream.memory_bytes())
            }
            (Some(plain), _) => {
                plain.spill(&self.budget)?;
                (of_plain, plain.memory_bytes())
            }
            (None, _) => return Ok(false),
        };
        self.buffered = self.buffered.saturating_sub(before).saturating_add(after);
        Ok(after < before)
    }
}

/// Unix milliseconds of microseconds since 2000; 0 before 1970.
fn unix_ms(postgres_us: i64) -> u64 {
    const YEAR_2000_MS: i64 = 946_684_800_000;
    let ms = postgres_us.div_euclid(1000).saturating_add(YEAR_2000_MS);
    u64::try_from(ms).unwrap_or(0)
}
