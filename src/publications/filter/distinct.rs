//! Values of a type, each once: `1.0` and `1.00` are one numeric.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::datum::PgType;

use super::EvaluationError;
use super::order::Order;
use super::value::Value;

/// The first of each run of equal values of `ty`, which are as PostgreSQL prints them.
pub(crate) fn distinct(ty: PgType, values: Vec<String>) -> Result<Vec<String>, EvaluationError> {
    let mut known = BTreeSet::new();
    let mut values = values;
    values.retain(|value| known.insert(value.clone()));
    let Some(order) = Order::of(ty, ty).filter(|_| values.len() > 1) else {
        return Ok(values);
    };
    let mut read = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        read.push((place, Value::read(ty, value)?));
    }
    let mut failed = None;
    let mut compare = |left: &Value<'_>, right: &Value<'_>| {
        order.compare(left, right).unwrap_or_else(|error| {
            failed = Some(error);
            Ordering::Equal
        })
    };
    // Of equal ones the first stays the first.
    read.sort_by(|(_, left), (_, right)| compare(left, right));
    read.dedup_by(|(_, later), (_, first)| compare(later, first).is_eq());
    let places: BTreeSet<usize> = read.into_iter().map(|(place, _)| place).collect();
    if let Some(error) = failed {
        return Err(error);
    }
    let kept = values.into_iter().enumerate();
    Ok(kept
        .filter(|(place, _)| places.contains(place))
        .map(|(_, value)| value)
        .collect())
}
