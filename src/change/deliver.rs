//! What a consumer gets of a stored record: "the frame's term wins".

use std::borrow::Cow;

use super::encode::write_record;
use super::fields::Fields;
use super::{Numbered, PayloadRef};

/// The JSON to deliver for a record stored in a frame of term `frame_term`. A record of another
/// term is encoded anew with the frame's; everything else is delivered byte for byte.
pub fn deliver(payload_json: &[u8], frame_term: u64) -> Cow<'_, [u8]> {
    if canonical_term(payload_json) == Some(frame_term) {
        return Cow::Borrowed(payload_json);
    }
    match Fields::decode(payload_json) {
        Ok(fields) if fields.term != frame_term => {
            let mut out = Vec::with_capacity(payload_json.len() + 20);
            let lsn = Some(fields.lsn);
            let fields = Fields {
                term: frame_term,
                ..fields
            };
            write_record(&fields, lsn, &mut out);
            Cow::Owned(out)
        }
        Ok(_) | Err(_) => Cow::Borrowed(payload_json),
    }
}

/// The term of a stored payload that carries no frame term (RedDB's v1 and v2 frames): the
/// record's own, or 1 when it is not a record.
pub fn payload_term(payload: &[u8]) -> u64 {
    Fields::decode(payload).map_or(1, |fields| fields.term)
}

/// The record's own LSN, `None` when `json` is not a record.
pub fn own_lsn(json: &[u8]) -> Option<u64> {
    Fields::decode(json).ok().map(|fields| fields.lsn)
}

/// The producer and number of the record in a stored payload, if it has them.
pub fn numbered(payload: &[u8]) -> Option<Numbered> {
    let json = match PayloadRef::of(payload) {
        PayloadRef::Whole(json) | PayloadRef::Part { json, .. } => json,
        PayloadRef::Chunk { .. } | PayloadRef::Opaque(_) => return None,
    };
    // Most records have none, and reading the whole text would only show that.
    memchr::memmem::find(json, b"\"producer\"")?;
    Fields::decode(json).ok()?.numbered
}

/// The term of a payload that ends as the encoder ends every record:
/// `,"term":N,"timestamp":M}`.
///
/// No more needs to be looked at. Either the payload is not valid JSON; then it is no record, and
/// delivering it verbatim (what a match leads to) is right. Or it is: then its last byte closes
/// the outermost object. `M` and `N` are digits right before a structural byte (a string would
/// end in a quote there), so both are whole number tokens, and the quotes of `"timestamp"` and
/// `"term"` cannot lie inside a string: the one before the colon closes a key, and the one
/// before the name follows a comma, not a backslash, so it is the one that opened that key. No
/// bracket stands between them and the last byte, so both are members of the outermost object;
/// being its last `term`, this one counts.
fn canonical_term(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_suffix(b"}")?;
    let (rest, _) = split_digits(rest)?;
    let rest = rest.strip_suffix(b",\"timestamp\":")?;
    let (rest, term) = split_digits(rest)?;
    rest.strip_suffix(b",\"term\":")?;
    let digits = std::str::from_utf8(term).ok()?;
    digits.parse().ok()
}

/// Splits one digit or more off the end.
fn split_digits(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let others = bytes.iter().rposition(|b| !b.is_ascii_digit())?;
    let (rest, digits) = bytes.split_at_checked(others + 1)?;
    (!digits.is_empty()).then_some((rest, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_tail_is_found_only_where_it_is() {
        for (payload, term) in [
            (r#"{"operation":"insert","term":7,"timestamp":5}"#, Some(7)),
            (
                r#"{"rid":1,"term":18446744073709551615,"timestamp":5}"#,
                Some(u64::MAX),
            ),
            (
                r#"{"rid":1,"term":18446744073709551616,"timestamp":5}"#,
                None,
            ),
            (r#"{"rid":1,"term":7,"timestamp":5} "#, None),
            (r#"{"rid":1,"term":7,"timestamp":}"#, None),
            (r#"{"rid":1,"term":,"timestamp":5}"#, None),
            (r#"{"rid":1,"term":7.5,"timestamp":5}"#, None),
            (r#"{"rid":1,"term":7,"timestamp":5}}"#, None),
            (r#"{"a":"x,\"term\":7,\"timestamp\":5"}"#, None),
            ("}", None),
            ("", None),
            ("5}", None),
        ] {
            assert_eq!(canonical_term(payload.as_bytes()), term, "{payload}");
        }
    }
}
