//! What was seen becomes the definitions of a database.

use super::{Seen, SeenPublication, SeenTable};
use crate::relations::{
    PUBLIC_OID, Publication, PublishedSchema, PublishedTable, Relation, RelationKey, RelationSet,
    ReplicaIdentity, Schema,
};
use crate::rows::described_table;

impl Seen {
    /// Makes `set` what was seen of what the publications `captured` publish. Tells the OIDs of
    /// tables whose description is now another, or that are gone: what a stream knew of them no
    /// longer holds.
    pub(in crate::capture) fn apply(&self, set: &mut RelationSet, captured: &[String]) -> Vec<u32> {
        let mut changed = Vec::new();
        self.apply_schemas(set);
        let is_seen = |oid: u32| self.tables.iter().any(|table| table.oid == oid);
        set.relations.retain(|known| {
            let stays = is_seen(known.oid) || known.since > self.before;
            if !stays {
                changed.push(known.oid);
            }
            stays
        });
        for table in &self.tables {
            let known = set.relation_by_oid(table.oid).cloned();
            let Some(relation) = self.table(table, known.as_ref()) else {
                continue;
            };
            match set
                .relations
                .binary_search_by_key(&table.oid, |known| known.oid)
            {
                Ok(at) => {
                    if let Some(place) = set.relations.get_mut(at) {
                        if place.upstream != relation.upstream {
                            changed.push(table.oid);
                        }
                        *place = relation;
                    }
                }
                Err(at) => {
                    changed.push(table.oid);
                    set.relations.insert(at, relation);
                }
            }
        }
        let covered = self.covered(captured);
        let publications = covered.iter().map(|of| self.publication(of, set, captured));
        set.publications = publications.collect();
        drop_schemas(set);
        changed
    }

    /// Schemas of tables and publications; one that was renamed is renamed in its tables, too.
    fn apply_schemas(&self, set: &mut RelationSet) {
        let of_tables = self.tables.iter().map(|table| &table.schema);
        let publications = self.publications.iter();
        let of_publications =
            publications.flat_map(|of| of.schemas.iter().map(|(_, schema)| schema));
        for seen in of_tables.chain(of_publications) {
            let of_oid = set.schemas.iter().position(|known| known.oid == seen.oid);
            let of_name = set.schemas.iter().position(|known| known.name == seen.name);
            match (of_oid, of_name) {
                (Some(of_oid), Some(of_name)) if of_oid == of_name => {}
                (Some(at), of_name) => rename_schema(set, at, of_name, &seen.name),
                // The stream named it, and could not tell its OID.
                (None, Some(at)) => {
                    let known = set.schemas.get_mut(at);
                    if let Some(known) = known.filter(|known| known.oid != PUBLIC_OID) {
                        known.oid = seen.oid;
                    }
                }
                (None, None) => set.schemas.push(Schema {
                    oid: seen.oid,
                    name: seen.name.clone(),
                }),
            }
        }
    }

    /// The table as it is from now on.
    fn table(&self, seen: &SeenTable, known: Option<&Relation>) -> Option<Relation> {
        let description = self.describe(seen)?;
        let relation = match known {
            // The stream said something newer.
            Some(known) if known.since > self.before => known.clone(),
            known => {
                let described = described_table(known, &description.relation, &description.types);
                described.ok()?
            }
        };
        Some(self.completed(relation, seen))
    }

    /// With what no message says.
    fn completed(&self, mut relation: Relation, seen: &SeenTable) -> Relation {
        relation.row_type_oid = seen.row_type;
        relation.array_type_oid = seen.array_type;
        for column in relation.columns.iter_mut().filter(|column| !column.dropped) {
            let there = seen.columns.iter().find(|there| there.name == column.name);
            column.not_null = there.is_some_and(|there| there.not_null);
        }
        if let Some(upstream) = relation.upstream.as_deref_mut() {
            for known in &mut upstream.types {
                let there = self.types.iter().find(|there| there.oid == known.oid);
                if let Some(there) = there {
                    known.format_name.clone_from(&there.format_name);
                }
            }
        }
        // A key over a column that is not captured is none here.
        let number = |there: &i16| {
            let there = seen.columns.iter().find(|column| column.number == *there)?;
            Some(relation.column(&there.name)?.attnum)
        };
        let keys = seen.keys.iter().filter_map(|key| {
            Some(RelationKey {
                index_oid: key.index_oid,
                constraint_oid: key.constraint_oid,
                name: key.name.clone(),
                columns: key.columns.iter().map(number).collect::<Option<_>>()?,
                primary: key.primary,
            })
        });
        let keys: Vec<_> = keys.collect();
        relation.keys = keys;
        let index = seen.keys.iter().find(|key| key.identity);
        relation.replica_identity = match (seen.identity, index) {
            (b'f', _) => ReplicaIdentity::Full,
            (b'n', _) => ReplicaIdentity::Nothing,
            (b'i', Some(index)) => ReplicaIdentity::Index(index.index_oid),
            // An index that is gone identifies nothing.
            (b'i', None) => ReplicaIdentity::Nothing,
            _ => ReplicaIdentity::Default,
        };
        relation
    }

    fn publication(
        &self,
        seen: &SeenPublication,
        set: &RelationSet,
        captured: &[String],
    ) -> Publication {
        let mut schemas = Vec::new();
        for (oid, schema) in &seen.schemas {
            if let Some(schema) = set.schema(&schema.name) {
                schemas.push(PublishedSchema {
                    oid: *oid,
                    schema: schema.oid,
                });
            }
        }
        let is_whole = |schema: u32| seen.schemas.iter().any(|(_, whole)| whole.oid == schema);
        let members = seen.tables.iter();
        let members = members.filter(|member| !seen.all_tables && !is_whole(member.schema));
        let tables = members.filter_map(|member| {
            let relation = set.relation_by_oid(member.table)?;
            let listed = |names: &std::collections::BTreeSet<String>| {
                let columns = relation.live_columns();
                let listed = columns.filter(|column| names.contains(&column.name));
                let mut numbers: Vec<_> = listed.map(|column| column.attnum).collect();
                numbers.sort_unstable();
                numbers
            };
            Some(PublishedTable {
                oid: member.oid,
                relation: member.table,
                columns: member.columns.as_ref().map(listed),
                filter: member.filter.clone(),
                // Whether they are of the replica identity was checked upstream.
                filter_columns: Vec::new(),
            })
        });
        Publication {
            oid: seen.oid,
            name: seen.name.clone(),
            all_tables: seen.all_tables,
            insert: seen.insert,
            update: seen.update,
            delete: seen.delete,
            truncate: seen.truncate,
            via_root: seen.via_root,
            captured: captured.contains(&seen.name),
            tables: tables.collect(),
            schemas,
        }
    }
}

/// Gives the schema at `at` another name, which one that the stream named may have by now.
fn rename_schema(set: &mut RelationSet, at: usize, other: Option<usize>, name: &str) {
    let Some(known) = set.schemas.get_mut(at) else {
        return;
    };
    let old = std::mem::replace(&mut known.name, name.to_owned());
    for relation in &mut set.relations {
        if relation.schema == old {
            name.clone_into(&mut relation.schema);
        }
    }
    if let Some(other) = other {
        set.schemas.remove(other);
    }
}

/// Puts a table that the stream described in the place of what it was. A schema that is not known
/// gets an OID that nobody has, until the catalogs are looked at.
pub(in crate::capture) fn put(set: &mut RelationSet, relation: Relation) {
    if set.schema(&relation.schema).is_none() {
        let oids = set.schemas.iter().map(|schema| schema.oid);
        let oids = oids.chain(set.relations.iter().map(|relation| relation.oid));
        let oids = oids.chain(set.publications.iter().map(|publication| publication.oid));
        let taken: std::collections::BTreeSet<u32> = oids.chain([relation.oid]).collect();
        let free = (0..u32::MAX - 1).rev().find(|oid| !taken.contains(oid));
        set.schemas.push(Schema {
            oid: free.unwrap_or(u32::MAX - 1),
            name: relation.schema.clone(),
        });
    }
    match set
        .relations
        .binary_search_by_key(&relation.oid, |known| known.oid)
    {
        Ok(at) => {
            if let Some(place) = set.relations.get_mut(at) {
                *place = relation;
            }
        }
        Err(at) => set.relations.insert(at, relation),
    }
}

/// Schemas in which nothing is any more.
fn drop_schemas(set: &mut RelationSet) {
    let RelationSet {
        schemas,
        relations,
        publications,
    } = set;
    schemas.retain(|schema| {
        let holds = relations
            .iter()
            .any(|relation| relation.schema == schema.name);
        let mut members = publications.iter().flat_map(|of| &of.schemas);
        schema.oid == PUBLIC_OID || holds || members.any(|member| member.schema == schema.oid)
    });
}
