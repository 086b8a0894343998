//! What a statement asks to define: names as they were written, nothing looked up yet.

use crate::datum::PgType;

use super::filter::FilterNode;

/// A table's name as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// Schema; when it was not named that which the search path gives, `public` without one.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// Where in the statement's text, in characters from 1.
    pub position: u32,
}

impl TableName {
    /// The schema that it lives in.
    pub fn schema(&self) -> &str {
        self.schema.as_deref().unwrap_or(super::PUBLIC)
    }
}

/// A column to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub column_type: PgType,
    /// Type modifier, -1 for none.
    pub typmod: i32,
    /// NOT NULL.
    pub not_null: bool,
}

/// A primary key or unique constraint to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// CONSTRAINT name.
    pub name: Option<String>,
    /// Columns, in order.
    pub columns: Vec<String>,
    /// PRIMARY KEY rather than UNIQUE.
    pub primary: bool,
    /// Where in the statement's text, in characters from 1.
    pub position: u32,
}

/// CREATE TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    /// Name.
    pub table: TableName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Columns, in order.
    pub columns: Vec<NewColumn>,
    /// Keys, in order.
    pub keys: Vec<NewKey>,
}

/// REPLICA IDENTITY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewReplicaIdentity {
    /// DEFAULT
    Default,
    /// FULL
    Full,
    /// NOTHING
    Nothing,
    /// USING INDEX name
    UsingIndex(String),
}

/// One action of ALTER TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableAction {
    /// ADD COLUMN
    AddColumn {
        /// The column.
        column: NewColumn,
        /// Its own constraints.
        keys: Vec<NewKey>,
        /// IF NOT EXISTS
        if_not_exists: bool,
    },
    /// DROP COLUMN
    DropColumn {
        /// Name.
        name: String,
        /// IF EXISTS
        if_exists: bool,
        /// CASCADE
        cascade: bool,
    },
    /// ADD PRIMARY KEY, ADD UNIQUE
    AddKey(NewKey),
    /// DROP CONSTRAINT
    DropConstraint {
        /// Name.
        name: String,
        /// IF EXISTS
        if_exists: bool,
    },
    /// ALTER COLUMN ... SET NOT NULL, or DROP NOT NULL.
    SetNotNull {
        /// Column.
        column: String,
        /// SET rather than DROP.
        not_null: bool,
    },
    /// REPLICA IDENTITY
    ReplicaIdentity(NewReplicaIdentity),
    /// OWNER TO the one owner that there is.
    KeepOwner,
}

/// A schema of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaName {
    /// CURRENT_SCHEMA
    Current,
    /// By name.
    Named(String),
}

/// A table of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPublishedTable {
    /// Table.
    pub table: TableName,
    /// Column list.
    pub columns: Option<Vec<String>>,
    /// WHERE
    pub filter: Option<FilterNode>,
}

/// Tables and schemas of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublicationObjects {
    /// TABLE
    pub tables: Vec<NewPublishedTable>,
    /// TABLES IN SCHEMA
    pub schemas: Vec<SchemaName>,
}

/// What a publication publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationTarget {
    /// FOR ALL TABLES
    AllTables,
    /// FOR TABLE ..., TABLES IN SCHEMA ...; or nothing.
    Objects(PublicationObjects),
}

/// `publish = '...'`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct PublishedActions {
    /// insert
    pub insert: bool,
    /// update
    pub update: bool,
    /// delete
    pub delete: bool,
    /// truncate
    pub truncate: bool,
}

/// Options of a publication; `None` is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublicationOptions {
    /// publish
    pub actions: Option<PublishedActions>,
    /// publish_via_partition_root
    pub via_root: Option<bool>,
}

/// What ALTER PUBLICATION does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationAction {
    /// ADD
    Add(PublicationObjects),
    /// SET
    Set(PublicationObjects),
    /// DROP
    Drop(PublicationObjects),
    /// SET (...)
    SetOptions(PublicationOptions),
    /// RENAME TO
    RenameTo(String),
    /// OWNER TO the one owner that there is.
    KeepOwner,
}

/// One statement that defines something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// CREATE TABLE
    CreateTable(CreateTable),
    /// DROP TABLE
    DropTable {
        /// Tables.
        tables: Vec<TableName>,
        /// IF EXISTS
        if_exists: bool,
    },
    /// ALTER TABLE
    AlterTable {
        /// Table.
        table: TableName,
        /// IF EXISTS
        if_exists: bool,
        /// Actions, in order.
        actions: Vec<TableAction>,
    },
    /// CREATE PUBLICATION
    CreatePublication {
        /// Name.
        name: String,
        /// FOR
        target: PublicationTarget,
        /// WITH
        options: PublicationOptions,
    },
    /// ALTER PUBLICATION
    AlterPublication {
        /// Name.
        name: String,
        /// What it does.
        action: PublicationAction,
    },
    /// DROP PUBLICATION
    DropPublication {
        /// Names.
        names: Vec<String>,
        /// IF EXISTS
        if_exists: bool,
    },
    /// CREATE SCHEMA
    CreateSchema {
        /// Name.
        name: String,
        /// IF NOT EXISTS
        if_not_exists: bool,
    },
    /// DROP SCHEMA
    DropSchema {
        /// Names.
        names: Vec<String>,
        /// IF EXISTS
        if_exists: bool,
        /// CASCADE
        cascade: bool,
    },
    /// A command whose names without a schema are looked for along a path.
    Within {
        /// Schemas, in order.
        search_path: Vec<String>,
        /// What it does.
        command: Box<Self>,
    },
}

impl Command {
    /// The command tag that PostgreSQL answers with.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::CreateTable(_) => "CREATE TABLE",
            Self::DropTable { .. } => "DROP TABLE",
            Self::AlterTable { .. } => "ALTER TABLE",
            Self::CreatePublication { .. } => "CREATE PUBLICATION",
            Self::AlterPublication { .. } => "ALTER PUBLICATION",
            Self::DropPublication { .. } => "DROP PUBLICATION",
            Self::CreateSchema { .. } => "CREATE SCHEMA",
            Self::DropSchema { .. } => "DROP SCHEMA",
            Self::Within { command, .. } => command.tag(),
        }
    }
}

/// Something that the client is told beside the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// SQLSTATE.
    pub code: &'static str,
    /// Text.
    pub message: String,
    /// DETAIL
    pub detail: Option<String>,
}

/// What became of a command: it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Command tag.
    pub tag: &'static str,
    /// Notices, in order.
    pub notices: Vec<Notice>,
}
