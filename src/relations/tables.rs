//! CREATE TABLE and DROP TABLE on a draft.

use std::collections::HashSet;

use crate::lsn::Lsn;

use super::draft::{Draft, is_system_column, is_system_schema, missing_schema};
use super::schemas::is_always_there;
use super::{
    CreateTable, DefineError, Dependents, NewColumn, Relation, RelationColumn, ReplicaIdentity,
    TableName,
};

/// PostgreSQL's limit.
const MAX_COLUMNS: usize = 1600;

impl Draft {
    pub(super) fn create_table(&mut self, new: &CreateTable) -> Result<(), DefineError> {
        let (schema, name) = (new.table.schema(), new.table.name.as_str());
        if is_system_schema(schema) || is_always_there(schema) {
            return Err(DefineError::CreateInSystemSchema {
                schema: schema.to_owned(),
                name: name.to_owned(),
            });
        }
        if self.set.schema(schema).is_none() {
            return Err(missing_schema(schema, Some(new.table.position)));
        }
        let collection = self
            .set
            .relation(schema, name)
            .filter(|found| !found.declared);
        let collection = collection.cloned();
        let is_taken = collection.is_none() && self.is_taken(schema, name);
        if is_taken && new.if_not_exists {
            let message = format!("relation \"{name}\" already exists, skipping");
            self.notice("42P07", message);
            return Ok(());
        }
        // The statement itself first, as PostgreSQL does.
        check_keys(new)?;
        let columns = first_columns(&new.columns)?;
        if is_taken {
            return Err(DefineError::RelationExists(name.to_owned()));
        }
        let oid = match collection {
            Some(collection) => self.declare(&collection, columns)?,
            None => self.insert_new_table(schema, name, columns)?,
        };
        self.add_keys(oid, &new.keys)
    }

    fn insert_new_table(
        &mut self,
        schema: &str,
        name: &str,
        columns: Vec<RelationColumn>,
    ) -> Result<u32, DefineError> {
        let oids = self.table_oids(&columns)?;
        self.insert_table(Relation {
            oid: oids.table,
            row_type_oid: oids.row_type,
            array_type_oid: oids.array_type,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns,
            keys: Vec::new(),
            replica_identity: ReplicaIdentity::Default,
            declared: true,
            upstream: None,
            since: Lsn::ZERO,
        });
        Ok(oids.table)
    }

    /// Gives the collection real columns. It stays the same table, with its publications.
    fn declare(
        &mut self,
        collection: &Relation,
        columns: Vec<RelationColumn>,
    ) -> Result<u32, DefineError> {
        let all: Vec<i16> = collection
            .columns
            .iter()
            .map(|column| column.attnum)
            .collect();
        let dependents = self.dependents(collection.oid, &all, &collection.visible_name());
        if !dependents.is_empty() {
            let what = format!("columns of collection {}", collection.name);
            let object = &what;
            let line = |(text, _): (String, u32)| format!("{text} depends on {object}");
            let dependents = dependents.into_iter().map(line).collect();
            let dependents = Dependents(dependents);
            return Err(DefineError::HasDependents { what, dependents });
        }
        let table = self.table_mut(collection.oid)?;
        table.declared = true;
        table.columns = columns;
        table.keys = Vec::new();
        table.replica_identity = ReplicaIdentity::Default;
        Ok(collection.oid)
    }

    pub(super) fn drop_tables(
        &mut self,
        tables: &[TableName],
        if_exists: bool,
    ) -> Result<(), DefineError> {
        let mut found = Vec::with_capacity(tables.len());
        for table in tables {
            if is_system_schema(table.schema()) {
                return Err(DefineError::SystemCatalog(table.name.clone()));
            }
            let has_schema = table.is_nowhere() || self.set.schema(table.schema()).is_some();
            match self.set.relation(table.schema(), &table.name) {
                Some(relation) => found.push(relation.oid),
                None if if_exists => {
                    let message = if has_schema {
                        format!("table \"{}\" does not exist, skipping", table.name)
                    } else {
                        format!("schema \"{}\" does not exist, skipping", table.schema())
                    };
                    self.notice("00000", message);
                }
                None if has_schema => return Err(DefineError::NoTable(table.name.clone())),
                None => return Err(missing_schema(table.schema(), None)),
            }
        }
        for oid in found {
            self.remove_table(oid);
        }
        Ok(())
    }
}

/// What is wrong with the keys of a statement whatever tables there are.
fn check_keys(new: &CreateTable) -> Result<(), DefineError> {
    if let Some(second) = new.keys.iter().filter(|key| key.primary).nth(1) {
        return Err(DefineError::ManyPrimaryKeys {
            table: new.table.name.clone(),
            position: Some(second.position),
        });
    }
    for key in &new.keys {
        let missing = |name: &&String| !new.columns.iter().any(|known| known.name == **name);
        if let Some(column) = key.columns.iter().find(missing) {
            return Err(DefineError::NoKeyColumn {
                column: column.clone(),
                position: key.position,
            });
        }
    }
    Ok(())
}

/// Columns of a new table.
fn first_columns(new: &[NewColumn]) -> Result<Vec<RelationColumn>, DefineError> {
    let mut names = HashSet::new();
    if let Some(twice) = new.iter().find(|column| !names.insert(&column.name)) {
        return Err(DefineError::ColumnTwice(twice.name.clone()));
    }
    if let Some(column) = new.iter().find(|column| is_system_column(&column.name)) {
        return Err(DefineError::SystemColumnName(column.name.clone()));
    }
    let mut columns = Vec::with_capacity(new.len());
    let mut last = 0;
    for column in new {
        last = number_after(last)?;
        columns.push(made_column(column, last));
    }
    Ok(columns)
}

pub(super) fn number_after(last: i16) -> Result<i16, DefineError> {
    let next = last.saturating_add(1);
    if usize::try_from(next).is_ok_and(|next| next <= MAX_COLUMNS) {
        Ok(next)
    } else {
        Err(DefineError::TooManyColumns)
    }
}

pub(super) fn made_column(new: &NewColumn, attnum: i16) -> RelationColumn {
    RelationColumn {
        name: new.name.clone(),
        attnum,
        column_type: new.column_type,
        typmod: new.typmod,
        not_null: new.not_null,
        dropped: false,
        upstream_type: None,
    }
}
