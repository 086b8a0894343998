//! JSON: whether text is some, and how a `jsonb` prints.

use std::fmt::Write as _;

use super::DatumError;
use super::numeric::Numeric;

/// How deeply values may stand in one another.
const MAX_DEPTH: usize = 500;

/// A value of `jsonb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number, as `numeric` prints it (in `json`: as it was written).
    Number(String),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object; in a `jsonb` its keys are there once each, shorter ones first.
    Object(Vec<(String, Self)>),
}

/// A member of an object or array in its own spelling, with its key.
pub type RawMember = (Option<String>, String);

impl Json {
    /// Reads JSON. As `jsonb` numbers and keys are brought to their one form; as `json` they stay.
    pub fn parse(text: &str, binary: bool) -> Result<Self, DatumError> {
        let mut parser = Parser { rest: text, binary };
        let value = parser.value(0)?;
        parser.skip_blanks();
        if parser.rest.is_empty() {
            Ok(value)
        } else {
            Err(parser.expected("end of input"))
        }
    }

    /// The members of an object or array in their own spelling, with the keys of an object; `None`
    /// for anything else.
    pub fn raw_members(text: &str) -> Result<Option<Vec<RawMember>>, DatumError> {
        let mut parser = Parser {
            rest: text,
            binary: false,
        };
        let (object, close) = if parser.eat('{') {
            (true, '}')
        } else if parser.eat('[') {
            (false, ']')
        } else {
            return Ok(None);
        };
        let mut members = Vec::new();
        if parser.eat(close) {
            return Ok(Some(members));
        }
        loop {
            parser.skip_blanks();
            let key = if object { Some(parser.string()?) } else { None };
            if object && !parser.eat(':') {
                return Err(parser.expected("\":\""));
            }
            parser.skip_blanks();
            let start = parser.rest;
            parser.value(1)?;
            let len = start.len() - parser.rest.len();
            members.push((key, start.get(..len).unwrap_or("").to_owned()));
            if parser.eat(close) {
                return Ok(Some(members));
            }
            if !parser.eat(',') {
                return Err(parser.expected("\",\""));
            }
        }
    }

    /// Appends it as `jsonb` prints.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// As `jsonb` prints it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// Appends a string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    rest: &'a str,
    binary: bool,
}

fn invalid(detail: String) -> DatumError {
    DatumError::Malformed {
        message: "invalid input syntax for type json".to_owned(),
        detail,
    }
}

impl<'a> Parser<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// The token that stands here, as an error names it.
    fn token(&self) -> &'a str {
        let mut characters = self.rest.char_indices();
        let word = |c: char| {
            c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.' || !c.is_ascii()
        };
        let end = match characters.next() {
            None => 0,
            Some((_, first)) if word(first) => characters
                .find(|(_, c)| !word(*c))
                .map_or(self.rest.len(), |(at, _)| at),
            Some((_, first)) => first.len_utf8(),
        };
        self.rest.get(..end).unwrap_or("")
    }

    fn expected(&self, what: &str) -> DatumError {
        if self.rest.is_empty() {
            return invalid("The input string ended unexpectedly.".to_owned());
        }
        let token = self.token();
        let known = matches!(
            token,
            "{" | "}" | "[" | "]" | "," | ":" | "\"" | "true" | "false" | "null"
        ) || number_len(token).is_some();
        if known {
            invalid(format!("Expected {what}, but found \"{token}\"."))
        } else {
            invalid(format!("Token \"{token}\" is invalid."))
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, DatumError> {
        if depth > MAX_DEPTH {
            return Err(DatumError::TooDeep);
        }
        self.skip_blanks();
        match self.rest.chars().next() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => self.string().map(Json::String),
            Some(_) | None => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<Json, DatumError> {
        let token = self.token();
        let value = match token {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            number if number_len(number).is_some() => {
                let text = if self.binary {
                    Numeric::parse(number)?.to_string()
                } else {
                    number.to_owned()
                };
                Json::Number(text)
            }
            _ => return Err(self.expected("JSON value")),
        };
        self.rest = self.rest.get(token.len()..).unwrap_or("");
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Json, DatumError> {
        self.eat('[');
        let mut items = Vec::new();
        if self.eat(']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(']') {
                return Ok(Json::Array(items));
            }
            if !self.eat(',') {
                return Err(self.expected("\",\" or \"]\""));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, DatumError> {
        self.eat('{');
        let mut members = Vec::new();
        if self.eat('}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_blanks();
            if !self.rest.starts_with('"') {
                return Err(self.expected(if members.is_empty() {
                    "string or \"}\""
                } else {
                    "string"
                }));
            }
            let key = self.string()?;
            if !self.eat(':') {
                return Err(self.expected("\":\""));
            }
            members.push((key, self.value(depth + 1)?));
            if self.eat('}') {
                break;
            }
            if !self.eat(',') {
                return Err(self.expected("\",\" or \"}\""));
            }
        }
        if self.binary {
            members = one_of_each(members);
        }
        Ok(Json::Object(members))
    }

    fn string(&mut self) -> Result<String, DatumError> {
        let start = self.rest;
        let mut text = String::new();
        let mut characters = self.rest.chars();
        characters.next();
        loop {
            let ended = || invalid(format!("Token \"{start}\" is invalid."));
            match characters.next().ok_or_else(ended)? {
                '"' => break,
                '\\' => {
                    let escaped = characters.next().ok_or_else(ended)?;
                    let plain = match escaped {
                        'b' => '\x08',
                        'f' => '\x0c',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        '"' | '\\' | '/' => escaped,
                        'u' => match self.unicode(&mut characters)? {
                            Some(plain) => plain,
                            // As `json` it is kept as it was written; what it means is not asked.
                            None => continue,
                        },
                        other => {
                            return Err(invalid(format!(
                                "Escape sequence \"\\{other}\" is invalid."
                            )));
                        }
                    };
                    text.push(plain);
                }
                control if u32::from(control) < 0x20 => {
                    return Err(invalid(format!(
                        "Character with value 0x{:02x} must be escaped.",
                        u32::from(control)
                    )));
                }
                plain => text.push(plain),
            }
        }
        self.rest = characters.as_str();
        Ok(text)
    }

    /// What stands behind `\u`; `None` for one that only `json` may hold.
    fn unicode(&self, characters: &mut std::str::Chars<'_>) -> Result<Option<char>, DatumError> {
        let bad = || invalid("\"\\u\" must be followed by four hexadecimal digits.".to_owned());
        let unit = |characters: &mut std::str::Chars<'_>| -> Result<u32, DatumError> {
            let mut value = 0;
            for _ in 0..4 {
                let digit = characters
                    .next()
                    .and_then(|c| c.to_digit(16))
                    .ok_or_else(bad)?;
                value = value * 16 + digit;
            }
            Ok(value)
        };
        let low_missing =
            || invalid("Unicode low surrogate must follow a high surrogate.".to_owned());
        let first = unit(characters)?;
        if !self.binary && (first == 0 || (0xD800..=0xDFFF).contains(&first)) {
            return Ok(None);
        }
        match first {
            0 => Err(DatumError::Untranslatable(
                "\\u0000 cannot be converted to text.".to_owned(),
            )),
            0xD800..=0xDBFF => {
                if characters.next() != Some('\\') || characters.next() != Some('u') {
                    return Err(low_missing());
                }
                let second = unit(characters)?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(low_missing());
                }
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                Ok(char::from_u32(code))
            }
            0xDC00..=0xDFFF => Err(low_missing()),
            code => Ok(char::from_u32(code)),
        }
    }
}

/// The length of `text` if all of it is a number of JSON.
fn number_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        from + bytes
            .iter()
            .skip(from)
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let start = at;
    at = digits(at);
    if at == start || (bytes.get(start) == Some(&b'0') && at > start + 1) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let from = at + 1;
        at = digits(from);
        if at == from {
            return None;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let from = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(from);
        if at == from {
            return None;
        }
    }
    (at == bytes.len()).then_some(at)
}

/// Each key once, the last value of it; shorter keys first, then by bytes.
pub(crate) fn one_of_each(members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let mut sorted = members;
    sorted.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    let mut kept: Vec<(String, Json)> = Vec::with_capacity(sorted.len());
    for (key, value) in sorted {
        match kept.last_mut() {
            Some((last, old)) if *last == key => *old = value,
            Some(_) | None => kept.push((key, value)),
        }
    }
    kept
}
