//! Functions and aggregates of the registry as SQLite calls them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context as Arguments, FunctionFlags, WindowAggregate};
use rusqlite::types::Value;

use super::super::functions::{Body, Call, Function};
use super::seat::Seat;
use super::value;
use crate::datum::Datum;
use crate::pgerror::PgError;

/// Most bytes that one aggregate keeps of its group.
const GROUP_BYTES: usize = 256 << 20;

/// Registers `function` where SQLite has to call it.
pub(super) fn register(
    connection: &Connection,
    function: &'static Function,
    seat: &Arc<Seat>,
) -> rusqlite::Result<()> {
    let name = function.sql_name();
    // As many arguments as are written: a variadic function may get them one by one.
    let any = -1;
    let seat = Arc::clone(seat);
    match function.body {
        Body::Scalar(body) => {
            let call = move |given: &mut Arguments<'_>| {
                let args = arguments(function, given);
                if function.strict && args.contains(&Datum::Null) {
                    return Ok(Value::Null);
                }
                let answer = seat.call(|context| {
                    function.check_right(context)?;
                    body(&Call { context }, &args)
                })?;
                Ok(value::into_sqlite(answer))
            };
            connection.create_scalar_function(name.as_str(), any, flags(function), call)
        }
        Body::Aggregate(body) => {
            let aggregate = Group {
                function,
                body,
                seat,
            };
            connection.create_window_function(name.as_str(), any, flags(function), aggregate)
        }
        Body::Native(_) | Body::Table { .. } | Body::Stream { .. } => Ok(()),
    }
}

/// Within a statement every function that does nothing beside answering gives equal answers to
/// equal arguments.
fn flags(function: &Function) -> FunctionFlags {
    if function.volatile {
        FunctionFlags::SQLITE_UTF8
    } else {
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC
    }
}

fn arguments(function: &Function, given: &Arguments<'_>) -> Vec<Datum> {
    let arg = |index| value::from_sqlite(given.get_raw(index), value::arg_type(function, index));
    (0..given.len()).map(arg).collect()
}

type Aggregated = fn(&Call<'_>, &mut dyn Iterator<Item = &[Datum]>) -> Result<Datum, PgError>;

struct Group {
    function: &'static Function,
    body: Aggregated,
    seat: Arc<Seat>,
}

// A panic is caught at the seat before anything of ours is left half done.
impl RefUnwindSafe for Seat {}

#[derive(Default)]
struct Gathered {
    rows: AssertUnwindSafe<VecDeque<Vec<Datum>>>,
    bytes: usize,
}

impl Aggregate<Gathered, Value> for Group {
    fn init(&self, _: &mut Arguments<'_>) -> rusqlite::Result<Gathered> {
        Ok(Gathered {
            rows: AssertUnwindSafe(VecDeque::new()),
            bytes: 0,
        })
    }

    fn step(&self, given: &mut Arguments<'_>, group: &mut Gathered) -> rusqlite::Result<()> {
        let row = arguments(self.function, given);
        if self.function.strict && row.contains(&Datum::Null) {
            return Ok(());
        }
        group.bytes = group.bytes.saturating_add(weight(&row));
        if group.bytes > GROUP_BYTES {
            return self.seat.call(|_| Err(super::out_of_memory()));
        }
        group.rows.push_back(row);
        Ok(())
    }

    fn finalize(&self, _: &mut Arguments<'_>, group: Option<Gathered>) -> rusqlite::Result<Value> {
        self.answer(&group.map(|group| group.rows.0).unwrap_or_default())
    }
}

impl WindowAggregate<Gathered, Value> for Group {
    fn value(&self, group: Option<&mut Gathered>) -> rusqlite::Result<Value> {
        match group {
            Some(group) => self.answer(&group.rows),
            None => self.answer(&VecDeque::new()),
        }
    }

    /// The frame moves on: its first row is behind it.
    fn inverse(&self, given: &mut Arguments<'_>, group: &mut Gathered) -> rusqlite::Result<()> {
        if self.function.strict && arguments(self.function, given).contains(&Datum::Null) {
            return Ok(());
        }
        if let Some(row) = group.rows.pop_front() {
            group.bytes = group.bytes.saturating_sub(weight(&row));
        }
        Ok(())
    }
}

impl Group {
    fn answer(&self, rows: &VecDeque<Vec<Datum>>) -> rusqlite::Result<Value> {
        let answer = self.seat.call(|context| {
            let mut rows = rows.iter().map(Vec::as_slice);
            (self.body)(&Call { context }, &mut rows)
        })?;
        Ok(value::into_sqlite(answer))
    }
}

fn weight(row: &[Datum]) -> usize {
    let of = |datum: &Datum| {
        size_of::<Datum>()
            + match datum {
                Datum::Null | Datum::Int(_) | Datum::Float(_) => 0,
                Datum::Text(text) => text.len(),
                Datum::Bytes(bytes) => bytes.len(),
            }
    };
    row.iter().map(of).sum::<usize>() + size_of::<Vec<Datum>>()
}
