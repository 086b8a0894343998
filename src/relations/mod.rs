//! What tables and publications there are, and since which position, kept durably.
//!
//! One file a database (`relations.json`, replaced atomically). A definition counts for records
//! above the position at which it was made, so old records keep the relation of their time. OIDs
//! are never used twice. It knows no SQL text, no spool and no session.

mod alter;
mod collections;
mod command;
mod draft;
mod error;
mod file;
mod filter;
mod history;
mod keys;
mod oids;
mod publications;
mod schemas;
mod search_path;
mod show;
mod store;
mod tables;

pub use command::{
    Command, CreateTable, NewColumn, NewKey, NewPublishedTable, NewReplicaIdentity, Notice,
    Outcome, PublicationAction, PublicationObjects, PublicationOptions, PublicationTarget,
    PublishedActions, SchemaName, TableAction, TableName,
};
pub use error::{DefineError, Dependents, RelationPersistError, RelationStoreError};
#[cfg(any(test, fuzzing))]
pub(crate) use file::fuzz_file;
#[cfg(test)]
pub(crate) use filter::is_compared;
pub use filter::{FilterError, FilterExpr, FilterNode, MAX_FILTER_NESTING};
pub use search_path::schemas_searched;
pub use show::PublicationTable;
pub use store::RelationStore;

use serde::{Deserialize, Serialize};

use crate::datum::{PgType, quote_ident};
use crate::lsn::Lsn;

/// Name of a database's relation store.
pub const RELATIONS_FILE: &str = "relations.json";

/// The schema of names without one.
pub const PUBLIC: &str = "public";

/// OID of the schema `public`.
pub const PUBLIC_OID: u32 = 2200;

/// Which old columns a change of a row carries (`pg_class.relreplident`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaIdentity {
    /// `d`: the primary key.
    #[default]
    Default,
    /// `f`: all columns.
    Full,
    /// `n`: none.
    Nothing,
    /// `i`: the columns of the index with this OID.
    Index(u32),
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationColumn {
    /// Name.
    pub name: String,
    /// Number, from 1, never used twice in a relation.
    pub attnum: i16,
    /// Type.
    #[serde(rename = "type", with = "file::type_oid")]
    pub column_type: PgType,
    /// Type modifier, -1 for none.
    #[serde(default = "file::none", skip_serializing_if = "file::is_none")]
    pub typmod: i32,
    /// NOT NULL.
    #[serde(default, skip_serializing_if = "file::is_false")]
    pub not_null: bool,
    /// Was dropped; kept so that numbers stay.
    #[serde(default, skip_serializing_if = "file::is_false")]
    pub dropped: bool,
    /// OID of its type at the upstream, where that is none of ours: its values are text here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_type: Option<u32>,
}

/// A unique index or primary key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationKey {
    /// OID of the index.
    pub index_oid: u32,
    /// OID of the constraint.
    pub constraint_oid: u32,
    /// Name of both.
    pub name: String,
    /// Column numbers, in order.
    pub columns: Vec<i16>,
    /// PRIMARY KEY rather than UNIQUE.
    pub primary: bool,
}

/// A table: declared, or a collection that was published to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// OID.
    pub oid: u32,
    /// OID of its row type and of that type's array.
    pub row_type_oid: u32,
    /// See `row_type_oid`.
    pub array_type_oid: u32,
    /// Schema.
    pub schema: String,
    /// Name; the collection is `name`, or `schema.name` outside of `public`.
    pub name: String,
    /// Columns in order, dropped ones too.
    pub columns: Vec<RelationColumn>,
    /// Keys; at most one is primary.
    pub keys: Vec<RelationKey>,
    /// Replica identity.
    pub replica_identity: ReplicaIdentity,
    /// By CREATE TABLE; otherwise it is a collection that was published to.
    pub declared: bool,
    /// What the upstream says of it, for a table of a captured database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Box<UpstreamTable>>,
    /// Counts for records above this position.
    pub since: Lsn,
}

/// What an upstream says of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTable {
    /// Its Relation message, as it is sent outside of streamed transactions.
    #[serde(with = "hex::serde")]
    pub description: Vec<u8>,
    /// The types of its columns that are none of ours, in the order of their Type messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<UpstreamType>,
}

/// A type of an upstream that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamType {
    /// Its OID.
    pub oid: u32,
    /// Its Type message, as it is sent outside of streamed transactions.
    #[serde(with = "hex::serde")]
    pub description: Vec<u8>,
    /// Its name as `format_type` prints it at the upstream: `mood`, `other.mood[]`.
    pub format_name: String,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// OID; 2200 is `public`.
    pub oid: u32,
    /// Name.
    pub name: String,
}

/// One table of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTable {
    /// OID of the membership (`pg_publication_rel.oid`).
    pub oid: u32,
    /// OID of the table.
    pub relation: u32,
    /// Numbers of the published columns, in rising order; `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<i16>>,
    /// Row filter as PostgreSQL prints it, `(id > 5)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Numbers of the columns that the filter reads, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_columns: Vec<i16>,
}

/// One schema of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedSchema {
    /// OID of the membership.
    pub oid: u32,
    /// OID of the schema.
    pub schema: u32,
}

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)]
pub struct Publication {
    /// OID.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// FOR ALL TABLES.
    pub all_tables: bool,
    /// publish = 'insert'
    pub insert: bool,
    /// publish = 'update'
    pub update: bool,
    /// publish = 'delete'
    pub delete: bool,
    /// publish = 'truncate'
    pub truncate: bool,
    /// publish_via_partition_root
    pub via_root: bool,
    /// By it the upstream sends what is captured: whatever was received was published by one of
    /// these.
    #[serde(default, skip_serializing_if = "file::is_false")]
    pub captured: bool,
    /// Its tables.
    pub tables: Vec<PublishedTable>,
    /// Its schemas.
    pub schemas: Vec<PublishedSchema>,
}

/// Everything at one position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationSet {
    /// Schemas, by OID; `public` is always there.
    pub schemas: Vec<Schema>,
    /// Tables, by OID.
    pub relations: Vec<Relation>,
    /// Publications, by OID.
    pub publications: Vec<Publication>,
}

impl Default for RelationSet {
    /// Nothing but the schema `public`.
    fn default() -> Self {
        Self {
            schemas: vec![Schema {
                oid: PUBLIC_OID,
                name: PUBLIC.to_owned(),
            }],
            relations: Vec::new(),
            publications: Vec::new(),
        }
    }
}

impl Relation {
    /// Its columns but the dropped ones.
    pub fn live_columns(&self) -> impl Iterator<Item = &RelationColumn> {
        self.columns.iter().filter(|column| !column.dropped)
    }

    /// The column `name`.
    pub fn column(&self, name: &str) -> Option<&RelationColumn> {
        self.live_columns().find(|column| column.name == name)
    }

    /// The primary key.
    pub fn primary_key(&self) -> Option<&RelationKey> {
        self.keys.iter().find(|key| key.primary)
    }

    /// Its name as PostgreSQL prints it where `public` needs not be said: quoted where needed,
    /// with any other schema.
    pub fn visible_name(&self) -> String {
        if self.schema == PUBLIC {
            quote_ident(&self.name)
        } else {
            self.qualified_name()
        }
    }

    /// Its name with its schema, quoted where needed.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

impl RelationSet {
    /// The table `name` in `schema`.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations
            .iter()
            .find(|relation| relation.name == name && relation.schema == schema)
    }

    /// The table with this OID.
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        let index = self
            .relations
            .binary_search_by_key(&oid, |relation| relation.oid);
        self.relations.get(index.ok()?)
    }

    /// The publication `name`.
    pub fn publication(&self, name: &str) -> Option<&Publication> {
        self.publications
            .iter()
            .find(|publication| publication.name == name)
    }

    /// The schema `name`.
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }
}
