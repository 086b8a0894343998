//! What a stream with certain publications shows of a change: whether, which columns, and as
//! what, by PostgreSQL's rules.
//!
//! `rule` decides what the publications say of a table, once for the table and the definitions of
//! a time; `filter` evaluates row filters; `check` knows which changes a publication cannot bear.
//! It knows no plugin and no stream.

mod check;
mod error;
mod filter;
mod rule;
mod shown;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::relations::{Relation, RelationSet};
use crate::rows::{Action, Cell, Change, OldRow, Row};

pub use check::{IdentityError, IdentityFault, RowOperation, check_publishable};
pub use error::PublicationError;
pub(crate) use filter::distinct;
pub use filter::{EvaluationError, Filter};
use rule::{Operation, TableRule};
pub use shown::{ChangesShown, RowsShown, Shown};

/// The publications of a stream.
#[derive(Debug, Default)]
pub struct Publications {
    names: Vec<String>,
    known: Option<Known>,
    /// A new row with what it left unchanged, from the old one.
    filled: Row,
}

/// What is decided for the definitions of a time.
#[derive(Debug)]
struct Known {
    set: Arc<RelationSet>,
    /// By OID of the table. Asked for each row: with few tables a tree is faster than a hash.
    rules: BTreeMap<u32, TableRule>,
}

impl Publications {
    /// Publications by their names. Whether there are such is asked when a row is decoded.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// Their names, as they were given.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What is shown of `change`, whose record was stored when `set` counted; `None` for nothing.
    /// An update may come out as the insert or the delete that it is for who sees only rows that
    /// pass a filter.
    pub fn decide<'a>(
        &'a mut self,
        set: &Arc<RelationSet>,
        change: &'a Change<'a>,
    ) -> Result<Option<Shown<'a>>, PublicationError> {
        match &change.action {
            Action::Insert { table, new } => {
                let rule = self.rule(set, table)?;
                let shown = rule.passes(Operation::Insert, new)?;
                Ok(shown.then_some(Shown::Insert {
                    table,
                    columns: rule.columns(),
                    new,
                }))
            }
            Action::Update { table, old, new } => self.update(set, table, *old, new),
            Action::Delete { table, old } => {
                let rule = self.rule(set, table)?;
                // Nobody could tell which row it was.
                let Some(old) = *old else {
                    return Ok(None);
                };
                let shown = rule.passes(Operation::Delete, old.row())?;
                Ok(shown.then_some(Shown::Delete {
                    table,
                    columns: rule.columns(),
                    old,
                }))
            }
            Action::Truncate {
                tables,
                cascade,
                restart_identity,
            } => {
                let mut shown = Vec::with_capacity(tables.len());
                for table in *tables {
                    if self.rule(set, table)?.publishes_truncate() {
                        shown.push(*table);
                    }
                }
                Ok((!shown.is_empty()).then_some(Shown::Truncate {
                    tables: shown,
                    cascade: *cascade,
                    restart_identity: *restart_identity,
                }))
            }
            Action::Message {
                transactional,
                prefix,
                content,
            } => Ok(Some(Shown::Message {
                transactional: *transactional,
                prefix,
                content,
            })),
        }
    }

    /// Places of the columns of `table` that are sent: all of them, where nothing but TRUNCATE is
    /// published.
    pub fn columns(
        &mut self,
        set: &Arc<RelationSet>,
        table: &Relation,
    ) -> Result<&[usize], PublicationError> {
        Ok(self.rule(set, table)?.columns())
    }

    /// What is shown of changes of rows of `table` without a look at the rows.
    pub fn changes(
        &mut self,
        set: &Arc<RelationSet>,
        table: &Relation,
    ) -> Result<ChangesShown<'_>, PublicationError> {
        let rule = self.rule(set, table)?;
        Ok(ChangesShown {
            insert: rule.rows(Operation::Insert),
            update: rule.rows(Operation::Update),
            delete: rule.rows(Operation::Delete),
            columns: rule.columns(),
        })
    }

    fn update<'a>(
        &'a mut self,
        set: &Arc<RelationSet>,
        table: &'a Relation,
        old: Option<OldRow<'a>>,
        new: &'a Row,
    ) -> Result<Option<Shown<'a>>, PublicationError> {
        let Self {
            names,
            known,
            filled,
        } = self;
        let rule = learn(names, known, set, table)?;
        if !rule.publishes(Operation::Update) {
            return Ok(None);
        }
        let columns = rule.columns();
        let update = Shown::Update {
            table,
            columns,
            old,
            new,
        };
        let Some(old) = old.filter(|_| rule.has_filter(Operation::Update)) else {
            let shown = rule.passes(Operation::Update, new)?;
            return Ok(shown.then_some(update));
        };
        let whole = fill(filled, new, old.row());
        let before = rule.passes(Operation::Update, old.row())?;
        let after = rule.passes(Operation::Update, whole)?;
        Ok(match (before, after) {
            (true, true) => Some(update),
            (true, false) => Some(Shown::Delete {
                table,
                columns,
                old,
            }),
            (false, true) => Some(Shown::Insert {
                table,
                columns,
                new: whole,
            }),
            (false, false) => None,
        })
    }

    /// What the publications say of `table`.
    fn rule(
        &mut self,
        set: &Arc<RelationSet>,
        table: &Relation,
    ) -> Result<&TableRule, PublicationError> {
        learn(&self.names, &mut self.known, set, table)
    }
}

/// What the publications `names` say of `table`, from what is known where it is.
fn learn<'k>(
    names: &[String],
    known: &'k mut Option<Known>,
    set: &Arc<RelationSet>,
    table: &Relation,
) -> Result<&'k TableRule, PublicationError> {
    if known
        .as_ref()
        .is_some_and(|known| !Arc::ptr_eq(&known.set, set))
    {
        *known = None;
    }
    let known = known.get_or_insert_with(|| Known {
        set: Arc::clone(set),
        rules: BTreeMap::new(),
    });
    match known.rules.entry(table.oid) {
        Entry::Occupied(found) => Ok(found.into_mut()),
        Entry::Vacant(place) => Ok(place.insert(TableRule::of(names, set, table)?)),
    }
}

/// `new` with the values of `old` where it says that they are unchanged; itself where there are
/// none such.
fn fill<'a>(filled: &'a mut Row, new: &'a Row, old: &Row) -> &'a Row {
    let is_unchanged = |cell: Cell<'_>| cell == Cell::Unchanged;
    if !new.cells().any(is_unchanged) {
        return new;
    }
    filled.clear();
    for (place, cell) in new.cells().enumerate() {
        match (cell, old.cell(place)) {
            (Cell::Unchanged, Cell::Text(text)) | (Cell::Text(text), _) => filled.push_text(text),
            (Cell::Unchanged, Cell::Null | Cell::Unchanged) => filled.push_unchanged(),
            (Cell::Null, _) => filled.push_null(),
        }
    }
    filled
}

#[cfg(test)]
mod tests;
