//! Literals as PostgreSQL prints them.

use crate::datum::{DatumError, NoNames, PgType, Style, format_type, text_in, text_out};

/// A literal of the type `ty`, from text that is read as a value of it: `5`, `'-5'::integer`,
/// `'a'::text`, `NULL::text`.
pub(super) fn literal(ty: PgType, text: Option<&str>) -> Result<String, DatumError> {
    let name = format_type(ty, -1);
    let Some(text) = text else {
        return Ok(format!("NULL::{name}"));
    };
    let printed = canonical(ty, text)?;
    let is_plain = match ty {
        PgType::BOOL => {
            return Ok(if printed == "t" { "true" } else { "false" }.to_owned());
        }
        PgType::INT4 => !printed.starts_with('-'),
        PgType::NUMERIC => {
            printed.starts_with(|c: char| c.is_ascii_digit()) && printed.contains('.')
        }
        _ => false,
    };
    if is_plain {
        return Ok(printed);
    }
    Ok(format!("{}::{name}", quoted(&printed)))
}

/// In single quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The text of a value as it is printed, in UTC.
fn canonical(ty: PgType, text: &str) -> Result<String, DatumError> {
    let style = Style::utc(0);
    let datum = text_in(ty, text, &NoNames, &style)?;
    let mut printed = String::new();
    text_out(ty, &datum, &NoNames, &style, &mut printed)?;
    Ok(printed)
}
