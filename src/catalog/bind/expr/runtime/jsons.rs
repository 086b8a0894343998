//! Values of any type as JSON text.

use super::super::types;
use super::{type_arg, value_arg, write};
use crate::catalog::functions::Call;
use crate::datum::{self, Array, Datum, PgType};
use crate::pgerror::PgError;

/// `json(type, value)`
pub(super) fn json(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let ty = type_arg(args, 0);
    let text = write(call, ty, &value_arg(args, 1, ty))?;
    let mut out = String::new();
    match types::element_of(ty) {
        Some(element) => {
            let array = datum::parse_stored_array(&text, ',')?;
            level(
                element,
                &array,
                &array.dimensions,
                &mut array.elements.iter(),
                &mut out,
            );
        }
        None => scalar(ty, &text, &mut out),
    }
    Ok(Datum::Text(out))
}

fn level<'a>(
    element: PgType,
    array: &'a Array,
    dimensions: &[(usize, i32)],
    elements: &mut impl Iterator<Item = &'a Option<String>>,
    out: &mut String,
) {
    if array.elements.is_empty() {
        out.push_str("[]");
        return;
    }
    let Some(((length, _), inner)) = dimensions.split_first() else {
        match elements.next() {
            Some(Some(text)) => scalar(element, text, out),
            Some(None) | None => out.push_str("null"),
        }
        return;
    };
    out.push('[');
    for index in 0..*length {
        if index > 0 {
            out.push(',');
        }
        level(element, array, inner, elements, out);
    }
    out.push(']');
}

/// Appends a value that is in its text form.
fn scalar(ty: PgType, text: &str, out: &mut String) {
    match ty {
        PgType::JSON | PgType::JSONB => out.push_str(text),
        PgType::BOOL => out.push_str(if text == "t" { "true" } else { "false" }),
        PgType::INT2
        | PgType::INT4
        | PgType::INT8
        | PgType::FLOAT4
        | PgType::FLOAT8
        | PgType::NUMERIC
            if text.ends_with(|c: char| c.is_ascii_digit()) =>
        {
            out.push_str(text);
        }
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => {
            datum::write_json_string(&iso_8601(ty, text), out);
        }
        _ => datum::write_json_string(text, out),
    }
}

/// `2026-01-02T03:04:05+00:00` of `2026-01-02 03:04:05+00`
fn iso_8601(ty: PgType, text: &str) -> String {
    let (time, era) = match text.strip_suffix(" BC") {
        Some(time) => (time, " BC"),
        None => (text, ""),
    };
    let mut out = time.replacen(' ', "T", 1);
    let sign = out
        .len()
        .checked_sub(3)
        .and_then(|at| out.as_bytes().get(at));
    if ty == PgType::TIMESTAMPTZ && matches!(sign, Some(b'+' | b'-')) {
        out.push_str(":00");
    }
    out + era
}
