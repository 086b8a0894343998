//! GROUP BY, and what it leaves of the columns.

use sqlparser::ast::{self, Expr, GroupByExpr, Ident, SelectItem, Spanned};
use sqlparser::tokenizer::Span;

use crate::pgerror::PgError;

use super::order::{equality_collation, not_a_number};
use super::query::Target;
use super::scope::{Lifted, folded};
use super::{Binder, Clause, Grouping, Scope, Typed};

impl Binder<'_> {
    /// GROUP BY as text; from here on only its columns and expressions may stand free.
    pub(super) fn groups(
        &self,
        scope: &Scope<'_>,
        select: &ast::Select,
    ) -> Result<Option<String>, PgError> {
        let exprs = match &select.group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => exprs,
            GroupByExpr::Expressions(..) | GroupByExpr::All(_) => {
                return Err(super::unsupported("this form of GROUP BY"));
            }
        };
        if exprs.is_empty() {
            if select.having.is_some() {
                scope.grouping.replace(Grouping::Columns(Vec::new()));
            }
            return Ok(None);
        }
        scope.clause.set(Clause::GroupBy);
        let mut columns = Vec::new();
        let mut texts = Vec::new();
        for expr in exprs {
            let (expr, value) = self.group(scope, select, expr)?;
            let text = value.text().to_owned();
            let collation = equality_collation(value.ty)?;
            texts.push(format!("{}{collation}", not_a_number(&text)));
            columns.push(text);
            scope.replaced.borrow_mut().push((expr.to_string(), value));
        }
        scope.grouping.replace(Grouping::Columns(columns));
        scope.clause.set(Clause::Select);
        Ok(Some(format!(" GROUP BY {}", texts.join(", "))))
    }

    /// One expression of GROUP BY: a column of FROM, or else a number or name of the select list.
    fn group<'q>(
        &self,
        scope: &Scope<'_>,
        select: &'q ast::Select,
        expr: &'q Expr,
    ) -> Result<(&'q Expr, Typed), PgError> {
        if let Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) = expr {
            return Err(self.at(expr.span(), super::unsupported("GROUPING SETS")));
        }
        if let Expr::Value(value) = expr
            && !matches!(value.value, ast::Value::Placeholder(_))
        {
            let items = self.items(scope, select)?;
            let targets: Vec<Target> = items.iter().map(|(target, _)| target.clone()).collect();
            let index = self.ordinal(&targets, expr, &value.value, "GROUP BY")?;
            return match items.into_iter().nth(index) {
                Some((_, Some(item))) => Ok((item, self.settled(self.expr(scope, item)?)?)),
                Some((target, None)) => Ok((expr, target.value)),
                None => Err(PgError::error("XX000", "no such column")),
            };
        }
        if let Expr::Identifier(ident) = expr
            && !scope.has_column(&folded(ident))
            && let Some(item) = self.named_item(select, ident)?
        {
            return Ok((item, self.settled(self.expr(scope, item)?)?));
        }
        Ok((expr, self.settled(self.expr(scope, expr)?)?))
    }

    /// The select list for ordinals: stars written out, expressions not bound yet.
    fn items<'q>(
        &self,
        scope: &Scope<'_>,
        select: &'q ast::Select,
    ) -> Result<Vec<(Target, Option<&'q Expr>)>, PgError> {
        let mut items = Vec::new();
        for item in &select.projection {
            let expr = match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
                SelectItem::ExprWithAliases { .. }
                | SelectItem::QualifiedWildcard(..)
                | SelectItem::Wildcard(_) => {
                    let mut targets = Vec::new();
                    targets.extend(self.select_list(scope, std::slice::from_ref(item))?);
                    items.extend(targets.into_iter().map(|target| (target, None)));
                    continue;
                }
            };
            let target = Target {
                name: String::new(),
                value: Typed::of("NULL", crate::datum::PgType::TEXT),
                fields: Vec::new(),
                span: Span::empty(),
            };
            items.push((target, Some(expr)));
        }
        Ok(items)
    }

    /// The expression of the select list that has this name.
    fn named_item<'q>(
        &self,
        select: &'q ast::Select,
        ident: &Ident,
    ) -> Result<Option<&'q Expr>, PgError> {
        let name = folded(ident);
        let mut found: Option<&Expr> = None;
        for item in &select.projection {
            let expr = match item {
                SelectItem::ExprWithAlias { expr, alias } if folded(alias) == name => expr,
                SelectItem::UnnamedExpr(expr) if super::expr::heading(expr) == name => expr,
                _ => continue,
            };
            if found.is_some_and(|other| other != expr) {
                let message = format!("GROUP BY \"{name}\" is ambiguous");
                return Err(self.at(ident.span, PgError::error("42702", message)));
            }
            found = Some(expr);
        }
        Ok(found)
    }
}

/// A column outside of an aggregate, beside one that makes one row of all.
pub(super) fn check_grouping(
    scope: &Scope<'_>,
    grouped: bool,
    having: bool,
) -> Result<(), PgError> {
    if grouped || having || scope.num_aggregates.get() == 0 {
        return Ok(());
    }
    match scope.loose.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Rows of the select list come after grouping and windows, ours before.
pub(super) fn check_lifted(
    scope: &Scope<'_>,
    grouped: bool,
    lifted: &[Lifted],
) -> Result<(), PgError> {
    let late = grouped || scope.num_aggregates.get() > 0 || scope.num_windows.get() > 0;
    if lifted.is_empty() || !late {
        return Ok(());
    }
    Err(super::unsupported(
        "a set-returning function beside aggregates, GROUP BY or window functions in one query",
    ))
}
