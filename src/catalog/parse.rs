//! From text to sqlparser's statements: PostgreSQL's errors and positions, and what sqlparser needs.

use sqlparser::tokenizer::Location;

/// Where the lines of a text begin: turns sqlparser's line and column into PostgreSQL's position.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// Characters before each line.
    starts: Vec<u32>,
}

impl Lines {
    /// The lines of `text`.
    pub(super) fn of(text: &str) -> Self {
        let mut starts = vec![0];
        for (number, character) in (1u32..).zip(text.chars()) {
            if character == '\n' {
                starts.push(number);
            }
        }
        Self { starts }
    }

    /// Characters from 1; `None` for what was not in the text.
    pub(super) fn position(&self, location: Location) -> Option<u32> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let column = u32::try_from(location.column).ok()?;
        Some(self.starts.get(line)?.saturating_add(column))
    }
}
