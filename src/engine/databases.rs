//! All databases of one data directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::{Engine, EngineOptions, MaintainError, OpenError, making};
use crate::clock::Moment;
use crate::disk::{DirLock, Disk};
use crate::lsn::Lsn;
use crate::roles::{RoleOpenError, Roles};
use crate::slots::{SLOTS_FILE, SlotStore};
use crate::spool::{FIRST_LSN, NewSpool};

/// The database made on first start.
pub const DEFAULT_DATABASE: &str = "pgspool";

/// A new database begins where its LSNs do: clients take a head of `0/0` for "no position".
pub(super) const NEW_SPOOL: NewSpool = NewSpool {
    system_id: 0,
    imported_through: Lsn::ZERO,
    start: FIRST_LSN,
};

/// All databases of one data directory. They come and go while it is open.
#[derive(Debug)]
pub struct Databases {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) lock: Option<Arc<DirLock>>,
    path: PathBuf,
    roles: Roles,
    /// As it was opened with; what can be reconfigured is asked of a database.
    pub(super) options: EngineOptions,
    pub(super) engines: RwLock<BTreeMap<String, Arc<Engine>>>,
    /// Held while one is made or dropped.
    pub(super) changing: Mutex<()>,
    /// Counts how often one came or went.
    pub(super) changes: watch::Sender<u64>,
}

impl Databases {
    /// Opens every database under `data/databases`, and makes [`DEFAULT_DATABASE`] if it is
    /// not there. Blocking. Nobody else can open the directory, in this process or another, until
    /// this value and all of its engines are gone.
    pub fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        options: EngineOptions,
        now: Moment,
    ) -> Result<Self, OpenError> {
        disk.create_dir_all(data).map_err(|source| OpenError::Io {
            action: format!("create {}", data.display()),
            source,
        })?;
        let lock = disk.lock_dir(data).map_err(|source| {
            if source.kind() == io::ErrorKind::WouldBlock {
                return OpenError::Locked(data.to_owned());
            }
            let action = format!("lock {}", data.display());
            OpenError::Io { action, source }
        })?;
        Self::open_locked(disk, data, lock, options, now)
    }

    /// The same for a caller that has the directory's lock and hands it over.
    pub fn open_locked(
        disk: Arc<dyn Disk>,
        data: &Path,
        lock: Option<DirLock>,
        options: EngineOptions,
        now: Moment,
    ) -> Result<Self, OpenError> {
        let lock = lock.map(Arc::new);
        let path = data.join("databases");
        let io = |action: &str| {
            let action = format!("{action} {}", path.display());
            move |source| OpenError::Io { action, source }
        };
        disk.create_dir_all(&path).map_err(io("create"))?;
        let mut names = disk.list(&path).map_err(io("list"))?;
        making::remove_leftovers(&*disk, &path, &names);
        // A name with a dot in front is something that was interrupted: never a database.
        names.retain(|name| !name.starts_with('.'));
        if !names.iter().any(|name| name == DEFAULT_DATABASE) {
            names.push(DEFAULT_DATABASE.to_owned());
        }
        if names.len() > options.max_databases {
            return Err(OpenError::TooManyDatabases {
                num_databases: names.len(),
                most: options.max_databases,
            });
        }
        let roles = Self::open_roles(Arc::clone(&disk), data)?;
        let mut engines = BTreeMap::new();
        for name in names {
            let dir = Self::dir(data, &name).map_err(|_| OpenError::Stray(path.join(&name)))?;
            let disk = Arc::clone(&disk);
            let engine = Engine::open_new(disk, &dir, &name, options.clone(), NEW_SPOOL, now)?;
            let engine = engine.under(lock.clone());
            engines.insert(name, Arc::new(engine));
        }
        Ok(Self {
            disk,
            lock,
            path: data.to_owned(),
            roles,
            options,
            engines: RwLock::new(engines),
            changing: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// Opens the roles of the data directory `data`. Where they are lost, and slots still have
    /// owners, no new role gets the OID of one of them. Blocking.
    pub fn open_roles(disk: Arc<dyn Disk>, data: &Path) -> Result<Roles, RoleOpenError> {
        let roles = Roles::open(Arc::clone(&disk), data)?;
        if roles.is_new()
            && let Some(highest) = highest_slot_owner(&*disk, data)?
        {
            tracing::warn!(
                "roles.json is lost, but slots belong to roles: new roles get OIDs above {highest}, \
                 and only superusers can use those slots"
            );
            roles.begin_above(highest);
        }
        Ok(roles)
    }

    /// The folder of the database `name` in the data directory `data`.
    pub fn dir(data: &Path, name: &str) -> Result<PathBuf, OpenError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let valid = (1..=63).contains(&name.len()) && name.bytes().all(plain);
        if !valid || name.starts_with('-') {
            return Err(OpenError::InvalidName(name.to_owned()));
        }
        Ok(data.join("databases").join(name))
    }

    /// One database.
    pub fn get(&self, name: &str) -> Option<Arc<Engine>> {
        self.set().get(name).cloned()
    }

    /// Who may come in.
    pub const fn roles(&self) -> &Roles {
        &self.roles
    }

    /// All there are now, by name.
    pub fn all(&self) -> Vec<Arc<Engine>> {
        self.set().values().map(Arc::clone).collect()
    }

    /// Changes whenever a database comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn set(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Engine>>> {
        self.engines.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Persists slots and closes every spool cleanly. Blocking. All are tried; the first error of
    /// each database that failed is returned with its name.
    pub fn close(&self) -> Vec<(String, MaintainError)> {
        let failed = |engine: &Arc<Engine>| {
            let error = engine.close().err()?;
            Some((engine.name().to_owned(), error))
        };
        self.all().iter().filter_map(failed).collect()
    }
}

/// The highest OID of a role that a slot belongs to.
fn highest_slot_owner(disk: &dyn Disk, data: &Path) -> Result<Option<u32>, RoleOpenError> {
    let path = data.join("databases");
    let unreadable = |reason: String| RoleOpenError {
        path: path.display().to_string(),
        reason,
    };
    let is_there = disk.exists(&path);
    if !is_there.map_err(|error| unreadable(error.to_string()))? {
        return Ok(None);
    }
    let names = disk.list(&path);
    let names = names.map_err(|error| unreadable(error.to_string()))?;
    let mut highest = None;
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let slots = SlotStore::inspect(disk, &path.join(name).join(SLOTS_FILE));
        let slots = slots.map_err(|error| unreadable(error.to_string()))?;
        highest = highest.max(slots.into_iter().filter_map(|slot| slot.owner).max());
    }
    Ok(highest)
}
