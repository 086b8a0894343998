//! The names of the fake disk: which are durable, which are only made.
//!
//! It knows files by number and nothing of their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::faults::Dice;

/// The number of a file, whatever its names.
pub(super) type FileId = u64;

/// A change of names that no directory sync has covered yet. It survives whole or not at all.
#[derive(Debug, Clone)]
struct Change {
    file: FileId,
    /// The name that goes.
    from: Option<PathBuf>,
    /// The name that comes (over what has it already).
    to: Option<PathBuf>,
}

impl Change {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.from.iter().chain(&self.to)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, FileId>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        if let Some(to) = &self.to {
            names.insert(to.clone(), self.file);
        }
    }

    /// This change cannot have reached the disk without `earlier`.
    fn needs(&self, earlier: &Self) -> bool {
        self.file == earlier.file
            || self
                .paths()
                .any(|path| earlier.paths().any(|other| path == other))
    }
}

/// Directories and the names of files. Directories are durable at once, as
/// [`crate::disk::Disk::create_dir_all`] promises.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    dirs: BTreeSet<PathBuf>,
    durable: BTreeMap<PathBuf, FileId>,
    live: BTreeMap<PathBuf, FileId>,
    unsynced: Vec<Change>,
}

impl Names {
    pub(super) fn is_dir(&self, path: &Path) -> bool {
        path.parent().is_none() || path.as_os_str().is_empty() || self.dirs.contains(path)
    }

    pub(super) fn create_dir_all(&mut self, dir: &Path) {
        let ancestors = dir
            .ancestors()
            .filter(|dir| !dir.as_os_str().is_empty())
            .map(Path::to_path_buf);
        self.dirs.extend(ancestors);
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        self.live.get(path).copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, FileId)> {
        self.live.iter().map(|(path, file)| (path, *file))
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        if !self.is_dir(dir) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let inside = self.live.keys().chain(&self.dirs);
        let mut names: Vec<String> = inside
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn create(&mut self, path: &Path, file: FileId) -> io::Result<()> {
        self.room_for(path)?;
        if self.live.contains_key(path) || self.is_dir(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        self.change(file, None, Some(path));
        Ok(())
    }

    /// A name that is durable at once.
    pub(super) fn place(&mut self, path: &Path, file: FileId) {
        self.unsynced
            .retain(|change| change.paths().all(|p| p != path));
        self.live.insert(path.to_path_buf(), file);
        self.durable.insert(path.to_path_buf(), file);
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.dirs.contains(from) {
            return self.rename_dir(from, to);
        }
        let file = self.existing(from)?;
        self.room_for(to)?;
        if from != to {
            self.change(file, Some(from), Some(to));
        }
        Ok(())
    }

    /// Directories and their names are durable at once; what is in them is as durable as before.
    fn rename_dir(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.room_for(to)?;
        if self.live.contains_key(to) || self.dirs.contains(to) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let moved = |path: PathBuf| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
            Ok(rest) => to.join(rest),
            Err(_) => path,
        };
        self.dirs = std::mem::take(&mut self.dirs)
            .into_iter()
            .map(moved)
            .collect();
        for names in [&mut self.live, &mut self.durable] {
            let all = std::mem::take(names).into_iter();
            *names = all.map(|(path, file)| (moved(path), file)).collect();
        }
        for change in &mut self.unsynced {
            change.from = change.from.take().map(moved);
            change.to = change.to.take().map(moved);
        }
        Ok(())
    }

    /// Only of an empty one.
    pub(super) fn remove_dir(&mut self, dir: &Path) -> io::Result<()> {
        if !self.list(dir)?.is_empty() {
            return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty));
        }
        self.dirs.remove(dir);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let file = self.existing(path)?;
        self.change(file, Some(path), None);
        Ok(())
    }

    pub(super) fn existing(&self, path: &Path) -> io::Result<FileId> {
        self.file(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn room_for(&self, path: &Path) -> io::Result<()> {
        if self.is_dir(path.parent().unwrap_or(path)) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    }

    fn change(&mut self, file: FileId, from: Option<&Path>, to: Option<&Path>) {
        let change = Change {
            file,
            from: from.map(Path::to_path_buf),
            to: to.map(Path::to_path_buf),
        };
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    /// Makes the changes that touch `dir` durable, with those that they need.
    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        if !self.is_dir(dir) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let chosen = |change: &Change| change.paths().any(|path| path.parent() == Some(dir));
        let (kept, waiting) = split(&self.unsynced, chosen);
        for change in kept {
            change.apply(&mut self.durable);
        }
        self.unsynced = waiting;
        Ok(())
    }

    /// The names that a power loss now leaves: each unsynced change may be lost, unless one that
    /// needs it survives.
    pub(super) fn survivors(&self, dice: &mut Dice) -> Self {
        let luck = match dice.below(4) {
            0 => 0,
            1 => 100,
            _ => 50,
        };
        let (kept, _lost) = split(&self.unsynced, |_| dice.chance(luck));
        let mut durable = self.durable.clone();
        for change in kept {
            change.apply(&mut durable);
        }
        Self {
            dirs: self.dirs.clone(),
            live: durable.clone(),
            durable,
            unsynced: Vec::new(),
        }
    }

    /// Whether any name, or any name that may come back, is the file's.
    pub(super) fn mentions(&self, file: FileId) -> bool {
        let named = |names: &BTreeMap<PathBuf, FileId>| names.values().any(|other| *other == file);
        named(&self.live)
            || named(&self.durable)
            || self.unsynced.iter().any(|change| change.file == file)
    }
}

/// Splits `changes` into those that are `chosen` or needed by a chosen one, and the rest.
fn split(
    changes: &[Change],
    mut chosen: impl FnMut(&Change) -> bool,
) -> (Vec<Change>, Vec<Change>) {
    let mut kept: Vec<Change> = Vec::new();
    let mut rest = Vec::new();
    for change in changes.iter().rev() {
        if chosen(change) || kept.iter().any(|later| later.needs(change)) {
            kept.push(change.clone());
        } else {
            rest.push(change.clone());
        }
    }
    kept.reverse();
    rest.reverse();
    (kept, rest)
}
