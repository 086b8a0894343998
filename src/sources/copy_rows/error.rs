//! Why data of a COPY is no rows, in PostgreSQL's words.

use super::Fields;

/// Why data of a COPY is no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A row has too few fields (22P04).
    #[error("missing data for column \"{0}\"")]
    MissingData(String),
    /// A row has too many fields (22P04).
    #[error("extra data after last expected column")]
    ExtraData,
    /// Data ends in quotes (22P04).
    #[error("unterminated CSV quoted field")]
    UnterminatedQuote,
    /// A line ends otherwise than those before (22P04).
    #[error("{}", stray(*quoted, *newline))]
    StrayEnd {
        /// In CSV.
        quoted: bool,
        /// `\n` rather than `\r`.
        newline: bool,
    },
    /// `\.` is followed by something (22P04).
    #[error("end-of-copy marker corrupt")]
    MarkerCorrupt,
    /// `\.` ends otherwise than the lines before (22P04).
    #[error("end-of-copy marker does not match previous newline style")]
    MarkerStyle,
    /// Bytes that are no UTF-8 (22021).
    #[error("invalid byte sequence for encoding \"UTF8\": {0}")]
    Encoding(String),
    /// The binary format is not kept (22P04).
    #[error("{0}")]
    Binary(String),
    /// The first line is not the columns' names (22P04).
    #[error("{0}")]
    Header(String),
    /// A row is longer than the limit (54000).
    #[error("line {line} is longer than {max} bytes")]
    TooLong {
        /// Its number, from 1.
        line: u64,
        /// The limit.
        max: usize,
    },
}

impl CopyError {
    /// What PostgreSQL advises.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::StrayEnd { quoted, newline } => Some(match (quoted, newline) {
                (true, true) => "Use quoted CSV field to represent newline.",
                (true, false) => "Use quoted CSV field to represent carriage return.",
                (false, true) => "Use \"\\n\" to represent newline.",
                (false, false) => "Use \"\\r\" to represent carriage return.",
            }),
            Self::MissingData(_)
            | Self::ExtraData
            | Self::UnterminatedQuote
            | Self::MarkerCorrupt
            | Self::MarkerStyle
            | Self::Encoding(_)
            | Self::Binary(_)
            | Self::Header(_)
            | Self::TooLong { .. } => None,
        }
    }
}

const fn stray(quoted: bool, newline: bool) -> &'static str {
    match (quoted, newline) {
        (true, true) => "unquoted newline found in data",
        (true, false) => "unquoted carriage return found in data",
        (false, true) => "literal newline found in data",
        (false, false) => "literal carriage return found in data",
    }
}

/// The error for bytes that are no UTF-8; PostgreSQL shows those of the first bad character.
pub(super) fn check_utf8(bytes: &[u8]) -> Result<&str, CopyError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let bad = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let len = match bad.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            Some(_) | None => 1,
        };
        let shown: Vec<String> = bad
            .iter()
            .take(len)
            .map(|byte| format!("0x{byte:02x}"))
            .collect();
        CopyError::Encoding(shown.join(" "))
    })
}

/// Holds the first line against the columns' names.
pub(super) fn check_header(
    columns: &[String],
    null: &str,
    fields: &Fields,
) -> Result<(), CopyError> {
    if fields.len() != columns.len() {
        let (got, expected) = (fields.len(), columns.len());
        let message =
            format!("wrong number of fields in header line: got {got}, expected {expected}");
        return Err(CopyError::Header(message));
    }
    for ((number, column), field) in (1u32..).zip(columns).zip(fields.iter()) {
        let Some(field) = field else {
            let message = format!(
                "column name mismatch in header line field {number}: got null value (\"{null}\"), \
                 expected \"{column}\""
            );
            return Err(CopyError::Header(message));
        };
        if field != column.as_bytes() {
            let message = format!(
                "column name mismatch in header line field {number}: got \"{}\", expected \
                 \"{column}\"",
                String::from_utf8_lossy(field)
            );
            return Err(CopyError::Header(message));
        }
    }
    Ok(())
}
