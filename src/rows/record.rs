//! A change record as changes of rows of its table.

use crate::change::{Fields, Hex, Operation};
use crate::lsn::Lsn;
use crate::relations::{Relation, RelationSet, ReplicaIdentity};

use super::collection;
use super::declared::{Demand, Members, is_rid};
use super::error::Misfit;
use super::json::Value;
use super::tables::Tables;
use super::value::Canon;
use super::{Action, Cell, Change, OldRow, Row, RowError, RowFault};

/// Reads records, with buffers that are used again and again.
#[derive(Debug, Default)]
pub struct RecordReader {
    tables: Tables,
    rows: Rows,
}

/// What one record is read with.
#[derive(Debug, Default)]
struct Rows {
    new: Row,
    /// What is known of the row before.
    known: Row,
    /// What is said of it.
    old: Row,
    members: Members,
    bytes: Vec<u8>,
    canon: Canon,
}

impl RecordReader {
    /// Whether a record that is to be stored can be read.
    pub(crate) fn check(&mut self, fields: &Fields<'_>, set: &RelationSet) -> Result<(), RowError> {
        self.read(Lsn::ZERO, fields, set, &mut |_| Ok(()))
    }

    /// Hands what the record at `lsn` does to `each`, change by change: a refresh is a truncate
    /// and an insert for each of its rows.
    pub(crate) fn read<E: From<RowError>>(
        &mut self,
        lsn: Lsn,
        fields: &Fields<'_>,
        set: &RelationSet,
        each: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if fields.operation == Operation::Message {
            return message(lsn, fields, each);
        }
        let Self { tables, rows } = self;
        let table = tables.find(set, &fields.collection);
        rows.canon.set_time(fields.timestamp);
        let fail = |misfit| E::from(RowError::new(lsn, table, misfit));
        match fields.operation {
            Operation::Insert => {
                rows.insert(table, fields).map_err(fail)?;
                let new = &rows.new;
                each(Change {
                    lsn,
                    action: Action::Insert { table, new },
                })
            }
            Operation::Update => {
                let old = rows.update(table, fields).map_err(fail)?;
                let old = old.row(&rows.old);
                let new = &rows.new;
                each(Change {
                    lsn,
                    action: Action::Update { table, old, new },
                })
            }
            Operation::Delete => {
                let old = rows.delete(table, fields).map_err(fail)?;
                let old = old.row(&rows.old);
                each(Change {
                    lsn,
                    action: Action::Delete { table, old },
                })
            }
            Operation::Truncate => each(Change {
                lsn,
                action: truncate(&[table]),
            }),
            Operation::Refresh => {
                let tables = [table];
                let action = truncate(&tables);
                each(Change { lsn, action })?;
                let entries = fields.refresh_records.iter().flatten();
                for (index, entry) in entries.enumerate() {
                    rows.refreshed(table, fields, entry, index == 0)
                        .map_err(fail)?;
                    let new = &rows.new;
                    let action = Action::Insert { table, new };
                    each(Change { lsn, action })?;
                }
                Ok(())
            }
            Operation::Message => Ok(()),
        }
    }
}

fn message<E>(
    lsn: Lsn,
    fields: &Fields<'_>,
    each: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let content = fields.entity_bytes.as_ref().map(Hex::to_bytes);
    let (prefix, transactional) = match &fields.message {
        Some((prefix, transactional)) => (prefix.as_ref(), *transactional),
        None => ("", true),
    };
    let action = Action::Message {
        transactional,
        prefix,
        content: &content.unwrap_or_default(),
    };
    each(Change { lsn, action })
}

const fn truncate<'a>(tables: &'a [&'a Relation]) -> Action<'a> {
    Action::Truncate {
        tables,
        cascade: false,
        restart_identity: false,
    }
}

/// What is said of the row before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Key,
    All,
}

impl Said {
    const fn row(self, row: &Row) -> Option<OldRow<'_>> {
        match self {
            Self::Nothing => None,
            Self::Key => Some(OldRow::Key(row)),
            Self::All => Some(OldRow::Full(row)),
        }
    }
}

impl Rows {
    fn insert(&mut self, table: &Relation, fields: &Fields<'_>) -> Result<(), Misfit> {
        self.new.clear();
        if !table.declared {
            collection::write_row(fields, &mut self.bytes, &mut self.new);
            return Ok(());
        }
        let entity = fields.entity_bytes.as_ref();
        self.members.forget_unchanged();
        self.read(table, entity, ENTITY)?;
        self.write_new(table)
    }

    fn refreshed(
        &mut self,
        table: &Relation,
        fields: &Fields<'_>,
        entry: &Hex<'_>,
        first: bool,
    ) -> Result<(), Misfit> {
        self.new.clear();
        if !table.declared {
            collection::write_refreshed(fields, entry, first, &mut self.bytes, &mut self.new);
            return Ok(());
        }
        self.members.forget_unchanged();
        self.read(table, Some(entry), "a row of a refresh")?;
        self.write_new(table)
    }

    fn update(&mut self, table: &Relation, fields: &Fields<'_>) -> Result<Said, Misfit> {
        self.new.clear();
        self.old.clear();
        if !table.declared {
            collection::write_row(fields, &mut self.bytes, &mut self.new);
            return Ok(match &fields.old {
                Some(old) if table.replica_identity != ReplicaIdentity::Nothing => {
                    collection::write_old(fields, Some(old), &mut self.bytes, &mut self.old);
                    Said::All
                }
                Some(_) | None => Said::Nothing,
            });
        }
        let has_old = fields.old.is_some();
        self.read_known(table, fields.old.as_ref(), "the row before")?;
        let unchanged = fields.unchanged.as_deref().unwrap_or_default();
        self.members.note_unchanged(table, unchanged)?;
        self.read(table, fields.entity_bytes.as_ref(), ENTITY)?;
        self.write_new(table)?;
        self.complete_key(table, fields)?;
        match table.replica_identity {
            ReplicaIdentity::Nothing => Ok(Said::Nothing),
            ReplicaIdentity::Full if has_old => {
                std::mem::swap(&mut self.old, &mut self.known);
                Ok(Said::All)
            }
            ReplicaIdentity::Full => Ok(Said::Nothing),
            ReplicaIdentity::Default | ReplicaIdentity::Index(_) => {
                let Some(key) = table.identity_columns().filter(|_| has_old) else {
                    return Ok(Said::Nothing);
                };
                if !self.has_key(table, key) {
                    return Err(no_key(table));
                }
                if !self.key_changed(table, key) {
                    return Ok(Said::Nothing);
                }
                self.write_key(table, key);
                Ok(Said::Key)
            }
        }
    }

    fn delete(&mut self, table: &Relation, fields: &Fields<'_>) -> Result<Said, Misfit> {
        self.old.clear();
        if !table.declared {
            let old = fields.old.as_ref();
            let said = match table.replica_identity {
                ReplicaIdentity::Nothing => return Ok(Said::Nothing),
                ReplicaIdentity::Full => Said::All,
                ReplicaIdentity::Default | ReplicaIdentity::Index(_) if old.is_some() => Said::All,
                ReplicaIdentity::Default | ReplicaIdentity::Index(_) => Said::Key,
            };
            collection::write_old(fields, old, &mut self.bytes, &mut self.old);
            return Ok(said);
        }
        let key = table.identity_columns();
        let mut found = false;
        for (source, what) in [
            (&fields.old, "the row before"),
            (&fields.entity_bytes, ENTITY),
        ] {
            if found || source.is_none() {
                continue;
            }
            self.read_known(table, source.as_ref(), what)?;
            found = key.is_none_or(|key| self.has_key(table, key));
        }
        if !found {
            self.known_rid(table, fields.entity_id)?;
        }
        match (table.replica_identity, key) {
            (ReplicaIdentity::Nothing, _) => Ok(Said::Nothing),
            (ReplicaIdentity::Full, _) => {
                std::mem::swap(&mut self.old, &mut self.known);
                Ok(Said::All)
            }
            (ReplicaIdentity::Default | ReplicaIdentity::Index(_), Some(key)) => {
                self.write_key(table, key);
                Ok(Said::Key)
            }
            // PostgreSQL writes no old row either where there is no key.
            (ReplicaIdentity::Default | ReplicaIdentity::Index(_), None) => Ok(Said::Nothing),
        }
    }
}

const ENTITY: &str = "the entity";

fn no_key(table: &Relation) -> Misfit {
    let table = table.name.clone();
    (None, RowFault::NoKey { table })
}

/// The parts of a declared table's record.
impl Rows {
    /// Reads a document apart; it stays in `bytes`.
    fn read(
        &mut self,
        table: &Relation,
        document: Option<&Hex<'_>>,
        what: &'static str,
    ) -> Result<(), Misfit> {
        collection::decode(document, &mut self.bytes);
        self.members.read(table, &self.bytes, what)?;
        Ok(())
    }

    /// The row that was read apart as the new one.
    fn write_new(&mut self, table: &Relation) -> Result<(), Misfit> {
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        let (canon, demand) = (&self.canon, Demand::Whole);
        self.members
            .write(table, text, canon, demand, &mut self.new)
    }

    /// What a document says of the row before; where there is none, nothing is known.
    fn read_known(
        &mut self,
        table: &Relation,
        document: Option<&Hex<'_>>,
        what: &'static str,
    ) -> Result<(), Misfit> {
        self.known.clear();
        if document.is_none() {
            return Ok(());
        }
        self.read(table, document, what)?;
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        let (canon, demand) = (&self.canon, Demand::Any);
        self.members
            .write(table, text, canon, demand, &mut self.known)
    }

    /// A row of which the number is known, where that is its key.
    fn known_rid(&mut self, table: &Relation, rid: u64) -> Result<(), Misfit> {
        self.known.clear();
        let key = match table.identity_columns() {
            Some(key) => Some(key),
            None => table.primary_key().map(|key| key.columns.as_slice()),
        };
        let Some(key) = key.filter(|key| is_rid(table, key)) else {
            return Err(no_key(table));
        };
        for column in table.live_columns() {
            if key.contains(&column.attnum) {
                let mut digits = itoa::Buffer::new();
                let raw = digits.format(rid);
                let canon = &self.canon;
                self.known
                    .try_push_with(|out| canon.write(column, Value::Number(raw), raw, out))
                    .map_err(|error| (Some(column.name.clone()), RowFault::Value(error)))?;
            } else {
                self.known.push_null();
            }
        }
        Ok(())
    }

    /// Whether all columns of the key are known of the row before.
    fn has_key(&self, table: &Relation, key: &[i16]) -> bool {
        let mut columns = table.live_columns().enumerate();
        columns.all(|(place, column)| {
            !key.contains(&column.attnum) || matches!(self.known.cell(place), Cell::Text(_))
        })
    }

    /// Whether the row before has another key than the new one.
    fn key_changed(&self, table: &Relation, key: &[i16]) -> bool {
        let mut columns = table.live_columns().enumerate();
        columns.any(|(place, column)| {
            key.contains(&column.attnum) && self.known.cell(place) != self.new.cell(place)
        })
    }

    /// The key of the row before is what is said of it.
    fn write_key(&mut self, table: &Relation, key: &[i16]) {
        for (place, column) in table.live_columns().enumerate() {
            if key.contains(&column.attnum) {
                self.old.push_cell(self.known.cell(place));
            } else {
                self.old.push_null();
            }
        }
    }

    /// Says the key in the new row where the record calls it unchanged: a change without a key
    /// could not be applied by anybody.
    fn complete_key(&mut self, table: &Relation, fields: &Fields<'_>) -> Result<(), Misfit> {
        let Some(key) = table.identity_columns() else {
            return Ok(());
        };
        let mut columns = table.live_columns().enumerate();
        let is_complete = columns.all(|(place, column)| {
            !key.contains(&column.attnum) || self.new.cell(place) != Cell::Unchanged
        });
        if is_complete {
            return Ok(());
        }
        if !self.has_key(table, key) {
            self.known_rid(table, fields.entity_id)?;
        }
        let mut complete = Row::default();
        for (place, column) in table.live_columns().enumerate() {
            complete.push_cell(match self.new.cell(place) {
                Cell::Unchanged if key.contains(&column.attnum) => self.known.cell(place),
                cell @ (Cell::Null | Cell::Unchanged | Cell::Text(_)) => cell,
            });
        }
        self.new = complete;
        Ok(())
    }
}
