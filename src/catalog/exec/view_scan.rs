//! Views as tables of SQLite: the statement's rows, searched by equality through a hash index.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::super::views::{Rows, View, check_readable, rows_of};
use super::seat::Seat;
use super::vtab::{Op, Plan, Scan, Table, Wanted};
use super::{Context, quoted};
use crate::datum::Datum;
use crate::pgerror::PgError;

/// Rows that a view is taken to have, before it is known.
const ROWS: i64 = 1000;

/// A view as SQLite reads it.
pub(super) struct ViewTable {
    pub(super) view: &'static View,
}

impl Table for ViewTable {
    fn declaration(&self) -> String {
        declaration(self.view)
    }

    /// By all equalities that are there, through an index over their columns.
    fn plan(&self, wanted: &Wanted) -> Option<Plan> {
        let mut uses = Vec::new();
        let mut columns: Vec<usize> = Vec::new();
        for (index, constraint) in wanted.constraints.iter().enumerate() {
            let equal = constraint.op == Op::Eq && constraint.usable && constraint.by_bytes;
            if equal && !columns.contains(&constraint.column) {
                uses.push(index);
                columns.push(constraint.column);
            }
        }
        let found = match uses.len() {
            0 => ROWS,
            1 => 8,
            _ => 2,
        };
        let numbers: Vec<String> = columns.iter().map(ToString::to_string).collect();
        Some(Plan {
            uses,
            exact: false,
            text: numbers.join(","),
            cost: f64::from(i32::try_from(found).unwrap_or(i32::MAX)),
            rows: found,
            ordered: false,
        })
    }

    fn open(&self, seat: &Arc<Seat>) -> Box<dyn Scan> {
        Box::new(ViewScan {
            view: self.view,
            seat: Arc::clone(seat),
            rows: Arc::default(),
            found: None,
            at: 0,
        })
    }
}

/// A view's columns for SQLite.
pub(super) fn declaration(view: &View) -> String {
    let mut text = "CREATE TABLE x(".to_owned();
    for (index, (name, _)) in view.columns.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{}", quoted(name));
    }
    text.push(')');
    text
}

/// Which rows have which values in some columns. Different values may share a place: what is
/// found is checked again by SQLite.
#[derive(Debug, Default)]
pub(super) struct RowIndex {
    rows_by_hash: HashMap<u64, Arc<Vec<usize>>>,
}

impl RowIndex {
    fn of(rows: &Rows, columns: &[usize]) -> Self {
        let mut rows_by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let key = columns.iter().map(|column| row.get(*column));
            if let Some(hash) = hash(key) {
                rows_by_hash.entry(hash).or_default().push(index);
            }
        }
        let shared = rows_by_hash.into_iter();
        Self {
            rows_by_hash: shared.map(|(hash, rows)| (hash, Arc::new(rows))).collect(),
        }
    }
}

/// A hash that equal values share; `None` where one is NULL, which equals nothing.
fn hash<'a>(key: impl Iterator<Item = Option<&'a Datum>>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for datum in key {
        match datum? {
            Datum::Null => return None,
            Datum::Int(number) => number.hash(&mut hasher),
            // A double equals the integer of its value.
            Datum::Float(number) if number.fract() == 0.0 => {
                format!("{number:.0}")
                    .parse::<i64>()
                    .unwrap_or_default()
                    .hash(&mut hasher);
            }
            Datum::Float(number) => number.to_bits().hash(&mut hasher),
            Datum::Text(text) => text.hash(&mut hasher),
            Datum::Bytes(bytes) => bytes.hash(&mut hasher),
        }
    }
    Some(hasher.finish())
}

struct ViewScan {
    view: &'static View,
    seat: Arc<Seat>,
    rows: Arc<Rows>,
    /// The rows that an index found; `None` for all.
    found: Option<Arc<Vec<usize>>>,
    at: usize,
}

impl ViewScan {
    fn index(&self) -> usize {
        match &self.found {
            Some(found) => found.get(self.at).copied().unwrap_or(usize::MAX),
            None => self.at,
        }
    }
}

impl Scan for ViewScan {
    fn start(
        &mut self,
        context: &Arc<Context>,
        plan: &str,
        args: Vec<Datum>,
    ) -> Result<(), PgError> {
        check_readable(context, self.view)?;
        self.rows = rows_of(context, self.view);
        self.at = 0;
        self.found = None;
        let columns: Vec<usize> = plan.split(',').flat_map(str::parse).collect();
        if !columns.is_empty() {
            let make = || RowIndex::of(&self.rows, &columns);
            let index = self.seat.index(self.view.oid, &columns, make);
            let hash = hash(args.iter().map(Some));
            let found = hash.and_then(|hash| index.rows_by_hash.get(&hash));
            self.found = Some(found.map(Arc::clone).unwrap_or_default());
        }
        Ok(())
    }

    fn next(&mut self, _: &Arc<Context>) -> Result<(), PgError> {
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    fn row(&self) -> Option<&[Datum]> {
        self.rows.get(self.index()).map(Vec::as_slice)
    }

    fn rowid(&self) -> i64 {
        i64::try_from(self.index()).unwrap_or(i64::MAX)
    }
}
