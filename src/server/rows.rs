//! Rows and their description as bytes of the wire.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use super::extended::Format;
use crate::catalog::{Column, Prepared};
use crate::datum::{self, Datum, Names, PgType, Style};
use crate::pgerror::PgError;

/// Writes rows of the same columns.
#[derive(Debug)]
pub(super) struct RowEncoder {
    columns: Vec<(PgType, Format)>,
    /// The types of the fields of records, by their column, from 0.
    fields: BTreeMap<usize, Vec<PgType>>,
    text: String,
    binary: Vec<u8>,
}

impl RowEncoder {
    /// For the answer to `prepared`, in the formats of a Bind.
    pub(super) fn new(prepared: &Prepared, formats: &[Format]) -> Self {
        let column =
            |(index, column): (usize, &Column)| (column.column_type, Format::of(formats, index));
        let fields = |(index, fields): &(usize, Vec<Column>)| {
            (
                *index,
                fields.iter().map(|field| field.column_type).collect(),
            )
        };
        Self {
            columns: prepared.columns.iter().enumerate().map(column).collect(),
            fields: prepared.fields.iter().map(fields).collect(),
            text: String::new(),
            binary: vec![],
        }
    }

    /// Appends one DataRow.
    pub(super) fn encode(
        &mut self,
        row: &[Datum],
        names: &dyn Names,
        style: &Style,
        out: &mut BytesMut,
    ) -> Result<(), PgError> {
        let start = begin_message(out, b'D');
        put_count(out, self.columns.len());
        for (index, (&(column_type, format), datum)) in self.columns.iter().zip(row).enumerate() {
            if *datum == Datum::Null {
                out.put_i32(-1);
                continue;
            }
            match format {
                Format::Text => {
                    self.text.clear();
                    datum::text_out(column_type, datum, names, style, &mut self.text)?;
                    put_value(out, self.text.as_bytes())?;
                }
                Format::Binary => {
                    self.binary.clear();
                    match (self.fields.get(&index), datum) {
                        (Some(fields), Datum::Text(text)) => {
                            datum::record_out(fields, text, names, style, &mut self.binary)?;
                        }
                        _ => datum::binary_out(column_type, datum, &mut self.binary)?,
                    }
                    put_value(out, &self.binary)?;
                }
            }
        }
        end_message(out, start)
    }
}

/// Appends a RowDescription.
pub(super) fn describe(columns: &[Column], formats: &[Format], out: &mut BytesMut) {
    let start = begin_message(out, b'T');
    put_count(out, columns.len());
    for (index, column) in columns.iter().enumerate() {
        out.put_slice(column.name.replace('\0', "\u{FFFD}").as_bytes());
        out.put_u8(0);
        out.put_u32(column.table_oid);
        out.put_i16(column.attnum);
        out.put_u32(column.column_type.0);
        out.put_i16(datum::info(column.column_type).map_or(-1, |info| info.len));
        out.put_i32(column.typmod);
        out.put_i16(Format::of(formats, index).code());
    }
    // Names and numbers of columns are bounded by the text of a statement.
    if end_message(out, start).is_err() {
        tracing::error!("a description of {} columns is too long", columns.len());
    }
}

/// Appends a ParameterDescription.
pub(super) fn describe_parameters(params: &[PgType], out: &mut BytesMut) {
    out.put_u8(b't');
    let len = params.len().saturating_mul(4).saturating_add(6);
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    put_count(out, params.len());
    for param in params {
        out.put_u32(param.0);
    }
}

/// A column of text without an origin.
pub(super) fn text_column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        column_type: PgType::TEXT,
        typmod: -1,
        table_oid: 0,
        attnum: 0,
    }
}

/// Appends one DataRow of texts, the same in both formats.
pub(super) fn text_row(values: &[&str], out: &mut BytesMut) -> Result<(), PgError> {
    let start = begin_message(out, b'D');
    put_count(out, values.len());
    for value in values {
        put_value(out, value.as_bytes())?;
    }
    end_message(out, start)
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

fn put_value(out: &mut BytesMut, bytes: &[u8]) -> Result<(), PgError> {
    out.put_i32(i32::try_from(bytes.len()).map_err(|_| too_long())?);
    out.put_slice(bytes);
    Ok(())
}

fn too_long() -> PgError {
    PgError::error("54000", "the row is too long for a message")
}

/// Begins a message; returns where its length goes.
fn begin_message(out: &mut BytesMut, tag: u8) -> usize {
    out.put_u8(tag);
    let start = out.len();
    out.put_u32(0);
    start
}

/// Writes the message's length; takes the message back when that is not possible.
fn end_message(out: &mut BytesMut, start: usize) -> Result<(), PgError> {
    let len = i32::try_from(out.len().saturating_sub(start));
    match (len, out.get_mut(start..start.saturating_add(4))) {
        (Ok(len), Some(hole)) => {
            hole.copy_from_slice(&len.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start.saturating_sub(1));
            Err(too_long())
        }
    }
}
