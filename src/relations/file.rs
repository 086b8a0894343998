//! The bytes of `relations.json`, vouched for by a checksum: see `docs/format.md`.
//!
//! One line for each thing, so that a file of many collections can be read by people too.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::{vouch, vouched};
use crate::lsn::Lsn;

use super::history::{History, Past};
use super::{PUBLIC_OID, Publication, Relation, RelationSet, Schema};

const VERSION: u32 = 1;

/// The first OID that is not PostgreSQL's own.
const FIRST_OID: u32 = 16_384;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RelationFile {
    pub(super) next_oid: u32,
    /// OIDs are an upstream's: they say nothing about the next one here.
    pub(super) mirrored: bool,
    pub(super) history: Arc<History>,
}

impl Default for RelationFile {
    fn default() -> Self {
        Self {
            next_oid: FIRST_OID,
            mirrored: false,
            history: Arc::new(History::new(RelationSet::default())),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    history: Vec<Past>,
    #[serde(default)]
    mirrored: bool,
    next_oid: u32,
    publications: Vec<Entry<Publication>>,
    relations: Vec<Relation>,
    schemas: Vec<Entry<Schema>>,
    version: u32,
}

/// Something with the position above which it counts.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<T> {
    #[serde(flatten)]
    what: T,
    since: Lsn,
}

/// The file's bytes.
pub(super) fn encode(file: &RelationFile) -> Result<Vec<u8>, String> {
    let History {
        current,
        since,
        past,
    } = file.history.as_ref();
    let since = |oid: u32| since.get(&oid).copied().unwrap_or(Lsn::ZERO);
    let publications = current.publications.iter().map(|what| Entry {
        since: since(what.oid),
        what,
    });
    let schemas = current.schemas.iter().map(|what| Entry {
        since: since(what.oid),
        what,
    });
    let mirrored = match file.mirrored {
        true => "  \"mirrored\": true,\n",
        false => "",
    };
    let json = format!(
        "{{\n  \"history\": {},\n{mirrored}  \"next_oid\": {},\n  \"publications\": {},\n  \
         \"relations\": {},\n  \"schemas\": {},\n  \"version\": {VERSION}\n}}\n",
        lines(past)?,
        file.next_oid,
        lines(publications)?,
        lines(&current.relations)?,
        lines(schemas)?,
    );
    Ok(vouch(&json))
}

/// An array with one line for each item.
fn lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<String, String> {
    let mut out = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        out.push_str(if index == 0 { "\n    " } else { ",\n    " });
        out.push_str(&serde_json::to_string(&item).map_err(|e| e.to_string())?);
    }
    out.push_str(if out.len() == 1 { "]" } else { "\n  ]" });
    Ok(out)
}

/// What the bytes say, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<RelationFile, String> {
    let body: Body = serde_json::from_str(&vouched(bytes)?).map_err(|e| e.to_string())?;
    if body.version != VERSION {
        return Err(format!("version {} is not known", body.version));
    }
    let mut since = BTreeMap::new();
    let mut schemas = Vec::with_capacity(body.schemas.len());
    for entry in body.schemas {
        note(&mut since, entry.what.oid, entry.since)?;
        schemas.push(entry.what);
    }
    let mut publications = Vec::with_capacity(body.publications.len());
    for entry in body.publications {
        note(&mut since, entry.what.oid, entry.since)?;
        publications.push(entry.what);
    }
    for relation in &body.relations {
        note(&mut since, relation.oid, relation.since)?;
    }
    let current = RelationSet {
        schemas,
        relations: body.relations,
        publications,
    };
    since.retain(|_, since| *since > Lsn::ZERO);
    let history = History {
        current: Arc::new(current),
        since,
        past: body.history,
    };
    let file = RelationFile {
        next_oid: body.next_oid,
        mirrored: body.mirrored,
        history: Arc::new(history),
    };
    file.check()?;
    Ok(file)
}

impl RelationFile {
    /// What is wrong with it, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        let next_oid = (!self.mirrored).then_some(self.next_oid);
        check(&self.history.current, next_oid)?;
        self.history.check(self.mirrored)
    }
}

fn note(since: &mut BTreeMap<u32, Lsn>, oid: u32, lsn: Lsn) -> Result<(), String> {
    match since.insert(oid, lsn) {
        None => Ok(()),
        Some(_) => Err(format!("OID {oid} is there twice")),
    }
}

/// What a right checksum vouches for and makes no sense all the same.
fn check(set: &RelationSet, next_oid: Option<u32>) -> Result<(), String> {
    let sorted = set.schemas.is_sorted_by_key(|schema| schema.oid)
        && set.relations.is_sorted_by_key(|relation| relation.oid)
        && set
            .publications
            .is_sorted_by_key(|publication| publication.oid);
    if !sorted {
        return Err("OIDs are not in order".to_owned());
    }
    if !set.schemas.iter().any(|schema| schema.oid == PUBLIC_OID) {
        return Err("schema \"public\" is missing".to_owned());
    }
    let schemas = set.schemas.iter().map(|schema| schema.oid);
    let relations = set.relations.iter().map(|relation| relation.oid);
    let publications = set.publications.iter().map(|publication| publication.oid);
    let oids: Vec<u32> = schemas.chain(relations).chain(publications).collect();
    let is_unused = |oid: &&u32| next_oid.is_some_and(|next_oid| **oid >= next_oid);
    if let Some((oid, next_oid)) = oids.iter().find(is_unused).zip(next_oid) {
        return Err(format!("OID {oid} is not below the next one, {next_oid}"));
    }
    for relation in &set.relations {
        if set.schema(&relation.schema).is_none() {
            let (name, schema) = (&relation.name, &relation.schema);
            return Err(format!(
                "relation \"{name}\" is in the unknown schema \"{schema}\""
            ));
        }
    }
    for publication in &set.publications {
        let mut tables = publication.tables.iter().map(|table| table.relation);
        if let Some(oid) = tables.find(|oid| set.relation_by_oid(*oid).is_none()) {
            let name = &publication.name;
            return Err(format!(
                "publication \"{name}\" has the unknown relation {oid}"
            ));
        }
    }
    Ok(())
}

/// A type as its OID.
pub(super) mod type_oid {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::datum::PgType;

    pub(in super::super) fn serialize<S: Serializer>(
        column_type: &PgType,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(column_type.0)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PgType, D::Error> {
        u32::deserialize(deserializer).map(PgType)
    }
}

/// No type modifier.
pub(super) const fn none() -> i32 {
    -1
}

pub(super) const fn is_none(typmod: &i32) -> bool {
    *typmod == -1
}

pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Any bytes are definitions or an error; definitions are read as they were written.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_file(bytes: &[u8]) {
    let _refused = decode(bytes);
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(file) = decode(&crate::disk::vouch(text)) {
        let written = encode(&file);
        let again = written.clone().and_then(|bytes| decode(&bytes));
        assert_eq!(again.and_then(|file| encode(&file)), written);
    }
}
