//! `x IN (a, b)`: an array of what reads no column, and a comparison for each of the rest.

use crate::datum::PgType;

use super::FilterError;
use super::bind::{Bound, Form, condition, joined, unsupported};
use super::operators;

pub(super) fn bind(
    operand: &Bound,
    list: Vec<Bound>,
    negated: bool,
    position: u32,
) -> Result<Bound, FilterError> {
    let constants = list
        .iter()
        .filter(|item| item.form != Form::Variable)
        .count();
    let (in_array, single): (Vec<Bound>, Vec<Bound>) = if constants > 1 {
        list.into_iter()
            .partition(|item| item.form != Form::Variable)
    } else {
        (Vec::new(), list)
    };
    let (sign, word) = if negated { ("<>", "AND") } else { ("=", "OR") };
    let mut found: Option<Bound> = None;
    if !in_array.is_empty() {
        found = Some(array(operand, in_array, negated, position)?);
    }
    for item in single {
        let next = operators::resolve(sign, Some(operand.clone()), item, position)?.print();
        found = Some(match found {
            None => next,
            Some(before) => {
                let text = format!("({} {word} {})", before.text, next.text);
                condition(text, joined(before.form, next.form), position)
            }
        });
    }
    found.ok_or_else(|| unsupported("an empty list", position))
}

/// `(x = ANY (ARRAY[a, b]))`
fn array(
    operand: &Bound,
    items: Vec<Bound>,
    negated: bool,
    position: u32,
) -> Result<Bound, FilterError> {
    let ty = common_type(operand, &items, position)?;
    if ty == PgType::VARCHAR {
        // PostgreSQL casts the whole array then, which it does not allow in a filter.
        let position = operand.position;
        return Err(FilterError::NotSimple { position });
    }
    let mut texts = Vec::with_capacity(items.len());
    let mut sample = None;
    for item in items {
        let item = item.cast(ty)?;
        texts.push(item.text.clone());
        sample.get_or_insert(item);
    }
    let sample = sample.ok_or_else(|| unsupported("an empty list", position))?;
    let (left, right) =
        operators::resolve("=", Some(operand.clone()), sample, position)?.operands();
    if right.ty != ty {
        return Err(unsupported("a list of another type", position));
    }
    let left = left.ok_or_else(|| unsupported("an empty list", position))?;
    let sign = if negated { "<> ALL" } else { "= ANY" };
    let text = format!("({} {sign} (ARRAY[{}]))", left.text, texts.join(", "));
    Ok(condition(text, left.form, position))
}

/// The type that the operand and all items can have.
fn common_type(operand: &Bound, items: &[Bound], position: u32) -> Result<PgType, FilterError> {
    let rank = |ty: PgType| PgType::NUMBERS.iter().position(|number| *number == ty);
    let mut common = operand.ty;
    for item in items {
        let (ours, theirs) = (common, item.ty);
        common = match (rank(ours), rank(theirs)) {
            _ if theirs == PgType::UNKNOWN || theirs == ours => ours,
            _ if ours == PgType::UNKNOWN => theirs,
            (Some(our_rank), Some(their_rank)) if our_rank >= their_rank => ours,
            (Some(_), Some(_)) => theirs,
            (None, Some(0..=2)) if ours == PgType::OID => ours,
            _ => return Err(unsupported("a list of several types", position)),
        };
    }
    Ok(match common {
        PgType::UNKNOWN => PgType::TEXT,
        known => known,
    })
}
