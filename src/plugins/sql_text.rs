//! Names, literals, types and times as PostgreSQL prints them.

use std::sync::LazyLock;

use crate::datum::{Datum, NoNames, PgType, Style, info, is_plain_ident, text_out};

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

/// The name of a type without modifier, as PostgreSQL's `format_type` prints it.
pub(super) fn type_name(ty: PgType) -> &'static str {
    info(ty).map_or("???", |found| found.format_name)
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
    fn types_are_named_without_modifier() {
        for (ty, wanted) in [
            (PgType::BPCHAR, "character"),
            (PgType::CHAR, "\"char\""),
            (PgType::INT4_ARRAY, "integer[]"),
            (PgType::TIMESTAMPTZ, "timestamp with time zone"),
            (PgType(4_000_000_000), "???"),
        ] {
            assert_eq!(type_name(ty), wanted);
        }
    }
}
