//! A file system in memory with the failures of real ones.
//!
//! What is not synced may be lost, torn or reordered by [`FakeDisk::crash`]: writes at sector
//! borders, lengths, and names one by one. Operations fail on demand. All randomness comes from
//! seeds, so a run on one thread repeats exactly.
//!
//! It is for tests: nothing here is fast, and nothing here locks directories.

mod faults;
mod inode;
mod names;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, OpenMode};
use faults::{Dice, Faults};
pub use faults::{FakeCounters, FakeError, FakeOp};
use inode::Inode;
use names::{FileId, Names};

/// A file system in memory that can crash, tear and fail on demand. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    inodes: BTreeMap<FileId, Inode>,
    next_file: FileId,
    faults: Faults,
    /// Rolled by failing operations only; a crash brings its own.
    dice: Option<Dice>,
    /// Bytes that are left, if somebody said so. Nothing is taken off.
    free: Option<u64>,
}

impl FakeDisk {
    /// The disk as it is found after a power loss now; `seed` decides what survived of all that
    /// was not synced. This disk, its clones and its open files fail from now on, but can be
    /// crashed again with another seed. Demanded failures and counters start anew.
    pub fn crash(&self, seed: u64) -> Self {
        let mut state = self.lock();
        state.faults.mark_crashed();
        let mut dice = Dice::new(seed);
        let names = state.names.survivors(&mut dice);
        let mut inodes = BTreeMap::new();
        for (_, file) in names.files() {
            if let Some(inode) = state.inodes.get(&file) {
                inodes.insert(file, Inode::durable(inode.survivors(&mut dice)));
            }
        }
        let state = State {
            names,
            inodes,
            next_file: state.next_file,
            faults: Faults::default(),
            dice: Some(Dice::new(dice.roll())),
            free: state.free,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Lets the `nth` operation of this kind from now (1 is the next) fail, once. A failing write
    /// first writes some prefix; a failing sync leaves its bytes in an unknown state; every other
    /// failing operation does nothing.
    pub fn fail(&self, op: FakeOp, nth: u64, error: FakeError) {
        self.lock().faults.demand(op, nth, error, false);
    }

    /// Like [`FakeDisk::fail`], and every later operation of this kind fails too.
    pub fn fail_from(&self, op: FakeOp, nth: u64, error: FakeError) {
        self.lock().faults.demand(op, nth, error, true);
    }

    /// After `steps` more operations that change or sync something, every operation fails, until
    /// [`FakeDisk::crash`] shows what survived.
    pub fn crash_after(&self, steps: u64) {
        self.lock().faults.crash_after(steps);
    }

    /// Withdraws every demanded failure that has not struck yet.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// While set, everything that would change or sync something fails.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock().faults.set_read_only(read_only);
    }

    /// Says how many bytes are left from now on, whatever is written; `None` for without bound.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        self.lock().free = free;
    }

    /// Whether a crash has struck: by [`FakeDisk::crash`], or the steps of
    /// [`FakeDisk::crash_after`] are used up.
    pub fn has_crashed(&self) -> bool {
        self.lock().faults.has_crashed()
    }

    /// What was asked of this disk so far.
    pub fn counters(&self) -> FakeCounters {
        self.lock().faults.counters
    }

    /// Puts a durable file there, past failures and counters, as somebody else may do. An open
    /// handle of a former file with the name keeps that one.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock();
        if let Some(dir) = path.parent() {
            state.names.create_dir_all(dir);
        }
        let file = state.add(Inode::durable(bytes.to_vec()));
        state.names.place(path, file);
    }

    /// All files as readers see them, past failures and counters.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let named = state.names.files().filter_map(|(path, file)| {
            let inode = state.inodes.get(&file)?;
            Some((path.clone(), inode.bytes().to_vec()))
        });
        named.collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, inode: Inode) -> FileId {
        self.next_file += 1;
        self.inodes.insert(self.next_file, inode);
        self.next_file
    }

    fn inode(&mut self, file: FileId) -> io::Result<&mut Inode> {
        let found = self.inodes.get_mut(&file);
        found.ok_or_else(|| io::Error::other("the file does not exist on this disk"))
    }

    /// Forgets the bytes of files that neither a name nor a handle can reach.
    fn sweep(&mut self) {
        let Self { names, inodes, .. } = self;
        inodes.retain(|file, inode| Arc::strong_count(&inode.handles) > 1 || names.mentions(*file));
    }

    fn dice(&mut self) -> &mut Dice {
        self.dice.get_or_insert(Dice::new(1))
    }
}

impl Disk for FakeDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if !state.names.is_dir(dir) {
            state.faults.admit(FakeOp::Create)?;
            state.names.create_dir_all(dir);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::Read)?;
        state.names.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::Read)?;
        Ok(state.names.is_dir(path) || state.names.file(path).is_some())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::Read)?;
        let file = state.names.existing(path)?;
        let bytes = state.inode(file)?.bytes().to_vec();
        state.faults.count_read(bytes.len());
        Ok(bytes)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let (file, writable) = match mode {
            OpenMode::Read | OpenMode::Write => {
                state.faults.admit(FakeOp::Read)?;
                (state.names.existing(path)?, mode == OpenMode::Write)
            }
            OpenMode::CreateNew => {
                state.faults.admit(FakeOp::Create)?;
                let file = state.next_file + 1;
                state.names.create(path, file)?;
                (state.add(Inode::default()), true)
            }
        };
        let handle = Arc::clone(&state.inode(file)?.handles);
        Ok(Arc::new(FakeFile {
            disk: self.clone(),
            file,
            writable,
            _handle: handle,
        }))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.lock().free.unwrap_or(u64::MAX))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::Rename)?;
        state.names.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::Remove)?;
        state.names.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::Remove)?;
        state.names.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.faults.admit(FakeOp::SyncDir)?;
        state.names.sync_dir(dir)?;
        state.sweep();
        Ok(())
    }
}

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    file: FileId,
    writable: bool,
    _handle: Arc<()>,
}

impl FakeFile {
    fn must_be_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(9))
        }
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

impl DiskFile for FakeFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.faults.admit(FakeOp::Read)?;
        let bytes = state.inode(self.file)?.bytes();
        let rest = bytes.get(position(offset)?..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        state.faults.count_read(len);
        Ok(len)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.must_be_writable()?;
        let mut state = self.disk.lock();
        let admitted = state.faults.admit(FakeOp::Write);
        let len = match &admitted {
            Ok(()) => buf.len(),
            Err(_) if state.faults.has_crashed() => return admitted,
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => return admitted,
            Err(_) => {
                let end = u64::try_from(buf.len()).unwrap_or(u64::MAX);
                position(state.dice().below(end))?
            }
        };
        let inode = state.inode(self.file)?;
        inode.write(position(offset)?, buf.get(..len).unwrap_or_default());
        let unsynced = u64::try_from(inode.unsynced_bytes()).unwrap_or(u64::MAX);
        let counters = &mut state.faults.counters;
        counters.max_unsynced_bytes = counters.max_unsynced_bytes.max(unsynced);
        counters.bytes_written += u64::try_from(len).unwrap_or(u64::MAX);
        admitted
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let admitted = state.faults.admit(FakeOp::Sync);
        if admitted.is_ok() {
            state.inode(self.file)?.sync();
        } else if !state.faults.has_crashed() {
            let mut dice = Dice::new(state.dice().roll());
            state.inode(self.file)?.fail_sync(&mut dice);
        }
        admitted
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.must_be_writable()?;
        let mut state = self.disk.lock();
        state.faults.admit(FakeOp::SetLen)?;
        state.inode(self.file)?.set_len(position(len)?);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.faults.admit(FakeOp::Read)?;
        let len = state.inode(self.file)?.bytes().len();
        Ok(u64::try_from(len).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
