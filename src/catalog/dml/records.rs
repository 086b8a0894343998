//! The records of changed rows: values printed in one way, whatever the session's settings are.

use std::sync::Arc;

use crate::change::ChangeRecord;
use crate::datum::{self, Datum, NoNames, PgType, Style};
use crate::pgerror::PgError;
use crate::relations::{Relation, RelationSet};
use crate::rows::{self, Cell, Row, RowError};

/// Bytes of a value that an error shows.
const SHOWN: usize = 64;

/// A table, and its name as its records have it.
#[derive(Debug)]
pub(super) struct Recorder {
    table: Arc<Relation>,
    collection: String,
}

impl Recorder {
    /// For a table of `set`.
    pub(super) fn new(set: &RelationSet, table: &Arc<Relation>) -> Result<Self, PgError> {
        let collection = set.collection_of(table).ok_or_else(|| {
            let name = &table.name;
            PgError::unsupported(format!(
                "table \"{name}\" cannot be published to: its name reads as another table's"
            ))
        })?;
        Ok(Self {
            table: Arc::clone(table),
            collection,
        })
    }

    /// The table.
    pub(super) fn table(&self) -> &Relation {
        &self.table
    }

    /// The record of a new row.
    pub(super) fn insert(&self, new: &Row) -> Result<ChangeRecord, PgError> {
        check_not_null(&self.table, new)?;
        Ok(rows::insert_record(&self.collection, &self.table, new)?)
    }

    /// The record of a changed row, of which `old` is known.
    pub(super) fn update(
        &self,
        old: Option<&Row>,
        new: &Row,
        changed: &[&str],
    ) -> Result<ChangeRecord, PgError> {
        check_not_null(&self.table, new)?;
        let record = rows::update_record(&self.collection, &self.table, old, new)?;
        Ok(record.with_changed_columns(changed.iter().copied()))
    }

    /// The record of a removed row, of which `old` is known.
    pub(super) fn delete(&self, old: &Row) -> Result<ChangeRecord, PgError> {
        Ok(rows::delete_record(&self.collection, &self.table, old)?)
    }

    /// The record that all rows are gone.
    pub(super) fn truncate(&self) -> ChangeRecord {
        ChangeRecord::truncate(self.collection.clone())
    }
}

/// An error when a column has no value that must have one.
fn check_not_null(table: &Relation, row: &Row) -> Result<(), PgError> {
    let mut columns = table.live_columns().zip(row.cells());
    let missing = columns.find(|(column, cell)| column.not_null && *cell == Cell::Null);
    let Some((column, _)) = missing else {
        return Ok(());
    };
    let error = PgError::of_row(RowError::null(table, column));
    let mut shown = Vec::with_capacity(row.len());
    for cell in row.cells() {
        shown.push(match cell {
            Cell::Null => "null".to_owned(),
            Cell::Text(text) => excerpt(text, SHOWN),
            // What is not known cannot be shown.
            Cell::Unchanged => return Err(error),
        });
    }
    Err(error.with_detail(format!("Failing row contains ({}).", shown.join(", "))))
}

/// The text, cut behind so many bytes.
pub(super) fn excerpt(text: &str, most: usize) -> String {
    let (kept, _) = text.split_at(text.floor_char_boundary(most));
    if kept.len() == text.len() {
        return text.to_owned();
    }
    format!("{kept}...")
}

/// Prints values of columns.
#[derive(Debug)]
pub(super) struct Printer {
    style: Style,
    text: String,
}

impl Printer {
    pub(super) fn new() -> Self {
        Self {
            style: Style::utc(0),
            text: String::new(),
        }
    }

    /// The text of a value that is not NULL.
    pub(super) fn text(&mut self, ty: PgType, value: &Datum) -> Result<&str, PgError> {
        self.text.clear();
        datum::text_out(ty, value, &NoNames, &self.style, &mut self.text)?;
        Ok(&self.text)
    }

    /// Appends a value to a row.
    pub(super) fn push(&mut self, ty: PgType, value: &Datum, row: &mut Row) -> Result<(), PgError> {
        if *value == Datum::Null {
            row.push_null();
        } else {
            row.push_text(self.text(ty, value)?);
        }
        Ok(())
    }
}
