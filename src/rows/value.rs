//! A value of JSON as a value of a column: as `json_populate_record` reads it, fitted to the
//! column's type and printed in one way whatever a session's settings are.

use std::borrow::Cow;

use crate::datum::{
    Array, DatumError, NoNames, PgType, Style, TypeInfo, apply_typmod, info, text_in, text_out,
    write_array,
};
use crate::relations::RelationColumn;

use super::canonical;
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
        if canonical::write(ty, typmod, text, out) {
            return Ok(());
        }
        self.print(ty, typmod, text, out)
    }

    /// Reads the value that `text` is, and prints it anew.
    fn print(
        &self,
        ty: PgType,
        typmod: i32,
        text: &str,
        out: &mut String,
    ) -> Result<(), DatumError> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Types with the modifiers that matter.
    fn column() -> impl Strategy<Value = (PgType, i32)> {
        let numeric = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7FF)) + 4;
        let mut all = vec![
            (PgType::NUMERIC, numeric(5, 2)),
            (PgType::NUMERIC, numeric(3, 3)),
            (PgType::NUMERIC, numeric(2, 4)),
            (PgType::NUMERIC, numeric(3, -1)),
            (PgType::NUMERIC, numeric(4, 0)),
        ];
        for ty in [
            PgType::TEXT,
            PgType::INT2,
            PgType::INT4,
            PgType::INT8,
            PgType::OID,
            PgType::NUMERIC,
            PgType::BOOL,
            PgType::DATE,
            PgType::UUID,
            PgType::BYTEA,
        ] {
            all.push((ty, -1));
        }
        for typmod in [-1, 0, 2, 5, 6, 9] {
            all.extend([
                (PgType::VARCHAR, typmod),
                (PgType::BPCHAR, typmod),
                (PgType::TIME, typmod),
                (PgType::TIMESTAMP, typmod),
                (PgType::TIMESTAMPTZ, typmod),
            ]);
        }
        prop::sample::select(all)
    }

    /// What is a value as it is printed, or nearly one.
    fn spelling() -> impl Strategy<Value = String> {
        let date = "[0-9]{3,5}-[01][0-9]-[0-3][0-9]";
        let time = "[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?";
        prop_oneof![
            "[-+ ]?0{0,2}[0-9]{0,21}(\\.[0-9]{0,5})?(e[0-9])?",
            "-?[0-9]{1,6}",
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,4})?",
            "-?[0-9]{95,105}(\\.[0-9]{1,9})?",
            prop::sample::select(vec![
                "32767",
                "32768",
                "-32768",
                "-32769",
                "2147483647",
                "2147483648",
                "-2147483648",
                "-2147483649",
                "4294967295",
                "4294967296",
                "9223372036854775807",
                "-0",
                "-0.00",
                "9223372036854775808",
                "-9223372036854775808",
                "NaN",
                "infinity",
                "now",
                "true",
                "false",
                "t",
                "f",
                "yes",
                "T",
                "24:00:00",
                "0000-01-01",
                "0001-01-01",
                "2024-02-29",
                "2023-02-29",
                "1900-02-29",
                "2000-02-29",
                "9999-12-31",
            ])
            .prop_map(str::to_owned),
            proptest::string::string_regex(date).unwrap(),
            proptest::string::string_regex(time).unwrap(),
            proptest::string::string_regex(&format!("{date}[ T]{time}(\\+00|\\+01|-00|Z)?"))
                .unwrap(),
            "2026-0[1-9]-[0-2][1-9] [01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(\\+00)?",
            "[0-9a-f]{8}-[0-9a-fA-F]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "\\\\x([0-9a-fA]{2}){0,4}[0-9a-g]?",
            "[a ä]{0,8}",
            any::<String>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// What is copied is what would have been printed.
        #[test]
        fn a_value_that_is_copied_is_printed_as_it_stands(
            (ty, typmod) in column(),
            text in spelling(),
        ) {
            let mut copied = "before".to_owned();
            if canonical::write(ty, typmod, &text, &mut copied) {
                let mut printed = "before".to_owned();
                Canon::default().print(ty, typmod, &text, &mut printed).unwrap();
                prop_assert_eq!(copied, printed);
            } else {
                prop_assert_eq!(copied, "before");
            }
        }

        /// Printing something gives what is copied from then on.
        #[test]
        fn a_printed_value_is_copied((ty, typmod) in column(), text in spelling()) {
            let mut printed = String::new();
            let is_value = Canon::default().print(ty, typmod, &text, &mut printed).is_ok();
            let is_common = printed.len() <= 18 || ty != PgType::INT8;
            let is_common = is_common && printed.len() < 95;
            let is_far = printed.contains("BC") || printed.contains("infinity")
                || printed.starts_with("24:") || printed.contains("NaN")
                || (printed.find('-').is_some_and(|at| at > 4) && ty != PgType::UUID);
            if is_value && is_common && !is_far && !is_odd(ty, typmod) {
                prop_assert!(canonical::write(ty, typmod, &printed, &mut String::new()),
                    "{:?} {}: {:?}", ty, typmod, printed);
            }
        }
    }

    /// Modifiers that are looked at the long way.
    fn is_odd(ty: PgType, typmod: i32) -> bool {
        let (precision, scale) = crate::datum::numeric_typmod(typmod);
        match ty {
            PgType::NUMERIC => typmod >= 0 && (scale < 0 || scale > precision),
            PgType::VARCHAR | PgType::BPCHAR => (0..4).contains(&typmod),
            _ => false,
        }
    }
}
