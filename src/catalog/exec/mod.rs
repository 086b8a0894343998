//! Run rewritten queries in an embedded SQLite.
//!
//! SQLite reads our views and functions through virtual tables and keeps nothing of its own. A
//! statement gets a connection of a pool for the time of its run; its rows go out as they come.
//! Sorting and grouping happen in memory, of which all statements together may use 512 MiB: one
//! that needs more fails with 53200. No temporary file is ever written.
//!
//! An error of ours comes out as it was raised; SQLite's own words are for the log and for XX000.

mod call;
mod changes;
mod collate;
mod connection;
mod function_scan;
mod pool;
mod seat;
mod value;
mod view_scan;
mod vtab;

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::{Context, Prepared};
use crate::datum::{Datum, PgType};
use crate::pgerror::PgError;
use pool::Pool;

/// Takes the rows of a statement.
pub(crate) trait Sink {
    /// The next row: `Break(Ok)` when there were enough, `Break(Err)` when it cannot be taken.
    fn row(&mut self, row: &[Datum]) -> ControlFlow<Result<(), PgError>>;

    /// There are no more: hands over what is held back. An error when nobody takes it.
    fn end(&mut self) -> Result<(), PgError>;
}

/// A sink that holds nothing back and takes each row it asked for.
struct Each<'a>(&'a mut dyn FnMut(&[Datum]) -> ControlFlow<()>);

impl Sink for Each<'_> {
    fn row(&mut self, row: &[Datum]) -> ControlFlow<Result<(), PgError>> {
        (self.0)(row).map_break(Ok)
    }

    fn end(&mut self) -> Result<(), PgError> {
        Ok(())
    }
}

/// Runs statements, several at a time.
pub(crate) struct Executor {
    pool: Pool,
}

impl Executor {
    /// At most `max_connections` statements run at once; others wait.
    pub(crate) fn new(max_connections: usize) -> Self {
        Self {
            pool: Pool::new(max_connections.max(1)),
        }
    }

    /// Runs a statement with its parameters (in stored form) and hands its rows to `sink` as they
    /// come, until there are no more or `sink` has enough. Returns how many were handed out. What
    /// functions left to be done at success is done then. Blocking.
    pub(crate) fn run(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn FnMut(&[Datum]) -> ControlFlow<()>,
    ) -> Result<u64, PgError> {
        self.run_into(context, prepared, params, &mut Each(sink))
    }

    /// The same with a sink that can fail: nothing that functions left to be done at success is
    /// done before it has taken all rows. Blocking.
    pub(crate) fn run_into(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn Sink,
    ) -> Result<u64, PgError> {
        let taken = self.rows_into(context, prepared, params, sink);
        // A reader that left took not all that was made: nothing of it counts as read.
        let taken = taken.and_then(|num_rows| context.check_cancelled().map(|()| num_rows));
        // What is not done is dropped all the same: it may hold a slot.
        let finishers = context.take_finish();
        let num_rows = taken?;
        for finish in finishers {
            finish()?;
        }
        Ok(num_rows)
    }

    fn rows_into(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn Sink,
    ) -> Result<u64, PgError> {
        context.check_cancelled()?;
        let num_rows = {
            let connection = self.pool.take(context)?;
            let _seated = connection.seat.sit(context);
            let ran = query(&connection.sqlite, prepared, params, sink);
            ran.map_err(|error| {
                let ours = connection.seat.take_error();
                ours.unwrap_or_else(|| translated(&error, context, &prepared.sql))
            })??
        };
        sink.end()?;
        Ok(num_rows)
    }
}

fn query(
    sqlite: &rusqlite::Connection,
    prepared: &Prepared,
    params: &[Datum],
    sink: &mut dyn Sink,
) -> rusqlite::Result<Result<u64, PgError>> {
    let mut statement = sqlite.prepare_cached(&prepared.sql)?;
    // A parameter that is not used in the rewritten text has no place in it.
    let places = statement.parameter_count();
    for (index, param) in params.iter().take(places).enumerate() {
        statement.raw_bind_parameter(index + 1, value::to_sqlite(param))?;
    }
    let types: Vec<PgType> = prepared.columns.iter().map(|c| c.column_type).collect();
    // One row's values, used again for the next.
    let mut datums = vec![Datum::Null; types.len()];
    let mut rows = statement.raw_query();
    let mut num_rows = 0;
    while let Some(row) = rows.next()? {
        for (index, (datum, ty)) in datums.iter_mut().zip(&types).enumerate() {
            value::refill(datum, row.get_ref(index)?, *ty);
        }
        num_rows += 1;
        if let ControlFlow::Break(end) = sink.row(&datums) {
            return Ok(end.map(|()| num_rows));
        }
    }
    Ok(Ok(num_rows))
}

/// An error of SQLite's own.
fn translated(error: &rusqlite::Error, context: &Context, sql: &str) -> PgError {
    let text = error.to_string();
    if let Err(cancelled) = context.check_cancelled() {
        return cancelled;
    }
    // SQLite's other codes, of which there are more with each version, are our mistakes.
    #[allow(clippy::wildcard_enum_match_arm)]
    match error.sqlite_error_code() {
        Some(ErrorCode::OutOfMemory) => return out_of_memory(),
        Some(ErrorCode::TooBig) => {
            return PgError::error("54000", "a value is larger than 1000000000 bytes");
        }
        _ => {}
    }
    let too_complex = [
        "Expression tree is too large",
        "parser stack overflow",
        "too many",
        "at most 64 tables in a join",
        "query aborted - too complex",
    ];
    if too_complex.iter().any(|words| text.contains(words)) {
        return PgError::error("54001", "the statement is too complex");
    }
    if text.contains("integer overflow") {
        return PgError::error("22003", "bigint out of range");
    }
    tracing::error!(%text, sql, "a rewritten statement failed");
    PgError::error("XX000", format!("internal error: {text}"))
}

fn out_of_memory() -> PgError {
    PgError::error("53200", "out of memory")
        .with_detail("All statements together may use 512 MiB for sorting and grouping.")
        .with_hint("Narrow it down with WHERE, or leave out ORDER BY, DISTINCT and GROUP BY.")
}

/// A name as SQLite reads it in quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
