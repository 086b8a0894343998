//! Function calls: which function is meant, with which arguments, and what SQLite calls.

use sqlparser::ast::{
    Expr, Function as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    Spanned,
};

use sqlparser::tokenizer::Span;

use super::super::{Binder, FromCall, Node, Scope, Typed, unsupported};
use super::coerce::{Coercion, filled};
use super::resolve::{self, Choice};
use super::types;
use crate::catalog::functions::{self, Body, Function};
use crate::datum::{Names, PgType};
use crate::pgerror::PgError;

/// A call whose function is known.
pub(super) struct Resolved {
    pub(super) function: &'static Function,
    /// For each argument of the function: which of the values it is; the rest are defaults.
    slots: Vec<Option<usize>>,
    /// Values from this one on are collected in an array.
    collected: Option<usize>,
    /// What ANYELEMENT and its like stand for.
    element: Option<PgType>,
}

/// The arguments of a call as written.
struct Arguments<'e> {
    exprs: Vec<&'e Expr>,
    /// Names of the last ones.
    names: Vec<String>,
    /// `f(*)`
    star: bool,
}

/// The arguments, if they are nothing but expressions.
pub(super) fn plain_arguments(args: &FunctionArguments) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = args else {
        return None;
    };
    let exprs = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e),
        FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
    });
    exprs.collect()
}

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
        let candidates = functions::find(schema.as_deref(), &name);
        let is_aggregate = candidates.iter().any(|function| function.is_aggregate());
        let is_window = candidates.iter().any(|function| function.kind() == 'w');
        if is_aggregate || is_window {
            return self.aggregate(scope, call, &name, is_window);
        }
        if !candidates.is_empty() {
            refuse_aggregate_syntax(call, &name)?;
        }
        let values = self.values(scope, &arguments.exprs)?;
        if let Some(cast) = self.cast_by_name(schema.as_deref(), &name, &values)? {
            return Ok(cast);
        }
        let resolved = self.resolve_call(schema.as_deref(), &name, &values, &arguments.names)?;
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
        let exact = functions::find(schema, name)
            .iter()
            .any(|function| function.args == [value.ty]);
        if exact {
            return Ok(None);
        }
        self.cast_to(value.clone(), ty, -1).map(Some)
    }

    /// The function that `name` means over values; the last `names.len()` of them are named.
    pub(super) fn resolve_call(
        &self,
        schema: Option<&str>,
        name: &str,
        values: &[Typed],
        names: &[String],
    ) -> Result<Resolved, PgError> {
        let actual: Vec<PgType> = values.iter().map(|value| value.ty).collect();
        let mut candidates = Vec::new();
        let mut signatures = Vec::new();
        for function in functions::find(schema, name) {
            if let Some((resolved, types)) = arranged(function, actual.len(), names) {
                candidates.push(resolved);
                signatures.push(types);
            }
        }
        let described = || describe(schema, name, &actual, names);
        match resolve::choose(&signatures, &actual) {
            Choice::One(index) => {
                let mut resolved = candidates.swap_remove(index);
                let types = signatures.swap_remove(index);
                resolved.element = self.element_for(&types, &actual)?;
                Ok(resolved)
            }
            Choice::None => {
                self.schema_exists(schema)?;
                let message = format!("function {} does not exist", described());
                Err(PgError::error("42883", message).with_hint(
                    "No function matches the given name and argument types. \
                     You might need to add explicit type casts.",
                ))
            }
            Choice::Ambiguous => {
                let message = format!("function {} is not unique", described());
                Err(PgError::error("42725", message).with_hint(
                    "Could not choose a best candidate function. \
                     You might need to add explicit type casts.",
                ))
            }
        }
    }

    fn schema_exists(&self, schema: Option<&str>) -> Result<(), PgError> {
        let Some(schema) = schema else {
            return Ok(());
        };
        let ours = ["pg_catalog", "information_schema", "public", "pgspool"];
        let names = functions::CatalogNames::new(self.context);
        if ours.contains(&schema) || names.oid_of(PgType::REGNAMESPACE, schema).is_some() {
            return Ok(());
        }
        Err(PgError::error(
            "3F000",
            format!("schema \"{schema}\" does not exist"),
        ))
    }

    /// What ANYELEMENT stands for, given what was passed.
    fn element_for(&self, types: &[PgType], actual: &[PgType]) -> Result<Option<PgType>, PgError> {
        let mut elements = Vec::new();
        let mut any = false;
        for (declared, given) in types.iter().zip(actual) {
            if !types::is_polymorphic(*declared) {
                continue;
            }
            any = true;
            let is_array = matches!(*declared, PgType::ANYARRAY | PgType::ANYCOMPATIBLEARRAY);
            if is_array {
                elements.extend(types::element_of(*given));
            } else {
                elements.push(*given);
            }
        }
        if !any {
            return Ok(None);
        }
        if elements.iter().all(|ty| *ty == PgType::UNKNOWN) {
            let message = "could not determine polymorphic type because input has type unknown";
            return Err(PgError::error("42804", message));
        }
        self.common_type("ARRAY", elements).map(Some)
    }

    /// A call with its arguments coerced.
    pub(super) fn completed(
        &self,
        resolved: &Resolved,
        values: Vec<Typed>,
    ) -> Result<FromCall, PgError> {
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
            let named = functions::find(schema.as_deref(), &name);
            if named.iter().any(|function| function.is_aggregate()) {
                scope.note_aggregate()?;
            }
            let values = self.values(scope, &arguments.exprs)?;
            let resolved =
                self.resolve_call(schema.as_deref(), &name, &values, &arguments.names)?;
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

    /// The arguments in the function's order, each as its code takes it.
    pub(super) fn call_arguments(
        &self,
        resolved: &Resolved,
        values: Vec<Typed>,
    ) -> Result<Vec<String>, PgError> {
        let function = resolved.function;
        let mut values: Vec<Option<Typed>> = values.into_iter().map(Some).collect();
        let mut texts = Vec::with_capacity(function.args.len());
        for (position, declared) in function.args.iter().enumerate() {
            let last = position.saturating_add(1) == function.args.len();
            if let Some(from) = resolved.collected
                && last
            {
                let element = collected_type(*declared);
                let mut items = Vec::new();
                for value in values.iter_mut().skip(from).filter_map(Option::take) {
                    let item = self.argument(function, value, element, resolved.element)?;
                    let is_text = element == PgType::ANY || types::is_polymorphic(element);
                    items.push(if is_text {
                        item
                    } else {
                        self.as_text(&Typed::of(item, element))
                    });
                }
                texts.push(super::arrays::written(&items));
                continue;
            }
            let value = match resolved.slots.get(position).copied().flatten() {
                Some(index) => values.get_mut(index).and_then(Option::take),
                None => {
                    let missing = function.args.len().saturating_sub(position);
                    let index = function.defaults.len().checked_sub(missing);
                    index
                        .and_then(|index| function.defaults.get(index))
                        .map(|text| default(text))
                }
            };
            let value =
                value.ok_or_else(|| unsupported(&format!("this call of {}", function.name)))?;
            texts.push(self.argument(function, value, *declared, resolved.element)?);
        }
        Ok(texts)
    }

    fn argument(
        &self,
        function: &Function,
        value: Typed,
        declared: PgType,
        element: Option<PgType>,
    ) -> Result<String, PgError> {
        let element = element.unwrap_or(PgType::TEXT);
        match declared {
            PgType::ANY => {
                let value = self.settled(value)?;
                if takes_text(function) {
                    return Ok(self.as_text(&value));
                }
                Ok(value.text().to_owned())
            }
            PgType::ANYARRAY | PgType::ANYCOMPATIBLEARRAY => {
                // A vector is read as the array that it is.
                if types::element_of(value.ty) == Some(element) {
                    return Ok(value.text().to_owned());
                }
                let array = types::array_of(element).unwrap_or(PgType::TEXT_ARRAY);
                Ok(self
                    .coerce(value, array, Coercion::Implicit)?
                    .text()
                    .to_owned())
            }
            PgType::ANYELEMENT | PgType::ANYNONARRAY | PgType::ANYCOMPATIBLE => {
                let value = self.coerce(value, element, Coercion::Implicit)?;
                if takes_text(function) {
                    return Ok(self.as_text(&value));
                }
                Ok(value.text().to_owned())
            }
            ty => Ok(self
                .coerce(value, ty, Coercion::Implicit)?
                .text()
                .to_owned()),
        }
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
fn takes_text(function: &Function) -> bool {
    matches!(function.body, Body::Scalar(_) | Body::Aggregate(_))
}

/// SQLite's text of a call over arguments.
fn written(function: &Function, args: &[&str]) -> Result<String, PgError> {
    Ok(match function.body {
        Body::Scalar(_) | Body::Aggregate(_) => {
            format!("{}({})", function.sql_name(), args.join(", "))
        }
        Body::Template(template) => filled(template, args),
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
        Body::Scalar(_)
        | Body::Aggregate(_)
        | Body::Template(_)
        | Body::Table { .. }
        | Body::Stream { .. } => function.sql_name(),
    }
}

/// The type of what a variadic argument collects.
fn collected_type(array: PgType) -> PgType {
    match array {
        PgType::ANY => PgType::ANY,
        PgType::ANYARRAY => PgType::ANYELEMENT,
        _ => types::element_of(array).unwrap_or(PgType::TEXT),
    }
}

/// A default as its table has it: a literal of SQL.
fn default(text: &str) -> Typed {
    let node = match text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        Some(inner) => Node::Literal(inner.replace("''", "'")),
        None if text.eq_ignore_ascii_case("null") => Node::Null,
        None => Node::Literal(text.to_owned()),
    };
    Typed::with(node, PgType::UNKNOWN)
}

/// How values fit into a function's arguments, and the types that they must have; `None` if their
/// number or names do not fit.
fn arranged(
    function: &'static Function,
    num_values: usize,
    names: &[String],
) -> Option<(Resolved, Vec<PgType>)> {
    let num_args = function.args.len();
    let mut resolved = Resolved {
        function,
        slots: vec![None; num_args],
        collected: None,
        element: None,
    };
    let num_fixed = num_args.saturating_sub(1);
    if function.variadic && names.is_empty() && num_values >= num_args {
        let (last, fixed) = function.args.split_last()?;
        for (index, slot) in resolved.slots.iter_mut().take(num_fixed).enumerate() {
            *slot = Some(index);
        }
        resolved.collected = Some(num_fixed);
        let mut types = fixed.to_vec();
        types.resize(num_values, collected_type(*last));
        return Some((resolved, types));
    }
    if num_values > num_args {
        return None;
    }
    let num_positional = num_values.checked_sub(names.len())?;
    let mut types = Vec::with_capacity(num_values);
    for index in 0..num_values {
        let position = match index.checked_sub(num_positional) {
            None => index,
            Some(named) => {
                let name = names.get(named)?;
                function.arg_names.iter().position(|known| known == name)?
            }
        };
        let slot = resolved.slots.get_mut(position)?;
        if slot.replace(index).is_some() {
            return None;
        }
        types.push(*function.args.get(position)?);
    }
    let num_required = num_args.saturating_sub(function.defaults.len());
    let complete = resolved
        .slots
        .iter()
        .take(num_required)
        .all(Option::is_some);
    complete.then_some((resolved, types))
}

fn describe(schema: Option<&str>, name: &str, actual: &[PgType], names: &[String]) -> String {
    let num_positional = actual.len().saturating_sub(names.len());
    let args: Vec<String> = actual
        .iter()
        .enumerate()
        .map(|(index, ty)| {
            let ty = types::display(*ty);
            let named = index
                .checked_sub(num_positional)
                .and_then(|index| names.get(index));
            named.map_or(ty.clone(), |name| format!("{name} => {ty}"))
        })
        .collect();
    let schema = schema.map_or(String::new(), |schema| format!("{schema}."));
    format!("{schema}{name}({})", args.join(", "))
}

fn written_arguments(call: &Ast) -> &[FunctionArg] {
    match &call.args {
        FunctionArguments::List(list) => &list.args,
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    }
}

fn arguments_of(args: &[FunctionArg]) -> Result<Arguments<'_>, PgError> {
    let mut arguments = Arguments {
        exprs: Vec::new(),
        names: Vec::new(),
        star: false,
    };
    for arg in args {
        let (name, value) = match arg {
            FunctionArg::Named { name, arg, .. } => (Some(types::folded(name)), arg),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg,
                ..
            } => (Some(types::folded(name)), arg),
            FunctionArg::ExprNamed { .. } => return Err(unsupported("this argument's name")),
            FunctionArg::Unnamed(arg) => (None, arg),
        };
        match value {
            FunctionArgExpr::Expr(e) => arguments.exprs.push(e),
            FunctionArgExpr::Wildcard if args.len() == 1 => arguments.star = true,
            FunctionArgExpr::Wildcard
            | FunctionArgExpr::QualifiedWildcard(_)
            | FunctionArgExpr::WildcardWithOptions(_) => {
                return Err(unsupported("* as an argument"));
            }
        }
        match name {
            Some(name) if arguments.names.contains(&name) => {
                let message = format!("argument name \"{name}\" used more than once");
                return Err(PgError::error("42601", message));
            }
            Some(name) => arguments.names.push(name),
            None if arguments.names.is_empty() => {}
            None => {
                let message = "positional argument cannot follow named argument";
                return Err(PgError::error("42601", message));
            }
        }
    }
    Ok(arguments)
}

/// The arguments of an aggregate: its expressions, and whether it is `f(*)`.
pub(super) fn aggregate_arguments(call: &Ast) -> Result<(Vec<&Expr>, bool), PgError> {
    let arguments = arguments_of(written_arguments(call))?;
    if !arguments.names.is_empty() {
        return Err(unsupported("a named argument of an aggregate"));
    }
    Ok((arguments.exprs, arguments.star))
}

fn refuse_aggregate_syntax(call: &Ast, name: &str) -> Result<(), PgError> {
    let refused = |what: &str| {
        let message = format!("{what} specified, but {name} is not an aggregate function");
        Err(PgError::error("42809", message))
    };
    if call.filter.is_some() {
        return refused("FILTER");
    }
    if call.over.is_some() {
        let message = format!(
            "OVER specified, but {name} is not a window function nor an aggregate function"
        );
        return Err(PgError::error("42809", message));
    }
    if let FunctionArguments::List(list) = &call.args {
        if list.duplicate_treatment.is_some() {
            return refused("DISTINCT");
        }
        if !list.clauses.is_empty() {
            return refused("ORDER BY");
        }
        let is_star = matches!(
            list.args.as_slice(),
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]
        );
        if is_star {
            let message = format!("{name}(*) specified, but {name} is not an aggregate function");
            return Err(PgError::error("42809", message));
        }
    }
    Ok(())
}
