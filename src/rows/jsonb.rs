//! JSON text as `jsonb` prints it, written without a tree in between.

use std::borrow::Cow;

use crate::datum::{DatumError, Numeric, write_json_string};

use super::json::{Cursor, Value, check, unescaped};

/// How deeply values may stand in one another.
const MAX_DEPTH: usize = 500;

/// Appends `text`, which is JSON, as `jsonb` prints it.
pub(super) fn write(text: &str, out: &mut String) -> Result<(), DatumError> {
    let cursor = Cursor::new(text);
    Writer { cursor }.value(0, out)
}

/// `text` as `jsonb` prints it; `None` where it is no JSON, or none that a `jsonb` can hold.
pub(crate) fn printed(text: &str) -> Option<String> {
    check(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write(text, &mut out).ok().map(|()| out)
}

struct Writer<'a> {
    cursor: Cursor<'a>,
}

impl Writer<'_> {
    fn value(&mut self, depth: usize, out: &mut String) -> Result<(), DatumError> {
        if depth > MAX_DEPTH {
            return Err(DatumError::TooDeep);
        }
        match self.cursor.peek() {
            Some(b'{') => self.object(depth, out)?,
            Some(b'[') => self.array(depth, out)?,
            Some(b'"') => {
                let inside = self.cursor.string().unwrap_or_default();
                write_string(inside, out)?;
            }
            Some(_) | None => match self.cursor.word() {
                Some(Value::Bool(word)) => out.push_str(word),
                Some(Value::Number(number)) => write_number(number, out)?,
                Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_))
                | None => out.push_str("null"),
            },
        }
        Ok(())
    }

    fn array(&mut self, depth: usize, out: &mut String) -> Result<(), DatumError> {
        self.cursor.eat(b'[');
        out.push('[');
        if !self.cursor.eat(b']') {
            loop {
                self.value(depth + 1, out)?;
                if !self.cursor.eat(b',') {
                    break;
                }
                out.push_str(", ");
            }
            self.cursor.eat(b']');
        }
        out.push(']');
        Ok(())
    }

    /// Members are written as they come, and put in order at the end where they were not.
    fn object(&mut self, depth: usize, out: &mut String) -> Result<(), DatumError> {
        self.cursor.eat(b'{');
        out.push('{');
        let start = out.len();
        let mut members: Vec<Written<'_>> = Vec::new();
        let mut in_order = true;
        while let Some(inside) = self.cursor.string() {
            let key = unescaped(inside)?;
            self.cursor.eat(b':');
            if let Some(last) = members.last() {
                in_order &= last.order() < (key.len(), key.as_ref());
                out.push_str(", ");
            }
            let begin = out.len();
            write_string(inside, out)?;
            out.push_str(": ");
            self.value(depth + 1, out)?;
            members.push(Written {
                key,
                begin: begin - start,
                end: out.len() - start,
            });
            if !self.cursor.eat(b',') {
                break;
            }
        }
        self.cursor.eat(b'}');
        if !in_order {
            put_in_order(&mut members, start, out);
        }
        out.push('}');
        Ok(())
    }
}

/// A member that was written.
struct Written<'a> {
    key: Cow<'a, str>,
    /// Where, counted from the object's first member.
    begin: usize,
    end: usize,
}

impl Written<'_> {
    fn order(&self) -> (usize, &str) {
        (self.key.len(), &self.key)
    }
}

/// Shorter keys first, then by bytes; of equal keys the last one stays.
fn put_in_order(members: &mut [Written<'_>], start: usize, out: &mut String) {
    let written = out.split_off(start);
    // The sort is stable, so that of equal keys the last one comes last.
    members.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut rest = members.iter().peekable();
    while let Some(member) = rest.next() {
        if rest.peek().is_some_and(|next| next.key == member.key) {
            continue;
        }
        if out.len() > start {
            out.push_str(", ");
        }
        out.push_str(written.get(member.begin..member.end).unwrap_or_default());
    }
}

fn write_string(inside: &str, out: &mut String) -> Result<(), DatumError> {
    match unescaped(inside)? {
        // Without an escape there is nothing that would need one.
        Cow::Borrowed(plain) => {
            out.push('"');
            out.push_str(plain);
            out.push('"');
        }
        Cow::Owned(text) => write_json_string(&text, out),
    }
    Ok(())
}

/// The longest exponent that is written out; a longer one stays as it was spelled, so that a few
/// bytes cannot become a million zeros.
const MAX_EXPONENT: i64 = 40;

fn write_number(number: &str, out: &mut String) -> Result<(), DatumError> {
    if !number.contains(['e', 'E']) && !number.starts_with("-0") && number.len() <= MAX_PLAIN {
        out.push_str(number);
        return Ok(());
    }
    // Also where it stays as it was spelled: it may be none that `numeric` can hold.
    let numeric = Numeric::parse(number)?;
    let exponent = number.split_once(['e', 'E']).map(|(_, exponent)| exponent);
    let exponent = exponent.map(|digits| digits.parse::<i64>().unwrap_or(i64::MAX));
    if exponent.is_some_and(|exponent| !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent)) {
        out.push_str(number);
    } else {
        out.push_str(&numeric.to_string());
    }
    Ok(())
}

/// A number of so many characters is one that `numeric` can hold.
const MAX_PLAIN: usize = 16_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers are PostgreSQL 15.18's, but for the last row.
    #[test]
    fn values_are_printed_as_postgresql_does() {
        for (given, wanted) in [
            (
                r#"{"z":1,"role":"ad'min","f":1.50,"bb":[1,2,{}],"e":{},"g":[],"n":null,"t":true,
                    "x":1e3,"y":1.5e-3,"w":-0,"v":-0.0,"u":"a\"","u":"last"}"#,
                r#"{"e": {}, "f": 1.50, "g": [], "n": null, "t": true, "u": "last", "v": 0.0, "w": 0, "x": 1000, "y": 0.0015, "z": 1, "bb": [1, 2, {}], "role": "ad'min"}"#,
            ),
            (
                "[1.50e1,1.50E+1,100e-2,12345678901234567890123,0.000, 1E-10, -1.5e2, 0e5, 0.0e3, 1.10, 1.23456e2]",
                "[15.0, 15.0, 1.00, 12345678901234567890123, 0.000, 0.0000000001, -150, 0, 0, 1.10, 123.456]",
            ),
            (" 5 ", "5"),
            (
                r#"{"aa":"\t\b\f\r","b":"\u001f"}"#,
                r#"{"b": "\u001f", "aa": "\t\b\f\r"}"#,
            ),
            (
                "[1e40, 1E41]",
                "[10000000000000000000000000000000000000000, 1E41]",
            ),
        ] {
            assert_eq!(printed(given).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_a_jsonb_cannot_hold_is_not_printed() {
        for given in [
            "",
            "{",
            r#""\u0000""#,
            r#"{"\u0000":1}"#,
            r#""\ud800""#,
            "1e999999",
        ] {
            assert_eq!(printed(given), None, "{given}");
        }
    }
}
