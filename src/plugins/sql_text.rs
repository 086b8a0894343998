//! Names, literals, types and times as PostgreSQL prints them.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::datum::{Datum, NoNames, PgType, Style, format_type, info, is_plain_ident, text_out};
use crate::relations::{Relation, RelationColumn};

/// Appends a name, quoted where PostgreSQL's `quote_identifier` does.
pub(super) fn write_identifier(name: &str, out: &mut Vec<u8>) {
    if is_plain_ident(name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        write_doubling(name.as_bytes(), b'"', out);
    }
}

/// Appends `text` in single quotes, as `test_decoding` does (a backslash is nothing special).
pub(super) fn write_literal(text: &[u8], out: &mut Vec<u8>) {
    write_doubling(text, b'\'', out);
}

fn write_doubling(text: &[u8], quote: u8, out: &mut Vec<u8>) {
    out.push(quote);
    let mut parts = text.split(|&byte| byte == quote);
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(&[quote, quote]);
        out.extend_from_slice(part);
    }
    out.push(quote);
}

/// Appends a unix time in microseconds as a `timestamptz` in UTC.
pub(super) fn write_timestamp(unix_us: i64, out: &mut Vec<u8>) {
    // Milliseconds that no microseconds can hold became this.
    if unix_us == i64::MAX {
        out.extend_from_slice(b"(timestamp out of range)");
        return;
    }
    let mut printed = String::new();
    let time = Datum::Int(unix_us);
    // A time of these microseconds is one of PostgreSQL's, and has no name to look up.
    let _ = text_out(PgType::TIMESTAMPTZ, &time, &NoNames, &UTC, &mut printed);
    out.extend_from_slice(printed.as_bytes());
}

static UTC: LazyLock<Style> = LazyLock::new(|| Style::utc(0));

/// The name of a column's type without modifier, as PostgreSQL's `format_type` prints it.
pub(super) fn type_name<'a>(table: &'a Relation, column: &RelationColumn) -> &'a str {
    match column.upstream_type {
        Some(oid) => upstream_name(table, oid),
        None => info(column.column_type).map_or(UNKNOWN, |found| found.format_name),
    }
}

/// The same with its modifier.
pub(super) fn whole_type_name<'a>(table: &'a Relation, column: &RelationColumn) -> Cow<'a, str> {
    match column.upstream_type {
        Some(oid) => upstream_name(table, oid).into(),
        None => format_type(column.column_type, column.typmod).into(),
    }
}

/// Its name as `pg_type` has it.
pub(super) fn catalog_type_name<'a>(table: &'a Relation, column: &RelationColumn) -> Cow<'a, str> {
    match column.upstream_type {
        Some(oid) => catalog_name(upstream_name(table, oid)),
        None => info(column.column_type)
            .map_or(UNKNOWN, |found| found.name)
            .into(),
    }
}

/// OID of its type, that of the upstream where the table comes from there.
pub(super) const fn type_oid(column: &RelationColumn) -> u32 {
    match column.upstream_type {
        Some(oid) => oid,
        None => column.column_type.0,
    }
}

/// What PostgreSQL calls a type that it does not find.
const UNKNOWN: &str = "???";

fn upstream_name(table: &Relation, oid: u32) -> &str {
    let types = table.upstream.as_deref().map(|upstream| &upstream.types);
    let found = types.and_then(|types| types.iter().find(|of| of.oid == oid));
    found.map_or(UNKNOWN, |found| found.format_name.as_str())
}

/// The name in the catalog of what `format_type` calls `printed`: without schema and quotes, and
/// that of an array begins with `_`.
fn catalog_name(printed: &str) -> Cow<'_, str> {
    let (element, is_array) = match printed.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (printed, false),
    };
    let name = match element.strip_suffix('"') {
        // The quote that opens the last part: one at the beginning or behind a dot.
        Some(quoted) => {
            let behind_dot = quoted.rfind(".\"").map(|dot| dot + 2);
            let start = behind_dot.or_else(|| quoted.starts_with('"').then_some(1));
            let name = start.and_then(|start| quoted.get(start..));
            name.unwrap_or(quoted).replace("\"\"", "\"")
        }
        None => element.rsplit('.').next().unwrap_or(element).to_owned(),
    };
    match (is_array, name == printed) {
        (true, _) => format!("_{name}").into(),
        (false, true) => printed.into(),
        (false, false) => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_quoted_as_postgresql_does() {
        // Which names are quoted is `datum`'s to decide, and tested there.
        assert_eq!(text(|out| write_identifier("users", out)), "users");
        assert_eq!(text(|out| write_identifier("user", out)), "\"user\"");
        assert_eq!(text(|out| write_identifier("a\"b", out)), "\"a\"\"b\"");
    }

    #[test]
    fn literals_double_the_quote_only() {
        assert_eq!(text(|out| write_literal(br"a\b'c", out)), r"'a\b''c'");
        assert_eq!(text(|out| write_literal(b"''", out)), "''''''");
        assert_eq!(text(|out| write_literal(b"", out)), "''");
    }

    #[test]
    fn times_are_printed_as_postgresql_does() {
        for (unix_us, wanted) in [
            (0, "1970-01-01 00:00:00+00"),
            (1_709_164_800_050_000, "2024-02-29 00:00:00.05+00"),
            (1_795_416_672_604_321, "2026-11-23 06:51:12.604321+00"),
            (951_782_400_000_000, "2000-02-29 00:00:00+00"),
            (4_107_542_399_900_000, "2100-02-28 23:59:59.9+00"),
            (9_223_372_036_854_775_000, "294247-01-10 04:00:54.775+00"),
            (i64::MAX, "(timestamp out of range)"),
        ] {
            assert_eq!(text(|out| write_timestamp(unix_us, out)), wanted);
        }
    }

    #[test]
    fn names_in_the_catalog_are_told_from_printed_ones() {
        for (printed, wanted) in [
            ("mood", "mood"),
            ("mood[]", "_mood"),
            ("other.mood", "mood"),
            ("other.mood[]", "_mood"),
            ("\"A.b\"", "A.b"),
            ("\"o\".\"A b\"[]", "_A b"),
            ("o.\"x\"\"y\"", "x\"y"),
            ("\"o\".mood", "mood"),
            ("\"", ""),
            ("", ""),
        ] {
            assert_eq!(catalog_name(printed), wanted, "{printed}");
        }
    }
}
