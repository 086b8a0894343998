//! Row filters of publications: from PostgreSQL's text of one to whether a row passes.
//!
//! `parse` makes a tree of the text, `fold` computes what reads no column, `expr` gives it a value
//! for a row, by `order`, `arithmetic`, `pattern` and `cast`.

mod arithmetic;
mod cast;
mod distinct;
mod error;
mod expr;
mod fold;
mod order;
#[allow(clippy::wildcard_enum_match_arm)] // the tokenizer knows the tokens of many databases
mod parse;
mod pattern;
mod value;

use crate::relations::Relation;
use crate::rows::Row;

use expr::Expr;
use value::Value;

pub(crate) use distinct::distinct;
pub use error::EvaluationError;

use super::PublicationError;

/// A row filter of a table.
#[derive(Debug)]
pub struct Filter {
    expr: Expr,
}

impl Filter {
    /// Reads the filter `text`, as PostgreSQL prints it, of `table`.
    pub fn compile(text: &str, table: &Relation) -> Result<Self, PublicationError> {
        let expr = parse::parse(text, table);
        let expr = expr.ok_or_else(|| PublicationError::Filter(text.to_owned()))?;
        Ok(Self {
            expr: fold::fold(expr)?,
        })
    }

    /// Whether every row passes.
    pub(super) const fn is_true(&self) -> bool {
        matches!(self.expr, Expr::Literal(Value::Bool(true)))
    }

    /// Whether `row` passes: NULL does not.
    pub fn passes(&self, row: &Row) -> Result<bool, EvaluationError> {
        Ok(self.truth(row)? == Some(true))
    }

    /// The filter's value for `row`; `None` is NULL.
    pub fn truth(&self, row: &Row) -> Result<Option<bool>, EvaluationError> {
        self.expr.truth(row)
    }
}
