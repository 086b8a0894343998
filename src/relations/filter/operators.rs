//! Which operators there are, and the casts that PostgreSQL puts before their operands.

use crate::datum::{PgType, format_type, info};
use crate::patterns::{self, Flags, PatternError};

use super::FilterError;
use super::bind::{Bound, Form, condition, joined, unsupported};

/// An operator with its operands as it takes them.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    sign: String,
    left: Option<Bound>,
    right: Bound,
    result: PgType,
    position: u32,
}

impl Resolved {
    pub(super) fn form(&self) -> Form {
        let left = self.left.as_ref().map_or(Form::Constant, |left| left.form);
        joined(left, self.right.form)
    }

    pub(super) fn print_with(&self, sign: &str) -> String {
        match &self.left {
            Some(left) => format!("({} {sign} {})", left.text, self.right.text),
            None => format!("({sign} {})", self.right.text),
        }
    }

    pub(super) fn print(self) -> Bound {
        let text = self.print_with(&self.sign);
        Bound {
            ty: self.result,
            ..condition(text, self.form(), self.position)
        }
    }

    /// The operands, cast.
    pub(super) fn operands(self) -> (Option<Bound>, Bound) {
        (self.left, self.right)
    }
}

/// Finds the operator `sign` for its operands.
pub(super) fn resolve(
    sign: &str,
    left: Option<Bound>,
    right: Bound,
    position: u32,
) -> Result<Resolved, FilterError> {
    let Some(left) = left else {
        return prefix(sign, right, position);
    };
    let types = assumed(sign, &left, &right);
    check_pattern(sign, &right)?;
    let found = match sign {
        "=" | "<>" | "<" | "<=" | ">" | ">=" => compared(types, position)?,
        "+" | "-" | "*" | "/" | "%" => {
            let untyped = left.is_untyped() || right.is_untyped();
            if untyped && !PgType::NUMBERS.contains(&types.0) {
                // PostgreSQL may take the string for an interval.
                return Err(unsupported(format!("{sign} with a string"), position));
            }
            computed(sign, types, position)?
        }
        "~~" | "!~~" | "~~*" | "!~~*" | "~" | "!~" | "~*" | "!~*" => matched(types),
        "||" => concatenated(types, position)?,
        other => return Err(unsupported(format!("operator {other}"), position)),
    };
    let Some((left_type, right_type, result)) = found else {
        return Err(no_operator(sign, Some(&left), &right, position));
    };
    Ok(Resolved {
        sign: sign.to_owned(),
        left: Some(left.cast(left_type)?),
        right: right.cast(right_type)?,
        result,
        position,
    })
}

/// Types of the operands: a literal without one gets the other side's, or text where neither has
/// one or the operator is one of texts.
fn assumed(sign: &str, left: &Bound, right: &Bound) -> (PgType, PgType) {
    let of_texts = sign.contains('~');
    let assume = |ours: &Bound, other: &Bound| match (ours.ty, other.ty) {
        (PgType::UNKNOWN, PgType::UNKNOWN | PgType::VARCHAR) => PgType::TEXT,
        (PgType::UNKNOWN, _) if of_texts => PgType::TEXT,
        (PgType::UNKNOWN, theirs) => theirs,
        (ours, _) => ours,
    };
    (assume(left, right), assume(right, left))
}

/// Types of the operands, and of the result.
type Operation = Option<(PgType, PgType, PgType)>;

fn compared((left, right): (PgType, PgType), position: u32) -> Result<Operation, FilterError> {
    let as_they_are = |left, right| Some((left, right, PgType::BOOL));
    if left == right {
        let ty = match left {
            PgType::VARCHAR => PgType::TEXT,
            other => other,
        };
        // Those that an index can keep in order can be compared.
        if !crate::relations::keys::has_order(ty) {
            return Ok(None);
        }
        if !is_compared(ty) {
            let what = format!("a comparison of values of type {}", format_type(ty, -1));
            return Err(unsupported(what, position));
        }
        return Ok(as_they_are(ty, ty));
    }
    if let Some((left, right)) = numeric_pair(left, right) {
        return Ok(as_they_are(left, right));
    }
    if let Some((left, right)) = string_pair(left, right) {
        return Ok(as_they_are(left, right));
    }
    Ok(match (left, right) {
        (PgType::OID, other) | (other, PgType::OID) if PgType::INTEGERS.contains(&other) => {
            as_they_are(PgType::OID, PgType::OID)
        }
        (PgType::DATE, PgType::TIMESTAMP) | (PgType::TIMESTAMP, PgType::DATE) => {
            as_they_are(left, right)
        }
        (PgType::TIMESTAMPTZ, PgType::DATE | PgType::TIMESTAMP)
        | (PgType::DATE | PgType::TIMESTAMP, PgType::TIMESTAMPTZ) => {
            return Err(FilterError::Mutable { position });
        }
        _ => None,
    })
}

/// What two kinds of number become to be compared or computed with.
fn numeric_pair(left: PgType, right: PgType) -> Option<(PgType, PgType)> {
    let rank = |ty: PgType| PgType::NUMBERS.iter().position(|number| *number == ty);
    let (left_rank, right_rank) = (rank(left)?, rank(right)?);
    let is_float = |ty| matches!(ty, PgType::FLOAT4 | PgType::FLOAT8);
    let both = |test: fn(PgType) -> bool| test(left) && test(right);
    if both(|ty| PgType::INTEGERS.contains(&ty)) || both(is_float) || left == right {
        return Some((left, right));
    }
    // A float beside another number stays, and the other becomes a float8.
    let widened = |ty| if is_float(ty) { ty } else { PgType::FLOAT8 };
    if is_float(left) || is_float(right) {
        return Some((widened(left), widened(right)));
    }
    debug_assert_ne!(left_rank, right_rank);
    Some((PgType::NUMERIC, PgType::NUMERIC))
}

/// What two kinds of string become to be compared.
fn string_pair(left: PgType, right: PgType) -> Option<(PgType, PgType)> {
    if !PgType::STRINGS.contains(&left) || !PgType::STRINGS.contains(&right) {
        return None;
    }
    // A varchar becomes what the other is; a bpchar stays only beside one of those.
    let padded = |ty| matches!(ty, PgType::BPCHAR | PgType::VARCHAR);
    if padded(left) && padded(right) {
        let ty = if left == right {
            PgType::TEXT
        } else {
            PgType::BPCHAR
        };
        return Some((ty, ty));
    }
    let as_text = |ty| if ty == PgType::NAME { ty } else { PgType::TEXT };
    Some((as_text(left), as_text(right)))
}

fn computed(
    sign: &str,
    (left, right): (PgType, PgType),
    position: u32,
) -> Result<Operation, FilterError> {
    let Some((left, right)) = numeric_pair(left, right) else {
        return Ok(match (left, sign, right) {
            (PgType::DATE, "+" | "-", PgType::INT4) => Some((left, right, PgType::DATE)),
            (PgType::INT4, "+", PgType::DATE) => Some((left, right, PgType::DATE)),
            (PgType::DATE, "-", PgType::DATE) => Some((left, right, PgType::INT4)),
            _ if is_known(left) && is_known(right) => {
                let names = (format_type(left, -1), format_type(right, -1));
                let what = format!("{} {sign} {}", names.0, names.1);
                return Err(unsupported(what, position));
            }
            _ => None,
        });
    };
    let rank = |ty: PgType| PgType::NUMBERS.iter().position(|number| *number == ty);
    let widest = if rank(left) < rank(right) {
        right
    } else {
        left
    };
    if sign != "%" {
        return Ok(Some((left, right, widest)));
    }
    let whole = !matches!(widest, PgType::FLOAT4 | PgType::FLOAT8);
    Ok(Some((widest, widest, widest)).filter(|_| whole))
}

/// Whether a filter can compare two values of `ty`, which can be kept in order.
pub(crate) fn is_compared(ty: PgType) -> bool {
    const COMPARED: &[PgType] = &[
        PgType::BOOL,
        PgType::BYTEA,
        PgType::CHAR,
        PgType::NAME,
        PgType::INT8,
        PgType::INT2,
        PgType::INT4,
        PgType::TEXT,
        PgType::OID,
        PgType::FLOAT4,
        PgType::FLOAT8,
        PgType::INET,
        PgType::CIDR,
        PgType::BPCHAR,
        PgType::VARCHAR,
        PgType::DATE,
        PgType::TIME,
        PgType::TIMESTAMP,
        PgType::TIMESTAMPTZ,
        PgType::INTERVAL,
        PgType::NUMERIC,
        PgType::UUID,
        PgType::PG_LSN,
        PgType::JSONB,
        PgType::XID8,
    ];
    match info(ty) {
        Some(found) if found.is_array() && !found.is_vector() => is_compared(found.elem),
        Some(_) | None => COMPARED.contains(&ty),
    }
}

fn is_known(ty: PgType) -> bool {
    info(ty).is_some()
}

/// LIKE and regular expressions.
fn matched((left, right): (PgType, PgType)) -> Operation {
    let subject = match left {
        PgType::VARCHAR => PgType::TEXT,
        other => other,
    };
    let fits = PgType::STRINGS.contains(&left) && PgType::STRINGS.contains(&right);
    fits.then_some((subject, PgType::TEXT, PgType::BOOL))
}

/// Refuses a regular expression that cannot be evaluated here. What is none anywhere is an error
/// when a row is filtered, as in PostgreSQL.
fn check_pattern(sign: &str, pattern: &Bound) -> Result<(), FilterError> {
    let is_regex = matches!(sign, "~" | "!~" | "~*" | "!~*");
    if !is_regex || pattern.form != Form::UntypedText {
        return Ok(());
    }
    let flags = Flags::parse(if sign.ends_with('*') { "i" } else { "" });
    let source = flags.and_then(|flags| patterns::expression(&pattern.text, &flags));
    match source.and_then(|source| patterns::compile(&source)) {
        Err(error @ PatternError::Unsupported(_)) => {
            let what = error.to_string().replace(" is not supported", "");
            Err(unsupported(what, pattern.position))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn concatenated((left, right): (PgType, PgType), position: u32) -> Result<Operation, FilterError> {
    if PgType::STRINGS.contains(&left) && PgType::STRINGS.contains(&right) {
        return Ok(Some((PgType::TEXT, PgType::TEXT, PgType::TEXT)));
    }
    match (left, right) {
        (PgType::BYTEA, PgType::BYTEA) => Ok(Some((left, right, left))),
        // With anything else beside text it depends on settings how that is printed.
        (PgType::TEXT, _) | (_, PgType::TEXT) => Err(FilterError::Mutable { position }),
        _ => Err(unsupported("operator ||", position)),
    }
}

fn prefix(sign: &str, operand: Bound, position: u32) -> Result<Resolved, FilterError> {
    if operand.is_untyped() {
        return Err(unsupported(format!("{sign} before a string"), position));
    }
    if !matches!(sign, "-" | "+") {
        return Err(unsupported(format!("operator {sign}"), position));
    }
    if !PgType::NUMBERS.contains(&operand.ty) {
        return Err(no_operator(sign, None, &operand, position));
    }
    Ok(Resolved {
        sign: sign.to_owned(),
        left: None,
        result: operand.ty,
        right: operand,
        position,
    })
}

fn no_operator(sign: &str, left: Option<&Bound>, right: &Bound, position: u32) -> FilterError {
    let right = format_type(right.ty, -1);
    let signature = match left {
        Some(left) => format!("{} {sign} {right}", format_type(left.ty, -1)),
        None => format!("{sign} {right}"),
    };
    FilterError::NoOperator {
        signature,
        position,
    }
}
