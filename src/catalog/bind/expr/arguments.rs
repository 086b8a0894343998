//! The arguments of a call as they are written.

use sqlparser::ast::{Expr, Function as Ast, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::super::unsupported;
use super::types;
use crate::pgerror::PgError;

/// The arguments of a call as written.
pub(super) struct Arguments<'e> {
    pub(super) exprs: Vec<&'e Expr>,
    /// Names of the last ones.
    pub(super) names: Vec<String>,
    /// The last one is VARIADIC.
    pub(super) spread: bool,
    /// `f(*)`
    pub(super) star: bool,
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

/// The arguments in a call's parentheses.
pub(super) fn written_arguments(call: &Ast) -> &[FunctionArg] {
    match &call.args {
        FunctionArguments::List(list) => &list.args,
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    }
}

/// Arguments with what is special about them.
pub(super) fn arguments_of(args: &[FunctionArg]) -> Result<Arguments<'_>, PgError> {
    let mut arguments = Arguments {
        exprs: Vec::new(),
        names: Vec::new(),
        spread: false,
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
            // `VARIADIC a` is made into `variadic => a` before it is parsed
            Some(name) if name == "variadic" => arguments.spread = true,
            Some(name) if arguments.names.contains(&name) => {
                let message = format!("argument name \"{name}\" used more than once");
                return Err(PgError::error("42601", message));
            }
            Some(name) => arguments.names.push(name),
            None if arguments.names.is_empty() && !arguments.spread => {}
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
    if !arguments.names.is_empty() || arguments.spread {
        return Err(unsupported("a named argument of an aggregate"));
    }
    Ok((arguments.exprs, arguments.star))
}

/// Refuses what only aggregates take.
pub(super) fn refuse_aggregate_syntax(call: &Ast, name: &str) -> Result<(), PgError> {
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
