//! Cuts a replication command into tokens, as PostgreSQL 15's scanner for them does.
//!
//! One pass, no look-behind: time is linear in the text. Every input gives a token or an error.
//! It knows no grammar: whether a word is a keyword or a name is the parser's business. Beyond
//! PostgreSQL 15, `""` inside a quoted name stands for one quote.

use super::command::CommandError;
use crate::lsn::Lsn;

/// Names are cut to this many bytes (PostgreSQL's NAMEDATALEN - 1).
const MAX_NAME_BYTES: usize = 63;

/// One token. The text it was read from is [`Lexer::token_text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A bare word as it was written: a keyword or a name.
    Word(&'a str),
    /// A name in double quotes, already cut to the length of a name.
    QuotedName(String),
    /// A literal in single quotes.
    Literal(String),
    /// An unsigned number; too large ones become the largest.
    Number(u32),
    /// A position, `X/X`.
    Position(Lsn),
    /// Any other character.
    Symbol(char),
    /// Nothing is left.
    End,
}

/// The text and how far it was read.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    token_start: usize,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            token_start: 0,
            at: 0,
        }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>, CommandError> {
        self.skip_while(is_blank);
        self.token_start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token::End);
        };
        if let Some(position) = self.position()? {
            return Ok(Token::Position(position));
        }
        if is_word_start(first) {
            self.skip_while(is_word_part);
            return Ok(Token::Word(self.token_text()));
        }
        if first.is_ascii_digit() {
            self.skip_while(|c| c.is_ascii_digit());
            // Only an overflow can fail here: the text is one digit or more.
            return Ok(Token::Number(self.token_text().parse().unwrap_or(u32::MAX)));
        }
        self.at += first.len_utf8();
        match first {
            '"' => Ok(Token::QuotedName(truncated(self.quoted('"')?))),
            '\'' => Ok(Token::Literal(self.quoted('\'')?)),
            other => Ok(Token::Symbol(other)),
        }
    }

    /// The text of the token read last; empty at the end.
    pub(super) fn token_text(&self) -> &'a str {
        self.text.get(self.token_start..self.at).unwrap_or("")
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    }

    /// Reads `X/X` if it stands here. It wins over a word or number, being longer.
    fn position(&mut self) -> Result<Option<Lsn>, CommandError> {
        let rest = self.rest();
        let high_len = hex_run(rest);
        let after = rest.get(high_len..).unwrap_or("");
        let low_len = after.strip_prefix('/').map_or(0, hex_run);
        if high_len == 0 || low_len == 0 {
            return Ok(None);
        }
        self.at += high_len + 1 + low_len;
        position_from(self.token_text())
            .map(Some)
            .ok_or_else(|| CommandError::syntax("invalid streaming start location".to_owned()))
    }

    /// Reads up to the closing quote; a doubled one stands for itself.
    fn quoted(&mut self, quote: char) -> Result<String, CommandError> {
        let mut value = String::new();
        loop {
            let Some((part, behind)) = self.rest().split_once(quote) else {
                self.at = self.text.len();
                return Err(CommandError::syntax(
                    "unterminated quoted string".to_owned(),
                ));
            };
            value.push_str(part);
            self.at = self.text.len() - behind.len();
            if !behind.starts_with(quote) {
                return Ok(value);
            }
            value.push(quote);
            self.at += quote.len_utf8();
        }
    }
}

/// A bare name as PostgreSQL folds it: ASCII letters lower-cased, cut to the length of a name.
pub(super) fn folded(word: &str) -> String {
    truncated(word.to_ascii_lowercase())
}

fn truncated(mut name: String) -> String {
    if name.len() > MAX_NAME_BYTES {
        let end = (0..=MAX_NAME_BYTES)
            .rev()
            .find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(0));
    }
    name
}

/// Any number of leading zeros is fine; more than 32 bits in a half is not.
fn position_from(text: &str) -> Option<Lsn> {
    let (high, low) = text.split_once('/')?;
    let high = u32::from_str_radix(high, 16).ok()?;
    let low = u32::from_str_radix(low, 16).ok()?;
    Some(Lsn::new((u64::from(high) << 32) | u64::from(low)))
}

fn hex_run(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_hexdigit).count()
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

const fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

const fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            let token = lexer.next().unwrap();
            if token == Token::End {
                return found;
            }
            found.push(token);
        }
    }

    #[test]
    fn the_longest_reading_wins_between_word_number_and_position() {
        assert_eq!(tokens("AB/CD"), [Token::Position(Lsn::new(0xAB_0000_00CD))]);
        assert_eq!(tokens("AB"), [Token::Word("AB")]);
        assert_eq!(tokens("12/"), [Token::Number(12), Token::Symbol('/')]);
        assert_eq!(tokens("1abg"), [Token::Number(1), Token::Word("abg")]);
        assert_eq!(tokens("99999999999999"), [Token::Number(u32::MAX)]);
    }

    #[test]
    fn doubled_quotes_stand_for_one() {
        assert_eq!(tokens("'a''b'"), [Token::Literal("a'b".to_owned())]);
        assert_eq!(tokens("\"a\"\"b\""), [Token::QuotedName("a\"b".to_owned())]);
        assert_eq!(tokens("''"), [Token::Literal(String::new())]);
        assert_eq!(tokens("''''"), [Token::Literal("'".to_owned())]);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(folded(&"A".repeat(70)), "a".repeat(63));
        assert_eq!(folded(&format!("{}é", "a".repeat(62))), "a".repeat(62));
    }
}
