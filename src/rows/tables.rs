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
    /// That of the last record: most often the next one's, too.
    last: (String, usize),
    /// Collections that are no tables in the set of their records.
    unnoted: HashMap<Box<str>, Relation>,
}

impl Tables {
    /// The table of `collection` in `set`, or what stands for it where there is none.
    pub(super) fn find<'r>(&'r mut self, set: &'r RelationSet, collection: &str) -> &'r Relation {
        let (schema, name) = set.table_of_collection(collection);
        let is_it = |table: &&Relation| table.name == name && table.schema == schema;
        let place = if self.last.0 == collection {
            Some(self.last.1)
        } else {
            self.places.get(collection).copied()
        };
        let remembered = place.and_then(|place| Some((place, set.relations.get(place)?)));
        if let Some((place, table)) = remembered.filter(|(_, table)| is_it(table)) {
            self.remember(collection, place);
            return table;
        }
        if let Some(place) = set.relations.iter().position(|table| is_it(&table)) {
            if self.places.len() >= MAX_NAMES {
                self.places.clear();
            }
            self.places.insert(collection.into(), place);
            self.remember(collection, place);
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

    /// The last record's collection is at `place`.
    fn remember(&mut self, collection: &str, place: usize) {
        let (last, at) = &mut self.last;
        if last != collection {
            collection.clone_into(last);
        }
        *at = place;
    }
}
