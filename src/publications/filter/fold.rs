//! What of a filter has a value before any row: PostgreSQL computes that when it prepares the
//! filter, so an error in it ends the stream at the first change, whatever the row.

use crate::rows::Row;

use super::EvaluationError;
use super::expr::Expr;
use super::value::Value;

/// The same with literals for what reads no column.
pub(super) fn fold(expr: Expr) -> Result<Expr, EvaluationError> {
    match expr {
        Expr::Column { .. } | Expr::Literal(_) => Ok(expr),
        Expr::Logic { and, operands } => logic(and, operands),
        Expr::Not(operand) => computed(Expr::Not(boxed(*operand)?)),
        Expr::IsNull { operand, negated } => computed(Expr::IsNull {
            operand: boxed(*operand)?,
            negated,
        }),
        Expr::IsBool {
            operand,
            wanted,
            negated,
        } => computed(Expr::IsBool {
            operand: boxed(*operand)?,
            wanted,
            negated,
        }),
        Expr::IsDistinct { order, operands } => {
            let [left, right] = *operands;
            let operands = Box::new([fold(left)?, fold(right)?]);
            computed(Expr::IsDistinct { order, operands })
        }
        Expr::In {
            order,
            operand,
            items,
            negated,
        } => {
            let operand = boxed(*operand)?;
            let items = all(items)?;
            if is_null(&operand) {
                return Ok(Expr::Literal(Value::Null));
            }
            computed(Expr::In {
                order,
                operand,
                items,
                negated,
            })
        }
        Expr::Strict { operator, operands } => {
            let operands = all(operands)?;
            // Without a look at the others.
            if operands.iter().any(is_null) {
                return Ok(Expr::Literal(Value::Null));
            }
            computed(Expr::Strict { operator, operands })
        }
    }
}

fn boxed(expr: Expr) -> Result<Box<Expr>, EvaluationError> {
    fold(expr).map(Box::new)
}

fn all(exprs: Vec<Expr>) -> Result<Vec<Expr>, EvaluationError> {
    exprs.into_iter().map(fold).collect()
}

/// What decides alone ends the list: nobody looks at what stands behind it, or before.
fn logic(and: bool, operands: Vec<Expr>) -> Result<Expr, EvaluationError> {
    let mut kept = Vec::with_capacity(operands.len());
    let mut is_unknown = false;
    for operand in operands {
        let operand = fold(operand)?;
        let Expr::Literal(value) = operand else {
            kept.push(operand);
            continue;
        };
        match value.truth() {
            Some(value) if value != and => return Ok(Expr::Literal(Value::Bool(value))),
            Some(_) => {}
            None => is_unknown = true,
        }
    }
    let rest = Value::of_truth(if is_unknown { None } else { Some(and) });
    if kept.is_empty() {
        return Ok(Expr::Literal(rest));
    }
    if is_unknown {
        kept.push(Expr::Literal(rest));
    }
    Ok(Expr::Logic {
        and,
        operands: kept,
    })
}

/// Its value, where all of its operands are literals.
fn computed(expr: Expr) -> Result<Expr, EvaluationError> {
    let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(_));
    let is_constant = match &expr {
        Expr::Column { .. } | Expr::Literal(_) | Expr::Logic { .. } => false,
        Expr::Not(operand) | Expr::IsNull { operand, .. } | Expr::IsBool { operand, .. } => {
            is_literal(operand)
        }
        Expr::IsDistinct { operands, .. } => operands.iter().all(is_literal),
        Expr::In { operand, items, .. } => is_literal(operand) && items.iter().all(is_literal),
        Expr::Strict { operands, .. } => operands.iter().all(is_literal),
    };
    if !is_constant {
        return Ok(expr);
    }
    let row = Row::default();
    let value = expr.value(&row)?.into_owned();
    Ok(Expr::Literal(value))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Value::Null))
}
