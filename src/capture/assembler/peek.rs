//! The few bytes of a message that are looked at where it is not decoded.

use super::AssembleError;
use crate::pgoutput::{DecodeError, DecodeFault};

/// A number of a message.
pub(super) fn u32_at(message: &[u8], at: usize, what: &'static str) -> Result<u32, DecodeError> {
    let bytes = message.get(at..).and_then(|rest| rest.first_chunk());
    let bytes = bytes.ok_or(DecodeError {
        tag: message.first().copied(),
        offset: message.len(),
        fault: DecodeFault::Short(what),
    })?;
    Ok(u32::from_be_bytes(*bytes))
}

/// The table of a change of a row, whose OID begins at `at`; a row follows.
pub(super) fn relation(message: &[u8], at: usize) -> Result<u32, DecodeError> {
    let relation = u32_at(message, at, "the relation's OID")?;
    match message.get(at + 4) {
        Some(b'N' | b'K' | b'O') => Ok(relation),
        kind => Err(DecodeError {
            tag: message.first().copied(),
            offset: at + 4,
            fault: match kind {
                Some(_) => DecodeFault::Value("the kind of row"),
                None => DecodeFault::Short("the kind of row"),
            },
        }),
    }
}

/// The message cannot come `place`.
pub(super) fn out_of_place(message: &[u8], place: &'static str) -> AssembleError {
    AssembleError::OutOfPlace {
        letter: message.first().copied().map_or('?', char::from),
        place,
    }
}
