//! Values in PostgreSQL's text form.

use super::array::{parse_array, write_array};
use super::datetime::{self, Wanted};
use super::inet::Inet;
use super::types::numeric_typmod;
use super::{
    Array, Datum, DatumError, Interval, Json, Names, Numeric, PgType, Style, float, format_type,
    info, scalars,
};

/// Reads the text form of a value of `ty`.
pub fn text_in(
    ty: PgType,
    text: &str,
    names: &dyn Names,
    style: &Style,
) -> Result<Datum, DatumError> {
    if text.contains('\0') {
        return Err(DatumError::Encoding("0x00".to_owned()));
    }
    let int = |name, min, max| scalars::parse_int(text, name, min, max).map(Datum::Int);
    let time = |wanted| datetime::parse(text, wanted, style).map(Datum::Int);
    match ty {
        PgType::BOOL => scalars::parse_bool(text).map(|value| Datum::Int(value.into())),
        PgType::INT2 => int("smallint", i16::MIN.into(), i16::MAX.into()),
        PgType::INT4 => int("integer", i32::MIN.into(), i32::MAX.into()),
        PgType::INT8 => int("bigint", i64::MIN, i64::MAX),
        PgType::OID => scalars::parse_oid(text, "oid").map(Datum::Int),
        PgType::XID => scalars::parse_oid(text, "xid").map(Datum::Int),
        PgType::XID8 => scalars::parse_xid8(text).map(Datum::Int),
        PgType::PG_LSN => scalars::parse_lsn(text).map(Datum::Int),
        PgType::FLOAT4 => float::parse_float(text, true).map(Datum::Float),
        PgType::FLOAT8 => float::parse_float(text, false).map(Datum::Float),
        PgType::BYTEA => scalars::parse_bytea(text).map(Datum::Bytes),
        PgType::DATE => time(Wanted::Date),
        PgType::TIME => time(Wanted::Time),
        PgType::TIMESTAMP => time(Wanted::Timestamp),
        PgType::TIMESTAMPTZ => time(Wanted::Timestamptz),
        PgType::REGCLASS
        | PgType::REGTYPE
        | PgType::REGPROC
        | PgType::REGPROCEDURE
        | PgType::REGROLE
        | PgType::REGNAMESPACE
        | PgType::REGOPER
        | PgType::REGOPERATOR
        | PgType::REGCONFIG
        | PgType::REGDICTIONARY
        | PgType::REGCOLLATION => reg_in(ty, text, names).map(Datum::Int),
        _ => text_kept(ty, text, names, style).map(Datum::Text),
    }
}

/// The stored form of types that are kept as text.
fn text_kept(
    ty: PgType,
    text: &str,
    names: &dyn Names,
    style: &Style,
) -> Result<String, DatumError> {
    match ty {
        PgType::TEXT
        | PgType::VARCHAR
        | PgType::BPCHAR
        | PgType::UNKNOWN
        | PgType::CSTRING
        | PgType::PG_NODE_TREE
        | PgType::ACLITEM
        | PgType::RECORD => Ok(text.to_owned()),
        PgType::CID => scalars::parse_oid(text, "cid").map(|value| value.to_string()),
        PgType::TID => scalars::parse_tid(text),
        PgType::NAME => Ok(scalars::cut_name(text).to_owned()),
        PgType::CHAR => Ok(scalars::parse_char(text)),
        PgType::VOID => Ok(String::new()),
        PgType::NUMERIC => Numeric::parse(text).map(|number| number.to_string()),
        PgType::INTERVAL => Interval::parse(text).map(Interval::stored),
        PgType::JSON => Json::parse(text, false).map(|_| text.to_owned()),
        PgType::JSONB => Json::parse(text, true).map(|value| value.text()),
        PgType::UUID => scalars::parse_uuid(text),
        PgType::INET => Inet::parse(text, false).map(|value| value.text(false)),
        PgType::CIDR => Inet::parse(text, true).map(|value| value.text(true)),
        PgType::INT2VECTOR => vector_in(text, "smallint", i16::MIN.into(), i16::MAX.into()),
        PgType::OIDVECTOR => vector_in(text, "oid", 0, u32::MAX.into()),
        _ => match info(ty) {
            Some(found) if found.is_array() => {
                array_in(found.elem, found.delim, text, names, style)
            }
            Some(found) if found.typtype == 'p' => Err(DatumError::Unsupported(format!(
                "input of a value of type {}",
                found.format_name
            ))),
            Some(found) => Err(DatumError::Unsupported(format!(
                "type {}",
                found.format_name
            ))),
            None => Err(DatumError::Unsupported(format!("type {}", ty.0))),
        },
    }
}

fn vector_in(text: &str, name: &str, min: i64, max: i64) -> Result<String, DatumError> {
    let mut items = Vec::new();
    for item in text
        .split(scalars::is_space)
        .filter(|item| !item.is_empty())
    {
        items.push(scalars::parse_int(item, name, min, max)?.to_string());
    }
    Ok(items.join(" "))
}

/// Each element as it prints.
fn array_in(
    elem: PgType,
    delim: char,
    text: &str,
    names: &dyn Names,
    style: &Style,
) -> Result<String, DatumError> {
    let read = parse_array(text, delim)?;
    let mut elements = Vec::with_capacity(read.elements.len());
    for element in read.elements {
        elements.push(match element {
            None => None,
            Some(element) => {
                let datum = text_in(elem, &element, names, style)?;
                let mut printed = String::with_capacity(element.len());
                text_out(elem, &datum, names, style, &mut printed)?;
                Some(printed)
            }
        });
    }
    let array = Array {
        dimensions: read.dimensions,
        elements,
    };
    let mut out = String::with_capacity(text.len());
    write_array(&array, delim, &mut out);
    Ok(out)
}

fn reg_in(ty: PgType, text: &str, names: &dyn Names) -> Result<i64, DatumError> {
    let name = text.trim_matches(scalars::is_space);
    if name == "-" {
        return Ok(0);
    }
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        return scalars::parse_oid(name, "oid");
    }
    if let Some(oid) = names.oid_of(ty, name) {
        return Ok(oid.into());
    }
    let name = name.to_owned();
    let kind = match ty {
        PgType::REGCLASS => return Err(DatumError::UndefinedRelation(plain_name(&name))),
        PgType::REGPROC | PgType::REGPROCEDURE => return Err(DatumError::UndefinedFunction(name)),
        PgType::REGNAMESPACE => return Err(DatumError::UndefinedSchema(plain_name(&name))),
        PgType::REGROLE => "role",
        PgType::REGTYPE => "type",
        PgType::REGCOLLATION => "collation",
        PgType::REGCONFIG => "text search configuration",
        PgType::REGDICTIONARY => "text search dictionary",
        _ => "operator",
    };
    Err(DatumError::UndefinedObject {
        kind,
        name: plain_name(&name),
    })
}

/// A name as an error shows it: without quotes.
fn plain_name(name: &str) -> String {
    name.replace('"', "")
}

/// Appends the text form of a value of `ty`; nothing for NULL.
pub fn text_out(
    ty: PgType,
    datum: &Datum,
    names: &dyn Names,
    style: &Style,
    out: &mut String,
) -> Result<(), DatumError> {
    match datum {
        Datum::Null => {}
        Datum::Int(value) => int_out(ty, *value, names, style, out),
        Datum::Float(value) => {
            float::write_float(*value, ty == PgType::FLOAT4, style.extra_float_digits, out);
        }
        Datum::Bytes(bytes) => scalars::write_bytea(bytes, style.bytea_escape, out),
        Datum::Text(text) if ty == PgType::INTERVAL => {
            let interval = Interval::from_stored(text)
                .ok_or_else(|| DatumError::Stored("interval".to_owned()))?;
            interval.write(style.interval_style, out);
        }
        Datum::Text(text) => out.push_str(text),
    }
    Ok(())
}

fn int_out(ty: PgType, value: i64, names: &dyn Names, style: &Style, out: &mut String) {
    match ty {
        PgType::BOOL => out.push(if value == 0 { 'f' } else { 't' }),
        PgType::PG_LSN => scalars::write_lsn(value, out),
        PgType::XID8 => out.push_str(itoa::Buffer::new().format(value.cast_unsigned())),
        PgType::DATE => datetime::write_date(value, out),
        PgType::TIME => datetime::write_time(value, out),
        PgType::TIMESTAMP => datetime::write_timestamp(value, out),
        PgType::TIMESTAMPTZ => datetime::write_timestamptz(value, &style.time_zone, out),
        // SQLite makes an integer of a real that is one.
        PgType::FLOAT4 | PgType::FLOAT8 => {
            #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
            let value = value as f64;
            float::write_float(value, ty == PgType::FLOAT4, style.extra_float_digits, out);
        }
        PgType::REGCLASS
        | PgType::REGTYPE
        | PgType::REGPROC
        | PgType::REGPROCEDURE
        | PgType::REGROLE
        | PgType::REGNAMESPACE
        | PgType::REGOPER
        | PgType::REGOPERATOR
        | PgType::REGCONFIG
        | PgType::REGDICTIONARY
        | PgType::REGCOLLATION => {
            if value == 0 {
                out.push('-');
                return;
            }
            let name = u32::try_from(value)
                .ok()
                .and_then(|oid| names.name_of(ty, oid));
            out.push_str(&name.unwrap_or_else(|| value.to_string()));
        }
        _ => out.push_str(itoa::Buffer::new().format(value)),
    }
}

/// Fits a value to its type's modifier: cuts or refuses what is too long, rounds a number or a time.
/// `explicit` is a cast that was written, which cuts text where an assignment refuses.
pub fn apply_typmod(
    ty: PgType,
    typmod: i32,
    datum: Datum,
    explicit: bool,
) -> Result<Datum, DatumError> {
    if typmod < 0 {
        return Ok(datum);
    }
    match (ty, datum) {
        (PgType::VARCHAR | PgType::BPCHAR, Datum::Text(text)) => {
            fit_text(ty, typmod, text, explicit).map(Datum::Text)
        }
        (PgType::NUMERIC, Datum::Text(text)) => {
            let (precision, scale) = numeric_typmod(typmod);
            let number = Numeric::parse(&text)?.fit(precision, scale)?;
            Ok(Datum::Text(number.to_string()))
        }
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ, Datum::Int(us)) => {
            Ok(Datum::Int(datetime::round_timestamp(us, typmod)))
        }
        (PgType::TIME, Datum::Int(us)) => Ok(Datum::Int(datetime::round_us(us, typmod))),
        (PgType::INTERVAL, Datum::Text(text)) => {
            let interval = Interval::from_stored(&text)
                .ok_or_else(|| DatumError::Stored("interval".to_owned()))?;
            Ok(Datum::Text(interval.rounded(typmod & 0xFFFF).stored()))
        }
        (_, Datum::Text(text)) => match info(ty) {
            Some(found) if found.is_array() => {
                let mut array = parse_array(&text, found.delim)?;
                for element in array.elements.iter_mut().flatten() {
                    let fitted = fit_element(found.elem, typmod, element, explicit)?;
                    *element = fitted;
                }
                let mut out = String::new();
                write_array(&array, found.delim, &mut out);
                Ok(Datum::Text(out))
            }
            Some(_) | None => Ok(Datum::Text(text)),
        },
        (_, other) => Ok(other),
    }
}

/// An element of an array is in its text form.
fn fit_element(
    ty: PgType,
    typmod: i32,
    element: &str,
    explicit: bool,
) -> Result<String, DatumError> {
    let style = Style::utc(0);
    let fitted = apply_typmod(
        ty,
        typmod,
        text_in(ty, element, &NoNames, &style)?,
        explicit,
    )?;
    let mut out = String::new();
    text_out(ty, &fitted, &NoNames, &style, &mut out)?;
    Ok(out)
}

fn fit_text(ty: PgType, typmod: i32, text: String, explicit: bool) -> Result<String, DatumError> {
    let Ok(length) = usize::try_from(typmod - 4) else {
        return Ok(text);
    };
    let fitted = match text.char_indices().nth(length) {
        None => text,
        Some((end, _)) => {
            let (kept, cut) = text.split_at(end);
            if !explicit && cut.bytes().any(|b| b != b' ') {
                return Err(DatumError::TooLong(format_type(ty, typmod)));
            }
            kept.to_owned()
        }
    };
    Ok(match ty {
        PgType::BPCHAR => {
            let missing = length.saturating_sub(fitted.chars().count());
            fitted + &" ".repeat(missing)
        }
        _ => fitted,
    })
}

/// No name means anything: for values that hold none.
pub(crate) struct NoNames;

impl Names for NoNames {
    fn name_of(&self, _ty: PgType, _oid: u32) -> Option<String> {
        None
    }

    fn oid_of(&self, _ty: PgType, _name: &str) -> Option<u32> {
        None
    }
}
