//! Where an operator ends: `->-1` is `->` and `-1`, as PostgreSQL reads it.

use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// An operator with one of these may end with + or -.
const SPECIAL: &[char] = &['~', '!', '@', '#', '%', '^', '&', '|', '`', '?'];

/// The operators that the operator `token` is, when it is more than one.
pub(super) fn split(token: &TokenWithSpan) -> Option<Vec<TokenWithSpan>> {
    let Token::CustomBinaryOperator(text) = &token.token else {
        return None;
    };
    if text.contains(SPECIAL) {
        return None;
    }
    // What is all signs is one sign after the other.
    let first = text.trim_end_matches(['+', '-']);
    let first = if first.is_empty() {
        text.get(..1)?
    } else {
        first
    };
    let signs = text.get(first.len()..)?;
    if signs.is_empty() {
        return None;
    }
    let mut column = token.span.start.column;
    let mut parts = Vec::new();
    let pieces = signs
        .char_indices()
        .filter_map(|(at, _)| signs.get(at..=at));
    for piece in std::iter::once(first).chain(pieces) {
        let mut span = Span::new(token.span.start, token.span.start);
        span.start.column = column;
        column = column.saturating_add(u64::try_from(piece.len()).unwrap_or(0));
        span.end.column = column;
        parts.push(TokenWithSpan::new(operator(piece), span));
    }
    Some(parts)
}

fn operator(text: &str) -> Token {
    match text {
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "=" => Token::Eq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "<>" => Token::Neq,
        "->" => Token::Arrow,
        "->>" => Token::LongArrow,
        "<<" => Token::ShiftLeft,
        ">>" => Token::ShiftRight,
        other => Token::CustomBinaryOperator(other.to_owned()),
    }
}
