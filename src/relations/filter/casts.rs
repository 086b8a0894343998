//! Casts that a filter writes out.

use crate::datum::{PgType, format_type};

use super::FilterError;
use super::bind::{Bound, unsupported};

/// How one type becomes another.
enum Way {
    /// By a function that depends on nothing else, or without doing anything.
    Allowed,
    /// Through text, which is not allowed in a filter.
    Text,
    /// By a function that depends on settings.
    Mutable,
    None,
}

/// `operand::target`
pub(super) fn explicit(
    operand: Bound,
    target: PgType,
    typmod: i32,
    position: u32,
) -> Result<Bound, FilterError> {
    if typmod != -1 {
        let name = format_type(target, typmod);
        return Err(unsupported(format!("a cast to {name}"), position));
    }
    if operand.is_untyped() || operand.ty == target {
        return operand.cast(target);
    }
    // A cast to a longer name is taken apart from the left: PostgreSQL points at the operand.
    let position = operand.position;
    match way(operand.ty, target) {
        Way::Allowed => operand.cast(target),
        Way::Text => Err(FilterError::NotSimple { position }),
        Way::Mutable => Err(FilterError::Mutable { position }),
        Way::None => Err(FilterError::NoCast {
            from: format_type(operand.ty, -1),
            to: format_type(target, -1),
            position,
        }),
    }
}

fn way(from: PgType, to: PgType) -> Way {
    let both = |types: &[PgType]| types.contains(&from) && types.contains(&to);
    if both(PgType::NUMBERS) || both(PgType::STRINGS) {
        return Way::Allowed;
    }
    match (from, to) {
        (PgType::BOOL, PgType::INT4) | (PgType::INT4, PgType::BOOL) => Way::Allowed,
        (PgType::BOOL, text) if PgType::STRINGS.contains(&text) && text != PgType::NAME => {
            Way::Allowed
        }
        (PgType::INT2 | PgType::INT4 | PgType::INT8, PgType::OID)
        | (PgType::OID, PgType::INT4 | PgType::INT8) => Way::Allowed,
        (PgType::DATE, PgType::TIMESTAMP) | (PgType::TIMESTAMP, PgType::DATE | PgType::TIME) => {
            Way::Allowed
        }
        (PgType::TIMESTAMPTZ, PgType::DATE | PgType::TIMESTAMP | PgType::TIME)
        | (PgType::DATE | PgType::TIMESTAMP, PgType::TIMESTAMPTZ) => Way::Mutable,
        (PgType::JSON, PgType::JSONB) | (PgType::JSONB, PgType::JSON) => Way::Text,
        (_, text) | (text, _) if PgType::STRINGS.contains(&text) => Way::Text,
        _ => Way::None,
    }
}
