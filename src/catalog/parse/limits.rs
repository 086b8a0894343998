//! How much a statement may ask of the parser and of the stack, told from its tokens.
//!
//! The parser builds chains (`a + b + c`, `x[1][1]`, `1 isnull isnull`) in loops that its own
//! limit of nesting does not see, yet each link is a level of the syntax tree. Whatever is not
//! plainly a value, a name or a separator counts as a level here.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Source, too_deep};
use crate::pgerror::PgError;

/// Levels that may stand in one another or in a row, between commas.
const MAX_LEVELS: usize = 2500;
/// Levels in a row without an operand between them: prefixes, which the parser reads by calling
/// itself.
const MAX_IN_A_ROW: usize = 100;
/// Names that dots may join.
const MAX_DOTTED: usize = 64;
/// Tokens of one statement.
const MAX_TOKENS: usize = 500_000;
/// Queries that UNION and the like may join, tables that JOIN may.
const MAX_JOINED: usize = 500;

/// The levels of one pair of parentheses that is open.
#[derive(Default, Clone, Copy)]
struct Levels {
    /// Since the last comma.
    expression: usize,
    /// What joins whole queries: a comma in one of them does not end it.
    joined: usize,
}

impl Levels {
    const fn total(self) -> usize {
        self.expression.saturating_add(self.joined)
    }
}

/// Refuses a statement that would cost too much.
pub(super) fn check(source: &Source<'_>, tokens: &[TokenWithSpan]) -> Result<(), PgError> {
    if tokens.len() > MAX_TOKENS {
        let message = format!("a statement can have at most {MAX_TOKENS} tokens");
        return Err(PgError::error("54000", message));
    }
    check_dots(source, tokens)?;
    check_depth(tokens)
}

/// Refuses names of too many parts.
fn check_dots(source: &Source<'_>, tokens: &[TokenWithSpan]) -> Result<(), PgError> {
    let mut dots = 0usize;
    for token in tokens {
        match &token.token {
            Token::Period => dots = dots.saturating_add(1),
            Token::Word(_) | Token::Mul | Token::Number(..) | Token::SingleQuotedString(_)
                if dots > 0 => {}
            _ => dots = 0,
        }
        if dots > MAX_DOTTED {
            let message = "improper qualified name (too many dotted names)";
            return Err(source.placed(PgError::error("42601", message), token.span.start));
        }
    }
    Ok(())
}

/// Refuses what would make a syntax tree too deep to be walked.
fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), PgError> {
    let mut open: Vec<Levels> = Vec::new();
    let mut here = Levels::default();
    // The levels of all that is open around the place.
    let mut around = 0usize;
    let mut in_a_row = 0usize;
    for token in tokens {
        in_a_row = match &token.token {
            other if is_level(other) => in_a_row.saturating_add(1),
            _ => 0,
        };
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                // The pair itself stays a level when it is closed: `x[1][1]`.
                here.expression = here.expression.saturating_add(1);
                around = around.saturating_add(here.total());
                open.push(here);
                here = Levels::default();
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                if let Some(outer) = open.pop() {
                    here = outer;
                    around = around.saturating_sub(here.total());
                }
            }
            Token::Comma => here.expression = 0,
            Token::SemiColon => here = Levels::default(),
            other if joins(other) => here.joined = here.joined.saturating_add(1),
            other if is_level(other) => here.expression = here.expression.saturating_add(1),
            _ => {}
        }
        let levels = around.saturating_add(here.total());
        if levels > MAX_LEVELS || here.joined > MAX_JOINED || in_a_row > MAX_IN_A_ROW {
            return Err(too_deep());
        }
    }
    Ok(())
}

/// Whether a token joins queries or tables.
fn joins(token: &Token) -> bool {
    let Token::Word(word) = token else {
        return false;
    };
    word.quote_style.is_none()
        && matches!(
            word.keyword,
            Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::MINUS
                | Keyword::JOIN
                | Keyword::PIVOT
                | Keyword::UNPIVOT
                | Keyword::EXPLAIN
        )
}

/// Whether a token may make a level of the syntax tree.
fn is_level(token: &Token) -> bool {
    match token {
        // ISNULL is none of the parser's keywords: it is mended later.
        Token::Word(word) => {
            word.quote_style.is_none()
                && (word.keyword != Keyword::NoKeyword || word.value.eq_ignore_ascii_case("isnull"))
        }
        Token::EOF
        | Token::Comma
        | Token::SemiColon
        | Token::RParen
        | Token::RBracket
        | Token::RBrace
        | Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::Period
        | Token::Placeholder(_) => false,
        _ => true,
    }
}
