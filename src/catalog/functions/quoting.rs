//! Quoting names and literals; bytes as text and back.

use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine, alphabet};

use super::args::{bytes, count_datum, int, invalid, text, text_datum, text_or_null};
use super::strings::parts::part;
use super::{Body, Call, Function as F};
use crate::datum::{Datum, PgType as T, parse_hex, quote_ident};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        1282,
        "quote_ident",
        &[T::TEXT],
        T::TEXT,
        Body::Scalar(ident),
    ),
    F::new(
        1283,
        "quote_literal",
        &[T::TEXT],
        T::TEXT,
        Body::Scalar(literal),
    ),
    F::new(
        1285,
        "quote_literal",
        &[T::ANYELEMENT],
        T::TEXT,
        Body::Scalar(literal),
    ),
    F::new(
        1289,
        "quote_nullable",
        &[T::TEXT],
        T::TEXT,
        Body::Scalar(nullable),
    )
    .lax(),
    F::new(
        1290,
        "quote_nullable",
        &[T::ANYELEMENT],
        T::TEXT,
        Body::Scalar(nullable),
    )
    .lax(),
    F::new(2311, "md5", &[T::TEXT], T::TEXT, Body::Scalar(md5_text)),
    F::new(2321, "md5", &[T::BYTEA], T::TEXT, Body::Scalar(md5_bytes)),
    F::new(
        1946,
        "encode",
        &[T::BYTEA, T::TEXT],
        T::TEXT,
        Body::Scalar(encode),
    ),
    F::new(
        1947,
        "decode",
        &[T::TEXT, T::TEXT],
        T::BYTEA,
        Body::Scalar(decode),
    ),
    F::new(
        2010,
        "length",
        &[T::BYTEA],
        T::INT4,
        Body::Scalar(byte_length),
    ),
    F::new(
        720,
        "octet_length",
        &[T::BYTEA],
        T::INT4,
        Body::Scalar(byte_length),
    ),
    F::new(
        2011,
        "byteacat",
        &[T::BYTEA, T::BYTEA],
        T::BYTEA,
        Body::Scalar(byteacat),
    ),
    F::new(
        2086,
        "substr",
        &[T::BYTEA, T::INT4],
        T::BYTEA,
        Body::Scalar(byte_part),
    ),
    F::new(
        2085,
        "substr",
        &[T::BYTEA, T::INT4, T::INT4],
        T::BYTEA,
        Body::Scalar(byte_part),
    ),
    F::new(
        2013,
        "substring",
        &[T::BYTEA, T::INT4],
        T::BYTEA,
        Body::Scalar(byte_part),
    ),
    F::new(
        2012,
        "substring",
        &[T::BYTEA, T::INT4, T::INT4],
        T::BYTEA,
        Body::Scalar(byte_part),
    ),
    F::new(
        721,
        "get_byte",
        &[T::BYTEA, T::INT4],
        T::INT4,
        Body::Scalar(get_byte),
    ),
    F::new(
        1714,
        "convert_from",
        &[T::BYTEA, T::NAME],
        T::TEXT,
        Body::Scalar(convert_from),
    ),
    F::new(
        1717,
        "convert_to",
        &[T::TEXT, T::NAME],
        T::BYTEA,
        Body::Scalar(convert_to),
    ),
];

/// A name in quotes where it needs them.
pub(super) fn quote_name(name: &str) -> String {
    quote_ident(name)
}

/// A text as a literal.
pub(super) fn quote_literal_text(value: &str) -> String {
    let doubled = value.replace('\'', "''");
    if value.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

fn ident(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(quote_name(text(args, 0)?)))
}

fn literal(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(quote_literal_text(text(args, 0)?)))
}

fn nullable(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let quoted = text_or_null(args, 0)?.map(quote_literal_text);
    Ok(text_datum(quoted.unwrap_or_else(|| "NULL".to_owned())))
}

fn md5_text(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(format!("{:x}", md5::compute(text(args, 0)?))))
}

fn md5_bytes(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(format!("{:x}", md5::compute(bytes(args, 0)?))))
}

/// What is left over of the last digit does not matter.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// In lines of 76 characters.
fn to_base64(bytes: &[u8]) -> String {
    let digits: Vec<char> = STANDARD.encode(bytes).chars().collect();
    let lines: Vec<String> = digits
        .chunks(76)
        .map(|line| line.iter().collect())
        .collect();
    lines.join("\n")
}

fn from_base64(text: &str) -> Result<Vec<u8>, PgError> {
    let digits: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(digits).map_err(|error| match error {
        DecodeError::InvalidByte(at, _) => {
            let symbol = text
                .chars()
                .filter(|c| !c.is_ascii_whitespace())
                .nth(at)
                .unwrap_or('=');
            let message =
                format!("invalid symbol \"{symbol}\" found while decoding base64 sequence");
            invalid(message)
        }
        DecodeError::InvalidLength(_)
        | DecodeError::InvalidLastSymbol { .. }
        | DecodeError::InvalidPadding => invalid("invalid base64 end sequence")
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted."),
    })
}

fn unrecognized(format: &str) -> PgError {
    invalid(format!("unrecognized encoding: \"{format}\""))
}

fn encode(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let data = bytes(args, 0)?;
    let format = text(args, 1)?;
    Ok(text_datum(match format.to_ascii_lowercase().as_str() {
        "hex" => hex::encode(data),
        "base64" => to_base64(data),
        "escape" => {
            let mut out = String::new();
            for byte in data {
                match byte {
                    b'\\' => out.push_str("\\\\"),
                    0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
                    plain => out.push(char::from(*plain)),
                }
            }
            out
        }
        _ => return Err(unrecognized(format)),
    }))
}

fn decode(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let data = text(args, 0)?;
    let format = text(args, 1)?;
    Ok(Datum::Bytes(match format.to_ascii_lowercase().as_str() {
        "hex" => parse_hex(data)?,
        "base64" => from_base64(data)?,
        "escape" => crate::datum::parse_escaped(data)?,
        _ => return Err(unrecognized(format)),
    }))
}

fn byte_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(bytes(args, 0)?.len()))
}

fn byteacat(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Bytes([bytes(args, 0)?, bytes(args, 1)?].concat()))
}

fn byte_part(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let length = if args.len() > 2 {
        Some(int(args, 2)?)
    } else {
        None
    };
    let (skip, take) = part(int(args, 1)?, length)?;
    Ok(Datum::Bytes(
        bytes(args, 0)?
            .iter()
            .skip(skip)
            .take(take)
            .copied()
            .collect(),
    ))
}

fn get_byte(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (data, at) = (bytes(args, 0)?, int(args, 1)?);
    let found = usize::try_from(at).ok().and_then(|at| data.get(at));
    found.map(|byte| Datum::Int((*byte).into())).ok_or_else(|| {
        let last = i64::try_from(data.len()).unwrap_or(i64::MAX) - 1;
        PgError::error("2202E", format!("index {at} out of valid range, 0..{last}"))
    })
}

fn is_utf8(name: &str) -> Result<(), PgError> {
    if matches!(
        name.to_ascii_lowercase().as_str(),
        "utf8" | "utf-8" | "unicode"
    ) {
        return Ok(());
    }
    Err(PgError::unsupported(format!(
        "encoding \"{name}\" is not supported"
    )))
}

fn convert_from(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    is_utf8(text(args, 1)?)?;
    Ok(crate::datum::binary_in(T::TEXT, bytes(args, 0)?)?)
}

fn convert_to(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    is_utf8(text(args, 1)?)?;
    Ok(Datum::Bytes(text(args, 0)?.as_bytes().to_vec()))
}
