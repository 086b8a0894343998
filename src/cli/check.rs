//! `pgspool check`: everything that is on disk, read and held against everything else. Changes
//! nothing. What is wrong is listed on standard output; the exit code says whether anything is.

use std::path::Path;
use std::process::ExitCode;

use crate::disk::RealDisk;
use crate::engine;
use crate::lsn::Lsn;
use crate::slots::{SLOTS_FILE, SlotStoreError};
use crate::spool::check;

use super::data_dir::{DataDir, DataDirError};
use super::offline::read_slots;
use super::{CheckArgs, with_causes};

/// Runs the command.
pub(super) fn run(args: CheckArgs) -> Result<ExitCode, DataDirError> {
    let data = DataDir::open(&args.data.unwrap_or(args.dir))?;
    let names = data.names()?;
    if names.is_empty() {
        println!("no databases");
    }
    let mut sound = true;
    for name in names {
        let faults = faults(&data.database(&name)?);
        if faults.is_empty() {
            println!("{name}: ok");
        }
        for fault in &faults {
            println!("{name}: {fault}");
        }
        sound &= faults.is_empty();
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is wrong with the database in `folder`.
pub(super) fn faults(folder: &Path) -> Vec<String> {
    let (positions, broken_store) = match slot_positions(folder) {
        Ok(positions) => (positions, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    let spool = check::check(&RealDisk, folder, engine::boundary, &positions);
    let spool = spool.iter().map(ToString::to_string);
    broken_store.into_iter().chain(spool).collect()
}

/// Names and positions of the slots that still need data.
fn slot_positions(folder: &Path) -> Result<Vec<(String, Lsn)>, String> {
    let slots = read_slots(folder).map_err(|error| match error {
        SlotStoreError::Corrupt { reason, .. } => format!("{SLOTS_FILE}: {reason}"),
        SlotStoreError::Io { .. } => format!("{SLOTS_FILE}: {}", with_causes(&error)),
    })?;
    let valid = slots.iter().filter(|slot| slot.invalidation.is_none());
    Ok(valid
        .map(|slot| (slot.name.to_string(), slot.restart_lsn))
        .collect())
}
