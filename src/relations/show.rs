//! What PostgreSQL's functions print of keys, replica identities and publications.

use crate::datum::quote_ident;

use super::{PUBLIC, Publication, Relation, RelationKey, RelationSet, ReplicaIdentity};

/// One table that a publication publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationTable<'s> {
    /// The table.
    pub relation: &'s Relation,
    /// Numbers of the published columns, in rising order; `None` is all.
    pub attnums: Option<&'s [i16]>,
    /// Row filter as PostgreSQL prints it.
    pub filter: Option<&'s str>,
}

impl Relation {
    /// `pg_get_indexdef`: `CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)`; the pretty
    /// form leaves out the schema `public`.
    pub fn index_definition(&self, key: &RelationKey, pretty: bool) -> String {
        let table = if pretty && self.schema == PUBLIC {
            quote_ident(&self.name)
        } else {
            self.qualified_name()
        };
        let name = quote_ident(&key.name);
        let columns = self.key_columns(key).join(", ");
        format!("CREATE UNIQUE INDEX {name} ON {table} USING btree ({columns})")
    }

    /// `pg_get_constraintdef`: `PRIMARY KEY (id)`.
    pub fn constraint_definition(&self, key: &RelationKey) -> String {
        let kind = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
        format!("{kind} ({})", self.key_columns(key).join(", "))
    }

    /// Names of a key's columns, quoted where needed (`pg_get_indexdef` with a column number).
    pub fn key_columns(&self, key: &RelationKey) -> Vec<String> {
        let name = |number: &i16| {
            let column = self.columns.iter().find(|column| column.attnum == *number);
            column.map(|column| quote_ident(&column.name))
        };
        key.columns.iter().filter_map(name).collect()
    }

    /// `pg_get_replica_identity_index`: the index whose columns a change of a row carries.
    pub fn replica_identity_index(&self) -> Option<&RelationKey> {
        match self.replica_identity {
            ReplicaIdentity::Default => self.primary_key(),
            ReplicaIdentity::Full | ReplicaIdentity::Nothing => None,
            ReplicaIdentity::Index(oid) => self.keys.iter().find(|key| key.index_oid == oid),
        }
    }

    /// Numbers of the columns of its replica identity, in the order of its key; `None` where old
    /// rows are not told apart by a key.
    pub fn identity_columns(&self) -> Option<&[i16]> {
        let key = self.replica_identity_index();
        key.map(|key| key.columns.as_slice())
    }
}

impl RelationSet {
    /// `pg_get_publication_tables`: what the publication publishes, by OID of the table.
    pub fn publication_tables<'s>(
        &'s self,
        publication: &'s Publication,
    ) -> Vec<PublicationTable<'s>> {
        let inside = |relation: &Relation| {
            let schema = self.schema(&relation.schema).map(|schema| schema.oid);
            publication
                .schemas
                .iter()
                .any(|member| Some(member.schema) == schema)
        };
        let mut tables = Vec::new();
        for relation in &self.relations {
            let mut members = publication.tables.iter();
            let member = members.find(|member| member.relation == relation.oid);
            if publication.all_tables || inside(relation) {
                // A whole schema publishes whole tables, whatever is said of one beside it.
                tables.push(PublicationTable {
                    relation,
                    attnums: None,
                    filter: None,
                });
            } else if let Some(member) = member {
                tables.push(PublicationTable {
                    relation,
                    attnums: member.columns.as_deref(),
                    filter: member.filter.as_deref(),
                });
            }
        }
        tables
    }

    /// The table and the key with this index OID.
    pub fn key_by_index(&self, index_oid: u32) -> Option<(&Relation, &RelationKey)> {
        self.find_key(|key| key.index_oid == index_oid)
    }

    /// The table and the key with this constraint OID.
    pub fn key_by_constraint(&self, constraint_oid: u32) -> Option<(&Relation, &RelationKey)> {
        self.find_key(|key| key.constraint_oid == constraint_oid)
    }

    fn find_key(&self, is: impl Fn(&RelationKey) -> bool) -> Option<(&Relation, &RelationKey)> {
        self.relations.iter().find_map(|relation| {
            let key = relation.keys.iter().find(|key| is(key))?;
            Some((relation, key))
        })
    }
}
