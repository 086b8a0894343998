//! CREATE PUBLICATION, ALTER PUBLICATION and DROP PUBLICATION on a draft.

use super::draft::{Draft, is_system_column, is_system_schema};
use super::filter::{self, BoundFilter};
use super::{
    DefineError, NewPublishedTable, PUBLIC_OID, Publication, PublicationAction, PublicationObjects,
    PublicationOptions, PublicationTarget, PublishedActions, PublishedSchema, PublishedTable,
    Relation, SchemaName,
};

/// Without `publish = '...'`.
const ALL_ACTIONS: PublishedActions = PublishedActions {
    insert: true,
    update: true,
    delete: true,
    truncate: true,
};

/// A table of a publication, looked up.
struct Member<'c> {
    oid: u32,
    asked: &'c NewPublishedTable,
}

impl Draft {
    pub(super) fn create_publication(
        &mut self,
        name: &str,
        target: &PublicationTarget,
        options: PublicationOptions,
    ) -> Result<(), DefineError> {
        if self.set.publication(name).is_some() {
            return Err(DefineError::PublicationExists(name.to_owned()));
        }
        let oid = self.fresh_oid()?;
        let actions = options.actions.unwrap_or(ALL_ACTIONS);
        self.set.publications.push(Publication {
            oid,
            name: name.to_owned(),
            all_tables: matches!(target, PublicationTarget::AllTables),
            insert: actions.insert,
            update: actions.update,
            delete: actions.delete,
            truncate: actions.truncate,
            via_root: options.via_root.unwrap_or(false),
            captured: false,
            tables: Vec::new(),
            schemas: Vec::new(),
        });
        match target {
            PublicationTarget::AllTables => Ok(()),
            PublicationTarget::Objects(objects) => {
                let schemas = self.schema_oids(&objects.schemas)?;
                let members = self.members(&objects.tables)?;
                self.add_members(name, &members, !schemas.is_empty(), false)?;
                self.add_schemas(name, &schemas, false)
            }
        }
    }

    pub(super) fn alter_publication(
        &mut self,
        name: &str,
        action: &PublicationAction,
    ) -> Result<(), DefineError> {
        self.publication_mut(name)?;
        match action {
            PublicationAction::SetOptions(options) => {
                let publication = self.publication_mut(name)?;
                if let Some(actions) = options.actions {
                    publication.insert = actions.insert;
                    publication.update = actions.update;
                    publication.delete = actions.delete;
                    publication.truncate = actions.truncate;
                }
                publication.via_root = options.via_root.unwrap_or(publication.via_root);
                Ok(())
            }
            PublicationAction::RenameTo(new) => {
                if self.set.publication(new).is_some() {
                    return Err(DefineError::PublicationExists(new.clone()));
                }
                new.clone_into(&mut self.publication_mut(name)?.name);
                Ok(())
            }
            PublicationAction::KeepOwner => Ok(()),
            PublicationAction::Add(objects) => self.add_objects(name, objects),
            PublicationAction::Set(objects) => self.set_objects(name, objects),
            PublicationAction::Drop(objects) => self.drop_objects(name, objects),
        }
    }

    pub(super) fn drop_publications(
        &mut self,
        names: &[String],
        if_exists: bool,
    ) -> Result<(), DefineError> {
        for name in names {
            if self.set.publication(name).is_some() {
                continue;
            }
            let missing = DefineError::NoPublication(name.clone());
            if !if_exists {
                return Err(missing);
            }
            self.notice("00000", format!("{missing}, skipping"));
        }
        self.set
            .publications
            .retain(|publication| !names.contains(&publication.name));
        Ok(())
    }

    fn add_objects(&mut self, name: &str, objects: &PublicationObjects) -> Result<(), DefineError> {
        let schemas = self.schema_oids(&objects.schemas)?;
        self.check_not_all_tables(name, objects)?;
        let members = self.members(&objects.tables)?;
        let publication = self.publication_mut(name)?;
        let has_schemas = !schemas.is_empty() || !publication.schemas.is_empty();
        let has_lists = publication
            .tables
            .iter()
            .any(|table| table.columns.is_some());
        self.add_members(name, &members, has_schemas, false)?;
        if !schemas.is_empty() && has_lists {
            return Err(DefineError::SchemaBesideColumnList(name.to_owned()));
        }
        self.add_schemas(name, &schemas, false)
    }

    fn set_objects(&mut self, name: &str, objects: &PublicationObjects) -> Result<(), DefineError> {
        let schemas = self.schema_oids(&objects.schemas)?;
        self.check_not_all_tables(name, objects)?;
        let members = self.members(&objects.tables)?;
        let mut wanted = Vec::with_capacity(members.len());
        for member in &members {
            wanted.push((
                member.oid,
                self.published(name, member, !schemas.is_empty())?,
            ));
        }
        let publication = self.publication_mut(name)?;
        // A table that stays as it is keeps its membership.
        publication.tables.retain(|table| {
            wanted.iter().any(|(oid, new)| {
                *oid == table.relation && new.columns == table.columns && new.filter == table.filter
            })
        });
        publication
            .schemas
            .retain(|member| schemas.contains(&member.schema));
        self.add_members(name, &members, !schemas.is_empty(), true)?;
        self.add_schemas(name, &schemas, true)
    }

    fn drop_objects(
        &mut self,
        name: &str,
        objects: &PublicationObjects,
    ) -> Result<(), DefineError> {
        let schemas = self.schema_oids(&objects.schemas)?;
        self.check_not_all_tables(name, objects)?;
        for table in self.members(&objects.tables)? {
            if table.asked.columns.is_some() {
                return Err(DefineError::ColumnListInDrop);
            }
            let publication = self.publication_mut(name)?;
            if !publication
                .tables
                .iter()
                .any(|member| member.relation == table.oid)
            {
                return Err(DefineError::NotMember(table.asked.table.name.clone()));
            }
            if table.asked.filter.is_some() {
                return Err(DefineError::FilterInDrop);
            }
            publication
                .tables
                .retain(|member| member.relation != table.oid);
        }
        for schema in schemas {
            let schema_name = self.schema_name(schema).to_owned();
            let publication = self.publication_mut(name)?;
            if !publication
                .schemas
                .iter()
                .any(|member| member.schema == schema)
            {
                return Err(DefineError::SchemaNotMember(schema_name));
            }
            publication.schemas.retain(|member| member.schema != schema);
        }
        Ok(())
    }

    fn check_not_all_tables(
        &mut self,
        name: &str,
        objects: &PublicationObjects,
    ) -> Result<(), DefineError> {
        if !self.publication_mut(name)?.all_tables {
            return Ok(());
        }
        let what = if objects.schemas.is_empty() {
            "Tables"
        } else {
            "Schemas"
        };
        Err(DefineError::ForAllTables {
            publication: name.to_owned(),
            what,
        })
    }

    /// OIDs of schemas, each once.
    fn schema_oids(&self, schemas: &[SchemaName]) -> Result<Vec<u32>, DefineError> {
        let mut oids = Vec::with_capacity(schemas.len());
        for schema in schemas {
            let oid = match schema {
                SchemaName::Current => PUBLIC_OID,
                SchemaName::Named(name) if is_system_schema(name) => {
                    return Err(DefineError::PublishSystemSchema(name.clone()));
                }
                SchemaName::Named(name) => self.schema(name)?.oid,
            };
            if !oids.contains(&oid) {
                oids.push(oid);
            }
        }
        Ok(oids)
    }

    /// The tables of a list, each once: PostgreSQL refuses one that is there twice only where a
    /// column list or filter makes a difference.
    fn members<'c>(&self, tables: &'c [NewPublishedTable]) -> Result<Vec<Member<'c>>, DefineError> {
        let mut members: Vec<Member<'c>> = Vec::with_capacity(tables.len());
        for asked in tables {
            if is_system_schema(asked.table.schema()) {
                return Err(DefineError::PublishSystemTable(asked.table.name.clone()));
            }
            let oid = self.table(&asked.table)?.oid;
            let Some(before) = members.iter().find(|member| member.oid == oid) else {
                members.push(Member { oid, asked });
                continue;
            };
            let name = || asked.table.name.clone();
            if asked.filter.is_some() || before.asked.filter.is_some() {
                return Err(DefineError::RedundantFilters(name()));
            }
            if asked.columns.is_some() || before.asked.columns.is_some() {
                return Err(DefineError::RedundantColumnLists(name()));
            }
        }
        Ok(members)
    }

    /// Adds tables; one that is there is left as it is, or an error.
    fn add_members(
        &mut self,
        name: &str,
        members: &[Member<'_>],
        has_schemas: bool,
        skip_known: bool,
    ) -> Result<(), DefineError> {
        for member in members {
            let made = self.published(name, member, has_schemas)?;
            let publication = self.publication_mut(name)?;
            let known = publication
                .tables
                .iter()
                .any(|table| table.relation == member.oid);
            if known && skip_known {
                continue;
            }
            if known {
                return Err(DefineError::AlreadyMember {
                    table: member.asked.table.name.clone(),
                    publication: name.to_owned(),
                });
            }
            let oid = self.fresh_oid()?;
            let publication = self.publication_mut(name)?;
            publication.tables.push(PublishedTable { oid, ..made });
        }
        Ok(())
    }

    /// What a table of a publication is to be, without an OID.
    fn published(
        &self,
        publication: &str,
        member: &Member<'_>,
        has_schemas: bool,
    ) -> Result<PublishedTable, DefineError> {
        let asked = member.asked;
        let relation = self.table(&asked.table)?;
        let filter = asked.filter.as_ref();
        let filter = filter
            .map(|node| filter::bind(node, relation))
            .transpose()?;
        if asked.columns.is_some() && has_schemas {
            return Err(DefineError::ColumnListBesideSchema {
                table: format!("{}.{}", relation.schema, relation.name),
                publication: publication.to_owned(),
            });
        }
        let list = asked.columns.as_ref();
        let BoundFilter { text, columns } = filter.unwrap_or_default();
        Ok(PublishedTable {
            oid: 0,
            relation: member.oid,
            columns: list.map(|names| listed(relation, names)).transpose()?,
            filter: text,
            filter_columns: columns,
        })
    }

    fn add_schemas(
        &mut self,
        name: &str,
        schemas: &[u32],
        skip_known: bool,
    ) -> Result<(), DefineError> {
        for schema in schemas {
            let publication = self.publication_mut(name)?;
            let known = publication
                .schemas
                .iter()
                .any(|member| member.schema == *schema);
            if known && skip_known {
                continue;
            }
            if known {
                return Err(DefineError::SchemaAlreadyMember {
                    schema: self.schema_name(*schema).to_owned(),
                    publication: name.to_owned(),
                });
            }
            let oid = self.fresh_oid()?;
            let publication = self.publication_mut(name)?;
            publication.schemas.push(PublishedSchema {
                oid,
                schema: *schema,
            });
        }
        Ok(())
    }
}

/// Numbers of the columns in a list, in rising order.
fn listed(relation: &Relation, names: &[String]) -> Result<Vec<i16>, DefineError> {
    let mut numbers = Vec::with_capacity(names.len());
    for name in names {
        if is_system_column(name) {
            return Err(DefineError::SystemColumnListed(name.clone()));
        }
        let Some(column) = relation.column(name) else {
            return Err(DefineError::NoColumn {
                column: name.clone(),
                table: relation.name.clone(),
            });
        };
        if numbers.contains(&column.attnum) {
            return Err(DefineError::ListedColumnTwice(name.clone()));
        }
        numbers.push(column.attnum);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
