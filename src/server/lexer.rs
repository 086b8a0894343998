//! SQL text cut into tokens with their places, enough to tell statements apart and to split a
//! string of several. It knows no statement.

use crate::pgerror::PgError;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An unquoted word, as written.
    Word(String),
    /// A quoted identifier, unquoted.
    Quoted(String),
    /// A string constant, unquoted.
    Literal(String),
    /// A number, as written.
    Number(String),
    /// Anything else.
    Symbol(char),
}

impl Token {
    /// Whether it is the unquoted word `word` in any case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }

    /// The name it stands for as an identifier: folded unless quoted.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(text) => Some(text.to_ascii_lowercase()),
            Self::Quoted(text) => Some(text.clone()),
            Self::Literal(_) | Self::Number(_) | Self::Symbol(_) => None,
        }
    }
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    /// Bytes of the whole text before it.
    pub(super) start: usize,
    /// Bytes of the whole text up to its end.
    pub(super) end: usize,
}

/// Cuts `text` into statements at the semicolons outside of quotes and comments. Empty ones are
/// left out.
pub(super) fn statements(text: &str) -> Result<Vec<Vec<Spanned>>, PgError> {
    let mut found = vec![];
    let mut statement = vec![];
    let mut rest = text;
    loop {
        rest = skip_blanks(rest).map_err(|error| error.at(position(text, rest)))?;
        let start = text.len().saturating_sub(rest.len());
        let next = next_token(rest).map_err(|error| error.at(position(text, rest)))?;
        let Some((token, behind)) = next else {
            break;
        };
        let end = text.len().saturating_sub(behind.len());
        if token == Token::Symbol(';') {
            found.push(std::mem::take(&mut statement));
        } else {
            statement.push(Spanned { token, start, end });
        }
        rest = behind;
    }
    found.push(statement);
    found.retain(|tokens| !tokens.is_empty());
    Ok(found)
}

/// The place of `rest`, which ends `text`, in characters from 1.
fn position(text: &str, rest: &str) -> u32 {
    position_at(text, text.len().saturating_sub(rest.len()))
}

/// The place in characters from 1 behind the first `start` bytes of `text`.
pub(super) fn position_at(text: &str, start: usize) -> u32 {
    let before = text.get(..start).unwrap_or(text).chars().count();
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

fn next_token(text: &str) -> Result<Option<(Token, &str)>, PgError> {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return Ok(None);
    };
    let behind = chars.as_str();
    let token = match first {
        '\'' => {
            let (value, rest) = quoted(behind, '\'', false).ok_or_else(|| unterminated(text))?;
            (Token::Literal(value), rest)
        }
        'e' | 'E' if behind.starts_with('\'') => {
            let inside = behind.get(1..).unwrap_or_default();
            let (value, rest) = quoted(inside, '\'', true).ok_or_else(|| unterminated(text))?;
            (Token::Literal(value), rest)
        }
        '"' => {
            let (value, rest) = quoted(behind, '"', false).ok_or_else(|| unterminated(text))?;
            (Token::Quoted(value), rest)
        }
        '$' => match dollar_quoted(text) {
            Some((value, rest)) => (Token::Literal(value), rest),
            None => (Token::Symbol('$'), behind),
        },
        c if c.is_ascii_digit() => {
            let (number, rest) = take_while(text, |c| c.is_ascii_alphanumeric() || c == '.');
            (Token::Number(number.to_owned()), rest)
        }
        c if is_word_start(c) => {
            let (word, rest) = take_while(text, is_word_part);
            (Token::Word(word.to_owned()), rest)
        }
        symbol => (Token::Symbol(symbol), behind),
    };
    Ok(Some(token))
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

fn take_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn unterminated(text: &str) -> PgError {
    let kind = if text.starts_with('"') {
        "identifier"
    } else {
        "string"
    };
    let near: String = text.chars().take(64).collect();
    PgError::error(
        "42601",
        format!("unterminated quoted {kind} at or near \"{near}\""),
    )
}

fn skip_blanks(mut text: &str) -> Result<&str, PgError> {
    loop {
        text = text.trim_start();
        if text.starts_with("--") {
            text = text.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = text.strip_prefix("/*") {
            text = behind_comment(comment).ok_or_else(|| {
                PgError::error("42601", "unterminated /* comment at or near \"/*\"")
            })?;
        } else {
            return Ok(text);
        }
    }
}

/// What follows the end of a comment; comments nest.
fn behind_comment(mut text: &str) -> Option<&str> {
    let mut depth = 1;
    while depth > 0 {
        let at = text.find(['*', '/'])?;
        text = text.get(at..)?;
        if let Some(rest) = text.strip_prefix("*/") {
            depth -= 1;
            text = rest;
        } else if let Some(rest) = text.strip_prefix("/*") {
            depth += 1;
            text = rest;
        } else {
            text = text.get(1..)?;
        }
    }
    Some(text)
}

/// The value up to the closing quote and what follows; a doubled quote stands for one.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && escapes {
            let (escaped, rest) = escape(chars.as_str())?;
            value.push(escaped);
            chars = rest.chars();
        } else if c != quote {
            value.push(c);
        } else if chars.as_str().starts_with(quote) {
            chars.next();
            value.push(quote);
        } else {
            return Some((value, chars.as_str()));
        }
    }
    None
}

/// What a backslash and the text behind it stand for.
fn escape(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let (radix, max_digits) = match chars.next()? {
        'b' => return Some(('\u{8}', chars.as_str())),
        'f' => return Some(('\u{c}', chars.as_str())),
        'n' => return Some(('\n', chars.as_str())),
        'r' => return Some(('\r', chars.as_str())),
        't' => return Some(('\t', chars.as_str())),
        'x' => (16, 2),
        'u' => (16, 4),
        'U' => (16, 8),
        '0'..='7' => {
            chars = text.chars();
            (8, 3)
        }
        other => return Some((other, chars.as_str())),
    };
    let text = chars.as_str();
    let is_digit = |&(_, c): &(usize, char)| c.is_digit(radix);
    let num_digits = text
        .char_indices()
        .take(max_digits)
        .take_while(is_digit)
        .count();
    let (digits, rest) = text.split_at_checked(num_digits)?;
    let code = u32::from_str_radix(digits, radix).ok()?;
    Some((char::from_u32(code)?, rest))
}

/// `$tag$ ... $tag$`
fn dollar_quoted(text: &str) -> Option<(String, &str)> {
    let tag_end = text.get(1..)?.find('$')? + 2;
    let (tag, inside) = text.split_at_checked(tag_end)?;
    let name = tag.trim_matches('$');
    if !name.chars().all(|c| is_word_part(c) && c != '$') {
        return None;
    }
    let (value, rest) = inside.split_once(tag)?;
    Some((value.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_inside_quotes_and_comments_split_nothing() {
        let text = "SELECT ';', E'\\';', \";\", $$;$$, $a$;$a$ -- ;\n /* ; /* ; */ */ ; ; b;";
        let found = statements(text).unwrap();
        assert_eq!(found.len(), 2);
        let literal = Token::Literal("';".to_owned());
        assert!(found[0].iter().any(|found| found.token == literal));
        assert_eq!(found[1][0].token, Token::Word("b".to_owned()));
        assert_eq!(&text[found[1][0].start..found[1][0].end], "b");
    }

    #[test]
    fn escapes_mean_what_they_mean_in_postgresql() {
        let found = statements(r"E'a\n\x41\101\u00e4\'\\q'").unwrap();
        assert_eq!(found[0][0].token, Token::Literal("a\nAAä'\\q".to_owned()));
        assert_eq!(position_at("äöü x", 7), 5);
    }

    #[test]
    fn unterminated_quotes_are_syntax_errors() {
        for text in ["'a", "\"a", "E'a\\'", "/* a", "/* /* */"] {
            assert!(statements(text).is_err(), "{text}");
        }
        for text in ["", " ", ";;", "--", "-- a", "$", "$a", "é"] {
            statements(text).unwrap();
        }
    }
}
