//! Values in PostgreSQL's binary form.

use super::array::{parse_stored_array, write_array};
use super::datetime::{self, DAY_US, INFINITY, NEGATIVE_INFINITY};
use super::inet::Inet;
use super::text::NoNames;
use super::{
    Array, Datum, DatumError, Interval, Json, Numeric, PgType, Style, TypeInfo, float, info,
    scalars, text_in, text_out,
};

/// Days from 1970, from which values count here, to 2000, from which they are sent.
const EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_US: i64 = EPOCH_DAYS * DAY_US;

fn type_name(ty: PgType) -> &'static str {
    info(ty).map_or("unknown", |found| found.format_name)
}

fn bad(ty: PgType) -> DatumError {
    DatumError::Binary(type_name(ty).to_owned())
}

fn utf8(bytes: &[u8]) -> Result<&str, DatumError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let len = error.error_len().unwrap_or(1);
        let shown: Vec<String> = bytes
            .iter()
            .skip(at)
            .take(len)
            .map(|byte| format!("0x{byte:02x}"))
            .collect();
        DatumError::Encoding(shown.join(" "))
    })?;
    if text.contains('\0') {
        return Err(DatumError::Encoding("0x00".to_owned()));
    }
    Ok(text)
}

/// Exactly so many bytes.
fn fixed<const N: usize>(ty: PgType, bytes: &[u8]) -> Result<[u8; N], DatumError> {
    if bytes.len() < N {
        return Err(DatumError::Short);
    }
    bytes.try_into().map_err(|_| bad(ty))
}

/// Whether the bytes of a number end before its digits do.
fn is_short_numeric(bytes: &[u8]) -> bool {
    let Some((head, digits)) = bytes.split_first_chunk::<8>() else {
        return true;
    };
    let [a, b, ..] = *head;
    digits.len() / 2 < usize::from(u16::from_be_bytes([a, b]))
}

/// Reads the binary form of a value of `ty`.
pub fn binary_in(ty: PgType, bytes: &[u8]) -> Result<Datum, DatumError> {
    let int = |value: i64| Ok(Datum::Int(value));
    match ty {
        PgType::BOOL => {
            let [byte] = fixed(ty, bytes)?;
            int(i64::from(byte != 0))
        }
        PgType::INT2 => int(i16::from_be_bytes(fixed(ty, bytes)?).into()),
        PgType::INT4 => int(i32::from_be_bytes(fixed(ty, bytes)?).into()),
        PgType::INT8 | PgType::XID8 | PgType::PG_LSN => int(i64::from_be_bytes(fixed(ty, bytes)?)),
        PgType::FLOAT4 => Ok(Datum::Float(f32::from_be_bytes(fixed(ty, bytes)?).into())),
        PgType::FLOAT8 => Ok(Datum::Float(f64::from_be_bytes(fixed(ty, bytes)?))),
        PgType::BYTEA => Ok(Datum::Bytes(bytes.to_vec())),
        PgType::DATE => match i32::from_be_bytes(fixed(ty, bytes)?) {
            i32::MAX => int(INFINITY),
            i32::MIN => int(NEGATIVE_INFINITY),
            days => int(datetime::check_date(i64::from(days) + EPOCH_DAYS)?),
        },
        PgType::TIME => {
            let us = i64::from_be_bytes(fixed(ty, bytes)?);
            if !(0..=DAY_US).contains(&us) {
                return Err(DatumError::DatetimeOverflow("time out of range".to_owned()));
            }
            int(us)
        }
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => match i64::from_be_bytes(fixed(ty, bytes)?) {
            infinite @ (i64::MAX | i64::MIN) => int(infinite),
            us => {
                let us = us.checked_add(EPOCH_US).unwrap_or(i64::MAX - 1);
                int(datetime::check_timestamp(us)?)
            }
        },
        _ if is_oid(ty) => int(u32::from_be_bytes(fixed(ty, bytes)?).into()),
        _ => text_kept(ty, bytes).map(Datum::Text),
    }
}

/// Types of 32 bits without sign.
fn is_oid(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::OID
            | PgType::XID
            | PgType::REGCLASS
            | PgType::REGTYPE
            | PgType::REGPROC
            | PgType::REGPROCEDURE
            | PgType::REGROLE
            | PgType::REGNAMESPACE
            | PgType::REGOPER
            | PgType::REGOPERATOR
            | PgType::REGCONFIG
            | PgType::REGDICTIONARY
            | PgType::REGCOLLATION
    )
}

/// The stored form of types that are kept as text.
fn text_kept(ty: PgType, bytes: &[u8]) -> Result<String, DatumError> {
    match ty {
        PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR | PgType::UNKNOWN | PgType::CSTRING => {
            utf8(bytes).map(str::to_owned)
        }
        PgType::NAME => utf8(bytes).map(|text| scalars::cut_name(text).to_owned()),
        PgType::CHAR => {
            let [byte] = fixed(ty, bytes)?;
            Ok(scalars::char_text(byte))
        }
        PgType::VOID => Ok(String::new()),
        PgType::CID => Ok(u32::from_be_bytes(fixed(ty, bytes)?).to_string()),
        PgType::TID => {
            let [a, b, c, d, e, f] = fixed(ty, bytes)?;
            let block = u32::from_be_bytes([a, b, c, d]);
            Ok(format!("({block},{})", u16::from_be_bytes([e, f])))
        }
        PgType::NUMERIC if is_short_numeric(bytes) => Err(DatumError::Short),
        PgType::NUMERIC => Numeric::from_binary(bytes)
            .map(|number| number.to_string())
            .ok_or_else(|| bad(ty)),
        PgType::INTERVAL => {
            let bytes: [u8; 16] = fixed(ty, bytes)?;
            let (us, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| bad(ty))?;
            let (days, months) = rest.split_first_chunk::<4>().ok_or_else(|| bad(ty))?;
            let interval = Interval {
                months: i32::from_be_bytes(fixed(ty, months)?),
                days: i32::from_be_bytes(*days),
                us: i64::from_be_bytes(*us),
            };
            Ok(interval.stored())
        }
        PgType::JSON => {
            let text = utf8(bytes)?;
            Json::parse(text, false)?;
            Ok(text.to_owned())
        }
        PgType::JSONB => match bytes {
            [1, text @ ..] => Json::parse(utf8(text)?, true).map(|value| value.text()),
            [version, ..] => Err(DatumError::JsonbVersion(*version)),
            [] => Err(DatumError::Short),
        },
        PgType::UUID => {
            let bytes: [u8; 16] = fixed(ty, bytes)?;
            scalars::uuid_text(&hex::encode(bytes)).ok_or_else(|| bad(ty))
        }
        PgType::INET | PgType::CIDR => {
            let cidr = ty == PgType::CIDR;
            let found = Inet::from_binary(bytes, cidr).ok_or_else(|| bad(ty))?;
            Ok(found.text(cidr))
        }
        _ => match info(ty) {
            Some(found) if found.is_array() || found.is_vector() => array_in(found, bytes),
            Some(_) | None => Err(unsupported(ty)),
        },
    }
}

fn unsupported(ty: PgType) -> DatumError {
    DatumError::Unsupported(format!("binary format of type {}", type_name(ty)))
}

/// Reads numbers from the front of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn int(&mut self) -> Option<i32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*head))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
}

/// Whether an array of the type `found` can have so many dimensions and such elements.
fn check_array(found: &TypeInfo, num_dimensions: i32, elem: PgType) -> Result<(), DatumError> {
    if num_dimensions < 0 {
        return Err(bad(found.ty));
    }
    if num_dimensions > 6 {
        return Err(DatumError::TooLarge(format!(
            "number of array dimensions ({num_dimensions}) exceeds the maximum allowed (6)"
        )));
    }
    if elem != found.elem {
        let named = |ty: PgType| format!("{} ({})", ty.0, type_name(ty));
        return Err(DatumError::ElementType(named(elem), named(found.elem)));
    }
    Ok(())
}

/// Dimensions, whether there are NULLs, type of the elements; length and lower bound of each
/// dimension; length (-1 for NULL) and bytes of each element.
fn array_in(found: &TypeInfo, bytes: &[u8]) -> Result<String, DatumError> {
    let bad = || bad(found.ty);
    let mut reader = Reader(bytes);
    let short = || DatumError::Short;
    let num_dimensions = reader.int().ok_or_else(short)?;
    let _has_nulls = reader.int().ok_or_else(short)?;
    let elem = PgType(reader.int().ok_or_else(short)?.cast_unsigned());
    check_array(found, num_dimensions, elem)?;
    let mut dimensions = Vec::new();
    let mut num_elements = usize::from(num_dimensions > 0);
    for _ in 0..num_dimensions {
        let length = reader
            .int()
            .ok_or_else(short)
            .and_then(|n| usize::try_from(n).map_err(|_| bad()))?;
        dimensions.push((length, reader.int().ok_or_else(short)?));
        num_elements = num_elements.checked_mul(length).ok_or_else(bad)?;
    }
    // Each element has at least its length: no more of them than there are bytes for.
    if num_elements > reader.0.len() / 4 {
        return Err(short());
    }
    let style = Style::utc(0);
    let mut elements = Vec::with_capacity(num_elements);
    for _ in 0..num_elements {
        let length = reader.int().ok_or_else(short)?;
        elements.push(match usize::try_from(length) {
            Err(_) if length == -1 => None,
            Err(_) => return Err(bad()),
            Ok(length) => {
                let datum = binary_in(elem, reader.take(length).ok_or_else(short)?)?;
                let mut text = String::new();
                text_out(elem, &datum, &NoNames, &style, &mut text)?;
                Some(text)
            }
        });
    }
    if !reader.0.is_empty() {
        return Err(bad());
    }
    if found.is_vector() {
        let items: Option<Vec<String>> = elements.into_iter().collect();
        return Ok(items.ok_or_else(bad)?.join(" "));
    }
    let mut out = String::new();
    let dimensions = if elements.is_empty() {
        Vec::new()
    } else {
        dimensions
    };
    let array = Array {
        dimensions,
        elements,
    };
    write_array(&array, found.delim, &mut out);
    Ok(out)
}

/// Appends the binary form of a value of `ty`, which is not NULL.
pub fn binary_out(ty: PgType, datum: &Datum, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let stored = || DatumError::Stored(type_name(ty).to_owned());
    match datum {
        Datum::Null => Err(stored()),
        Datum::Int(value) => int_out(ty, *value, out),
        Datum::Float(value) => {
            if ty == PgType::FLOAT4 {
                out.extend_from_slice(&float::to_single(*value).to_be_bytes());
            } else {
                out.extend_from_slice(&value.to_be_bytes());
            }
            Ok(())
        }
        Datum::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        Datum::Text(text) => text_kept_out(ty, text, out),
    }
}

fn int_out(ty: PgType, value: i64, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let stored = || DatumError::Stored(type_name(ty).to_owned());
    match ty {
        PgType::BOOL => out.push(u8::from(value != 0)),
        PgType::INT2 => {
            out.extend_from_slice(&i16::try_from(value).map_err(|_| stored())?.to_be_bytes());
        }
        PgType::INT4 => {
            out.extend_from_slice(&i32::try_from(value).map_err(|_| stored())?.to_be_bytes());
        }
        PgType::DATE => {
            let days = match value {
                INFINITY => i32::MAX,
                NEGATIVE_INFINITY => i32::MIN,
                days => i32::try_from(days - EPOCH_DAYS).map_err(|_| stored())?,
            };
            out.extend_from_slice(&days.to_be_bytes());
        }
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => {
            let us = match value {
                INFINITY | NEGATIVE_INFINITY => value,
                us => us.checked_sub(EPOCH_US).ok_or_else(stored)?,
            };
            out.extend_from_slice(&us.to_be_bytes());
        }
        #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
        PgType::FLOAT4 | PgType::FLOAT8 => {
            return binary_out(ty, &Datum::Float(value as f64), out);
        }
        _ if is_oid(ty) => {
            out.extend_from_slice(&u32::try_from(value).map_err(|_| stored())?.to_be_bytes());
        }
        _ => out.extend_from_slice(&value.to_be_bytes()),
    }
    Ok(())
}

fn text_kept_out(ty: PgType, text: &str, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let stored = || DatumError::Stored(type_name(ty).to_owned());
    match ty {
        PgType::CHAR => out.push(scalars::char_byte(text)),
        PgType::VOID => {}
        PgType::CID => {
            out.extend_from_slice(&text.parse::<u32>().map_err(|_| stored())?.to_be_bytes());
        }
        PgType::TID => {
            let (block, item) = text
                .strip_prefix('(')
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|rest| rest.split_once(','))
                .ok_or_else(stored)?;
            out.extend_from_slice(&block.parse::<u32>().map_err(|_| stored())?.to_be_bytes());
            out.extend_from_slice(&item.parse::<u16>().map_err(|_| stored())?.to_be_bytes());
        }
        PgType::NUMERIC => Numeric::parse(text)?.write_binary(out).ok_or_else(stored)?,
        PgType::INTERVAL => {
            let interval = Interval::from_stored(text).ok_or_else(stored)?;
            out.extend_from_slice(&interval.us.to_be_bytes());
            out.extend_from_slice(&interval.days.to_be_bytes());
            out.extend_from_slice(&interval.months.to_be_bytes());
        }
        PgType::JSONB => {
            out.push(1);
            out.extend_from_slice(text.as_bytes());
        }
        PgType::UUID => {
            let digits = text.replace('-', "");
            out.extend_from_slice(&hex::decode(digits).map_err(|_| stored())?);
        }
        PgType::INET | PgType::CIDR => {
            let cidr = ty == PgType::CIDR;
            Inet::parse(text, cidr)?.write_binary(cidr, out);
        }
        PgType::ACLITEM => {
            return Err(DatumError::NoFunction(
                "binary output",
                type_name(ty).to_owned(),
            ));
        }
        // Its fields' types are known to who bound the query, see `record_out`.
        PgType::RECORD => return Err(unsupported(ty)),
        _ => match info(ty) {
            Some(found) if found.is_array() || found.is_vector() => array_out(found, text, out)?,
            Some(_) | None => out.extend_from_slice(text.as_bytes()),
        },
    }
    Ok(())
}

fn array_out(found: &TypeInfo, text: &str, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let array = parse_stored_array(text, found.delim)?;
    let too_large = || DatumError::TooLarge("array is too large".to_owned());
    let length = |n: usize| i32::try_from(n).map_err(|_| too_large());
    let style = Style::utc(0);
    let has_nulls = array.elements.iter().any(Option::is_none);
    // A vector has its one dimension even without elements.
    let dimensions = if array.dimensions.is_empty() && found.is_vector() {
        vec![(0, 0)]
    } else {
        array.dimensions
    };
    out.extend_from_slice(&length(dimensions.len())?.to_be_bytes());
    out.extend_from_slice(&i32::from(has_nulls).to_be_bytes());
    out.extend_from_slice(&found.elem.0.to_be_bytes());
    for (len, lower) in dimensions {
        out.extend_from_slice(&length(len)?.to_be_bytes());
        out.extend_from_slice(&lower.to_be_bytes());
    }
    for element in array.elements {
        let Some(element) = element else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        };
        let datum = text_in(found.elem, &element, &NoNames, &style)?;
        let mut bytes = Vec::new();
        binary_out(found.elem, &datum, &mut bytes)?;
        out.extend_from_slice(&length(bytes.len())?.to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    Ok(())
}
