//! From text to sqlparser's statements: PostgreSQL's errors and positions, and what sqlparser needs.
//!
//! Text becomes tokens, tokens are mended where sqlparser reads something else than PostgreSQL
//! (`tokens`), and then parsed. A statement that nests too deep is refused before it can cost a
//! stack.

mod tokens;

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::pgerror::PgError;

/// How deep parentheses and the like may nest.
const MAX_NESTING: usize = 200;

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

/// The text of a statement, for errors that quote it.
struct Source<'t> {
    text: &'t str,
    lines: Lines,
}

impl Source<'_> {
    /// What stands between two places of the text.
    fn between(&self, start: Location, end: Location) -> String {
        let (Some(start), Some(end)) = (self.lines.position(start), self.lines.position(end))
        else {
            return String::new();
        };
        let skipped = usize::try_from(start.saturating_sub(1)).unwrap_or(usize::MAX);
        let taken = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        self.text.chars().skip(skipped).take(taken).collect()
    }

    /// A syntax error at `token`.
    fn error_at(&self, token: &TokenWithSpan) -> PgError {
        if token.token == Token::EOF {
            return self.error_at_end();
        }
        let near = self.between(token.span.start, token.span.end);
        self.placed(PgError::syntax(&near), token.span.start)
    }

    fn error_at_end(&self) -> PgError {
        let length = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX);
        PgError::syntax("").at(length.saturating_add(1))
    }

    fn placed(&self, error: PgError, location: Location) -> PgError {
        match self.lines.position(location) {
            Some(position) => error.at(position),
            None => error,
        }
    }
}

/// The statements of `text`.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, PgError> {
    let source = Source {
        text,
        lines: Lines::of(text),
    };
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| unterminated(&source, &error.message, error.location))?;
    let tokens = tokens::mended(&source, tokens)?;
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(MAX_NESTING)
        .with_tokens_with_locations(tokens.clone());
    parser.parse_statements().map_err(|error| match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let at = location_in(&message)
                .and_then(|location| tokens.iter().find(|token| token.span.start == location));
            match at {
                Some(token) => source.error_at(token),
                None if message.contains("found: EOF") => source.error_at_end(),
                None => source.error_at(&parser.peek_token()),
            }
        }
    })
}

/// The one statement of `text`; `None` when there is none.
pub(super) fn statement(text: &str) -> Result<Option<Statement>, PgError> {
    let mut statements = statements(text)?.into_iter();
    let first = statements.next();
    if statements.next().is_some() {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(PgError::error("42601", message));
    }
    Ok(first)
}

/// PostgreSQL's error for a statement that nests too deep.
fn too_deep() -> PgError {
    PgError::error("54001", "stack depth limit exceeded")
        .with_hint("The statement nests too deeply or has too many operators in one expression.")
}

/// The place that a message of the parser ends with: `... at Line: 1, Column: 5`.
fn location_in(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location {
        line: line.parse().ok()?,
        column: column.trim_end().parse().ok()?,
    })
}

/// PostgreSQL's error for what does not end.
fn unterminated(source: &Source<'_>, message: &str, location: Location) -> PgError {
    let what = if message.contains("comment") {
        "unterminated /* comment"
    } else if message.contains('"') {
        "unterminated quoted identifier"
    } else if message.contains("dollar") {
        "unterminated dollar-quoted string"
    } else if message.to_ascii_lowercase().contains("string") || message.contains('\'') {
        "unterminated quoted string"
    } else {
        "syntax error"
    };
    let end = Location {
        line: u64::MAX,
        column: 0,
    };
    let _ = end;
    let near = match source.lines.position(location) {
        Some(position) => {
            let skipped = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX);
            source.text.chars().skip(skipped).collect()
        }
        None => String::new(),
    };
    let error = PgError::error("42601", format!("{what} at or near \"{near}\""));
    source.placed(error, location)
}
