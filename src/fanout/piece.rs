//! A run of rendered messages as streams share it.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::plugins::Messages;
use crate::wire::frames::{self, MessageTooLong, XLOG_DATA_HEADER_LEN};

/// What a piece costs beside its bytes.
const OVERHEAD: usize = 320;

/// A place in the database's log: behind the transaction that ends at `after` and behind that many
/// frames of the one that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// End of the last transaction before it.
    pub(crate) after: Lsn,
    /// Frames of the next one that lie before it.
    pub(crate) frames: usize,
}

impl Position {
    /// Between two transactions.
    pub(crate) const fn after(after: Lsn) -> Self {
        Self { after, frames: 0 }
    }
}

/// What describes a table to a stream: messages at position 0/0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// The table.
    pub(crate) oid: u32,
    /// The messages.
    pub(crate) messages: Arc<[Bytes]>,
}

/// Where a transaction ends in a piece; what is counted is counted from the piece's beginning.
#[derive(Debug, Clone, Copy)]
struct Mark {
    end: Lsn,
    offset: usize,
    /// The highest position in a message up to here.
    told: Lsn,
    num_transactions: u32,
    num_messages: u32,
}

/// From this offset on a table is spoken of.
#[derive(Debug, Clone, Copy)]
struct TableUse {
    offset: usize,
    /// Its description's place in the piece's list.
    description: usize,
}

/// A run of rendered messages: whole transactions, or a part of one.
#[derive(Debug)]
pub(crate) struct Piece {
    begin: Position,
    end: Position,
    bytes: Bytes,
    /// The ends of transactions, in order. Of a run of them without messages only the last.
    marks: Vec<Mark>,
    /// All of it, also what is behind the last end.
    whole: Mark,
    uses: Vec<TableUse>,
    descriptions: Vec<Arc<Description>>,
}

/// How far a stream has come in a piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    offset: usize,
    marks: usize,
    num_transactions: u32,
    num_messages: u32,
}

/// What a stream sends next of a piece.
#[derive(Debug)]
pub(crate) struct Run {
    range: Range<usize>,
    /// The highest position in its messages or before them.
    pub(crate) told: Lsn,
    /// The last transaction that ends with it; `None` when it ends in the middle of one.
    pub(crate) done: Option<Lsn>,
    /// Transactions that end in it.
    pub(crate) num_transactions: u64,
    /// Bytes of its messages without what frames them.
    pub(crate) num_bytes: u64,
}

impl Piece {
    /// Where it ends.
    pub(crate) const fn end(&self) -> Position {
        self.end
    }

    /// Where it begins.
    pub(super) const fn begin(&self) -> Position {
        self.begin
    }

    /// What it costs to keep it.
    pub(super) fn weight(&self) -> usize {
        OVERHEAD
            + self.bytes.len()
            + self.marks.len() * size_of::<Mark>()
            + self.uses.len() * size_of::<TableUse>()
    }

    /// Transactions that end in it, and bytes of its messages.
    pub(super) fn counts(&self) -> (u64, u64) {
        let bytes = payload(self.whole.offset, self.whole.num_messages);
        (u64::from(self.whole.num_transactions), bytes)
    }

    /// Where a stream that stands at `at` goes on in it; `None` when it does not.
    pub(crate) fn join(&self, at: Position) -> Option<Place> {
        if at == self.begin {
            return Some(Place {
                offset: 0,
                marks: 0,
                num_transactions: 0,
                num_messages: 0,
            });
        }
        if at.frames > 0 || at < self.begin || at >= self.end {
            return None;
        }
        // Ends rise: the first transaction that ends above `at` begins where the one before ends.
        let marks = self.marks.partition_point(|mark| mark.end <= at.after);
        let Some(before) = marks.checked_sub(1).and_then(|last| self.marks.get(last)) else {
            return (self.begin.frames == 0).then_some(Place {
                offset: 0,
                marks: 0,
                num_transactions: 0,
                num_messages: 0,
            });
        };
        Some(Place {
            offset: before.offset,
            marks,
            num_transactions: before.num_transactions,
            num_messages: before.num_messages,
        })
    }

    /// The next run behind `place`, which moves behind it: all transactions that end in the piece
    /// (or one of them), then what is left. `None` at the end.
    pub(crate) fn run(&self, place: &mut Place, only_one: bool) -> Option<Run> {
        let next = if only_one {
            self.marks.get(place.marks)
        } else {
            self.marks.get(place.marks..)?.last()
        };
        let (mark, done) = match next {
            Some(mark) => (mark, Some(mark.end)),
            None if place.offset < self.bytes.len() => (&self.whole, None),
            None => return None,
        };
        let run = Run {
            range: place.offset..mark.offset,
            told: mark.told,
            done,
            num_transactions: u64::from(mark.num_transactions - place.num_transactions),
            num_bytes: payload(
                mark.offset - place.offset,
                mark.num_messages - place.num_messages,
            ),
        };
        *place = Place {
            offset: mark.offset,
            marks: match (done, only_one) {
                (Some(_), true) => place.marks + 1,
                (Some(_), false) | (None, _) => self.marks.len(),
            },
            num_transactions: mark.num_transactions,
            num_messages: mark.num_messages,
        };
        Some(run)
    }

    /// The bytes of a run for a stream, which `knows` descriptions or not: `send` is handed its
    /// messages, and `describe` what must go out between them. Costs nothing for each message
    /// while all is known.
    pub(crate) fn tell<Stream>(
        &self,
        run: &Run,
        stream: &mut Stream,
        knows: impl Fn(&Stream, &Arc<Description>) -> bool,
        mut describe: impl FnMut(&mut Stream, &Arc<Description>),
        mut send: impl FnMut(&mut Stream, Bytes),
    ) {
        let mut from = run.range.start;
        let is_known = self.has_one_each() && self.descriptions.iter().all(|d| knows(stream, d));
        if !is_known {
            let first = self.uses.partition_point(|used| used.offset < from);
            let uses = self.uses.get(first..).unwrap_or_default();
            for used in uses.iter().take_while(|used| used.offset < run.range.end) {
                let Some(description) = self.descriptions.get(used.description) else {
                    continue;
                };
                if !knows(stream, description) {
                    send(stream, self.bytes.slice(from..used.offset));
                    from = used.offset;
                    describe(stream, description);
                }
            }
        }
        send(stream, self.bytes.slice(from..run.range.end));
    }

    /// Whether each table has one description in it.
    fn has_one_each(&self) -> bool {
        let mut rest = self.descriptions.iter();
        while let Some(description) = rest.next() {
            if rest.clone().any(|other| other.oid == description.oid) {
                return false;
            }
        }
        true
    }
}

/// Bytes of messages without what frames them.
fn payload(num_bytes: usize, num_messages: u32) -> u64 {
    let framing = u64::from(num_messages) * XLOG_DATA_HEADER_LEN_U64;
    u64::try_from(num_bytes)
        .unwrap_or(u64::MAX)
        .saturating_sub(framing)
}

const XLOG_DATA_HEADER_LEN_U64: u64 = 30;
const _: () = assert!(XLOG_DATA_HEADER_LEN == 30);

/// A piece while it is made.
#[derive(Debug)]
pub(super) struct PieceBuilder {
    begin: Position,
    end: Position,
    out: BytesMut,
    marks: Vec<Mark>,
    whole: Mark,
    uses: Vec<TableUse>,
    descriptions: Vec<Arc<Description>>,
    /// Where in `uses` those of the present transaction begin.
    transaction_uses: usize,
}

impl PieceBuilder {
    /// An empty one.
    pub(super) fn new(begin: Position) -> Self {
        Self {
            begin,
            end: begin,
            out: BytesMut::new(),
            marks: Vec::new(),
            whole: Mark {
                end: begin.after,
                offset: 0,
                told: Lsn::ZERO,
                num_transactions: 0,
                num_messages: 0,
            },
            uses: Vec::new(),
            descriptions: Vec::new(),
            transaction_uses: 0,
        }
    }

    /// Makes room for about that much more.
    pub(super) fn reserve(&mut self, num_bytes: usize) {
        self.out.reserve(num_bytes);
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Where it ends so far.
    pub(super) const fn end(&self) -> Position {
        self.end
    }

    /// Whether it ends between two transactions.
    pub(super) const fn is_between(&self) -> bool {
        self.end.frames == 0
    }

    /// Whether it has not moved from where it begins.
    pub(super) fn is_empty(&self) -> bool {
        self.end == self.begin
    }

    /// Appends one message.
    pub(super) fn push(
        &mut self,
        lsn: Lsn,
        message: &[u8],
        now: Moment,
    ) -> Result<(), MessageTooLong> {
        frames::xlog_data(&mut self.out, lsn, message, now)?;
        self.whole.offset = self.out.len();
        self.whole.told = self.whole.told.max(lsn);
        self.whole.num_messages += 1;
        Ok(())
    }

    /// Appends what a frame was rendered to. `describe` gives the description of a table as other
    /// pieces have it. On an error nothing of the frame is in the piece.
    pub(super) fn append(
        &mut self,
        messages: &Messages,
        now: Moment,
        mut describe: impl FnMut(u32, &Arc<[Bytes]>) -> Arc<Description>,
    ) -> Result<(), MessageTooLong> {
        let (before, num_uses) = (self.whole, self.uses.len());
        let mut uses = messages.table_uses().iter().peekable();
        for (at, (lsn, message)) in messages.iter().enumerate() {
            while let Some(used) = uses.next_if(|used| used.at <= at) {
                self.note(describe(used.oid, &used.description));
            }
            if let Err(error) = self.push(lsn, message, now) {
                self.out.truncate(before.offset);
                self.uses.truncate(num_uses);
                self.whole = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The next message is about a table; once a transaction is enough.
    fn note(&mut self, description: Arc<Description>) {
        let mut known = self.descriptions.iter();
        let known = known.rposition(|known| Arc::ptr_eq(known, &description));
        let number = known.unwrap_or_else(|| {
            self.descriptions.push(description);
            self.descriptions.len() - 1
        });
        let of_transaction = self.uses.get(self.transaction_uses..).unwrap_or_default();
        // Only the newest of a table counts: it may have changed and changed back.
        let oid = self.descriptions.get(number).map(|of| of.oid);
        let newest = of_transaction.iter().rev().find(|used| {
            let of = self.descriptions.get(used.description);
            of.map(|of| of.oid) == oid
        });
        if newest.is_none_or(|newest| newest.description != number) {
            self.uses.push(TableUse {
                offset: self.out.len(),
                description: number,
            });
        }
    }

    /// A frame was rendered; `done` is the end of the transaction that it completes.
    pub(super) fn frame_done(&mut self, done: Option<Lsn>) {
        let Some(end) = done else {
            self.end.frames += 1;
            return;
        };
        self.end = Position::after(end);
        self.whole.end = end;
        self.whole.num_transactions += 1;
        self.transaction_uses = self.uses.len();
        let offset = self.whole.offset;
        // The first end at an offset is where a stream stands that has all before it; of those
        // behind it, of transactions without messages, the last is enough.
        let has_first = match self.marks.as_slice() {
            [.., first, last] => first.offset == offset && last.offset == offset,
            [last] => last.offset == offset && offset == 0 && self.begin.frames == 0,
            [] => false,
        };
        match self.marks.last_mut() {
            Some(last) if has_first => *last = self.whole,
            Some(_) | None => self.marks.push(self.whole),
        }
    }

    /// The piece.
    pub(super) fn finish(mut self) -> Piece {
        self.marks.shrink_to_fit();
        self.uses.shrink_to_fit();
        let bytes = if self.out.capacity() > 2 * self.out.len() {
            Bytes::copy_from_slice(&self.out)
        } else {
            self.out.freeze()
        };
        Piece {
            begin: self.begin,
            end: self.end,
            bytes,
            marks: self.marks,
            whole: self.whole,
            uses: self.uses,
            descriptions: self.descriptions,
        }
    }
}
