//! Which table a record's collection is: looked up once for a run of records of one collection.

use std::collections::HashMap;

use crate::relations::{Relation, RelationSet};

/// Names that are remembered.
const MAX_NAMES: usize = 4096;

/// Where the tables of collections were found before. What is remembered is only where to look
/// first, so that it may be of another set.
#[derive(Debug, Default)]
pub(super) struct Tables {
    places: HashMap<Box<str>, usize>,
    /// Collections that are no tables in the set of their records.
    unnoted: HashMap<Box<str>, Relation>,
}

impl Tables {
    /// The table of `collection` in `set`, or what stands for it where there is none.
    pub(super) fn find<'r>(&'r mut self, set: &'r RelationSet, collection: &str) -> &'r Relation {
        let (schema, name) = set.table_of_collection(collection);
        let is_it = |table: &&Relation| table.name == name && table.schema == schema;
        let place = self.places.get(collection);
        let remembered = place.and_then(|place| set.relations.get(*place));
        if let Some(table) = remembered.filter(is_it) {
            return table;
        }
        if let Some(place) = set.relations.iter().position(|table| is_it(&table)) {
            if self.places.len() >= MAX_NAMES {
                self.places.clear();
            }
            self.places.insert(collection.into(), place);
            if let Some(table) = set.relations.get(place) {
                return table;
            }
        }
        if self.unnoted.len() >= MAX_NAMES {
            self.unnoted.clear();
        }
        let entry = self.unnoted.entry(format!("{schema}\0{name}").into());
        entry.or_insert_with(|| Relation::unnoted(schema, name))
    }
}
