//! The frames of a stream as transactions of changes: what the plugins that render rows share.

use std::sync::Arc;

use crate::change::{Fields, PayloadRef, boundary, final_lsn, only_change_lsn, xid};
use crate::lsn::Lsn;
use crate::relations::{RelationSet, RelationStore};
use crate::rows::{Action, Captured, CapturedReader, CapturedUnit, Change, RecordReader};

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
    /// Its Origin message, where it was captured from an upstream to which it had come from
    /// elsewhere.
    pub(super) origin: Option<&'a [u8]>,
    /// The message that begins it has an LSN.
    pub(super) begin_has_lsn: bool,
    /// It is longer than a subscriber that asked for streaming wants to wait for.
    pub(super) is_large: bool,
}

impl<'a> Transaction<'a> {
    const fn captured(unit: &'a CapturedUnit) -> Self {
        Transaction {
            end: unit.end,
            final_lsn: unit.final_lsn,
            xid: unit.xid,
            commit_us: unit.commit_us,
            set: &unit.set,
            origin: match &unit.origin {
                Some(origin) => Some(origin.as_slice()),
                None => None,
            },
            begin_has_lsn: unit.begin_has_lsn,
            is_large: unit.is_large,
        }
    }
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

    /// A change of a captured transaction, or a message inside of it or by itself, as the upstream
    /// sent it (`pgoutput`, outside of streamed transactions). True when that was enough; otherwise
    /// it comes decoded.
    fn stored(
        &mut self,
        _transaction: &Transaction<'_>,
        _lsn: Lsn,
        _message: &[u8],
        _out: &mut Messages,
    ) -> Result<bool, RenderFault> {
        Ok(false)
    }

    /// The end of a frame of `transaction`.
    fn frame_done(&mut self, _transaction: &Transaction<'_>, _out: &mut Messages) {}

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
    captured: CapturedReader,
}

impl Feed {
    pub(super) fn new(relations: RelationStore) -> Self {
        Self {
            relations,
            reader: RecordReader::default(),
            captured: CapturedReader::default(),
        }
    }

    /// Renders one frame; true when it was the last of its transaction.
    pub(super) fn frame(
        &mut self,
        frame: FrameView<'_>,
        plugin: &mut impl Render,
        out: &mut Messages,
    ) -> Result<bool, RenderError> {
        let payload = PayloadRef::of(frame.payload);
        if let PayloadRef::Chunk { payload, .. } = payload {
            return self.chunk(frame, payload, plugin, out);
        }
        let set = self.relations.at(frame.end_lsn);
        let commit_us = i64::try_from(frame.timestamp_ms).unwrap_or(i64::MAX);
        let transaction = Transaction {
            end: frame.end_lsn,
            final_lsn: final_lsn(frame.end_lsn),
            xid: xid(frame.end_lsn),
            commit_us: commit_us.saturating_mul(1000),
            set: &set,
            origin: None,
            begin_has_lsn: true,
            is_large: false,
        };
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

    /// The same for a frame of a captured transaction.
    fn chunk(
        &mut self,
        frame: FrameView<'_>,
        payload: &[u8],
        plugin: &mut impl Render,
        out: &mut Messages,
    ) -> Result<bool, RenderError> {
        let mut to = ToPlugin {
            plugin,
            out,
            lsn: frame.end_lsn,
            callback: "change",
        };
        let (end, time) = (frame.end_lsn, frame.timestamp_ms);
        let read = self
            .captured
            .frame(end, time, payload, &self.relations, &mut to);
        read.map_err(|fault| RenderError {
            lsn: to.lsn,
            end,
            callback: to.callback,
            fault: Box::new(fault),
        })
    }
}

/// A plugin that is told what a captured transaction holds.
struct ToPlugin<'a, P> {
    plugin: &'a mut P,
    out: &'a mut Messages,
    /// The change's position.
    lsn: Lsn,
    /// What it is called.
    callback: &'static str,
}

impl<P> ToPlugin<'_, P> {
    fn at(&mut self, lsn: Lsn, callback: &'static str) {
        (self.lsn, self.callback) = (lsn, callback);
    }
}

impl<P: Render> Captured for ToPlugin<'_, P> {
    type Error = RenderFault;

    fn stored(
        &mut self,
        unit: &CapturedUnit,
        lsn: Lsn,
        message: &[u8],
    ) -> Result<bool, RenderFault> {
        self.at(lsn, "change");
        let transaction = Transaction::captured(unit);
        self.plugin.stored(&transaction, lsn, message, self.out)
    }

    fn change(&mut self, unit: &CapturedUnit, change: &Change<'_>) -> Result<(), RenderFault> {
        self.at(change.lsn, called(&change.action));
        let transaction = Transaction::captured(unit);
        self.plugin.change(&transaction, change, self.out)
    }

    fn alone(&mut self, unit: &CapturedUnit, message: &Change<'_>) -> Result<(), RenderFault> {
        self.at(message.lsn, called(&message.action));
        let transaction = Transaction::captured(unit);
        self.plugin.message(&transaction, message, self.out)
    }

    fn frame_done(&mut self, unit: &CapturedUnit) {
        self.plugin
            .frame_done(&Transaction::captured(unit), self.out);
    }

    fn commit(&mut self, unit: &CapturedUnit) -> Result<(), RenderFault> {
        self.plugin.commit(&Transaction::captured(unit), self.out);
        Ok(())
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
            // Chunks have a reader of their own.
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
