//! A server that serves streams, and what that costs it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::BenchError;
use super::client::Client;
use super::report::real;

/// Unit of the times in /proc.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server that is measured.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) address: SocketAddr,
    pub(super) user: &'static str,
    pub(super) database: &'static str,
    pub(super) pid: u32,
    /// Streams are served by processes of their own, which count when they have ended.
    pub(super) forks: bool,
}

impl Side {
    /// A plain connection.
    pub(super) fn connect(&self) -> Result<Client, BenchError> {
        Ok(Client::connect(
            self.address,
            self.user,
            self.database,
            &[],
        )?)
    }

    /// CPU seconds that it costs to send everything up to `end` to a reader of each slot.
    pub(super) fn serve(
        &self,
        bin: &Path,
        slots: &[String],
        publication: &str,
        end: &str,
    ) -> Result<f64, BenchError> {
        let before = self.cpu()?;
        let children: Vec<Child> = slots
            .iter()
            .map(|slot| self.receive(bin, slot, publication, end))
            .collect::<Result<_, _>>()?;
        for child in children {
            let ended = child.wait_with_output()?;
            if !ended.status.success() {
                let words = String::from_utf8_lossy(&ended.stderr).into_owned();
                return Err(format!("pg_recvlogical: {words}").into());
            }
        }
        // The last walsender is gone in a moment.
        thread::sleep(Duration::from_secs(1));
        Ok(self.cpu()? - before)
    }

    fn receive(
        &self,
        bin: &Path,
        slot: &str,
        publication: &str,
        end: &str,
    ) -> Result<Child, BenchError> {
        let child = Command::new(bin.join("pg_recvlogical"))
            .args(["--start", "--no-loop", "-f", "/dev/null", "-F", "0"])
            .args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()])
            .args(["-U", self.user, "-d", self.database, "-S", slot])
            .args(["-o", "proto_version=1", "-o"])
            .arg(format!("publication_names={publication}"))
            .arg(format!("--endpos={end}"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    /// CPU seconds spent so far.
    pub(super) fn cpu(&self) -> Result<f64, BenchError> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name may hold anything; what follows it begins with the state, field 3.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
        let first = if self.forks { 16 } else { 14 };
        let times = fields.split_whitespace().skip(first - 3).take(2);
        let ticks: Vec<u64> = times.map(str::parse).collect::<Result<_, _>>()?;
        Ok(real(ticks.iter().sum()) / TICKS_PER_SECOND)
    }
}
