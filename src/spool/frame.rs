//! The bytes of one frame.
//!
//! Encodes v3 and decodes every layout that RedDB has written. All integers are little-endian;
//! the checksum is CRC-32/ISO-HDLC over everything between the magic and itself.
//!
//! ```text
//!      0      4   5          13         21           29            33
//!      +------+---+----------+----------+------------+-------------+---------+-------+
//! v3   | RDLW | 3 | term u64 | lsn u64  | time ms u64| length u32  | payload | crc32 |   written
//!      +------+---+----------+----------+------------+-------------+---------+-------+
//!
//!      0      4   5          13         21         29           37           41
//!      +------+---+----------+----------+----------+------------+------------+---------+-------+
//! v3/41| RDLW | 3 | term u64 | epoch u64| lsn u64  | time ms u64| length u32 | payload | crc32 |
//!      +------+---+----------+----------+----------+------------+------------+---------+-------+
//!
//!      0      4   5         13           21            25
//!      +------+---+---------+------------+-------------+---------+-------+
//! v2   | RDLW | 2 | lsn u64 | time ms u64| length u32  | payload | crc32 |
//!      +------+---+---------+------------+-------------+---------+-------+
//!
//!      0      4   5         13           21
//!      +------+---+---------+------------+---------+
//! v1   | RDLW | 1 | lsn u64 | length u64 | payload |
//!      +------+---+---------+------------+---------+
//! ```
//!
//! v3 and v3/41 share the version byte and nothing in a frame tells them apart: the one whose
//! checksum matches is the one that was meant, v3 being tried first.
//!
//! It does not know files, segments or what a payload means, and never panics on any bytes.

use crate::lsn::Lsn;

use super::MAX_PAYLOAD;

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"RDLW";
/// Bytes before the payload of a v3 frame.
pub const HEADER_LEN: usize = 33;
/// Bytes after the payload of a v3 frame.
pub const TRAILER_LEN: usize = 4;
/// What a v3 frame adds to its payload.
pub const OVERHEAD: usize = HEADER_LEN + TRAILER_LEN;

const V1_HEADER_LEN: usize = 21;
const V2_HEADER_LEN: usize = 25;
const V3_EPOCH_HEADER_LEN: usize = 41;

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

impl FrameVersion {
    /// The version byte: both v3 layouts share one.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 | Self::V3Epoch => 3,
        }
    }
}

/// One frame, borrowed from the buffer it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// Its layout.
    pub version: FrameVersion,
    /// Leadership term; v1 and v2 frames have none.
    pub term: Option<u64>,
    /// Ownership epoch, only in v3/41 frames; their 0 means none.
    pub epoch: Option<u64>,
    /// Log position.
    pub lsn: Lsn,
    /// Unix milliseconds (v1: 0).
    pub timestamp_ms: u64,
    /// The payload.
    pub payload: &'a [u8],
    /// Bytes of the whole frame.
    pub len: usize,
}

/// What a buffer begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole, valid frame.
    Frame(RawFrame<'a>),
    /// Not a whole frame yet: decode again with at least `needed` bytes (more than there are).
    /// At the end of a file this is a torn frame; see [`fault_at_end`].
    Incomplete {
        /// The least length of a buffer that can tell more.
        needed: usize,
    },
    /// No frame, however many bytes follow.
    Bad(FrameFault),
}

/// Why bytes are no frame. The texts are RedDB's, without the offset; [`FrameFault::at`] adds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It does not begin with the magic.
    #[error("bad magic: got {got:?}")]
    BadMagic {
        /// What it begins with.
        got: [u8; 4],
    },
    /// A version byte that no RedDB has written.
    #[error("unsupported version {version}")]
    UnsupportedVersion {
        /// The byte.
        version: u8,
    },
    /// The buffer ends inside the frame.
    #[error("{}torn {field}", v1_prefix(*.v1))]
    Torn {
        /// The field it ends in.
        field: &'static str,
        /// In a v1 frame.
        v1: bool,
    },
    /// A payload length over the limit.
    #[error("{}implausible payload_len {len}", v1_prefix(*.v1))]
    ImplausibleLength {
        /// The length.
        len: u64,
        /// In a v1 frame.
        v1: bool,
    },
    /// The checksum does not match.
    #[error("crc mismatch: stored {stored:#010x}, expected {expected:#010x}")]
    CrcMismatch {
        /// As the frame says.
        stored: u32,
        /// As its bytes give.
        expected: u32,
    },
}

const fn v1_prefix(v1: bool) -> &'static str {
    if v1 { "v1 " } else { "" }
}

impl FrameFault {
    /// RedDB's words for this fault at `offset` of a file.
    pub fn at(&self, offset: u64) -> String {
        match self {
            Self::BadMagic { got } => format!("bad magic at offset {offset}: got {got:?}"),
            Self::CrcMismatch { stored, expected } => format!(
                "crc mismatch at offset {offset}: stored {stored:#010x}, expected {expected:#010x}"
            ),
            Self::UnsupportedVersion { .. }
            | Self::Torn { .. }
            | Self::ImplausibleLength { .. } => format!("{self} at offset {offset}"),
        }
    }
}

/// Appends a v3 frame to `out`. The payload is at most [`MAX_PAYLOAD`] long: the caller checks.
pub fn encode(out: &mut Vec<u8>, term: u64, lsn: Lsn, timestamp_ms: u64, payload: &[u8]) {
    let start = begin(out, term, lsn, timestamp_ms, payload.len());
    out.extend_from_slice(payload);
    seal(out, start);
}

/// Appends a v3 frame whose payload is `before`, the decimal digits of `number`, `after`.
/// Together they are at most [`MAX_PAYLOAD`] long: the caller checks.
pub fn encode_with_number(
    out: &mut Vec<u8>,
    term: u64,
    lsn: Lsn,
    timestamp_ms: u64,
    before: &[u8],
    number: u64,
    after: &[u8],
) {
    let mut buffer = [0; MAX_DIGITS];
    let digits = decimal(number, &mut buffer);
    let len = before.len() + digits.len() + after.len();
    let start = begin(out, term, lsn, timestamp_ms, len);
    out.extend_from_slice(before);
    out.extend_from_slice(digits);
    out.extend_from_slice(after);
    seal(out, start);
}

/// Writes the header; returns where the frame starts in `out`.
fn begin(out: &mut Vec<u8>, term: u64, lsn: Lsn, timestamp_ms: u64, payload_len: usize) -> usize {
    debug_assert!(payload_len <= MAX_PAYLOAD, "the caller checks the payload");
    let start = out.len();
    out.reserve(payload_len.saturating_add(OVERHEAD));
    out.extend_from_slice(&MAGIC);
    out.push(FrameVersion::V3.number());
    out.extend_from_slice(&term.to_le_bytes());
    out.extend_from_slice(&lsn.get().to_le_bytes());
    out.extend_from_slice(&timestamp_ms.to_le_bytes());
    let len = u32::try_from(payload_len).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    start
}

/// Writes the checksum of the frame that starts at `start`.
fn seal(out: &mut Vec<u8>, start: usize) {
    let covered = out.get(start + MAGIC.len()..).unwrap_or_default();
    let crc = crc32fast::hash(covered);
    out.extend_from_slice(&crc.to_le_bytes());
}

const MAX_DIGITS: usize = 20;

/// The decimal digits of `number`, written into the end of `buffer`.
fn decimal(mut number: u64, buffer: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut start = MAX_DIGITS;
    for place in buffer.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or_default()
}

/// Decodes the frame at the beginning of `buf`, of any layout.
pub fn decode(buf: &[u8]) -> Decoded<'_> {
    match version_byte(buf) {
        Ok(1) => v1(buf),
        Ok(2) => v2(buf),
        Ok(3) => v3_either(buf),
        Ok(version) => Decoded::Bad(FrameFault::UnsupportedVersion { version }),
        Err(other) => other,
    }
}

/// Decodes the frame at the beginning of `buf` if it is v3 with the 33-byte header; every other
/// layout is [`Decoded::Bad`].
pub fn decode_v3(buf: &[u8]) -> Decoded<'_> {
    match version_byte(buf) {
        Ok(3) => v3(buf),
        Ok(version) => Decoded::Bad(FrameFault::UnsupportedVersion { version }),
        Err(other) => other,
    }
}

/// What is wrong with `buf` when no byte follows it and [`decode`] found it incomplete.
pub fn fault_at_end(buf: &[u8]) -> FrameFault {
    let torn = |field, v1| FrameFault::Torn { field, v1 };
    let ends = |fields: &[(usize, &'static str)], v1| {
        let field = fields.iter().find(|(end, _)| buf.len() < *end);
        torn(field.map_or("payload", |(_, name)| name), v1)
    };
    let version = match version_byte(buf) {
        Ok(version) => version,
        Err(Decoded::Bad(fault)) => return fault,
        Err(Decoded::Incomplete { .. } | Decoded::Frame(_)) => return torn("header", false),
    };
    let payload_end = |header: usize| {
        let len = u32_at(buf, header - 4).and_then(|len| usize::try_from(len).ok());
        len.map_or(usize::MAX, |len| header.saturating_add(len))
    };
    match version {
        1 => ends(&[(13, "lsn"), (21, "payload length")], true),
        2 => {
            let fields = [(13, "lsn"), (21, "timestamp"), (25, "payload length")];
            let end = [(payload_end(V2_HEADER_LEN), "payload"), (usize::MAX, "crc")];
            ends(&[fields.as_slice(), &end].concat(), false)
        }
        // Only the 33-byte reading is told: RedDB 1.9.0 knows no other.
        3 => match v3(buf) {
            Decoded::Bad(fault) => fault,
            Decoded::Incomplete { .. } | Decoded::Frame(_) => {
                let fields = [(13, "term"), (21, "lsn"), (29, "timestamp")];
                let end = [
                    (HEADER_LEN, "payload length"),
                    (payload_end(HEADER_LEN), "payload"),
                    (usize::MAX, "crc"),
                ];
                ends(&[fields.as_slice(), &end].concat(), false)
            }
        },
        version => FrameFault::UnsupportedVersion { version },
    }
}

/// The version byte, or what the buffer is when it has none.
fn version_byte(buf: &[u8]) -> Result<u8, Decoded<'_>> {
    let needed = MAGIC.len() + 1;
    match buf.first_chunk::<4>() {
        Some(&MAGIC) => match buf.get(4) {
            Some(version) => Ok(*version),
            None => Err(Decoded::Incomplete { needed }),
        },
        Some(got) => Err(Decoded::Bad(FrameFault::BadMagic { got: *got })),
        None => Err(Decoded::Incomplete { needed }),
    }
}

/// A payload length, checked against the limit.
fn plausible(len: u64, v1: bool) -> Result<usize, FrameFault> {
    usize::try_from(len)
        .ok()
        .filter(|len| *len <= MAX_PAYLOAD)
        .ok_or(FrameFault::ImplausibleLength { len, v1 })
}

/// The payload of a frame with a checksum and a header of `header` bytes that ends in the
/// payload's length, and the frame's whole length.
fn checked(buf: &[u8], header: usize) -> Result<(&[u8], usize), Decoded<'_>> {
    let Some(len) = u32_at(buf, header - 4) else {
        return Err(Decoded::Incomplete { needed: header });
    };
    let len = plausible(u64::from(len), false).map_err(Decoded::Bad)?;
    let end = header + len;
    let needed = end + TRAILER_LEN;
    let parts = (buf.get(MAGIC.len()..end), buf.get(header..end));
    let (Some(stored), (Some(covered), Some(payload))) = (u32_at(buf, end), parts) else {
        return Err(Decoded::Incomplete { needed });
    };
    let expected = crc32fast::hash(covered);
    if stored == expected {
        Ok((payload, needed))
    } else {
        let fault = FrameFault::CrcMismatch { stored, expected };
        Err(Decoded::Bad(fault))
    }
}

fn v1(buf: &[u8]) -> Decoded<'_> {
    let (Some(lsn), Some(len)) = (u64_at(buf, 5), u64_at(buf, 13)) else {
        let needed = V1_HEADER_LEN;
        return Decoded::Incomplete { needed };
    };
    let len = match plausible(len, true) {
        Ok(len) => V1_HEADER_LEN + len,
        Err(fault) => return Decoded::Bad(fault),
    };
    let Some(payload) = buf.get(V1_HEADER_LEN..len) else {
        return Decoded::Incomplete { needed: len };
    };
    Decoded::Frame(RawFrame {
        version: FrameVersion::V1,
        term: None,
        epoch: None,
        lsn: Lsn::new(lsn),
        timestamp_ms: 0,
        payload,
        len,
    })
}

fn v2(buf: &[u8]) -> Decoded<'_> {
    let (payload, len) = match checked(buf, V2_HEADER_LEN) {
        Ok(frame) => frame,
        Err(other) => return other,
    };
    Decoded::Frame(RawFrame {
        version: FrameVersion::V2,
        term: None,
        epoch: None,
        lsn: Lsn::new(u64_at(buf, 5).unwrap_or_default()),
        timestamp_ms: u64_at(buf, 13).unwrap_or_default(),
        payload,
        len,
    })
}

fn v3(buf: &[u8]) -> Decoded<'_> {
    let (payload, len) = match checked(buf, HEADER_LEN) {
        Ok(frame) => frame,
        Err(other) => return other,
    };
    Decoded::Frame(RawFrame {
        version: FrameVersion::V3,
        term: u64_at(buf, 5),
        epoch: None,
        lsn: Lsn::new(u64_at(buf, 13).unwrap_or_default()),
        timestamp_ms: u64_at(buf, 21).unwrap_or_default(),
        payload,
        len,
    })
}

fn v3_epoch(buf: &[u8]) -> Decoded<'_> {
    let (payload, len) = match checked(buf, V3_EPOCH_HEADER_LEN) {
        Ok(frame) => frame,
        Err(other) => return other,
    };
    Decoded::Frame(RawFrame {
        version: FrameVersion::V3Epoch,
        term: u64_at(buf, 5),
        epoch: u64_at(buf, 13).filter(|epoch| *epoch != 0),
        lsn: Lsn::new(u64_at(buf, 21).unwrap_or_default()),
        timestamp_ms: u64_at(buf, 29).unwrap_or_default(),
        payload,
        len,
    })
}

/// Reads version byte 3 both ways. What one reading takes for a length may be part of the
/// other's time stamp, so an incomplete reading decides nothing while the other is whole.
fn v3_either(buf: &[u8]) -> Decoded<'_> {
    let short = match v3(buf) {
        Decoded::Frame(frame) => return Decoded::Frame(frame),
        other @ (Decoded::Incomplete { .. } | Decoded::Bad(_)) => other,
    };
    match (short, v3_epoch(buf)) {
        (_, Decoded::Frame(frame)) => Decoded::Frame(frame),
        (Decoded::Incomplete { needed: a }, Decoded::Incomplete { needed: b }) => {
            Decoded::Incomplete { needed: a.min(b) }
        }
        (Decoded::Bad(_), incomplete @ Decoded::Incomplete { .. }) => incomplete,
        (short, Decoded::Bad(_) | Decoded::Incomplete { .. }) => short,
    }
}

fn u64_at(buf: &[u8], at: usize) -> Option<u64> {
    let bytes = buf.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

fn u32_at(buf: &[u8], at: usize) -> Option<u32> {
    let bytes = buf.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}
