//! A file system in memory with the failures of real ones.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Disk, DiskFile, OpenMode};

/// A file system in memory that can crash, tear and fail on demand. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakeDisk;

impl Disk for FakeDisk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        todo!()
    }
    fn list(&self, _dir: &Path) -> io::Result<Vec<String>> {
        todo!()
    }
    fn exists(&self, _path: &Path) -> io::Result<bool> {
        todo!()
    }
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        todo!()
    }
    fn open(&self, _path: &Path, _mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        todo!()
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        todo!()
    }
    fn remove(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        todo!()
    }
}
