//! RedDB's recovery rule, on request: keep the longest valid prefix, set all else aside.
//!
//! Every segment is read. What is cut is kept in side files; the head does not go back, so no
//! LSN is given out twice. Interrupted, it can be run again.

use std::io;
use std::sync::Arc;

use super::error::OpenError;
use super::files::FilePlan;
use super::manifest::{ActiveEntry, DurablePoint, Manifest, SegmentEntry};
use super::options::{RecoveryReport, SpoolOptions, TornTail};
use super::recovery::{Place, Recovered, fault, finish, open_active};
use super::scan::{Fault, SegmentScan, scan};
use super::torn;
use crate::disk::OpenMode;

/// Recovers under the longest-valid-prefix rule.
pub(super) fn salvage(
    place: &Place,
    mut manifest: Manifest,
    plan: FilePlan,
    options: &SpoolOptions,
) -> Result<Recovered, OpenError> {
    let mut report = RecoveryReport::default();
    let damaged = first_damaged(place, &manifest, options, &mut report)?;
    if let Some(index) = damaged {
        make_active(place, &mut manifest, index, &mut report)?;
    }
    for name in &plan.strangers {
        aside(place, name, "segment is not in the manifest", &mut report)?;
    }
    ensure_active_exists(place, &manifest)?;
    let (file, mut scan) = open_active(place, &manifest, options)?;
    report.frames_scanned += scan.num_frames;
    if let Some(found) = fault_of(&mut scan) {
        let name = &manifest.active.name;
        let cut = scan.extent.bytes;
        report.torn = torn::cut(&*place.disk, &place.folder, name, &*file, cut, &found)?;
    }
    if damaged.is_some() {
        // From here on the shortened list is what there is.
        let sync = place.disk.sync_dir(&place.folder);
        sync.map_err(OpenError::io(format!("sync {}", place.folder.display())))?;
        manifest.durable = DurablePoint {
            segment: manifest.active.name.clone(),
            offset: 0,
            lsn: manifest.active.first_position,
        };
    }
    let readable = scan.extent.last_lsn.max(manifest.active.first_position);
    let head = readable.max(manifest.head).max(options.persisted_position);
    let recovered = Recovered {
        manifest,
        file: Arc::clone(&file),
        scan,
        readable,
        report,
    };
    finish(place, plan, recovered, head)
}

/// A fault of the active segment, also where it only lacks what the manifest vouched for.
fn fault_of(scan: &mut SegmentScan) -> Option<Fault> {
    let end = scan.extent.bytes;
    let missing = || fault(end, "segment ends before it was synced");
    let found = scan.fault.take();
    found.or_else(|| (!scan.ends_at).then(missing))
}

/// Index of the first sealed segment that is not as the manifest says.
fn first_damaged(
    place: &Place,
    manifest: &Manifest,
    options: &SpoolOptions,
    report: &mut RecoveryReport,
) -> Result<Option<usize>, OpenError> {
    for (index, entry) in manifest.sealed.iter().enumerate() {
        let path = place.folder.join(&entry.name);
        let action = format!("read {}", path.display());
        match is_sound(place, entry, options, report) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(index)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(index)),
            Err(error) => return Err(OpenError::io(action)(error)),
        }
    }
    Ok(None)
}

fn is_sound(
    place: &Place,
    entry: &SegmentEntry,
    options: &SpoolOptions,
    report: &mut RecoveryReport,
) -> io::Result<bool> {
    let file = place
        .disk
        .open(&place.folder.join(&entry.name), OpenMode::Read)?;
    let asked = (entry.bytes, entry.last_lsn);
    let scan = scan(&*file, file.len()?, entry.base(), options.boundary, asked)?;
    report.frames_scanned += scan.num_frames;
    Ok(scan.fault.is_none() && scan.len == entry.bytes && scan.ends_at)
}

/// Makes the damaged sealed segment `index` the active one and sets the later ones aside.
fn make_active(
    place: &Place,
    manifest: &mut Manifest,
    index: usize,
    report: &mut RecoveryReport,
) -> Result<(), OpenError> {
    let later = manifest.sealed.split_off(index);
    let Some(damaged) = later.first() else {
        return Ok(());
    };
    let reason = format!("behind the damage in segment {}", damaged.name);
    let names = later.iter().skip(1).map(|entry| entry.name.as_str());
    for name in names.chain([manifest.active.name.as_str()]) {
        aside(place, name, &reason, report)?;
    }
    manifest.active = ActiveEntry {
        name: damaged.name.clone(),
        first_position: damaged.base(),
    };
    Ok(())
}

fn aside(
    place: &Place,
    name: &str,
    reason: &str,
    report: &mut RecoveryReport,
) -> Result<(), OpenError> {
    let path = place.folder.join(name);
    let moved = || -> io::Result<Option<TornTail>> {
        if !place.disk.exists(&path)? {
            return Ok(None);
        }
        let bytes = place.disk.open(&path, OpenMode::Read)?.len()?;
        let kept_in = torn::set_aside(&*place.disk, &place.folder, name)?;
        Ok(Some(TornTail {
            segment: name.to_owned(),
            offset: 0,
            bytes,
            kept_in,
            reason: reason.to_owned(),
        }))
    };
    let moved = moved().map_err(OpenError::io(format!("set aside {}", path.display())))?;
    report.set_aside.extend(moved);
    Ok(())
}

fn ensure_active_exists(place: &Place, manifest: &Manifest) -> Result<(), OpenError> {
    let path = place.folder.join(&manifest.active.name);
    let ensure = || -> io::Result<()> {
        if !place.disk.exists(&path)? {
            place.disk.open(&path, OpenMode::CreateNew)?;
            place.disk.sync_dir(&place.folder)?;
        }
        Ok(())
    };
    ensure().map_err(OpenError::io(format!("create {}", path.display())))
}
