//! Values in PostgreSQL's binary form.

use super::{Datum, DatumError, PgType, info};

/// Reads the binary form of a value of `ty`.
pub fn binary_in(ty: PgType, bytes: &[u8]) -> Result<Datum, DatumError> {
    let name = info(ty).map_or("unknown", |found| found.format_name);
    let bad = || DatumError::Binary(name.to_owned());
    match ty {
        PgType::INT4 => Ok(Datum::Int(i64::from(i32::from_be_bytes(
            bytes.try_into().map_err(|_| bad())?,
        )))),
        _ => Err(DatumError::Unsupported(format!(
            "binary format of type {name}"
        ))),
    }
}

/// Appends the binary form of a value of `ty`, which is not NULL.
pub fn binary_out(ty: PgType, datum: &Datum, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let _ = (datum, out);
    let name = info(ty).map_or("unknown", |found| found.format_name);
    Err(DatumError::Unsupported(format!(
        "binary format of type {name}"
    )))
}
