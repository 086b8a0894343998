//! Values of PostgreSQL's types: names, OIDs, text and binary forms.
//!
//! A [`PgType`] is an OID; a [`Datum`] is a value in its *stored form*, the one that the SQL engine
//! and the views use:
//!
//! | type | stored form |
//! |---|---|
//! | bool | `Int` 0 or 1 |
//! | int2, int4, int8, oid, xid, xid8, reg* | `Int` |
//! | float4, float8 | `Float` |
//! | numeric | `Text`, canonical decimal as PostgreSQL prints it (scale kept) |
//! | text, varchar, bpchar, name, "char", json, jsonb, uuid, inet, pg_node_tree, unknown, arrays, int2vector, oidvector, record, void | `Text`, as PostgreSQL prints it |
//! | bytea | `Bytes` |
//! | pg_lsn | `Int`, the position's 64 bits (order is kept below 2^63) |
//! | timestamptz, timestamp | `Int`, microseconds since 1970 (infinity: `i64::MAX`, `i64::MIN`) |
//! | date | `Int`, days since 1970 |
//! | time | `Int`, microseconds since midnight |
//! | interval | `Text`, `months days microseconds` as three numbers |
//!
//! It knows no table, no function and no session. Nothing here panics on any input.

mod array;
mod array_order;
mod binary;
mod datetime;
mod error;
mod float;
mod ident;
mod inet;
mod interval;
mod json;
mod name_list;
mod numeric;
mod record;
mod scalars;
mod style;
mod text;
mod types;

pub use array::{Array, parse_array, parse_stored_array, write_array};
pub use array_order::{ElementOrder, array_compare};
pub(crate) use binary::EPOCH_US;
pub use binary::{binary_in, binary_out};
pub(crate) use datetime::{
    Civil, DAY_US, SECOND_US, check_date, check_timestamp, is_infinite, local_to_utc, offset_at,
    split_us, utc_to_local,
};
pub use error::DatumError;
pub use ident::{Keyword, is_plain_ident, keyword, quote_ident};
pub use inet::inet_compare;
pub use interval::{Interval, interval_compare};
pub use json::{Json, RawMember};
pub(crate) use json::{one_of_each, write_string as write_json_string};
pub use name_list::split_names;
pub(crate) use numeric::divide_to_scale;
pub use numeric::{Numeric, numeric_compare};
pub use record::record_out;
pub use scalars::char_compare;
pub(crate) use scalars::{char_byte, cut_name, parse_char, parse_escaped, parse_hex};
pub use style::{IntervalStyle, Style};
pub(crate) use text::NoNames;
pub use text::{apply_typmod, text_in, text_out};
pub(crate) use types::numeric_typmod;
pub use types::{ProcRef, TypeInfo, all_types, format_type, info, parse_type_name, type_by_name};

/// A type of PostgreSQL, by its OID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PgType(pub u32);

/// The types that are named in code. `info` knows more about each.
#[allow(missing_docs)]
impl PgType {
    pub const BOOL: Self = Self(16);
    pub const BYTEA: Self = Self(17);
    pub const CHAR: Self = Self(18);
    pub const NAME: Self = Self(19);
    pub const INT8: Self = Self(20);
    pub const INT2: Self = Self(21);
    pub const INT2VECTOR: Self = Self(22);
    pub const INT4: Self = Self(23);
    pub const REGPROC: Self = Self(24);
    pub const TEXT: Self = Self(25);
    pub const OID: Self = Self(26);
    pub const TID: Self = Self(27);
    pub const XID: Self = Self(28);
    pub const CID: Self = Self(29);
    pub const OIDVECTOR: Self = Self(30);
    pub const JSON: Self = Self(114);
    pub const PG_NODE_TREE: Self = Self(194);
    pub const FLOAT4: Self = Self(700);
    pub const FLOAT8: Self = Self(701);
    pub const UNKNOWN: Self = Self(705);
    pub const INET: Self = Self(869);
    pub const BOOL_ARRAY: Self = Self(1000);
    pub const BYTEA_ARRAY: Self = Self(1001);
    pub const CHAR_ARRAY: Self = Self(1002);
    pub const NAME_ARRAY: Self = Self(1003);
    pub const INT2_ARRAY: Self = Self(1005);
    pub const INT4_ARRAY: Self = Self(1007);
    pub const TEXT_ARRAY: Self = Self(1009);
    pub const VARCHAR_ARRAY: Self = Self(1015);
    pub const INT8_ARRAY: Self = Self(1016);
    pub const FLOAT8_ARRAY: Self = Self(1022);
    pub const OID_ARRAY: Self = Self(1028);
    pub const ACLITEM: Self = Self(1033);
    pub const ACLITEM_ARRAY: Self = Self(1034);
    pub const BPCHAR: Self = Self(1042);
    pub const VARCHAR: Self = Self(1043);
    pub const BIT: Self = Self(1560);
    pub const VARBIT: Self = Self(1562);
    pub const TIMETZ: Self = Self(1266);
    pub const CIDR: Self = Self(650);
    pub const CSTRING: Self = Self(2275);
    pub const RECORD_ARRAY: Self = Self(2287);
    pub const TIMESTAMPTZ_ARRAY: Self = Self(1185);
    pub const PG_LSN_ARRAY: Self = Self(3221);
    pub const XID_ARRAY: Self = Self(1011);
    pub const REGTYPE_ARRAY: Self = Self(2211);
    pub const JSONPATH: Self = Self(4072);
    pub const TXID_SNAPSHOT: Self = Self(2970);
    pub const ANYCOMPATIBLE: Self = Self(5077);
    pub const ANYCOMPATIBLEARRAY: Self = Self(5078);
    pub const REGOPER: Self = Self(2203);
    pub const REGOPERATOR: Self = Self(2204);
    pub const REGCONFIG: Self = Self(3734);
    pub const REGDICTIONARY: Self = Self(3769);
    pub const REGCOLLATION: Self = Self(4191);
    pub const DATE: Self = Self(1082);
    pub const TIME: Self = Self(1083);
    pub const TIMESTAMP: Self = Self(1114);
    pub const TIMESTAMPTZ: Self = Self(1184);
    pub const INTERVAL: Self = Self(1186);
    pub const NUMERIC_ARRAY: Self = Self(1231);
    pub const NUMERIC: Self = Self(1700);
    pub const REGCLASS: Self = Self(2205);
    pub const REGTYPE: Self = Self(2206);
    pub const REGPROCEDURE: Self = Self(2202);
    pub const REGROLE: Self = Self(4096);
    pub const REGNAMESPACE: Self = Self(4089);
    pub const RECORD: Self = Self(2249);
    pub const ANY: Self = Self(2276);
    pub const ANYARRAY: Self = Self(2277);
    pub const VOID: Self = Self(2278);
    pub const ANYELEMENT: Self = Self(2283);
    pub const ANYNONARRAY: Self = Self(2776);
    pub const UUID: Self = Self(2950);
    pub const PG_LSN: Self = Self(3220);
    pub const JSONB: Self = Self(3802);
    pub const XID8: Self = Self(5069);
}

/// A value in its stored form.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// NULL
    Null,
    /// Integers and what is kept as one.
    Int(i64),
    /// float8
    Float(f64),
    /// Text and what is kept as such.
    Text(String),
    /// bytea
    Bytes(Vec<u8>),
}

/// Names behind the OIDs of the reg* types; the catalog knows them.
pub trait Names {
    /// The name that `oid` prints as, as a value of the reg* type `ty`.
    fn name_of(&self, ty: PgType, oid: u32) -> Option<String>;
    /// The OID of what `name` means as a value of the reg* type `ty`.
    fn oid_of(&self, ty: PgType, name: &str) -> Option<u32>;
}
