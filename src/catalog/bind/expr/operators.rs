//! Which operators there are: a symbol, the types of its operands, the type of its result.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::datum::PgType;

/// What stands for an operator in SQLite's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// One of SQLite's comparisons, with this collation on the left (empty for none).
    Compare(&'static str),
    /// Text with `{0}` and `{1}`.
    Template(&'static str),
    /// A function of the registry, by the name that `pg_operator.oprcode` has.
    Call(&'static str),
    /// The same, negated.
    NotCall(&'static str),
}

/// An operator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator {
    /// `None` in front of its only operand.
    pub(super) left: Option<PgType>,
    pub(super) right: PgType,
    pub(super) result: PgType,
    pub(super) how: How,
}

/// The six comparisons.
pub(super) const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

static TABLE: LazyLock<HashMap<&'static str, Vec<Operator>>> = LazyLock::new(|| {
    let mut table: HashMap<&'static str, Vec<Operator>> = HashMap::new();
    let mut add = |symbol: &'static str, operator: Operator| {
        table.entry(symbol).or_default().push(operator);
    };
    comparisons(&mut add);
    integers(&mut add);
    for (symbol, left, right, result, how) in BINARY {
        let operator = Operator {
            left: Some(*left),
            right: *right,
            result: *result,
            how: *how,
        };
        add(symbol, operator);
    }
    for (symbol, right, result, how) in PREFIX {
        let operator = Operator {
            left: None,
            right: *right,
            result: *result,
            how: *how,
        };
        add(symbol, operator);
    }
    table
});

/// The operators written `symbol`.
pub(super) fn named(symbol: &str) -> &'static [Operator] {
    TABLE.get(symbol).map_or(&[], Vec::as_slice)
}

/// The collation by which SQLite orders stored forms of a type; `None` if it cannot.
pub(super) fn collation(ty: PgType) -> Option<&'static str> {
    match ty {
        PgType::NUMERIC => Some("pg_numeric"),
        PgType::INTERVAL => Some("pg_interval"),
        PgType::INET => Some("pg_inet"),
        PgType::CHAR => Some("pg_char"),
        PgType::BPCHAR => Some("RTRIM"),
        _ if ORDERED.contains(&ty) || super::types::is_reg(ty) => Some(""),
        PgType::VARCHAR | PgType::XID | PgType::CID => Some(""),
        _ => None,
    }
}

/// Types whose stored forms SQLite orders as PostgreSQL orders the values.
const ORDERED: [PgType; 18] = [
    PgType::INT2,
    PgType::INT4,
    PgType::INT8,
    PgType::BOOL,
    PgType::BYTEA,
    PgType::NAME,
    PgType::TEXT,
    PgType::OID,
    PgType::FLOAT4,
    PgType::FLOAT8,
    PgType::DATE,
    PgType::TIME,
    PgType::TIMESTAMP,
    PgType::TIMESTAMPTZ,
    PgType::UUID,
    PgType::PG_LSN,
    PgType::XID8,
    PgType::TID,
];

/// Pairs of different types that compare as they are.
const MIXED: [(PgType, PgType); 5] = [
    (PgType::INT2, PgType::INT4),
    (PgType::INT2, PgType::INT8),
    (PgType::INT4, PgType::INT8),
    (PgType::NAME, PgType::TEXT),
    (PgType::FLOAT4, PgType::FLOAT8),
];

fn comparisons(add: &mut impl FnMut(&'static str, Operator)) {
    let mut all = |symbols: &[&'static str], left: PgType, right: PgType, how: How| {
        for symbol in symbols {
            let operator = Operator {
                left: Some(left),
                right,
                result: PgType::BOOL,
                how,
            };
            add(symbol, operator);
        }
    };
    for ty in ORDERED {
        all(&COMPARISONS, ty, ty, How::Compare(""));
    }
    for (one, other) in MIXED {
        all(&COMPARISONS, one, other, How::Compare(""));
        all(&COMPARISONS, other, one, How::Compare(""));
    }
    for ty in [PgType::NUMERIC, PgType::INTERVAL, PgType::BPCHAR] {
        let collation = collation(ty).unwrap_or_default();
        all(&COMPARISONS, ty, ty, How::Compare(collation));
    }
    let equality = &["=", "<>"];
    let order = &["<", "<=", ">", ">="];
    for ty in [PgType::CHAR, PgType::INET] {
        all(
            order,
            ty,
            ty,
            How::Compare(collation(ty).unwrap_or_default()),
        );
    }
    // What is equal has equal texts, which views search by.
    for ty in [
        PgType::CHAR,
        PgType::XID,
        PgType::CID,
        PgType::OIDVECTOR,
        PgType::INET,
        PgType::ACLITEM,
    ] {
        all(equality, ty, ty, How::Compare(""));
    }
    all(equality, PgType::XID, PgType::INT4, How::Compare(""));
    for (symbol, code) in [("=", "jsonb_eq"), ("<>", "jsonb_ne")] {
        all(&[symbol], PgType::JSONB, PgType::JSONB, How::Call(code));
    }
}

/// Arithmetic of int2, int4 and int8 in all their pairs: that of the wider one.
fn integers(add: &mut impl FnMut(&'static str, Operator)) {
    const SIZES: [(PgType, [&str; 4]); 3] = [
        (PgType::INT2, ["int2pl", "int2mi", "int2mul", "int2div"]),
        (PgType::INT4, ["int4pl", "int4mi", "int4mul", "int4div"]),
        (PgType::INT8, ["int8pl", "int8mi", "int8mul", "int8div"]),
    ];
    for (left_size, (left, left_codes)) in SIZES.iter().enumerate() {
        for (right_size, (right, right_codes)) in SIZES.iter().enumerate() {
            let (result, codes) = if left_size >= right_size {
                (*left, left_codes)
            } else {
                (*right, right_codes)
            };
            for (symbol, code) in ["+", "-", "*", "/"].iter().zip(codes) {
                let operator = Operator {
                    left: Some(*left),
                    right: *right,
                    result,
                    how: How::Call(code),
                };
                add(symbol, operator);
            }
        }
    }
}

const BOOL: PgType = PgType::BOOL;
const INT2: PgType = PgType::INT2;
const INT4: PgType = PgType::INT4;
const INT8: PgType = PgType::INT8;
const FLOAT4: PgType = PgType::FLOAT4;
const FLOAT8: PgType = PgType::FLOAT8;
const NUMERIC: PgType = PgType::NUMERIC;
const TEXT: PgType = PgType::TEXT;
const NAME: PgType = PgType::NAME;
const BPCHAR: PgType = PgType::BPCHAR;
const DATE: PgType = PgType::DATE;
const TIME: PgType = PgType::TIME;
const TS: PgType = PgType::TIMESTAMP;
const TSTZ: PgType = PgType::TIMESTAMPTZ;
const INTERVAL: PgType = PgType::INTERVAL;
const LSN: PgType = PgType::PG_LSN;
const JSON: PgType = PgType::JSON;
const JSONB: PgType = PgType::JSONB;
const TEXTS: PgType = PgType::TEXT_ARRAY;
const BYTEA: PgType = PgType::BYTEA;

type Binary = (&'static str, PgType, PgType, PgType, How);

/// Everything else between two operands; arrays and `||` with them are in `arrays`.
const BINARY: &[Binary] = &[
    ("%", INT2, INT2, INT2, How::Call("int2mod")),
    ("%", INT4, INT4, INT4, How::Call("int4mod")),
    ("%", INT8, INT8, INT8, How::Call("int8mod")),
    ("%", NUMERIC, NUMERIC, NUMERIC, How::Call("numeric_mod")),
    ("&", INT2, INT2, INT2, How::Template("({0} & {1})")),
    ("&", INT4, INT4, INT4, How::Template("({0} & {1})")),
    ("&", INT8, INT8, INT8, How::Template("({0} & {1})")),
    ("|", INT2, INT2, INT2, How::Template("({0} | {1})")),
    ("|", INT4, INT4, INT4, How::Template("({0} | {1})")),
    ("|", INT8, INT8, INT8, How::Template("({0} | {1})")),
    (
        "#",
        INT2,
        INT2,
        INT2,
        How::Template("(({0} | {1}) - ({0} & {1}))"),
    ),
    (
        "#",
        INT4,
        INT4,
        INT4,
        How::Template("(({0} | {1}) - ({0} & {1}))"),
    ),
    (
        "#",
        INT8,
        INT8,
        INT8,
        How::Template("(({0} | {1}) - ({0} & {1}))"),
    ),
    ("<<", INT2, INT4, INT2, How::Call("int2shl")),
    ("<<", INT4, INT4, INT4, How::Call("int4shl")),
    ("<<", INT8, INT4, INT8, How::Call("int8shl")),
    (">>", INT2, INT4, INT2, How::Call("int2shr")),
    (">>", INT4, INT4, INT4, How::Call("int4shr")),
    (">>", INT8, INT4, INT8, How::Call("int8shr")),
    ("+", FLOAT4, FLOAT4, FLOAT4, How::Call("float4pl")),
    ("-", FLOAT4, FLOAT4, FLOAT4, How::Call("float4mi")),
    ("*", FLOAT4, FLOAT4, FLOAT4, How::Call("float4mul")),
    ("/", FLOAT4, FLOAT4, FLOAT4, How::Call("float4div")),
    ("+", FLOAT8, FLOAT8, FLOAT8, How::Call("float8pl")),
    ("-", FLOAT8, FLOAT8, FLOAT8, How::Call("float8mi")),
    ("*", FLOAT8, FLOAT8, FLOAT8, How::Call("float8mul")),
    ("/", FLOAT8, FLOAT8, FLOAT8, How::Call("float8div")),
    ("+", FLOAT4, FLOAT8, FLOAT8, How::Call("float8pl")),
    ("-", FLOAT4, FLOAT8, FLOAT8, How::Call("float8mi")),
    ("*", FLOAT4, FLOAT8, FLOAT8, How::Call("float8mul")),
    ("/", FLOAT4, FLOAT8, FLOAT8, How::Call("float8div")),
    ("+", FLOAT8, FLOAT4, FLOAT8, How::Call("float8pl")),
    ("-", FLOAT8, FLOAT4, FLOAT8, How::Call("float8mi")),
    ("*", FLOAT8, FLOAT4, FLOAT8, How::Call("float8mul")),
    ("/", FLOAT8, FLOAT4, FLOAT8, How::Call("float8div")),
    ("^", FLOAT8, FLOAT8, FLOAT8, How::Call("dpow")),
    ("+", NUMERIC, NUMERIC, NUMERIC, How::Call("numeric_add")),
    ("-", NUMERIC, NUMERIC, NUMERIC, How::Call("numeric_sub")),
    ("*", NUMERIC, NUMERIC, NUMERIC, How::Call("numeric_mul")),
    ("/", NUMERIC, NUMERIC, NUMERIC, How::Call("numeric_div")),
    ("^", NUMERIC, NUMERIC, NUMERIC, How::Call("numeric_power")),
    ("+", NUMERIC, LSN, LSN, How::Call("numeric_pl_pg_lsn")),
    ("+", LSN, NUMERIC, LSN, How::Call("pg_lsn_pli")),
    ("-", LSN, NUMERIC, LSN, How::Call("pg_lsn_mii")),
    ("-", LSN, LSN, NUMERIC, How::Call("pg_lsn_mi")),
    ("+", INT4, DATE, DATE, How::Call("integer_pl_date")),
    ("+", DATE, INT4, DATE, How::Call("date_pli")),
    ("-", DATE, INT4, DATE, How::Call("date_mii")),
    ("-", DATE, DATE, INT4, How::Call("date_mi")),
    ("+", DATE, TIME, TS, How::Call("datetime_pl")),
    ("+", TIME, DATE, TS, How::Call("timedate_pl")),
    ("+", DATE, INTERVAL, TS, How::Call("date_pl_interval")),
    ("+", INTERVAL, DATE, TS, How::Call("interval_pl_date")),
    ("-", DATE, INTERVAL, TS, How::Call("date_mi_interval")),
    ("+", TIME, INTERVAL, TIME, How::Call("time_pl_interval")),
    ("+", INTERVAL, TIME, TIME, How::Call("interval_pl_time")),
    ("-", TIME, INTERVAL, TIME, How::Call("time_mi_interval")),
    ("-", TIME, TIME, INTERVAL, How::Call("time_mi_time")),
    ("+", TS, INTERVAL, TS, How::Call("timestamp_pl_interval")),
    ("+", INTERVAL, TS, TS, How::Call("interval_pl_timestamp")),
    ("-", TS, INTERVAL, TS, How::Call("timestamp_mi_interval")),
    ("-", TS, TS, INTERVAL, How::Call("timestamp_mi")),
    (
        "+",
        TSTZ,
        INTERVAL,
        TSTZ,
        How::Call("timestamptz_pl_interval"),
    ),
    (
        "+",
        INTERVAL,
        TSTZ,
        TSTZ,
        How::Call("interval_pl_timestamptz"),
    ),
    (
        "-",
        TSTZ,
        INTERVAL,
        TSTZ,
        How::Call("timestamptz_mi_interval"),
    ),
    ("-", TSTZ, TSTZ, INTERVAL, How::Call("timestamptz_mi")),
    ("+", INTERVAL, INTERVAL, INTERVAL, How::Call("interval_pl")),
    ("-", INTERVAL, INTERVAL, INTERVAL, How::Call("interval_mi")),
    ("*", INTERVAL, FLOAT8, INTERVAL, How::Call("interval_mul")),
    ("*", FLOAT8, INTERVAL, INTERVAL, How::Call("mul_d_interval")),
    ("/", INTERVAL, FLOAT8, INTERVAL, How::Call("interval_div")),
    ("||", TEXT, TEXT, TEXT, How::Template("({0} || {1})")),
    ("||", BYTEA, BYTEA, BYTEA, How::Call("byteacat")),
    ("||", JSONB, JSONB, JSONB, How::Call("jsonb_concat")),
    (
        "||",
        TEXT,
        PgType::ANYNONARRAY,
        TEXT,
        How::Template("({0} || {1})"),
    ),
    (
        "||",
        PgType::ANYNONARRAY,
        TEXT,
        TEXT,
        How::Template("({0} || {1})"),
    ),
    ("~", TEXT, TEXT, BOOL, How::Call("textregexeq")),
    ("~", NAME, TEXT, BOOL, How::Call("textregexeq")),
    ("~", BPCHAR, TEXT, BOOL, How::Call("textregexeq")),
    ("~*", TEXT, TEXT, BOOL, How::Call("texticregexeq")),
    ("~*", NAME, TEXT, BOOL, How::Call("texticregexeq")),
    ("~*", BPCHAR, TEXT, BOOL, How::Call("texticregexeq")),
    ("!~", TEXT, TEXT, BOOL, How::NotCall("textregexeq")),
    ("!~", NAME, TEXT, BOOL, How::NotCall("textregexeq")),
    ("!~", BPCHAR, TEXT, BOOL, How::NotCall("textregexeq")),
    ("!~*", TEXT, TEXT, BOOL, How::NotCall("texticregexeq")),
    ("!~*", NAME, TEXT, BOOL, How::NotCall("texticregexeq")),
    ("!~*", BPCHAR, TEXT, BOOL, How::NotCall("texticregexeq")),
    ("~~", TEXT, TEXT, BOOL, How::Call("textlike")),
    ("~~", NAME, TEXT, BOOL, How::Call("textlike")),
    ("~~", BPCHAR, TEXT, BOOL, How::Call("textlike")),
    ("~~*", TEXT, TEXT, BOOL, How::Call("texticlike")),
    ("~~*", NAME, TEXT, BOOL, How::Call("texticlike")),
    ("~~*", BPCHAR, TEXT, BOOL, How::Call("texticlike")),
    ("!~~", TEXT, TEXT, BOOL, How::NotCall("textlike")),
    ("!~~", NAME, TEXT, BOOL, How::NotCall("textlike")),
    ("!~~", BPCHAR, TEXT, BOOL, How::NotCall("textlike")),
    ("!~~*", TEXT, TEXT, BOOL, How::NotCall("texticlike")),
    ("!~~*", NAME, TEXT, BOOL, How::NotCall("texticlike")),
    ("!~~*", BPCHAR, TEXT, BOOL, How::NotCall("texticlike")),
    ("^@", TEXT, TEXT, BOOL, How::Call("starts_with")),
    ("->", JSON, INT4, JSON, How::Call("json_array_element")),
    ("->", JSON, TEXT, JSON, How::Call("json_object_field")),
    ("->", JSONB, INT4, JSONB, How::Call("jsonb_array_element")),
    ("->", JSONB, TEXT, JSONB, How::Call("jsonb_object_field")),
    (
        "->>",
        JSON,
        INT4,
        TEXT,
        How::Call("json_array_element_text"),
    ),
    ("->>", JSON, TEXT, TEXT, How::Call("json_object_field_text")),
    (
        "->>",
        JSONB,
        INT4,
        TEXT,
        How::Call("jsonb_array_element_text"),
    ),
    (
        "->>",
        JSONB,
        TEXT,
        TEXT,
        How::Call("jsonb_object_field_text"),
    ),
    ("#>", JSON, TEXTS, JSON, How::Call("json_extract_path")),
    ("#>", JSONB, TEXTS, JSONB, How::Call("jsonb_extract_path")),
    (
        "#>>",
        JSON,
        TEXTS,
        TEXT,
        How::Call("json_extract_path_text"),
    ),
    (
        "#>>",
        JSONB,
        TEXTS,
        TEXT,
        How::Call("jsonb_extract_path_text"),
    ),
    ("@>", JSONB, JSONB, BOOL, How::Call("jsonb_contains")),
    ("<@", JSONB, JSONB, BOOL, How::Call("jsonb_contained")),
    ("?", JSONB, TEXT, BOOL, How::Call("jsonb_exists")),
    ("?|", JSONB, TEXTS, BOOL, How::Call("jsonb_exists_any")),
    ("?&", JSONB, TEXTS, BOOL, How::Call("jsonb_exists_all")),
    ("-", JSONB, TEXT, JSONB, How::Call("jsonb_delete")),
    ("-", JSONB, INT4, JSONB, How::Call("jsonb_delete")),
    ("-", JSONB, TEXTS, JSONB, How::Call("jsonb_delete")),
    ("#-", JSONB, TEXTS, JSONB, How::Call("jsonb_delete_path")),
];

/// Everything in front of its operand.
const PREFIX: &[(&str, PgType, PgType, How)] = &[
    ("+", INT2, INT2, How::Template("{0}")),
    ("+", INT4, INT4, How::Template("{0}")),
    ("+", INT8, INT8, How::Template("{0}")),
    ("+", FLOAT4, FLOAT4, How::Template("{0}")),
    ("+", FLOAT8, FLOAT8, How::Template("{0}")),
    ("+", NUMERIC, NUMERIC, How::Template("{0}")),
    ("-", INT2, INT2, How::Call("int2um")),
    ("-", INT4, INT4, How::Call("int4um")),
    ("-", INT8, INT8, How::Call("int8um")),
    ("-", FLOAT4, FLOAT4, How::Call("float4um")),
    ("-", FLOAT8, FLOAT8, How::Call("float8um")),
    ("-", NUMERIC, NUMERIC, How::Call("numeric_uminus")),
    ("-", INTERVAL, INTERVAL, How::Call("interval_um")),
    ("~", INT2, INT2, How::Template("(~ {0})")),
    ("~", INT4, INT4, How::Template("(~ {0})")),
    ("~", INT8, INT8, How::Template("(~ {0})")),
    ("@", INT2, INT2, How::Call("int2abs")),
    ("@", INT4, INT4, How::Call("int4abs")),
    ("@", INT8, INT8, How::Call("int8abs")),
    ("@", FLOAT8, FLOAT8, How::Template("abs({0})")),
    ("@", NUMERIC, NUMERIC, How::Call("numeric_abs")),
    ("|/", FLOAT8, FLOAT8, How::Call("dsqrt")),
];
