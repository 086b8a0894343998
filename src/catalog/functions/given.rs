//! Arguments of functions out of their stored forms.

use crate::datum::Datum;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::slots::SlotName;

/// The argument at `index`; NULL when there is none.
pub(super) fn at(args: &[Datum], index: usize) -> &Datum {
    args.get(index).unwrap_or(&Datum::Null)
}

/// A text, `None` for NULL.
pub(super) fn text(args: &[Datum], index: usize) -> Option<&str> {
    match at(args, index) {
        Datum::Text(text) => Some(text),
        Datum::Null | Datum::Int(_) | Datum::Float(_) | Datum::Bytes(_) => None,
    }
}

/// A number, `None` for NULL.
pub(super) fn int(args: &[Datum], index: usize) -> Option<i64> {
    match at(args, index) {
        Datum::Int(number) => Some(*number),
        Datum::Null | Datum::Text(_) | Datum::Float(_) | Datum::Bytes(_) => None,
    }
}

/// A boolean; NULL is false.
pub(super) fn boolean(args: &[Datum], index: usize) -> bool {
    int(args, index).is_some_and(|number| number != 0)
}

/// A position, `None` for NULL.
pub(super) fn lsn(args: &[Datum], index: usize) -> Option<Lsn> {
    int(args, index).map(|bits| Lsn::new(bits.cast_unsigned()))
}

/// Bytes of a text or bytea, `None` for NULL.
pub(super) fn bytes(args: &[Datum], index: usize) -> Option<&[u8]> {
    match at(args, index) {
        Datum::Text(text) => Some(text.as_bytes()),
        Datum::Bytes(bytes) => Some(bytes),
        Datum::Null | Datum::Int(_) | Datum::Float(_) => None,
    }
}

/// The name of a slot that must be there: what cannot be a slot's name is none.
pub(super) fn slot(args: &[Datum], index: usize) -> Result<SlotName, PgError> {
    let Some(name) = text(args, index) else {
        return Err(PgError::error("22004", "slot name must not be null"));
    };
    SlotName::parse(name).map_err(|_| no_slot(name))
}

/// There is no such slot.
pub(super) fn no_slot(name: &str) -> PgError {
    PgError::error("42704", no_slot_text(name))
}

/// That in words.
pub(super) fn no_slot_text(name: &str) -> String {
    format!("replication slot \"{name}\" does not exist")
}

/// A position as a value.
pub(super) fn position(lsn: Lsn) -> Datum {
    Datum::Int(lsn.get().cast_signed())
}

/// A text as a value.
pub(super) fn stored(text: impl Into<String>) -> Datum {
    Datum::Text(text.into())
}

/// The one value of type void.
pub(super) fn void() -> Datum {
    Datum::Text(String::new())
}
