//! The manifest: which segments there are, and up to where they are vouched for.
//!
//! One JSON file, replaced atomically, with a checksum over its content. It is the authority on
//! the spool's files; what it does not list is a leftover or damage. Head, term, system id and
//! the pruned-through position live here, so they survive when every segment is gone.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::OpenError;
use super::segment::{self, Extent};
use crate::disk::{Disk, ReplaceError, replace_file};
use crate::lsn::Lsn;

/// Name of the manifest file in a database folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Name of the folder beside it that holds the segments.
pub const SEGMENT_FOLDER: &str = "spool";
/// The layout this version writes and reads.
const FORMAT: u32 = 1;

/// The content of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout of this file.
    pub format: u32,
    /// System identifier.
    pub system_id: u64,
    /// Leadership term.
    pub term: u64,
    /// End LSN of the last durable transaction; never goes back.
    pub head: Lsn,
    /// Last imported LSN, zero when nothing was imported.
    pub imported_through: Lsn,
    /// The head was moved without a transaction, and none was stored since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleStretch>,
    /// Everything at or below this was pruned.
    pub removed_through: Lsn,
    /// Up to where the active segment is vouched for.
    pub durable: DurablePoint,
    /// Sealed segments, oldest first.
    pub sealed: Vec<SegmentEntry>,
    /// The segment that is written to.
    pub active: ActiveEntry,
}

/// A stretch in which no transaction ends, above the last one that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdleStretch {
    /// End LSN of the last transaction before it.
    pub after: Lsn,
    /// Where the head was moved to.
    pub upto: Lsn,
}

/// A place up to which data is known to be synced: damage below it is corruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DurablePoint {
    /// Segment file name (always the active one).
    pub segment: String,
    /// Byte offset of the end of a transaction.
    pub offset: u64,
    /// End LSN of that transaction.
    pub lsn: Lsn,
}

/// A sealed segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// File name: the position above which all its transactions end, 16 hexadecimal digits.
    pub name: String,
    /// End LSN of its first transaction.
    pub first_lsn: Lsn,
    /// End LSN of its last transaction.
    pub last_lsn: Lsn,
    /// File length.
    pub bytes: u64,
    /// Frames in it.
    pub frames: u64,
    /// CRC-32 of the whole file.
    pub crc32: u32,
    /// Commit time of its first transaction, unix milliseconds.
    pub first_timestamp_ms: u64,
    /// Latest commit time in it, unix milliseconds.
    pub max_timestamp_ms: u64,
}

/// The active segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveEntry {
    /// File name.
    pub name: String,
    /// Every transaction in it ends above this.
    pub first_position: Lsn,
}

/// The file: the content and its checksum.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    manifest: Manifest,
    /// CRC-32 of the content as compact JSON.
    crc32: u32,
}

impl Manifest {
    /// The manifest of a new, empty spool that begins at `start`.
    pub fn new(system_id: u64, imported_through: Lsn, start: Lsn) -> Self {
        let name = segment::file_name(start);
        Self {
            format: FORMAT,
            system_id,
            term: 1,
            head: start,
            imported_through,
            idle: None,
            removed_through: start,
            durable: DurablePoint {
                segment: name.clone(),
                offset: 0,
                lsn: start,
            },
            sealed: Vec::new(),
            active: ActiveEntry {
                name,
                first_position: start,
            },
        }
    }

    /// Up to where nothing is missing when `readable` is the end of the last transaction that is
    /// there: also where the head was moved behind it without one. Where that transaction itself
    /// was lost, the stretch behind it says nothing.
    pub fn reach(&self, readable: Lsn) -> Lsn {
        match self.idle {
            Some(idle) if readable >= idle.after => readable.max(idle.upto),
            Some(_) | None => readable,
        }
    }

    /// Replaces the manifest in the database folder `dir`, durably.
    pub fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), ReplaceError> {
        let bytes = self.encode().map_err(ReplaceError::OldStands)?;
        replace_file(disk, &dir.join(MANIFEST_FILE), &bytes)
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let file = File {
            manifest: self.clone(),
            crc32: self.checksum()?,
        };
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        Ok(text)
    }

    fn checksum(&self) -> io::Result<u32> {
        Ok(crc32fast::hash(&serde_json::to_vec(self)?))
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let expected = file.manifest.checksum().map_err(|e| e.to_string())?;
        if file.crc32 != expected {
            let stored = file.crc32;
            return Err(format!(
                "crc mismatch: stored {stored:#010x}, expected {expected:#010x}"
            ));
        }
        file.manifest.check()?;
        Ok(file.manifest)
    }

    /// Whether the parts fit together.
    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("unsupported manifest format {}", self.format));
        }
        let mut previous = self.removed_through;
        for entry in &self.sealed {
            let base = segment::base_of(&entry.name);
            let fits = base.is_some_and(|base| base >= previous && entry.first_lsn > base)
                && entry.last_lsn >= entry.first_lsn;
            if !fits {
                return Err(format!("segment {} is out of order", entry.name));
            }
            previous = entry.last_lsn;
        }
        if let Some(idle) = self.idle
            && (idle.after >= idle.upto || idle.upto > self.head)
        {
            return Err(format!("no stretch ends at {}", idle.upto));
        }
        let active = &self.active;
        let fits = segment::base_of(&active.name) == Some(active.first_position)
            && active.first_position >= previous
            && self.durable.segment == active.name
            && self.head >= active.first_position;
        if fits {
            Ok(())
        } else {
            Err(format!("active segment {} is out of order", active.name))
        }
    }
}

impl SegmentEntry {
    /// The entry of a segment that is sealed now.
    pub(crate) fn of(name: &str, extent: &Extent, crc32: u32) -> Self {
        Self {
            name: name.to_owned(),
            first_lsn: extent.first_lsn,
            last_lsn: extent.last_lsn,
            bytes: extent.bytes,
            frames: extent.frames,
            crc32,
            first_timestamp_ms: extent.first_timestamp_ms,
            max_timestamp_ms: extent.max_timestamp_ms,
        }
    }

    /// What may be read of it.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            first_lsn: self.first_lsn,
            last_lsn: self.last_lsn,
            bytes: self.bytes,
            frames: self.frames,
            first_timestamp_ms: self.first_timestamp_ms,
            max_timestamp_ms: self.max_timestamp_ms,
            sealed: true,
        }
    }

    /// The position above which all its transactions end.
    pub(crate) fn base(&self) -> Lsn {
        segment::base_of(&self.name).unwrap_or(Lsn::ZERO)
    }
}

/// Reads the manifest in the database folder `dir`. A missing one is an `Io` error of kind
/// `NotFound`, a damaged one is `Corrupt`.
pub fn read_manifest(disk: &dyn Disk, dir: &Path) -> Result<Manifest, OpenError> {
    let path = dir.join(MANIFEST_FILE);
    let action = format!("read {}", path.display());
    let bytes = disk.read(&path).map_err(OpenError::io(action))?;
    Manifest::decode(&bytes).map_err(|reason| OpenError::corrupt(MANIFEST_FILE, 0, reason))
}

/// The folder that holds the segments of the database in `dir`.
pub fn segment_folder(dir: &Path) -> PathBuf {
    dir.join(SEGMENT_FOLDER)
}

/// Any bytes are a manifest or an error; a manifest is read as it was written.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_manifest(bytes: &[u8]) {
    let _refused = Manifest::decode(bytes);
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(manifest) = Manifest::decode(&crate::disk::vouch(text)) {
        let again = manifest.encode().map(|bytes| Manifest::decode(&bytes)).ok();
        assert_eq!(again, Some(Ok(manifest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let mut manifest = Manifest::new(u64::MAX, Lsn::new(1 << 60), Lsn::ZERO);
        manifest.removed_through = Lsn::new(64);
        manifest.head = Lsn::new(0x1000);
        manifest.sealed.push(SegmentEntry {
            name: segment::file_name(Lsn::new(64)),
            first_lsn: Lsn::new(128),
            last_lsn: Lsn::new(0x800),
            bytes: 99,
            frames: 3,
            crc32: 7,
            first_timestamp_ms: 5,
            max_timestamp_ms: u64::MAX,
        });
        manifest.active.first_position = Lsn::new(0x800);
        manifest.active.name = segment::file_name(Lsn::new(0x800));
        manifest.durable = DurablePoint {
            segment: manifest.active.name.clone(),
            offset: 12,
            lsn: Lsn::new(0x1000),
        };
        manifest
    }

    fn idle(after: u64, upto: u64) -> Option<IdleStretch> {
        Some(IdleStretch {
            after: Lsn::new(after),
            upto: Lsn::new(upto),
        })
    }

    #[test]
    fn a_manifest_without_an_idle_stretch_has_no_word_of_it() {
        let text = String::from_utf8(sample().encode().unwrap()).unwrap();
        assert!(!text.contains("idle"));
        let mut moved = sample();
        moved.idle = idle(0x900, 0x1000);
        assert_eq!(Manifest::decode(&moved.encode().unwrap()), Ok(moved));
    }

    #[test]
    fn an_idle_stretch_reaches_on_only_where_the_transaction_before_it_is_there() {
        let mut manifest = sample();
        let reach = |manifest: &Manifest, at| manifest.reach(Lsn::new(at)).get();
        assert_eq!(reach(&manifest, 0x900), 0x900);
        manifest.idle = idle(0x900, 0x1000);
        for (readable, wanted) in [
            (0x800, 0x800),
            (0x8ff, 0x8ff),
            (0x900, 0x1000),
            (0x2000, 0x2000),
        ] {
            assert_eq!(reach(&manifest, readable), wanted, "{readable:x}");
        }
    }

    #[test]
    fn reads_back_what_it_wrote_with_exact_numbers() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Manifest::decode(&bytes), Ok(sample()));
    }

    #[test]
    fn a_flip_of_any_byte_is_refused_or_changes_nothing() {
        let good = sample().encode().unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                if let Ok(read) = Manifest::decode(&bad) {
                    assert_eq!(read, sample(), "byte {at}, bit {bit}");
                }
            }
            assert!(Manifest::decode(&good[..at]).is_err() || at == good.len() - 1);
        }
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        type Damage = fn(&mut Manifest);
        let cases: [(&str, Damage); 8] = [
            ("format", |m| m.format = 2),
            ("order", |m| m.sealed[0].first_lsn = Lsn::new(64)),
            ("path", |m| m.sealed[0].name = "../../etc/passwd".to_owned()),
            ("active", |m| m.active.first_position = Lsn::new(3)),
            ("durable", |m| m.durable.segment.push('x')),
            ("head", |m| m.head = Lsn::new(1)),
            ("idle above the head", |m| m.idle = idle(0x800, 0x1001)),
            ("idle turned round", |m| m.idle = idle(0x800, 0x7ff)),
        ];
        for (name, damage) in cases {
            let mut manifest = sample();
            damage(&mut manifest);
            assert!(
                Manifest::decode(&manifest.encode().unwrap()).is_err(),
                "{name}"
            );
        }
    }
}
