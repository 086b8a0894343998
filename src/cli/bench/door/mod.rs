//! The front door under load: what it costs to be connected, what refused logins take from a
//! stream, and what TLS takes from it.

mod idle;
mod login;
mod reader;
mod storm;
mod tls;

use std::path::Path;

use super::BenchError;
use super::report::Row;
use super::server::ServerProcess;

/// A role without rights but to log in and to stream, and what it logs in with.
const ROLE: &str = "guest";
const PASSWORD: &str = "let the guest in";

/// All rows.
pub(super) fn run(scratch: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    let mut rows = idle::run(scratch, exe)?;
    rows.extend(storm::run(scratch, exe)?);
    rows.push(tls::run(scratch, exe)?);
    Ok(rows)
}

/// Makes the role, with rights enough for its own streams.
fn make_role(server: &ServerProcess) -> Result<(), BenchError> {
    let mut control = server.connect()?;
    control.query(&format!(
        "CREATE ROLE {ROLE} LOGIN REPLICATION PASSWORD '{PASSWORD}'"
    ))?;
    control.query(&format!("GRANT CONNECT ON DATABASE pgspool TO {ROLE}"))?;
    Ok(())
}
