//! The one place where SQLite's virtual table interface is unsafe.
//!
//! A [`Table`] says what it looks like and how it can be searched, a [`Scan`] gives rows; both are
//! safe code elsewhere. Here they are put behind the C structs that SQLite wants to see first.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;

use rusqlite::vtab::{
    Context as Cell, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection,
    VTabCursor, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error};

use super::super::Context;
use super::seat::Seat;
use super::value;
use crate::datum::{Datum, PgType};
use crate::pgerror::PgError;

/// A table that SQLite can read.
pub(super) trait Table: Send + Sync {
    /// `CREATE TABLE x(...)`: its columns, without types, so that values stay as they are.
    fn declaration(&self) -> String;
    /// How to search it; `None` when what it needs is not given.
    fn plan(&self, wanted: &Wanted) -> Option<Plan>;
    /// A scan over it.
    fn open(&self, seat: &Arc<Seat>) -> Box<dyn Scan>;
}

/// A scan over a table.
pub(super) trait Scan {
    /// Starts over with a plan's text and the values of the constraints that it uses. The scan is
    /// on its first row then, or at its end.
    fn start(
        &mut self,
        context: &Arc<Context>,
        plan: &str,
        args: Vec<Datum>,
    ) -> Result<(), PgError>;
    /// Goes on to the next row.
    fn next(&mut self, context: &Arc<Context>) -> Result<(), PgError>;
    /// The row, `None` at the end.
    fn row(&self) -> Option<&[Datum]>;
    /// The row's number.
    fn rowid(&self) -> i64;
}

/// What a query wants of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) constraints: Vec<Constraint>,
    /// The only or first column to order by, and whether it descends, when there is no other.
    pub(super) order: Option<(usize, bool)>,
    /// Bit n: column n is read; bit 63 stands for all from there on.
    pub(super) columns: u64,
}

/// A comparison of one column with a value that is known when the scan starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Constraint {
    pub(super) column: usize,
    pub(super) op: Op,
    /// The value is known.
    pub(super) usable: bool,
    /// Texts are compared by their bytes.
    pub(super) by_bytes: bool,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Gt,
    Ge,
    Lt,
    Le,
    Other,
}

/// How a table is searched.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// The constraints (by index) whose values the scan gets, in this order.
    pub(super) uses: Vec<usize>,
    /// SQLite need not check those again.
    pub(super) exact: bool,
    /// What the scan is told.
    pub(super) text: String,
    pub(super) cost: f64,
    pub(super) rows: i64,
    /// Rows come in the wanted order.
    pub(super) ordered: bool,
}

/// Registers `table` under `name`.
pub(super) fn register(
    connection: &Connection,
    name: &str,
    table: Arc<dyn Table>,
    seat: &Arc<Seat>,
) -> rusqlite::Result<()> {
    const MODULE: &Module<'static, Vtab> = &Module::eponymous_only_module();
    let aux = Aux {
        table,
        seat: Arc::clone(seat),
    };
    connection.create_module(name, MODULE, Some(aux))
}

#[derive(Clone)]
struct Aux {
    table: Arc<dyn Table>,
    seat: Arc<Seat>,
}

#[repr(C)]
struct Vtab {
    /// First, as SQLite wants it.
    base: sqlite3_vtab,
    aux: Aux,
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base, as the trait asks.
unsafe impl VTab<'_> for Vtab {
    type Aux = Aux;
    type Cursor = Cursor;

    fn connect(
        _: &mut VTabConnection,
        aux: Option<&Aux>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let aux = aux
            .ok_or_else(|| Error::ModuleError("a table without a definition".to_owned()))?
            .clone();
        let declaration = CString::new(aux.table.declaration()).map_err(Error::NulError)?;
        let base = sqlite3_vtab::default();
        Ok((declaration.into(), Self { base, aux }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let wanted = wanted(info)?;
        let Some(plan) = self.aux.table.plan(&wanted) else {
            return Ok(false);
        };
        for (place, index) in plan.uses.iter().enumerate() {
            let mut usage = info.constraint_usage(*index);
            usage.set_argv_index(c_int::try_from(place + 1).unwrap_or(c_int::MAX));
            usage.set_omit(plan.exact);
        }
        info.set_idx_str(&plan.text);
        info.set_estimated_cost(plan.cost);
        info.set_estimated_rows(plan.rows);
        info.set_order_by_consumed(plan.ordered);
        Ok(true)
    }

    fn open(&mut self) -> rusqlite::Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            scan: self.aux.table.open(&self.aux.seat),
            seat: Arc::clone(&self.aux.seat),
        })
    }
}

fn wanted(info: &IndexInfo) -> rusqlite::Result<Wanted> {
    let mut constraints = Vec::new();
    for (index, constraint) in info.constraints().enumerate() {
        let (column, op) = match usize::try_from(constraint.column()) {
            Ok(column) => (column, op(&constraint.operator())),
            // The row number.
            Err(_) => (usize::MAX, Op::Other),
        };
        constraints.push(Constraint {
            column,
            op,
            usable: constraint.is_usable(),
            by_bytes: op != Op::Other && info.collation(index)? == "BINARY",
        });
    }
    let mut order = info
        .order_bys()
        .map(|by| (usize::try_from(by.column()), by.is_order_by_desc()));
    let order = match (order.next(), order.next()) {
        (Some((Ok(column), descends)), None) => Some((column, descends)),
        _ => None,
    };
    Ok(Wanted {
        constraints,
        order,
        columns: info.col_used(),
    })
}

fn op(operator: &IndexConstraintOp) -> Op {
    // Comparisons only; there are many other operators, and more with each version.
    #[allow(clippy::wildcard_enum_match_arm)]
    match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Op::Eq,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Op::Gt,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Op::Ge,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Op::Lt,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Op::Le,
        _ => Op::Other,
    }
}

#[repr(C)]
struct Cursor {
    /// First, as SQLite wants it.
    base: sqlite3_vtab_cursor,
    scan: Box<dyn Scan>,
    seat: Arc<Seat>,
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base, as the trait asks.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, _: c_int, plan: Option<&str>, args: &Filters<'_>) -> rusqlite::Result<()> {
        let args = args
            .iter()
            .map(|value| value::from_sqlite(value, PgType::UNKNOWN));
        let args = args.collect();
        let scan = &mut self.scan;
        self.seat
            .call(|context| scan.start(context, plan.unwrap_or_default(), args))
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        let scan = &mut self.scan;
        self.seat.call(|context| scan.next(context))
    }

    fn eof(&self) -> bool {
        self.scan.row().is_none()
    }

    fn column(&self, cell: &mut Cell, column: c_int) -> rusqlite::Result<()> {
        let row = self.scan.row().unwrap_or_default();
        let datum = usize::try_from(column).ok().and_then(|at| row.get(at));
        match datum {
            Some(datum) => cell.set_result(value::to_sqlite(datum)),
            // A hidden argument: known to who gave it.
            None => cell.set_result(rusqlite::types::Null),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.scan.rowid())
    }
}
