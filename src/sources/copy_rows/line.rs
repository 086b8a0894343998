//! Lines of the text and CSV formats out of arbitrary pieces: where they end depends on quotes,
//! backslashes, and how the first one ended. `\.` ends the data; what follows is ignored.

use super::CopyError;
use super::error::check_utf8;

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Newline,
    Return,
    Both,
}

/// Cuts data into lines.
#[derive(Debug)]
pub(super) struct LineReader {
    /// CSV: quote, and escape where that is another one.
    quotes: Option<(u8, Option<u8>)>,
    max_bytes: usize,
    data: Vec<u8>,
    /// Where the line that is read, or the one handed out last, begins and ends.
    begin: usize,
    end: usize,
    /// Where the reading goes on.
    at: usize,
    in_quote: bool,
    after_escape: bool,
    ending: Option<Ending>,
    number: u64,
    is_whole: bool,
    is_over: bool,
}

/// What the reader found at a place.
enum Step {
    /// Data, this many bytes of it.
    Data(usize),
    /// The end of the line, this many bytes.
    End(usize),
    /// The end of all data.
    Over,
    /// It depends on what comes next.
    Unknown,
}

impl LineReader {
    pub(super) const fn of_text(max_bytes: usize) -> Self {
        Self {
            quotes: None,
            max_bytes,
            data: Vec::new(),
            begin: 0,
            end: 0,
            at: 0,
            in_quote: false,
            after_escape: false,
            ending: None,
            number: 0,
            is_whole: false,
            is_over: false,
        }
    }

    pub(super) fn of_csv((quote, escape): (u8, u8), max_bytes: usize) -> Self {
        Self {
            quotes: Some((quote, (escape != quote).then_some(escape))),
            ..Self::of_text(max_bytes)
        }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        if self.is_over {
            return;
        }
        // What was handed out is not needed any more.
        let spent = if self.is_whole { self.at } else { self.begin };
        self.data.drain(..spent);
        self.at = self.at.saturating_sub(spent);
        self.begin = 0;
        self.is_whole = false;
        self.data.extend_from_slice(piece);
    }

    /// Number of the line that is read or was read last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The line that was read.
    pub(super) fn line(&self) -> Result<&str, CopyError> {
        check_utf8(self.data.get(self.begin..self.end).unwrap_or_default())
    }

    /// The same for errors.
    pub(super) fn whole_line(&self) -> Option<String> {
        if !self.is_whole {
            return None;
        }
        self.line().ok().map(str::to_owned)
    }

    /// Reads the next line; false when it is not there yet, or, with `last`, when there is none.
    pub(super) fn next(&mut self, last: bool) -> Result<bool, CopyError> {
        if self.is_whole || self.number == 0 {
            self.begin = self.at;
            self.number += 1;
            self.is_whole = false;
            self.in_quote = false;
            self.after_escape = false;
        }
        if self.is_over {
            return Ok(false);
        }
        let data = std::mem::take(&mut self.data);
        let found = self.scan(&data, last);
        self.data = data;
        found
    }

    fn scan(&mut self, data: &[u8], last: bool) -> Result<bool, CopyError> {
        loop {
            if self.at.saturating_sub(self.begin) > self.max_bytes {
                let (line, max) = (self.number, self.max_bytes);
                return Err(CopyError::TooLong { line, max });
            }
            let rest = data.get(self.at..).unwrap_or_default();
            let step = match rest {
                [] if last => return self.finish(),
                [] => return Ok(false),
                [first, behind @ ..] => self.step(*first, behind, last)?,
            };
            match step {
                Step::Data(len) => self.at += len,
                Step::End(len) => {
                    self.end = self.at;
                    self.at += len;
                    self.is_whole = true;
                    return Ok(true);
                }
                Step::Over => {
                    self.end = self.at;
                    self.is_over = true;
                    return Ok(self.take_rest());
                }
                Step::Unknown => return Ok(false),
            }
        }
    }

    /// The data ends without an end of line.
    fn finish(&mut self) -> Result<bool, CopyError> {
        self.end = self.at;
        self.is_over = true;
        if self.in_quote {
            self.is_whole = true;
            return Err(CopyError::UnterminatedQuote);
        }
        Ok(self.take_rest())
    }

    fn take_rest(&mut self) -> bool {
        self.is_whole = self.end > self.begin;
        self.is_whole
    }

    fn step(&mut self, c: u8, behind: &[u8], last: bool) -> Result<Step, CopyError> {
        // Most bytes mean nothing.
        if !matches!(c, b'\\' | b'\n' | b'\r') && self.quotes.is_none() {
            let len = behind
                .iter()
                .position(|c| matches!(c, b'\\' | b'\n' | b'\r'));
            return Ok(Step::Data(len.unwrap_or(behind.len()) + 1));
        }
        if let Some((quote, escape)) = self.quotes {
            if c == b'\r' && behind.is_empty() && !last && !self.in_quote {
                return Ok(Step::Unknown);
            }
            if self.in_quote && Some(c) == escape {
                self.after_escape = !self.after_escape;
            }
            if c == quote && !self.after_escape {
                self.in_quote = !self.in_quote;
            }
            if Some(c) != escape {
                self.after_escape = false;
            }
            if self.in_quote {
                // As PostgreSQL counts them.
                let counts = match self.ending {
                    Some(Ending::Newline) => c == b'\n',
                    Some(Ending::Return | Ending::Both) | None => c == b'\r',
                };
                self.number += u64::from(counts);
                return Ok(Step::Data(1));
            }
        }
        match c {
            b'\r' => self.at_return(behind, last),
            b'\n' => self.at_newline(),
            b'\\' if self.quotes.is_none() || self.at == self.begin => {
                self.at_backslash(behind, last)
            }
            _ => Ok(Step::Data(1)),
        }
    }

    fn at_return(&mut self, behind: &[u8], last: bool) -> Result<Step, CopyError> {
        let next = behind.first();
        if next.is_none() && !last && self.ending != Some(Ending::Return) {
            return Ok(Step::Unknown);
        }
        match (self.ending, next) {
            (None | Some(Ending::Both), Some(b'\n')) => {
                self.ending = Some(Ending::Both);
                Ok(Step::End(2))
            }
            (None | Some(Ending::Return), _) => {
                self.ending = Some(Ending::Return);
                Ok(Step::End(1))
            }
            (Some(Ending::Both | Ending::Newline), _) => Err(self.stray(false)),
        }
    }

    fn at_newline(&mut self) -> Result<Step, CopyError> {
        match self.ending {
            None | Some(Ending::Newline) => {
                self.ending = Some(Ending::Newline);
                Ok(Step::End(1))
            }
            Some(Ending::Return | Ending::Both) => Err(self.stray(true)),
        }
    }

    fn stray(&self, newline: bool) -> CopyError {
        CopyError::StrayEnd {
            quoted: self.quotes.is_some(),
            newline,
        }
    }

    fn at_backslash(&self, behind: &[u8], last: bool) -> Result<Step, CopyError> {
        let is_csv = self.quotes.is_some();
        match behind.first() {
            None if last => return Ok(Step::Data(1)),
            None => return Ok(Step::Unknown),
            Some(b'.') => {}
            // In the text format whatever it is, it does not end the line.
            Some(_) => return Ok(Step::Data(if is_csv { 1 } else { 2 })),
        }
        let after = behind.get(1..).unwrap_or_default();
        let found = match after {
            [] if last => return Ok(Step::Over),
            [] => return Ok(Step::Unknown),
            [b'\r'] if !last && self.ending != Some(Ending::Return) => return Ok(Step::Unknown),
            [b'\r', b'\n', ..] => Ending::Both,
            [b'\r', ..] => Ending::Return,
            [b'\n', ..] => Ending::Newline,
            [_, ..] if is_csv => return Ok(Step::Data(1)),
            [_, ..] => return Err(CopyError::MarkerCorrupt),
        };
        match self.ending {
            Some(ending) if ending != found && !is_csv => Err(CopyError::MarkerStyle),
            Some(_) | None => Ok(Step::Over),
        }
    }
}
