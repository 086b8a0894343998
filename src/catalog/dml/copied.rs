//! Rows of a COPY as records of their table.

use std::sync::Arc;

use super::records::{Printer, Recorder, excerpt};
use crate::catalog::{Context, names};
use crate::change::ChangeRecord;
use crate::datum::{self, Datum, PgType};
use crate::pgerror::PgError;
use crate::relations::{Relation, RelationSet};
use crate::rows::Row;
use crate::sources::copy_rows::CopyError;

/// Makes records of rows whose fields are values of these columns.
#[derive(Debug)]
pub(crate) struct CopiedRows {
    recorder: Recorder,
    columns: Vec<CopiedColumn>,
    is_binary: bool,
    /// For each column of the table: the field that is its value.
    fields: Vec<Option<usize>>,
    printer: Printer,
}

#[derive(Debug)]
struct CopiedColumn {
    name: String,
    column_type: PgType,
    typmod: i32,
}

/// Why a row is none of the table's, and how its place is said behind the line's number.
#[derive(Debug)]
pub(crate) enum BadRow {
    /// A field is no value of its column.
    Field(Box<PgError>, String),
    /// The row is none as a whole.
    Row(Box<PgError>),
}

/// Bytes of a value or line that an error shows.
const SHOWN: usize = 100;

impl CopiedRows {
    /// For the columns of a table of `set` at these places.
    pub(crate) fn new(
        set: &RelationSet,
        table: &Arc<Relation>,
        places: &[usize],
        is_binary: bool,
    ) -> Result<Self, PgError> {
        let columns: Vec<_> = table.live_columns().collect();
        let field_of = |place| places.iter().position(|known| *known == place);
        let fields = (0..columns.len()).map(field_of).collect();
        let of = |place: &usize| columns.get(*place);
        let columns = places.iter().filter_map(of).map(|column| CopiedColumn {
            name: column.name.clone(),
            column_type: column.column_type,
            typmod: column.typmod,
        });
        Ok(Self {
            recorder: Recorder::new(set, table)?,
            columns: columns.collect(),
            is_binary,
            fields,
            printer: Printer::new(),
        })
    }

    /// Name of the table.
    pub(crate) fn table_name(&self) -> &str {
        &self.recorder.table().name
    }

    /// The record of a row with these fields.
    pub(crate) fn record<'f>(
        &mut self,
        context: &Arc<Context>,
        fields: impl Iterator<Item = Option<&'f [u8]>>,
    ) -> Result<ChangeRecord, BadRow> {
        let mut values = Vec::with_capacity(self.columns.len());
        let mut fields = fields;
        for column in &self.columns {
            let Some(field) = fields.next() else {
                let missing = CopyError::MissingData(column.name.clone());
                return Err(BadRow::Row(Box::new(missing.into())));
            };
            let value = match field {
                None => Datum::Null,
                Some(field) => self.value(context, column, field).map_err(|error| {
                    let place = self.place_of(column, field);
                    BadRow::Field(Box::new(error), place)
                })?,
            };
            values.push(value);
        }
        self.row(&values)
            .map_err(|error| BadRow::Row(Box::new(error)))
    }

    fn value(
        &self,
        context: &Arc<Context>,
        column: &CopiedColumn,
        field: &[u8],
    ) -> Result<Datum, PgError> {
        let ty = column.column_type;
        let value = if self.is_binary {
            datum::binary_in(ty, field)?
        } else {
            let text = std::str::from_utf8(field).map_err(|_| {
                PgError::error("22021", "invalid byte sequence for encoding \"UTF8\"")
            })?;
            datum::text_in(ty, text, &names(context), context.style())?
        };
        Ok(datum::apply_typmod(ty, column.typmod, value, false)?)
    }

    fn place_of(&self, column: &CopiedColumn, field: &[u8]) -> String {
        let name = &column.name;
        if self.is_binary {
            return format!("column {name}");
        }
        let text = String::from_utf8_lossy(field);
        format!("column {name}: \"{}\"", shown(&text))
    }

    fn row(&mut self, values: &[Datum]) -> Result<ChangeRecord, PgError> {
        let mut row = Row::default();
        for field in &self.fields {
            let at = |index: usize| Some((values.get(index)?, self.columns.get(index)?));
            match field.and_then(at) {
                Some((value, column)) => {
                    self.printer.push(column.column_type, value, &mut row)?;
                }
                None => row.push_null(),
            }
        }
        self.recorder.insert(&row)
    }
}

/// As much of a value or line as an error shows.
pub(crate) fn shown(text: &str) -> String {
    excerpt(text, SHOWN)
}
