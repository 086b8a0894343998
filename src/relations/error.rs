//! Why a definition was refused, in PostgreSQL's words; which SQLSTATE that is is decided above.

use super::filter::FilterError;

/// Why the relation store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RelationStoreError {
    /// What is there is not what was written.
    #[error("{path}: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The error.
        #[source]
        source: std::io::Error,
    },
}

/// A write of the relation store failed, now or earlier; it is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("relation store cannot be written: {0}")]
pub struct RelationPersistError(pub String);

/// What else may not be without the thing that was to be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependents(pub Vec<String>);

/// Why a definition was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DefineError {
    #[error("relation \"{0}\" already exists")]
    RelationExists(String),
    #[error("relation \"{0}\" does not exist")]
    NoRelation(String),
    #[error("table \"{0}\" does not exist")]
    NoTable(String),
    #[error("permission denied to create \"{schema}.{name}\"")]
    CreateInSystemSchema { schema: String, name: String },
    #[error("permission denied: \"{0}\" is a system catalog")]
    SystemCatalog(String),
    #[error("schema \"{name}\" does not exist")]
    NoSchema { name: String, position: Option<u32> },
    #[error("schema \"{0}\" already exists")]
    SchemaExists(String),
    #[error("unacceptable schema name \"{0}\"")]
    ReservedSchemaName(String),
    #[error("cannot drop schema {0} because it is required by the database system")]
    RequiredSchema(String),
    #[error("no schema has been selected to create in")]
    NoSchemaToCreateIn { position: u32 },
    #[error("no schema has been selected for CURRENT_SCHEMA")]
    NoCurrentSchema,
    #[error("column \"{0}\" specified more than once")]
    ColumnTwice(String),
    #[error("column \"{column}\" of relation \"{table}\" already exists")]
    ColumnExists { column: String, table: String },
    #[error("column \"{column}\" of relation \"{table}\" does not exist")]
    NoColumn { column: String, table: String },
    #[error("column name \"{0}\" conflicts with a system column name")]
    SystemColumnName(String),
    #[error("cannot drop system column \"{0}\"")]
    DropSystemColumn(String),
    #[error("cannot alter system column \"{0}\"")]
    AlterSystemColumn(String),
    #[error("tables can have at most 1600 columns")]
    TooManyColumns,
    #[error("column \"{column}\" named in key does not exist")]
    NoKeyColumn { column: String, position: u32 },
    #[error("column \"{column}\" appears twice in {} constraint", key_words(*.primary))]
    KeyColumnTwice {
        column: String,
        primary: bool,
        position: u32,
    },
    #[error("multiple primary keys for table \"{table}\" are not allowed")]
    ManyPrimaryKeys {
        table: String,
        position: Option<u32>,
    },
    #[error("data type {type_name} has no default operator class for access method \"btree\"")]
    NoOperatorClass { type_name: String },
    #[error("column \"{0}\" is in a primary key")]
    InPrimaryKey(String),
    #[error("column \"{0}\" is in index used as replica identity")]
    InReplicaIdentity(String),
    #[error("constraint \"{name}\" of relation \"{table}\" does not exist")]
    NoConstraint { name: String, table: String },
    #[error("index \"{index}\" for table \"{table}\" does not exist")]
    NoIndex { index: String, table: String },
    #[error("\"{index}\" is not an index for table \"{table}\"")]
    IndexOfOther { index: String, table: String },
    #[error(
        "index \"{index}\" cannot be used as replica identity because column \"{column}\" is nullable"
    )]
    NullableIndex { index: String, column: String },
    #[error("cannot drop {what} because other objects depend on it")]
    HasDependents {
        what: String,
        dependents: Dependents,
    },
    #[error("\"{0}\" is a collection without declared columns")]
    Undeclared(String),
    #[error("publication \"{0}\" already exists")]
    PublicationExists(String),
    #[error("publication \"{0}\" does not exist")]
    NoPublication(String),
    #[error("relation \"{table}\" is already member of publication \"{publication}\"")]
    AlreadyMember { table: String, publication: String },
    #[error("schema \"{schema}\" is already member of publication \"{publication}\"")]
    SchemaAlreadyMember { schema: String, publication: String },
    #[error("relation \"{0}\" is not part of the publication")]
    NotMember(String),
    #[error("tables from schema \"{0}\" are not part of the publication")]
    SchemaNotMember(String),
    #[error("conflicting or redundant column lists for table \"{0}\"")]
    RedundantColumnLists(String),
    #[error("conflicting or redundant WHERE clauses for table \"{0}\"")]
    RedundantFilters(String),
    #[error("column list must not be specified in ALTER PUBLICATION ... DROP")]
    ColumnListInDrop,
    #[error("cannot use a WHERE clause when removing a table from a publication")]
    FilterInDrop,
    #[error("duplicate column \"{0}\" in publication column list")]
    ListedColumnTwice(String),
    #[error("cannot use system column \"{0}\" in publication column list")]
    SystemColumnListed(String),
    #[error("publication \"{publication}\" is defined as FOR ALL TABLES")]
    ForAllTables {
        publication: String,
        /// `Tables` or `Schemas`.
        what: &'static str,
    },
    #[error("cannot use column list for relation \"{table}\" in publication \"{publication}\"")]
    ColumnListBesideSchema { table: String, publication: String },
    #[error("cannot add schema to publication \"{0}\"")]
    SchemaBesideColumnList(String),
    #[error("cannot add relation \"{0}\" to publication")]
    PublishSystemTable(String),
    #[error("cannot add schema \"{0}\" to publication")]
    PublishSystemSchema(String),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("what the upstream defines does not fit together: {0}")]
    Mirror(String),
    #[error("there are no OIDs left")]
    OidsExhausted,
    #[error(transparent)]
    Persist(#[from] RelationPersistError),
}

const fn key_words(primary: bool) -> &'static str {
    if primary { "primary key" } else { "unique" }
}
