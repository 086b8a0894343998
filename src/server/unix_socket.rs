//! Unix sockets: `.s.PGSQL.PORT` in a directory, and the lock file beside it.
//!
//! The lock file is held with a lock of the operating system, which ends with the process, however
//! that ends; what a dead process left is replaced, what a living one listens on is not.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::UnixListener;

/// The longest path of a Unix socket, in bytes.
const MAX_PATH: usize = 107;

/// Why there is no Unix socket.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// The operating system has no room for such a path.
    #[error("Unix-domain socket path \"{}\" is too long (maximum {MAX_PATH} bytes)", .0.display())]
    TooLong(PathBuf),
    /// Another process listens on it.
    #[error("Unix-domain socket \"{}\" is in use: is another server running on this port?", .0.display())]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("could not create Unix-domain socket \"{}\"", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The error.
        #[source]
        source: io::Error,
    },
}

/// A Unix socket that is listened on. Socket and lock file are removed when it is dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    files: Files,
}

/// The two files of a socket.
#[derive(Debug)]
struct Files {
    socket: PathBuf,
    lock: PathBuf,
    _held: File,
}

/// Whether the path of a socket in `directory` is short enough, whatever the port.
pub fn unix_socket_fits(directory: &Path) -> bool {
    path_in(directory, u16::MAX).as_os_str().len() <= MAX_PATH
}

fn path_in(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

impl UnixSocket {
    /// Listens in `directory` under the number `port`; `permissions` say who may connect.
    pub(super) fn bind(
        directory: &Path,
        port: u16,
        permissions: u32,
    ) -> Result<Self, UnixSocketError> {
        let path = path_in(directory, port);
        if path.as_os_str().len() > MAX_PATH {
            return Err(UnixSocketError::TooLong(path));
        }
        let io_error = |source| UnixSocketError::Io {
            path: path.clone(),
            source,
        };
        let lock = directory.join(format!(".s.PGSQL.{port}.lock"));
        let Some(mut held) = hold(&lock).map_err(io_error)? else {
            return Err(UnixSocketError::InUse(path));
        };
        if is_alive(&path) {
            return Err(UnixSocketError::InUse(path));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
            Ok(()) | Err(_) => {}
        }
        write_lock(&mut held, directory, port).map_err(io_error)?;
        let files = Files {
            socket: path.clone(),
            lock,
            _held: held,
        };
        let listener = UnixListener::bind(&path).map_err(io_error)?;
        fs::set_permissions(&path, Permissions::from_mode(permissions)).map_err(io_error)?;
        Ok(Self { listener, files })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.files.socket
    }

    /// What connections come from.
    pub(super) const fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The lock file last: whoever comes next must not find a socket that is about to go.
        for path in [&self.socket, &self.lock] {
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!(path = %path.display(), %error, "not removed");
            }
        }
    }
}

/// Opens and locks a lock file; `None` when a process holds it.
fn hold(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Who held it before may have removed it between the two steps.
        let is_the_same = fs::metadata(path).is_ok_and(|there| {
            file.metadata()
                .is_ok_and(|here| (here.dev(), here.ino()) == (there.dev(), there.ino()))
        });
        if is_the_same {
            return Ok(Some(file));
        }
    }
}

/// Whether somebody listens there, also a server that locks its file in another way.
fn is_alive(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
        ),
    }
}

/// What PostgreSQL's tools look for there: process, data directory, start, port, socket directory.
fn write_lock(file: &mut File, directory: &Path, port: u16) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = now.unwrap_or_default().as_secs();
    let (pid, directory) = (process::id(), directory.display());
    file.set_len(0)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(format!("{pid}\n{directory}\n{started}\n{port}\n{directory}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_servers_socket_is_replaced_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), 1);
        // A process that died: socket and lock file, nobody behind them.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        fs::write(folder.path().join(".s.PGSQL.1.lock"), "99999999\n").unwrap();
        let first = UnixSocket::bind(folder.path(), 1, 0o700).unwrap();
        assert_eq!(first.path(), path);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(UnixStream::connect(&path).is_ok());
        let second = UnixSocket::bind(folder.path(), 1, 0o700);
        assert!(matches!(second, Err(UnixSocketError::InUse(_))));
        assert!(UnixStream::connect(&path).is_ok());
        let other = UnixSocket::bind(folder.path(), 2, 0o777).unwrap();
        drop((first, other));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        UnixSocket::bind(folder.path(), 1, 0o700).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_somebody_else_listens_on_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), 1);
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let refused = UnixSocket::bind(folder.path(), 1, 0o700);
        assert!(matches!(refused, Err(UnixSocketError::InUse(_))));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_path_that_is_too_long_is_said_to_be() {
        let directory = Path::new("/tmp").join("x".repeat(100));
        assert!(!unix_socket_fits(&directory));
        let refused = UnixSocket::bind(&directory, 5433, 0o700).unwrap_err();
        assert!(matches!(refused, UnixSocketError::TooLong(_)));
        assert!(refused.to_string().contains("too long (maximum 107 bytes)"));
    }
}
