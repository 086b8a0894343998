//! Which records a statement asks for, as far as the spool can be asked for them.

use std::fmt::Write;

use super::super::vtab::{Op, Plan, Wanted};
use super::row::{COLLECTION, COMMITTED_AT, LSN};
use crate::datum::Datum;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;

/// What to read.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    /// Above this.
    pub(super) since: Lsn,
    /// At most this.
    pub(super) upto: Lsn,
    /// Of this collection.
    pub(super) collection: Option<String>,
    /// Bit n: column n is read.
    pub(super) columns: u64,
}

impl Search {
    /// Nothing can be found.
    pub(super) fn is_empty(&self) -> bool {
        self.upto <= self.since
    }

    /// Whether `column` is read.
    pub(super) fn wants(&self, column: usize) -> bool {
        self.columns & (1_u64 << column.min(63)) != 0
    }
}

/// Takes the bounds that [`of`] can make use of. All of them are checked again.
pub(super) fn plan(wanted: &Wanted) -> Plan {
    let mut uses = Vec::new();
    let mut text = String::new();
    let (mut lower, mut upper, mut exact) = (false, false, false);
    for (index, constraint) in wanted.constraints.iter().enumerate() {
        let letter = match (constraint.column, constraint.op) {
            _ if !constraint.usable || !constraint.by_bytes => continue,
            (LSN, Op::Eq) => 'e',
            (LSN, Op::Gt) => 'a',
            (LSN, Op::Ge) => 'A',
            (LSN, Op::Lt) => 'b',
            (LSN, Op::Le) => 'B',
            (COMMITTED_AT, Op::Eq | Op::Gt | Op::Ge) => 't',
            (COLLECTION, Op::Eq) => 'c',
            _ => continue,
        };
        exact |= letter == 'e';
        lower |= matches!(letter, 'a' | 'A' | 't');
        upper |= matches!(letter, 'b' | 'B');
        uses.push(index);
        text.push(letter);
    }
    let rows: u32 = match (exact, lower, upper) {
        (true, ..) => 10,
        (false, true, true) => 10_000,
        (false, true, false) | (false, false, true) => 100_000,
        (false, false, false) => 1_000_000,
    };
    let _ = write!(text, ";{:x}", wanted.columns);
    Plan {
        uses,
        exact: false,
        text,
        cost: 10.0 * f64::from(rows),
        rows: i64::from(rows),
        ordered: wanted.order == Some((LSN, false)),
    }
}

/// What [`plan`] and the values of its bounds ask for.
pub(super) fn of(plan: &str, args: &[Datum], engine: &Engine) -> Result<Search, PgError> {
    let (letters, columns) = plan.split_once(';').unwrap_or_default();
    let mut search = Search {
        since: Lsn::ZERO,
        upto: Lsn::MAX,
        collection: None,
        columns: u64::from_str_radix(columns, 16).unwrap_or(u64::MAX),
    };
    for (letter, arg) in letters.chars().zip(args) {
        match (letter, arg) {
            // Nothing compares with NULL.
            (_, Datum::Null) => search.upto = Lsn::ZERO,
            ('c', Datum::Text(name)) => search.collection = Some(name.clone()),
            ('t', Datum::Int(us)) => {
                let ms = u64::try_from(us.saturating_add(999) / 1000).unwrap_or(0);
                let since = engine.position_at_time(ms)?;
                search.since = search.since.max(since);
            }
            (_, Datum::Int(position)) => {
                search.bound(letter, Lsn::new(position.cast_unsigned()));
            }
            // Checked again by SQLite.
            (_, Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_)) => {}
        }
    }
    Ok(search)
}

impl Search {
    fn bound(&mut self, letter: char, position: Lsn) {
        let before = position.saturating_sub(1);
        let (since, upto) = match letter {
            'e' => (before, position),
            'a' => (position, Lsn::MAX),
            'A' => (before, Lsn::MAX),
            'b' => (Lsn::ZERO, before),
            'B' => (Lsn::ZERO, position),
            _ => return,
        };
        self.since = self.since.max(since);
        self.upto = self.upto.min(upto);
    }
}
