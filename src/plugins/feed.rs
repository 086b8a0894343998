//! The frames of a stream as transactions of changes: what the plugins that render rows share.

use std::sync::Arc;

use crate::change::{Fields, PayloadRef, boundary, final_lsn, only_change_lsn, xid};
use crate::lsn::Lsn;
use crate::relations::{RelationSet, RelationStore};
use crate::rows::{Action, Change, RecordReader};

use super::{FrameView, Messages, RenderError, RenderFault};

/// The prefix of what is stored and is not a change record: it goes out as a logical message.
const OURS: &str = "pgspool";

/// What a plugin is told of the transaction whose changes it renders.
#[derive(Debug, Clone)]
pub(super) struct Transaction<'a> {
    /// Its end: the LSN of the transaction.
    pub(super) end: Lsn,
    /// What Begin and Commit call its final LSN.
    pub(super) final_lsn: Lsn,
    /// Its id.
    pub(super) xid: u32,
    /// Commit time, unix microseconds.
    pub(super) commit_us: i64,
    /// The definitions that count for its records.
    pub(super) set: &'a Arc<RelationSet>,
}

/// A plugin that renders the changes of transactions one by one. It writes what begins a
/// transaction before the first change that it shows.
pub(super) trait Render {
    /// A change of `transaction`, or a message inside of it.
    fn change(
        &mut self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault>;

    /// The end of `transaction`.
    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages);

    /// A message that belongs to no transaction. The transaction given is the unit that it is
    /// itself.
    fn message(
        &mut self,
        unit: &Transaction<'_>,
        message: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault>;
}

/// Frames in, changes to a plugin out.
#[derive(Debug)]
pub(super) struct Feed {
    relations: RelationStore,
    reader: RecordReader,
}

impl Feed {
    pub(super) fn new(relations: RelationStore) -> Self {
        Self {
            relations,
            reader: RecordReader::default(),
        }
    }

    /// Renders one frame; true when it was the last of its transaction.
    pub(super) fn frame(
        &mut self,
        frame: FrameView<'_>,
        plugin: &mut impl Render,
        out: &mut Messages,
    ) -> Result<bool, RenderError> {
        let set = self.relations.at(frame.end_lsn);
        let commit_us = i64::try_from(frame.timestamp_ms).unwrap_or(i64::MAX);
        let transaction = Transaction {
            end: frame.end_lsn,
            final_lsn: final_lsn(frame.end_lsn),
            xid: xid(frame.end_lsn),
            commit_us: commit_us.saturating_mul(1000),
            set: &set,
        };
        let payload = PayloadRef::of(frame.payload);
        let mut rendering = Rendering {
            reader: &mut self.reader,
            transaction: &transaction,
            plugin,
            out,
            lsn: frame.end_lsn,
            callback: "change",
        };
        let complete = rendering.payload(&payload);
        complete.map_err(|fault| RenderError {
            lsn: rendering.lsn,
            end: frame.end_lsn,
            callback: rendering.callback,
            fault: Box::new(fault),
        })
    }
}

/// A frame while it is rendered, and what of it is under way.
struct Rendering<'a, P> {
    reader: &'a mut RecordReader,
    transaction: &'a Transaction<'a>,
    plugin: &'a mut P,
    out: &'a mut Messages,
    /// The change's position.
    lsn: Lsn,
    /// What it is called.
    callback: &'static str,
}

impl<P: Render> Rendering<'_, P> {
    /// True when it was the last frame of its transaction.
    fn payload(&mut self, payload: &PayloadRef<'_>) -> Result<bool, RenderFault> {
        let end = self.transaction.end;
        match payload {
            PayloadRef::Whole(json) => {
                match Fields::decode(json) {
                    Ok(fields) if fields.stands_alone() => self.record(end, &fields, true)?,
                    Ok(fields) => {
                        self.record(only_change_lsn(end), &fields, false)?;
                        self.plugin.commit(self.transaction, self.out);
                    }
                    Err(_) => self.alone(json)?,
                }
                Ok(true)
            }
            PayloadRef::Part { last, json, .. } => {
                match Fields::decode(json) {
                    Ok(fields) => self.record(Lsn::new(fields.lsn), &fields, false)?,
                    Err(_) => {
                        let lsn = only_change_lsn(end);
                        let action = ours(true, json);
                        (self.lsn, self.callback) = (lsn, called(&action));
                        let change = Change { lsn, action };
                        self.plugin.change(self.transaction, &change, self.out)?;
                    }
                }
                if *last {
                    self.plugin.commit(self.transaction, self.out);
                }
                Ok(*last)
            }
            PayloadRef::Chunk { payload, .. } | PayloadRef::Opaque(payload) => {
                self.alone(payload)?;
                Ok(boundary(payload).1)
            }
        }
    }

    /// What is stored and is not a change record, by itself.
    fn alone(&mut self, content: &[u8]) -> Result<(), RenderFault> {
        let lsn = self.transaction.end;
        let action = ours(false, content);
        self.callback = called(&action);
        let change = Change { lsn, action };
        self.plugin.message(self.transaction, &change, self.out)
    }

    /// The changes of the record at `lsn`, which is a unit of its own when `is_alone`.
    fn record(&mut self, lsn: Lsn, fields: &Fields<'_>, is_alone: bool) -> Result<(), RenderFault> {
        self.lsn = lsn;
        let Self {
            reader,
            transaction,
            plugin,
            out,
            lsn: at,
            callback,
        } = self;
        reader.read(lsn, fields, transaction.set, &mut |change| {
            (*at, *callback) = (change.lsn, called(&change.action));
            if is_alone {
                plugin.message(transaction, &change, out)
            } else {
                plugin.change(transaction, &change, out)
            }
        })
    }
}

/// What PostgreSQL calls the part of a plugin that renders it.
const fn called(action: &Action<'_>) -> &'static str {
    match action {
        Action::Insert { .. } | Action::Update { .. } | Action::Delete { .. } => "change",
        Action::Truncate { .. } => "truncate",
        Action::Message { .. } => "message",
    }
}

/// What is stored and is not a change record.
const fn ours(transactional: bool, content: &[u8]) -> Action<'_> {
    Action::Message {
        transactional,
        prefix: OURS,
        content,
    }
}
