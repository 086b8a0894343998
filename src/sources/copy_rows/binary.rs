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
    /// So many bytes of the header say nothing that is known.
    Extension(usize),
    Row(Walk),
    Over,
}

/// How far the row that begins at `at` is known. It is copied when all of it is there, so that
/// no byte is looked at again for each piece of data that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Walk {
    /// Fields that are still to come, once their number is read.
    num_left: Option<usize>,
    /// Where the last known field ends, counted from the row's beginning.
    end: usize,
}

/// Why a row is not read.
enum Stop {
    /// More data is needed.
    Short,
    TooLong,
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
        if self.at > 0 {
            self.data.drain(..self.at);
            self.data.shrink_to(1 << 20);
            self.at = 0;
        }
        let piece = self.pass_over(piece);
        self.data.extend_from_slice(piece);
    }

    /// What is left of `piece` behind the header's extension.
    fn pass_over<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let State::Extension(left) = self.state else {
            return piece;
        };
        let passed = left.min(piece.len());
        self.state = if passed == left {
            State::Row(Walk::default())
        } else {
            State::Extension(left - passed)
        };
        piece.get(passed..).unwrap_or_default()
    }

    /// How much memory is held.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.data.capacity()
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
            match header(self.rest(), last) {
                Ok((len, extension)) => self.pass_header(len, extension),
                Err(Stop::Short | Stop::TooLong) => return Ok(false),
                Err(Stop::Wrong(error)) => return Err(error),
            }
        }
        let is_empty = self.rest().is_empty();
        let mut walk = match self.state {
            State::Header => return Ok(false),
            State::Extension(_) if last => {
                let message = "invalid COPY file header (wrong length)";
                return Err(CopyError::Binary(message.to_owned()));
            }
            State::Extension(_) => return Ok(false),
            State::Over if is_empty => return Ok(false),
            State::Over => {
                let message = "received copy data after EOF marker";
                return Err(CopyError::Binary(message.to_owned()));
            }
            // PostgreSQL's clients may leave the trailer out.
            State::Row(_) if is_empty && last => return Ok(false),
            State::Row(walk) => walk,
        };
        let walked = walk.go(self.rest(), num_columns, self.max_bytes);
        self.state = State::Row(walk);
        match walked {
            Ok(true) => {
                row(Bytes(self.rest()), num_columns, fields);
                self.at += walk.end;
                self.state = State::Row(Walk::default());
                self.number += 1;
                Ok(true)
            }
            Ok(false) => {
                self.at += walk.end;
                self.state = State::Over;
                self.next(num_columns, last, fields)
            }
            Err(Stop::TooLong) => Err(CopyError::TooLong {
                line: self.number + 1,
                max: self.max_bytes,
            }),
            Err(Stop::Short) if last => {
                self.number += 1;
                Err(CopyError::Binary("unexpected EOF in COPY data".to_owned()))
            }
            Err(Stop::Short) => Ok(false),
            Err(Stop::Wrong(error)) => {
                self.number += 1;
                Err(error)
            }
        }
    }

    /// What is not read yet.
    fn rest(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    fn pass_header(&mut self, len: usize, extension: usize) {
        self.at += len;
        let passed = extension.min(self.rest().len());
        self.at += passed;
        self.state = if passed == extension {
            State::Row(Walk::default())
        } else {
            State::Extension(extension - passed)
        };
    }
}

/// Reads the header: its length, and that of its extension behind it.
fn header(data: &[u8], last: bool) -> Result<(usize, usize), Stop> {
    let mut rest = Bytes(data);
    let or_missing = |stop, what: &str| match stop {
        Stop::Short if last => wrong(format!("invalid COPY file header ({what})")),
        Stop::Short | Stop::TooLong | Stop::Wrong(_) => stop,
    };
    let signature = rest.take(SIGNATURE.len());
    let signature = signature.map_err(|stop| match stop {
        Stop::Short if last => wrong("COPY file signature not recognized"),
        Stop::Short | Stop::TooLong | Stop::Wrong(_) => stop,
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
    Ok((data.len() - rest.0.len(), length))
}

impl Walk {
    /// Goes on through the row that `data` begins with: true when all of it is there, false when
    /// it is the end of all rows.
    fn go(&mut self, data: &[u8], num_columns: usize, max_bytes: usize) -> Result<bool, Stop> {
        let mut rest = Bytes(data.get(self.end..).unwrap_or_default());
        let mut num_left = match self.num_left {
            Some(num_left) => num_left,
            None => {
                let num_fields = i16::from_be_bytes(rest.array()?);
                self.end += 2;
                if num_fields == -1 {
                    return Ok(false);
                }
                if usize::try_from(num_fields) != Ok(num_columns) {
                    let message =
                        format!("row field count is {num_fields}, expected {num_columns}");
                    return Err(wrong(message));
                }
                num_columns
            }
        };
        while num_left > 0 {
            self.num_left = Some(num_left);
            let length = match i32::from_be_bytes(rest.array()?) {
                -1 => 0,
                length => usize::try_from(length).map_err(|_| wrong("invalid field size"))?,
            };
            num_left -= 1;
            self.end = self.end.saturating_add(4).saturating_add(length);
            self.num_left = Some(num_left);
            if self.end > max_bytes {
                return Err(Stop::TooLong);
            }
            rest = Bytes(data.get(self.end..).unwrap_or_default());
        }
        self.num_left = Some(0);
        if data.len() < self.end {
            return Err(Stop::Short);
        }
        Ok(true)
    }
}

/// Copies the fields of a row that is whole.
fn row(mut rest: Bytes<'_>, num_columns: usize, fields: &mut Fields) {
    let _num_fields = rest.take(2);
    for _ in 0..num_columns {
        let Ok(length) = rest.array().map(i32::from_be_bytes) else {
            return;
        };
        let field = usize::try_from(length)
            .ok()
            .and_then(|length| rest.take(length).ok());
        fields.write(field.unwrap_or_default());
        fields.end(field.is_none());
    }
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
