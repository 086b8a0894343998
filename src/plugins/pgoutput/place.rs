//! Where a stream is in a transaction: what begins it, and what frames the pieces of one that is
//! streamed.
//!
//! A streamed transaction goes out in pieces, one a frame: Stream Start, changes with the
//! transaction's id, Stream Stop; then Stream Commit. A piece that shows nothing is left out. What
//! is told of tables inside of it counts for this transaction only.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::datum::EPOCH_US;
use crate::lsn::Lsn;
use crate::pgoutput::{Commit, write};
use crate::plugins::Messages;
use crate::plugins::feed::Transaction;

use super::describe::Described;

/// Where a stream is in a transaction.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Large transactions are streamed.
    streaming: bool,
    /// End of the transaction whose beginning was written.
    begun: Option<Lsn>,
    /// Its id stands in front of changes: it is streamed.
    xid: Option<u32>,
    /// A piece of it is open, and this was the last position in it.
    piece: Option<Lsn>,
    /// What was told of tables in it.
    told: BTreeMap<u32, Arc<[Bytes]>>,
}

impl Place {
    pub(super) fn new(streaming: bool) -> Self {
        Self {
            streaming,
            ..Self::default()
        }
    }

    /// Writes what begins `transaction`, or a piece of it, unless that was written, in front of a
    /// change at `lsn`. Returns what stands in front of changes.
    pub(super) fn begin(
        &mut self,
        transaction: &Transaction<'_>,
        lsn: Lsn,
        out: &mut Messages,
    ) -> Option<u32> {
        let is_first = self.begun != Some(transaction.end);
        if is_first {
            self.begun = Some(transaction.end);
            self.xid = (self.streaming && transaction.is_large).then_some(transaction.xid);
            self.piece = None;
            self.told.clear();
        }
        let is_open = match self.xid {
            Some(_) => self.piece.replace(lsn).is_some(),
            None => !is_first,
        };
        if is_open {
            return self.xid;
        }
        let origin = transaction.origin.filter(|_| is_first);
        let has_lsn = !is_first || (origin.is_none() && transaction.begin_has_lsn);
        let at = if has_lsn { lsn } else { Lsn::ZERO };
        out.push_with(at, |bytes| match self.xid {
            Some(xid) => write::stream_start(xid, is_first, bytes),
            None => {
                let commit_time = transaction.commit_us.saturating_sub(EPOCH_US);
                write::begin(transaction.final_lsn, commit_time, transaction.xid, bytes);
            }
        });
        if let Some(origin) = origin {
            out.push(lsn, origin);
        }
        self.xid
    }

    /// The next message is about a table. Outside of streamed transactions each stream is told of
    /// it once; inside, it is told by the transaction.
    pub(super) fn describe(&mut self, table: &Described, out: &mut Messages) {
        let messages = table.messages();
        let Some(xid) = self.xid else {
            out.use_table(table.oid, messages);
            return;
        };
        let told = self.told.get(&table.oid);
        if told.is_some_and(|told| Arc::ptr_eq(told, messages) || told == messages) {
            return;
        }
        self.told.insert(table.oid, Arc::clone(messages));
        for message in messages.iter() {
            out.push_with(Lsn::ZERO, |bytes| {
                write::inside_stream(xid, message, bytes);
            });
        }
    }

    /// The end of a frame: no piece stays open behind it.
    pub(super) fn frame_done(&mut self, out: &mut Messages) {
        if let Some(last) = self.piece.take() {
            out.push_with(last, write::stream_stop);
        }
    }

    /// The end of the transaction.
    pub(super) fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages) {
        self.frame_done(out);
        self.told.clear();
        if self.begun.take() != Some(transaction.end) {
            return;
        }
        let commit = Commit {
            commit_lsn: transaction.final_lsn,
            end_lsn: transaction.end,
            commit_time: transaction.commit_us.saturating_sub(EPOCH_US),
        };
        out.push_with(transaction.end, |bytes| match self.xid {
            Some(xid) => write::stream_commit(xid, &commit, bytes),
            None => write::commit(&commit, bytes),
        });
    }
}
