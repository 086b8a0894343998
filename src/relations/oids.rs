//! Which OIDs PostgreSQL gives to a new table, so that ours come out equal.
//!
//! The table, the array of its row type, the row type; then, when a row may become too long for a
//! page, the table for long values and its index; then an index and a constraint for each key.

use crate::datum::{PgType, TypeInfo, info};

use super::draft::Draft;
use super::{DefineError, RelationColumn};

/// The longest row that is kept whole.
const LONGEST_ROW: usize = 2032;

/// OIDs of a new table.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableOids {
    pub(super) table: u32,
    pub(super) array_type: u32,
    pub(super) row_type: u32,
}

impl Draft {
    /// OIDs for a new table with `columns`.
    pub(super) fn table_oids(
        &mut self,
        columns: &[RelationColumn],
    ) -> Result<TableOids, DefineError> {
        let oids = TableOids {
            table: self.fresh_oid()?,
            array_type: self.fresh_oid()?,
            row_type: self.fresh_oid()?,
        };
        if has_long_values(columns) {
            self.long_value_oids()?;
        }
        Ok(oids)
    }

    /// Takes the OIDs of a table for long values and of its index. Nothing shows them.
    pub(super) fn long_value_oids(&mut self) -> Result<(), DefineError> {
        self.fresh_oid()?;
        self.fresh_oid()?;
        Ok(())
    }
}

/// Whether a row of `columns` may become too long for a page while something in it can be moved
/// elsewhere.
pub(super) fn has_long_values(columns: &[RelationColumn]) -> bool {
    let mut movable = false;
    let mut unlimited = false;
    let mut data = 0_usize;
    for column in columns.iter().filter(|column| !column.dropped) {
        let Some(found) = info(column.column_type) else {
            continue;
        };
        data = data.next_multiple_of(alignment(found));
        match usize::try_from(found.len) {
            Ok(fixed) => data += fixed,
            Err(_) => {
                match longest(column) {
                    Some(longest) => data += longest,
                    None => unlimited = true,
                }
                movable |= found.storage != 'p';
            }
        }
    }
    let header = (23 + columns.len().div_ceil(8)).next_multiple_of(8);
    movable && (unlimited || header + data.next_multiple_of(8) > LONGEST_ROW)
}

const fn alignment(found: &TypeInfo) -> usize {
    match found.align {
        's' => 2,
        'i' => 4,
        'd' => 8,
        _ => 1,
    }
}

/// The most bytes that a value of a type without a fixed length takes, where there is a limit.
fn longest(column: &RelationColumn) -> Option<usize> {
    let typmod = usize::try_from(column.typmod).ok()?;
    match column.column_type {
        // Characters of four bytes.
        PgType::VARCHAR | PgType::BPCHAR => Some(4 * typmod.saturating_sub(4) + 4),
        PgType::NUMERIC => {
            let precision = (typmod.saturating_sub(4) >> 16) & 0xFFFF;
            Some(8 + 2 * ((precision + 6) / 4))
        }
        PgType::BIT | PgType::VARBIT => Some(typmod.div_ceil(8) + 8),
        _ => None,
    }
}
