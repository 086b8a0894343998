//! A place in a statement's tokens, with the steps that grammars are made of.
//!
//! What does not fit is a syntax error at the token it does not fit at.

use super::super::lexer::{Spanned, Token, position_at};
use crate::pgerror::PgError;

/// One statement of a text, read from left to right.
#[derive(Debug, Clone)]
pub(super) struct Parser<'a> {
    /// The whole text, of which the statement may be a part.
    text: &'a str,
    tokens: &'a [Spanned],
    /// Bytes of the text before the statement.
    began: usize,
    /// Bytes of the text up to the end of the last token taken.
    taken_to: usize,
}

impl<'a> Parser<'a> {
    /// At the begin of `tokens`, a statement of `text`.
    pub(super) fn new(text: &'a str, tokens: &'a [Spanned]) -> Self {
        Self {
            text,
            tokens,
            began: tokens.first().map_or(0, |first| first.start),
            taken_to: tokens.first().map_or(0, |first| first.start),
        }
    }

    /// The next token.
    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.first().map(|next| &next.token)
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let (next, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        self.taken_to = next.end;
        Some(&next.token)
    }

    /// Takes `words` if they come next, in any case.
    pub(super) fn accept(&mut self, words: &[&str]) -> bool {
        let there = words.len() <= self.tokens.len()
            && words
                .iter()
                .zip(self.tokens)
                .all(|(word, next)| next.token.is_word(word));
        if there {
            for _ in words {
                self.next();
            }
        }
        there
    }

    /// Takes the first of `words` that comes next.
    pub(super) fn accept_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.accept(&[word]))
    }

    /// Takes `symbol` if it comes next.
    pub(super) fn accept_symbol(&mut self, symbol: char) -> bool {
        let there = self.peek() == Some(&Token::Symbol(symbol));
        if there {
            self.next();
        }
        there
    }

    /// Takes `words`, which must come next.
    pub(super) fn expect(&mut self, words: &[&str]) -> Result<(), PgError> {
        for word in words {
            if !self.accept(&[word]) {
                return Err(self.error());
            }
        }
        Ok(())
    }

    /// Takes an identifier.
    pub(super) fn name(&mut self) -> Result<String, PgError> {
        let name = self.peek().and_then(Token::name);
        let name = name.ok_or_else(|| self.error())?;
        self.next();
        Ok(name)
    }

    /// Takes an identifier that may have dots.
    pub(super) fn dotted_name(&mut self) -> Result<String, PgError> {
        let mut name = self.name()?;
        while self.accept_symbol('.') {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    /// Whether the token behind the next one assigns to it.
    pub(super) fn assigns_next(&self) -> bool {
        let second = self.tokens.get(1).map(|second| &second.token);
        second.is_some_and(|token| *token == Token::Symbol('=') || token.is_word("TO"))
    }

    /// Whether nothing is left.
    pub(super) const fn is_at_end(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether one token is left.
    pub(super) const fn is_last(&self) -> bool {
        self.tokens.len() == 1
    }

    /// An error when something is left.
    pub(super) fn end(&self) -> Result<(), PgError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// The syntax error at the next token.
    pub(super) fn error(&self) -> PgError {
        let (start, near) = match self.tokens.first() {
            Some(next) => (next.start, self.text.get(next.start..next.end)),
            None => self.behind_the_last(),
        };
        PgError::syntax(near.unwrap_or_default()).at(position_at(self.text, start))
    }

    /// What a statement that ends too early ends at.
    fn behind_the_last(&self) -> (usize, Option<&'a str>) {
        let rest = self.text.get(self.taken_to..).unwrap_or_default();
        let blanks = rest.len().saturating_sub(rest.trim_start().len());
        let start = self.taken_to.saturating_add(blanks);
        (start, self.text.get(start..).and_then(|rest| rest.get(..1)))
    }

    /// Where the next token stands, in characters of the statement from 1.
    pub(super) fn position(&self) -> u32 {
        self.num_before().saturating_add(1)
    }

    /// Whether the next token can only be a name: what follows continues or ends a table's name.
    pub(super) fn is_name_alone(&self) -> bool {
        let second = self.tokens.get(1).map(|second| &second.token);
        second.is_none_or(|token| {
            matches!(token, Token::Symbol(_)) || token.is_word("FROM") || token.is_word("TO")
        })
    }

    /// Characters of the statement before what is left.
    pub(super) fn num_before(&self) -> u32 {
        let end = self.tokens.first().map_or(self.taken_to, |next| next.start);
        let before = self.text.get(self.began..end).unwrap_or_default();
        position_at(before, before.len()).saturating_sub(1)
    }

    /// What is left, as it was written, with the bytes of the whole text before it.
    pub(super) fn rest(&self) -> Option<(usize, &'a str)> {
        let (first, last) = (self.tokens.first()?, self.tokens.last()?);
        Some((first.start, self.text.get(first.start..last.end)?))
    }

    /// What stands between parentheses, as it was written, cut at the commas outside of inner
    /// ones. The opening one was taken.
    pub(super) fn arguments(&mut self) -> Result<Vec<String>, PgError> {
        let mut found = vec![];
        let (mut depth, mut begin) = (0_u32, self.taken_to);
        loop {
            let Some(next) = self.tokens.first() else {
                return Err(self.error());
            };
            let Token::Symbol(symbol) = next.token else {
                self.next();
                continue;
            };
            match symbol {
                ',' | ')' if depth == 0 => {
                    let text = self.text.get(begin..next.start).unwrap_or_default().trim();
                    if text.is_empty() {
                        return Err(self.error());
                    }
                    found.push(text.to_owned());
                    begin = next.end;
                }
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next();
            if symbol == ')' && begin == self.taken_to {
                return Ok(found);
            }
        }
    }
}
