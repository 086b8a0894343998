//! Orders of stored forms that are not the order of their bytes.

use std::cmp::Ordering;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use rusqlite::Connection;

/// Registers the collations that rewritten statements name.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("pg_numeric", numeric)?;
    connection.create_collation("pg_interval", interval)
}

/// Numerics by value: -Infinity, numbers, Infinity, NaN.
fn numeric(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let rank = |text: &str| match text {
        "-Infinity" => 0,
        "Infinity" => 2,
        "NaN" => 3,
        _ => 1,
    };
    rank(left).cmp(&rank(right)).then_with(|| {
        match (BigDecimal::from_str(left), BigDecimal::from_str(right)) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            // No stored form; any order that is one.
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => left.cmp(right),
        }
    })
}

/// Intervals by length, with months of 30 days and days of 24 hours.
fn interval(left: &str, right: &str) -> Ordering {
    length(left)
        .cmp(&length(right))
        .then_with(|| match (length(left), length(right)) {
            (Some(_), Some(_)) => Ordering::Equal,
            _ => left.cmp(right),
        })
}

fn length(text: &str) -> Option<i128> {
    const DAY: i128 = 86_400_000_000;
    let mut parts = text.split(' ').map(str::parse::<i128>);
    let mut part = || parts.next()?.ok();
    let (months, days, microseconds) = (part()?, part()?, part()?);
    Some((months * 30 + days) * DAY + microseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_are_ordered_by_value() {
        let mut values = vec![
            "NaN",
            "10",
            "9.5",
            "-1",
            "Infinity",
            "-Infinity",
            "9.50000001",
        ];
        values.sort_by(|a, b| numeric(a, b));
        assert_eq!(
            values,
            [
                "-Infinity",
                "-1",
                "9.5",
                "9.50000001",
                "10",
                "Infinity",
                "NaN"
            ]
        );
        assert_eq!(numeric("1.0", "1.00"), Ordering::Equal);
    }

    #[test]
    fn intervals_are_ordered_by_length() {
        assert_eq!(interval("1 0 0", "0 30 0"), Ordering::Equal);
        assert_eq!(interval("0 1 0", "0 0 86400000001"), Ordering::Less);
        assert_eq!(interval("0 -1 0", "0 0 0"), Ordering::Less);
    }
}
