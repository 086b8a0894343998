//! Where in the statement's text an error points to, for what the syntax tree keeps no place of.

use sqlparser::ast::{Expr, Spanned};

use super::super::{Binder, Typed};
use super::types;
use crate::datum::PgType;
use crate::pgerror::PgError;

impl Binder<'_> {
    /// `error` at the operator between two operands, or at the literal that does not parse.
    pub(super) fn at_operator(
        &self,
        left: &Expr,
        symbol: &str,
        right: &Expr,
        error: PgError,
    ) -> PgError {
        if error.code().starts_with("22") {
            // Of two operands it is the untyped one.
            let literal = if is_literal(right) { right } else { left };
            return self.at(literal.span(), error);
        }
        let symbol = symbol.to_ascii_lowercase();
        let place = self
            .lines
            .find_last(Some(left.span().end), right.span().start, &symbol);
        match place {
            Some(position) => error.at(position),
            None => self.at(left.span(), error),
        }
    }

    /// `error` at what stands in front of `operand`.
    pub(in crate::catalog) fn at_prefix(
        &self,
        symbol: &str,
        operand: &Expr,
        error: PgError,
    ) -> PgError {
        match self.lines.find_last(None, operand.span().start, symbol) {
            Some(position) => error.at(position),
            None => self.at(operand.span(), error),
        }
    }

    /// `error` at the word behind `e`.
    pub(super) fn at_word_behind(&self, e: &Expr, word: &str, error: PgError) -> PgError {
        match self.lines.find_first(e.span().end, word) {
            Some(position) => error.at(position),
            None => self.at(e.span(), error),
        }
    }

    /// `error` at the name of the type that `e` is cast to.
    pub(super) fn at_cast_type(&self, e: &Expr, word: &str, error: PgError) -> PgError {
        let length = u32::try_from(word.len()).unwrap_or(0);
        let behind = self.lines.find_first(e.span().end, word);
        let place = behind.and_then(|at| self.lines.not_blank(at.saturating_add(length)));
        match place {
            Some(position) => error.at(position),
            None => self.at(e.span(), error),
        }
    }

    /// Values of one type, with errors where the value stands that does not fit.
    pub(super) fn unify_at(
        &self,
        what: &str,
        values: Vec<Typed>,
        exprs: &[Option<&Expr>],
    ) -> Result<(PgType, Vec<Typed>), PgError> {
        let known: Vec<PgType> = values.iter().map(|value| value.ty).collect();
        let ty = self
            .common_type(what, known.iter().copied())
            .map_err(|error| {
                let fits = |end: usize| {
                    let some = known.iter().copied().take(end);
                    self.common_type(what, some).is_ok()
                };
                let wrong = (0..known.len()).find(|index| !fits(index.saturating_add(1)));
                self.at_value(exprs, wrong, error)
            })?;
        let mut unified = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let from = value.ty;
            let value = self
                .coerce(value, ty, super::Coercion::Implicit)
                .map_err(|error| {
                    let error = if error.code() == "42846" {
                        let message = format!(
                            "{what} could not convert type {} to {}",
                            types::display(from),
                            types::display(ty)
                        );
                        PgError::error("42846", message)
                    } else {
                        error
                    };
                    self.at_value(exprs, Some(index), error)
                })?;
            unified.push(value);
        }
        Ok((ty, unified))
    }

    fn at_value(&self, exprs: &[Option<&Expr>], index: Option<usize>, error: PgError) -> PgError {
        match index.and_then(|index| exprs.get(index)).copied().flatten() {
            Some(e) => self.at(e.span(), error),
            None => error,
        }
    }
}

/// Whether it is a literal without a type.
fn is_literal(e: &Expr) -> bool {
    if let Expr::Nested(inner) = e {
        return is_literal(inner);
    }
    let Expr::Value(value) = e else {
        return false;
    };
    matches!(
        value.value,
        sqlparser::ast::Value::SingleQuotedString(_)
            | sqlparser::ast::Value::EscapedStringLiteral(_)
    )
}
