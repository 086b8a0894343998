//! Function calls: which function is meant, with which arguments, and what SQLite calls.

use sqlparser::ast::{
    Expr, Function as Ast, FunctionArg, FunctionArguments, Ident, ObjectName, Spanned,
};
use sqlparser::tokenizer::Span;

use super::super::{Binder, FromCall, Scope, Typed, unsupported};
use super::arguments::{arguments_of, plain_arguments, refuse_aggregate_syntax, written_arguments};
use super::signatures::{Callee, Resolved};
use super::types;
use crate::catalog::functions::{self, Body, Function};
use crate::datum::PgType;
use crate::pgerror::PgError;

/// The function behind a keyword that is written like a column.
pub(super) fn keyword_function(ident: &Ident) -> Option<&'static str> {
    if ident.quote_style.is_some() {
        return None;
    }
    let keywords = [
        "current_user",
        "current_role",
        "session_user",
        "user",
        "current_catalog",
        "current_schema",
        "current_date",
        "current_timestamp",
        "localtimestamp",
        "localtime",
        "current_time",
    ];
    keywords
        .into_iter()
        .find(|keyword| ident.value.eq_ignore_ascii_case(keyword))
}

/// Schema and name of a function as written.
pub(super) fn function_name(name: &ObjectName) -> Result<(Option<String>, String), PgError> {
    let mut parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident().map(types::folded))
        .collect();
    match (parts.pop(), parts.pop(), parts.len()) {
        (Some(name), schema, 0 | 1) => Ok((schema, name)),
        _ => Err(PgError::error(
            "42601",
            format!("improper qualified name (too many dotted names): {name}"),
        )),
    }
}

impl Binder<'_> {
    /// A call as written.
    pub(super) fn call(&self, scope: &Scope<'_>, call: &Ast) -> Result<Typed, PgError> {
        let bound = self.call_named(scope, call);
        bound.map_err(|error| self.at(call.name.span(), error))
    }

    fn call_named(&self, scope: &Scope<'_>, call: &Ast) -> Result<Typed, PgError> {
        let (schema, name) = function_name(&call.name)?;
        if let FunctionArguments::Subquery(query) = &call.args {
            if schema.is_none() && name == "array" {
                return self.array_subquery(scope, query);
            }
            return Err(unsupported("a query as the arguments of a function"));
        }
        if schema.is_none()
            && let Some(bound) = self.special_call(scope, call, &name)?
        {
            return Ok(bound);
        }
        let arguments = arguments_of(written_arguments(call))?;
        let candidates = self.functions_named(schema.as_deref(), &name);
        let is_aggregate = candidates.iter().any(|function| function.is_aggregate());
        let is_window = candidates.iter().any(|function| function.kind() == 'w');
        if is_aggregate || is_window {
            return self.aggregate(scope, call, &name, is_window);
        }
        let values = if candidates.is_empty() && crate::datum::type_by_name(&name).is_none() {
            // It may be an aggregate that is not here, and that is what is said of it.
            scope.inside_aggregate(|| self.values(scope, &arguments.exprs))?
        } else {
            self.values(scope, &arguments.exprs)?
        };
        if let Some(cast) = self.cast_by_name(schema.as_deref(), &name, &values)? {
            return Ok(cast);
        }
        let callee = Callee {
            schema: schema.as_deref(),
            name: &name,
            names: &arguments.names,
            spread: arguments.spread,
        };
        let resolved = self.resolve_call(&callee, &values)?;
        refuse_aggregate_syntax(call, &name)?;
        let completed = self.completed(&resolved, values)?;
        if completed.function.table_columns().is_some() {
            return self.rows_in_expr(scope, &completed, call.name.span());
        }
        self.call_value(&completed)
    }

    pub(super) fn values(&self, scope: &Scope<'_>, exprs: &[&Expr]) -> Result<Vec<Typed>, PgError> {
        exprs.iter().map(|e| self.expr(scope, e)).collect()
    }

    /// Calls that are syntax to PostgreSQL.
    fn special_call(
        &self,
        scope: &Scope<'_>,
        call: &Ast,
        name: &str,
    ) -> Result<Option<Typed>, PgError> {
        let bound = match (name, plain_arguments(&call.args).as_deref()) {
            ("coalesce" | "greatest" | "least", Some(args @ [_, ..])) => {
                self.coalesced(scope, name, args)?
            }
            ("nullif", Some([one, other])) => self.nullif(scope, one, other)?,
            ("row", Some(items)) => {
                let items: Vec<Expr> = items.iter().map(|item| (*item).clone()).collect();
                self.row(scope, &items)?
            }
            ("pg_typeof", Some([one])) => {
                let value = self.expr(scope, one)?;
                Typed::of(value.ty.0.to_string(), PgType::REGTYPE)
            }
            (keyword, args) => {
                let ident = Ident::new(keyword);
                let precision = match (&call.args, args) {
                    (FunctionArguments::None, _) => None,
                    (_, Some([Expr::Value(value)])) => Some(value.value.to_string()),
                    _ => return Ok(None),
                };
                let Some(keyword) = keyword_function(&ident) else {
                    return Ok(None);
                };
                self.keyword_value(keyword, precision.as_deref())?
            }
        };
        Ok(Some(bound))
    }

    /// `current_user` and its like.
    pub(super) fn keyword_call(&self, keyword: &str) -> Result<Typed, PgError> {
        self.keyword_value(keyword, None)
    }

    fn keyword_value(&self, keyword: &str, precision: Option<&str>) -> Result<Typed, PgError> {
        let (function, ty) = match keyword {
            "current_user" | "current_role" | "user" => ("current_user", None),
            "session_user" => ("session_user", None),
            "current_catalog" => ("current_database", None),
            "current_schema" => ("current_schema", None),
            "current_timestamp" => ("now", None),
            "current_date" => ("now", Some(PgType::DATE)),
            "localtimestamp" => ("now", Some(PgType::TIMESTAMP)),
            "localtime" => ("now", Some(PgType::TIME)),
            _ => return Err(unsupported(keyword)),
        };
        let value = self.call_values(function, Vec::new())?;
        let typmod = match precision {
            None => -1,
            Some(digits) => digits
                .parse::<i32>()
                .map_err(|_| PgError::syntax(digits))?
                .clamp(0, 6),
        };
        let ty = ty.unwrap_or(value.ty);
        self.cast_to(value, ty, typmod)
    }

    /// `int4('5')`: a type's name called like a function is a cast where no function is exact.
    fn cast_by_name(
        &self,
        schema: Option<&str>,
        name: &str,
        values: &[Typed],
    ) -> Result<Option<Typed>, PgError> {
        let [value] = values else {
            return Ok(None);
        };
        if schema.is_some_and(|schema| schema != "pg_catalog") {
            return Ok(None);
        }
        let Some(ty) = crate::datum::type_by_name(name) else {
            return Ok(None);
        };
        let exact = self
            .functions_named(schema, name)
            .iter()
            .any(|function| function.args == [value.ty]);
        if exact {
            return Ok(None);
        }
        self.cast_to(value.clone(), ty, -1).map(Some)
    }

    /// A call with its arguments coerced.
    pub(super) fn completed(
        &self,
        resolved: &Resolved,
        values: Vec<Typed>,
    ) -> Result<FromCall, PgError> {
        if resolved.function.acts {
            self.acts.set(true);
        }
        let element = resolved.element;
        let returns = match resolved.function.returns {
            PgType::ANYARRAY | PgType::ANYCOMPATIBLEARRAY => {
                self.array_type(element.unwrap_or(PgType::TEXT))?
            }
            PgType::ANYELEMENT | PgType::ANYNONARRAY | PgType::ANYCOMPATIBLE => {
                element.unwrap_or(PgType::TEXT)
            }
            ty => ty,
        };
        Ok(FromCall {
            function: resolved.function,
            args: self.call_arguments(resolved, values)?,
            element,
            returns,
        })
    }

    /// A call in FROM: like one in an expression, but it may return rows.
    pub(in crate::catalog) fn call_in_from(
        &self,
        scope: &Scope<'_>,
        name: &ObjectName,
        args: &[FunctionArg],
        span: Span,
    ) -> Result<FromCall, PgError> {
        let bind = || {
            let (schema, name) = function_name(name)?;
            let arguments = arguments_of(args)?;
            let named = self.functions_named(schema.as_deref(), &name);
            if named.iter().any(|function| function.is_aggregate()) {
                scope.note_aggregate()?;
            }
            let values = self.values(scope, &arguments.exprs)?;
            let callee = Callee {
                schema: schema.as_deref(),
                name: &name,
                names: &arguments.names,
                spread: arguments.spread,
            };
            let resolved = self.resolve_call(&callee, &values)?;
            self.completed(&resolved, values)
        };
        bind().map_err(|error| self.at(span, error))
    }

    /// A call that gives one value.
    pub(in crate::catalog) fn call_value(&self, call: &FromCall) -> Result<Typed, PgError> {
        let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
        let sql = written(call.function, &args)?;
        Ok(self.call_result(call.function, call.returns, sql))
    }

    /// What a call gives, from what the function's code gives.
    pub(super) fn call_result(&self, function: &Function, ty: PgType, sql: String) -> Typed {
        if function.volatile {
            self.num_volatile
                .set(self.num_volatile.get().saturating_add(1));
        }
        let is_open = matches!(
            function.returns,
            PgType::ANYELEMENT | PgType::ANYNONARRAY | PgType::ANYCOMPATIBLE
        );
        if is_open && takes_text(function) {
            return self.read(&sql, ty);
        }
        Typed::of(sql, ty)
    }

    /// A call of a registry function by name and types, for operators and casts.
    pub(super) fn internal(
        &self,
        name: &str,
        types: &[PgType],
        args: &[&str],
    ) -> Result<String, PgError> {
        written(internal_function(name, types)?, args)
    }
}

/// The registry's function behind an operator or a cast.
pub(super) fn internal_function(
    name: &str,
    types: &[PgType],
) -> Result<&'static Function, PgError> {
    let named = functions::find(None, name);
    let fitting = || {
        named
            .iter()
            .filter(|function| function.args.len() == types.len())
    };
    let exact = fitting().find(|function| function.args == types);
    exact
        .or_else(|| fitting().next())
        .copied()
        .ok_or_else(|| unsupported(&format!("function {name}")))
}

/// Whether a function's code sees values of any type in their text form.
pub(super) fn takes_text(function: &Function) -> bool {
    matches!(function.body, Body::Scalar(_) | Body::Aggregate(_))
}

/// Whether a function's code sees values of any type as JSON text: it makes json of them.
pub(super) fn takes_json(function: &Function) -> bool {
    matches!(function.returns, PgType::JSON | PgType::JSONB)
}

/// SQLite's text of a call over arguments.
fn written(function: &Function, args: &[&str]) -> Result<String, PgError> {
    Ok(match function.body {
        Body::Scalar(_) | Body::Aggregate(_) => {
            format!("{}({})", function.sql_name(), args.join(", "))
        }
        Body::Native(name) => format!("{name}({})", args.join(", ")),
        Body::Table { .. } | Body::Stream { .. } => {
            return Err(unsupported(&format!("{} here", function.name)));
        }
    })
}

/// The name by which SQLite calls an aggregate.
pub(super) fn aggregate_name(function: &Function) -> String {
    match function.body {
        Body::Native(name) => name.to_owned(),
        Body::Scalar(_) | Body::Aggregate(_) | Body::Table { .. } | Body::Stream { .. } => {
            function.sql_name()
        }
    }
}
