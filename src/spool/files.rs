//! What the files in the segment folder mean, held against the manifest (pure).

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::Manifest;
use super::segment;

/// What to do about the files found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FilePlan {
    /// Leftovers of an interrupted seal or prune, and indexes of no sealed segment.
    pub(super) remove: Vec<String>,
    /// Sealed segments without an index.
    pub(super) missing_indexes: Vec<String>,
    /// First thing wrong: file name, offset, reason.
    pub(super) damage: Option<(String, u64, String)>,
    /// Segment files that should not be there and may hold data.
    pub(super) strangers: Vec<String>,
}

/// Compares the files found (name, length) with the manifest.
///
/// An unlisted empty segment above the active one is what an interrupted seal leaves; an unlisted
/// one below the pruned-through position is what an interrupted prune leaves. Side files of
/// earlier recoveries (`.torn`) stay. Everything else that is unlisted, missing or of another
/// length is damage.
pub(super) fn plan(manifest: &Manifest, found: &BTreeMap<String, u64>) -> FilePlan {
    let mut plan = FilePlan::default();
    for entry in &manifest.sealed {
        let damage = match found.get(&entry.name) {
            None => Some((0, "segment file is missing".to_owned())),
            Some(len) if *len != entry.bytes => Some((
                entry.bytes.min(*len),
                format!("segment is {len} bytes long, not {}", entry.bytes),
            )),
            Some(_) => None,
        };
        if let Some((offset, reason)) = damage {
            plan.note_damage(&entry.name, offset, reason);
        }
        let index = segment::index_name(&entry.name);
        if !found.contains_key(&index) {
            plan.missing_indexes.push(index);
        }
    }
    if !found.contains_key(&manifest.active.name) {
        let reason = "segment file is missing".to_owned();
        plan.note_damage(&manifest.active.name, 0, reason);
    }
    let sealed: BTreeSet<&str> = manifest.sealed.iter().map(|e| e.name.as_str()).collect();
    for (name, len) in found {
        plan.place(manifest, &sealed, name, *len);
    }
    plan
}

impl FilePlan {
    fn place(&mut self, manifest: &Manifest, sealed: &BTreeSet<&str>, name: &str, len: u64) {
        if name == manifest.active.name || sealed.contains(name) || is_side_file(name) {
            return;
        }
        if let Some(owner) = segment::segment_of_index(name) {
            if !sealed.contains(owner.as_str()) {
                self.remove.push(name.to_owned());
            }
            return;
        }
        match segment::base_of(name) {
            Some(base) if base < manifest.removed_through => self.remove.push(name.to_owned()),
            Some(base) if base > manifest.active.first_position && len == 0 => {
                self.remove.push(name.to_owned());
            }
            Some(_) => {
                self.note_damage(name, 0, "segment is not in the manifest".to_owned());
                self.strangers.push(name.to_owned());
            }
            None => self.note_damage(name, 0, "unknown file".to_owned()),
        }
    }

    fn note_damage(&mut self, name: &str, offset: u64, reason: String) {
        if self.damage.is_none() {
            self.damage = Some((name.to_owned(), offset, reason));
        }
    }
}

/// `<segment>.torn`, or with a number behind it.
pub(super) fn is_side_file(name: &str) -> bool {
    name.split_once(".torn")
        .is_some_and(|(segment, _)| segment::base_of(segment).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{ActiveEntry, SegmentEntry};
    use super::super::segment::{Extent, file_name};
    use super::*;
    use crate::lsn::Lsn;

    /// Pruned through 100; sealed 100..200 (50 bytes), 200..300 (60 bytes); active from 300.
    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(1, Lsn::ZERO, Lsn::ZERO);
        manifest.removed_through = Lsn::new(100);
        manifest.head = Lsn::new(300);
        for (base, bytes) in [(100, 50), (200, 60)] {
            let extent = Extent {
                first_lsn: Lsn::new(base + 64),
                last_lsn: Lsn::new(base + 100),
                bytes,
                ..Extent::default()
            };
            let name = file_name(Lsn::new(base));
            manifest.sealed.push(SegmentEntry::of(&name, &extent, 0));
        }
        manifest.active = ActiveEntry {
            name: file_name(Lsn::new(300)),
            first_position: Lsn::new(300),
        };
        manifest
    }

    fn files(more: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let mut files: BTreeMap<String, u64> = more
            .iter()
            .map(|(name, len)| ((*name).to_owned(), *len))
            .collect();
        for (base, len) in [(100, 50), (200, 60), (300, 9)] {
            let name = file_name(Lsn::new(base));
            if base < 300 {
                files.insert(segment::index_name(&name), 1);
            }
            files.entry(name).or_insert(len);
        }
        files
    }

    #[test]
    fn leftovers_are_removed_and_everything_else_unlisted_is_damage() {
        let name = |base| file_name(Lsn::new(base));
        let (below, above, between) = (name(20), name(400), name(250));
        let side = format!("{}.torn.2", name(300));
        let stale_index = segment::index_name(&name(300));
        let table: [(&str, u64, bool, bool); 8] = [
            (&below, 77, true, false),
            (&above, 0, true, false),
            (&above, 1, false, true),
            (&between, 0, false, true),
            (&between, 5, false, true),
            (&side, 5, false, false),
            (&stale_index, 5, true, false),
            ("notes.txt", 5, false, true),
        ];
        for (file, len, removed, damaged) in table {
            let plan = plan(&manifest(), &files(&[(file, len)]));
            assert_eq!(plan.remove == [file], removed, "{file} {len}");
            assert_eq!(plan.damage.is_some(), damaged, "{file} {len}");
        }
    }

    #[test]
    fn missing_and_changed_segments_are_damage_and_indexes_are_not() {
        let name = |base| file_name(Lsn::new(base));
        for (base, len, offset) in [(100, 49, 49), (100, 51, 50), (200, 0, 0)] {
            let plan = plan(&manifest(), &files(&[(&name(base), len)]));
            let (segment, at, _) = plan.damage.unwrap();
            assert_eq!((segment, at), (name(base), offset));
        }
        for base in [100, 200, 300] {
            let mut files = files(&[]);
            files.remove(&name(base));
            let (segment, at, _) = plan(&manifest(), &files).damage.unwrap();
            assert_eq!((segment, at), (name(base), 0));
        }
        let mut files = files(&[]);
        let index = segment::index_name(&name(100));
        files.remove(&index);
        let plan = plan(&manifest(), &files);
        assert_eq!(plan.damage, None);
        assert_eq!(plan.missing_indexes, [index]);
    }
}
