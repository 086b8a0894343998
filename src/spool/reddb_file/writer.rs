//! Writes a RedDB file of v3 frames, all or nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lsn::Lsn;
use crate::spool::{MAX_PAYLOAD, frame};

/// Written to the file at a time.
const BLOCK: usize = 1 << 20;

/// Collects frames in a temporary file beside `path` and puts it there when finished, replacing
/// what has the name. Without [`RedDbWriter::finish`] the temporary is removed again.
#[derive(Debug)]
pub struct RedDbWriter<'d> {
    disk: &'d dyn Disk,
    path: PathBuf,
    temp: PathBuf,
    file: Arc<dyn DiskFile>,
    buf: Vec<u8>,
    written: u64,
    max_lsn: Lsn,
    finished: bool,
}

impl<'d> RedDbWriter<'d> {
    /// Starts the file; a temporary left by an interrupted writer is replaced.
    pub fn create(disk: &'d dyn Disk, path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let temp = path.with_file_name(name);
        if disk.exists(&temp)? {
            disk.remove(&temp)?;
        }
        let file = disk.open(&temp, OpenMode::CreateNew)?;
        Ok(Self {
            disk,
            path: path.to_path_buf(),
            temp,
            file,
            buf: Vec::new(),
            written: 0,
            max_lsn: Lsn::ZERO,
            finished: false,
        })
    }

    /// Adds one v3 frame. After an error the writer is good for nothing but dropping.
    pub fn push(
        &mut self,
        term: u64,
        lsn: Lsn,
        timestamp_ms: u64,
        payload: &[u8],
    ) -> io::Result<()> {
        if payload.len() > MAX_PAYLOAD {
            let text = format!("payload of {} bytes is over the limit", payload.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        frame::encode(&mut self.buf, term, lsn, timestamp_ms, payload);
        self.max_lsn = self.max_lsn.max(lsn);
        if self.buf.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes the file durable under its name; returns the highest LSN in it.
    pub fn finish(mut self) -> io::Result<Lsn> {
        self.flush()?;
        self.file.sync()?;
        self.disk.rename(&self.temp, &self.path)?;
        self.finished = true;
        self.disk
            .sync_dir(self.path.parent().unwrap_or_else(|| Path::new(".")))?;
        Ok(self.max_lsn)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buf, self.written)?;
        self.written += u64::try_from(self.buf.len()).unwrap_or(u64::MAX);
        self.buf.clear();
        Ok(())
    }
}

impl Drop for RedDbWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the next writer removes what is left.
            let _ = self.disk.remove(&self.temp);
        }
    }
}
