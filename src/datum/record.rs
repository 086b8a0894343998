//! Records: their text form taken apart, and their binary form.

use super::{DatumError, Names, PgType, Style, binary_out, text_in};

/// Appends the binary form of a record whose fields have these types, from its text form.
pub fn record_out(
    fields: &[PgType],
    text: &str,
    names: &dyn Names,
    style: &Style,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    let stored = || DatumError::Stored("record".to_owned());
    let values = split(text).ok_or_else(stored)?;
    if values.len() != fields.len() {
        return Err(stored());
    }
    let length = |n: usize| i32::try_from(n).map_err(|_| stored());
    out.extend_from_slice(&length(fields.len())?.to_be_bytes());
    for (&ty, value) in fields.iter().zip(values) {
        out.extend_from_slice(&ty.0.to_be_bytes());
        let Some(value) = value else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        };
        let mut bytes = Vec::new();
        let datum = text_in(ty, &value, names, style)?;
        binary_out(ty, &datum, &mut bytes)?;
        out.extend_from_slice(&length(bytes.len())?.to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    Ok(())
}

/// The fields of `(a,"b c",)`; what is empty and not quoted is NULL. A quote or a backslash is
/// doubled or comes behind a backslash.
fn split(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut fields = Vec::new();
    let mut field: Option<String> = None;
    let mut quoted = false;
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ',' if !quoted => fields.push(field.take()),
            '\\' => field.get_or_insert_default().push(chars.next()?),
            '"' if quoted && chars.next_if_eq(&'"').is_some() => {
                field.get_or_insert_default().push('"');
            }
            '"' => {
                quoted = !quoted;
                field.get_or_insert_default();
            }
            other => field.get_or_insert_default().push(other),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::super::text::NoNames;
    use super::*;

    #[test]
    fn fields_are_told_apart_as_postgresql_writes_them() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            split(r#"(a,"b ,c","","say ""x"" \\",)"#),
            Some(vec![
                text("a"),
                text("b ,c"),
                text(""),
                text(r#"say "x" \"#),
                None
            ])
        );
        assert_eq!(split("()"), Some(vec![None]));
        for bad in ["", "(", "a,b", "(\"a)", "(a\\)"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_binary_form_has_type_and_length_of_each_field() {
        let mut out = Vec::new();
        let fields = [PgType::NAME, PgType::PG_LSN, PgType::BOOL];
        record_out(&fields, "(s,0/2A,)", &NoNames, &Style::utc(0), &mut out).unwrap();
        let mut wanted = vec![0, 0, 0, 3, 0, 0, 0, 19, 0, 0, 0, 1, b's', 0, 0, 0x0C, 0x94];
        wanted.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0x2A]);
        wanted.extend([0, 0, 0, 16, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(out, wanted);
        assert!(record_out(&fields, "(s)", &NoNames, &Style::utc(0), &mut out).is_err());
    }
}
