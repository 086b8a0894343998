//! The select list: items with their headings, and stars written out.

use sqlparser::ast::{self, Expr, Ident, SelectItem, SelectItemQualifiedWildcardKind, Spanned};
use sqlparser::tokenizer::Span;

use crate::pgerror::PgError;

use super::from::idents_of;
use super::query::{Target, target_of};
use super::scope::folded;
use super::{Binder, Scope, ScopeColumn, Typed};

impl Binder<'_> {
    /// The select list, stars written out.
    pub(in crate::catalog) fn select_list(
        &self,
        scope: &Scope<'_>,
        items: &[SelectItem],
    ) -> Result<Vec<Target>, PgError> {
        let mut targets = Vec::new();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => self.unnamed(scope, expr, &mut targets)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    if alias.quote_style == Some('\'') {
                        let near = format!("'{}'", alias.value);
                        return Err(self.at(alias.span, PgError::syntax(&near)));
                    }
                    targets.push(self.target(scope, expr, folded(alias))?);
                }
                SelectItem::ExprWithAliases { expr, .. } => {
                    return Err(self.at(expr.span(), PgError::syntax("(")));
                }
                SelectItem::Wildcard(options) => {
                    let span = options.wildcard_token.0.span;
                    self.refuse_options(options)?;
                    if scope.tables.is_empty() {
                        let message = "SELECT * with no tables specified is not valid";
                        return Err(self.at(span, PgError::error("42601", message)));
                    }
                    self.star(scope, &scope.columns, span, &mut targets)?;
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.refuse_options(options)?;
                    self.qualified_star(scope, kind, &mut targets)?;
                }
            }
        }
        Ok(targets)
    }

    /// An item without AS: also `(f(x)).*` and the empty list, which the parse front marks.
    fn unnamed(
        &self,
        scope: &Scope<'_>,
        expr: &Expr,
        targets: &mut Vec<Target>,
    ) -> Result<(), PgError> {
        if let Expr::Identifier(ident) = expr
            && ident.value.is_empty()
            && ident.quote_style.is_none()
        {
            return Ok(());
        }
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let [ast::AccessExpr::Dot(Expr::Identifier(star))] = access_chain.as_slice()
            && star.value == "*"
            && star.quote_style.is_none()
        {
            return self.record_star(scope, root, targets);
        }
        let name = super::expr::heading(expr);
        targets.push(self.target(scope, expr, name)?);
        Ok(())
    }

    pub(super) fn target(
        &self,
        scope: &Scope<'_>,
        expr: &Expr,
        name: String,
    ) -> Result<Target, PgError> {
        let value = self.expr(scope, expr)?;
        Ok(Target {
            name,
            fields: self.fields_behind(scope, expr, &value)?,
            value,
            span: expr.span(),
        })
    }

    /// The fields of a record, where they are known.
    fn fields_behind(
        &self,
        scope: &Scope<'_>,
        expr: &Expr,
        value: &Typed,
    ) -> Result<Vec<ScopeColumn>, PgError> {
        if value.ty != crate::datum::PgType::RECORD {
            return Ok(Vec::new());
        }
        let record = match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Nested(_) => {
                scope.record(self, expr)?
            }
            _ => scope.lifted_as(value),
        };
        Ok(record.map(|record| record.fields).unwrap_or_default())
    }

    fn record_star(
        &self,
        scope: &Scope<'_>,
        root: &Expr,
        targets: &mut Vec<Target>,
    ) -> Result<(), PgError> {
        let unwrapped = match root {
            Expr::Nested(inner) => inner,
            _ => root,
        };
        // `(t).*` is `t.*`
        if let Expr::Identifier(ident) = unwrapped
            && scope.table(None, &folded(ident)).is_some()
        {
            return self.table_star(scope, std::slice::from_ref(ident), targets);
        }
        let record = scope.record(self, root)?;
        match record.filter(|record| !record.fields.is_empty()) {
            Some(record) => targets.extend(record.fields.iter().map(target_of)),
            None => {
                let error = PgError::unsupported("this expression cannot be expanded by \".*\"");
                return Err(self.at(root.span(), error));
            }
        }
        Ok(())
    }

    fn qualified_star(
        &self,
        scope: &Scope<'_>,
        kind: &SelectItemQualifiedWildcardKind,
        targets: &mut Vec<Target>,
    ) -> Result<(), PgError> {
        match kind {
            SelectItemQualifiedWildcardKind::ObjectName(name) => {
                self.table_star(scope, &idents_of(name)?, targets)
            }
            SelectItemQualifiedWildcardKind::Expr(expr) => self.record_star(scope, expr, targets),
        }
    }

    fn table_star(
        &self,
        scope: &Scope<'_>,
        idents: &[Ident],
        targets: &mut Vec<Target>,
    ) -> Result<(), PgError> {
        let span = Span::union_iter(idents.iter().map(|ident| ident.span));
        let names: Vec<String> = idents.iter().map(folded).collect();
        let (schema, name) = match names.as_slice() {
            [name] => (None, name),
            [.., schema, name] => (Some(schema), name),
            [] => return Err(PgError::syntax("*")),
        };
        let Some((_, table)) = scope.table(schema, name) else {
            return Err(self.at(span, scope.missing_table(name)));
        };
        self.star(scope, &table.columns, span, targets)
    }

    /// All of `columns`, each held to the rules of grouping.
    fn star(
        &self,
        scope: &Scope<'_>,
        columns: &[ScopeColumn],
        span: Span,
        targets: &mut Vec<Target>,
    ) -> Result<(), PgError> {
        for column in columns.iter().filter(|column| !column.system) {
            let checked = scope.checked(column, None);
            scope.place_loose(self, span);
            targets.push(target_of(&checked.map_err(|error| self.at(span, error))?));
        }
        Ok(())
    }

    fn refuse_options(&self, options: &ast::WildcardAdditionalOptions) -> Result<(), PgError> {
        let foreign = options.opt_ilike.is_some()
            || options.opt_exclude.is_some()
            || options.opt_except.is_some()
            || options.opt_replace.is_some()
            || options.opt_rename.is_some()
            || options.opt_alias.is_some();
        if foreign {
            return Err(self.at(options.wildcard_token.0.span, PgError::syntax("*")));
        }
        Ok(())
    }
}
