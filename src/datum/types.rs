//! The types that there are: what `pg_type` says of each, and their names.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{DatumError, PgType};

/// PostgreSQL 15's built-in types that have no table: columns as `parse_line` reads them.
const TYPES: &str = include_str!("types.tsv");

/// A function that a type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcRef {
    /// OID, 0 for none.
    pub oid: u32,
    /// Name, `-` for none.
    pub name: &'static str,
}

/// What `pg_type` says of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// The type.
    pub ty: PgType,
    /// `typname`: `int4`
    pub name: &'static str,
    /// As `format_type` prints it: `integer`
    pub format_name: &'static str,
    /// `typlen`
    pub len: i16,
    /// `typbyval`
    pub by_value: bool,
    /// `typtype`: `b`ase, `p`seudo, `r`ange, `m`ultirange
    pub typtype: char,
    /// `typcategory`
    pub category: char,
    /// `typispreferred`
    pub preferred: bool,
    /// `typdelim`
    pub delim: char,
    /// `typsubscript`
    pub subscript: ProcRef,
    /// `typelem`: of an array, a vector or a type with parts.
    pub elem: PgType,
    /// `typarray`, 0 for none.
    pub array: PgType,
    /// `typinput`
    pub input: ProcRef,
    /// `typoutput`
    pub output: ProcRef,
    /// `typreceive`
    pub receive: ProcRef,
    /// `typsend`
    pub send: ProcRef,
    /// `typmodin`
    pub modin: ProcRef,
    /// `typmodout`
    pub modout: ProcRef,
    /// `typanalyze`
    pub analyze: ProcRef,
    /// `typalign`
    pub align: char,
    /// `typstorage`
    pub storage: char,
    /// `typcollation`, 0 for none.
    pub collation: u32,
}

impl PgType {
    /// Types that are computed with, smallest first.
    pub(crate) const NUMBERS: &[Self] = &[
        Self::INT2,
        Self::INT4,
        Self::INT8,
        Self::NUMERIC,
        Self::FLOAT4,
        Self::FLOAT8,
    ];

    /// Types of integers.
    pub(crate) const INTEGERS: &[Self] = &[Self::INT2, Self::INT4, Self::INT8];

    /// Types of text.
    pub(crate) const STRINGS: &[Self] = &[Self::TEXT, Self::VARCHAR, Self::BPCHAR, Self::NAME];

    /// Whether its values are printed as numbers are: those of OIDs, too.
    pub(crate) fn is_number(self) -> bool {
        self == Self::OID || Self::NUMBERS.contains(&self)
    }
}

impl TypeInfo {
    /// Whether it is an array of `elem`, in PostgreSQL's text form with braces.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.subscript.name == "array_subscript_handler" && !self.is_vector()
    }

    /// Whether it is int2vector or oidvector: an array that prints without braces.
    #[must_use]
    pub fn is_vector(&self) -> bool {
        matches!(self.ty, PgType::INT2VECTOR | PgType::OIDVECTOR)
    }
}

static TABLE: LazyLock<Vec<TypeInfo>> =
    LazyLock::new(|| TYPES.lines().filter_map(parse_line).collect());

static BY_OID: LazyLock<HashMap<u32, &'static TypeInfo>> =
    LazyLock::new(|| TABLE.iter().map(|info| (info.ty.0, info)).collect());

static BY_NAME: LazyLock<HashMap<&'static str, &'static TypeInfo>> =
    LazyLock::new(|| TABLE.iter().map(|info| (info.name, info)).collect());

/// All types, by OID.
#[must_use]
pub fn all_types() -> &'static [TypeInfo] {
    &TABLE
}

/// What is known of `ty`.
#[must_use]
pub fn info(ty: PgType) -> Option<&'static TypeInfo> {
    BY_OID.get(&ty.0).copied()
}

/// The type whose `typname` is `name`.
#[must_use]
pub fn type_by_name(name: &str) -> Option<PgType> {
    BY_NAME.get(name).map(|info| info.ty)
}

/// A line of the table: fields by tabulator; a function is two of them, OID and name.
fn parse_line(line: &'static str) -> Option<TypeInfo> {
    let mut fields = line.split('\t');
    let mut next = move || fields.next();
    let flag = |text: &str| text == "t";
    let ty = PgType(next()?.parse().ok()?);
    let name = next()?;
    let format_name = next()?;
    let len = next()?.parse().ok()?;
    let by_value = flag(next()?);
    let typtype = next()?.chars().next()?;
    let category = next()?.chars().next()?;
    let preferred = flag(next()?);
    let delim = next()?.chars().next()?;
    let subscript = parse_proc(&mut next)?;
    let elem = PgType(next()?.parse().ok()?);
    let array = PgType(next()?.parse().ok()?);
    Some(TypeInfo {
        ty,
        name,
        format_name,
        len,
        by_value,
        typtype,
        category,
        preferred,
        delim,
        subscript,
        elem,
        array,
        input: parse_proc(&mut next)?,
        output: parse_proc(&mut next)?,
        receive: parse_proc(&mut next)?,
        send: parse_proc(&mut next)?,
        modin: parse_proc(&mut next)?,
        modout: parse_proc(&mut next)?,
        analyze: parse_proc(&mut next)?,
        align: next()?.chars().next()?,
        storage: next()?.chars().next()?,
        collation: next()?.parse().ok()?,
    })
}

fn parse_proc(next: &mut impl FnMut() -> Option<&'static str>) -> Option<ProcRef> {
    Some(ProcRef {
        oid: next()?.parse().ok()?,
        name: next()?,
    })
}

/// The name of a type as PostgreSQL prints it: `timestamp(3) with time zone`; `???` for a type that
/// there is not.
#[must_use]
pub fn format_type(ty: PgType, typmod: i32) -> String {
    let Some(found) = info(ty) else {
        return "???".to_owned();
    };
    if found.is_array() && found.elem.0 != 0 {
        return format!("{}[]", format_type(found.elem, typmod));
    }
    let name = found.format_name;
    if typmod < 0 {
        // A character without a length is one of length 1, so this one needs its other name.
        return if ty == PgType::BPCHAR {
            "bpchar".to_owned()
        } else {
            name.to_owned()
        };
    }
    match ty {
        PgType::BPCHAR | PgType::VARCHAR if typmod > 4 => format!("{name}({})", typmod - 4),
        PgType::NUMERIC if typmod >= 4 => {
            let (precision, scale) = numeric_typmod(typmod);
            format!("{name}({precision},{scale})")
        }
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::TIME | PgType::TIMETZ => {
            match name.split_once(' ') {
                Some((first, rest)) => format!("{first}({typmod}) {rest}"),
                None => format!("{name}({typmod})"),
            }
        }
        PgType::INTERVAL => interval_name(typmod),
        PgType::BIT | PgType::VARBIT => format!("{name}({typmod})"),
        _ => name.to_owned(),
    }
}

/// Precision and scale of a numeric's type modifier.
pub(crate) fn numeric_typmod(typmod: i32) -> (i32, i32) {
    let packed = typmod.saturating_sub(4);
    let scale = packed & 0x7FF;
    // The scale has eleven bits with a sign.
    let scale = if scale >= 1024 { scale - 2048 } else { scale };
    ((packed >> 16) & 0xFFFF, scale)
}

const INTERVAL_FIELDS: &[(&str, i32)] = &[
    ("year", 1 << 2),
    ("month", 1 << 1),
    ("day", 1 << 3),
    ("hour", 1 << 10),
    ("minute", 1 << 11),
    ("second", 1 << 12),
    ("year to month", (1 << 2) | (1 << 1)),
    ("day to hour", (1 << 3) | (1 << 10)),
    ("day to minute", (1 << 3) | (1 << 10) | (1 << 11)),
    (
        "day to second",
        (1 << 3) | (1 << 10) | (1 << 11) | (1 << 12),
    ),
    ("hour to minute", (1 << 10) | (1 << 11)),
    ("hour to second", (1 << 10) | (1 << 11) | (1 << 12)),
    ("minute to second", (1 << 11) | (1 << 12)),
];

const ALL_INTERVAL_FIELDS: i32 = 0x7FFF;
const ANY_INTERVAL_PRECISION: i32 = 0xFFFF;

fn interval_name(typmod: i32) -> String {
    let fields = (typmod >> 16) & 0x7FFF;
    let precision = typmod & 0xFFFF;
    let mut name = "interval".to_owned();
    if let Some((words, _)) = INTERVAL_FIELDS.iter().find(|(_, bits)| *bits == fields) {
        name.push(' ');
        name.push_str(words);
    }
    if precision != ANY_INTERVAL_PRECISION {
        name.push_str(&format!("({precision})"));
    }
    name
}

/// Reads a type's name with its modifier: `timestamp(3) with time zone`, `int4[]`,
/// `pg_catalog."char"`, `character varying(20)`.
pub fn parse_type_name(text: &str) -> Result<(PgType, i32), DatumError> {
    let undefined = || DatumError::UndefinedObject {
        kind: "type",
        name: text.trim().to_owned(),
    };
    let mut name = text.trim();
    let mut is_array = false;
    while let Some(rest) = strip_brackets(name) {
        is_array = true;
        name = rest;
    }
    let (base, typmod) = parse_scalar_name(name).ok_or_else(undefined)?;
    if !is_array {
        return Ok((base, typmod));
    }
    match info(base) {
        Some(found) if found.array.0 != 0 => Ok((found.array, typmod)),
        Some(_) | None => Err(undefined()),
    }
}

/// What is left before `[]`, `[3]` or `ARRAY` at the end.
fn strip_brackets(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_suffix(']') {
        let (before, inside) = rest.rsplit_once('[')?;
        return inside
            .trim()
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| before.trim_end());
    }
    let cut = name.len().checked_sub(6)?;
    let (before, word) = (name.get(..cut)?, name.get(cut..)?);
    word.eq_ignore_ascii_case(" array")
        .then(|| before.trim_end())
}

/// A name without brackets: words, with modifiers in parentheses among them.
fn parse_scalar_name(text: &str) -> Option<(PgType, i32)> {
    let mut words = String::new();
    let mut modifiers: Vec<i32> = Vec::new();
    let mut rest = text;
    let mut quoted = false;
    while let Some(character) = rest.chars().next() {
        match character {
            '"' => {
                let inner = rest.get(1..)?;
                let end = inner.find('"')?;
                words.push_str(inner.get(..end)?);
                rest = inner.get(end + 1..)?;
                quoted = true;
            }
            '(' => {
                let (inside, after) = rest.get(1..)?.split_once(')')?;
                for part in inside.split(',') {
                    modifiers.push(part.trim().parse().ok()?);
                }
                rest = after;
            }
            c => {
                let c = if c.is_whitespace() {
                    ' '
                } else {
                    c.to_ascii_lowercase()
                };
                if c != ' ' || !(words.is_empty() || words.ends_with(' ')) {
                    words.push(c);
                }
                rest = rest.get(character.len_utf8()..)?;
            }
        }
    }
    let words = words.trim();
    if let Some(name) = words.strip_prefix("pg_catalog.") {
        // A type's own name: the words of the standard mean nothing here.
        let ty = type_by_name(name)?;
        return Some((ty, typmod_of(ty, &modifiers)?));
    }
    let ty = if quoted {
        type_by_name(words)
    } else {
        standard_name(words)
    }?;
    let typmod = match interval_fields(ty, words) {
        Some(fields) => {
            let precision = modifiers.first().copied().unwrap_or(ANY_INTERVAL_PRECISION);
            (fields << 16) | (precision & 0xFFFF)
        }
        // A character without a length is one.
        None if modifiers.is_empty() && matches!(words, "char" | "character") && !quoted => 5,
        None => typmod_of(ty, &modifiers)?,
    };
    Some((ty, typmod))
}

/// The bits of `interval day to second` and its like.
fn interval_fields(ty: PgType, words: &str) -> Option<i32> {
    let fields = words
        .strip_prefix("interval ")
        .filter(|_| ty == PgType::INTERVAL)?;
    INTERVAL_FIELDS
        .iter()
        .find(|(name, _)| *name == fields)
        .map(|(_, bits)| *bits)
}

/// Names of the standard, which are not `typname`s.
fn standard_name(words: &str) -> Option<PgType> {
    let ty = match words {
        "boolean" => PgType::BOOL,
        "smallint" => PgType::INT2,
        "integer" | "int" => PgType::INT4,
        "bigint" => PgType::INT8,
        "real" => PgType::FLOAT4,
        "float" | "double precision" => PgType::FLOAT8,
        "decimal" | "dec" => PgType::NUMERIC,
        "character" | "char" | "nchar" | "national character" | "national char" => PgType::BPCHAR,
        "character varying" | "char varying" | "national character varying" => PgType::VARCHAR,
        "bit varying" => PgType::VARBIT,
        "timestamp without time zone" => PgType::TIMESTAMP,
        "timestamp with time zone" => PgType::TIMESTAMPTZ,
        "time without time zone" => PgType::TIME,
        "time with time zone" => PgType::TIMETZ,
        other => {
            if other
                .strip_prefix("interval ")
                .is_some_and(|fields| INTERVAL_FIELDS.iter().any(|(name, _)| *name == fields))
            {
                return Some(PgType::INTERVAL);
            }
            return type_by_name(other);
        }
    };
    Some(ty)
}

/// The type modifier that numbers in parentheses make; `None` where the type takes none.
fn typmod_of(ty: PgType, modifiers: &[i32]) -> Option<i32> {
    match (ty, modifiers) {
        (_, []) => Some(-1),
        (PgType::BPCHAR | PgType::VARCHAR, [length @ 1..=10_485_760]) => Some(length + 4),
        (PgType::NUMERIC, [precision @ 1..=1000]) => Some((precision << 16) + 4),
        (PgType::NUMERIC, [precision @ 1..=1000, scale @ -1000..=1000]) => {
            Some(((precision << 16) | (scale & 0x7FF)) + 4)
        }
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::TIME | PgType::TIMETZ, [digits]) => {
            (*digits >= 0).then_some((*digits).min(6))
        }
        (PgType::INTERVAL, [digits]) => {
            (*digits >= 0).then_some((ALL_INTERVAL_FIELDS << 16) | (*digits).min(6))
        }
        (PgType::BIT | PgType::VARBIT, [length]) => (*length > 0).then_some(*length),
        // float(p) chooses between two types; it is given as float8 here.
        (PgType::FLOAT8, [1..=53]) => Some(-1),
        _ => None,
    }
}
