//! Aggregates and window functions: DISTINCT, ORDER BY, FILTER, OVER.

use sqlparser::ast::{
    DuplicateTreatment, Function as Ast, FunctionArgumentClause, FunctionArguments, OrderByExpr,
};

use super::super::{Binder, Scope, Typed, unsupported};
use super::calls::takes_text;
use super::runtime;
use super::signatures::{Callee, Resolved};
use super::{arguments, calls};
use crate::catalog::functions::{Body, Function};
use crate::datum::{ElementOrder, PgType};
use crate::pgerror::PgError;

/// An aggregate's call, bound piece by piece.
struct Pieces {
    values: Vec<Typed>,
    star: bool,
    distinct: bool,
    order: Vec<String>,
    filter: Option<String>,
}

impl Binder<'_> {
    /// A call of an aggregate or a window function.
    pub(super) fn aggregate(
        &self,
        scope: &Scope<'_>,
        call: &Ast,
        name: &str,
        is_window: bool,
    ) -> Result<Typed, PgError> {
        if !call.within_group.is_empty() {
            return Err(unsupported("WITHIN GROUP"));
        }
        if is_window && call.over.is_none() {
            let message = format!("window function {name} requires an OVER clause");
            return Err(PgError::error("42809", message));
        }
        let pieces = match call.over {
            Some(_) => {
                scope.note_window()?;
                self.pieces(scope, call)?
            }
            None => {
                scope.note_aggregate()?;
                let before = scope.num_columns_by_level();
                let pieces = scope.inside_aggregate(|| self.pieces(scope, call))?;
                if belongs_outside(&before, &scope.num_columns_by_level()) {
                    return Err(unsupported("an aggregate of an outer query's columns"));
                }
                pieces
            }
        };
        if pieces.star && name != "count" {
            let message = format!("{name}() must be called with at least one argument");
            let error = PgError::error("42883", format!("function {name}() does not exist"));
            return Err(error.with_hint(message));
        }
        let over = match &call.over {
            Some(window) => {
                if pieces.distinct {
                    let message = "DISTINCT is not implemented for window functions";
                    return Err(PgError::unsupported(message));
                }
                if !pieces.order.is_empty() {
                    let message = "aggregate ORDER BY is not implemented for window functions";
                    return Err(PgError::unsupported(message));
                }
                self.window(scope, window)?
            }
            None => String::new(),
        };
        if pieces.star {
            let filter = written_filter(pieces.filter.as_deref());
            return Ok(Typed::of(format!("count(*){filter}{over}"), PgType::INT8));
        }
        let resolved = self.resolve_call(&Callee::plain(name), &pieces.values)?;
        self.write_aggregate(&resolved, pieces, &over)
    }

    fn pieces(&self, scope: &Scope<'_>, call: &Ast) -> Result<Pieces, PgError> {
        let (exprs, star) = arguments::aggregate_arguments(call)?;
        let mut pieces = Pieces {
            values: self.values(scope, &exprs)?,
            star,
            distinct: false,
            order: Vec::new(),
            filter: None,
        };
        if let FunctionArguments::List(list) = &call.args {
            pieces.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
            for clause in &list.clauses {
                let FunctionArgumentClause::OrderBy(order) = clause else {
                    return Err(unsupported(&clause.to_string()));
                };
                if pieces.distinct && !order.iter().all(|by| exprs.contains(&&by.expr)) {
                    let message = "in an aggregate with DISTINCT, ORDER BY expressions must \
                                   appear in argument list";
                    return Err(PgError::error("42P10", message));
                }
                pieces.order = self.order(scope, order)?;
            }
        }
        if let Some(filter) = &call.filter {
            pieces.filter = Some(self.condition(scope, filter, "FILTER")?);
        }
        Ok(pieces)
    }

    /// ORDER BY inside of a call or a window.
    pub(super) fn order(
        &self,
        scope: &Scope<'_>,
        order: &[OrderByExpr],
    ) -> Result<Vec<String>, PgError> {
        order
            .iter()
            .map(|by| {
                let value = self.settled(self.expr(scope, &by.expr)?)?;
                Ok(format!(
                    "{} {}",
                    constant_key(&self.sort_key(&value)?),
                    direction(by)
                ))
            })
            .collect()
    }

    fn write_aggregate(
        &self,
        resolved: &Resolved,
        mut pieces: Pieces,
        over: &str,
    ) -> Result<Typed, PgError> {
        let function = resolved.function;
        let first = pieces.values.first().map(|value| as_taken(function, value));
        let values = std::mem::take(&mut pieces.values);
        let num_values = values.len();
        let completed = self.completed(resolved, values)?;
        let returns = completed.returns;
        let mut texts = completed.args;
        let ordered = pieces.distinct || orders(function.name);
        // What is collected into text is ordered by its values all the same.
        let own_order = match &first {
            Some(first) if pieces.distinct => Some(self.sort_key(first)?),
            Some(_) | None => None,
        };
        if let Some(text) = texts.first_mut()
            && ordered
        {
            let ty = first.map_or(PgType::TEXT, |one| one.ty);
            if ty == PgType::INTERVAL && takes_text(function) {
                return Err(unsupported("DISTINCT intervals as text"));
            }
            // SQLite compares by the collation of the argument.
            let key = Typed::of(text.clone(), ty);
            *text = if function.args == [PgType::ANYNONARRAY] {
                printed_key(&key)?
            } else {
                self.sort_key(&key)?
            };
        }
        if pieces.distinct && calls::takes_json(function) {
            return Err(unsupported(&format!("{}(DISTINCT)", function.name)));
        }
        if pieces.distinct && num_values > 1 {
            return self.distinct_string_agg(resolved, pieces, &texts);
        }
        let distinct = if pieces.distinct { "DISTINCT " } else { "" };
        if pieces.distinct && pieces.order.is_empty() && !matches!(function.body, Body::Native(_)) {
            // PostgreSQL sorts to find what is distinct, and it shows.
            pieces.order = own_order
                .map(|key| format!("{} ASC NULLS LAST", constant_key(&key)))
                .into_iter()
                .collect();
        }
        let order = if pieces.order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", pieces.order.join(", "))
        };
        let filter = written_filter(pieces.filter.as_deref());
        let name = calls::aggregate_name(function);
        let sql = format!(
            "{name}({distinct}{}{order}){filter}{over}",
            texts.join(", ")
        );
        Ok(self.call_result(function, returns, sql))
    }

    /// `string_agg(DISTINCT x, sep)`: SQLite's DISTINCT takes one argument, so an array is made
    /// first.
    fn distinct_string_agg(
        &self,
        resolved: &Resolved,
        pieces: Pieces,
        texts: &[String],
    ) -> Result<Typed, PgError> {
        let [value, separator] = texts else {
            return Err(unsupported("DISTINCT over several arguments"));
        };
        if resolved.function.name != "string_agg" || resolved.function.returns != PgType::TEXT {
            return Err(unsupported("DISTINCT over several arguments"));
        }
        if !separator.starts_with('\'') {
            return Err(unsupported(
                "string_agg(DISTINCT) with a separator that is no constant",
            ));
        }
        let order = if pieces.order.is_empty() {
            format!("{value} ASC NULLS LAST")
        } else {
            pieces.order.join(", ")
        };
        let filter = match pieces.filter {
            Some(filter) => format!("{filter} AND {value} IS NOT NULL"),
            None => format!("{value} IS NOT NULL"),
        };
        let array = format!(
            "{}(DISTINCT {value} ORDER BY {order}) FILTER (WHERE {filter})",
            runtime::TEXT_AGG
        );
        let types = [PgType::TEXT_ARRAY, PgType::TEXT];
        // Of no rows it is NULL.
        let array = format!("nullif({array}, '{{}}')");
        let sql = self.internal("array_to_string", &types, &[&array, separator])?;
        Ok(Typed::of(sql, PgType::TEXT))
    }
}

/// An argument as the aggregate compares it: a "char" that it takes as text is ordered as text.
fn as_taken(function: &Function, value: &Typed) -> Typed {
    let mut taken = value.clone();
    if value.ty == PgType::CHAR && function.args.first() == Some(&PgType::TEXT) {
        taken.ty = PgType::TEXT;
    }
    taken
}

/// Text by which SQLite orders values of a type that are in their text form.
fn printed_key(value: &Typed) -> Result<String, PgError> {
    let ty = value.ty;
    let collation = match ElementOrder::of(ty) {
        Some(ElementOrder::Bytes) => "",
        Some(ElementOrder::Chars) => " COLLATE pg_char",
        Some(ElementOrder::Numbers) => " COLLATE pg_numeric",
        Some(order @ ElementOrder::Positions) => {
            return Ok(format!("{} COLLATE {}", value.text(), order.collation()));
        }
        None if ty == PgType::UNKNOWN => "",
        None if ty == PgType::BPCHAR => " COLLATE RTRIM",
        None => {
            let name = super::types::display(ty);
            return Err(unsupported(&format!("array_agg(DISTINCT) of type {name}")));
        }
    };
    Ok(format!("{}{collation}", value.text()))
}

/// Whether an aggregate met columns of outer queries only: then it is of the outer query.
fn belongs_outside(before: &[usize], after: &[usize]) -> bool {
    before.first() == after.first() && before != after
}

/// A constant as a key would be taken for a column's number.
fn constant_key(key: &str) -> String {
    if key.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("+{key}")
    } else {
        key.to_owned()
    }
}

/// ASC or DESC, with NULLs where PostgreSQL puts them.
pub(in crate::catalog) fn direction(by: &OrderByExpr) -> &'static str {
    let descending = by.options.asc == Some(false);
    match (descending, by.options.nulls_first.unwrap_or(descending)) {
        (false, false) => "ASC NULLS LAST",
        (false, true) => "ASC NULLS FIRST",
        (true, false) => "DESC NULLS LAST",
        (true, true) => "DESC NULLS FIRST",
    }
}

fn written_filter(filter: Option<&str>) -> String {
    filter.map_or(String::new(), |filter| format!(" FILTER (WHERE {filter})"))
}

/// Aggregates that compare their argument.
fn orders(name: &str) -> bool {
    matches!(name, "min" | "max")
}
