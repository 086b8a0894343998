//! The store: one writer, readers that never wait for the disk.
//!
//! A command works on a copy; the copy is written, and becomes visible when it is durable. After a
//! failed write what is visible is what was before the command. Where the old file is known to
//! stand, the next command is written; where the file's state is unknown, nothing is written any
//! more until the store is opened again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::disk::{self, Disk, ReplaceError};
use crate::lsn::Lsn;

use super::collections::TableNames;
use super::draft::Draft;
use super::file::{self, RelationFile};
use super::history::History;
use super::{Command, DefineError, Outcome, RelationPersistError, RelationSet, RelationStoreError};

/// Sets of old that are kept made.
const MAX_OLD_SETS: usize = 16;

/// The tables and publications of one database. Clones share them.
#[derive(Debug, Clone)]
pub struct RelationStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<Writer>,
    visible: RwLock<Arc<Visible>>,
}

/// The only hand that writes the file.
#[derive(Debug)]
struct Writer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: RelationFile,
    failed: Option<RelationPersistError>,
}

/// What readers see.
#[derive(Debug)]
struct Visible {
    history: Arc<History>,
    names: TableNames,
    /// Above this the current set counts.
    newest: Lsn,
    /// Sets of old by where they begin; made when asked for.
    old: Mutex<BTreeMap<Lsn, Arc<RelationSet>>>,
}

impl Visible {
    fn of(file: &RelationFile) -> Self {
        Self {
            history: Arc::clone(&file.history),
            names: TableNames::of(&file.history.current),
            newest: file.history.newest(),
            old: Mutex::default(),
        }
    }
}

impl RelationStore {
    /// Opens the store at `path`; a missing one has the schema `public` and nothing in it.
    /// Blocking.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, RelationStoreError> {
        let file = read(disk.as_ref(), path)?;
        let visible = Visible::of(&file);
        Ok(Self {
            shared: Arc::new(Shared {
                writer: Mutex::new(Writer {
                    disk,
                    path: path.to_owned(),
                    file,
                    failed: None,
                }),
                visible: RwLock::new(Arc::new(visible)),
            }),
        })
    }

    /// Reads the store at `path` without changing anything; for tools.
    pub fn inspect(disk: &dyn Disk, path: &Path) -> Result<RelationSet, RelationStoreError> {
        Ok(RelationSet::clone(&read(disk, path)?.history.current))
    }

    /// What there is now. Cheap.
    pub fn current(&self) -> Arc<RelationSet> {
        Arc::clone(&self.visible().history.current)
    }

    /// What counts for a record that ends at `lsn`. Cheap above the newest definition.
    pub fn at(&self, lsn: Lsn) -> Arc<RelationSet> {
        let visible = self.visible();
        if lsn > visible.newest {
            return Arc::clone(&visible.history.current);
        }
        let boundary = visible.history.boundary(lsn);
        let mut old = visible.old.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = old.get(&boundary) {
            return Arc::clone(set);
        }
        let set = Arc::new(visible.history.at(lsn));
        if old.len() >= MAX_OLD_SETS {
            old.pop_first();
        }
        old.insert(boundary, Arc::clone(&set));
        set
    }

    /// Above this position [`RelationStore::current`] counts, until the next definition.
    pub fn newest_definition(&self) -> Lsn {
        self.visible().newest
    }

    /// Does what a command asks, for records above `head`; durable before it returns. Blocking.
    pub fn apply(&self, command: &Command, head: Lsn) -> Result<Outcome, DefineError> {
        self.change(std::slice::from_ref(command), &[], || Ok(head))
    }

    /// Does what several commands ask, then gives the collections that are none yet tables: all or
    /// nothing, durable before it returns. It counts for records above what `head` says, which is
    /// asked when nobody else can define any more, and only when there is something to change.
    /// Returns what the last command came to. Blocking.
    pub fn change<E: From<DefineError>>(
        &self,
        commands: &[Command],
        collections: &[&str],
        head: impl FnOnce() -> Result<Lsn, E>,
    ) -> Result<Outcome, E> {
        let mut outcome = Outcome {
            tag: "",
            notices: Vec::new(),
        };
        if commands.is_empty() && self.knows(collections.iter().copied()) {
            return Ok(outcome);
        }
        let mut writer = self.writer();
        writer.check().map_err(DefineError::from)?;
        let mut draft = writer.draft();
        for command in commands {
            draft.notices.clear();
            run(&mut draft, command)?;
            outcome.tag = command.tag();
        }
        outcome.notices = std::mem::take(&mut draft.notices);
        add_collections(&mut draft, collections)?;
        if draft.set != *writer.file.history.current {
            self.commit(&mut writer, draft, head()?)?;
        }
        Ok(outcome)
    }

    /// Changes the definitions for records above `since` as an upstream has them; durable before it
    /// returns. OIDs are the upstream's. Said again at the same position it changes nothing; said
    /// otherwise there, it replaces what was said. Blocking.
    pub fn mirror(
        &self,
        since: Lsn,
        change: impl FnOnce(&mut RelationSet),
    ) -> Result<(), DefineError> {
        let mut writer = self.writer();
        writer.check()?;
        let current = &writer.file.history.current;
        let mut set = RelationSet::clone(current);
        change(&mut set);
        set.schemas.sort_by_key(|schema| schema.oid);
        set.relations.sort_by_key(|relation| relation.oid);
        set.publications.sort_by_key(|publication| publication.oid);
        for relation in &mut set.relations {
            // When a definition counts from is not the caller's to say.
            let known = current.relation_by_oid(relation.oid);
            relation.since = known.map_or(since, |known| known.since);
        }
        if set == **current {
            return Ok(());
        }
        let mut history = History::clone(&writer.file.history);
        // A definition never counts from below an earlier one.
        history.advance(set, since.max(history.newest()));
        let file = RelationFile {
            next_oid: writer.file.next_oid,
            mirrored: true,
            history: Arc::new(history),
        };
        file.check().map_err(DefineError::Mirror)?;
        writer.write(file)?;
        self.show(&writer);
        Ok(())
    }

    /// Forgets definitions that count only above `head`: what they were made for was not stored,
    /// and they come again with it. In memory; on disk with the next definition.
    pub fn forget_above(&self, head: Lsn) {
        if self.visible().newest <= head {
            return;
        }
        let mut writer = self.writer();
        Arc::make_mut(&mut writer.file.history).forget_above(head);
        self.show(&writer);
    }

    /// What the last of several commands would come to behind the others. Nothing is changed.
    pub fn try_all(&self, commands: &[Command]) -> Result<Outcome, DefineError> {
        let mut draft = self.writer().draft();
        let mut tag = "";
        for command in commands {
            draft.notices.clear();
            run(&mut draft, command)?;
            tag = command.tag();
        }
        let notices = std::mem::take(&mut draft.notices);
        Ok(Outcome { tag, notices })
    }

    /// What there is behind several commands. Nothing is changed.
    pub fn after_all(&self, commands: &[Command]) -> Result<RelationSet, DefineError> {
        let mut draft = self.writer().draft();
        for command in commands {
            run(&mut draft, command)?;
        }
        Ok(draft.set)
    }

    /// Whether each of `collections` is a table. Cheap.
    pub fn knows<'c>(&self, collections: impl IntoIterator<Item = &'c str>) -> bool {
        let visible = self.visible();
        let names = &visible.names;
        collections
            .into_iter()
            .all(|collection| names.has(collection))
    }

    /// Gives the collections that are none yet tables, for records above `head`; durable before it
    /// returns. Blocking when there is something to do.
    pub fn note_collections(&self, collections: &[&str], head: Lsn) -> Result<(), DefineError> {
        self.change(&[], collections, || Ok::<_, DefineError>(head))?;
        Ok(())
    }

    /// Like [`RelationStore::note_collections`], and makes the file if there is none: what was found
    /// in records that had no relation store. Blocking.
    pub fn restore(&self, collections: &[&str], since: Lsn) -> Result<(), DefineError> {
        self.note_collections(collections, since)?;
        let mut writer = self.writer();
        writer.check()?;
        let file = writer.file.clone();
        Ok(writer.write(file)?)
    }

    /// Forgets definitions that count only for records up to and with `removed_through`, which are
    /// gone. In memory; on disk with the next definition.
    pub fn forget_below(&self, removed_through: Lsn) {
        if self
            .visible()
            .history
            .past
            .iter()
            .all(|past| past.until > removed_through)
        {
            return;
        }
        let mut writer = self.writer();
        Arc::make_mut(&mut writer.file.history).forget_below(removed_through);
        self.show(&writer);
    }

    fn commit(&self, writer: &mut Writer, draft: Draft, head: Lsn) -> Result<(), DefineError> {
        let mut history = History::clone(&writer.file.history);
        // A definition never counts from below an earlier one.
        let head = head.max(history.newest());
        history.advance(draft.set, head);
        writer.write(RelationFile {
            next_oid: draft.next_oid,
            mirrored: writer.file.mirrored,
            history: Arc::new(history),
        })?;
        self.show(writer);
        Ok(())
    }

    /// Lets readers see what is durable now.
    fn show(&self, writer: &Writer) {
        let visible = Arc::new(Visible::of(&writer.file));
        *self
            .shared
            .visible
            .write()
            .unwrap_or_else(PoisonError::into_inner) = visible;
    }

    fn visible(&self) -> Arc<Visible> {
        let visible = self.shared.visible.read();
        visible.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Fails when nobody knows what an earlier write left.
    fn check(&self) -> Result<(), RelationPersistError> {
        match &self.failed {
            Some(failed) => Err(failed.clone()),
            None => Ok(()),
        }
    }

    fn draft(&self) -> Draft {
        Draft::new(
            RelationSet::clone(&self.file.history.current),
            self.file.next_oid,
        )
    }

    /// Replaces the file.
    fn write(&mut self, file: RelationFile) -> Result<(), RelationPersistError> {
        let bytes = file::encode(&file).map_err(RelationPersistError)?;
        match disk::replace_file(self.disk.as_ref(), &self.path, &bytes) {
            Ok(()) => {
                self.file = file;
                Ok(())
            }
            Err(ReplaceError::OldStands(reason)) => Err(RelationPersistError(reason.to_string())),
            Err(ReplaceError::Unknown(reason)) => {
                let error = RelationPersistError(reason.to_string());
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// What the file says; a missing one says nothing.
fn read(disk: &dyn Disk, path: &Path) -> Result<RelationFile, RelationStoreError> {
    let io = |source| RelationStoreError::Io {
        action: format!("read relation store {}", path.display()),
        source,
    };
    if !disk.exists(path).map_err(io)? {
        return Ok(RelationFile::default());
    }
    let bytes = disk.read(path).map_err(io)?;
    file::decode(&bytes).map_err(|reason| RelationStoreError::Corrupt {
        path: path.display().to_string(),
        reason,
    })
}

/// Gives the collections that are none yet tables.
fn add_collections(draft: &mut Draft, collections: &[&str]) -> Result<(), DefineError> {
    if collections.is_empty() {
        return Ok(());
    }
    let mut names = TableNames::of(&draft.set);
    for collection in collections {
        if !names.has(collection) {
            draft.add_collection(collection)?;
            let (schema, name) = draft.set.table_of_collection(collection);
            names.add(schema, name);
        }
    }
    Ok(())
}

fn run(draft: &mut Draft, command: &Command) -> Result<(), DefineError> {
    match command {
        Command::Within {
            search_path,
            command,
        } => {
            let command = draft.located(search_path, command.as_ref().clone())?;
            run(draft, &command)
        }
        Command::CreateTable(new) => draft.create_table(new),
        Command::DropTable { tables, if_exists } => draft.drop_tables(tables, *if_exists),
        Command::AlterTable {
            table,
            if_exists,
            actions,
        } => draft.alter_table(table, *if_exists, actions),
        Command::CreatePublication {
            name,
            target,
            options,
        } => draft.create_publication(name, target, *options),
        Command::AlterPublication { name, action } => draft.alter_publication(name, action),
        Command::DropPublication { names, if_exists } => draft.drop_publications(names, *if_exists),
        Command::CreateSchema {
            name,
            if_not_exists,
        } => draft.create_schema(name, *if_not_exists),
        Command::DropSchema {
            names,
            if_exists,
            cascade,
        } => draft.drop_schemas(names, *if_exists, *cascade),
    }
}
