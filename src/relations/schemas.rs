//! CREATE SCHEMA and DROP SCHEMA on a draft.

use crate::datum::quote_ident;

use super::draft::{Draft, is_system_schema, missing_schema};
use super::{DefineError, Dependents, Schema};

impl Draft {
    pub(super) fn create_schema(
        &mut self,
        name: &str,
        if_not_exists: bool,
    ) -> Result<(), DefineError> {
        if name.starts_with("pg_") {
            return Err(DefineError::ReservedSchemaName(name.to_owned()));
        }
        if self.set.schema(name).is_some() || is_always_there(name) {
            let exists = DefineError::SchemaExists(name.to_owned());
            if if_not_exists {
                self.notice("42P06", format!("{exists}, skipping"));
                return Ok(());
            }
            return Err(exists);
        }
        let oid = self.fresh_oid()?;
        self.set.schemas.push(Schema {
            oid,
            name: name.to_owned(),
        });
        Ok(())
    }

    pub(super) fn drop_schemas(
        &mut self,
        names: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<(), DefineError> {
        let mut dropped = Vec::new();
        for name in names {
            // `public` may be dropped in PostgreSQL; here names without a schema live in it.
            if is_system_schema(name) || is_always_there(name) || name == super::PUBLIC {
                return Err(DefineError::RequiredSchema(quote_ident(name)));
            }
            match self.set.schema(name) {
                Some(schema) => dropped.push(schema.clone()),
                None if if_exists => {
                    let message = format!("schema \"{name}\" does not exist, skipping");
                    self.notice("00000", message);
                }
                None => return Err(missing_schema(name, None)),
            }
        }
        for schema in dropped {
            self.drop_schema(&schema, cascade)?;
        }
        Ok(())
    }

    fn drop_schema(&mut self, schema: &Schema, cascade: bool) -> Result<(), DefineError> {
        let inside = |name: &str| name == schema.name;
        let tables = self
            .set
            .relations
            .iter()
            .filter(|table| inside(&table.schema));
        let (names, oids): (Vec<String>, Vec<u32>) = tables
            .map(|table| (format!("table {}", table.visible_name()), table.oid))
            .unzip();
        if !names.is_empty() && !cascade {
            let name = quote_ident(&schema.name);
            let depends = |table: String| format!("{table} depends on schema {name}");
            return Err(DefineError::HasDependents {
                what: format!("schema {name}"),
                dependents: Dependents(names.into_iter().map(depends).collect()),
            });
        }
        self.cascade_notice(&names);
        for oid in oids {
            self.remove_table(oid);
        }
        for publication in &mut self.set.publications {
            publication
                .schemas
                .retain(|member| member.schema != schema.oid);
        }
        self.set.schemas.retain(|other| other.oid != schema.oid);
        Ok(())
    }
}

/// Whether the catalog brings the schema `name` itself.
pub(super) fn is_always_there(name: &str) -> bool {
    matches!(name, "information_schema" | "pgspool")
}
