//! Reads everything a spool has on disk and lists every fault. Never writes.
//!
//! Where opening looks only at what it needs, this reads all of it: every checksum, the order of
//! frames and transactions, the manifest against the files, the indexes against the segments, and
//! slot positions against the spool. It decides nothing; see [`super::repair`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::index::{self, MadeFor};
use super::manifest::{MANIFEST_FILE, Manifest, SegmentEntry, read_manifest, segment_folder};
use super::recovery::judge;
use super::scan::{SegmentScan, scan};
use super::unit::BoundaryFn;
use super::{files, segment};
use crate::disk::{Disk, OpenMode};
use crate::lsn::Lsn;

/// Something wrong on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// File name, or which slot.
    pub file: String,
    /// Where in it, when it has a place.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// Only worth knowing: a crash leaves this, and opening settles it.
    pub is_note: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{}: offset {offset}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Where a slot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPosition {
    /// Its name.
    pub name: String,
    /// Everything at or below is confirmed.
    pub restart_lsn: Lsn,
    /// It still needs what lies above.
    pub valid: bool,
}

/// Checks the spool in the folder `dir` and `slots` against it. An empty answer means that
/// everything is sound.
///
/// What an interrupted seal or prune leaves, zeros at the end of the active segment, and a missing
/// index, are no faults: opening settles them. A torn tail is listed, as a note.
pub fn check(
    disk: &dyn Disk,
    dir: &Path,
    boundary: BoundaryFn,
    slots: &[SlotPosition],
) -> Vec<Fault> {
    let mut check = Check {
        disk,
        folder: segment_folder(dir),
        boundary,
        faults: Vec::new(),
    };
    let found = check.list();
    match read_manifest(disk, dir) {
        Ok(manifest) => {
            let readable = check.against_manifest(&manifest, &found);
            check.slots(&manifest, manifest.reach(readable), slots);
        }
        Err(error) => {
            check.fault(MANIFEST_FILE, None, manifest_fault(error));
            check.without_manifest(&found);
        }
    }
    check.faults
}

fn manifest_fault(error: OpenError) -> String {
    match error {
        OpenError::Corrupt { reason, .. } => reason,
        OpenError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "missing".to_owned()
        }
        OpenError::Io { source, .. } => format!("cannot be read: {source}"),
    }
}

struct Check<'d> {
    disk: &'d dyn Disk,
    folder: PathBuf,
    boundary: BoundaryFn,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, file: &str, offset: Option<u64>, what: impl Into<String>) {
        self.faults.push(Fault {
            file: file.to_owned(),
            offset,
            what: what.into(),
            is_note: false,
        });
    }

    /// Names and lengths of what is in the segment folder (only segments are measured).
    fn list(&mut self) -> BTreeMap<String, u64> {
        match list_files(self.disk, &self.folder) {
            Ok(found) => found,
            Err(error) => {
                let folder = self.folder.display().to_string();
                self.fault(&folder, None, format!("cannot be listed: {error}"));
                BTreeMap::new()
            }
        }
    }

    /// Returns the end of the last transaction that can be read.
    fn against_manifest(&mut self, manifest: &Manifest, found: &BTreeMap<String, u64>) -> Lsn {
        self.unlisted(manifest, found);
        for entry in &manifest.sealed {
            self.sealed(entry, found);
        }
        let active = &manifest.active;
        match self.scan_active(manifest) {
            Ok(scan) => {
                self.active(manifest, &scan);
                scan.extent.last_lsn.max(active.first_position)
            }
            Err(error) => {
                self.cannot_read(&active.name, &error);
                active.first_position
            }
        }
    }

    /// Judges the active segment as opening does.
    fn active(&mut self, manifest: &Manifest, scan: &SegmentScan) {
        let name = &manifest.active.name;
        let readable = scan.extent.last_lsn.max(manifest.active.first_position);
        let judged = self
            .disk
            .open(&self.folder.join(name), OpenMode::Read)
            .map_err(OpenError::io(format!("open segment {name}")))
            .and_then(|file| judge(name, &*file, &manifest.durable, scan, readable));
        match (judged, &scan.fault) {
            (Ok(()), None) => {}
            (Ok(()), Some(fault)) => {
                let bytes = scan.len.saturating_sub(scan.extent.bytes);
                let what = format!(
                    "torn tail of {bytes} bytes, the next start cuts it ({} at offset {})",
                    fault.reason, fault.offset
                );
                self.faults.push(Fault {
                    file: name.clone(),
                    offset: Some(scan.extent.bytes),
                    what,
                    is_note: true,
                });
            }
            (Err(OpenError::Corrupt { offset, reason, .. }), _) => {
                self.fault(name, Some(offset), reason);
            }
            (Err(OpenError::Io { source, .. }), _) => self.cannot_read(name, &source),
        }
    }

    /// Files that the manifest does not list and that opening would not clear away.
    fn unlisted(&mut self, manifest: &Manifest, found: &BTreeMap<String, u64>) {
        for (name, reason) in strangers(manifest, found) {
            self.fault(&name, None, reason);
        }
    }

    fn sealed(&mut self, entry: &SegmentEntry, found: &BTreeMap<String, u64>) {
        let Some(scan) = self.scan(&entry.name, entry.base(), (entry.bytes, entry.last_lsn)) else {
            return;
        };
        for what in sealed_faults(entry, &scan) {
            self.fault(&entry.name, what.0, what.1);
        }
        let name = segment::index_name(&entry.name);
        if scan.fault.is_none() && found.contains_key(&name) {
            let made_for = MadeFor {
                bytes: entry.bytes,
                crc: entry.crc32,
            };
            match index::read(self.disk, &self.folder.join(&name), made_for) {
                None => self.fault(&name, None, "damaged, or made for another segment"),
                Some(entries) if entries != scan.index => {
                    self.fault(&name, None, "does not agree with its segment");
                }
                Some(_) => {}
            }
        }
    }

    /// Every segment on its own, and in order.
    fn without_manifest(&mut self, found: &BTreeMap<String, u64>) {
        let mut previous = Lsn::ZERO;
        for name in found.keys() {
            let Some(base) = segment::base_of(name) else {
                continue;
            };
            if base < previous {
                self.fault(name, None, format!("lies below {previous}"));
            }
            let Some(scan) = self.scan(name, base, (0, base)) else {
                continue;
            };
            if let Some(fault) = &scan.fault {
                self.fault(name, Some(fault.offset), fault.reason.clone());
            }
            previous = scan.extent.last_lsn.max(base);
        }
    }

    fn scan(&mut self, name: &str, base: Lsn, asked: (u64, Lsn)) -> Option<SegmentScan> {
        match scan_segment(self.disk, &self.folder, name, base, self.boundary, asked) {
            Ok(scan) => Some(scan),
            Err(error) => {
                self.cannot_read(name, &error);
                None
            }
        }
    }

    /// The active segment may end in zeros.
    fn scan_active(&self, manifest: &Manifest) -> io::Result<SegmentScan> {
        let active = &manifest.active;
        let (name, base) = (&active.name, active.first_position);
        let asked = (manifest.durable.offset, manifest.durable.lsn);
        let scan = scan_segment(self.disk, &self.folder, name, base, self.boundary, asked)?;
        let file = self.disk.open(&self.folder.join(name), OpenMode::Read)?;
        scan.allow_zeros_at_end(&*file)
    }

    fn cannot_read(&mut self, name: &str, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            self.fault(name, None, "missing");
        } else {
            self.fault(name, None, format!("cannot be read: {error}"));
        }
    }

    /// `readable` is the end of the last transaction that can be read, or of the idle stretch
    /// behind it. Where a repair set aside what came after it, the head is above that.
    fn slots(&mut self, manifest: &Manifest, readable: Lsn, slots: &[SlotPosition]) {
        let head = readable.max(manifest.head);
        let removed = manifest.removed_through;
        for slot in slots {
            let (position, name) = (slot.restart_lsn, &slot.name);
            // A position above the head says that data is gone, whoever stands there.
            let what = if position > head {
                format!("at {position}, above the head {head}")
            } else if !slot.valid {
                continue;
            } else if position < removed {
                format!("at {position}, but data up to {removed} was removed")
            } else if readable < head && position < head {
                format!("at {position}, but data up to {head} was lost")
            } else {
                continue;
            };
            self.fault(&format!("slot {name}"), None, what);
        }
    }
}

/// Names and lengths of the files in the segment folder (index and side files count as empty).
pub(super) fn list_files(disk: &dyn Disk, folder: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for name in disk.list(folder)? {
        let len = if segment::base_of(&name).is_some() {
            disk.open(&folder.join(&name), OpenMode::Read)?.len()?
        } else {
            0
        };
        found.insert(name, len);
    }
    Ok(found)
}

/// Scans the whole segment file `name`.
pub(super) fn scan_segment(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    base: Lsn,
    boundary: BoundaryFn,
    asked: (u64, Lsn),
) -> io::Result<SegmentScan> {
    let file = disk.open(&folder.join(name), OpenMode::Read)?;
    let len = file.len()?;
    scan(&*file, len, base, boundary, asked)
}

/// Unlisted files that opening would neither clear away nor leave in peace, and why.
pub(super) fn strangers(
    manifest: &Manifest,
    found: &BTreeMap<String, u64>,
) -> Vec<(String, String)> {
    let sealed = manifest.sealed.iter().map(|e| (e.name.clone(), e.bytes));
    let active = (manifest.active.name.clone(), 0);
    let listed: BTreeMap<String, u64> = sealed.chain([active]).collect();
    let mut strangers = Vec::new();
    for (name, len) in found {
        if listed.contains_key(name) {
            continue;
        }
        let mut files = listed.clone();
        files.insert(name.clone(), *len);
        if let Some((_, _, reason)) = files::plan(manifest, &files).damage {
            strangers.push((name.clone(), reason));
        }
    }
    strangers
}

/// How a sealed segment differs from its entry: offset, what.
pub(super) fn sealed_faults(
    entry: &SegmentEntry,
    scan: &SegmentScan,
) -> Vec<(Option<u64>, String)> {
    if let Some(fault) = &scan.fault {
        return vec![(Some(fault.offset), fault.reason.clone())];
    }
    let is = SegmentEntry::of(&entry.name, &scan.extent, scan.crc.clone().finalize());
    if is == *entry {
        return Vec::new();
    }
    let differs = |what: &str, is: u64, said: u64| {
        (is != said).then(|| (None, format!("{what} is {is}, the manifest says {said}")))
    };
    let lsn = |what: &str, is: Lsn, said: Lsn| {
        (is != said).then(|| (None, format!("{what} is {is}, the manifest says {said}")))
    };
    let faults = [
        differs("length", is.bytes, entry.bytes),
        differs("number of frames", is.frames, entry.frames),
        lsn("first position", is.first_lsn, entry.first_lsn),
        lsn("last position", is.last_lsn, entry.last_lsn),
        differs("checksum", u64::from(is.crc32), u64::from(entry.crc32)),
        differs(
            "first time",
            is.first_timestamp_ms,
            entry.first_timestamp_ms,
        ),
        differs("latest time", is.max_timestamp_ms, entry.max_timestamp_ms),
    ];
    faults.into_iter().flatten().collect()
}
