//! Payloads of captured transactions: pgoutput messages as the upstream sent them.
//!
//! ```text
//! 01 flags  (message LSN u64, length u32, message)*      numbers big-endian
//! flags: bit 0 first, bit 1 last, bit 2 continued, bit 3 large
//! ```
//!
//! The messages are those of a transaction that was not streamed: from Begin to Commit, without
//! transaction ids in front of changes; or one logical message that belongs to no transaction. A
//! message that does not fit goes on in the next frame (`continued`), which then begins with its
//! rest; the length is that of the whole message. `large` says, in every frame of it, that the
//! transaction is longer than a subscriber that asked for streaming wants to wait for.

use crate::lsn::Lsn;

/// The version of the payload.
pub(crate) const PGOUTPUT_CHUNK: u8 = 1;

/// About how long a chunk is.
pub const CHUNK_BYTES: usize = 1 << 20;

/// What of a message goes into one chunk at most.
pub const MESSAGE_PART: usize = 8 << 20;

/// The longest message that PostgreSQL can send.
pub const MAX_MESSAGE: usize = 0x3fff_ffff;

/// Before each message: its LSN and its length.
pub const MESSAGE_HEAD: usize = 12;

/// Where a chunk stands in its transaction, and what that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)]
pub struct ChunkFlags {
    /// It is the first.
    pub first: bool,
    /// It is the last.
    pub last: bool,
    /// Its last message goes on in the next one.
    pub continued: bool,
    /// The transaction is a large one.
    pub large: bool,
}

impl ChunkFlags {
    const FIRST: u8 = 1;
    const LAST: u8 = 2;
    const CONTINUED: u8 = 4;
    const LARGE: u8 = 8;

    const fn byte(self) -> u8 {
        (if self.first { Self::FIRST } else { 0 })
            | (if self.last { Self::LAST } else { 0 })
            | (if self.continued { Self::CONTINUED } else { 0 })
            | (if self.large { Self::LARGE } else { 0 })
    }

    /// The flags of a byte, `None` where it has bits that are none.
    pub(crate) const fn of(byte: u8) -> Option<Self> {
        if byte & !(Self::FIRST | Self::LAST | Self::CONTINUED | Self::LARGE) != 0 {
            return None;
        }
        Some(Self {
            first: byte & Self::FIRST != 0,
            last: byte & Self::LAST != 0,
            continued: byte & Self::CONTINUED != 0,
            large: byte & Self::LARGE != 0,
        })
    }
}

/// Why a chunk cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Bytes are missing, or too many.
    #[error("a chunk of a captured transaction ends in the middle of {0}")]
    Cut(&'static str),
    /// A message that cannot be so long.
    #[error("a message of {0} bytes in a captured transaction")]
    TooLong(usize),
    /// A chunk that should begin with the rest of a message does not, or the other way round.
    #[error("a chunk of a captured transaction does not follow the one before it")]
    OutOfOrder,
    /// It is no chunk.
    #[error("no chunk of a captured transaction")]
    NoChunk,
}

/// Begins a chunk in `out`; its flags follow with [`set_flags`].
pub fn begin_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PGOUTPUT_CHUNK, 0]);
}

/// Sets the flags of the chunk `chunk`.
pub fn set_flags(chunk: &mut [u8], flags: ChunkFlags) {
    if let Some(byte) = chunk.get_mut(1) {
        *byte = flags.byte();
    }
}

/// Begins a message of `len` bytes in a chunk: its bytes follow, in this chunk and the next ones.
pub fn begin_message(lsn: Lsn, len: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&lsn.get().to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
}

/// Reads the messages of a transaction out of its chunks.
#[derive(Debug, Default)]
pub struct ChunkReader {
    /// A message that is not there whole yet: its LSN, its length, what is there.
    open: Option<(Lsn, usize, Vec<u8>)>,
}

impl ChunkReader {
    /// Hands the messages of a payload that are there whole to `each`, with their LSNs.
    pub fn read<E: From<ChunkError>>(
        &mut self,
        payload: &[u8],
        mut each: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
    ) -> Result<ChunkFlags, E> {
        let (flags, mut rest) = split(payload)?;
        if flags.first {
            self.open = None;
        }
        if let Some((lsn, len, mut start)) = self.open.take() {
            let missing = len.saturating_sub(start.len());
            let part = rest.split_at_checked(missing);
            let (part, behind) = part.unwrap_or((rest, &[]));
            start.extend_from_slice(part);
            rest = behind;
            if start.len() < len {
                if !flags.continued {
                    return Err(ChunkError::Cut("a message").into());
                }
                self.open = Some((lsn, len, start));
                return Ok(flags);
            }
            each(lsn, &start)?;
        }
        while !rest.is_empty() {
            let (lsn, len, behind) = message_head(rest)?;
            match behind.split_at_checked(len) {
                Some((message, behind)) => {
                    each(lsn, message)?;
                    rest = behind;
                }
                None if flags.continued => {
                    self.open = Some((lsn, len, behind.to_vec()));
                    return Ok(flags);
                }
                None => return Err(ChunkError::Cut("a message").into()),
            }
        }
        if flags.continued {
            return Err(ChunkError::OutOfOrder.into());
        }
        Ok(flags)
    }
}

/// Flags and messages of a payload.
fn split(payload: &[u8]) -> Result<(ChunkFlags, &[u8]), ChunkError> {
    match payload {
        [PGOUTPUT_CHUNK, flags, rest @ ..] => {
            let flags = ChunkFlags::of(*flags).ok_or(ChunkError::NoChunk)?;
            Ok((flags, rest))
        }
        _ => Err(ChunkError::NoChunk),
    }
}

/// LSN and length of the next message, and what is behind them.
fn message_head(bytes: &[u8]) -> Result<(Lsn, usize, &[u8]), ChunkError> {
    let (head, rest) = bytes
        .split_first_chunk::<MESSAGE_HEAD>()
        .ok_or(ChunkError::Cut("what stands before a message"))?;
    let [a, b, c, d, e, f, g, h, l0, l1, l2, l3] = *head;
    let lsn = Lsn::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    let len = u32::from_be_bytes([l0, l1, l2, l3]);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_MESSAGE {
        return Err(ChunkError::TooLong(len));
    }
    Ok((lsn, len, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(flags: ChunkFlags, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut chunk = Vec::new();
        begin_chunk(&mut chunk);
        body(&mut chunk);
        set_flags(&mut chunk, flags);
        chunk
    }

    fn read(chunks: &[Vec<u8>]) -> Result<Vec<(u64, Vec<u8>)>, ChunkError> {
        let mut reader = ChunkReader::default();
        let mut all = Vec::new();
        for chunk in chunks {
            reader.read::<ChunkError>(chunk, |lsn, message| {
                all.push((lsn.get(), message.to_vec()));
                Ok(())
            })?;
        }
        Ok(all)
    }

    #[test]
    fn messages_read_back_across_frames() {
        let first = ChunkFlags {
            first: true,
            continued: true,
            ..ChunkFlags::default()
        };
        let middle = ChunkFlags {
            continued: true,
            ..ChunkFlags::default()
        };
        let last = ChunkFlags {
            last: true,
            ..ChunkFlags::default()
        };
        let chunks = [
            chunk(first, |out| {
                begin_message(Lsn::new(7), 2, out);
                out.extend_from_slice(b"ab");
                begin_message(Lsn::new(9), 5, out);
                out.extend_from_slice(b"c");
            }),
            chunk(middle, |out| out.extend_from_slice(b"de")),
            chunk(last, |out| {
                out.extend_from_slice(b"fg");
                begin_message(Lsn::ZERO, 0, out);
            }),
        ];
        let wanted = vec![(7, b"ab".to_vec()), (9, b"cdefg".to_vec()), (0, vec![])];
        assert_eq!(read(&chunks), Ok(wanted));
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let only = ChunkFlags {
            first: true,
            last: true,
            ..ChunkFlags::default()
        };
        let whole = chunk(only, |out| {
            begin_message(Lsn::new(7), 2, out);
            out.extend_from_slice(b"ab");
        });
        assert!(read(std::slice::from_ref(&whole)).is_ok());
        for len in 3..whole.len() {
            assert!(read(&[whole[..len].to_vec()]).is_err(), "{len}");
        }
        assert_eq!(read(&[vec![]]), Err(ChunkError::NoChunk));
        assert_eq!(read(&[vec![1, 0xf0]]), Err(ChunkError::NoChunk));
    }
}
