//! Functions and aggregates of the registry as SQLite calls them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context as Arguments, FunctionFlags, WindowAggregate};
use rusqlite::types::Value;

use super::super::functions::{Body, Call, Function};
use super::seat::Seat;
use super::value;
use crate::datum::Datum;
use crate::pgerror::PgError;

/// Most bytes that one aggregate keeps of its group.
const GROUP_BYTES: usize = 128 << 20;
/// Most bytes that the groups of all statements keep together: making the answer of one takes as
/// much again, and SQLite's copy of it once more.
const ALL_GROUPS_BYTES: usize = 256 << 20;

/// What they keep now.
static ALL_GROUPS: AtomicUsize = AtomicUsize::new(0);

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
    held: Held,
}

/// Bytes that one group holds, of those that all may; they are given back when it is dropped.
#[derive(Default)]
struct Held {
    bytes: usize,
}

impl Held {
    /// Takes `bytes` more; `false` when there are too many then.
    fn grow(&mut self, bytes: usize) -> bool {
        let all = ALL_GROUPS.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(bytes);
        all.saturating_add(bytes) <= ALL_GROUPS_BYTES && self.bytes <= GROUP_BYTES
    }

    fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        ALL_GROUPS.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

impl Aggregate<Gathered, Value> for Group {
    fn init(&self, _: &mut Arguments<'_>) -> rusqlite::Result<Gathered> {
        Ok(Gathered {
            rows: AssertUnwindSafe(VecDeque::new()),
            held: Held::default(),
        })
    }

    fn step(&self, given: &mut Arguments<'_>, group: &mut Gathered) -> rusqlite::Result<()> {
        // A step may copy megabytes and a statement have millions of them between two looks of
        // SQLite's own.
        if self.seat.is_cancelled() {
            return self.seat.call(|context| context.check_cancelled());
        }
        let row = arguments(self.function, given);
        if self.function.strict && row.contains(&Datum::Null) {
            return Ok(());
        }
        let bytes = weight(&row);
        if !group.held.grow(bytes) {
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
            group.held.shrink(weight(&row));
        }
        Ok(())
    }
}

impl Group {
    fn answer(&self, rows: &VecDeque<Vec<Datum>>) -> rusqlite::Result<Value> {
        let answer = self.seat.call(|context| {
            let mut rows = rows
                .iter()
                .map(Vec::as_slice)
                .take_while(|_| !context.cancelled.load(Ordering::Relaxed));
            let answer = (self.body)(&Call { context }, &mut rows)?;
            context.check_cancelled()?;
            Ok(answer)
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
