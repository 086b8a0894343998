//! The data directory as the commands see it: locked for one process, databases in folders.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::disk::{DirLock, Disk, RealDisk};
use crate::engine::{Databases, OpenError};

/// Name of the folder that holds the databases' folders.
const DATABASES: &str = "databases";

/// Nobody but the user may do anything.
const PRIVATE: u32 = 0o700;
/// What others must not have: they would choose the roles and rules.
const TOO_MUCH: u32 = 0o022;

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
    #[error(
        "data directory \"{}\" has invalid permissions\n\
         Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).", .0.display()
    )]
    Permissions(PathBuf),
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
        make_private_if_empty(path);
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

    /// Refuses a directory that others may write to; says its mode.
    pub(super) fn check_mode(&self) -> Result<u32, DataDirError> {
        let found = fs::metadata(&self.path).map_err(|source| io_error(&self.path, source))?;
        let mode = found.permissions().mode() & 0o777;
        if mode & TOO_MUCH == 0 {
            Ok(mode)
        } else {
            Err(DataDirError::Permissions(self.path.clone()))
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

/// A directory that somebody made for us is ours from its first file on. Where its mode cannot be
/// changed, it is looked at when the server starts.
fn make_private_if_empty(path: &Path) {
    let is_empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty && let Err(error) = fs::set_permissions(path, Permissions::from_mode(PRIVATE)) {
        tracing::warn!(%error, "the mode of the data directory was not changed");
    }
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_that_others_may_write_to_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        fs::create_dir(&path).unwrap();
        let set = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        // An empty one that somebody made is made private.
        set(0o777);
        let data = DataDir::create(&path).unwrap();
        assert_eq!(data.check_mode().unwrap(), 0o700);
        for (mode, is_fine) in [
            (0o700, true),
            (0o750, true),
            (0o755, true),
            (0o770, false),
            (0o702, false),
            (0o777, false),
        ] {
            set(mode);
            assert_eq!(data.check_mode().is_ok(), is_fine, "{mode:o}");
        }
        let words = data.check_mode().unwrap_err().to_string();
        let wanted = format!(
            "data directory \"{}\" has invalid permissions",
            path.display()
        );
        assert!(words.starts_with(&wanted), "{words}");
    }
}
