//! Definitions that were refused, and what is told beside those that were not.

use pgwire::error::ErrorInfo;

use crate::relations::{DefineError, FilterError, Notice};

use super::{PgError, without_zeros};

const NO_OPERATOR: &str = "No operator matches the given name and argument types. You might need \
                           to add explicit type casts.";

impl PgError {
    /// The fields of a NoticeResponse of level NOTICE.
    pub(crate) fn notice_fields(notice: &Notice) -> Vec<(u8, String)> {
        const NOTICE: &str = "NOTICE";
        let (code, message) = (notice.code.to_owned(), notice.message.clone());
        let mut info = ErrorInfo::new(NOTICE.to_owned(), code, message);
        info.severity_nonlocalized = Some(NOTICE.to_owned());
        info.detail = notice.detail.clone();
        without_zeros(info)
    }

    fn at_some(self, position: Option<u32>) -> Self {
        match position {
            Some(position) => self.at(position),
            None => self,
        }
    }
}

impl From<DefineError> for PgError {
    fn from(error: DefineError) -> Self {
        let code = code(&error);
        let found = Self::error(code, error.to_string());
        with_more(found, error)
    }
}

impl From<FilterError> for PgError {
    fn from(error: FilterError) -> Self {
        DefineError::Filter(error).into()
    }
}

const fn code(error: &DefineError) -> &'static str {
    match error {
        DefineError::RelationExists(_) => "42P07",
        DefineError::NoRelation(_) | DefineError::NoTable(_) => "42P01",
        DefineError::CreateInSystemSchema { .. } | DefineError::SystemCatalog(_) => "42501",
        DefineError::NoSchema { .. }
        | DefineError::NoSchemaToCreateIn { .. }
        | DefineError::NoCurrentSchema => "3F000",
        DefineError::SchemaExists(_) => "42P06",
        DefineError::ReservedSchemaName(_) => "42939",
        DefineError::ColumnTwice(_)
        | DefineError::ColumnExists { .. }
        | DefineError::SystemColumnName(_)
        | DefineError::KeyColumnTwice { .. } => "42701",
        DefineError::NoColumn { .. } | DefineError::NoKeyColumn { .. } => "42703",
        DefineError::DropSystemColumn(_) | DefineError::AlterSystemColumn(_) => "0A000",
        DefineError::TooManyColumns => "54011",
        DefineError::ManyPrimaryKeys { .. }
        | DefineError::InPrimaryKey(_)
        | DefineError::InReplicaIdentity(_) => "42P16",
        DefineError::NoOperatorClass { .. }
        | DefineError::NoConstraint { .. }
        | DefineError::NoIndex { .. }
        | DefineError::NoPublication(_)
        | DefineError::NotMember(_)
        | DefineError::SchemaNotMember(_) => "42704",
        DefineError::IndexOfOther { .. }
        | DefineError::NullableIndex { .. }
        | DefineError::Undeclared(_) => "42809",
        DefineError::HasDependents { .. } | DefineError::RequiredSchema(_) => "2BP01",
        DefineError::PublicationExists(_)
        | DefineError::AlreadyMember { .. }
        | DefineError::SchemaAlreadyMember { .. }
        | DefineError::RedundantColumnLists(_)
        | DefineError::RedundantFilters(_)
        | DefineError::ListedColumnTwice(_) => "42710",
        DefineError::ColumnListInDrop | DefineError::FilterInDrop => "42601",
        DefineError::SystemColumnListed(_) => "42P10",
        DefineError::ForAllTables { .. } => "55000",
        DefineError::ColumnListBesideSchema { .. }
        | DefineError::SchemaBesideColumnList(_)
        | DefineError::PublishSystemTable(_)
        | DefineError::PublishSystemSchema(_) => "22023",
        DefineError::Filter(error) => filter_code(error),
        DefineError::OidsExhausted => "54000",
        DefineError::Mirror(_) => "XX000",
        DefineError::Persist(_) => "58030",
    }
}

const fn filter_code(error: &FilterError) -> &'static str {
    match error {
        FilterError::NoColumn { .. } => "42703",
        FilterError::NoTable { .. } => "42P01",
        FilterError::SystemColumn { .. }
        | FilterError::NotSimple { .. }
        | FilterError::Mutable { .. }
        | FilterError::Unsupported { .. } => "0A000",
        FilterError::NotBoolean { .. } => "42804",
        FilterError::NoOperator { .. } => "42883",
        FilterError::NoCast { .. } => "42846",
        // The value's own error has the code.
        FilterError::Literal { .. } => "22P02",
    }
}

const NOT_SYSTEM: &str = "System catalog modifications are currently disallowed.";

/// DETAIL, HINT and position.
fn with_more(found: PgError, error: DefineError) -> PgError {
    match error {
        DefineError::NoSchema { position, .. } | DefineError::ManyPrimaryKeys { position, .. } => {
            found.at_some(position)
        }
        DefineError::NoKeyColumn { position, .. }
        | DefineError::NoSchemaToCreateIn { position }
        | DefineError::KeyColumnTwice { position, .. } => found.at(position),
        DefineError::CreateInSystemSchema { .. } => found.with_detail(NOT_SYSTEM),
        DefineError::ReservedSchemaName(_) => {
            found.with_detail("The prefix \"pg_\" is reserved for system schemas.")
        }
        DefineError::NoOperatorClass { .. } => found.with_hint(
            "You must specify an operator class for the index or define a default operator class \
             for the data type.",
        ),
        DefineError::HasDependents { dependents, .. } => found
            .with_detail(dependents.0.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."),
        DefineError::Undeclared(_) => found.with_hint("Declare its columns with CREATE TABLE."),
        DefineError::ForAllTables { what, .. } => found.with_detail(format!(
            "{what} cannot be added to or dropped from FOR ALL TABLES publications."
        )),
        DefineError::ColumnListBesideSchema { .. } => found.with_detail(
            "Column lists cannot be specified in publications containing FOR TABLES IN SCHEMA \
             elements.",
        ),
        DefineError::SchemaBesideColumnList(_) => found.with_detail(
            "Schemas cannot be added if any tables that specify a column list are already part of \
             the publication.",
        ),
        DefineError::PublishSystemTable(_) => not_for_system(found, "tables"),
        DefineError::PublishSystemSchema(_) => not_for_system(found, "schemas"),
        DefineError::Filter(error) => with_filter(found, error),
        DefineError::RelationExists(_)
        | DefineError::NoRelation(_)
        | DefineError::NoTable(_)
        | DefineError::SystemCatalog(_)
        | DefineError::SchemaExists(_)
        | DefineError::RequiredSchema(_)
        | DefineError::ColumnTwice(_)
        | DefineError::ColumnExists { .. }
        | DefineError::NoColumn { .. }
        | DefineError::SystemColumnName(_)
        | DefineError::DropSystemColumn(_)
        | DefineError::AlterSystemColumn(_)
        | DefineError::TooManyColumns
        | DefineError::InPrimaryKey(_)
        | DefineError::InReplicaIdentity(_)
        | DefineError::NoConstraint { .. }
        | DefineError::NoIndex { .. }
        | DefineError::IndexOfOther { .. }
        | DefineError::NullableIndex { .. }
        | DefineError::PublicationExists(_)
        | DefineError::NoPublication(_)
        | DefineError::AlreadyMember { .. }
        | DefineError::SchemaAlreadyMember { .. }
        | DefineError::NotMember(_)
        | DefineError::SchemaNotMember(_)
        | DefineError::RedundantColumnLists(_)
        | DefineError::RedundantFilters(_)
        | DefineError::ColumnListInDrop
        | DefineError::FilterInDrop
        | DefineError::ListedColumnTwice(_)
        | DefineError::SystemColumnListed(_)
        | DefineError::OidsExhausted
        | DefineError::Mirror(_)
        | DefineError::NoCurrentSchema
        | DefineError::Persist(_) => found,
    }
}

fn not_for_system(found: PgError, what: &str) -> PgError {
    found.with_detail(format!(
        "This operation is not supported for system {what}."
    ))
}

fn with_filter(found: PgError, error: FilterError) -> PgError {
    let (position, detail) = (error.position(), error.detail());
    let found = match error {
        FilterError::Literal { source, .. } => source.into(),
        FilterError::NoOperator { .. } => found.with_hint(NO_OPERATOR),
        FilterError::NoColumn { .. }
        | FilterError::NoTable { .. }
        | FilterError::SystemColumn { .. }
        | FilterError::NotSimple { .. }
        | FilterError::Mutable { .. }
        | FilterError::NotBoolean { .. }
        | FilterError::NoCast { .. }
        | FilterError::Unsupported { .. } => found,
    };
    let found = match detail {
        Some(detail) => found.with_detail(detail),
        None => found,
    };
    found.at(position)
}
