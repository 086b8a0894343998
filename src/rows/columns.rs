//! Where the columns of a table are, by name: documents may have millions of members.

use std::collections::HashMap;

use crate::relations::{Relation, RelationColumn};

/// Tables of fewer columns are looked through.
const FEW: usize = 24;
/// Wide tables that are remembered.
const MAX_TABLES: usize = 8;

/// Places of columns found before. What is remembered is only where to look first, so that a table
/// may change.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// By the table's OID.
    tables: HashMap<u32, HashMap<Box<str>, usize>>,
    /// The table's names were noted for this document.
    fresh: bool,
}

impl Columns {
    /// Another document, perhaps of a table that has changed.
    pub(super) const fn begin(&mut self) {
        self.fresh = false;
    }

    /// The place of the column `name`, which is most often the `expected` one.
    pub(super) fn place(&mut self, table: &Relation, name: &str, expected: usize) -> Option<usize> {
        let is_it = |column: &RelationColumn| !column.dropped && column.name == name;
        let is_at = |place: &usize| table.columns.get(*place).is_some_and(is_it);
        if is_at(&expected) {
            return Some(expected);
        }
        if table.columns.len() < FEW {
            return table.columns.iter().position(is_it);
        }
        let known = self.tables.get(&table.oid);
        let found = known.and_then(|places| places.get(name)).copied();
        if self.fresh {
            return found;
        }
        if let Some(found) = found.filter(is_at) {
            return Some(found);
        }
        self.note(table);
        self.tables.get(&table.oid)?.get(name).copied()
    }

    fn note(&mut self, table: &Relation) {
        if self.tables.len() >= MAX_TABLES {
            self.tables.clear();
        }
        let places = self.tables.entry(table.oid).or_default();
        places.clear();
        for (place, column) in table.columns.iter().enumerate() {
            if !column.dropped {
                places.insert(column.name.as_str().into(), place);
            }
        }
        self.fresh = true;
    }
}
