//! A PostgreSQL of our own beside us, for as long as it is compared with.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::{BenchError, Home};

/// A running cluster with its defaults; stopped and removed with the value.
#[derive(Debug)]
pub(super) struct Postgres {
    child: Child,
    address: SocketAddr,
    _home: Home,
}

impl Postgres {
    /// Makes a cluster and starts it on a free port of the loopback.
    pub(super) fn start(bin: &Path, scratch: &Path) -> Result<Self, BenchError> {
        Self::start_with(bin, scratch, &[])
    }

    /// The same with settings, `name=value`.
    pub(super) fn start_with(
        bin: &Path,
        scratch: &Path,
        settings: &[&str],
    ) -> Result<Self, BenchError> {
        let home = Home::new(scratch)?;
        let data = home.path().join("cluster");
        fs::create_dir(&data)?;
        let root = is_root()?;
        if root {
            succeed(Command::new("chown").arg("postgres").arg(&data))?;
        }
        let mut initdb = as_postgres(root, &bin.join("initdb"));
        succeed(
            initdb
                .args(["-A", "trust", "-U", "postgres", "-D"])
                .arg(&data),
        )?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = address.port().to_string();
        let child = as_postgres(root, &bin.join("postgres"))
            .args([
                "-p",
                &port,
                "-c",
                "listen_addresses=127.0.0.1",
                "-k",
                "",
                "-D",
            ])
            .arg(&data)
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let postgres = Self {
            child,
            address,
            _home: home,
        };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    fn wait_until_ready(&self) -> Result<(), BenchError> {
        let started = Instant::now();
        while let Err(error) = self.connect() {
            if started.elapsed() > Duration::from_secs(30) {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its first process, the parent of all others.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A plain connection.
    pub(super) fn connect(&self) -> Result<Client, BenchError> {
        Ok(Client::connect(self.address, "postgres", "postgres", &[])?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: fast shutdown, passed on by runuser too.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
    }
}

fn is_root() -> Result<bool, BenchError> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// PostgreSQL refuses to run as root: its own user runs it then.
fn as_postgres(root: bool, program: &PathBuf) -> Command {
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(program);
    command
}

fn succeed(command: &mut Command) -> Result<(), BenchError> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
