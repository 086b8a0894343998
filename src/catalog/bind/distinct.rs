//! DISTINCT and DISTINCT ON.

use std::fmt::Write as _;

use sqlparser::ast::{Expr, Spanned};

use crate::pgerror::PgError;

use super::order::{Key, Tail, equality_collation};
use super::query::{Draft, Target};
use super::select::{Parts, plain};
use super::{Binder, Scope, Typed};

impl Binder<'_> {
    /// DISTINCT ON: its expressions, which are the first that the answer is ordered by.
    pub(super) fn distinct_on(
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
    pub(super) fn first_of_each(&self, parts: Parts, on: &[Typed]) -> Result<Draft, PgError> {
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
    pub(super) fn distinct(&self, parts: Parts, tail: &Tail<'_>) -> Result<Draft, PgError> {
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
}
