//! `pgspool bench`: ratios, each of two things measured in one run on this machine.
//!
//! Absolute figures of a shared machine say little; a ratio against a bare file, the loopback or
//! PostgreSQL beside us says whether we add more than we must. Needs PostgreSQL 15's server
//! programs for the rows that compare with it.

mod acks;
mod big_spools;
mod client;
mod copy;
mod door;
mod fanout;
mod hub;
mod memory;
mod postgres;
mod publish;
mod report;
mod server;
mod side;
mod sql;
mod stream;

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use clap::{Args, ValueEnum};

use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::disk::RealDisk;
use crate::engine::{Engine, EngineOptions};

use report::Row;

/// Anything that keeps a measurement from being made; printed, never handled.
type BenchError = Box<dyn Error + Send + Sync>;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Measurement {
    /// Publishing through the library against a bare file.
    Publish,
    /// COPY over the wire against PostgreSQL.
    Copy,
    /// Opening, resuming and pruning a 4 GiB spool against a 64 MiB one.
    BigSpools,
    /// A thousand slots acknowledging.
    Acks,
    /// Streaming to raw readers against the loopback.
    Stream,
    /// SQL beside PostgreSQL, and a storm of queries beside a stream.
    Sql,
    /// Resident memory while ten million records pass a stalled subscriber.
    Memory,
    /// Idle sessions and streams by the thousand, a storm of refused logins, and TLS.
    Door,
    /// What each further pgoutput subscriber costs, beside PostgreSQL.
    Fanout,
    /// Capturing a PostgreSQL and serving eight subscribers, beside that PostgreSQL serving them.
    Hub,
}

/// Arguments of `pgspool bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Measure only these (default: all).
    #[arg(value_enum)]
    only: Vec<Measurement>,
    /// Where to put the files; on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// Where PostgreSQL's server programs are.
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/postgresql/15/bin")]
    postgres: PathBuf,
}

/// Measures and prints the table. `exe` is the pgspool binary that rows with a server start.
pub(super) fn run(args: &BenchArgs, exe: &Path) -> Result<(), BenchError> {
    let home = Home::new(&args.scratch)?;
    let all = Measurement::value_variants();
    let chosen = if args.only.is_empty() {
        all
    } else {
        &args.only
    };
    report::print_heading();
    for measurement in chosen {
        for row in measure(*measurement, home.path(), args, exe)? {
            println!("{row}");
        }
    }
    Ok(())
}

fn measure(
    what: Measurement,
    scratch: &Path,
    args: &BenchArgs,
    exe: &Path,
) -> Result<Vec<Row>, BenchError> {
    match what {
        Measurement::Publish => publish::run(scratch),
        Measurement::Copy => copy::run(scratch, &args.postgres, exe),
        Measurement::BigSpools => big_spools::run(scratch),
        Measurement::Acks => acks::run(scratch),
        Measurement::Stream => stream::run(scratch, exe),
        Measurement::Sql => sql::run(scratch, &args.postgres, exe),
        Measurement::Memory => memory::run(scratch, exe),
        Measurement::Door => door::run(scratch, exe),
        Measurement::Fanout => fanout::run(scratch, &args.postgres, exe),
        Measurement::Hub => hub::run(scratch, &args.postgres, exe),
    }
}

/// A folder that goes with the value.
#[derive(Debug)]
struct Home(PathBuf);

impl Home {
    fn new(parent: &Path) -> Result<Self, BenchError> {
        let now = Moment::now();
        let name = format!(
            "pgspool-bench-{}-{}",
            std::process::id(),
            now.steady.as_nanos()
        );
        let path = parent.join(name);
        fs::create_dir_all(&path)?;
        // PostgreSQL's own user must be able to reach its folder inside.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} was not removed: {error}", self.0.display());
        }
    }
}

/// An engine in a folder of its own.
fn scratch_engine(scratch: &Path) -> Result<(Home, Engine), BenchError> {
    let home = Home::new(scratch)?;
    let (disk, options) = (Arc::new(RealDisk), EngineOptions::default());
    let engine = Engine::open(disk, home.path(), "bench", options, Moment::now())?;
    Ok((home, engine))
}

/// A record whose payload has about 200 bytes.
fn sample_record(id: u64) -> ChangeRecord {
    ChangeRecord::insert("orders", 1_000_000 + id)
        .with_entity(b"{\"qty\":42,\"price\":19.99}".to_vec())
        .with_timestamp(1_700_000_000_000)
}

/// `count` lines of about 200 bytes for COPY.
fn sample_lines(count: u64) -> Result<Vec<u8>, BenchError> {
    let mut lines = Vec::new();
    for id in 0..count {
        let record = sample_record(id);
        lines.extend_from_slice(&crate::change::encode(&record)?);
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A thread's result; a panic in it goes on here.
fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
