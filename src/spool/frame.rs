//! The bytes of one frame.

use std::fmt;

use super::MAX_PAYLOAD;
use crate::lsn::Lsn;

/// The layouts of RedDB frames that are read. Only [`FrameVersion::V3`] is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameVersion {
    /// 21-byte header, no checksum, no time, no term.
    V1,
    /// 25-byte header and checksum, no term.
    V2,
    /// 33-byte header and checksum.
    V3,
    /// 41-byte header (ownership epoch) and checksum, as later RedDB writes it.
    V3Epoch,
}

/// Bytes before the payload.
pub const HEADER_LEN: usize = 33;
/// Bytes after the payload.
pub const TRAILER_LEN: usize = 4;
/// Bytes around the payload.
pub const OVERHEAD: usize = 37;

/// Appends a v3/33 frame to `out`.
pub fn encode(out: &mut Vec<u8>, term: u64, lsn: Lsn, timestamp_ms: u64, payload: &[u8]) {
    push(out, term, lsn, timestamp_ms, &[payload]);
}

/// [`encode`] where the payload is `before`, then the decimal digits of `number`, then `after`.
pub fn encode_with_number(
    out: &mut Vec<u8>,
    term: u64,
    lsn: Lsn,
    timestamp_ms: u64,
    before: &[u8],
    number: u64,
    after: &[u8],
) {
    let digits = number.to_string();
    push(
        out,
        term,
        lsn,
        timestamp_ms,
        &[before, digits.as_bytes(), after],
    );
}

fn push(out: &mut Vec<u8>, term: u64, lsn: Lsn, timestamp_ms: u64, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let start = out.len();
    out.extend_from_slice(b"RDLW\x03");
    out.extend_from_slice(&term.to_le_bytes());
    out.extend_from_slice(&lsn.get().to_le_bytes());
    out.extend_from_slice(&timestamp_ms.to_le_bytes());
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = crc32fast::hash(out.get(start + 4..).unwrap_or_default());
    out.extend_from_slice(&crc.to_le_bytes());
}

/// A decoded frame.
#[derive(Debug)]
pub struct RawFrame<'a> {
    /// Layout.
    pub version: FrameVersion,
    /// Term; `None` for v1 and v2.
    pub term: Option<u64>,
    /// Ownership epoch.
    pub epoch: Option<u64>,
    /// Position.
    pub lsn: Lsn,
    /// Unix milliseconds.
    pub timestamp_ms: u64,
    /// Payload.
    pub payload: &'a [u8],
    /// Bytes of the whole frame.
    pub len: usize,
}

/// What the bytes are.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A frame.
    Frame(RawFrame<'a>),
    /// The buffer ends before the frame does.
    Incomplete {
        /// Bytes from the frame's start known to be needed.
        needed: usize,
    },
    /// Not a frame.
    Bad(FrameFault),
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameFault {
    /// Magic.
    BadMagic([u8; 4]),
    /// Version.
    UnsupportedVersion(u8),
    /// Length.
    ImplausibleLength(u64),
    /// Checksum.
    CrcMismatch {
        /// In the frame.
        stored: u32,
        /// Computed.
        expected: u32,
    },
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMagic(got) => write!(f, "bad magic: got {got:?}"),
            Self::UnsupportedVersion(v) => write!(f, "unsupported version {v}"),
            Self::ImplausibleLength(l) => write!(f, "implausible payload_len {l}"),
            Self::CrcMismatch { stored, expected } => {
                write!(
                    f,
                    "crc mismatch: stored {stored:#010x}, expected {expected:#010x}"
                )
            }
        }
    }
}

/// Decodes a v3/33 frame at the start of `buf`.
pub fn decode_v3(buf: &[u8]) -> Decoded<'_> {
    let Some(magic) = buf.first_chunk::<4>() else {
        return Decoded::Incomplete { needed: HEADER_LEN };
    };
    if magic != b"RDLW" {
        return Decoded::Bad(FrameFault::BadMagic(*magic));
    }
    match buf.get(4) {
        None => return Decoded::Incomplete { needed: HEADER_LEN },
        Some(3) => {}
        Some(v) => return Decoded::Bad(FrameFault::UnsupportedVersion(*v)),
    }
    let (Some(term), Some(lsn), Some(timestamp_ms), Some(len)) = (
        u64_at(buf, 5),
        u64_at(buf, 13),
        u64_at(buf, 21),
        u32_at(buf, 29),
    ) else {
        return Decoded::Incomplete { needed: HEADER_LEN };
    };
    let payload_len = usize::try_from(len).unwrap_or(usize::MAX);
    if payload_len > MAX_PAYLOAD {
        return Decoded::Bad(FrameFault::ImplausibleLength(u64::from(len)));
    }
    let total = payload_len + OVERHEAD;
    let (Some(payload), Some(body), Some(stored)) = (
        buf.get(HEADER_LEN..total - TRAILER_LEN),
        buf.get(4..total - TRAILER_LEN),
        u32_at(buf, total - TRAILER_LEN),
    ) else {
        return Decoded::Incomplete { needed: total };
    };
    let expected = crc32fast::hash(body);
    if expected != stored {
        return Decoded::Bad(FrameFault::CrcMismatch { stored, expected });
    }
    Decoded::Frame(RawFrame {
        version: FrameVersion::V3,
        term: Some(term),
        epoch: None,
        lsn: Lsn::new(lsn),
        timestamp_ms,
        payload,
        len: total,
    })
}

fn u64_at(buf: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*buf.get(at..)?.first_chunk()?))
}

fn u32_at(buf: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*buf.get(at..)?.first_chunk()?))
}
