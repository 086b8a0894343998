//! `pgspool role`: roles without a server, for a first start that is prepared and for a password
//! that was lost. It takes the data directory's lock, as every tool that changes something.
//!
//! A password never stands on the command line, where others could read it: it comes out of a
//! file or standard input, or is made here and printed once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::DataArgs;
use super::data_dir::{DataDir, DataDirError};
use super::first_start::{self, FirstStartError};
use super::rule_files::RuleFileNames;
use crate::disk::RealDisk;
use crate::engine::{DEFAULT_DATABASE, Databases};
use crate::roles::{
    NoRandomness, Role, RoleChanges, RoleCommand, RoleError, RoleOpenError, Roles, Verifier,
    random_password,
};

/// What `pgspool role` does.
#[derive(Debug, Subcommand)]
pub(super) enum RoleArgs {
    /// Make a role; the data directory too, if it is missing.
    Add(AddArgs),
    /// List the roles.
    List(ListArgs),
    /// Remove a role.
    Drop(DropArgs),
    /// Give a role a new password.
    Password(PasswordArgs),
    /// Write the default pg_hba.conf, unless there is one.
    Rules(ListArgs),
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(super) struct AddArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Its name.
    name: String,
    /// It may not log in, and needs no password.
    #[arg(long)]
    no_login: bool,
    /// It may do everything and use every database.
    #[arg(long)]
    superuser: bool,
    /// It may use replication commands and slots.
    #[arg(long)]
    replication: bool,
    /// It may publish changes and define tables and publications.
    #[arg(long)]
    publish: bool,
    /// It may see the slots, streams and sessions of others.
    #[arg(long)]
    monitor: bool,
    /// A database that it may use; may be given several times.
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// Most sessions at a time [default: no limit].
    #[arg(long, value_name = "N")]
    connection_limit: Option<u32>,
    /// Until when its password counts, such as 2030-01-01T00:00:00Z; UTC where no zone is named.
    #[arg(long, value_name = "TIME", value_parser = unix_ms)]
    valid_until: Option<u64>,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Args)]
pub(super) struct DropArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Its name.
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct PasswordArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Whose.
    name: String,
    #[command(flatten)]
    password: PasswordSource,
}

/// Where a password comes from; without any of these one is made and printed.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct PasswordSource {
    /// Read the password, or a SCRAM-SHA-256 verifier of it, from a file.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the password, or a SCRAM-SHA-256 verifier of it, from standard input.
    #[arg(long)]
    password_stdin: bool,
}

/// Why the roles were not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoleToolError {
    #[error(transparent)]
    Data(#[from] DataDirError),
    #[error(transparent)]
    Open(#[from] RoleOpenError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    Rules(#[from] FirstStartError),
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error("cannot read a password from {from}")]
    Read {
        from: String,
        #[source]
        source: io::Error,
    },
    #[error("the password from {0} is empty")]
    Empty(String),
    #[error("what is in {0} begins as a SCRAM-SHA-256 verifier does and is none")]
    Verifier(String),
}

/// Runs the command.
pub(super) fn run(args: RoleArgs) -> Result<ExitCode, RoleToolError> {
    match args {
        RoleArgs::Add(args) => add(args)?,
        RoleArgs::List(args) => list(&args.data.dir)?,
        RoleArgs::Drop(args) => {
            let data = DataDir::open(&args.data.dir)?;
            let names = vec![args.name];
            let if_exists = false;
            open(&data)?.apply(&RoleCommand::Drop { names, if_exists })?;
        }
        RoleArgs::Rules(args) => {
            let data = DataDir::open(&args.data.dir)?;
            first_start::write_rules(&default_rules(&data))?;
        }
        RoleArgs::Password(args) => {
            let data = DataDir::open(&args.data.dir)?;
            let roles = open(&data)?;
            let (verifier, made) = args.password.verifier()?;
            let changes = RoleChanges {
                verifier: Some(Some(verifier)),
                ..RoleChanges::default()
            };
            let name = args.name;
            roles.apply(&RoleCommand::Alter { name, changes })?;
            print_made(made);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(data: &DataDir) -> Result<Roles, RoleOpenError> {
    Databases::open_roles(Arc::new(RealDisk), data.path())
}

fn default_rules(data: &DataDir) -> PathBuf {
    data.path().join(RuleFileNames::default().hba)
}

fn add(args: AddArgs) -> Result<(), RoleToolError> {
    let data = DataDir::create(&args.data.dir)?;
    for name in &args.databases {
        // The first start makes it.
        if name != DEFAULT_DATABASE {
            data.database(name)?;
        }
    }
    let roles = open(&data)?;
    if roles.current().is_empty() {
        // What the first start would write; it finds roles then.
        first_start::write_rules(&default_rules(&data))?;
    }
    let (verifier, made) = if args.no_login && args.password.is_none() {
        (None, None)
    } else {
        let (verifier, made) = args.password.verifier()?;
        (Some(verifier), made)
    };
    let changes = RoleChanges {
        login: Some(!args.no_login),
        superuser: Some(args.superuser),
        replication: Some(args.replication),
        publish: Some(args.publish),
        monitor: Some(args.monitor),
        verifier: Some(verifier),
        connection_limit: Some(args.connection_limit),
        valid_until_unix_ms: Some(args.valid_until),
        databases: Some(BTreeSet::from_iter(args.databases)),
    };
    let name = args.name;
    roles.apply(&RoleCommand::Create { name, changes })?;
    print_made(made);
    Ok(())
}

/// The one time that it is told.
fn print_made(password: Option<String>) {
    if let Some(password) = password {
        println!("password: {password}");
    }
}

/// Reads without the lock: the file is replaced whole, beside a running server too.
fn list(data: &Path) -> Result<(), RoleToolError> {
    if !data.is_dir() {
        return Err(DataDirError::Missing(data.to_owned()).into());
    }
    let roles = Roles::inspect(&RealDisk, data)?.unwrap_or_default();
    if roles.is_empty() {
        println!("no roles");
    }
    for role in roles.iter() {
        println!("{}", line(role));
    }
    Ok(())
}

/// A role in one line.
fn line(role: &Role) -> String {
    let rights = [
        (!role.rights.login, "no login".to_owned()),
        (role.rights.superuser, "superuser".to_owned()),
        (role.rights.replication, "replication".to_owned()),
        (role.rights.publish, "publish".to_owned()),
        (role.rights.monitor, "monitor".to_owned()),
        (
            role.rights.login && role.verifier.is_none(),
            "no password".to_owned(),
        ),
    ];
    let limit = role.connection_limit;
    let until = role.valid_until_unix_ms.map(|ms| {
        let time = i64::try_from(ms).map(Timestamp::from_millisecond);
        let time = time.ok().and_then(Result::ok);
        time.map_or_else(|| format!("{ms} ms"), |time| time.to_string())
    });
    let databases = match role.rights.superuser {
        true => "all".to_owned(),
        false => Vec::from_iter(role.databases.iter().map(String::as_str)).join(", "),
    };
    let has = rights.into_iter().filter(|(has, _)| *has);
    let mut words: Vec<String> = has.map(|(_, word)| word).collect();
    words.extend(limit.map(|limit| format!("at most {limit} connections")));
    words.extend(until.map(|until| format!("password valid until {until}")));
    words.push(match databases.as_str() {
        "" => "no database".to_owned(),
        some => format!("databases: {some}"),
    });
    format!("{}: {}", role.name, words.join("; "))
}

impl PasswordSource {
    const fn is_none(&self) -> bool {
        self.password_file.is_none() && !self.password_stdin
    }

    /// What to check the password with, and the password if it was made here.
    fn verifier(&self) -> Result<(Verifier, Option<String>), RoleToolError> {
        if self.is_none() {
            let made = random_password()?;
            return Ok((Verifier::of_password(&made)?, Some(made)));
        }
        let (from, read) = match &self.password_file {
            Some(path) => (path.display().to_string(), fs::read_to_string(path)),
            None => {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                ("standard input".to_owned(), read.map(|_| text))
            }
        };
        let text = match read {
            Ok(text) => text,
            Err(source) => return Err(RoleToolError::Read { from, source }),
        };
        // The end of the line is the editor's.
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let password = line.strip_suffix('\r').unwrap_or(line);
        if password.is_empty() {
            return Err(RoleToolError::Empty(from));
        }
        match password.parse() {
            Ok(verifier) => Ok((verifier, None)),
            Err(_) if password.starts_with("SCRAM-SHA-256$") => Err(RoleToolError::Verifier(from)),
            Err(_) => Ok((Verifier::of_password(password)?, None)),
        }
    }
}

/// A time, in unix milliseconds.
fn unix_ms(text: &str) -> Result<u64, String> {
    let time = text.parse::<Timestamp>().or_else(|_| {
        let local: DateTime = text.parse()?;
        TimeZone::UTC.to_timestamp(local)
    });
    let time = time.map_err(|error| error.to_string())?;
    Ok(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_where_no_zone_is_named() {
        assert_eq!(unix_ms("1970-01-02"), Ok(86_400_000));
        assert_eq!(unix_ms("1970-01-02T01:00:00+01:00"), Ok(86_400_000));
        assert_eq!(unix_ms("1970-01-02 00:00:01.5"), Ok(86_401_500));
        assert_eq!(unix_ms("1960-01-02"), Ok(0));
        assert!(unix_ms("soon").is_err());
    }
}
