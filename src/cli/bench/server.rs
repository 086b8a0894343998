//! A pgspool server in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::client::Client;
use super::{BenchError, Home};

/// A running server; killed and removed with the value.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    address: SocketAddr,
    status: Option<SocketAddr>,
    home: Home,
}

impl ServerProcess {
    /// Starts `exe serve` on a port of its own choice.
    pub(super) fn start(exe: &Path, scratch: &Path) -> Result<Self, BenchError> {
        Self::start_with(exe, scratch, &[], "warn")
    }

    /// The same with settings, and with a log of this level, which goes into a file.
    ///
    /// The role of the bench itself is trusted, also under TLS; all others need a password.
    pub(super) fn start_with(
        exe: &Path,
        scratch: &Path,
        settings: &[&str],
        log_level: &str,
    ) -> Result<Self, BenchError> {
        let home = Home::new(scratch)?;
        let data = home.path().join("data");
        fs::create_dir_all(&data)?;
        // There is nothing in it but what the bench publishes.
        fs::write(
            data.join("pg_hba.conf"),
            "host all pgspool 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
        )?;
        let mut command = Command::new(exe);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if settings.contains(&"ssl=on") {
            make_certificate(exe, &data)?;
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        if log_level != "warn" {
            command.stderr(fs::File::create(home.path().join("log"))?);
        }
        let mut child = command
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", log_level)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let (mut address, mut status) = (None, None);
        let is_watched = settings.iter().any(|set| set.starts_with("admin_listen="));
        while address.is_none() || (is_watched && status.is_none()) {
            let line = lines
                .next()
                .ok_or("the server did not say where it listens")??;
            if let Some(found) = line.strip_prefix("listening on ") {
                address = found.parse().ok();
            }
            if let Some(found) = line.strip_prefix("status on http://") {
                status = found.trim_end_matches('/').parse().ok();
            }
        }
        let address = address.ok_or("the server did not say where it listens")?;
        // Its further output must go somewhere, or it would wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            child,
            address,
            status,
            home,
        })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged, where it logs into a file.
    pub(super) fn log(&self) -> Result<String, BenchError> {
        Ok(fs::read_to_string(self.home.path().join("log"))?)
    }

    /// Its metrics, where it has `admin_listen`.
    pub(super) fn metrics(&self) -> Result<String, BenchError> {
        let mut socket = TcpStream::connect(self.status.ok_or("no admin_listen")?)?;
        socket
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Its certificate, where it has TLS.
    pub(super) fn certificate(&self) -> PathBuf {
        self.home.path().join("data/server.crt")
    }

    /// A plain connection.
    pub(super) fn connect(&self) -> Result<Client, BenchError> {
        Ok(Client::connect(self.address, "pgspool", "pgspool", &[])?)
    }

    /// A replication connection without a timeout.
    pub(super) fn connect_replication(&self) -> Result<Client, BenchError> {
        let more = [
            ("replication", "database"),
            ("options", "-c wal_sender_timeout=0"),
        ];
        Ok(Client::connect(self.address, "pgspool", "pgspool", &more)?)
    }

    /// Resident memory, bytes.
    pub(super) fn resident(&self) -> Result<u64, BenchError> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.ok_or("no VmRSS")? * 1024)
    }
}

/// A certificate of its own, and its key.
fn make_certificate(exe: &Path, data: &Path) -> Result<(), BenchError> {
    let mut command = Command::new(exe);
    let made = command.arg("cert").arg("--data").arg(data).output()?;
    if made.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&made.stderr).into())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A bench server has nothing to keep.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
