//! Names, literals and times as PostgreSQL prints them.

use std::io::Write;

use crate::datum::is_plain_ident;

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

const MS_A_DAY: u64 = 86_400_000;
/// 294277-01-01, the first day past PostgreSQL's timestamps.
const END_OF_TIME_MS: u64 = 9_224_318_016_000_000;

/// Appends a unix time in milliseconds as a `timestamptz` in UTC.
pub(super) fn write_timestamp(unix_ms: u64, out: &mut Vec<u8>) {
    if unix_ms >= END_OF_TIME_MS {
        out.extend_from_slice(b"(timestamp out of range)");
        return;
    }
    let (year, month, day) = civil_date(unix_ms / MS_A_DAY);
    let (seconds, ms) = ((unix_ms % MS_A_DAY) / 1000, unix_ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to memory cannot fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
    );
    if ms != 0 {
        let fraction = format!(".{ms:03}");
        out.extend_from_slice(fraction.trim_end_matches('0').as_bytes());
    }
    out.extend_from_slice(b"+00");
}

/// Year, month and day of a day counted from 1970-01-01, by the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last; 400 of them are one
/// cycle of 146 097 days, and five months from March take 153 days.
const fn civil_date(unix_day: u64) -> (u64, u64, u64) {
    let day = unix_day + 719_468; // from 0000-03-01
    let (cycle, day_of_cycle) = (day / 146_097, day % 146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let (month, next_year) = if march_month < 10 {
        (march_month + 3, 0)
    } else {
        (march_month - 9, 1)
    };
    (cycle * 400 + year_of_cycle + next_year, month, day_of_month)
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
        for (unix_ms, wanted) in [
            (0, "1970-01-01 00:00:00+00"),
            (1_709_164_800_050, "2024-02-29 00:00:00.05+00"),
            (1_795_416_672_604, "2026-11-23 06:51:12.604+00"),
            (951_782_400_000, "2000-02-29 00:00:00+00"),
            (4_107_542_399_900, "2100-02-28 23:59:59.9+00"),
            (9_224_318_015_999_000, "294276-12-31 23:59:59+00"),
            (9_224_318_016_000_000, "(timestamp out of range)"),
            (u64::MAX, "(timestamp out of range)"),
        ] {
            assert_eq!(text(|out| write_timestamp(unix_ms, out)), wanted);
        }
    }
}
