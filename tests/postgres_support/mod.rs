//! A PostgreSQL 15 of one's own to compare with: a temporary cluster on loopback, in UTC, whose
//! text compares by its bytes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls, SimpleQueryMessage};
use tempfile::TempDir;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Postgres {
    pub port: u16,
    server: Child,
    _data: TempDir,
}

impl Postgres {
    pub fn start() -> Self {
        let data = TempDir::new().unwrap();
        let path = data.path().join("data");
        std::fs::create_dir(&path).unwrap();
        let owned = Command::new("chown")
            .args(["-R", "postgres"])
            .arg(data.path())
            .status()
            .unwrap();
        assert!(owned.success() || !is_root());
        let made = program("initdb")
            .arg("-D")
            .arg(&path)
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"])
            .args(["--locale=C.UTF-8"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let port = free_port();
        let server = serve(&path, port);
        let mut this = Self {
            port,
            server,
            _data: data,
        };
        let started = Instant::now();
        while this.try_connect().is_none() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
            // Somebody else may have taken the port first.
            if this.server.try_wait().unwrap().is_some() {
                this.port = free_port();
                this.server = serve(&path, this.port);
            }
        }
        this
    }

    pub fn connect(&self) -> Client {
        self.try_connect().unwrap()
    }

    fn try_connect(&self) -> Option<Client> {
        let port = self.port;
        let to = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
        Client::connect(&to, NoTls).ok()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT ends it at once; it is thrown away.
        let pid = self.server.id().to_string();
        drop(Command::new("kill").args(["-QUIT", &pid]).status());
        drop(self.server.wait());
    }
}

fn serve(data: &Path, port: u16) -> Child {
    program("postgres")
        .arg("-D")
        .arg(data)
        .args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()])
        .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
        .args(["-c", "wal_level=logical", "-c", "timezone=UTC"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One of PostgreSQL's programs, which refuse to run as root.
fn program(name: &str) -> Command {
    let path = format!("{BIN}/{name}");
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(path);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim() == "0"
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The rows of a statement in text form, or SQLSTATE and message.
pub fn rows(client: &mut Client, statement: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let answered = client.simple_query(statement).map_err(|error| {
        let error = error.as_db_error().unwrap();
        format!("{} {}", error.code().code(), error.message())
    })?;
    Ok(answered
        .iter()
        .filter_map(|message| {
            let SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            let values = (0..row.len()).map(|at| row.get(at).map(str::to_owned));
            Some(values.collect())
        })
        .collect())
}
