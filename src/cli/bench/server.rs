//! A pgspool server in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::client::Client;
use super::{BenchError, Home};

/// A running server; killed and removed with the value.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    address: SocketAddr,
    _home: Home,
}

impl ServerProcess {
    /// Starts `exe serve` on a port of its own choice.
    pub(super) fn start(exe: &Path, scratch: &Path) -> Result<Self, BenchError> {
        let home = Home::new(scratch)?;
        let data = home.path().join("data");
        fs::create_dir_all(&data)?;
        // There is nothing in it but what the bench publishes, and its client knows no passwords.
        fs::write(
            data.join("pg_hba.conf"),
            "host all pgspool 127.0.0.1/32 trust\n",
        )?;
        let mut child = Command::new(exe)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut address = None;
        for line in lines.by_ref() {
            address = line?.split_whitespace().find_map(|word| word.parse().ok());
            if address.is_some() {
                break;
            }
        }
        let address = address.ok_or("the server did not say where it listens")?;
        // Its further output must go somewhere, or it would wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            child,
            address,
            _home: home,
        })
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

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A bench server has nothing to keep.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
