//! JSON as PostgreSQL prints a `jsonb`: shorter keys first, a space after colon and comma, and
//! numbers without exponent, each digit and the zeros of a fraction kept.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::ser::Formatter;

/// Appends `value`.
pub(crate) fn write_jsonb(value: &Value, out: &mut Vec<u8>) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Spelling);
    // Writing a tree with string keys to memory cannot fail.
    let _ = Sorted(value).serialize(&mut serializer);
}

/// A value whose objects come in `jsonb`'s order of keys.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                // The sort is stable and keys of one length are in byte order already.
                members.sort_by_key(|(key, _)| key.len());
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, &Sorted(value))?;
                }
                map.end()
            }
            scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                scalar.serialize(serializer)
            }
        }
    }
}

struct Spelling;

impl Formatter for Spelling {
    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_number_str<W: Write + ?Sized>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        match plain_decimal(text) {
            Some(plain) => out.write_all(plain.as_bytes()),
            None => out.write_all(text.as_bytes()),
        }
    }
}

/// The longest exponent that is written out; a larger one stays as the producer spelled it, so
/// that a few bytes cannot become a million zeros.
const MAX_EXPONENT: usize = 40;

/// A number with its exponent written out and without the sign of a zero; `None` where nothing
/// is to be changed.
fn plain_decimal(text: &str) -> Option<String> {
    if !text.contains(['e', 'E']) && !text.starts_with("-0") {
        return None;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: isize = exponent.parse().ok()?;
    let places = exponent.unsigned_abs();
    if places > MAX_EXPONENT {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = "0".repeat(places);
    // Zeros on the side that the point moves to, and then there is room to move it.
    let (digits, point) = if exponent < 0 {
        (format!("{zeros}{whole}{fraction}"), whole.len())
    } else {
        let missing = zeros.get(fraction.len()..).unwrap_or_default();
        (format!("{whole}{fraction}{missing}"), whole.len() + places)
    };
    let (whole, fraction) = digits.split_at_checked(point)?;
    let is_zero = digits.bytes().all(|digit| digit == b'0');
    let sign = if text.starts_with('-') && !is_zero {
        "-"
    } else {
        ""
    };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{dot}{fraction}"))
}

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
                "[10000000000000000000000000000000000000000, 1e+41]",
            ),
        ] {
            let mut out = Vec::new();
            write_jsonb(&serde_json::from_str(given).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
