//! A filter as a tree, and its value for a row.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::datum::PgType;
use crate::rows::{Cell, Row};

use super::EvaluationError;
use super::arithmetic::{self, Sign};
use super::cast;
use super::order::Order;
use super::pattern::Matcher;
use super::value::{Value, misplaced};

/// A part of a filter.
#[derive(Debug)]
pub(super) enum Expr {
    /// The column at a place among those that are not dropped.
    Column {
        place: usize,
        ty: PgType,
    },
    Literal(Value<'static>),
    /// AND, OR
    Logic {
        and: bool,
        operands: Vec<Self>,
    },
    Not(Box<Self>),
    IsNull {
        operand: Box<Self>,
        negated: bool,
    },
    /// IS [NOT] TRUE, FALSE or UNKNOWN (`None`).
    IsBool {
        operand: Box<Self>,
        wanted: Option<bool>,
        negated: bool,
    },
    IsDistinct {
        order: Order,
        operands: Box<[Self; 2]>,
    },
    /// `= ANY (ARRAY[...])`, or `<> ALL (ARRAY[...])`.
    In {
        order: Order,
        operand: Box<Self>,
        items: Vec<Self>,
        negated: bool,
    },
    /// An operator, of which any NULL makes NULL.
    Strict {
        operator: Operator,
        operands: Vec<Self>,
    },
}

/// An operator, of which any NULL makes NULL.
#[derive(Debug)]
pub(super) enum Operator {
    Compare {
        order: Order,
        test: Test,
    },
    Compute {
        sign: Sign,
        ty: PgType,
        is_date: (bool, bool),
    },
    /// `- x`
    Negate(PgType),
    /// `+ x`
    Keep,
    Concatenate,
    Match(Matcher),
    Cast {
        from: PgType,
        to: PgType,
    },
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Test {
    pub(super) fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Expr {
    /// Its value for `row`.
    pub(super) fn value<'v>(&'v self, row: &'v Row) -> Result<Value<'v>, EvaluationError> {
        match self {
            Self::Column { place, ty } => Ok(match row.cell(*place) {
                // What an update left as it was and nobody told is not known.
                Cell::Null | Cell::Unchanged => Value::Null,
                Cell::Text(text) => Value::read(*ty, text)?,
            }),
            Self::Literal(value) => Ok(value.by_ref()),
            Self::Strict { operator, operands } => {
                let mut values = operands.iter().map(|operand| operand.value(row));
                let Some(first) = values.next().transpose()? else {
                    return Ok(Value::Null);
                };
                operator.apply(first, values.next().transpose()?)
            }
            Self::Logic { .. }
            | Self::Not(_)
            | Self::IsNull { .. }
            | Self::IsBool { .. }
            | Self::IsDistinct { .. }
            | Self::In { .. } => self.truth(row).map(Value::of_truth),
        }
    }

    /// Its truth for `row`; `None` is unknown.
    pub(super) fn truth(&self, row: &Row) -> Result<Option<bool>, EvaluationError> {
        match self {
            Self::Logic { and, operands } => {
                let mut found = Some(*and);
                for operand in operands {
                    match operand.truth(row)? {
                        Some(value) if value != *and => return Ok(Some(value)),
                        Some(_) => {}
                        None => found = None,
                    }
                }
                Ok(found)
            }
            Self::Not(operand) => Ok(operand.truth(row)?.map(|value| !value)),
            Self::IsNull { operand, negated } => {
                // A column's value needs not be one that can be read.
                let is_null = if let Self::Column { place, .. } = operand.as_ref() {
                    !matches!(row.cell(*place), Cell::Text(_))
                } else {
                    operand.value(row)?.is_null()
                };
                Ok(Some(is_null != *negated))
            }
            Self::IsBool {
                operand,
                wanted,
                negated,
            } => Ok(Some((operand.truth(row)? == *wanted) != *negated)),
            Self::IsDistinct { order, operands } => {
                let [left, right] = operands.as_ref();
                let (left, right) = (left.value(row)?, right.value(row)?);
                if left.is_null() || right.is_null() {
                    return Ok(Some(left.is_null() != right.is_null()));
                }
                Ok(Some(order.compare(&left, &right)?.is_ne()))
            }
            Self::In {
                order,
                operand,
                items,
                negated,
            } => {
                let found = contains(order, operand, items, row)?;
                Ok(found.map(|found| found != *negated))
            }
            Self::Column { .. } | Self::Literal(_) | Self::Strict { .. } => {
                Ok(self.value(row)?.truth())
            }
        }
    }
}

/// Whether one of `items` is equal to `operand`.
fn contains(
    order: &Order,
    operand: &Expr,
    items: &[Expr],
    row: &Row,
) -> Result<Option<bool>, EvaluationError> {
    let value = operand.value(row)?;
    let items: Result<Vec<_>, _> = items.iter().map(|item| item.value(row)).collect();
    let items = items?;
    if value.is_null() {
        return Ok(None);
    }
    let mut found = Some(false);
    for item in &items {
        if item.is_null() {
            found = None;
        } else if order.compare(&value, item)?.is_eq() {
            return Ok(Some(true));
        }
    }
    Ok(found)
}

impl Operator {
    fn apply<'v>(
        &self,
        left: Value<'v>,
        right: Option<Value<'v>>,
    ) -> Result<Value<'v>, EvaluationError> {
        if left.is_null() || right.as_ref().is_some_and(Value::is_null) {
            return Ok(Value::Null);
        }
        let Some(right) = right else {
            return match self {
                Self::Negate(ty) => arithmetic::negate(*ty, &left),
                Self::Keep => Ok(left),
                Self::Cast { from, to } => cast::cast(left, *from, *to),
                Self::Compare { .. }
                | Self::Compute { .. }
                | Self::Concatenate
                | Self::Match(_) => Err(misplaced("the operand of an operator").into()),
            };
        };
        match self {
            Self::Compare { order, test } => {
                Ok(Value::Bool(test.holds(order.compare(&left, &right)?)))
            }
            Self::Compute { sign, ty, is_date } => {
                arithmetic::compute(*sign, *ty, &left, &right, *is_date)
            }
            Self::Concatenate => concatenated(left, &right),
            Self::Match(matcher) => match (&left, &right) {
                (Value::Text(text), Value::Text(pattern)) => {
                    Ok(Value::Bool(matcher.matches(text, pattern)?))
                }
                _ => Err(misplaced("the operands of a match").into()),
            },
            Self::Negate(_) | Self::Keep | Self::Cast { .. } => {
                Err(misplaced("the operand of an operator").into())
            }
        }
    }
}

fn concatenated<'v>(left: Value<'v>, right: &Value<'v>) -> Result<Value<'v>, EvaluationError> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            let mut left = left.into_owned();
            left.push_str(right);
            Ok(Value::Text(Cow::Owned(left)))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            let mut left = left.into_owned();
            left.extend_from_slice(right);
            Ok(Value::Bytes(Cow::Owned(left)))
        }
        _ => Err(misplaced("the operands of ||").into()),
    }
}
