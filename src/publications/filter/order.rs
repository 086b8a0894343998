//! How values of two types are compared.

use std::cmp::Ordering;

use crate::datum::{
    Array, DAY_US, Json, PgType, TypeInfo, char_compare, inet_compare, info, interval_compare,
    is_infinite, parse_stored_array,
};

use super::EvaluationError;
use super::value::{Value, misplaced};

/// How values of two types are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// As integers; false is below true.
    Int,
    /// As the 64 bits that they are.
    Unsigned,
    /// NaN is equal to itself and above all else.
    Float,
    Numeric,
    /// By their bytes.
    Text,
    /// By the byte that each stands for.
    Char,
    /// By their bytes, without blanks at the end.
    Padded,
    Bytes,
    Interval,
    Inet,
    Json,
    /// A date with a timestamp; or the other way round.
    Date {
        right: bool,
    },
    /// By their elements, then by their shape.
    Array {
        element: PgType,
        order: Box<Self>,
    },
}

impl Order {
    /// How values of `left` and `right` are compared; `None` if they are not.
    pub(super) fn of(left: PgType, right: PgType) -> Option<Self> {
        const FLOATS: &[PgType] = &[PgType::FLOAT4, PgType::FLOAT8];
        let both = |types: &[PgType]| types.contains(&left) && types.contains(&right);
        if both(PgType::INTEGERS) {
            return Some(Self::Int);
        }
        if both(FLOATS) {
            return Some(Self::Float);
        }
        if both(&[PgType::TEXT, PgType::NAME]) {
            return Some(Self::Text);
        }
        match (left, right) {
            (PgType::DATE, PgType::TIMESTAMP) => Some(Self::Date { right: false }),
            (PgType::TIMESTAMP, PgType::DATE) => Some(Self::Date { right: true }),
            _ if left == right => Self::of_one(left),
            _ => None,
        }
    }

    fn of_one(ty: PgType) -> Option<Self> {
        Some(match ty {
            PgType::BOOL
            | PgType::OID
            | PgType::DATE
            | PgType::TIME
            | PgType::TIMESTAMP
            | PgType::TIMESTAMPTZ => Self::Int,
            PgType::XID8 | PgType::PG_LSN => Self::Unsigned,
            PgType::NUMERIC => Self::Numeric,
            PgType::VARCHAR | PgType::UUID => Self::Text,
            PgType::CHAR => Self::Char,
            PgType::BPCHAR => Self::Padded,
            PgType::BYTEA => Self::Bytes,
            PgType::INTERVAL => Self::Interval,
            PgType::INET | PgType::CIDR => Self::Inet,
            PgType::JSONB => Self::Json,
            _ => {
                let array = |found: &&TypeInfo| found.is_array() && !found.is_vector();
                let element = info(ty).filter(array)?.elem;
                let order = Box::new(Self::of(element, element)?);
                Self::Array { element, order }
            }
        })
    }

    /// Compares two values that are not NULL.
    pub(super) fn compare(
        &self,
        left: &Value<'_>,
        right: &Value<'_>,
    ) -> Result<Ordering, EvaluationError> {
        let found = match (self, left, right) {
            (Self::Int, Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            (Self::Int, Value::Int(left), Value::Int(right)) => left.cmp(right),
            (Self::Unsigned, Value::Int(left), Value::Int(right)) => {
                left.cast_unsigned().cmp(&right.cast_unsigned())
            }
            (Self::Float, Value::Float(left), Value::Float(right)) => floats(*left, *right),
            (Self::Numeric, Value::Numeric(left), Value::Numeric(right)) => left.cmp(right),
            (Self::Bytes, Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
            (Self::Date { right: false }, Value::Int(date), Value::Int(timestamp)) => {
                start_of(*date).cmp(&i128::from(*timestamp))
            }
            (Self::Date { right: true }, Value::Int(timestamp), Value::Int(date)) => {
                i128::from(*timestamp).cmp(&start_of(*date))
            }
            (_, Value::Text(left), Value::Text(right)) => return self.texts(left, right),
            _ => return Err(misplaced("the operands of a comparison").into()),
        };
        Ok(found)
    }

    fn texts(&self, left: &str, right: &str) -> Result<Ordering, EvaluationError> {
        Ok(match self {
            Self::Text => left.cmp(right),
            Self::Char => char_compare(left, right),
            Self::Padded => unpadded(left).cmp(unpadded(right)),
            Self::Interval => interval_compare(left, right),
            Self::Inet => inet_compare(left, right),
            Self::Json => json(&Json::parse(left, true)?, &Json::parse(right, true)?, 0),
            Self::Array { element, order } => {
                let delim = info(*element).map_or(',', |found| found.delim);
                let left = parse_stored_array(left, delim)?;
                let right = parse_stored_array(right, delim)?;
                arrays(*element, order, &left, &right)?
            }
            Self::Int
            | Self::Unsigned
            | Self::Float
            | Self::Numeric
            | Self::Bytes
            | Self::Date { .. } => return Err(misplaced("the operands of a comparison").into()),
        })
    }
}

/// Without the blanks at the end.
pub(super) fn unpadded(text: &str) -> &str {
    text.trim_end_matches(' ')
}

fn floats(left: f64, right: f64) -> Ordering {
    let by_value = left.partial_cmp(&right);
    by_value.unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// The midnight at which a date begins, in microseconds, whether a timestamp reaches it or not.
fn start_of(date: i64) -> i128 {
    if is_infinite(date) {
        i128::from(date)
    } else {
        i128::from(date) * i128::from(DAY_US)
    }
}

/// By elements (NULL is above all), then by length, then by dimensions and bounds.
fn arrays(
    element: PgType,
    order: &Order,
    left: &Array,
    right: &Array,
) -> Result<Ordering, EvaluationError> {
    for pair in left.elements.iter().zip(&right.elements) {
        let found = match pair {
            (Some(left), Some(right)) => {
                order.compare(&Value::read(element, left)?, &Value::read(element, right)?)?
            }
            (left, right) => left.is_none().cmp(&right.is_none()),
        };
        if found.is_ne() {
            return Ok(found);
        }
    }
    let lengths = |array: &Array| -> Vec<usize> {
        array.dimensions.iter().map(|(length, _)| *length).collect()
    };
    let bounds =
        |array: &Array| -> Vec<i32> { array.dimensions.iter().map(|(_, bound)| *bound).collect() };
    let by_size = left.elements.len().cmp(&right.elements.len());
    Ok(by_size
        .then(left.dimensions.len().cmp(&right.dimensions.len()))
        .then_with(|| lengths(left).cmp(&lengths(right)))
        .then_with(|| bounds(left).cmp(&bounds(right))))
}

/// Objects are above arrays, and those above scalars; more members above fewer. An empty array by
/// itself is below all else.
fn json(left: &Json, right: &Json, depth: usize) -> Ordering {
    let rank = |value: &Json| match value {
        Json::Array(items) if items.is_empty() && depth == 0 => 0,
        Json::Null => 1,
        Json::String(_) => 2,
        Json::Number(_) => 3,
        Json::Bool(_) => 4,
        Json::Array(_) => 5,
        Json::Object(_) => 6,
    };
    match (left, right) {
        (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
        (Json::String(left), Json::String(right)) => left.cmp(right),
        (Json::Number(left), Json::Number(right)) => crate::datum::numeric_compare(left, right),
        (Json::Array(left), Json::Array(right)) => {
            let members = left.iter().zip(right);
            let different = members.map(|(left, right)| json(left, right, depth + 1));
            let by_size = left.len().cmp(&right.len());
            by_size.then_with(|| first(different))
        }
        (Json::Object(left), Json::Object(right)) => {
            let members = left.iter().zip(right);
            let different = members.map(|((left_key, left), (right_key, right))| {
                let by_key = left_key.cmp(right_key);
                by_key.then_with(|| json(left, right, depth + 1))
            });
            let by_size = left.len().cmp(&right.len());
            by_size.then_with(|| first(different))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// The first that is not equal.
fn first(mut orderings: impl Iterator<Item = Ordering>) -> Ordering {
    orderings
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datum::all_types;
    use crate::relations::is_compared;

    #[test]
    fn what_a_definition_lets_in_can_be_compared_and_nothing_else() {
        for found in all_types() {
            let ordered = Order::of(found.ty, found.ty).is_some();
            assert_eq!(ordered, is_compared(found.ty), "{}", found.name);
        }
    }
}
