//! ALTER TABLE on a draft.

use crate::datum::quote_ident;

use super::draft::{Draft, is_system_column, is_system_schema, written};
use super::oids::has_long_values;
use super::tables::{made_column, number_after};
use super::{
    DefineError, Dependents, NewColumn, NewReplicaIdentity, Notice, Relation, ReplicaIdentity,
    TableAction, TableName,
};

impl Draft {
    pub(super) fn alter_table(
        &mut self,
        table: &TableName,
        if_exists: bool,
        actions: &[TableAction],
    ) -> Result<(), DefineError> {
        if if_exists && self.set.relation(table.schema(), &table.name).is_none() {
            let message = format!("relation \"{}\" does not exist, skipping", table.name);
            self.notice("00000", message);
            return Ok(());
        }
        if is_system_schema(table.schema()) {
            return Err(DefineError::SystemCatalog(table.name.clone()));
        }
        let found = self.table(table)?;
        let (oid, had_long_values) = (found.oid, has_long_values(&found.columns));
        let only_identity = |action: &TableAction| Pass::of(action) == Pass::Other;
        if !found.declared && !actions.iter().all(only_identity) {
            return Err(DefineError::Undeclared(written(table)));
        }
        for pass in [Pass::Drop, Pass::Add, Pass::Keys, Pass::Other] {
            for action in actions.iter().filter(|action| Pass::of(action) == pass) {
                self.alter(oid, action)?;
            }
        }
        if !had_long_values && has_long_values(&self.table_mut(oid)?.columns) {
            self.long_value_oids()?;
        }
        Ok(())
    }

    fn alter(&mut self, oid: u32, action: &TableAction) -> Result<(), DefineError> {
        match action {
            TableAction::DropColumn {
                name,
                if_exists,
                cascade,
            } => self.drop_column(oid, name, *if_exists, *cascade),
            TableAction::DropConstraint { name, if_exists } => {
                self.drop_constraint(oid, name, *if_exists)
            }
            TableAction::AddColumn {
                column,
                keys,
                if_not_exists,
            } => {
                if self.add_column(oid, column, *if_not_exists)? {
                    self.add_keys(oid, keys)?;
                }
                Ok(())
            }
            TableAction::SetNotNull { column, not_null } => {
                self.set_not_null(oid, column, *not_null)
            }
            TableAction::AddKey(key) => self.add_keys(oid, std::slice::from_ref(key)),
            TableAction::ReplicaIdentity(identity) => self.set_replica_identity(oid, identity),
            TableAction::KeepOwner => Ok(()),
        }
    }
}

/// When an action of ALTER TABLE is done, whatever its place in the statement: PostgreSQL's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Drop,
    Add,
    Keys,
    Other,
}

impl Pass {
    const fn of(action: &TableAction) -> Self {
        match action {
            TableAction::DropColumn { .. } | TableAction::DropConstraint { .. } => Self::Drop,
            TableAction::AddColumn { .. } | TableAction::SetNotNull { .. } => Self::Add,
            TableAction::AddKey(_) => Self::Keys,
            TableAction::ReplicaIdentity(_) | TableAction::KeepOwner => Self::Other,
        }
    }
}

impl Draft {
    fn add_column(
        &mut self,
        oid: u32,
        column: &NewColumn,
        if_not_exists: bool,
    ) -> Result<bool, DefineError> {
        let table = self.table_mut(oid)?;
        let name = column.name.clone();
        if is_system_column(&name) {
            return Err(DefineError::SystemColumnName(name));
        }
        if table.column(&name).is_some() {
            let table = table.name.clone();
            let exists = DefineError::ColumnExists {
                column: name,
                table,
            };
            if if_not_exists {
                self.notice("42701", format!("{exists}, skipping"));
                return Ok(false);
            }
            return Err(exists);
        }
        let last = table.columns.iter().map(|column| column.attnum).max();
        let attnum = number_after(last.unwrap_or(0))?;
        table.columns.push(made_column(column, attnum));
        Ok(true)
    }

    fn drop_column(
        &mut self,
        oid: u32,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<(), DefineError> {
        let table = self.table_mut(oid)?;
        let (table_name, visible) = (table.name.clone(), table.visible_name());
        let Some(attnum) = table.column(name).map(|column| column.attnum) else {
            if is_system_column(name) {
                return Err(DefineError::DropSystemColumn(name.to_owned()));
            }
            let missing = DefineError::NoColumn {
                column: name.to_owned(),
                table: table_name,
            };
            if if_exists {
                self.notice("00000", format!("{missing}, skipping"));
                return Ok(());
            }
            return Err(missing);
        };
        let dependents = self.dependents(oid, &[attnum], &visible);
        if !dependents.is_empty() {
            if !cascade {
                let what = format!("column {} of table {visible}", quote_ident(name));
                let object = &what;
                let line = |(text, _): (String, u32)| format!("{text} depends on {object}");
                let dependents = dependents.into_iter().map(line).collect();
                let dependents = Dependents(dependents);
                return Err(DefineError::HasDependents { what, dependents });
            }
            let (texts, members): (Vec<String>, Vec<u32>) = dependents.into_iter().unzip();
            self.cascade_notice(&texts);
            for publication in &mut self.set.publications {
                publication
                    .tables
                    .retain(|table| !members.contains(&table.oid));
            }
        }
        let table = self.table_mut(oid)?;
        table.keys.retain(|key| !key.columns.contains(&attnum));
        forget_lost_index(table);
        for column in table
            .columns
            .iter_mut()
            .filter(|column| column.attnum == attnum)
        {
            column.dropped = true;
            column.not_null = false;
        }
        Ok(())
    }

    /// What publications have of the columns `attnums` in lists and filters: how PostgreSQL calls
    /// it, and the membership's OID.
    pub(super) fn dependents(
        &self,
        oid: u32,
        attnums: &[i16],
        visible: &str,
    ) -> Vec<(String, u32)> {
        let mut found = Vec::new();
        for publication in &self.set.publications {
            for table in publication
                .tables
                .iter()
                .filter(|table| table.relation == oid)
            {
                let listed = table.columns.iter().flatten();
                let mut read = listed.chain(&table.filter_columns);
                if read.any(|number| attnums.contains(number)) {
                    let publication = &publication.name;
                    let text =
                        format!("publication of table {visible} in publication {publication}");
                    found.push((text, table.oid));
                }
            }
        }
        found
    }

    /// Tells what CASCADE removed.
    pub(super) fn cascade_notice(&mut self, dropped: &[String]) {
        let lines = dropped
            .iter()
            .map(|what| format!("drop cascades to {what}"));
        let lines: Vec<String> = lines.collect();
        let notice = match lines.as_slice() {
            [] => return,
            [only] => Notice {
                code: "00000",
                message: only.clone(),
                detail: None,
            },
            [..] => Notice {
                code: "00000",
                message: format!("drop cascades to {} other objects", lines.len()),
                detail: Some(lines.join("\n")),
            },
        };
        self.notices.push(notice);
    }

    fn drop_constraint(
        &mut self,
        oid: u32,
        name: &str,
        if_exists: bool,
    ) -> Result<(), DefineError> {
        let table = self.table_mut(oid)?;
        if table.keys.iter().any(|key| key.name == name) {
            table.keys.retain(|key| key.name != name);
            forget_lost_index(table);
            return Ok(());
        }
        let missing = DefineError::NoConstraint {
            name: name.to_owned(),
            table: table.name.clone(),
        };
        if !if_exists {
            return Err(missing);
        }
        self.notice("00000", format!("{missing}, skipping"));
        Ok(())
    }

    fn set_not_null(&mut self, oid: u32, name: &str, not_null: bool) -> Result<(), DefineError> {
        if is_system_column(name) {
            return Err(DefineError::AlterSystemColumn(name.to_owned()));
        }
        let table = self.table_mut(oid)?;
        let Some(attnum) = table.column(name).map(|column| column.attnum) else {
            return Err(DefineError::NoColumn {
                column: name.to_owned(),
                table: table.name.clone(),
            });
        };
        let key = table.primary_key();
        if !not_null && key.is_some_and(|key| key.columns.contains(&attnum)) {
            return Err(DefineError::InPrimaryKey(name.to_owned()));
        }
        if let ReplicaIdentity::Index(index) = table.replica_identity
            && !not_null
            && let Some(key) = table.keys.iter().find(|key| key.index_oid == index)
            && key.columns.contains(&attnum)
        {
            return Err(DefineError::InReplicaIdentity(name.to_owned()));
        }
        for column in table
            .columns
            .iter_mut()
            .filter(|column| column.attnum == attnum)
        {
            column.not_null = not_null;
        }
        Ok(())
    }

    fn set_replica_identity(
        &mut self,
        oid: u32,
        identity: &NewReplicaIdentity,
    ) -> Result<(), DefineError> {
        let chosen = match identity {
            NewReplicaIdentity::Default => ReplicaIdentity::Default,
            NewReplicaIdentity::Full => ReplicaIdentity::Full,
            NewReplicaIdentity::Nothing => ReplicaIdentity::Nothing,
            NewReplicaIdentity::UsingIndex(index) => {
                ReplicaIdentity::Index(self.identity_index(oid, index)?)
            }
        };
        self.table_mut(oid)?.replica_identity = chosen;
        Ok(())
    }

    /// The OID of the index `name` of the table, if it can identify rows.
    fn identity_index(&mut self, oid: u32, name: &str) -> Result<u32, DefineError> {
        let table = self.table_mut(oid)?.clone();
        let Some(key) = table.keys.iter().find(|key| key.name == name) else {
            let (index, table_name) = (name.to_owned(), table.name);
            return Err(if self.is_taken(&table.schema, name) {
                DefineError::IndexOfOther {
                    index,
                    table: table_name,
                }
            } else {
                DefineError::NoIndex {
                    index,
                    table: table_name,
                }
            });
        };
        let mut columns = table.columns.iter();
        let nullable =
            columns.find(|column| key.columns.contains(&column.attnum) && !column.not_null);
        match nullable {
            Some(column) => Err(DefineError::NullableIndex {
                index: name.to_owned(),
                column: column.name.clone(),
            }),
            None => Ok(key.index_oid),
        }
    }
}

/// An index that is gone identifies nothing: PostgreSQL keeps the word and finds no index.
fn forget_lost_index(table: &mut Relation) {
    if let ReplicaIdentity::Index(index) = table.replica_identity
        && !table.keys.iter().any(|key| key.index_oid == index)
    {
        table.replica_identity = ReplicaIdentity::Index(0);
    }
}
