//! JSON text that is known to be some, read apart without copying.
//!
//! [`check`] says whether a text is JSON; what is here behind that reads texts that passed it, and
//! ends early, never panics, on others.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::datum::{DatumError, Json};

/// Whether `text` is JSON, in PostgreSQL's words where it is not.
pub(super) fn check(text: &str) -> Result<(), DatumError> {
    let Err(error) = serde_json::from_str::<IgnoredAny>(text) else {
        return Ok(());
    };
    Json::parse(text, false)?;
    Err(malformed(error.to_string()))
}

fn malformed(detail: String) -> DatumError {
    DatumError::Malformed {
        message: "invalid input syntax for type json".to_owned(),
        detail,
    }
}

/// A value in its own spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Bool(&'a str),
    Number(&'a str),
    /// What stands between the quotes.
    String(&'a str),
    /// With its brackets.
    Array(&'a str),
    /// With its braces.
    Object(&'a str),
}

/// The characters that stand between the quotes of a string.
pub(super) fn unescaped(inside: &str) -> Result<Cow<'_, str>, DatumError> {
    if !inside.contains('\\') {
        return Ok(Cow::Borrowed(inside));
    }
    let quoted = format!("\"{inside}\"");
    let text: String = match serde_json::from_str(&quoted) {
        Ok(text) => text,
        Err(error) => {
            Json::parse(&quoted, true)?;
            return Err(malformed(error.to_string()));
        }
    };
    if text.contains('\0') {
        let detail = "\\u0000 cannot be converted to text.";
        return Err(DatumError::Untranslatable(detail.to_owned()));
    }
    Ok(Cow::Owned(text))
}

/// A place in a text of JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next byte that is no blank.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.as_bytes().first().copied()
    }

    /// Bytes that are left.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Goes past `wanted`, if that is next.
    pub(super) fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.advance(1);
        }
        found
    }

    fn advance(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// What stands between the quotes of the string that is next.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        if !self.eat(b'"') {
            return None;
        }
        let end = string_len(self.rest.as_bytes())?;
        let inside = self.advance(end);
        self.advance(1);
        Some(inside)
    }

    /// The number or word that is next.
    pub(super) fn word(&mut self) -> Option<Value<'a>> {
        let first = self.peek()?;
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        let len = self.rest.bytes().position(|byte| ends(&byte));
        let word = self.advance(len.unwrap_or(self.rest.len()));
        Some(match first {
            b'n' => Value::Null,
            b't' | b'f' => Value::Bool(word),
            _ => Value::Number(word),
        })
    }

    /// The value that is next, in one piece.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Value::String),
            b'{' => self.nested().map(Value::Object),
            b'[' => self.nested().map(Value::Array),
            _ => self.word(),
        }
    }

    /// The value that is next, and its own spelling.
    pub(super) fn spelled(&mut self) -> Option<(Value<'a>, &'a str)> {
        self.peek()?;
        let from = self.rest;
        let value = self.value()?;
        let len = from.len().saturating_sub(self.rest.len());
        Some((value, from.get(..len).unwrap_or_default()))
    }

    /// The object or array that is next, with its brackets.
    fn nested(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let (mut at, mut depth) = (0, 0_usize);
        loop {
            match bytes.get(at)? {
                b'"' => at += 1 + string_len(bytes.get(at + 1..)?)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            if depth == 0 {
                return Some(self.advance(at));
            }
        }
    }
}

/// Bytes before the quote that ends a string.
fn string_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}
