//! Which changes of a table its publications cannot bear.

use crate::relations::{Relation, RelationSet, ReplicaIdentity};

use super::rule::{Operation, holds_schema, member};

/// A change of rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOperation {
    /// UPDATE
    Update,
    /// DELETE
    Delete,
}

/// A table must not be changed so, since a publication could not say which row it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct IdentityError {
    /// The change.
    pub operation: RowOperation,
    /// The table.
    pub table: String,
    /// What its publications lack.
    pub fault: IdentityFault,
}

/// What publications lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityFault {
    /// The table has no replica identity (55000).
    Missing,
    /// A row filter reads other columns than the replica identity's (42P10).
    Filter,
    /// A column list leaves out columns of the replica identity (42P10).
    ColumnList,
}

impl IdentityError {
    fn message(&self) -> String {
        let table = &self.table;
        let (verb, from, what) = match self.operation {
            RowOperation::Update => ("update", "", "updates"),
            RowOperation::Delete => ("delete", "from ", "deletes"),
        };
        match self.fault {
            IdentityFault::Missing => format!(
                "cannot {verb} {from}table \"{table}\" because it does not have a replica \
                 identity and publishes {what}"
            ),
            IdentityFault::Filter | IdentityFault::ColumnList => {
                format!("cannot {verb} {from}table \"{table}\"")
            }
        }
    }

    /// DETAIL
    #[must_use]
    pub const fn detail(&self) -> Option<&'static str> {
        match self.fault {
            IdentityFault::Missing => None,
            IdentityFault::Filter => Some(
                "Column used in the publication WHERE expression is not part of the replica \
                 identity.",
            ),
            IdentityFault::ColumnList => {
                Some("Column list used by the publication does not cover the replica identity.")
            }
        }
    }

    /// HINT
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match (self.fault, self.operation) {
            (IdentityFault::Missing, RowOperation::Update) => {
                Some("To enable updating the table, set REPLICA IDENTITY using ALTER TABLE.")
            }
            (IdentityFault::Missing, RowOperation::Delete) => {
                Some("To enable deleting from the table, set REPLICA IDENTITY using ALTER TABLE.")
            }
            (IdentityFault::Filter | IdentityFault::ColumnList, _) => None,
        }
    }
}

/// Whether rows of `table` may be changed by `operation` under the publications of `set`.
pub fn check_publishable(
    set: &RelationSet,
    table: &Relation,
    operation: RowOperation,
) -> Result<(), IdentityError> {
    let error = |fault| IdentityError {
        operation,
        table: table.name.clone(),
        fault,
    };
    let published = match operation {
        RowOperation::Update => Operation::Update,
        RowOperation::Delete => Operation::Delete,
    };
    let full = table.replica_identity == ReplicaIdentity::Full;
    let identity = table.identity_columns().unwrap_or_default();
    let publishing = || {
        let publications = set.publications.iter();
        publications.filter(|publication| published.is_published(publication))
    };
    // What is said of the table by itself is asked even where its whole schema is published.
    let members = || {
        let tables = publishing().filter(|publication| !publication.all_tables);
        tables.filter_map(|publication| member(publication, table))
    };
    if !full && !members().all(|member| subset(&member.filter_columns, identity)) {
        return Err(error(IdentityFault::Filter));
    }
    // No list is enough for all columns, not even one that names them all.
    let covers = |list: &Vec<i16>| !full && subset(identity, list);
    if !members().all(|member| member.columns.as_ref().is_none_or(covers)) {
        return Err(error(IdentityFault::ColumnList));
    }
    let holds = |publication| {
        let by_itself = member(publication, table).is_some();
        by_itself || publication.all_tables || holds_schema(publication, set, table)
    };
    if !full && identity.is_empty() && publishing().any(holds) {
        return Err(error(IdentityFault::Missing));
    }
    Ok(())
}

fn subset(of: &[i16], all: &[i16]) -> bool {
    of.iter().all(|number| all.contains(number))
}
