//! Row filters of publications: an expression over the columns of one table.
//!
//! `bind` checks one against its table and prints it as PostgreSQL's `pg_get_expr` does, with the
//! casts that PostgreSQL puts in; `operators` knows which operators there are. What is outside of
//! the subset in `docs/sql.md` is an error, never a guess.

mod bind;
mod casts;
mod error;
mod lists;
mod operators;
mod print;

pub use bind::MAX_NESTING as MAX_FILTER_NESTING;
pub(super) use bind::{BoundFilter, bind};
pub use error::FilterError;
#[cfg(test)]
pub(crate) use operators::is_compared;

use crate::datum::PgType;

/// A part of a filter with where it stands in the statement's text, in characters from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterNode {
    /// What it is.
    pub expr: FilterExpr,
    /// Where it begins; an operator where its sign is.
    pub position: u32,
}

/// What a filter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterExpr {
    /// A column.
    Column {
        /// Table, when it was named.
        table: Option<String>,
        /// Name.
        name: String,
    },
    /// A number as it was written, perhaps with a sign.
    Number(String),
    /// A string literal.
    Text(String),
    /// TRUE, FALSE
    Bool(bool),
    /// NULL
    Null,
    /// AND, OR
    Logic {
        /// AND rather than OR.
        and: bool,
        /// Two or more.
        operands: Vec<FilterNode>,
    },
    /// NOT
    Not(Box<FilterNode>),
    /// `left op right`, or `op right`.
    Operator {
        /// Its sign; LIKE is `~~`.
        sign: String,
        /// Left side.
        left: Option<Box<FilterNode>>,
        /// Right side.
        right: Box<FilterNode>,
    },
    /// IS NULL
    IsNull {
        /// What.
        operand: Box<FilterNode>,
        /// IS NOT NULL
        negated: bool,
    },
    /// IS TRUE, FALSE, UNKNOWN
    IsBool {
        /// What.
        operand: Box<FilterNode>,
        /// `TRUE`, `NOT FALSE`
        test: &'static str,
    },
    /// IS DISTINCT FROM
    IsDistinct {
        /// Left side.
        left: Box<FilterNode>,
        /// Right side.
        right: Box<FilterNode>,
        /// IS NOT DISTINCT FROM
        negated: bool,
    },
    /// IN (a, b)
    In {
        /// What.
        operand: Box<FilterNode>,
        /// The list.
        list: Vec<FilterNode>,
        /// NOT IN
        negated: bool,
    },
    /// BETWEEN low AND high
    Between {
        /// What.
        operand: Box<FilterNode>,
        /// From.
        low: Box<FilterNode>,
        /// To.
        high: Box<FilterNode>,
        /// NOT BETWEEN
        negated: bool,
    },
    /// CAST(operand AS type), `operand::type`, `type 'literal'`
    Cast {
        /// What.
        operand: Box<FilterNode>,
        /// Type.
        target: PgType,
        /// Type modifier, -1 for none.
        typmod: i32,
    },
}
