//! `pgspool import`: a database out of a RedDB spool and its slots.
//!
//! Two passes: the first reads and judges everything and writes nothing; the second builds the
//! database in a folder of its own, which is renamed into place once it is complete and durable.
//! So a refused or interrupted import leaves the data directory as it was. Payloads are not
//! touched; positions are multiplied by 64.

mod build;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::clock::Moment;
use crate::engine::{DEFAULT_DATABASE, Databases, OpenError};
use crate::lsn::Lsn;
use crate::slots::SlotName;
use crate::spool::MIN_LSN_STEP;
use crate::spool::reddb_file::{RedDbEnd, RedDbError};

use super::ImportArgs;
use super::data_dir::{DataDir, DataDirError};
use super::settings::{CONFIG_FILE, SettingError, Sources};
use source::Source;

/// RedDB positions above this cannot be multiplied: 2^57.
const MAX_POSITION: u64 = 1 << 57;

/// Why an import was refused. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    DatabaseName(#[from] OpenError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("\"{0}\" is not a renaming; write it as old=new")]
    Renaming(String),
    #[error(transparent)]
    Plugin(#[from] crate::plugins::PluginError),
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: RedDbError,
    },
    #[error("frame at offset {offset}: {reason}")]
    Frame { offset: u64, reason: String },
    #[error("{}", path.display())]
    Slots {
        path: PathBuf,
        #[source]
        source: crate::slots::reddb::RedSlotsError,
    },
    #[error("{0}; give them names with --rename old=new")]
    SlotIds(#[source] crate::slots::reddb::RefusedIds),
    #[error("slot \"{slot}\": position {position} is above 2^57")]
    SlotPosition { slot: SlotName, position: u64 },
    #[error("database \"{0}\" holds records or slots already")]
    NotEmpty(String),
    #[error("cannot build the database: {action}")]
    Build {
        action: &'static str,
        #[source]
        source: build::BuildError,
    },
}

/// Runs the command.
pub(super) fn run(args: &ImportArgs) -> Result<ExitCode, ImportError> {
    let now = Moment::now();
    Databases::dir(&args.data.dir, &args.database)?;
    crate::plugins::Plugin::parse(&args.slot_plugin)?;
    let renames = renames(&args.rename)?;
    let source = Source::survey(&args.reddb, &renames, args.recovery.into(), now)?;
    let data = DataDir::create(&args.data.dir)?;
    check_number(&data, &args.database)?;
    build::check_vacant(&data, &args.database)?;
    build::database(&data, &args.database, &source, &args.slot_plugin, now)?;
    print_report(&source, &args.database);
    Ok(ExitCode::SUCCESS)
}

/// Refuses one database more than the server would open.
fn check_number(data: &DataDir, name: &str) -> Result<(), ImportError> {
    let sources = Sources {
        file: data.path().join(CONFIG_FILE),
        file_named: false,
        flags: Vec::new(),
    };
    let most = sources.load()?.settings.engine.max_databases;
    let mut names = data.names()?;
    names.push(name.to_owned());
    // The server makes this one.
    names.push(DEFAULT_DATABASE.to_owned());
    names.sort();
    names.dedup();
    if names.len() > most {
        return Err(OpenError::TooManyDatabases {
            num_databases: names.len(),
            most,
        }
        .into());
    }
    Ok(())
}

fn renames(texts: &[String]) -> Result<Vec<(String, String)>, ImportError> {
    let pair = |text: &String| match text.rsplit_once('=') {
        Some((old, new)) => Ok((old.to_owned(), new.to_owned())),
        None => Err(ImportError::Renaming(text.clone())),
    };
    texts.iter().map(pair).collect()
}

/// Where a RedDB position stands here.
fn scaled(position: u64) -> Option<Lsn> {
    let fits = position <= MAX_POSITION;
    let product = position.checked_mul(MIN_LSN_STEP).filter(|_| fits)?;
    Some(Lsn::new(product))
}

fn print_report(source: &Source, database: &str) {
    let survey = &source.frames;
    println!(
        "imported {} records into database \"{database}\": v1 {}, v2 {}, v3 {}, v3 with epoch {}",
        survey.num_frames, survey.num_v1, survey.num_v2, survey.num_v3, survey.num_v3_epoch
    );
    println!(
        "positions {}..{} became {}..{}",
        survey.first_position,
        survey.last_position,
        scaled(survey.first_position).unwrap_or_default(),
        scaled(survey.last_position).unwrap_or_default()
    );
    if survey.num_v3_epoch > 0 {
        println!("ownership epochs were not kept");
    }
    for slot in &source.slots {
        let state = slot.invalidation.map_or_else(String::new, |invalidation| {
            format!(", invalidated ({})", invalidation.cause.as_str())
        });
        println!("slot {} at {}{state}", slot.name, slot.restart_lsn);
        if let Some(position) = slot.stood_above {
            println!("  it stood at {position}, above the last record: put at the last record");
        }
    }
    match &survey.end {
        RedDbEnd::Clean => {}
        RedDbEnd::Torn {
            offset,
            bytes,
            reason,
        } => println!("left out a torn end of {bytes} bytes at offset {offset}: {reason}"),
        RedDbEnd::Corrupt {
            offset,
            bytes,
            reason,
        } => println!(
            "left out damage and all behind it, {bytes} bytes at offset {offset}: {reason}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_multiplied_by_64_up_to_two_to_the_57() {
        assert_eq!(scaled(0), Some(Lsn::ZERO));
        assert_eq!(scaled(600), Some(Lsn::new(38_400)));
        assert_eq!(scaled(MAX_POSITION), Some(Lsn::new(1 << 63)));
        assert_eq!(scaled(MAX_POSITION + 1), None);
        assert_eq!(scaled(u64::MAX), None);
    }

    #[test]
    fn a_renaming_may_hold_an_equals_sign_in_the_old_name() {
        let pairs = renames(&["a=b=c".to_owned()]).unwrap();
        assert_eq!(pairs, [("a=b".to_owned(), "c".to_owned())]);
        assert!(renames(&["a".to_owned()]).is_err());
    }
}
