//! Which casts there are, when they happen by themselves, and what stands for them in SQLite.

use super::coerce::Coercion;
use super::types;
use crate::datum::PgType;

/// How a cast is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The stored form is the same.
    Same,
    /// SQLite text with `{0}`.
    Template(&'static str),
    /// `pg_cast(from, to, value)`: our code (`runtime`).
    Code,
    /// A registry function of this name over the source type.
    Function(&'static str),
    /// Out as text, in as the target.
    Text,
    /// An array, element by element.
    Elements,
}

/// The cast from `from` to `to` if it may happen in the circumstances.
pub(super) fn find(from: PgType, to: PgType, how: Coercion) -> Option<Method> {
    if from == to {
        return Some(Method::Same);
    }
    if let Some((method, least)) = listed(from, to)
        && how >= least
    {
        return Some(method);
    }
    if let Some(method) = arrays(from, to, how) {
        return Some(method);
    }
    // Everything goes into and out of strings by its text form.
    let to_string = matches!(
        to,
        PgType::TEXT | PgType::VARCHAR | PgType::NAME | PgType::BPCHAR
    );
    let from_string = matches!(
        from,
        PgType::TEXT | PgType::VARCHAR | PgType::NAME | PgType::BPCHAR
    );
    if to_string && how >= Coercion::Assignment {
        return Some(Method::Text);
    }
    (from_string && how >= Coercion::Explicit).then_some(Method::Text)
}

fn arrays(from: PgType, to: PgType, how: Coercion) -> Option<Method> {
    let (from_element, to_element) = (types::element_of(from)?, types::element_of(to)?);
    if types::array_of(to_element) != Some(to) {
        return None; // nothing is cast to a vector but text
    }
    // A vector counts from 0, so it cannot be taken as it is.
    if from_element == to_element {
        return Some(Method::Elements);
    }
    find(from_element, to_element, how).map(|_| Method::Elements)
}

/// Rows of `pg_cast`: the method and the least that must be asked for.
fn listed(from: PgType, to: PgType) -> Option<(Method, Coercion)> {
    numbers(from, to)
        .or_else(|| oids(from, to))
        .or_else(|| strings(from, to))
        .or_else(|| times(from, to))
        .or_else(|| others(from, to))
}

fn rank(ty: PgType) -> Option<u8> {
    Some(match ty {
        PgType::INT2 => 0,
        PgType::INT4 => 1,
        PgType::INT8 => 2,
        PgType::NUMERIC => 3,
        PgType::FLOAT4 => 4,
        PgType::FLOAT8 => 5,
        _ => return None,
    })
}

fn numbers(from: PgType, to: PgType) -> Option<(Method, Coercion)> {
    if let Some((low, high)) = rank(from).zip(rank(to)) {
        let method = match (low, high) {
            (0..=2, 0..=2) if low < high => Method::Same,
            (0..=2, 3) => Method::Template("CAST({0} AS TEXT)"),
            (0..=2, 5) => Method::Template("CAST({0} AS REAL)"),
            (4, 5) => Method::Same,
            _ => Method::Code,
        };
        let how = if low < high {
            Coercion::Implicit
        } else {
            Coercion::Assignment
        };
        return Some((method, how));
    }
    match (from, to) {
        (PgType::BOOL, PgType::INT4) => Some((Method::Same, Coercion::Explicit)),
        (PgType::INT4, PgType::BOOL) => Some((Method::Template("({0} <> 0)"), Coercion::Explicit)),
        (PgType::CHAR, PgType::INT4) | (PgType::INT4, PgType::CHAR) => {
            Some((Method::Code, Coercion::Explicit))
        }
        _ => None,
    }
}

fn oids(from: PgType, to: PgType) -> Option<(Method, Coercion)> {
    let is_oid = |ty| ty == PgType::OID || types::is_reg(ty);
    match (from, to) {
        (PgType::OID, _) if types::is_reg(to) => Some((Method::Same, Coercion::Implicit)),
        (_, PgType::OID) if types::is_reg(from) => Some((Method::Same, Coercion::Implicit)),
        (PgType::REGPROC, PgType::REGPROCEDURE) | (PgType::REGPROCEDURE, PgType::REGPROC) => {
            Some((Method::Same, Coercion::Implicit))
        }
        (PgType::INT2 | PgType::INT4, _) if is_oid(to) => {
            Some((Method::Template("({0} & 4294967295)"), Coercion::Implicit))
        }
        (PgType::INT8, _) if is_oid(to) => Some((Method::Code, Coercion::Implicit)),
        (_, PgType::INT8) if is_oid(from) => Some((Method::Same, Coercion::Assignment)),
        (_, PgType::INT4) if is_oid(from) => Some((Method::Code, Coercion::Assignment)),
        (PgType::TEXT | PgType::VARCHAR, PgType::REGCLASS) => {
            Some((Method::Text, Coercion::Implicit))
        }
        (PgType::XID8, PgType::XID) => {
            Some((Method::Template("({0} & 4294967295)"), Coercion::Explicit))
        }
        _ => None,
    }
}

fn strings(from: PgType, to: PgType) -> Option<(Method, Coercion)> {
    let is_varying = |ty| matches!(ty, PgType::TEXT | PgType::VARCHAR);
    match (from, to) {
        (PgType::TEXT | PgType::VARCHAR, _) if is_varying(to) => {
            Some((Method::Same, Coercion::Implicit))
        }
        // With the length of the network, which the output leaves out for a single address.
        (PgType::INET, _) if is_varying(to) => Some((Method::Code, Coercion::Assignment)),
        (PgType::NAME, PgType::TEXT) | (PgType::CHAR, PgType::TEXT) => {
            Some((Method::Same, Coercion::Implicit))
        }
        (PgType::TEXT | PgType::VARCHAR, PgType::BPCHAR) => {
            Some((Method::Same, Coercion::Implicit))
        }
        (PgType::BPCHAR, _) if is_varying(to) => {
            Some((Method::Template("rtrim({0}, ' ')"), Coercion::Implicit))
        }
        (PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR, PgType::NAME) => {
            Some((Method::Code, Coercion::Implicit))
        }
        (PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR, PgType::CHAR) => {
            Some((Method::Code, Coercion::Assignment))
        }
        (PgType::CHAR | PgType::NAME, PgType::VARCHAR | PgType::BPCHAR) => {
            Some((Method::Same, Coercion::Assignment))
        }
        (PgType::PG_NODE_TREE, PgType::TEXT) => Some((Method::Same, Coercion::Implicit)),
        (PgType::BOOL, _) if is_varying(to) => Some((
            Method::Template("CASE {0} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"),
            Coercion::Assignment,
        )),
        _ => None,
    }
}

fn times(from: PgType, to: PgType) -> Option<(Method, Coercion)> {
    let implicit = |name| Some((Method::Function(name), Coercion::Implicit));
    let assignment = |name| Some((Method::Function(name), Coercion::Assignment));
    match (from, to) {
        (PgType::DATE, PgType::TIMESTAMP) => implicit("timestamp"),
        (PgType::DATE | PgType::TIMESTAMP, PgType::TIMESTAMPTZ) => implicit("timestamptz"),
        (PgType::TIME, PgType::INTERVAL) => implicit("interval"),
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ, PgType::DATE) => assignment("date"),
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::INTERVAL, PgType::TIME) => {
            assignment("time")
        }
        (PgType::TIMESTAMPTZ, PgType::TIMESTAMP) => assignment("timestamp"),
        _ => None,
    }
}

fn others(from: PgType, to: PgType) -> Option<(Method, Coercion)> {
    match (from, to) {
        (PgType::JSON, PgType::JSONB) => Some((Method::Text, Coercion::Assignment)),
        (PgType::JSONB, PgType::JSON) => Some((Method::Same, Coercion::Assignment)),
        (PgType::JSONB, PgType::BOOL) => Some((Method::Code, Coercion::Explicit)),
        (PgType::JSONB, _) if rank(to).is_some() => Some((Method::Code, Coercion::Explicit)),
        (PgType::INT2VECTOR | PgType::OIDVECTOR, PgType::ANYARRAY) => None,
        _ => None,
    }
}
