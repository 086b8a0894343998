//! One SELECT: its list, WHERE, GROUP BY, HAVING, DISTINCT, and what they may not do together.

use std::fmt::Write as _;

use sqlparser::ast::{
    self, Distinct, Expr, GroupByExpr, Ident, NamedWindowExpr, SelectItem,
    SelectItemQualifiedWildcardKind, Spanned,
};
use sqlparser::tokenizer::Span;

use crate::pgerror::PgError;

use super::from::idents_of;
use super::order::{Key, Tail, clause_of, equality_collation, not_a_number};
use super::query::{Draft, Target, target_of};
use super::scope::{Lifted, folded};
use super::{Binder, Clause, Grouping, Scope, ScopeColumn, Typed};

/// The pieces of a select's text.
struct Parts {
    targets: Vec<Target>,
    /// FROM, WHERE, GROUP BY and HAVING, each with a blank before it.
    body: String,
    keys: Vec<Key>,
    limit: String,
}

impl Binder<'_> {
    /// A select that is ordered and limited by `tail`.
    pub(super) fn select(
        &self,
        outer: &Scope<'_>,
        select: &ast::Select,
        tail: &Tail<'_>,
    ) -> Result<Draft, PgError> {
        self.refuse_foreign_select(select)?;
        let source = self.from(outer, &select.from)?;
        let mut scope = source.scope(outer);
        scope.windows = windows_of(select)?;
        let filter = self.filter(&scope, select)?;
        scope.lifted.replace(Some(Vec::new()));
        scope.clause.set(Clause::Select);

        let groups = self.groups(&scope, select)?;
        let mut targets = self.select_list(&scope, &select.projection)?;
        let having = self.having(&scope, select)?;
        if matches!(select.distinct, Some(Distinct::Distinct)) {
            for target in &mut targets {
                target.value = self.settled(target.value.clone())?;
            }
        }
        scope.clause.set(Clause::OrderBy);
        let keys = self.order_keys(&scope, &targets, tail.order_by)?;
        let keys: Vec<Key> = keys.into_iter().map(|k| k.of_from(&select.from)).collect();
        let distinct_on = match &select.distinct {
            Some(Distinct::On(exprs)) => Some(self.distinct_on(&scope, &targets, exprs, &keys)?),
            Some(Distinct::Distinct | Distinct::All) | None => None,
        };
        check_grouping(&scope, groups.is_some(), having.is_some())?;

        let lifted = scope.lifted.take().unwrap_or_default();
        check_lifted(&scope, groups.is_some(), &lifted)?;
        let from = self.join_lifted(&source.sql, &lifted)?;
        let mut body = String::new();
        // SQLite wants an aggregate or GROUP BY beside HAVING.
        let lone_having = having.is_some() && groups.is_none();
        if lone_having {
            body.push_str(", count(*) AS n");
        }
        if !from.is_empty() {
            let _ = write!(body, " FROM {from}");
        }
        body.push_str(&filter);
        body.push_str(groups.as_deref().unwrap_or_default());
        body.push_str(having.as_deref().unwrap_or_default());
        let parts = Parts {
            targets,
            body,
            keys,
            limit: self.limit(&scope, tail)?,
        };
        let mut draft = match (&select.distinct, distinct_on) {
            (_, Some(on)) => self.first_of_each(parts, &on)?,
            (Some(Distinct::Distinct), None) => self.distinct(parts, tail)?,
            (Some(Distinct::All | Distinct::On(_)) | None, None) => plain(parts)?,
        };
        draft.simple &= !lone_having;
        Ok(draft)
    }

    fn filter(&self, scope: &Scope<'_>, select: &ast::Select) -> Result<String, PgError> {
        let Some(condition) = &select.selection else {
            return Ok(String::new());
        };
        scope.clause.set(Clause::Where);
        let condition = self.condition(scope, condition, "WHERE")?;
        Ok(format!(" WHERE {condition}"))
    }

    fn having(&self, scope: &Scope<'_>, select: &ast::Select) -> Result<Option<String>, PgError> {
        let Some(condition) = &select.having else {
            return Ok(None);
        };
        scope.clause.set(Clause::Having);
        let condition = self.condition(scope, condition, "HAVING")?;
        Ok(Some(format!(" HAVING {condition}")))
    }

    /// The select list, stars written out.
    fn select_list(&self, scope: &Scope<'_>, items: &[SelectItem]) -> Result<Vec<Target>, PgError> {
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

    fn target(&self, scope: &Scope<'_>, expr: &Expr, name: String) -> Result<Target, PgError> {
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

    /// GROUP BY as text; from here on only its columns and expressions may stand free.
    fn groups(&self, scope: &Scope<'_>, select: &ast::Select) -> Result<Option<String>, PgError> {
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

    /// DISTINCT ON: its expressions, which are the first that the answer is ordered by.
    fn distinct_on(
        &self,
        scope: &Scope<'_>,
        targets: &[Target],
        exprs: &[Expr],
        keys: &[Key],
    ) -> Result<Vec<Typed>, PgError> {
        let mut on = Vec::new();
        for expr in exprs {
            on.push(self.order_value(scope, targets, expr)?.1);
        }
        let has = |value: &Typed| on.iter().any(|other| other.text() == value.text());
        let first = keys.iter().take_while(|key| has(&key.value)).count();
        let (leading, rest) = keys.split_at_checked(first).unwrap_or((keys, &[]));
        let covered = |value: &Typed| leading.iter().any(|key| key.value.text() == value.text());
        if !rest.is_empty() && !on.iter().all(covered) {
            let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
            let error = PgError::error("42P10", message);
            let span = exprs.first().map(Spanned::span);
            return Err(match span {
                Some(span) => self.at(span, error),
                None => error,
            });
        }
        Ok(on)
    }

    /// DISTINCT ON: rows are numbered within each group, and the first is taken.
    fn first_of_each(&self, parts: Parts, on: &[Typed]) -> Result<Draft, PgError> {
        let mut groups = Vec::new();
        for value in on {
            groups.push(format!("{}{}", value.text(), equality_collation(value.ty)?));
        }
        let mut over = format!("PARTITION BY {}", groups.join(", "));
        let mut texts = Vec::new();
        for key in &parts.keys {
            texts.push(key.text(key.value.text())?);
        }
        if !texts.is_empty() {
            let _ = write!(over, " ORDER BY {}", texts.join(", "));
        }
        let mut tail = format!(", row_number() OVER ({over}) AS n");
        let mut order = Vec::new();
        for (number, key) in (1u32..).zip(&parts.keys) {
            let _ = write!(tail, ", {} AS k{number}", key.value.text());
            order.push(key.text(&format!("k{number}"))?);
        }
        tail.push_str(&parts.body);
        let inner = Draft {
            head: "SELECT".to_owned(),
            targets: parts.targets,
            tail,
            simple: true,
            compared: false,
        };
        let mut draft = Draft::over(&inner.render(self)?);
        draft.tail.push_str(" WHERE n = 1");
        if !order.is_empty() {
            let _ = write!(draft.tail, " ORDER BY {}", order.join(", "));
        }
        draft.tail.push_str(&parts.limit);
        draft.simple = order.is_empty() && parts.limit.is_empty();
        Ok(draft)
    }

    /// DISTINCT: ordered by what is in the list only.
    fn distinct(&self, parts: Parts, tail: &Tail<'_>) -> Result<Draft, PgError> {
        for (key, item) in parts.keys.iter().zip(tail.order_by) {
            if key.target.is_none() {
                let message =
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                return Err(self.at(item.expr.span(), PgError::error("42P10", message)));
            }
        }
        let mut draft = plain(parts)?;
        draft.head.push_str(" DISTINCT");
        draft.compared = true;
        Ok(draft)
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

    /// What the parser knows of other databases.
    fn refuse_foreign_select(&self, select: &ast::Select) -> Result<(), PgError> {
        let near = if select.into.is_some() {
            return Err(super::unsupported("SELECT INTO"));
        } else if select.top.is_some() {
            "TOP"
        } else if select.exclude.is_some() {
            "EXCLUDE"
        } else if !select.lateral_views.is_empty() {
            "VIEW"
        } else if select.prewhere.is_some() {
            "PREWHERE"
        } else if !select.connect_by.is_empty() {
            "CONNECT"
        } else if !select.cluster_by.is_empty() || !select.distribute_by.is_empty() {
            "BY"
        } else if !select.sort_by.is_empty() {
            "SORT"
        } else if select.qualify.is_some() {
            "QUALIFY"
        } else if select.value_table_mode.is_some() || select.select_modifiers.is_some() {
            "AS"
        } else if select.flavor != ast::SelectFlavor::Standard {
            "FROM"
        } else {
            return Ok(());
        };
        Err(self.at(select.select_token.0.span, PgError::syntax(near)))
    }
}

/// A select without DISTINCT.
fn plain(parts: Parts) -> Result<Draft, PgError> {
    let mut tail = parts.body;
    let order = clause_of(&parts.keys)?;
    let simple = order.is_none() && parts.limit.is_empty();
    tail.push_str(&order.unwrap_or_default());
    tail.push_str(&parts.limit);
    Ok(Draft {
        head: "SELECT".to_owned(),
        targets: parts.targets,
        tail,
        simple,
        compared: false,
    })
}

/// The windows that WINDOW names.
fn windows_of(select: &ast::Select) -> Result<Vec<(String, ast::WindowSpec)>, PgError> {
    let mut windows: Vec<(String, ast::WindowSpec)> = Vec::new();
    for ast::NamedWindowDefinition(name, window) in &select.named_window {
        let name = folded(name);
        if windows.iter().any(|(other, _)| *other == name) {
            let message = format!("window \"{name}\" is already defined");
            return Err(PgError::error("42P20", message));
        }
        match window {
            NamedWindowExpr::WindowSpec(spec) => windows.push((name, spec.clone())),
            NamedWindowExpr::NamedWindow(_) => return Err(PgError::syntax(&name)),
        }
    }
    Ok(windows)
}

/// A column outside of an aggregate, beside one that makes one row of all.
fn check_grouping(scope: &Scope<'_>, grouped: bool, having: bool) -> Result<(), PgError> {
    if grouped || having || scope.num_aggregates.get() == 0 {
        return Ok(());
    }
    match scope.loose.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Rows of the select list come after grouping and windows, ours before.
fn check_lifted(scope: &Scope<'_>, grouped: bool, lifted: &[Lifted]) -> Result<(), PgError> {
    let late = grouped || scope.num_aggregates.get() > 0 || scope.num_windows.get() > 0;
    if lifted.is_empty() || !late {
        return Ok(());
    }
    Err(super::unsupported(
        "a set-returning function beside aggregates, GROUP BY or window functions in one query",
    ))
}
