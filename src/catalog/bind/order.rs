//! ORDER BY, DISTINCT ON, LIMIT and OFFSET: PostgreSQL's order written out for SQLite.

use std::fmt::Write as _;

use std::borrow::Cow;

use sqlparser::ast::{
    self, Expr, LimitClause, OrderByExpr, OrderByKind, Spanned, TableFactor, TableWithJoins, Value,
};

use crate::catalog::views;
use crate::datum::{ElementOrder, PgType};
use crate::pgerror::PgError;

use super::counts;
use super::query::{Draft, Target};
use super::scope::folded;
use super::{Binder, Clause, Coercion, Scope, ScopeColumn, Typed};

/// What may stand at the end of a query.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::catalog) struct Tail<'q> {
    pub(in crate::catalog) order_by: &'q [OrderByExpr],
    limit: Option<&'q Expr>,
    /// FETCH FIRST ROW ONLY, without a number.
    one_row: bool,
    offset: Option<&'q Expr>,
}

impl<'q> Tail<'q> {
    /// That of `query`.
    pub(in crate::catalog) fn of(query: &'q ast::Query) -> Result<Self, PgError> {
        let mut tail = Self::default();
        if let Some(order_by) = &query.order_by {
            match &order_by.kind {
                OrderByKind::Expressions(exprs) => tail.order_by = exprs,
                OrderByKind::All(_) => return Err(PgError::syntax("ALL")),
            }
        }
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                tail.limit = limit.as_ref();
                tail.offset = offset.as_ref().map(|offset| &offset.value);
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                let hint = "Use separate LIMIT and OFFSET clauses.";
                let error = PgError::error("42601", "LIMIT #,# syntax is not supported");
                return Err(error.with_hint(hint));
            }
            None => {}
        }
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties {
                return Err(super::unsupported("WITH TIES"));
            }
            if fetch.percent {
                return Err(PgError::syntax("PERCENT"));
            }
            tail.limit = fetch.quantity.as_ref();
            tail.one_row = fetch.quantity.is_none();
        }
        Ok(tail)
    }

    /// Whether there is nothing.
    pub(in crate::catalog) fn is_empty(&self) -> bool {
        self.order_by.is_empty() && !self.has_limit()
    }

    fn has_limit(&self) -> bool {
        self.limit.is_some() || self.one_row || self.offset.is_some()
    }
}

/// One expression to order by.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Which column of the answer it is, from 0.
    pub(super) target: Option<usize>,
    pub(super) value: Typed,
    descending: bool,
    nulls_first: bool,
    /// There are no NULLs to be put anywhere.
    never_null: bool,
}

impl Key {
    /// The key as SQLite's text, with `sql` for its value.
    pub(super) fn text(&self, sql: &str) -> Result<String, PgError> {
        let collation = order_collation(self.value.ty)?;
        let direction = if self.descending { " DESC" } else { "" };
        if self.never_null {
            return Ok(format!("{sql}{collation}{direction}"));
        }
        let nulls = if self.nulls_first { "FIRST" } else { "LAST" };
        Ok(format!("{sql}{collation}{direction} NULLS {nulls}"))
    }

    /// Notes that the positions of `pgspool.changes`, read alone, are never NULL: only when that
    /// is written so, SQLite takes the order in which the spool gives them.
    pub(super) fn of_from(mut self, from: &[TableWithJoins]) -> Self {
        if let [table] = from
            && table.joins.is_empty()
            && let TableFactor::Table { name, .. } = &table.relation
            && name.to_string().eq_ignore_ascii_case("pgspool.changes")
            && let Some(view) = views::find("pgspool", "changes")
        {
            self.never_null = self.value.origin == (view.oid, 1);
        }
        self
    }
}

/// `keys` as an ORDER BY clause, `None` where none is left.
pub(super) fn clause_of(keys: &[Key]) -> Result<Option<String>, PgError> {
    let mut parts = Vec::new();
    for key in keys {
        match key.target {
            Some(target) => parts.push(key.text(&target.saturating_add(1).to_string())?),
            // A constant orders nothing, and SQLite would take a number for a column's.
            None if is_number(key.value.text()) => {}
            None => parts.push(key.text(&not_a_number(key.value.text()))?),
        }
    }
    Ok((!parts.is_empty()).then(|| format!(" ORDER BY {}", parts.join(", "))))
}

/// Whether SQLite would read `sql` as an integer.
pub(super) fn is_number(sql: &str) -> bool {
    let bare = sql.trim_matches(|c: char| matches!(c, '(' | ')' | '+' | '-' | ' '));
    !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit())
}

/// `sql` so that SQLite takes it for a value and never for a column's number: it makes the
/// constant 0 of `0 AND x` and of `'a' IS NULL`, too.
pub(super) fn not_a_number(sql: &str) -> Cow<'_, str> {
    if is_number(sql) {
        Cow::Owned(format!("(SELECT {sql})"))
    } else if sql.contains(" AND ") || sql.contains(" IS ") {
        Cow::Owned(format!("CASE WHEN 1 THEN {sql} END"))
    } else {
        Cow::Borrowed(sql)
    }
}

/// The collation that orders stored forms of `ty`, with a blank before it.
pub(in crate::catalog) fn order_collation(ty: PgType) -> Result<&'static str, PgError> {
    let unordered = matches!(
        ty,
        PgType::JSON | PgType::XID | PgType::CID | PgType::PG_NODE_TREE | PgType::ACLITEM
    );
    if unordered {
        let name = super::expr::types::display(ty);
        let message = format!("could not identify an ordering operator for type {name}");
        let hint = "Use an explicit ordering operator or modify the query.";
        return Err(PgError::error("42883", message).with_hint(hint));
    }
    let is_array = super::expr::types::element_of(ty).is_some();
    if matches!(ty, PgType::JSONB | PgType::RECORD)
        || (is_array && super::expr::types::array_order(ty).is_none())
    {
        let name = super::expr::types::display(ty);
        return Err(PgError::unsupported(format!(
            "ordering by type {name} is not supported"
        )));
    }
    if ty == PgType::CHAR {
        return Ok(" COLLATE pg_char");
    }
    equality_collation(ty)
}

/// The collation that finds equal stored forms of `ty`, with a blank before it.
pub(in crate::catalog) fn equality_collation(ty: PgType) -> Result<&'static str, PgError> {
    match ty {
        PgType::NUMERIC => Ok(" COLLATE pg_numeric"),
        PgType::INTERVAL => Ok(" COLLATE pg_interval"),
        PgType::INET => Ok(" COLLATE pg_inet"),
        PgType::JSON | PgType::PG_NODE_TREE => {
            let name = super::expr::types::display(ty);
            let message = format!("could not identify an equality operator for type {name}");
            Err(PgError::error("42883", message))
        }
        _ => Ok(match super::expr::types::array_order(ty) {
            None => "",
            Some(ElementOrder::Bytes) => " COLLATE pg_array_bytes",
            Some(ElementOrder::Chars) => " COLLATE pg_array_chars",
            Some(ElementOrder::Numbers) => " COLLATE pg_array_numbers",
            Some(ElementOrder::Positions) => " COLLATE pg_array_positions",
        }),
    }
}

impl Binder<'_> {
    /// Orders and limits what is known by its columns only: VALUES, a set operation.
    pub(in crate::catalog) fn order_result(
        &self,
        scope: &Scope<'_>,
        mut draft: Draft,
        tail: &Tail<'_>,
    ) -> Result<Draft, PgError> {
        if tail.is_empty() {
            return Ok(draft);
        }
        draft.settle(self)?;
        let mut keys = Vec::new();
        for item in tail.order_by {
            let Some(target) = self.target_named(&draft.targets, &item.expr)? else {
                // What names no column of the answer is said first.
                let mut inner = Scope::inside(scope);
                inner.columns = draft.targets.iter().map(column_of).collect();
                self.expr(&inner, &item.expr)?;
                let message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause";
                let error = PgError::unsupported(message)
                    .with_detail(
                        "Only result column names can be used, not expressions or functions.",
                    )
                    .with_hint(
                        "Add the expression/function to every SELECT, or move the UNION into a \
                         FROM clause.",
                    );
                return Err(self.at(item.expr.span(), error));
            };
            let value = draft.targets.get(target).map(|target| target.value.clone());
            keys.extend(value.map(|value| key_of(item, Some(target), value)));
        }
        if let Some(order) = clause_of(&keys)? {
            draft.tail.push_str(&order);
        }
        draft.tail.push_str(&self.limit(scope, tail)?);
        draft.simple = false;
        Ok(draft)
    }

    /// The column of the answer that an ordinal or a name means, from 0.
    pub(super) fn target_named(
        &self,
        targets: &[Target],
        expr: &Expr,
    ) -> Result<Option<usize>, PgError> {
        if let Expr::Value(value) = expr {
            return self
                .ordinal(targets, expr, &value.value, "ORDER BY")
                .map(Some);
        }
        let Expr::Identifier(ident) = expr else {
            return Ok(None);
        };
        let name = folded(ident);
        let mut found: Option<usize> = None;
        for (index, target) in targets.iter().enumerate() {
            if target.name != name {
                continue;
            }
            let same = |other: usize| {
                let other = targets.get(other).map(|other| other.value.text());
                other == Some(target.value.text())
            };
            match found {
                Some(other) if !same(other) => {
                    let message = format!("ORDER BY \"{name}\" is ambiguous");
                    return Err(self.at(ident.span, PgError::error("42702", message)));
                }
                Some(_) => {}
                None => found = Some(index),
            }
        }
        Ok(found)
    }

    /// The column that a number in ORDER BY or GROUP BY means, from 0.
    pub(super) fn ordinal(
        &self,
        targets: &[Target],
        expr: &Expr,
        value: &Value,
        clause: &str,
    ) -> Result<usize, PgError> {
        let number = match value {
            Value::Number(text, _) => text.parse::<usize>().ok(),
            _ => None,
        };
        let Some(number) = number else {
            let message = format!("non-integer constant in {clause}");
            return Err(self.at(expr.span(), PgError::error("42601", message)));
        };
        match number.checked_sub(1).filter(|index| *index < targets.len()) {
            Some(index) => Ok(index),
            None => {
                let message = format!("{clause} position {number} is not in select list");
                Err(self.at(expr.span(), PgError::error("42P10", message)))
            }
        }
    }

    /// The keys of a select's ORDER BY.
    pub(super) fn order_keys(
        &self,
        scope: &Scope<'_>,
        targets: &[Target],
        order_by: &[OrderByExpr],
    ) -> Result<Vec<Key>, PgError> {
        let keys = order_by.iter().map(|item| {
            let (target, value) = self.order_value(scope, targets, &item.expr)?;
            Ok(key_of(item, target, value))
        });
        keys.collect()
    }

    /// What an expression of ORDER BY or DISTINCT ON means.
    pub(super) fn order_value(
        &self,
        scope: &Scope<'_>,
        targets: &[Target],
        expr: &Expr,
    ) -> Result<(Option<usize>, Typed), PgError> {
        let by_name = match expr {
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => None,
            _ => self.target_named(targets, expr)?,
        };
        if let Some(target) = by_name.and_then(|index| targets.get(index)) {
            return Ok((by_name, target.value.clone()));
        }
        let value = self.settled(self.expr(scope, expr)?)?;
        let same =
            |target: &Target| target.value.ty == value.ty && target.value.text() == value.text();
        Ok((targets.iter().position(same), value))
    }

    /// LIMIT and OFFSET as text, with a blank before it.
    pub(super) fn limit(&self, scope: &Scope<'_>, tail: &Tail<'_>) -> Result<String, PgError> {
        let mut sql = String::new();
        if !tail.has_limit() {
            return Ok(sql);
        }
        let limit = match tail.limit {
            Some(limit) => self.count(scope, limit, Clause::Limit)?,
            None if tail.one_row => "1".to_owned(),
            None => "-1".to_owned(),
        };
        let _ = write!(sql, " LIMIT {limit}");
        if let Some(offset) = tail.offset {
            let offset = self.count(scope, offset, Clause::Offset)?;
            let _ = write!(sql, " OFFSET {offset}");
        }
        Ok(sql)
    }

    /// The number of LIMIT or OFFSET.
    fn count(&self, scope: &Scope<'_>, expr: &Expr, clause: Clause) -> Result<String, PgError> {
        let (name, code, function) = match clause {
            Clause::Offset => ("OFFSET", "2201X", counts::OFFSET),
            _ => ("LIMIT", "2201W", counts::LIMIT),
        };
        scope.clause.set(clause);
        let before = scope.num_columns.get();
        let value = self.expr(scope, expr)?;
        if scope.num_columns.get() > before {
            let message = format!("argument of {name} must not contain variables");
            return Err(self.at(expr.span(), PgError::error("42P10", message)));
        }
        let from = value.ty;
        let value = self
            .coerce(value, PgType::INT8, Coercion::Assignment)
            .map_err(|error| {
                if error.code() != "42846" {
                    return self.at(expr.span(), error);
                }
                let from = super::expr::types::display(from);
                let message = format!("argument of {name} must be type bigint, not type {from}");
                self.at(expr.span(), PgError::error("42804", message))
            })?;
        let sql = value.text();
        match sql.parse::<i64>() {
            Ok(number) if number < 0 => {
                Err(PgError::error(code, format!("{name} must not be negative")))
            }
            Ok(_) => Ok(sql.to_owned()),
            Err(_) => Ok(format!("{function}({sql})")),
        }
    }
}

/// A column of the answer as one that names may mean.
fn column_of(target: &Target) -> ScopeColumn {
    ScopeColumn {
        name: target.name.clone(),
        value: target.value.clone(),
        fields: Vec::new(),
        system: false,
    }
}

/// The key that `item` asks for: NULLs come last upward and first downward.
fn key_of(item: &OrderByExpr, target: Option<usize>, value: Typed) -> Key {
    let descending = item.options.asc == Some(false);
    Key {
        target,
        value,
        descending,
        nulls_first: item.options.nulls_first.unwrap_or(descending),
        never_null: false,
    }
}
