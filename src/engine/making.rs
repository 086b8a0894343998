//! Databases that come and go while the data directory is open.
//!
//! One is made in a folder of its own and renamed into place when it is whole; one that is dropped
//! is renamed away before anything of it is removed. So a crash leaves it as it was, or a folder
//! with a dot in front, which the next start removes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::databases::NEW_SPOOL;
use super::{
    CreateDatabaseError, DEFAULT_DATABASE, Databases, DropDatabaseError, Engine, EngineOptions,
    OpenError,
};
use crate::captures::CaptureSettings;
use crate::clock::Moment;
use crate::disk::Disk;
use crate::lsn::Lsn;
use crate::spool::NewSpool;

/// A database that is being made.
const MAKING: &str = ".new-";
/// A database that is being removed.
const DROPPED: &str = ".dropped-";

/// A captured database begins at nothing: its first position is the upstream's.
const CAPTURED_SPOOL: NewSpool = NewSpool {
    system_id: 0,
    imported_through: Lsn::ZERO,
    start: Lsn::ZERO,
};

/// Folders deeper than this are no database's.
const MAX_DEPTH: usize = 4;

impl Databases {
    /// Makes a database, durable before it returns: one that takes records of its own, or one that
    /// is captured from an upstream. Blocking.
    pub fn create(
        &self,
        name: &str,
        capture: Option<&CaptureSettings>,
        now: Moment,
    ) -> Result<Arc<Engine>, CreateDatabaseError> {
        let dir = Self::dir(self.path(), name)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let num_databases = self.set().len().saturating_add(1);
        if self.set().contains_key(name) || self.has(&dir)? {
            return Err(CreateDatabaseError::Exists(name.to_owned()));
        }
        let most = self.options.max_databases;
        if num_databases > most {
            return Err(OpenError::TooManyDatabases {
                num_databases,
                most,
            }
            .into());
        }
        let making = self.folder().join(format!("{MAKING}{name}"));
        let made = self.make(&making, name, capture, now);
        let engine = made.and_then(|()| self.put_in_place(&making, &dir, name, capture, now));
        let engine = engine.inspect_err(|_| {
            // The error says what is wrong; what this leaves the next start removes.
            drop(remove_tree(&*self.disk, &making, MAX_DEPTH));
        })?;
        let engine = Arc::new(engine.under(self.lock.clone()));
        self.enter(name, Arc::clone(&engine));
        Ok(engine)
    }

    /// Drops a database and all that is in it. Refused where a stream uses one of its slots, or
    /// `num_sessions`, asked when no new session can find it any more, says that there are any.
    /// Its capture has to be stopped before. Blocking.
    pub fn drop_database(
        &self,
        name: &str,
        num_sessions: impl FnOnce() -> usize,
    ) -> Result<(), DropDatabaseError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if name == DEFAULT_DATABASE {
            return Err(DropDatabaseError::Default(name.to_owned()));
        }
        let engine = self
            .take(name)
            .ok_or_else(|| DropDatabaseError::Unknown(name.to_owned()))?;
        let num_sessions = num_sessions();
        if num_sessions > 0 || engine.slots_in_use() > 0 {
            self.enter(name, engine);
            return Err(DropDatabaseError::InUse {
                database: name.to_owned(),
                num_sessions,
            });
        }
        // From here on the periodic work leaves its files alone.
        *engine
            .dropped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        if let Err(error) = engine.close() {
            tracing::warn!(database = name, %error, "closing a database that is dropped");
        }
        let dir = self.folder().join(name);
        let dropped = self.move_away(&dir, name).map_err(|source| {
            let action = format!("move {} away; restart the server", dir.display());
            DropDatabaseError::Io { action, source }
        })?;
        if let Err(error) = remove_tree(&*self.disk, &dropped, MAX_DEPTH) {
            let folder = dropped.display();
            tracing::warn!(database = name, %error, "{folder} is left; the next start removes it");
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.path().join("databases")
    }

    fn has(&self, dir: &Path) -> Result<bool, OpenError> {
        let found = self.disk.exists(dir);
        found.map_err(failed(format!("look for {}", dir.display())))
    }

    /// As others are set now.
    fn options_now(&self) -> EngineOptions {
        let default = self.get(DEFAULT_DATABASE);
        default.map_or_else(|| self.options.clone(), |engine| engine.options())
    }

    /// Makes all files of a database, and closes it.
    fn make(
        &self,
        making: &Path,
        name: &str,
        capture: Option<&CaptureSettings>,
        now: Moment,
    ) -> Result<(), OpenError> {
        remove_tree(&*self.disk, making, MAX_DEPTH)
            .and_then(|()| self.disk.create_dir_all(making))
            .map_err(failed(format!("create {}", making.display())))?;
        if let Some(settings) = capture {
            settings
                .write(&*self.disk, making)
                .map_err(io::Error::from)
                .map_err(failed(format!(
                    "write the capture's settings in {}",
                    making.display()
                )))?;
        }
        let engine = self.open_in(making, name, capture, now)?;
        let restored = engine.relations.restore(&[], Lsn::ZERO);
        restored.map_err(|source| OpenError::Define {
            database: name.to_owned(),
            source,
        })?;
        engine
            .close()
            .map_err(io::Error::other)
            .map_err(failed(format!("close {}", making.display())))
    }

    fn put_in_place(
        &self,
        making: &Path,
        dir: &Path,
        name: &str,
        capture: Option<&CaptureSettings>,
        now: Moment,
    ) -> Result<Engine, OpenError> {
        let folder = self.folder();
        let renamed = self.disk.rename(making, dir);
        let renamed = renamed.and_then(|()| self.disk.sync_dir(&folder));
        let opened = renamed
            .map_err(failed(format!("rename {}", making.display())))
            .and_then(|()| self.open_in(dir, name, capture, now));
        opened.inspect_err(|_| {
            // As if it had never been there. Where it was not renamed there is nothing to do.
            let back = self.disk.rename(dir, making);
            drop(back.and_then(|()| self.disk.sync_dir(&folder)));
        })
    }

    fn open_in(
        &self,
        dir: &Path,
        name: &str,
        capture: Option<&CaptureSettings>,
        now: Moment,
    ) -> Result<Engine, OpenError> {
        let new = match capture {
            Some(_) => CAPTURED_SPOOL,
            None => NEW_SPOOL,
        };
        let disk = Arc::clone(&self.disk);
        Engine::open_new(disk, dir, name, self.options_now(), new, now)
    }

    fn move_away(&self, dir: &Path, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder();
        let mut to = folder.join(format!("{DROPPED}{name}"));
        let mut number = 0_u32;
        while self.disk.exists(&to)? {
            number = number.saturating_add(1);
            to = folder.join(format!("{DROPPED}{name}.{number}"));
        }
        self.disk.rename(dir, &to)?;
        self.disk.sync_dir(&folder)?;
        Ok(to)
    }

    fn enter(&self, name: &str, engine: Arc<Engine>) {
        let mut engines = self.engines.write().unwrap_or_else(PoisonError::into_inner);
        engines.insert(name.to_owned(), engine);
        drop(engines);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn take(&self, name: &str) -> Option<Arc<Engine>> {
        let mut engines = self.engines.write().unwrap_or_else(PoisonError::into_inner);
        let taken = engines.remove(name);
        drop(engines);
        self.changes.send_modify(|changes| *changes += 1);
        taken
    }
}

impl Engine {
    /// How many of its slots are in use.
    fn slots_in_use(&self) -> usize {
        let slots = self.slots.snapshot();
        slots
            .iter()
            .filter(|slot| slot.active_pid.is_some())
            .count()
    }
}

/// Removes what was left among the folders `names` of databases that were being made or dropped.
pub(super) fn remove_leftovers(disk: &dyn Disk, folder: &Path, names: &[String]) {
    let ours = |name: &&String| name.starts_with(MAKING) || name.starts_with(DROPPED);
    for name in names.iter().filter(ours) {
        let dir = folder.join(name);
        match remove_tree(disk, &dir, MAX_DEPTH) {
            Ok(()) => tracing::info!("removed {}, left by an interruption", dir.display()),
            Err(error) => tracing::warn!(%error, "cannot remove {}", dir.display()),
        }
    }
}

/// Removes the folder `dir` and all that is in it; one that is not there needs no removing.
fn remove_tree(disk: &dyn Disk, dir: &Path, depth: usize) -> io::Result<()> {
    if !disk.exists(dir)? {
        return Ok(());
    }
    for name in disk.list(dir)? {
        let path = dir.join(name);
        // A file, or else a folder.
        if let Err(error) = disk.remove(&path) {
            if depth == 0 {
                return Err(error);
            }
            remove_tree(disk, &path, depth - 1)?;
        }
    }
    disk.remove_dir(dir)
}

fn failed(action: String) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { action, source }
}
