//! Opening a spool: what is on disk, what of it counts, and what refuses to open.
//!
//! Only the active segment is read; sealed ones are checked for existence and length. In the
//! default mode nothing is changed before everything was found acceptable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::OpenError;
use super::files::{self, FilePlan};
use super::manifest::{DurablePoint, MANIFEST_FILE, Manifest, read_manifest, segment_folder};
use super::options::{RecoveryMode, RecoveryReport, SpoolOptions};
use super::scan::{Fault, SegmentScan, find_frame_after, read_exactly, scan};
use super::{salvage, segment, torn};
use crate::clock::Moment;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lsn::Lsn;

/// Most bytes that can be written but not synced: what a crash can tear.
pub(crate) const MAX_UNSYNCED: usize = 4 << 20;

/// A spool as found on disk, ready to be written to.
#[derive(Debug)]
pub(super) struct Recovered {
    /// As on disk.
    pub(super) manifest: Manifest,
    /// The active segment's file.
    pub(super) file: Arc<dyn DiskFile>,
    /// What is in it; no fault left.
    pub(super) scan: SegmentScan,
    /// End LSN of the last transaction that can be read.
    pub(super) readable: Lsn,
    /// What was found and done.
    pub(super) report: RecoveryReport,
}

/// The disk and folders of one spool.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) disk: Arc<dyn Disk>,
    /// Database folder.
    pub(super) dir: PathBuf,
    /// Segment folder in it.
    pub(super) folder: PathBuf,
}

/// Opens or creates the spool in `dir`.
pub(super) fn recover(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: &SpoolOptions,
) -> Result<(Place, Recovered), OpenError> {
    let place = Place {
        disk,
        dir: dir.to_owned(),
        folder: segment_folder(dir),
    };
    let folder = &place.folder;
    place
        .disk
        .create_dir_all(folder)
        .map_err(OpenError::io(format!("create {}", folder.display())))?;
    let found = list(&place)?;
    let manifest_path = dir.join(MANIFEST_FILE);
    let exists = place.disk.exists(&manifest_path);
    let exists = exists.map_err(OpenError::io(format!(
        "look for {}",
        manifest_path.display()
    )))?;
    let manifest = if exists {
        read_manifest(&*place.disk, dir)?
    } else {
        create(&place, &found, options)?
    };
    let found = if exists { found } else { list(&place)? };
    let plan = files::plan(&manifest, &found);
    let mut recovered = match options.recovery {
        RecoveryMode::FailClosed => fail_closed(&place, manifest, plan, options)?,
        RecoveryMode::LongestValidPrefix => salvage::salvage(&place, manifest, plan, options)?,
    };
    recovered.report.created = !exists;
    Ok((place, recovered))
}

/// Names and lengths of the files in the segment folder (index and side files count as empty).
fn list(place: &Place) -> Result<BTreeMap<String, u64>, OpenError> {
    let folder = &place.folder;
    let names = place.disk.list(folder);
    let names = names.map_err(OpenError::io(format!("list {}", folder.display())))?;
    let mut found = BTreeMap::new();
    for name in names {
        let len = if segment::base_of(&name).is_some() {
            let path = folder.join(&name);
            let open = place.disk.open(&path, OpenMode::Read);
            open.and_then(|file| file.len())
                .map_err(OpenError::io(format!("measure {}", path.display())))?
        } else {
            0
        };
        found.insert(name, len);
    }
    Ok(found)
}

/// Makes a new spool, unless something lies there that a manifest should list. An interrupted
/// creation leaves an empty first segment.
fn create(
    place: &Place,
    found: &BTreeMap<String, u64>,
    options: &SpoolOptions,
) -> Result<Manifest, OpenError> {
    let first = segment::file_name(options.new.start);
    let only_leftover = found.iter().all(|(name, len)| *name == first && *len == 0);
    if !only_leftover {
        let reason = "missing beside a spool that is not empty";
        return Err(OpenError::corrupt(MANIFEST_FILE, 0, reason));
    }
    if options.persisted_position > options.new.start {
        let reason = format!("missing, but a slot is at {}", options.persisted_position);
        return Err(OpenError::corrupt(MANIFEST_FILE, 0, reason));
    }
    let system_id = match options.new.system_id {
        0 => make_system_id(Moment::now()),
        given => given,
    };
    let manifest = Manifest::new(system_id, options.new.imported_through, options.new.start);
    let made = || -> io::Result<()> {
        if !found.contains_key(&first) {
            place
                .disk
                .open(&place.folder.join(&first), OpenMode::CreateNew)?;
        }
        place.disk.sync_dir(&place.folder)?;
        Ok(manifest.store(&*place.disk, &place.dir)?)
    };
    made().map_err(OpenError::io(format!(
        "create a spool in {}",
        place.dir.display()
    )))?;
    Ok(manifest)
}

/// As PostgreSQL makes one: seconds, microseconds and process id.
pub(super) fn make_system_id(now: Moment) -> u64 {
    let seconds = now.unix_ms / 1000;
    let micros = now.unix_ms % 1000 * 1000;
    (seconds << 32) | (micros << 12) | u64::from(std::process::id() & 0xFFF)
}

/// The default mode: refuse everything but a torn tail.
fn fail_closed(
    place: &Place,
    manifest: Manifest,
    plan: FilePlan,
    options: &SpoolOptions,
) -> Result<Recovered, OpenError> {
    if let Some((segment, offset, reason)) = &plan.damage {
        return Err(OpenError::corrupt(segment, *offset, reason.as_str()));
    }
    let name = manifest.active.name.clone();
    let (file, mut scan) = open_active(place, &manifest, options)?;
    let readable = scan.extent.last_lsn.max(manifest.active.first_position);
    judge(&name, &*file, &manifest.durable, &scan, readable)?;
    let head = readable.max(manifest.head);
    if head < options.persisted_position {
        let slot = options.persisted_position;
        let reason = format!("the head recovered is {head}, but a slot is at {slot}");
        return Err(OpenError::corrupt(&name, scan.extent.bytes, reason));
    }
    let torn = match scan.fault.take() {
        Some(fault) => {
            let cut = scan.extent.bytes;
            torn::cut(&*place.disk, &place.folder, &name, &*file, cut, &fault)?
        }
        None => None,
    };
    let report = RecoveryReport {
        frames_scanned: scan.num_frames,
        torn,
        ..RecoveryReport::default()
    };
    finish(
        place,
        plan,
        Recovered {
            manifest,
            file,
            scan,
            readable,
            report,
        },
        head,
    )
}

/// Opens and scans the active segment.
pub(super) fn open_active(
    place: &Place,
    manifest: &Manifest,
    options: &SpoolOptions,
) -> Result<(Arc<dyn DiskFile>, SegmentScan), OpenError> {
    let path = place.folder.join(&manifest.active.name);
    let opened = || -> io::Result<_> {
        let file = place.disk.open(&path, OpenMode::Write)?;
        let base = manifest.active.first_position;
        let asked = (manifest.durable.offset, manifest.durable.lsn);
        let scan = scan(&*file, file.len()?, base, options.boundary, asked)?;
        let scan = scan.allow_zeros_at_end(&*file)?;
        Ok((file, scan))
    };
    opened().map_err(OpenError::io(format!("read {}", path.display())))
}

/// Whether the first fault of the active segment can be a torn tail.
pub(super) fn judge(
    name: &str,
    file: &dyn DiskFile,
    durable: &DurablePoint,
    scan: &SegmentScan,
    readable: Lsn,
) -> Result<(), OpenError> {
    if scan.extent.bytes < durable.offset {
        let vouched = durable.offset;
        return Err(match &scan.fault {
            Some(fault) => OpenError::corrupt(name, fault.offset, fault.reason.as_str()),
            None => {
                let reason = format!("segment ends before {vouched}, up to where it was synced");
                OpenError::corrupt(name, scan.len, reason)
            }
        });
    }
    if !scan.ends_at {
        let reason = format!("no transaction ends here at {}", durable.lsn);
        return Err(OpenError::corrupt(name, durable.offset, reason));
    }
    let Some(fault) = &scan.fault else {
        return Ok(());
    };
    // All that a crash can tear was handed over in one piece of at most this size: a sound frame
    // further on means that a later piece was written, hence that this one had been synced.
    let unsynced = u64::try_from(MAX_UNSYNCED).unwrap_or(u64::MAX);
    let behind = fault.offset.saturating_add(unsynced).saturating_add(1);
    let later = find_frame_after(file, behind, scan.len, readable);
    match later.map_err(OpenError::io(format!("read segment {name}")))? {
        Some(later) => {
            let reason = format!("{}; a sound frame follows at {later}", fault.reason);
            Err(OpenError::corrupt(name, fault.offset, reason))
        }
        None => Ok(()),
    }
}

/// Removes leftovers and lets the manifest vouch for what was found.
pub(super) fn finish(
    place: &Place,
    plan: FilePlan,
    mut recovered: Recovered,
    head: Lsn,
) -> Result<Recovered, OpenError> {
    for name in &plan.remove {
        let path = place.folder.join(name);
        let removed = place.disk.remove(&path);
        removed.map_err(OpenError::io(format!("remove {}", path.display())))?;
    }
    let manifest = &mut recovered.manifest;
    let durable = DurablePoint {
        segment: manifest.active.name.clone(),
        offset: recovered.scan.extent.bytes,
        lsn: recovered.readable,
    };
    let settle = || -> io::Result<()> {
        // What was read here may not be on disk: the process was killed before a sync, or the
        // sync failed. The names first: a manifest that was renamed into place but not synced.
        place.disk.sync_dir(&place.folder)?;
        place.disk.sync_dir(&place.dir)?;
        if recovered.file.len()? > durable.offset {
            // Zeros that were put down ahead; anything else was cut already.
            recovered.file.set_len(durable.offset)?;
            recovered.file.sync()?;
        }
        if manifest.durable != durable || manifest.head != head {
            rewrite(&*recovered.file, manifest.durable.offset, durable.offset)?;
            manifest.durable = durable;
            manifest.head = head;
            manifest.store(&*place.disk, &place.dir)?;
        }
        Ok(())
    };
    settle().map_err(OpenError::io(format!(
        "settle the spool in {}",
        place.dir.display()
    )))?;
    recovered.report.head = head;
    recovered.report.readable = recovered.manifest.reach(recovered.readable);
    recovered.report.removed_files = plan.remove;
    recovered.report.rebuilt_indexes = plan.missing_indexes;
    Ok(recovered)
}

/// Writes the bytes from `from` to `to` once more and syncs them. After a failed sync the system
/// may take them for clean although they never reached the disk; syncing alone would then do
/// nothing.
fn rewrite(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let piece = u64::try_from(MAX_UNSYNCED).unwrap_or(u64::MAX);
    let mut at = from;
    while at < to {
        let bytes = read_exactly(file, at, piece.min(to - at))?;
        if bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        file.write_all_at(&bytes, at)?;
        file.sync()?;
        at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
    file.sync()
}

/// A fault that is not in the bytes of a frame.
pub(super) fn fault(offset: u64, reason: impl Into<String>) -> Fault {
    Fault {
        offset,
        reason: reason.into(),
    }
}
