//! A strict JSON scanner over borrowed text.
//!
//! It accepts exactly the JSON of RFC 8259 in UTF-8, no number outside the range of a double and
//! no nesting deeper than [`MAX_DEPTH`]. It builds no tree: scalars come out as slices of the
//! text, containers as [`Json`], so a record costs no allocation and no number loses a digit.

use super::json_string::{Text, escape_at, plain_prefix};

/// Deepest nesting of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 128;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub(crate) struct JsonError {
    reason: &'static str,
    at: usize,
}

/// Text known to be one valid JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Checks that `text` is one JSON value.
    pub(crate) fn check(text: &'a str) -> Result<Self, JsonError> {
        let mut scanner = Scanner::new(text);
        scanner.json()?;
        scanner.end()?;
        Ok(Self(text))
    }

    /// Takes the caller's word that `text` was checked before.
    pub(super) const fn trusted(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub(crate) const fn text(self) -> &'a str {
        self.0
    }
}

/// One value of an object, or that it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Value<'a> {
    #[default]
    Absent,
    Null,
    Number(&'a str),
    String(Text<'a>),
    /// A boolean, an array or an object.
    Other(Json<'a>),
}

/// A scalar, or the opening bracket of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Null,
    True,
    False,
    Number(&'a str),
    String(Text<'a>),
    Array,
    Object,
}

/// A place in a text that is read from left to right.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of `text`.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// Reads a scalar or opens a container.
    #[inline]
    pub(crate) fn token(&mut self) -> Result<Token<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Token::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Token::Number),
            Some(b'{') => self.open(Token::Object),
            Some(b'[') => self.open(Token::Array),
            Some(b't') => self.word("true", Token::True),
            Some(b'f') => self.word("false", Token::False),
            Some(b'n') => self.word("null", Token::Null),
            Some(_) => Err(self.error("expected a JSON value")),
            None => Err(self.error("unexpected end of input")),
        }
    }

    /// Reads one whole value.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, JsonError> {
        let token = self.token()?;
        Ok(match token {
            Token::Null => Value::Null,
            Token::Number(literal) => Value::Number(literal),
            Token::String(text) => Value::String(text),
            Token::True => Value::Other(Json("true")),
            Token::False => Value::Other(Json("false")),
            Token::Array | Token::Object => {
                let start = self.at - 1;
                self.skip(token)?;
                Value::Other(self.json_since(start))
            }
        })
    }

    /// Reads one whole value as its text.
    pub(crate) fn json(&mut self) -> Result<Json<'a>, JsonError> {
        self.peek();
        let start = self.at;
        let token = self.token()?;
        self.skip(token)?;
        Ok(self.json_since(start))
    }

    fn json_since(&self, start: usize) -> Json<'a> {
        Json(self.text.get(start..self.at).unwrap_or_default())
    }

    /// In an object: the next key, up to its value; `None` once the object is closed.
    /// `first` starts as true.
    #[inline]
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Result<Option<Text<'a>>, JsonError> {
        if !self.next_member(b'}', first)? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.error("expected \":\""));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// In an array: whether another element follows. `first` starts as true.
    pub(crate) fn next_element(&mut self, first: &mut bool) -> Result<bool, JsonError> {
        self.next_member(b']', first)
    }

    /// Checks that nothing follows but white space.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("trailing characters")),
        }
    }

    /// Skips white space and looks at the byte after it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn error(&self, reason: &'static str) -> JsonError {
        JsonError {
            reason,
            at: self.at,
        }
    }

    fn open(&mut self, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.at += 1;
        Ok(token)
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        let tail = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !tail.starts_with(word.as_bytes()) {
            return Err(self.error("expected a JSON value"));
        }
        self.at += word.len();
        Ok(token)
    }

    /// Reads on to the end of what `opened` began; its depth is bounded by [`MAX_DEPTH`].
    fn skip(&mut self, opened: Token<'a>) -> Result<(), JsonError> {
        let mut first = true;
        match opened {
            Token::Array => {
                while self.next_element(&mut first)? {
                    let token = self.token()?;
                    self.skip(token)?;
                }
            }
            Token::Object => {
                while self.next_key(&mut first)?.is_some() {
                    let token = self.token()?;
                    self.skip(token)?;
                }
            }
            Token::Null | Token::True | Token::False | Token::Number(_) | Token::String(_) => {}
        }
        Ok(())
    }

    #[inline]
    fn next_member(&mut self, close: u8, first: &mut bool) -> Result<bool, JsonError> {
        let was_first = std::mem::replace(first, false);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                Ok(false)
            }
            Some(b',') if !was_first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if was_first => Ok(true),
            Some(_) => Err(self.error("expected \",\" or a closing bracket")),
            None => Err(self.error("unexpected end of input")),
        }
    }

    /// Reads a string; the scanner stands at its opening quote.
    #[inline]
    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            let tail = bytes.get(self.at..).unwrap_or_default();
            self.at += plain_prefix(tail);
            match self.byte(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    let (_, next) = escape_at(bytes, self.at).map_err(|why| self.error(why))?;
                    self.at = next;
                }
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("unexpected end of a string")),
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text::checked(raw, escaped))
    }

    /// Reads a number; the scanner stands at its sign or first digit.
    #[inline]
    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let mut exponent = false;
        if self.byte(self.at) == Some(b'-') {
            self.at += 1;
        }
        if self.byte(self.at) == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte(self.at) == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(self.at), Some(b'e' | b'E')) {
            exponent = true;
            self.at += 1;
            if matches!(self.byte(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let literal = self.text.get(start..self.at).unwrap_or_default();
        // Only an exponent or hundreds of digits can leave the range of a double.
        if (exponent || literal.len() > 300) && !literal.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.error("number out of range"));
        }
        Ok(literal)
    }

    /// Reads one digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.byte(self.at).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("invalid number"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses_what_rfc_8259_does() {
        for good in [
            "0",
            "-0",
            "-1.50e+3",
            " [ ] ",
            "{\"a\" : [1,{}] }",
            "\"\\ud83d\\ude00/\\/\"",
            "true",
        ] {
            assert!(Json::check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{1:2}",
            "{\"a\"}",
            "nul",
            "truex",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"a\nb\"",
            "\"",
            "[",
            "{",
            "1 1",
            "1e999",
            "\"\\u12\"",
            "\u{feff}1",
        ] {
            assert!(Json::check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(Json::check(&deep(MAX_DEPTH)).is_ok());
        assert!(Json::check(&deep(MAX_DEPTH + 1)).is_err());
        assert!(Json::check(&"[".repeat(1 << 20)).is_err());
    }
}
