//! Strings inside JSON: where they stop, and their escapes, both ways.

use std::borrow::Cow;

/// A string between its quotes, its escapes checked but not yet undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// A string whose escapes, if it has any, were all read with [`escape_at`].
    pub(super) const fn checked(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The string itself; borrowed unless it has escapes.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// How many bytes of `tail` stand in a string as they are. Names and words end within the first
/// few bytes; what is longer (hexadecimal digits, mostly) is searched by vector instructions.
#[inline]
pub(super) fn plain_prefix(tail: &[u8]) -> usize {
    const SHORT: usize = 16;
    let (short, long) = tail.split_at_checked(SHORT).unwrap_or((tail, &[]));
    if let Some(stop) = short.iter().position(|&b| must_be_escaped(b)) {
        return stop;
    }
    let stop = memchr::memchr2(b'"', b'\\', long).unwrap_or(long.len());
    let span = long.get(..stop).unwrap_or(long);
    let no_control = span.iter().fold(0, |odd, &b| odd | u8::from(b < 0x20)) == 0;
    if no_control {
        return short.len() + stop;
    }
    short.len() + span.iter().position(|&b| b < 0x20).unwrap_or(stop)
}

/// Appends `text` as a JSON string: RedDB's escapes, which are also those of PostgreSQL's jsonb.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(stop) = rest.iter().position(|&b| must_be_escaped(b)) {
        let (plain, tail) = rest.split_at(stop);
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = tail.split_first() else {
            break;
        };
        write_escape(byte, out);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[inline]
const fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(stop) = rest.find('\\') {
        let (plain, tail) = rest.split_at(stop);
        text.push_str(plain);
        // The scanner has checked every escape, so this never fails.
        let Ok((character, next)) = escape_at(tail.as_bytes(), 0) else {
            break;
        };
        text.push(character);
        rest = tail.get(next..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// Reads the escape whose backslash stands at `at`: its character and where it ends.
pub(super) fn escape_at(bytes: &[u8], at: usize) -> Result<(char, usize), &'static str> {
    let character = match bytes.get(at + 1) {
        Some(&plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unicode_escape(bytes, at + 2),
        _ => return Err("invalid escape in a string"),
    };
    Ok((character, at + 2))
}

fn unicode_escape(bytes: &[u8], at: usize) -> Result<(char, usize), &'static str> {
    const BAD: &str = "invalid unicode escape in a string";
    let high = hex4(bytes, at).ok_or(BAD)?;
    if let Some(character) = char::from_u32(high) {
        return Ok((character, at + 4));
    }
    let marker = bytes.get(at + 4..at + 6);
    let low = hex4(bytes, at + 6).ok_or(BAD)?;
    let paired = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
    if marker != Some(b"\\u") || !paired {
        return Err(BAD);
    }
    let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    Ok((char::from_u32(code).ok_or(BAD)?, at + 10))
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |code, &digit| {
        Some(code * 16 + char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::json::{Scanner, Token};

    #[test]
    fn strings_are_escaped_as_reddb_does() {
        let mut out = Vec::new();
        write_string("a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{1f}/é\u{7f}", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            r#""a\"b\\c\n\r\t\b\f\u0001\u001f/é"#.to_owned() + "\u{7f}\""
        );
        let mut scanner = Scanner::new(&text);
        let Ok(Token::String(back)) = scanner.token() else {
            panic!("not a string");
        };
        assert_eq!(back.decode(), "a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{1f}/é\u{7f}");
    }
}
