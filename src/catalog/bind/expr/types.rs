//! What binding must know of types: names in the text of a query, categories, arrays and elements.

use sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, Ident};

use crate::datum::{self, PgType};
use crate::pgerror::PgError;

/// The type that `data_type` names, and its modifier (-1 for none).
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows the types of many databases
pub(in crate::catalog) fn named(data_type: &DataType) -> Result<(PgType, i32), PgError> {
    match data_type {
        DataType::Float(ExactNumberInfo::Precision(precision)) => {
            let ty = if *precision < 25 {
                PgType::FLOAT4
            } else {
                PgType::FLOAT8
            };
            Ok((ty, -1))
        }
        // int4[][] is int4[] to PostgreSQL, and a length means nothing
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::Parenthesis(element),
        ) => {
            let (ty, typmod) = named(element)?;
            if datum::info(ty).is_some_and(datum::TypeInfo::is_array) {
                return Ok((ty, typmod));
            }
            let array = array_of(ty).ok_or_else(|| unknown(&format!("{}[]", display(ty))))?;
            Ok((array, typmod))
        }
        other => by_text(&other.to_string()),
    }
}

fn by_text(text: &str) -> Result<(PgType, i32), PgError> {
    // The parser writes its keywords in capitals; a quoted name is never one of them.
    let text = if text.contains('"') {
        text.to_owned()
    } else {
        text.to_lowercase()
    };
    if let Some(domain) = text.strip_prefix("information_schema.") {
        let ty = match domain {
            "sql_identifier" => PgType::NAME,
            "character_data" | "yes_or_no" => PgType::VARCHAR,
            "cardinal_number" => PgType::INT4,
            "time_stamp" => PgType::TIMESTAMPTZ,
            _ => return Err(unknown(&text)),
        };
        return Ok((ty, -1));
    }
    if text == "pg_catalog.char" {
        return Ok((PgType::CHAR, -1));
    }
    datum::parse_type_name(&text).map_err(|_| unknown(&text))
}

fn unknown(name: &str) -> PgError {
    PgError::error("42704", format!("type \"{name}\" does not exist"))
}

/// An identifier as PostgreSQL folds it.
pub(in crate::catalog) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_ascii_lowercase()
    }
}

/// A type's name as errors print it.
pub(in crate::catalog) fn display(ty: PgType) -> String {
    match ty {
        PgType::BPCHAR => "character".to_owned(),
        _ => datum::format_type(ty, -1),
    }
}

/// `typname`, the heading of a cast.
pub(in crate::catalog) fn short_name(ty: PgType) -> &'static str {
    datum::info(ty).map_or("unknown", |info| info.name)
}

/// `typcategory`
pub(super) fn category(ty: PgType) -> char {
    datum::info(ty).map_or('X', |info| info.category)
}

/// `typispreferred`
pub(super) fn is_preferred(ty: PgType) -> bool {
    datum::info(ty).is_some_and(|info| info.preferred)
}

/// The element type of an array or a vector.
pub(in crate::catalog) fn element_of(ty: PgType) -> Option<PgType> {
    let info = datum::info(ty)?;
    ((info.is_array() || info.is_vector()) && info.elem.0 != 0).then_some(info.elem)
}

/// How stored forms of the array type `ty` are ordered; `None` if they cannot be.
pub(in crate::catalog) fn array_order(ty: PgType) -> Option<datum::ElementOrder> {
    // PostgreSQL orders an oidvector by its length first.
    let element = element_of(ty).filter(|_| ty != PgType::OIDVECTOR)?;
    datum::ElementOrder::of(element)
}

/// The array type over `ty`.
pub(in crate::catalog) fn array_of(ty: PgType) -> Option<PgType> {
    datum::info(ty)
        .map(|info| info.array)
        .filter(|array| array.0 != 0)
}

/// A type that stands for others in a function's signature.
pub(super) fn is_polymorphic(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::ANYELEMENT
            | PgType::ANYARRAY
            | PgType::ANYNONARRAY
            | PgType::ANYCOMPATIBLE
            | PgType::ANYCOMPATIBLEARRAY
    )
}

/// Types kept as text that is compared as it is.
pub(in crate::catalog) fn is_string(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::TEXT | PgType::VARCHAR | PgType::NAME | PgType::BPCHAR | PgType::CHAR
    )
}

/// Types whose values name an object by its OID.
pub(super) fn is_reg(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::REGPROC
            | PgType::REGPROCEDURE
            | PgType::REGCLASS
            | PgType::REGTYPE
            | PgType::REGROLE
            | PgType::REGNAMESPACE
            | PgType::REGOPER
            | PgType::REGOPERATOR
            | PgType::REGCONFIG
            | PgType::REGDICTIONARY
            | PgType::REGCOLLATION
    )
}
