//! The `json` plugin: one message a change record, RedDB's JSON as it was stored.
//!
//! There is no commit message, so the last or only message of a transaction carries its end LSN
//! and the earlier ones their own. A stored payload goes out byte for byte unless its term is
//! not the frame's; one that is not a change record goes out byte for byte too. Changes that were
//! captured from an upstream become change records here.

use std::borrow::Cow;

use crate::change::{PayloadRef, boundary, deliver, encode, only_change_lsn, own_lsn};
use crate::lsn::Lsn;
use crate::rows::{Change, captured_records};

use super::feed::{Render, Transaction};
use super::options::{PluginOption, unknown};
use super::{FrameView, Messages, PluginError, RenderFault};

/// A stream's place in a captured transaction.
#[derive(Debug, Default)]
pub(super) struct Json {
    /// Term of the frame.
    term: u64,
    /// The last record: it waits for the next one, or for the end, whose LSN it carries then.
    held: Option<(Lsn, Vec<u8>)>,
}

impl Json {
    /// Checks the options: there are none.
    pub(super) fn start(options: &[PluginOption]) -> Result<Self, PluginError> {
        let none = Self::default();
        options
            .first()
            .map_or(Ok(none), |option| Err(unknown(option)))
    }

    /// The next frame has this term.
    pub(super) const fn set_term(&mut self, term: u64) {
        self.term = term;
    }

    /// Bytes of text that wait.
    pub(super) fn held_bytes(&self) -> usize {
        let held = self.held.as_ref();
        held.map_or(0, |(_, record)| record.capacity())
    }

    /// The records that `change` is.
    fn records(
        &self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
    ) -> Result<Vec<Vec<u8>>, RenderFault> {
        let ms = u64::try_from(transaction.commit_us / 1000).unwrap_or(0);
        let mut encoded = Vec::new();
        for mut record in captured_records(transaction.set, change) {
            record.term = self.term;
            record.lsn = change.lsn.get();
            record.timestamp = ms;
            encoded.push(encode(&record)?);
        }
        Ok(encoded)
    }
}

impl Render for Json {
    fn change(
        &mut self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        for record in self.records(transaction, change)? {
            if let Some((lsn, before)) = self.held.replace((change.lsn, record)) {
                out.push(lsn, &before);
            }
        }
        Ok(())
    }

    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages) {
        if let Some((_, last)) = self.held.take() {
            out.push(transaction.end, &last);
        }
    }

    fn message(
        &mut self,
        unit: &Transaction<'_>,
        message: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        for record in self.records(unit, message)? {
            out.push(unit.end, &record);
        }
        Ok(())
    }
}

/// The frame's payload, when it is a whole transaction and goes out as it is stored.
pub(super) fn verbatim(frame: FrameView<'_>) -> Option<&[u8]> {
    let PayloadRef::Whole(json) = PayloadRef::of(frame.payload) else {
        return None;
    };
    match deliver(json, frame.term) {
        Cow::Borrowed(json) => Some(json),
        Cow::Owned(_) => None,
    }
}

/// Renders one frame of what was published here; true when it was the last of its transaction.
pub(super) fn frame(frame: FrameView<'_>, out: &mut Messages) -> bool {
    match PayloadRef::of(frame.payload) {
        PayloadRef::Whole(json) => {
            out.push(frame.end_lsn, &deliver(json, frame.term));
            true
        }
        PayloadRef::Part { last, json, .. } => {
            let lsn = if last {
                frame.end_lsn
            } else {
                own_lsn(json).map_or_else(|| only_change_lsn(frame.end_lsn), Lsn::new)
            };
            out.push(lsn, &deliver(json, frame.term));
            last
        }
        PayloadRef::Chunk { payload, .. } | PayloadRef::Opaque(payload) => {
            out.push(frame.end_lsn, payload);
            boundary(payload).1
        }
    }
}
