//! What `information_schema` says of a type: its name, lengths, precisions, collation.

use crate::datum::{Datum, PgType, format_type, info};

use super::cell::{Cell, NULL, collation_of};
use super::domains::base_of;

/// The columns of `information_schema.columns`, `domains` and others that describe a type.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) data_type: String,
    pub(super) character_maximum_length: Datum,
    pub(super) character_octet_length: Datum,
    pub(super) numeric_precision: Datum,
    pub(super) numeric_precision_radix: Datum,
    pub(super) numeric_scale: Datum,
    pub(super) datetime_precision: Datum,
    /// `C` for what is not of the default collation.
    pub(super) collation_name: Option<&'static str>,
    /// Schema and name of the type, below a domain.
    pub(super) udt_schema: &'static str,
    pub(super) udt_name: &'static str,
}

impl Shape {
    pub(super) fn of(declared: PgType, typmod: i32) -> Self {
        let ty = base_of(declared);
        let found = info(ty);
        let (precision, radix, scale) = numeric(ty, typmod);
        let (length, octets) = character(ty, typmod);
        Self {
            data_type: match found {
                Some(info) if info.is_array() => "ARRAY".to_owned(),
                Some(_) => format_type(ty, -1).replace("bpchar", "character"),
                None => "USER-DEFINED".to_owned(),
            },
            character_maximum_length: length,
            character_octet_length: octets,
            numeric_precision: precision,
            numeric_precision_radix: radix,
            numeric_scale: scale,
            datetime_precision: datetime(ty, typmod),
            collation_name: (collation_of(ty) == 950 || declared != ty && collation_of(ty) != 0)
                .then_some("C"),
            udt_schema: "pg_catalog",
            udt_name: found.map_or("", |info| info.name),
        }
    }
}

/// A type modifier counts from here.
const HEADER: i32 = 4;
/// What a text may have at most, as PostgreSQL tells it.
const MOST_OCTETS: i32 = 1 << 30;

fn character(ty: PgType, typmod: i32) -> (Datum, Datum) {
    const UTF8_OCTETS: i32 = 4;
    match ty {
        PgType::VARCHAR | PgType::BPCHAR if typmod >= HEADER => {
            let length = typmod - HEADER;
            (length.cell(), length.saturating_mul(UTF8_OCTETS).cell())
        }
        PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR => (NULL, MOST_OCTETS.cell()),
        _other => (NULL, NULL),
    }
}

fn numeric(ty: PgType, typmod: i32) -> (Datum, Datum, Datum) {
    let binary = |bits: i32, scale: Datum| (bits.cell(), 2.cell(), scale);
    match ty {
        PgType::INT2 => binary(16, 0.cell()),
        PgType::INT4 => binary(32, 0.cell()),
        PgType::INT8 => binary(64, 0.cell()),
        PgType::FLOAT4 => binary(24, NULL),
        PgType::FLOAT8 => binary(53, NULL),
        PgType::NUMERIC if typmod >= HEADER => {
            let packed = typmod - HEADER;
            ((packed >> 16).cell(), 10.cell(), (packed & 0x7ff).cell())
        }
        PgType::NUMERIC => (NULL, 10.cell(), NULL),
        _other => (NULL, NULL, NULL),
    }
}

fn datetime(ty: PgType, typmod: i32) -> Datum {
    const MICROSECONDS: i32 = 6;
    match ty {
        PgType::DATE => 0.cell(),
        PgType::TIME | PgType::TIMESTAMP | PgType::TIMESTAMPTZ if typmod >= 0 => typmod.cell(),
        PgType::TIME | PgType::TIMESTAMP | PgType::TIMESTAMPTZ => MICROSECONDS.cell(),
        PgType::INTERVAL if typmod >= 0 && typmod & 0xffff != 0xffff => (typmod & 0xffff).cell(),
        PgType::INTERVAL => MICROSECONDS.cell(),
        _other => NULL,
    }
}
