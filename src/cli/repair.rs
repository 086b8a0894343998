//! `pgspool repair`: make a damaged database open again, on an operator's word.
//!
//! Without `--yes` it only lists what is wrong. With it, damaged data is set aside (never
//! deleted), and the slots that needed any of it are invalidated, so that no subscriber goes on
//! over a gap without knowing. An interrupted repair is run again before the database is served.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::clock::Moment;
use crate::disk::{Disk, RealDisk, replace_file};
use crate::engine::{
    self, PRODUCERS_FILE, ProducerStoreError, producers_counted, repair_producers,
};
use crate::lsn::Lsn;
use crate::relations::{RELATIONS_FILE, RelationStore, RelationStoreError};
use crate::slots::{InvalidationCause, PersistError, SLOTS_FILE, SlotStore, SlotStoreError, reddb};
use crate::spool::reddb_file::{RedDbEnd, RedDbError, RedDbNames, RedDbReader, repair_file};
use crate::spool::repair::{RepairOptions, RepairReport, quarantine_file, repair};
use crate::spool::{NewSpool, OpenError, RecoveryMode, read_manifest};

use super::RepairArgs;
use super::check::{Findings, look};
use super::data_dir::{DataDir, DataDirError};

/// What that means for producers that number their records.
const NUMBERS_GONE: &str =
    "a record whose number was only there is stored again when its producer sends it again";

/// What an operator has to do when there is no slot any more.
const SLOTS_GONE: &str = "all slots are gone: create them again and load their subscribers anew";

/// Why a repair was not made, or not finished.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepairError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Spool(#[from] OpenError),
    #[error(transparent)]
    Slots(#[from] SlotStoreError),
    #[error(transparent)]
    Persist(#[from] PersistError),
    #[error(transparent)]
    Relations(#[from] RelationStoreError),
    #[error(transparent)]
    Producers(#[from] ProducerStoreError),
    #[error("cannot move {} to the quarantine", path.display())]
    Quarantine {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}", path.display())]
    RedDb {
        path: PathBuf,
        #[source]
        source: RedDbError,
    },
}

/// Runs the command.
pub(super) fn run(args: &RepairArgs) -> Result<ExitCode, RepairError> {
    match (&args.reddb, &args.database) {
        (Some(data_path), _) => reddb(&RedDbNames::of(data_path), args.yes),
        (None, Some(name)) => {
            let data = DataDir::open(&args.data.dir)?;
            database(&data.database(name)?, args.yes)
        }
        // The command line demands one of them.
        (None, None) => Ok(ExitCode::FAILURE),
    }
}

fn database(folder: &Path, yes: bool) -> Result<ExitCode, RepairError> {
    let Findings { notes, faults } = look(folder);
    for note in &notes {
        println!("{note}");
    }
    if faults.is_empty() {
        println!("nothing is wrong");
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        println!("{fault}");
    }
    if !yes {
        println!("with --yes: set this aside and invalidate the slots that needed it");
        return Ok(ExitCode::FAILURE);
    }
    let now = Moment::now();
    let slots = open_slots(folder, now)?;
    set_relations_aside(folder)?;
    // A damaged one counts nothing.
    let counted = producers_counted(Arc::new(RealDisk), folder).unwrap_or_default();
    let options = RepairOptions {
        boundary: engine::boundary,
        persisted_position: slots.highest_persisted().max(counted),
        new: NewSpool {
            system_id: 0,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        },
    };
    let report = repair(&RealDisk, folder, &options)?;
    print_report(&report);
    invalidate(&slots, &report, now)?;
    producers(folder)?;
    Ok(ExitCode::SUCCESS)
}

/// The slot store. A damaged one is set aside, in place of a lost one an empty one is made, and
/// there are no slots then.
fn open_slots(folder: &Path, now: Moment) -> Result<SlotStore, RepairError> {
    let path = folder.join(SLOTS_FILE);
    if !path.exists() {
        println!("made an empty {SLOTS_FILE}");
        println!("{SLOTS_GONE}");
    }
    match SlotStore::open(Arc::new(RealDisk), &path, now) {
        Err(SlotStoreError::Corrupt { .. }) => {
            let moved = quarantine_file(&RealDisk, folder, folder, SLOTS_FILE);
            let kept_in = moved.map_err(|source| RepairError::Quarantine {
                path: path.clone(),
                source,
            })?;
            if let Some(kept_in) = kept_in {
                println!("moved {SLOTS_FILE} to {}", kept_in.display());
            }
            println!("{SLOTS_GONE}");
            Ok(SlotStore::open(Arc::new(RealDisk), &path, now)?)
        }
        opened => Ok(opened?),
    }
}

/// Sets a damaged relation store aside. The next start finds the collections in the records again;
/// what was declared is gone.
fn set_relations_aside(folder: &Path) -> Result<(), RepairError> {
    let path = folder.join(RELATIONS_FILE);
    let Err(error) = RelationStore::inspect(&RealDisk, &path) else {
        return Ok(());
    };
    if matches!(error, RelationStoreError::Io { .. }) {
        return Err(error.into());
    }
    let moved = quarantine_file(&RealDisk, folder, folder, RELATIONS_FILE);
    let kept_in = moved.map_err(|source| RepairError::Quarantine { path, source })?;
    if let Some(kept_in) = kept_in {
        println!("moved {RELATIONS_FILE} to {}", kept_in.display());
    }
    println!("all publications and declared tables are gone: create them again");
    Ok(())
}

fn print_report(report: &RepairReport) {
    if report.rebuilt_manifest {
        println!("made a new manifest from the segments, with a new system identifier");
    }
    for file in &report.quarantined {
        println!(
            "moved {} to {}: {}",
            file.file,
            file.kept_in.display(),
            file.reason
        );
    }
    if let Some(cut) = &report.cut {
        println!(
            "cut {} bytes off {} at offset {} and kept them in {}: {}",
            cut.bytes,
            cut.segment,
            cut.offset,
            cut.kept_in.display(),
            cut.reason
        );
    }
    for lost in &report.lost {
        println!(
            "lost: what ended above {}, up to {}",
            lost.after, lost.through
        );
    }
    for name in &report.rebuilt_indexes {
        println!("made {name} anew");
    }
    println!(
        "readable from {}, head {}",
        report.removed_through, report.head
    );
}

/// Lets the database open with what is still known of its producers. A damaged file is set aside.
fn producers(folder: &Path) -> Result<(), RepairError> {
    let manifest = read_manifest(&RealDisk, folder)?;
    let (removed, imported) = (manifest.removed_through, manifest.imported_through);
    let repair = || repair_producers(Arc::new(RealDisk), folder, removed, imported);
    let repaired = match repair() {
        Err(ProducerStoreError::Corrupt { .. }) => {
            let moved = quarantine_file(&RealDisk, folder, folder, PRODUCERS_FILE);
            let kept_in = moved.map_err(|source| RepairError::Quarantine {
                path: folder.join(PRODUCERS_FILE),
                source,
            })?;
            if let Some(kept_in) = kept_in {
                println!("moved {PRODUCERS_FILE} to {}", kept_in.display());
            }
            repair()?;
            true
        }
        repaired => repaired?,
    };
    if repaired {
        println!("{PRODUCERS_FILE} no longer counts what is not readable: {NUMBERS_GONE}");
    }
    Ok(())
}

/// Invalidates every slot that would miss something, also for what an earlier repair set aside and
/// did not come to invalidate.
fn invalidate(slots: &SlotStore, report: &RepairReport, now: Moment) -> Result<(), RepairError> {
    for slot in slots.snapshot() {
        let gone = report.lost.iter().map(|lost| lost.through);
        let needed = gone.max().unwrap_or_default().max(report.removed_through);
        if slot.restart_lsn < needed
            && slots.invalidate(&slot.name, InvalidationCause::WalRemoved, now)?
        {
            println!("invalidated slot {}", slot.name);
        }
    }
    Ok(())
}

/// Cuts a RedDB spool file back to its valid frames.
///
/// Records behind the damage go with it, and nobody knows which: the slots beside the file are
/// invalidated first, or an import of the repaired file would let them go on over the gap.
fn reddb(names: &RedDbNames, yes: bool) -> Result<ExitCode, RepairError> {
    let path = &names.spool;
    let failed = |source| RepairError::RedDb {
        path: path.to_owned(),
        source,
    };
    if !yes {
        return show_end(path).map_err(failed);
    }
    let end = read_to_end(path).map_err(failed)?;
    if matches!(end, RedDbEnd::Corrupt { .. }) {
        invalidate_reddb_slots(&names.slots)?;
    }
    let repaired =
        repair_file(&RealDisk, path, RecoveryMode::LongestValidPrefix).map_err(failed)?;
    match repaired.cut {
        None => println!("nothing is wrong"),
        Some(cut) => println!(
            "cut {} bytes at offset {} and kept them in {}: {}",
            cut.bytes,
            cut.offset,
            cut.kept_in.display(),
            cut.reason
        ),
    }
    println!(
        "{} records, head {}",
        repaired.num_frames,
        repaired.head.get()
    );
    Ok(ExitCode::SUCCESS)
}

/// Reads a RedDB spool file; how it ends.
fn read_to_end(path: &Path) -> Result<RedDbEnd, RedDbError> {
    let io = |action| move |source| RedDbError::Io { action, source };
    let mut reader = RedDbReader::open(&RealDisk, path).map_err(io("open the file"))?;
    while reader.next_frame().map_err(io("read the file"))?.is_some() {}
    Ok(reader.end().cloned().unwrap_or(RedDbEnd::Clean))
}

/// Marks all slots of RedDB's slots file as invalid (`wal-removed`); no file, no slots.
fn invalidate_reddb_slots(path: &Path) -> Result<(), RepairError> {
    let failed = |reason: String| SlotStoreError::Corrupt {
        path: path.display().to_string(),
        reason,
    };
    let io = |action: &str| {
        let action = format!("{action} {}", path.display());
        move |source| SlotStoreError::Io { action, source }
    };
    if !RealDisk.exists(path).map_err(io("look for"))? {
        return Ok(());
    }
    let now = Moment::now().unix_ms;
    let bytes = RealDisk.read(path).map_err(io("read"))?;
    let mut slots = reddb::decode_strict(&bytes, now).map_err(|error| failed(error.to_string()))?;
    for slot in &mut slots {
        if slot.invalidation_reason.is_none() {
            slot.invalidation_reason = Some(InvalidationCause::WalRemoved);
            slot.invalidated_at_unix_ms = Some(now);
            println!("slot {} invalidated: wal-removed", slot.id);
        }
    }
    let bytes = reddb::encode(&slots).map_err(|error| failed(error.to_string()))?;
    let replaced = replace_file(&RealDisk, path, &bytes);
    replaced.map_err(|error| io("replace")(error.into()))?;
    Ok(())
}

fn show_end(path: &Path) -> Result<ExitCode, RedDbError> {
    match read_to_end(path)? {
        RedDbEnd::Clean => {
            println!("nothing is wrong");
            return Ok(ExitCode::SUCCESS);
        }
        RedDbEnd::Torn {
            offset,
            bytes,
            reason,
        } => println!("torn end of {bytes} bytes at offset {offset}: {reason}"),
        RedDbEnd::Corrupt {
            offset,
            bytes,
            reason,
        } => println!("damage at offset {offset}, {bytes} bytes from there: {reason}"),
    }
    println!("with --yes: cut it off there and keep it beside the file");
    Ok(ExitCode::FAILURE)
}
