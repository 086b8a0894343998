//! Expressions with a syntax or a rule of their own: CASE, COALESCE, EXTRACT, subqueries, ...

use sqlparser::ast::{
    CaseWhen, DateTimeField, Expr, Interval, ObjectName, Query, Spanned, TrimWhereField,
};

use super::super::{Binder, Node, Scope, Typed, unsupported};
use super::signatures::Callee;
use super::{runtime, types};
use crate::datum::PgType;
use crate::pgerror::PgError;

impl Binder<'_> {
    /// CASE in both its forms.
    pub(super) fn case(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        let Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } = e
        else {
            return Err(unsupported("this CASE"));
        };
        let whens = match operand {
            Some(operand) => self.simple_case(scope, operand, conditions)?,
            None => {
                let mut whens = Whens {
                    operand: String::new(),
                    conditions: Vec::new(),
                };
                for when in conditions {
                    let condition = self.condition(scope, &when.condition, "CASE/WHEN")?;
                    whens.conditions.push(condition);
                }
                whens
            }
        };
        // PostgreSQL looks at ELSE first.
        let mut results = Vec::new();
        results.push(match else_result {
            Some(result) => self.expr(scope, result)?,
            None => Typed::with(Node::Null, PgType::UNKNOWN),
        });
        for when in conditions {
            results.push(self.expr(scope, &when.result)?);
        }
        let mut places = vec![else_result.as_deref()];
        places.extend(conditions.iter().map(|when| Some(&when.result)));
        let (ty, results) = self.unify_at("CASE", results, &places)?;
        let mut results = results.iter();
        let otherwise = results.next().map_or("NULL", Typed::text);
        let mut sql = format!("CASE{}", whens.operand);
        for (condition, result) in whens.conditions.iter().zip(results) {
            sql.push_str(&format!(" WHEN {condition} THEN {}", result.text()));
        }
        Ok(Typed::of(format!("{sql} ELSE {otherwise} END"), ty))
    }

    /// `CASE operand WHEN value`: each is a comparison of its own.
    fn simple_case(
        &self,
        scope: &Scope<'_>,
        operand: &Expr,
        conditions: &[CaseWhen],
    ) -> Result<Whens, PgError> {
        let volatile = self.num_volatile.get();
        let value = self.expr(scope, operand)?;
        let value = self.settled(value)?;
        let repeated = self.num_volatile.get() > volatile;
        let mut equals = Vec::with_capacity(conditions.len());
        for when in conditions {
            let item = self.expr(scope, &when.condition)?;
            let equal = self.operator("=", Some(value.clone()), item);
            equals.push(equal.map_err(|error| self.at(when.condition.span(), error))?);
        }
        let key = equals
            .first()
            .map(super::apply::Applied::left_key)
            .unwrap_or_default();
        let once = equals
            .iter()
            .all(|equal| equal.native.is_some() && equal.left_key() == key);
        if once {
            return Ok(Whens {
                operand: format!(" {key}"),
                conditions: equals
                    .iter()
                    .map(|equal| equal.right.text().to_owned())
                    .collect(),
            });
        }
        if repeated {
            return Err(unsupported("CASE over a volatile function and mixed types"));
        }
        Ok(Whens {
            operand: String::new(),
            conditions: equals.into_iter().map(|equal| equal.sql).collect(),
        })
    }

    /// COALESCE, GREATEST, LEAST.
    pub(super) fn coalesced(
        &self,
        scope: &Scope<'_>,
        name: &str,
        args: &[&Expr],
    ) -> Result<Typed, PgError> {
        let what = name.to_ascii_uppercase();
        let volatile = self.num_volatile.get();
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.expr(scope, arg)?);
        }
        let places: Vec<Option<&Expr>> = args.iter().copied().map(Some).collect();
        let (ty, values) = self.unify_at(&what, values, &places)?;
        if let [one] = values.as_slice() {
            return Ok(Typed::of(one.text(), ty));
        }
        let texts: Vec<&str> = values.iter().map(Typed::text).collect();
        if name == "coalesce" {
            return Ok(Typed::of(format!("coalesce({})", texts.join(", ")), ty));
        }
        if self.num_volatile.get() > volatile {
            return Err(unsupported(&format!("{what} over a volatile function")));
        }
        // SQLite's gives NULL if one is NULL; PostgreSQL passes over it.
        let mut filled = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let mut others = texts.clone();
            others.remove(index);
            let first = format!("coalesce({}, {})", value.text(), others.join(", "));
            filled.push(self.sort_key(&Typed::of(first, ty))?);
        }
        let function = if name == "greatest" {
            "max"
        } else {
            // Of equal ones SQLite's min gives the last, PostgreSQL the first.
            filled.reverse();
            "min"
        };
        Ok(Typed::of(format!("{function}({})", filled.join(", ")), ty))
    }

    /// `NULLIF(a, b)`
    pub(super) fn nullif(
        &self,
        scope: &Scope<'_>,
        one: &Expr,
        other: &Expr,
    ) -> Result<Typed, PgError> {
        let volatile = self.num_volatile.get();
        let value = self.expr(scope, one)?;
        let repeated = self.num_volatile.get() > volatile;
        let item = self.expr(scope, other)?;
        let equal = self.operator("=", Some(value), item);
        let equal = equal.map_err(|error| self.at_operator(one, ",", other, error))?;
        let ty = equal.left.as_ref().map_or(PgType::TEXT, |left| left.ty);
        let left = equal.left.as_ref().map_or("NULL", Typed::text);
        let sql = if equal.native.is_some() {
            format!("nullif({}, {})", equal.left_key(), equal.right.text())
        } else if repeated {
            return Err(unsupported("NULLIF over a volatile function of this type"));
        } else {
            format!("CASE WHEN {} THEN NULL ELSE {left} END", equal.sql)
        };
        Ok(Typed::of(sql, ty))
    }

    /// `(SELECT ...)` as a value.
    pub(super) fn scalar_subquery(
        &self,
        scope: &Scope<'_>,
        query: &Query,
    ) -> Result<Typed, PgError> {
        let bound = self.query(scope, query)?;
        let [column] = bound.columns.as_slice() else {
            let message = "subquery must return only one column";
            let error = PgError::error("42601", message);
            return Err(match self.lines.find_last(None, query.span().start, "(") {
                Some(position) => error.at(position),
                None => error,
            });
        };
        // What is without FROM in the end cannot have many rows.
        let sql = if !bound.sql.contains("FROM") {
            format!("({})", bound.sql)
        } else {
            // SQLite would take the first of several rows.
            let message = "more than one row returned by a subquery used as an expression";
            format!(
                "(SELECT CASE count(*) WHEN 0 THEN NULL WHEN 1 THEN max(c1) \
                 ELSE {}('21000', '{message}') END FROM ({}))",
                runtime::RAISE,
                bound.sql
            )
        };
        let value = Typed {
            typmod: column.typmod,
            ..Typed::of(sql, column.column_type)
        };
        self.settled(value)
    }

    /// `[NOT] EXISTS (SELECT ...)`
    pub(super) fn exists(
        &self,
        scope: &Scope<'_>,
        query: &Query,
        negated: bool,
    ) -> Result<Typed, PgError> {
        let bound = self.query(scope, query)?;
        let not = if negated { "NOT " } else { "" };
        Ok(Typed::of(
            format!("({not}EXISTS ({}))", bound.sql),
            PgType::BOOL,
        ))
    }

    /// `(a, b)` and `ROW(a, b)` as a value: a record in its text form.
    pub(super) fn row(&self, scope: &Scope<'_>, items: &[Expr]) -> Result<Typed, PgError> {
        let items: Vec<&Expr> = items.iter().collect();
        self.record_of(&self.values(scope, &items)?)
    }

    /// A record in its text form, of these fields.
    pub(in crate::catalog) fn record_of(&self, fields: &[Typed]) -> Result<Typed, PgError> {
        let mut texts = Vec::with_capacity(fields.len());
        for field in fields {
            let field = self.settled(field.clone())?;
            texts.push(self.as_text(&field));
        }
        Ok(Typed::of(
            format!("{}({})", runtime::ROW, texts.join(", ")),
            PgType::RECORD,
        ))
    }

    /// `INTERVAL '1' DAY`
    pub(super) fn interval(
        &self,
        scope: &Scope<'_>,
        interval: &Interval,
    ) -> Result<Typed, PgError> {
        if interval.last_field.is_some() || interval.fractional_seconds_precision.is_some() {
            return Err(unsupported("an interval with fields"));
        }
        let mut value = self.expr(scope, &interval.value)?;
        if let Some(field) = &interval.leading_field {
            let Node::Literal(text) = &value.node else {
                return Err(PgError::syntax(&field.to_string()));
            };
            value = Typed::with(Node::Literal(format!("{text} {field}")), PgType::UNKNOWN);
        }
        let cast = self.cast_to(value, PgType::INTERVAL, -1);
        cast.map_err(|error| self.at(interval.value.span(), error))
    }

    /// `EXTRACT(field FROM e)`
    pub(super) fn extract(
        &self,
        scope: &Scope<'_>,
        field: &DateTimeField,
        e: &Expr,
    ) -> Result<Typed, PgError> {
        let field = field.to_string().trim_matches('\'').to_ascii_lowercase();
        let value = self.expr(scope, e)?;
        let field = Typed::with(Node::Literal(field), PgType::UNKNOWN);
        let call = self.call_values("extract", vec![field, value]);
        call.map_err(|error| self.at(e.span(), error))
    }

    /// A function that is called by a syntax of its own.
    pub(super) fn spelled(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        name: &str,
        args: &[&Expr],
    ) -> Result<Typed, PgError> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.expr(scope, arg)?);
        }
        let call = self.call_values(name, values);
        call.map_err(|error| self.at(e.span(), error))
    }

    /// `SUBSTRING(e FROM a FOR b)` in its forms.
    pub(super) fn substring(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        let Expr::Substring {
            expr,
            substring_from,
            substring_for,
            shorthand,
            ..
        } = e
        else {
            return Err(unsupported("this SUBSTRING"));
        };
        let name = if *shorthand { "substr" } else { "substring" };
        let mut values = vec![self.expr(scope, expr)?];
        match (substring_from, substring_for) {
            (Some(from), length) => {
                values.push(self.expr(scope, from)?);
                if let Some(length) = length {
                    values.push(self.expr(scope, length)?);
                }
            }
            (None, Some(length)) => {
                values.push(Typed::of("1", PgType::INT4));
                values.push(self.expr(scope, length)?);
            }
            (None, None) => {}
        }
        let call = self.call_values(name, values);
        call.map_err(|error| self.at(e.span(), error))
    }

    /// `TRIM(BOTH x FROM e)` in its forms.
    pub(super) fn trim(&self, scope: &Scope<'_>, e: &Expr) -> Result<Typed, PgError> {
        let Expr::Trim {
            expr,
            trim_where,
            trim_what,
            trim_characters,
        } = e
        else {
            return Err(unsupported("this TRIM"));
        };
        let name = match trim_where {
            None | Some(TrimWhereField::Both) => "btrim",
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
        };
        let mut args = vec![expr.as_ref()];
        args.extend(trim_what.as_deref());
        args.extend(trim_characters.iter().flatten());
        self.spelled(scope, e, name, &args)
    }

    /// `e COLLATE c`: text compares by its bytes, whatever the collation's name.
    pub(super) fn collate(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        collation: &ObjectName,
    ) -> Result<Typed, PgError> {
        let mut parts: Vec<String> = collation
            .0
            .iter()
            .filter_map(|part| part.as_ident().map(types::folded))
            .collect();
        let name = parts.pop().unwrap_or_default();
        let known = matches!(
            name.as_str(),
            "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8"
        );
        if !known || parts.last().is_some_and(|schema| schema != "pg_catalog") {
            let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
            return Err(self.at_word_behind(e, "collate", PgError::error("42704", message)));
        }
        let value = self.expr(scope, e)?;
        let collatable = matches!(
            value.ty,
            PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR | PgType::NAME | PgType::UNKNOWN
        ) || types::element_of(value.ty).is_some();
        if collatable {
            return Ok(value);
        }
        let message = format!(
            "collations are not supported by type {}",
            types::display(value.ty)
        );
        Err(self.at_word_behind(e, "collate", PgError::error("42804", message)))
    }
}

/// The conditions of a CASE.
struct Whens {
    /// What stands between CASE and WHEN.
    operand: String,
    conditions: Vec<String>,
}

impl Binder<'_> {
    /// A value that a call of `name` (registry) makes of values that are bound already.
    pub(super) fn call_values(&self, name: &str, values: Vec<Typed>) -> Result<Typed, PgError> {
        let resolved = self.resolve_call(&Callee::plain(name), &values)?;
        self.call_value(&self.completed(&resolved, values)?)
    }
}
