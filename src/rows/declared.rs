//! Records of a declared table: documents whose members are columns.

use std::borrow::Cow;
use std::iter::repeat;
use std::ops::Range;

use crate::datum::PgType;
use crate::relations::{Relation, RelationColumn};

use super::columns::Columns;
use super::error::Misfit;
use super::flat::Flat;
use super::json::{Cursor, Value};
use super::value::{Canon, key};
use super::{Row, RowFault, json};

/// Which columns must have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Those that are NOT NULL: the document is the whole row.
    Whole,
    /// None: the document is what is known of a row.
    Any,
}

/// A document read apart: where the value of each column is.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// By the place among all columns, dropped ones too.
    places: Vec<Option<Range<usize>>>,
    /// By place, the columns that a record calls unchanged.
    unchanged: Vec<bool>,
    columns: Columns,
}

impl Members {
    /// Finds the columns of `table` in `bytes`. Of equal members the last one counts.
    pub(super) fn read<'t>(
        &mut self,
        table: &Relation,
        bytes: &'t [u8],
        what: &'static str,
    ) -> Result<&'t str, Misfit> {
        self.places.clear();
        self.places.resize(table.columns.len(), None);
        let not_an_object = || RowFault::NotAnObject {
            what,
            table: table.name.clone(),
        };
        let text = std::str::from_utf8(bytes).map_err(|_| (None, not_an_object()))?;
        if self.read_flat(table, text) {
            return Ok(text);
        }
        self.places.fill(None);
        self.columns.begin();
        let mut cursor = Cursor::new(text);
        if cursor.peek() != Some(b'{') {
            return Err((None, not_an_object()));
        }
        json::check(text).map_err(|error| (None, RowFault::Value(error)))?;
        cursor.eat(b'{');
        let mut expected = 0;
        while let Some(inside) = cursor.string() {
            let name = key(inside).map_err(|error| (None, RowFault::Value(error)))?;
            let place = self.columns.place(table, &name, expected);
            let place = place.ok_or_else(|| missing(table, &name))?;
            cursor.eat(b':');
            cursor.peek();
            let start = text.len() - cursor.left();
            if cursor.value().is_some()
                && let Some(kept) = self.places.get_mut(place)
            {
                *kept = Some(start..text.len() - cursor.left());
            }
            expected = place + 1;
            if !cursor.eat(b',') {
                break;
            }
        }
        Ok(text)
    }

    /// Does it in one pass, if the document is a simple one whose members are all columns.
    fn read_flat(&mut self, table: &Relation, text: &str) -> bool {
        self.columns.begin();
        let mut flat = Flat::new(text);
        let mut expected = 0;
        for (name, value) in flat.by_ref() {
            let Some(place) = self.columns.place(table, name, expected) else {
                return false;
            };
            if let Some(kept) = self.places.get_mut(place) {
                *kept = Some(value);
            }
            expected = place + 1;
        }
        flat.is_done()
    }

    /// Notes which columns are `unchanged` in the next document that is written.
    pub(super) fn note_unchanged(
        &mut self,
        table: &Relation,
        unchanged: &[Cow<'_, str>],
    ) -> Result<(), Misfit> {
        self.unchanged.clear();
        if unchanged.is_empty() {
            return Ok(());
        }
        if unchanged.len() > table.columns.len() {
            let table = table.name.clone();
            return Err((None, RowFault::TooManyNames { table }));
        }
        self.unchanged.resize(table.columns.len(), false);
        self.columns.begin();
        let mut expected = 0;
        for name in unchanged {
            let place = self.columns.place(table, name, expected);
            let place = place.ok_or_else(|| missing(table, name))?;
            if let Some(noted) = self.unchanged.get_mut(place) {
                *noted = true;
            }
            expected = place + 1;
        }
        Ok(())
    }

    /// No column is unchanged in the next document that is written.
    pub(super) fn forget_unchanged(&mut self) {
        self.unchanged.clear();
    }

    /// Appends the row that the document is; columns that it does not have are NULL, or unchanged
    /// where that is known of the new row.
    pub(super) fn write(
        &self,
        table: &Relation,
        text: &str,
        canon: &Canon,
        demand: Demand,
        row: &mut Row,
    ) -> Result<(), Misfit> {
        let unchanged = self.unchanged.iter().copied().chain(repeat(false));
        for ((column, place), unchanged) in table.columns.iter().zip(&self.places).zip(unchanged) {
            if column.dropped {
                continue;
            }
            let at = |fault| (Some(column.name.clone()), fault);
            let raw = place.clone().and_then(|place| text.get(place));
            let value = raw.and_then(|raw| Some((Cursor::new(raw).value()?, raw)));
            match value {
                None if unchanged && demand == Demand::Whole => row.push_unchanged(),
                None | Some((Value::Null, _)) if column.not_null && demand == Demand::Whole => {
                    return Err(at(RowFault::null(table, column)));
                }
                None | Some((Value::Null, _)) => row.push_null(),
                Some((value, raw)) => row
                    .try_push_with(|out| canon.write(column, value, raw, out))
                    .map_err(|error| at(RowFault::Value(error)))?,
            }
        }
        Ok(())
    }
}

/// What names a column that is none.
pub(super) fn missing(table: &Relation, name: &str) -> Misfit {
    let fault = RowFault::NoColumn {
        column: name.to_owned(),
        table: table.name.clone(),
    };
    (Some(name.to_owned()), fault)
}

/// Whether a key of these columns is what `rid` can be: one column of an integer type.
pub(super) fn is_rid(table: &Relation, numbers: &[i16]) -> bool {
    let [number] = numbers else {
        return false;
    };
    let column = table.live_columns().find(|column| column.attnum == *number);
    let integer = |column: &RelationColumn| {
        matches!(
            column.column_type,
            PgType::INT2 | PgType::INT4 | PgType::INT8
        )
    };
    column.is_some_and(integer)
}
