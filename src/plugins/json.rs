//! The `json` plugin: one message a change record, RedDB's JSON as it was stored.
//!
//! There is no commit message, so the last or only message of a transaction carries its end LSN
//! and the earlier ones their own. A stored payload goes out byte for byte unless its term is
//! not the frame's; one that is not a change record goes out byte for byte too.

use std::borrow::Cow;

use crate::change::{PayloadRef, boundary, deliver, only_change_lsn, own_lsn};
use crate::lsn::Lsn;

use super::options::{PluginOption, unknown};
use super::{FrameView, Messages, PluginError};

/// Checks the options: there are none.
pub(super) fn start(options: &[PluginOption]) -> Result<(), PluginError> {
    options
        .first()
        .map_or(Ok(()), |option| Err(unknown(option)))
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

/// Renders one frame; true when it was the last of its transaction.
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
