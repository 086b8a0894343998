//! Segments begin and end here, on the writer thread.
//!
//! The order of steps is what makes them safe: whatever a crash leaves between two of them is
//! either listed in the manifest and there, or unlisted and empty or pruned.

use std::io;
use std::sync::Arc;
use std::thread;

use super::appender::{Stopped, Writer};
use super::error::AppendError;
use super::index::{self, MadeFor, Thinning};
use super::lock;
use super::manifest::{ActiveEntry, SegmentEntry};
use super::prune::{self, ActiveSegment, PruneOutcome};
use super::segment::{self, Extent, IndexPlace, Segment};
use crate::disk::{DiskFile, OpenMode};
use crate::lsn::Lsn;

impl Writer {
    /// Seals the active segment, all of which is synced and published, and begins the next.
    pub(super) fn seal(&mut self) -> Result<(), Stopped> {
        let shared = Arc::clone(&self.shared);
        let (disk, folder) = (&*shared.place.disk, &shared.place.folder);
        let old = Arc::clone(&self.segment);
        let extent = Extent {
            sealed: true,
            ..self.whole
        };
        let crc = self.crc.clone().finalize();
        let base = extent.last_lsn;
        let name = segment::file_name(base);
        self.cut_zeros()?;
        self.write_index(&old, extent, crc)?;
        let created = disk.open(&folder.join(&name), OpenMode::CreateNew);
        let file = created.map_err(self.fail("creation of", &name))?;
        let synced = disk.sync_dir(folder);
        synced.map_err(self.fail("sync of folder", &folder.to_string_lossy()))?;
        self.manifest
            .sealed
            .push(SegmentEntry::of(&old.name, &extent, crc));
        self.manifest.active = ActiveEntry {
            name,
            first_position: base,
        };
        self.whole = Extent::default();
        self.written = 0;
        self.file_len = 0;
        self.store_manifest()?;
        // Readers find the next segment before they can see the end of this one.
        let segment = Segment::active(folder, base, Extent::default(), Vec::new(), &file);
        self.segment = Arc::new(segment);
        shared.shelf.push_active(Arc::clone(&self.segment));
        *lock(&old.sealed_crc) = Some(crc);
        *lock(&old.extent) = extent;
        *lock(&old.index) = IndexPlace::OnDisk;
        self.file = file;
        self.crc = crc32fast::Hasher::new();
        self.thinning = Thinning::default();
        Ok(())
    }

    fn write_index(&self, segment: &Segment, extent: Extent, crc: u32) -> Result<(), Stopped> {
        let place = &self.shared.place;
        let name = segment::index_name(&segment.name);
        let made_for = MadeFor {
            bytes: extent.bytes,
            crc,
        };
        let written = match &*lock(&segment.index) {
            IndexPlace::Live(entries) => {
                index::write(&*place.disk, &place.folder.join(&name), made_for, entries)
            }
            IndexPlace::OnDisk => Ok(()),
        };
        written.map_err(self.fail("write to", &name))
    }

    /// Manifest first, then the files, then the folder: a crash in between leaves unlisted files
    /// below the pruned-through position, which the next open removes.
    pub(super) fn prune(
        &mut self,
        upto: Lsn,
        active: ActiveSegment,
    ) -> Result<Result<PruneOutcome, AppendError>, Stopped> {
        let segments = self.shared.shelf.all();
        let extents: Vec<Extent> = segments.iter().map(|segment| segment.extent()).collect();
        let plan = prune::plan(&extents, upto, active);
        if plan.seal_active {
            self.seal()?;
        }
        let gone = segments.iter().zip(&extents).take(plan.num_segments);
        let mut outcome = PruneOutcome {
            removed_through: self.manifest.removed_through,
            ..PruneOutcome::default()
        };
        for (_, extent) in gone.clone() {
            outcome.num_segments += 1;
            outcome.bytes = outcome.bytes.saturating_add(extent.bytes);
            outcome.removed_through = extent.last_lsn;
        }
        if outcome.num_segments == 0 {
            return Ok(Ok(outcome));
        }
        let before = self.manifest.clone();
        self.manifest.removed_through = outcome.removed_through;
        self.manifest.sealed.drain(..plan.num_segments);
        if let Err(refused) = self.try_store_manifest()? {
            // Nothing was removed, and the old manifest counts it all.
            self.manifest = before;
            return Ok(Err(refused));
        }
        let shared = &self.shared;
        shared
            .shelf
            .remove_oldest(plan.num_segments, outcome.removed_through);
        let mut freed = Vec::new();
        for (segment, _) in gone {
            freed.extend(segment.open(&*shared.place.disk).ok());
            if freed.len() >= MAX_FREED {
                give_back_space(std::mem::take(&mut freed));
            }
            let removed = self.remove_files(&segment.name);
            removed.map_err(self.fail("removal of", &segment.name))?;
        }
        let folder = &shared.place.folder;
        let synced = shared.place.disk.sync_dir(folder);
        synced.map_err(self.fail("sync of folder", &folder.to_string_lossy()))?;
        give_back_space(freed);
        Ok(Ok(outcome))
    }

    fn remove_files(&self, name: &str) -> io::Result<()> {
        let place = &self.shared.place;
        for name in [name, &segment::index_name(name)] {
            // A reader that rebuilds the index may have it away for a moment.
            match place.disk.remove(&place.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Most files of a prune held open at once by one thread that closes them.
const MAX_FREED: usize = 64;

/// Closes files whose names are gone. The file system gives a file's space back when it is closed
/// for the last time, which takes milliseconds for each: neither appends nor async tasks may wait
/// for that.
pub(crate) fn give_back_space(files: Vec<Arc<dyn DiskFile>>) {
    let closing = thread::Builder::new().name("pgspool-space".to_owned());
    // Without a thread they are closed here.
    drop(closing.spawn(move || drop(files)));
}
