//! Operators: choose the one that the operands' types mean, and write it.

use sqlparser::ast::{BinaryOperator, Expr, Spanned, UnaryOperator, Value};

use super::super::{Binder, Scope, Typed, unsupported};
use super::calls::internal_function;
use super::coerce::{Coercion, filled};
use super::operators::{self, How, Operator};
use super::resolve::{self, Choice};
use super::types;
use crate::datum::PgType;
use crate::pgerror::PgError;

/// An operator over its operands.
pub(super) struct Applied {
    /// The operands as the operator takes them.
    pub(super) left: Option<Typed>,
    pub(super) right: Typed,
    pub(super) result: PgType,
    /// All of it in SQLite's text.
    pub(super) sql: String,
    /// It is one of SQLite's own comparisons with this collation on the left.
    pub(super) native: Option<&'static str>,
    /// It is this function of the registry, perhaps negated.
    pub(super) function: Option<(u32, bool)>,
}

impl Applied {
    pub(super) fn typed(self) -> Typed {
        Typed::of(self.sql, self.result)
    }

    /// The left operand's text, with the collation of the comparison.
    pub(super) fn left_key(&self) -> String {
        let left = self.left.as_ref().map_or("NULL", Typed::text);
        keyed(left, self.native.unwrap_or_default())
    }
}

fn keyed(sql: &str, collation: &str) -> String {
    if collation.is_empty() {
        sql.to_owned()
    } else {
        format!("{sql} COLLATE {collation}")
    }
}

impl Binder<'_> {
    /// `left op right`
    pub(super) fn binary(
        &self,
        scope: &Scope<'_>,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Result<Typed, PgError> {
        let symbol = symbol_of(op)?;
        if let Some(compared) = self.compared_rows(scope, left, &symbol, right)? {
            return Ok(compared);
        }
        let one = self.expr(scope, left)?;
        let other = self.expr(scope, right)?;
        let applied = self.operator(&symbol, Some(one), other);
        Ok(applied
            .map_err(|error| self.at_operator(left, &symbol, right, error))?
            .typed())
    }

    /// `op operand`
    #[allow(clippy::wildcard_enum_match_arm)] // the others are of other databases
    pub(super) fn unary(
        &self,
        scope: &Scope<'_>,
        op: UnaryOperator,
        operand: &Expr,
    ) -> Result<Typed, PgError> {
        let symbol = match op {
            UnaryOperator::Not => {
                let operand = self.condition(scope, operand, "NOT")?;
                return Ok(Typed::of(format!("(NOT {operand})"), PgType::BOOL));
            }
            UnaryOperator::Plus => "+",
            UnaryOperator::Minus => "-",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            other => return Err(unsupported(&format!("operator {other}"))),
        };
        if let (UnaryOperator::Minus, Expr::Value(value)) = (op, operand)
            && let Value::Number(digits, false) = &value.value
        {
            // The sign belongs to the number: the least integer has no positive counterpart.
            return self.number(&format!("-{digits}"));
        }
        let value = self.expr(scope, operand)?;
        let applied = self.operator(symbol, None, value);
        Ok(applied
            .map_err(|error| self.at_prefix(symbol, operand, error))?
            .typed())
    }

    /// An expression that must be boolean; `what` names the construct: `WHERE`, `AND`, `CASE/WHEN`.
    pub(in crate::catalog) fn condition(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        what: &str,
    ) -> Result<String, PgError> {
        let value = self.expr(scope, e)?;
        let value = self.boolean(value, what);
        Ok(value
            .map_err(|error| self.at(e.span(), error))?
            .text()
            .to_owned())
    }

    /// `value`, which must be boolean.
    pub(super) fn boolean(&self, value: Typed, what: &str) -> Result<Typed, PgError> {
        if value.ty != PgType::BOOL && !value.is_unknown() {
            let message = format!(
                "argument of {what} must be type boolean, not type {}",
                types::display(value.ty)
            );
            return Err(PgError::error("42804", message));
        }
        self.coerce(value, PgType::BOOL, Coercion::Implicit)
    }

    /// A chain of AND or OR, however long.
    pub(super) fn logic(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        op: &BinaryOperator,
    ) -> Result<Typed, PgError> {
        let word = if *op == BinaryOperator::And {
            "AND"
        } else {
            "OR"
        };
        let mut terms = Vec::new();
        let mut rest = e;
        while let Expr::BinaryOp {
            left,
            op: inner,
            right,
        } = rest
            && inner == op
        {
            terms.push(right.as_ref());
            rest = left;
        }
        terms.push(rest);
        terms.reverse();
        let mut texts = Vec::with_capacity(terms.len());
        for term in terms {
            texts.push(self.condition(scope, term, word)?);
        }
        Ok(Typed::of(
            format!("({})", balanced(&texts, word)),
            PgType::BOOL,
        ))
    }

    /// The operator `symbol` over operands.
    pub(super) fn operator(
        &self,
        symbol: &str,
        left: Option<Typed>,
        right: Typed,
    ) -> Result<Applied, PgError> {
        if let Some(one) = &left
            && let Some(applied) = self.array_operator(symbol, one, &right)?
        {
            return Ok(applied);
        }
        let operator = chosen(symbol, left.as_ref().map(|one| one.ty), right.ty)?;
        let left = match (left, operator.left) {
            (Some(value), Some(ty)) => Some(self.operand(value, ty)?),
            (_, _) => None,
        };
        let right = self.operand(right, operator.right)?;
        self.write(symbol, operator, left, right)
    }

    /// An operand as the operator wants it: "any" type of `||` is cast to text.
    fn operand(&self, value: Typed, ty: PgType) -> Result<Typed, PgError> {
        if ty == PgType::ANYNONARRAY {
            return self.coerce(value, PgType::TEXT, Coercion::Explicit);
        }
        self.coerce(value, ty, Coercion::Implicit)
    }

    fn write(
        &self,
        symbol: &str,
        operator: &Operator,
        left: Option<Typed>,
        right: Typed,
    ) -> Result<Applied, PgError> {
        let mut args: Vec<&str> = left.iter().map(Typed::text).collect();
        args.push(right.text());
        let types: Vec<PgType> = left.iter().map(|one| one.ty).chain([right.ty]).collect();
        let mut native = None;
        let mut function = None;
        let sql = match operator.how {
            How::Compare(collation) => {
                native = Some(collation);
                let key = keyed(left.as_ref().map_or("NULL", Typed::text), collation);
                format!("({key} {symbol} {})", right.text())
            }
            How::Template(template) => filled(template, &args),
            How::Call(name) => {
                function = Some((internal_function(name, &types)?.oid, false));
                self.internal(name, &types, &args)?
            }
            How::NotCall(name) => {
                function = Some((internal_function(name, &types)?.oid, true));
                format!("(NOT {})", self.internal(name, &types, &args)?)
            }
        };
        Ok(Applied {
            left,
            right,
            result: operator.result,
            sql,
            native,
            function,
        })
    }

    /// Text by which SQLite orders, groups and compares `value`; 0A000 for a type that it cannot.
    pub(in crate::catalog) fn sort_key(&self, value: &Typed) -> Result<String, PgError> {
        if types::element_of(value.ty).is_some() {
            let order = types::array_order(value.ty).ok_or_else(|| {
                unsupported(&format!("ordering by type {}", types::display(value.ty)))
            })?;
            return Ok(keyed(value.text(), order.collation()));
        }
        if value.is_unknown() {
            return Ok(value.text().to_owned());
        }
        let collation = operators::collation(value.ty).ok_or_else(|| {
            let message = format!(
                "could not identify an ordering operator for type {}",
                types::display(value.ty)
            );
            PgError::error("42883", message)
                .with_hint("Use an explicit ordering operator or modify the query.")
        })?;
        Ok(keyed(value.text(), collation))
    }
}

/// A chain as a tree of little depth: SQLite's expressions may not be deep.
fn balanced(texts: &[String], word: &str) -> String {
    match texts {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} {word} {other}"),
        _ => {
            let (low, high) = texts.split_at(texts.len() / 2);
            format!(
                "({}) {word} ({})",
                balanced(low, word),
                balanced(high, word)
            )
        }
    }
}

fn chosen(symbol: &str, left: Option<PgType>, right: PgType) -> Result<&'static Operator, PgError> {
    let candidates: Vec<&Operator> = operators::named(symbol)
        .iter()
        .filter(|operator| operator.left.is_some() == left.is_some())
        .collect();
    // An untyped literal is first taken to have the other operand's type.
    let same = match (left, right) {
        (Some(PgType::UNKNOWN), known) | (Some(known), PgType::UNKNOWN) => Some((known, known)),
        (Some(one), other) => Some((one, other)),
        (None, _) => None,
    };
    if let Some((one, other)) = same
        && let Some(exact) = candidates
            .iter()
            .find(|operator| operator.left == Some(one) && operator.right == other)
    {
        return Ok(exact);
    }
    let signatures: Vec<Vec<PgType>> = candidates
        .iter()
        .map(|operator| operator.left.into_iter().chain([operator.right]).collect())
        .collect();
    let actual: Vec<PgType> = left.into_iter().chain([right]).collect();
    let described = || match left {
        Some(left) => format!(
            "{} {symbol} {}",
            types::display(left),
            types::display(right)
        ),
        None => format!("{symbol} {}", types::display(right)),
    };
    match resolve::choose(&signatures, &actual) {
        Choice::One(index) => candidates
            .get(index)
            .copied()
            .ok_or_else(|| unsupported(&format!("operator {symbol}"))),
        Choice::None => {
            let hint = if left.is_some() {
                "No operator matches the given name and argument types. \
                 You might need to add explicit type casts."
            } else {
                "No operator matches the given name and argument type. \
                 You might need to add an explicit type cast."
            };
            let message = format!("operator does not exist: {}", described());
            Err(PgError::error("42883", message).with_hint(hint))
        }
        Choice::Ambiguous => {
            let message = format!("operator is not unique: {}", described());
            Err(PgError::error("42725", message).with_hint(
                "Could not choose a best candidate operator. \
                 You might need to add explicit type casts.",
            ))
        }
    }
}

/// The operator's own symbol: `OPERATOR(pg_catalog.~)` is `~`.
pub(super) fn symbol_of(op: &BinaryOperator) -> Result<String, PgError> {
    if let BinaryOperator::PGCustomBinaryOperator(parts) = op {
        return match parts.as_slice() {
            [symbol] => Ok(normal(symbol)),
            [schema, symbol] if schema.eq_ignore_ascii_case("pg_catalog") => Ok(normal(symbol)),
            _ => {
                let message = format!("operator does not exist: {}", parts.join("."));
                Err(PgError::error("42883", message))
            }
        };
    }
    if matches!(op, BinaryOperator::PGBitwiseXor) {
        return Ok("#".to_owned());
    }
    Ok(normal(&op.to_string()))
}

fn normal(symbol: &str) -> String {
    if symbol == "!=" {
        "<>".to_owned()
    } else {
        symbol.to_owned()
    }
}
