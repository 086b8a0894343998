//! Bind expressions: PostgreSQL's syntax tree becomes SQLite's text with a type.
//!
//! Every text that comes out of here stands for itself inside of any other (a name, a literal, a
//! call, or something in parentheses).

mod aggregates;
mod apply;
mod arguments;
mod arrays;
mod calls;
mod casts;
mod coerce;
mod compare;
mod constants;
mod heading;
mod operators;
mod places;
mod resolve;
pub(in crate::catalog) mod runtime;
mod signatures;
mod special;
pub(in crate::catalog) mod types;
mod windows;

#[cfg(test)]
mod tests;

use sqlparser::ast::{BinaryOperator, Expr, Spanned};

use super::{Binder, Scope, Typed, unsupported};
use crate::pgerror::PgError;
use apply::symbol_of;
use compare::Is;

pub(in crate::catalog) use coerce::Coercion;
pub(in crate::catalog) use heading::heading;

/// How deep expressions may stand in each other: SQLite takes 1000 levels.
const MAX_DEPTH: u32 = 700;

/// Bytes that all expressions of a statement may have as SQLite's text, those inside of others
/// counted with each.
const MAX_WRITTEN: usize = 64 << 20;

/// Stack that one level may need, and how much is added when less is left.
const STACK_LEFT: usize = 256 << 10;
const STACK_ADDED: usize = 4 << 20;

impl Binder<'_> {
    /// Binds an expression.
    pub(in crate::catalog) fn expr(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        if scope.has_replacements()
            && !matches!(e, Expr::Value(_))
            && let Some(value) = scope.replacement(&e.to_string())
        {
            return Ok(value);
        }
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err(PgError::error("54001", "stack depth limit exceeded"));
        }
        self.depth.set(depth.saturating_add(1));
        let bound = stacker::maybe_grow(STACK_LEFT, STACK_ADDED, || self.bind(scope, e));
        self.depth.set(depth);
        if let Ok(bound) = &bound {
            // Some operators write an operand twice: a chain of them doubles with each link.
            let written = self.written.get().saturating_add(bound.text().len());
            self.written.set(written);
            if written > MAX_WRITTEN {
                return Err(PgError::error("54001", "the statement is too complex"));
            }
        }
        bound
    }

    #[allow(clippy::wildcard_enum_match_arm)] // the parser knows expressions of many databases
    fn bind(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        match e {
            Expr::Identifier(ident) => match calls::keyword_function(ident) {
                Some(name) => self.keyword_call(name),
                None => scope.column(self, std::slice::from_ref(ident)),
            },
            Expr::CompoundIdentifier(idents) => scope.column(self, idents),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.access(scope, root, access_chain)
            }
            Expr::Nested(inner) => self.expr(scope, inner),
            Expr::Value(value) => {
                let bound = self.literal(&value.value);
                bound.map_err(|error| self.at(value.span, error))
            }
            Expr::BinaryOp {
                op: op @ (BinaryOperator::And | BinaryOperator::Or),
                ..
            } => self.logic(scope, e, op),
            Expr::BinaryOp { left, op, right } => self.binary(scope, left, op, right),
            Expr::UnaryOp { op, expr } => self.unary(scope, *op, expr),
            Expr::Cast {
                kind,
                expr,
                data_type,
                ..
            } => self.cast(scope, kind, expr, data_type),
            Expr::Function(function) => self.call(scope, function),
            Expr::Subquery(query) => self.scalar_subquery(scope, query),
            Expr::Exists { subquery, negated } => self.exists(scope, subquery, *negated),
            Expr::Array(array) => self.array(scope, &array.elem),
            Expr::Tuple(items) => self.row(scope, items),
            Expr::Case { .. } => self.case(scope, e),
            _ => self.bind_predicate(scope, e),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn bind_predicate(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        let is = |inner: &Expr, sql, boolean| self.is(scope, inner, Is { sql, boolean });
        match e {
            Expr::IsNull(inner) => is(inner, "IS NULL", None),
            Expr::IsNotNull(inner) => is(inner, "IS NOT NULL", None),
            Expr::IsTrue(inner) => is(inner, "IS TRUE", Some("IS TRUE")),
            Expr::IsNotTrue(inner) => is(inner, "IS NOT TRUE", Some("IS NOT TRUE")),
            Expr::IsFalse(inner) => is(inner, "IS FALSE", Some("IS FALSE")),
            Expr::IsNotFalse(inner) => is(inner, "IS NOT FALSE", Some("IS NOT FALSE")),
            Expr::IsUnknown(inner) => is(inner, "IS NULL", Some("IS UNKNOWN")),
            Expr::IsNotUnknown(inner) => is(inner, "IS NOT NULL", Some("IS NOT UNKNOWN")),
            Expr::IsDistinctFrom(one, other) => self.distinct_from(scope, one, other, false),
            Expr::IsNotDistinctFrom(one, other) => self.distinct_from(scope, one, other, true),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(scope, expr, (low, high), *negated),
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(scope, expr, list, *negated),
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => self.in_subquery(scope, expr, subquery, *negated),
            Expr::Like { .. } | Expr::ILike { .. } => self.like(scope, e),
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.quantified(scope, left, &symbol_of(compare_op)?, right, false),
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => self.quantified(scope, left, &symbol_of(compare_op)?, right, true),
            _ => self.bind_syntax(scope, e),
        }
    }

    /// Functions that have a syntax of their own.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn bind_syntax(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        let refused = |what: &str| Err(self.at(e.span(), unsupported(what)));
        match e {
            Expr::TypedString(typed) => {
                let (ty, typmod) = types::named(&typed.data_type)?;
                let value = self.literal(&typed.value.value)?;
                let cast = self.cast_to(value, ty, typmod);
                cast.map_err(|error| self.at(typed.value.span, error))
            }
            Expr::Interval(interval) => self.interval(scope, interval),
            Expr::Extract { field, expr, .. } => self.extract(scope, field, expr),
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => self.spelled(scope, e, "timezone", &[time_zone, timestamp]),
            Expr::Position { expr, r#in } => self.spelled(scope, e, "position", &[r#in, expr]),
            Expr::Ceil { expr, .. } => self.spelled(scope, e, "ceil", &[expr]),
            Expr::Floor { expr, .. } => self.spelled(scope, e, "floor", &[expr]),
            Expr::Substring { .. } => self.substring(scope, e),
            Expr::Trim { .. } => self.trim(scope, e),
            Expr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                let mut args = vec![expr.as_ref(), overlay_what, overlay_from];
                args.extend(overlay_for.as_deref());
                self.spelled(scope, e, "overlay", &args)
            }
            Expr::Collate { expr, collation } => self.collate(scope, expr, collation),
            Expr::SimilarTo { .. } => refused("SIMILAR TO"),
            Expr::IsNormalized { .. } => refused("IS NORMALIZED"),
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => refused("GROUPING SETS"),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                Err(self.at(e.span(), PgError::syntax("*")))
            }
            other => refused(&format!("expression {other}")),
        }
    }
}
