//! What tables and publications there are, and since which position, kept durably.
//!
//! One file a database (`relations.json`, replaced atomically). A definition counts for records
//! above the position at which it was made, so old records keep the relation of their time. OIDs
//! are never used twice. It knows no SQL text, no spool and no session.

use crate::datum::PgType;
use crate::lsn::Lsn;

/// Name of a database's relation store.
pub const RELATIONS_FILE: &str = "relations.json";

/// Which old columns a change of a row carries (`pg_class.relreplident`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Name.
    pub name: String,
    /// Number, from 1, never used twice in a relation.
    pub attnum: i16,
    /// Type.
    pub column_type: PgType,
    /// Type modifier, -1 for none.
    pub typmod: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// Was dropped; kept so that numbers stay.
    pub dropped: bool,
}

/// A unique index or primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Counts for records above this position.
    pub since: Lsn,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// OID; 2200 is `public`.
    pub oid: u32,
    /// Name.
    pub name: String,
}

/// One table of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTable {
    /// OID of the membership (`pg_publication_rel.oid`).
    pub oid: u32,
    /// OID of the table.
    pub relation: u32,
    /// Numbers of the published columns; `None` is all.
    pub columns: Option<Vec<i16>>,
    /// Row filter as PostgreSQL prints it, `(id > 5)`.
    pub filter: Option<String>,
}

/// One schema of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSchema {
    /// OID of the membership.
    pub oid: u32,
    /// OID of the schema.
    pub schema: u32,
}

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Its tables.
    pub tables: Vec<PublishedTable>,
    /// Its schemas.
    pub schemas: Vec<PublishedSchema>,
}

/// Everything at one position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelationSet {
    /// Schemas, by OID; `public` is always there.
    pub schemas: Vec<Schema>,
    /// Tables, by OID.
    pub relations: Vec<Relation>,
    /// Publications, by OID.
    pub publications: Vec<Publication>,
}
