//! Lines out of a byte stream that arrives in arbitrary pieces.
//!
//! A line that lies whole in one piece is handed out where it is; only one that spans pieces is
//! put together in a buffer of bounded length. Lines end in `\n` or `\r\n`; the last one may do
//! without. A line `\.` ends the data as in PostgreSQL's COPY: what follows is ignored.

use memchr::memchr;

/// A line is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is longer than {max} bytes")]
pub struct LineTooLong {
    /// Its number, from 1.
    pub line: u64,
    /// The limit.
    pub max: usize,
}

/// One line without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes.
    pub text: &'a [u8],
}

/// Cuts a byte stream into lines.
#[derive(Debug)]
pub struct LineSplitter {
    /// The beginning of a line whose end has not come yet, or (`spent`) the last line handed out.
    partial: Vec<u8>,
    spent: bool,
    number: u64,
    max_bytes: usize,
    ended: bool,
}

impl LineSplitter {
    /// Starts at line 1; no line may be longer than `max_bytes`.
    pub const fn new(max_bytes: usize) -> Self {
        Self {
            partial: Vec::new(),
            spent: false,
            number: 0,
            max_bytes,
            ended: false,
        }
    }

    /// Takes the next line off the front of `piece`. `None` when `piece` is used up; what is left
    /// of it is then kept for the line that the next piece completes.
    pub fn next<'a, 'p: 'a>(
        &'a mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<Line<'a>>, LineTooLong> {
        self.forget_spent();
        if self.ended {
            *piece = &[];
            return Ok(None);
        }
        let Some(end) = memchr(b'\n', piece) else {
            self.keep(piece)?;
            *piece = &[];
            return Ok(None);
        };
        let (head, tail) = piece.split_at(end);
        *piece = tail.get(1..).unwrap_or_default();
        if self.partial.is_empty() {
            self.check(head.len())?;
            Ok(self.hand_out(head))
        } else {
            self.keep(head)?;
            Ok(self.hand_out_partial())
        }
    }

    /// The last line, if the data did not end in `\n`.
    pub fn finish(&mut self) -> Option<Line<'_>> {
        self.forget_spent();
        if self.ended || self.partial.is_empty() {
            return None;
        }
        self.hand_out_partial()
    }

    /// Number of the last line handed out.
    pub const fn number(&self) -> u64 {
        self.number
    }

    fn forget_spent(&mut self) {
        if self.spent {
            self.spent = false;
            // One very long line must not hold its memory for the rest of the stream.
            if self.partial.capacity() > MAX_KEPT {
                self.partial = Vec::new();
            }
            self.partial.clear();
        }
    }

    fn check(&self, len: usize) -> Result<(), LineTooLong> {
        if len <= self.max_bytes {
            return Ok(());
        }
        Err(LineTooLong {
            line: self.number + 1,
            max: self.max_bytes,
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        self.check(self.partial.len() + bytes.len())?;
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn hand_out_partial(&mut self) -> Option<Line<'_>> {
        self.spent = true;
        let partial = std::mem::take(&mut self.partial);
        let is_end = is_end_marker(&partial);
        self.partial = partial;
        self.number += 1;
        self.ended |= is_end;
        (!is_end).then(|| Line {
            number: self.number,
            text: without_return(&self.partial),
        })
    }

    fn hand_out<'a>(&mut self, text: &'a [u8]) -> Option<Line<'a>> {
        self.number += 1;
        self.ended |= is_end_marker(text);
        (!self.ended).then(|| Line {
            number: self.number,
            text: without_return(text),
        })
    }
}

/// Most bytes of buffer kept for the next line.
const MAX_KEPT: usize = 1 << 20;

fn is_end_marker(text: &[u8]) -> bool {
    without_return(text) == br"\."
}

fn without_return(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(data: &[u8], piece: usize, max: usize) -> Result<Vec<(u64, String)>, LineTooLong> {
        let mut lines = LineSplitter::new(max);
        let mut found = Vec::new();
        let mut note = |line: Line<'_>| {
            found.push((line.number, String::from_utf8(line.text.to_vec()).unwrap()));
        };
        for mut piece in data.chunks(piece) {
            while !piece.is_empty() {
                if let Some(line) = lines.next(&mut piece)? {
                    note(line);
                }
            }
        }
        lines.finish().map(&mut note);
        Ok(found)
    }

    #[test]
    fn lines_are_the_same_however_the_data_is_cut() {
        let data = b"one\n\ntwo\r\nthree\r\r\n\\.x\nlast";
        let wanted = ["one", "", "two", "three\r", "\\.x", "last"];
        for piece in 1..=data.len() {
            let found = split(data, piece, 7).unwrap();
            let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts, wanted, "pieces of {piece}");
            assert_eq!(found.last().unwrap().0, 6);
        }
    }

    #[test]
    fn the_end_marker_ends_the_data() {
        for data in [&b"a\n\\.\nb\nc"[..], b"a\n\\.\r\nb", b"a\n\\."] {
            for piece in 1..=data.len() {
                assert_eq!(split(data, piece, 100).unwrap(), [(1, "a".to_owned())]);
            }
        }
    }

    #[test]
    fn a_line_over_the_limit_is_refused_before_it_is_kept() {
        for piece in 1..=12 {
            assert!(split(b"12345\n12345\n", piece, 5).is_ok());
            let wanted = LineTooLong { line: 2, max: 5 };
            assert_eq!(split(b"12345\n123456", piece, 5), Err(wanted));
        }
    }
}
