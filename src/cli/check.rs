//! `pgspool check`: everything that is on disk, read and held against everything else. Changes
//! nothing. What is wrong is listed on standard output; the exit code says whether anything is.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::disk::RealDisk;
use crate::engine::{self, PRODUCERS_FILE, ProducerStoreError, check_producers};
use crate::relations::{RELATIONS_FILE, RelationStore, RelationStoreError};
use crate::roles::{ROLES_FILE, Roles};
use crate::slots::{SLOTS_FILE, SlotSnapshot, SlotStoreError};
use crate::spool::check::{Fault, SlotPosition, check};
use crate::spool::read_manifest;

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
    let mut sound = check_roles(data.path());
    for name in names {
        let found = match data.database(&name) {
            Ok(folder) => look(&folder),
            // A server does not start beside it.
            Err(error) => Findings {
                notes: Vec::new(),
                faults: vec![with_causes(&error)],
            },
        };
        for line in found.notes.iter().chain(&found.faults) {
            println!("{name}: {line}");
        }
        if found.faults.is_empty() {
            println!("{name}: ok");
        }
        sound &= found.faults.is_empty();
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Reads the roles, which a data directory that was never started has none of.
fn check_roles(data: &Path) -> bool {
    match Roles::inspect(&RealDisk, data) {
        Ok(None) => true,
        Ok(Some(_)) => {
            println!("{ROLES_FILE}: ok");
            true
        }
        Err(error) => {
            println!("{ROLES_FILE}: {}", error.reason);
            false
        }
    }
}

/// What a look at a database found, in lines.
pub(super) struct Findings {
    /// What opening settles by itself.
    pub(super) notes: Vec<String>,
    /// What is wrong.
    pub(super) faults: Vec<String>,
}

/// Reads the whole database in `folder`.
pub(super) fn look(folder: &Path) -> Findings {
    let (positions, broken_store) = match slot_positions(folder) {
        Ok(positions) => (positions, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    let spool = check(&RealDisk, folder, engine::boundary, &positions);
    let (notes, faults): (Vec<_>, Vec<_>) = spool.iter().partition(|fault| fault.is_note);
    let lines = |of: Vec<&Fault>| of.into_iter().map(ToString::to_string).collect::<Vec<_>>();
    Findings {
        notes: lines(notes),
        faults: broken_store
            .into_iter()
            .chain(producers_fault(folder))
            .chain(relations_fault(folder))
            .chain(lines(faults))
            .collect(),
    }
}

/// What is wrong with what is known of the producers. Without a manifest nothing can be said: that
/// is a fault of its own.
fn producers_fault(folder: &Path) -> Option<String> {
    let manifest = read_manifest(&RealDisk, folder).ok()?;
    let (removed, imported) = (manifest.removed_through, manifest.imported_through);
    match check_producers(Arc::new(RealDisk), folder, removed, imported).err()? {
        ProducerStoreError::Corrupt { reason, .. } => Some(format!("{PRODUCERS_FILE}: {reason}")),
        error @ (ProducerStoreError::Io { .. } | ProducerStoreError::Read(_)) => {
            Some(format!("{PRODUCERS_FILE}: {}", with_causes(&error)))
        }
    }
}

/// What is wrong with the relation store. A missing one is made again from the records.
fn relations_fault(folder: &Path) -> Option<String> {
    let error = RelationStore::inspect(&RealDisk, &folder.join(RELATIONS_FILE)).err()?;
    Some(match error {
        RelationStoreError::Corrupt { reason, .. } => format!("{RELATIONS_FILE}: {reason}"),
        RelationStoreError::Io { .. } => format!("{RELATIONS_FILE}: {}", with_causes(&error)),
    })
}

/// Where all slots stand.
fn slot_positions(folder: &Path) -> Result<Vec<SlotPosition>, String> {
    let slots = read_slots(folder).map_err(|error| match error {
        SlotStoreError::Corrupt { reason, .. } => format!("{SLOTS_FILE}: {reason}"),
        SlotStoreError::Io { .. } => format!("{SLOTS_FILE}: {}", with_causes(&error)),
    })?;
    let position = |slot: &SlotSnapshot| SlotPosition {
        name: slot.name.to_string(),
        restart_lsn: slot.restart_lsn,
        valid: slot.invalidation.is_none(),
    };
    Ok(slots.iter().map(position).collect())
}
