//! JSON text written again in one of two fixed spellings, without passing through numbers or
//! trees: no digit is lost and nothing but the keys of one object is held at a time.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::json::{Json, JsonError, Scanner, Token};
use super::json_string::write_string;

/// How JSON is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// RedDB's: no white space, keys in byte order, integral numbers without a fraction.
    RedDb,
    /// As PostgreSQL prints a `jsonb`: shorter keys first, a space after colon and comma, the
    /// fraction's zeros kept.
    Jsonb,
}

impl Style {
    const fn comma(self) -> &'static [u8] {
        match self {
            Self::RedDb => b",",
            Self::Jsonb => b", ",
        }
    }

    const fn colon(self) -> &'static [u8] {
        match self {
            Self::RedDb => b":",
            Self::Jsonb => b": ",
        }
    }

    fn order(self, a: &str, b: &str) -> Ordering {
        match self {
            Self::RedDb => a.cmp(b),
            Self::Jsonb => (a.len(), a).cmp(&(b.len(), b)),
        }
    }
}

impl Json<'_> {
    /// Appends the value in `style`. Of equal keys in one object the last one stays.
    pub(crate) fn write(self, style: Style, out: &mut Vec<u8>) {
        let mut scanner = Scanner::new(self.text());
        // The text is known to be valid, so the scanner cannot fail.
        let _ = Writer { style, out }.value(&mut scanner);
    }

    /// The value as a tree. An integer beyond 64 bits becomes the nearest double.
    pub(crate) fn to_value(self) -> serde_json::Value {
        tree(&mut Scanner::new(self.text())).unwrap_or_default()
    }
}

struct Writer<'o> {
    style: Style,
    out: &'o mut Vec<u8>,
}

/// One member of the object being written and where its bytes are in the output.
struct Member<'a> {
    key: Cow<'a, str>,
    start: usize,
    end: usize,
}

impl Writer<'_> {
    fn value(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        match scanner.token()? {
            Token::Null => self.out.extend_from_slice(b"null"),
            Token::True => self.out.extend_from_slice(b"true"),
            Token::False => self.out.extend_from_slice(b"false"),
            Token::Number(literal) => write_number(literal, self.style, self.out),
            Token::String(text) => write_string(&text.decode(), self.out),
            Token::Array => self.array(scanner)?,
            Token::Object => self.object(scanner)?,
        }
        Ok(())
    }

    fn array(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let mut first = true;
        let mut separator: &[u8] = b"[";
        while scanner.next_element(&mut first)? {
            self.out.extend_from_slice(separator);
            separator = self.style.comma();
            self.value(scanner)?;
        }
        self.out
            .extend_from_slice(if separator == b"[" { b"[]" } else { b"]" });
        Ok(())
    }

    /// Writes the members as they come and puts them in order only when they were not.
    fn object(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        self.out.push(b'{');
        let body = self.out.len();
        let mut members: Vec<Member<'_>> = Vec::new();
        let mut in_order = true;
        let mut first = true;
        while let Some(key) = scanner.next_key(&mut first)? {
            let key = key.decode();
            if let Some(last) = members.last() {
                in_order &= self.style.order(&last.key, &key) == Ordering::Less;
                self.out.extend_from_slice(self.style.comma());
            }
            let start = self.out.len() - body;
            write_string(&key, self.out);
            self.out.extend_from_slice(self.style.colon());
            self.value(scanner)?;
            let end = self.out.len() - body;
            members.push(Member { key, start, end });
        }
        if !in_order {
            self.reorder(body, members);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn reorder(&mut self, body: usize, mut members: Vec<Member<'_>>) {
        let written = self.out.split_off(body);
        // The sort is stable: of equal keys the last written is the last of its run.
        members.sort_by(|a, b| self.style.order(&a.key, &b.key));
        let mut members = members.into_iter().peekable();
        let mut separator: &[u8] = b"";
        while let Some(member) = members.next() {
            if members.peek().is_some_and(|next| next.key == member.key) {
                continue;
            }
            self.out.extend_from_slice(separator);
            separator = self.style.comma();
            let bytes = written.get(member.start..member.end).unwrap_or_default();
            self.out.extend_from_slice(bytes);
        }
    }
}

/// The longest exponent that is written out; a larger one stays as the producer spelled it, so
/// that a few bytes cannot become hundreds of zeros.
const MAX_EXPONENT: i64 = 40;

/// Appends a number without exponent, by decimal arithmetic on its digits: exact at any length.
pub(super) fn write_number(literal: &str, style: Style, out: &mut Vec<u8>) {
    if literal == "-0" {
        out.push(b'0');
        return;
    }
    if !literal.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        out.extend_from_slice(literal.as_bytes());
        return;
    }
    let unsigned = literal.strip_prefix('-').unwrap_or(literal);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.parse::<i64>().ok();
    let Some(exponent) = exponent.filter(|e| e.abs() <= MAX_EXPONENT) else {
        out.extend_from_slice(literal.as_bytes());
        return;
    };
    let (whole, fraction) = shift_point(whole, fraction, exponent);
    let whole = whole.trim_start_matches('0');
    let fraction = match style {
        Style::RedDb => fraction.trim_end_matches('0'),
        Style::Jsonb => fraction.as_str(),
    };
    let is_zero = whole.is_empty() && fraction.bytes().all(|b| b == b'0');
    if unsigned.len() < literal.len() && !is_zero {
        out.push(b'-');
    }
    out.extend_from_slice(if whole.is_empty() {
        b"0"
    } else {
        whole.as_bytes()
    });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// Moves the decimal point `by` places to the right (to the left when negative).
fn shift_point(whole: &str, fraction: &str, by: i64) -> (String, String) {
    let places = usize::try_from(by.unsigned_abs()).unwrap_or_default();
    let padding = "0".repeat(places);
    if by >= 0 {
        let padded = fraction.to_owned() + &padding;
        let (moved, _) = padded.split_at(places);
        (
            whole.to_owned() + moved,
            fraction.get(places..).unwrap_or_default().to_owned(),
        )
    } else {
        let padded = padding + whole;
        let (kept, moved) = padded.split_at(padded.len() - places);
        (kept.to_owned(), moved.to_owned() + fraction)
    }
}

fn tree(scanner: &mut Scanner<'_>) -> Result<serde_json::Value, JsonError> {
    let mut first = true;
    Ok(match scanner.token()? {
        Token::Null => serde_json::Value::Null,
        Token::True => true.into(),
        Token::False => false.into(),
        Token::Number(literal) => number(literal),
        Token::String(text) => text.decode().into(),
        Token::Array => {
            let mut elements = Vec::new();
            while scanner.next_element(&mut first)? {
                elements.push(tree(scanner)?);
            }
            elements.into()
        }
        Token::Object => {
            let mut members = serde_json::Map::new();
            while let Some(key) = scanner.next_key(&mut first)? {
                members.insert(key.decode().into_owned(), tree(scanner)?);
            }
            members.into()
        }
    })
}

fn number(literal: &str) -> serde_json::Value {
    if let Ok(unsigned) = literal.parse::<u64>() {
        return unsigned.into();
    }
    if let Ok(signed) = literal.parse::<i64>() {
        return signed.into();
    }
    literal.parse::<f64>().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, style: Style) -> String {
        let mut out = Vec::new();
        Json::check(text).unwrap().write(style, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reddb_spelling_is_sorted_compact_and_exact() {
        for (given, wanted) in [
            (
                r#" { "b" : 1 , "a" : [ ] , "ab":{ } } "#,
                r#"{"a":[],"ab":{},"b":1}"#,
            ),
            (
                r#"{"a":1,"b":{"z":1,"y":2,"z":3},"a":2}"#,
                r#"{"a":2,"b":{"y":2,"z":3}}"#,
            ),
            (r#"["\u0041\/\u00e9\u001F"]"#, "[\"A/é\\u001f\"]"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            ("-0.0", "0"),
            ("-0", "0"),
            ("-1.5e2", "-150"),
            ("1.5E-3", "0.0015"),
            ("1e3", "1000"),
            ("12.34e1", "123.4"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
            ("1234567890123456789012345", "1234567890123456789012345"),
            ("3.14159265358979323846", "3.14159265358979323846"),
            ("1e300", "1e300"),
        ] {
            assert_eq!(written(given, Style::RedDb), wanted, "{given}");
            assert_eq!(written(wanted, Style::RedDb), wanted, "stable: {given}");
        }
    }

    /// The answers are PostgreSQL 15.18's.
    #[test]
    fn jsonb_spelling_is_postgresqls() {
        for (given, wanted) in [
            (
                r#"{"z":1,"role":"ad'min","f":1.50,"bb":[1,2,{}],"e":{},"g":[],"n":null,"t":true,
                    "x":1e3,"y":1.5e-3,"w":-0,"v":-0.0,"u":"a\"","u":"last"}"#,
                r#"{"e": {}, "f": 1.50, "g": [], "n": null, "t": true, "u": "last", "v": 0.0, "w": 0, "x": 1000, "y": 0.0015, "z": 1, "bb": [1, 2, {}], "role": "ad'min"}"#,
            ),
            (
                "[1.50e1,1.50E+1,100e-2,12345678901234567890123,0.000, 1E-10, -1.5e2, 0e5, 0.0e3, 1.10]",
                "[15.0, 15.0, 1.00, 12345678901234567890123, 0.000, 0.0000000001, -150, 0, 0, 1.10]",
            ),
            (" 5 ", "5"),
            (
                r#"{"aa":"\t\b\f\r","b":"\u001f"}"#,
                r#"{"b": "\u001f", "aa": "\t\b\f\r"}"#,
            ),
        ] {
            assert_eq!(written(given, Style::Jsonb), wanted);
        }
    }

    #[test]
    fn trees_keep_every_64_bit_integer() {
        let value = Json::check("[18446744073709551615,-9223372036854775808,0.1,1e3]").unwrap();
        assert_eq!(
            value.to_value(),
            serde_json::json!([u64::MAX, i64::MIN, 0.1, 1000.0])
        );
    }
}
