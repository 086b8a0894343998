//! Arguments and config into a running server; offline tools.
//!
//! Each command is a module with one function that returns an outcome; this module parses the
//! arguments, runs the command, and prints an error with all its causes. The offline tools take
//! the data directory's lock, so that none of them works beside a running server.

mod bench;
mod capture;
mod captures;
mod cert;
mod check;
mod data_dir;
mod export;
mod first_start;
mod import;
mod inspect;
mod log;
mod offline;
mod reload;
mod repair;
mod role;
mod rule_files;
mod serve;
mod settings;
mod systemd;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::spool::RecoveryMode;

/// A durable spool of change records with replication slots, behind PostgreSQL's logical
/// replication protocol.
#[derive(Debug, Parser)]
#[command(name = "pgspool", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve all databases of the data directory.
    Serve(ServeArgs),
    /// Make a database out of a RedDB spool and its slots.
    Import(ImportArgs),
    /// Write a database as a RedDB spool and its slots.
    Export(ExportArgs),
    /// Show the frames of a segment, a database folder or a RedDB file.
    Inspect(InspectArgs),
    /// Check every frame, segment, index and slot; exit code 1 and a list on any fault.
    Check(CheckArgs),
    /// Set damaged data aside and invalidate the slots that needed it.
    Repair(RepairArgs),
    /// Look at a PostgreSQL that is to be captured, without a server.
    #[command(subcommand)]
    Capture(capture::CaptureCommand),
    /// Make a certificate that signs itself, and its key, for encrypted connections.
    Cert(cert::CertArgs),
    /// Make, list and drop roles, and give them passwords, without a server.
    #[command(subcommand)]
    Role(role::RoleArgs),
    /// Measure ratios against a bare file, the loopback and PostgreSQL.
    Bench(bench::BenchArgs),
}

/// The data directory.
#[derive(Debug, Args)]
struct DataArgs {
    /// Data directory.
    #[arg(long = "data", value_name = "DIR", default_value = "./pgspool-data")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Configuration file [default: pgspool.toml in the data directory, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen: an address or a name such as localhost; may be given several times
    /// [default: 127.0.0.1:5433].
    #[arg(long, value_name = "ADDR:PORT", value_parser = serve::address)]
    listen: Vec<SocketAddr>,
    /// Where to answer for metrics and the status page: a loopback address [default: nowhere].
    /// Others are for the setting admin_listen, since nobody is asked who he is there.
    #[arg(long, value_name = "ADDR:PORT", value_parser = serve::loopback_address)]
    admin: Option<SocketAddr>,
    /// What to do about damage in the newest segment.
    #[arg(long, value_enum, default_value_t = Recovery::FailClosed)]
    recovery: Recovery,
    /// A setting, as in `-c wal_sender_timeout=30s`; may be given several times.
    #[arg(short = 'c', long = "set", value_name = "NAME=VALUE", long_help = settings::help())]
    settings: Vec<String>,
}

/// The names of [`RecoveryMode`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Recovery {
    /// Cut only a torn tail; refuse to open on any other damage.
    FailClosed,
    /// Keep the frames before the first damage, set the rest aside.
    LongestValidPrefix,
}

impl From<Recovery> for RecoveryMode {
    fn from(recovery: Recovery) -> Self {
        match recovery {
            Recovery::FailClosed => Self::FailClosed,
            Recovery::LongestValidPrefix => Self::LongestValidPrefix,
        }
    }
}

#[derive(Debug, Args)]
struct ImportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// RedDB's data path: FILE.rdb, beside which FILE.rdb.logical.wal lies.
    #[arg(long, value_name = "FILE.rdb")]
    reddb: PathBuf,
    /// Database to make.
    #[arg(long, value_name = "NAME")]
    database: String,
    /// A new name for a slot whose id is not a slot name; may be given several times.
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// What to do about damage before the end of the file.
    #[arg(long, value_enum, default_value_t = Recovery::FailClosed)]
    recovery: Recovery,
    /// Output plugin of the imported slots.
    #[arg(long, value_name = "PLUGIN", default_value = "json")]
    slot_plugin: String,
}

#[derive(Debug, Args)]
struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// RedDB's data path to write: makes FILE.rdb.logical.wal and the slots beside it.
    #[arg(long, value_name = "FILE.rdb")]
    reddb: PathBuf,
    /// Database to read.
    #[arg(long, value_name = "NAME")]
    database: String,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// A segment, a database folder, a RedDB spool file, or FILE.rdb beside which one lies.
    path: PathBuf,
    /// One JSON object a frame.
    #[arg(long)]
    json: bool,
    /// Show payloads too.
    #[arg(long)]
    payload: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Data directory.
    #[arg(
        value_name = "DATA",
        default_value = "./pgspool-data",
        conflicts_with = "data"
    )]
    dir: PathBuf,
    /// Data directory, as the other commands take it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["database", "reddb"]))]
struct RepairArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Database to repair.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Instead: RedDB's data path, whose spool file is cut back to its valid frames.
    #[arg(long, value_name = "FILE.rdb")]
    reddb: Option<PathBuf>,
    /// Do it; without this, only say what is wrong.
    #[arg(long)]
    yes: bool,
}

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => report(serve::run(args)).unwrap_or(ExitCode::FAILURE),
        Command::Import(args) => report(import::run(&args)).unwrap_or(ExitCode::FAILURE),
        Command::Export(args) => report(export::run(&args)).unwrap_or(ExitCode::FAILURE),
        Command::Inspect(args) => report(inspect::run(&args)).unwrap_or(could_not_look()),
        Command::Check(args) => report(check::run(args)).unwrap_or(could_not_look()),
        Command::Repair(args) => report(repair::run(&args)).unwrap_or(could_not_look()),
        Command::Capture(args) => report(capture::run(args)).unwrap_or(ExitCode::FAILURE),
        Command::Cert(args) => report(cert::run(&args)).unwrap_or(ExitCode::FAILURE),
        Command::Role(args) => report(role::run(args)).unwrap_or(ExitCode::FAILURE),
        Command::Bench(args) => run_bench(&args).unwrap_or(ExitCode::FAILURE),
    }
}

/// What the tools that look for faults end with when they could not look; 1 says that they found
/// some. A wrong command line ends with it too.
fn could_not_look() -> ExitCode {
    ExitCode::from(2)
}

fn run_bench(args: &bench::BenchArgs) -> Option<ExitCode> {
    let measured = std::env::current_exe()
        .map_err(Into::into)
        .and_then(|exe| bench::run(args, &exe));
    match measured {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("pgspool: {}", with_causes(error.as_ref()));
            None
        }
    }
}

/// Prints an error with its causes.
fn report<E: Error>(outcome: Result<ExitCode, E>) -> Option<ExitCode> {
    outcome
        .inspect_err(|error| eprintln!("pgspool: {}", with_causes(error)))
        .ok()
}

/// An error and its causes on one line. A cause whose words are already there is not repeated.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let cli = Cli::parse_from(["pgspool", "serve"]);
        let Command::Serve(args) = cli.command else {
            panic!("serve is serve");
        };
        assert_eq!(args.data.dir, PathBuf::from("./pgspool-data"));
        assert_eq!(args.listen, []);
        let listen = settings::Loaded::default().settings.server.listen;
        assert_eq!(listen, ["127.0.0.1:5433".parse().unwrap()]);
        assert_eq!(args.recovery, Recovery::FailClosed);
    }
}
