//! A run of rendered messages as streams share it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::lsn::Lsn;
use crate::wire::frames::XLOG_DATA_HEADER_LEN;

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

impl Description {
    /// What it costs to keep it.
    pub(super) fn weight(&self) -> usize {
        let messages = self.messages.iter();
        let messages = messages.map(|message| size_of::<Bytes>() + message.len());
        size_of::<Self>() + messages.sum::<usize>()
    }
}

/// Where a transaction ends in a piece; what is counted is counted from the piece's beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) end: Lsn,
    pub(super) offset: usize,
    /// The highest position in a message up to here.
    pub(super) told: Lsn,
    pub(super) num_transactions: u32,
    pub(super) num_messages: u32,
}

/// From this offset on a table is spoken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableUse {
    pub(super) offset: usize,
    /// Its description's place in the piece's list.
    pub(super) description: usize,
}

/// A run of rendered messages: whole transactions, or a part of one.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(super) begin: Position,
    pub(super) end: Position,
    pub(super) bytes: Bytes,
    /// The ends of transactions, in order. Of a run of them without messages only the last.
    pub(super) marks: Vec<Mark>,
    /// All of it, also what is behind the last end.
    pub(super) whole: Mark,
    pub(super) uses: Vec<TableUse>,
    pub(super) descriptions: Vec<Arc<Description>>,
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

    /// What it costs to keep it. Descriptions count in each piece: it may be the last that has
    /// them.
    pub(super) fn weight(&self) -> usize {
        let descriptions = self.descriptions.iter();
        let descriptions = descriptions.map(|description| description.weight());
        OVERHEAD
            + descriptions.sum::<usize>()
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
