//! The frames of a stream as transactions of changes: what the plugins that render rows share.

use std::sync::Arc;

use crate::change::{Fields, PayloadRef, boundary, final_lsn, only_change_lsn, xid};
use crate::lsn::Lsn;
use crate::relations::{RelationSet, RelationStore};
use crate::rows::{Action, Change, RecordReader};

use super::{FrameView, Messages, RenderError};

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
    ) -> Result<(), RenderError>;

    /// The end of `transaction`.
    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages);

    /// A message that belongs to no transaction. The transaction given is the unit that it is
    /// itself.
    fn message(
        &mut self,
        unit: &Transaction<'_>,
        message: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderError>;
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
        let alone = |content| Change {
            lsn: frame.end_lsn,
            action: ours(false, content),
        };
        match PayloadRef::of(frame.payload) {
            PayloadRef::Whole(json) => {
                match Fields::decode(json) {
                    Ok(fields) if fields.stands_alone() => {
                        self.reader
                            .read(frame.end_lsn, &fields, &set, &mut |change| {
                                plugin.message(&transaction, &change, out)
                            })?;
                    }
                    Ok(fields) => {
                        let lsn = only_change_lsn(frame.end_lsn);
                        self.reader.read(lsn, &fields, &set, &mut |change| {
                            plugin.change(&transaction, &change, out)
                        })?;
                        plugin.commit(&transaction, out);
                    }
                    Err(_) => plugin.message(&transaction, &alone(json), out)?,
                }
                Ok(true)
            }
            PayloadRef::Part { last, json, .. } => {
                match Fields::decode(json) {
                    Ok(fields) => {
                        let lsn = Lsn::new(fields.lsn);
                        self.reader.read(lsn, &fields, &set, &mut |change| {
                            plugin.change(&transaction, &change, out)
                        })?;
                    }
                    Err(_) => {
                        let lsn = only_change_lsn(frame.end_lsn);
                        let action = ours(true, json);
                        plugin.change(&transaction, &Change { lsn, action }, out)?;
                    }
                }
                if last {
                    plugin.commit(&transaction, out);
                }
                Ok(last)
            }
            PayloadRef::Opaque(payload) => {
                plugin.message(&transaction, &alone(payload), out)?;
                Ok(boundary(payload).1)
            }
        }
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
