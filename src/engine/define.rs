//! Tables and publications of a database, and the collections that are published to.
//!
//! A collection becomes a table before the first record of it is stored: a crash between the two
//! leaves an empty table, never a record without one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{Engine, OpenError, PublishError};
use crate::change::{PayloadRef, RawRecord};
use crate::disk::Disk;
use crate::lsn::Lsn;
use crate::relations::{Command, Outcome, RELATIONS_FILE, RelationStore, RelationStoreError};
use crate::spool::{ReadError, Spool};

/// Bytes that are read at once where a spool is searched for collections.
const READ_AT_ONCE: usize = 1 << 20;

impl Engine {
    /// Its tables and publications.
    pub const fn relations(&self) -> &RelationStore {
        &self.relations
    }

    /// Does what a statement asks to define, for all records that are not queued yet; durable
    /// before it returns. Blocking.
    pub fn define(&self, command: &Command) -> Result<Outcome, PublishError> {
        self.check_takes_records()?;
        self.admit_bytes(0)?;
        let _alone = self.definitions.change();
        let commands = std::slice::from_ref(command);
        self.relations.change(commands, &[], || self.behind_queue())
    }

    /// The same for the definitions of a transaction block and the collections of its records,
    /// all or nothing. Called by who keeps others from queueing records. Blocking.
    pub(super) fn define_with(
        &self,
        commands: &[Command],
        collections: &Collections,
    ) -> Result<(), PublishError> {
        if commands.is_empty() {
            return self.note_collections(collections);
        }
        self.admit_bytes(0)?;
        let names = collections.names();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        self.relations
            .change(commands, &names, || self.behind_queue())?;
        Ok(())
    }

    /// Makes the collections of records known that are about to be stored.
    pub(super) fn note_collections(&self, collections: &Collections) -> Result<(), PublishError> {
        let names = collections.names();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        // No record of theirs is queued yet, so nothing is to be waited for.
        let head = || Ok::<_, PublishError>(self.head());
        self.relations.change(&[], &names, head)?;
        Ok(())
    }

    /// The position behind all that is queued, once it is durable: those records were made under
    /// the definitions that were there.
    fn behind_queue(&self) -> Result<Lsn, PublishError> {
        self.spool.append(Vec::new())?.wait()?;
        Ok(self.head())
    }
}

/// Which collections the records of a batch or transaction belong to, in the JSON they are encoded
/// in. Most records belong to the same one as the record before.
#[derive(Debug, Clone, Default)]
pub(super) struct Collections {
    last: Vec<u8>,
    /// Where each was first seen.
    first_seen: HashMap<Box<[u8]>, u64>,
}

impl Collections {
    /// Notes the collection of a record at the position `at`; `json` is its name as a string.
    pub(super) fn note(&mut self, json: &[u8], at: u64) {
        if self.last == json {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(json);
        if !self.first_seen.contains_key(json) {
            self.first_seen.insert(json.into(), at);
        }
    }

    /// Forgets the records from the position `at` on.
    pub(super) fn cut(&mut self, at: u64) {
        self.last.clear();
        self.first_seen.retain(|_, first| *first < at);
    }

    /// Their names; a message belongs to none.
    pub(super) fn names(&self) -> Vec<Cow<'_, str>> {
        self.first_seen
            .keys()
            .filter_map(|json| name(json))
            .collect()
    }
}

/// The name of a collection that can be a table's.
pub(super) fn name(json: &[u8]) -> Option<Cow<'_, str>> {
    let plain = json
        .strip_prefix(b"\"")
        .and_then(|json| json.strip_suffix(b"\""))?;
    let name = if plain.contains(&b'\\') {
        Cow::Owned(serde_json::from_slice::<String>(json).ok()?)
    } else {
        Cow::Borrowed(std::str::from_utf8(plain).ok()?)
    };
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

/// Opens the tables of the database in `dir`. A database that was imported, or made before there
/// were tables, has none beside its records: its collections are found by reading them once.
pub(super) fn open(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    database: &str,
    spool: &Spool,
    is_captured: bool,
) -> Result<RelationStore, OpenError> {
    let failed = |source| OpenError::Relations {
        database: database.to_owned(),
        source,
    };
    let path = dir.join(RELATIONS_FILE);
    let is_there = disk.exists(&path).map_err(|source| {
        failed(RelationStoreError::Io {
            action: format!("look for {}", path.display()),
            source,
        })
    })?;
    let store = RelationStore::open(Arc::clone(disk), &path).map_err(failed)?;
    let state = spool.state();
    if is_captured {
        // A definition is written before the transaction that it came with is stored.
        store.forget_above(state.head);
        if !is_there && state.head > Lsn::ZERO {
            tracing::error!(
                database,
                "no {RELATIONS_FILE}: tables are known again when the upstream next describes them"
            );
        }
        return Ok(store);
    }
    if is_there || state.head <= state.removed_through {
        return Ok(store);
    }
    tracing::warn!(
        database,
        "no {RELATIONS_FILE}: reading all records for their collections"
    );
    let mut collections = Collections::default();
    if let Err(error) = find_collections(spool, state.removed_through, &mut collections) {
        // Reading is not what opening is for: who needs those records is told of the damage.
        let words = "collections behind this become tables when they are published to again";
        tracing::error!(database, %error, "cannot read all records: {words}");
    }
    let names = collections.names();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let noted = store.restore(&names, state.removed_through);
    noted.map_err(|source| OpenError::Define {
        database: database.to_owned(),
        source,
    })?;
    tracing::info!(
        database,
        num_collections = names.len(),
        "wrote {RELATIONS_FILE}"
    );
    Ok(store)
}

/// Notes the collections of all records above `since`.
fn find_collections(
    spool: &Spool,
    since: Lsn,
    collections: &mut Collections,
) -> Result<(), ReadError> {
    let mut cursor = spool.cursor(since)?;
    loop {
        let frames = cursor.read_disk(READ_AT_ONCE)?;
        if frames.is_empty() {
            return Ok(());
        }
        for frame in frames {
            let json = match PayloadRef::of(&frame.payload) {
                PayloadRef::Whole(json) | PayloadRef::Part { json, .. } => json,
                PayloadRef::Chunk { .. } | PayloadRef::Opaque(_) => continue,
            };
            let record = RawRecord::read(json).unwrap_or_default();
            if let Some(name) = record.collection.text() {
                let mut json = Vec::new();
                crate::change::write_json(&name, &mut json);
                collections.note(&json, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_are_those_of_the_records_that_stay() {
        let mut collections = Collections::default();
        let sorted = |collections: &Collections| {
            let mut names: Vec<String> = collections
                .names()
                .iter()
                .map(ToString::to_string)
                .collect();
            names.sort();
            names
        };
        collections.note(br#""a""#, 0);
        collections.note(br#""a""#, 10);
        collections.note(br#""b\"\u0041""#, 20);
        collections.note(br#""""#, 30);
        collections.note(br#""a""#, 40);
        assert_eq!(sorted(&collections), ["a", "b\"A"]);
        collections.cut(20);
        assert_eq!(sorted(&collections), ["a"]);
        collections.note(br#""b""#, 20);
        assert_eq!(sorted(&collections), ["a", "b"]);
    }
}
