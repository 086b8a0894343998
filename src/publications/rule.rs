//! What the publications of a stream say of one table.

use crate::relations::{Publication, PublishedTable, Relation, RelationSet};
use crate::rows::Row;

use super::{EvaluationError, Filter, PublicationError, RowsShown};

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    pub(super) const fn is_published(self, publication: &Publication) -> bool {
        match self {
            Self::Insert => publication.insert,
            Self::Update => publication.update,
            Self::Delete => publication.delete,
        }
    }
}

/// What the publications of a stream say of one table.
#[derive(Debug, Default)]
pub(super) struct TableRule {
    insert: OperationRule,
    update: OperationRule,
    delete: OperationRule,
    truncate: bool,
    columns: Vec<usize>,
    filters: Vec<Filter>,
}

/// What they say of one thing that happens to its rows.
#[derive(Debug, Default)]
enum OperationRule {
    /// It is not shown.
    #[default]
    Hidden,
    /// It is shown, whatever the row.
    Shown,
    /// It is shown when a row passes one of these filters, by their places.
    Filtered(Vec<usize>),
}

/// A publication that holds the table.
struct Holder<'s> {
    publication: &'s Publication,
    /// Numbers of the columns; `None` for all of them.
    columns: Option<&'s [i16]>,
    filter: Option<&'s str>,
}

impl TableRule {
    /// What the publications `names` say of `table` under the definitions `set`.
    pub(super) fn of(
        names: &[String],
        set: &RelationSet,
        table: &Relation,
    ) -> Result<Self, PublicationError> {
        let mut holders = Vec::new();
        for name in names {
            let publication = set.publication(name);
            let publication = publication.ok_or_else(|| PublicationError::Unknown(name.clone()))?;
            holders.extend(Holder::of(publication, set, table));
        }
        if table.upstream.is_some() && sees_all_captured(names, set) {
            return Ok(Self::everything(table));
        }
        let mut rule = Self {
            truncate: holders.iter().any(|holder| holder.publication.truncate),
            ..Self::default()
        };
        let published = |holder: &Holder<'_>| {
            let mut operations = Operation::ALL.iter();
            operations.any(|operation| operation.is_published(holder.publication))
        };
        if !holders.iter().any(published) {
            rule.columns = (0..table.live_columns().count()).collect();
            return Ok(rule);
        }
        rule.columns = columns(&holders, table)?;
        let mut places = Vec::with_capacity(holders.len());
        for holder in &holders {
            places.push(match holder.filter {
                None => None,
                Some(text) => {
                    let filter = Filter::compile(text, table)?;
                    let place = (!filter.is_true()).then_some(rule.filters.len());
                    rule.filters.push(filter);
                    place
                }
            });
        }
        let of = |operation: Operation| {
            let holders = holders.iter().zip(&places);
            let mut filters = Vec::new();
            for (_, place) in
                holders.filter(|(holder, _)| operation.is_published(holder.publication))
            {
                match place {
                    None => return OperationRule::Shown,
                    Some(place) => filters.push(*place),
                }
            }
            if filters.is_empty() {
                OperationRule::Hidden
            } else {
                OperationRule::Filtered(filters)
            }
        };
        rule.insert = of(Operation::Insert);
        rule.update = of(Operation::Update);
        rule.delete = of(Operation::Delete);
        Ok(rule)
    }

    /// Everything of `table`.
    fn everything(table: &Relation) -> Self {
        Self {
            insert: OperationRule::Shown,
            update: OperationRule::Shown,
            delete: OperationRule::Shown,
            truncate: true,
            columns: (0..table.live_columns().count()).collect(),
            filters: Vec::new(),
        }
    }

    /// Places of the published columns.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    pub(super) const fn publishes_truncate(&self) -> bool {
        self.truncate
    }

    pub(super) const fn publishes(&self, operation: Operation) -> bool {
        !matches!(self.operation(operation), OperationRule::Hidden)
    }

    pub(super) const fn has_filter(&self, operation: Operation) -> bool {
        matches!(self.operation(operation), OperationRule::Filtered(_))
    }

    /// What is shown of `operation` whatever the row.
    pub(super) const fn rows(&self, operation: Operation) -> RowsShown {
        match self.operation(operation) {
            OperationRule::Hidden => RowsShown::None,
            OperationRule::Shown => RowsShown::All,
            OperationRule::Filtered(_) => RowsShown::Some,
        }
    }

    /// Whether `operation` on `row` is shown.
    pub(super) fn passes(&self, operation: Operation, row: &Row) -> Result<bool, EvaluationError> {
        match self.operation(operation) {
            OperationRule::Hidden => Ok(false),
            OperationRule::Shown => Ok(true),
            OperationRule::Filtered(places) => {
                for filter in places.iter().filter_map(|place| self.filters.get(*place)) {
                    if filter.passes(row)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    const fn operation(&self, operation: Operation) -> &OperationRule {
        match operation {
            Operation::Insert => &self.insert,
            Operation::Update => &self.update,
            Operation::Delete => &self.delete,
        }
    }
}

/// Whether `names` are all the publications by which an upstream sends. What was received was
/// published by them then, whatever is known of them by now: their definitions are looked at from
/// time to time only, and its rows come at once.
fn sees_all_captured(names: &[String], set: &RelationSet) -> bool {
    let mut captured = set.publications.iter().filter(|of| of.captured).peekable();
    captured.peek().is_some() && captured.all(|of| names.contains(&of.name))
}

impl<'s> Holder<'s> {
    /// `publication`, if it holds `table`. With all tables or a whole schema it has neither a
    /// column list nor a filter, whatever is said of a table beside it.
    fn of(publication: &'s Publication, set: &RelationSet, table: &Relation) -> Option<Self> {
        let whole = Self {
            publication,
            columns: None,
            filter: None,
        };
        if publication.all_tables || holds_schema(publication, set, table) {
            return Some(whole);
        }
        let member = member(publication, table)?;
        Some(Self {
            columns: member.columns.as_deref(),
            filter: member.filter.as_deref(),
            ..whole
        })
    }
}

/// Whether the schema of `table` is published as a whole.
pub(super) fn holds_schema(publication: &Publication, set: &RelationSet, table: &Relation) -> bool {
    let schema = set.schema(&table.schema).map(|schema| schema.oid);
    let mut members = publication.schemas.iter();
    members.any(|member| Some(member.schema) == schema)
}

/// What is said of `table` by itself.
pub(super) fn member<'s>(
    publication: &'s Publication,
    table: &Relation,
) -> Option<&'s PublishedTable> {
    let mut members = publication.tables.iter();
    members.find(|member| member.relation == table.oid)
}

/// Places of the columns that all of `holders` publish; they must agree.
fn columns(holders: &[Holder<'_>], table: &Relation) -> Result<Vec<usize>, PublicationError> {
    let places = |holder: &Holder<'_>| -> Vec<usize> {
        let listed = |number: i16| holder.columns.is_none_or(|list| list.contains(&number));
        let columns = table.live_columns().enumerate();
        let listed = columns.filter(|(_, column)| listed(column.attnum));
        listed.map(|(place, _)| place).collect()
    };
    let mut lists = holders.iter().map(places);
    let first = lists.next().unwrap_or_default();
    if lists.any(|list| list != first) {
        return Err(PublicationError::ColumnLists {
            schema: table.schema.clone(),
            table: table.name.clone(),
        });
    }
    Ok(first)
}
