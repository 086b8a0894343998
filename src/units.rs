//! Times and sizes in PostgreSQL's spelling, for sessions and for the command line.
//!
//! A number (a fraction too), and a unit; units are case-sensitive. What does not fit is no value:
//! nothing is cut down to a limit, and nothing that was asked for becomes zero, which mostly means
//! "off".

/// The longest time that PostgreSQL's settings in milliseconds can be.
pub(crate) const MAX_MILLISECONDS: u64 = 0x7FFF_FFFF;

/// Name and microseconds.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Name and bytes.
const SIZES: &[(&str, u64)] = &[
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("kB", 1 << 10),
    ("B", 1),
];

/// A time in milliseconds, at most `max`; a bare number is milliseconds.
pub(crate) fn milliseconds(text: &str, max: u64) -> Option<u64> {
    quantity(text, TIMES, 1_000, 1_000).filter(|found| *found <= max)
}

/// A time in seconds; a bare number is seconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    quantity(text, TIMES, 1_000_000, 1_000_000)
}

/// A size in bytes; a bare number is in units of `bare` bytes.
pub(crate) fn bytes(text: &str, bare: u64) -> Option<u64> {
    quantity(text, SIZES, bare, 1)
}

/// Milliseconds in the largest unit that divides them.
pub(crate) fn print_milliseconds(milliseconds: u64) -> String {
    print(milliseconds, TIMES, 1_000)
}

/// Bytes in the largest unit that divides them.
pub(crate) fn print_bytes(bytes: u64) -> String {
    print(bytes, SIZES, 1)
}

/// The number in `base`s, rounded to the nearest, but not to zero.
fn quantity(text: &str, units: &[(&str, u64)], bare: u64, base: u64) -> Option<u64> {
    let text = text.trim();
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, unit) =
        text.split_at_checked(text.find(|c| !is_number(c)).unwrap_or(text.len()))?;
    let unit = match unit.trim_start() {
        "" => bare,
        name => units.iter().find(|(known, _)| *known == name)?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.parse::<u128>().ok()?.checked_mul(u128::from(unit))?;
    let divisor = scale.checked_mul(u128::from(base))?;
    let rounded = product.checked_add(divisor / 2)? / divisor;
    let rounded = u64::try_from(rounded).ok()?;
    Some(rounded.max(u64::from(product > 0)))
}

fn print(number: u64, units: &[(&str, u64)], base: u64) -> String {
    let divides = |unit: &&(&str, u64)| {
        let each = unit.1 / base;
        each > 0 && number > 0 && number.is_multiple_of(each)
    };
    units.iter().find(divides).map_or_else(
        || number.to_string(),
        |(name, each)| format!("{}{name}", number / (each / base)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed_as_postgresql_does() {
        for (text, expected, printed) in [
            ("0", 0, "0"),
            ("300", 300, "300ms"),
            ("60000", 60_000, "1min"),
            ("90s", 90_000, "90s"),
            ("1.5min", 90_000, "90s"),
            (" 2 h ", 7_200_000, "2h"),
            (".5s", 500, "500ms"),
            ("1d", 86_400_000, "1d"),
            ("24d", 2_073_600_000, "24d"),
        ] {
            assert_eq!(
                milliseconds(text, MAX_MILLISECONDS),
                Some(expected),
                "{text:?}"
            );
            assert_eq!(print_milliseconds(expected), printed);
        }
        for text in [
            "",
            "x",
            "1y",
            "-1",
            "1 2",
            "99999999999",
            "25d",
            "1e3",
            ".",
            "1.2.3s",
        ] {
            assert_eq!(milliseconds(text, MAX_MILLISECONDS), None, "{text:?}");
        }
        assert_eq!(milliseconds("25d", u64::MAX), Some(25 * 86_400_000));
    }

    #[test]
    fn a_short_time_does_not_become_off() {
        for text in ["1us", "499us", "500us", "1ms", "0.001ms"] {
            assert_eq!(milliseconds(text, MAX_MILLISECONDS), Some(1), "{text:?}");
        }
        assert_eq!(milliseconds("0us", MAX_MILLISECONDS), Some(0));
    }

    #[test]
    fn sizes_are_read_and_printed_as_postgresql_does() {
        for (text, expected, printed) in [
            ("0", 0, "0"),
            ("7", 7 << 20, "7MB"),
            ("7B", 7, "7B"),
            ("8kB", 8192, "8kB"),
            ("1 GB", 1 << 30, "1GB"),
            ("1.5GB", 3 << 29, "1536MB"),
            ("64TB", 64 << 40, "64TB"),
        ] {
            assert_eq!(bytes(text, 1 << 20), Some(expected), "{text:?}");
            assert_eq!(print_bytes(expected), printed);
        }
        for text in ["", "B", "1gb", "-1", "99999999TB", "1 k B", "1.0.0MB"] {
            assert_eq!(bytes(text, 1), None, "{text:?}");
        }
    }
}
