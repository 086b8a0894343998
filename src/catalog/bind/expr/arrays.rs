//! Arrays: constructors, subscripts, ANY and ALL, and the operators over them.

use sqlparser::ast::{AccessExpr, Expr, Ident, Query, Spanned, Subscript};

use super::super::{Binder, Node, Scope, Typed, unsupported};
use super::apply::Applied;
use super::coerce::Coercion;
use super::constants::quoted;
use super::operators;
use super::{runtime, types};
use crate::datum::{self, PgType};
use crate::pgerror::PgError;

/// An array of elements that are given in their text form.
pub(super) fn written(items: &[String]) -> String {
    format!("{}({})", runtime::ARRAY, items.join(", "))
}

impl Binder<'_> {
    /// `ARRAY[...]`
    pub(super) fn array(&self, scope: &Scope<'_>, items: &[Expr]) -> Result<Typed, PgError> {
        if items.is_empty() {
            let error = PgError::error("42P18", "cannot determine type of empty array");
            return Err(error.with_hint(
                "Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            ));
        }
        let items: Vec<&Expr> = items.iter().collect();
        let values = self.values(scope, &items)?;
        let places: Vec<Option<&Expr>> = items.iter().copied().map(Some).collect();
        let (element, values) = self.unify_at("ARRAY", values, &places)?;
        self.array_of_values(element, &values)
    }

    /// `ARRAY[...]::t[]`: the elements are cast, each by itself.
    pub(super) fn array_of_type(
        &self,
        scope: &Scope<'_>,
        items: &[Expr],
        element: PgType,
    ) -> Result<Typed, PgError> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if let Expr::Array(inner) = item {
                values.push(self.array_of_type(scope, &inner.elem, element)?);
                continue;
            }
            let value = self.expr(scope, item)?;
            let cast = self.coerce(value, element, Coercion::Explicit);
            values.push(cast.map_err(|error| self.at(item.span(), error))?);
        }
        let element = values.first().map_or(element, |first| first.ty);
        self.array_of_values(element, &values)
    }

    fn array_of_values(&self, element: PgType, values: &[Typed]) -> Result<Typed, PgError> {
        if types::element_of(element).is_some() {
            let texts: Vec<&str> = values.iter().map(Typed::text).collect();
            let sql = format!("{}({})", runtime::NESTED, texts.join(", "));
            return Ok(Typed::of(sql, element));
        }
        let array = self.array_type(element)?;
        let texts: Vec<String> = values.iter().map(|value| self.as_text(value)).collect();
        Ok(Typed::of(written(&texts), array))
    }

    pub(super) fn array_type(&self, element: PgType) -> Result<PgType, PgError> {
        types::array_of(element).ok_or_else(|| {
            let message = format!(
                "could not find array type for data type {}",
                types::display(element)
            );
            PgError::error("42704", message)
        })
    }

    /// `ARRAY(SELECT ...)`
    pub(super) fn array_subquery(
        &self,
        scope: &Scope<'_>,
        query: &Query,
    ) -> Result<Typed, PgError> {
        let bound = self.query(scope, query)?;
        let [column] = bound.columns.as_slice() else {
            let message = "subquery must return only one column";
            return Err(PgError::error("42601", message));
        };
        let value = self.settled(Typed::of("c1", column.column_type))?;
        if types::element_of(value.ty).is_some() {
            return Err(unsupported("an array of arrays from a query"));
        }
        let array = self.array_type(value.ty)?;
        let text = self.as_text(&value);
        let sql = format!(
            "(SELECT {}({text}) FROM ({}))",
            runtime::TEXT_AGG,
            bound.sql
        );
        Ok(Typed::of(sql, array))
    }

    /// `a[1]`, `(row).field`, `t.a[1]`
    pub(super) fn access(
        &self,
        scope: &Scope<'_>,
        root: &Expr,
        chain: &[AccessExpr],
    ) -> Result<Typed, PgError> {
        let mut idents: Vec<Ident> = Vec::new();
        if let Expr::Identifier(ident) = root {
            idents.push(ident.clone());
        } else if let Expr::CompoundIdentifier(parts) = root {
            idents.extend(parts.iter().cloned());
        }
        let mut rest = chain;
        let mut value = if idents.is_empty() {
            match chain.split_first() {
                Some((AccessExpr::Dot(Expr::Identifier(field)), after)) => {
                    rest = after;
                    scope.field(self, root, field)?
                }
                _ => self.expr(scope, root)?,
            }
        } else {
            while let Some((AccessExpr::Dot(Expr::Identifier(field)), after)) = rest.split_first() {
                idents.push(field.clone());
                rest = after;
            }
            scope.column(self, &idents)?
        };
        while let Some(first) = rest.first() {
            let AccessExpr::Subscript(_) = first else {
                return Err(self.at(root.span(), unsupported("a field of this expression")));
            };
            let mut subscripts = Vec::new();
            while let Some((AccessExpr::Subscript(subscript), after)) = rest.split_first() {
                subscripts.push(subscript);
                rest = after;
            }
            let part = self.subscripted(scope, value, &subscripts);
            value = part.map_err(|error| self.at(root.span(), error))?;
        }
        Ok(value)
    }

    fn subscripted(
        &self,
        scope: &Scope<'_>,
        value: Typed,
        subscripts: &[&Subscript],
    ) -> Result<Typed, PgError> {
        let Some(element) = types::element_of(value.ty) else {
            let message = format!(
                "cannot subscript type {} because it does not support subscripting",
                types::display(value.ty)
            );
            return Err(PgError::error("42804", message));
        };
        let mut args = vec![value.text().to_owned()];
        if let [
            Subscript::Slice {
                lower_bound,
                upper_bound,
                stride: None,
            },
        ] = subscripts
        {
            for bound in [lower_bound, upper_bound] {
                args.push(match bound {
                    Some(e) => self.subscript(scope, e)?,
                    // NULL would make NULL of it
                    None => "''".to_owned(),
                });
            }
            let array = if datum::info(value.ty).is_some_and(datum::TypeInfo::is_vector) {
                types::array_of(element).unwrap_or(value.ty)
            } else {
                value.ty
            };
            return Ok(Typed::of(
                format!("{}({})", runtime::SLICE, args.join(", ")),
                array,
            ));
        }
        for subscript in subscripts {
            let Subscript::Index { index } = subscript else {
                return Err(unsupported("a slice of more than one dimension"));
            };
            args.push(self.subscript(scope, index)?);
        }
        let text = format!("{}({})", runtime::SUBSCRIPT, args.join(", "));
        Ok(self.read(&text, element))
    }

    fn subscript(&self, scope: &Scope<'_>, index: &Expr) -> Result<String, PgError> {
        let value = self.expr(scope, index)?;
        let bound = self
            .coerce(value, PgType::INT4, Coercion::Assignment)
            .map_err(|error| {
                let error = if error.code() == "42846" {
                    PgError::error("42804", "array subscript must have type integer")
                } else {
                    error
                };
                self.at(index.span(), error)
            })?;
        Ok(bound.text().to_owned())
    }

    /// `left op ANY (right)` and `left op ALL (right)`
    pub(super) fn quantified(
        &self,
        scope: &Scope<'_>,
        left: &Expr,
        symbol: &str,
        right: &Expr,
        all: bool,
    ) -> Result<Typed, PgError> {
        let right = unnested(right);
        if let Expr::Subquery(query) = right {
            return self.quantified_subquery(scope, left, symbol, query, all);
        }
        if let Expr::Array(array) = right
            && !array.elem.is_empty()
            && (symbol == "=" && !all || symbol == "<>" && all)
            && !array.elem.iter().any(|item| matches!(item, Expr::Array(_)))
        {
            return self.in_list(scope, left, &array.elem, all);
        }
        let value = self.expr(scope, left)?;
        let array = self.expr(scope, right)?;
        let bound = self.quantified_array(symbol, value, array, all);
        bound.map_err(|error| self.at_operator(left, symbol, right, error))
    }

    fn quantified_array(
        &self,
        symbol: &str,
        value: Typed,
        array: Typed,
        all: bool,
    ) -> Result<Typed, PgError> {
        let array = if array.is_unknown() {
            let ty = if value.is_unknown() {
                PgType::TEXT
            } else {
                value.ty
            };
            let ty = self.array_type(ty)?;
            self.coerce(array, ty, Coercion::Implicit)?
        } else {
            array
        };
        let Some(element) = types::element_of(array.ty) else {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(PgError::error("42809", message));
        };
        // The element stands for itself; only what becomes of the types is of interest.
        let applied = self.operator(symbol, Some(value), Typed::of("NULL", element))?;
        if applied.result != PgType::BOOL {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(PgError::error("42809", message));
        }
        let left = applied.left.as_ref().map_or("NULL", Typed::text);
        let (ty, all) = (applied.right.ty.0, i32::from(all));
        let array = array.text();
        let sql = match (applied.native, applied.function) {
            (Some(_), _) => {
                let symbol = quoted(symbol);
                format!("{}({symbol}, {all}, {ty}, {left}, {array})", runtime::ANY)
            }
            (None, Some((oid, negated))) => {
                let negated = i32::from(negated);
                format!(
                    "{}({oid}, {negated}, {all}, {ty}, {left}, {array})",
                    runtime::ANY_CALL
                )
            }
            (None, None) => {
                let what = format!("operator {symbol} over an array's elements");
                return Err(unsupported(&what));
            }
        };
        Ok(Typed::of(sql, PgType::BOOL))
    }

    fn quantified_subquery(
        &self,
        scope: &Scope<'_>,
        left: &Expr,
        symbol: &str,
        query: &Query,
        all: bool,
    ) -> Result<Typed, PgError> {
        if symbol == "=" && !all || symbol == "<>" && all {
            return self.in_subquery(scope, left, query, all);
        }
        let num_aggregates = scope.num_aggregates.get();
        let value = self.expr(scope, left)?;
        if scope.num_aggregates.get() > num_aggregates {
            return Err(unsupported("an aggregate compared to a subquery"));
        }
        let bound = self.query(scope, query)?;
        let [column] = bound.columns.as_slice() else {
            let message = "subquery has too many columns";
            return Err(PgError::error("42601", message));
        };
        let table = self.fresh("q");
        let item = Typed::of(format!("{table}.c1"), column.column_type);
        let applied = self.operator(symbol, Some(value), item);
        let compared = applied
            .map_err(|error| self.at_word_behind(left, symbol, error))?
            .sql;
        // Decided by one row, unknown where a row is, else what it is over no row.
        let (decided, answer, otherwise) = if all {
            ("min", "0", "1")
        } else {
            ("max", "1", "0")
        };
        let sql = format!(
            "(SELECT CASE WHEN {decided}({compared}) = {answer} THEN {answer} \
             WHEN count(*) > count({compared}) THEN NULL ELSE {otherwise} END FROM ({}) AS {table})",
            bound.sql
        );
        Ok(Typed::of(sql, PgType::BOOL))
    }

    /// An operator over arrays; `None` if neither operand is one or it is no operator of arrays.
    pub(super) fn array_operator(
        &self,
        symbol: &str,
        left: &Typed,
        right: &Typed,
    ) -> Result<Option<Applied>, PgError> {
        let (one, other) = (types::element_of(left.ty), types::element_of(right.ty));
        let Some(element) = one.or(other) else {
            return Ok(None);
        };
        if symbol == "||" {
            return self.concatenated(left, right);
        }
        let is_array =
            |element: Option<PgType>, value: &Typed| element.is_some() || value.is_unknown();
        let comparison = operators::COMPARISONS.contains(&symbol);
        let known = comparison || matches!(symbol, "@>" | "<@" | "&&");
        if !known || !is_array(one, left) || !is_array(other, right) {
            return Ok(None);
        }
        if left.ty == PgType::OIDVECTOR && right.ty == PgType::OIDVECTOR {
            return Ok(None);
        }
        let element = match one.zip(other) {
            Some((one, other)) if one != other => return Ok(None),
            _ => element,
        };
        let array = self.array_type(element)?;
        let as_array = |value: &Typed| {
            if types::element_of(value.ty) == Some(element) {
                return Ok(value.clone());
            }
            self.coerce(value.clone(), array, Coercion::Implicit)
        };
        let (left, right) = (as_array(left)?, as_array(right)?);
        let (a, b) = (left.text(), right.text());
        let oid = element.0;
        let sql = match symbol {
            "@>" => format!("{}({oid}, {a}, {b})", runtime::CONTAINS),
            "<@" => format!("{}({oid}, {b}, {a})", runtime::CONTAINS),
            "&&" => format!("{}({oid}, {a}, {b})", runtime::OVERLAP),
            _ => format!("({}({oid}, {a}, {b}) {symbol} 0)", runtime::COMPARE),
        };
        Ok(Some(Applied {
            left: Some(left),
            right,
            result: PgType::BOOL,
            sql,
            native: None,
            function: None,
        }))
    }

    /// `||` with an array on a side: the other one is an array or an element.
    fn concatenated(&self, left: &Typed, right: &Typed) -> Result<Option<Applied>, PgError> {
        let element_of = |value: &Typed| types::element_of(value.ty).unwrap_or(value.ty);
        let Ok(element) = self.common_type("ARRAY", [element_of(left), element_of(right)]) else {
            return Ok(None);
        };
        let array = self.array_type(element)?;
        let side = |value: &Typed| {
            let is_array = types::element_of(value.ty).is_some()
                || matches!(value.node, Node::Literal(_) | Node::Null | Node::Param(_));
            if is_array {
                return self.coerce(value.clone(), array, Coercion::Implicit);
            }
            let value = self.coerce(value.clone(), element, Coercion::Implicit)?;
            Ok(Typed::of(written(&[self.as_text(&value)]), array))
        };
        let (left, right) = (side(left)?, side(right)?);
        let sql = format!("{}({}, {})", runtime::CONCAT, left.text(), right.text());
        Ok(Some(Applied {
            left: Some(left),
            right,
            result: array,
            sql,
            native: None,
            function: None,
        }))
    }
}

/// Without parentheses around it.
fn unnested(e: &Expr) -> &Expr {
    if let Expr::Nested(inner) = e {
        unnested(inner)
    } else {
        e
    }
}
