//! The order of arrays in their stored form: by their elements' values, not by their text.

use std::cmp::Ordering;

use super::{Array, DatumError, PgType, char_compare, numeric_compare, parse_stored_array};
use crate::lsn::Lsn;

/// How the elements of an array are ordered, read from their text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementOrder {
    /// By the text's bytes.
    Bytes,
    /// As values of "char".
    Chars,
    /// As numbers.
    Numbers,
    /// As positions in the log.
    Positions,
}

impl ElementOrder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::Chars, Self::Numbers, Self::Positions];

    /// The order of arrays of `element`; `None` where the text form is not enough to tell.
    #[must_use]
    pub fn of(element: PgType) -> Option<Self> {
        match element {
            PgType::CHAR => Some(Self::Chars),
            PgType::BOOL
            | PgType::NAME
            | PgType::TEXT
            | PgType::VARCHAR
            | PgType::TIME
            | PgType::UUID
            | PgType::BYTEA => Some(Self::Bytes),
            PgType::INT2
            | PgType::INT4
            | PgType::INT8
            | PgType::OID
            | PgType::FLOAT4
            | PgType::FLOAT8
            | PgType::NUMERIC => Some(Self::Numbers),
            PgType::PG_LSN => Some(Self::Positions),
            _ => None,
        }
    }

    /// The name of the collation that orders by it.
    #[must_use]
    pub const fn collation(self) -> &'static str {
        match self {
            Self::Bytes => "pg_array_bytes",
            Self::Chars => "pg_array_chars",
            Self::Numbers => "pg_array_numbers",
            Self::Positions => "pg_array_positions",
        }
    }

    fn read(self, text: &str) -> Result<Array, DatumError> {
        if self == Self::Positions && !text.starts_with(['{', '[']) {
            return Ok(Array::of(vec![Some(text.to_owned())]));
        }
        parse_stored_array(text, ',')
    }

    fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            Self::Bytes => one.as_bytes().cmp(other.as_bytes()),
            Self::Chars => char_compare(one, other),
            Self::Numbers => match (one.parse::<i64>(), other.parse::<i64>()) {
                (Ok(one), Ok(other)) => one.cmp(&other),
                _ => numeric_compare(one, other),
            },
            Self::Positions => {
                let position = |text: &str| text.parse::<Lsn>().ok();
                position(one).cmp(&position(other))
            }
        }
    }
}

/// Orders arrays by their elements (a NULL is above all), then by length, then by dimensions.
/// What is no array is below one; a position by itself stands for an array of it.
#[must_use]
pub fn array_compare(order: ElementOrder, one: &str, other: &str) -> Ordering {
    match (order.read(one), order.read(other)) {
        (Ok(left), Ok(right)) => compare(order, &left, &right),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => one.cmp(other),
    }
}

fn compare(order: ElementOrder, one: &Array, other: &Array) -> Ordering {
    let elements = one.elements.iter().zip(&other.elements);
    let different = elements
        .map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) => order.compare(one, other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        })
        .find(|ordering| ordering.is_ne());
    let lengths = |array: &Array| -> Vec<usize> {
        array.dimensions.iter().map(|(length, _)| *length).collect()
    };
    let bounds =
        |array: &Array| -> Vec<i32> { array.dimensions.iter().map(|(_, bound)| *bound).collect() };
    different.unwrap_or_else(|| {
        let dimensions = one.dimensions.len().cmp(&other.dimensions.len());
        let by_size = one.elements.len().cmp(&other.elements.len());
        by_size
            .then(dimensions)
            .then_with(|| lengths(one).cmp(&lengths(other)))
            .then_with(|| bounds(one).cmp(&bounds(other)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_ordered_by_their_elements_values() {
        use ElementOrder::{Bytes, Chars, Numbers, Positions};
        let rising: [(ElementOrder, &[&str]); 5] = [
            (
                Numbers,
                &[
                    "{}",
                    "{2}",
                    "{2,1}",
                    "[2:3]={2,1}",
                    "{{2},{1}}",
                    "{10}",
                    "{NULL}",
                ],
            ),
            (
                Numbers,
                &["{-Infinity}", "{1.5}", "{1e3}", "{Infinity}", "{NaN}"],
            ),
            (
                Bytes,
                &["{}", "{B}", "{a,b}", "{ab}", "{\"b c\"}", "{NULL}"],
            ),
            (
                Chars,
                &["{}", "{\"\"}", "{\\\\}", "{a}", "{\\\\200}", "{\\\\303}"],
            ),
            (Positions, &["0/1", "{0/A}", "0/F", "{0/10}", "{10/0}"]),
        ];
        for (order, arrays) in rising {
            for pair in arrays.windows(2) {
                assert_eq!(
                    array_compare(order, pair[0], pair[1]),
                    Ordering::Less,
                    "{pair:?}"
                );
                assert_eq!(array_compare(order, pair[1], pair[0]), Ordering::Greater);
                assert_eq!(array_compare(order, pair[0], pair[0]), Ordering::Equal);
            }
        }
        assert_eq!(array_compare(Numbers, "{1.0}", "{1.00}"), Ordering::Equal);
        assert_eq!(array_compare(Numbers, "1 2", "1 10"), Ordering::Less);
        assert_eq!(array_compare(Numbers, "{1", "{1}"), Ordering::Less);
    }
}
