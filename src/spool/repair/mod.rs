//! Makes a damaged spool open again, on an operator's word.
//!
//! Nothing is deleted: what cannot stay is moved to `quarantine/` or, cut from the end of the
//! active segment, to a `.torn` file. What stays is one contiguous run:
//!
//! - damage in the active segment keeps all before it; what lay behind is lost;
//! - damage in a sealed segment keeps everything behind it; that segment and all older ones go,
//!   and everything up to its end counts as removed;
//! - a missing or damaged manifest is made anew from the segments.
//!
//! [`RepairReport::lost`] says which positions are gone: every slot below the end of such a range
//! has to be invalidated. Positions are never given out twice as far as anything on disk still
//! shows them: the manifest's head is above them before they are moved or cut. A repair that was
//! interrupted is simply run again.

mod report;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::{BlockReader, FrameAt};
use super::check::{list_files, scan_segment, sealed_faults, strangers};
use super::error::OpenError;
use super::index::{self, MadeFor};
use super::manifest::{
    ActiveEntry, DurablePoint, MANIFEST_FILE, Manifest, SegmentEntry, read_manifest, segment_folder,
};
use super::options::TornTail;
use super::recovery::{judge, make_system_id};
use super::scan::{Fault, SegmentScan, find_frame_after, scan};
use super::unit::BoundaryFn;
use super::{segment, torn};
use crate::clock::Moment;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lsn::Lsn;

pub use report::{CutOff, LostRange, Quarantined, RepairOptions, RepairReport};

/// Name of the folder, beside the manifest, for what a repair moves out of the way.
pub const QUARANTINE_FOLDER: &str = "quarantine";

/// Repairs the spool in the folder `dir`. The spool must not be open.
pub fn repair(
    disk: &dyn Disk,
    dir: &Path,
    options: &RepairOptions,
) -> Result<RepairReport, OpenError> {
    let mut repair = Repair {
        disk,
        dir,
        folder: segment_folder(dir),
        options,
        seen: options.persisted_position,
        report: RepairReport::default(),
    };
    let listing = || format!("list {}", repair.folder.display());
    let found = list_files(disk, &repair.folder).map_err(OpenError::io(listing()))?;
    let old = match read_manifest(disk, dir) {
        Ok(manifest) => Some(manifest),
        Err(OpenError::Corrupt { reason, .. }) => {
            repair.quarantine(dir, MANIFEST_FILE, &reason)?;
            None
        }
        Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    repair.report.rebuilt_manifest = old.is_none();
    let mut believed = match &old {
        Some(manifest) => manifest.clone(),
        None => repair.guess(&found)?,
    };
    repair.move_strangers(&mut believed, &found)?;
    let mended = repair.mend(believed)?;
    if old.as_ref() != Some(&mended) {
        repair.store(&mended)?;
    }
    repair.report.removed_through = mended.removed_through;
    repair.report.head = mended.head;
    Ok(repair.report)
}

struct Repair<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    folder: PathBuf,
    options: &'a RepairOptions,
    /// Highest position seen in what had to go.
    seen: Lsn,
    report: RepairReport,
}

impl Repair<'_> {
    /// The manifest that the segment files suggest. Entries of damaged segments are as far as they
    /// could be read, so that [`Repair::mend`] finds them damaged.
    fn guess(&mut self, found: &BTreeMap<String, u64>) -> Result<Manifest, OpenError> {
        let mut names: Vec<(&str, Lsn)> = found
            .keys()
            .filter_map(|name| Some((name.as_str(), segment::base_of(name)?)))
            .collect();
        let Some((active, position)) = names.pop() else {
            let reason = "there is no segment to make a manifest from";
            return Err(OpenError::corrupt(MANIFEST_FILE, 0, reason));
        };
        let new = self.options.new;
        let system_id = match new.system_id {
            0 => make_system_id(Moment::now()),
            given => given,
        };
        let mut manifest = Manifest::new(system_id, new.imported_through, new.start);
        manifest.active = ActiveEntry {
            name: active.to_owned(),
            first_position: position,
        };
        for (name, base) in names {
            let scan = self.scan(name, base, (0, base))?;
            let crc = scan.crc.clone().finalize();
            manifest
                .sealed
                .push(SegmentEntry::of(name, &scan.extent, crc));
            manifest.term = manifest.term.max(self.highest_term(name)?);
        }
        manifest.term = manifest.term.max(self.highest_term(active)?);
        let oldest = manifest.sealed.first().map_or(position, SegmentEntry::base);
        manifest.removed_through = oldest;
        manifest.head = position;
        manifest.durable = DurablePoint {
            segment: active.to_owned(),
            offset: 0,
            lsn: position,
        };
        Ok(manifest)
    }

    /// Quarantines and cuts what is damaged; the manifest of what stays.
    fn mend(&mut self, mut manifest: Manifest) -> Result<Manifest, OpenError> {
        let kept = self.mend_sealed(&mut manifest)?;
        let active = manifest.active.clone();
        let file = self.active_file(&active.name)?;
        let asked = (manifest.durable.offset, manifest.durable.lsn);
        let (base, boundary) = (active.first_position, self.options.boundary);
        let measured = file
            .len()
            .and_then(|len| scan(&*file, len, base, boundary, asked))
            .and_then(|scan| scan.allow_zeros_at_end(&*file));
        let scan = measured.map_err(OpenError::io(format!("read segment {}", active.name)))?;
        let readable = scan.extent.last_lsn.max(active.first_position);
        if let Some(fault) = &scan.fault {
            self.cut_active(&mut manifest, &*file, &scan, fault)?;
        }
        let head = manifest.head.max(self.seen).max(readable);
        let reach = manifest.reach(readable);
        if head > reach {
            self.report.lost.push(LostRange {
                after: reach,
                through: head,
            });
        }
        manifest.head = head;
        manifest.durable = DurablePoint {
            segment: active.name,
            offset: scan.extent.bytes,
            lsn: readable,
        };
        self.mend_indexes(&manifest, &kept)?;
        Ok(manifest)
    }

    /// Moves the newest damaged sealed segment and all older ones away. Returns the scans of those
    /// that stay, in the manifest's order.
    fn mend_sealed(&mut self, manifest: &mut Manifest) -> Result<Vec<SegmentScan>, OpenError> {
        let mut kept = Vec::new();
        let mut newer_base = manifest.active.first_position;
        let mut damage = None;
        for (at, entry) in manifest.sealed.iter().enumerate().rev() {
            match self.damage_of(entry, newer_base)? {
                Ok(scan) => kept.push(scan),
                Err(reason) => {
                    damage = Some((at, reason));
                    break;
                }
            }
            newer_base = entry.base();
        }
        kept.reverse();
        let Some((at, reason)) = damage else {
            return Ok(kept);
        };
        let stay = manifest.sealed.split_off(at + 1);
        let go = std::mem::replace(&mut manifest.sealed, stay);
        let folder = self.folder.clone();
        for (nth, entry) in go.iter().enumerate() {
            let older = "older than a damaged segment";
            let reason = if nth == at { reason.as_str() } else { older };
            self.quarantine(&folder, &entry.name, reason)?;
        }
        self.report.lost.push(LostRange {
            after: manifest.removed_through,
            through: newer_base,
        });
        manifest.removed_through = newer_base;
        Ok(kept)
    }

    /// The scan of a sound sealed segment, or why it cannot stay.
    fn damage_of(
        &self,
        entry: &SegmentEntry,
        newer_base: Lsn,
    ) -> Result<Result<SegmentScan, String>, OpenError> {
        let asked = (entry.bytes, entry.last_lsn);
        let folder = &self.folder;
        let boundary = self.options.boundary;
        match scan_segment(
            self.disk,
            folder,
            &entry.name,
            entry.base(),
            boundary,
            asked,
        ) {
            Ok(scan) => Ok(match sealed_faults(entry, &scan).into_iter().next() {
                Some((Some(offset), what)) => Err(format!("{what} (at offset {offset})")),
                Some((None, what)) => Err(what),
                // Only where the manifest was lost: what lay between is not there any more.
                None if self.report.rebuilt_manifest && scan.extent.last_lsn != newer_base => {
                    Err(format!("the next segment begins at {newer_base}"))
                }
                None => Ok(scan),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err("missing".to_owned())),
            Err(error) => Err(OpenError::io(format!("read segment {}", entry.name))(error)),
        }
    }

    /// Opens the active segment, an empty one where it is missing.
    fn active_file(&mut self, name: &str) -> Result<Arc<dyn DiskFile>, OpenError> {
        let path = self.folder.join(name);
        let mut created = false;
        let opened = match self.disk.open(&path, OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                created = true;
                self.disk.open(&path, OpenMode::CreateNew).and_then(|file| {
                    self.disk.sync_dir(&self.folder)?;
                    Ok(file)
                })
            }
            opened => opened,
        };
        self.report.changed |= created;
        opened.map_err(OpenError::io(format!("open segment {name}")))
    }

    /// Cuts the active segment at its fault. Behind damage every position that the cut part still
    /// shows counts as lost; behind a torn tail nothing was ever acknowledged.
    fn cut_active(
        &mut self,
        manifest: &mut Manifest,
        file: &dyn DiskFile,
        scan: &SegmentScan,
        fault: &Fault,
    ) -> Result<(), OpenError> {
        let name = &manifest.active.name.clone();
        let readable = scan.extent.last_lsn.max(manifest.active.first_position);
        let judged = judge(name, file, &manifest.durable, scan, readable);
        let is_damage = match judged {
            Ok(()) => self.report.rebuilt_manifest,
            Err(OpenError::Corrupt { .. }) => true,
            Err(error) => return Err(error),
        };
        if is_damage {
            self.see(name, file, scan.extent.bytes, scan.len)?;
            self.raise_head(manifest)?;
        }
        let cut = torn::cut(
            self.disk,
            &self.folder,
            name,
            file,
            scan.extent.bytes,
            fault,
        )?;
        self.report.changed |= cut.is_some();
        self.report.cut = cut.map(|torn: TornTail| CutOff {
            segment: torn.segment,
            offset: torn.offset,
            bytes: torn.bytes,
            kept_in: torn.kept_in,
            reason: torn.reason,
        });
        Ok(())
    }

    /// Moves the files away that the manifest does not know.
    fn move_strangers(
        &mut self,
        manifest: &mut Manifest,
        found: &BTreeMap<String, u64>,
    ) -> Result<(), OpenError> {
        let strangers = strangers(manifest, found);
        for (name, _) in &strangers {
            if segment::base_of(name).is_some() {
                let opened = self.disk.open(&self.folder.join(name), OpenMode::Read);
                let file = opened.map_err(OpenError::io(format!("open segment {name}")))?;
                let len = file
                    .len()
                    .map_err(OpenError::io(format!("measure segment {name}")))?;
                self.see(name, &*file, 0, len)?;
            }
        }
        if !strangers.is_empty() {
            self.raise_head(manifest)?;
        }
        let folder = self.folder.clone();
        for (name, reason) in &strangers {
            self.quarantine(&folder, name, reason)?;
        }
        Ok(())
    }

    /// Puts the head above all that was seen, durably: what shows it is about to go.
    fn raise_head(&mut self, manifest: &mut Manifest) -> Result<(), OpenError> {
        if self.seen > manifest.head {
            manifest.head = self.seen;
            self.store(manifest)?;
        }
        Ok(())
    }

    fn store(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        self.report.changed = true;
        let stored = manifest.store(self.disk, self.dir).map_err(Into::into);
        stored.map_err(OpenError::io(format!(
            "store a manifest in {}",
            self.dir.display()
        )))
    }

    /// Notes the highest position of a sound frame from `offset` on.
    fn see(
        &mut self,
        name: &str,
        file: &dyn DiskFile,
        offset: u64,
        len: u64,
    ) -> Result<(), OpenError> {
        let highest = highest_lsn(file, self.options.boundary, offset, len, self.seen);
        self.seen = highest.map_err(OpenError::io(format!("read segment {name}")))?;
        Ok(())
    }

    fn highest_term(&self, name: &str) -> Result<u64, OpenError> {
        let read = || -> io::Result<u64> {
            let file = self.disk.open(&self.folder.join(name), OpenMode::Read)?;
            let len = file.len()?;
            let mut blocks = BlockReader::new(self.options.boundary);
            let (mut offset, mut highest) = (0, 0);
            while let FrameAt::Frame { frame, end } = blocks.frame_at(&*file, offset, len)? {
                highest = highest.max(frame.term);
                offset = end;
            }
            Ok(highest)
        };
        read().map_err(OpenError::io(format!("read segment {name}")))
    }

    fn scan(&self, name: &str, base: Lsn, asked: (u64, Lsn)) -> Result<SegmentScan, OpenError> {
        let boundary = self.options.boundary;
        scan_segment(self.disk, &self.folder, name, base, boundary, asked)
            .map_err(OpenError::io(format!("read segment {name}")))
    }

    fn mend_indexes(&mut self, manifest: &Manifest, kept: &[SegmentScan]) -> Result<(), OpenError> {
        for (entry, scan) in manifest.sealed.iter().zip(kept) {
            let name = segment::index_name(&entry.name);
            let path = self.folder.join(&name);
            let made_for = MadeFor {
                bytes: entry.bytes,
                crc: entry.crc32,
            };
            if index::read(self.disk, &path, made_for).as_ref() != Some(&scan.index) {
                index::write(self.disk, &path, made_for, &scan.index)
                    .map_err(OpenError::io(format!("write {name}")))?;
                self.report.changed = true;
                self.report.rebuilt_indexes.push(name);
            }
        }
        Ok(())
    }

    /// Moves `file` of `from` to the quarantine.
    fn quarantine(&mut self, from: &Path, file: &str, reason: &str) -> Result<(), OpenError> {
        let moved = quarantine_file(self.disk, self.dir, from, file);
        let kept_in = moved.map_err(OpenError::io(format!("move {file} to the quarantine")))?;
        if let Some(kept_in) = kept_in {
            self.report.changed = true;
            self.report.quarantined.push(Quarantined {
                file: file.to_owned(),
                kept_in,
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }
}

/// Moves `file` of the folder `from` to the quarantine of the database in `dir`, durably, under a
/// name that nothing has: its own, else with `.1`, `.2` and so on behind. A file that is not there
/// needs no moving.
pub fn quarantine_file(
    disk: &dyn Disk,
    dir: &Path,
    from: &Path,
    file: &str,
) -> io::Result<Option<PathBuf>> {
    if !disk.exists(&from.join(file))? {
        return Ok(None);
    }
    let place = dir.join(QUARANTINE_FOLDER);
    disk.create_dir_all(&place)?;
    let mut kept_in = place.join(file);
    let mut number = 0_u32;
    while disk.exists(&kept_in)? {
        number += 1;
        kept_in = place.join(format!("{file}.{number}"));
    }
    disk.rename(&from.join(file), &kept_in)?;
    disk.sync_dir(&place)?;
    disk.sync_dir(from)?;
    Ok(Some(kept_in))
}

/// The highest position of a sound frame from `offset` on, at least `highest`.
fn highest_lsn(
    file: &dyn DiskFile,
    boundary: BoundaryFn,
    mut offset: u64,
    len: u64,
    mut highest: Lsn,
) -> io::Result<Lsn> {
    let mut blocks = BlockReader::new(boundary);
    loop {
        match blocks.frame_at(file, offset, len)? {
            FrameAt::Frame { frame, end } => {
                highest = highest.max(frame.lsn);
                offset = end;
            }
            FrameAt::End => return Ok(highest),
            FrameAt::Fault(_) => {
                let behind = offset.saturating_add(1);
                match find_frame_after(file, behind, len, highest)? {
                    Some(next) => offset = next,
                    None => return Ok(highest),
                }
            }
        }
    }
}
