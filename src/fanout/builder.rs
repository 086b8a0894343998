//! A piece while it is made.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::piece::{Description, Mark, Piece, Position, TableUse};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::plugins::Messages;
use crate::wire::frames::{self, MessageTooLong};

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
