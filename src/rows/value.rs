//! A value of JSON as a value of a column: as `json_populate_record` reads it, fitted to the
//! column's type and printed in one way whatever a session's settings are.

use std::borrow::Cow;

use crate::datum::{
    Array, DatumError, NoNames, PgType, Style, TypeInfo, apply_typmod, info, text_in, text_out,
    write_array,
};
use crate::relations::RelationColumn;

use super::json::{self, Cursor, Value, unescaped};
use super::jsonb;

/// How values are read and printed: ISO dates, UTC, and `now` is the record's own time.
#[derive(Debug, Clone)]
pub(super) struct Canon {
    style: Style,
}

impl Default for Canon {
    fn default() -> Self {
        Self {
            style: Style::utc(0),
        }
    }
}

impl Canon {
    /// From now on `now` is this time.
    pub(super) fn set_time(&mut self, unix_ms: u64) {
        let us = i64::try_from(unix_ms.saturating_mul(1000));
        self.style.now_unix_us = us.unwrap_or(i64::MAX);
    }

    /// Appends `value`, which is spelled `raw` and is not null, as a value of `column`.
    pub(super) fn write(
        &self,
        column: &RelationColumn,
        value: Value<'_>,
        raw: &str,
        out: &mut String,
    ) -> Result<(), DatumError> {
        let (ty, typmod) = (column.column_type, column.typmod);
        if is_array(ty) && !matches!(value, Value::String(_) | Value::Null) {
            let text = match value {
                Value::Array(_) => array_text(ty, raw),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => Err(not_an_array()),
            }?;
            return self.fit(ty, typmod, &text, out);
        }
        self.scalar(ty, typmod, value, raw, out)
    }

    fn scalar(
        &self,
        ty: PgType,
        typmod: i32,
        value: Value<'_>,
        raw: &str,
        out: &mut String,
    ) -> Result<(), DatumError> {
        match (ty, value) {
            (PgType::JSONB, _) => jsonb::write(raw, out),
            (PgType::JSON, _) => {
                out.push_str(raw);
                Ok(())
            }
            (_, Value::String(inside)) => self.fit(ty, typmod, &unescaped(inside)?, out),
            (
                _,
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_),
            ) => self.fit(ty, typmod, raw, out),
        }
    }

    /// Appends the value that `text` is.
    fn fit(&self, ty: PgType, typmod: i32, text: &str, out: &mut String) -> Result<(), DatumError> {
        if is_text(ty) && typmod < 0 && memchr::memchr(0, text.as_bytes()).is_none() {
            out.push_str(text);
            return Ok(());
        }
        let datum = text_in(ty, text, &NoNames, &self.style)?;
        let datum = apply_typmod(ty, typmod, datum, false)?;
        text_out(ty, &datum, &NoNames, &self.style, out)
    }
}

/// An array of JSON in the form that is PostgreSQL's for arrays.
fn array_text(ty: PgType, raw: &str) -> Result<String, DatumError> {
    let Some(found) = info(ty) else {
        return Ok(raw.to_owned());
    };
    let mut reading = Reading {
        elem: found.elem,
        lengths: Vec::new(),
        innermost: None,
        elements: Vec::new(),
    };
    reading.level(raw, 0)?;
    let lengths = reading.lengths.iter().flatten();
    let array = Array {
        dimensions: lengths.map(|length| (*length, 1)).collect(),
        elements: reading.elements,
    };
    let mut text = String::with_capacity(raw.len());
    write_array(&array, found.delim, &mut text);
    Ok(text)
}

/// Whether PostgreSQL writes values of `ty` in braces.
pub(super) fn is_array(ty: PgType) -> bool {
    // Of the types with a low OID none is one, and they are the common ones.
    ty.0 > 142 && info(ty).is_some_and(TypeInfo::is_array)
}

const fn is_text(ty: PgType) -> bool {
    matches!(ty, PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR)
}

/// An array of JSON, read as `json_populate_record` does: the first element that is no array says
/// how many dimensions there are.
struct Reading {
    elem: PgType,
    lengths: Vec<Option<usize>>,
    /// The depth at which elements stand.
    innermost: Option<usize>,
    elements: Vec<Option<String>>,
}

impl Reading {
    fn level(&mut self, raw: &str, depth: usize) -> Result<(), DatumError> {
        const MAX_DIMENSIONS: usize = 6;
        if depth >= MAX_DIMENSIONS {
            return Err(DatumError::TooLarge(format!(
                "number of array dimensions ({}) exceeds the maximum allowed ({MAX_DIMENSIONS})",
                depth + 1
            )));
        }
        if self.lengths.len() <= depth {
            self.lengths.push(None);
        }
        let mut cursor = Cursor::new(raw);
        cursor.eat(b'[');
        let mut length = 0;
        while let Some((value, raw)) = next_item(&mut cursor) {
            length += 1;
            self.item(value, raw, depth)?;
            if !cursor.eat(b',') {
                break;
            }
        }
        match self.lengths.get_mut(depth) {
            Some(known @ None) => *known = Some(length),
            Some(Some(known)) if *known != length => return Err(ragged()),
            Some(Some(_)) | None => {}
        }
        Ok(())
    }

    fn item(&mut self, value: Value<'_>, raw: &str, depth: usize) -> Result<(), DatumError> {
        if let Value::Array(_) = value
            && self.innermost.is_none_or(|innermost| innermost > depth)
        {
            return self.level(raw, depth + 1);
        }
        if *self.innermost.get_or_insert(depth) != depth {
            return Err(not_an_array());
        }
        let is_json = matches!(self.elem, PgType::JSON | PgType::JSONB);
        self.elements.push(match value {
            Value::Null => None,
            Value::String(inside) if !is_json => Some(unescaped(inside)?.into_owned()),
            Value::String(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Some(raw.to_owned()),
        });
        Ok(())
    }
}

fn not_an_array() -> DatumError {
    DatumError::Malformed {
        message: "expected JSON array".to_owned(),
        detail: String::new(),
    }
}

fn ragged() -> DatumError {
    DatumError::Malformed {
        message: "malformed JSON array".to_owned(),
        detail: "Multidimensional arrays must have sub-arrays with matching dimensions.".to_owned(),
    }
}

/// The next item of an array and how it is spelled.
fn next_item<'a>(cursor: &mut Cursor<'a>) -> Option<(Value<'a>, &'a str)> {
    if cursor.peek()? == b']' {
        return None;
    }
    cursor.spelled()
}

/// The text of an object or array that is JSON; `None` for anything else.
pub(super) fn document(bytes: &[u8]) -> Option<&str> {
    let first = bytes.trim_ascii_start().first()?;
    if !matches!(first, b'{' | b'[') {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    json::check(text).is_ok().then_some(text)
}

/// A text with no escape in it, or with those that it has undone.
pub(super) fn key(inside: &str) -> Result<Cow<'_, str>, DatumError> {
    unescaped(inside)
}
