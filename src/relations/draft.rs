//! The set that a command is working on: what is thrown away when the command fails.

use super::{DefineError, Notice, PUBLIC, Publication, Relation, RelationSet, Schema, TableName};

/// A name that is longer is cut off, as PostgreSQL does.
pub(super) const MAX_NAME: usize = 63;

/// A set being changed.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) set: RelationSet,
    pub(super) next_oid: u32,
    pub(super) notices: Vec<Notice>,
}

impl Draft {
    pub(super) fn new(set: RelationSet, next_oid: u32) -> Self {
        Self {
            set,
            next_oid,
            notices: Vec::new(),
        }
    }

    /// An OID that nothing had before.
    pub(super) fn fresh_oid(&mut self) -> Result<u32, DefineError> {
        let oid = self.next_oid;
        self.next_oid = oid.checked_add(1).ok_or(DefineError::OidsExhausted)?;
        Ok(oid)
    }

    /// Says that something was skipped.
    pub(super) fn notice(&mut self, code: &'static str, message: String) {
        self.notices.push(Notice {
            code,
            message,
            detail: None,
        });
    }

    /// A table that must be there.
    pub(super) fn table(&self, table: &TableName) -> Result<&Relation, DefineError> {
        if !table.is_nowhere() && self.set.schema(table.schema()).is_none() {
            return Err(missing_schema(table.schema(), None));
        }
        self.set
            .relation(table.schema(), &table.name)
            .ok_or_else(|| DefineError::NoRelation(written(table)))
    }

    /// The table with this OID, to change it.
    pub(super) fn table_mut(&mut self, oid: u32) -> Result<&mut Relation, DefineError> {
        let index = self
            .set
            .relations
            .binary_search_by_key(&oid, |relation| relation.oid);
        index
            .ok()
            .and_then(|index| self.set.relations.get_mut(index))
            .ok_or_else(|| DefineError::NoRelation(oid.to_string()))
    }

    /// The publication `name`, to change it.
    pub(super) fn publication_mut(&mut self, name: &str) -> Result<&mut Publication, DefineError> {
        self.set
            .publications
            .iter_mut()
            .find(|publication| publication.name == name)
            .ok_or_else(|| DefineError::NoPublication(name.to_owned()))
    }

    /// A schema that must be there.
    pub(super) fn schema(&self, name: &str) -> Result<&Schema, DefineError> {
        self.set
            .schema(name)
            .ok_or_else(|| missing_schema(name, None))
    }

    /// Whether a table or an index of `schema` is called `name`.
    pub(super) fn is_taken(&self, schema: &str, name: &str) -> bool {
        self.set.relations.iter().any(|relation| {
            relation.schema == schema
                && (relation.name == name || relation.keys.iter().any(|key| key.name == name))
        })
    }

    /// Removes a table, from its publications too.
    pub(super) fn remove_table(&mut self, oid: u32) {
        self.set.relations.retain(|relation| relation.oid != oid);
        for publication in &mut self.set.publications {
            publication.tables.retain(|table| table.relation != oid);
        }
    }

    /// Adds a table where its OID belongs.
    pub(super) fn insert_table(&mut self, relation: Relation) {
        let at = self
            .set
            .relations
            .partition_point(|other| other.oid < relation.oid);
        self.set.relations.insert(at, relation);
    }

    /// The name of a schema by its OID.
    pub(super) fn schema_name(&self, oid: u32) -> &str {
        let found = self.set.schemas.iter().find(|schema| schema.oid == oid);
        found.map_or(PUBLIC, |schema| &schema.name)
    }
}

/// A name as it was written, for a message.
pub(super) fn written(table: &TableName) -> String {
    match &table.schema {
        Some(schema) if !table.is_nowhere() => format!("{schema}.{}", table.name),
        Some(_) | None => table.name.clone(),
    }
}

pub(super) fn missing_schema(name: &str, position: Option<u32>) -> DefineError {
    DefineError::NoSchema {
        name: name.to_owned(),
        position,
    }
}

/// Whether PostgreSQL itself lives in the schema `name`.
pub(super) fn is_system_schema(name: &str) -> bool {
    matches!(name, "pg_catalog" | "pg_toast")
}

/// Whether every table has a column of this name that nobody made.
pub(super) fn is_system_column(name: &str) -> bool {
    matches!(
        name,
        "tableoid" | "ctid" | "xmin" | "cmin" | "xmax" | "cmax"
    )
}

/// `text` without what is beyond `max` bytes, cut between characters.
pub(super) fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
