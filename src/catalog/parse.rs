//! From text to sqlparser's statements: PostgreSQL's errors and positions, and what sqlparser needs.
//!
//! Text becomes tokens, tokens are mended where sqlparser reads something else than PostgreSQL
//! (`tokens`), and then parsed. A statement that nests too deep is refused before it can cost a
//! stack.

mod dialect;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows the tokens of many databases
mod limits;
mod open;
mod operators;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows the tokens of many databases
mod tokens;

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::pgerror::PgError;
use dialect::Bounded;

/// How deep parentheses and the like may nest.
const MAX_NESTING: usize = 200;

/// A text of at most so many bytes has no syntax tree that could need much stack.
const SHORT: usize = 256;
/// The stack that a short text needs, and the one that the longest chains need, which a build
/// without optimization walks in far larger steps.
const STACK_LEFT: usize = 512 << 10;
const STACK: usize = if cfg!(debug_assertions) {
    256 << 20
} else {
    64 << 20
};

/// Calls what parses `text`, and walks and drops its syntax tree, on a stack that is large enough
/// for the deepest tree that `limits` lets pass. No tree may leave `code`.
pub(super) fn on_stack<T>(text: &str, code: impl FnOnce() -> T) -> T {
    if text.len() <= SHORT {
        stacker::maybe_grow(STACK_LEFT, STACK, code)
    } else {
        stacker::maybe_grow(STACK / 2, STACK, code)
    }
}

/// Where the lines of a text begin: turns sqlparser's line and column into PostgreSQL's position.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// Characters before each line.
    starts: Vec<u32>,
    num_characters: u32,
    /// The text in lower case, for words and symbols of which the syntax tree keeps no place.
    text: Vec<char>,
}

impl Lines {
    /// The lines of `text`.
    pub(super) fn of(text: &str) -> Self {
        let mut starts = vec![0];
        let mut num_characters = 0;
        for (number, character) in (1u32..).zip(text.chars()) {
            num_characters = number;
            if character == '\n' {
                starts.push(number);
            }
        }
        let text = text.chars().map(|c| c.to_ascii_lowercase()).collect();
        Self {
            starts,
            num_characters,
            text,
        }
    }

    /// The position behind the last character.
    pub(super) const fn end(&self) -> u32 {
        self.num_characters.saturating_add(1)
    }

    /// Characters from 1; `None` for what was not in the text.
    pub(super) fn position(&self, location: Location) -> Option<u32> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let column = u32::try_from(location.column).ok()?;
        Some(self.starts.get(line)?.saturating_add(column))
    }

    /// Where `what` (in lower case) stands last before `to`, and not before `from`.
    pub(super) fn find_last(
        &self,
        from: Option<Location>,
        to: Location,
        what: &str,
    ) -> Option<u32> {
        let start = from.map_or(Some(1), |from| self.position(from))?;
        let (skipped, end) = (index(start)?, index(self.position(to)?)?);
        let what: Vec<char> = what.chars().collect();
        let found = self
            .text
            .get(skipped..end)?
            .windows(what.len())
            .rposition(|at| at == what)?;
        u32::try_from(found).ok()?.checked_add(start)
    }

    /// Where `what` (in lower case) stands first behind `from`.
    pub(super) fn find_first(&self, from: Location, what: &str) -> Option<u32> {
        let start = self.position(from)?;
        let what: Vec<char> = what.chars().collect();
        let found = self
            .text
            .get(index(start)?..)?
            .windows(what.len())
            .position(|at| at == what)?;
        u32::try_from(found).ok()?.checked_add(start)
    }

    /// The first place that is not blank, from `position` on.
    pub(super) fn not_blank(&self, position: u32) -> Option<u32> {
        let rest = self.text.get(index(position)?..)?;
        let blanks = rest.iter().take_while(|c| c.is_whitespace()).count();
        u32::try_from(blanks).ok()?.checked_add(position)
    }
}

/// A position as an index.
fn index(position: u32) -> Option<usize> {
    usize::try_from(position.checked_sub(1)?).ok()
}

/// The text of a statement, for errors that quote it.
pub(super) struct Source<'t> {
    text: &'t str,
    lines: Lines,
}

impl Source<'_> {
    /// What stands between two places of the text.
    pub(super) fn between(&self, start: Location, end: Location) -> String {
        let (Some(start), Some(end)) = (self.lines.position(start), self.lines.position(end))
        else {
            return String::new();
        };
        let skipped = usize::try_from(start.saturating_sub(1)).unwrap_or(usize::MAX);
        let taken = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        self.text.chars().skip(skipped).take(taken).collect()
    }

    /// A syntax error at `token`.
    pub(super) fn error_at(&self, token: &TokenWithSpan) -> PgError {
        if token.token == Token::EOF {
            return self.error_at_end();
        }
        let near = self.between(token.span.start, token.span.end);
        self.placed(PgError::syntax(&near), token.span.start)
    }

    pub(super) fn error_at_end(&self) -> PgError {
        PgError::syntax("").at(self.lines.end())
    }

    /// Characters from 1.
    pub(super) fn position(&self, location: Location) -> Option<u32> {
        self.lines.position(location)
    }

    pub(super) fn placed(&self, error: PgError, location: Location) -> PgError {
        match self.lines.position(location) {
            Some(position) => error.at(position),
            None => error,
        }
    }
}

/// The tokens of `text` without blanks, as PostgreSQL reads them: for a grammar of our own.
pub(super) fn tokens_of(text: &str) -> Result<(Source<'_>, Vec<TokenWithSpan>), PgError> {
    let source = Source {
        text,
        lines: Lines::of(text),
    };
    let tokens = tokens::checked(&source, tokenized(&source)?)?;
    Ok((source, tokens))
}

fn tokenized(source: &Source<'_>) -> Result<Vec<TokenWithSpan>, PgError> {
    Tokenizer::new(&PostgreSqlDialect {}, source.text)
        .tokenize_with_location()
        .map_err(|error| match open::unterminated(source.text) {
            Some(error) => error,
            None => source.placed(PgError::syntax(&error.message), error.location),
        })
}

/// The statements of `text`.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, PgError> {
    let source = Source {
        text,
        lines: Lines::of(text),
    };
    let tokens = tokens::mended(&source, tokenized(&source)?)?;
    let dialect = Bounded::of(tokens.len());
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(MAX_NESTING)
        .with_tokens_with_locations(tokens.clone());
    parser.parse_statements().map_err(|error| match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let at = location_in(&message).and_then(|location| {
                let mut tokens = tokens.iter();
                tokens.position(|token| token.span.start == location)
            });
            match at.and_then(|at| tokens::blamed(&tokens, at)) {
                Some(token) => source.error_at(token),
                None if at.is_some() => source.error_at_end(),
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

#[cfg(test)]
mod tests;
