//! The data directory as the commands see it: locked for one process, databases in folders.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{DirLock, Disk, RealDisk};
use crate::engine::{Databases, OpenError};

/// Name of the folder that holds the databases' folders.
const DATABASES: &str = "databases";

/// A data directory that no other process uses while this value lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    lock: DirLock,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataDirError {
    #[error("there is no data directory {}", .0.display())]
    Missing(PathBuf),
    #[error("{} is no data directory: databases is missing in it", .0.display())]
    NotOne(PathBuf),
    #[error("data directory {} is in use by another pgspool", .0.display())]
    Locked(PathBuf),
    #[error("cannot use data directory {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no database \"{name}\" in {}", path.display())]
    NoDatabase { name: String, path: PathBuf },
    #[error(transparent)]
    Name(#[from] OpenError),
}

impl DataDir {
    /// Locks the directory, making it first when it is missing.
    pub(super) fn create(path: &Path) -> Result<Self, DataDirError> {
        RealDisk
            .create_dir_all(&path.join(DATABASES))
            .map_err(|source| io_error(path, source))?;
        Self::open(path)
    }

    /// Locks an existing directory.
    pub(super) fn open(path: &Path) -> Result<Self, DataDirError> {
        if !path.is_dir() {
            return Err(DataDirError::Missing(path.to_owned()));
        }
        // Before the lock, which leaves a file behind.
        if !path.join(DATABASES).is_dir() {
            return Err(DataDirError::NotOne(path.to_owned()));
        }
        match RealDisk::lock_dir(path) {
            Ok(lock) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(DataDirError::Locked(path.to_owned()))
            }
            Err(source) => Err(io_error(path, source)),
        }
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its lock, for who opens the databases.
    pub(super) fn into_lock(self) -> DirLock {
        self.lock
    }

    /// The folder that holds the databases' folders.
    pub(super) fn databases(&self) -> PathBuf {
        self.path.join(DATABASES)
    }

    /// The folder of an existing database.
    pub(super) fn database(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let folder = Databases::dir(&self.path, name)?;
        if folder.is_dir() {
            Ok(folder)
        } else {
            Err(DataDirError::NoDatabase {
                name: name.to_owned(),
                path: self.path.clone(),
            })
        }
    }

    /// Names of all databases, sorted. Names with a dot in front are unfinished work.
    pub(super) fn names(&self) -> Result<Vec<String>, DataDirError> {
        let folder = self.databases();
        let names = RealDisk
            .list(&folder)
            .map_err(|source| io_error(&folder, source))?;
        let databases = names.into_iter().filter(|name| !name.starts_with('.'));
        Ok(databases
            .filter(|name| folder.join(name).is_dir())
            .collect())
    }
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        path: path.to_owned(),
        source,
    }
}
