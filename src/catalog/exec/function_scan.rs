//! Functions in FROM as tables of SQLite whose arguments are hidden columns.

use std::fmt::Write;
use std::sync::Arc;

use super::super::functions::{Body, Call, Function, Row, RowStream};
use super::seat::Seat;
use super::vtab::{Op, Plan, Scan, Table, Wanted};
use super::{Context, quoted, value};
use crate::datum::{Datum, PgType};
use crate::pgerror::PgError;

/// A function in FROM as SQLite reads it.
pub(super) struct FunctionTable {
    function: &'static Function,
    columns: &'static [(&'static str, PgType)],
}

impl FunctionTable {
    /// `None` for a function that gives no rows.
    pub(super) const fn of(function: &'static Function) -> Option<Self> {
        match function.body {
            Body::Table { columns, .. } | Body::Stream { columns, .. } => {
                Some(Self { function, columns })
            }
            Body::Scalar(_) | Body::Aggregate(_) | Body::Native(_) => None,
        }
    }
}

impl Table for FunctionTable {
    fn declaration(&self) -> String {
        let mut text = "CREATE TABLE x(".to_owned();
        for (name, _) in self.columns {
            let _ = write!(text, "{}, ", quoted(name));
        }
        for number in 1..=self.function.args.len() {
            let _ = write!(text, "\"argument {number}\" HIDDEN, ");
        }
        text.truncate(text.trim_end_matches(", ").len());
        text.push(')');
        text
    }

    /// All arguments, or nothing.
    fn plan(&self, wanted: &Wanted) -> Option<Plan> {
        let first = self.columns.len();
        let mut uses = Vec::new();
        for argument in first..first + self.function.args.len() {
            let given = wanted.constraints.iter().position(|constraint| {
                constraint.column == argument && constraint.op == Op::Eq && constraint.usable
            });
            uses.push(given?);
        }
        // What does something is to be called once, by the outermost loop.
        let cost = if self.function.volatile { 1e9 } else { 100.0 };
        Some(Plan {
            uses,
            exact: true,
            text: String::new(),
            cost,
            rows: 100,
            ordered: false,
        })
    }

    fn open(&self, _: &Arc<Seat>) -> Box<dyn Scan> {
        Box::new(FunctionScan {
            function: self.function,
            args: None,
            rows: Made::All(Vec::new()),
            at: 0,
        })
    }
}

struct FunctionScan {
    function: &'static Function,
    /// The arguments of the rows in hand.
    args: Option<Vec<Datum>>,
    rows: Made,
    at: usize,
}

enum Made {
    All(Vec<Row>),
    Stream {
        rest: RowStream,
        row: Option<Row>,
        /// A row was taken: it cannot start over.
        begun: bool,
    },
}

impl FunctionScan {
    /// Calls the function; with the arguments that it was called with before, its rows are there
    /// (as PostgreSQL keeps those of a function scan).
    fn make(&mut self, context: &Arc<Context>, args: Vec<Datum>) -> Result<(), PgError> {
        if self.args.as_ref() == Some(&args) {
            match &self.rows {
                Made::All(_) | Made::Stream { begun: false, .. } => return Ok(()),
                Made::Stream { .. } if self.function.volatile => {
                    return Err(read_twice(self.function));
                }
                // Made again: it does nothing beside answering.
                Made::Stream { .. } => {}
            }
        }
        self.args = None;
        let call = Call { context };
        let null = self.function.strict && args.contains(&Datum::Null);
        self.function.check_right(context)?;
        self.rows = match self.function.body {
            _ if null => Made::All(Vec::new()),
            Body::Table { rows, .. } => Made::All(rows(&call, &args)?),
            Body::Stream { rows, .. } => {
                let mut rest = rows(&call, &args)?;
                let row = rest.next().transpose()?;
                Made::Stream {
                    rest,
                    row,
                    begun: false,
                }
            }
            Body::Scalar(_) | Body::Aggregate(_) | Body::Native(_) => Made::All(Vec::new()),
        };
        self.args = Some(args);
        Ok(())
    }
}

impl Scan for FunctionScan {
    fn start(&mut self, context: &Arc<Context>, _: &str, args: Vec<Datum>) -> Result<(), PgError> {
        let typed = args
            .into_iter()
            .enumerate()
            .map(|(index, arg)| value::typed(arg, value::arg_type(self.function, index)));
        let args = typed.collect();
        self.at = 0;
        self.make(context, args)
    }

    fn next(&mut self, context: &Arc<Context>) -> Result<(), PgError> {
        context.check_cancelled()?;
        self.at = self.at.saturating_add(1);
        match &mut self.rows {
            Made::All(_) => {}
            Made::Stream { rest, row, begun } => {
                *begun = true;
                *row = rest.next().transpose()?;
            }
        }
        Ok(())
    }

    fn row(&self) -> Option<&[Datum]> {
        match &self.rows {
            Made::All(rows) => rows.get(self.at).map(Vec::as_slice),
            Made::Stream { row, .. } => row.as_deref(),
        }
    }

    /// From 1, as WITH ORDINALITY counts.
    fn rowid(&self) -> i64 {
        i64::try_from(self.at).map_or(i64::MAX, |at| at.saturating_add(1))
    }
}

fn read_twice(function: &Function) -> PgError {
    PgError::unsupported(format!(
        "reading the rows of {}() more than once in a statement is not supported",
        function.name
    ))
    .with_hint("Read them once, in a WITH ... AS MATERIALIZED.")
}
