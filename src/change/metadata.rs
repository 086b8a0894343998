//! Metadata as it was sent, whatever its members are called.
//!
//! serde_json gives a meaning of its own to objects whose member has one of two private names: it
//! takes them for a number, or for JSON in a string. Where such a name may stand in the text,
//! all strings are read with a mark in front, which is taken away again.

use serde::de::Error as _;
use serde_json::value::RawValue;
use serde_json::{Error, Map, Value};

use super::fields::{MAX_METADATA_DEPTH, nests_within};

const MARK: char = '.';

/// Reads metadata.
pub(super) fn read(raw: &RawValue) -> Result<Value, Error> {
    let text = raw.get();
    let value: Value = if may_have_private_names(text) {
        unmarked(serde_json::from_str(&marked(text))?)
    } else {
        serde_json::from_str(text)?
    };
    if nests_within(&value, MAX_METADATA_DEPTH) {
        Ok(value)
    } else {
        Err(Error::custom("recursion limit exceeded in metadata"))
    }
}

/// A letter of the name can be spelled otherwise only by the number of an ASCII character.
fn may_have_private_names(text: &str) -> bool {
    let has = |part: &str| memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some();
    has("serde_json::private::") || has("\\u00")
}

/// JSON with the mark at the beginning of each string.
fn marked(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut in_string = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(character);
        match character {
            '"' => {
                in_string = !in_string;
                if in_string {
                    out.push(MARK);
                }
            }
            '\\' => out.extend(characters.next()),
            _ => {}
        }
    }
    out
}

fn unmarked(value: Value) -> Value {
    let plain = |text: String| match text.strip_prefix(MARK) {
        Some(plain) => plain.to_owned(),
        None => text,
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
        Value::String(text) => Value::String(plain(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(unmarked).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (plain(name), unmarked(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}
