//! `pgspool capture check`: whether an upstream can be captured, and what to do where not.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tokio::runtime::Builder;

use crate::capture::{CheckRequest, Conninfo, ConninfoError, Verdict, check};
use crate::captures::PasswordSource;

/// What to do about capture.
#[derive(Debug, Subcommand)]
pub(super) enum CaptureCommand {
    /// Look at an upstream: each thing that is missing comes with the statement that mends it, and
    /// the exit code is 1 then. Changes nothing.
    Check(CaptureCheckArgs),
}

/// An upstream to look at.
#[derive(Debug, Args)]
pub(super) struct CaptureCheckArgs {
    /// Connection string of the upstream, without a password.
    #[arg(long, value_name = "CONNINFO")]
    upstream: String,
    /// Publication that is to be captured; may be said more than once.
    #[arg(long, value_name = "NAME")]
    publication: Vec<String>,
    /// Slot that is to be used.
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,
    /// A publication that is not there will be made (create_publication = true).
    #[arg(long)]
    create_publication: bool,
    /// File whose first line is the password; otherwise PGPASSWORD is, if it is set.
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    password_file: Option<PathBuf>,
    /// Environment variable with the password.
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureCheckError {
    #[error(transparent)]
    Conninfo(#[from] ConninfoError),
    #[error("cannot start the runtime")]
    Runtime(#[from] std::io::Error),
}

/// Runs the command.
pub(super) fn run(command: CaptureCommand) -> Result<ExitCode, CaptureCheckError> {
    let CaptureCommand::Check(args) = command;
    Conninfo::parse(&args.upstream)?;
    let environment = || match std::env::var_os("PGPASSWORD") {
        Some(_) => PasswordSource::Environment("PGPASSWORD".to_owned()),
        None => PasswordSource::None,
    };
    let request = CheckRequest {
        upstream: args.upstream,
        password: match (args.password_file, args.password_env) {
            (Some(file), _) => PasswordSource::File(file),
            (None, Some(name)) => PasswordSource::Environment(name),
            (None, None) => environment(),
        },
        publications: args.publication,
        slot: args.slot,
        create_publication: args.create_publication,
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let findings = runtime.block_on(check(&request));
    for finding in &findings {
        println!(
            "{:7} {}: {}",
            finding.verdict.name(),
            finding.name,
            finding.words
        );
        if let Some(remedy) = &finding.remedy {
            println!("        {remedy}");
        }
    }
    let is_missing = findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Missing);
    Ok(if is_missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
