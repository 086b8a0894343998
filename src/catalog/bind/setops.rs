//! UNION, INTERSECT and EXCEPT, and what is recursive.

use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier};

use crate::catalog::Column;
use crate::datum::PgType;
use crate::pgerror::PgError;

use super::order::{Tail, equality_collation};
use super::query::Draft;
use super::{Binder, BoundQuery, Cte, Scope};

impl Binder<'_> {
    /// `left op right`, with columns of the types that both sides become.
    pub(super) fn set_operation(
        &self,
        scope: &Scope<'_>,
        left: &SetExpr,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
    ) -> Result<Draft, PgError> {
        let all = is_all(quantifier)?;
        let name = name_of(op)?;
        let mut left = self.body(scope, left, &Tail::default())?;
        let mut right = self.body(scope, right, &Tail::default())?;
        let types = self.common_types(name, &left, &right)?;
        left.coerce(self, &types)?;
        right.coerce(self, &types)?;
        // What is compared is compared by the rules of its type.
        left.compared |= !all || op != SetOperator::Union;
        right.compared |= !all || op != SetOperator::Union;
        let (left, right) = (self.compound_operand(left)?, self.compound_operand(right)?);
        let mut collated = false;
        for ty in &types {
            collated |= !equality_collation(*ty).unwrap_or_default().is_empty();
        }
        let sql = if !all && op == SetOperator::Union && collated {
            // Of equal values that look different the first stays.
            let both = BoundQuery {
                sql: format!("{} UNION ALL {}", left.sql, right.sql),
                ..left.clone()
            };
            let mut draft = Draft::over(&both);
            draft.head = "SELECT DISTINCT".to_owned();
            draft.compared = true;
            draft.render(self)?.sql
        } else if all && op != SetOperator::Union {
            counted(name, &left, &right)
        } else {
            let all = if all { " ALL" } else { "" };
            format!("{} {name}{all} {}", left.sql, right.sql)
        };
        Ok(Draft::over(&BoundQuery { sql, ..left }))
    }

    /// The text of an operand, one plain SELECT.
    fn compound_operand(&self, draft: Draft) -> Result<BoundQuery, PgError> {
        let simple = draft.simple;
        let compared = draft.compared;
        let bound = draft.render(self)?;
        if simple {
            return Ok(bound);
        }
        let mut outer = Draft::over(&bound);
        outer.compared = compared;
        outer.render(self)
    }

    fn common_types(
        &self,
        name: &str,
        left: &Draft,
        right: &Draft,
    ) -> Result<Vec<PgType>, PgError> {
        if left.targets.len() != right.targets.len() {
            let message = format!("each {name} query must have the same number of columns");
            let error = PgError::error("42601", message);
            return Err(match right.targets.first() {
                Some(first) => self.at(first.span, error),
                None => error,
            });
        }
        let pairs = left.targets.iter().zip(&right.targets);
        pairs
            .map(|(left, right)| {
                let common = self.common_type(name, [left.value.ty, right.value.ty]);
                common.map_err(|error| self.at(right.span, error))
            })
            .collect()
    }

    /// An item of WITH RECURSIVE, and whether it is recursive indeed.
    pub(super) fn recursive(
        &self,
        scope: &Scope<'_>,
        name: &str,
        sql_name: &str,
        cte: &ast::Cte,
    ) -> Result<(BoundQuery, bool), PgError> {
        let SetExpr::SetOperation {
            left,
            op: SetOperator::Union,
            set_quantifier,
            right,
        } = &*cte.query.body
        else {
            return Ok((self.query(scope, &cte.query)?, false));
        };
        let plain = cte.query.with.is_none() && Tail::of(&cte.query)?.is_empty();
        if !plain {
            return Ok((self.query(scope, &cte.query)?, false));
        }
        let mut first = self.body(scope, left, &Tail::default())?;
        first.settle(self)?;
        let inner = self.inner_scope(scope, name, sql_name, cte, &first)?;
        let mut next = self.body(&inner, right, &Tail::default())?;
        let types: Vec<PgType> = first.targets.iter().map(|target| target.value.ty).collect();
        let overall = self.common_types("UNION", &first, &next)?;
        check_types(name, &first, &overall)?;
        next.coerce(self, &types)?;
        let all = is_all(*set_quantifier)?;
        first.compared |= !all;
        let first = self.compound_operand(first)?;
        // The recursive side refers to the result, so it stays as it is.
        let next = next.render(self)?;
        let all = if all { " ALL" } else { "" };
        let sql = format!("{} UNION{all} {}", first.sql, next.sql);
        Ok((BoundQuery { sql, ..first }, true))
    }

    fn inner_scope<'s>(
        &self,
        scope: &'s Scope<'s>,
        name: &str,
        sql_name: &str,
        cte: &ast::Cte,
        first: &Draft,
    ) -> Result<Scope<'s>, PgError> {
        let columns = first.targets.iter().map(|target| Column {
            name: target.name.clone(),
            column_type: target.value.ty,
            typmod: -1,
            table_oid: 0,
            attnum: 0,
        });
        let columns = self.renamed(columns.collect(), &cte.alias)?;
        let mut inner = Scope::inside(scope);
        inner.ctes.push(Cte {
            name: name.to_owned(),
            sql_name: sql_name.to_owned(),
            columns,
            fields: Vec::new(),
        });
        Ok(inner)
    }
}

/// The recursive side may not change a column's type.
fn check_types(name: &str, first: &Draft, overall: &[PgType]) -> Result<(), PgError> {
    for (number, (target, ty)) in (1u32..).zip(first.targets.iter().zip(overall)) {
        if target.value.ty != *ty {
            let message = format!(
                "recursive query \"{name}\" column {number} has type {} in non-recursive term \
                 but type {} overall",
                super::expr::types::display(target.value.ty),
                super::expr::types::display(*ty)
            );
            let hint = "Cast the output of the non-recursive term to the correct type.";
            return Err(PgError::error("42804", message).with_hint(hint));
        }
    }
    Ok(())
}

/// INTERSECT ALL and EXCEPT ALL: equal rows are numbered, so that each has a partner of its own.
fn counted(name: &str, left: &BoundQuery, right: &BoundQuery) -> String {
    let numbers = 1..=left.columns.len();
    let columns: Vec<String> = numbers.map(|number| format!("c{number}")).collect();
    let columns = columns.join(", ");
    let side = |query: &BoundQuery| {
        format!(
            "SELECT {columns}, row_number() OVER (PARTITION BY {columns}) AS n FROM ({})",
            query.sql
        )
    };
    format!(
        "SELECT {columns} FROM ({} {name} {})",
        side(left),
        side(right)
    )
}

fn name_of(op: SetOperator) -> Result<&'static str, PgError> {
    match op {
        SetOperator::Union => Ok("UNION"),
        SetOperator::Intersect => Ok("INTERSECT"),
        SetOperator::Except => Ok("EXCEPT"),
        SetOperator::Minus => Err(PgError::syntax("MINUS")),
    }
}

fn is_all(quantifier: SetQuantifier) -> Result<bool, PgError> {
    match quantifier {
        SetQuantifier::All => Ok(true),
        SetQuantifier::Distinct | SetQuantifier::None => Ok(false),
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
            Err(PgError::syntax("BY"))
        }
    }
}
