//! One SELECT: its list, WHERE, GROUP BY, HAVING, DISTINCT, and what they may not do together.

use std::fmt::Write as _;

use sqlparser::ast::{self, Distinct, NamedWindowExpr};

use crate::pgerror::PgError;

use super::grouping::{check_grouping, check_lifted};
use super::order::{Key, Tail, clause_of};
use super::query::{Draft, Target};
use super::scope::folded;
use super::{Binder, Clause, Scope};

/// The pieces of a select's text.
pub(super) struct Parts {
    pub(super) targets: Vec<Target>,
    /// FROM, WHERE, GROUP BY and HAVING, each with a blank before it.
    pub(super) body: String,
    pub(super) keys: Vec<Key>,
    pub(super) limit: String,
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

    pub(super) fn filter(
        &self,
        scope: &Scope<'_>,
        select: &ast::Select,
    ) -> Result<String, PgError> {
        let Some(condition) = &select.selection else {
            return Ok(String::new());
        };
        scope.clause.set(Clause::Where);
        let condition = self.condition(scope, condition, "WHERE")?;
        Ok(format!(" WHERE {condition}"))
    }

    pub(super) fn having(
        &self,
        scope: &Scope<'_>,
        select: &ast::Select,
    ) -> Result<Option<String>, PgError> {
        let Some(condition) = &select.having else {
            return Ok(None);
        };
        scope.clause.set(Clause::Having);
        let condition = self.condition(scope, condition, "HAVING")?;
        Ok(Some(format!(" HAVING {condition}")))
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
pub(super) fn plain(parts: Parts) -> Result<Draft, PgError> {
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
