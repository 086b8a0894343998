//! Which schema a name without one means: the setting `search_path`, and a command's names by it.

use super::draft::{Draft, is_system_schema};
use super::schemas::is_always_there;
use super::{
    Command, DefineError, NewPublishedTable, PublicationAction, PublicationObjects,
    PublicationTarget, SchemaName, TableName,
};

/// Our own schema, in which nobody makes anything.
const OWN: &str = "pgspool";
/// The schema of a name that no schema of the path has: no schema is called so.
const NOWHERE: &str = "";

/// The schemas that the setting's text names, in order, whether they are there or not.
pub fn schemas_searched(setting: &str, user: &str) -> Vec<String> {
    let mut schemas = Vec::new();
    let mut rest = setting.trim_start();
    while !rest.is_empty() {
        let (name, after) = first_name(rest);
        if name == "$user" {
            // As a role cannot be called like a schema of PostgreSQL's, so its schema cannot be ours.
            schemas.extend((user != OWN).then(|| user.to_owned()));
        } else if !name.is_empty() {
            schemas.push(name);
        }
        let next = after.split_once(',');
        rest = next.map_or("", |(_, rest)| rest.trim_start());
    }
    schemas
}

/// A name, folded unless it is quoted, and what is behind it.
fn first_name(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (name, after) = text.split_at(text.find(',').unwrap_or(text.len()));
        return (name.trim().to_lowercase(), after);
    };
    let mut name = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        if character == '"' {
            if !characters.as_str().starts_with('"') {
                break;
            }
            characters.next();
        }
        name.push(character);
    }
    (name, characters.as_str())
}

impl TableName {
    /// Whether it was written without a schema and no schema of the path has it.
    pub(super) fn is_nowhere(&self) -> bool {
        self.schema.as_deref() == Some(NOWHERE)
    }
}

impl Draft {
    /// `command` with the schemas that its names mean when `path` is searched.
    pub(super) fn located(
        &self,
        path: &[String],
        mut command: Command,
    ) -> Result<Command, DefineError> {
        match &mut command {
            Command::CreateTable(new) if new.table.schema.is_none() => {
                let schema = self.first_schema(path);
                let position = new.table.position;
                let schema = schema.ok_or(DefineError::NoSchemaToCreateIn { position })?;
                new.table.schema = Some(schema);
            }
            Command::DropTable { tables, .. } => {
                for table in tables {
                    self.locate(path, table);
                }
            }
            Command::AlterTable { table, .. } => self.locate(path, table),
            Command::CreatePublication { target, .. } => match target {
                PublicationTarget::Objects(objects) => self.locate_objects(path, objects)?,
                PublicationTarget::AllTables => {}
            },
            Command::AlterPublication { action, .. } => match action {
                PublicationAction::Add(objects)
                | PublicationAction::Drop(objects)
                | PublicationAction::Set(objects) => self.locate_objects(path, objects)?,
                PublicationAction::SetOptions(_)
                | PublicationAction::RenameTo(_)
                | PublicationAction::KeepOwner => {}
            },
            Command::CreateTable(_)
            | Command::DropPublication { .. }
            | Command::CreateSchema { .. }
            | Command::DropSchema { .. }
            | Command::Within { .. } => {}
        }
        Ok(command)
    }

    fn locate_objects(
        &self,
        path: &[String],
        objects: &mut PublicationObjects,
    ) -> Result<(), DefineError> {
        for NewPublishedTable { table, .. } in &mut objects.tables {
            self.locate(path, table);
        }
        for schema in &mut objects.schemas {
            if *schema == SchemaName::Current {
                let current = self.first_schema(path);
                *schema = SchemaName::Named(current.ok_or(DefineError::NoCurrentSchema)?);
            }
        }
        Ok(())
    }

    fn locate(&self, path: &[String], table: &mut TableName) {
        if table.schema.is_none() {
            let mut schemas = path.iter();
            let found = schemas.find(|schema| self.set.relation(schema, &table.name).is_some());
            table.schema = Some(found.map_or(NOWHERE, String::as_str).to_owned());
        }
    }

    /// The first schema of the path that is there.
    fn first_schema(&self, path: &[String]) -> Option<String> {
        let is_there = |name: &&String| {
            self.set.schema(name).is_some() || is_system_schema(name) || is_always_there(name)
        };
        path.iter().find(is_there).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_a_list_of_identifiers() {
        let read = |text: &str| schemas_searched(text, "ann").join("|");
        assert_eq!(read("\"$user\", public"), "ann|public");
        assert_eq!(read("$user,PgSpool ,"), "ann|pgspool");
        assert_eq!(read("\"a, \"\"B\"\"\" , c"), "a, \"B\"|c");
        assert_eq!(read(""), "");
        assert_eq!(read("\"\""), "");
    }
}
