//! Rows of the binary format.
//!
//! ```text
//! +---------------------+-----------+-----------+--------- - -
//! | PGCOPY\n FF \r\n 00 | flags u32 | rest u32  | ...           once
//! +---------------------+-----------+-----------+--------- - -
//! | fields i16 | length i32 (-1: NULL) | bytes | ...            each row; fields -1: the end
//! +------------+-----------------------+-------+---- - -
//! ```

use super::{CopyError, Fields};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Flags that must be understood; there is none.
const CRITICAL: u32 = 0xffff_0000;

/// Cuts data into rows.
#[derive(Debug)]
pub(super) struct BinaryReader {
    max_bytes: usize,
    data: Vec<u8>,
    at: usize,
    state: State,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Over,
}

/// Why a row is not read.
enum Stop {
    /// More data is needed.
    Short,
    Wrong(CopyError),
}

fn wrong(message: impl Into<String>) -> Stop {
    Stop::Wrong(CopyError::Binary(message.into()))
}

impl BinaryReader {
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            data: Vec::new(),
            at: 0,
            state: State::Header,
            number: 0,
        }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.data.drain(..self.at);
        self.at = 0;
        self.data.extend_from_slice(piece);
    }

    /// Number of the row that is read, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn next(
        &mut self,
        num_columns: usize,
        last: bool,
        fields: &mut Fields,
    ) -> Result<bool, CopyError> {
        if self.state == State::Header {
            let mut rest = Bytes(self.data.get(self.at..).unwrap_or_default());
            let before = rest.0.len();
            match header(&mut rest, last) {
                Ok(()) => {
                    self.at += before - rest.0.len();
                    self.state = State::Rows;
                }
                Err(Stop::Short) => return Ok(false),
                Err(Stop::Wrong(error)) => return Err(error),
            }
        }
        let mut rest = Bytes(self.data.get(self.at..).unwrap_or_default());
        let before = rest.0.len();
        if self.state == State::Over {
            return if before == 0 {
                Ok(false)
            } else {
                let message = "received copy data after EOF marker";
                Err(CopyError::Binary(message.to_owned()))
            };
        }
        if before == 0 && last {
            // PostgreSQL's clients may leave the trailer out.
            return Ok(false);
        }
        match row(&mut rest, num_columns, fields) {
            Ok(true) => {
                self.at += before - rest.0.len();
                self.number += 1;
                Ok(true)
            }
            Ok(false) => {
                self.at += before - rest.0.len();
                self.state = State::Over;
                self.next(num_columns, last, fields)
            }
            Err(Stop::Short) if last => {
                self.number += 1;
                Err(CopyError::Binary("unexpected EOF in COPY data".to_owned()))
            }
            Err(Stop::Short) if before > self.max_bytes => Err(CopyError::TooLong {
                line: self.number + 1,
                max: self.max_bytes,
            }),
            Err(Stop::Short) => {
                fields.clear();
                Ok(false)
            }
            Err(Stop::Wrong(error)) => {
                self.number += 1;
                Err(error)
            }
        }
    }
}

fn header(rest: &mut Bytes<'_>, last: bool) -> Result<(), Stop> {
    let or_missing = |stop, what: &str| match stop {
        Stop::Short if last => wrong(format!("invalid COPY file header ({what})")),
        Stop::Short | Stop::Wrong(_) => stop,
    };
    let signature = rest.take(SIGNATURE.len());
    let signature = signature.map_err(|stop| match stop {
        Stop::Short if last => wrong("COPY file signature not recognized"),
        Stop::Short | Stop::Wrong(_) => stop,
    })?;
    if signature != SIGNATURE {
        return Err(wrong("COPY file signature not recognized"));
    }
    let flags = rest
        .u32()
        .map_err(|stop| or_missing(stop, "missing flags"))?;
    if flags & 0x0001_0000 != 0 {
        return Err(wrong("invalid COPY file header (WITH OIDS)"));
    }
    if flags & CRITICAL != 0 {
        return Err(wrong("unrecognized critical flags in COPY file header"));
    }
    let length = rest
        .u32()
        .map_err(|stop| or_missing(stop, "missing length"))?;
    let length = i32::from_be_bytes(length.to_be_bytes());
    let length =
        usize::try_from(length).map_err(|_| wrong("invalid COPY file header (missing length)"))?;
    rest.take(length)
        .map_err(|stop| or_missing(stop, "wrong length"))?;
    Ok(())
}

/// One row; false at the end of all rows.
fn row(rest: &mut Bytes<'_>, num_columns: usize, fields: &mut Fields) -> Result<bool, Stop> {
    let num_fields = i16::from_be_bytes(rest.array()?);
    if num_fields == -1 {
        return Ok(false);
    }
    if usize::try_from(num_fields) != Ok(num_columns) {
        let message = format!("row field count is {num_fields}, expected {num_columns}");
        return Err(wrong(message));
    }
    for _ in 0..num_columns {
        match i32::from_be_bytes(rest.array()?) {
            -1 => fields.end(true),
            length => {
                let length = usize::try_from(length).map_err(|_| wrong("invalid field size"))?;
                let field = rest.take(length)?;
                fields.write(field);
                fields.end(false);
            }
        }
    }
    Ok(true)
}

/// What is left of the data.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Stop::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let bytes = self.take(N)?;
        bytes.first_chunk().copied().ok_or(Stop::Short)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_be_bytes)
    }
}
