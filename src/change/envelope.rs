//! The first bytes of a payload: where its frame stands in its transaction.
//!
//! ```text
//! '{' ...                      a JSON change record, a whole transaction
//! 0x01 flags ...               a chunk of a captured transaction (`chunk`)
//! 0x02 flags '{' ...           one JSON change record of a transaction of several
//! anything else                carried as it is, a whole transaction
//!
//! flags: bit 0 first, bit 1 last
//! ```

use bytes::Bytes;

use super::Payload;
use super::chunk::{ChunkFlags, PGOUTPUT_CHUNK};

const RECORD_PART: u8 = 2;

const FIRST: u8 = 1;
const LAST: u8 = 2;

/// A [`Payload`] that only borrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadRef<'a> {
    Whole(&'a [u8]),
    Part {
        first: bool,
        last: bool,
        json: &'a [u8],
    },
    /// A part of a captured transaction: the whole payload.
    Chunk {
        flags: ChunkFlags,
        payload: &'a [u8],
    },
    Opaque(&'a [u8]),
}

impl<'a> PayloadRef<'a> {
    /// Reads the envelope of `payload`.
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        match payload {
            [b'{', ..] => Self::Whole(payload),
            // What does not look exactly like ours is somebody else's bytes.
            [RECORD_PART, flags, json @ ..]
                if flags & !(FIRST | LAST) == 0 && json.first() == Some(&b'{') =>
            {
                Self::Part {
                    first: flags & FIRST != 0,
                    last: flags & LAST != 0,
                    json,
                }
            }
            [PGOUTPUT_CHUNK, flags, _, ..] => match ChunkFlags::of(*flags) {
                Some(flags) => Self::Chunk { flags, payload },
                None => Self::Opaque(payload),
            },
            _ => Self::Opaque(payload),
        }
    }
}

/// Reads the envelope of `payload`, sharing its bytes.
pub fn parse_payload(payload: &Bytes) -> Payload {
    match PayloadRef::of(payload) {
        PayloadRef::Whole(_) => Payload::Whole(payload.clone()),
        PayloadRef::Part { first, last, json } => Payload::Part {
            first,
            last,
            json: payload.slice_ref(json),
        },
        PayloadRef::Chunk { .. } | PayloadRef::Opaque(_) => Payload::Opaque(payload.clone()),
    }
}

/// Whether the frame with this payload is the first and whether it is the last of its
/// transaction.
pub fn boundary(payload: &[u8]) -> (bool, bool) {
    match PayloadRef::of(payload) {
        PayloadRef::Part { first, last, .. } => (first, last),
        PayloadRef::Whole(_) => (true, true),
        PayloadRef::Chunk { flags, .. } => (flags.first, flags.last),
        PayloadRef::Opaque(_) => (true, true),
    }
}

/// What stands before the JSON of one record of a transaction of several.
pub const fn frame_part_prefix(first: bool, last: bool) -> [u8; 2] {
    let flags = if first { FIRST } else { 0 } | if last { LAST } else { 0 };
    [RECORD_PART, flags]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_say_where_a_frame_stands() {
        let rows: [(&[u8], (bool, bool)); 13] = [
            (b"{}", (true, true)),
            (b"{", (true, true)),
            (b"", (true, true)),
            (b"\x02\x01{}", (true, false)),
            (b"\x02\x00{}", (false, false)),
            (b"\x02\x02{}", (false, true)),
            (b"\x02\x03{}", (true, true)),
            (b"\x02\x04{}", (true, true)),
            (b"\x02\x00", (true, true)),
            (b"\x02\x00[", (true, true)),
            (b"\x01\x04x", (false, false)),
            (b"\x01\x05x", (true, false)),
            (b"\x01\xab", (true, true)),
        ];
        for (payload, wanted) in rows {
            assert_eq!(boundary(payload), wanted, "{payload:?}");
        }
    }

    #[test]
    fn prefixes_read_back() {
        for first in [false, true] {
            for last in [false, true] {
                let mut payload = frame_part_prefix(first, last).to_vec();
                payload.extend_from_slice(b"{\"a\":1}");
                let json = Bytes::from_static(b"{\"a\":1}");
                let part = Payload::Part { first, last, json };
                assert_eq!(parse_payload(&Bytes::from(payload)), part);
            }
        }
    }
}
