//! Joins: ON, USING and NATURAL, with PostgreSQL's merged columns.

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, Spanned, TableWithJoins,
};

use crate::pgerror::PgError;

use super::from::{Source, idents_of};
use super::scope::folded;
use super::{Binder, Clause, Scope, ScopeColumn, Typed};

/// Which side's rows a join keeps without a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Inner => "JOIN",
            Self::Left => "LEFT JOIN",
            Self::Right => "RIGHT JOIN",
            Self::Full => "FULL JOIN",
        }
    }
}

/// The kind of a join and its condition; `None` for what PostgreSQL has not.
fn parts_of(operator: &JoinOperator) -> Option<(Kind, &JoinConstraint)> {
    Some(match operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => {
            (Kind::Inner, on)
        }
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Kind::Left, on),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (Kind::Right, on),
        JoinOperator::FullOuter(on) => (Kind::Full, on),
        _ => return None,
    })
}

/// Whether rows of a right side are kept without a partner.
pub(super) fn keeps_right(item: &TableWithJoins) -> bool {
    item.joins.iter().any(|join| {
        let kind = parts_of(&join.join_operator).map(|(kind, _)| kind);
        matches!(kind, Some(Kind::Right | Kind::Full))
    })
}

impl Binder<'_> {
    /// An item of FROM with its joins; `before` is what stands to its left.
    pub(super) fn joined(
        &self,
        outer: &Scope<'_>,
        before: &Source,
        item: &TableWithJoins,
    ) -> Result<Source, PgError> {
        let mut left = self.factor(outer, before, &item.relation)?;
        for join in &item.joins {
            // Functions see all that stands to their left, conditions only the sides of the join.
            let mut visible = before.clone();
            visible.tables.extend(left.tables.iter().cloned());
            visible.columns.extend(left.columns.iter().cloned());
            visible.aliases.extend(left.aliases.iter().cloned());
            let right = self.factor(outer, &visible, &join.relation)?;
            left = self.join((outer, before), left, right, join)?;
        }
        Ok(left)
    }

    fn join(
        &self,
        (outer, before): (&Scope<'_>, &Source),
        left: Source,
        right: Source,
        join: &Join,
    ) -> Result<Source, PgError> {
        let span = join.relation.span();
        let Some((kind, constraint)) = parts_of(&join.join_operator) else {
            return Err(self.at(span, PgError::syntax("JOIN")));
        };
        let names = match constraint {
            JoinConstraint::On(condition) => {
                return self.join_on((outer, before), left, right, kind, condition);
            }
            JoinConstraint::None => {
                if !matches!(join.join_operator, JoinOperator::CrossJoin(_)) {
                    return Err(PgError::syntax("").at(self.lines.end()));
                }
                let sql = format!("{} JOIN {}", left.sql, right.sql);
                return side_by_side(left, right, sql);
            }
            JoinConstraint::Using(names) => {
                let mut idents = Vec::new();
                for name in names {
                    idents.extend(idents_of(name)?);
                }
                idents
            }
            JoinConstraint::Natural => natural(&left, &right),
        };
        self.join_using(outer, left, right, kind, &names)
    }

    fn join_on(
        &self,
        (outer, before): (&Scope<'_>, &Source),
        left: Source,
        right: Source,
        kind: Kind,
        condition: &Expr,
    ) -> Result<Source, PgError> {
        let join = format!("{} {} {}", left.sql, kind.word(), right.sql);
        let mut both = side_by_side(left, right, join)?;
        let mut scope = both.scope(outer);
        let others = before.tables.iter().map(|table| table.name.clone());
        scope.concealed.extend(others);
        scope.clause.set(Clause::On);
        let condition = self.condition(&scope, condition, "JOIN/ON")?;
        both.sql = format!("{} ON {condition}", both.sql);
        Ok(both)
    }

    fn join_using(
        &self,
        outer: &Scope<'_>,
        left: Source,
        right: Source,
        kind: Kind,
        names: &[Ident],
    ) -> Result<Source, PgError> {
        let mut merged = Vec::new();
        let mut conditions = Vec::new();
        for ident in names {
            let ours = self.using_column(&left, ident, "left")?;
            let theirs = self.using_column(&right, ident, "right")?;
            merged.push(self.merged(kind, &ours, &theirs)?);
            conditions.push(self.equal(outer, &ours, &theirs)?.text().to_owned());
        }
        let mut sql = format!("{} {} {}", left.sql, kind.word(), right.sql);
        if conditions.is_empty() {
            conditions.push("1".to_owned());
        }
        sql = format!("{sql} ON {}", conditions.join(" AND "));
        let is_rest = |column: &&ScopeColumn| {
            !column.system && !merged.iter().any(|merged| merged.name == column.name)
        };
        let rest = left.columns.iter().chain(&right.columns).filter(is_rest);
        let columns = merged.iter().chain(rest).cloned().collect();
        let mut both = side_by_side(left, right, sql)?;
        both.columns = columns;
        Ok(both)
    }

    /// The column of one side that USING names.
    fn using_column(
        &self,
        side: &Source,
        ident: &Ident,
        which: &str,
    ) -> Result<ScopeColumn, PgError> {
        let name = folded(ident);
        let mut named = side.columns.iter().filter(|column| column.name == name);
        match (named.next(), named.next()) {
            (Some(column), None) => Ok(column.clone()),
            (Some(_), Some(_)) => {
                let message = format!(
                    "common column name \"{name}\" appears more than once in {which} table"
                );
                Err(PgError::error("42702", message))
            }
            (None, _) => {
                let message = format!(
                    "column \"{name}\" specified in USING clause does not exist in {which} table"
                );
                Err(PgError::error("42703", message))
            }
        }
    }

    /// `ours = theirs`, by the rules of expressions.
    fn equal(
        &self,
        outer: &Scope<'_>,
        ours: &ScopeColumn,
        theirs: &ScopeColumn,
    ) -> Result<Typed, PgError> {
        let mut scope = Scope::inside(outer);
        scope.clause.set(Clause::On);
        for (name, column) in [("ours", ours), ("theirs", theirs)] {
            scope.columns.push(ScopeColumn {
                name: name.to_owned(),
                ..column.clone()
            });
        }
        let side = |name: &str| Box::new(Expr::Identifier(Ident::new(name)));
        let equal = Expr::BinaryOp {
            left: side("ours"),
            op: BinaryOperator::Eq,
            right: side("theirs"),
        };
        self.expr(&scope, &equal)
    }

    /// The one column that a join makes of two.
    fn merged(
        &self,
        kind: Kind,
        ours: &ScopeColumn,
        theirs: &ScopeColumn,
    ) -> Result<ScopeColumn, PgError> {
        let (ty, values) =
            self.unify("JOIN/USING", vec![ours.value.clone(), theirs.value.clone()])?;
        let texts: Vec<&str> = values.iter().map(Typed::text).collect();
        let (left, right) = match texts.as_slice() {
            [left, right] => (*left, *right),
            _ => return Err(PgError::error("XX000", "a join has two sides")),
        };
        let (sql, origin) = match kind {
            Kind::Inner | Kind::Left => (left.to_owned(), ours.value.origin),
            Kind::Right => (right.to_owned(), theirs.value.origin),
            Kind::Full => (format!("coalesce({left}, {right})"), (0, 0)),
        };
        let mut column = ScopeColumn::new(&ours.name, sql, ty);
        column.value.origin = origin;
        Ok(column)
    }
}

/// Both sides of a join under their names.
fn side_by_side(mut left: Source, right: Source, sql: String) -> Result<Source, PgError> {
    left.beside(right)?;
    left.sql = sql;
    Ok(left)
}

/// The names that both sides have.
fn natural(left: &Source, right: &Source) -> Vec<Ident> {
    let names = left.columns.iter().filter(|column| !column.system);
    names
        .filter(|column| right.columns.iter().any(|other| other.name == column.name))
        .map(|column| Ident::with_quote('"', &column.name))
        .collect()
}
