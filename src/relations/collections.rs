//! Which table a collection is, and the table that a collection gets which nobody declared.
//!
//! A collection `a` is `public.a`; `s.a` is the table `a` of the schema `s` where there is such a
//! schema, else a table in `public` that is called `s.a`.

use std::collections::{HashMap, HashSet};

use crate::datum::PgType;
use crate::lsn::Lsn;

use super::draft::Draft;
use super::{
    DefineError, NewKey, PUBLIC, Relation, RelationColumn, RelationKey, RelationSet,
    ReplicaIdentity,
};

/// Names of the tables in each schema, to look collections up.
#[derive(Debug, Default)]
pub(super) struct TableNames {
    schemas: HashMap<String, HashSet<String>>,
}

impl TableNames {
    pub(super) fn of(set: &RelationSet) -> Self {
        let mut schemas: HashMap<String, HashSet<String>> = HashMap::new();
        for schema in &set.schemas {
            schemas.insert(schema.name.clone(), HashSet::new());
        }
        for relation in &set.relations {
            let tables = schemas.entry(relation.schema.clone()).or_default();
            tables.insert(relation.name.clone());
        }
        Self { schemas }
    }

    /// Whether the collection is a table already.
    pub(super) fn has(&self, collection: &str) -> bool {
        let (schema, name) = split(collection, |schema| self.schemas.contains_key(schema));
        let tables = self.schemas.get(schema);
        tables.is_some_and(|tables| tables.contains(name))
    }

    pub(super) fn add(&mut self, schema: &str, name: &str) {
        let tables = self.schemas.entry(schema.to_owned()).or_default();
        tables.insert(name.to_owned());
    }
}

/// Schema and table of a collection.
fn split(collection: &str, is_schema: impl Fn(&str) -> bool) -> (&str, &str) {
    collection
        .split_once('.')
        .filter(|(schema, name)| !name.is_empty() && is_schema(schema))
        .unwrap_or((PUBLIC, collection))
}

impl RelationSet {
    /// Schema and table that a collection is, whether there is such a table or not.
    pub fn table_of_collection<'c>(&self, collection: &'c str) -> (&'c str, &'c str) {
        split(collection, |schema| self.schema(schema).is_some())
    }

    /// The collection that is this table; `None` where its name would read as another table's.
    pub fn collection_of(&self, table: &Relation) -> Option<String> {
        let collection = if table.schema == PUBLIC {
            table.name.clone()
        } else {
            format!("{}.{}", table.schema, table.name)
        };
        let leads_back = self.table_of_collection(&collection) == (&table.schema, &table.name);
        leads_back.then_some(collection)
    }

    /// The table of a collection.
    pub fn relation_of_collection(&self, collection: &str) -> Option<&Relation> {
        let (schema, name) = self.table_of_collection(collection);
        self.relation(schema, name)
    }
}

impl Relation {
    /// What a collection of old is read as that is no table: nobody declared it, and it was stored
    /// when nobody took note of it. Its OID is made of its name, apart from those of tables.
    pub(crate) fn unnoted(schema: &str, name: &str) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(schema.as_bytes());
        hasher.update(b"\0");
        hasher.update(name.as_bytes());
        let oid = hasher.finalize() | 1 << 31;
        Self {
            oid,
            row_type_oid: 0,
            array_type_oid: 0,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: columns(),
            keys: vec![RelationKey {
                index_oid: 0,
                constraint_oid: 0,
                name: format!("{name}_pkey"),
                columns: vec![1],
                primary: true,
            }],
            replica_identity: ReplicaIdentity::Default,
            declared: false,
            upstream: None,
            since: Lsn::ZERO,
        }
    }
}

impl Draft {
    /// Gives a collection that is published to a table. It must not have one yet.
    pub(super) fn add_collection(&mut self, collection: &str) -> Result<(), DefineError> {
        let (schema, name) = self.set.table_of_collection(collection);
        let columns = columns();
        let oids = self.table_oids(&columns)?;
        let asked = NewKey {
            name: None,
            columns: Vec::new(),
            primary: true,
            position: 0,
        };
        let key = RelationKey {
            index_oid: self.fresh_oid()?,
            constraint_oid: self.fresh_oid()?,
            name: self.choose_name(schema, name, &asked),
            columns: vec![1],
            primary: true,
        };
        self.insert_table(Relation {
            oid: oids.table,
            row_type_oid: oids.row_type,
            array_type_oid: oids.array_type,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns,
            keys: vec![key],
            replica_identity: ReplicaIdentity::Default,
            declared: false,
            upstream: None,
            since: Lsn::ZERO,
        });
        Ok(())
    }
}

/// What a change record has, as columns.
pub(super) fn columns() -> Vec<RelationColumn> {
    let column = |attnum, name: &str, column_type| RelationColumn {
        name: name.to_owned(),
        attnum,
        column_type,
        typmod: -1,
        not_null: attnum == 1,
        dropped: false,
        upstream_type: None,
    };
    vec![
        column(1, "rid", PgType::INT8),
        column(2, "kind", PgType::TEXT),
        column(3, "entity", PgType::BYTEA),
        column(4, "document", PgType::JSONB),
        column(5, "metadata", PgType::JSONB),
    ]
}
