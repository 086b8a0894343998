//! Tokens that are operators, by their rank. What is not named is no operator of that rank.

use sqlparser::tokenizer::Token;

pub(super) fn comparison(token: Option<&Token>) -> Option<&'static str> {
    match token? {
        Token::Eq => Some("="),
        Token::Neq => Some("<>"),
        Token::Lt => Some("<"),
        Token::LtEq => Some("<="),
        Token::Gt => Some(">"),
        Token::GtEq => Some(">="),
        _ => None,
    }
}

/// Operators that PostgreSQL ranks below `+` and above LIKE.
pub(super) fn other(token: &Token) -> Option<&'static str> {
    Some(match token {
        Token::StringConcat => "||",
        Token::Tilde => "~",
        Token::TildeAsterisk => "~*",
        Token::ExclamationMarkTilde => "!~",
        Token::ExclamationMarkTildeAsterisk => "!~*",
        Token::DoubleTilde => "~~",
        Token::DoubleTildeAsterisk => "~~*",
        Token::ExclamationMarkDoubleTilde => "!~~",
        Token::ExclamationMarkDoubleTildeAsterisk => "!~~*",
        Token::Ampersand => "&",
        Token::Pipe => "|",
        Token::Sharp => "#",
        Token::ShiftLeft => "<<",
        Token::ShiftRight => ">>",
        Token::Arrow => "->",
        Token::LongArrow => "->>",
        Token::HashArrow => "#>",
        Token::HashLongArrow => "#>>",
        Token::AtArrow => "@>",
        Token::ArrowAt => "<@",
        Token::Overlap => "&&",
        _ => return None,
    })
}

pub(super) fn sum(token: &Token) -> Option<&'static str> {
    match token {
        Token::Plus => Some("+"),
        Token::Minus => Some("-"),
        _ => None,
    }
}

pub(super) fn product(token: &Token) -> Option<&'static str> {
    match token {
        Token::Mul => Some("*"),
        Token::Div => Some("/"),
        Token::Mod => Some("%"),
        _ => None,
    }
}
