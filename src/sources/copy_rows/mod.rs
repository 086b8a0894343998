//! What `COPY table FROM STDIN` sends: rows of fields in PostgreSQL's text, CSV and binary formats.
//!
//! A row's fields are text, or bytes in the binary format, and what they mean is not known here.
//! Data arrives in arbitrary pieces; of it only the row that is not whole yet is kept.

mod binary;
mod csv;
mod error;
mod fields;
mod line;
mod text;

#[cfg(test)]
mod tests;

pub use error::CopyError;
pub use fields::Fields;

use binary::BinaryReader;
use line::LineReader;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopyFormat {
    /// Tabs and backslashes.
    #[default]
    Text,
    /// Commas and quotes.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
}

/// What the first line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopyHeader {
    /// A row.
    #[default]
    None,
    /// Names, which are passed over.
    Skipped,
    /// The names of the columns in their order.
    Matched,
}

/// How a COPY's data is written. The statement's parser has checked that its parts go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// Format.
    pub format: CopyFormat,
    /// Between fields.
    pub delimiter: u8,
    /// What NULL is written as.
    pub null: String,
    /// The first line.
    pub header: CopyHeader,
    /// CSV: around fields.
    pub quote: u8,
    /// CSV: before quotes in fields.
    pub escape: u8,
    /// CSV: by place, whether the column is never NULL for being empty.
    pub force_not_null: Vec<bool>,
    /// CSV: by place, whether the column is NULL also where that is quoted.
    pub force_null: Vec<bool>,
}

impl CopyOptions {
    /// What a format has unless it is said otherwise.
    pub fn of(format: CopyFormat) -> Self {
        let is_csv = format == CopyFormat::Csv;
        Self {
            format,
            delimiter: if is_csv { b',' } else { b'\t' },
            null: if is_csv { "" } else { "\\N" }.to_owned(),
            header: CopyHeader::None,
            quote: b'"',
            escape: b'"',
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        }
    }
}

/// Where an error of a COPY happened, in the words of its CONTEXT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPlace {
    /// Line or row, from 1.
    pub line: u64,
    /// How the line is written, where there is a whole one.
    pub text: Option<String>,
}

/// Reads rows.
#[derive(Debug)]
pub struct RowDecoder {
    options: CopyOptions,
    columns: Vec<String>,
    reader: Reader,
    header_is_due: bool,
}

#[derive(Debug)]
enum Reader {
    Lines(LineReader),
    Binary(BinaryReader),
}

impl RowDecoder {
    /// For rows of these columns; no row may have more than `max_bytes`.
    pub fn new(options: CopyOptions, columns: Vec<String>, max_bytes: usize) -> Self {
        let reader = match options.format {
            CopyFormat::Text => Reader::Lines(LineReader::of_text(max_bytes)),
            CopyFormat::Csv => {
                let marks = (options.quote, options.escape);
                Reader::Lines(LineReader::of_csv(marks, max_bytes))
            }
            CopyFormat::Binary => Reader::Binary(BinaryReader::new(max_bytes)),
        };
        Self {
            header_is_due: options.header != CopyHeader::None,
            options,
            columns,
            reader,
        }
    }

    /// Takes more data.
    pub fn feed(&mut self, piece: &[u8]) {
        match &mut self.reader {
            Reader::Lines(lines) => lines.feed(piece),
            Reader::Binary(binary) => binary.feed(piece),
        }
    }

    /// Reads the next row into `fields`, of which a line may have too few: its first ones may be
    /// wrong in themselves, which PostgreSQL says first. False when there is no whole one in what was fed, or, with
    /// `last`, no other at all. After an error the data is over.
    pub fn next(&mut self, last: bool, fields: &mut Fields) -> Result<bool, CopyError> {
        fields.clear();
        let lines = match &mut self.reader {
            Reader::Lines(lines) => lines,
            Reader::Binary(binary) => return binary.next(self.columns.len(), last, fields),
        };
        if self.header_is_due {
            if !lines.next(last)? {
                return Ok(false);
            }
            self.header_is_due = false;
            if self.options.header == CopyHeader::Matched {
                split(&self.options, lines.line()?, false, fields)?;
                error::check_header(&self.columns, &self.options.null, fields)?;
                fields.clear();
            }
        }
        if !lines.next(last)? {
            return Ok(false);
        }
        let line = lines.line()?;
        if self.columns.is_empty() {
            let is_empty = line.is_empty();
            return if is_empty {
                Ok(true)
            } else {
                Err(CopyError::ExtraData)
            };
        }
        split(&self.options, line, true, fields)?;
        if fields.len() > self.columns.len() {
            return Err(CopyError::ExtraData);
        }
        Ok(true)
    }

    /// How much data is held.
    #[cfg(test)]
    fn held(&self) -> usize {
        match &self.reader {
            Reader::Lines(_) => 0,
            Reader::Binary(binary) => binary.capacity(),
        }
    }

    /// Where the reading stands.
    pub fn place(&self) -> CopyPlace {
        match &self.reader {
            Reader::Lines(lines) => CopyPlace {
                line: lines.number(),
                text: lines.whole_line(),
            },
            Reader::Binary(binary) => CopyPlace {
                line: binary.number(),
                text: None,
            },
        }
    }
}

fn split(
    options: &CopyOptions,
    line: &str,
    forced: bool,
    fields: &mut Fields,
) -> Result<(), CopyError> {
    if options.format == CopyFormat::Csv {
        csv::split(options, line, forced, fields)
    } else {
        text::split(options, line, fields)
    }
}
